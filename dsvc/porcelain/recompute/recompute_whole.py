"""A recorded run done again as a whole, in a scratch folder, on what its inputs are now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.fs.beneath import Beneath
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Entry
from dsvc.model.paths import check_structure, display_path
from dsvc.model.run_record import Role
from dsvc.porcelain.recompute.recompute_command import Command, carry_out, drafted
from dsvc.porcelain.recompute.recompute_correspondence import (
    Correspondence,
    NewArtifact,
    correspondence_of_versions,
)
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.rowwise import RowwiseError, check_rowwise
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles, artifacts_of_folder
from dsvc.porcelain.runs.run_recording import OutputMissingError
from dsvc.porcelain.runs.run_rows import table_of
from dsvc.porcelain.runs.run_storage import Captured, RunDraft, RunResult, store_captured
from dsvc.porcelain.runs.scratch import Scratch, scratch_folder
from dsvc.porcelain.runs.scratch_command import execute_in_scratch
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.ignore import IgnoreRules
from dsvc.porcelain.tree.safekeeping import store_file

if TYPE_CHECKING:
    from dsvc.lineage.run_tree import RunTree

_Stat = tuple[int, int, int, int]


def inputs_now(tree: RunTree, new_inputs: Mapping[int, NewArtifact]) -> list[ArtifactFiles]:
    """Inputs of a run as they are now, in the order of its record."""
    found = []
    for number, each in enumerate(tree.run.inputs):
        new = new_inputs.get(number)
        if new is not None:
            found.append(new.files._replace(role=each.role))
        else:
            entries = tuple(tree.input_files(number))
            found.append(ArtifactFiles(each.path, each.folder, entries, each.role))
    return found


def outputs_before(tree: RunTree) -> list[ArtifactFiles]:
    """Outputs of a run as it made them."""
    return [
        ArtifactFiles(each.path, each.folder, tuple(tree.output_files(number)))
        for number, each in enumerate(tree.run.outputs)
    ]


def run_whole(
    repo: Workspace,
    tree: RunTree,
    new_inputs: Mapping[int, NewArtifact],
    command: Command,
    how: Carrier,
) -> tuple[RunResult, tuple[NewArtifact, ...]]:
    """Do a run again on all rows, store it, and tell how the rows of its outputs stand to the old ones.

    Raises
    ------
    RerunFailedError, CommandFailedError, CommandTimeoutError
        If the command fails.
    OutputMissingError
        If it did not make what it made before.
    DsvcError
        As `run_storage.store_captured`.
    """
    from dsvc.lineage.declared_maps import read_run_folder

    inputs = inputs_now(tree, new_inputs)
    with scratch_folder(repo) as scratch:
        scratch.put(repo, [*(entry for each in inputs for entry in each.entries), *command.files])
        before = _stats(scratch)
        done = carry_out(repo, tree, command, scratch, how)
        outputs = _outputs(repo, tree, scratch, before)
        declared = read_run_folder(scratch.notes)
    repo.store.publish()
    _index_alike(repo, tree, inputs, outputs)
    record = tree.run

    def store(draft: RunDraft) -> RunResult:
        return store_captured(
            repo,
            draft,
            inputs,
            outputs,
            keys=dict(record.asked.keys),
            renamed=record.asked.renamed,
            declared=declared,
            drop_reason=record.asked.drop_reason,
            code_files=command.files,
            patch=command.patch,
            check=(lambda captured: _check(repo, tree, command, captured, how))
            if draft.rowwise and command.changed
            else None,
        )

    draft = drafted(repo, tree, command, done, {})
    try:
        result = store(draft)
    except RowwiseError:
        # The promise was made of other code, or of other parameters.
        import msgspec

        result = store(msgspec.structs.replace(draft, rowwise=False))
    return result, compared(repo, tree, outputs)


def compared(repo: Workspace, tree: RunTree, outputs: Sequence[ArtifactFiles]) -> tuple[NewArtifact, ...]:
    """Tell how the rows of new outputs stand to those that a run made at the same paths."""
    old = {(each.path, each.folder): (number, each) for number, each in enumerate(outputs_before(tree))}
    found = []
    for each in outputs:
        known = old.get((each.path, each.folder))
        if known is None:
            found.append(NewArtifact(each, None))
            continue
        number, before = known
        artifact = tree.run.outputs[number]
        correspondence: Correspondence | None
        if each.artifact().digest == artifact.digest and artifact.records is not None:
            correspondence = Correspondence.identity(artifact.records)
        else:
            try:
                correspondence = correspondence_of_versions(repo, before, each, key=artifact.key)
            except DsvcError:
                # One that can't be read as a table has no rows to follow; the run's record says so.
                correspondence = None
        found.append(NewArtifact(each, correspondence))
    return tuple(found)


# What it made


def _stats(scratch: Scratch) -> dict[bytes, _Stat]:
    """Stats of all files that are there before the command runs."""
    return {path: _stat(scratch, path) for path in scratch.below(b"")}


def _stat(scratch: Scratch, path: bytes) -> _Stat:
    found = os.lstat(scratch.path(path))
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _outputs(
    repo: Workspace, tree: RunTree, scratch: Scratch, before: Mapping[bytes, _Stat]
) -> list[ArtifactFiles]:
    """Store what a command made, as `runs.run_recording` takes it from the working tree."""
    asked = tree.run.asked
    named = dict.fromkeys(asked.outputs or tuple(each.path for each in tree.run.outputs))
    known = {each.path: each for old in outputs_before(tree) for each in old.entries}
    found: list[ArtifactFiles] = []
    with Beneath(scratch.tree) as files, Beneath(repo.root) as working:
        rules = IgnoreRules(working)
        for path in named:
            is_folder = os.path.isdir(scratch.path(path))
            below = sorted(_kept(rules, scratch.below(path), known)) if is_folder else [path]
            made = [
                each
                for each in below
                if (each == path or each not in named)
                and (path in asked.inputs or each not in before or _changed(scratch, each, before[each]))
            ]
            entries = [
                entry for each in made if (entry := store_file(repo.store, files, each, known.get(each)))
            ]
            if not entries:
                raise _not_made(tree, path)
            if is_folder:
                found += artifacts_of_folder(path, entries)
            else:
                found.append(ArtifactFiles(path, False, tuple(entries)))
    return found


def _changed(scratch: Scratch, path: bytes, before: _Stat) -> bool:
    return _stat(scratch, path) != before


def _kept(rules: IgnoreRules, paths: Iterable[bytes], known: Mapping[bytes, Entry]) -> Iterable[bytes]:
    """Leave out files that ``.dsvcignore`` leaves out, unless the run made them before."""
    for path in paths:
        check_structure(path)
        folders = [path[:end] for end, sign in enumerate(path) if sign == ord("/")]
        ignored = rules.ignored(path, is_folder=False) or any(
            rules.ignored(folder, is_folder=True) for folder in folders
        )
        if path in known or not ignored:
            yield path


def _not_made(tree: RunTree, path: bytes) -> OutputMissingError:
    name = display_path(path) or "."
    return OutputMissingError(
        f"run {tree.id.short()} ({tree.run.name}) did not make {name} when it was done again",
        details={"run": tree.id.hex(), "path": name},
    )


def _index_alike(
    repo: Workspace, tree: RunTree, inputs: Sequence[ArtifactFiles], outputs: Sequence[ArtifactFiles]
) -> None:
    """Index tables that share bytes with the version before, so that only the rest of them is read."""
    from dsvc.porcelain.tables.row_indexes import RowIndexes

    indexes = RowIndexes(repo)
    old = {each.path: each for each in outputs_before(tree) if not each.folder}
    old |= {
        each.path: each
        for number, each in enumerate(inputs_now(tree, {}))
        if not each.folder and tree.run.inputs[number].role is Role.INPUT
    }
    for new in (*inputs, *outputs):
        before = old.get(new.path)
        if before is None or new.folder or before.entries[0].digest == new.entries[0].digest:
            continue
        table, like = table_of(repo, new), table_of(repo, before)
        base = None if like is None else indexes.cached(like.source.digest)
        if table is not None and table.source.size and like is not None and base is not None:
            try:
                indexes.get(table, base, like)
            except DsvcError:
                continue  # what can't be read is told when the run's rows are followed


def _check(repo: Workspace, tree: RunTree, command: Command, captured: Captured, how: Carrier) -> None:
    """Test that a step is still row-wise; what it prints goes nowhere."""
    record = tree.run

    def attempt(scratch: Scratch) -> int:
        with open(os.devnull, "wb") as nowhere:
            return execute_in_scratch(
                repo,
                scratch,
                command.words,
                folder=record.asked.folder,
                environ=how.environ,
                seed=record.seed,
                parameters=command.parameters,
                timeout=how.timeout,
                output=nowhere.fileno(),
                interactive=how.interactive,
            )

    check_rowwise(repo, captured, command.files, attempt)
