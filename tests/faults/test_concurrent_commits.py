"""P6: of several processes one wins, none loses an update, and readers never fail (F29, F33 to F35)."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.fs import locks
from dsvc.fs.failpoints import Plan, armed
from dsvc.history.refs import RefChange
from dsvc.model.errors import ConcurrentChangeError, DsvcError, LockedError
from dsvc.porcelain.commit import record_commit
from dsvc.porcelain.repository import Repository
from dsvc.store.ingest import LARGE_BYTES
from dsvc.testing.checker import Expected, check, commit_contents
from dsvc.testing.faults import tried
from tests.faultkit import AUTHOR, commit_all, open_in, repository, write

PROCESSES = 8


@pytest.fixture
def root(fast_path: Path) -> str:
    path = str(fast_path / "repo")
    Repository.init(path)
    write(path, {b"first": b"first\n"})
    commit_all(open_in(path), "first")
    return path


def in_processes(count: int, body: Callable[[int], None]) -> list[int]:
    """Run `body` in processes that begin together; returns their exit codes."""
    ready, go = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(go)
                os.read(ready, 1)  # returns when the parent closes its end
                body(number)
                code = 0
            except DsvcError as error:
                code = error.exit_code
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
            finally:
                os._exit(code)
        children.append(child)
    os.close(ready)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_eight_processes_on_one_branch(root: str, fast_path: Path) -> None:
    """Each adds files of its own and commits; what was acknowledged is in the history of main."""
    rounds = 6

    def work(number: int) -> None:
        rest = random.Random(number)
        with open(fast_path / f"acknowledged-{number}", "w", encoding="ascii") as log:
            for turn in range(rounds):
                name = b"%d/%d" % (number, turn)
                write(root, {name: b"%d %d\n" % (number, turn)})
                while True:
                    repo = Repository.open(root, author=AUTHOR, lock_timeout=rest.choice([0.05, 30.0]))
                    try:
                        repo.add([name])
                        done = repo.commit(f"{number}.{turn}")
                        break
                    except DsvcError as error:
                        # 1: another process has committed what this one added.
                        if error.exit_code == 1:
                            done = None
                            break
                        if error.exit_code not in (11, 13):
                            raise
                        time.sleep(rest.random() / 100)
                    finally:
                        repo.backend.forget()
                if done is not None:
                    print(done.commit, file=log, flush=True)

    assert in_processes(PROCESSES, work) == [0] * PROCESSES
    with repository(root) as repo:
        head = repo.history.refs.head().commit
        assert head is not None
        history = [commit.id for commit in repo.history.log([head])]
        acknowledged = [
            line
            for number in range(PROCESSES)
            for line in (fast_path / f"acknowledged-{number}").read_text().split()
        ]
        assert len(acknowledged) >= rounds
        assert set(acknowledged) == set(history[:-1])
        assert len(acknowledged) == len(history) - 1
        files = {b"%d/%d" % (n, t): b"%d %d\n" % (n, t) for n in range(PROCESSES) for t in range(rounds)}
        assert commit_contents(repo, head) == {b"first": b"first\n", **files}
        contents = {commit: commit_contents(repo, commit) for commit in history}
        assert repo.fsck().ok
    tried("races", PROCESSES * rounds)
    check(root, Expected(commits=contents))


def test_one_winner_for_each_swap(root: str) -> None:
    """Every process makes the same branch: one does, the others are told and change nothing."""
    with repository(root) as repo:
        history, first = repo.history, repo.history.refs.head().commit
        assert first is not None
        parent = history.read_commit(first)
        who = repo.signature()
    for turn in range(5):

        def swap(number: int, turn: int = turn) -> None:
            with repository(root) as repo:
                made = repo.history.commit(
                    parents=[first],
                    manifest=parent.manifest,
                    files=parent.files,
                    bytes=parent.bytes,
                    message=f"{turn} {number}",
                    author=who,
                    committer=who,
                )
                change = RefChange(f"refs/heads/race{turn}", None, made.id)
                repo.record("commit", changes=[change], objects=made.objects)

        codes = in_processes(PROCESSES, swap)
        assert sorted(codes) == [0] + [13] * (PROCESSES - 1)
        tried("races", PROCESSES)
    with repository(root) as repo:
        assert len(repo.history.operations.list()) == 2 + 5
        assert len(repo.history.refs.list("refs/heads/race")) == 5
        assert repo.fsck().ok


def test_a_branch_that_moves_during_commit(root: str) -> None:
    """The move comes between reading HEAD and swapping it: 13, and the staged work is still there."""
    with repository(root) as repo, repository(root) as other:
        write(root, {b"mine": b"mine\n"})
        repo.add(all=True)
        head = other.history.refs.head()
        staged = other.staged(head)
        moved = []

        def move(_number: int, _name: str, _path: str) -> None:
            if not moved:
                moved.append(True)
                record_commit(other, head, staged.base_root, "theirs", parents=[head.commit], verb="commit")

        with armed(Plan(observer=move)), pytest.raises(ConcurrentChangeError) as caught:
            repo.commit("mine")
        assert caught.value.exit_code == 13
        assert [c.path for c in repo.status().staged] == [b"mine"]
        again = repo.commit("mine")
        messages = [commit.message.strip() for commit in repo.history.log([again.commit])]
        assert messages == ["mine", "theirs", "first"]
    tried("races")


def test_readers_beside_writers(root: str, fast_path: Path) -> None:
    """Status, log and ls never wait and never fail while another process adds, commits and collects."""
    stop = fast_path / "stop"
    writer = os.fork()
    if writer == 0:
        code = 1
        try:
            with repository(root) as repo:
                for turn in range(10_000):
                    if stop.exists():
                        break
                    write(root, {b"folder%d/file" % (turn % 7): b"%d\n" % turn})
                    commit_all(repo, f"turn {turn}")
                    if turn % 5 == 4:
                        repo.gc(grace_seconds=0)
            code = 0
        except BaseException as error:
            print(f"writer: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    deadline = time.monotonic() + 3
    count = 0
    try:
        while time.monotonic() < deadline:
            with repository(root) as repo:
                repo.status(untracked="all")
                head = repo.history.refs.head().commit
                assert head is not None
                log = [entry.commit.id for entry in repo.log()]
                assert log
                assert [entry.path for entry in repo.ls("HEAD", recursive=True)]
                assert commit_contents(repo, log[0])
            count += 1
    finally:
        stop.touch()
        status = os.waitpid(writer, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0
    assert count >= 5
    tried("races", count)


# Locks of the dead


def test_a_lock_goes_with_its_process(root: str) -> None:
    """A killed holder leaves the lock file with its number in it, and nothing to wait for."""
    with repository(root) as repo:
        for name in ("work", "store", "refs", "gc"):
            ready, tell = os.pipe()
            child = os.fork()
            if child == 0:
                with locks.hold(repo.layout.lock(name), what=name):
                    os.write(tell, b"x")
                    time.sleep(60)
                os._exit(1)
            os.read(ready, 1)
            os.close(ready)
            os.close(tell)
            if name == "work":
                with pytest.raises(LockedError) as caught:
                    Repository.open(root, lock_timeout=0.05).add(all=True)
                assert caught.value.exit_code == 11
                assert str(child) in caught.value.message
            os.kill(child, 9)
            os.waitpid(child, 0)
            started = time.monotonic()
            write(root, {b"file": name.encode()})
            commit_all(repo, name)
            repo.gc()
            assert time.monotonic() - started < 2


@pytest.mark.parametrize("age", [3600, -3600])
def test_a_stale_lock_file_of_git(root: str, age: int) -> None:
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


# Files that change while they are read


def _versions(size: int) -> list[bytes]:
    """Contents that differ in each block, all of one length."""
    return [bytes([65 + n]) * size for n in range(4)]


@pytest.mark.parametrize("size", [300_000, LARGE_BYTES + 500_000])
@pytest.mark.parametrize("way", ["in place", "replaced"])
def test_a_file_that_changes_while_it_is_read(root: str, size: int, way: str) -> None:
    """What is recorded is one of the versions, or nothing and the path is named; never a mix."""
    versions = _versions(size)
    path = os.path.join(root, "changing")
    Path(path).write_bytes(versions[0])
    stop = threading.Event()

    def change() -> None:
        rest = random.Random(1)
        turn = 0
        while not stop.is_set():
            turn += 1
            data = versions[turn % len(versions)]
            if way == "replaced":
                Path(path + "~").write_bytes(data)
                os.replace(path + "~", path)
            else:
                with open(path, "r+b", buffering=0) as file:
                    file.write(data)
            time.sleep(rest.choice([0, 0, 0.002, 0.03]))

    recorded = skipped = 0
    writer = threading.Thread(target=change)
    writer.start()
    try:
        with repository(root) as repo:
            for _ in range(6):
                result = repo.add([b"changing"])
                if any(s.path == b"changing" for s in result.skipped):
                    skipped += 1
                    continue
                entry = repo.manifest_of("STAGED").get(b"changing")
                if entry is None:
                    continue
                with repo.open_file(b"changing", "STAGED") as stream:
                    assert stream.read() in versions
                recorded += 1
    finally:
        stop.set()
        writer.join()
    tried("races", recorded + skipped)
    assert recorded + skipped


@pytest.mark.parametrize("what", ["grows", "shrinks", "goes", "becomes a folder", "becomes a link"])
def test_a_file_that_is_not_what_was_listed(root: str, what: str) -> None:
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


@pytest.mark.parametrize("verb", ["status", "add", "checkout"])
def test_same_size_inode_and_time_but_other_content(root: str, verb: str) -> None:
    """Only the change time tells, and it is looked at."""
    with repository(root) as repo:
        write(root, {b"file": b"aaaa\n"})
        commit_all(repo, "second")
        path = os.path.join(root, "file")
        repo.status()
        for turn in range(20):
            before = os.stat(path)
            content = b"%04d\n" % turn
            with open(path, "r+b", buffering=0) as file:
                file.write(content)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            after = os.stat(path)
            assert (before.st_ino, before.st_size, before.st_mtime_ns) == (
                after.st_ino,
                after.st_size,
                after.st_mtime_ns,
            )
            if verb == "status":
                assert [c.path for c in repo.status().unstaged] == [b"file"]
            elif verb == "add":
                assert repo.add(all=True).modified == 1
                with repo.open_file(b"file", "STAGED") as stream:
                    assert stream.read() == content
            else:
                with pytest.raises(DsvcError) as caught:
                    repo.checkout("HEAD~1")
                assert caught.value.exit_code == 15
            tried("races")
