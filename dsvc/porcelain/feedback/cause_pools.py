"""Puts what is known of rows from several places together: candidates, and the rows that each covers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.feedback.candidate_rows import CodedRows, Codes, MaskedRows, Membership, NumberedRows
from dsvc.feedback.causes import Candidate
from dsvc.model.defect import CauseKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

MOST_VALUES: Final = 50
"""Values of a column, and of a part such as the annotator, that are candidates."""
_SPARSE: Final = 8
"""A set of fewer than one row in so many is kept as numbers."""
_NAMED: Final = frozenset({CauseKind.ANNOTATOR, CauseKind.REVIEWER, CauseKind.BATCH, CauseKind.RULES})


class _Pool:
    """Candidates of one kind; of columns those of one name."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.coded: list[tuple[Numbers | None, NDArray[np.int32]]] = []
        self.single: dict[int, list[Numbers]] = {}

    def number(self, id_: str) -> int:
        return self.numbers.setdefault(id_, len(self.numbers))


class Pools:
    """Takes in what is known of rows.

    A row belongs to a candidate if anything that was taken in says so: of a row that was merged of several,
    each of these does.

    Parameters
    ----------
    rows : int
        How many rows are looked at; they are numbered from 0.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._pools: dict[tuple[CauseKind, str], _Pool] = {}
        self._everything: MaskedRows | None = None
        self.left_out: list[str] = []

    def add_rows(self, kind: CauseKind, id_: str, rows: Numbers) -> None:
        """Take in that a candidate covers some rows."""
        if len(rows):
            pool = self._pools.setdefault((kind, ""), _Pool())
            pool.single.setdefault(pool.number(id_), []).append(rows)

    def add_values(
        self,
        kind: CauseKind,
        column: str,
        rows: Numbers | None,
        codes: NDArray[np.int16],
        texts: Sequence[str],
    ) -> None:
        """Take in the values of a column.

        Parameters
        ----------
        column : str
            Its name, where values are named with it; empty where the value is the id.
        rows : ndarray of int64 or None
            Rows that have the values, in the order of `codes`; one may come twice. None: all, in order.
        codes : ndarray of int16
            Number of the value; -1: none.
        texts : sequence of str
            Values by number.
        """
        pool = self._pools.setdefault((kind, column), _Pool())
        numbers = [pool.number(f"{column}={text}" if column else text) for text in texts]
        pool.coded.append((rows, np.array([*numbers, -1], np.int32)[codes]))

    def candidates(self) -> list[Candidate]:
        """All candidates with at least a row, kind by kind."""
        order = list(CauseKind)
        found: list[Candidate] = []
        for (kind, column), pool in sorted(
            self._pools.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        ):
            members = self._coded(pool) if pool.coded else self._single(pool)
            named = [Candidate(kind, id_, rows) for id_, (count, rows) in members if count]
            counts = {id_: count for id_, (count, _) in members}
            if len(named) > MOST_VALUES and (column or kind in _NAMED):
                self.left_out.append(column or kind.value)
                if column:
                    continue
                named.sort(key=lambda each: (-counts[each.id], each.id))
                named = sorted(named[:MOST_VALUES], key=lambda each: each.id)
            found += named
        return found

    def _single(self, pool: _Pool) -> list[tuple[str, tuple[int, Membership]]]:
        return [(id_, self.members(pool.single.get(number, ()))) for id_, number in pool.numbers.items()]

    def _coded(self, pool: _Pool) -> list[tuple[str, tuple[int, Membership]]]:
        parts = [*pool.coded]
        for number, many in pool.single.items():
            parts += [(rows, np.full(len(rows), number, np.int32)) for rows in many]
        grid = self._grid(parts)
        if grid is None:
            return self._overlapping(pool, parts)
        counts = np.bincount(grid + 1, minlength=len(pool.numbers) + 1)[1:]
        codes = Codes(grid)
        return [(id_, (int(counts[n]), CodedRows(codes, n))) for id_, n in pool.numbers.items()]

    def _grid(self, parts: Iterable[tuple[Numbers | None, NDArray[np.int32]]]) -> NDArray[np.int32] | None:
        """One value for each row; None where a row has several."""
        grid = np.full(self._rows, -1, np.int32)
        for rows, codes in parts:
            if rows is None and not (grid >= 0).any():
                grid = codes.copy()
                continue
            keep = codes >= 0
            places, values = (np.flatnonzero(keep) if rows is None else rows[keep]), codes[keep]
            new = grid[places] < 0
            grid[places[new]] = values[new]
            if (grid[places] != values).any():
                return None
        return grid

    def _overlapping(
        self, pool: _Pool, parts: Sequence[tuple[Numbers | None, NDArray[np.int32]]]
    ) -> list[tuple[str, tuple[int, Membership]]]:
        all_rows = np.concatenate(
            [np.arange(self._rows, dtype=np.int64) if rows is None else rows for rows, _ in parts]
        )
        codes = np.concatenate([part for _, part in parts])
        small = codes.astype(np.int16) if len(pool.numbers) < 1 << 15 else codes
        order = np.argsort(small, kind="stable")
        ends = np.cumsum(np.bincount(codes + 1, minlength=len(pool.numbers) + 1))
        chosen = (all_rows[order[ends[n] : ends[n + 1]]] for n in range(len(pool.numbers)))
        return [(id_, self.members([rows])) for id_, rows in zip(pool.numbers, chosen, strict=True)]

    def members(self, many: Sequence[Numbers]) -> tuple[int, Membership]:
        """Put lists of rows together: how many rows they have, and which."""
        mask = np.zeros(self._rows, np.bool_)
        for rows in many:
            mask[rows] = True
        count = int(np.count_nonzero(mask))
        if count == self._rows:
            # Most rows pass through most runs: one mask is enough.
            self._everything = self._everything or MaskedRows(mask)
            return count, self._everything
        if count * _SPARSE < self._rows:
            return count, NumberedRows(np.flatnonzero(mask))
        return count, MaskedRows(mask)
