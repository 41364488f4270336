"""A source in the store: one manifest that holds its record, its evidence and what it attests.

``record`` is the state (`dsvc.model.source_record`), ``operation`` what brought it about, ``evidence/NAME``
the evidence, ``files`` a tree of the attested files as they were, ``rows/PATH`` which rows of a file, where
not all. Each commit of the chain ``refs/dsvc/sources/ID`` has such a manifest, and the lineage of each commit
of data names one for every source that it saw.
"""

from __future__ import annotations

from typing import Final

from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.source_record import SourceRecord, decode_source
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.store.materialize import read_content

RECORD: Final = b"record"
OPERATION: Final = b"operation"
FILES: Final = b"files"
EVIDENCE: Final = b"evidence"
ROWS: Final = b"rows"


class SourceTree:
    """The state of a source at one operation.

    Parameters
    ----------
    store : ChunkStore
        Where it is.
    root : NodeId
        Root of its manifest.
    """

    def __init__(self, store: ChunkStore, root: NodeId) -> None:
        self._store = store
        self.root = root
        self.manifest = Manifest(store, root, trees=True)
        self._record: SourceRecord | None = None

    @property
    def record(self) -> SourceRecord:
        """The record.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            If it can't be read.
        """
        if self._record is None:
            entry = self.manifest.get(RECORD)
            if entry is None:
                raise CorruptDataError(f"source {self.root.short()} has no record")
            self._record = decode_source(read_content(self._store, entry))
        return self._record

    @property
    def files(self) -> Manifest:
        """Manifest of the attested files, with their paths in the working tree."""
        entry = self.manifest.get(FILES)
        return Manifest(self._store, NodeId(entry.digest) if entry is not None else EMPTY_ROOT)

    def evidence(self, name: str) -> Entry | None:
        """Entry of an evidence file."""
        return self.manifest.get(EVIDENCE + b"/" + name.encode())

    def rows(self, path: bytes) -> bytes | None:
        """Encoded numbers of the rows that are attested of a file; None: all that it has."""
        entry = self.manifest.get(ROWS + b"/" + path)
        return None if entry is None else read_content(self._store, entry)
