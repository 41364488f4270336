"""Which rows of a row-wise run's inputs are computed again.

Those that changed, and those that were told apart from them by nothing but the order in which they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.model.run_record import Capture, Role
from dsvc.porcelain.recompute.recompute_correspondence import NewArtifact
from dsvc.porcelain.recompute.recompute_part import PartInput
from dsvc.porcelain.recompute.recompute_splice import InputChange, NotSplicedError
from dsvc.porcelain.runs.recompute_table import TableBytes
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_rows import table_of
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.lineage.run_tree import RunTree

    Numbers = NDArray[np.int64]


class ChangedInput(NamedTuple):
    """An input whose rows take part.

    Attributes
    ----------
    change : InputChange or None
        None: it is the one that the run read.
    part : PartInput
        Rows of it that are computed; none of one that is the same.
    """

    change: InputChange | None
    part: PartInput


def changed_inputs(
    repo: Workspace, tree: RunTree, new_inputs: Mapping[int, NewArtifact]
) -> dict[int, ChangedInput]:
    """Find what is to be computed of each input whose rows take part.

    Raises
    ------
    NotSplicedError
        If it isn't known which rows changed, or all did.
    """
    found: dict[int, ChangedInput] = {}
    for number, each in enumerate(tree.run.inputs):
        if each.role is not Role.INPUT:
            continue
        old = ArtifactFiles(each.path, each.folder, tuple(tree.input_files(number)))
        new = new_inputs.get(number)
        if new is None or new.is_as_before(each.digest):
            part = PartInput(old, opened(repo, old), np.zeros(0, np.int64))
            found[number] = ChangedInput(None, part)
            continue
        found[number] = _changed(repo, tree, number, old, new)
    kept = sum(each.part.count - len(each.part.rows) for each in found.values())
    if not kept and any(len(each.part.rows) for each in found.values()):
        raise NotSplicedError("every row of its inputs is affected")
    return found


def opened(repo: Workspace, files: ArtifactFiles) -> TableBytes | None:
    """Open an artifact that has rows; None of a folder.

    Raises
    ------
    NotSplicedError
        If it is no table, or has records that can't be read.
    """
    if files.folder:
        return None
    from dsvc.porcelain.tables.row_indexes import EMPTY_INDEX, RowIndexes

    table = table_of(repo, files)
    if table is None:
        raise NotSplicedError("not all that it reads and makes has rows")
    index = RowIndexes(repo).get(table) if table.source.size else EMPTY_INDEX
    if index.malformed:
        raise NotSplicedError("a table has records that can't be read")
    return TableBytes(table, index)


def _changed(
    repo: Workspace, tree: RunTree, number: int, old: ArtifactFiles, new: NewArtifact
) -> ChangedInput:
    correspondence = new.correspondence
    if correspondence is None:
        raise NotSplicedError("it isn't known which rows of an input changed")
    before, after = opened(repo, old), opened(repo, new.files)
    if old.folder != new.files.folder:
        raise NotSplicedError("an input is of another kind now")
    if before is not None and after is not None:
        _check_columns(before, after)
    rows = len(new.files.entries) if after is None else after.index.rows
    if (correspondence.old_rows, correspondence.rows) != (tree.run.inputs[number].records, rows):
        raise NotSplicedError("it isn't known which rows of an input changed")
    touched = correspondence.touched()
    again = np.zeros(0, np.int64)
    if before is not None:
        again = np.setdiff1d(_alike(before, touched, _keys(tree, number)), touched)
    touched = np.union1d(touched, again)
    fresh = np.union1d(correspondence.affected(), correspondence.new_of()[again])
    part = PartInput(new.files, after, fresh)
    return ChangedInput(InputChange(correspondence, touched, fresh), part)


def _check_columns(before: TableBytes, after: TableBytes) -> None:
    """Refuse where columns came or went: a step may do another thing then."""
    if before.table.kind != after.table.kind:
        raise NotSplicedError("an input is in another format now")
    types = [{column.name: column.type for column in each.index.columns} for each in (before, after)]
    if before.index.rows and after.index.rows and types[0] != types[1]:
        raise NotSplicedError("an input has other columns now, or other types of columns")


def _keys(tree: RunTree, number: int) -> list[Sequence[str]]:
    """Columns of an input by which its rows may have been found in outputs."""
    record = tree.run
    back = {new: old for old, new in record.asked.renamed.items()}
    keys = [record.inputs[number].key]
    keys += [tuple(back.get(name, name) for name in each.key) for each in record.outputs]
    if not any(each.capture is Capture.KEY for each in record.outputs):
        return []
    return [key for key in dict.fromkeys(keys) if key]


def _alike(table: TableBytes, rows: Numbers, keys: Sequence[Sequence[str]]) -> Numbers:
    """Rows that have a key of some rows, where it is not theirs alone.

    Which of them became which row was told by the order in which they came; so all of them are done again.
    """
    from dsvc.table.index.row_index import key_hashes

    index, found = table.index, np.zeros(0, np.int64)
    if not len(rows):
        return found
    for key in keys:
        columns = [index.column(name) for name in key]
        if any(column is None or column.unique for column in columns):
            continue
        cells = index.cells(names=key)
        hashes = key_hashes(cells, key)
        has_key = np.logical_and.reduce([each != 0 for each in cells.values()])
        wanted = np.unique(hashes[rows][has_key[rows]])
        found = np.union1d(found, np.flatnonzero(np.isin(hashes, wanted) & has_key))
    return found


__all__ = ["ChangedInput", "changed_inputs", "opened"]
