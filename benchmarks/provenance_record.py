"""What `dsvc run` adds to a command: time beside that of `add`, and bytes for the row map.

The step runs alone, then recorded in a repository that has its inputs in a commit. In a second one, as it was
before, the output is put beside them and added. What recording adds is the time of `run` less that of the
step and that of `add`; what it stores is what the repository has grown by, less what `add` has it grow by.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.measure import StepFailed
from benchmarks.provenance_peers import write_data
from benchmarks.provenance_pipeline import SCRIPTS
from benchmarks.results import Reading
from benchmarks.rounds import SETTLE_S, workspace
from benchmarks.site import copy_over, tree_size
from benchmarks.tables_site import Medians, TableSite

KEPT_FOLDERS = ("packs", "git", "work")
OUTPUT = "data/out.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One step on one set of files."""

    name: str
    rows: int
    script: str
    inputs: Sequence[str]
    keys: Sequence[str]


CASES = (
    Case(name="filter", rows=2_000_000, script="parquet_filter.py", inputs=("data/t.parquet",), keys=("id",)),
    Case(
        name="join",
        rows=1_000_000,
        script="parquet_join.py",
        inputs=("data/orders.parquet", "data/users.parquet"),
        keys=("data/orders.parquet:id", "data/users.parquet:user", f"{OUTPUT}:id"),
    ),
)


class _Recorded:
    """One case, in rounds."""

    def __init__(self, case: Case, own: Path) -> None:
        self._case = case
        self._own = own
        self._added: list[float] = []
        self.medians = Medians(case.name)

    def prepare(self, scale: float) -> None:
        """Write the inputs."""
        self._rows = max(1_000, round(self._case.rows * scale))
        write_data(self._own / "master", self._case.name, self._rows)

    def round(self) -> None:
        """The step alone, recorded, and its output added where nobody recorded it."""
        recorded, plain = (self._site(name) for name in ("recorded", "plain"))
        elsewhere = recorded.empty / "out.parquet"
        bare = recorded.run(self._command(str(elsewhere)))
        before = _kept(recorded)
        keys = [word for key in self._case.keys for word in ("--key", key)]
        inputs = [word for path in self._case.inputs for word in ("-i", path)]
        words = ("run", "--json", "--name", "step", *inputs, "-o", OUTPUT, *keys)
        run = recorded.dsvc(*words, "--", *self._command(OUTPUT))
        self._check(recorded)
        grown = _kept(recorded) - before
        time.sleep(SETTLE_S)
        add_after = recorded.dsvc("add", "-A")
        again = recorded.dsvc("add", "-A")
        shutil.copy(elsewhere, plain.data)
        time.sleep(SETTLE_S)
        before = _kept(plain)
        add = plain.dsvc("add", "-A")
        grown -= _kept(plain) - before
        self._added.append(run.wall_s - bare.wall_s - add.wall_s)
        steps = {"bare": bare, "run": run, "add": add, "add_after": add_after, "add_again": again}
        for name, measured in steps.items():
            self.medians.took(name, measured)
        self.medians.value("stored", grown, "bytes")
        for site in (recorded, plain):
            site.remove()

    def _site(self, name: str) -> TableSite:
        site = TableSite(self._own / name)
        site.start()
        copy_over(SCRIPTS, site.tree / "steps")
        site.commit(self._own / "master")
        return site

    def _command(self, output: str) -> list[str]:
        return [sys.executable, f"steps/{self._case.script}", *self._case.inputs, output]

    def _check(self, site: TableSite) -> None:
        """The run is complete, by key, and its fates add up."""
        run = site.printed()
        rows = sum(each["in"] for each in run["inputs"])
        fates = sum(count for fate, count in run["rows"].items() if fate != "added")
        if not run["complete"] or run["capture"] != "key" or fates != rows or run["rows"]["added"]:
            raise StepFailed(f"{self._case.name}: the run is not what it must be: {run}")

    def readings(self) -> list[Reading]:
        """All medians, and what recording added."""
        self.medians.calls("added", [median(self._added)])
        self.medians.value("rows", self._rows, "count")
        return self.medians.readings()


def _kept(site: TableSite) -> int:
    """Bytes of a repository without its caches."""
    return tree_size(*(site.tree / ".dsvc" / name for name in KEPT_FOLDERS))[0]


def measure_recording(folder: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Both cases."""
    for case in CASES:
        with workspace(folder) as own:
            recorded = _Recorded(case, own)
            recorded.prepare(scale)
            for _ in range(rounds):
                recorded.round()
            yield from recorded.readings()
