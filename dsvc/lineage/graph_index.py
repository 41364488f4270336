"""Summaries of runs and listings of folders, kept in a cache so that only new runs are read from the store.

The cache lies in ``.dsvc/cache/lineage``: ``runs`` has a summary of every run that was asked for, and
``folders/ROOT`` the listing of one large folder. Ids are hashes of what they name, so that nothing in it gets
old. Each file begins with the XXH3-64 of the rest; what can't be read is made again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from typing import Final, NamedTuple, TypeVar

import msgspec
import xxhash

from dsvc.fs import cache_files
from dsvc.lineage.run_summary import ArtifactSummary, RunSummary, summarise
from dsvc.lineage.run_tree import RunTree
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.ids import NodeId
from dsvc.model.run_record import RunId
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Manifest

FORMAT: Final = 1
_KEPT_FOLDER: Final = 256
"""Files from which on a folder's listing is kept; a smaller one is read as quickly from the store."""

_T = TypeVar("_T")


class _Runs(msgspec.Struct, frozen=True, array_like=True):
    format: int
    runs: tuple[RunSummary, ...]


class _Listing(msgspec.Struct, frozen=True, array_like=True):
    format: int
    paths: tuple[bytes, ...]
    digests: tuple[bytes, ...]


class Member(NamedTuple):
    """A file of a folder: its place in it, its path in the working tree, its digest."""

    number: int
    path: bytes
    digest: bytes


class Listing:
    """The files of a folder artifact, in order; a file's number is its record.

    Parameters
    ----------
    folder : bytes
        Path of the folder.
    paths : sequence of bytes
        Relative to it.
    digests : sequence of bytes
    """

    def __init__(self, folder: bytes, paths: Iterable[bytes], digests: Iterable[bytes]) -> None:
        prefix = folder + b"/" if folder else b""
        self.members = tuple(
            Member(number, prefix + path, digest)
            for number, (path, digest) in enumerate(zip(paths, digests, strict=True))
        )

    @cached_property
    def by_path(self) -> dict[bytes, Member]:
        """Files by their path in the working tree."""
        return {member.path: member for member in self.members}

    @cached_property
    def by_digest(self) -> dict[bytes, list[Member]]:
        """Files by their content."""
        found: dict[bytes, list[Member]] = {}
        for member in self.members:
            found.setdefault(member.digest, []).append(member)
        return found


class RunIndex:
    """What is known of some runs.

    Parameters
    ----------
    store : ChunkStore
        Where they are.
    ids : iterable of RunId
        Which.
    folder : str or None
        Where the cache lies; None keeps nothing.
    unreadable : dict or None
        Takes runs that can't be read, with the reason.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run can't be read, and `unreadable` is None.
    """

    def __init__(
        self,
        store: ChunkStore,
        ids: Iterable[RunId],
        folder: str | None = None,
        unreadable: dict[RunId, DsvcError] | None = None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._listings: dict[tuple[bytes, bytes], Listing] = {}
        wanted = sorted({bytes(id_) for id_ in ids})
        known = {run.id: run for run in self._kept_runs()} if wanted else {}
        unknown = [id_ for id_ in wanted if id_ not in known]
        for id_ in unknown:
            try:
                known[id_] = summarise(RunTree(store, RunId(id_)))
            except DsvcError as error:
                if unreadable is None:
                    raise
                unreadable[RunId(id_)] = error
        if any(id_ in known for id_ in unknown):
            self._keep("runs", _Runs(FORMAT, tuple(known[id_] for id_ in sorted(known))))
        self.runs = {RunId(id_): known[id_] for id_ in wanted if id_ in known}

    def _kept_runs(self) -> tuple[RunSummary, ...]:
        kept = self._read("runs", _Runs)
        return () if kept is None or kept.format != FORMAT else kept.runs

    def listing(self, artifact: ArtifactSummary) -> Listing:
        """Files of a folder artifact; raises as the constructor."""
        place = artifact.path, artifact.listing
        if place not in self._listings:
            self._listings[place] = self._listing(artifact.path, artifact.listing)
        return self._listings[place]

    def _listing(self, folder: bytes, root: bytes) -> Listing:
        name = os.path.join("folders", root.hex())
        kept = self._read(name, _Listing)
        if kept is not None and kept.format == FORMAT and len(kept.paths) == len(kept.digests):
            return Listing(folder, kept.paths, kept.digests)
        entries = list(Manifest(self._store, NodeId(root)).entries())
        found = _Listing(FORMAT, tuple(e.path for e in entries), tuple(e.digest for e in entries))
        if len(entries) >= _KEPT_FOLDER:
            self._keep(name, found)
        return Listing(folder, found.paths, found.digests)

    @cached_property
    def _makers(self) -> dict[bytes, list[RunId]]:
        found: dict[bytes, list[RunId]] = {}
        for run in sorted(self.runs.values(), key=lambda run: run.order):
            for output in run.outputs:
                members = self.listing(output).by_digest if output.folder else ()
                for digest in {output.digest, *members}:
                    found.setdefault(digest, []).append(run.run_id)
        return found

    def maker(self, digest: bytes) -> list[RunId]:
        """Runs that made a file with this content, by itself or in a folder, or this folder; oldest first."""
        return self._makers.get(digest, [])

    # The cache

    def _read(self, name: str, kind: type[_T]) -> _T | None:
        if self._folder is None:
            return None
        try:
            with open(os.path.join(self._folder, name), "rb") as file:
                data = file.read()
        except OSError:
            return None
        if xxhash.xxh3_64_digest(data[8:]) != data[:8]:
            return None
        try:
            return decode(memoryview(data)[8:], kind, "cache of lineage", limit=None)
        except MalformedInputError:
            return None

    def _keep(self, name: str, value: msgspec.Struct) -> None:
        """Save a file of the cache; a full disk only costs the time to make it again."""
        if self._folder is None:
            return
        data = encode(value)
        cache_files.keep(os.path.join(self._folder, name), xxhash.xxh3_64_digest(data) + data)
