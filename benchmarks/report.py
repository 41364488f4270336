"""docs/benchmarks.md and docs/benchmarks.svg from the stored results; what is outside the markers is kept."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import feedback_report, policy_report, provenance_report, reliability_report, tables_report
from benchmarks.chart import Bar, Panel, draw
from benchmarks.judge import SUBJECT, judge_all
from benchmarks.results import (
    FIRST,
    SECOND,
    Reading,
    SpecialResult,
    WorkloadResult,
    load_special,
    load_workload,
    workload_file,
)
from benchmarks.verdict import TOLERANCE, Verdict, mebibytes, megabytes, percent, seconds
from benchmarks.workloads import WORKLOADS

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN = "<!-- made by `python -m benchmarks report`: begin -->"
END = "<!-- made by `python -m benchmarks report`: end -->"
TITLES = {
    "memory": "Memory with very large files",
    "million": "A million files",
    "startup": "Start-up",
    "cost": "What BLAKE3 and durability cost",
    "parquet_normalize": "Versions of a Parquet file, rewritten or not",
    "blame": "Who changed a row",
    "tables": "Tables",
    "provenance": "Provenance",
    "policy": "Policy",
    "feedback": "Feedback and repair",
    "reliability": "Reliability",
}
# Measurements that have several tables of their own.
SECTIONS = {
    "tables": tables_report.sections,
    "provenance": provenance_report.sections,
    "policy": policy_report.sections,
    "feedback": feedback_report.sections,
    "reliability": reliability_report.sections,
}
COLUMNS: tuple[tuple[str, Sequence[str]], ...] = (
    ("init", ("init",)),
    ("add", ("add",)),
    ("commit", ("commit",)),
    ("first commit", FIRST),
    ("second commit", SECOND),
    ("add, nothing changed", ("add_unchanged",)),
    ("status, nothing changed", ("status_unchanged",)),
    ("checkout", ("checkout",)),
    ("full restore", ("restore",)),
)
CHARTED = ("first commit", "second commit", "status, nothing changed", "checkout", "full restore")
METHOD = """\
```console
$ benchmarks/install_peers.sh && make bench
```

