"""What a run leaves behind: one JSON file for each workload and medium, or for each special measurement."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.measure import Measurement

RESULTS = Path(__file__).with_name("results")
FIRST = ("add", "commit")
SECOND = ("add_2", "commit_2")


class Machine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where it was measured."""

    processor: str
    cores: int
    memory_bytes: int
    system: str
    python: str


class Step(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One step of one round."""

    wall_s: float
    cpu_s: float
    peak_bytes: int

    @classmethod
    def of(cls, measured: Measurement) -> "Step":
        """The numbers as they are stored."""
        return cls(
            wall_s=round(measured.wall_s, 4), cpu_s=round(measured.cpu_s, 4), peak_bytes=measured.peak_bytes
        )


class Size(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The store after a commit: the sum of its files' sizes, and the space they take."""

    bytes: int
    allocated_bytes: int


class Run(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One tool in one round."""

    tool: str
    version: str
    round: int
    at: str
    steps: dict[str, Step] = {}
    sizes: dict[str, Size] = {}
    problem: str | None = None


class WorkloadResult(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One workload on one medium."""

    workload: str
    medium: str
    scale: float
    data_bytes: int
    machine: Machine
    runs: list[Run]

    def tools(self) -> list[str]:
        """The measured tools that had no problem, in the order of the first round."""
        failed = {run.tool for run in self.runs if run.problem is not None}
        return list(dict.fromkeys(run.tool for run in self.runs if run.tool not in failed))

    def rounds(self, tool: str) -> int:
        """How many rounds there are of a tool."""
        return sum(run.tool == tool for run in self.runs)

    def seconds(self, tool: str, *steps: str) -> float | None:
        """Median over the rounds of the sum of the steps; a step that the tool has not takes no time.

        None where it has none of them.
        """
        sums = [
            sum(run.steps[step].wall_s for step in steps if step in run.steps)
            for run in self.runs
            if run.tool == tool and any(step in run.steps for step in steps)
        ]
        return median(sums) if sums else None

    def peak_bytes(self, tool: str, *steps: str) -> int | None:
        """Median over the rounds of the largest peak of the steps (all steps where none is named)."""
        peaks = [
            max(run.steps[step].peak_bytes for step in steps or run.steps if step in run.steps)
            for run in self.runs
            if run.tool == tool and any(step in run.steps for step in steps or run.steps)
        ]
        return int(median(peaks)) if peaks else None

    def size_bytes(self, tool: str, commit: str) -> int | None:
        """Median size of the store after `commit_1` or `commit_2`."""
        sizes = [run.sizes[commit].bytes for run in self.runs if run.tool == tool and commit in run.sizes]
        return int(median(sizes)) if sizes else None


class Reading(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One number of a special measurement, with its unit (`s`, `bytes`, `x`, `count`)."""

    name: str
    value: float
    unit: str


class SpecialResult(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Memory, a million files, start-up or costs: dsvc alone.

    `figures` are those of docs/reliability.md that were measured, by name and by size of the tests.
    """

    kind: str
    version: str
    at: str
    machine: Machine
    settings: dict[str, str]
    readings: list[Reading]
    figures: dict[str, dict[str, str]] = {}

    @classmethod
    def nothing(cls, kind: str) -> "SpecialResult":
        """A result of nothing that was measured."""
        return cls(kind=kind, version="?", at="", machine=this_machine(), settings={}, readings=[])

    def value(self, name: str) -> float | None:
        """The reading of that name, or None."""
        return next((reading.value for reading in self.readings if reading.name == name), None)


def now() -> str:
    """The time, RFC 3339 with Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def this_machine() -> Machine:
    """What this process runs on."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def workload_file(folder: Path, workload: str, medium: str) -> Path:
    """Where the result of a workload is stored."""
    return folder / (f"{workload}.json" if medium == "tmpfs" else f"{workload}-{medium}.json")


def save(path: Path, result: WorkloadResult | SpecialResult) -> None:
    """Write a result, to be read by people too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")


def load_workload(path: Path) -> WorkloadResult | None:
    """The stored result of a workload, or None where there is none."""
    return msgspec.json.decode(path.read_bytes(), type=WorkloadResult) if path.exists() else None


def load_special(folder: Path, kind: str) -> SpecialResult | None:
    """The stored result of a special measurement, or None where there is none."""
    path = folder / f"{kind}.json"
    return msgspec.json.decode(path.read_bytes(), type=SpecialResult) if path.exists() else None


def merged(stored: SpecialResult | None, measured: SpecialResult, parts: Sequence[str]) -> SpecialResult:
    """What was measured now, with what is stored of other parts; names of readings begin with their part."""
    if stored is None:
        return measured
    again = {_part_of(each) for each in measured.readings}
    kept = [each for each in stored.readings if _part_of(each) not in again]
    measured.readings = sorted([*kept, *measured.readings], key=lambda each: parts.index(_part_of(each)))
    measured.settings = dict(sorted({**stored.settings, **measured.settings}.items()))
    return measured


def _part_of(reading: Reading) -> str:
    return reading.name.partition(" ")[0]
