"""Markdown from texts that others wrote: they can show what they like, and never become structure.

No heading, list, link, image, HTML, table or front matter comes out of a text, in CommonMark or in what the
Hugging Face hub and GitHub make of it. Characters that reorder or hide others are shown as U+FFFD.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "@": "&#64;", "`": "&#96;"}
_MARKS: Final = re.compile(r"([\\*_\[\]#~$])")
_START: Final = re.compile(r"^([-+=]|\d+[.)])")
_LINKS: Final = re.compile(r"(?i)(https?|ftp|mailto|xmpp)(:)|(www)(\.)")
_KEPT_FORMATS: Final = frozenset("\u200c\u200d")
"""Joiners, which scripts need; all other characters of that class are shown as what they are: no letters."""
NOTHING: Final = "–"


def clean(value: object) -> str:
    """Give a text on one line, without characters that are not seen."""
    shown = []
    for character in str(value):
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp"):
            shown.append(" ")
        elif category in ("Cf", "Cs", "Co", "Cn") and character not in _KEPT_FORMATS:
            shown.append("\ufffd")
        else:
            shown.append(character)
    return " ".join("".join(shown).split())


def escape(value: object) -> str:
    """Write a text so that it is shown as it is, on one line."""
    text = "".join(_ENTITIES.get(character, character) for character in clean(value))
    # The numbers of entities keep their '#': it follows an ampersand that only this function writes.
    text = re.sub(r"&#(\d+);", "\0\\1;", text)
    text = _MARKS.sub(r"\\\1", text).replace("\0", "&#")
    text = _LINKS.sub(_unlinked, text)
    return _START.sub(_unlisted, text)


def _unlinked(match: re.Match[str]) -> str:
    return f"{match[1]}&#58;" if match[1] else f"{match[3]}&#46;"


def _unlisted(match: re.Match[str]) -> str:
    return f"{match[1][:-1]}\\{match[1][-1]}"


def code(value: str) -> str:
    """Write a digest, an id or a command of ours as code; anything with a backtick in it as text."""
    text = clean(value)
    return escape(text) if "`" in text or "|" in text or not text else f"`{text}`"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of cells that are Markdown already; an empty cell gets a dash."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(cell or NOTHING for cell in line) + " |" for line in lines)


def bullets(items: Iterable[str]) -> str:
    """Write a list of items that are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def number(value: float | None) -> str:
    """Write a number; None as a dash."""
    if value is None:
        return NOTHING
    return str(value) if isinstance(value, int) else f"{value:.6g}"
