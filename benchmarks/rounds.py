"""A workload in rounds: in each, every tool goes once through all of the steps, in an order that turns.

The steps, each a whole process (or several, one after the other): init; add and commit of version 1; add and
commit of version 2; add and status with nothing changed; checkout of version 1; full restore of version 1
with nothing left but the store. What came back is compared with version 1, byte for byte, in the first round.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import NOTHING, StepFailed
from benchmarks.peers.driver import Commands, Driver
from benchmarks.results import Run, Size, Step, WorkloadResult, now, this_machine
from benchmarks.site import Site, copy_over, differing, tree_size

# So that no tool has to distrust a time stamp: nobody edits within a second of the add.
SETTLE_S = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured, and where."""

    workload: str
    tools: Sequence[Driver]
    rounds: int
    scale: float
    folder: Path
    medium: str


class Wrong(Exception):
    """A tool brought back other bytes than it was given."""


class Passage:
    """One tool on its way through the steps of one round."""

    def __init__(
        self, tool: Driver, site: Site, master: Path, number: int, *, keep_master: bool = True
    ) -> None:
        self._keep_master = keep_master
        self._tool = tool
        self._site = site
        self._master = master
        self._environment = {**site.environment(), **tool.environment(site)}
        self.run = Run(tool=tool.name, version=tool.version() or "?", round=number, at=now())

    def go(self) -> Run:
        """All of the steps; a step that fails is noted in the run and ends it."""
        try:
            self._commits()
            self._readings()
        except (StepFailed, Wrong) as error:
            self.run.problem = str(error)
        return self.run

    def _commits(self) -> None:
        self._site.create()
        self._tool.configure(self._site)
        self._step("init", self._tool.init(self._site))
        for number, suffix in ((1, ""), (2, "_2")):
            self._place(self._master / f"v{number}")
            time.sleep(SETTLE_S)
            self._step(f"add{suffix}", self._tool.add(self._site))
            self._step(f"commit{suffix}", self._tool.commit(self._site, number))
            self._execute(self._tool.committed(self._site, number))
            size, allocated = tree_size(*self._tool.stores(self._site))
            self.run.sizes[f"commit_{number}"] = Size(bytes=size, allocated_bytes=allocated)

    def _place(self, source: Path) -> None:
        """Put the files of a version into the tree; without a master to keep, the first is moved there."""
        if self._keep_master or self._site.data.exists():
            copy_over(source, self._site.data)
        else:
            source.rename(self._site.data)

    def _readings(self) -> None:
        self._step("add_unchanged", self._tool.add_unchanged(self._site))
        self._step("status_unchanged", self._tool.status(self._site))
        if self._step("checkout", self._tool.checkout_first(self._site)):
            self._verify(self._site.data)
        shutil.rmtree(self._site.data)
        self._step("restore", self._tool.restore(self._site))
        self._verify(self._tool.restored_data(self._site))

    def _step(self, name: str, commands: Commands | None) -> bool:
        if commands is None:
            return False
        self.run.steps[name] = Step.of(self._execute(commands))
        return True

    def _execute(self, commands: Commands) -> measure.Measurement:
        total = NOTHING
        for argv in commands:
            total = total.then(
                measure.run(argv, cwd=self._site.tree, env=self._environment, log=self._site.log)
            )
        return total

    def _verify(self, found: Path) -> None:
        if self.run.round > 1 or not self._keep_master:
            return
        difference = differing(self._master / "v1", found)
        if difference is not None:
            raise Wrong(f"version 1 did not come back: {difference}")


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """A folder of our own below `folder`, gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix="dsvc-bench-", dir=folder))
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def generate(workload: str, folder: Path, scale: float) -> None:
    """Write the data, in a process of its own: its memory must not count in ours, nor in a child's."""
    command = [sys.executable, "-m", "benchmarks.workloads", workload, str(folder), "--scale", str(scale)]
    subprocess.run(command, check=True, cwd=Path(__file__).resolve().parent.parent)


def measure_workload(plan: Plan) -> WorkloadResult:
    """Run the plan and tell on standard error how it goes."""
    result: WorkloadResult
    with workspace(plan.folder) as own:
        master = own / "master"
        say(f"{plan.workload}: writing the data")
        generate(plan.workload, master, plan.scale)
        result = WorkloadResult(
            workload=plan.workload,
            medium=plan.medium,
            scale=plan.scale,
            data_bytes=tree_size(master / "v1")[0],
            machine=this_machine(),
            runs=[],
        )
        for number in range(1, plan.rounds + 1):
            turn = (number - 1) % len(plan.tools)
            for tool in [*plan.tools[turn:], *plan.tools[:turn]]:
                result.runs.append(_passage(tool, own / tool.name, master, number, plan))
    return result


def _passage(tool: Driver, folder: Path, master: Path, number: int, plan: Plan) -> Run:
    if plan.medium == "disk":
        os.sync()
    site = Site(folder)
    try:
        run = Passage(tool, site, master, number).go()
    finally:
        site.remove()
    steps = "  ".join(f"{name} {step.wall_s:.2f}" for name, step in run.steps.items())
    sizes = "  ".join(f"{size.bytes / 1e6:.1f} MB" for size in run.sizes.values())
    say(f"{plan.workload} {number}/{plan.rounds} {tool.name}: {steps}  {sizes}")
    if run.problem is not None:
        say(f"{plan.workload} {number}/{plan.rounds} {tool.name}: FAILED: {run.problem}")
    return run


def say(line: str) -> None:
    """Tell how it goes."""
    print(line, file=sys.stderr, flush=True)
