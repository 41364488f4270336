"""The staged state: a second manifest root beside HEAD's, sharing its nodes.

``.dsvc/work/staged`` names the commit and the manifest that staging began from, and the staged manifest. The
staged changes are the difference of the two roots. Where HEAD has moved since (a crash between the move of
the ref and the write of this file, or another git tool), the difference is applied to HEAD's manifest.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import msgspec
import xxhash

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.fs import files
from dsvc.model.encoding import encode
from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import CommitId, NodeId
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.layout import Layout
from dsvc.store.manifest_tree import Manifest

_MAGIC = b"DSVCWORK"


class Staged(NamedTuple):
    """What is staged, and from where."""

    base_commit: CommitId | None
    base_root: NodeId
    root: NodeId


def read_checked(path: str, what: str) -> bytes | None:
    """Body of a checksummed file under ``.dsvc/work``; None where it doesn't exist.

    Raises
    ------
    CorruptDataError
        If the checksum is wrong.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise files.storage_error(error, "read", path) from error
    head = len(_MAGIC) + 16
    if data[: len(_MAGIC)] != _MAGIC or xxhash.xxh3_128_digest(data[head:]) != data[len(_MAGIC) : head]:
        raise CorruptDataError(
            f"the {what} is damaged", hint="dsvc fsck --repair puts it aside", details={"path": path}
        )
    return data[head:]


def write_checked(path: str, body: bytes, *, durable: bool) -> None:
    """Write a checksummed file atomically."""
    files.write_atomically(path, _MAGIC + xxhash.xxh3_128_digest(body) + body, durable=durable)


def remove_checked(path: str, *, durable: bool) -> None:
    """Remove a file that `write_checked` wrote, if it's there."""
    if os.path.lexists(path):
        files.unlink(path, missing_ok=True)
        if durable:
            files.sync_folder(os.path.dirname(path))


def decode_staged(body: bytes, path: str) -> Staged:
    """Decode the body of the file of the staged state.

    Raises
    ------
    CorruptDataError, MalformedInputError
        If it is malformed, or names what is no id.
    """
    try:
        commit, base, root = msgspec.msgpack.decode(body, type=tuple[str | None, bytes, bytes])
        return Staged(CommitId.parse(commit) if commit else None, NodeId(base), NodeId(root))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptDataError("the staged state is malformed", details={"path": path}) from error


class Staging:
    """Reads and replaces the staged state.

    Parameters
    ----------
    layout : Layout
        Paths of the repository.
    store : ChunkStore
        Where manifests are.
    durable : bool
        Whether a replacement is flushed.
    """

    def __init__(self, layout: Layout, store: ChunkStore, *, durable: bool) -> None:
        self._path = os.path.join(layout.work, "staged")
        self._store = store
        self._durable = durable

    def load(
        self, head: CommitId | None, head_root: NodeId, left: tuple[NodeId, NodeId] | None = None
    ) -> Staged:
        """Staged state over HEAD; nothing staged means that both roots are HEAD's.

        Parameters
        ----------
        left : tuple of NodeId or None
            What the newest operation left staged, and over which manifest: that holds where the file is lost.

        Raises
        ------
        CorruptDataError
            If the file is damaged.
        """
        body = read_checked(self._path, "staged state")
        if body is None:
            base, root = left or (head_root, head_root)
            return Staged(head, head_root, self.carry(base, root, head_root))
        staged = decode_staged(body, self._path)
        if staged.base_commit == head and staged.base_root == head_root:
            return staged
        return Staged(head, head_root, self.carry(staged.base_root, staged.root, head_root))

    def carry(self, base: NodeId, staged: NodeId, onto: NodeId) -> NodeId:
        """Apply the difference between two manifests to a third; returns its root."""
        if base == staged:
            return onto
        if base == onto:
            return staged
        changes = diff_manifests(Manifest(self._store, base), Manifest(self._store, staged))
        return Manifest(self._store, onto).update([(c.path, c.new) for c in changes])

    def save(self, staged: Staged) -> None:
        """Replace the staged state; with nothing staged the file goes."""
        if staged.base_root == staged.root:
            remove_checked(self._path, durable=self._durable)
            return
        self._write(staged)

    def _write(self, staged: Staged) -> None:
        commit = None if staged.base_commit is None else str(staged.base_commit)
        body = encode([commit, bytes(staged.base_root), bytes(staged.root)])
        write_checked(self._path, body, durable=self._durable)

    def hold(self, staged: Staged) -> None:
        """Write down the state that a verb begins from, where there is no file, also that nothing is staged.

        A verb that is killed once it is logged, and before it is through, is then done again from there.
        """
        if not os.path.lexists(self._path):
            self._write(staged)

    def recorded(self) -> NodeId | None:
        """Staged root as the file says, without looking at HEAD: a root for gc; errors as `load`."""
        body = read_checked(self._path, "staged state")
        return None if body is None else decode_staged(body, self._path).root
