"""The pool of forked workers: each task is done once, errors arrive as raised, nothing is left running."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dsvc.model.errors import MalformedInputError, StorageError
from dsvc.store.workers import ForkPool, Runner, worker_count
from dsvc.testing.faults import run_in_child


class Handler:
    """Answers in capitals, and does what some words ask for."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.done = 0

    def handle(self, task: bytes) -> bytes:
        self.done += 1
        match task.split(b" ")[0]:
            case b"pid":
                return b"%d" % os.getpid()
            case b"typed":
                raise MalformedInputError("no such thing", hint="look again", details={"path": "数据"})
            case b"untyped":
                raise ZeroDivisionError("by nothing")
            case b"unpicklable":
                raise type("OddError", (Exception,), {})("odd")
            case b"kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case b"exit":
                os._exit(3)
            case b"later":
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, 0.01)
        return task.upper()

    def finish(self) -> bytes:
        return b"done %d" % self.done

    def abandon(self) -> None:
        if self.folder is not None:
            (self.folder / f"abandoned-{os.getpid()}").touch()


class Replies(list[bytes]):
    """What came back; a reply of the form ``MORE n`` asks for n further tasks."""

    def __call__(self, reply: bytes) -> Iterable[bytes]:
        self.append(reply)
        if reply.startswith(b"MORE "):
            return [b"follow %d" % number for number in range(int(reply[5:]))]
        return ()


