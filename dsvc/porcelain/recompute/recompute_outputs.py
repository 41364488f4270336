"""Outputs of a row-wise run put together: rows that stay, and between them those that were computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.lineage.artifacts import relative
from dsvc.lineage.links import Links
from dsvc.lineage.matching import count_duplicates
from dsvc.model.errors import MalformedInputError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import Capture
from dsvc.porcelain.recompute.recompute_correspondence import (
    Correspondence,
    NewArtifact,
    correspondence_of_splice,
    of_folders,
)
from dsvc.porcelain.recompute.recompute_drift import check_drift
from dsvc.porcelain.recompute.recompute_inputs import ChangedInput, opened
from dsvc.porcelain.recompute.recompute_part import Part
from dsvc.porcelain.recompute.recompute_splice import (
    InputChange,
    NotSplicedError,
    Small,
    new_numbers,
    place_rows,
    relinked,
    rows_that_go,
)
from dsvc.porcelain.runs.recompute_table import TableBytes, replace_rows
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.state.workspace import Workspace
from dsvc.table.index.index_splice import Replacement
from dsvc.table.index.row_index import key_hashes, row_hashes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.lineage.run_tree import RunTree
    from dsvc.model.table_kind import TableKind

    Numbers = NDArray[np.int64]

_NOTHING = np.zeros(0, np.int64)


class SplicedOutput(NamedTuple):
    """An output of the new run.

    Attributes
    ----------
    artifact : NewArtifact
    rows : int
    links : dict of int to Links
        Row maps, by input.
    capture : Capture
        How its rows' parents are known.
    """

    artifact: NewArtifact
    rows: int
    links: dict[int, Links]
    capture: Capture


class Outputs:
    """Outputs of a run, of which rows are about to be replaced.

    Parameters
    ----------
    repo : Workspace
    tree : RunTree
        The run.
    inputs : mapping of int to ChangedInput
        What is done with its inputs.
    maps : mapping of int to mapping of int to Links
        Its row maps, by output and input.

    Raises
    ------
    NotSplicedError
        If rows of an output can't be replaced.
    """

    def __init__(
        self,
        repo: Workspace,
        tree: RunTree,
        inputs: Mapping[int, ChangedInput],
        maps: Mapping[int, Mapping[int, Links]],
    ) -> None:
        self._repo = repo
        self._tree = tree
        self._maps = maps
        self._inputs: list[InputChange | int] = [0] * len(tree.run.inputs)
        for number, each in inputs.items():
            self._inputs[number] = each.part.count if each.change is None else each.change
        self._changes = {n: each for n, each in enumerate(self._inputs) if isinstance(each, InputChange)}
        self._old: list[ArtifactFiles] = []
        self._tables: list[TableBytes | None] = []
        for number, output in enumerate(tree.run.outputs):
            files = ArtifactFiles(output.path, output.folder, tuple(tree.output_files(number)))
            self._old.append(files)
            self._tables.append(opened(repo, files))
            # Told before anything runs.
            rows_that_go(output.records or 0, maps[number], self._changes)

    def kinds(self) -> list[TableKind | None]:
        """Formats of the outputs, None of folders."""
        return [None if each is None else each.table.kind for each in self._tables]

    def with_part(self, part: Part | None) -> list[SplicedOutput]:
        """Put the outputs together.

        Parameters
        ----------
        part : Part or None
            What was computed; None: nothing was to be.

        Raises
        ------
        NotSplicedError
            If what was computed doesn't go with the rest.
        """
        found = []
        for number in range(len(self._old)):
            wanted, small = _small(part, number)
            table = self._tables[number]
            if table is None:
                found.append(self._folder(number, part, wanted, small))
            else:
                found.append(self._table(number, table, part, wanted, small))
        return found

    def _capture(self, number: int, part: Part | None, small: Small) -> Capture:
        old = self._tree.run.outputs[number].capture
        order = list(Capture)
        new = part.captured.captures.get(number, old) if part is not None and small.rows else old
        return max((old, new), key=order.index)

    # Tables

    def _table(
        self, number: int, old: TableBytes, part: Part | None, wanted: Numbers, small: Small
    ) -> SplicedOutput:
        files, rows = self._old[number], old.index.rows
        if rows != self._tree.run.outputs[number].records:
            raise NotSplicedError("an output has other rows than were recorded")
        placed = place_rows(rows, self._maps[number], small, self._inputs)
        change = placed.change._replace(rows=wanted[placed.change.rows])
        correspondence = Correspondence.identity(rows)
        if len(change.touched) or len(change.rows):
            fresh = None if part is None else part.outputs[number].table
            files, correspondence = self._replaced(number, old, fresh, change, placed.stands_for)
        at = np.empty(small.rows, np.int64)
        at[placed.change.rows] = change.put_at()
        links = relinked(self._maps[number], small, self._inputs, new_numbers(rows, change), at)
        capture = self._capture(number, part, small)
        return SplicedOutput(NewArtifact(files, correspondence), correspondence.rows, links, capture)

    def _replaced(
        self,
        number: int,
        old: TableBytes,
        fresh: TableBytes | None,
        change: Replacement,
        stands_for: Numbers,
    ) -> tuple[ArtifactFiles, Correspondence]:
        files, rows = self._old[number], old.index.rows
        (entry,) = files.entries
        after = rows - len(change.touched) + len(change.rows)
        asked = self._tree.run.asked.outputs
        if not after and files.path not in asked and asked:
            raise NotSplicedError(
                f"{display_path(files.path)} has no rows any more, and may not be made then"
            )
        if not entry.size:
            raise NotSplicedError(f"{display_path(files.path)} was empty")
        if fresh is not None:
            check_drift(old, fresh, change.rows, stands_for)
        try:
            new = replace_rows(self._repo, entry, old, old if fresh is None else fresh, change)
        except MalformedInputError as error:
            raise NotSplicedError(error.message) from error
        correspondence = correspondence_of_splice(rows, change.touched, change.before, stands_for)
        if fresh is not None:
            same = same_rows(old, stands_for, fresh, change.rows)
            correspondence.changed[change.put_at()[same]] = False
        if new.digest == entry.digest:
            correspondence = Correspondence.identity(rows)
        return ArtifactFiles(files.path, False, (new,)), correspondence

    # Folders

    def _folder(self, number: int, part: Part | None, wanted: Numbers, small: Small) -> SplicedOutput:
        files = self._old[number]
        old = sorted(files.entries, key=lambda entry: entry.path)
        goes = set(rows_that_go(len(old), self._maps[number], self._changes).tolist())
        made: list[Entry] = []
        if part is not None:
            there = sorted(part.outputs[number].files, key=lambda entry: entry.path)
            made = [there[row] for row in wanted.tolist()]
        stays = [entry for row, entry in enumerate(old) if row not in goes]
        paths = {entry.path for entry in stays}
        again = next((entry.path for entry in made if entry.path in paths), None)
        if again is not None:
            raise NotSplicedError(f"{display_path(again)} is made of several files")
        new = sorted([*stays, *made], key=lambda entry: entry.path)
        if not new:
            raise NotSplicedError(f"nothing is left in {display_path(files.path) or '.'}")
        numbers = {entry.path: place for place, entry in enumerate(new)}
        new_number = np.array(
            [-1 if row in goes else numbers[entry.path] for row, entry in enumerate(old)], np.int64
        )
        at = np.array([numbers[entry.path] for entry in made], np.int64)
        links = relinked(self._maps[number], small, self._inputs, new_number, at)
        artifact = ArtifactFiles(files.path, True, tuple(new))
        correspondence = of_folders(files.members(), relative(new, files.path))
        capture = self._capture(number, part, small)
        return SplicedOutput(NewArtifact(artifact, correspondence), len(new), links, capture)


def _small(part: Part | None, number: int) -> tuple[Numbers, Small]:
    """Rows of a small output that count, and its row maps with these rows numbered from 0.

    Raises
    ------
    NotSplicedError
        If a row comes from an affected row and from one that only stands in.
    """
    if part is None:
        return _NOTHING, Small(0, {})
    links = {n: each for (o, n), each in part.captured.links.items() if o == number}
    rows = part.outputs[number].rows
    wanted = np.ones(rows, np.bool_)
    for n in part.stand_ins & links.keys():
        wanted[links[n].outputs] = False
    own = {n: each for n, each in links.items() if n not in part.stand_ins}
    if any(not wanted[each.outputs].all() for each in own.values()):
        raise NotSplicedError("rows that it makes come from several input rows")
    numbers = np.cumsum(wanted) - 1
    renumbered = {n: Links(numbers[each.outputs], each.inputs) for n, each in own.items()}
    return np.flatnonzero(wanted), Small(int(wanted.sum()), renumbered)


def same_rows(old: TableBytes, old_rows: Numbers, fresh: TableBytes, fresh_rows: Numbers) -> Numbers:
    """Places at which an old row (-1: none) and a computed one hold the same."""
    places = np.flatnonzero(old_rows >= 0)
    if not len(places):
        return places
    before = row_hashes(old.index.cells_at(old_rows[places]), len(places))
    after = row_hashes(fresh.index.cells_at(fresh_rows[places]), len(places))
    same: Numbers = places[before == after]
    return same


def duplicate_keys(repo: Workspace, files: ArtifactFiles, key: Sequence[str]) -> int:
    """Count rows of an artifact whose key others of it have too."""
    table = opened(repo, files) if key else None
    if table is None or not table.index.rows:
        return 0
    index = table.index
    columns = [index.column(name) for name in key]
    if any(column is None or (column.unique and column.complete) for column in columns):
        return 0
    cells = index.cells(names=key)
    has_key = np.logical_and.reduce([each != 0 for each in cells.values()])
    return count_duplicates(key_hashes(cells, key)[has_key])


__all__ = ["Outputs", "SplicedOutput", "duplicate_keys", "same_rows"]
