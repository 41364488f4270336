"""The frame of an HTML page that needs nothing else and runs nothing."""

from __future__ import annotations

import html
from typing import Final

from dsvc.cli.language.i18n import language
from dsvc.cli.writing.names import show_text

# No script, no image, no request of any kind: what a name or a file smuggles in stays text.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE: Final = """
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
PAGE_END: Final = "</body></html>\n"


def escape(value: str) -> str:
    """Escape for HTML; control characters and misleading ones become visible."""
    return html.escape(show_text(value), quote=True)


def page_begin(title: str, style: str = "") -> str:
    """Begin a page, up to its heading.

    Parameters
    ----------
    title : str
        Text, not yet escaped.
    style : str
        More CSS.
    """
    lang = "zh-CN" if language() == "zh_CN" else "en"
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>\n"
        f"<h1>{escape(title)}</h1>\n"
    )
