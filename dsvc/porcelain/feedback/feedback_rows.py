"""Rows of one table looked up in many ways at once: by key, position, condition and hash.

Each way reads the table at most once, however many rows are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.lineage.record_rows import ABSENT, SEVERAL
from dsvc.model.feedback import Scalar
from dsvc.table.index.row_index import key_hashes
from dsvc.table.values.key_value import INTEGER_TYPES, hashes_of_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.porcelain.lineage.artifact_version import ArtifactTable

    Numbers = NDArray[np.int64]
    Hashes = NDArray[np.uint64]
    Digests = Callable[[Mapping[str, object]], Sequence[bytes]]

UNFIT: Final = -3
"""A value that can't stand in the column: of another type, or null."""
MALFORMED: Final = -4
"""A record that can't be read, so it is no row."""
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,19}")
_FLOATS: Final = frozenset({"double", "float", "halffloat"})
_INT64: Final = range(-(2**63), 2**63)


class TableRowsBy:
    """Looks rows of a table up.

    Parameters
    ----------
    table : ArtifactTable
    """

    def __init__(self, table: ArtifactTable) -> None:
        self.table = table
        self._keys: dict[tuple[str, ...], tuple[Hashes, Numbers]] = {}
        self._hashes: dict[str, tuple[NDArray[np.void], Numbers]] = {}
        self._conditions: dict[str, Numbers] = {}

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.table.index.rows

    def missing_column(self, names: Sequence[str]) -> str | None:
        """First of some columns that the table doesn't have."""
        return next((name for name in names if self.table.index.column(name) is None), None)

    def by_key(self, columns: tuple[str, ...], values: Sequence[Sequence[Scalar]]) -> Numbers:
        """Rows with some keys: for each its number, or `ABSENT`, `SEVERAL`, `UNFIT`.

        Parameters
        ----------
        columns : tuple of str
            Columns that the table has.
        values : sequence of sequence of Scalar
            For each row its values, in the order of the columns; text is read in the column's type.
        """
        texts = [self._texts(name, [each[n] for each in values]) for n, name in enumerate(columns)]
        fits = np.array([None not in each for each in zip(*texts, strict=True)], np.bool_)
        found = np.full(len(values), UNFIT, np.int64)
        places = np.flatnonzero(fits)
        sides = [self._spelled(name, texts[n], places) for n, name in enumerate(columns)]
        for side in sides:
            # What the engine takes for no value of the column after all.
            places = places[side.fits[places]]
        if len(places):
            found[places] = self._joined(columns, [side.hashes[places] for side in sides])
        return found

    def _joined(self, columns: tuple[str, ...], hashes: Sequence[Hashes]) -> Numbers:
        known, order = self._known(columns)
        found = np.full(len(hashes[0]), ABSENT, np.int64)
        if not len(known):
            return found
        for spelling in np.ndindex(*(each.shape[1] for each in hashes)):
            cells = {name: each[:, at] for name, each, at in zip(columns, hashes, spelling, strict=True)}
            wanted = key_hashes(cells, columns)
            start = np.searchsorted(known, wanted, side="left")
            counts = np.searchsorted(known, wanted, side="right") - start
            new = (counts > 0) & (found == ABSENT)
            found[new] = np.where(counts[new] == 1, order[start[new]], SEVERAL)
        return found

    def _known(self, columns: tuple[str, ...]) -> tuple[Hashes, Numbers]:
        if columns not in self._keys:
            cells = self.table.index.cells(names=columns)
            whole = np.ones(self.rows, np.bool_)
            for each in cells.values():
                whole &= each != 0
            rows = np.flatnonzero(whole)
            hashes = key_hashes(cells, columns)[rows]
            order = np.argsort(hashes, kind="stable")
            self._keys[columns] = hashes[order], rows[order]
        return self._keys[columns]

    def _texts(self, name: str, values: Sequence[Scalar]) -> list[str | None]:
        column = self.table.index.column(name)
        type_ = "string" if column is None else column.type
        return [_text_in(value, type_) for value in values]

    def _spelled(self, name: str, texts: Sequence[str | None], places: Numbers) -> _Spelled:
        column = self.table.index.column(name)
        type_ = "string" if column is None else column.type
        fits = np.zeros(len(texts), np.bool_)
        parts: list[tuple[Numbers, Hashes]] = []
        pending = [places] if len(places) else []
        while pending:
            here = pending.pop()
            try:
                chosen = [texts[place] or "" for place in here.tolist()]
                parts.append((here, hashes_of_values(chosen, type_, self.table.kind)))
                fits[here] = True
            except ValueError:
                if len(here) > 1:
                    pending += [here[: len(here) // 2], here[len(here) // 2 :]]
        width = max((each.shape[1] for _, each in parts), default=1)
        hashes = np.zeros((len(texts), width), np.uint64)
        for here, each in parts:
            # Fewer spellings than others have: the first one again.
            hashes[here] = each[:, :1]
            hashes[here, : each.shape[1]] = each
        return _Spelled(hashes, fits)

    def by_position(self, positions: Numbers) -> Numbers:
        """Rows at some records; `ABSENT` beyond the last one, `MALFORMED` where it is no row."""
        index = self.table.index
        broken = np.array([each.record for each in index.malformed], np.int64)
        found = np.full(len(positions), ABSENT, np.int64)
        inside = positions < self.rows + len(broken)
        malformed = inside & np.isin(positions, broken)
        found[malformed] = MALFORMED
        good = inside & ~malformed
        found[good] = index.rows_at(positions[good])
        return found

    def where(self, condition: str) -> Numbers:
        """Rows for which a condition is true.

        Raises
        ------
        PredicateError, UnknownColumnError
            If it is malformed, compares what can't be compared, or names a column that isn't there.
        """
        if condition not in self._conditions:
            from dsvc.table.query.predicate import matching_rows, parse

            table = self.table
            rows = matching_rows(parse(condition), table.source, table.kind, table.index)
            self._conditions[condition] = rows
        return self._conditions[condition]

    def by_digest(self, scheme: str, digests: Digests, wanted: Sequence[bytes]) -> Numbers:
        """Rows with some digests, by a scheme that gives each row one or more; as `by_key`.

        Parameters
        ----------
        scheme : str
            Names it: the table is read once for it.
        digests : callable
            Digests of a row, 32 bytes each.
        wanted : sequence of bytes
        """
        if scheme not in self._hashes:
            self._hashes[scheme] = self._hashed(digests)
        known, order = self._hashes[scheme]
        asked = np.frombuffer(b"".join(wanted), "V32")
        found = np.full(len(asked), ABSENT, np.int64)
        if len(known):
            start, end = _ranges_of(known, asked)
            several = order[np.minimum(end - 1, len(order) - 1)] != order[np.minimum(start, len(order) - 1)]
            hit = end > start
            found[hit] = np.where(several[hit], SEVERAL, order[start[hit]])
        return found

    def _hashed(self, digests: Digests) -> tuple[NDArray[np.void], Numbers]:
        from dsvc.table.reading.row_reader import row_blocks

        found: list[bytes] = []
        rows: list[int] = []
        table = self.table
        every = np.arange(self.rows, dtype=np.int64)
        for numbers, block in row_blocks(table.source, table.kind, table.index, every):
            for number, row in zip(numbers.tolist(), block, strict=True):
                for digest in dict.fromkeys(digests(row)):
                    found.append(digest)
                    rows.append(number)
        keys = np.frombuffer(b"".join(found), "V32")
        # In order of digest, then row: equal digests of several rows stand together.
        order = np.argsort(_sortable(keys), kind="stable")
        return keys[order], np.array(rows, np.int64)[order]


class _Spelled:
    """Hashes of values, a line for each, and which of them fit their column."""

    def __init__(self, hashes: Hashes, fits: NDArray[np.bool_]) -> None:
        self.hashes, self.fits = hashes, fits


def _sortable(keys: NDArray[np.void]) -> NDArray[np.bytes_]:
    # numpy compares text without the zeros at its end; so a byte that is none follows each digest.
    whole = np.full((len(keys), 33), 1, np.uint8)
    whole[:, :32] = np.frombuffer(keys.tobytes(), np.uint8).reshape(-1, 32)
    return whole.reshape(-1).view("S33")


def _ranges_of(known: NDArray[np.void], asked: NDArray[np.void]) -> tuple[Numbers, Numbers]:
    ordered, wanted = _sortable(known), _sortable(asked)
    start = np.searchsorted(ordered, wanted, side="left")
    return start, np.searchsorted(ordered, wanted, side="right")


def _text_in(value: Scalar, type_: str) -> str | None:
    """A value as text that a column of a type may have; None where it can't stand there."""
    if value is None:
        return None
    if isinstance(value, bool):
        return ("true" if value else "false") if type_ in ("bool", "string") else None
    if type_ in INTEGER_TYPES or type_ == "uint64":
        if isinstance(value, float):
            return str(int(value)) if value.is_integer() and int(value) in _INT64 else None
        text = str(value).strip()
        return str(int(text)) if _INTEGER.fullmatch(text) and int(text) in _INT64 else None
    if type_ in _FLOATS:
        try:
            float(value)
        except (ValueError, OverflowError):
            return None
        return value if isinstance(value, str) else repr(value)
    if type_ == "bool":
        return value.lower() if isinstance(value, str) and value.lower() in ("true", "false") else None
    return value if isinstance(value, str) else repr(value)
