"""Packs as files in a folder."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import logging
import mmap
import os
import resource
import time
import weakref
from collections.abc import Iterator, Sequence
from functools import cache

from dsvc.fs import files
from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError, StorageError
from dsvc.model.ids import PackId
from dsvc.store.backend import Buffer, UnreadableError
from dsvc.store.layout import Layout

SUFFIX = ".pack"
JOURNAL = "journal.json"
_log = logging.getLogger(__name__)
_MAX_OPEN = 64
_SMALL_BYTES = 16 << 10
_PROBE_BYTES = 1 << 20


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int64,
    ]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc


def _map(fd: int, offset: int, length: int) -> memoryview:
    """Map a range of a file for reading without keeping a descriptor.

    `mmap.mmap` duplicates the descriptor and keeps it: a thousand mapped footers would use up the thousand
    files that a process may open.
    """
    libc = _libc()
    start = offset - offset % mmap.ALLOCATIONGRANULARITY
    whole = offset - start + length
    address = libc.mmap(None, whole, mmap.PROT_READ, mmap.MAP_SHARED, fd, start)
    if address is None or address == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    array = (ctypes.c_ubyte * length).from_address(address + offset - start)
    weakref.finalize(array, libc.munmap, address, whole)
    return memoryview(array).cast("B").toreadonly()


def _probe(fd: int, offset: int, length: int) -> bool:
    """Read a range once and throw it away: an error of the disk is raised here; False where the file ends.

    Met in a mapped page either is a SIGBUS, which ends the process; what was read just now stands in memory.
    """
    room = memoryview(bytearray(min(length, _PROBE_BYTES)))
    end = offset + length
    while offset < end:
        done = os.preadv(fd, [room[: end - offset]], offset)
        if not done:
            return False
        offset += done
    return True


class LocalSink:
    """A pack being written to a temporary file."""

    def __init__(self, layout: Layout, *, durable: bool) -> None:
        self._layout = layout
        self._durable = durable
        self._path = os.path.join(layout.temporary, files.temporary_name("pack"))
        self._fd = files.open_new(self._path, mode=0o444)
        self.position = 0

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Append all buffers."""
        files.writev(self._fd, buffers, self._path)
        self.position += sum(len(b) for b in buffers)

    def publish(self, pack: PackId) -> None:
        """fsync, rename into the pack folder, fsync the folder."""
        if self._durable:
            files.sync(self._fd, self._path)
        os.close(self._fd)
        self._fd = -1
        files.rename(self._path, os.path.join(self._layout.packs, pack.hex() + SUFFIX))
        if self._durable:
            files.sync_folder(self._layout.packs)

    def abandon(self) -> None:
        """Close and remove the temporary file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        files.discard(self._path)


class LocalBackend:
    """Packs under ``.dsvc/packs``, trashed ones under ``.dsvc/trash/RUN``.

    Parameters
    ----------
    layout : Layout
        Paths of the repository.
    durable : bool
        Whether packs are flushed before they are published.
    """

    def __init__(self, layout: Layout, *, durable: bool = True) -> None:
        self.layout = layout
        self.durable = durable
        self._open: dict[PackId, int] = {}
        # A quarter of what the process may open, so that packs leave room for all else.
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most_open = _MAX_OPEN if allowed < 0 else max(1, min(_MAX_OPEN, allowed // 4))

    def list_packs(self) -> list[PackId]:
        """Names of the published packs, sorted."""
        return self._list(self.layout.packs)

    @staticmethod
    def _list(folder: str) -> list[PackId]:
        found = []
        try:
            names = os.listdir(folder)
        except OSError as error:
            raise files.storage_error(error, "list", folder) from error
        for name in names:
            if name.endswith(SUFFIX):
                with contextlib.suppress(MalformedInputError):
                    found.append(PackId.parse(name[: -len(SUFFIX)]))
        found.sort()
        return found

    def _places(self, pack: PackId) -> Iterator[str]:
        """Where a pack can be: in the list, or in a run of the trash."""
        name = pack.hex() + SUFFIX
        yield os.path.join(self.layout.packs, name)
        with contextlib.suppress(FileNotFoundError):
            for run in os.listdir(self.layout.trash):
                yield os.path.join(self.layout.trash, run, name)

    def _unreadable(self, error: OSError, pack: PackId) -> UnreadableError:
        path = next(filter(os.path.lexists, self._places(pack)), pack.hex())
        told = files.storage_error(error, "read", path)
        return UnreadableError(told.message, hint=told.hint, details=told.details)

    def _fd(self, pack: PackId) -> int:
        fd = self._open.get(pack)
        if fd is None:
            fd = self._opened(pack)
            if len(self._open) >= self._most_open:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[pack] = fd
        return fd

    def _opened(self, pack: PackId) -> int:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        for path in self._places(pack):
            try:
                return os.open(path, flags)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise files.storage_error(error, "open", path) from error
        raise MissingDataError(f"pack {pack.short()} is missing", details={"pack": pack.hex()})

    def size(self, pack: PackId) -> int:
        """Length of a pack in bytes."""
        return os.fstat(self._fd(pack)).st_size

    def read(self, pack: PackId, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes at `offset`.

        Raises
        ------
        CorruptDataError
            If the pack is shorter.
        UnreadableError
            If the disk refuses to read it.
        """
        fd = self._fd(pack)
        if offset < 0 or length < 0 or length > os.fstat(fd).st_size - offset:
            raise CorruptDataError(f"pack {pack.short()} is shorter than its index says")
        try:
            data = os.pread(fd, length, offset)
            while len(data) < length:
                more = os.pread(fd, length - len(data), offset + len(data))
                if not more:
                    raise CorruptDataError(f"pack {pack.short()} ends early")
                data += more
        except OSError as error:
            raise self._unreadable(error, pack) from error
        return data

    def view(self, pack: PackId, offset: int, length: int) -> memoryview:
        """Map a range of the pack; a small one is read, which is quicker and takes no page more.

        Raises
        ------
        CorruptDataError
            If the pack is shorter.
        UnreadableError
            If the disk refuses to read it.
        """
        if length == 0:
            return memoryview(b"")
        fd = self._fd(pack)
        if length > os.fstat(fd).st_size - offset:
            raise CorruptDataError(f"pack {pack.short()} is shorter than its trailer says")
        if length <= _SMALL_BYTES:
            return memoryview(self.read(pack, offset, length))
        try:
            if _probe(fd, offset, length):
                return _map(fd, offset, length)
        except OSError as error:
            # A file system that maps nothing, or no room for a further map: the pack may be whole.
            if error.errno not in (errno.ENODEV, errno.ENOMEM):
                raise self._unreadable(error, pack) from error
        return memoryview(self.read(pack, offset, length))

    def create(self) -> LocalSink:
        """Begin a new pack."""
        return LocalSink(self.layout, durable=self.durable)

    def __del__(self) -> None:
        """Close the open packs with the object."""
        self.forget()

    def forget(self) -> None:
        """Close the open packs; they are opened again when needed."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def _run_folder(self, run: str) -> str:
        if not run or run in (".", "..") or "/" in run:
            raise MalformedInputError(f"not the name of a gc run: {run!r}")
        return os.path.join(self.layout.trash, run)

    def trash(self, packs: Sequence[PackId], run: str) -> None:
        """Move packs to the trash of `run`, both folders flushed; one that is there already stays there.

        The run's journal says when, and which packs: it is written first, so that a crash in between
        leaves nothing that only the names of files would tell.
        """
        folder = self._run_folder(run)
        files.make_folders(folder)
        names = sorted({pack.hex() for pack in (*packs, *self._list(folder))})
        journal = {"run": run, "at": time.time(), "packs": names}
        try:
            files.write_atomically(
                os.path.join(folder, JOURNAL),
                json.dumps(journal).encode(),
                durable=self.durable,
                temporary=self.layout.temporary,
            )
        except StorageError as error:
            if not files.is_full(error):
                raise
            # Collecting must work on a full disk: then the names and the time of the folder have to do.
            _log.warning("the trash keeps no journal: %s", error)
        for pack in packs:
            name = pack.hex() + SUFFIX
            source = os.path.join(self.layout.packs, name)
            if os.path.lexists(source) or not os.path.lexists(os.path.join(folder, name)):
                files.rename(source, os.path.join(folder, name))
        if packs and self.durable:
            files.sync_folder(folder)
            files.sync_folder(self.layout.packs)

    def list_trash(self) -> dict[str, list[PackId]]:
        """Trashed packs of each run."""
        with contextlib.suppress(FileNotFoundError):
            runs = sorted(os.listdir(self.layout.trash))
            folders = [run for run in runs if os.path.isdir(os.path.join(self.layout.trash, run))]
            return {run: self._list(self._run_folder(run)) for run in folders}
        return {}

    def recover(self, run: str) -> list[PackId]:
        """Move the packs of a run back."""
        folder = self._run_folder(run)
        packs = self._list(folder) if os.path.isdir(folder) else []
        for pack in packs:
            name = pack.hex() + SUFFIX
            files.rename(os.path.join(folder, name), os.path.join(self.layout.packs, name))
        if self.durable and packs:
            files.sync_folder(self.layout.packs)
        self._remove_run(folder)
        return packs

    def empty_trash(self, run: str) -> int:
        """Delete the packs of a run; returns their bytes."""
        folder = self._run_folder(run)
        total = 0
        for pack in self._list(folder) if os.path.isdir(folder) else ():
            path = os.path.join(folder, pack.hex() + SUFFIX)
            total += os.path.getsize(path)
            files.unlink(path)
            fd = self._open.pop(pack, None)
            if fd is not None:
                os.close(fd)
        self._remove_run(folder)
        return total

    @staticmethod
    def _remove_run(folder: str) -> None:
        files.unlink(os.path.join(folder, JOURNAL), missing_ok=True)
        files.remove_folder(folder)

    def trash_age(self, run: str) -> float:
        """Seconds since packs were last moved there, by the journal or by the folder, whichever is younger.

        A clock that went back since gives a number below 0.

        Raises
        ------
        MissingDataError
            If there is no such run.
        """
        folder = self._run_folder(run)
        try:
            moved = os.stat(folder).st_mtime
        except FileNotFoundError as error:
            raise MissingDataError(f"there is no run {run!r} in the trash") from error
        with (
            contextlib.suppress(OSError, ValueError, KeyError, TypeError),
            open(os.path.join(folder, JOURNAL), "rb") as stream,
        ):
            moved = max(moved, float(json.load(stream)["at"]))
        return time.time() - moved
