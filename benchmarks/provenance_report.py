"""The part of docs/benchmarks.md about provenance, as tables of text."""

from collections.abc import Iterator, Sequence

from benchmarks.provenance_judge import overhead
from benchmarks.results import SpecialResult
from benchmarks.verdict import mebibytes, megabytes, seconds

Rows = list[tuple[str, ...]]
RECORDED = (
    ("bare", "the step alone"),
    ("run", "`dsvc run` of it"),
    ("add", "`dsvc add` of its output, where nobody recorded it"),
    ("added", "added by recording, beyond both"),
    ("add_after", "`dsvc add` after the run"),
    ("add_again", "`dsvc add` with nothing to do"),
    ("stored", "stored beyond what add stores"),
    ("rows", "rows of the first input"),
)
TOOLS = (
    ("bare", "nobody"),
    ("dsvc", "dsvc"),
    ("dsvc-each", "dsvc, a commit after each step"),
    ("datalad", "DataLad (commits each step)"),
    ("dvc", "DVC"),
)
PHASES = (("run", "run"), ("commit", "commit"), ("rerun", "run again"), ("refresh", "input changed"))
ASKED = (
    ("trace_first", "trace of a row, no row index, no graph"),
    ("trace_again", "trace of a row"),
    ("trace_call", "the call alone"),
    ("trace_file_again", "trace of the file"),
    ("impact_first", "impact of a source, no graph"),
    ("impact_again", "impact of a source"),
    ("impact_call", "the call alone"),
    ("forget_impact", "impact of the subjects that leave"),
)
ABOUT_RECORDING = """\
*filter*: 2 M rows in five columns, Parquet, seven in ten stay, by key. *join*: 1 M orders with their users,
in no order: 2 M links. No row index is there before."""
ABOUT_PIPELINE = """\
Filter, map and join of 10,000 rows of CSV by small scripts in Python; in brackets what is added to the
scripts alone. *commit* is `dsvc add` and `dsvc commit`, or `git commit`. The input changes by one row, and
all three steps are made anew (`dsvc rerun --stale`; `datalad save` and `datalad rerun`; `dvc repro`)."""
ABOUT_QUESTIONS = """\
*trace*: a row of the last of ten tables, made of each other by runs, in 100 commits. *impact*: 1,000 tables,
each made of one or two others by a run with a row map; the runs are written into the store by the Python
modules, not by `dsvc run`. *forget*: four steps with a join and an aggregate."""


def sections(result: SpecialResult) -> Iterator[tuple[str, str, Sequence[str], Rows]]:
    """Title, text, head and rows of each table."""
    cases = ("filter", "join")
    rows = [(text, *(_cell(result, f"{case}_{name}") for case in cases)) for name, text in RECORDED]
    yield "Recording a step", ABOUT_RECORDING, ("", *cases), rows
    rows = [(text, *(_phase(result, tool, phase) for phase, _ in PHASES)) for tool, text in TOOLS]
    yield "Recording a pipeline", ABOUT_PIPELINE, ("recorded by", *(text for _, text in PHASES)), rows
    rows = [(text, _cell(result, name)) for name, text in ASKED]
    counts = ("impact_artifacts", "impact_rows", "forget_subjects", "forget_rows")
    rows += [(name.replace("_", ": "), _cell(result, name)) for name in counts]
    yield "Questions", ABOUT_QUESTIONS, ("", ""), rows


def _cell(result: SpecialResult, name: str) -> str:
    reading = next((reading for reading in result.readings if reading.name == name), None)
    if reading is None:
        return "–"
    if reading.unit != "s":
        return megabytes(reading.value) if reading.unit == "bytes" else f"{reading.value:,.0f}"
    peak = result.value(f"{name}_peak")
    return seconds(reading.value) + ("" if peak is None else f", {mebibytes(peak)}")


def _phase(result: SpecialResult, tool: str, phase: str) -> str:
    taken = result.value(f"pipeline_{tool}_{phase}")
    if not taken:
        return "–"
    added = overhead(result, tool, phase)
    return seconds(taken) if added is None or tool == "bare" else f"{seconds(taken)} (+{seconds(added)})"
