"""A pool of forked workers: tasks and replies are bytes over pipes, packs are written by the workers.

Forked before any thread starts. A worker ends when its pipe closes, so that none outlives its parent; it
ignores SIGINT, which the parent turns into a close.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import NoReturn, Protocol

from dsvc.model.errors import StorageError

_FRAME = struct.Struct("<IB")
_REPLY, _ERROR = 0, 1
_AHEAD_BYTES = 32 * 1024
_MANY_TASKS = 200


class Handler(Protocol):
    """What a worker does; built in the worker after the fork."""

    def handle(self, task: bytes) -> bytes:
        """Carry out a task and return its reply."""
        ...

    def finish(self) -> bytes:
        """Close what is open and return a last reply."""
        ...

    def abandon(self) -> None:
        """Throw away what isn't finished."""
        ...


def _read_exactly(fd: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.read(fd, min(length, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _send(fd: int, kind: int, data: bytes) -> None:
    view = memoryview(_FRAME.pack(len(data), kind) + data)
    while view:
        view = view[os.write(fd, view) :]


def _receive(fd: int) -> tuple[int, bytes]:
    length, kind = _FRAME.unpack(_read_exactly(fd, _FRAME.size))
    return kind, _read_exactly(fd, length)


class _Worker:
    __slots__ = ("outstanding", "pid", "read_fd", "write_fd")

    def __init__(self, pid: int, read_fd: int, write_fd: int) -> None:
        self.pid, self.read_fd, self.write_fd = pid, read_fd, write_fd
        self.outstanding = 0


class ForkPool:
    """Workers that share the parent's state as it was at the fork.

    Parameters
    ----------
    count : int
        Number of workers.
    make_handler : callable
        Builds the handler inside each worker.
    on_reply : callable
        Called in the parent with each reply, in order of arrival; returns further tasks.
    """

    def __init__(
        self,
        count: int,
        make_handler: Callable[[], Handler],
        on_reply: Callable[[bytes], Iterable[bytes]],
    ) -> None:
        self._on_reply = on_reply
        self._queue: deque[bytes] = deque()
        self._workers: list[_Worker] = []
        try:
            for _ in range(count):
                self._workers.append(self._fork(make_handler))
        except OSError as error:
            self.kill()
            raise StorageError(f"cannot start a worker process: {error.strerror}") from error

    def _fork(self, make_handler: Callable[[], Handler]) -> _Worker:
        task_read, task_write = os.pipe()
        reply_read, reply_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            for worker in self._workers:
                os.close(worker.read_fd)
                os.close(worker.write_fd)
            os.close(task_write)
            os.close(reply_read)
            _serve(task_read, reply_write, make_handler)
        os.close(task_read)
        os.close(reply_write)
        return _Worker(pid, reply_read, task_write)

    def submit(self, task: bytes) -> None:
        """Queue a task, and wait while every worker has enough to do."""
        self._queue.append(task)
        self._dispatch()
        while len(self._queue) > len(self._workers):
            self._await_replies()

    def run(self, tasks: Iterable[bytes] = ()) -> None:
        """Queue `tasks` and wait until they and all that follow from their replies are done."""
        self._queue.extend(tasks)
        self._dispatch()
        while self._queue or any(w.outstanding for w in self._workers):
            self._await_replies()

    def _dispatch(self) -> None:
        for limit in (1, 2):
            for worker in self._workers:
                if not self._queue:
                    return
                large = len(self._queue[0]) > _AHEAD_BYTES
                if worker.outstanding < (1 if large else limit):
                    self._give(worker, self._queue.popleft())

    def _give(self, worker: _Worker, task: bytes) -> None:
        try:
            _send(worker.write_fd, _REPLY, task)
        except BrokenPipeError:
            self._died(worker)
        worker.outstanding += 1

    def _await_replies(self) -> None:
        poll = select.poll()
        by_fd = {w.read_fd: w for w in self._workers}
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll():
            worker = by_fd[fd]
            data = self._take(worker)
            worker.outstanding -= 1
            self._dispatch()
            self._queue.extend(self._on_reply(data))
        self._dispatch()

    def _take(self, worker: _Worker) -> bytes:
        try:
            kind, data = _receive(worker.read_fd)
        except EOFError:
            self._died(worker)
        if kind == _ERROR:
            import pickle  # only errors need it

            raise pickle.loads(data)  # noqa: S301  bytes of our own child
        return data

    def _died(self, worker: _Worker) -> NoReturn:
        _, status = os.waitpid(worker.pid, 0)
        self._workers.remove(worker)
        os.close(worker.read_fd)
        os.close(worker.write_fd)
        code = os.waitstatus_to_exitcode(status)
        raise StorageError(
            f"a worker process ended early ({'signal ' + str(-code) if code < 0 else 'status ' + str(code)})",
            hint="if memory is short, try again with fewer files at a time; nothing that was stored is lost",
        )

    def broadcast(self, message: bytes) -> None:
        """Have each worker handle `message` once, after everything queued before."""
        self.run()
        for worker in self._workers:
            self._give(worker, message)
        self.run()

    def finish(self) -> list[bytes]:
        """Let every worker finish; returns their last replies."""
        for worker in self._workers:
            try:
                _send(worker.write_fd, _ERROR, b"")
            except BrokenPipeError:
                self._died(worker)
        replies = [self._take(worker) for worker in list(self._workers)]
        self.kill()
        return replies

    def kill(self) -> None:
        """Close the pipes and wait for the workers to end; safe to call twice."""
        for worker in self._workers:
            os.close(worker.write_fd)
            os.close(worker.read_fd)
        for worker in self._workers:
            os.waitpid(worker.pid, 0)
        self._workers.clear()


def _serve(task_fd: int, reply_fd: int, make_handler: Callable[[], Handler]) -> NoReturn:
    """Run a worker until its pipe closes; never returns into the parent's code."""
    handler: Handler | None = None
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gc.disable()  # nothing here makes cycles, and a pass over the parent's objects unshares their pages
        handler = make_handler()
        while True:
            kind, task = _receive(task_fd)
            if kind == _ERROR:
                last = handler.finish()
                handler = None
                _send(reply_fd, _REPLY, last)
                status = 0
                break
            _send(reply_fd, _REPLY, handler.handle(task))
    except (EOFError, BrokenPipeError):
        pass
    except BaseException as error:
        with contextlib.suppress(OSError):
            _send(reply_fd, _ERROR, _pickled(error))
    finally:
        try:
            if handler is not None:
                handler.abandon()
        finally:
            os._exit(status)


def _pickled(error: BaseException) -> bytes:
    import pickle  # only errors need it

    try:
        data = pickle.dumps(error)
        pickle.loads(data)  # noqa: S301  a round trip of our own bytes
    except Exception:
        data = pickle.dumps(StorageError(f"a worker failed: {type(error).__name__}: {error}"))
    return data


def worker_count() -> int:
    """Number of workers: the processors this process may use."""
    return max(1, len(os.sched_getaffinity(0)))


class Runner:
    """Runs tasks here while they are few, in forked workers once they are many.

    Parameters
    ----------
    make_handler : callable
        Builds a handler, here or in a worker.
    on_reply : callable
        Called with each reply; returns further tasks and sees `fork_now`.
    fork_now : bool
        Whether to fork before the first task.
    """

    def __init__(
        self,
        make_handler: Callable[[], Handler],
        on_reply: Callable[[bytes], Iterable[bytes]],
        *,
        fork_now: bool = False,
    ) -> None:
        self._make_handler = make_handler
        self._on_reply = on_reply
        self._handler: Handler | None = None
        self._pool: ForkPool | None = None
        self.fork_now = fork_now

    def _started(self) -> ForkPool | None:
        if self.fork_now and self._pool is None and worker_count() > 1:
            self._pool = ForkPool(worker_count(), self._make_handler, self._on_reply)
        return self._pool

    def _here(self, task: bytes) -> Iterable[bytes]:
        if self._handler is None:
            self._handler = self._make_handler()
        return self._on_reply(self._handler.handle(task))

    def submit(self, task: bytes) -> None:
        """Have a task done, now or soon."""
        pool = self._started()
        if pool is not None:
            pool.submit(task)
        else:
            self.run([task])

    def run(self, tasks: Iterable[bytes] = ()) -> None:
        """Have tasks, those submitted before, and all that follow from them done."""
        queue = deque(tasks)
        while queue and self._started() is None:
            if len(queue) >= _MANY_TASKS and not self.fork_now:
                self.fork_now = True
                continue
            queue.extend(self._here(queue.popleft()))
        if self._pool is not None:
            self._pool.run(queue)

    def broadcast(self, message: bytes) -> None:
        """Have every handler that exists handle `message` once."""
        if self._handler is not None:
            self._on_reply(self._handler.handle(message))
        if self._pool is not None:
            self._pool.broadcast(message)

    def finish(self) -> list[bytes]:
        """Finish every handler; returns their last replies."""
        replies = []
        handler, self._handler = self._handler, None
        if handler is not None:
            replies.append(handler.finish())
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                replies.extend(pool.finish())
            finally:
                pool.kill()
        return replies

    def abandon(self) -> None:
        """Throw away what isn't finished; safe after `finish`."""
        if self._pool is not None:
            self._pool.kill()
            self._pool = None
        if self._handler is not None:
            self._handler.abandon()
            self._handler = None
