"""Differences for people: unified text, statistics, names."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from dsvc.cli.environment.settings import is_terminal
from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.tables.drift_text import drift_lines
from dsvc.cli.tables.table_text import LINE_WIDTH, count_line, table_lines
from dsvc.cli.terminal.output import Output
from dsvc.cli.versions.changes import LETTERS, STYLES, count_files, label
from dsvc.cli.writing.names import path_fields, show_name, show_text
from dsvc.cli.writing.sizes import pad, show_bytes, width

if TYPE_CHECKING:
    from dsvc.cli.tables.table_view import TableView
    from dsvc.diff.delta import Change
    from dsvc.diff.table_delta import TableDelta
    from dsvc.model.manifest import Entry
    from dsvc.porcelain.repository import Repository
    from dsvc.porcelain.state.values import DiffResult

GRAPH_CELLS = 40


class Parts(NamedTuple):
    """What of a table is shown: rows, columns, statistics; all three are off where it is shown by line."""

    rows: bool = True
    schema: bool = True
    stats: bool = False


def kind_of(entry: Entry | None) -> str:
    """Name what an entry is: ``table``, ``text``, ``image``, ``binary``, ``symlink``, ``folder``."""
    from dsvc.model.manifest import MODE_DIRECTORY, MODE_SYMLINK, Kind

    if entry is None or entry.mode == MODE_DIRECTORY:
        return "folder"
    if entry.mode == MODE_SYMLINK:
        return "symlink"
    return Kind(entry.kind).name.lower()


def change_fields(change: Change) -> dict[str, object]:
    """Return a change between two versions as JSON."""
    fields: dict[str, object] = {**path_fields(change.path), "change": change.kind.value, "old_path": None}
    if change.old_path is not None:
        fields.update(path_fields(change.old_path, "old_path"))
    fields["kind"] = kind_of(change.new or change.old)
    fields["old_size"] = None if change.old is None else change.old.size
    fields["new_size"] = None if change.new is None else change.new.size
    return fields


def diff_fields(
    result: DiffResult, tables: TableView | None = None, *, stats: bool = False
) -> dict[str, object]:
    """Return a difference as JSON; with `tables` also rows and columns."""
    return {
        "from": result.source,
        "to": result.target,
        "summary": result.summary(),
        "files": [
            {**change_fields(change), **(_table_fields(change, tables, stats=stats) if tables else {})}
            for change in result.changes
        ],
    }


def _table_fields(change: Change, tables: TableView, *, stats: bool) -> dict[str, object]:
    from dsvc.diff.cell_json import delta_json

    delta = tables.of(change)
    if delta is None:
        error = tables.errors.get(change.path)
        return {"table": None, **({"table_error": error} if error else {})}
    fields = delta_json(delta)
    if stats:
        fields["statistics"] = [drift.as_json() for drift in tables.statistics(change)]
    return {"kind": "table", "table": fields}


def show_path(change: Change) -> str:
    """Return the path of a change, with the old one where it was renamed."""
    name = show_name(change.path)
    return name if change.old_path is None else f"{show_name(change.old_path)} → {name}"


def show_sizes(change: Change) -> str:
    """Return what became of the size."""
    if change.old is None or change.new is None:
        only = change.new or change.old
        return show_bytes(only.size) if only is not None else ""
    if change.old.size == change.new.size:
        return show_bytes(change.new.size)
    return f"{show_bytes(change.old.size)} → {show_bytes(change.new.size)}"


def _mode_note(change: Change) -> str:
    if change.old is None or change.new is None or change.old.mode == change.new.mode:
        return ""
    return ", " + _("mode {old:o} → {new:o}").format(old=change.old.mode, new=change.new.mode)


def write_name_status(session: Session, result: DiffResult) -> None:
    """Write a letter and the path for each change, as git does."""
    output = session.output
    for change in result.changes:
        names = [name for name in (change.old_path, change.path) if name is not None]
        letter = LETTERS[change.kind.value]
        output.answer("\t".join([output.style(letter, STYLES[change.kind.value]), *map(show_name, names)]))


def _bar(session: Session, added: int, removed: int, most: int) -> str:
    scale = min(1.0, GRAPH_CELLS / most) if most else 0.0
    plus = max(1, round(added * scale)) if added else 0
    minus = max(1, round(removed * scale)) if removed else 0
    return session.output.style("+" * plus, "added") + session.output.style("-" * minus, "removed")


def write_stat(
    session: Session, repo: Repository, result: DiffResult, tables: TableView | None = None
) -> None:
    """Write a line for each change with rows or lines added and removed, or sizes; then the sum."""
    output = session.output
    stats = []
    for change in result.changes:
        delta = tables.of(change) if tables else None
        stats.append(repo.diff_stat(change, result) if delta is None else delta)
    cells = max((width(show_path(change)) for change in result.changes), default=0)
    most = max((sum(stat) for stat in stats if isinstance(stat, tuple)), default=0)
    digits = len(f"{most:,}")
    lines_added = lines_removed = 0
    for change, stat in zip(result.changes, stats, strict=True):
        if stat is None:
            detail = f"{kind_label(change)}, {show_sizes(change)}{_mode_note(change)}"
        elif isinstance(stat, tuple):
            lines_added, lines_removed = lines_added + stat[0], lines_removed + stat[1]
            detail = f"{sum(stat):>{digits},} {_bar(session, *stat, most)}{_mode_note(change)}".rstrip()
        else:
            detail = count_line(stat) + _mode_note(change)
        output.answer(f" {pad(show_path(change), cells)} | {detail}")
    if result.changes:
        words = [count_files(result.summary())]
        if lines_added or lines_removed:
            words.append(ngettext("{n} line added", "{n} lines added", lines_added))
            words.append(ngettext("{n} line removed", "{n} lines removed", lines_removed))
        output.answer(" " + "; ".join(words))


def kind_label(change: Change) -> str:
    """Return the word for what the changed file is."""
    words = {
        "table": _("table"),
        "text": _("text"),
        "image": _("image"),
        "binary": _("binary"),
        "symlink": _("link"),
        "folder": _("folder"),
    }
    return words[kind_of(change.new or change.old)]


def headline(change: Change, delta: TableDelta | None = None) -> str:
    """Return the line above a change: what happened to which path, and the sizes."""
    kind = kind_label(change) if delta is None else _("table")
    facts = f"{kind}, {show_sizes(change)}{_mode_note(change)}"
    return f"{label(change.kind.value)}: {show_path(change)} ({facts})"


def _styled(output: Output, lines: Iterable[str]) -> Iterator[str]:
    """Colour the lines of a unified difference, and escape control characters in them."""
    in_head = True
    for raw in lines:
        line = show_text(raw)
        if line.startswith("@@"):
            in_head = False
            yield output.style(line, "hunk")
        elif in_head:
            yield output.style(line, "bold")
        elif line.startswith("+"):
            yield output.style(line, "added")
        elif line.startswith("-"):
            yield output.style(line, "removed")
        else:
            yield line


def write_diff(
    session: Session,
    repo: Repository,
    result: DiffResult,
    tables: TableView | None = None,
    parts: Parts = Parts(),  # noqa: B008  it can't be changed
) -> None:
    """Write every change: of a table its rows, of a text the lines that differ, what became of others.

    On a terminal control characters are escaped; in a pipe the lines of a text are a patch, byte for byte.

    Parameters
    ----------
    tables : TableView or None
        None: no file is a table.
    parts : Parts
        What of a table is shown; without its rows no other file shows lines either.
    """
    output = session.output
    for_people = output.color or is_terminal(sys.stdout)
    columns = shutil.get_terminal_size().columns if for_people else LINE_WIDTH
    for change in result.changes:
        delta = tables.of(change) if tables else None
        if tables is not None and delta is not None:
            output.answer(output.style(headline(change, delta), "bold"))
            for line in table_lines(output, delta, rows=parts.rows, schema=parts.schema, columns=columns):
                output.answer(line)
            if parts.stats:
                for line in drift_lines(output, tables.statistics(change)):
                    output.answer(line)
            continue
        lines = list((repo.unified_diff(change, result) if parts.rows else None) or ())
        if not lines:
            output.answer(output.style(headline(change), "bold"))
        elif for_people:
            for line in _styled(output, lines):
                output.answer(line)
        else:
            for line in lines:
                output.exact(line)
