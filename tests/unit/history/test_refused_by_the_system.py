"""History on a disk that refuses: errors are typed and name what they are about; nothing moves by halves."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from dsvc.fs import boot
from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.fs.flushing import Unflushed
from dsvc.history import ref_lock
from dsvc.history.history import History
from dsvc.history.loose_reader import LooseReader
from dsvc.history.ref_files import RefFiles, read_bounded
from dsvc.history.ref_name import short_name
from dsvc.history.reflog import Reflogs
from dsvc.history.refs import RefChange, RefMovedError
from dsvc.model.errors import (
    CorruptDataError,
    LockedError,
    MalformedInputError,
    MissingDataError,
    StorageError,
    UsageError,
)
from dsvc.model.ids import CommitId, NodeId
from tests.historykit import MAIN, WHO, Killed, Repo
from tests.readkit import reading


def is_circle(path: Path) -> None:
    """Make a name that leads to itself."""
    path.symlink_to(path.name)


def test_a_ref_that_can_not_be_read(repo: Repo) -> None:
    repo.commit()
    with reading("refs/heads/main", error=errno.EIO), pytest.raises(StorageError) as caught:
        repo.history.refs.get(MAIN)
    assert caught.value.details["errno"] == "EIO"
    assert str(caught.value.details["path"]).endswith("refs/heads/main")


def test_a_link_in_place_of_a_ref(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("0" * 40)
    repo.path("refs/heads/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError) as caught:
        repo.history.refs.get("refs/heads/link")
    assert caught.value.details["errno"] == "ELOOP"


def test_what_is_longer_than_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(str(path), 5) == b"12345"
    with pytest.raises(MalformedInputError, match="more than 4 bytes"):
        read_bounded(str(path), 4)
    with reading("file", at_most=2):
        assert read_bounded(str(path), 5) == b"12345"
    assert read_bounded(str(tmp_path), 5) is None
    assert read_bounded(str(path / "below"), 5) is None


def test_folders_of_refs_that_can_not_be_listed(tmp_path: Path) -> None:
    is_circle(tmp_path / "refs")
    with pytest.raises(StorageError) as caught:
        RefFiles(str(tmp_path)).names("refs/heads/")
    assert caught.value.details["errno"] == "ELOOP"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        RefFiles(str(tmp_path / "file")).packed()
    assert caught.value.details["errno"] == "ENOTDIR"


def test_a_missing_head(repo: Repo) -> None:
    repo.path("HEAD").unlink()
    with pytest.raises(CorruptDataError, match="HEAD is missing"):
        repo.history.refs.head()


def test_a_ref_is_named_once_in_an_update(repo: Repo) -> None:
    first = repo.commit()
    with pytest.raises(UsageError, match="twice"):
        repo.move(RefChange(MAIN, first, None), RefChange(MAIN, None, first))
    assert repo.history.refs.get(MAIN) == first


def test_short_names_of_what_stands_elsewhere() -> None:
    assert short_name("HEAD") == "HEAD"
    assert short_name("refs/dsvc/operations") == "dsvc/operations"


# Objects


def test_objects_that_can_not_be_read(repo: Repo) -> None:
    made = repo.commit()
    with reading(f"objects/{made[:2]}/{made[2:]}", error=errno.EIO), pytest.raises(StorageError):
        LooseReader(repo.git_dir).read(made)
    folder = repo.path(f"objects/{made[:2]}")
    folder.rename(folder.with_name("away"))
    is_circle(folder)
    reader = LooseReader(repo.git_dir)
    for call in (lambda: reader.read(made), lambda: reader.expand(made[:6]), lambda: reader.expand(made[:1])):
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.details["errno"] == "ELOOP"


def test_without_folders_of_objects_and_packs(repo: Repo) -> None:
    nothing = CommitId("0" * 40)
    reader = LooseReader(repo.git_dir)
    (repo.path("objects/pack")).rmdir()
    with pytest.raises(MissingDataError):
        reader.read(nothing)
    assert reader.expand("0") == []
    repo.path("objects/00").write_bytes(b"not a folder")
    with pytest.raises(MissingDataError):
        reader.read(nothing)
    assert reader.expand("00") == []


def test_an_object_of_no_known_type_is_not_written(repo: Repo) -> None:
    before = sorted(repo.path("objects").rglob("*"))
    with pytest.raises(MalformedInputError, match="unknown type"):
        repo.history._writer.write([("blob", b"first"), ("blub", b"second")])
    assert sorted(path for path in repo.path("objects").rglob("*") if path.is_file()) == [
        path for path in before if path.is_file()
    ]


def test_tags_of_tags_end(repo: Repo) -> None:
    target = repo.commit()
    chain: CommitId = target
    for number in range(10):
        data = (
            f"object {chain}\ntype {'tag' if number else 'commit'}\ntag t{number}\n"
            "tagger A <a@example.org> 1 +0000\n\nt\n"
        ).encode()
        (chain,) = repo.history._writer.write([("tag", data)])
        if number < 3:
            assert repo.history.peel(chain) == target
    with pytest.raises(MalformedInputError, match="leads to a tag"):
        repo.history.peel(chain)


def test_counts_that_no_commit_has(repo: Repo) -> None:
    for count in (-1, 1 << 63):
        with pytest.raises(MalformedInputError, match="a commit of"):
            repo.history.commit(**commit_of(files=count, size=0))
        with pytest.raises(MalformedInputError, match="a commit of"):
            repo.history.commit(**commit_of(files=0, size=count))


def commit_of(*, files: int, size: int) -> dict[str, Any]:
    return {
        "parents": (),
        "manifest": NodeId(bytes(32)),
        "files": files,
        "bytes": size,
        "message": "x",
        "author": WHO,
        "committer": WHO,
        "branch": MAIN,
        "expected": None,
    }


def test_objects_of_a_push_are_seen_beside_ones_own(repo: Repo, tmp_path: Path) -> None:
    mine = repo.commit()
    other = Repo(tmp_path)
    theirs = other.commit(message="pushed")
    history = History(repo.git_dir, repo.lock_path, False, incoming=os.path.join(other.git_dir, "objects"))
    assert history.read_commit(mine).id == mine
    assert history.read_commit(theirs).id == theirs
    assert theirs in history.odb.expand(theirs[:4])
    assert mine in history.odb.expand(mine[:4])
    assert history.odb.has(mine)
    assert history.odb.has(theirs)
    nothing = CommitId("0" * 40)
    assert not history.odb.has(nothing)
    with pytest.raises(MissingDataError):
        history.odb.read(nothing)
    assert not repo.history.odb.has(theirs), "only the one that was told where they are"


def test_ancestors(repo: Repo) -> None:
    first, second, third = repo.line(3)
    side = repo.commit(first, branch=None, message="side")
    alone = repo.commit(branch=None, message="alone")
    history = repo.history
    assert history.merge_base(third, side) == first
    assert history.merge_bases(third, side) == [first]
    assert history.merge_base(third, alone) is None
    assert history.is_ancestor(second, third)
    assert history.is_ancestor(third, third)
    assert not history.is_ancestor(third, second)


# Locks of refs


def take_lock(path: object) -> None:
    with Unflushed(durable=True) as unflushed:
        ref_lock.take(str(path), b"data", unflushed, durable=False)
        unflushed.flush()


def test_a_lock_file_that_can_not_be_filled_goes(tmp_path: Path) -> None:
    path = tmp_path / "a" / "ref.lock"
    take_lock(path)
    assert path.read_bytes() == b"data"
    os.unlink(path)
    with armed(Plan(action=Action.EIO, at=2)), pytest.raises(StorageError):
        take_lock(path)
    assert os.listdir(path.parent) == []


def test_a_lock_below_a_file_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        take_lock(tmp_path / "file" / "ref.lock")


def test_a_folder_that_somebody_removes_again_and_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def meanwhile(_number: int, name: str, _path: str) -> None:
        if name == "open" and folder.exists():
            folder.rmdir()

    with armed(Plan(observer=meanwhile)), pytest.raises(LockedError):
        take_lock(folder / "ref.lock")


@pytest.mark.parametrize("text", [None, "", "cpu 1 2\n", "btime\n", "btime soon\n"])
def test_a_system_that_says_not_when_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    path = tmp_path / "stat"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(boot, "open", lambda _, **how: path.open(**how), raising=False)
    assert boot.boot_seconds() == 0.0
    lock = tmp_path / "ref.lock"
    lock.write_bytes(b"")
    assert not ref_lock.is_stale(str(lock))
    os.utime(lock, (1, 1))
    assert ref_lock.is_stale(str(lock)), "its age tells"
    lock.unlink()
    assert not ref_lock.is_stale(str(lock))


# Logs of refs


def logs(repo: Repo) -> Reflogs:
    return Reflogs(repo.git_dir, durable=False)


def test_logs_that_can_not_be_read(repo: Repo) -> None:
    first = repo.commit()
    with reading("logs/refs/heads/main", error=errno.EIO), pytest.raises(StorageError) as caught:
        logs(repo).read(MAIN)
    assert str(caught.value.details["path"]).endswith("logs/refs/heads/main")
    path = repo.path("logs/refs/heads/main")
    path.unlink()
    is_circle(path)
    with pytest.raises(StorageError) as caught:
        logs(repo).read(MAIN)
    assert caught.value.details["errno"] == "ELOOP"
    with pytest.raises(StorageError), Unflushed(durable=True) as unflushed:
        logs(repo).append(MAIN, b"line\n", unflushed)
    assert repo.history.refs.get(MAIN) == first


def test_a_folder_where_a_log_would_be_is_no_log(repo: Repo) -> None:
    repo.path("logs/refs/heads/folder").mkdir(parents=True)
    assert logs(repo).read("refs/heads/folder") == []


def test_a_log_is_inherited_once(repo: Repo) -> None:
    first, second = repo.line(2)
    refs = repo.history.refs
    refs.inherit_reflog("refs/heads/other", MAIN)
    refs.inherit_reflog("refs/heads/other", MAIN)
    found = logs(repo).read("refs/heads/other")
    assert [entry.new for entry in found] == [second, first]
    assert found == logs(repo).read(MAIN)
    refs.inherit_reflog("refs/heads/third", "refs/heads/nothing")
    assert logs(repo).read("refs/heads/third") == []


def test_logs_of_deleted_refs_make_way(repo: Repo) -> None:
    first = repo.commit()
    for name, later in (("refs/heads/a", "refs/heads/a/b"), ("refs/heads/c/d", "refs/heads/c")):
        repo.move(RefChange(name, None, first))
        repo.move(RefChange(name, first, None))
        repo.move(RefChange(later, None, first))
        assert [entry.new for entry in logs(repo).read(later)] == [first]
        assert [entry.new for entry in logs(repo).read(name)] == [None, first], "kept aside"


def test_a_ref_that_moved_is_told(repo: Repo) -> None:
    first, second = repo.line(2)
    with pytest.raises(RefMovedError):
        repo.move(RefChange(MAIN, first, second))
    assert repo.history.refs.get(MAIN) == second


# Moves of several refs


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ref_lock, "WAIT_SECONDS", 0.05)


def test_a_folder_with_something_in_it_where_a_ref_goes(repo: Repo, quick: None) -> None:
    first = repo.commit()
    other = repo.path("refs/heads/taken/.other")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"not a ref")
    with pytest.raises(LockedError):
        repo.move(RefChange("refs/heads/free", None, first), RefChange("refs/heads/taken", None, first))
    assert repo.history.refs.list("refs/heads/") == {MAIN: first}
    assert other.read_bytes() == b"not a ref"
    assert list(repo.path(".").rglob("*.lock")) == []


def stopped_after_the_commit_point(repo: Repo, killed: Killed, first: CommitId) -> None:
    """A move of two refs, killed when it was decided and nothing was moved yet."""
    changes = [RefChange(f"refs/heads/{name}", None, first) for name in ("one", "two")]
    for at in range(1, 60):
        assert killed(lambda: repo.move(*changes), Plan(action=Action.KILL, at=at)), "it ran through"
        if any("committed" in path.name for path in repo.path(".").iterdir()):
            return


@pytest.mark.parametrize("foreign", ["file", "fifo"])
def test_a_decided_move_waits_for_another_tool(repo: Repo, killed: Killed, quick: None, foreign: str) -> None:
    first = repo.commit()
    stopped_after_the_commit_point(repo, killed, first)
    lock = repo.path("refs/heads/two.lock")
    lock.unlink(missing_ok=True)
    if foreign == "fifo":
        os.mkfifo(lock)
    else:
        lock.write_bytes(b"another tool's")
    with pytest.raises(LockedError):
        repo.move(RefChange("refs/heads/three", None, first))
    assert [path.name for path in repo.path("refs/heads").glob("*.lock")] == ["two.lock"]
    lock.unlink()
    expected = {MAIN: first, "refs/heads/one": first, "refs/heads/two": first}
    assert repo.open().refs.list("refs/heads/") == expected
    assert list(repo.path(".").rglob("*.lock")) == []


def test_an_operation_is_read_by_its_id(repo: Repo) -> None:
    repo.line(2)
    newest, first = repo.history.operations
    assert newest.id is not None
    assert repo.history.operations.read(newest.id) == newest
    assert (newest.verb, newest.arguments) == ("commit", ("-m", "change 2"))
    assert first.arguments == ("-m", "change 1")
    with pytest.raises(MissingDataError):
        repo.history.operations.read(CommitId("0" * 40))
