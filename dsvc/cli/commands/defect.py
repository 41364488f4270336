"""`dsvc defect`."""

from __future__ import annotations

import click

from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.feedback.defect_text import (
    defect_fields,
    history_lines,
    list_defects,
    report_back,
    report_step,
    state_lines,
)
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_chains
from dsvc.cli.frame.verb_group import VerbGroup
from dsvc.cli.language.i18n import _
from dsvc.model.defect import DefectStatus
from dsvc.model.errors import UsageError
from dsvc.model.feedback import DefectSeverity

SEVERITIES = [each.value for each in DefectSeverity]
STATUSES = [each.value for each in DefectStatus]

command = VerbGroup(
    "defect",
    default="list",
    details=_(
        "feedback import opens defects: bad rows of one file, of one symptom. Each is a chain of operations; "
        "what it is follows from them. ID may be cut to its first 4 digits."
    ),
)


DEFECT = click.argument("defect_id", metavar="ID", shell_complete=complete_chains("defects"))
_REASON = click.option("--reason", metavar="TEXT", default="", help=_("why; it is recorded"))


@command.verb("list", _("List the defects, the worst first"))
@click.option("--status", type=click.Choice(STATUSES), help=_("only those in this status"))
@click.option("--severity", type=click.Choice(SEVERITIES), help=_("only those of this severity"))
@click.option("--assignee", metavar="NAME", help=_("only those that this person sees to"))
@click.option("--path", metavar="PATH", type=PathWord(), help=_("only those of this file or folder"))
@click.option("--overdue", is_flag=True, help=_("only those that are open after their day"))
@click.option("--check", is_flag=True, help=_("say which verified ones HEAD has bad rows of again"))
def list_(
    session: Session,
    status: str | None,
    severity: str | None,
    assignee: str | None,
    path: str | None,
    overdue: bool,
    check: bool,
) -> None:
    """List defects."""
    from dsvc.porcelain.feedback.defects import is_overdue, today

    repo = session.repository()
    below = None if path is None else tree_path(path, repo.root)
    found = repo.defects(status=status, severity=severity, assignee=assignee, path=below, overdue=overdue)
    day = today(repo)
    back = {each.defect: len(each.rows) for each in repo.defects_brought_back()} if check else None
    list_defects(session, found, {state.id for state in found if is_overdue(state, day)}, back)


@command.verb(
    "show",
    _("Show a defect: from the evaluation to its rows, causes, repairs and its closing"),
    _("Causes are counted against the rows that were evaluated and not flagged."),
)
@DEFECT
@click.option("--limit", type=click.IntRange(0), default=10, metavar="N", help=_("candidates listed; 0: all"))
@click.option(
    "--html", metavar="FILE", type=PathWord(), help=_("write a page to FILE that any browser shows")
)
def show(session: Session, defect_id: str, limit: int, html: str | None) -> None:
    """Show a defect."""
    from dsvc.cli.feedback.defect_json import view_fields
    from dsvc.cli.feedback.defect_show import show_view
    from dsvc.porcelain.feedback.defects import is_overdue, today

    repo = session.repository()
    view = repo.defect_view(defect_id)
    state = view.head.state
    overdue = is_overdue(state, today(repo))
    session.output.json({**defect_fields(state, overdue=overdue), **view_fields(view, limit or None)})
    if html is not None:
        from dsvc.cli.feedback.defect_html import page
        from dsvc.cli.frame.named_files import write_page

        write_page(session, html, page(view, limit or None))
    if html is not None or session.as_json:
        return
    with session.paged():
        for line in state_lines(state, overdue=overdue):
            session.output.answer(line)
        session.output.answer()
        show_view(session, view, limit or None)
        session.output.answer()
        session.output.answer(session.output.style(_("what was done"), "heading"))
        for line in history_lines(state):
            session.output.answer("  " + line)


@command.verb("confirm", _("Confirm a defect: somebody looked, and the rows are bad"))
@DEFECT
@_REASON
def confirm(session: Session, defect_id: str, reason: str) -> None:
    """Confirm a defect."""
    report_step(
        session, session.repository().defect_confirm(defect_id, reason), _("defect {id} is confirmed")
    )


