"""F33: a lock ends with its holder, whatever its note says, wherever it ran; there are never two holders."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dsvc.fs import locks, owner
from dsvc.model.errors import LockedError, StorageError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.testing.checker import check_fsck, leftovers, opened, tree_state
from dsvc.testing.faults import begin_in_child, run_in_child, tried
from tests.faultkit import AUTHOR, commit_all, open_in, write
from tests.fusekit import Faults, mounted
from tests.porcelain.running import table
from tests.porcelain.test_run_killed import SPEC
from tests.racekit import together

_NEW_PID_NAMESPACE = 0x20000000
LOCKS = ("work", "store", "refs", "gc", "repair")


def impatient(root: str) -> Repository:
    return Repository.open(root, author=AUTHOR, lock_timeout=0.0)


@pytest.fixture
def root(fast_path: Path) -> str:
    path = str(fast_path / "repo")
    Repository.init(path)
    write(path, {b"first": b"first\n"})
    commit_all(open_in(path), "first")
    return path


@contextmanager
def elsewhere(command: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Do something in a process of another pid namespace, killed at the end, or before."""
    libc = ctypes.CDLL(None, use_errno=True)
    said, say = os.pipe()
    outer = os.fork()
    if outer == 0:
        code = 1
        try:
            if libc.unshare(_NEW_PID_NAMESPACE):
                os.write(say, b"x")
                os._exit(0)
            # What is forked next is the first process there, with the number 1.
            inner = os.fork()
            if inner == 0:
                owner._process_space.cache_clear()
                command()
                os.write(say, b".")
                time.sleep(60)
                os._exit(0)
            os.write(say, b"%d\n" % inner)
            code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) != 0
        finally:
            os._exit(code)
    os.close(say)
    try:
        told = b""
        # A number from the one and a point from the other, in whatever order.
        while told != b"x" and not {*b".\n"} <= {*told} and (part := os.read(said, 100)):
            told += part
        if told == b"x":
            pytest.skip("no pid namespace can be made here")
        pids = [int(told.replace(b".", b""))]

        def kill() -> None:
            while pids:
                with suppress(ProcessLookupError):
                    os.kill(pids.pop(), signal.SIGKILL)

        try:
            assert b"." in told, "it failed in the other namespace"
            yield kill
        finally:
            kill()
    finally:
        os.close(said)
        os.waitpid(outer, 0)


@pytest.mark.parametrize("who", ["a living process", "no process", "another boot and host", "nonsense"])
def test_f33_a_note_in_a_lock_file_locks_nobody_out(root: str, who: str) -> None:
    """Numbers are given out again: only who holds the lock of the kernel holds it."""
    notes = {
        "a living process": b'{"pid": %d}' % os.getppid(),
        "no process": b'{"pid": 4194305}',
        "another boot and host": b'{"pid": 1, "boot": "0", "host": "other"}',
        "nonsense": b"\xff" * 5000,
    }
    for name in LOCKS:
        Path(root, ".dsvc/locks", name).write_bytes(notes[who])
    write(root, {b"mine": b"mine\n"})
    commit_all(impatient(root), "second")
    impatient(root).create_tag("v1")
    impatient(root).gc(grace_seconds=0)
    assert impatient(root).fsck(repair=True).ok
    tried("stale locks", len(LOCKS))


