"""`dsvc request`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_chains, with_options
from dsvc.cli.frame.verb_group import VerbGroup
from dsvc.cli.language.i18n import _
from dsvc.cli.requests.request_text import (
    list_requests,
    request_fields,
    show_erasure,
    show_found,
    show_plan,
    show_request,
)
from dsvc.model.errors import UsageError
from dsvc.model.rights_request import RequestKind

if TYPE_CHECKING:
    from dsvc.porcelain.requests.requests import Request

F = TypeVar("F", bound=Callable[..., Any])
KINDS = [kind.value for kind in RequestKind if kind is not RequestKind.REGISTER]

command = VerbGroup(
    "request",
    default="list",
    details=_(
        "A person is kept as a hash that is keyed with the repository's salt, never by name; ID should say "
        "nothing of them either."
    ),
)


_ID = click.argument("request_id", metavar="ID", shell_complete=complete_chains("requests"))
_REASON = click.option("--reason", metavar="TEXT", default="", help=_("why; it is recorded"))


def _selectors(function: F) -> F:
    options = [
        click.option(
            "--subject",
            "subjects",
            multiple=True,
            metavar="KEY…",
            help=_("values of the columns that dsvc.toml calls subject; - reads them from standard input"),
        ),
        click.option(
            "--where", metavar="EXPR", help=_("the subjects of the rows for which this is true, with --table")
        ),
        click.option(
            "--table", metavar="TARGET", type=PathWord(), help=_("[REV:]PATH of the table for --where")
        ),
        click.option("--domain", "domains", multiple=True, metavar="NAME…", help=_("a domain that refuses")),
        click.option("--url", "urls", multiple=True, metavar="URL…", help=_("an address that refuses")),
        click.option("--author", "authors", multiple=True, metavar="NAME…", help=_("an author who refuses")),
        click.option(
            "--digest", "digests", multiple=True, metavar="HEX…", help=_("BLAKE3 of a file as a whole")
        ),
    ]
    return with_options(options)(function)


@command.verb(
    "add",
    _("Record what a person or a rightsholder asks for"),
    greedy=("--subject", "--domain", "--url", "--author", "--digest"),
)
@_ID
@click.option("--kind", required=True, type=click.Choice(KINDS), help=_("what is asked for"))
@_selectors
@click.option("--received", metavar="DATE", help=_("when it was received; today by default"))
@click.option(
    "--days",
    type=click.IntRange(0, 3650),
    default=30,
    metavar="N",
    help=_("after how many days it is due; 30 by default"),
)
@click.option("--ground", default="", metavar="TEXT", help=_("by which right, as in GDPR 17"))
def add(
    session: Session,
    request_id: str,
    kind: str,
    subjects: tuple[str, ...],
    where: str | None,
    table: str | None,
    domains: tuple[str, ...],
    urls: tuple[str, ...],
    authors: tuple[str, ...],
    digests: tuple[str, ...],
    received: str | None,
    days: int,
    ground: str,
) -> None:
    """Record a request."""
    if (where is None) != (table is None):
        raise UsageError(_("--where and --table go together"))
    repo = session.repository()
    conditions = []
    if where is not None and table is not None:
        from dsvc.cli.arguments.paths import row_target

        conditions.append((str(row_target(table, root=repo.root)), where))
    made = repo.request_add(
        request_id,
        kind,
        subjects=_subjects(subjects),
        where=conditions,
        domains=domains,
        urls=urls,
        authors=authors,
        digests=digests,
        received_at=received,
        days=days,
        ground=ground,
    )
    session.output.json(request_fields(made))
    session.output.line(_("recorded request {id}, due {date}").format(id=request_id, date=made.record.due))
    session.advise_identity()


def _subjects(words: tuple[str, ...]) -> list[str]:
    """Values of subjects; what comes from standard input stays out of the history of the shell."""
    found = [word for word in words if word != "-"]
    if "-" in words:
        found += [line.rstrip("\r\n") for line in sys.stdin if line.strip()]
    return found


@command.verb("list", _("List the requests"))
def list_(session: Session) -> None:
    """List requests."""
    repo = session.repository()
    list_requests(session, repo.requests(), repo.request_register())


@command.verb("show", _("Show a request, where it was found, and its certificate"))
@_ID
def show(session: Session, request_id: str) -> None:
    """Show a request."""
    show_request(session, session.repository().request(request_id))


@command.verb(
    "find",
    _("Search all history for the subject of a request"),
    _("Tables are searched that declare a subject column in dsvc.toml, and what runs made of their rows."),
)
@_ID
def find(session: Session, request_id: str) -> None:
    """Search for a subject."""
    repo = session.repository()
    with session.progress() as progress:
        found = repo.request_find(request_id, progress=progress)
    session.output.json(request_fields(found))
    show_found(session, found.record)
    if not found.record.found:
        session.output.line(_("it is nowhere"))


@command.verb("refuse", _("Refuse a request, with the reason"))
@_ID
@_REASON
def refuse(session: Session, request_id: str, reason: str) -> None:
    """Refuse a request."""
    done = session.repository().request_refuse(request_id, reason)
    _show_end(session, done, _("request {id} is refused"))


@command.verb(
    "seal",
    _("Keep what a request is about from any use, where it can't be erased yet"),
)
@_ID
@_REASON
def seal(session: Session, request_id: str, reason: str) -> None:
    """Seal what a request is about."""
    done = session.repository().request_seal(request_id, reason)
    _show_end(session, done, _("request {id} is sealed: gates let nothing pass that has it"))


def _show_end(session: Session, done: Request, line: str) -> None:
    session.output.json(request_fields(done))
    session.output.line(line.format(id=done.record.request_id))


@command.verb(
    "erase",
    _("Erase what a request is about, in files in use and in all history"),
    _(
        "Without --yes only the plan is shown. Files in use get a new version without the rows, in a commit "
        "on this branch. Then the bytes are taken out of every pack, trash and undo copies too, and that "
        "is proven: nothing brings them back. Objects that no version needs go as well. Old versions stay "
        "and say that a part of them was erased (exit 32)."
    ),
)
@_ID
@_REASON
@click.option("--yes", is_flag=True, help=_("do it"))
@click.option(
    "--keep-shared",
    metavar="REASON",
    help=_("keep chunks that other files need; without it they are an error"),
)
def erase(session: Session, request_id: str, reason: str, yes: bool, keep_shared: str | None) -> None:
    """Erase what a request is about."""
    repo = session.repository()
    if not yes:
        with session.progress() as progress:
            plan = repo.request_plan(request_id, progress=progress)
        show_plan(session, plan)
        session.output.hint(_("to do it: dsvc request erase ID --reason TEXT --yes"))
        return
    with session.progress() as progress:
        done = repo.request_erase(request_id, reason, keep_shared=keep_shared, progress=progress)
    show_erasure(session, done)


@command.verb("confirm", _("Record that all refusals received until today are among the requests"))
@click.option("--note", metavar="TEXT", default="", help=_("how that is known"))
def confirm(session: Session, note: str) -> None:
    """Confirm the register of refusals."""
    done = session.repository().request_confirm(note)
    session.output.json(request_fields(done))
    date = done.record.received_at
    session.output.line(_("the register of refusals was confirmed on {date}").format(date=date))
