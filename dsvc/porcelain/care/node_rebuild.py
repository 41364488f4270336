"""Nodes of manifests and chunk lists that are lost, made again from the working tree.

The same files come to the same nodes. What is made here counts by its id alone: where a file has changed,
other nodes come out, and nothing is taken for what it isn't.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final

from dsvc.fs.beneath import Beneath
from dsvc.model.errors import DsvcError
from dsvc.model.ids import Digest, NodeId
from dsvc.model.manifest import Entry
from dsvc.porcelain.state.sparse import SparsePatterns
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.file_entry import folder_entry
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.stat_cache import StatCache
from dsvc.porcelain.tree.tree_scan import TreeScan
from dsvc.store.backend import Backend, Buffer
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest

_ANCESTORS: Final = 10
Entries = dict[bytes, Entry]


class _Sieve(ChunkStore):
    """Keeps nodes and lists in memory; of the chunks of files only the ids are needed."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.made: dict[bytes, tuple[bytes, ItemType]] = {}

    def put_chunk(self, id_: bytes, data: Buffer, *, raw: bool) -> bool:
        """Let a chunk fall through."""
        return False

    def put_object(self, id_: Digest, data: bytes, item_type: ItemType) -> bool:
        """Keep a node or a list."""
        self._new[bytes(id_)] = self.made[bytes(id_)] = data, item_type
        return True


def rebuild_nodes(repo: Workspace, lost: Collection[bytes], lists: Collection[Entry]) -> set[bytes]:
    """Make nodes and lists again, and store those that come out.

    Parameters
    ----------
    lost : collection of bytes
        Ids of nodes and lists of which no whole copy is left.
    lists : collection of Entry
        Files whose list is among them.

    Returns
    -------
    set of bytes
        Those of `lost` that are there again.

    Raises
    ------
    StorageError
        If they can't be written.
    """
    sieve, wanted = _Sieve(repo.backend), set(lost)
    with Beneath(repo.root) as tree:
        for entry in lists:
            _read(sieve, tree, entry.path, entry)
        guesses = _guesses(repo, sieve, tree)
        while not wanted <= sieve.made.keys() and (guess := next(guesses, None)) is not None:
            with suppress(DsvcError):  # a cache that somebody forged
                Manifest(sieve, EMPTY_ROOT).update(sorted(guess.items()))
    if not wanted & sieve.made.keys():
        return set()
    made = sieve.made.items()
    new = {id_ for id_, (data, item_type) in made if repo.store.put_object(NodeId(id_), data, item_type)}
    repo.store.publish()
    repo.store.forget()
    return wanted & new


def _guesses(repo: Workspace, sieve: _Sieve, tree: Beneath) -> Iterator[Entries]:
    """What the manifest may have held: what the stat cache says, then what the files come to."""
    cached = _cached(repo)
    if cached:
        yield cached
    known = _known(repo)
    here = _in_the_tree(repo, sieve, tree, {**known, **cached})
    yield here
    tracked = {path: entry for path, entry in here.items() if path in known or path in cached}
    yield tracked
    yield {**known, **tracked}  # also what the tree leaves out


def _cached(repo: Workspace) -> Entries:
    cache = StatCache(repo.layout.cache)
    state = cache.state(None)
    if state is None:
        return {}
    found = {folder: folder_entry(folder) for folder in state.empty}
    for folder in state.folders:
        shard = cache.shard(folder)
        with suppress(DsvcError):
            found.update((entry.path, entry) for entry in ([] if shard is None else shard.entries()))
    return found


def _known(repo: Workspace) -> Entries:
    """Entries of the newest versions, as far as they can be read; the newest of a path holds."""
    found: Entries = {}
    with suppress(DsvcError):
        _add_readable(repo, repo.staged().root, found)
        at = repo.history.refs.head_as_is().commit
        for _ in range(_ANCESTORS):
            if at is None:
                break
            commit = repo.history.read_commit(at)
            _add_readable(repo, commit.manifest, found)
            at = commit.parents[0] if commit.parents else None
    return found


def _add_readable(repo: Workspace, root: NodeId, found: Entries) -> None:
    with suppress(DsvcError):
        for entry in repo.manifest(root).entries():
            found.setdefault(entry.path, entry)


def _in_the_tree(repo: Workspace, sieve: _Sieve, tree: Beneath, known: Mapping[bytes, Entry]) -> Entries:
    """Entries of all files in the working tree that aren't ignored, or are known."""
    scan = TreeScan(
        layout=repo.layout,
        root=repo.root,
        store=repo.store,
        manifest=repo.manifest(EMPTY_ROOT),
        sparse=SparsePatterns([]),
        stage=False,
        save=False,
    )
    scan.settings.descend_untracked = True
    try:
        found = scan.run([b""])
        scan.finish()
    finally:
        scan.abandon()
    here = {folder: folder_entry(folder) for folder in found.empty}
    for path in {*found.untracked, *known}:
        entry = _read(sieve, tree, path, known.get(path))
        if entry is not None:
            here[path] = entry
    return here


def _read(sieve: _Sieve, tree: Beneath, path: bytes, old: Entry | None) -> Entry | None:
    try:
        return store_file(sieve, tree, path, old)
    except (DsvcError, OSError):
        return None  # it can't be read now; another file may still be of use