@command.verb("reject", _("Reject a defect: the rows are as they should be"))
@DEFECT
@_REASON
def reject(session: Session, defect_id: str, reason: str) -> None:
    """Reject a defect."""
    report_step(session, session.repository().defect_reject(defect_id, reason), _("defect {id} is rejected"))


@command.verb("grade", _("Give a defect another severity"))
@DEFECT
@click.argument("severity", type=click.Choice(SEVERITIES), metavar="/".join(SEVERITIES))
@_REASON
def grade(session: Session, defect_id: str, severity: str, reason: str) -> None:
    """Grade a defect."""
    done = session.repository().defect_grade(defect_id, severity, reason)
    report_step(session, done, _("defect {id} is graded"))


@command.verb("assign", _("Say who sees to a defect, and until when"))
@DEFECT
@click.option("--to", metavar="NAME", help=_("who sees to it"))
@click.option("--due", metavar="DATE", help=_("the last day for it, YYYY-MM-DD"))
def assign(session: Session, defect_id: str, to: str | None, due: str | None) -> None:
    """Assign a defect."""
    report_step(session, session.repository().defect_assign(defect_id, to, due), _("defect {id} is assigned"))


@command.verb(
    "split",
    _("Take some rows of a defect into a new one"),
    _("Positions count records of the content that was flagged last, from 0."),
    greedy=("--rows",),
)
@DEFECT
@click.option(
    "--rows",
    "rows",
    type=click.IntRange(0, 1 << 60),
    multiple=True,
    metavar="N…",
    help=_("positions of the rows"),
)
@click.option("--where", metavar="EXPR", help=_("the flagged rows for which this is true"))
@_REASON
def split(session: Session, defect_id: str, rows: tuple[int, ...], where: str | None, reason: str) -> None:
    """Split a defect."""
    left, new = session.repository().defect_split(defect_id, rows=rows, where=where, reason=reason)
    session.output.json({**defect_fields(left), "new": defect_fields(new)})
    line = _("defect {new} has {n} of the rows, {left} the rest")
    session.output.line(line.format(new=new.id, n=new.count, left=left.id))


@command.verb("join", _("Take other defects of the same file into one"))
@DEFECT
@click.argument(
    "others", metavar="OTHER…", nargs=-1, required=True, shell_complete=complete_chains("defects")
)
@_REASON
def join(session: Session, defect_id: str, others: tuple[str, ...], reason: str) -> None:
    """Join defects."""
    done = session.repository().defect_join(defect_id, others, reason)
    report_step(session, done, _("defect {id} has the rows of the others"))


@command.verb("comment", _("Write something down with a defect"))
@DEFECT
@click.option("-m", "--message", metavar="TEXT", default="", help=_("what"))
def comment(session: Session, defect_id: str, message: str) -> None:
    """Comment on a defect."""
    report_step(session, session.repository().defect_comment(defect_id, message), _("written down with {id}"))


@command.verb(
    "reopen",
    _("Open a closed defect again"),
    _("With --check: every verified one whose rows HEAD, or another version, has as they were before."),
)
@click.argument("defect_id", metavar="[ID]", required=False, shell_complete=complete_chains("defects"))
@_REASON
@click.option("--check", is_flag=True, help=_("those whose bad rows came back"))
@click.option("--at", metavar="REV", help=_("with --check: the version that is looked at"))
def reopen(session: Session, defect_id: str | None, reason: str, check: bool, at: str | None) -> None:
    """Reopen a defect."""
    if check == (defect_id is not None) or (at is not None and not check):
        raise UsageError(_("say which defect, or --check"), hint=_("dsvc defect list shows them"))
    repo = session.repository()
    if defect_id is None:
        report_back(session, repo.defect_reopen_brought_back(at or "HEAD"))
        return
    report_step(session, repo.defect_reopen(defect_id, reason), _("defect {id} is open again"))
