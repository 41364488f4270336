"""Packs as files in a folder."""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Sequence

from dsvc.fs import files
from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError
from dsvc.model.ids import PackId
from dsvc.store.backend import Buffer
from dsvc.store.layout import Layout

SUFFIX = ".pack"
_MAX_OPEN = 64


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

    def _find(self, pack: PackId) -> str:
        name = pack.hex() + SUFFIX
        path = os.path.join(self.layout.packs, name)
        if os.path.lexists(path):
            return path
        with contextlib.suppress(FileNotFoundError):
            for run in os.listdir(self.layout.trash):
                trashed = os.path.join(self.layout.trash, run, name)
                if os.path.lexists(trashed):
                    return trashed
        raise MissingDataError(f"pack {pack.short()} is missing", details={"pack": pack.hex()})

    def _fd(self, pack: PackId) -> int:
        fd = self._open.get(pack)
        if fd is None:
            path = self._find(pack)
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise MissingDataError(
                    f"pack {pack.short()} is missing", details={"pack": pack.hex()}
                ) from error
            except OSError as error:
                raise files.storage_error(error, "open", path) from error
            if len(self._open) >= _MAX_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[pack] = fd
        return fd

    def size(self, pack: PackId) -> int:
        """Length of a pack in bytes."""
        return os.fstat(self._fd(pack)).st_size

    def read(self, pack: PackId, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes at `offset`."""
        fd = self._fd(pack)
        if length > os.fstat(fd).st_size - offset:
            raise CorruptDataError(f"pack {pack.short()} is shorter than its index says")
        try:
            data = os.pread(fd, length, offset)
            while len(data) < length:
                more = os.pread(fd, length - len(data), offset + len(data))
                if not more:
                    raise CorruptDataError(f"pack {pack.short()} ends early")
                data += more
        except OSError as error:
            raise files.storage_error(error, "read", self._find(pack)) from error
        return data

    def view(self, pack: PackId, offset: int, length: int) -> memoryview:
        """Map a range of the pack."""
        if length == 0:
            return memoryview(b"")
        fd = self._fd(pack)
        if length > os.fstat(fd).st_size - offset:
            raise CorruptDataError(f"pack {pack.short()} is shorter than its trailer says")
        start = offset - offset % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(fd, offset + length - start, offset=start, prot=mmap.PROT_READ)
        return memoryview(mapped)[offset - start :]

    def create(self) -> LocalSink:
        """Begin a new pack."""
        return LocalSink(self.layout, durable=self.durable)

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
        """Move packs to the trash of `run`, both folders flushed."""
        folder = self._run_folder(run)
        files.make_folders(folder)
        for pack in packs:
            name = pack.hex() + SUFFIX
            files.rename(os.path.join(self.layout.packs, name), os.path.join(folder, name))
        if packs and self.durable:
            files.sync_folder(folder)
            files.sync_folder(self.layout.packs)

    def list_trash(self) -> dict[str, list[PackId]]:
        """Trashed packs of each run."""
        with contextlib.suppress(FileNotFoundError):
            return {run: self._list(self._run_folder(run)) for run in sorted(os.listdir(self.layout.trash))}
        return {}

    def recover(self, run: str) -> list[PackId]:
        """Move the packs of a run back."""
        folder = self._run_folder(run)
        packs = self._list(folder)
        for pack in packs:
            name = pack.hex() + SUFFIX
            files.rename(os.path.join(folder, name), os.path.join(self.layout.packs, name))
        if self.durable:
            files.sync_folder(self.layout.packs)
        files.remove_folder(folder)
        return packs

    def empty_trash(self, run: str) -> int:
        """Delete the packs of a run; returns their bytes."""
        folder = self._run_folder(run)
        total = 0
        for pack in self._list(folder):
            path = os.path.join(folder, pack.hex() + SUFFIX)
            total += os.path.getsize(path)
            files.unlink(path)
            fd = self._open.pop(pack, None)
            if fd is not None:
                os.close(fd)
        files.remove_folder(folder)
        return total

    def trash_age(self, run: str) -> float:
        """Seconds since the folder of the run last changed, by the clock of the file system."""
        return max(0.0, time.time() - os.stat(self._run_folder(run)).st_mtime)
