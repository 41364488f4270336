"""Bytes that a version of a Parquet file adds: dsvc with and without `tables.normalize`, and its peers.

The table has 2 M rows (number, text of 14 words, label, score, language), written by pyarrow with its default
settings. Edit `drop` removes 500 rows; edit `mixed` changes 1,000 cells, removes 500 rows and appends 1,000.
Every tool is given the same plain files. dsvc keeps what it replaced until gc's grace is over, so its store
is measured before and after a gc without grace.
"""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import measure
from benchmarks.measure import StepFailed
from benchmarks.peers import DRIVERS, Driver
from benchmarks.peers.driver import Commands
from benchmarks.peers.dsvc import Dsvc, program
from benchmarks.records import draws
from benchmarks.results import Reading, SpecialResult, now, this_machine
from benchmarks.rounds import SETTLE_S, say, workspace
from benchmarks.site import Site, copy_over, tree_size

ROWS = 2_000_000
WORDS = 14
DROPPED, CHANGED, APPENDED = 500, 1000, 1000
LABELS = ("accept", "defer", "escalate", "reject", "review", "skip", "spam", "unknown")
LANGUAGES = ("en", "en", "en", "en", "zh", "zh", "de", "fr")
CHANGED_COLUMNS = ("text", "label", "score", "lang")
FILE = "events.parquet"


class Normalizing(Dsvc):
    """dsvc with the setting that rewrites Parquet files on add."""

    name = "dsvc-normalized"

    def init(self, site: Site) -> Commands:
        return [*super().init(site), [*program(), "config", "tables.normalize", "true"]]


