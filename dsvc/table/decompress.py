"""The text of a table, whatever is around it: gzip and zstandard are taken off within bounds."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, Final, cast

import zstandard

from dsvc.table.kind import Compression, TableKind
from dsvc.table.source import NotATableError, TableLimitError, TableSource

MAX_RATIO: Final = 200
"""How many times its size a compressed file may have."""
FREE_BYTES: Final = 256 << 20
"""Text that is read however small the file is."""


class _Bounded(io.RawIOBase):
    """Decompressed bytes, up to a limit, with the codec's errors translated."""

    def __init__(self, stream: BinaryIO, outer: BinaryIO, source: TableSource) -> None:
        super().__init__()
        self._stream = stream
        self._outer = outer
        self._name = source.name
        self._limit = max(FREE_BYTES, MAX_RATIO * source.size)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move forwards only."""
        if whence != io.SEEK_SET or offset < self._position:
            raise io.UnsupportedOperation("a compressed table is read forwards")
        while self._position < offset and self.read(min(1 << 20, offset - self._position)):
            pass
        return self._position

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            data = self._stream.read(len(view))
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise NotATableError(
                f"{self._name} can't be decompressed: {error}", details={"path": self._name}
            ) from error
        view[: len(data)] = data
        self._position += len(data)
        if self._position > self._limit:
            raise TableLimitError(
                f"{self._name} decompresses to more than {MAX_RATIO} times its size",
                details={"path": self._name},
            )
        return len(data)

    def close(self) -> None:
        self._stream.close()
        self._outer.close()
        super().close()


def open_text(source: TableSource, kind: TableKind) -> BinaryIO:
    """Open a table in text, decompressed; compressed ones can only be read forwards.

    Raises
    ------
    NotATableError
        While reading: if it can't be decompressed.
    TableLimitError
        While reading: if it's more than `MAX_RATIO` times as long as the file, beyond `FREE_BYTES`.
    """
    stream = source.open()
    if kind.compression is Compression.NONE:
        return stream
    inner: BinaryIO
    if kind.compression is Compression.GZIP:
        inner = cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))
    else:
        inner = cast(
            BinaryIO,
            zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
                stream, read_across_frames=True
            ),
        )
    return cast(BinaryIO, io.BufferedReader(_Bounded(inner, stream, source), 1 << 20))
