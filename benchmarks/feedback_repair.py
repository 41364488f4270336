"""Repairs: 1,000 rows of a table at the front of a pipeline, beside doing all of it again.

`python -m benchmarks feedback --part repair`. Feedback flags 1,000 rows of the last of five tables of a
million rows; a repair gives them another topic in the first one, and goes through three row-wise runs and the
removal of duplicates between them. The same edit is made by hand, and everything done again: by
`dsvc rerun --stale`, by DataLad, by DVC, and by the scripts alone. What comes out must be the same in every
row.
"""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.feedback_pipeline import (
    FINAL,
    ROWWISE,
    STAGES,
    TABLES,
    Again,
    BareAgain,
    DataladAgain,
    DvcAgain,
    RepairSite,
    edit,
)
from benchmarks.measure import Measurement, StepFailed
from benchmarks.peers import datalad, environment
from benchmarks.provenance_pipeline import Recorder
from benchmarks.results import Reading
from benchmarks.rounds import SETTLE_S, say, workspace
from benchmarks.site import Site
from benchmarks.tables_site import PROJECT, Medians

ROWS, FLAGGED = 1_000_000, 1_000
TOPICS = ("medicine", "law", "science", "history")
PEERS: tuple[type[Recorder], ...] = (DataladAgain, DvcAgain)
SYMPTOM = "wrong-topic"


class WrongResult(Exception):
    """A repair did not make what it must."""


def write_rows(folder: Path, scale: float) -> int:
    """Write the first table, in a process of its own; how many rows it has."""
    rows = max(2_000, round(ROWS * scale))
    argv = [sys.executable, "-m", "benchmarks.feedback_data", str(folder), str(rows)]
    subprocess.run(argv, check=True, cwd=PROJECT)
    return rows


def write_feedback(file: Path, final: Path, scale: float) -> set[int]:
    """Write what an evaluation says of some rows of the last table; their keys."""
    with final.open(encoding="utf-8") as lines:
        there = [json.loads(line)["id"] for line in lines]
    chosen = sorted(random.Random("flagged").sample(there, max(20, round(FLAGGED * scale))))
    said = [{"path": FINAL, "row": {"id": id_}, "symptom": SYMPTOM, "severity": "P2"} for id_ in chosen]
    run: dict[str, object] = {"suite": "pilot", "metrics": []}
    file.write_text("".join(json.dumps(each) + "\n" for each in (run, *said)))
    return set(chosen)


