"""Who was in the rows of a table of which something is erased: kept as keyed codes, so that others are found.

Before the first chunk of a table goes, the request that takes it notes 64 bits of the keyed hash of each cell
of its subject columns. The next request looks there: the table itself can't be searched any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from dsvc.lineage.source_tree import store_part
from dsvc.model.errors import ErasedError
from dsvc.model.manifest import Entry
from dsvc.porcelain.records.request_chain import REQUEST_REFS, SUBJECTS, salt
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import table_rules
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import read_content

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.porcelain.lineage.subject_search import FoundVersion

_PREFIX: Final = SUBJECTS + b"/"


def store_codes(repo: Workspace, versions: Iterable[FoundVersion]) -> list[Entry]:
    """Store the codes of tables that are about to lose chunks; of those that declare no subject none.

    Raises
    ------
    NoSubjectColumnError, NotATableError, TableLimitError
        If a table can't be read.
    """
    from dsvc.porcelain.tables.table_diff import known_table
    from dsvc.table.reading.subject_rows import encode_codes, subject_codes

    rules = table_rules(repo)
    found = []
    for version in versions:
        declared = ((path, rules.for_path(path).roles.get("subject", ())) for path in sorted(version.paths))
        path, columns = next(((p, c) for p, c in declared if c), (b"", ()))
        if not columns or version.rows is None:
            continue
        try:
            table = known_table(repo, msgspec.structs.replace(version.entry, path=path))
            if table is None:
                continue
            codes = subject_codes(table.source, table.kind, columns, salt(repo))
        except ErasedError:
            continue  # noted by the request that took the first chunk
        codes[:, version.rows] = 0
        part = store_part(repo.store, encode_codes(codes))
        found.append(msgspec.structs.replace(part, path=_PREFIX + version.entry.digest.hex().encode()))
    return found


class ErasedSubjects:
    """Codes that all requests noted, by the digest of the table.

    Parameters
    ----------
    repo : Workspace

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a request can't be read.
    """

    def __init__(self, repo: Workspace) -> None:
        self._store = repo.store
        self._entries: dict[bytes, Entry] = {}
        for tip in repo.history.refs.list(REQUEST_REFS).values():
            manifest = Manifest(repo.store, repo.history.read_commit(tip).manifest)
            for entry in manifest.entries(SUBJECTS):
                self._entries[entry.path.removeprefix(_PREFIX)] = entry

    def codes(self, digest: bytes) -> NDArray[np.uint64] | None:
        """Codes of a table, None where none were noted; raises as the constructor."""
        from dsvc.table.reading.subject_rows import decode_codes

        entry = self._entries.get(digest.hex().encode())
        return None if entry is None else decode_codes(read_content(self._store, entry))
