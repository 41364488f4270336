"""The part of docs/benchmarks.md about feedback and repair, as tables of text."""

from collections.abc import Iterator, Sequence

from benchmarks.feedback_repair_report import repair_sections
from benchmarks.feedback_trials import PLANTED_TRIALS
from benchmarks.results import SpecialResult
from benchmarks.verdict import mebibytes, seconds

Rows = list[tuple[str, ...]]
ABOUT_CAUSES = """\
The values of eight columns, and sources and runs as masks and as numbers of rows; two candidates are bad. The
rows are counted, tested, and told apart by stratified retests."""
ABOUT_TRIALS = """\
20,000 rows in each trial, 95 candidates that cause nothing, and what was planted: 5% of the rows, 15% of
which are bad, where 2% are otherwise (`benchmarks/feedback_trials.py`). Named: all that was planted is called
a cause. Alone: and nothing else is."""


def sections(result: SpecialResult) -> Iterator[tuple[str, str, Sequence[str], Rows]]:
    """Title, text, head and rows of each table."""
    yield (
        "Cause ranking",
        ABOUT_CAUSES,
        ("rows", "flagged", "candidates", "time", "memory besides them"),
        _ranking(result),
    )
    yield "Planted causes", ABOUT_TRIALS, ("", "trials", "named", "alone"), list(_trials(result))
    yield from repair_sections(result)


def _ranking(result: SpecialResult) -> Rows:
    counts = [result.value(f"causes {each}") for each in ("rows", "flagged", "candidates")]
    taken, peak = result.value("causes ranking"), result.value("causes ranking, memory")
    if taken is None or peak is None:
        return []
    return [(*("–" if each is None else f"{each:,.0f}" for each in counts), seconds(taken), mebibytes(peak))]


def _trials(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    trials = result.value("causes trials")
    for name in PLANTED_TRIALS:
        found = [result.value(f"causes {what}: {name}") for what in ("named", "named alone")]
        if trials is not None and None not in found:
            yield name, f"{trials:.0f}", *(f"{each:.0f}" for each in found if each is not None)
    trials, named = (
        result.value(f"causes {each}") for each in ("trials, none planted", "named: none planted")
    )
    if trials is not None and named is not None:
        yield "none planted", f"{trials:,.0f}", f"{named:.0f}", "–"
