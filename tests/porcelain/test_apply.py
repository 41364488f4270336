"""apply: a patch into the working tree, all of it or nothing, and back with undo."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.diff.patch_format import MalformedPatchError, PatchConflictError, UnsupportedPatchError
from dsvc.model.errors import MalformedInputError, WouldOverwriteError
from tests.porcelain.working import Tree, Work, link, program

TABLE = "标注/表.csv".encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


ROWS = [{"id": number, "v": f"v{number}"} for number in range(20)]
ONE = {
    TABLE: "id,名\n1,甲\n2,乙\n3,丙\n".encode(),
    b"rows.jsonl": b'{"id": 1, "x": [1]}\n{"id": 2}\n',
    b"t.parquet": parquet(ROWS),
    b"packed.csv.gz": gzip.compress(b"id\n1\n2\n", mtime=0),
    b"text": b"a\nb\n",
    b"gone.csv": b"id\n1\n",
    b"gone.parquet": parquet(ROWS[:2]),
    b"link": link(b"text"),
    b"run": b"#!/bin/sh\n",
    b"moves": b"the same\n",
}
TWO = {
    TABLE: "id,名\n1,甲\n3,丁\n4,戊".encode(),
    b"rows.jsonl": b'{"id": 2}\n{"id": 1, "x": [2]}\n',
    b"t.parquet": parquet([*ROWS[:5], {"id": 5, "v": "changed"}, *ROWS[7:], {"id": 99, "v": "new"}]),
    b"packed.csv.gz": gzip.compress(b"id\n1\n2\n3\n", mtime=0),
    b"text": b"a\nB\nc",
    b"gone.csv": None,
    b"gone.parquet": None,
    b"link": link(b"run"),
    b"run": program(b"#!/bin/sh\n"),
    b"moves": None,
    b"moved": b"the same\n",
    b"new/\xff.csv": b"id\n7\n",
    b"new.parquet": parquet(ROWS[:3]),
}


@pytest.fixture
def two(work: Work) -> Work:
    work.commit("one", ONE)
    work.commit("two", TWO)
    return work


def patch(work: Work, old: str = "HEAD~1", new: str | None = "HEAD") -> bytes:
    return b"".join(work.repo.diff_patch(work.repo.diff(old, new)))


def meaning(tree: Tree) -> dict[bytes, object]:
    """Tables of other formats than text by what they hold."""
    found: dict[bytes, object] = {}
    for path, (kind, data) in tree.items():
        if path.endswith(b".parquet"):
            table = pq.read_table(io.BytesIO(data))
            found[path] = (table.schema.to_string(), table.to_pylist())
        else:
            found[path] = (kind, gzip.decompress(data) if path.endswith(b".gz") else data)
    return found


def test_there_back_and_undone(two: Work) -> None:
    raw, after = patch(two), two.tree()
    two.repo.checkout("HEAD~1")
    before, staged = two.tree(), two.staged_state()
    assert two.repo.apply(raw, check=True).undo is None
    assert two.tree() == before
    done = two.repo.apply(raw)
    assert {item.path: item.change for item in done.files}[b"moved"] == "renamed"
    assert meaning(two.tree()) == meaning(after)
    # Text comes out byte for byte; nothing is staged.
    assert all(two.tree()[path] == after[path] for path in after if b"." not in path or b".csv" in path[-4:])
    assert two.staged_state() == staged
    two.repo.apply(raw, reverse=True)
    assert meaning(two.tree()) == meaning(before)
    two.repo.undo()
    assert meaning(two.tree()) == meaning(after)
    two.repo.undo()
    assert two.tree() == before
    assert two.reopen().status().clean


def test_the_counts_of_rows(two: Work) -> None:
    raw = patch(two)
    two.repo.checkout("HEAD~1")
    rows = {item.path: item.rows for item in two.repo.apply(raw).files}
    assert rows[b"t.parquet"] == (1, 1, 1)
    assert rows[TABLE] == (1, 1, 1)
    assert rows[b"text"] is None


def test_git_applies_the_texts(two: Work) -> None:
    raw, after = patch(two), two.tree()
    two.repo.checkout("HEAD~1")
    subprocess.run(["git", "apply", "-"], input=raw, cwd=two.folder, check=True)
    for name in (b"text", b"link", b"run", b"moved", b"new/\xff.csv"):
        assert two.tree()[name] == after[name]


def test_the_patch_of_the_working_tree(work: Work) -> None:
    work.commit("one", ONE)
    work.write({TABLE: TWO[TABLE], b"text": TWO[b"text"], b"t.parquet": TWO[b"t.parquet"]})
    raw, after = patch(work, "HEAD", None), work.tree()
    work.repo.restore([b""])
    work.repo.apply(raw)
    assert meaning(work.tree()) == meaning(after)


def test_a_table_that_has_moved_on_keeps_both_changes(two: Work) -> None:
    raw = patch(two)
    two.repo.checkout("HEAD~1")
    mine = {TABLE: "id,名\n1,我的\n2,乙\n3,丙\n9,新\n".encode()}
    two.write(mine)
    (only,) = [item for item in two.repo.apply(raw).files if item.path == TABLE]
    assert not only.exact
    assert two.tree()[TABLE][1].decode().splitlines() == ["id,名", "1,我的", "3,丁", "4,戊", "9,新"]
    two.repo.undo()
    assert two.tree()[TABLE][1] == mine[TABLE]


def test_nothing_is_written_where_one_file_conflicts(two: Work) -> None:
    raw = patch(two)
    two.repo.checkout("HEAD~1")
    two.write({TABLE: "id,名\n1,甲\n2,乙\n3,我的\n".encode(), b"text": b"other\n", b"new.parquet": b"x"})
    before = two.everything()
    with pytest.raises(PatchConflictError) as caught:
        two.repo.apply(raw)
    assert caught.value.exit_code == 16
    for name in ("表.csv", "3: 名 is", "text", "new.parquet"):
        assert name in caught.value.message
    assert two.everything() == before
    with pytest.raises(PatchConflictError):
        two.repo.apply(raw, check=True)


@pytest.mark.parametrize("path", [b"../out", b"/etc/x", b".dsvc/config", b"a/../../x", b".git/config", b""])
def test_h1_h2_h3_hostile_paths(work: Work, path: bytes) -> None:
    work.commit("one", {b"f": b"x\n"})
    head = b"diff --git a/f b/f\nnew file mode 100644\n"
    text = head + b"--- /dev/null\n+++ b/" + path + b"\n@@ -0,0 +1 @@\n+y\n"
    before = work.everything()
    with pytest.raises(MalformedInputError):
        work.repo.apply(text)
    assert work.everything() == before


def test_h7_h8_no_link_is_followed(work: Work, tmp_path: Any) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(b"x\n")
    work.commit("one", {b"in": link(os.fsencode(tmp_path / "outside"))})
    with pytest.raises((PatchConflictError, WouldOverwriteError)):
        work.repo.apply(b"--- a/in/f\n+++ b/in/f\n@@ -1 +1 @@\n-x\n+y\n")
    with pytest.raises((PatchConflictError, WouldOverwriteError)):
        work.repo.apply(
            b"diff --git a/in/g b/in/g\nnew file mode 100644\n--- /dev/null\n+++ b/in/g\n@@ -0,0 +1 @@\n+y\n"
        )
    assert os.listdir(tmp_path / "outside") == ["f"]


def test_binary_files_are_named_and_refused(work: Work) -> None:
    work.commit("one", {b"model.bin": b"\0\1"})
    work.commit("two", {b"model.bin": b"\0\2", b"more.bin": b"\0"})
    raw = patch(work)
    assert b"Binary files a/model.bin and b/model.bin differ" in raw
    with pytest.raises(UnsupportedPatchError, match=r"model\.bin"):
        work.repo.apply(raw)


def test_a_patch_cut_short(two: Work) -> None:
    raw = patch(two)
    two.repo.checkout("HEAD~1")
    before = two.everything()
    for part in range(1, 30):
        cut = raw[: len(raw) * part // 30]
        try:
            two.repo.apply(cut, check=True)
        except (MalformedPatchError, PatchConflictError, UnsupportedPatchError, MalformedInputError):
            continue
    assert two.everything() == before


def test_what_cannot_be_read_as_a_table_is_patched_as_text(work: Work) -> None:
    work.commit("one", {b"bad.csv": b'id,v\n1,"never closed\n'})
    work.commit("two", {b"bad.csv": b'id,v\n2,"never closed\n'})
    raw = patch(work)
    assert raw.startswith(b"diff --git a/bad.csv b/bad.csv")
    work.repo.checkout("HEAD~1")
    work.repo.apply(raw)
    assert work.tree()[b"bad.csv"][1] == b'id,v\n2,"never closed\n'
