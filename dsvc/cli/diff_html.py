"""A difference as one HTML page that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dsvc.cli.changes import count_files, label
from dsvc.cli.diff_text import kind_label, show_path, show_sizes
from dsvc.cli.i18n import _, language
from dsvc.cli.table_html import STYLE, escape, table_parts

if TYPE_CHECKING:
    from dsvc.cli.table_view import TableView
    from dsvc.diff.delta import Change
    from dsvc.porcelain.repository import Repository
    from dsvc.porcelain.values import DiffResult

MAX_LINES_PER_FILE = 5000

# No script, no image, no request of any kind: what a name or a file smuggles in stays text.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; --add: #d7f5dd; --del: #fde0dd; --line: #8886; --quiet: #767676; }
@media (prefers-color-scheme: dark) { :root { --add: #123d1d; --del: #4b1a17; --quiet: #a0a0a0; } }
body { font: 15px/1.5 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
       max-width: 70em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.4em; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .2em .8em .2em 0; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: 6px; margin: 1em 0; }
summary { padding: .5em .8em; cursor: pointer; overflow-wrap: anywhere; }
pre { margin: 0; padding: .5em 0; overflow-x: auto; border-top: 1px solid var(--line);
      font: 13px/1.45 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
pre span { display: block; padding: 0 .8em; white-space: pre; min-height: 1.45em; }
.add { background: var(--add); } .del { background: var(--del); } .hunk, .quiet { color: var(--quiet); }
code { overflow-wrap: anywhere; }
"""


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
    title = escape(_("{source} → {target}").format(source=result.source[:40], target=result.target[:40]))
    lang = "zh-CN" if language() == "zh_CN" else "en"
    yield (
        f'<!DOCTYPE html>\n<html lang="{lang}"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title><style>{_STYLE}{STYLE}</style></head><body>\n"
        f"<h1>{title}</h1>\n<p>{escape(count_files(result.summary()))}</p>\n"
    )
    for change in result.changes:
        yield from _file(repo, change, result, tables)
    yield "</body></html>\n"
