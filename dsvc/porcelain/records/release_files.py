"""The files of a release: their entries, SHA-256 for readers that ask for it, columns of tables."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from dsvc.lineage.coverage import holds_bytes
from dsvc.model.errors import MalformedInputError, NotFoundError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry, Kind, decode_schema
from dsvc.model.paths import display_path
from dsvc.model.table_kind import TableFormat, TableKind
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import recognise_entry, table_source
from dsvc.porcelain.tree.close_paths import close_paths
from dsvc.release.facts import Column, ReleasedFile, ReleasedTable
from dsvc.release.records import file_fact
from dsvc.store.materialize import content_parts

MOST_HASHED: Final = 1_000
"""Of more files than these only tables get a SHA-256: readers of Croissant name the others by folder."""
_ZEROS: Final = bytes(1 << 20)


def released_entries(repo: Workspace, root: NodeId, paths: Sequence[bytes] = ()) -> list[Entry]:
    """Files of a version that a release gives out, by path.

    Parameters
    ----------
    paths : sequence of bytes
        Files and folders that it selects; empty: everything.

    Raises
    ------
    NotFoundError
        If the version has no such file or folder.
    """
    manifest = repo.manifest(root)
    found: dict[bytes, Entry] = {}
    for path in dict.fromkeys(paths) or (b"",):
        entry = manifest.get(path) if path else None
        chosen = [entry] if entry is not None else list(manifest.entries(path))
        if path and not any(map(holds_bytes, chosen)):
            shown = display_path(path)
            close = [display_path(each) for each in close_paths(manifest, path)]
            raise NotFoundError(
                f"the version has no file {shown}",
                hint=f"did you mean {' or '.join(close)}?" if close else "dsvc ls -r lists its files",
                details={"path": shown},
            )
        found |= {each.path: each for each in chosen if holds_bytes(each)}
    return [found[path] for path in sorted(found)]


def released_files(repo: Workspace, entries: Sequence[Entry]) -> tuple[ReleasedFile, ...]:
    """Say of each file what is to be known of it.

    Raises
    ------
    MissingDataError, ErasedError, CorruptDataError
        If the bytes of one can't be had.
    """
    few = len(entries) <= MOST_HASHED
    found = []
    for entry in entries:
        table = released_table(repo, entry)
        hashed = few or table is not None
        found.append(file_fact(entry, sha256=sha256_of(repo, entry) if hashed else None, table=table))
    return tuple(found)


def sha256_of(repo: Workspace, entry: Entry) -> str:
    """SHA-256 of a stored file, in hex; each chunk is checked before its bytes count.

    Raises
    ------
    MissingDataError, ErasedError, CorruptDataError
        If the bytes can't be had.
    """
    hasher = hashlib.sha256()
    for part in content_parts(repo.store, entry):
        if isinstance(part, int):
            for begin in range(0, part, len(_ZEROS)):
                hasher.update(_ZEROS[: part - begin])
        else:
            hasher.update(part)
    return hasher.hexdigest()


def released_table(repo: Workspace, entry: Entry) -> ReleasedTable | None:
    """Say what is known of a file as a table; None where it is none."""
    if entry.kind != Kind.TABLE:
        return None
    kind = recognise_entry(repo, entry)
    if kind is None:
        return None
    return ReleasedTable(
        format=kind.format,
        compression=kind.compression,
        rows=entry.rows,
        columns=_columns(repo, entry, kind),
        plain=_is_plain(repo, entry, kind),
    )


def _columns(repo: Workspace, entry: Entry, kind: TableKind) -> tuple[Column, ...]:
    """Columns as the entry has them, else as the row index has; none where the table can't be read."""
    if entry.schema is not None:
        return tuple(Column(name, type_) for name, type_ in decode_schema(entry.schema))
    from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes

    try:
        index = RowIndexes(repo).get(KnownTable(table_source(repo, entry), kind))
    except MalformedInputError:
        return ()
    return tuple(Column(each.name, each.type) for each in index.columns)


def _is_plain(repo: Workspace, entry: Entry, kind: TableKind) -> bool:
    """Whether it is what readers expect of its format: UTF-8, and of CSV commas."""
    if kind.format not in (TableFormat.CSV, TableFormat.TSV, TableFormat.JSONL):
        return True
    from dsvc.table.origin.decompress import open_text
    from dsvc.table.text.dialect import SAMPLE_BYTES, sniff

    source = table_source(repo, entry)
    try:
        with open_text(source, kind) as stream:
            found = sniff(stream.read(SAMPLE_BYTES), kind, source.name)
    except MalformedInputError:
        return False
    expected = "\t" if kind.format is TableFormat.TSV else ","
    return found.encoding == "utf-8" and not found.bom and found.delimiter == expected
