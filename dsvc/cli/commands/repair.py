"""`dsvc repair`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from dsvc.cli.arguments.named_values import pairs
from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_chains, with_options
from dsvc.cli.frame.verb_group import VerbGroup
from dsvc.cli.language.i18n import _
from dsvc.cli.repair.repair_apply_text import show_applied, show_step
from dsvc.cli.repair.repair_text import list_repairs, show_repair
from dsvc.cli.runs.carrying import carrier

F = TypeVar("F", bound=Callable[..., Any])

command = VerbGroup(
    "repair",
    default="list",
    details=_("A plan says which rows change; a repair is committed on a branch of its own, with a proof."),
)


REPAIR = click.argument("repair_id", metavar="REPAIR", shell_complete=complete_chains("repairs"))


def _which_rows(function: F) -> F:
    """Add the options that say which rows change, and where."""
    options = [
        click.option(
            "--scope",
            type=click.Choice(["flagged", "cause"]),
            default="flagged",
            help=_("the flagged rows, or all that share the causes of the defect"),
        ),
        click.option(
            "--cause",
            "causes",
            multiple=True,
            metavar="'KIND ID'",
            help=_("a cause whose rows are taken too, as defect show names it: annotator ann-07"),
        ),
        click.option(
            "--at",
            metavar="PATH",
            type=PathWord(),
            help=_("the file to change, from which the flagged one was made; without: that one itself"),
        ),
    ]
    return with_options(options)(function)


def _what_is_done(function: F) -> F:
    """Add the options that say what is done to the rows."""
    options = [
        click.option("--drop", is_flag=True, help=_("take the rows out")),
        click.option(
            "--set", "values", multiple=True, metavar="COL=VAL…", help=_("give cells of the rows a value")
        ),
        click.option(
            "--patch",
            metavar="FILE",
            type=PathWord(),
            help=_("a patch as diff --patch writes it, or a table of new values by key"),
        ),
        click.option(
            "--relabel",
            metavar="FILE",
            type=PathWord(),
            help=_("a table of values by key; what it says of other rows is left out"),
        ),
        click.option(
            "--key",
            "keys",
            multiple=True,
            metavar="COL…",
            help=_("columns by which FILE names rows; without: the key in dsvc.toml"),
        ),
        click.option("--exclude-source", metavar="ID", help=_("take out the rows that came from a source")),
        click.option("--withdraw-source", metavar="ID", help=_("the same, and withdraw the source")),
        click.option("--rerun", metavar="RUN", help=_("do a run on the way again, with what changes in it")),
        click.option(
            "--param", "params", multiple=True, metavar="K=V…", help=_("a parameter of that run, changed")
        ),
        click.option(
            "--code", multiple=True, metavar="PATH=FILE…", help=_("a file of its code, and the new one")
        ),
    ]
    return with_options(options)(function)


@command.verb(
    "plan",
    _("Say what a repair would change: rows, files, releases"),
    _("Nothing changes: the plan is recorded under an id, and shown again by repair show."),
    greedy=("--set", "--key", "--param", "--code"),
)
@click.argument("defect", metavar="DEFECT")
@_which_rows
@_what_is_done
def plan(
    session: Session,
    defect: str,
    scope: str,
    causes: tuple[str, ...],
    at: str | None,
    drop: bool,
    values: tuple[str, ...],
    patch: str | None,
    relabel: str | None,
    keys: tuple[str, ...],
    exclude_source: str | None,
    withdraw_source: str | None,
    rerun: str | None,
    params: tuple[str, ...],
    code: tuple[str, ...],
) -> None:
    """Plan a repair."""
    repo = session.repository()
    view = repo.repair_plan(
        defect,
        scope=scope,
        causes=causes,
        at=None if at is None else tree_path(at, repo.root),
        drop=drop,
        values=pairs("--set", values),
        patch=None if patch is None else os.path.abspath(patch),
        relabel=None if relabel is None else os.path.abspath(relabel),
        key=[name for word in keys for name in word.split(",") if name],
        exclude_source=exclude_source,
        withdraw_source=withdraw_source,
        rerun=rerun,
        parameters=pairs("--param", params),
        code={
            tree_path(path, repo.root): os.path.abspath(file) for path, file in pairs("--code", code).items()
        },
    )
    show_repair(session, view)
    if not view.is_new:
        session.output.line(_("this plan was recorded before"))
    elif _is_dirty(session):
        session.output.line(_("uncommitted changes are no part of it: it starts from the last commit"))


def _is_dirty(session: Session) -> bool:
    """Whether the working tree or the staged state differ from the last commit."""
    found = session.repository().status(untracked="no")
    return bool(found.staged or found.unstaged)


@command.verb(
    "apply",
    _("Carry a repair out, prove it, and commit it on a branch of its own"),
    _(
        "The commands of the plan's steps run, each is shown before: in scratch folders, so that neither "
        "the working tree nor what is staged changes. If it was interrupted, the same command goes on. It "
        "commits on branch repair/DEFECT, and only where no row outside of the plan differs; else exit 1."
    ),
)
@REPAIR
@click.option(
    "-S",
    "--sign/--no-sign",
    default=None,
    help=_("sign it with the SSH key of user.signingKey; without either: as commit.sign says"),
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help=_("end a command after this time"),
)
@click.option("--no-verify", is_flag=True, help=_("skip the local gate; recorded in the commit"))
@click.option("--abort", is_flag=True, help=_("forget the steps that an interrupted command did"))
def apply(
    session: Session,
    repair_id: str,
    sign: bool | None,
    timeout: float | None,
    no_verify: bool,
    abort: bool,
) -> None:
    """Apply a repair."""
    repo = session.signing_repository() if sign else session.repository()
    if abort:
        repo.repair_give_up(repair_id)
        show_repair(session, repo.repair(repair_id))
        return
    done = repo.repair_apply(
        repair_id,
        carrier(session, timeout),
        sign=sign,
        no_verify=no_verify,
        on_step=lambda step: show_step(session, step),
    )
    show_applied(session, done)
    session.advise_identity()


@command.verb(
    "verify",
    _("Close a defect if a later evaluation says so"),
    _(
        "It is closed if the evaluation is of the repaired data, finds none of the rows bad, a metric of the "
        "defect became better by more than chance, and none became worse. Else the repair is sent back, "
        "with the reasons, and the exit code is 1."
    ),
)
@REPAIR
@click.option(
    "--feedback",
    required=True,
    metavar="ID",
    shell_complete=complete_chains("feedback"),
    help=_("the evaluation of the repaired data"),
)
@click.option(
    "--accept-point",
    metavar="REASON",
    help=_("accept a better value where no interval can be had; the reason is recorded"),
)
def verify(session: Session, repair_id: str, feedback: str, accept_point: str | None) -> int:
    """Verify a repair."""
    from dsvc.cli.repair.repair_verify_text import show_verified

    result = session.repository().repair_verify(repair_id, feedback, accept_point=accept_point)
    show_verified(session, result)
    return 0 if result.is_verified else 1


@command.verb("list", _("List the repairs"))
def list_(session: Session) -> None:
    """List repairs."""
    list_repairs(session, session.repository().repairs())


@command.verb("show", _("Show a repair: its plan, and how far it is"))
@REPAIR
def show(session: Session, repair_id: str) -> None:
    """Show a repair."""
    show_repair(session, session.repository().repair(repair_id))
