"""A pipeline of three steps on small CSV files: recorded by dsvc, DataLad and DVC, or by nobody."""

import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import measure
from benchmarks.measure import NOTHING, Measurement
from benchmarks.peers import datalad, dvc
from benchmarks.peers.driver import Commands
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.peers.environment import package_version
from benchmarks.peers.git import IDENTITY
from benchmarks.site import Site

SCRIPTS = Path(__file__).with_name("steps")
KEYS = '[tables."*"]\nkey = ["id"]\n\n[tables."groups.csv"]\nkey = ["group"]\n'


class Stage(NamedTuple):
    """One step: what it runs, reads and writes."""

    name: str
    words: Sequence[str]
    inputs: Sequence[str]
    output: str

    @property
    def command(self) -> list[str]:
        """Its command line."""
        return [sys.executable, *self.words]


def _stage(name: str, inputs: Sequence[str], output: str, *column: str) -> Stage:
    script = f"steps/csv_{name}.py"
    return Stage(name, (script, *inputs, *column, output), inputs, output)


STAGES = (
    _stage("filter", ("data/people.csv",), "data/kept.csv"),
    _stage("map", ("data/kept.csv",), "data/tidy.csv"),
    _stage("join", ("data/tidy.csv", "data/groups.csv"), "data/joined.csv", "group"),
)


class Recorder(ABC):
    """A tool that records a pipeline; the commands of each phase.

    Attributes
    ----------
    stages : sequence of Stage
        The pipeline.
    starts : sequence of str
        The files that it starts from.
    """

    name: str
    stages: Sequence[Stage] = STAGES
    starts: Sequence[str] = ("data/people.csv", "data/groups.csv")

    def __init__(self, site: Site) -> None:
        self.site = site

    def environment(self) -> Mapping[str, str]:
        """What its processes have in their environment."""
        return self.site.environment()

    def prepare(self, data: Path) -> None:
        """Make the folders: scripts, and the files that the pipeline starts from, committed."""
        self.site.create()
        (self.site.home / ".gitconfig").write_text(IDENTITY)
        self.run(self.begin())
        shutil.copytree(SCRIPTS, self.site.tree / "steps", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(data, self.site.data)
        self.run(self.save())

    def run(self, commands: Commands) -> Measurement:
        """Run and measure commands, one after the other."""
        total = NOTHING
        for argv in commands:
            total = total.then(
                measure.run(argv, cwd=self.site.tree, env=self.environment(), log=self.site.log)
            )
        return total

    @abstractmethod
    def version(self) -> str | None:
        """The version, or None where it is not installed."""

    def begin(self) -> Commands:
        """Make an empty repository."""
        return []

    def save(self) -> Commands:
        """Commit scripts and data."""
        return []

    @abstractmethod
    def record(self) -> Commands:
        """Run and record the pipeline."""

    def commit(self) -> Commands:
        """Commit what it made, where that is not done already."""
        return []

    @abstractmethod
    def again(self) -> Commands:
        """Run everything recorded again."""

    @abstractmethod
    def refresh(self) -> Commands:
        """Bring everything up to date with an input that has changed."""


class Bare(Recorder):
    """The steps alone."""

    name = "bare"

    def version(self) -> str | None:
        return "-"

    def record(self) -> Commands:
        return [stage.command for stage in self.stages]

    again = refresh = record


class ByDsvc(Recorder):
    """`dsvc run` for each step."""

    name = "dsvc"

    def version(self) -> str | None:
        return Dsvc().version()

    def begin(self) -> Commands:
        (self.site.tree / "dsvc.toml").write_text(KEYS)
        return [[*program(), "init"]]

    def save(self) -> Commands:
        return [[*program(), "add", "-A"], [*program(), "commit", "-m", "data"]]

    def _step(self, stage: Stage) -> list[str]:
        inputs = [word for path in stage.inputs for word in ("-i", path)]
        return [*program(), "run", "--name", stage.name, *inputs, "-o", stage.output, "--", *stage.command]

    def record(self) -> Commands:
        return [self._step(stage) for stage in self.stages]

    def commit(self) -> Commands:
        return self.save()

    def again(self) -> Commands:
        return [[*program(), "rerun", stage.name] for stage in self.stages]

    def refresh(self) -> Commands:
        return [[*program(), "rerun", "--stale"]]


class ByDsvcEach(ByDsvc):
    """The same with a commit after each step, as DataLad makes them."""

    name = "dsvc-each"

    def record(self) -> Commands:
        return [argv for stage in self.stages for argv in (self._step(stage), *self.save())]

    def commit(self) -> Commands:
        return []


class ByDatalad(Recorder):
    """`datalad run`, which commits each step."""

    name = "datalad"

    def version(self) -> str | None:
        return datalad.version()

    def environment(self) -> Mapping[str, str]:
        own = self.site.environment()
        return {**own, "PATH": f"{datalad.FOLDER}:{own['PATH']}"}

    def begin(self) -> Commands:
        return [[datalad.PROGRAM, "create", "--force", "."]]

    def save(self) -> Commands:
        return [[datalad.PROGRAM, "save", "-m", "data"], ["git", "tag", "start"]]

    def record(self) -> Commands:
        return [
            [
                *(datalad.PROGRAM, "run", "-m", stage.name, "-o", stage.output),
                *(word for path in stage.inputs for word in ("-i", path)),
                *("--", *stage.command),
            ]
            for stage in self.stages
        ]

    def again(self) -> Commands:
        return [[datalad.PROGRAM, "rerun", "--since=start"]]

    def refresh(self) -> Commands:
        return [[datalad.PROGRAM, "save", "-m", "input"], *self.again()]


class ByDvc(Recorder):
    """`dvc repro` of a `dvc.yaml`, over git."""

    name = "dvc"

    def version(self) -> str | None:
        return package_version("dvc")

    def environment(self) -> Mapping[str, str]:
        return {**self.site.environment(), **dvc.Dvc().environment(self.site)}

    def begin(self) -> Commands:
        dvc.Dvc().configure(self.site)
        return dvc.Dvc().init(self.site)

    def save(self) -> Commands:
        (self.site.tree / "dvc.yaml").write_text("stages:\n" + "".join(map(self._yaml, self.stages)))
        return [
            [dvc.PROGRAM, "add", "--quiet", *self.starts],
            ["git", "add", "dvc.yaml", "steps"],
            ["git", "commit", "--quiet", "-m", "data"],
        ]

    @staticmethod
    def _yaml(stage: Stage) -> str:
        reads = "".join(f"      - {path}\n" for path in (stage.words[0], *stage.inputs))
        return (
            f"  {stage.name}:\n    cmd: {' '.join(stage.command)}\n"
            f"    deps:\n{reads}    outs:\n      - {stage.output}\n"
        )

    def record(self) -> Commands:
        return [[dvc.PROGRAM, "repro"]]

    def commit(self) -> Commands:
        return [["git", "commit", "--quiet", "--all", "-m", "run"]]

    def again(self) -> Commands:
        return [[dvc.PROGRAM, "repro", "--force"]]

    def refresh(self) -> Commands:
        return self.record()


RECORDERS: tuple[type[Recorder], ...] = (Bare, ByDsvc, ByDsvcEach, ByDatalad, ByDvc)
