"""`dsvc status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.paths import tree_paths
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.runs.stale_text import show_stale, stale_fields
from dsvc.cli.versions.changes import (
    LETTERS,
    STYLES,
    change_fields,
    conflict_fields,
    list_changes,
    list_skipped,
    show_change,
    show_conflict,
    skipped_fields,
)
from dsvc.cli.writing.names import show_line

if TYPE_CHECKING:
    from dsvc.porcelain.runs.stale import StaleFile
    from dsvc.porcelain.state.values import Status

ENDED_BY_COMMIT = frozenset({"merge", "revert", "cherry-pick"})


def status_fields(status: Status) -> dict[str, object]:
    """Return the status as JSON."""
    return {
        "branch": status.branch,
        "head": status.head,
        "staged": [change_fields(change) for change in status.staged],
        "unstaged": [change_fields(change) for change in status.unstaged],
        "untracked": [change_fields(change) for change in status.untracked],
        "conflicts": [conflict_fields(conflict) for conflict in status.conflicts],
        "pending_runs": [{"run": run.id.hex(), "name": run.name} for run in status.pending_runs],
        "skipped": skipped_fields(status.skipped),
        "operation": status.operation,
        "sparse": list(status.sparse),
        "clean": status.clean,
    }


def _headline(session: Session, status: Status) -> None:
    output = session.output
    if status.branch is not None:
        output.line(_("On branch {branch}").format(branch=output.style(show_line(status.branch), "ref")))
    elif status.head is not None:
        output.line(_("HEAD is detached at {commit}").format(commit=output.style(status.head[:8], "id")))
    if status.head is None:
        output.line(_("No commits yet"))
    if status.operation:
        output.line(
            output.style(_("In progress: {operation}").format(operation=_(status.operation)), "yellow")
        )
        if status.operation in ENDED_BY_COMMIT:
            _next(session, _("settle the conflicts, then: dsvc commit; to stop: dsvc merge --abort"))
    if status.sparse:
        patterns = " ".join(show_line(pattern) for pattern in status.sparse)
        output.line(_("Sparse: only {patterns}").format(patterns=patterns))


def _next(session: Session, text: str) -> None:
    """Write what can be done, as git does: in the output, in brackets."""
    if session.repository().config.get("advice.status") != "false":
        session.output.line(f"  ({text})")


def _sections(session: Session, status: Status) -> None:
    output = session.output
    if status.conflicts:
        output.line("\n" + output.style(_("Conflicts:"), "heading"))
        _next(session, _("settle one with: dsvc resolve PATH --ours, --theirs or --with FILE"))
        for conflict in status.conflicts:
            line = f"  {session.name(conflict.path)} ({show_conflict(conflict.kind, conflict.rows)})"
            output.line(output.style(line, "red"))
    if status.staged:
        output.line("\n" + output.style(_("Staged for the next commit:"), "heading"))
        _next(session, _("unstage with: dsvc restore --staged PATH"))
        list_changes(session, status.staged)
    if status.unstaged:
        output.line("\n" + output.style(_("Changed, not staged:"), "heading"))
        _next(session, _("stage with: dsvc add PATH; discard with: dsvc restore PATH"))
        list_changes(session, status.unstaged)
    if status.untracked:
        output.line("\n" + output.style(_("Untracked:"), "heading"))
        _next(session, _("include with: dsvc add PATH; leave out with a line in .dsvcignore"))
        for change in status.untracked:
            output.line("  " + output.style(session.name(change.path), "red"))


def _pending(session: Session, status: Status) -> None:
    """Name the runs that wait for a commit."""
    output = session.output
    if not status.pending_runs:
        return
    output.line("\n" + output.style(_("Runs that wait for a commit:"), "heading"))
    _next(session, _("the commit that has their outputs takes them; take one back with: dsvc undo"))
    for run in status.pending_runs:
        output.line(f"  {output.style(run.id.short(), 'id')} {show_line(run.name)}")


def _behind(session: Session, stale: list[StaleFile]) -> None:
    """Name the files that are behind what they were made from."""
    if not stale:
        return
    session.output.line("\n" + session.output.style(_("Behind what they were made from:"), "heading"))
    _next(session, _("make them again with: dsvc rerun --stale"))
    for file in stale:
        session.output.line(f"  {show_stale(session, file)}")


def _verdict(status: Status) -> str | None:
    if status.staged or status.conflicts:
        return None
    if status.unstaged:
        return _('nothing is staged; record everything with: dsvc commit -a -m "MESSAGE"')
    if status.untracked:
        return _("nothing is staged, but there are untracked files; stage them with: dsvc add .")
    if status.head is None:
        return _("nothing to commit; put files here and use: dsvc add .")
    return _("nothing to commit, the working tree is clean")


def _short(session: Session, status: Status) -> None:
    """Write git's two columns: staged, not staged."""
    output = session.output
    rows: dict[bytes, list[str]] = {}
    names: dict[bytes, str] = {}
    for column, changes in enumerate((status.staged, status.unstaged)):
        for change in changes:
            letter = output.style(LETTERS.get(change.change, "M"), STYLES.get(change.change, "bold"))
            rows.setdefault(change.path, [" ", " "])[column] = letter
            names.setdefault(change.path, show_change(session, change))
    for conflict in status.conflicts:
        rows[conflict.path] = [output.style("U", "red")] * 2
        names[conflict.path] = session.name(conflict.path)
    for path in sorted(rows):
        output.answer(f"{''.join(rows[path])} {names[path]}")
    for change in status.untracked:
        output.answer(f"{output.style('??', 'red')} {session.name(change.path)}")


@verb("status")
@click.argument("paths", nargs=-1, metavar="[PATH]…", type=PathWord())
@click.option("-s", "--short", is_flag=True, help=_("two letters and the path, a line each"))
@click.option(
    "-u",
    "--untracked",
    type=click.Choice(["no", "normal", "all"]),
    default="normal",
    help=_("untracked files: none, folders as one line (normal), or every one"),
)
@click.option("--stale", "wants_stale", is_flag=True, help=_("also what is behind its inputs or code"))
def command(session: Session, paths: tuple[str, ...], short: bool, untracked: str, wants_stale: bool) -> None:
    """Show what is staged, changed and untracked."""
    repo = session.repository()
    within = tree_paths(paths, repo.root)
    with session.progress() as progress:
        status = repo.status(within, untracked=untracked, progress=progress)
    stale = repo.stale(within) if wants_stale else []
    fields = status_fields(status)
    session.output.json(
        {**fields, "stale": [stale_fields(each) for each in stale]} if wants_stale else fields
    )
    if session.as_json:
        return
    if short:
        _short(session, status)
        for file in stale:
            session.output.answer(f"{session.output.style('~~', 'red')} {session.name(file.path)}")
        return
    _headline(session, status)
    _sections(session, status)
    _pending(session, status)
    _behind(session, stale)
    list_skipped(session, status.skipped)
    verdict = _verdict(status)
    if verdict:
        if status.unstaged or status.untracked or status.pending_runs or stale:
            session.output.line()
        session.output.line(verdict)