def test_f33_a_holder_in_another_pid_namespace(root: str) -> None:
    """It is respected for as long as it lives, and not longer."""
    write(root, {b"mine": b"mine\n"})
    lock = Path(root, ".dsvc/locks/work")

    def hold() -> None:
        assert os.getpid() == 1
        held = locks.hold(str(lock), what="working tree")
        held.__enter__()
        globals()["_kept"] = held

    with elsewhere(hold) as kill:
        with pytest.raises(LockedError) as caught:
            impatient(root).add(all=True)
        assert caught.value.exit_code == 11
        kill()
        # A kill is over when the process has ended, which the kernel does in its own time.
        commit_all(Repository.open(root, author=AUTHOR, lock_timeout=2.0), "within two seconds")
    tried("stale locks")


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_f33_gc_in_another_pid_namespace_leaves_a_run_alone(root: str, where: str) -> None:
    """What a run reads and its folder stay, though its number says nothing there; or the other way round."""
    data = table({"id": n, "v": n * n} for n in range(900))
    write(root, {b"a.csv": data})
    script = 'touch ../started; while [ ! -e ../go ]; do sleep 0.02; done; : > "$DSVC_RUN_DIR/here"; '
    started, go = Path(root).with_name("started"), Path(root).with_name("go")

    def work() -> None:
        spec = RunSpec(name="half", kind=SPEC.kind, inputs=[b"a.csv"], outputs=[b"b.csv"], keys=SPEC.keys)
        environ = {"PATH": os.environ["PATH"]}
        open_in(root).run(spec, ["sh", "-c", script + "head -n 5 a.csv > b.csv"], environ=environ)

    def collect() -> None:
        deadline = time.monotonic() + 60
        while not started.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        open_in(root).gc(grace_seconds=0)

    if where == "here":
        end = begin_in_child(work)
        with elsewhere(collect):
            go.touch()
            assert end().error is None
    else:
        end = begin_in_child(lambda: (collect(), go.touch()))
        with elsewhere(work):
            assert end().error is None
    with opened(root) as repo:
        (run,) = repo.runs()
        assert run.run.rows["kept"] == 4
        check_fsck(repo)
        repo.gc(grace_seconds=0)
        assert repo.fsck(read_data=True).ok
    assert leftovers(root) == []
    tried("stale locks")


def test_f33_never_two_holders(fast_path: Path) -> None:
    """Eight processes count in a file, each alone with it, beside holders that are killed."""
    path, counter = str(fast_path / "lock"), fast_path / "counter"
    counter.write_text("0")

    def count_on() -> int:
        done = 0
        for turn in range(20):
            if turn % 5 == 0:
                _die_holding(path)
            with locks.hold(path, what="counter", timeout=60):
                number = int(counter.read_text())
                time.sleep(0.0005)
                counter.write_text(str(number + 1))
            done += 1
        return done

    done = sum(together([count_on] * 8))
    assert int(counter.read_text()) == done == 160
    tried("stale locks", 32)


def _die_holding(path: str) -> None:
    pid = os.fork()
    if pid == 0:
        with locks.hold(path, what="counter", timeout=60):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


CHANGING: dict[str, Callable[[Repository], object]] = {
    "add": lambda repo: repo.add(all=True),
    "commit": lambda repo: repo.commit("no", allow_empty=True),
    "checkout": lambda repo: repo.checkout("topic"),
    "merge": lambda repo: repo.merge("topic"),
    "tag": lambda repo: repo.create_tag("v1"),
    "stash": lambda repo: repo.stash(),
    "gc": lambda repo: repo.gc(grace_seconds=0),
    "repair": lambda repo: repo.fsck(repair=True),
    "undo": lambda repo: repo.undo(),
    "source": lambda repo: repo.source_add("s", [b"first"], fields={"title": "x"}),
}


@pytest.mark.parametrize(
    "error", ["ENOLCK", *(pytest.param(each, marks=pytest.mark.soak) for each in ("EOPNOTSUPP", "ENOSYS"))]
)
def test_f33_a_file_system_without_locks(tmp_path: Path, error: str) -> None:
    """Nothing is changed there, and it's said why; what is there can be read."""
    with mounted(tmp_path / "fuse") as disk:
        root = str(disk.root / "repo")
        Repository.init(root).config.set("core.durability", "none")
        write(root, {b"first": b"first\n"})
        with open_in(root) as repo:
            commit_all(repo, "first")
            repo.create_branch("topic")
        write(root, {b"mine": b"mine\n"})
        disk.set(Faults(refused={"flock": error}))
        before = (tree_state(root), _state(root))
        for verb in CHANGING.values():
            outcome = run_in_child(lambda verb=verb: verb(impatient(root)))
            assert isinstance(outcome.error, StorageError), outcome.error
            assert "lock" in outcome.error.message
        assert (tree_state(root), _state(root)) == before
        with impatient(root) as repo, repo.open_file(b"first", "HEAD") as stream:
            assert stream.read() == b"first\n"
            assert [change.path for change in repo.status(untracked="all").untracked] == [b"mine"]
        disk.set(Faults())
        with open_in(root) as repo:
            commit_all(repo, "second")
    tried("stale locks", len(CHANGING))


def _state(root: str) -> dict[str, bytes]:
    """Everything under ``.dsvc`` but caches and what is empty."""
    base = Path(root, ".dsvc")
    found = {str(path.relative_to(base)): path for path in base.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes() for name, path in found.items() if not name.startswith(("cache", "locks"))
    }
