"""Defects that an import opens, or adds rows to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.feedback.defect_state import worst
from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.model.defect import DefectVerb, FlaggedRows
from dsvc.model.errors import UsageError
from dsvc.model.feedback import DefectSeverity
from dsvc.porcelain.feedback.feedback_artifacts import Place
from dsvc.porcelain.lineage.artifact_version import ArtifactGoneError
from dsvc.porcelain.lineage.row_carry import carry_rows
from dsvc.porcelain.records.defect_chain import (
    DEFECTS,
    DefectHead,
    PreparedOperation,
    defect_at,
    defect_ids,
    new_defect_id,
    prepare,
)
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import RULES_FILE, read_rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.model.ids import CommitId
    from dsvc.porcelain.feedback.feedback_samples import Verdict

    Numbers = NDArray[np.int64]

_SECTION: Final = "feedback"
_OPEN: Final = "open"


class FeedbackRulesError(UsageError):
    """The section ``[feedback]`` of ``dsvc.toml`` can't be read."""

    code = "feedback-rules"


class DefectChanges(NamedTuple):
    """What an import does to defects.

    Attributes
    ----------
    operations : tuple of PreparedOperation
        Stored, not published yet.
    opened, extended, reopened : tuple of str
        Ids.
    below : int
        Groups of observations that are not severe enough to open one.
    """

    operations: tuple[PreparedOperation, ...]
    opened: tuple[str, ...]
    extended: tuple[str, ...]
    below: int
    reopened: tuple[str, ...] = ()


def opening_severity(repo: Workspace) -> DefectSeverity:
    """Mildest severity that opens a defect, as ``[feedback] open`` in ``dsvc.toml`` says; P3 without it.

    Raises
    ------
    FeedbackRulesError
        If it says anything else.
    TableRulesError, StorageError
        If the file can't be read.
    """
    data = read_rules(repo.root)
    if data is None:
        return DefectSeverity.P3
    from dsvc.table.rules_file import read_document

    section = read_document(data, RULES_FILE, FeedbackRulesError).get(_SECTION, {})
    if not isinstance(section, dict):
        raise FeedbackRulesError(f"{RULES_FILE}: [{_SECTION}] must be a section")
    strange = next((name for name in section if name != _OPEN), None)
    if strange is not None:
        raise FeedbackRulesError(f"{RULES_FILE}: [{_SECTION}] has no key {strange[:80]!r}; it has: {_OPEN}")
    found = section.get(_OPEN, DefectSeverity.P3.value)
    if not isinstance(found, str) or found not in set(DefectSeverity):
        raise FeedbackRulesError(f'{RULES_FILE}: [{_SECTION}] {_OPEN} is one of "P1", "P2", "P3"')
    return DefectSeverity(found)


class _Group(NamedTuple):
    """Observations of one symptom in one artifact."""

    place: Place
    symptom: str
    rows: Numbers
    severity: DefectSeverity


def prepare_defects(
    repo: Workspace,
    feedback: str,
    verdicts: Sequence[Verdict],
    commit: CommitId,
    reopened: Sequence[tuple[DefectHead, PreparedOperation]] = (),
) -> DefectChanges:
    """Prepare the operations that open or extend defects; the caller holds `repo.changing()`.

    Observations of equal path and symptom are one defect; an open one of these that has one of the rows is
    extended, wherever its rows stood when they were flagged.

    Parameters
    ----------
    feedback : str
        Id of the evaluation.
    commit : CommitId
        The version that was evaluated.
    reopened : sequence of (DefectHead, PreparedOperation)
        Closed defects that this version opens again, as they were, and the operations that do.
    """
    limit = opening_severity(repo)
    groups = _grouped(verdicts)
    again = {done.id: done for _, done in reopened}
    known = [*_open_heads(repo), *(head for head, _ in reopened)] if groups else []
    operations: list[PreparedOperation] = [*again.values()]
    opened: list[str] = []
    extended: list[str] = []
    below = 0
    for group in groups:
        found = _sharing(repo, group, known, commit)
        if found is not None:
            before = rows_at(repo, found.state.rows, group.place, near=[commit])
            fields = _extension(found, group, before, feedback)
            id_ = found.state.id
            after = again.get(id_)
            before_it = found if after is None else None
            operations.append(prepare(repo, id_, DefectVerb.EXTEND, before_it, fields, after=after))
            extended.append(id_)
        elif group.severity <= limit:
            id_ = new_defect_id(repo, feedback, group.place.path, group.symptom, taken=opened)
            operations.append(prepare(repo, id_, DefectVerb.OPEN, None, _opening(group, feedback)))
            opened.append(id_)
        else:
            below += 1
    return DefectChanges(tuple(operations), tuple(opened), tuple(extended), below, tuple(again))


