"""Tables in the manifest: one file has one entry, whichever verb stores it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from dsvc.model.errors import UsageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import ChunkClass, Entry, Kind, decode_schema
from dsvc.porcelain.tables.table_rules import MAX_RULES_BYTES, table_rules
from dsvc.porcelain.tree.tree_scan import FORK_FROM
from dsvc.porcelain.tree.worktree_side import entries_now
from dsvc.store.ingest import LARGE_BYTES
from tests.porcelain.diffing import kind_name
from tests.porcelain.working import Work

NAME = "数据/表.csv".encode()
SMALL = b'id,text\n1,"a\nb"\n2,c\n\n'


def long_csv(rows: int, seed: int = 0) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["编号", "文本", "score"])
    writer.writerows([n, f"第{n}行, {seed}\n", n / 7] for n in range(rows))
    return out.getvalue().encode()


def parquet_bytes(rows: int) -> bytes:
    out = io.BytesIO()
    parquet.write_table(
        pa.table({"id": range(rows), "at": pa.array([0] * rows, pa.timestamp("us", tz="UTC"))}), out
    )
    return out.getvalue()


MEDIUM, LARGE = long_csv(3000), long_csv(LARGE_BYTES // 20)
COLUMNS = [("编号", "int64"), ("文本", "string"), ("score", "double")]
FILES = {
    NAME: SMALL,
    b"medium.csv": MEDIUM,
    b"large.csv": LARGE,
    b"x.parquet": parquet_bytes(5),
    b"events.jsonl": b'{"a": 1}\n\n{"a": 2}\n',
    b"list.json": b'[{"a": 1}, {"a": 2}, {"a": [{}]}]',
    b"object.json": b'{"a": 1}',
    b"plain.txt": SMALL,
    b"empty.csv": b"",
    b"broken.csv": b'a,b\n"1,2\n',
    "国标.csv".encode(): "编号,名称\n1,甲\n2,乙\n".encode("gb18030"),
}
ROWS = {
    NAME: 2,
    b"medium.csv": 3000,
    b"large.csv": LARGE_BYTES // 20,
    b"x.parquet": 5,
    b"events.jsonl": 2,
    b"list.json": 3,
    b"broken.csv": None,
    "国标.csv".encode(): 2,
}


def staged(work: Work) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in work.repo.manifest(work.repo.staged().root).entries()}


def test_add_finds_tables_their_rows_and_columns(work: Work) -> None:
    work.write(FILES)
    work.repo.add(all=True)
    found = staged(work)
    tables = {path: entry.rows for path, entry in found.items() if entry.kind == Kind.TABLE}
    assert tables == ROWS
    for path in (b"medium.csv", b"large.csv"):
        schema = found[path].schema
        assert schema is not None
        assert decode_schema(schema) == COLUMNS
        assert found[path].chunk_class == ChunkClass.TEXT
    assert decode_schema(found[b"x.parquet"].schema or b"") == [
        ("id", "int64"),
        ("at", "timestamp[us, tz=UTC]"),
    ]
    assert all(found[path].kind == Kind.TEXT for path in (b"object.json", b"plain.txt", b"empty.csv"))
    assert all(e.rows is None and e.schema is None for e in found.values() if e.kind != Kind.TABLE)
    assert work.reopen().fsck(read_data=True).ok


def test_workers_find_what_one_process_finds(work: Work) -> None:
    work.write(FILES)
    work.repo.add(all=True)
    alone = staged(work)
    work.write({b"many/%d/%d.csv" % (n % 7, n): b"a\n%d\n" % n for n in range(FORK_FROM + 100)})
    work.write({b"again/" + path: data for path, data in FILES.items()})
    work.repo.add(all=True)
    found = staged(work)
    assert all(e.rows == 1 for path, e in found.items() if path.startswith(b"many/"))
    for path, entry in alone.items():
        twin = found[b"again/" + path]
        assert (twin.kind, twin.rows, twin.schema) == (entry.kind, entry.rows, entry.schema)


def test_the_working_tree_has_the_entries_that_add_would_make(work: Work) -> None:
    work.commit("first", dict.fromkeys(FILES, b"before"))
    work.write(FILES)
    now = {e.path: e for e in entries_now(work.repo, b"")}
    work.repo.add(all=True)
    for path, entry in staged(work).items():
        there = now[path]
        assert (there.kind, there.rows, there.schema, there.digest) == (
            entry.kind,
            entry.rows,
            entry.schema,
            entry.digest,
        )


def test_one_root_whatever_brought_the_files(work: Work) -> None:
    roots: set[NodeId] = set()
    work.commit("base", dict.fromkeys(FILES, b"old"))
    work.branch("added")
    work.commit("added", FILES)
    roots.add(work.repo.staged().root)
    # From a stash.
    work.repo.checkout("main")
    work.write(FILES)
    work.repo.stash()
    work.repo.stash_pop()
    work.repo.add(all=True)
    work.repo.commit("popped")
    roots.add(work.repo.staged().root)
    # From a merge of two halves.
    half = dict(list(FILES.items())[::2])
    work.repo.checkout("main~1", new_branch="left")
    work.commit("left", half)
    work.repo.checkout("main~1", new_branch="right")
    work.commit("right", {path: data for path, data in FILES.items() if path not in half})
    assert not work.repo.merge("left").conflicts
    roots.add(work.repo.staged().root)
    # From what undo kept of files that a forced checkout overwrote.
    work.repo.checkout("main~1", new_branch="kept")
    work.write(FILES)
    work.repo.checkout("left", force=True)
    work.repo.undo()
    assert work.tree() == {path: ("file", data) for path, data in FILES.items()}
    work.repo.add(all=True)
    roots.add(work.repo.staged().root)
    assert len(roots) == 1


def test_a_merge_counts_what_it_made(work: Work) -> None:
    base = b"id,n\n" + b"".join(b"%d,0\n" % n for n in range(30))
    work.diverge(
        {b"a.csv": base},
        {b"a.csv": base.replace(b"\n1,0\n", b"\n1,1\n")},
        {b"a.csv": base + b"30,0\n31,0\n"},
    )
    outcome = work.repo.merge("topic")
    assert not outcome.conflicts
    entry = staged(work)[b"a.csv"]
    assert (entry.kind, entry.rows) == (Kind.TABLE, 32)


def test_a_name_makes_a_table_and_takes_it_back(work: Work) -> None:
    work.commit("text", {b"a.txt": MEDIUM, b"b.txt": b"x"})
    work.repo.move(b"a.txt", b"a.csv")
    moved = staged(work)[b"a.csv"]
    assert (moved.kind, moved.rows) == (Kind.TABLE, 3000)
    assert decode_schema(moved.schema or b"") == COLUMNS
    work.repo.move(b"a.csv", b"folder.txt")
    back = staged(work)[b"folder.txt"]
    assert (back.kind, back.rows, back.schema) == (Kind.TEXT, None, None)


def test_resolve_with_a_file_of_another_name(work: Work, tmp_path: Path) -> None:
    rules = b'[tables."*.csv"]\nkey = "id"\n'
    base = {b"dsvc.toml": rules, b"a.csv": b"id,n\n1,1\n"}
    work.diverge(base, {b"a.csv": b"id,n\n1,2\n"}, {b"a.csv": b"id,n\n1,3\n"})
    assert work.repo.merge("topic").conflicts
    settled = tmp_path / "settled.txt"
    settled.write_bytes(b"id,n\n1,4\n2,4\n3,4\n")
    work.repo.resolve(b"a.csv", file=str(settled))
    entry = staged(work)[b"a.csv"]
    assert (entry.kind, entry.rows) == (Kind.TABLE, 3)


def test_diff_and_ls_say_table(work: Work) -> None:
    work.commit("first", {NAME: SMALL, b"x.txt": b"1"})
    work.write({NAME: SMALL + b"3,d\n"})
    assert [kind_name(change) for change in work.repo.diff().changes] == ["table"]
    command = [sys.executable, "-m", "dsvc", "ls", "-r", "--json"]
    done = subprocess.run(command, cwd=work.folder, capture_output=True, check=True)
    listed = {line["path"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert (listed["数据/表.csv"]["kind"], listed["数据/表.csv"]["rows"]) == ("table", 2)
    assert (listed["x.txt"]["kind"], listed["x.txt"]["rows"]) == ("text", None)


# dsvc.toml


def test_rules_of_the_working_tree(work: Work, tmp_path: Path) -> None:
    assert not table_rules(work.repo)
    work.write({b"dsvc.toml": b'[tables."*.csv"]\nkey = "id"\n'})
    assert table_rules(work.repo).for_path(NAME).key == ("id",)
    work.write({b"dsvc.toml": b'[tables."*.csv"]\nkeys = "id"\n'})
    with pytest.raises(UsageError, match=r"dsvc\.toml, line 2") as caught:
        table_rules(work.repo)
    assert caught.value.hint == "did you mean key?"


def test_rules_are_a_file_of_the_tree_and_no_more_than_that(work: Work, tmp_path: Path) -> None:
    outside = tmp_path / "outside.toml"
    outside.write_bytes(b'[tables."*"]\nkey = "id"\n')
    place = work.folder / "dsvc.toml"
    place.symlink_to(outside)
    with pytest.raises(UsageError):
        table_rules(work.repo)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(UsageError):
        table_rules(work.repo)
    place.unlink()
    place.mkdir()
    with pytest.raises(UsageError):
        table_rules(work.repo)
    place.rmdir()
    place.write_bytes(b"#" * MAX_RULES_BYTES)
    assert not table_rules(work.repo)
    place.write_bytes(b"#" * (MAX_RULES_BYTES + 1))
    with pytest.raises(UsageError):
        table_rules(work.repo)
