"""A difference as one HTML page that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import _
from dsvc.cli.tables.table_html import STYLE, table_parts
from dsvc.cli.versions.changes import count_files, label
from dsvc.cli.versions.diff_text import kind_label, show_path, show_sizes
from dsvc.cli.writing.html_page import PAGE_END, escape, page_begin

if TYPE_CHECKING:
    from dsvc.cli.tables.table_view import TableView
    from dsvc.diff.delta import Change
    from dsvc.porcelain.repository import Repository
    from dsvc.porcelain.state.values import DiffResult

MAX_LINES_PER_FILE = 5000

_CLASSES = {"+": "add", "-": "del", "@": "hunk"}


def _lines(lines: Iterable[str]) -> Iterator[str]:
    in_head = True
    for number, line in enumerate(lines):
        if number >= MAX_LINES_PER_FILE:
            rest = _("… cut here; the whole difference: dsvc diff")
            yield f'<span class="quiet">{escape(rest)}</span>'
            return
        in_head = in_head and not line.startswith("@@")
        kind = "quiet" if in_head else _CLASSES.get(line[:1], "")
        yield f'<span class="{kind}">{escape(line)}</span>'


def _file(repo: Repository, change: Change, result: DiffResult, tables: TableView | None) -> Iterator[str]:
    delta = tables.of(change) if tables else None
    name = escape(show_path(change))
    kind = kind_label(change) if delta is None else _("table")
    facts = escape(f"{label(change.kind.value)} · {kind} · {show_sizes(change)}")
    summary = f'<summary><code>{name}</code> <span class="quiet">{facts}</span></summary>'
    if delta is not None:
        yield f"<details open>{summary}"
        yield from table_parts(delta, show_path(change))
        yield "</details>\n"
        return
    lines = repo.unified_diff(change, result)
    if lines is None:
        yield f"<details>{summary}</details>\n"
        return
    yield f'<details open>{summary}<pre tabindex="0">'
    yield from _lines(lines)
    yield "</pre></details>\n"


def page(repo: Repository, result: DiffResult, tables: TableView | None = None) -> Iterator[str]:
    """Yield the pieces of the page; with `tables` these are shown by row."""
    title = _("{source} → {target}").format(source=result.source[:40], target=result.target[:40])
    yield page_begin(title, STYLE)
    yield f"<p>{escape(count_files(result.summary()))}</p>\n"
    for change in result.changes:
        yield from _file(repo, change, result, tables)
    yield PAGE_END
