"""The data that is versioned: four workloads from fixed seeds, in two versions each.

`python -m benchmarks.workloads NAME FOLDER` writes version 1 into FOLDER/v1 and the files that version 2
changes into FOLDER/v2; copying the second over the first gives version 2.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.records import line, record, revised

JSONL_BLOCK_LINES = 1_000
JPEG_HEAD = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of data set: how many units at scale 1, and who writes them."""

    name: str
    units: int
    unit: str
    write: Callable[[Path, int, int], None]
    about: str

    def generate(self, folder: Path, scale: float = 1.0) -> None:
        """Write version 1 below `folder`/v1 and what version 2 changes below `folder`/v2."""
        units = max(1, round(self.units * scale))
        for version in (1, 2):
            target = folder / f"v{version}"
            target.mkdir(parents=True)
            self.write(target, units, version)


def _shares(units: int) -> list[range]:
    """Sixteen runs of unit numbers, for the pool."""
    step = max(1, -(-units // 16))
    return [range(start, min(units, start + step)) for start in range(0, units, step)]


def _image_share(job: tuple[Path, range, int, int]) -> None:
    folder, numbers, version, replaced = job
    for number in numbers:
        if version == 2 and number % 100 != replaced:
            continue
        rng = random.Random(f"image {number} {version}")
        path = folder / f"set-{number // 100:03d}" / f"image-{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(JPEG_HEAD + rng.randbytes(rng.randint(80_000, 120_000)))


def _write_images(folder: Path, units: int, version: int) -> None:
    """Version 2 replaces one image of each folder."""
    jobs = [(folder, share, version, min(37, units - 1)) for share in _shares(units)]
    with get_context("fork").Pool() as pool:
        pool.map(_image_share, jobs, chunksize=1)


def _small_changes(units: int) -> frozenset[int]:
    """One file of every thousand, at most one a folder: 100 files of 100,000, in 100 folders."""
    rng = random.Random("small changes")
    return frozenset(min(units - 1, start + rng.randrange(1_000)) for start in range(0, units, 1_000))


def _small_share(job: tuple[Path, range, frozenset[int] | None]) -> None:
    folder, numbers, changes = job
    for number in numbers:
        if changes is not None and number not in changes:
            continue
        rng = random.Random(f"small {number}")
        value = record(rng, number)
        path = folder / f"shard-{number // 100:05d}" / f"record-{number:08d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(line(value if changes is None else revised(value, rng)))


def _write_small(folder: Path, units: int, version: int) -> None:
    changes = None if version == 1 else _small_changes(units)
    with get_context("fork").Pool() as pool:
        pool.map(_small_share, [(folder, share, changes) for share in _shares(units)], chunksize=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEdits:
    """What version 2 does to the lines of version 1; a removed line is not also changed."""

    changed: frozenset[int]
    removed: frozenset[int]
    inserted_before: int


def _line_edits(units: int) -> LineEdits:
    rng = random.Random("line edits")
    changed, removed = min(200, units // 10), min(300, units // 10)
    picked = rng.sample(range(units), changed + removed)
    return LineEdits(
        changed=frozenset(picked[:changed]),
        removed=frozenset(picked[changed:]),
        inserted_before=rng.randrange(units),
    )


def _jsonl_block(job: tuple[range, LineEdits | None]) -> bytes:
    numbers, edits = job
    rng = random.Random(f"jsonl {numbers.start}")
    lines: list[bytes] = []
    for number in numbers:
        value = record(rng, number)
        if edits is None:
            lines.append(line(value))
            continue
        if number == edits.inserted_before:
            lines.append(line(record(random.Random("inserted"), 10**8 - 1)))
        if number in edits.changed:
            lines.append(line(revised(value, random.Random(f"revised {number}"))))
        elif number not in edits.removed:
            lines.append(line(value))
    return b"".join(lines)


def _jsonl_jobs(units: int, version: int) -> Iterator[tuple[range, LineEdits | None]]:
    edits = None if version == 1 else _line_edits(units)
    for start in range(0, units, JSONL_BLOCK_LINES):
        yield range(start, min(units, start + JSONL_BLOCK_LINES)), edits


def _write_jsonl(folder: Path, units: int, version: int) -> None:
    with get_context("fork").Pool() as pool, (folder / "records.jsonl").open("wb") as out:
        for block in pool.imap(_jsonl_block, _jsonl_jobs(units, version)):
            out.write(block)


def _write_parquet(folder: Path, units: int, version: int) -> None:
    from benchmarks.parquet_rows import write_rows

    write_rows(folder / "events.parquet", units, version)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            name="images",
            units=10_000,
            unit="files",
            write=_write_images,
            about="10,000 incompressible files of about 100 kB in 100 folders; version 2 replaces 100",
        ),
        Workload(
            name="small",
            units=100_000,
            unit="files",
            write=_write_small,
            about="100,000 JSON files of about 0.9 kB in 1,000 folders; version 2 edits 100 in 100 folders",
        ),
        Workload(
            name="jsonl",
            units=732_000,
            unit="lines",
            write=_write_jsonl,
            about="one file of about 640 MB; version 2 has 200 lines changed, 300 removed, 1 inserted",
        ),
        Workload(
            name="parquet",
            units=2_000_000,
            unit="rows",
            write=_write_parquet,
            about="one file of 2 M rows, written by pyarrow; version 2 changes 10 rows",
        ),
    )
}


def main() -> None:
    """Write one workload; run as a process of its own, so that its memory goes when it ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workloads", description=__doc__)
    parser.add_argument("name", choices=sorted(WORKLOADS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the full size (default: 1)")
    options = parser.parse_args()
    WORKLOADS[options.name].generate(options.folder, options.scale)


if __name__ == "__main__":
    main()
