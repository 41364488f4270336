"""`dsvc commit`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from dsvc.cli.environment.settings import is_terminal
from dsvc.cli.environment.user_hooks import user_hooks
from dsvc.cli.frame.named_files import read_file
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.versions.changes import count_files
from dsvc.cli.versions.results import commit_fields
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import show_bytes
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.state.values import CommitResult

SCISSORS = "# ------------------------ >8 ------------------------"


def _from_editor(session: Session, start: str) -> str:
    """Ask for a message in the person's editor; what follows the mark is not part of it."""
    settings = session.settings
    editor = settings.variable("DSVC_EDITOR") or settings.variable("VISUAL") or settings.variable("EDITOR")
    notes = _(
        "Write the message above. What follows this line is left out; an empty message stops the commit."
    )
    edited = click.edit(f"{start}\n{SCISSORS}\n# {notes}\n", editor=editor, extension=".txt") or ""
    return edited.split(SCISSORS, 1)[0].strip()


def _message(session: Session, messages: tuple[str, ...], file: str | None, amend: bool) -> str:
    if messages and file:
        raise UsageError(_("-m and -F were both given; one message is needed"))
    if messages:
        return "\n\n".join(messages)
    if file == "-":
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    if file:
        return read_file(file).decode("utf-8", "replace")
    repo = session.repository()
    before = repo.show("HEAD").commit.message if amend else ""
    if is_terminal(sys.stdin) and is_terminal(sys.stdout) and not session.as_json:
        return _from_editor(session, before)
    if before:
        return before
    raise UsageError(_("a message is needed"), hint=_('give one with: dsvc commit -m "MESSAGE"'))


def _warn(session: Session, result: CommitResult) -> None:
    """Say in a line that data came in without a source."""
    for warning in result.warnings:
        session.output.warning(show_line(warning))
    if not result.uncovered or result.uncovered_path is None:
        return
    name = session.name(result.uncovered_path)
    text = _("{path} has no source")
    if result.uncovered_is_least:
        text = _("more than {n} paths have no source, such as {path}")
    elif result.uncovered > 1:
        text = _("{n} paths have no source, such as {path}")
    text = text.format(n=f"{result.uncovered:,}", path=name)
    session.warn("source", _("{text} (dsvc source add says where data came from)").format(text=text))


@verb("commit")
@click.option(
    "-m", "--message", "messages", multiple=True, metavar="MSG", help=_("the message; again: a new paragraph")
)
@click.option(
    "-F", "--file", metavar="FILE", type=PathWord(), help=_("read the message from FILE; - is standard input")
)
@click.option("-a", "--all", "everything", is_flag=True, help=_("first stage what changed in tracked files"))
@click.option("--amend", is_flag=True, help=_("replace the newest commit of the branch"))
@click.option("--allow-empty", is_flag=True, help=_("also with nothing to commit"))
@click.option(
    "-S",
    "--sign/--no-sign",
    default=None,
    help=_("sign it with the SSH key of user.signingKey; without either: as commit.sign says"),
)
@click.option("--no-verify", is_flag=True, help=_("skip the local gate; recorded in the commit"))
def command(
    session: Session,
    messages: tuple[str, ...],
    file: str | None,
    everything: bool,
    amend: bool,
    allow_empty: bool,
    sign: bool | None,
    no_verify: bool,
) -> None:
    """Record what is staged as a new version."""
    repo = session.signing_repository() if sign else session.repository()
    repo.user_hooks = user_hooks(session.settings)
    message = _message(session, messages, file, amend)
    if not message.strip():
        raise UsageError(_("the message is empty; nothing was committed"))
    with session.progress() as progress:
        result = repo.commit(
            message,
            all=everything,
            allow_empty=allow_empty,
            no_verify=no_verify,
            amend=amend,
            sign=sign,
            progress=progress,
        )
    output = session.output
    output.json(commit_fields(result))
    where = result.branch or _("detached HEAD")
    root = "" if result.parents else " " + _("(first version)")
    short = output.style(result.commit[:8], "id")
    output.line(f"[{show_line(where)}{root} {short}] {show_line(message.strip().splitlines()[0])}")
    if result.changes:
        output.line(" " + count_files(result.changes))
    total = ngettext("{n} file", "{n} files", result.files)
    output.line(" " + _("the version has {files}, {size}").format(files=total, size=show_bytes(result.bytes)))
    _warn(session, result)
    session.advise_identity()
