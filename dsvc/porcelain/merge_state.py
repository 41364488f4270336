"""An unfinished merge, revert, cherry-pick or stash pop: what it is, and the conflicts still open."""

from __future__ import annotations

import os

import msgspec

from dsvc.fs import files
from dsvc.model.encoding import encode
from dsvc.model.errors import CorruptDataError
from dsvc.model.manifest import Entry
from dsvc.porcelain.staging import read_checked, write_checked
from dsvc.store.layout import Layout


class OpenConflict(msgspec.Struct, array_like=True, frozen=True):
    """A conflicted path with its three sides."""

    path: bytes
    kind: str
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None


class MergeState(msgspec.Struct, array_like=True, frozen=True):
    """What is in progress.

    Attributes
    ----------
    verb : str
        ``merge``, ``revert``, ``cherry-pick`` or ``stash pop``.
    theirs : str or None
        Commit that is merged in.
    message : str
        Message that the commit will have.
    before : bytes
        Staged manifest before it began, for ``merge --abort``.
    """

    verb: str
    theirs: str | None
    message: str
    before: bytes
    conflicts: list[OpenConflict]


def _path(layout: Layout) -> str:
    return os.path.join(layout.work, "merge")


def load(layout: Layout) -> MergeState | None:
    """State of what is in progress, or None.

    Raises
    ------
    CorruptDataError
        If its file is damaged.
    """
    body = read_checked(_path(layout), "merge state")
    if body is None:
        return None
    try:
        return msgspec.msgpack.decode(body, type=MergeState)
    except msgspec.DecodeError as error:
        raise CorruptDataError("the merge state is malformed", details={"path": _path(layout)}) from error


def save(layout: Layout, state: MergeState, *, durable: bool) -> None:
    """Replace the state."""
    write_checked(_path(layout), encode(state), durable=durable)


def clear(layout: Layout) -> None:
    """Forget it."""
    if os.path.lexists(_path(layout)):
        files.unlink(_path(layout), missing_ok=True)
