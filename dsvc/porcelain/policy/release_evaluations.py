"""What is known of the quality of a release: evaluations of its very content, defects of its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dsvc.lineage.artifacts import folder_digest, relative
from dsvc.model.feedback import Subject
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.porcelain.policy.policy_in_force import REPAIRED
from dsvc.porcelain.records.defect_chain import DEFECTS, defect_at, defect_ids
from dsvc.porcelain.records.feedback_chain import FEEDBACK, FeedbackHead, feedback_at, feedback_ids
from dsvc.porcelain.state.moment import Moment, as_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.facts import DefectStanding, Evaluation, KnownDefect

if TYPE_CHECKING:
    from dsvc.feedback.defect_state import DefectState
    from dsvc.porcelain.policy.verdict import CheckResult

DEFECT: Final = b"defect:"


def evaluations_of(
    repo: Workspace, root: NodeId, entries: Sequence[Entry], moment: Moment | None = None
) -> list[FeedbackHead]:
    """Evaluations of exactly a version, or of files or folders of it at the content that they have, by id.

    Parameters
    ----------
    entries : sequence of Entry
        Files that count.
    moment : Moment or None
        What was recorded later is not known; None: all is.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If an evaluation can't be read.
    """
    digests = {entry.digest for entry in entries}
    found = []
    for id_ in feedback_ids(repo):
        tip = as_of(repo, FEEDBACK.head(repo, id_), moment)
        if tip is None:
            continue
        head = feedback_at(repo, tip, id_)
        if _is_of(head.record.subject, root, entries, digests):
            found.append(head)
    return found


def _is_of(subject: Subject, root: NodeId, entries: Sequence[Entry], digests: Collection[bytes]) -> bool:
    if not subject.path:
        return subject.manifest == root.hex()
    if not subject.folder:
        return subject.digest in digests
    prefix = subject.path + b"/"
    below = [entry for entry in entries if entry.path.startswith(prefix)]
    listed = relative(below, subject.path)
    return bool(listed) and folder_digest((e.path, e.mode, e.digest) for e in listed) == subject.digest


def evaluation_fact(head: FeedbackHead) -> Evaluation:
    """Say of an evaluation what its record says."""
    record = head.record
    return Evaluation(
        feedback=head.id,
        suite=record.suite,
        model=record.model or "",
        tool=record.run.tool,
        kind=record.run.kind,
        created=record.run.created,
        outcome=record.outcome,
        metrics=record.metrics,
    )


# Defects


def defects_of(
    repo: Workspace,
    entries: Iterable[Entry],
    ancestors: Iterable[bytes] = (),
    moment: Moment | None = None,
) -> Iterator[DefectState]:
    """Yield the defects that a version has part in, by id: of its paths, or of rows of what it came from.

    Parameters
    ----------
    ancestors : iterable of bytes
        Digests of files that it came from.
    moment : Moment or None
        What was recorded later is not known; None: all is.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a defect can't be read.
    """
    listed = list(entries)
    paths = {entry.path for entry in listed}
    folders = {path[:at] for path in paths for at in range(len(path)) if path[at : at + 1] == b"/"}
    digests = {entry.digest for entry in listed} | set(ancestors)
    for id_ in defect_ids(repo):
        tip = as_of(repo, DEFECTS.head(repo, id_), moment)
        if tip is None:
            continue
        state = defect_at(repo, id_, tip)
        if state.path in paths or state.path in folders or any(each.digest in digests for each in state.rows):
            yield state


def defect_facts(
    states: Iterable[DefectState], waived: Mapping[str, str], since: str | None
) -> tuple[KnownDefect, ...]:
    """Say how defects stand.

    Parameters
    ----------
    waived : mapping of str to str
        Waivers by the id of the defect that they let stand.
    since : str or None
        Of closed ones only those count that were closed after this time, RFC 3339.
    """
    found = []
    for state in states:
        standing = DefectStanding.CLOSED
        if state.blocking or state.is_open:
            standing = DefectStanding.WAIVED if state.id in waived else DefectStanding.OPEN
        elif since is not None and state.history[-1].operation.at <= since:
            continue
        found.append(
            KnownDefect(
                id=state.id,
                standing=standing,
                status=state.status,
                severity=state.severity,
                path=state.path,
                symptom=state.symptom,
                rows=state.count,
                waiver=waived.get(state.id) if standing is DefectStanding.WAIVED else None,
            )
        )
    return tuple(found)


def waived_defects(verdict: CheckResult) -> dict[str, str]:
    """Defects that a waiver lets stand, with its id: by what the gate found."""
    return {
        each.subject[len(DEFECT) :].decode("utf-8", "replace"): each.waiver
        for each in verdict.violations
        if each.rule == REPAIRED and each.waiver is not None and each.subject.startswith(DEFECT)
    }
