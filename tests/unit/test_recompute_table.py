"""Tables of many pieces with rows replaced: bytes against lists of records, indexes against new ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from dsvc.model.manifest import Entry
from dsvc.porcelain.recompute.recompute_edit import Edits, edit_artifact
from dsvc.porcelain.runs.recompute_table import TableBytes, in_memory, part_of, replace_rows
from dsvc.porcelain.tables.row_indexes import RowIndexes
from dsvc.porcelain.tables.table_diff import known_table
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.table.guard import build_indexes
from dsvc.table.index.index_splice import Replacement
from tests.porcelain.working import Work
from tests.recomputing import folder, stored

ROWS = 6000
HEADS = {"csv": b"id,n,\xe6\x96\x87\n", "jsonl": b""}


def record(suffix: str, id_: int, number: int, text: str) -> bytes:
    if suffix == "csv":
        # Line breaks in quotes are no ends of records.
        return f'{id_},{number},"{text}\n,{id_}"\n'.encode()
    return f'{{"id": {id_}, "n": {number}, "文": "{text}"}}\n'.encode()


def records(suffix: str, first: int = 0, count: int = ROWS, text: str = "行") -> list[bytes]:
    return [record(suffix, first + n, n * 7 % 90, f"{text}{n}") for n in range(count)]


def put(work: Work, suffix: str, parts: list[bytes]) -> tuple[Entry, TableBytes]:
    data = HEADS[suffix] + b"".join(parts)
    entry = entry_of_bytes(work.repo.store, f"a.{suffix}".encode(), 0o100644, data)
    work.repo.store.publish()
    table = known_table(work.repo, entry)
    assert table is not None
    return entry, TableBytes(table, RowIndexes(work.repo).get(table))


def check(work: Work, entry: Entry, expected: bytes, *, cached: bool = True) -> None:
    """Its bytes, what the entry says, and what the index says, are as of a table that was stored anew."""
    assert stored(work, entry) == expected
    assert entry == entry_of_bytes(work.repo.store, entry.path, entry.mode, expected)
    table, found = known_table(work.repo, entry), RowIndexes(work.repo).cached(entry.digest)
    assert table is not None
    assert (found is not None) == cached
    if found is None:
        return
    (read,) = build_indexes([table])
    assert found.columns == read.columns
    assert found.rows == read.rows
    cells, others = found.cells(), read.cells()
    assert all((cells[name] == others[name]).all() for name in others)
    assert set(found.pieces["offset"].tolist()) - set(read.pieces["offset"].tolist()) == set()
    shared = np.isin(found.pieces["id"], read.pieces["id"]).mean()
    assert shared > 0.9  # so that versions are compared quickly


def changes() -> list[tuple[list[int], list[int]]]:
    """Rows that go, and rows before which others are put."""
    rng = np.random.default_rng(6)
    some = sorted(rng.choice(ROWS, 12, replace=False).tolist())
    return [
        (some, some[:5]),
        ([], [0, 0, ROWS, ROWS]),
        ([0, ROWS - 1], [1, ROWS - 1]),
        (list(range(700, 1100)), [900]),
        (list(range(ROWS - 200, ROWS)), []),
        (list(range(300)), [0, 299, 300]),
        ([], sorted(rng.integers(0, ROWS + 1, 9).tolist())),
    ]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_are_replaced_wherever_they_stand(tmp_path: Path, suffix: str) -> None:
    work = folder(tmp_path)
    lines, others = records(suffix), records(suffix, 10_000, 20, "neu")
    entry, old = put(work, suffix, lines)
    fresh = in_memory("fresh", HEADS[suffix] + b"".join(others), old.table.kind)
    for touched, before in changes():
        rows = np.arange(len(before)) + 3
        change = Replacement(np.array(touched, np.int64), rows, np.array(before, np.int64))
        expected = []
        for place in range(ROWS + 1):
            expected += [others[row] for row, at in zip(rows.tolist(), before, strict=True) if at == place]
            expected += [lines[place]] if place < ROWS and place not in touched else []
        new = replace_rows(work.repo, entry, old, fresh, change)
        check(work, new, HEADS[suffix] + b"".join(expected))
        assert part_of(old.table, np.array(touched, np.int64), old.index) == HEADS[suffix] + b"".join(
            lines[row] for row in touched
        )


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_cells_are_set_and_rows_dropped_in_one_go(tmp_path: Path, suffix: str) -> None:
    work = folder(tmp_path)
    lines = records(suffix)
    entry, _ = put(work, suffix, lines)
    drop, rows = [0, 77, 78, 3000, ROWS - 1], [1, 79, 2999, 3001, 5000]
    found = edit_artifact(work.repo, entry, Edits(drop, {"n": dict.fromkeys(rows, "33")}))
    expected = [
        record(suffix, n, 33, f"行{n}") if n in rows else line
        for n, line in enumerate(lines)
        if n not in drop
    ]
    check(work, found.artifact.files.entries[0], HEADS[suffix] + b"".join(expected))
    assert found.changed.tolist() == [n for n in rows if n * 7 % 90 != 33]


def test_a_table_that_does_not_end_with_a_line_end_and_one_that_is_compressed(tmp_path: Path) -> None:
    import gzip

    work = folder(tmp_path)
    lines = records("jsonl")
    data = b"".join(lines)
    for path, old, unpack in (
        (b"a.jsonl", data.rstrip(b"\n"), bytes),
        (b"a.jsonl.gz", gzip.compress(data, mtime=0), gzip.decompress),
    ):
        entry = entry_of_bytes(work.repo.store, path, 0o100644, old)
        work.repo.store.publish()
        found = edit_artifact(work.repo, entry, Edits([5, ROWS - 1], {"n": {6: "1"}}))
        new = found.artifact.files.entries[0]
        expected = b"".join([*lines[:5], record("jsonl", 6, 1, "行6"), *lines[7 : ROWS - 1]])
        assert unpack(stored(work, new)).rstrip(b"\n") == expected.rstrip(b"\n")
        table, index = known_table(work.repo, new), RowIndexes(work.repo).cached(new.digest)
        assert table is not None
        assert index is not None
        (read,) = build_indexes([table])
        assert index.columns == read.columns


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_tables_in_columns(tmp_path: Path, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    work = folder(tmp_path)
    table = pa.table(
        {
            "id": pa.array(range(ROWS), pa.int32()),
            "文": pa.array([f"x{n % 5}" if n % 9 else None for n in range(ROWS)]).dictionary_encode(),
            "t": pa.array(np.arange(ROWS), pa.timestamp("ms", "UTC")),
        }
    )
    made = io.BytesIO()
    if suffix == "parquet":
        pq.write_table(table, made, row_group_size=1000)
    else:
        with pa.ipc.new_file(made, table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)
    entry = entry_of_bytes(work.repo.store, f"a.{suffix}".encode(), 0o100644, made.getvalue())
    work.repo.store.publish()
    values = {"文": {4: "neu", 5: None}, "t": {4: "2020-01-02T03:04:05Z"}, "id": {7: "-3"}}
    found = edit_artifact(work.repo, entry, Edits([0, 1999, 2000], values))
    new = found.artifact.files.entries[0]
    data = stored(work, new)
    after = pq.read_table(io.BytesIO(data)) if suffix == "parquet" else pa.ipc.open_file(data).read_all()
    expected = table.to_pylist()
    expected[4] |= {
        "文": "neu",
        "t": pa.scalar("2020-01-02T03:04:05Z").cast(table.schema.field("t").type).as_py(),
    }
    expected[5]["文"] = None
    expected[7]["id"] = -3
    assert after.schema.equals(table.schema)
    assert after.to_pylist() == [row for n, row in enumerate(expected) if n not in (0, 1999, 2000)]
    known, index = known_table(work.repo, new), RowIndexes(work.repo).cached(new.digest)
    assert known is not None
    assert index is not None
    (read,) = build_indexes([known])
    assert index.columns == read.columns
    assert all((index.cells()[name] == hashes).all() for name, hashes in read.cells().items())
