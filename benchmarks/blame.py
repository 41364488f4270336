"""Who changed a row: `dsvc blame` over 100 commits of a table, without row indexes and with them."""

import random
import shutil
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import measure
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.results import Reading, SpecialResult, now, this_machine
from benchmarks.rounds import say, workspace
from benchmarks.site import Site
from dsvc.porcelain.repository import Repository

TMPFS = Path("/dev/shm")
ROWS = 200_000
COMMITS = 100
CELLS = 100
RUNS = 10
NAME = "table.parquet"
LABELS = ("accept", "defer", "escalate", "reject", "review", "skip", "spam", "unknown")


def table(rows: int) -> pa.Table:
    """The first version: a key and four columns."""
    rng = random.Random("blame")
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "user": pa.array([rng.randrange(1 << 20) for _ in range(rows)], pa.int64()),
            "label": pa.array([rng.choice(LABELS) for _ in range(rows)]),
            "score": pa.array([rng.random() for _ in range(rows)]),
            "note": pa.array([f"note {rng.randrange(1 << 16)}" for _ in range(rows)]),
        }
    )


def changed(before: pa.Table, version: int, always: int) -> pa.Table:
    """The next version: other scores in some rows, and in the row `always`."""
    rng = random.Random(f"blame {version}")
    rows = sorted({always, *rng.sample(range(before.num_rows), CELLS - 1)})
    mask = pc.is_in(before["id"].combine_chunks(), pa.array(rows, pa.int64()))
    scores = pc.replace_with_mask(
        before["score"].combine_chunks(), mask, pa.array([rng.random() for _ in rows])
    )
    return before.set_column(before.column_names.index("score"), "score", scores)


def make_history(tree: Path, rows: int, commits: int) -> None:
    """Commit every version; the row in the middle changes each time."""
    repo = Repository.open(str(tree))
    version = table(rows)
    for number in range(commits):
        version = changed(version, number, rows // 2) if number else version
        pq.write_table(version, tree / NAME)
        repo.add(all=True)
        repo.commit(f"version {number}")


def measure_all(*, folder: Path | None, scale: float, rounds: int) -> SpecialResult:
    """Blame a row that one commit made and one that each commit changed; `rounds` changes nothing here."""
    tool = Dsvc()
    rows = max(1000, round(ROWS * scale))
    readings: list[Reading] = []
    with workspace(folder or TMPFS) as own:
        site = Site(own / "blame")
        site.create()
        environment = site.environment()
        tool.configure(site)
        for argv in tool.init(site):
            measure.run(argv, cwd=site.tree, env=environment, log=site.log)
        make_history(site.tree, rows, COMMITS)
        for what, row in {"unchanged": rows // 3, "changed_always": rows // 2}.items():
            shutil.rmtree(site.tree / ".dsvc" / "cache" / "rows", ignore_errors=True)
            argv = [*program(), "blame", f"{NAME}#id={row}"]
            taken = [measure.run(argv, cwd=site.tree, env=environment, log=site.log) for _ in range(RUNS + 1)]
            again = median(step.wall_s for step in taken[1:])
            readings += [
                Reading(name=f"{what}_first", value=round(taken[0].wall_s, 3), unit="s"),
                Reading(name=f"{what}_again", value=round(again, 3), unit="s"),
                Reading(name=f"{what}_peak", value=max(s.peak_bytes for s in taken[1:]), unit="bytes"),
            ]
            say(f"blame: {what}: first {taken[0].wall_s:.2f} s, then {again:.3f} s")
        index = sum(path.stat().st_size for path in (site.tree / ".dsvc" / "cache" / "rows").iterdir())
        readings.append(Reading(name="indexes", value=index, unit="bytes"))
    return SpecialResult(
        kind="blame",
        version=tool.version() or "?",
        at=now(),
        machine=this_machine(),
        settings={"rows": str(rows), "commits": str(COMMITS), "cells changed by each": str(CELLS)},
        readings=readings,
    )
