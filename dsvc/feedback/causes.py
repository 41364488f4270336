"""What flagged rows have in common: candidate causes, counted, tested and ranked.

The definitions are those of docs/feedback.md: Fisher's exact test, one-sided; Holm over all candidates; lift
with its interval; and stratified retests that leave only what the stronger causes do not explain.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.feedback.candidate_rows import Membership, check_length, count_all
from dsvc.feedback.cause_power import too_few
from dsvc.feedback.cause_selection import Standing, select
from dsvc.feedback.exact_test import lifts, log_holm, log_over_representation, signed_g2
from dsvc.model.defect import Cause, CauseKind, Denominator
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

LEVEL: Final = 0.01
MIN_BAD: Final = 5
MIN_LIFT: Final = 1.5
_ORDER: Final = {kind: number for number, kind in enumerate(CauseKind)}
_LN10: Final = math.log(10)


class Candidate(NamedTuple):
    """Something that may have caused bad rows.

    Attributes
    ----------
    kind : CauseKind
    id : str
        As in `Cause`.
    rows : Membership
        Which of the evaluated rows it covers.
    """

    kind: CauseKind
    id: str
    rows: Membership

    @property
    def name(self) -> str:
        """``KIND ID``."""
        return f"{self.kind.value} {self.id}"


class Ranking(NamedTuple):
    """Causes, then associations, the strongest first.

    Attributes
    ----------
    causes : tuple of Cause
        Every candidate that covers an evaluated row; of equal row sets one.
    too_few : str or None
        Why there is no answer, or why its absence says nothing. It changes no `is_cause`.
    flagged, evaluated : int
        Rows.
    candidates : int
        Tests that the p-values are corrected for.
    power : float
        Probability that a cause of a tenth of the rows with three times the overall share would be named.
    """

    causes: tuple[Cause, ...]
    too_few: str | None
    flagged: int
    evaluated: int
    candidates: int
    power: float


class _Counted(NamedTuple):
    """Candidates of different row sets, with what was counted and tested of each."""

    chosen: list[Candidate]
    aliases: list[tuple[str, ...]]
    total: Integers
    bad: Integers
    log_p: Floats
    adjusted: Floats
    strength: Floats


def rank(
    evaluated: int,
    flagged: Flags,
    candidates: Sequence[Candidate],
    *,
    level: float = LEVEL,
    min_bad: int = MIN_BAD,
    min_lift: float = MIN_LIFT,
    denominator: Denominator = Denominator.STATED,
) -> Ranking:
    """Rank candidate causes of the flagged rows.

    A cause is significant at `level` after Holm's correction over all candidates, has at least `min_bad`
    flagged rows, a lift whose 95% interval begins at `min_lift` or above, and is still significant among rows
    that are alike in the other causes. Neither the order of the rows nor that of the candidates matters.

    Parameters
    ----------
    evaluated : int
        Rows that were evaluated, flagged or not.
    flagged : array of bool
        One for each of them.
    candidates : sequence of Candidate
        One that covers none of these rows is left out; it could not have been tested.
    level, min_bad, min_lift
        What makes a cause.
    denominator : Denominator
        Put into each cause.

    Returns
    -------
    Ranking

    Raises
    ------
    UsageError
        If arrays are of different lengths.
    """
    if len(flagged) != evaluated:
        raise UsageError(f"{len(flagged)} rows are flagged or not; {evaluated} were evaluated")
    flagged = flagged.astype(np.bool_, copy=False)
    check_length([each.rows for each in candidates], evaluated)
    found = _count(sorted(candidates, key=lambda each: (_ORDER[each.kind], each.id)), flagged)
    wrong = int(np.count_nonzero(flagged))
    # What covers every row tells none apart.
    told_apart = len(found.chosen) if bool((found.total < evaluated).any()) else 0
    reason, power = too_few(evaluated, wrong, told_apart, level=level, min_bad=min_bad, min_lift=min_lift)
    causes: tuple[Cause, ...] = ()
    if wrong:
        causes = _causes(found, flagged, denominator, level, min_bad, min_lift)
    return Ranking(causes, reason, wrong, evaluated, len(found.chosen), power)


def _count(candidates: Sequence[Candidate], flagged: Flags) -> _Counted:
    totals, bads = (each[:, 0] for each in count_all([each.rows for each in candidates], flagged))
    groups = _same_rows(candidates, totals, bads, len(flagged))
    first = np.array([group[0] for group in groups], np.int64)
    total, bad = totals[first], bads[first]
    wrong = int(np.count_nonzero(flagged))
    log_p = log_over_representation(bad, total, wrong, len(flagged))
    return _Counted(
        [candidates[number] for number in first],
        [_aliases([candidates[one].name for one in group]) for group in groups],
        total,
        bad,
        log_p,
        log_holm(log_p),
        signed_g2(bad, total, wrong, len(flagged)),
    )


def _aliases(names: list[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name != names[0])


def _same_rows(
    candidates: Sequence[Candidate], total: Integers, bad: Integers, evaluated: int
) -> Iterable[list[int]]:
    """Numbers of candidates by row set; those without a row are left out."""
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, counts in enumerate(zip(total.tolist(), bad.tolist(), strict=True)):
        if counts[0]:
            alike[counts].append(number)
    groups = []
    for numbers in alike.values():
        if len(numbers) == 1:
            groups.append(numbers)
            continue
        # Only now the rows themselves are looked at.
        same: dict[bytes, list[int]] = defaultdict(list)
        for number in numbers:
            bits = np.packbits(candidates[number].rows.mask(evaluated))
            same[sha256(bits.data).digest()].append(number)
        groups.extend(same.values())
    return sorted(groups)


def _causes(
    found: _Counted, flagged: Flags, denominator: Denominator, level: float, min_bad: int, min_lift: float
) -> tuple[Cause, ...]:
    evaluated, wrong = len(flagged), int(np.count_nonzero(flagged))
    lift = lifts(found.bad, found.total, wrong, evaluated)
    significant = found.adjusted < math.log(level)
    eligible = significant & (found.bad >= min_bad) & (lift[1] >= min_lift)
    # Stable: equals stay in the order of kinds and names.
    order = np.argsort(-found.strength, kind="stable")
    standing = select(
        [each.rows for each in found.chosen],
        [int(number) for number in order if eligible[number]],
        [int(number) for number in order if significant[number] and not eligible[number]],
        flagged,
        level,
        {number for number, each in enumerate(found.chosen) if each.kind is CauseKind.COLUMN},
    )
    made = []
    for number in order:
        stands = standing.get(int(number), Standing(None, None))
        is_cause = bool(eligible[number]) and stands.explained_by is None
        made.append(_cause(found, int(number), stands, lift, wrong, evaluated, is_cause, denominator))
    made.sort(key=lambda cause: not cause.is_cause)
    return tuple(made)


def _cause(
    found: _Counted,
    number: int,
    standing: Standing,
    lift: tuple[Floats, Floats, Floats],
    flagged: int,
    evaluated: int,
    is_cause: bool,
    denominator: Denominator,
) -> Cause:
    chosen = found.chosen[number]
    bad, total = int(found.bad[number]), int(found.total[number])
    log_p = float(found.log_p[number])
    by = standing.explained_by
    return Cause(
        kind=chosen.kind,
        id=chosen.id,
        aliases=found.aliases[number],
        bad=bad,
        total=total,
        lift=float(lift[0][number]),
        lift_low=float(lift[1][number]),
        lift_high=float(lift[2][number]),
        p_value=math.exp(log_p),
        log10_p=log_p / _LN10,
        p_adjusted=math.exp(float(found.adjusted[number])),
        p_conditional=None if standing.log_p is None else math.exp(standing.log_p),
        explained_by=None if by is None else found.chosen[by].name,
        is_cause=is_cause,
        denominator=denominator,
        excess=bad - total * flagged / evaluated,
        coverage=bad / flagged,
    )
