"""Which chunks have something of a subject, and which of these other files need.

Of a table in plain text it is the chunks that its rows stand in. A row of Parquet, Arrow or a compressed text
has no place of its own: there it is all chunks that no version without the subject has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from dsvc.model.errors import DsvcError, ErasedError
from dsvc.model.manifest import ChunkRef, Entry
from dsvc.porcelain.care.stored_versions import StoredVersions
from dsvc.porcelain.lineage.subject_search import FoundVersion, Search
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.chunk_list import chunks_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SharedContentError(DsvcError):
    """Chunks of a subject are needed by files that are not known to be the subject's."""

    code = "shared-content"
    exit_code = 20


@dataclass(slots=True)
class SubjectChunks:
    """Chunks to erase.

    Attributes
    ----------
    exact : dict of bytes to int
        Chunks that have bytes of the subject's, with their lengths.
    loose : dict of bytes to int
        Chunks of versions that have the subject somewhere.
    shared : dict of bytes to bytes
        Those of `exact` that another file needs, with its path.
    """

    exact: dict[bytes, int] = field(default_factory=dict)
    loose: dict[bytes, int] = field(default_factory=dict)
    shared: dict[bytes, bytes] = field(default_factory=dict)

    def chosen(self) -> dict[bytes, int]:
        """What is to be erased, with lengths; what is shared is left out."""
        return {id_: size for id_, size in {**self.loose, **self.exact}.items() if id_ not in self.shared}


def subject_chunks(repo: Workspace, search: Search, known: Collection[bytes]) -> SubjectChunks:
    """Find the chunks of a subject.

    Parameters
    ----------
    known : collection of bytes
        Digests in which this request found the subject before: what was erased of them was the subject's.

    Raises
    ------
    DsvcError
        If a version that has the subject, or a chunk list, can't be read.
    """
    found = SubjectChunks()
    for version in search.versions.values():
        if version.rows is None:
            found.exact |= _readable(repo, version.entry)
            continue
        exact = _chunks_of_rows(repo, version)
        if exact is None:
            found.loose |= _readable(repo, version.entry)
        else:
            found.exact |= exact
    already = set(known)
    for digest, entry in search.partly.items():
        if digest not in already:
            found.loose |= _readable(repo, entry)
    _leave_shared(repo, found, {*search.versions, *search.partly, *already})
    return found


def _readable(repo: Workspace, entry: Entry) -> dict[bytes, int]:
    """Chunks of a file that were not erased, with their lengths."""
    refs = chunks_of(repo.store, entry)
    return {ref.id: ref.length_bytes for ref in refs if ref.id and repo.store.has(ref.id)}


def _leave_shared(repo: Workspace, found: SubjectChunks, affected: Collection[bytes]) -> None:
    seen = set(affected)
    for entry in StoredVersions(repo).files():
        if entry.digest in seen or not (found.exact or found.loose):
            continue
        seen.add(entry.digest)
        for ref in chunks_of(repo.store, entry):
            if ref.id in found.exact:
                found.shared.setdefault(ref.id, entry.path)
            elif ref.id is not None:
                found.loose.pop(ref.id, None)


def _chunks_of_rows(repo: Workspace, version: FoundVersion) -> dict[bytes, int] | None:
    """Chunks that some rows stand in; None where rows have no place of their own.

    Neither have they where something was erased before: nobody can tell any more whose rows stand around it.
    """
    from dsvc.porcelain.tables.row_indexes import RowIndexes
    from dsvc.porcelain.tables.table_diff import known_table
    from dsvc.table.text.text_donor import TextDonor

    assert version.rows is not None
    try:
        table = known_table(repo, version.entry)
        if table is None or not table.kind.is_plain_text:
            return None
        positions = RowIndexes(repo).get(table).records(version.rows)
        with TextDonor(table.source, table.kind) as text:
            ranges = text.starts[positions], text.ends[positions]
    except ErasedError:
        return None
    refs = list(chunks_of(repo.store, version.entry))
    return {ref.id: ref.length_bytes for ref in _overlapping(refs, *ranges) if ref.id}


def _overlapping(
    refs: list[ChunkRef], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> Iterator[ChunkRef]:
    import numpy as np

    bounds = np.fromiter(accumulate((ref.length_bytes for ref in refs), initial=0), np.int64)
    first = np.searchsorted(bounds, starts, side="right") - 1
    last = np.searchsorted(bounds, ends, side="left") - 1
    chosen = {
        n for low, high in zip(first.tolist(), last.tolist(), strict=True) for n in range(low, high + 1)
    }
    return (refs[n] for n in sorted(chosen))
