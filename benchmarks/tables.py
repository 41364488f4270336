"""Tables: row diffs of two versions, beside a join by hand, Oxen and daff; merges; files of 640 MB.

dsvc is measured as a whole process on the working tree against a commit and on two commits, without any
index (cold) and with both indexed, and as a call in a process that has done it before. What it finds is
compared with the join: the counts must be equal. `--stat` counts; `rows` lists every row that differs.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Measurement, StepFailed
from benchmarks.peers import daff, oxen
from benchmarks.peers.dsvc import Dsvc
from benchmarks.results import Reading, SpecialResult, now, this_machine
from benchmarks.rounds import generate, say, workspace
from benchmarks.site import tree_size
from benchmarks.tables_merge import measure_merges
from benchmarks.tables_site import Medians, TableSite, write_versions

TMPFS = Path("/dev/shm")
CHANGES = 1_000
PEER_LIMIT_S = 120.0
JOIN = str(Path(__file__).with_name("peers") / "duckdb_join.py")
COUNTS = ("rows", "cells_changed", "by_column")
OLD_NEW = ("HEAD~1", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Two versions of one file; without `rows` those of the workload `jsonl`."""

    name: str
    file: str
    rows: int | None
    peers: tuple[str, ...] = ()


CASES = (
    Case(name="parquet-200k", file="t.parquet", rows=200_000, peers=("join", "oxen", "oxen-bare")),
    Case(name="parquet-2M", file="t.parquet", rows=2_000_000, peers=("join", "oxen", "oxen-bare")),
    Case(name="csv-200k", file="t.csv", rows=200_000, peers=("oxen", "oxen-bare", "daff")),
    Case(name="csv-2M", file="t.csv", rows=2_000_000, peers=("oxen", "oxen-bare", "daff")),
    Case(name="jsonl-200k", file="t.jsonl", rows=200_000, peers=("oxen", "oxen-bare")),
    Case(name="csv-640MB", file="t.csv", rows=3_000_000),
    Case(name="jsonl-640MB", file="records.jsonl", rows=None),
)


class _Diffs:
    """One case: dsvc and its peers take turns in every round."""

    def __init__(self, case: Case, own: Path, skipped: frozenset[str]) -> None:
        self._case = case
        self._own = own
        self._old = own / "master" / "v1" / case.file
        self._new = own / "master" / "v2" / case.file
        self._open = TableSite(own / "open")
        self._committed = TableSite(own / "committed")
        self._peers = [peer for peer in case.peers if peer not in skipped]
        self.medians = Medians(case.name)

    def prepare(self, scale: float) -> None:
        """Write both versions, commit the first, and in a second repository the other too."""
        say(f"{self._case.name}: writing the data")
        if self._case.rows is None:
            generate("jsonl", self._own / "master", scale)
        else:
            rows = max(1_000, round(self._case.rows * scale))
            write_versions(self._own / "master", self._case.file, str(rows), str(CHANGES))
        self.medians.value("file", tree_size(self._old.parent)[0], "bytes")
        for site in (self._open, self._committed):
            site.start()
            site.commit(self._old.parent)
        self._open.place(self._new.parent)
        self._committed.commit(self._new.parent)

    def rounds(self, number: int) -> None:
        """All steps, in an order that turns."""
        steps: list[Callable[[], None]] = [self._worktree, self._commits]
        steps += [self._peer_step(peer) for peer in self._peers]
        for turn in range(number):
            for step in [*steps[turn % len(steps) :], *steps[: turn % len(steps)]]:
                step()
        words = (str(self._committed.tree), *OLD_NEW, str(max(5, number)))
        self.medians.calls("indexed_call", self._committed.call("diff", *words))

    def _worktree(self) -> None:
        self._open.forget_indexes()
        self.medians.took("cold_worktree", self._open.dsvc("diff", "--stat"))

    def _commits(self) -> None:
        site = self._committed
        for name, words in (("", ("--stat",)), ("_rows", ("--json", "--limit", "0"))):
            site.forget_indexes()
            self.medians.took(f"cold_commits{name}", site.dsvc("diff", *words, *OLD_NEW))
            self.medians.took(f"indexed{name}", site.dsvc("diff", *words, *OLD_NEW))

    def _peer_step(self, peer: str) -> Callable[[], None]:
        def step() -> None:
            if peer not in self._peers:
                return
            try:
                self.medians.took(peer, self._peer(peer))
            except StepFailed as error:
                say(f"{self._case.name}: {peer} FAILED: {str(error).splitlines()[-1]}")
                self._peers.remove(peer)

        return step

    def _peer(self, peer: str) -> Measurement:
        site = TableSite(self._own / "peer")
        if not site.tree.exists():
            site.create()
        files = (str(self._old), str(self._new))
        if peer == "join":
            return site.run([sys.executable, "-I", JOIN, *files])
        if peer == "daff":
            return site.run([*daff.diff(*files, "id", str(site.empty / "diff.csv"))])
        return site.run(oxen.diff(peer, *files), **oxen.configuration(site))

    def compare(self) -> None:
        """Raise StepFailed where the counts of dsvc are not those of the join."""
        if "join" not in self._peers:
            return
        self._peer("join")
        wanted = TableSite(self._own / "peer").printed()
        for site, versions in ((self._open, ()), (self._committed, OLD_NEW)):
            site.dsvc("diff", "--json", *versions)
            (found,) = site.printed()["files"]
            counts = {name: found["table"][name] for name in COUNTS}
            if counts != wanted:
                raise StepFailed(f"{self._case.name}: {counts}, but the join counts {wanted}")
        for name, count in {**wanted["rows"], "cells": wanted["cells_changed"]}.items():
            self.medians.value(name, count, "count")


def _measure_diffs(folder: Path, scale: float, rounds: int) -> Iterator[Reading]:
    expected: dict[str, float] = {}
    for case in CASES:
        # What took too long with a tenth of the rows is not tried.
        slow = frozenset(peer for peer in case.peers if 10 * expected.get(peer, 0.0) > PEER_LIMIT_S)
        with workspace(folder) as own:
            diffs = _Diffs(case, own, slow if case.name.endswith("2M") else frozenset())
            diffs.prepare(scale)
            diffs.rounds(rounds)
            diffs.compare()
        for peer in case.peers:
            expected[peer] = diffs.medians.seconds(peer) or expected.get(peer, 0.0)
        yield from diffs.medians.readings()


def measure_all(*, folder: Path | None, scale: float, rounds: int) -> SpecialResult:
    """Diffs, then merges."""
    daff.install_daff()
    tool = Dsvc()
    readings = [
        *_measure_diffs(folder or TMPFS, scale, rounds),
        *measure_merges(folder or TMPFS, scale, rounds),
    ]
    peers = {"oxen": oxen.Oxen(name="oxen", way="package").version(), "daff": daff.version()}
    return SpecialResult(
        kind="tables",
        version=tool.version() or "?",
        at=now(),
        machine=this_machine(),
        settings={"rounds": str(rounds), "scale": f"{scale:g}", **{k: v or "?" for k, v in peers.items()}},
        readings=readings,
    )
