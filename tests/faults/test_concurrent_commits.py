"""P6: many processes on one repository; one winner each time, nothing lost, readers never wrong."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsvc.history.operations import Operation
from dsvc.model.errors import ConcurrentChangeError, DsvcError, LockedError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.versions.commit import NothingToCommitError
from dsvc.store.materialize import read_content
from dsvc.testing.checker import check_fsck, commit_contents, opened
from tests.faultkit import commit_all, open_in, repository, write
from tests.racekit import FORK, together

_PROCESSES = 8
_ROUNDS = 5


def _ready(root: Path, files: dict[bytes, bytes] | None = None) -> str:
    root.mkdir()
    Repository.init(str(root))
    write(root, files or {b"base": b"base\n"})
    with repository(str(root)) as repo:
        commit_all(repo, "base")
    return str(root)


def _commit_own(root: str, number: int) -> list[tuple[str | None, bytes, bytes]]:
    """Add and commit an own file, several times; returns what was acknowledged."""
    done: list[tuple[str | None, bytes, bytes]] = []
    path = b"own/%d" % number
    for round_ in range(_ROUNDS):
        data = b"%d %d\n" % (number, round_) * (1 + number * 300)
        write(root, {path: data})
        repo = open_in(root)
        try:
            repo.add([path])
        except LockedError:
            continue
        try:
            done.append((repo.commit(f"{number} {round_}").commit, path, data))
        except NothingToCommitError:
            # Another process has committed all that was staged, this too.
            done.append((None, path, data))
        except (LockedError, ConcurrentChangeError):
            continue
    return done


def test_f29_eight_writers_lose_nothing(fast_path: Path) -> None:
    root = _ready(fast_path / "data")
    jobs = [lambda n=n: _commit_own(root, n) for n in range(_PROCESSES)]
    acknowledged = [item for done in together(jobs) for item in done]
    assert len(acknowledged) >= _PROCESSES * _ROUNDS // 2
    with opened(root) as repo:
        head = repo.history.refs.head().commit
        assert head is not None
        history = {commit.id: commit_contents(repo, commit.id) for commit in repo.history.log([head])}
        for commit, path, data in acknowledged:
            if commit is not None:
                assert history[commit][path] == data
            else:
                assert any(contents.get(path) == data for contents in history.values())
        # A line of commits, one each: none was made on a branch that had moved meanwhile.
        made = [commit for commit, _, _ in acknowledged if commit is not None]
        assert len(set(made)) == len(made) == len(history) - 1
        assert all(len(repo.history.read_commit(id_).parents) <= 1 for id_ in history)
        check_fsck(repo)


def _race(root: str, old: Any, number: int) -> tuple[str, str]:
    """Move main from `old` to an own commit, at the level of the history."""
    repo = open_in(root)
    who = repo.signature()
    prepared = repo.history.commit(
        parents=(old,),
        manifest=repo.history.read_commit(old).manifest,
        files=1,
        bytes=5,
        message=f"by {number}",
        author=who,
        committer=who,
        branch="refs/heads/main",
        expected=old,
    )
    operation = Operation(
        id=None,
        verb="commit",
        arguments=(),
        seconds=who.seconds,
        refs=(),
        head_before="",
        head_after="",
        staged_before=None,
        staged_after=None,
        discarded=None,
        undone=None,
        who=who,
        note="",
    )
    try:
        repo.history.record(
            changes=prepared.changes,
            operation=operation,
            message="race",
            who=who,
            new_objects=prepared.objects,
        )
    except ConcurrentChangeError:
        return "lost", str(prepared.id)
    return "won", str(prepared.id)


def test_f29_one_winner_of_each_race(fast_path: Path) -> None:
    root = _ready(fast_path / "data")
    for _ in range(6):
        with repository(root) as repo:
            old = repo.history.refs.get("refs/heads/main")
            operations = len(repo.operations())
            reflog = len(repo.reflog("refs/heads/main"))
        results = together([lambda n=n, old=old: _race(root, old, n) for n in range(_PROCESSES)])
        winners = [commit for outcome, commit in results if outcome == "won"]
        assert len(winners) == 1
        with repository(root) as repo:
            assert repo.history.refs.get("refs/heads/main") == winners[0]
            assert len(repo.operations()) == operations + 1
            assert len(repo.reflog("refs/heads/main")) == reflog + 1


_SIZES = {"a": 400_000, "b": 400_000, "c": 700_000, "d": 90_000}
_LETTERS = {letter: letter.encode() * size for letter, size in _SIZES.items()}
_NEXT = dict(zip("abcd", "bcda", strict=True))


def _replace(path: str, data: bytes) -> None:
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.replace(path + ".new", path)


def _rewrite(path: str, data: bytes) -> None:
    """In place, in small steps: content is of two versions for a while."""
    fd = os.open(path, os.O_WRONLY)
    for offset in range(0, len(data), 20_000):
        os.pwrite(fd, data[offset : offset + 20_000], offset)
    os.ftruncate(fd, len(data))
    os.close(fd)


def _recreate(path: str, data: bytes) -> None:
    os.remove(path)
    with open(path, "wb", buffering=0) as file:
        file.write(data)


def _toggle(path: str, how: Callable[[str, bytes], None], pause: float) -> None:
    while True:
        for data in _LETTERS.values():
            how(path, data)
            time.sleep(pause)


def _runs(data: bytes) -> list[tuple[str, int]]:
    return [(letter, len(list(run))) for letter, run in itertools.groupby(data.decode())]


def _was_there(data: bytes, how: Callable[[str, bytes], None]) -> bool:
    """Whether the file had this content at a moment; a writer may rest in the middle of a write."""
    if how is _replace:
        return data in _LETTERS.values()
    runs = _runs(data)
    if len(runs) < 2 or how is _recreate:
        return len(runs) < 2 and all(size <= _SIZES[letter] for letter, size in runs)
    # Written from the front: the new version's beginning, then what is left of the old one.
    (new, begun), (old, left) = runs if len(runs) == 2 else (("", 0), ("a", 0))
    return new == _NEXT[old] and begun <= _SIZES[new] and begun + left == _SIZES[old]


@pytest.mark.parametrize("how", [_replace, _rewrite, _recreate])
@pytest.mark.parametrize("pause", [0.0, 0.004])
def test_f34_file_changes_while_it_is_read(
    fast_path: Path, how: Callable[[str, bytes], None], pause: float
) -> None:
    """What is recorded is what the file once was as a whole, or the path is named as unstable."""
    root = _ready(fast_path / "data", {b"file": _LETTERS["a"], b".dsvcignore": b"*.new\n"})
    path = os.path.join(root, "file")
    writer = FORK.Process(target=_toggle, args=(path, how, pause))
    writer.start()
    recorded = 0
    try:
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            with repository(root) as repo:
                result = repo.add([b""])
                entry = repo.manifest(repo.staged().root).get(b"file")
                data = None if entry is None else read_content(repo.store, entry)
            assert {skip.path for skip in result.skipped} <= {b"file"}
            assert data is None or _was_there(data, how), f"recorded a mix: {_runs(data)}"
            recorded += not result.skipped
    finally:
        writer.kill()
        writer.join()
    assert recorded or how is _rewrite


@pytest.mark.parametrize("size", [4, 30_000, 3_000_000])
@pytest.mark.parametrize("wait", [0.0, 0.1])
def test_f35_rewritten_with_the_same_size_and_time(fast_path: Path, size: int, wait: float) -> None:
    root = _ready(fast_path / "data", {b"file": b"a" * size})
    path = os.path.join(root, "file")
    time.sleep(wait)
    open_in(root).status()
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.write(b"b" * size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(path)
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, size, before.st_mtime_ns)
    with repository(root) as repo:
        assert [change.path for change in repo.status().unstaged] == [b"file"]
        assert repo.add(all=True).modified == 1
        entry = repo.manifest(repo.staged().root).get(b"file")
        assert entry is not None
        assert read_content(repo.store, entry) == b"b" * size


def _hold_everything(root: str, pipe: Any) -> None:
    repo = open_in(root)
    with repo.changing(), repo.history.refs.locked():
        pipe.send("held")
        time.sleep(60)


def test_f33_holder_of_all_locks_killed(fast_path: Path) -> None:
    root = _ready(fast_path / "data")
    mine, theirs = FORK.Pipe()
    process = FORK.Process(target=_hold_everything, args=(root, theirs))
    process.start()
    assert mine.recv() == "held"
    write(root, {b"mine": b"mine\n"})
    with pytest.raises(LockedError) as caught:
        commit_all(Repository.open(root, lock_timeout=0.1), "while it is held")
    assert caught.value.exit_code == 11
    assert str(process.pid) in str(caught.value)
    process.kill()
    process.join()
    started = time.monotonic()
    commit_all(open_in(root), "at once")
    assert time.monotonic() - started < 2


def _commit_forever(root: str) -> None:
    for number in range(10**6):
        try:
            write(root, {b"own": b"%d\n" % number})
            commit_all(open_in(root), "again")
        except DsvcError:
            traceback.print_exc()


def test_f33_next_command_after_a_killed_one_is_quick(fast_path: Path) -> None:
    root = _ready(fast_path / "data")
    rng = random.Random(11)
    for number in range(12):
        process = FORK.Process(target=_commit_forever, args=(root,))
        process.start()
        time.sleep(rng.uniform(0.02, 0.15))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        write(root, {b"mine": b"%d\n" % number})
        started = time.monotonic()
        commit_all(open_in(root), "at once")
        assert time.monotonic() - started < 2
    with opened(root) as repo:
        check_fsck(repo)
