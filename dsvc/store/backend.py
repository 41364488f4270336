"""Where packs lie: one Protocol, a local folder and a memory that stands in for it in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dsvc.model.errors import StorageError
from dsvc.model.ids import PackId

Buffer = bytes | bytearray | memoryview


class UnreadableError(StorageError):
    """The disk refuses to give back what is stored."""

    code = "unreadable"


class PackSink(Protocol):
    """A pack being written; invisible until `publish`."""

    @property
    def position(self) -> int:
        """Bytes written so far."""
        ...

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Append all buffers."""
        ...

    def publish(self, pack: PackId) -> None:
        """Make it durable and visible under its name; publishing a name twice is harmless."""
        ...

    def abandon(self) -> None:
        """Throw it away; safe after `publish`."""
        ...


class Backend(Protocol):
    """Named immutable packs.

    Contract (checked by `dsvc.testing.contracts.BackendContract`): a published pack is whole or absent,
    `read` returns exactly the bytes asked for or raises, `trash` and `recover` are inverse, listing twice
    without a change gives the same answer.
    """

    def list_packs(self) -> list[PackId]:
        """Names of the published packs, sorted."""
        ...

    def size(self, pack: PackId) -> int:
        """Length of a pack in bytes; `MissingDataError` where it's absent."""
        ...

    def read(self, pack: PackId, offset: int, length: int) -> bytes:
        """Read a range; `MissingDataError` for an absent pack, `CorruptDataError` for a short one.

        `UnreadableError` says that it is there and the disk doesn't give it.
        """
        ...

    def view(self, pack: PackId, offset: int, length: int) -> memoryview:
        """Like `read`, mapped where the backend can; valid as long as the caller keeps it."""
        ...

    def forget(self) -> None:
        """Let go of what is open, so that the next read asks where the packs lie."""
        ...

    def create(self) -> PackSink:
        """Begin a new pack."""
        ...

    def trash(self, packs: Sequence[PackId], run: str) -> None:
        """Take packs out of the list into the trash of a gc run; reading them still works."""
        ...

    def list_trash(self) -> dict[str, list[PackId]]:
        """Trashed packs of each run."""
        ...

    def recover(self, run: str) -> list[PackId]:
        """Put the packs of a run back into the list; returns them."""
        ...

    def empty_trash(self, run: str) -> int:
        """Delete a run's packs for good; returns their bytes."""
        ...

    def trash_age(self, run: str) -> float:
        """Seconds since the run's packs were trashed; below 0 where a clock went back since."""
        ...
