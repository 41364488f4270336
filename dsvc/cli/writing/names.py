"""Names and texts that somebody else chose, made safe to show and to put into JSON.

A name may be any bytes. On a terminal and in a pipe for people it is shown as git shows it: as it is where it
is harmless, else in double quotes with C's escapes. A control character never reaches a terminal.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode

_SIMPLE = re.compile(r"[ !#-\[\]-~]*")
_LETTERS = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\a": r"\a", "\b": r"\b", "\v": r"\v", "\f": r"\f"}
# Joiners belong to words in several scripts and to emoji; every other format character only misleads.
_JOINERS = "\u200c\u200d"
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|[^\x00-\u00ac\u00ae-\u05ff]|\xad"
)


def _harmless(character: str) -> bool:
    if character in _JOINERS:
        return True
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def show_name(name: bytes) -> str:
    """Return a name for people: quoted and escaped where it has anything but harmless text."""
    text = name.decode("utf-8", "surrogateescape")
    if _SIMPLE.fullmatch(text):
        return text
    shown = []
    quote = False
    for character in text:
        if character in '"\\':
            shown.append("\\" + character)
        elif _harmless(character):
            shown.append(character)
            continue
        elif character in _LETTERS:
            shown.append(_LETTERS[character])
        else:
            raw = character.encode("utf-8", "surrogateescape")
            shown.append("".join(f"\\{byte:03o}" for byte in raw))
        quote = True
    return f'"{"".join(shown)}"' if quote else text


def _escape_control(found: re.Match[str]) -> str:
    character = found[0]
    if _harmless(character):
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def show_text(text: str) -> str:
    r"""Return a text with its control characters escaped, line ends and tabulators left alone.

    For messages of commits, names of people, lines of files: an ESC becomes ``\x1b``.
    """
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(_escape_control, text)


def show_line(text: str) -> str:
    """Return a text on one line: as `show_text`, with line ends and tabulators as blanks."""
    return show_text(" ".join(text.split()))


def show_digest(digest: bytes) -> str:
    """Return the BLAKE3 digest of content as it stands in JSON."""
    return f"blake3:{digest.hex()}"


def path_fields(path: bytes, key: str = "path") -> dict[str, str]:
    """Return the JSON fields of a path: text, and ``…_b64`` where it is not UTF-8."""
    try:
        return {key: path.decode("utf-8")}
    except UnicodeDecodeError:
        return {key: path.decode("utf-8", "replace"), f"{key}_b64": b64encode(path).decode("ascii")}
