"""The lineage of a commit: a manifest of the runs that its files descend from and the sources that it saw.

``runs/ID`` is a run (`dsvc.lineage.run_tree`), ``sources/ID`` a source as it was
(`dsvc.lineage.source_tree`), ``detections/DIGEST`` what a detector said of the files that a commit brought
(`dsvc.model.detection_run`), named by the BLAKE3 of its bytes. A commit's lineage holds that of its parents,
so that a history adds only what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from blake3 import blake3

from dsvc.lineage.source_tree import SourceTree, store_part
from dsvc.model.detection_run import DetectionRun, decode_detection_run, encode_detection_run
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry, tree_entry
from dsvc.model.run_record import RunId
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.store.materialize import read_content

RUNS: Final = b"runs"
SOURCES: Final = b"sources"
DETECTIONS: Final = b"detections"


class LineageTree:
    """The lineage of a commit.

    Parameters
    ----------
    store : ChunkStore
        Where it is.
    root : NodeId or None
        Its root; None: no lineage is recorded.
    """

    def __init__(self, store: ChunkStore, root: NodeId | None) -> None:
        self._store = store
        self.root = root
        self.manifest = Manifest(store, root or EMPTY_ROOT, trees=True)

    def runs(self) -> list[RunId]:
        """Ids of its runs, ascending.

        Raises
        ------
        MalformedInputError
            If a run stands under another name than its id.
        """
        return [_run_id(entry) for entry in self.manifest.entries(RUNS)]

    def has_run(self, id: RunId) -> bool:  # noqa: A002
        """Whether a run belongs to it."""
        return self.manifest.get(_run_path(id)) is not None

    def sources(self) -> dict[str, SourceTree]:
        """Sources as it saw them, by id; what stands under a name that is none is the record of no source."""
        return {
            entry.path[len(SOURCES) + 1 :].decode(errors="backslashreplace"): SourceTree(
                self._store, NodeId(entry.digest)
            )
            for entry in self.manifest.entries(SOURCES)
        }

    def source(self, id: str) -> SourceTree | None:  # noqa: A002
        """One source as it saw it."""
        entry = self.manifest.get(_source_path(id))
        return None if entry is None else SourceTree(self._store, NodeId(entry.digest))

    def detections(self) -> Iterator[DetectionRun]:
        """Yield what detectors said of files when they were committed.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            If a record can't be read.
        """
        for entry in self.manifest.entries(DETECTIONS):
            if not is_detection(entry):
                raise MalformedInputError(f"lineage: {entry.path[:120]!r} is no run of a detector")
            yield decode_detection_run(read_content(self._store, entry))

    def with_detections(self, runs: Iterable[DetectionRun]) -> NodeId | None:
        """Add what detectors said; returns the root."""
        news: dict[bytes, Entry] = {}
        for run in runs:
            data = encode_detection_run(run)
            path = DETECTIONS + b"/" + blake3(data).hexdigest().encode()
            if self.manifest.get(path) is None:
                news[path] = msgspec.structs.replace(store_part(self._store, data), path=path)
        root = self.manifest.update(sorted(news.items())) if news else self.manifest.root
        return None if root == EMPTY_ROOT else root

    def extended(self, runs: Iterable[RunId], sources: Mapping[str, NodeId]) -> NodeId | None:
        """Add runs, and sources as they are now; returns the root, None where nothing is recorded."""
        changes = {_run_path(id_): tree_entry(_run_path(id_), id_) for id_ in runs}
        for name, root in sources.items():
            changes[_source_path(name)] = tree_entry(_source_path(name), root)
        news = [(path, entry) for path, entry in sorted(changes.items()) if self.manifest.get(path) != entry]
        root = self.manifest.update(news) if news else self.manifest.root
        return None if root == EMPTY_ROOT else root


def is_detection(entry: Entry) -> bool:
    """Whether an entry stands where what a detector said stands, under the name of its content."""
    return entry.is_file and entry.path == DETECTIONS + b"/" + entry.digest.hex().encode()


def _run_path(id_: RunId) -> bytes:
    return RUNS + b"/" + id_.hex().encode()


def _source_path(name: str) -> bytes:
    return SOURCES + b"/" + name.encode()


def _run_id(entry: Entry) -> RunId:
    if not entry.is_tree or entry.path != RUNS + b"/" + entry.digest.hex().encode():
        raise MalformedInputError(f"lineage: {entry.path[:120]!r} is no run")
    return RunId(entry.digest)
