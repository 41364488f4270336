"""What the gate knows of defects: which ones the judged version has part in, and how they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import blake3

from dsvc.feedback.defect_state import DefectState
from dsvc.model.defect import DefectStatus, DefectVerb
from dsvc.model.encoding import encode
from dsvc.model.errors import DsvcError
from dsvc.model.feedback import DefectSeverity
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.policy.facts import Defect
from dsvc.porcelain.records.defect_chain import DEFECT_REFS, DEFECTS, defect_at, defect_ids
from dsvc.porcelain.records.feedback_chain import feedback_head
from dsvc.porcelain.records.lost_refs import lost_refs
from dsvc.porcelain.state.moment import Moment, as_of
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.model.defect import FlaggedRows
    from dsvc.store.manifest_tree import Manifest

DECISIONS: Final = (DefectVerb.REJECT, DefectVerb.GRADE, DefectVerb.VERIFY, DefectVerb.REOPEN)
"""Operations that say what is to be done about a defect: after one of them a waiver for it has ended."""
_UNKNOWN: Final = "unknown"


class JudgedContent(NamedTuple):
    """What is judged, as far as defects ask.

    Attributes
    ----------
    manifest : Manifest
        All files of the version.
    entries : sequence of Entry
        Those that are judged: at the gate of commits the ones that it adds or changes.
    ancestors : iterable of bytes
        Digests of the files that these come from.
    tips : sequence of CommitId
        The commit, or those that it will follow.
    """

    manifest: Manifest
    entries: Sequence[Entry]
    ancestors: Iterable[bytes]
    tips: Sequence[CommitId]


def defect_digest(state: DefectState) -> bytes:
    """Digest of what a waiver for a defect is for: its rows, its severity, and what was decided about it."""
    rows = [(each.path, each.digest, each.folder, each.rows) for each in state.rows]
    decided = [str(step.commit) for step in state.history if step.operation.verb in DECISIONS]
    facts = (state.id, state.path, state.symptom, state.severity, state.worst_severity, rows, decided)
    return blake3.blake3(encode(facts)).digest()


def blocking_defects(repo: Workspace, judged: JudgedContent, moment: Moment) -> tuple[Defect, ...]:
    """Defects that ever were of the severity that blocks, and that the judged content has part in, by id.

    A defect has part in a version that holds the flagged content, or comes from it; and in one that has the
    artifact at another content, where the version descends from one that was evaluated, whatever became of
    the rows, or where one of the rows is there. What can't be read is one whose standing can't be told.

    Parameters
    ----------
    moment : Moment
        What was recorded later is not known.
    """
    found = [_lost(name) for name in lost_refs(repo, DEFECT_REFS)]
    part = _Part(repo, judged)
    for id_ in defect_ids(repo):
        try:
            fact = _fact(repo, id_, part, moment)
        except DsvcError as error:
            fact = Defect(id_, _UNKNOWN, _UNKNOWN, b"", problem=error.message)
        if fact is not None:
            found.append(fact)
    return tuple(sorted(found))


def _lost(id_: str) -> Defect:
    said = "the log knows it, and it is not there any more"
    return Defect(id_, _UNKNOWN, _UNKNOWN, b"", problem=said)


def _fact(repo: Workspace, id_: str, part: _Part, moment: Moment) -> Defect | None:
    """How a defect stands; None where it can't block this."""
    tip = as_of(repo, DEFECTS.head(repo, id_), moment)
    state = None if tip is None else defect_at(repo, id_, tip)
    if state is None or state.worst_severity is not DefectSeverity.P1 or state.joined_into is not None:
        return None
    verified = state.status is DefectStatus.VERIFIED
    back = part.back(state) if verified else 0
    if not (back if verified else part.has(state)):
        return None
    return Defect(
        state.id,
        state.severity.value,
        state.status.value,
        state.path,
        state.worst_severity.value,
        defect_digest(state),
        back,
    )


class _Part:
    """Tells which defects the judged content has part in."""

    def __init__(self, repo: Workspace, judged: JudgedContent) -> None:
        self._repo = repo
        self._judged = judged
        self._digests: frozenset[bytes] | None = None
        self._ancestors: frozenset[bytes] | None = None
        self._at: dict[bytes, tuple[Entry, ...]] = {}

    def has(self, state: DefectState) -> bool:
        """Whether the judged content has part in a defect."""
        if self._ancestors is None:
            self._ancestors = frozenset(self._judged.ancestors) | self._own
        if any(each.digest in self._ancestors for each in state.rows):
            return True
        paths = {state.path, *(each.path for each in state.rows)}
        if not any(self._files(path) for path in paths):
            return False
        return self._descends(state) or self._found(state)

    @property
    def _own(self) -> frozenset[bytes]:
        if self._digests is None:
            self._digests = frozenset(entry.digest for entry in self._judged.entries)
        return self._digests

    def _files(self, path: bytes) -> tuple[Entry, ...]:
        """Judged files at a path or below it; all of them for the whole version."""
        if path not in self._at:
            self._at[path] = tuple(
                each
                for each in self._judged.entries
                if not path or each.path == path or each.path.startswith(path + b"/")
            )
        return self._at[path]

    def _descends(self, state: DefectState) -> bool:
        """Whether the version comes after one that was evaluated: then the rows were in it."""
        history = self._repo.history
        commits = {
            CommitId(feedback_head(self._repo, each).record.subject.commit) for each in state.feedbacks
        }
        return any(history.is_ancestor(commit, tip) for commit in commits for tip in self._judged.tips)

    def _found(self, state: DefectState) -> bool:
        """Whether one of the rows is in the version, at another content of the artifact."""
        from dsvc.lineage.row_set import decode_rows
        from dsvc.porcelain.lineage.row_carry import carry_rows

        near = self._judged.tips
        return any(
            len(
                carry_rows(
                    self._repo, part.path, part.digest, decode_rows(part.rows), digest, near=near
                ).found
            )
            for part in state.rows
            for digest in _digests(part, self._judged.manifest)
        )

    def back(self, state: DefectState) -> int:
        """Rows of a verified defect that the judged content has as they were before the repair."""
        whole = max((each.count for each in state.rows if each.digest in self._own), default=0)
        paths = {state.path, *(each.path for each in state.rows)}
        if whole or not any(self._files(path) for path in paths):
            return whole
        from dsvc.porcelain.feedback.brought_back import rows_back_in

        return len(rows_back_in(self._repo, state, self._judged.manifest, self._judged.tips))


def _digests(part: FlaggedRows, manifest: Manifest) -> list[bytes]:
    """Contents of the artifact with some flagged rows in a version; a folder may be two artifacts."""
    if part.folder:
        from dsvc.porcelain.lineage.artifact_version import folder_artifacts

        return [each.artifact().digest for each in folder_artifacts(part.path, manifest.entries(part.path))]
    entry = manifest.get(part.path)
    return [entry.digest] if entry is not None and entry.is_file else []


def decided_by(state: DefectState) -> tuple[CommitId, ...]:
    """Operations by which a defect was rejected or graded otherwise: who made them can't waive it."""
    lowering = (DefectVerb.REJECT, DefectVerb.GRADE)
    return tuple(step.commit for step in state.history if step.operation.verb in lowering)