def children() -> list[str]:
    """Processes that this one started and that it hasn't waited for."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.fixture
def replies() -> Replies:
    return Replies()


@pytest.fixture
def pool(replies: Replies, tmp_path: Path) -> Iterator[ForkPool]:
    before = children()
    made = ForkPool(3, lambda: Handler(tmp_path), replies)
    assert len(children()) == len(before) + 3
    yield made
    made.kill()
    assert children() == before


def test_every_task_is_done_once_and_what_follows_too(pool: ForkPool, replies: Replies) -> None:
    for number in range(50):
        pool.submit(b"task %d" % number)
    pool.submit(b"more 7")
    pool.run([b"last", b"more 2"])
    expected = [b"TASK %d" % n for n in range(50)] + [b"MORE 7", b"MORE 2", b"LAST"]
    expected += [b"FOLLOW %d" % n for n in (*range(7), *range(2))]
    assert sorted(replies) == sorted(expected)
    last = pool.finish()
    assert len(last) == 3
    assert sum(int(reply.split()[1]) for reply in last) == len(expected)


def test_a_message_reaches_each_worker_once(pool: ForkPool, replies: Replies) -> None:
    pool.submit(b"before")
    pool.broadcast(b"pid")
    assert replies.pop(0) == b"BEFORE"
    assert len(set(replies)) == len(replies) == 3
    assert str(os.getpid()).encode() not in replies


def test_long_tasks_and_replies_come_whole(pool: ForkPool, replies: Replies) -> None:
    large = [bytes([65 + number]) * (3_000_000 + number) for number in range(5)]
    pool.run([*large, b"small", *large])
    assert sorted(replies) == sorted([*large, *large, b"SMALL"])


def test_workers_left_alone_throw_away_what_they_have(pool: ForkPool, tmp_path: Path) -> None:
    pool.run([b"one"])
    pool.kill()
    pool.kill()
    assert len(list(tmp_path.glob("abandoned-*"))) == 3
    assert pool.finish() == []


def test_finished_workers_throw_nothing_away(pool: ForkPool, tmp_path: Path) -> None:
    pool.run([b"one"])
    pool.finish()
    assert list(tmp_path.glob("abandoned-*")) == []


def test_an_error_arrives_as_it_was_raised(pool: ForkPool, tmp_path: Path) -> None:
    with pytest.raises(MalformedInputError) as caught:
        pool.run([b"typed"])
    assert (caught.value.message, caught.value.hint) == ("no such thing", "look again")
    assert caught.value.details == {"path": "数据"}
    pool.kill()
    assert len(list(tmp_path.glob("abandoned-*"))) == 3, "the one that failed too"


def test_an_error_of_python_arrives_too(pool: ForkPool) -> None:
    with pytest.raises(ZeroDivisionError, match="by nothing"):
        pool.run([b"untyped"])


def test_an_error_that_can_not_travel_is_told_in_words(pool: ForkPool) -> None:
    with pytest.raises(StorageError, match="a worker failed: OddError: odd"):
        pool.run([b"unpicklable"])


@pytest.mark.parametrize(("word", "how"), [(b"kill", "signal 9"), (b"exit", "status 3")])
def test_a_worker_that_dies_is_an_error_that_says_how(pool: ForkPool, word: bytes, how: str) -> None:
    with pytest.raises(StorageError) as caught:
        pool.run([b"one", word, b"two"])
    assert how in caught.value.message
    assert "nothing that was stored is lost" in str(caught.value.hint)


@pytest.mark.parametrize("how", ["task", "finish", "broadcast"])
def test_a_worker_that_died_while_it_had_nothing_to_do(replies: Replies, how: str) -> None:
    pool = ForkPool(1, Handler, replies)
    try:
        pool.run([b"pid", b"later"])
        os.waitid(os.P_PID, int(replies[0]), os.WEXITED | os.WNOWAIT)
        with pytest.raises(StorageError, match=f"signal {int(signal.SIGALRM)}"):
            {
                "task": lambda: pool.submit(b"x"),
                "finish": pool.finish,
                "broadcast": lambda: pool.broadcast(b"x"),
            }[how]()
    finally:
        pool.kill()


def test_an_interrupt_is_the_parents_business(pool: ForkPool, replies: Replies) -> None:
    pool.broadcast(b"pid")
    for pid in list(replies):
        os.kill(int(pid), signal.SIGINT)
        os.kill(int(pid), signal.SIGTERM)
    replies.clear()
    pool.broadcast(b"still here")
    assert list(replies) == [b"STILL HERE"] * 3


def test_too_few_descriptors_are_told_and_leave_no_worker() -> None:
    def start() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
        try:
            ForkPool(40, Handler, lambda reply: ()).kill()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)

    error = run_in_child(start).error
    assert isinstance(error, StorageError)
    assert error.message.startswith("cannot start a worker process: ")


def on_processors(count: int, work: object) -> None:
    """Have something looked at in a child that may use so many processors."""

    def bounded() -> None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
        assert worker_count() == count
        assert callable(work)
        work()

    error = run_in_child(bounded).error
    if error is not None:
        raise error


def test_few_tasks_are_done_here(replies: Replies) -> None:
    runner = Runner(Handler, replies)
    runner.submit(b"pid")
    runner.run([b"pid", b"more 3"])
    runner.broadcast(b"all")
    me = b"%d" % os.getpid()
    assert list(replies) == [me, me, b"MORE 3", b"FOLLOW 0", b"FOLLOW 1", b"FOLLOW 2", b"ALL"]
    assert runner.finish() == [b"done 7"]
    assert runner.finish() == []
    runner.abandon()


def test_many_tasks_are_done_in_workers(replies: Replies) -> None:
    if worker_count() < 2:
        pytest.skip("one processor: there are no workers")
    runner = Runner(Handler, replies)
    runner.run([b"pid"])
    runner.run([b"pid"] * 200)
    me = b"%d" % os.getpid()
    assert replies[0] == me
    assert len(replies) == 201
    assert me not in replies[1:]
    assert len(set(replies[1:])) > 1
    replies.clear()
    runner.broadcast(b"all")
    assert list(replies) == [b"ALL"] * (1 + worker_count())
    last = runner.finish()
    assert last[0] == b"done 2"
    assert sum(int(reply.split()[1]) for reply in last) == 201 + 1 + worker_count()
    runner.abandon()


def test_fewer_than_many_tasks_fork_nothing(replies: Replies) -> None:
    runner = Runner(Handler, replies)
    runner.run([b"pid"] * 199)
    assert set(replies) == {b"%d" % os.getpid()}
    assert not runner.fork_now
    runner.abandon()


def test_workers_from_the_first_task_if_asked(replies: Replies, tmp_path: Path) -> None:
    if worker_count() < 2:
        pytest.skip("one processor: there are no workers")
    runner = Runner(lambda: Handler(tmp_path), replies, fork_now=True)
    runner.submit(b"pid")
    runner.run()
    assert list(replies) != [b"%d" % os.getpid()]
    replies.clear()
    runner.broadcast(b"all")
    assert list(replies) == [b"ALL"] * worker_count(), "none is done here"
    runner.abandon()
    runner.abandon()
    assert len(list(tmp_path.glob("abandoned-*"))) == worker_count()


def test_a_message_to_nobody(replies: Replies, tmp_path: Path) -> None:
    runner = Runner(lambda: Handler(tmp_path), replies)
    runner.broadcast(b"all")
    assert (list(replies), runner.finish()) == ([], [])


def test_abandoned_here(replies: Replies, tmp_path: Path) -> None:
    runner = Runner(lambda: Handler(tmp_path), replies)
    runner.submit(b"one")
    runner.abandon()
    assert [path.name for path in tmp_path.iterdir()] == [f"abandoned-{os.getpid()}"]
    assert runner.finish() == []


def test_one_processor_forks_nothing(replies: Replies) -> None:
    def work() -> None:
        runner = Runner(Handler, replies, fork_now=True)
        runner.submit(b"pid")
        runner.run([b"pid"] * 300)
        assert set(replies) == {b"%d" % os.getpid()}
        assert len(replies) == 301
        runner.finish()

    on_processors(1, work)


def test_workers_end_when_finishing_fails(replies: Replies) -> None:
    def work() -> None:
        runner = Runner(Handler, replies, fork_now=True)
        runner.submit(b"later")
        runner.run()
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        try:
            with pytest.raises(StorageError):
                runner.finish()
        finally:
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)

    on_processors(min(2, worker_count()), work) if worker_count() > 1 else pytest.skip("one processor")
