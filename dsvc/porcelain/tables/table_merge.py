"""Merging tables by row, and settling the rows that a merge could not."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dsvc.diff.table_conflict import RowConflict, TableConflict
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.manifest import Entry, Kind
from dsvc.model.paths import display_path
from dsvc.model.table_kind import TableFormat
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_diff import known_table
from dsvc.porcelain.tables.table_rules import table_rules
from dsvc.porcelain.tree.file_entry import entry_of_bytes

if TYPE_CHECKING:
    from dsvc.diff.row_diff import TableVersion
    from dsvc.porcelain.tables.row_target import RowName
    from dsvc.porcelain.tree.merge_state import OpenConflict


class MergedTable(NamedTuple):
    """A table merged by row: its entry, what is in conflict, the key by which rows were matched."""

    entry: Entry
    conflict: TableConflict | None
    key: tuple[str, ...] = ()


class ConflictRow(NamedTuple):
    """A row in conflict, with its values in the three versions; None where one doesn't have it."""

    kind: str
    key: dict[str, Any]
    columns: tuple[str, ...]
    base: dict[str, Any] | None
    ours: dict[str, Any] | None
    theirs: dict[str, Any] | None


def merge_table(
    repo: Workspace, path: bytes, base: Entry | None, ours: Entry, theirs: Entry, mode: int
) -> MergedTable | None:
    """Merge three versions of a table by row; None where that can't be, and the file merges as a whole.

    It can't where one of them is no table or malformed, where no key is known, or is not unique, or where the
    sides changed columns in ways that don't go together.

    Raises
    ------
    MissingDataError, CorruptDataError, ErasedError, MalformedInputError
        If a version can't be read from the store.
    TableRulesError
        If ``dsvc.toml`` is malformed.
    """
    if base is None or any(entry.kind != Kind.TABLE for entry in (base, ours, theirs)):
        return None
    from dsvc.diff.row_compare import DuplicateKeyError, NoSuchColumnError
    from dsvc.table.origin.source import NotATableError, TableLimitError
    from dsvc.table.splice.splice_plan import IncompatibleTablesError

    # Rules that can't be read end the merge before anything is changed; they aren't taken for none.
    table_rules(repo)
    try:
        versions = _versions(repo, [base, ours, theirs])
        if versions is None:
            return None
        return _merge(repo, path, versions, ours, mode)
    except (NotATableError, TableLimitError, DuplicateKeyError, NoSuchColumnError, IncompatibleTablesError):
        return None


def _versions(repo: Workspace, entries: Sequence[Entry]) -> list[TableVersion] | None:
    known = [known_table(repo, entry) for entry in entries]
    tables = [table for table in known if table is not None]
    if len(tables) < len(known) or len({table.kind.format for table in tables}) > 1:
        return None
    from dsvc.diff.row_diff import TableVersion
    from dsvc.porcelain.tables.row_indexes import RowIndexes

    indexes = RowIndexes(repo)
    first = indexes.get(tables[0])
    rest = [indexes.get(table, first) for table in tables[1:]]
    return [
        TableVersion(table.source, table.kind, index)
        for table, index in zip(tables, [first, *rest], strict=True)
    ]


def _merge(
    repo: Workspace, path: bytes, versions: Sequence[TableVersion], ours: Entry, mode: int
) -> MergedTable | None:
    from dsvc.diff.row_merge import IncompatibleColumnsError, merge_rows

    key = merge_key(repo, path, versions)
    if not key or not all(_may_have_key(version, key) for version in versions):
        return None
    try:
        merged = merge_rows(versions[0], versions[1], versions[2], key)
    except IncompatibleColumnsError:
        return None
    conflict = TableConflict(tuple(key), tuple(merged.conflicts)) if merged.conflicts else None
    entry = ours
    if merged.splice is not None:
        from dsvc.table.splice.splice import splice

        output = io.BytesIO()
        splice(merged.splice, output)
        entry = entry_of_bytes(repo.store, path, mode, output.getvalue(), ours)
    return MergedTable(entry, conflict, tuple(key))


def _may_have_key(version: TableVersion, key: Sequence[str]) -> bool:
    """Whether a version can have the key: one without rows may be no more than a line of something else."""
    is_json = version.kind is not None and version.kind.format in (TableFormat.JSON, TableFormat.JSONL)
    return version.index.rows > 0 or is_json or set(key) <= set(version.index.names)


