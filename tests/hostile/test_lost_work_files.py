"""Files of `.dsvc/work` that are gone are made again from the newest operation, damaged ones named (F14)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan
from dsvc.model.errors import CorruptDataError, DsvcError, MergeConflictError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.faults import BrokenPromiseError, run_in_child, tried
from tests.porcelain.working import Work

_BASE = {b"a": b"1\n", b"dir/b": b"1\n", "dir/数据 1".encode(): b"1\n", b"other/c": b"1\n", b"both": b"1\n"}


def _begin(folder: Path) -> Work:
    work = Work(folder)
    work.diverge(_BASE, {b"both": b"ours\n"}, {b"both": b"theirs\n", b"new": b"theirs\n", b"dir/b": b"2\n"})
    return work


def _stage(work: Work) -> None:
    work.write({b"a": b"staged\n", b"staged": b"new\n", b"other/c": None})
    work.repo.add([b"a", b"staged", b"other/c"])


def _staged(work: Work) -> None:
    _stage(work)


def _staged_before_others(work: Work) -> None:
    """Verbs that stage nothing came after it."""
    _stage(work)
    work.repo.create_tag("here")
    work.repo.create_branch("away")
    fields = {"title": "a", "acquisition": "api", "legal_basis": "licence"}
    work.repo.source_add("web", [b"dir/b"], fields={**fields, "license_expression": "CC0-1.0"})


def _staged_and_moved(work: Work) -> None:
    """What is staged is carried to another branch."""
    _stage(work)
    work.repo.checkout("HEAD", new_branch="elsewhere")


def _staged_by_reset(work: Work) -> None:
    _stage(work)
    work.repo.reset("HEAD~1", ResetMode.SOFT)


def _detached(work: Work) -> None:
    work.repo.checkout("HEAD~1")
    _stage(work)


def _staged_by_undo(work: Work) -> None:
    _stage(work)
    work.repo.commit("soon taken back")
    work.repo.undo()


def _unborn(work: Work) -> None:
    work.repo.init(str(work.folder) + "-2")
    shutil.rmtree(work.folder)
    os.rename(str(work.folder) + "-2", work.folder)
    work.write({b"a": b"first\n"})
    work.reopen().add(all=True)


def _merging(work: Work) -> None:
    assert work.repo.merge("topic").conflicts


def _picking(work: Work) -> None:
    assert work.repo.cherry_pick("topic").conflicts


def _settled(work: Work) -> None:
    """A conflict was settled: none is open, and the merge goes on."""
    _merging(work)
    work.repo.resolve(b"both", side="theirs")


def _settled_by_adding(work: Work) -> None:
    _merging(work)
    work.write({b"both": b"by hand\n"})
    work.repo.add([b"both"])


def _merging_again(work: Work) -> None:
    """A merge that was given up, and brought back."""
    _merging(work)
    work.repo.merge_abort()
    work.repo.undo()


def _popping(work: Work) -> None:
    work.write({b"both": b"stashed\n"})
    work.repo.stash()
    work.commit("more", {b"both": b"committed\n"})
    assert work.repo.stash_pop().conflicts


def _sparse(work: Work) -> None:
    work.repo.checkout(None, sparse=["dir/", "!other"])


def _sparse_and_staged(work: Work) -> None:
    _sparse(work)
    work.write({b"dir/b": b"staged\n"})
    work.repo.add([b"dir/b"])
    work.repo.create_tag("here")


def _sparse_and_merging(work: Work) -> None:
    _sparse(work)
    _merging(work)


STATES = [
    _staged,
    _staged_before_others,
    _staged_and_moved,
    _staged_by_reset,
    _staged_by_undo,
    _detached,
    _unborn,
    _merging,
    _picking,
    _settled,
    _settled_by_adding,
    _merging_again,
    _popping,
    _sparse,
    _sparse_and_staged,
    _sparse_and_merging,
]
State = Callable[[Work], None]


def _named(state: State) -> str:
    return state.__name__.strip("_")


def _look(repo: Repository) -> object:
    """What a person sees of a repository's state."""
    status = repo.status()
    staged = {entry.path: entry.digest for entry in repo.manifest(repo.staged().root).entries()}
    return status, repo.conflicts(), staged, repo.sparse.patterns


def _copy(work: Work, to: Path) -> Work:
    shutil.copytree(work.folder, to, symlinks=True)
    return Work(to)


def _go_on(work: Work) -> object:
    """Commit, and say what came of it; times and so ids differ."""
    repo = work.reopen()
    try:
        done = repo.commit("on")
    except DsvcError as error:
        return type(error), error.message
    status = repo.status()
    return len(done.parents), done.manifest, work.tree(), status.clean, status.operation, status.sparse


def _files(work: Work) -> list[str]:
    folder = os.path.join(work.repo.layout.work)
    return [name for name in ("staged", "merge", "sparse") if os.path.exists(os.path.join(folder, name))]


