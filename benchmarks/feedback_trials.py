"""Seeded trials of the cause ranking: evaluations with a cause that is known because it was planted.

`python -m benchmarks.feedback_trials` runs them all. In each, every row has a source, a run, an annotator, a
reviewer, a batch, a rule set and four columns of other values: 95 candidates that cause nothing, besides what
is planted. 2% of the rows are bad whatever they are of, 15% of those of a planted cause.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsvc.feedback.candidate_rows import CodedRows, Codes, MaskedRows, NumberedRows
from dsvc.feedback.causes import Candidate, Ranking, rank
from dsvc.model.defect import CauseKind

ROWS = 20_000
PLAIN, PLANTED = 0.02, 0.15
COLUMNS = (
    (CauseKind.SOURCE, 10),
    (CauseKind.RUN, 5),
    (CauseKind.ANNOTATOR, 12),
    (CauseKind.REVIEWER, 6),
    (CauseKind.BATCH, 20),
    (CauseKind.RULES, 2),
    *((CauseKind.COLUMN, size) for size in (3, 7, 10, 20)),
)
Flags = NDArray[np.bool_]


class Trial(NamedTuple):
    """An evaluation, and the names of what must be named, which nothing else may be."""

    flagged: Flags
    candidates: list[Candidate]
    causes: frozenset[str]

    def ranking(self) -> Ranking:
        """What comes of it."""
        return rank(len(self.flagged), self.flagged, self.candidates)

    def named(self) -> tuple[bool, bool]:
        """Whether all that was planted is named, and whether it and nothing else is."""
        found = {f"{each.kind.value} {each.id}" for each in self.ranking().causes if each.is_cause}
        return self.causes <= found, self.causes == found


def background(choice: np.random.Generator, rows: int) -> list[Candidate]:
    """Candidates that cause nothing."""
    made = []
    for number, (kind, size) in enumerate(COLUMNS):
        # Some values are frequent and some are rare, as they are.
        shares = choice.dirichlet(np.full(size, 3.0))
        codes = Codes(choice.choice(size, rows, p=shares).astype(np.int32))
        made += [Candidate(kind, f"{number}={code}", CodedRows(codes, code)) for code in range(size)]
    return made


def _some(choice: np.random.Generator, of: Flags, count: int) -> Flags:
    """So many of some rows."""
    found = np.zeros(len(of), np.bool_)
    found[choice.choice(np.flatnonzero(of), count, replace=False)] = True
    return found


def _flag(choice: np.random.Generator, rows: int, *bad: Flags) -> Flags:
    share = np.full(rows, PLAIN)
    for each in bad:
        share = 1 - (1 - share) * (1 - np.where(each, PLANTED - PLAIN, 0))
    return choice.random(rows) < share


def _planted(choice: np.random.Generator, rows: int, part: float = 0.05) -> Flags:
    return _some(choice, np.ones(rows, np.bool_), round(rows * part))


def _shuffled(choice: np.random.Generator, flagged: Flags, some: list[Candidate], *named: str) -> Trial:
    some += background(choice, len(flagged))
    order = choice.permutation(len(some))
    return Trial(flagged, [some[at] for at in order], frozenset(named))


def alone(seed: int, rows: int = ROWS) -> Trial:
    """A bad source."""
    choice = np.random.default_rng(seed)
    bad = _planted(choice, rows)
    some = [Candidate(CauseKind.SOURCE, "bad", NumberedRows(np.flatnonzero(bad)))]
    return _shuffled(choice, _flag(choice, rows, bad), some, "source bad")


def decoy(seed: int, rows: int = ROWS) -> Trial:
    """A bad batch, and a source of the same size that shares 80% of its rows."""
    choice = np.random.default_rng(seed)
    bad = _planted(choice, rows)
    size = int(bad.sum())
    other = _some(choice, bad, round(0.8 * size)) | _some(choice, ~bad, round(0.2 * size))
    some = [
        Candidate(CauseKind.SOURCE, "decoy", MaskedRows(other)),
        Candidate(CauseKind.BATCH, "bad", MaskedRows(bad)),
    ]
    return _shuffled(choice, _flag(choice, rows, bad), some, "batch bad")


def enclosed(seed: int, rows: int = ROWS) -> Trial:
    """A bad value of a column, all inside a source three times as large."""
    choice = np.random.default_rng(seed)
    bad = _planted(choice, rows)
    around = bad | _some(choice, ~bad, 2 * int(bad.sum()))
    some = [
        Candidate(CauseKind.SOURCE, "around", MaskedRows(around)),
        Candidate(CauseKind.COLUMN, "bad", NumberedRows(np.flatnonzero(bad))),
    ]
    return _shuffled(choice, _flag(choice, rows, bad), some, "column bad")


def two(seed: int, rows: int = ROWS) -> Trial:
    """Two bad ones at once, inside one source."""
    choice = np.random.default_rng(seed)
    one, other = _planted(choice, rows), _planted(choice, rows)
    around = one | other | _planted(choice, rows)
    some = [
        Candidate(CauseKind.SOURCE, "around", MaskedRows(around)),
        Candidate(CauseKind.BATCH, "one", MaskedRows(one)),
        Candidate(CauseKind.ANNOTATOR, "other", MaskedRows(other)),
    ]
    return _shuffled(choice, _flag(choice, rows, one, other), some, "batch one", "annotator other")


def confounded(seed: int, rows: int = ROWS) -> Trial:
    """A bad batch, 70% of which one annotator labelled, who did as much elsewhere."""
    choice = np.random.default_rng(seed)
    bad = _planted(choice, rows)
    labels = round(0.7 * int(bad.sum()))
    annotator = _some(choice, bad, labels) | _some(choice, ~bad, labels)
    some = [
        Candidate(CauseKind.ANNOTATOR, "confounded", MaskedRows(annotator)),
        Candidate(CauseKind.BATCH, "bad", MaskedRows(bad)),
    ]
    return _shuffled(choice, _flag(choice, rows, bad), some, "batch bad")


def none(seed: int, rows: int = ROWS) -> Trial:
    """Nothing planted: bad rows are strewn at random."""
    choice = np.random.default_rng(seed)
    return _shuffled(choice, _flag(choice, rows), [])


PLANTED_TRIALS: dict[str, Callable[[int, int], Trial]] = {
    "planted alone": alone,
    "with a decoy that shares 80% of its rows": decoy,
    "inside an enclosing source": enclosed,
    "two causes at once": two,
    "with a confounded annotator": confounded,
}


def small_trial(flagged: int = 12, rows: int = 200) -> Trial:
    """Too few rows for an answer."""
    choice = np.random.default_rng(1)
    return _shuffled(choice, _some(choice, np.ones(rows, np.bool_), flagged), [])


if __name__ == "__main__":
    for name, made in PLANTED_TRIALS.items():
        outcomes = [made(seed, ROWS).named() for seed in range(100)]
        print(f"{name}: named {sum(each[0] for each in outcomes)}, alone {sum(each[1] for each in outcomes)}")
    print("none planted:", sum(not none(seed).named()[1] for seed in range(1000)), "of 1000 name one")
    print(small_trial().ranking().too_few)
