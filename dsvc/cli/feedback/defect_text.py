"""Defects as JSON and for people: the state, without causes and repairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_digest, show_line
from dsvc.cli.writing.plain_table import column_lines
from dsvc.cli.writing.sizes import shorten
from dsvc.model.defect import DefectStatus, DefectVerb

if TYPE_CHECKING:
    from dsvc.feedback.defect_state import DefectState, DefectStep
    from dsvc.porcelain.feedback.brought_back import BroughtBack

MAX_POSITIONS: Final = 1000
"""Positions of rows that JSON lists for each content."""


def statuses() -> dict[DefectStatus, str]:
    """Words for people."""
    return {
        DefectStatus.OPEN: _("open"),
        DefectStatus.CONFIRMED: _("confirmed"),
        DefectStatus.REPAIRING: _("repairing"),
        DefectStatus.VERIFIED: _("verified"),
        DefectStatus.REJECTED: _("rejected"),
        DefectStatus.REOPENED: _("reopened"),
    }


def _verbs() -> dict[DefectVerb, str]:
    return {
        DefectVerb.OPEN: _("opened"),
        DefectVerb.EXTEND: _("rows added"),
        DefectVerb.CONFIRM: _("confirmed"),
        DefectVerb.REJECT: _("rejected"),
        DefectVerb.GRADE: _("graded"),
        DefectVerb.ASSIGN: _("assigned"),
        DefectVerb.COMMENT: _("comment"),
        DefectVerb.SPLIT: _("rows taken out"),
        DefectVerb.JOIN: _("joined"),
        DefectVerb.REPAIR: _("in repair"),
        DefectVerb.RETURN: _("repair sent back"),
        DefectVerb.VERIFY: _("verified"),
        DefectVerb.REOPEN: _("reopened"),
        DefectVerb.MERGE: _("united"),
    }


def defect_fields(state: DefectState, *, overdue: bool = False, history: bool = True) -> dict[str, object]:
    """Return the state of a defect as JSON."""
    fields: dict[str, object] = {
        "defect": state.id,
        "status": state.status.value,
        "severity": state.severity.value,
        "worst_severity": state.worst_severity.value,
        "open": state.is_open,
        "blocking": state.blocking,
        "needs_waiver": state.needs_waiver,
        **path_fields(state.path),
        "symptom": state.symptom,
        "rows": state.count,
        "opened_at": state.opened_at,
        "assignee": state.assignee,
        "due": state.due,
        "overdue": overdue,
        "feedbacks": list(state.feedbacks),
        "joined_into": state.joined_into,
        "split_from": state.split_from,
    }
    if history:
        fields["flagged"] = list(_flagged(state))
        fields["history"] = [_step_fields(step) for step in state.history]
    return fields


def _flagged(state: DefectState) -> Iterator[dict[str, object]]:
    from dsvc.lineage.row_set import decode_rows

    for part in state.rows:
        yield {
            **path_fields(part.path),
            "digest": show_digest(part.digest),
            "folder": part.folder,
            "rows": part.count,
            "positions": decode_rows(part.rows)[:MAX_POSITIONS].tolist(),
        }


def _step_fields(step: DefectStep) -> dict[str, object]:
    operation = step.operation
    return {
        "verb": operation.verb.value,
        "at": operation.at,
        "by": operation.by,
        "commit": str(step.commit),
        "reason": operation.reason,
        "feedback": operation.feedback,
        "severity": None if operation.severity is None else operation.severity.value,
        "rows": sum(part.count for part in operation.rows) or None,
        "repair": operation.repair,
        "others": list(operation.others),
        "to": operation.to,
        "due": operation.due,
    }


def list_defects(
    session: Session, states: list[DefectState], overdue: set[str], back: Mapping[str, int] | None = None
) -> None:
    """List defects, one a line.

    Parameters
    ----------
    overdue : set of str
        Ids of those that are.
    back : mapping of str to int, or None
        How many rows a version has as they were before a repair; None: nobody looked.
    """
    output = session.output
    if session.as_json:
        for state in states:
            fields = defect_fields(state, overdue=state.id in overdue, history=False)
            output.json(fields if back is None else {**fields, "brought_back": back.get(state.id, 0)})
        return
    words = [_words(state, overdue=state.id in overdue) for state in states]
    with session.paged():
        for state, line in zip(states, column_lines(words), strict=True):
            output.answer(output.style(line, "red") if state.blocking else line)
        for state in states:
            if back and state.id in back:
                rows = ngettext("{n} row", "{n} rows", back[state.id])
                line = _("defect {id}: {rows} as they were before the repair").format(id=state.id, rows=rows)
                output.answer(output.style(line, "red"))
    if back:
        output.hint(_("dsvc defect reopen --check opens them again"))
    if not states:
        output.line(_("no defects"))


def _words(state: DefectState, *, overdue: bool) -> list[str]:
    status = _("went into {id}").format(id=state.joined_into) if state.joined_into else ""
    due = _("{date}, overdue").format(date=state.due) if overdue else state.due or ""
    return [
        state.id,
        state.severity.value,
        status or statuses()[state.status],
        _rows(state),
        show_line(state.path.decode("utf-8", "surrogateescape")) or ".",
        show_line(shorten(state.symptom, 60)),
        show_line(state.assignee or ""),
        due,
    ]


def _rows(state: DefectState) -> str:
    if state.rows and state.rows[-1].folder:
        return ngettext("{n} file", "{n} files", state.count)
    return ngettext("{n} row", "{n} rows", state.count)


def state_lines(state: DefectState, *, overdue: bool = False) -> Iterator[str]:
    """Write the state of a defect."""
    words = _words(state, overdue=overdue)
    yield _("defect {id}: {symptom}").format(id=state.id, symptom=show_line(state.symptom))
    yield _("{rows} of {path}, {severity}, {status}").format(
        rows=words[3], path=words[4], severity=state.severity.value, status=words[2]
    )
    if state.assignee:
        yield _("assigned to {name}").format(name=show_line(state.assignee))
    if state.due:
        yield _("due {date}").format(date=words[7])
    if state.split_from:
        yield _("taken out of {id}").format(id=state.split_from)
    if state.blocking:
        yield _("blocks a release")


def history_lines(state: DefectState) -> Iterator[str]:
    """Write what was done to a defect, oldest first."""
    verbs = _verbs()
    for step in state.history:
        done = step.operation
        rows = sum(part.count for part in done.rows)
        details = [
            "" if done.severity is None else done.severity.value,
            ngettext("{n} row", "{n} rows", rows) if rows else "",
            "" if done.feedback is None else _("feedback {id}").format(id=done.feedback),
            "" if done.repair is None else _("repair {id}").format(id=done.repair),
            ", ".join(done.others),
            show_line(done.to or ""),
            "" if done.due is None else _("due {date}").format(date=done.due),
        ]
        words = _(", ").join([verbs[done.verb], *filter(None, details)])
        by = show_line(done.by)
        yield _("{time}  {what}  {who}").format(time=done.at, what=words, who=by)
        for line in (done.reason or "").splitlines()[:20]:
            yield "    " + show_line(line)


def report_step(session: Session, state: DefectState, headline: str) -> None:
    """Say what a defect is after something was done to it."""
    output = session.output
    output.json(defect_fields(state))
    output.line(headline.format(id=state.id))
    if state.needs_waiver:
        output.warning(
            _("defect {id} was a P1: it blocks a release until that is waived").format(id=state.id)
        )
        output.hint(
            _("dsvc waive PIL-02 --subject defect:{id} --reason TEXT --until DATE").format(id=state.id)
        )


def report_back(session: Session, opened: list[BroughtBack]) -> None:
    """Say which defects are open again since their rows came back."""
    output = session.output
    output.json(
        {
            "reopened": [
                {
                    "defect": each.defect,
                    "repair": each.repair,
                    **path_fields(each.place.path),
                    "rows": len(each.rows),
                }
                for each in opened
            ]
        }
    )
    for each in opened:
        rows = ngettext("{n} row", "{n} rows", len(each.rows))
        line = _("defect {id} is open again: {rows} as they were before the repair")
        output.line(line.format(id=each.defect, rows=rows))
    if not opened:
        output.line(_("no rows came back"))
