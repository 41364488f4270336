"""`dsvc feedback`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.named_values import pairs
from dsvc.cli.arguments.paths import parse_target, row_target, tree_path
from dsvc.cli.environment.user_hooks import user_hooks
from dsvc.cli.feedback.feedback_text import SHOWN, list_feedback, report_import, show_feedback
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_chains
from dsvc.cli.frame.verb_group import VerbGroup
from dsvc.cli.language.i18n import _
from dsvc.feedback.importers.registry import NAMES
from dsvc.model.errors import UsageError
from dsvc.model.feedback import DefectSeverity, PilotKind

if TYPE_CHECKING:
    from dsvc.porcelain.repository import Repository

FORMATS = ("auto", *NAMES)

command = VerbGroup(
    "feedback",
    default="list",
    details=_("The result of an evaluation is kept as a commit; it moves no branch and changes no file."),
)


def _subject(repo: Repository, argument: str) -> str:
    """A subject as the library reads it: paths from the root, a revision as it is."""
    from dsvc.porcelain.tables.row_target import RowTarget, split_row

    if argument.startswith("release:") or split_row(argument)[1] is not None:
        return argument
    if ":" in argument:
        found = parse_target(argument, repo.root)
        return str(RowTarget(found.revision, found.path)) if found.path else f"{found.revision}:"
    path = tree_path(argument, repo.root)
    if not path:
        return "HEAD:"
    manifest = repo.manifest_of("HEAD")
    known = manifest.get(path) is not None or next(manifest.entries(path), None) is not None
    named = argument.startswith((".", "/")) or "/" in argument
    return str(RowTarget("HEAD", path)) if known or named else argument


@command.verb(
    "import",
    _("Import the result file of an evaluation; opens or extends defects"),
    _(
        "The file is recognised by its content and kept as evidence. Metrics are held against its samples, "
        "rows that it names are looked for in the version that was evaluated; what isn't found is listed."
    ),
    greedy=("--map", "--with"),
)
@click.argument("file", metavar="FILE", type=PathWord())
@click.option(
    "--subject",
    metavar="TARGET",
    type=PathWord(),
    required=True,
    help=_("what was evaluated: [REV:]PATH, REV: for all of a version, or release:NAME"),
)
@click.option("--suite", metavar="NAME", help=_("by what it was evaluated; where the file doesn't say"))
@click.option("--model", metavar="REF", help=_("which model"))
@click.option("--format", "format_", type=click.Choice(FORMATS), default="auto", help=_("of the file"))
@click.option(
    "--kind", type=click.Choice([each.value for each in PilotKind]), help=_("what the data was used for")
)
@click.option(
    "--severity",
    type=click.Choice([each.value for each in DefectSeverity]),
    help=_("of observations that have none; P3 by default"),
)
@click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN…",
    help=_("the column of a CSV or JSON Lines file that holds a field"),
)
@click.option(
    "--with", "companions", multiple=True, metavar="FILE…", type=PathWord(), help=_("files that belong to it")
)
def import_(
    session: Session,
    file: str,
    subject: str,
    suite: str | None,
    model: str | None,
    format_: str,
    kind: str | None,
    severity: str | None,
    columns: tuple[str, ...],
    companions: tuple[str, ...],
) -> None:
    """Import an evaluation."""
    repo = session.repository()
    repo.user_hooks = user_hooks(session.settings)
    with session.progress() as progress:
        done = repo.feedback_import(
            os.path.abspath(file),
            subject=_subject(repo, subject),
            suite=suite,
            model=model,
            format=format_,
            kind=kind,
            severity=severity,
            map=pairs("--map", columns),
            companions=[os.path.abspath(each) for each in companions],
            progress=progress,
        )
    report_import(session, done)
    session.advise_identity()


@command.verb("list", _("List the evaluations"))
def list_(session: Session) -> None:
    """List evaluations."""
    list_feedback(session, session.repository().feedbacks())


@command.verb("show", _("Show an evaluation: metrics, observations, and what was not found"))
@click.argument("feedback_id", metavar="ID", shell_complete=complete_chains("feedback"))
@click.option(
    "--limit", type=click.IntRange(0), default=SHOWN, metavar="N", help=_("observations listed; 0: all")
)
def show(session: Session, feedback_id: str, limit: int) -> None:
    """Show an evaluation."""
    repo = session.repository()
    head = repo.feedback(feedback_id)
    wanted = None if session.as_json or not limit else limit
    show_feedback(
        session, head, repo.feedback_observations(head.id), repo.feedback_unresolved(head.id), wanted
    )


@command.verb(
    "ref",
    _("Print the reference to a row that evaluation tools carry in dsvc_ref"),
    _("TARGET is [REV:]PATH#ROW, or [REV:]PATH for a whole file."),
)
@click.argument("target", metavar="TARGET", type=PathWord())
def ref(session: Session, target: str) -> None:
    """Print a reference."""
    repo = session.repository()
    found = row_target(target, repo.root)
    if found.revision in ("WORKTREE", "STAGED"):
        raise UsageError(_("a reference is to a version that is committed"))
    text = repo.feedback_reference(found)
    session.output.json({"target": target, "ref": text})
    session.output.line(text)
