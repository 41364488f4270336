"""The small run: a row-wise command on the affected rows alone, and what became of these."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.fs.beneath import Beneath
from dsvc.lineage.artifacts import relative
from dsvc.model.errors import MalformedInputError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import Role
from dsvc.porcelain.recompute.recompute_command import Command, Done, carry_out
from dsvc.porcelain.recompute.recompute_splice import NotSplicedError
from dsvc.porcelain.runs.recompute_table import TableBytes, in_memory, part_of
from dsvc.porcelain.runs.rerun import Carrier, RerunFailedError
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles, artifacts_of_folder
from dsvc.porcelain.runs.scratch import Scratch, scratch_folder
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.safekeeping import store_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.lineage.captured import CaptureResult
    from dsvc.lineage.declared_maps import DeclaredMaps
    from dsvc.lineage.record_rows import RecordRows
    from dsvc.lineage.run_tree import RunTree
    from dsvc.model.table_kind import TableKind

    Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class PartInput:
    """An input of which some rows are computed.

    Attributes
    ----------
    files : ArtifactFiles
        As it is now.
    table : TableBytes or None
        None of a folder.
    rows : ndarray of int64
        Which of its rows, ascending.
    """

    files: ArtifactFiles
    table: TableBytes | None
    rows: Numbers

    @property
    def count(self) -> int:
        """Rows that the input has."""
        return len(self.files.entries) if self.table is None else self.table.index.rows


class PartOutput(NamedTuple):
    """What stands for an artifact in the small run: a table, or files of a folder with paths in the tree."""

    path: bytes
    table: TableBytes | None
    files: tuple[Entry, ...]

    @property
    def rows(self) -> int:
        """Rows that it has."""
        return len(self.files) if self.table is None else self.table.index.rows


@dataclass(frozen=True)
class Part:
    """What came of the small run.

    Attributes
    ----------
    done : Done
    outputs : list of PartOutput
        In the order of the run's record.
    captured : CaptureResult
        What became of the rows.
    stand_ins : frozenset of int
        Inputs of which one row is there only since the command takes no table without rows.
    """

    done: Done
    outputs: list[PartOutput]
    captured: CaptureResult
    stand_ins: frozenset[int] = field(default=frozenset())


def run_part(
    repo: Workspace,
    tree: RunTree,
    command: Command,
    inputs: Mapping[int, PartInput],
    kinds: Sequence[TableKind | None],
    how: Carrier,
) -> Part:
    """Carry a row-wise command out on some rows, and follow them.

    Of an input none of whose rows is affected there is a table without rows. Where the command fails on that,
    it is run once more with the first row of each such input, whose outputs the caller leaves out.

    Parameters
    ----------
    inputs : mapping of int to PartInput
        All inputs whose rows take part.
    kinds : sequence of TableKind or None
        Format of each output, None of a folder.

    Raises
    ------
    NotSplicedError
        If it fails on these rows alone, or makes of them what can't be put into the outputs.
    CommandFailedError, CommandTimeoutError
        If it can't be started or takes too long.
    """
    empty = frozenset(n for n, each in inputs.items() if not len(each.rows) and each.count)
    try:
        return _attempt(repo, tree, command, inputs, kinds, how)
    except RerunFailedError as error:
        if not empty:
            raise NotSplicedError("its command fails on the affected rows alone") from error
    first = {
        n: PartInput(each.files, each.table, np.zeros(1, np.int64)) if n in empty else each
        for n, each in inputs.items()
    }
    try:
        part = _attempt(repo, tree, command, first, kinds, how)
    except RerunFailedError as error:
        raise NotSplicedError("its command fails on the affected rows alone") from error
    return Part(part.done, part.outputs, part.captured, empty)


def _attempt(
    repo: Workspace,
    tree: RunTree,
    command: Command,
    inputs: Mapping[int, PartInput],
    kinds: Sequence[TableKind | None],
    how: Carrier,
) -> Part:
    from dsvc.lineage.declared_maps import RowMapError, read_run_folder

    record = tree.run
    with scratch_folder(repo) as scratch:
        lookups = [
            entry
            for number, each in enumerate(record.inputs)
            if each.role is Role.LOOKUP
            for entry in tree.input_files(number)
        ]
        scratch.put(repo, [*lookups, *command.files])
        parts = {number: _placed(repo, scratch, each) for number, each in inputs.items()}
        there = {entry.path: entry.digest for each in parts.values() for entry in each.files}
        done = carry_out(repo, tree, command, scratch, how)
        try:
            outputs = _outputs(repo, tree, scratch, kinds, there)
            declared = read_run_folder(scratch.notes)
            captured = _followed(tree, parts, outputs, declared)
        except (MalformedInputError, RowMapError) as error:
            raise NotSplicedError(error.message) from error
    if captured.problems or sum(captured.added.values()):
        why = captured.problems[0] if captured.problems else "rows that come from no row of its inputs"
        raise NotSplicedError(f"of the affected rows alone it makes rows that can't be followed: {why}")
    return Part(done, outputs, captured)


def _placed(repo: Workspace, scratch: Scratch, each: PartInput) -> PartOutput:
    """Write the part of an input; returns what is there then."""
    path = each.files.path
    if each.table is None:
        files = sorted(each.files.entries, key=lambda entry: entry.path)
        chosen = tuple(files[row] for row in each.rows.tolist())
        scratch.put(repo, chosen)
        scratch.make_folders([path])
        return PartOutput(path, None, chosen)
    data = part_of(each.table.table, each.table.index.records(each.rows), each.table.index)
    scratch.write(path, data)
    entry = scratch.entry(path)
    table = in_memory(display_path(path), data, each.table.table.kind, is_known=True)
    return PartOutput(path, table, () if entry is None else (entry,))


# What it made


def _outputs(
    repo: Workspace,
    tree: RunTree,
    scratch: Scratch,
    kinds: Sequence[TableKind | None],
    there: Mapping[bytes, bytes],
) -> list[PartOutput]:
    """What the command made, by the outputs of the run's record."""
    record = tree.run
    asked = record.asked.outputs or tuple(each.path for each in record.outputs)
    tables = {each.path for each in record.outputs if not each.folder}
    members: dict[bytes, list[Entry]] = {each.path: [] for each in record.outputs if each.folder}
    for path in asked:
        if os.path.isdir(scratch.path(path)):
            for found in _in_folder(scratch, path, {*tables, *asked} - {path}, there):
                _check_kind(tree, path, members, found)
                members[path].append(found)
    outputs = []
    with Beneath(scratch.tree) as files:
        for number, each in enumerate(record.outputs):
            kind = kinds[number]
            if kind is None:
                stored = [store_file(repo.store, files, entry.path) for entry in members[each.path]]
                outputs.append(
                    PartOutput(each.path, None, tuple(entry for entry in stored if entry is not None))
                )
            else:
                outputs.append(_table(scratch, each.path, kind, is_asked=each.path in asked))
    repo.store.publish()
    return outputs


