"""normalize: what it rewrites, what it leaves alone, undo, on add, killed, and what gc keeps."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import MissingDataError, NotFoundError, StorageError
from dsvc.model.manifest import ChunkClass
from dsvc.store.chunk_list import chunks_of
from tests.porcelain.working import Work, link, program
from tests.slim import in_slim_process

CN = "数据/评价.parquet".encode()


def parquet(rows: int = 3000, seed: int = 0) -> bytes:
    out = io.BytesIO()
    table = pa.table({"id": range(rows), "文": [f"行 {(n * 7919 + seed) % 10007}" for n in range(rows)]})
    pq.write_table(table, out)
    return out.getvalue()


OLD, ENCRYPTED = parquet(), b"PAR1" + b"\0" * 60 + b"PARE"


def values(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def content(work: Work, path: bytes) -> bytes:
    return Path(os.fsdecode(work.path(path))).read_bytes()


def test_a_folder_is_rewritten_and_brought_back(work: Work) -> None:
    work.commit("base", {CN: OLD, b"a.csv": b"id\n1\n", b"run": program(OLD), b"l": link(CN)})
    work.write({b"untracked.pq": OLD, b".dsvcignore": b"ignored*\n", b"ignored.parquet": OLD})
    before = work.tree()
    result = work.repo.normalize([b""])
    assert [(f.path, f.old_size, f.changed) for f in result.files] == [
        (b"run", len(OLD), True),
        (b"untracked.pq", len(OLD), True),
        (CN, len(OLD), True),
    ]
    assert all(f.new_size == len(content(work, f.path)) for f in result.files)
    for path in (CN, b"run", b"untracked.pq"):
        assert content(work, path) != OLD
        assert values(content(work, path)).equals(values(OLD))
    assert os.access(work.path(b"run"), os.X_OK)
    assert {p: v for p, v in work.tree().items() if p not in (CN, b"run", b"untracked.pq")} == {
        p: v for p, v in before.items() if p not in (CN, b"run", b"untracked.pq")
    }
    assert {c.path for c in work.repo.status().unstaged} == {CN, b"run"}
    rewritten = work.tree()
    undone = work.repo.undo()
    assert work.tree() == before
    assert not work.repo.status().unstaged
    work.repo.undo(undone.operation)
    assert work.tree() == rewritten


def test_a_second_time_changes_nothing(work: Work) -> None:
    work.write({CN: OLD})
    work.repo.normalize([CN])
    first = os.stat(work.path(CN))
    result = work.repo.normalize([CN])
    assert [f.changed for f in result.files] == [False]
    assert result.undo is None
    assert os.stat(work.path(CN)) == first


def test_permissions_stay(work: Work) -> None:
    work.write({CN: OLD})
    os.chmod(work.path(CN), 0o640)
    work.repo.normalize([CN])
    assert os.stat(work.path(CN)).st_mode & 0o777 == 0o640


def test_a_preview_writes_nothing(work: Work) -> None:
    work.write({CN: OLD})
    result = work.repo.normalize([b"\xe6\x95\xb0\xe6\x8d\xae"], dry_run=True)
    assert [f.changed for f in result.files] == [True]
    assert result.undo is None
    assert content(work, CN) == OLD
    assert os.listdir(work.repo.layout.temporary) == []


def test_text_needs_nothing_and_a_missing_file_is_named(work: Work) -> None:
    work.write({b"a.csv": b"id\n1\n", b"b.jsonl": b"{}\n"})
    result = work.repo.normalize([b"a.csv", b"b.jsonl"])
    assert [(f.path, f.changed) for f in result.files] == [(b"a.csv", False), (b"b.jsonl", False)]
    with pytest.raises(NotFoundError):
        work.repo.normalize(["没有.parquet".encode()])


def test_what_cannot_be_rewritten_is_left_and_named(work: Work) -> None:
    cut = OLD[: len(OLD) // 2]
    work.write({b"e.parquet": ENCRYPTED, b"cut.parquet": cut, CN: OLD})
    result = work.repo.normalize([b""])
    assert [f.path for f in result.files] == [CN]
    assert {s.path for s in result.skipped} == {b"e.parquet", b"cut.parquet"}
    assert content(work, b"e.parquet") == ENCRYPTED
    assert content(work, b"cut.parquet") == cut
    assert os.listdir(work.repo.layout.temporary) == []


def test_add_rewrites_only_where_the_setting_says_so(work: Work) -> None:
    work.commit("base", {b"old.parquet": OLD})
    work.write({CN: OLD, b"a.csv": b"1\n"})
    assert work.repo.add(all=True, dry_run=True).normalized == []
    assert work.repo.add(all=True).normalized == []
    work.repo.undo()
    work.repo.config.set("tables.normalize", "true")
    assert work.repo.add(all=True, dry_run=True).normalized == []
    assert content(work, CN) == OLD
    work.write({b"cut.parquet": OLD[:5000]})
    result = work.repo.add(all=True)
    assert [f.path for f in result.normalized] == [CN]
    assert content(work, b"old.parquet") == OLD, "what didn't change is left alone"
    assert any("cut.parquet" in warning for warning in result.warnings)
    assert result.added == 3
    assert work.repo.open(CN, "STAGED").read() == content(work, CN) != OLD
    assert work.repo.open(b"cut.parquet", "STAGED").read() == OLD[:5000]
    work.repo.undo()
    work.repo.undo()
    assert content(work, CN) == OLD


def test_commit_all_rewrites_too(work: Work) -> None:
    work.commit("base", {CN: OLD})
    work.repo.config.set("tables.normalize", "true")
    work.write({CN: parquet(seed=5)})
    work.repo.commit("second", all=True)
    assert values(content(work, CN)).equals(values(parquet(seed=5)))
    assert content(work, CN) != parquet(seed=5)
    assert work.repo.open(CN, "HEAD").read() == content(work, CN)


@pytest.mark.parametrize("rows", [3000, 1_200_000], ids=["small", "large"])
def test_rewritten_files_are_cut_finely_whatever_was_there(work: Work, rows: int) -> None:
    work.commit("plain", {CN: parquet(rows)})
    work.repo.normalize([CN])
    work.repo.commit("rewritten", all=True)
    entry = work.repo.manifest_of("HEAD").get(CN)
    assert entry is not None
    assert entry.chunk_class == ChunkClass.PAGED
    assert work.repo.open(CN, "HEAD").read() == content(work, CN)
    assert not work.repo.fsck(read_data=True).defects


def chunks(work: Work, rev: str) -> dict[bytes, int]:
    entry = work.repo.manifest_of(rev).get(CN)
    assert entry is not None
    return {c.id: c.length_bytes for c in chunks_of(work.repo.store, entry) if c.id is not None}


def test_versions_share_what_is_equal(work: Work) -> None:
    work.repo.config.set("tables.normalize", "true")
    rows = 200_000
    first = pa.table({"id": range(rows), "t": [f"text {n * 7919 % 100_003}" for n in range(rows)]})
    kept = pa.array([n % 50_000 != 17 for n in range(rows)])
    for message, table in (("first", first), ("second", first.filter(kept))):
        out = io.BytesIO()
        pq.write_table(table, out)
        work.commit(message, {CN: out.getvalue()})
    old, new = chunks(work, "HEAD~1"), chunks(work, "HEAD")
    assert sum(new[c] for c in new.keys() - old.keys()) < sum(new.values()) / 20


def test_gc_keeps_the_old_bytes_for_its_grace_and_no_longer(work: Work) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"x": np.random.default_rng(1).random(100_000)}), out)
    work.write({CN: out.getvalue()})
    work.repo.normalize([CN])
    work.commit("rewritten")
    whole = work.repo.usage().stored_bytes
    work.repo.gc(grace_seconds=3600)
    assert work.repo.usage().stored_bytes > whole * 0.9
    time.sleep(1.1)  # operations are dated to the second
    work.repo.gc(grace_seconds=0)
    work.reopen()
    assert work.repo.usage().stored_bytes < whole * 0.6
    assert not work.repo.fsck(read_data=True).defects
    assert work.repo.open(CN, "HEAD").read() == content(work, CN)
    work.repo.undo()
    work.repo.undo()
    with pytest.raises(MissingDataError):
        work.repo.undo()
    assert values(content(work, CN)).equals(values(out.getvalue()))


def test_a_full_disk_changes_nothing(work: Work) -> None:
    work.commit("base", {CN: OLD})
    before = work.tree()
    for at in range(1, 40, 3):
        with armed(Plan(action=Action.ENOSPC, at=at, persistent=True)):
            try:
                work.repo.normalize([CN])
                break
            except StorageError:
                pass
        assert work.tree() == before
        assert values(work.repo.open(CN, "HEAD").read()).equals(values(OLD))
        work.reopen()


def killed_at(work: Work, at: int) -> bool:
    repo = work.open()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            with armed(Plan(action=Action.KILL, at=at)):
                repo.normalize([b""])
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


@in_slim_process
def test_killed_anywhere_no_byte_is_lost(fast_path: Path) -> None:
    files = {CN: OLD, b"b.parquet": parquet(500, 3)}
    at = 1
    while True:
        work = Work(fast_path / str(at))
        work.commit("base", files)
        killed = killed_at(work, at)
        repo = work.reopen()
        for path, data in files.items():
            assert values(content(work, path)).equals(values(data)), "a whole file, old or new"
        changed = [path for path, data in files.items() if content(work, path) != data]
        assert {c.path for c in repo.status().unstaged} == set(changed)
        if changed:
            repo.undo()
            assert all(content(work, path) == data for path, data in files.items())
        assert not repo.fsck(read_data=True).defects
        if not killed:
            break
        at += 1
    assert at > 10
