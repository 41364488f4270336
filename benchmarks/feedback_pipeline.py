"""A pipeline to repair: texts cleaned, told apart, labelled and formatted, by scripts on JSON Lines.

`RepairSite` is a dsvc repository that has it recorded; the others are what does it all again.
"""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from benchmarks.feedback_data import set_topics
from benchmarks.measure import NOTHING, Measurement
from benchmarks.peers import dvc
from benchmarks.peers.driver import Commands
from benchmarks.peers.dsvc import Dsvc
from benchmarks.provenance_pipeline import SCRIPTS, Bare, ByDatalad, ByDvc, Stage
from benchmarks.site import Site, copy_over
from benchmarks.tables_site import TableSite

RAW, FINAL = "data/raw.jsonl", "data/final.jsonl"


def _stage(name: str, source: str, target: str) -> Stage:
    return Stage(name, (f"steps/jsonl_{name}.py", source, target), (source,), target)


STAGES = (
    _stage("clean", RAW, "data/clean.jsonl"),
    _stage("dedup", "data/clean.jsonl", "data/unique.jsonl"),
    _stage("label", "data/unique.jsonl", "data/labelled.jsonl"),
    _stage("format", "data/labelled.jsonl", FINAL),
)
TABLES = (RAW, *(stage.output for stage in STAGES))
ROWWISE = {"clean", "label", "format"}
# What a table that was made by removing duplicates says of itself when it is recorded.
DEDUP = ("--kind", "dedup", "--drop-reason", "duplicate")


class RepairSite(TableSite):
    """A dsvc repository with the pipeline."""

    def record(self, master: Path) -> Measurement:
        """Carry the pipeline out, recorded, and commit it; what recording and committing took."""
        self.start()
        copy_over(SCRIPTS, self.tree / "steps")
        copy_over(master, self.data)
        self.dsvc("run", "--manual", "collected", "--name", "collect", "--kind", "ingest", "-o", RAW)
        taken = NOTHING
        for stage in STAGES:
            promise = ["--rowwise"] if stage.name in ROWWISE else DEDUP
            words = ("run", "--name", stage.name, *promise, "-i", *stage.inputs, "-o", stage.output)
            taken = taken.then(self.dsvc(*words, "--", *stage.command))
        return taken.then(self.commit_all("pipeline"))

    def commit_all(self, message: str) -> Measurement:
        """Add and commit everything."""
        return self.dsvc("add", "-A").then(self.dsvc("commit", "-m", message))

    def flag(self, feedback: Path) -> str:
        """Import what an evaluation says; the defect that it opens."""
        self.dsvc("feedback", "import", str(feedback), "--subject", FINAL, "--suite", "pilot", "--json")
        (defect,) = self.printed()["defects"]
        return str(defect)

    def copy_to(self, root: Path) -> "RepairSite":
        """Copy the repository, so that each round begins with the same."""
        other = RepairSite(root)
        other.create()
        Dsvc().configure(other)
        copy_over(self.tree, other.tree)
        other.settle()
        return other

    def plan(self, defect: str, topic: str) -> tuple[str, Measurement]:
        """Plan to set topics in the first table; the repair's id."""
        words = ("repair", "plan", defect, "--at", RAW, "--set", f"topic={topic}", "--json")
        taken = self.dsvc(*words)
        return str(self.printed()["repair"]), taken

    def apply(self, repair: str) -> tuple[Any, Measurement]:
        """Apply a repair; what it says of itself."""
        taken = self.dsvc("repair", "apply", repair, "--json")
        return self.printed(), taken

    def rerun_all(self) -> Measurement:
        """Record an edit of the first table, do all again that is behind, and commit."""
        edit = ("run", "--manual", "topics set", "--name", "topics", "--kind", "clean", "-i", RAW, "-o", RAW)
        return self.dsvc(*edit).then(self.dsvc("rerun", "--stale")).then(self.commit_all("topics"))


class Again:
    """What the tools have in common that do all steps again after an edit of the first table."""

    stages: Sequence[Stage] = STAGES
    starts: Sequence[str] = (RAW,)


class BareAgain(Again, Bare):
    """The scripts alone."""


class DvcAgain(Again, ByDvc):
    """`dvc repro`, and a commit of what it notes."""

    def refresh(self) -> Commands:
        return [*super().refresh(), *self.commit()]

    def adopt(self, data: Path) -> None:
        """Take what the pipeline made elsewhere for what it made here: `dvc commit` runs nothing."""
        for stage in self.stages:
            shutil.copy(data / Path(stage.output).name, self.site.data)
        self.run([[dvc.PROGRAM, "commit", "--force", "--quiet"], *self.commit()])


class DataladAgain(Again, ByDatalad):
    """`datalad save` and `datalad rerun`."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._turn = 0

    def refresh(self) -> Commands:
        # Each time those steps are done again that were done since the edit before.
        since = f"input{self._turn}" if self._turn else "start"
        self._turn += 1
        words = super().refresh()
        rerun = [*words[-1][:-1], f"--since={since}"]
        return [*words[:-1], ["git", "tag", f"input{self._turn}"], rerun]


def edit(site: Site, numbers: Collection[int], topic: str) -> None:
    """Edit the first table in a working tree."""
    set_topics(site.tree / RAW, set(numbers), topic)
