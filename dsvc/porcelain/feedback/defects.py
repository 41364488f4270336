"""defect list, confirm, reject, grade, assign, split, join, comment, reopen: what is done about bad rows."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.feedback.defect_state import DefectState, DefectStepError, check_step
from dsvc.model.defect import DefectStatus, DefectVerb
from dsvc.model.errors import UsageError
from dsvc.model.feedback import DefectSeverity
from dsvc.porcelain.records.defect_chain import (
    DefectHead,
    PreparedOperation,
    defect_at,
    defect_head,
    defect_states,
    find_defect_id,
    new_defect_id,
    operate,
    prepare,
    record,
)
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.model.defect import FlaggedRows

    Numbers = NDArray[np.int64]

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MAX_TEXT: Final = 60_000


class DefectFilter(NamedTuple):
    """Which defects are listed; None is any.

    Attributes
    ----------
    status : DefectStatus or None
    severity : DefectSeverity or None
    assignee : str or None
    path : bytes or None
        Artifact, or a folder that it is in.
    overdue : bool
        Only those that are open after the day on which they were due.
    """

    status: DefectStatus | None = None
    severity: DefectSeverity | None = None
    assignee: str | None = None
    path: bytes | None = None
    overdue: bool = False


def defects(repo: Workspace, chosen: DefectFilter | None = None) -> list[DefectState]:
    """Every defect as it is now, the worst and oldest first.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If one can't be read.
    """
    wanted = chosen or DefectFilter()
    day = today(repo)
    found = [state for state in defect_states(repo) if _fits(state, wanted, day)]
    return sorted(found, key=lambda state: (not state.is_open, state.severity, state.opened_at, state.id))


def _fits(state: DefectState, wanted: DefectFilter, day: str) -> bool:
    path = wanted.path
    return (
        wanted.status in (None, state.status)
        and wanted.severity in (None, state.severity)
        and wanted.assignee in (None, state.assignee)
        and (not path or state.path == path or state.path.startswith(path + b"/"))
        and (not wanted.overdue or is_overdue(state, day))
    )


def today(repo: Workspace) -> str:
    """Today's date in UTC."""
    return repo.signature().rfc3339()[:10]


def is_overdue(state: DefectState, day: str) -> bool:
    """Whether it is open after the day on which it was due."""
    return state.is_open and state.due is not None and state.due < day


def confirm(repo: Workspace, id: str, reason: str | None = None) -> DefectHead:  # noqa: A002
    """Confirm a defect: somebody looked, and the rows are bad.

    Raises
    ------
    NoSuchDefectError, DefectStepError
        If there is no such defect, or it can't be confirmed as it is.
    """
    return _operate(repo, id, DefectVerb.CONFIRM, reason=_text(reason))


def reject(repo: Workspace, id: str, reason: str) -> DefectHead:  # noqa: A002
    """Reject a defect: the rows are as they should be. One that was a P1 blocks until that is waived.

    Raises
    ------
    NoSuchDefectError, DefectStepError
        If there is no such defect, or it is closed.
    UsageError
        If no reason is given.
    """
    return _operate(repo, id, DefectVerb.REJECT, reason=_needed(reason, "to reject a defect"))


def grade(repo: Workspace, id: str, severity: DefectSeverity, reason: str) -> DefectHead:  # noqa: A002
    """Give a defect another severity; one that was a P1 blocks until its downgrade is waived.

    Raises
    ------
    NoSuchDefectError, DefectStepError
        If there is no such defect, or it is closed.
    UsageError
        If no reason is given, or it has this severity.
    """
    why = _needed(reason, "to grade a defect")
    with repo.changing():
        state = defect_head(repo, id).state
        if state.severity is severity:
            raise UsageError(f"defect {state.id} is {severity} already")
        return operate(repo, state.id, DefectVerb.GRADE, severity=severity, reason=why)


def assign(repo: Workspace, id: str, to: str | None = None, due: str | None = None) -> DefectHead:  # noqa: A002
    """Say who sees to a defect, and until when; what is not said stays.

    Raises
    ------
    NoSuchDefectError, DefectStepError
        If there is no such defect, or it is closed.
    UsageError
        If neither is said, or `due` is no date.
    """
    if to is None and due is None:
        raise UsageError("say who sees to it, or until when", hint="--to NAME, --due YYYY-MM-DD")
    if due is not None:
        _check_date(due)
    with repo.changing():
        state = defect_head(repo, id).state
        who = state.assignee if to is None else _needed(to, "to assign a defect", "--to NAME")
        return operate(repo, state.id, DefectVerb.ASSIGN, to=who, due=state.due if due is None else due)


def comment(repo: Workspace, id: str, text: str) -> DefectHead:  # noqa: A002
    """Write something down with a defect.

    Raises
    ------
    NoSuchDefectError
        If there is no such defect.
    UsageError
        If there is no text.
    """
    return _operate(repo, id, DefectVerb.COMMENT, reason=_needed(text, "to comment", "-m TEXT"))


def reopen(repo: Workspace, id: str, reason: str) -> DefectHead:  # noqa: A002
    """Open a closed defect again, or one that went into another.

    Raises
    ------
    NoSuchDefectError, DefectStepError
        If there is no such defect, or it is open.
    UsageError
        If no reason is given.
    """
    return _operate(repo, id, DefectVerb.REOPEN, reason=_needed(reason, "to reopen a defect"))


