"""The last paragraph of a commit message: ``Key: value`` lines, found as git finds them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from dsvc.model.errors import MalformedInputError

Trailer = tuple[str, str]
MAX_TRAILERS: Final = 1000

_KEY = re.compile("[A-Za-z0-9][A-Za-z0-9-]*")
_BLANK = b" \t\r"
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def clean_message(text: str) -> str:
    """Drop blank lines before and white space after a message, as it will be read back.

    Raises
    ------
    MalformedInputError
        If it has NUL or is not text (lone surrogates).
    """
    if "\0" in text:
        raise MalformedInputError("a message with NUL")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedInputError("a message that is not text") from error
    return text.lstrip("\n").rstrip(" \t\r\n")


def join_message(message: str, trailers: Sequence[Trailer]) -> bytes:
    """Put `trailers` under `message` as a paragraph of their own, which nothing in `message` can join.

    Raises
    ------
    MalformedInputError
        If a key isn't letters, digits and ``-``, or a value is empty or has control characters.
    """
    lines = []
    for key, value in trailers:
        if not _KEY.fullmatch(key) or not value.strip() or _FORBIDDEN.search(value) or value != value.strip():
            raise MalformedInputError(f"trailer {key[:80]!r} with value {value[:80]!r} is malformed")
        lines.append(f"{key}: {value}\n")
    try:
        return f"{clean_message(message)}\n\n{''.join(lines)}".encode()
    except UnicodeEncodeError as error:
        raise MalformedInputError("a trailer that is not text") from error


def split_message(data: bytes) -> tuple[str, tuple[Trailer, ...]]:
    """Split a message from its last paragraph; bytes that are not UTF-8 are replaced.

    Only the very last paragraph counts, so that a line ``Key: value`` that a person wrote further up is
    text. An empty tuple means that the last paragraph is not made of trailers, or of too many.
    """
    # Lines end at "\n" alone, as for git: other line ends of Unicode are part of a line.
    body = data.rstrip(b" \t\r\n")
    lines = body.split(b"\n")
    start = len(lines)
    while start > 0 and lines[start - 1].strip(_BLANK):
        start -= 1
        if len(lines) - start > MAX_TRAILERS:
            # A long paragraph is text; one of this many trailers is nobody's.
            return clean_text(body), ()
    found = []
    for line in lines[start:]:
        key, colon, value = line.decode("utf-8", "replace").partition(":")
        if not colon or not _KEY.fullmatch(key) or not value.startswith(" "):
            return clean_text(body), ()
        found.append((key, value.strip()))
    # A first paragraph is the title, never trailers, unless an empty message left blank lines above.
    if start == 0:
        return clean_text(body), ()
    return clean_text(b"\n".join(lines[:start])), tuple(found)


def clean_text(data: bytes) -> str:
    """Decode a message for people."""
    return data.decode("utf-8", "replace").lstrip("\n").rstrip(" \t\r\n")
