"""The part of docs/benchmarks.md about repairs and their proof, as tables of text."""

from collections.abc import Iterator, Sequence

from benchmarks.results import SpecialResult
from benchmarks.verdict import seconds

Rows = list[tuple[str, ...]]
TOOLS = (
    ("apply", "`dsvc repair apply`"),
    ("rerun", "`dsvc run --manual`, `dsvc rerun --stale`, `dsvc commit`"),
    ("bare", "the scripts alone"),
    ("dvc", "`dvc repro`, `git commit`"),
    ("datalad", "`datalad save`, `datalad rerun`"),
)
STEPS = (
    ("step repair", "topics set in the first table"),
    ("step clean", "clean: the affected rows"),
    ("step dedup", "dedup: all rows, since it looks at other rows too"),
    ("step label", "label: the affected rows"),
    ("step format", "format: the affected rows"),
    ("proof", "proof"),
    ("all", "all of it, with gate and commit"),
)
ABOUT_REPAIR = """\
A table of texts in JSON Lines is cleaned, rid of duplicates, labelled and formatted, by scripts in plain
Python; all but the second are recorded with `--rowwise`. Feedback flags rows of the last table, strewn over
all of it; they get another topic in the first one. The others do all steps again after the same edit by hand.
All five tables are compared with what the scripts alone make. *rows* are those that commands computed."""
ABOUT_STEPS = """\
Each step with storing, following rows and recording. The removal of duplicates is done again on all rows, and
takes at least as long as its script: that bounds how much faster a repair can be."""
ABOUT_PROOF = """\
All five tables are compared row by row with the version before, and the row maps and accounts of the four new
runs checked. The row indexes are there: those that were made when the tables were."""


def repair_sections(result: SpecialResult) -> Iterator[tuple[str, str, Sequence[str], Rows]]:
    """Title, text, head and rows of each table."""
    yield (
        _title(result),
        ABOUT_REPAIR,
        (
            "",
            "time",
            "times `repair apply`",
            "processor time",
            "times",
            "rows",
            "same in bytes",
        ),
        list(_tools(result)),
    )
    yield "Where the time of a repair goes", ABOUT_STEPS, ("", "time"), list(_steps(result))
    yield "Proof of a repair", ABOUT_PROOF, ("", "time"), list(_proofs(result))


def _title(result: SpecialResult) -> str:
    rows, flagged = (result.value(f"repair {each}") for each in ("rows", "flagged"))
    if rows is None or flagged is None:
        return "A repair"
    return f"A repair of {flagged:,.0f} of {rows:,.0f} rows"


def _tools(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    own = result.value("repair apply")
    for name, shown in TOOLS:
        taken = result.value(f"repair {name}")
        if taken is None or own is None:
            continue
        rows = result.value(f"repair rows recomputed: {name}")
        same = result.value(f"repair tables same: {name}, bytes")
        compared = result.value("repair tables compared")
        used, own_used = (result.value(f"repair {each}, processor") for each in (name, "apply"))
        yield (
            shown,
            seconds(taken),
            f"{taken / own:.1f}",
            "–" if used is None else seconds(used),
            "–" if used is None or not own_used else f"{used / own_used:.1f}",
            "–" if rows is None else f"{rows:,.0f}",
            "–" if same is None or compared is None else f"{same:.0f} of {compared:.0f}",
        )
    planned = result.value("repair plan")
    if planned is not None:
        yield "`dsvc repair plan`, before it", seconds(planned), *"–––––"


def _steps(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    for name, shown in STEPS:
        taken = result.value("proof within apply" if name == "proof" else f"proof apply {name}")
        if taken is not None:
            yield shown, seconds(taken)


def _proofs(result: SpecialResult) -> Iterator[tuple[str, ...]]:
    for name, shown in (
        ("within apply", "within `repair apply`"),
        ("call, first", "alone, in a process that has read nothing"),
        ("call", "alone, again"),
    ):
        taken = result.value(f"proof {name}")
        if taken is not None:
            yield shown, seconds(taken)
