"""A difference of tables for people: columns, then rows with the changed cells marked.

Without colours the marks are those of ``git diff --word-diff``: ``[-old-]{+new+}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import N_, _, ngettext
from dsvc.cli.terminal.output import Output, Style
from dsvc.cli.writing.cell_text import mark, show_column, show_short
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import width

if TYPE_CHECKING:
    from dsvc.diff.table_delta import RowChange, SchemaDelta, TableDelta

LINE_WIDTH = 120
CONTEXT_WIDTH = 24
_FROM = {
    "config": N_("from dsvc.toml"),
    "option": N_("from --key"),
    "guessed": N_("guessed"),
}


def key_line(delta: TableDelta) -> str:
    """Say what the key is, and who says so."""
    if not delta.key:
        return _("no key: rows are compared whole")
    names = ", ".join(map(show_column, delta.key))
    return _("key {names} ({origin})").format(names=names, origin=_(_FROM[delta.key_from.value]))


def count_line(delta: TableDelta) -> str:
    """Return the counts: ``6 rows: +1 -2 ~3, 5 cells``."""
    if delta.is_empty:
        return _("same rows and columns, other bytes")
    changed = delta.rows_added + delta.rows_removed + delta.rows_changed
    parts = []
    if delta.rows_added:
        parts.append(f"+{delta.rows_added:,}")
    if delta.rows_removed:
        parts.append(f"-{delta.rows_removed:,}")
    if delta.rows_changed:
        parts.append(f"~{delta.rows_changed:,}")
    rows = ngettext("{n} row", "{n} rows", changed)
    text = _("{rows}: {changes}").format(rows=rows, changes=" ".join(parts)) if parts else rows
    if delta.cells_changed:
        cells = ngettext("{n} cell", "{n} cells", delta.cells_changed)
        text = _("{rows}, {cells}").format(rows=text, cells=cells)
    if delta.schema:
        schema = delta.schema
        count = len(schema.added) + len(schema.removed) + len(schema.retyped) + len(schema.renamed)
        text = _("{rows}, {cells}").format(rows=text, cells=ngettext("{n} column", "{n} columns", count))
    return text


def table_lines(
    output: Output, delta: TableDelta, *, rows: bool = True, schema: bool = True, columns: int = LINE_WIDTH
) -> Iterator[str]:
    """Yield the lines of a difference.

    Parameters
    ----------
    rows, schema : bool
        Which parts.
    columns : int
        Cells in a line of the terminal; a row has no unchanged cells where they don't fit.
    """
    yield output.style(f"@@ {key_line(delta)} @@", "hunk")
    if schema and delta.schema:
        yield from _schema_lines(output, delta.schema)
    if rows:
        names = old_names(delta)
        for change in delta.changes:
            yield _row_line(output, change, delta.key, names, columns)
        if delta.truncated:
            yield output.style(more_line(delta), "dim")
        for line in malformed_lines(delta):
            yield output.style(line, "warning")
    yield output.style(_summary(delta), "dim")


def old_names(delta: TableDelta) -> dict[str, str]:
    """Return what renamed columns were called, by their new names."""
    return {item.new: item.old for item in delta.schema.renamed}


def _summary(delta: TableDelta) -> str:
    unchanged = ngettext("{n} row unchanged", "{n} rows unchanged", delta.rows_unchanged)
    parts = [count_line(delta), unchanged]
    if delta.by_column:
        counts = sorted(delta.by_column.items(), key=lambda item: -item[1])
        parts.append(", ".join(f"{show_column(name)} {count:,}" for name, count in counts[:8]))
        parts[-1] += " …" if len(counts) > 8 else ""
    return "; ".join(parts)


def _schema_lines(output: Output, schema: SchemaDelta) -> Iterator[str]:
    word = _("column")
    for column in schema.removed:
        text = f"- {word} {show_column(column.name)} {show_line(column.type)}"
        yield output.style(text, "removed")
    for column in schema.added:
        text = f"+ {word} {show_column(column.name)} {show_line(column.type)}"
        yield output.style(text, "added")
    for item in schema.retyped:
        types = f"{show_line(item.old)} → {show_line(item.new)}"
        yield output.style(f"~ {word} {show_column(item.name)} {types}", "yellow")
    for renamed in schema.renamed:
        names = f"{show_column(renamed.old)} → {show_column(renamed.new)}"
        yield output.style(_("~ {column} {names} (renamed)").format(column=word, names=names), "yellow")


def more_line(delta: TableDelta) -> str:
    """Say how many rows of a difference are not listed."""
    left = delta.rows_added + delta.rows_removed + delta.rows_changed - len(delta.changes)
    text = ngettext("… and {n} more row", "… and {n} more rows", left)
    return _("{text} (all: dsvc diff --limit 0)").format(text=text)


def malformed_lines(delta: TableDelta) -> Iterator[str]:
    """Name the lines of both sides that are no rows, and say why."""
    for side, rows in (("-", delta.malformed_before), ("+", delta.malformed_after)):
        for row in rows:
            yield _("! {side} line {line}: {message}").format(
                side=side, line=row.line, message=show_line(row.message)
            )


def _row_line(
    output: Output, change: RowChange, key: Sequence[str], old: Mapping[str, str], columns: int
) -> str:
    if change.op.value == "changed":
        return _changed_line(output, change, key, old, columns)
    row = (change.after if change.op.value == "added" else change.before) or {}
    sign = "+" if change.op.value == "added" else "-"
    style: Style = "added" if sign == "+" else "removed"
    names = [*(name for name in key if name in row), *(name for name in row if name not in key)]
    text, room = sign, columns - 1
    for index, name in enumerate(names):
        cell = f" {_pair(name, row[name], CONTEXT_WIDTH * 2)}"
        if width(cell) + 2 > room and index:
            text += " …"
            break
        text, room = text + cell, room - width(cell)
    return output.style(text, style)


def _changed_line(
    output: Output, change: RowChange, key: Sequence[str], old: Mapping[str, str], columns: int
) -> str:
    before, after = change.before or {}, change.after or {}
    before = {**before, **{new: before[name] for new, name in old.items() if name in before}}
    head = "~"
    for name in key:
        head += f" {_pair(name, (change.key or {}).get(name, after.get(name)), CONTEXT_WIDTH * 2)}"
    text, room = output.style(head, "yellow"), columns - width(head)
    for name in change.columns:
        shown, cells = _marked_pair(output, name, before, after)
        text, room = f"{text} {shown}", room - cells - 1
    unchanged = [name for name in after if name not in key and name not in change.columns]
    for name in unchanged:
        cell = _pair(name, after[name], CONTEXT_WIDTH)
        if width(cell) + 3 > room:
            return text + output.style(" …", "dim")
        text, room = f"{text} {output.style(cell, 'dim')}", room - width(cell) - 1
    return text


def _pair(name: str, value: object, cells: int) -> str:
    return f"{show_column(name)}={show_short(value, cells)}"


def _marked_pair(
    output: Output, name: str, before: dict[str, object], after: dict[str, object]
) -> tuple[str, int]:
    """A changed cell with its marks, and its width."""
    found = mark(before.get(name), after.get(name))
    old = f"[-{found.old}-]" if name in before and (found.old or not found.new) else ""
    new = f"{{+{found.new}+}}" if name in after and (found.new or not found.old) else ""
    head = f"{show_column(name)}={found.head}"
    shown = f"{head}{output.style(old, 'removed')}{output.style(new, 'added')}{found.tail}"
    return shown, width(head) + width(old) + width(new) + width(found.tail)
