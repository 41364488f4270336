"""Packs in memory: the second implementation of the Backend Protocol, for tests and scratch work."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dsvc.model.errors import CorruptDataError, MissingDataError
from dsvc.model.ids import PackId
from dsvc.store.backend import Buffer


class MemorySink:
    """A pack being written to memory."""

    def __init__(self, packs: dict[PackId, bytes]) -> None:
        self._packs = packs
        self._data = bytearray()

    @property
    def position(self) -> int:
        """Bytes written so far."""
        return len(self._data)

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Append all buffers."""
        for buffer in buffers:
            self._data += buffer

    def publish(self, pack: PackId) -> None:
        """Make it visible."""
        self._packs[pack] = bytes(self._data)

    def abandon(self) -> None:
        """Throw it away."""
        self._data = bytearray()


class MemoryBackend:
    """Packs in dictionaries."""

    def __init__(self) -> None:
        self.packs: dict[PackId, bytes] = {}
        self._trash: dict[str, dict[PackId, bytes]] = {}
        self._trashed_at: dict[str, float] = {}

    def list_packs(self) -> list[PackId]:
        """Names of the published packs, sorted."""
        return sorted(self.packs)

    def _data(self, pack: PackId) -> bytes:
        data = self.packs.get(pack)
        for run in self._trash.values():
            data = run.get(pack) if data is None else data
        if data is None:
            raise MissingDataError(f"pack {pack.short()} is missing", details={"pack": pack.hex()})
        return data

    def size(self, pack: PackId) -> int:
        """Length of a pack in bytes."""
        return len(self._data(pack))

    def read(self, pack: PackId, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes at `offset`.

        Raises
        ------
        CorruptDataError
            If the pack is shorter.
        """
        data = self._data(pack)
        if offset < 0 or length < 0 or offset + length > len(data):
            raise CorruptDataError(f"pack {pack.short()} is shorter than its index says")
        return data[offset : offset + length]

    def view(self, pack: PackId, offset: int, length: int) -> memoryview:
        """View of a range."""
        return memoryview(self.read(pack, offset, length))

    def forget(self) -> None:
        """Nothing is open."""

    def create(self) -> MemorySink:
        """Begin a new pack."""
        return MemorySink(self.packs)

    def trash(self, packs: Sequence[PackId], run: str) -> None:
        """Move packs to the trash of `run`."""
        kept = self._trash.setdefault(run, {})
        for pack in packs:
            if pack in self.packs or pack not in kept:
                kept[pack] = self.packs.pop(pack)
        self._trashed_at[run] = time.time()

    def list_trash(self) -> dict[str, list[PackId]]:
        """Trashed packs of each run."""
        return {run: sorted(packs) for run, packs in sorted(self._trash.items())}

    def recover(self, run: str) -> list[PackId]:
        """Put the packs of a run back."""
        packs = self._trash.pop(run, {})
        self.packs.update(packs)
        return sorted(packs)

    def empty_trash(self, run: str) -> int:
        """Delete the packs of a run; returns their bytes."""
        return sum(len(data) for data in self._trash.pop(run, {}).values())

    def trash_age(self, run: str) -> float:
        """Seconds since the run's packs were trashed; below 0 where a clock went back since.

        Raises
        ------
        MissingDataError
            If there is no such run.
        """
        if run not in self._trash:
            raise MissingDataError(f"there is no run {run!r} in the trash")
        return time.time() - self._trashed_at[run]