def merge_key(repo: Workspace, path: bytes, versions: Sequence[TableVersion]) -> tuple[str, ...]:
    """Key by which a table merges: that of ``dsvc.toml``, else a column that is unique in all versions."""
    from dsvc.diff.row_compare import guess_key

    configured = table_rules(repo).for_path(path).key
    if configured:
        return configured
    base, ours, theirs = (version.index for version in versions)
    guessed = guess_key(base, ours)
    return guessed if guessed and guessed == guess_key(base, theirs) else ()


def rows_in_conflict(repo: Workspace, path: bytes) -> list[ConflictRow]:
    """Rows of the table at a path that are in conflict; none where it isn't. Raises as `conflict_rows`."""
    from dsvc.porcelain.tree import merge_state

    state = merge_state.current(repo)
    found = [conflict for conflict in (state.conflicts if state else []) if conflict.path == path]
    return conflict_rows(repo, found[0]) if found else []


def conflict_rows(repo: Workspace, conflict: OpenConflict) -> list[ConflictRow]:
    """Rows of a table that are in conflict, with their values.

    Raises
    ------
    NotATableError
        If a version can't be read.
    """
    table = conflict.table
    if table is None or conflict.base is None or conflict.ours is None or conflict.theirs is None:
        return []
    versions = _versions(repo, [conflict.base, conflict.ours, conflict.theirs])
    if versions is None:
        return []
    sides = [
        _values(version, [getattr(row, side) for row in table.rows])
        for version, side in zip(versions, ("base", "ours", "theirs"), strict=True)
    ]
    found = []
    for number, row in enumerate(table.rows):
        base, ours, theirs = (values[number] for values in sides)
        whole = ours or theirs or base or {}
        key = {name: whole.get(name) for name in table.key}
        found.append(ConflictRow(row.kind, key, row.columns, base, ours, theirs))
    return found


def _values(version: TableVersion, records: Sequence[int]) -> list[dict[str, Any] | None]:
    import numpy as np

    wanted = version.index.rows_at(np.array([record for record in records if record >= 0], np.int64))
    rows = iter(wanted.tolist())
    numbers = [next(rows) if record >= 0 else -1 for record in records]
    values = version.rows(sorted({number for number in numbers if number >= 0}))
    return [values.get(number) for number in numbers]


def settle_rows(
    repo: Workspace, conflict: OpenConflict, current: Entry, chosen: Mapping[int, Collection[str] | None]
) -> Entry:
    """Take theirs for some rows in conflict, in the file as it stands now.

    Parameters
    ----------
    current : Entry
        The file, stored.
    chosen : mapping of int to collection of str or None
        Numbers of the conflict's rows, and which of their cells; None is all that are in conflict.

    Returns
    -------
    Entry
        The file with those cells and rows of theirs; rows that aren't there any more are left alone.

    Raises
    ------
    NotATableError, DuplicateKeyError, NoSuchColumnError
        If the file as it stands is no table with that key.
    """
    table = conflict.table
    assert table is not None
    assert conflict.theirs is not None
    assert conflict.base is not None
    versions = _versions(repo, [conflict.base, current, conflict.theirs])
    if versions is None:
        raise UsageError("the file is no table any more", hint="settle it with --with FILE")
    from dsvc.diff.row_settle import take_theirs
    from dsvc.table.splice.splice import splice

    plan = take_theirs(versions[0], versions[1], versions[2], table.key, _selected(table.rows, chosen))
    if plan is None:
        return current
    output = io.BytesIO()
    splice(plan, output)
    return entry_of_bytes(repo.store, conflict.path, current.mode, output.getvalue(), current)


def _selected(
    rows: Sequence[RowConflict], chosen: Mapping[int, Collection[str] | None]
) -> list[tuple[RowConflict, tuple[str, ...]]]:
    return [
        (
            row,
            row.columns
            if (wanted := chosen[number]) is None
            else tuple(c for c in row.columns if c in wanted),
        )
        for number, row in enumerate(rows)
        if number in chosen
    ]


def conflict_number(repo: Workspace, conflict: OpenConflict, row: RowName) -> int:
    """Find the conflict of a row, named by its key.

    Raises
    ------
    NotFoundError
        If no row with that key is in conflict.
    """
    wanted = dict(row.key)
    for number, found in enumerate(conflict_rows(repo, conflict)):
        if {name: str(value) for name, value in found.key.items()} == wanted:
            return number
    raise NotFoundError(
        f"no row {row} of {display_path(conflict.path)} is in conflict",
        hint="dsvc conflicts lists those that are",
    )
