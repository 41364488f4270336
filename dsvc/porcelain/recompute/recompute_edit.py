"""Rows of an artifact dropped, cells of it set: a new version, stored as a run of kind repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.lineage.link_file import encode_links
from dsvc.lineage.links import Links
from dsvc.lineage.row_account import RowAccount, encode_account
from dsvc.lineage.run_tree import store_run
from dsvc.model.errors import UsageError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import (
    Agent,
    Capture,
    Code,
    Fates,
    Input,
    Output,
    Run,
    RunKind,
)
from dsvc.porcelain.recompute.recompute_correspondence import Correspondence, NewArtifact
from dsvc.porcelain.recompute.recompute_outputs import duplicate_keys
from dsvc.porcelain.runs.recompute_table import TableBytes, edit_table
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_environment import own_environment
from dsvc.porcelain.runs.run_keys import keys_of
from dsvc.porcelain.runs.run_recording import now
from dsvc.porcelain.runs.run_rows import table_of
from dsvc.porcelain.runs.run_storage import RunResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_target import NoSuchRowError
from dsvc.table.index.row_index import row_hashes
from dsvc.table.origin.source import NotATableError
from dsvc.table.splice.edit_values import ValueMisfitError, values_donor
from dsvc.table.splice.splice import CellEdit, Donor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Edits:
    """What is changed in an artifact.

    Attributes
    ----------
    drop : sequence of int
        Rows that go: of a table by number, of a folder files by their place in the order of paths.
    values : mapping of str to mapping of int to (str or None)
        By column, rows and the values that their cells get, as text; None: null.
    reason : str
        Why rows go.
    """

    drop: Sequence[int] | Numbers = ()
    values: Mapping[str, Mapping[int, str | None]] = field(default_factory=dict)
    reason: str = "repair"


class Edited(NamedTuple):
    """An artifact that was edited.

    Attributes
    ----------
    artifact : NewArtifact
        The new version.
    run : RunResult or None
        The run that made it; None where everything was as it should be already, so that nothing is new.
    changed : ndarray of int64
        Rows of the old version in which a cell differs now.
    dropped : ndarray of int64
        Rows of the old version that are gone.
    """

    artifact: NewArtifact
    run: RunResult | None
    changed: Numbers
    dropped: Numbers


def edit_artifact(
    repo: Workspace,
    files: ArtifactFiles | Entry,
    edits: Edits,
    *,
    name: str = "repair",
    manual: str = "dsvc repair",
    parameters: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Edited:
    """Drop rows of an artifact, set cells of it, and store that as a run of kind repair.

    All other records keep their bytes in text formats, their row groups and settings in others.

    Parameters
    ----------
    files : ArtifactFiles or Entry
        A table, or files of a folder, of which only `Edits.drop` can be done.
    name, manual : str
        Of the run; what was done, in words.
    parameters, facts : mapping of str to str or None
        Of the run.

    Raises
    ------
    ValueMisfitError
        If a value doesn't fit its column.
    NoSuchColumnError, NoSuchRowError
        If a column or a row isn't there.
    UsageError
        If a row is dropped and set.
    NotATableError, TableLimitError
        If it can't be read as a table.
    """
    artifact = files if isinstance(files, ArtifactFiles) else ArtifactFiles(files.path, False, (files,))
    repo.store.publish()
    try:
        drop = np.unique(np.asarray(edits.drop, np.int64))
        edited = _folder(artifact, drop, edits) if artifact.folder else _table(repo, artifact, drop, edits)
        if edited.artifact.files.artifact().digest == artifact.artifact().digest:
            return edited
        run = _store(repo, artifact, edited, edits.reason, name, manual, parameters or {}, facts or {})
        return edited._replace(run=run)
    except BaseException:
        repo.store.abandon()
        raise


# Folders


def _folder(artifact: ArtifactFiles, drop: Numbers, edits: Edits) -> Edited:
    if any(edits.values.values()):
        raise UsageError(
            f"{display_path(artifact.path) or '.'} is a folder, whose files have no cells to be set",
            hint="drop files of it, or change a table",
        )
    files = sorted(artifact.entries, key=lambda entry: entry.path)
    _check_rows(artifact, drop, len(files))
    kept = np.setdiff1d(np.arange(len(files)), drop)
    left = artifact._replace(entries=tuple(files[row] for row in kept.tolist()))
    same = Correspondence(kept, np.zeros(len(kept), np.bool_), len(files))
    return Edited(NewArtifact(left, same), None, np.zeros(0, np.int64), drop)


def _check_rows(artifact: ArtifactFiles, rows: Numbers, count: int) -> None:
    wrong = rows[(rows < 0) | (rows >= count)]
    if len(wrong):
        name = display_path(artifact.path)
        raise NoSuchRowError(
            f"{name} has {count} rows and no row {int(wrong[0])}",
            details={"path": name, "row": int(wrong[0]), "rows": count},
        )


# Tables


def _table(repo: Workspace, artifact: ArtifactFiles, drop: Numbers, edits: Edits) -> Edited:
    (entry,) = artifact.entries
    old = _opened(repo, artifact)
    values = {column: cells for column, cells in edits.values.items() if cells}
    cells = np.unique(np.array([row for each in values.values() for row in each], np.int64))
    for rows in (drop, cells):
        _check_rows(artifact, rows, old.index.rows)
    both = np.intersect1d(drop, cells)
    if len(both):
        raise UsageError(f"row {int(both[0])} of {display_path(artifact.path)} can't be dropped and changed")
    _check_columns(old, values)
    kept = np.setdiff1d(np.arange(old.index.rows), drop, assume_unique=True)
    if not len(drop) and not len(cells):
        return Edited(NewArtifact(artifact, Correspondence.identity(len(kept))), None, cells, drop)
    donor, changes = _edits(old, values, cells)
    new, index = edit_table(repo, entry, old, drop, cells, donor, changes)
    places = np.searchsorted(kept, cells)
    before = row_hashes(old.index.cells_at(cells), len(cells))
    after = row_hashes(index.cells_at(places), len(cells)) if index is not None else before
    differs = before != after
    changed = np.zeros(len(kept), np.bool_)
    changed[places[differs]] = True
    found = Correspondence(kept, changed, old.index.rows)
    return Edited(NewArtifact(ArtifactFiles(entry.path, False, (new,)), found), None, cells[differs], drop)


def _opened(repo: Workspace, artifact: ArtifactFiles) -> TableBytes:
    from dsvc.porcelain.tables.row_indexes import EMPTY_INDEX, RowIndexes

    table = table_of(repo, artifact)
    if table is None:
        name = display_path(artifact.path)
        raise NotATableError(f"{name} is no table, so it has no rows to change", details={"path": name})
    return TableBytes(table, RowIndexes(repo).get(table) if table.source.size else EMPTY_INDEX)


def _check_columns(old: TableBytes, values: Mapping[str, object]) -> None:
    from dsvc.diff.row_compare import NoSuchColumnError

    for column in values:
        if old.index.column(column) is None:
            raise NoSuchColumnError(
                f"{old.table.source.name} has no column {column!r}",
                hint=f"its columns are {', '.join(old.index.names[:20])}",
                details={"path": old.table.source.name, "column": column},
            )


def _edits(
    old: TableBytes, values: Mapping[str, Mapping[int, str | None]], rows: Numbers
) -> tuple[Donor | None, list[CellEdit]]:
    """Cells that take values, by rows of the table as it is, and the table that they take them from."""
    if not values:
        return None, []
    numbers = rows.tolist()
    columns = {name: [cells.get(row) for row in numbers] for name, cells in values.items()}
    donor = values_donor(old.table.source, old.table.kind, old.index, columns)
    return donor, [
        CellEdit(row, name, 1, at, None if cells[row] is None else name)
        for at, row in enumerate(numbers)
        for name, cells in values.items()
        if row in cells
    ]


# The run


def _store(
    repo: Workspace,
    old: ArtifactFiles,
    edited: Edited,
    reason: str,
    name: str,
    manual: str,
    parameters: Mapping[str, str],
    facts: Mapping[str, str],
) -> RunResult:
    new, found = edited.artifact.files, edited.artifact.correspondence
    assert found is not None
    account = _account(edited, found.old_rows, reason)
    key = _key(repo, old)
    repeated = duplicate_keys(repo, old, key)
    read = Input(**old.fields(found.old_rows), key=key, fates=account.fates, duplicate_keys=repeated)
    who, moment = repo.signature(), now()
    run = Run(
        name=name,
        kind=RunKind.REPAIR,
        inputs=(read,),
        outputs=(Output(**new.fields(found.rows), key=key, capture=Capture.MAP),),
        code=Code(),
        environment=own_environment(),
        agent=Agent(who.name, who.email),
        started_at=moment,
        ended_at=moment,
        manual=manual,
        parameters=dict(parameters),
        facts=dict(facts),
        drops=account.drops(),
        duplicate_keys=repeated + duplicate_keys(repo, new, key),
        capture=Capture.MAP,
    )
    parts = {b"rows/0": encode_account(account)}
    if found.rows:
        parts[b"maps/0-0"] = encode_links(Links(np.arange(found.rows, dtype=np.int64), found.old_of))
    id_ = store_run(repo.store, run, inputs=[old.files()], outputs=[new.files()], parts=parts)
    repo.store.publish()
    return RunResult(id_, run)


def _account(edited: Edited, rows: int, reason: str) -> RowAccount:
    changed, dropped = edited.changed, edited.dropped
    fates = Fates(kept=rows - len(changed) - len(dropped), changed=len(changed), dropped=len(dropped))
    return RowAccount(
        fates,
        changed,
        dropped,
        (reason,) if len(dropped) else (),
        np.zeros(len(dropped), np.int64),
        np.full(len(dropped), -1, np.int64),
    )


def _key(repo: Workspace, artifact: ArtifactFiles) -> tuple[str, ...]:
    """Key that ``dsvc.toml`` names."""
    columns = None if artifact.folder else _opened(repo, artifact).index.names
    return keys_of(repo, {}, [(artifact.path, columns)])[0]


__all__ = ["Edited", "Edits", "ValueMisfitError", "edit_artifact"]
