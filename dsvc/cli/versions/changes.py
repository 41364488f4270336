"""How changed paths look: in lists for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import N_, _, ngettext
from dsvc.cli.terminal.output import Style
from dsvc.cli.writing.names import path_fields, show_text
from dsvc.cli.writing.sizes import pad, show_bytes, width

if TYPE_CHECKING:
    from dsvc.porcelain.state.values import ConflictSummary, NormalizedFile, PathChange, Skipped

LABELS: Final = {
    "added": N_("added"),
    "modified": N_("modified"),
    "removed": N_("removed"),
    "renamed": N_("renamed"),
    "untracked": N_("untracked"),
}
LETTERS: Final = {"added": "A", "modified": "M", "removed": "D", "renamed": "R", "untracked": "?"}
STYLES: Final[dict[str, Style]] = {
    "added": "green",
    "modified": "yellow",
    "removed": "red",
    "renamed": "cyan",
    "untracked": "red",
}


def label(change: str) -> str:
    """Return the word for a kind of change."""
    return _(LABELS.get(change, change))


def change_fields(change: PathChange) -> dict[str, object]:
    """Return a changed path as JSON."""
    fields: dict[str, object] = {**path_fields(change.path), "change": change.change}
    if change.old_path is not None:
        fields.update(path_fields(change.old_path, "old_path"))
    return fields


def skipped_fields(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Return skipped paths as JSON."""
    return [{**path_fields(item.path), "reason": item.reason} for item in skipped]


def conflict_fields(conflict: ConflictSummary) -> dict[str, object]:
    """Return a conflict as JSON."""
    return {**path_fields(conflict.path), "kind": conflict.kind, "rows": conflict.rows}


def show_conflict(kind: str, rows: int | None) -> str:
    """Return what is in conflict: a number of rows, or the kind of the conflict."""
    return show_text(_(kind)) if rows is None else ngettext("{n} row", "{n} rows", rows)


def show_change(session: Session, change: PathChange) -> str:
    """Return the name of a changed path for people, with the old one where it was renamed."""
    name = session.name(change.path)
    if change.old_path is not None:
        return f"{session.name(change.old_path)} → {name}"
    return name


def list_changes(session: Session, changes: Sequence[PathChange]) -> None:
    """Write one line for each change: what happened, and the path."""
    cells = max((width(label(change.change)) for change in changes), default=0)
    for change in changes:
        word = pad(label(change.change) + ":", cells + 3)
        style = STYLES.get(change.change, "bold")
        session.output.line("  " + session.output.style(word + show_change(session, change), style))


def list_skipped(session: Session, skipped: Sequence[Skipped]) -> None:
    """Name what was not recorded, and why, on standard error."""
    for item in skipped:
        session.output.warning(
            _("skipped {path}: {reason}").format(path=session.name(item.path), reason=_(item.reason))
        )


def count_changes(counts: dict[str, int]) -> str:
    """Return counts by kind of change in words: ``2 added, 1 removed``; empty where nothing changed."""
    one = _("{n:,} {change}")
    parts = [one.format(n=count, change=label(kind)) for kind, count in counts.items() if count]
    return _(", ").join(parts)


def count_files(counts: dict[str, int]) -> str:
    """Return the number of changed files and of what kind they are."""
    text = ngettext("{n} file changed", "{n} files changed", sum(counts.values()))
    words = count_changes(counts)
    return _("{text}: {words}").format(text=text, words=words) if words else text


def normalized_fields(file: NormalizedFile) -> dict[str, object]:
    """Return one file as JSON."""
    return {
        **path_fields(file.path),
        "old_size": file.old_size,
        "new_size": file.new_size,
        "changed": file.changed,
    }


def list_normalized(session: Session, files: Sequence[NormalizedFile], *, dry_run: bool = False) -> None:
    """Say which files were rewritten."""
    for file in files:
        name = session.name(file.path)
        if file.changed:
            text = (
                _("would rewrite {path}: {old} to {new}") if dry_run else _("rewrote {path}: {old} to {new}")
            )
            line = text.format(path=name, old=show_bytes(file.old_size), new=show_bytes(file.new_size))
            session.output.line(line)
        else:
            session.output.line(_("{path} needs no rewriting").format(path=name))
