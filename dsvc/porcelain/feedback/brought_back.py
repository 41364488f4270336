"""Repaired rows that a version has with their old content again: the defect is as open there as it was.

What counts is content: a row of a version is one brought back where it equals a row that a verified repair
changed or took out, as that was before, and the version has more such rows than the repair's result. A file
that has the digest of the repair's result is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.feedback.defect_state import DefectState
from dsvc.lineage.record_rows import CONTENT, RecordRows, TableRows, rows_of_tables
from dsvc.lineage.row_set import decode_rows
from dsvc.model.defect import DefectOperation, DefectStatus, DefectVerb
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.ids import CommitId
from dsvc.model.paths import display_path
from dsvc.porcelain.feedback.feedback_artifacts import Place
from dsvc.porcelain.feedback.feedback_defects import flagged_rows
from dsvc.porcelain.lineage.artifact_version import artifact_in, digest_of_folder, find_artifact, open_table
from dsvc.porcelain.records.defect_chain import (
    DEFECTS,
    DefectHead,
    PreparedOperation,
    defect_at,
    defect_ids,
    defect_states,
    prepare,
    record,
)
from dsvc.porcelain.records.feedback_chain import feedback_head
from dsvc.porcelain.records.repair_chain import repair_head
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import RowIndexes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.model.repair import Plan
    from dsvc.store.manifest_tree import Manifest

    Numbers = NDArray[np.int64]

NONE: Numbers = np.zeros(0, np.int64)


class BroughtBack(NamedTuple):
    """Rows of a version that have the content which a verified repair had changed.

    Attributes
    ----------
    defect : str
    repair : str
    place : Place
        The artifact in that version.
    rows : ndarray of int64
        Numbers of its rows, ascending.
    later : bool
        Whether the version came after the repair; one from before it, or beside it, reopens nothing.
    """

    defect: str
    repair: str
    place: Place
    rows: Numbers
    later: bool


class Unknown(NamedTuple):
    """A verified defect of which it can't be told, and why."""

    defect: str
    error: DsvcError


class BackIn(NamedTuple):
    """What a version brings back of all verified defects."""

    found: tuple[BroughtBack, ...]
    unknown: tuple[Unknown, ...]


def brought_back(
    repo: Workspace, commit: CommitId, states: Sequence[DefectState] | None = None
) -> dict[str, Numbers]:
    """Rows with their old content, by verified defect; each of these counts as open in that version.

    Parameters
    ----------
    commit : CommitId
        Also one from before the repair: there the defect was never repaired.
    states : sequence of DefectState or None
        The defects to look at; None: all, as they are now.

    Returns
    -------
    dict of str to ndarray of int64
        Numbers of rows of the defect's artifact in that version; defects without any are left out.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError, NotATableError, TableLimitError
        If it can't be told of one.
    """
    return {each.defect: each.rows for each in rows_brought_back(repo, commit, states)}


def rows_brought_back(
    repo: Workspace, commit: CommitId, states: Sequence[DefectState] | None = None
) -> list[BroughtBack]:
    """As `brought_back`, with where the rows stand, and whether the version reopens the defect."""
    return list(_known(look(repo, commit, states)))


def reopened(repo: Workspace, commit: CommitId) -> list[BroughtBack]:
    """Verified defects that a version from after their repair opens again; raises as `brought_back`."""
    return [each for each in rows_brought_back(repo, commit) if each.later]


def _known(back: BackIn) -> tuple[BroughtBack, ...]:
    if back.unknown:
        raise back.unknown[0].error
    return back.found


def look(repo: Workspace, commit: CommitId, states: Sequence[DefectState] | None = None) -> BackIn:
    """Look for rows with their old content; what can't be told of one defect is listed beside the others.

    Parameters
    ----------
    commit, states
        As in `brought_back`.
    """
    found: list[BroughtBack] = []
    unknown: list[Unknown] = []
    manifest: Manifest | None = None
    for state in defect_states(repo) if states is None else states:
        closing = closing_operation(state)
        if closing is None:
            continue
        if manifest is None:
            manifest = repo.manifest(repo.history.read_commit(commit).manifest)
        try:
            back = _of_defect(repo, state, closing, commit, manifest)
        except DsvcError as error:
            unknown.append(Unknown(state.id, error))
        else:
            found += [] if back is None else [back]
    return BackIn(tuple(found), tuple(unknown))


