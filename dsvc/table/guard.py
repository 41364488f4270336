"""Work on a file that may be hostile, in a child process: what it costs is bounded, and a crash is an error.

How that is done is in `dsvc.fs.child_process`. In a process that can't be forked a child is started for what
must be done apart; other work is done in place, within the limits that readers keep by themselves.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from dsvc.fs.child_process import Bounds, Child, Done, Ended, can_fork, can_start
from dsvc.model.errors import DsvcError, StorageError
from dsvc.model.table_kind import TableKind
from dsvc.table.origin.source import NotATableError, TableLimitError, TableSource

if TYPE_CHECKING:
    from dsvc.table.index.index_reuse import Like
    from dsvc.table.index.row_index import RowIndex

MEMORY_BYTES: Final = 2 << 30
"""What a child may take beyond what the parent has, and `MEMORY_PER_BYTE` for each byte of the file."""
MEMORY_PER_BYTE: Final = 32
CPU_SECONDS: Final = 30
BYTES_PER_SECOND: Final = 2 << 20
"""Further time: a second for so many bytes."""
PATIENCE: Final = 20
"""How many times its processor time a child may take by the clock, on a machine that has much to do."""


class Guarded(NamedTuple):
    """Work on one file; its result can be pickled."""

    source: TableSource
    work: Callable[[], Any]


def build_indexes(
    tables: Sequence[tuple[TableSource, TableKind]], like: Like | None = None, *, apart: bool = False
) -> list[RowIndex]:
    """Index the rows of tables, side by side, guarded.

    Parameters
    ----------
    tables : sequence of (TableSource, TableKind)
        The tables.
    like : Like or None
        A version that shares bytes with them.
    apart : bool
        As `run_guarded`.

    Raises
    ------
    NotATableError, TableLimitError
        If one can't be read.
    """
    if can_fork():
        # Loaded once, not by each child.
        import dsvc.table.index.index_builder  # noqa: F401
    elif apart:
        # An index at hand doesn't travel to a child that is started.
        like = None
    return run_guarded(
        [Guarded(source, partial(_index, source, kind, like)) for source, kind in tables], apart=apart
    )


def _index(source: TableSource, kind: TableKind, like: Like | None = None) -> RowIndex:
    from dsvc.table.index.index_builder import build_index

    return build_index(source, kind, like)


class IndexesToCome:
    """Indexes that are being made meanwhile, each in a child of its own.

    Parameters
    ----------
    tables : sequence of (TableSource, TableKind)
        The tables.
    """

    def __init__(self, tables: Sequence[tuple[TableSource, TableKind]]) -> None:
        self._children: list[_Reader] = []
        try:
            for source, kind in tables:
                self._children.append(_Reader(Guarded(source, partial(_index, source, kind))))
        except OSError:
            self.end()

    @staticmethod
    def possible() -> bool:
        """Whether children can be forked here."""
        return can_fork()

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


def run_guarded(tasks: Sequence[Guarded], *, apart: bool = False) -> list[Any]:
    """Do pieces of work side by side, each in a child of its own.

    Parameters
    ----------
    apart : bool
        Whether children are started where this process can't be forked, which the work must be picklable for;
        else it is done in place there.

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
    started = not can_fork()
    if started and not (apart and can_start()):
        with ThreadPoolExecutor(max(1, len(tasks))) as pool:
            return list(pool.map(lambda task: task.work(), tasks))
    children: list[_Reader] = []
    try:
        for task in tasks:
            children.append(_Reader(task, started=started))
        return [child.result() for child in children]
    except OSError as error:
        raise StorageError(f"cannot start a process to read tables: {error.strerror}") from error
    finally:
        for child in children:
            child.end()


class _Reader:
    """A child that works on one file."""

    def __init__(self, task: Guarded, *, started: bool = False) -> None:
        self._name, size = task.source.name, task.source.size
        self._seconds = CPU_SECONDS + size // BYTES_PER_SECOND
        bounds = Bounds(MEMORY_BYTES + MEMORY_PER_BYTE * size, self._seconds)
        self._child = Child([task.work], bounds, started=started)

    def result(self) -> Any:
        answer = self._child.answer(self._seconds * PATIENCE)
        if isinstance(answer, Done):
            return answer.value
        if answer is None:
            raise self._slow()
        if isinstance(answer, Ended):
            self._died(answer)
        if isinstance(answer.error, MemoryError):
            raise self._large() from answer.error
        raise answer.error

    def _died(self, how: Ended) -> NoReturn:
        if how.code == -signal.SIGXCPU:
            raise self._slow()
        if how.code in (-signal.SIGKILL, -signal.SIGABRT):
            raise self._large()
        raise NotATableError(
            f"{self._name} can't be read as a table: its reader ended by {how.how}",
            details={"path": self._name},
        )

    def _slow(self) -> TableLimitError:
        return TableLimitError(
            f"{self._name} takes more than {self._seconds} s to be read", details={"path": self._name}
        )

    def _large(self) -> TableLimitError:
        return TableLimitError(
            f"{self._name} needs more memory to be read than one table is given", details={"path": self._name}
        )

    def end(self) -> None:
        self._child.end()


__all__ = ["Guarded", "IndexesToCome", "build_indexes", "run_guarded"]