def _operate(repo: Workspace, id_: str, verb: DefectVerb, **fields: object) -> DefectHead:
    with repo.changing():
        return operate(repo, id_, verb, **fields)


# Split and join


def split(
    repo: Workspace,
    id: str,  # noqa: A002
    *,
    rows: Sequence[int] = (),
    where: str | None = None,
    reason: str | None = None,
) -> tuple[DefectHead, DefectHead]:
    """Take some rows of a defect into a new one.

    Parameters
    ----------
    rows : sequence of int
        Positions of records, 0-based, in the content that was flagged last.
    where : str or None
        Or the flagged rows for which this is true there.

    Returns
    -------
    (DefectHead, DefectHead)
        The defect with what is left, and the new one.

    Raises
    ------
    NoSuchDefectError, DefectStepError
        If there is no such defect, or it is closed.
    UsageError, PredicateError, NotFoundError
        If none of its rows are chosen, or all, or one that isn't its own.
    """
    from dsvc.porcelain.feedback.defect_rows import chosen_rows, divided

    if bool(rows) == (where is not None):
        raise UsageError("say which rows go into a new defect", hint="--rows N… or --where EXPR")
    with repo.changing():
        before = defect_head(repo, id)
        state = before.state
        check_step(state, DefectVerb.SPLIT)
        going = divided(repo, state, chosen_rows(repo, state, rows, where))
        ways = tuple((part.path, part.digest, part.rows) for part in going)
        new = new_defect_id(repo, state.id, state.path, state.symptom, ways)
        text = _text(reason)
        gave = prepare(
            repo, state.id, DefectVerb.SPLIT, before, {"rows": going, "others": (new,), "reason": text}
        )
        operations = [gave, *_opened(repo, new, state, going, text)]
        record(repo, "defect split", operations, [state.id, new])
        return _now(repo, state.id, gave), _now(repo, new, operations[-1])


def _opened(
    repo: Workspace, new: str, state: DefectState, rows: tuple[FlaggedRows, ...], reason: str | None
) -> list[PreparedOperation]:
    """Open a defect with rows of another: it was as bad as that ever was, and is graded as that is."""
    fields: dict[str, object] = {
        "path": state.path,
        "symptom": state.symptom,
        "severity": state.worst_severity,
        "rows": rows,
        "others": (state.id,),
        "feedbacks": state.feedbacks,
        "reason": reason,
    }
    first = prepare(repo, new, DefectVerb.OPEN, None, fields)
    if state.severity is state.worst_severity:
        return [first]
    graded = {"severity": state.severity, "reason": f"as defect {state.id}"}
    return [first, prepare(repo, new, DefectVerb.GRADE, None, graded, after=first)]


def join(repo: Workspace, id: str, others: Sequence[str], reason: str | None = None) -> DefectHead:  # noqa: A002
    """Take other defects of the same artifact into one.

    Raises
    ------
    NoSuchDefectError, DefectStepError
        If there is no such defect, or one is closed.
    UsageError
        If there are no others, or they are of another artifact.
    """
    with repo.changing():
        into = defect_head(repo, id)
        names = list(dict.fromkeys(find_defect_id(repo, each) for each in others))
        if not names or into.state.id in names:
            raise UsageError("say which other defects go into it", hint="dsvc defect join ID OTHER…")
        heads = [defect_head(repo, name) for name in names]
        text, worst_of = _text(reason), into.state.worst_severity
        operations: list[PreparedOperation] = []
        last: PreparedOperation | None = None
        check_step(into.state, DefectVerb.JOIN)
        for head in heads:
            check_step(head.state, DefectVerb.JOIN)
            if head.state.path != into.state.path or not head.state.rows:
                raise DefectStepError(f"defects {into.state.id} and {head.state.id} are of two artifacts")
            fields: dict[str, object] = {
                "rows": head.state.rows,
                "feedbacks": head.state.feedbacks,
                "others": (head.state.id,),
                "reason": text,
            }
            if head.state.worst_severity < worst_of:
                fields["severity"] = worst_of = head.state.worst_severity
            last = prepare(repo, into.state.id, DefectVerb.JOIN, into, fields, after=last)
            gone = {"others": (into.state.id,), "reason": text}
            operations += [prepare(repo, head.state.id, DefectVerb.JOIN, head, gone), last]
        record(repo, "defect join", operations, [into.state.id, *names])
        return _now(repo, into.state.id, operations[-1])


def _now(repo: Workspace, id_: str, done: PreparedOperation) -> DefectHead:
    return DefectHead(done.commit, defect_at(repo, id_, done.commit))


# Arguments


def _text(reason: str | None) -> str | None:
    text = (reason or "").strip()
    if len(text) > _MAX_TEXT:
        raise UsageError(f"a text of {len(text)} characters; at most {_MAX_TEXT}")
    return text or None


def _needed(reason: str | None, what: str, hint: str = "--reason TEXT") -> str:
    text = _text(reason)
    if text is None:
        raise UsageError(f"{what} something must be said", hint=hint)
    return text


def _check_date(text: str) -> None:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        datetime.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text[:40]!r} is no date", hint="as in 2026-03-31") from error