def closing_operation(state: DefectState) -> DefectOperation | None:
    """The operation that verified a defect, if it is verified now."""
    if state.status is not DefectStatus.VERIFIED or state.joined_into is not None:
        return None
    operations = (step.operation for step in reversed(state.history))
    return next((each for each in operations if each.verb is DefectVerb.VERIFY), None)


def _of_defect(
    repo: Workspace, state: DefectState, closing: DefectOperation, commit: CommitId, manifest: Manifest
) -> BroughtBack | None:
    rows = rows_back_in(repo, state, manifest)
    if closing.repair is None or not len(rows):
        return None
    place = place_in(manifest, repair_head(repo, closing.repair).plan)
    assert place is not None
    return BroughtBack(state.id, closing.repair, place, rows, _is_later(repo, closing, commit))


def rows_back_in(
    repo: Workspace, state: DefectState, manifest: Manifest, near: Sequence[CommitId] = ()
) -> Numbers:
    """Rows that files, committed or not, have as they were before a verified defect was repaired.

    Parameters
    ----------
    near : sequence of CommitId
        Commits in which older versions of the artifact are looked for first.

    Returns
    -------
    ndarray of int64
        Ascending; none of a defect that is not verified, nor where its artifact is as the repair left it.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError, NotATableError, TableLimitError
        If it can't be told.
    """
    closing = closing_operation(state)
    if closing is None:
        return NONE
    if closing.repair is None or closing.commit is None:
        raise MalformedInputError(f"defect {state.id} was verified, and it isn't said by which repair")
    plan = repair_head(repo, closing.repair).plan
    repaired = _manifest(repo, CommitId(closing.commit))
    place = place_in(manifest, plan)
    if place is None or place == place_in(repaired, plan):
        return NONE
    return old_rows(repo, plan, repaired, manifest, near)


def _is_later(repo: Workspace, closing: DefectOperation, commit: CommitId) -> bool:
    """Whether a version follows on the repair, or on the version that verified it: merges may squash."""
    known = [CommitId(closing.commit)] if closing.commit else []
    if closing.feedback:
        known.append(CommitId(feedback_head(repo, closing.feedback).record.subject.commit))
    return any(repo.history.is_ancestor(each, commit) for each in known)


def place_in(manifest: Manifest, plan: Plan) -> Place | None:
    """The artifact that a repaired defect is about, in some version; None where that has none there."""
    planned = plan.planned(plan.subject)
    if (planned is not None and planned.folder) or any(each.folder for each in plan.gone):
        members = [each for each in manifest.entries(plan.subject) if each.is_file]
        digest = digest_of_folder(plan.subject, members)
        return Place(plan.subject, digest, folder=True) if members else None
    entry = manifest.get(plan.subject)
    return None if entry is None or not entry.is_file else Place(plan.subject, entry.digest)


def old_rows(
    repo: Workspace, plan: Plan, repaired: Manifest, now: Manifest, near: Sequence[CommitId] = ()
) -> Numbers:
    """Rows of a version that have the old content of rows of a plan, more than the repair left of it.

    Parameters
    ----------
    repaired : Manifest
        The result of the repair.
    now : Manifest
        The version that is asked about; it has the defect's artifact.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError, NotATableError, TableLimitError
        If one of the versions can't be read.
    """
    versions = [each for each in (_files_in(now, plan), _files_in(repaired, plan)) if each is not None]
    base = CommitId(plan.base)
    found = [NONE]
    for path, digest, rows in _old_parts(plan):
        before = find_artifact(repo, path, digest, [base, *near])
        sides = _records(repo, [before, *versions])
        if sides is not None:
            found.append(_excess(sides[0], rows, sides[1], sides[2] if len(sides) > 2 else None))
    return np.unique(np.concatenate(found))


def _files_in(manifest: Manifest, plan: Plan) -> ArtifactFiles | None:
    place = place_in(manifest, plan)
    return None if place is None else artifact_in(manifest, place.path, place.digest)