def _numbers(rng: random.Random, rows: int, kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(rng.randbytes(rows * kind.bit_width // 8))])


def _picked(rng: random.Random, rows: int, words: Sequence[str]) -> pa.Array:
    return pa.array(words).take(pc.shift_right(_numbers(rng, rows, pa.uint8()), pa.scalar(5, pa.uint8())))


def table(rows: int, *, seed: str = "normalize", first: int = 0) -> pa.Table:
    """Rows with numbers from `first` on."""
    rng = random.Random(seed)
    words = pa.array(draws())
    text = pc.binary_join_element_wise(
        *(words.take(_numbers(rng, rows, pa.uint16())) for _ in range(WORDS)), " "
    )
    score = pc.divide(pc.cast(_numbers(rng, rows, pa.uint32()), pa.float64()), float(1 << 32))
    return pa.table(
        {
            "id": pa.array(range(first, first + rows), pa.int64()),
            "text": text,
            "label": _picked(rng, rows, LABELS),
            "score": pc.add(
                score, pc.divide(pc.cast(_numbers(rng, rows, pa.uint16()), pa.float64()), 2.0**50)
            ),
            "lang": _picked(rng, rows, LANGUAGES),
        }
    )


def dropped(original: pa.Table) -> pa.Table:
    """Without some rows."""
    rng = random.Random("normalize: rows dropped")
    gone = pa.array(rng.sample(range(original.num_rows), min(DROPPED, original.num_rows // 2)), pa.int64())
    return original.filter(pc.invert(pc.is_in(original["id"], gone)))


def mixed(original: pa.Table) -> pa.Table:
    """Cells changed in each of four columns, rows removed, rows appended."""
    rng = random.Random("normalize: cells changed")
    rows = original.num_rows
    other = table(min(CHANGED, rows // 4), seed="normalize: new cells")
    edited = original
    for name in CHANGED_COLUMNS:
        count = other.num_rows // len(CHANGED_COLUMNS)
        mask = pc.is_in(original["id"].combine_chunks(), pa.array(rng.sample(range(rows), count), pa.int64()))
        column = pc.replace_with_mask(
            original[name].combine_chunks(), mask, other[name].combine_chunks()[:count]
        )
        edited = edited.set_column(edited.column_names.index(name), name, column)
    return pa.concat_tables([dropped(edited), table(APPENDED, seed="normalize: new rows", first=rows)])


EDITS: dict[str, Callable[[pa.Table], pa.Table]] = {"drop": dropped, "mixed": mixed}


def write_versions(folder: Path, rows: int) -> None:
    """Write version 1 and each edit, in folders of their names."""
    first = table(rows)
    for name, made in {"v1": first, **{name: edit(first) for name, edit in EDITS.items()}}.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(made, folder / name / FILE)


def measure_all(
    *, folder: Path | None, scale: float, rounds: int, tools: Sequence[Driver] | None = None
) -> SpecialResult:
    """Every tool once with every edit (`rounds` is not used): sizes do not vary."""
    chosen = tools or [Normalizing(), *DRIVERS.values()]
    rows = int(ROWS * scale)
    readings: list[Reading] = []
    with workspace(folder or Path("/dev/shm")) as own:
        master = own / "master"
        # In a process of its own: its memory must not count in ours.
        command = [sys.executable, "-m", "benchmarks.parquet_normalize", str(master), str(rows)]
        subprocess.run(command, check=True, cwd=Path(__file__).resolve().parent.parent)
        readings.append(_bytes("file", (master / "v1" / FILE).stat().st_size))
        for tool in chosen:
            if tool.version() is None:
                say(f"left out, not installed: {tool.name}")
                continue
            for edit in EDITS:
                site = Site(own / f"{tool.name}-{edit}")
                readings += _passage(tool, site, master, edit)
                site.remove()
    return SpecialResult(
        kind="parquet_normalize",
        version=Dsvc().version() or "?",
        at=now(),
        machine=this_machine(),
        settings={"rows": str(rows), "medium": "tmpfs" if folder is None else "disk"},
        readings=readings,
    )


def _bytes(name: str, value: int) -> Reading:
    return Reading(name=name, value=value, unit="bytes")


def _passage(tool: Driver, site: Site, master: Path, edit: str) -> Iterator[Reading]:
    """Commit both versions; what the second added to the store, and how long it took."""
    site.create()
    tool.configure(site)
    environment = {**site.environment(), **tool.environment(site)}

    def run(commands: Commands | None) -> float:
        return sum(
            measure.run(argv, cwd=site.tree, env=environment, log=site.log).wall_s for argv in commands or []
        )

    run(tool.init(site))
    name = f"{tool.name}_{edit}"
    sizes: dict[str, list[int]] = {"": [], "_after_gc": []}
    seconds = 0.0
    for number, version in enumerate(("v1", edit), 1):
        copy_over(master / version, site.data)
        time.sleep(SETTLE_S)
        seconds = run(tool.add(site)) + run(tool.commit(site, number))
        run(tool.committed(site, number))
        sizes[""].append(tree_size(*tool.stores(site))[0])
        if isinstance(tool, Normalizing):
            time.sleep(SETTLE_S)
            run([[*program(), "gc", "--grace", "0s"]])
            sizes["_after_gc"].append(tree_size(*tool.stores(site))[0])
    if isinstance(tool, Normalizing):
        yield _bytes(f"{name}_file", (site.data / FILE).stat().st_size)
        # What the gc before took out is no part of what this version added.
        sizes[""][0] = sizes["_after_gc"][0]
    for when, (first, second) in ((w, s) for w, s in sizes.items() if s):
        added = second - first
        say(f"parquet_normalize: {name}{when}: {first / 1e6:.1f} MB, then {added / 1e6:.2f} MB more")
        yield _bytes(f"{name}{when}_first", first)
        yield _bytes(f"{name}{when}_added", added)
    yield Reading(name=f"{name}_commit_2", value=round(seconds, 3), unit="s")
    if not pq.read_table(site.data / FILE).equals(pq.read_table(master / edit / FILE)):
        raise StepFailed(f"{tool.name} changed the table")


if __name__ == "__main__":
    write_versions(Path(sys.argv[1]), int(sys.argv[2]))