@pytest.mark.parametrize("state", STATES, ids=_named)
def test_f14_a_lost_file_is_made_again(fast_path: Path, state: State) -> None:
    work = _begin(fast_path / "data")
    state(work)
    whole, names = _look(work.reopen()), _files(work)
    assert names
    came = _go_on(_copy(work, fast_path / "whole"))
    for number, lost in enumerate([[name] for name in names] + [names]):
        other = _copy(work, fast_path / f"lost{number}")
        for name in lost:
            os.unlink(os.path.join(other.repo.layout.work, name))
        if _look(other.reopen()) != whole:
            raise BrokenPromiseError(f"{lost} was forgotten")
        assert other.repo.fsck(read_data=True).ok
        assert _look(other.reopen()) == whole
        other.repo.gc(grace_seconds=0)
        assert _look(other.reopen()) == whole
        assert _go_on(other) == came
        tried("hostile cases")


_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "zeroed": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("how", _DAMAGE)
@pytest.mark.parametrize("state", [_settled, _sparse_and_merging], ids=_named)
def test_f14_a_damaged_file_is_named_and_repaired(fast_path: Path, state: State, how: str) -> None:
    work = _begin(fast_path / "data")
    state(work)
    whole = _look(work.reopen())
    for name in _files(work):
        other = _copy(work, fast_path / name)
        path = os.path.join(other.repo.layout.work, name)
        data = Path(path).read_bytes()
        Path(path).write_bytes(_DAMAGE[how](data))
        repo = other.reopen()
        if name != "sparse":
            with pytest.raises(CorruptDataError):
                repo.commit("on")
        with pytest.raises(CorruptDataError):
            repo.status()
        assert [defect.id for defect in repo.fsck().defects] == ["F050"]
        repo.create_tag("between")  # an operation that doesn't look at it forgets nothing either
        assert repo.fsck(repair=True).ok
        assert _look(other.reopen()) == whole
        tried("hostile cases")


@pytest.mark.parametrize("end", ["commit", "abort", "reset", "checkout"])
def test_what_was_ended_stays_ended(fast_path: Path, end: str) -> None:
    """The log brings back nothing that there isn't any more."""
    work = _begin(fast_path / "data")
    work.repo.merge("topic")
    if end == "commit":
        with pytest.raises(MergeConflictError):
            work.repo.commit("on")
        work.repo.resolve(b"both", side="ours")
        work.repo.commit("on")
    elif end == "abort":
        work.repo.merge_abort()
    elif end == "reset":
        work.repo.reset("HEAD", ResetMode.HARD)
    else:
        work.repo.checkout("topic", force=True)
    repo = work.reopen()
    assert _files(work) == []
    assert repo.status().operation is None
    assert not repo.status().staged
    repo.create_tag("later")
    work.write({b"a": b"changed\n"})
    repo.add(all=True)
    assert repo.commit("more").parents == (repo.history.revisions.resolve("later"),)


def test_a_branch_that_git_moved_is_not_taken_for_staged_work(fast_path: Path) -> None:
    work = _begin(fast_path / "data")
    topic = work.repo.history.revisions.resolve("topic")
    Path(work.repo.layout.git, "refs/heads/main").write_text(f"{topic}\n")
    assert not work.reopen().status().staged


def test_undo_brings_sparse_patterns_back(fast_path: Path) -> None:
    work = _begin(fast_path / "data")
    full = work.tree()
    work.repo.checkout(None, sparse=["dir/"])
    some = work.tree()
    work.repo.checkout(None, sparse=["other/", "a"])
    others = work.tree()
    assert set(some) | set(others) < set(full)
    assert not set(some) & set(others)
    for wanted, patterns in ((some, ["dir/"]), (full, [])):
        repo = work.reopen()
        repo.undo()
        assert work.tree() == wanted
        assert list(work.reopen().status().sparse) == patterns
        assert work.repo.status().clean


def test_undo_of_a_sparse_switch_to_another_branch(fast_path: Path) -> None:
    work = _begin(fast_path / "data")
    full = work.tree()
    work.repo.checkout("topic", sparse=["dir/", "new"])
    there = work.tree()
    assert set(there) == {b"new", b"dir/b", "dir/数据 1".encode()}
    operation = work.reopen().undo().operation
    assert work.tree() == full
    assert not work.reopen().status().sparse
    work.repo.undo(operation)
    assert work.tree() == there
    assert list(work.reopen().status().sparse) == ["dir/", "new"]
    assert work.repo.status().clean


def test_f1_a_commit_that_is_killed_leaves_the_merge_or_none(fast_path: Path) -> None:
    """At no write a merge that was committed stays in progress, so that it could be given up."""
    work = _begin(fast_path / "data")
    _settled(work)
    topic = work.repo.history.revisions.resolve("topic")
    for number in range(1, 200):
        other = _copy(work, fast_path / f"killed{number}")
        ended = run_in_child(lambda: other.repo.commit("on"), Plan(action=Action.KILL, at=number))  # noqa: B023
        assert ended.error is None
        if not ended.killed:
            assert number > 5
            break
        status, head = other.reopen().status(), other.repo.history.refs.head().commit
        assert head is not None
        made = topic in other.repo.history.read_commit(head).parents
        if made != (status.operation is None):
            raise BrokenPromiseError(f"killed at {number}: committed {made}, in progress {status.operation}")
        tried("kill points")
        shutil.rmtree(other.folder)