def _old_parts(plan: Plan) -> Iterator[tuple[bytes, bytes, Numbers]]:
    """Rows of the defect's artifact that a plan changes, as they were; and those that were gone before it."""
    planned = plan.planned(plan.subject)
    if planned is not None:
        rows = np.union1d(decode_rows(planned.flagged), decode_rows(planned.selected))
        yield planned.path, planned.digest, rows
    for each in plan.gone:
        yield each.path, each.digest, decode_rows(each.rows)


def _records(repo: Workspace, versions: Sequence[ArtifactFiles]) -> list[RecordRows] | None:
    """Records of several versions, whose hashes can be compared; None where that makes no sense."""
    if any(each.folder for each in versions):
        if not all(each.folder for each in versions):
            return None
        found = [RecordRows.of_folder(each.members()) for each in versions]
        for rows in found:
            rows.content = (CONTENT,)
        return found
    indexes = RowIndexes(repo)
    tables = [open_table(repo, each.entries[0], indexes) for each in versions]
    if any(each is None for each in tables):
        return None
    records = rows_of_tables([TableRows(each.source, each.kind, each.index) for each in tables if each])
    for rows in records:
        rows.content = records[0].columns
    return records


def _excess(before: RecordRows, rows: Numbers, now: RecordRows, after: RecordRows | None) -> Numbers:
    """Rows of a version that equal some old rows, but for as many as the repair's result has of each."""
    if not set(before.content) <= set(now.columns) or not len(rows):
        return NONE
    if int(rows[-1]) >= before.rows:
        raise MalformedInputError("a plan names rows that its artifact doesn't have")
    wanted = np.unique(before.row_hashes(rows))
    hashes = now.row_hashes()
    places = np.flatnonzero(np.isin(hashes, wanted))
    if not len(places):
        return NONE
    left = np.zeros(len(wanted), np.int64)
    if after is not None and set(before.content) <= set(after.columns):
        kept = after.row_hashes()
        kept = kept[np.isin(kept, wanted)]
        left += np.bincount(np.searchsorted(wanted, kept), minlength=len(wanted))
    # Number the equal rows: the first of them are those that the repair left.
    values = np.searchsorted(wanted, hashes[places])
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    number = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    return np.sort(places[order[number >= left[ordered]]])


def _manifest(repo: Workspace, commit: CommitId) -> Manifest:
    return repo.manifest(repo.history.read_commit(commit).manifest)


# Recording


class Reopening(NamedTuple):
    """A reopening that is stored, and not published yet; and the state that it follows."""

    back: BroughtBack
    before: DefectHead
    prepared: PreparedOperation


def prepare_reopened(repo: Workspace, commit: CommitId, feedback: str | None = None) -> list[Reopening]:
    """Prepare the operations that open verified defects again; the caller holds `repo.changing()`.

    Of what can't be told nothing is opened: the gate says that it isn't known.

    Parameters
    ----------
    commit : CommitId
        A version.
    feedback : str or None
        The evaluation that is being imported of it.
    """
    heads = []
    for id_ in defect_ids(repo):
        tip = DEFECTS.head(repo, id_)
        heads.append(DefectHead(tip, defect_at(repo, id_, tip)))
    by_id = {head.state.id: head for head in heads}
    found = []
    for back in look(repo, commit, [head.state for head in heads]).found:
        if not back.later:
            continue
        before = by_id[back.defect]
        name = display_path(back.place.path)
        fields: dict[str, object] = {
            "reason": f"{commit[:12]} has {len(back.rows)} repaired rows of {name} as they were before",
            "commit": str(commit),
            "feedback": feedback,
            "rows": flagged_rows(back.place, back.rows),
        }
        done = prepare(repo, back.defect, DefectVerb.REOPEN, before, fields)
        found.append(Reopening(back, before, done))
    return found


def reopen_brought_back(repo: Workspace, commit: CommitId) -> list[BroughtBack]:
    """Open every verified defect again whose rows a later version has as they were; gives what was opened.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError, NotATableError, TableLimitError
        If it can't be told of a defect; nothing was recorded.
    ConcurrentChangeError
        If a defect changed meanwhile; nothing was recorded.
    """
    reopened(repo, commit)  # raises where one can't be told
    with repo.changing():
        done = prepare_reopened(repo, commit)
        if done:
            operations = [each.prepared for each in done]
            record(repo, "defect reopen", operations, [each.id for each in operations])
    return [each.back for each in done]