def _grouped(verdicts: Sequence[Verdict]) -> list[_Group]:
    parts: dict[tuple[Place, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        parts[verdict.hit.place, verdict.sample.symptom or ""].append(verdict)
    return [
        _Group(
            place,
            symptom,
            np.unique(np.concatenate([each.hit.rows for each in group])),
            worst(each.sample.severity for each in group if each.sample.severity is not None),
        )
        for (place, symptom), group in sorted(parts.items(), key=lambda item: (item[0][0][:2], item[0][1]))
    ]


def _open_heads(repo: Workspace) -> list[DefectHead]:
    found = []
    for id_ in defect_ids(repo):
        tip = DEFECTS.head(repo, id_)
        head = DefectHead(tip, defect_at(repo, id_, tip))
        if head.state.is_open:
            found.append(head)
    return found


def _sharing(
    repo: Workspace, group: _Group, known: Sequence[DefectHead], commit: CommitId
) -> DefectHead | None:
    """The open defect of a path and symptom that has most of the rows; None where none has any."""
    best, most = None, 0
    for head in known:
        if (head.state.path, head.state.symptom) != (group.place.path, group.symptom):
            continue
        rows = rows_at(repo, head.state.rows, group.place, near=[commit])
        shared = len(np.intersect1d(rows, group.rows))
        if shared > most:
            best, most = head, shared
    return best


def rows_at(
    repo: Workspace, flagged: Sequence[FlaggedRows], place: Place, *, near: Sequence[CommitId] = ()
) -> Numbers:
    """Bad rows as they stand in one content of the artifact, ascending; those that are gone are left out.

    Parameters
    ----------
    flagged : sequence of FlaggedRows
        Of a defect, at all contents in which rows were flagged.
    place : Place
        Where they are wanted.
    near : sequence of CommitId
        Commits in which the artifact is looked for first.

    Raises
    ------
    NotATableError, TableLimitError, MissingDataError, CorruptDataError, MalformedInputError
        If a version can't be read; one that is no more is left out.
    """
    parts = [np.zeros(0, np.int64)]
    for each in flagged:
        rows = decode_rows(each.rows)
        try:
            carried = carry_rows(
                repo, each.path, each.digest, rows, place.digest, new_path=place.path, near=near
            )
        except ArtifactGoneError:
            continue
        parts.append(carried.found)
    return np.unique(np.concatenate(parts))


def flagged_rows(place: Place, rows: Numbers) -> tuple[FlaggedRows, ...]:
    """Rows of an artifact as a defect keeps them; nothing of none."""
    if not len(rows):
        return ()
    encoded = encode_rows(rows)
    return (
        FlaggedRows(path=place.path, digest=place.digest, folder=place.folder, rows=encoded, count=len(rows)),
    )


def _opening(group: _Group, feedback: str) -> dict[str, object]:
    return {
        "feedback": feedback,
        "path": group.place.path,
        "symptom": group.symptom,
        "severity": group.severity,
        "rows": flagged_rows(group.place, group.rows),
    }


def _extension(head: DefectHead, group: _Group, before: Numbers, feedback: str) -> dict[str, object]:
    """What an extension adds: with the rows known before, so that the newest content has all together."""
    rows = np.union1d(group.rows, before)
    fields: dict[str, object] = {"feedback": feedback, "rows": flagged_rows(group.place, rows)}
    if group.severity < head.state.severity:
        fields["severity"] = group.severity
    return fields
