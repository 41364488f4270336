"""A branch that moves during commit, stale lock files, files that are not what was listed (F33, F34)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from dsvc.fs.failpoints import Plan, armed
from dsvc.history.history import History
from dsvc.history.operations import Operation
from dsvc.model.errors import ConcurrentChangeError, LockedError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.versions.commit import record_commit
from dsvc.testing.faults import tried
from tests.faultkit import commit_all, open_in, repository, write


@pytest.fixture
def root(fast_path: Path) -> str:
    path = str(fast_path / "repo")
    Repository.init(path)
    write(path, {b"first": b"first\n"})
    commit_all(open_in(path), "first")
    return path


def test_f29_a_branch_that_moves_during_commit(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The move comes between reading HEAD and swapping it: 13, and the staged work is still there."""
    with repository(root) as repo, repository(root) as other:
        write(root, {b"mine": b"mine\n"})
        repo.add(all=True)
        head = other.history.refs.head()
        staged = other.staged(head)
        record = History.record

        def move_first(history: History, **what: Any) -> Operation:
            monkeypatch.undo()
            record_commit(other, head, staged.base_root, "theirs", parents=[head.commit], verb="commit")
            return record(history, **what)

        monkeypatch.setattr(History, "record", move_first)
        with pytest.raises(ConcurrentChangeError) as caught:
            repo.commit("mine")
        assert caught.value.exit_code == 13
        assert [c.path for c in repo.status().staged] == [b"mine"]
        again = repo.commit("mine")
        messages = [commit.message.strip() for commit in repo.history.log([again.commit])]
        assert messages == ["mine", "theirs", "first"]
    tried("races")


@pytest.mark.parametrize("age", [3600, -3600])
def test_f33_a_stale_lock_file_of_git(root: str, age: int) -> None:
    """One of an hour ago goes; one that seems to come from the future is waited for, then named."""
    with repository(root) as repo:
        path = Path(repo.layout.git, "refs", "heads", "main.lock")
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
        write(root, {b"file": b"x\n"})
        repo.add(all=True)
        started = time.monotonic()
        if age > 0:
            repo.commit("second")
        else:
            with pytest.raises(LockedError) as caught:
                repo.commit("second")
            assert caught.value.exit_code == 11
            assert "main.lock" in caught.value.message
            path.unlink()
            repo.commit("second")
        assert time.monotonic() - started < 3
        assert repo.fsck().ok


@pytest.mark.parametrize("what", ["grows", "shrinks", "goes", "becomes a folder", "becomes a link"])
def test_f34_a_file_that_is_not_what_was_listed(root: str, what: str) -> None:
    """It changes after the folder was listed, at the moment that it is opened."""
    path = os.path.join(root, "file")
    write(root, {b"file": b"listed\n" * 100, b"before": b"before\n"})
    changed = []

    def change(_number: int, _name: str, at: str) -> None:
        # The pack is opened for the first file, when the folder has been listed.
        if changed or "/tmp/pack-" not in at:
            return
        changed.append(at)
        if what == "grows":
            write(root, {b"file": b"grown\n" * 200})
        elif what == "shrinks":
            os.truncate(path, 10)
        else:
            os.remove(path)
        if what == "becomes a folder":
            write(root, {b"file/inner": b"inner\n"})
        elif what == "becomes a link":
            os.symlink("/etc/passwd", path)

    with repository(root) as repo:
        with armed(Plan(observer=change)):
            result = repo.add(all=True)
        assert changed
        staged = {e.path: e.size for e in repo.manifest_of("STAGED").entries()}
        assert staged[b"before"] == 7
        if what in ("grows", "shrinks"):
            assert staged[b"file"] == {"grows": 1200, "shrinks": 10}[what]
        else:
            assert b"file" in {s.path for s in result.skipped}
            assert b"file" not in staged
        repo.add(all=True)
        assert repo.status().unstaged == []
    tried("races")