def _in_folder(
    scratch: Scratch, folder: bytes, others: set[bytes], there: Mapping[bytes, bytes]
) -> list[Entry]:
    """Files that a command made or changed in a folder, but for outputs of their own."""
    found = []
    for path in sorted(scratch.below(folder)):
        entry = None if path in others else scratch.entry(path)
        if entry is not None and there.get(path) != entry.digest:
            found.append(entry)
    return found


def _check_kind(tree: RunTree, folder: bytes, members: Mapping[bytes, list[Entry]], entry: Entry) -> None:
    """Refuse a file that would be an output of its own."""
    own = [each.path for each in artifacts_of_folder(folder, [entry]) if not each.folder]
    if folder not in members or (own and not _holds_tables(tree, folder)):
        name = display_path(entry.path)
        raise NotSplicedError(f"of the affected rows it makes {name}, which it did not make before")


def _holds_tables(tree: RunTree, folder: bytes) -> bool:
    """Whether a folder is an output with the tables in it."""
    for number, each in enumerate(tree.run.outputs):
        if each.folder and each.path == folder:
            files = tree.output_files(number)
            return any(not found.folder for entry in files for found in artifacts_of_folder(folder, [entry]))
    return False


def _table(scratch: Scratch, path: bytes, kind: TableKind, *, is_asked: bool) -> PartOutput:
    from dsvc.model.table_kind import HEAD_BYTES, recognise

    name = display_path(path)
    entry = scratch.entry(path)
    if entry is None:
        if is_asked:
            raise NotSplicedError(f"of the affected rows alone it makes no {name}")
        return PartOutput(path, in_memory(name, b"", kind), ())
    if not entry.is_file:
        raise NotSplicedError(f"of the affected rows alone it makes a link of {name}")
    with open(scratch.path(path), "rb") as stream:
        data = stream.read()
    if data and recognise(path, data[:HEAD_BYTES]) != kind:
        raise NotSplicedError(f"of the affected rows alone it makes {name} in another format")
    return PartOutput(path, in_memory(name, data, kind), (entry,))


# What became of the rows


def _followed(
    tree: RunTree,
    parts: Mapping[int, PartOutput],
    outputs: Sequence[PartOutput],
    declared: DeclaredMaps | None,
) -> CaptureResult:
    """Follow the rows of the small run as those of the whole one were followed."""
    from dsvc.lineage.capture import capture
    from dsvc.lineage.captured import CapturedInput, CapturedOutput, CaptureRequest

    record = tree.run
    rows = iter(_records([*(parts[n] for n in sorted(parts)), *outputs], tree))
    known = {number: next(rows) for number in sorted(parts)}
    return capture(
        CaptureRequest(
            kind=record.kind,
            inputs=[
                CapturedInput(each.path, known.get(number), each.key, each.role)
                for number, each in enumerate(record.inputs)
            ],
            outputs=[CapturedOutput(each.path, next(rows), each.key) for each in record.outputs],
            renamed=record.asked.renamed,
            declared=declared,
            drop_reason=record.asked.drop_reason,
        )
    )


def _records(parts: Sequence[PartOutput], tree: RunTree) -> list[RecordRows]:
    from dsvc.lineage.record_rows import RecordRows, TableRows, rows_of_tables

    tables = [
        TableRows(each.table.table.source, each.table.table.kind, each.table.index)
        for each in parts
        if each.table is not None
    ]
    found = iter(rows_of_tables(tables, tree.run.asked.renamed))
    return [
        RecordRows.of_folder(relative(each.files, each.path)) if each.table is None else next(found)
        for each in parts
    ]


__all__ = ["Part", "PartInput", "PartOutput", "run_part"]