Each step is a whole process; the tools take turns in each round; a figure is the median of the rounds, in
brackets how many times dsvc's it is. Data and stores are on tmpfs. Memory is the peak of the process tree,
sampled in `/proc` every 10 ms (PSS where there are several processes), and at least the kernel's high-water
mark of the largest process; below some 25 MiB it is that of the harness, from which processes are forked.
restic and borg have no `add`, no `status` and no checkout in place: their first commit is one backup, their
restore goes into an empty folder. git runs without automatic collection. `oxen` is its Python package as
documented, `oxen-bare` only the compiled module in it, without the import of the rest: shown, not judged.
What each tool brought back was compared byte for byte.
"""
OPENING = "# Benchmarks\n\nNotes may be written above and below the generated part.\n\n"


def write_report(results: Path, docs: Path = DOCS) -> None:
    """Write the page between its markers, and the chart."""
    workloads = _load(results, "tmpfs")
    specials = {kind: load_special(results, kind) for kind in TITLES}
    parts = [_method(workloads), "![Times and sizes of each tool](benchmarks.svg)\n"]
    parts += [_verdicts(judge_all(workloads, specials))]
    parts += [_workload(result) for result in workloads.values()]
    disk = _load(results, "disk")
    if disk:
        parts.append("## On disk, with fsync\n\nReported, not judged.\n")
        parts += [_workload(result) for result in disk.values()]
    parts += [_special(result) for result in specials.values() if result is not None]
    page = docs / "benchmarks.md"
    page.write_text(_between_markers(page.read_text() if page.exists() else OPENING, "\n".join(parts)))
    (docs / "benchmarks.svg").write_text(_chart(workloads))


def _load(results: Path, medium: str) -> dict[str, WorkloadResult]:
    loaded = {name: load_workload(workload_file(results, name, medium)) for name in WORKLOADS}
    return {name: result for name, result in loaded.items() if result is not None}


def _between_markers(page: str, generated: str) -> str:
    before, begin, rest = page.partition(BEGIN)
    after = rest.partition(END)[2] if begin else "\n"
    return f"{before}{BEGIN}\n\n{generated}\n{END}{after}"


def _method(workloads: dict[str, WorkloadResult]) -> str:
    first = next(iter(workloads.values()), None)
    if first is None:
        return METHOD
    machine = first.machine
    place = (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, "
        f"{machine.system}, Python {machine.python}"
    )
    return f"{METHOD}\nMachine: {place}. Tools: {_versions(workloads.values())}.\n"


def _versions(results: Iterable[WorkloadResult]) -> str:
    found = {run.tool: run.version for result in results for run in result.runs}
    return ", ".join(f"{tool} {version}" for tool, version in found.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    marks = {True: "met", False: "**missed**", None: "–"}
    met, missed, open_ = (sum(verdict.met is value for verdict in verdicts) for value in (True, False, None))
    head = ("figure", "must reach", "measured", "")
    rows = [(v.figure, v.bound, v.measured, marks[v.met]) for v in verdicts]
    score = f"{met} met, {missed} missed, {open_} not measured"
    tolerance = f"Times have a tolerance of {percent(TOLERANCE - 1)} for noise, sizes and memory none."
    return f"## What must be reached, and what was\n\n{score}. {tolerance}\n\n{_table(head, rows)}"


def _workload(result: WorkloadResult) -> str:
    about = WORKLOADS[result.workload].about
    scale = "" if result.scale == 1 else f" At {result.scale:g} of the full size."
    rounds = ", ".join(f"{tool} {result.rounds(tool)}" for tool in result.tools())
    head = ["tool", *(name for name, _ in COLUMNS), "size after 1", "size after 2", "peak memory"]
    rows = [_row(result, tool) for tool in result.tools()]
    failed = [f"{run.tool} failed: {run.problem.splitlines()[0]}\n" for run in result.runs if run.problem]
    title = (
        f"### {result.workload}" if result.medium == "tmpfs" else f"### {result.workload}, {result.medium}"
    )
    when = max((run.at for run in result.runs), default="")
    about = f"{about[0].upper()}{about[1:]}; {megabytes(result.data_bytes)}.{scale}"
    return "\n".join(
        [f"{title}\n", f"{about} Rounds: {rounds} (until {when}).\n", _table(head, rows), *failed]
    )


def _row(result: WorkloadResult, tool: str) -> list[str]:
    cells = [tool]
    for name, steps in COLUMNS:
        needed = name in {"add", "commit"}
        taken = result.seconds(tool, *steps)
        own = result.seconds(SUBJECT, *steps)
        if taken is None or (needed and result.seconds(tool, "add") is None):
            cells.append("–")
        else:
            cells.append(_compared(seconds(taken), taken, own, tool))
    for commit in ("commit_1", "commit_2"):
        size = result.size_bytes(tool, commit)
        own_size = result.size_bytes(SUBJECT, commit)
        cells.append("–" if size is None else _compared(megabytes(size), size, own_size, tool))
    peak = result.peak_bytes(tool)
    cells.append("–" if peak is None else mebibytes(peak))
    return cells


def _compared(text: str, value: float, own: float | None, tool: str) -> str:
    if tool == SUBJECT or not own:
        return text
    ratio = value / own
    return f"{text} ({ratio:.1f}×)" if ratio < 100 else f"{text} ({ratio:.0f}×)"


def _special(result: SpecialResult) -> str:
    settings = ", ".join(f"{name}: {value}" for name, value in result.settings.items())
    head = f"## {TITLES[result.kind]}\n\nMeasured {result.at}, dsvc {result.version}; {settings}.\n"
    if result.kind in SECTIONS:
        sections = SECTIONS[result.kind](result)
        parts = (f"### {title}\n\n{text}\n\n{_table(*grid)}" for title, text, *grid in sections)
        return "\n".join([head, *parts])
    if result.kind in {"memory", "million"}:
        return f"{head}\n{_grid(result)}"
    rows = [(reading.name.replace("_", " "), _reading(reading)) for reading in result.readings]
    return f"{head}\n{_table(('reading', 'value'), rows)}"


def _grid(result: SpecialResult) -> str:
    """Readings called ROW_COLUMN, and ROW_COLUMN_peak in the same cell."""
    cells: dict[str, dict[str, list[str]]] = {}
    for reading in result.readings:
        row, _, column = reading.name.partition("_")
        column = column.removesuffix("_peak")
        cells.setdefault(column, {}).setdefault(row, []).append(_reading(reading))
    rows = list(dict.fromkeys(row for column in cells.values() for row in column))
    table = (
        (name.replace("_", " "), *(", ".join(column.get(row, ["–"])) for row in rows))
        for name, column in cells.items()
    )
    return _table(("", *rows), table)


def _reading(reading: Reading) -> str:
    if reading.unit == "s":
        return seconds(reading.value)
    if reading.unit == "bytes":
        return mebibytes(reading.value) if reading.name.endswith("peak") else megabytes(reading.value)
    if reading.unit == "share":
        return percent(reading.value)
    return f"{reading.value:.4g} {reading.unit}".removesuffix(" count")


def _chart(workloads: dict[str, WorkloadResult]) -> str:
    panels: list[list[Panel]] = []
    for name, steps in COLUMNS:
        if name in CHARTED:
            panels.append([_time_panel(result, name, steps) for result in workloads.values()])
    panels.append([_size_panel(result) for result in workloads.values()])
    return draw(panels, subject=SUBJECT)


def _time_panel(result: WorkloadResult, name: str, steps: Sequence[str]) -> Panel:
    bars = [
        Bar(label=tool, value=taken, text=seconds(taken))
        for tool in result.tools()
        if (taken := result.seconds(tool, *steps)) is not None
    ]
    return Panel(title=f"{result.workload}: {name}", bars=bars)


def _size_panel(result: WorkloadResult) -> Panel:
    bars = [
        Bar(label=tool, value=size, text=megabytes(size))
        for tool in result.tools()
        if (size := result.size_bytes(tool, "commit_2")) is not None
    ]
    return Panel(title=f"{result.workload}: store, both versions", bars=bars)
