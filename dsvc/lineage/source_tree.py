"""A source in the store: one manifest that holds its record, its evidence and what it attests.

``record`` is the state (`dsvc.model.source_record`), ``operation`` what brought it about, ``evidence/NAME``
the evidence, ``files`` a tree of the attested files as they were, ``rows/PATH`` which rows of a file, where
not all. Each commit of the chain ``refs/dsvc/sources/ID`` has such a manifest, and the lineage of each commit
of data names one for every source that it saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_FILE, Entry, tree_entry
from dsvc.model.source_operation import SourceOperation, decode_operation, encode_operation
from dsvc.model.source_record import SourceRecord, decode_source, encode_source
from dsvc.model.table_kind import TableKind
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.content import NO_FACTS, Facts
from dsvc.store.ingest import store_bytes
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.store.materialize import read_content

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
            self._record = decode_source(self._content(RECORD))
        return self._record

    @property
    def operation(self) -> SourceOperation:
        """What brought it about; errors as `record`."""
        return decode_operation(self._content(OPERATION))

    def _content(self, path: bytes) -> bytes:
        entry = self.manifest.get(path)
        if entry is None or not entry.is_file:
            raise CorruptDataError(f"source {self.root.short()} has no {path.decode()}")
        return read_content(self._store, entry)

    @property
    def files(self) -> Manifest:
        """Manifest of the attested files, with their paths in the working tree."""
        entry = self.manifest.get(FILES)
        return Manifest(self._store, NodeId(entry.digest) if entry is not None else EMPTY_ROOT)

    def evidence(self, name: str) -> Entry | None:
        """Entry of an evidence file."""
        return self.manifest.get(EVIDENCE + b"/" + name.encode())

    def has_bytes(self, entry: Entry) -> bool:
        """Whether the store has what an entry of this tree names; of several chunks, their list."""
        return entry.size == 0 or self._store.has(entry.chunks or entry.digest)

    def rows(self, path: bytes) -> bytes | None:
        """Encoded numbers of the rows that are attested of a file; None: all that it has."""
        entry = self.manifest.get(ROWS + b"/" + path)
        return None if entry is None else read_content(self._store, entry)

    def evidence_bytes(self, name: str) -> bytes:
        """Content of an evidence file; errors as `record`."""
        return self._content(EVIDENCE + b"/" + name.encode())

    def row_entries(self) -> dict[bytes, Entry]:
        """Entries of the sets of rows, by the path of their file."""
        return {entry.path[len(ROWS) + 1 :]: entry for entry in self.manifest.entries(ROWS)}


def covered_rows(tree: SourceTree, path: bytes) -> NDArray[np.int64] | None:
    """Rows of an attested file that a source speaks of, ascending; None: all that it has.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If they can't be read.
    """
    data = tree.rows(path)
    if data is None:
        return None
    from dsvc.lineage.row_set import decode_rows

    return decode_rows(data)


def store_part(store: ChunkStore, data: bytes) -> Entry:
    """Store bytes that a source's manifest names; `store_source` gives the entry its place."""
    return store_bytes(store, RECORD, data, None, _no_facts).entry(RECORD, MODE_FILE)


def _no_facts(table: TableKind, data: bytes) -> Facts:
    """Describe nothing: what dsvc writes here is no table of the user's."""
    return NO_FACTS


def store_source(
    store: ChunkStore,
    record: SourceRecord,
    operation: SourceOperation,
    *,
    files: NodeId,
    evidence: Mapping[str, Entry],
    rows: Mapping[bytes, Entry],
) -> NodeId:
    """Store a state of a source; bytes of files, evidence and rows are stored already.

    Parameters
    ----------
    files : NodeId
        Manifest of the attested files.
    evidence : mapping of str to Entry
        By name.
    rows : mapping of bytes to Entry
        Encoded sets of rows, by the path of their file.

    Returns
    -------
    NodeId
        Root of its manifest.
    """
    parts = {
        RECORD: store_part(store, encode_source(record)),
        OPERATION: store_part(store, encode_operation(operation)),
        **_placed(EVIDENCE, ((name.encode(), entry) for name, entry in evidence.items())),
        **_placed(ROWS, rows.items()),
    }
    found = {path: msgspec.structs.replace(entry, path=path) for path, entry in parts.items()}
    if files != EMPTY_ROOT:
        found[FILES] = tree_entry(FILES, files)
    return Manifest(store, EMPTY_ROOT, trees=True).update(sorted(found.items()))


def _placed(folder: bytes, entries: Iterable[tuple[bytes, Entry]]) -> dict[bytes, Entry]:
    return {folder + b"/" + name: entry for name, entry in entries}
