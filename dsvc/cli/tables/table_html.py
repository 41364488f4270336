"""A difference of tables as HTML: everything that comes from a file is escaped, nothing runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dsvc.cli.language.i18n import N_, _
from dsvc.cli.tables.table_text import count_line, key_line, malformed_lines, more_line, old_names
from dsvc.cli.writing.cell_text import CELL_WIDTH, mark, show_column, show_short
from dsvc.cli.writing.html_page import escape

if TYPE_CHECKING:
    from dsvc.diff.table_delta import RowChange, TableDelta

MAX_COLUMNS: Final = 60
CELL_LENGTH: Final = 3 * CELL_WIDTH
STYLE: Final = """
.rows { overflow-x: auto; border-top: 1px solid var(--line); }
.rows:focus-visible, summary:focus-visible { outline: 2px solid #2a6fdb; outline-offset: 2px; }
.rows table { width: auto; min-width: 100%; font-size: 13px; }
.rows caption { text-align: left; padding: .4em .8em; color: var(--quiet); }
.rows td, .rows th { padding: .15em .8em; white-space: pre-wrap; overflow-wrap: anywhere;
  vertical-align: top; max-width: 36em; min-width: 3em; }
.rows thead th { position: sticky; top: 0; background: Canvas; }
.rows .key { font-weight: 600; }
tr.added { background: var(--add); } tr.removed { background: var(--del); }
del { background: var(--del); text-decoration: line-through; } ins { background: var(--add); }
ul.columns { margin: 0; padding: .5em .8em .5em 2em; border-top: 1px solid var(--line); }
.seen-not { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""
_WORDS: Final = {
    "added": ("+", N_("row added")),
    "removed": ("-", N_("row removed")),
    "changed": ("~", N_("row changed")),
}


def table_parts(delta: TableDelta, name: str) -> Iterator[str]:
    """Yield the pieces of HTML that show a difference.

    Parameters
    ----------
    name : str
        The file, for those who hear the page.
    """
    yield from _columns_part(delta)
    if delta.changes:
        shown, left_out = _shown_columns(delta)
        label = escape(_("changed rows of {name}").format(name=name))
        yield f'<div class="rows" role="region" aria-label="{label}" tabindex="0"><table>'
        yield f"<caption>{escape(key_line(delta))} · {escape(count_line(delta))}</caption><thead><tr>"
        yield f'<th scope="col"><span class="seen-not">{escape(_("change"))}</span></th>'
        for column in shown:
            kind = ' class="key"' if column in delta.key else ""
            yield f'<th scope="col"{kind}>{escape(show_column(column))}</th>'
        yield "<th>…</th></tr></thead><tbody>\n" if left_out else "</tr></thead><tbody>\n"
        names = old_names(delta)
        for change in delta.changes:
            yield from _row(change, shown, names, delta.key)
        yield "</tbody></table></div>"
    else:
        yield f'<p class="quiet">&#8195;{escape(count_line(delta))}</p>'
    yield from _notes(delta)


def _columns_part(delta: TableDelta) -> Iterator[str]:
    schema = delta.schema
    if not schema:
        return
    word = escape(_("column"))
    yield '<ul class="columns">'
    for column in schema.removed:
        yield f"<li>{word} <del>{escape(column.name)} {escape(column.type)}</del></li>"
    for column in schema.added:
        yield f"<li>{word} <ins>{escape(column.name)} {escape(column.type)}</ins></li>"
    for item in schema.retyped:
        types = f"<del>{escape(item.old)}</del> → <ins>{escape(item.new)}</ins>"
        yield f"<li>{word} {escape(item.name)}: {types}</li>"
    for renamed in schema.renamed:
        yield f"<li>{word} <del>{escape(renamed.old)}</del> → <ins>{escape(renamed.new)}</ins></li>"
    yield "</ul>\n"


def _shown_columns(delta: TableDelta) -> tuple[list[str], bool]:
    """Columns in the order of the tables, key first; of many those that changed come before the others."""
    renamed = {old: new for new, old in old_names(delta).items()}
    seen: dict[str, None] = dict.fromkeys(delta.key)
    changed: dict[str, None] = dict.fromkeys(delta.key)
    for change in delta.changes:
        seen.update(dict.fromkeys(change.after or {}))
        seen.update(dict.fromkeys(renamed.get(name, name) for name in change.before or {}))
        changed.update(dict.fromkeys(change.columns))
    if len(seen) <= MAX_COLUMNS:
        return list(seen), False
    return list({**changed, **seen})[:MAX_COLUMNS], True


def _row(
    change: RowChange, columns: Sequence[str], names: Mapping[str, str], key: Sequence[str]
) -> Iterator[str]:
    sign, word = _WORDS[change.op.value]
    yield f'<tr class="{change.op.value}"><th scope="row"><span aria-hidden="true">{sign}</span>'
    yield f'<span class="seen-not">{escape(_(word))}</span></th>'
    before, after = change.before or {}, change.after or {}
    for column in columns:
        old_name = names.get(column, column)
        kind = ' class="key"' if column in key else ""
        yield f"<td{kind}>"
        if column in change.columns:
            yield _changed(before, old_name, after, column)
        elif column in after:
            yield escape(show_short(after[column], CELL_LENGTH))
        elif old_name in before:
            yield escape(show_short(before[old_name], CELL_LENGTH))
        yield "</td>"
    yield "</tr>\n"


def _changed(before: Mapping[str, object], old_name: str, after: Mapping[str, object], column: str) -> str:
    if column not in after:
        return f"<del>{escape(show_short(before.get(old_name), CELL_LENGTH))}</del>"
    if old_name not in before:
        return f"<ins>{escape(show_short(after[column], CELL_LENGTH))}</ins>"
    found = mark(before[old_name], after[column], CELL_LENGTH)
    old = f"<del>{escape(found.old)}</del>" if found.old else ""
    new = f"<ins>{escape(found.new)}</ins>" if found.new else ""
    return f"{escape(found.head)}{old} {new}{escape(found.tail)}"


def _notes(delta: TableDelta) -> Iterator[str]:
    if delta.truncated:
        yield f'<p class="quiet">&#8195;{escape(more_line(delta))}</p>'
    for line in malformed_lines(delta):
        yield f'<p class="quiet">&#8195;{escape(line)}</p>'
