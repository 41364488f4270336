"""Releases that something happened to: a source of theirs was withdrawn, a bad defect of their rows found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsvc.feedback.defect_state import DefectState
from dsvc.model.errors import NotFoundError
from dsvc.model.release import ReleaseStatus
from dsvc.model.source_record import Status
from dsvc.porcelain.records.defect_chain import defect_states
from dsvc.porcelain.records.release_chain import ReleaseState, facts_of, releases
from dsvc.porcelain.records.released_data import artifact_digests
from dsvc.porcelain.records.source_chain import head as source_head
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.facts import DefectStanding, ReleaseFacts


class Affected(NamedTuple):
    """A release that may have to go, and why."""

    state: ReleaseState
    reasons: tuple[str, ...]


def affected_releases(repo: Workspace) -> Iterator[Affected]:
    """Yield the releases, not withdrawn yet, that something speaks against by now; by name.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a release, a source or a defect can't be read.
    """
    given_out = [
        each
        for each in releases(repo)
        if each.created is not None and each.status is not ReleaseStatus.WITHDRAWN
    ]
    blocking = blocking_defects(repo) if given_out else []
    for state in given_out:
        reasons = tuple(reasons_to_withdraw(repo, facts_of(repo, state), blocking))
        if reasons:
            yield Affected(state, reasons)


def blocking_defects(repo: Workspace) -> list[DefectState]:
    """Defects that block a release, as they are now; raises as `affected_releases`."""
    return [state for state in defect_states(repo) if state.blocking]


def reasons_to_withdraw(
    repo: Workspace, facts: ReleaseFacts, blocking: Sequence[DefectState]
) -> Iterator[str]:
    """Say what speaks against a release by now; raises as `affected_releases`.

    Parameters
    ----------
    blocking : sequence of DefectState
        As `blocking_defects` gives them.
    """
    for source in facts.lineage.sources:
        try:
            record = source_head(repo, source.id).tree.record
        except NotFoundError:
            yield f"source {source.id} is not there any more"
            continue
        if record.status is not Status.ACTIVE:
            yield f"source {source.id} is {record.status.value}: {record.reason or 'no reason is stated'}"
    digests = artifact_digests(facts)
    waived = {each.id for each in facts.defects if each.standing is DefectStanding.WAIVED}
    for state in blocking:
        if state.id not in waived and any(each.digest in digests for each in state.rows):
            yield f"defect {state.id} ({state.severity}, {state.status}) is in it: {state.symptom}"
