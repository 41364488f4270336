"""A table in text as a donor: any record, by its number."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from dsvc.model.table_kind import Compression, TableKind
from dsvc.table.origin.decompress import open_text
from dsvc.table.origin.source import TableSource
from dsvc.table.text.records import TextRecords

_SAMPLE_RECORDS = 200
_PASS_BYTES = 1 << 20


class TextDonor:
    """Records of a table in text; only where they are is held, 16 bytes each.

    Parameters
    ----------
    source : TableSource
        Its bytes.
    kind : TableKind
        Its format, one of text.

    Attributes
    ----------
    table : TextRecords
        Its header and dialect.
    starts, ends : ndarray of int64, shape (n,)
        Where each record begins and ends in the decompressed text, its line end not included.

    Raises
    ------
    NotATableError
        If it can't be read as a table.
    TableLimitError
        If it is beyond the limits.
    """

    def __init__(self, source: TableSource, kind: TableKind) -> None:
        self.source = source
        self.kind = kind
        self.table = TextRecords(source, kind)
        starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for block in self.table.blocks():
            starts.append(block.starts + block.offset)
            ends.append(block.ends + block.offset)
        self.starts = np.concatenate(starts)
        self.ends = np.concatenate(ends)
        self._stream: BinaryIO | None = None
        self._position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def __len__(self) -> int:
        return len(self.starts)

    def text(self, start: int, end: int | None) -> bytes:
        """Bytes of the decompressed text; to its end where `end` is None."""
        if self._stream is None or (start < self._position and self.kind.compression is not Compression.NONE):
            if self._stream is not None:
                self._stream.close()
            self._stream = open_text(self.source, self.kind)
        self._stream.seek(start)
        parts: list[bytes] = []
        left = -1 if end is None else end - start
        while left and (part := self._stream.read(left if left >= 0 else _PASS_BYTES)):
            parts.append(part)
            left -= len(part) if left >= 0 else 0
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._position = start + len(data)
        return data

    def record(self, number: int) -> bytes:
        """Text of one record."""
        return self.text(int(self.starts[number]), int(self.ends[number]))

    def records_at(self, positions: Sequence[int]) -> list[bytes]:
        """Texts of records, in the order of `positions`.

        Raises
        ------
        IndexError
            If there are fewer records.
        """
        for position in positions:
            if not 0 <= position < len(self):
                raise IndexError(f"{self.source.name} has {len(self)} records, not {position + 1}")
        # Read from front to back: what is compressed has no other way.
        found = {position: self.record(position) for position in sorted(set(positions))}
        return [found[position] for position in positions]

    def sample(self) -> list[bytes]:
        """Texts of the first records, which show how the table is written."""
        return self.records_at(range(min(len(self), _SAMPLE_RECORDS)))

    @property
    def before(self) -> bytes:
        """Text before the first record; all of it where there is none."""
        return self.text(0, int(self.starts[0]) if len(self) else None)

    @property
    def after(self) -> bytes:
        """Text after the last record; empty where there is none."""
        return self.text(int(self.ends[-1]), None) if len(self) else b""

    def gap(self, number: int) -> bytes:
        """Text between a record and the next."""
        return self.text(int(self.ends[number]), int(self.starts[number + 1]))
