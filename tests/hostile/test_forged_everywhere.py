"""Pairs of equal XXH3-128 through merges, repairs, tables and what is kept by digest (H13; figure R9)."""

from __future__ import annotations

import io
import os
import random
import struct
from pathlib import Path

import blake3
import pytest
import xxhash

from dsvc.model.errors import DsvcError
from dsvc.model.run_record import RunKind
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.store import pack
from dsvc.testing.faults import tried
from dsvc.testing.forgery import twin
from tests.hostile.test_forged_checksums import PAIRS, as_tree, collect_and_check, contents, message, names
from tests.porcelain.working import Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "data")


@pytest.fixture(scope="module")
def pairs() -> list[tuple[bytes, bytes]]:
    made = [message(1000 + number) for number in range(PAIRS)]
    return [(original, twin(original, b"row %d\n" % number)) for number, original in enumerate(made)]


def parquet(seed: int) -> tuple[bytes, bytes]:
    """A table and its twin: values of a column are eight bytes each, in which any byte is good."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = random.Random(seed)
    for rows in range(400, 700):
        values = [generator.getrandbits(62) for _ in range(rows)]
        stream = io.BytesIO()
        data = pa.table({"id": range(rows), "n": pa.array(values, pa.int64())})
        plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        pq.write_table(data, stream, store_schema=False, **plain)
        made = stream.getvalue()
        end = made.index(struct.pack("<q", values[-1])) + 8
        start = made.index(struct.pack("<q", values[0]))
        tail = (len(made) - 1) // 1024 * 1024
        if start + 300 < tail <= end and len(made) - tail >= 64:
            changed = struct.pack("<q", values[1] + 1)
            return made, twin(made, made[: start + 8] + changed + made[start + 16 : tail])
    raise AssertionError("no length of a table leaves room for a twin")


@pytest.fixture(scope="module")
def tables() -> list[tuple[bytes, bytes]]:
    made = [parquet(seed) for seed in range(12)]
    assert all(xxhash.xxh3_128_digest(one) == xxhash.xxh3_128_digest(other) for one, other in made)
    return made


def rows_of(data: bytes) -> list[dict[str, int]]:
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(data)).to_pylist()


def test_h13_merges_take_the_side_that_changed(work: Work, pairs: list[tuple[bytes, bytes]]) -> None:
    """One branch has the twins of half of the files, the other those of the rest."""
    half = len(pairs) // 2
    both = names(pairs, 0)
    twins = names(pairs, 1)
    first, rest = sorted(both)[:half], sorted(both)[half:]
    work.commit("originals", both)
    work.repo.checkout(new_branch="topic")
    work.commit("their twins", {path: twins[path] for path in first})
    work.reopen().checkout("main")
    work.commit("our twins", {path: twins[path] for path in rest})
    outcome = work.reopen().merge("topic")
    assert not outcome.conflicts
    assert work.tree() == as_tree(twins)
    collect_and_check(work)
    work.reopen().revert("HEAD~1")
    assert work.tree() == as_tree({path: (twins if path in first else both)[path] for path in both})
    tried("forged pairs", len(pairs))


def test_h13_repair_takes_no_twin_for_what_is_lost(work: Work, pairs: list[tuple[bytes, bytes]]) -> None:
    """The tree has the twin of each lost chunk: nothing comes of it; with the originals all is healed."""
    commit = work.commit("originals", names(pairs, 0))
    lost = [Path(work.repo.layout.packs, name) for name in os.listdir(work.repo.layout.packs)]
    for path in lost:
        data = path.read_bytes()
        offset = pack.TRAILER.unpack(data[-pack.TRAILER.size :])[1]
        if offset > 50_000:
            path.chmod(0o644)
            # All blocks; the footer says still what was in them.
            path.write_bytes(data[:16] + bytes(offset - 16) + data[offset:])
    work.write(names(pairs, 1))
    found = work.reopen().fsck(read_data=True, repair=True)
    assert found.repaired is not None
    assert len(found.repaired.lost) >= len(pairs)
    with pytest.raises(DsvcError):
        contents(work, commit)
    work.write(names(pairs, 0))
    assert work.reopen().fsck(read_data=True, repair=True).ok
    assert contents(work, commit) == as_tree(names(pairs, 0))
    tried("forged pairs", len(pairs))


def test_h13_rows_of_a_table_are_not_those_of_its_twin(work: Work, tables: list[tuple[bytes, bytes]]) -> None:
    """Differences by row, row indexes, row maps of runs: kept under digests that a twin hasn't."""
    ours = {b"t/%02d.parquet" % n: pair[0] for n, pair in enumerate(tables)}
    theirs = {b"t/%02d.parquet" % n: pair[1] for n, pair in enumerate(tables)}
    before = work.commit("tables", ours)
    after = work.commit("twins", theirs)
    for _ in range(2):  # the second time from the cache
        repo = work.reopen()
        result = repo.diff(str(before), str(after))
        assert len(result.changes) == len(tables)
        for change, (one, other) in zip(result.changes, tables, strict=True):
            delta = repo.table_diff(change, result, key=["id"])
            assert delta is not None
            pairs = zip(rows_of(one), rows_of(other), strict=True)
            assert delta.rows_changed == sum(a != b for a, b in pairs) > 1
            assert (delta.rows_added, delta.rows_removed) == (0, 0)
    for rev, files in ((before, ours), (after, theirs)):
        for path, data in files.items():
            assert work.repo.table(path, str(rev)).to_arrow().to_pylist() == rows_of(data)
    first = min(ours)
    spec = RunSpec(
        name="keep", kind=RunKind.CLEAN, inputs=[first], outputs=[b"out.parquet"], keys={None: ("id",)}
    )
    for side in (ours, theirs):
        work.write({first: side[first], b"out.parquet": ours[first]})
        work.reopen().add(all=True)
        made = work.repo.run_manual(spec, "by hand")
        assert [each.digest for each in made.run.inputs] == [blake3.blake3(side[first]).digest()]
        kept = next(each for each in work.reopen().runs() if each.id == made.id)
        assert kept.run == made.run
    collect_and_check(work)
    tried("forged pairs", len(tables))
