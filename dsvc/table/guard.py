"""Work on a file that may be hostile, in a child process: what it costs is bounded, and a crash is an error.

The child is forked, so that the store it reads is the parent's and nothing is loaded again; its result comes
back through memory that both can see. A process that runs threads of its own can't be forked safely: there,
and on systems other than Linux, the work is done in place, within the limits that readers keep by themselves.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import pickle
import resource
import signal
import struct
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from dsvc.model.errors import DsvcError, StorageError
from dsvc.table.kind import TableKind
from dsvc.table.source import NotATableError, TableLimitError, TableSource

if TYPE_CHECKING:
    from dsvc.table.index_reuse import Like
    from dsvc.table.row_index import RowIndex

MEMORY_BYTES: Final = 2 << 30
"""What a child may take beyond what the parent has, and `MEMORY_PER_BYTE` for each byte of the file."""
MEMORY_PER_BYTE: Final = 32
CPU_SECONDS: Final = 30
BYTES_PER_SECOND: Final = 2 << 20
"""Further time: a second for so many bytes."""
_COUNT: Final = struct.Struct("<Q")


class Guarded(NamedTuple):
    """Work on one file; its result can be pickled."""

    source: TableSource
    work: Callable[[], Any]


def build_indexes(
    tables: Sequence[tuple[TableSource, TableKind]], like: Like | None = None
) -> list[RowIndex]:
    """Index the rows of tables, side by side, guarded.

    Parameters
    ----------
    tables : sequence of (TableSource, TableKind)
        The tables.
    like : Like or None
        A version that shares bytes with them.

    Raises
    ------
    NotATableError, TableLimitError
        If one can't be read.
    """
    # Loaded once, not by each child.
    import dsvc.table.index_builder  # noqa: F401

    return run_guarded([Guarded(source, partial(_index, source, kind, like)) for source, kind in tables])


def _index(source: TableSource, kind: TableKind, like: Like | None = None) -> RowIndex:
    from dsvc.table.index_builder import build_index

    return build_index(source, kind, like)


class IndexesToCome:
    """Indexes that are being made meanwhile, each in a child of its own.

    Parameters
    ----------
    tables : sequence of (TableSource, TableKind)
        The tables.
    """

    def __init__(self, tables: Sequence[tuple[TableSource, TableKind]]) -> None:
        self._children: list[_Child] = []
        try:
            for source, kind in tables:
                self._children.append(_Child(Guarded(source, partial(_index, source, kind))))
        except OSError:
            self.end()

    @staticmethod
    def possible() -> bool:
        """Whether children can be forked here."""
        return _can_fork()

    def results(self) -> list[RowIndex | None]:
        """Wait for the indexes; None for a table that can't be read, and for all that were not begun."""
        found: list[RowIndex | None] = []
        for child in self._children:
            try:
                found.append(child.result())
            except DsvcError:
                found.append(None)
        self.end()
        return found

    def end(self) -> None:
        """Stop what still runs."""
        for child in self._children:
            child.end()
        self._children = []


def _can_fork() -> bool:
    return threading.active_count() == 1 and hasattr(os, "memfd_create")


def run_guarded(tasks: Sequence[Guarded]) -> list[Any]:
    """Do pieces of work side by side, each in a child of its own.

    Returns
    -------
    list
        What each returned, arrays as views of shared memory.

    Raises
    ------
    NotATableError
        If a child crashed.
    TableLimitError
        If a child needed more memory or time than its file is worth.
    DsvcError
        Raised by the work itself.
    StorageError
        If a child can't be started.
    """
    if not _can_fork():
        with ThreadPoolExecutor(max(1, len(tasks))) as pool:
            return list(pool.map(lambda task: task.work(), tasks))
    children: list[_Child] = []
    try:
        for task in tasks:
            children.append(_Child(task))
        return [child.result() for child in children]
    except OSError as error:
        raise StorageError(f"cannot start a process to read tables: {error.strerror}") from error
    finally:
        for child in children:
            child.end()


class _Child:
    def __init__(self, task: Guarded) -> None:
        self._source = task.source
        self._seconds = CPU_SECONDS + task.source.size // BYTES_PER_SECOND
        self._fd = os.memfd_create("dsvc-table")
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._fd)
            raise
        if self._pid == 0:
            _work(task, self._fd, self._seconds)

    def result(self) -> Any:
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        code = os.waitstatus_to_exitcode(status)
        if code:
            self._died(code)
        found = _received(self._fd)
        if isinstance(found, DsvcError):
            raise found
        return found

    def _died(self, code: int) -> NoReturn:
        name = self._source.name
        details = {"path": name}
        if code == -signal.SIGXCPU:
            raise TableLimitError(f"{name} takes more than {self._seconds} s to be read", details=details)
        if code in (-signal.SIGKILL, -signal.SIGABRT):
            raise TableLimitError(
                f"{name} needs more memory to be read than one table is given", details=details
            )
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        raise NotATableError(f"{name} can't be read as a table: its reader ended by {how}", details=details)

    def end(self) -> None:
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        os.close(self._fd)


def _work(task: Guarded, fd: int, seconds: int) -> NoReturn:
    """Work in the child; never returns into the parent's code."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.disable()  # a pass over the parent's objects unshares their pages
        _limit(task.source.size, seconds)
        try:
            found = task.work()
        except MemoryError:
            name = task.source.name
            found = TableLimitError(
                f"{name} needs more memory to be read than one table is given", details={"path": name}
            )
        except DsvcError as error:
            found = error
        _send(found, fd)
        status = 0
    finally:
        os._exit(status)


def _limit(size: int, seconds: int) -> None:
    with open("/proc/self/statm", "rb") as stream:
        held = int(stream.read().split()[0]) * mmap.PAGESIZE
    # Only ever lower: the caller may have set limits of its own.
    for which, wanted in (
        (resource.RLIMIT_AS, held + MEMORY_BYTES + MEMORY_PER_BYTE * size),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        soft, hard = resource.getrlimit(which)
        if which == resource.RLIMIT_CPU:
            hard = seconds + 2 if hard == resource.RLIM_INFINITY else hard
        known = wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
        resource.setrlimit(which, (known, hard))


def _send(found: object, fd: int) -> None:
    """Write an object to shared memory: a pickle, and the arrays in it as they are."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(found, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    sizes = [len(parts), *(part.nbytes for part in parts)]
    with os.fdopen(os.dup(fd), "wb") as stream:
        stream.write(b"".join(map(_COUNT.pack, sizes)))
        for part in parts:
            # Arrays begin where a processor likes to read them.
            stream.write(bytes(-stream.tell() % 64))
            stream.write(part)


def _received(fd: int) -> Any:
    data = memoryview(mmap.mmap(fd, 0))
    sizes = [_COUNT.unpack_from(data, 8 + 8 * n)[0] for n in range(_COUNT.unpack_from(data)[0])]
    parts, at = [], 8 + 8 * len(sizes)
    for size in sizes:
        at += -at % 64
        parts.append(data[at : at + size])
        at += size
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301  bytes of our own child


__all__ = ["Guarded", "IndexesToCome", "build_indexes", "run_guarded"]
