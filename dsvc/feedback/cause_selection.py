"""Which of several causes that share rows are causes, and which only come along with one.

The strongest is taken first, by G². Then, again and again, all others are tested among rows that are alike in
what was taken (`stratified`), the strongest that is still significant is taken too, and everything taken is
tested against the rest of it: one that explains nothing which the others don't goes out again. That is how a
source that merely contains two bad batches loses to them although it was found first. Where it hides them, so
that neither is significant next to it, but both together are, they take its place.

Values of columns describe rows, and may describe the very symptom: all that is wrongly called positive is
called positive. So they never push out a source, run or person that was found to be stronger; see `columns`.

Significance is judged by Holm's method over the candidates that one such round tests, at the level of the
ranking. What is judged is then put to one last test, given all that was taken in the end.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.feedback.candidate_rows import Atoms, Membership, atoms_of, count_all, renumbered
from dsvc.feedback.exact_test import log_holm
from dsvc.feedback.stratified import Tables, log_p_stratified

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_MOST_CONTENDERS: Final = 256
_MOST_WORK: Final = 400_000_000
"""Atoms looked at while choosing; only candidates that cut the rows into very many pieces ever get there."""
_MOST_KEPT: Final = 10_000_000
"""Numbers of atoms in memory, for all contenders."""
_FEWEST_INSTEAD: Final = 2
_MOST_TIMES: Final = 2
"""So often one cause can be taken: none goes in and out for ever."""


class Standing(NamedTuple):
    """How a candidate stands to the causes that were taken.

    Attributes
    ----------
    log_p : float or None
        Natural logarithm of the p-value given all that was taken, itself left out; None: nothing else was.
    explained_by : int or None
        The taken candidate that leaves nothing to explain.
    """

    log_p: float | None
    explained_by: int | None


def select(
    rows: Sequence[Membership],
    eligible: Sequence[int],
    tested: Sequence[int],
    flagged: Flags,
    level: float,
    columns: Collection[int] = (),
) -> dict[int, Standing]:
    """Tell causes from what only comes along with them.

    Parameters
    ----------
    rows : sequence of Membership
        Of all candidates.
    eligible : sequence of int
        Those that are causes unless another explains them, strongest first.
    tested : sequence of int
        Others that are significant: they take part in the last test, and are never taken.
    flagged : array of bool
    level : float
    columns : collection of int
        Those that are values of columns: what was taken and is none is tested against others like it only.

    Returns
    -------
    dict
        For `eligible` and `tested`.
    """
    if not eligible:
        return {number: Standing(None, None) for number in tested}
    contenders = list(eligible[:_MOST_CONTENDERS])
    atoms = atoms_of([rows[number] for number in contenders], flagged)
    choice = _Choice(rows, atoms, math.log(level), columns)
    taken = choice.run(contenders)
    found = {}
    for each in taken:
        others = choice.against(each, taken)
        found[each] = Standing(float(choice.log_p([each], others)[0]) if others else None, None)
    rest = [each for each in eligible if each not in found]
    # Apart, so that what could never be a cause doesn't make it harder for what could.
    for group in (rest, list(tested)):
        if group:
            found.update(_standings(rows, group, taken, flagged, math.log(level)))
    return found


class _Strata(NamedTuple):
    """The stratum of each atom, and what each stratum holds."""

    of_atom: Integers
    bad: Integers
    total: Integers


class _Choice:
    """Contenders over the atoms that they cut the rows into."""

    def __init__(
        self, rows: Sequence[Membership], atoms: Atoms, log_level: float, columns: Collection[int]
    ) -> None:
        self._rows, self._atoms, self._log_level, self._columns = rows, atoms, log_level, columns
        self._work, self._kept = 0, 0
        self._last: tuple[tuple[int, ...], _Strata] | None = None
        self._atoms_of: dict[int, Integers] = {}

    def run(self, contenders: Sequence[int]) -> list[int]:
        """Take causes until none is left; `contenders` are in order of strength."""
        taken, times = [contenders[0]], dict.fromkeys(contenders, 0)
        times[contenders[0]] = 1
        # As last tested; before a first test they may be anything, so all come in order of strength.
        known, exchanged = dict.fromkeys(contenders, -math.inf), set[int]()
        while self._work <= _MOST_WORK:
            best = self._next([each for each in contenders if each not in taken], taken, times, known)
            if best is None and not self._prune(taken, contenders, taken):
                if not self._exchange(taken, contenders, exchanged):
                    break
                self._prune(taken, contenders, taken)
            if best is not None:
                taken.append(best)
                times[best] += 1
                self._prune(taken, contenders, [each for each in taken if self._overlap(each, best)])
        return sorted(taken, key=contenders.index)

    def _next(
        self, others: Sequence[int], taken: Sequence[int], times: dict[int, int], known: dict[int, float]
    ) -> int | None:
        """The most significant one given what was taken, or None if none is.

        What others explain stays explained as a rule. So those that looked best before are tested first, and
        all only before it is said that there is none.
        """
        limit = self._log_level - math.log(max(len(others), 1))
        ready = [each for each in others if times[each] < _MOST_TIMES]
        for fresh in ([], ready):
            if fresh:
                known.update(zip(fresh, self.log_p(fresh, taken).tolist(), strict=True))
            tested = set(fresh)
            while ready:
                best = min(ready, key=known.__getitem__)
                if known[best] >= limit:
                    break
                if best in tested:
                    return best
                known[best] = float(self.log_p([best], taken)[0])
                tested.add(best)
        return None

    def against(self, each: int, taken: Sequence[int]) -> list[int]:
        """What can push out one that was taken."""
        return [one for one in taken if one != each and (each in self._columns or one not in self._columns)]

    def _overlap(self, one: int, two: int) -> bool:
        return len(np.intersect1d(self._own(one), self._own(two), assume_unique=True)) > 0

    def _prune(self, taken: list[int], contenders: Sequence[int], doubted: Sequence[int]) -> bool:
        """Take out what the rest of them explains, the least needed first, of equals the weakest."""
        before = len(taken)
        left = sorted(doubted, key=contenders.index, reverse=True)
        while len(taken) > 1 and left:
            given = [self.against(each, taken) for each in left]
            log_p = np.array(
                [
                    self.log_p([each], rest)[0] if rest else -math.inf
                    for each, rest in zip(left, given, strict=True)
                ]
            )
            worst = int(np.argmax(log_p))
            if log_holm(log_p)[worst] < self._log_level:
                break
            taken.remove(left.pop(worst))
        return len(taken) < before

    def _exchange(self, taken: list[int], contenders: Sequence[int], exchanged: set[int]) -> bool:
        """Put several that share its rows in the place of one that hides each of them.

        Together they must be significant next to it, whichever of all sets of those that share its rows they
        are, and it must not be significant next to them.
        """
        for each in [one for one in taken if one not in exchanged]:
            among = self.against(each, [one for one in contenders if one not in taken])
            within = [one for one in among if self._overlap(one, each)]
            if len(within) < _FEWEST_INSTEAD:
                continue
            sets = max(2.0 ** len(within) - len(within) - 1, 1.0)
            instead = [one for one in taken if one != each]
            self._extend(instead, within)
            if len(instead) <= len(taken) or self.log_p([each], instead)[0] < self._log_level:
                continue
            together = np.unique(np.concatenate([self._own(one) for one in instead if one in within]))
            if log_p_stratified(self._table(together, taken)) < self._log_level - math.log(sets):
                exchanged.add(each)
                taken[:] = instead
                return True
        return False

    def _extend(self, taken: list[int], others: Sequence[int]) -> None:
        """Take of some others what is significant, one after the other."""
        left = list(others)
        while left:
            log_p = self.log_p(left, taken)
            best = int(np.argmin(log_p))
            if log_p[best] >= self._log_level - math.log(len(left)):
                return
            taken.append(left.pop(best))

    def log_p(self, numbers: Sequence[int], given: Sequence[int]) -> Floats:
        """Test some among rows that are alike in others."""
        tables = (self._table(self._own(each), given) for each in numbers)
        return np.array([log_p_stratified(each) for each in tables], np.float64)

    def _table(self, own: Integers, given: Sequence[int]) -> Tables:
        """Table of some atoms in the strata of others."""
        bad, total = self._atoms.bad, self._atoms.total
        self._work += len(own) + len(total)
        strata = self._strata(given)
        there = strata.of_atom[own]
        return Tables(
            _summed(there, bad[own], len(strata.bad)),
            _summed(there, total[own], len(strata.bad)),
            strata.bad,
            strata.total,
        )

    def _strata(self, given: Sequence[int]) -> _Strata:
        """Combinations of some causes; those of the last call are kept."""
        key = tuple(sorted(given))
        if self._last is None or self._last[0] != key:
            self._work += len(key) * len(self._atoms.total)
            stratum, size = np.zeros(len(self._atoms.total), np.int64), 1
            for each in key:
                stratum *= 2
                stratum[self._own(each)] += 1
                stratum, size = renumbered(stratum, size * 2)
            bad, total = (_summed(stratum, each, size) for each in (self._atoms.bad, self._atoms.total))
            self._last = key, _Strata(stratum, bad, total)
        return self._last[1]

    def _own(self, number: int) -> Integers:
        """Atoms that it covers; kept while they are not too many."""
        found = self._atoms_of.get(number)
        if found is None:
            found = np.flatnonzero(self._rows[number].covers(self._atoms.row))
            self._kept += len(found)
            if self._kept <= _MOST_KEPT:
                self._atoms_of[number] = found
        return found


def _summed(stratum: Integers, counts: Integers, size: int) -> Integers:
    return np.bincount(stratum, counts, size).astype(np.int64)


class _Pieces(NamedTuple):
    """What the taken causes cut the rows into, and which of them cover each piece."""

    atoms: Atoms
    covered: tuple[Flags, ...]

    def alone(self, table: Tables, which: int) -> Tables:
        """A table over the strata of one of the taken causes only."""
        inside = self.covered[which]
        return Tables(*(np.array([each[inside].sum(), each[~inside].sum()], np.int64) for each in table))


def _standings(
    rows: Sequence[Membership], rest: Sequence[int], taken: Sequence[int], flagged: Flags, log_level: float
) -> dict[int, Standing]:
    """Test what was not taken given all that was, and name the cause that by itself explains it best."""
    atoms = atoms_of([rows[number] for number in taken], flagged)
    pieces = _Pieces(atoms, tuple(rows[number].covers(atoms.row) for number in taken))
    total, bad = count_all([rows[number] for number in rest], flagged, atoms.grouping)
    tables = [Tables(bad[at], total[at], atoms.bad, atoms.total) for at in range(len(rest))]
    log_p = np.array([log_p_stratified(each) for each in tables], np.float64)
    found = {}
    for number, table, one, adjusted in zip(rest, tables, log_p, log_holm(log_p), strict=True):
        by = None
        if adjusted >= log_level:
            alone = [log_p_stratified(pieces.alone(table, which)) for which in range(len(taken))]
            by = taken[int(np.argmax(alone))]
        found[number] = Standing(float(one), by)
    return found