def measure_repair(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """All tools in rounds."""
    datalad.install_datalad()
    environment.install("dvc")
    with workspace(place) as own:
        yield from _Repairs(own, scale).measured(rounds)


class _Repairs:
    def __init__(self, own: Path, scale: float) -> None:
        self._own = own
        self._medians = Medians("repair")
        self._cpu: dict[str, list[float]] = {}
        self._rows = write_rows(own / "master", scale)
        self._site = RepairSite(own / "base")
        self._took("record", self._site.record(own / "master"))
        feedback = own / "feedback.jsonl"
        self._flagged = write_feedback(feedback, self._site.tree / FINAL, scale)
        self._defect = self._site.flag(feedback)
        self._peers: dict[str, Recorder] = {}
        self._recomputed: dict[str, int] = {}
        self._same = Counter[str]()

    def measured(self, rounds: int) -> Iterator[Reading]:
        """Every round gives the rows another topic."""
        bare = BareAgain(Site(self._own / "bare"))
        bare.prepare(self._own / "master")
        self._begin_peers()
        for turn in range(rounds):
            topic = TOPICS[turn % len(TOPICS)]
            self._again(bare, topic)
            expected = bare.site.tree
            self._rerun(topic, expected)
            self._repair(topic, expected)
            for name, peer in list(self._peers.items()):
                try:
                    self._again(peer, topic)
                    self._compare(name, peer.site.tree, expected)
                except StepFailed as error:
                    say(f"repair: {name} FAILED: {error}")
                    self._drop(name)
        for name in list(self._peers):
            self._drop(name)
        # Processes are forked from this one, which has read whole tables: their peaks would be its own.
        yield from (each for each in self._medians.spaced() if each.unit != "bytes")
        yield from self._counts(rounds)

    def _took(self, name: str, measured: Measurement) -> None:
        """Keep what a tool took; its processor time too, which others on the machine make longer by less."""
        self._medians.took(name, measured)
        self._cpu.setdefault(name, []).append(measured.cpu_s)

    # Those that do all again

    def _begin_peers(self) -> None:
        """Have the pipeline recorded by each."""
        for kind in PEERS:
            peer = kind(Site(self._own / kind.name))
            try:
                peer.prepare(self._own / "master")
                if isinstance(peer, DvcAgain):
                    peer.adopt(self._site.data)
                else:
                    peer.run(peer.record())
                self._peers[kind.name] = peer
            except StepFailed as error:
                say(f"repair: {kind.name} FAILED: {error}")

    def _drop(self, name: str) -> None:
        site = self._peers.pop(name).site
        # git-annex takes the right to write from its files and folders.
        subprocess.run(["chmod", "-R", "u+w", str(site.root)], check=False)
        site.remove()

    def _again(self, recorder: Recorder, topic: str) -> None:
        assert isinstance(recorder, Again)
        edit(recorder.site, self._flagged, topic)
        before = {stage.name: _stat(recorder.site.tree / stage.output) for stage in STAGES}
        time.sleep(SETTLE_S)
        self._took(recorder.name, recorder.run(recorder.refresh()))
        made = [each for each in STAGES if _stat(recorder.site.tree / each.output) != before[each.name]]
        self._recomputed[recorder.name] = sum(_rows(recorder.site.tree / each.inputs[0]) for each in made)

    def _rerun(self, topic: str, expected: Path) -> None:
        site = self._site.copy_to(self._own / "rerun")
        edit(site, self._flagged, topic)
        time.sleep(SETTLE_S)
        self._took("rerun", site.rerun_all())
        self._recomputed["rerun"] = sum(_rows(site.tree / stage.inputs[0]) for stage in STAGES)
        self._compare("rerun", site.tree, expected)
        site.remove()

    # The repair

    def _repair(self, topic: str, expected: Path) -> None:
        site = self._site.copy_to(self._own / "repair")
        repair, planned = site.plan(self._defect, topic)
        self._took("plan", planned)
        time.sleep(SETTLE_S)
        applied, taken = site.apply(repair)
        self._took("apply", taken)
        self._check(applied)
        site.dsvc("checkout", applied["branch"])
        self._compare("apply", site.tree, expected)
        site.remove()

    def _check(self, applied: Any) -> None:
        """It was row-wise where that was promised, and it was proved."""
        steps = {step["name"]: step for step in applied["steps"]}
        for name in ROWWISE:
            self._recomputed[name] = max(steps[name]["rows"], self._recomputed.get(name, 0))
        self._recomputed["apply"] = applied["rows_recomputed"]
        proof = applied["proof"]
        found = {each["path"]: each["flagged_changed"] for each in proof["artifacts"]}
        if (
            (proof["others_changed"], proof["unproved"], found[FINAL]) != (0, [], len(self._flagged))
            or set(found) != set(TABLES)
            or any(steps[name]["whole"] for name in ROWWISE)
        ):
            raise WrongResult(f"the repair is not what it must be: {applied}")

    # What came out

    def _compare(self, name: str, tree: Path, expected: Path) -> None:
        """Count the tables that are the same, byte for byte, and those that have the same rows."""
        for table in TABLES:
            bytes_alike = (tree / table).read_bytes() == (expected / table).read_bytes()
            rows_alike = bytes_alike or _lines(tree / table) == _lines(expected / table)
            if not rows_alike:
                raise WrongResult(f"{name}: {table} has other rows than the scripts make")
            self._same[f"{name}, bytes"] += bytes_alike
            self._same[f"{name}, rows"] += rows_alike

    def _counts(self, rounds: int) -> Iterator[Reading]:
        for name, taken in self._cpu.items():
            yield Reading(name=f"repair {name}, processor", value=round(median(taken), 4), unit="s")
        yield Reading(name="repair rows", value=self._rows, unit="count")
        yield Reading(name="repair flagged", value=len(self._flagged), unit="count")
        for name, rows in self._recomputed.items():
            yield Reading(name=f"repair rows recomputed: {name}", value=rows, unit="count")
        yield Reading(name="repair tables compared", value=rounds * len(TABLES), unit="count")
        for name, tables in self._same.items():
            yield Reading(name=f"repair tables same: {name}", value=tables, unit="count")


def _stat(path: Path) -> Sequence[int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _rows(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _lines(path: Path) -> Collection[tuple[bytes, int]]:
    """Rows of a table, and how often each is there."""
    with path.open("rb") as lines:
        return Counter(lines).items()


__all__ = ["WrongResult", "measure_repair", "write_feedback", "write_rows"]
