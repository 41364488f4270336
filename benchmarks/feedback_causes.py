"""Ranking causes: how long it takes, and whether it names what was planted.

`python -m benchmarks feedback --part causes`. A million evaluated rows, 10,000 of them flagged, against 200
candidates: the values of eight columns, and sources and runs as masks and as numbers of rows; two of them are
bad. The trials are those of `feedback_trials`.
"""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.feedback_trials import PLANTED_TRIALS, ROWS, none, small_trial
from benchmarks.results import Reading
from dsvc.feedback.candidate_rows import CodedRows, Codes, MaskedRows, NumberedRows
from dsvc.feedback.causes import Candidate, rank
from dsvc.model.defect import CauseKind

EVALUATED, FLAGGED = 1_000_000, 10_000
COLUMNS, VALUES, MASKS, NUMBERED = 8, 20, 20, 20
TRIALS, TRIALS_OF_NONE = 100, 1_000


def evaluation(rows: int, flagged: int) -> tuple[NDArray[np.bool_], list[Candidate]]:
    """Rows with 200 candidates; a value of a column and a source are bad."""
    choice = np.random.default_rng(6)
    columns = [choice.integers(0, VALUES, rows).astype(np.int32) for _ in range(COLUMNS)]
    masks = [choice.random(rows) < 0.1 for _ in range(MASKS)]
    numbered = [np.flatnonzero(choice.random(rows) < 0.1) for _ in range(NUMBERED)]
    weight = np.where(columns[0] == 3, 5.0, 1.0) * np.where(masks[0], 3.0, 1.0)
    # Those that come up first where each row's time is as short as its weight is large: exactly so many.
    bad = np.argpartition(choice.exponential(size=rows) / weight, flagged)[:flagged]
    mask = np.zeros(rows, np.bool_)
    mask[bad] = True
    candidates = []
    for number, column in enumerate(columns):
        codes = Codes(column)
        candidates += [
            Candidate(CauseKind.COLUMN, f"{number}={value}", CodedRows(codes, value))
            for value in range(VALUES)
        ]
    candidates += [Candidate(CauseKind.SOURCE, f"s{n}", MaskedRows(each)) for n, each in enumerate(masks)]
    candidates += [Candidate(CauseKind.RUN, f"r{n}", NumberedRows(each)) for n, each in enumerate(numbered)]
    return mask, candidates


def measure_causes(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Time and memory of a large ranking, then the trials."""
    rows, bad = max(round(EVALUATED * scale), 10_000), max(round(FLAGGED * scale), 100)
    flagged, candidates = evaluation(rows, bad)
    taken = []
    for _ in range(rounds):
        begun = perf_counter()
        ranking = rank(rows, flagged, candidates)
        taken.append(perf_counter() - begun)
    named = {f"{each.kind.value} {each.id}" for each in ranking.causes if each.is_cause}
    assert named == {"column 0=3", "source s0"}, named
    tracemalloc.start()
    rank(rows, flagged, candidates)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    yield Reading(name="causes rows", value=rows, unit="count")
    yield Reading(name="causes flagged", value=bad, unit="count")
    yield Reading(name="causes candidates", value=len(candidates), unit="count")
    yield Reading(name="causes ranking", value=median(taken), unit="s")
    yield Reading(name="causes ranking, memory", value=peak, unit="bytes")
    yield from _trials(scale)


def _trials(scale: float) -> Iterator[Reading]:
    count, of_none = max(round(TRIALS * scale), 10), max(round(TRIALS_OF_NONE * scale), 10)
    yield Reading(name="causes trials", value=count, unit="count")
    for name, planted in PLANTED_TRIALS.items():
        outcomes = [planted(seed, ROWS).named() for seed in range(count)]
        yield Reading(name=f"causes named: {name}", value=sum(each for each, _ in outcomes), unit="count")
        yield Reading(
            name=f"causes named alone: {name}", value=sum(each for _, each in outcomes), unit="count"
        )
    wrong = sum(not none(seed).named()[1] for seed in range(of_none))
    yield Reading(name="causes trials, none planted", value=of_none, unit="count")
    yield Reading(name="causes named: none planted", value=wrong, unit="count")
    too_few = small_trial().ranking().too_few is not None
    yield Reading(name="causes too few: 12 of 200", value=float(too_few), unit="count")
