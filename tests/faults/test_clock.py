"""F24: clocks that jump by ten and twenty years; order comes from the graph, nothing is deleted early."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from dsvc.model.errors import MissingDataError
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check, commit_contents
from dsvc.testing.faults import tried
from tests.faultkit import commit_all, open_in, repository, write

ROOT = Path(__file__).resolve().parents[2]


def _at(offset: str, root: str, *arguments: str, code: int = 0) -> str:
    """Run the program by another clock; what it says, warnings too."""
    program = shutil.which("faketime")
    if program is None:
        pytest.skip("faketime is not installed")
    command = [program, "-f", offset, sys.executable, "-m", "dsvc", "-C", root, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("offset", ["-10y", "+20y"])
def test_f24_a_clock_that_jumps(fast_path: Path, offset: str) -> None:
    root = str(fast_path / "repo")
    Repository.init(root)
    write(root, {b"file": b"one\n", b"gone": b"needed by the first\n"})
    with repository(root) as repo:
        first = commit_all(repo, "first")
    write(root, {b"file": b"two\n"})
    os.remove(os.path.join(root, "gone"))
    _at(offset, root, "add", "--all")
    said = _at(offset, root, "commit", "-m", "second, at another time")
    # A commit that is dated before its parent says so, whichever of the two is wrong.
    assert (f"the parent {first[:12]} is dated" in said) == (offset == "-10y")
    write(root, {b"file": b"three\n"})
    with repository(root) as repo:
        repo.add(all=True)
        second = repo.history.refs.head().commit
        assert second is not None
        warnings = [each for each in repo.commit("third").warnings if "a clock is or was wrong" in each]
        assert [second[:12] in each for each in warnings] == [True] * (offset == "+20y")
        messages = [entry.commit.message.strip() for entry in repo.log()]
        assert messages == ["third", "second, at another time", "first"]
        write(root, {b"scratch": b"staged, then forgotten\n"})
        repo.add(all=True)
        repo.reset("HEAD", paths=[b"scratch"])
    _at(offset, root, "gc")
    with repository(root) as repo:
        assert commit_contents(repo, first) == {b"file": b"one\n", b"gone": b"needed by the first\n"}
        contents = {entry.commit.id: commit_contents(repo, entry.commit.id) for entry in repo.log()}
        # The staged state of before is what undo goes back to.
        repo.undo()
        assert [c.path for c in repo.status().staged] == [b"scratch"]
    # A status by the other clock sees the same edit.
    write(root, {b"file": b"four\n"})
    assert "file" in _at(offset, root, "status")
    check(root, Expected(commits=contents), rerun=lambda r: open_in(r.root).add(all=True))
    tried("clock jumps")


def _unneeded(root: str) -> tuple[bytes, bytes]:
    """Two contents as an add leaves them that was killed before it staged them."""
    one, two = (os.urandom(4000) for _ in range(2))
    with repository(root) as repo:
        for data in (one, two):
            with repo.changing():
                repo.store.put_chunk(blake3(data).digest(), data, raw=False)
                repo.store.publish()
    return one, two


def _stored(root: str, data: bytes) -> bool:
    with repository(root) as repo:
        try:
            return bytes(repo.store.get(blake3(data).digest())) == data
        except MissingDataError:
            return False


@pytest.mark.parametrize("before", [(), ("add", "--all")], ids=["at once", "after an add"])
def test_f24_gc_by_a_clock_of_the_future_deletes_no_trash(fast_path: Path, before: tuple[str, ...]) -> None:
    """Its grace begins anew, and once more when the clock is right again; then it is over as ever."""
    root = str(fast_path / "repo")
    Repository.init(root)
    write(root, {b"kept": b"kept\n"})
    with repository(root) as repo:
        commit_all(repo, "first")
    data = _unneeded(root)
    _at("+30d", root, "gc")
    assert _trashed(root)
    # Grace begins anew where a clock has jumped: no gc deletes, however often it runs by that clock.
    for _ in range(2):
        if before:
            _at("+20y", root, *before)
        assert json.loads(_at("+20y", root, "gc", "--dry-run", "--json"))["deleted"] == 0
        _at("+20y", root, "gc")
    assert all(_stored(root, each) for each in data)
    # Back again: what is dated in the future is dated now.
    for offset in ("+31d", "+40d"):
        _at(offset, root, "gc")
    assert all(_stored(root, each) for each in data)
    _at("+46d", root, "gc")
    assert not _trashed(root)
    assert not any(_stored(root, each) for each in data)
    with repository(root) as repo:
        assert repo.fsck(read_data=True).ok
    tried("clock jumps", 2)


def _trashed(root: str) -> list[Path]:
    return sorted(Path(root, ".dsvc/trash").glob("*/*.pack"))


@pytest.mark.parametrize("offset", ["-10y", "+20y"])
def test_f24_caches_of_another_time_hide_no_change(fast_path: Path, offset: str) -> None:
    """A stat cache written by a clock that is wrong is no proof, nor are files that are dated by it."""
    root = str(fast_path / "repo")
    Repository.init(root)
    write(root, {b"one": b"1111\n", b"two": b"2222\n"})
    _at(offset, root, "add", "--all")
    _at(offset, root, "commit", "-m", "first")
    _at(offset, root, "status")
    path = os.path.join(root, "one")
    seconds = os.stat(path).st_mtime + (20 if offset[0] == "+" else -10) * 365 * 86400
    write(root, {b"one": b"3333\n"})
    os.utime(path, (seconds, seconds))
    for clock in (offset, "+0"):
        said = json.loads(_at(clock, root, "status", "--json"))
        assert [each["path"] for each in said["unstaged"]] == ["one"]
    write(root, {b"two": b"4444\n"})
    said = json.loads(_at("+0", root, "status", "--json"))
    assert [each["path"] for each in said["unstaged"]] == ["one", "two"]
    tried("clock jumps")


@pytest.mark.parametrize("offset", ["-10y", "+20y"])
def test_f24_f33_a_lock_is_held_by_who_holds_it_whatever_the_clock_says(fast_path: Path, offset: str) -> None:
    """And one that nobody holds any more is free at once, however young or old its file is."""
    root = str(fast_path / "repo")
    Repository.init(root)
    write(root, {b"file": b"file\n"})
    with repository(root) as repo, repo.changing():
        repo.config.set("core.lockTimeout", "0")
        assert "held by process" in _at(offset, root, "add", "--all", code=11)
    _at(offset, root, "add", "--all")
    with repository(root) as repo:
        assert [each.path for each in repo.status().staged] == [b"file"]
    tried("clock jumps")
