"""What caused a defect: its rows against those that were evaluated and not flagged, by all that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from dsvc.feedback.causes import MIN_BAD, rank
from dsvc.feedback.defect_state import DefectState
from dsvc.lineage.row_set import decode_rows
from dsvc.model.defect import Cause, DefectVerb, Denominator, FlaggedRows
from dsvc.model.errors import MalformedInputError, NotFoundError
from dsvc.model.feedback import EvaluatedRows
from dsvc.model.ids import CommitId
from dsvc.model.paths import display_path
from dsvc.porcelain.feedback.cause_cache import depends_on, kept
from dsvc.porcelain.feedback.cause_candidates import CandidateCauses, CandidateRows, UnreadTable
from dsvc.porcelain.feedback.cause_routes import Route, find_routes, is_evaluation_set
from dsvc.porcelain.feedback.same_cause import artifact_digest
from dsvc.porcelain.records.defect_chain import DefectHead, defect_head
from dsvc.porcelain.records.feedback_chain import FeedbackHead, feedback_head
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

_NOTHING_FLAGGED: Final = "none of the defect's rows is in the version that was evaluated last"


class CauseReport(msgspec.Struct, frozen=True, kw_only=True):
    """Causes of a defect.

    Attributes
    ----------
    defect : str
    commit : str
        Version that the newest of its evaluations from before a repair was of, in hex.
    path, digest : bytes
        Artifact there whose rows are flagged.
    folder : bool
    records : int
        Rows that it has.
    evaluated, flagged : int
        Rows that were counted.
    lost : int
        Rows of the defect, known from other versions, that this one doesn't have.
    denominator : Denominator
    causes : tuple of Cause
        Causes first, then associations, by strength.
    too_few : str or None
        Why there is no answer, in words.
    candidates : int
        Tests that p-values are corrected for.
    power : float
        Probability that a cause of a tenth of the rows with three times the bad share would be named.
    separate : bool
        Whether the rows are of an evaluation set, which is no part of what was evaluated.
    routes : tuple of Route
        How an observation on the evaluation set reaches rows of what was evaluated.
    unsearched : str or None
        Which routes were not looked for, and why.
    left_out : tuple of str
        Columns with so many values that not each is a candidate.
    unread : tuple of UnreadTable
        Tables on the way whose columns could not be read.
    top : tuple of Cause
        The causes that together cover what was flagged: each has flagged rows that no stronger one has. One
        that only narrows down a stronger one is none of them.
    """

    defect: str
    commit: str
    path: bytes
    digest: bytes
    folder: bool
    records: int
    evaluated: int
    flagged: int
    lost: int
    denominator: Denominator
    causes: tuple[Cause, ...]
    too_few: str | None
    candidates: int
    power: float
    separate: bool = False
    routes: tuple[Route, ...] = ()
    unsearched: str | None = None
    left_out: tuple[str, ...] = ()
    unread: tuple[UnreadTable, ...] = ()
    top: tuple[Cause, ...] = ()


class Universe(NamedTuple):
    """What a defect is counted over.

    Attributes
    ----------
    commit : CommitId
    path, digest : bytes
    folder : bool
    records : int
    rows : ndarray of int64 or None
        Rows that were evaluated, ascending; None: all.
    flagged : ndarray of int64
        Rows of the defect, ascending; all of them are evaluated.
    lost : int
    denominator : Denominator
    newest : FeedbackHead
    """

    commit: CommitId
    path: bytes
    digest: bytes
    folder: bool
    records: int
    rows: Numbers | None
    flagged: Numbers
    lost: int
    denominator: Denominator
    newest: FeedbackHead


def cause_report(repo: Workspace, defect: str | DefectHead) -> CauseReport:
    """Rank the causes of a defect.

    Parameters
    ----------
    defect : str or DefectHead
        Its id, or its newest state.

    Raises
    ------
    NoSuchDefectError, NoSuchFeedbackError
        If there is no such defect, or an evaluation that it names.
    NotFoundError
        If the version that was evaluated lacks the artifact.
    MissingDataError, CorruptDataError, MalformedInputError
        If anything that the answer needs can't be read.
    """
    head = defect_head(repo, defect) if isinstance(defect, str) else defect
    key = depends_on(repo, bytes.fromhex(head.commit))
    return kept(repo, f"{head.state.id}-report", key, CauseReport, lambda: _report(repo, head.state))


def _report(repo: Workspace, state: DefectState) -> CauseReport:
    universe = universe_of(repo, state)
    causes = CandidateCauses(repo, universe.commit)
    found = causes.of(universe.path, universe.digest, folder=universe.folder, rows=universe.rows)
    flagged = np.zeros(found.size, np.bool_)
    flagged[places(universe.flagged, universe.rows)] = True
    ranking = rank(found.size, flagged, found.candidates, denominator=universe.denominator)
    separate = is_evaluation_set(universe.newest.record, universe.path)
    routes: tuple[Route, ...] = ()
    unsearched = None
    if separate:
        subject = universe.newest.record.subject
        routes, unsearched = find_routes(repo, causes, found, flagged, universe.path, subject.path)
    return CauseReport(
        defect=state.id,
        commit=str(universe.commit),
        path=universe.path,
        digest=universe.digest,
        folder=universe.folder,
        records=found.records,
        evaluated=ranking.evaluated,
        flagged=ranking.flagged,
        lost=universe.lost,
        denominator=universe.denominator,
        causes=ranking.causes,
        too_few=ranking.too_few if len(universe.flagged) else _NOTHING_FLAGGED,
        candidates=ranking.candidates,
        power=ranking.power,
        separate=separate,
        routes=routes,
        unsearched=unsearched,
        left_out=found.left_out,
        unread=found.unread,
        top=_leading(ranking.causes, found, flagged),
    )


def _leading(causes: Sequence[Cause], found: CandidateRows, flagged: Flags) -> tuple[Cause, ...]:
    """Take causes, the strongest first, as long as each has enough flagged rows that those before lack."""
    covered = {(each.kind, each.id): each.rows for each in found.candidates}
    left, taken = flagged.copy(), []
    for cause in causes:
        if cause.is_cause:
            rows = covered[cause.kind, cause.id].mask(found.size)
            if int((left & rows).sum()) >= MIN_BAD:
                left &= ~rows
                taken.append(cause)
    return tuple(taken)


def universe_of(repo: Workspace, state: DefectState) -> Universe:
    """Find the rows that a defect is counted over; raises as `cause_report`."""
    if not state.feedbacks:
        raise NotFoundError(f"defect {state.id} names no evaluation", details={"defect": state.id})
    heads = [feedback_head(repo, id_) for id_ in _as_found(state)]
    newest = heads[-1]
    commit = CommitId(newest.record.subject.commit)
    path = state.path
    folder = any(each.folder for each in state.rows if each.path == path)
    digest, records = artifact_digest(repo, commit, path, folder=folder)
    flagged, lost = _flagged(repo, state.rows, path, digest, records, commit, folder=folder)
    stated = [
        [each for each in head.record.evaluated if (each.path, each.folder) == (path, folder)]
        for head in heads
    ]
    denominator = Denominator.STATED if all(stated) else Denominator.ASSUMED
    rows = None
    if denominator is Denominator.STATED:
        rows = _evaluated(repo, [each for one in stated for each in one], digest, records, commit)
        rows = None if rows is None else np.union1d(rows, flagged)
    return Universe(commit, path, digest, folder, records, rows, flagged, lost, denominator, newest)


def _as_found(state: DefectState) -> tuple[str, ...]:
    """Its evaluations from before it was first repaired; all of them where there are no others.

    A repair changes rows and the runs that they come from: in what it made, the rows that it put right would
    be counted as bad, and the run that put them right as their cause.
    """
    verbs = [step.operation.verb for step in state.history]
    if DefectVerb.REPAIR not in verbs:
        return state.feedbacks
    after = state.history[verbs.index(DefectVerb.REPAIR) :]
    later = {step.operation.feedback for step in after}
    return tuple(each for each in state.feedbacks if each not in later) or state.feedbacks


def _flagged(
    repo: Workspace,
    rows: Sequence[FlaggedRows],
    path: bytes,
    digest: bytes,
    records: int,
    commit: CommitId,
    *,
    folder: bool,
) -> tuple[Numbers, int]:
    """Rows of a defect in one version, and how many are known from other versions only."""
    found, lost = np.zeros(0, np.int64), 0
    for each in rows:
        if (each.path, each.folder) != (path, folder):
            lost += each.count
            continue
        carried = _carried(repo, path, each.digest, decode_rows(each.rows), digest, commit)
        lost += int((carried < 0).sum())
        found = np.union1d(found, carried[carried >= 0])
    _check(found, records, path)
    return found, lost


def _evaluated(
    repo: Workspace, stated: Sequence[EvaluatedRows], digest: bytes, records: int, commit: CommitId
) -> Numbers | None:
    """Rows that any of several evaluations looked at, in one version; None: all."""
    found = np.zeros(0, np.int64)
    for each in stated:
        if each.rows is None and each.digest == digest:
            return None
        rows = np.arange(each.count, dtype=np.int64) if each.rows is None else decode_rows(each.rows)
        carried = _carried(repo, each.path, each.digest, rows, digest, commit)
        found = np.union1d(found, carried[carried >= 0])
    _check(found, records, stated[0].path)
    return found


def _carried(
    repo: Workspace, path: bytes, old: bytes, rows: Numbers, new: bytes, commit: CommitId
) -> Numbers:
    """For each row of a version its number in that which a commit has, -1 where this lacks it."""
    if old == new:
        return rows
    from dsvc.porcelain.lineage.row_carry import carry_rows

    return carry_rows(repo, path, old, rows, new, near=[commit]).rows


def _check(rows: Numbers, records: int, path: bytes) -> None:
    if len(rows) and int(rows[-1]) >= records:
        raise MalformedInputError(
            f"{display_path(path)} has {records} rows; a record names row {int(rows[-1])}",
            details={"path": display_path(path)},
        )


def places(rows: Numbers, among: Numbers | None) -> Numbers:
    """Places of rows among ascending ones that hold all of them; None: all rows there are."""
    return rows if among is None else np.searchsorted(among, rows).astype(np.int64)
