"""du: how much the repository takes, and what sharing and compression save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsvc.porcelain.care.gc import commit_roots, starting_points
from dsvc.store.block import ItemType

if TYPE_CHECKING:
    from dsvc.model.ids import CommitId
    from dsvc.porcelain.state.workspace import Workspace
    from dsvc.store.chunk_store import ChunkStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sizes of a repository.

    Attributes
    ----------
    head_files, head_bytes : int
        Files of HEAD's version, and their logical bytes.
    commits : int
        Commits that refs and logs reach.
    history_bytes : int
        Logical bytes of all their versions, each counted in full.
    unique_bytes : int
        Bytes of distinct content before compression.
    object_bytes : int
        Bytes of manifests and chunk lists before compression.
    stored_bytes : int
        Bytes of all packs on the disk.
    trash_bytes : int
        Bytes of packs in the trash; not in `stored_bytes`.
    packs, chunks, nodes : int
        Numbers of packs, of chunks, and of nodes of manifests and chunk lists.
    erased : int
        Chunks that were erased on purpose.
    dedup_ratio : float
        `history_bytes` divided by `unique_bytes`; 1.0 where there is nothing.
    compression_ratio : float
        `unique_bytes` and `object_bytes` divided by `stored_bytes`.
    """

    head_files: int
    head_bytes: int
    commits: int
    history_bytes: int
    unique_bytes: int
    object_bytes: int
    stored_bytes: int
    trash_bytes: int
    packs: int
    chunks: int
    nodes: int
    erased: int
    dedup_ratio: float
    compression_ratio: float


@dataclass(slots=True)
class _Counts:
    chunks: int = 0
    chunk_bytes: int = 0
    nodes: int = 0
    node_bytes: int = 0
    erased: int = 0
    stored: int = 0


def usage(repo: Workspace) -> Usage:
    """Measure a repository by the footers of its packs and the roots of its manifests; reads no content.

    Second copies of a chunk, which `gc` takes out, count as content.

    Raises
    ------
    DsvcError
        If a ref, a commit or the root of a manifest can't be read.
    """
    repo.store.forget()
    counts = _count(repo.store)
    head_files, head_bytes = repo.manifest_of("HEAD").totals()
    commits = history_bytes = 0
    seen: set[CommitId] = set()
    for start in starting_points(repo):
        for _ in commit_roots(repo.history, start, seen):
            commits += 1
    for id_ in seen:
        history_bytes += repo.history.read_commit(id_).bytes
    backend = repo.store.backend
    trashed = sum(backend.size(pack) for packs in backend.list_trash().values() for pack in packs)
    raw = counts.chunk_bytes + counts.node_bytes
    return Usage(
        head_files=head_files,
        head_bytes=head_bytes,
        commits=commits,
        history_bytes=history_bytes,
        unique_bytes=counts.chunk_bytes,
        object_bytes=counts.node_bytes,
        stored_bytes=counts.stored,
        trash_bytes=trashed,
        packs=len(backend.list_packs()),
        chunks=counts.chunks,
        nodes=counts.nodes,
        erased=counts.erased,
        dedup_ratio=round(history_bytes / counts.chunk_bytes, 3) if counts.chunk_bytes else 1.0,
        compression_ratio=round(raw / counts.stored, 3) if counts.stored else 1.0,
    )


def _count(store: ChunkStore) -> _Counts:
    counts = _Counts()
    for footer in store.index.footers():
        counts.stored += store.backend.size(footer.pack)
        for row in range(footer.count):
            place = footer.location(row)
            if place.erased:
                counts.erased += 1
            elif place.item_type == ItemType.CHUNK:
                counts.chunks += 1
                counts.chunk_bytes += place.length
            else:
                counts.nodes += 1
                counts.node_bytes += place.length
    return counts
