"""Members of one JSON object as they are written, white space and all."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

# Unrolled, so that a long text costs no memory.
_TEXT: Final = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
_STRING: Final = re.compile(_TEXT, re.DOTALL)
_SCALAR: Final = re.compile(rb"[^ \t\r\n,\[\]{}\":]+")
_NESTED: Final = re.compile(_TEXT + rb"|[\[\]{}]", re.DOTALL)
_TOKEN: Final = re.compile(_TEXT + rb'|[\[\]{},:]|[^ \t\r\n,\[\]{}":]+', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\\\|(?:\\u[0-9a-fA-F]{4})+")


@dataclass(slots=True)
class Member:
    """A member: its key as text and as written, the colon, the value, and what stands before the next."""

    name: str
    key: bytes
    colon: bytes
    value: bytes
    after: bytes


class Layout(NamedTuple):
    """How objects are laid out.

    Attributes
    ----------
    comma, colon : bytes
        Between members on one line; between key and value.
    indent : bytes or None
        White space that each level adds; None where all is on one line.
    base : bytes
        White space before the closing bracket of a record.
    """

    comma: bytes = b", "
    colon: bytes = b": "
    indent: bytes | None = None
    base: bytes = b""


class Members:
    """A record, open for changes.

    Parameters
    ----------
    record : bytes
        Its text.

    Raises
    ------
    ValueError
        If it is no JSON object.
    """

    def __init__(self, record: bytes) -> None:
        self.members: list[Member] = []
        place = _skip(record, 0)
        if record[place : place + 1] != b"{":
            raise ValueError("no object")
        place = _skip(record, place + 1)
        self.head = record[:place]
        while record[place : place + 1] != b"}":
            if self.members and b"," not in self.members[-1].after:
                raise ValueError("a comma is missing")
            key = _STRING.match(record, place)
            if key is None:
                raise ValueError("a key is missing")
            colon = _skip(record, key.end())
            start = _skip(record, colon + 1)
            if record[colon : colon + 1] != b":":
                raise ValueError("a colon is missing")
            end = _value_end(record, start)
            place = _skip(record, end)
            if record[place : place + 1] == b",":
                place = _skip(record, place + 1)
            name = json.loads(key[0])
            self.members.append(
                Member(name, key[0], record[key.end() : start], record[start:end], record[end:place])
            )
        self.tail = record[place:]

    def find(self, name: str) -> Member | None:
        """The member of a name, of several the last, as readers have it."""
        return next((member for member in reversed(self.members) if member.name == name), None)

    def remove(self, name: str) -> None:
        """Take the members of a name away."""
        for place in reversed([at for at, member in enumerate(self.members) if member.name == name]):
            gone = self.members.pop(place)
            if place == len(self.members) and self.members:
                self.members[-1].after = gone.after

    def append(self, name: str, key: bytes, value: bytes, layout: Layout) -> None:
        """Add a member at the end, spaced like the others, or as `layout` says where there are none."""
        last = self.members[-1] if self.members else None
        if last is None:
            lead = b"" if layout.indent is None else b"\n" + layout.base + layout.indent
            self.head = self.head.rstrip() + lead
            close = b"" if layout.indent is None else b"\n" + layout.base
            self.members.append(Member(name, key, layout.colon, value, close))
            return
        after = last.after
        if len(self.members) > 1:
            last.after = self.members[-2].after
        elif b"\n" in self.head:
            last.after = b"," + self.head[self.head.index(b"{") + 1 :]
        else:
            last.after = b", " if last.colon.endswith(b" ") else b","
        self.members.append(Member(name, key, last.colon, value, after))

    def text(self) -> bytes:
        """The record as it is now."""
        parts = [self.head]
        for member in self.members:
            parts += (member.key, member.colon, member.value, member.after)
        return b"".join([*parts, self.tail])

    def layout(self) -> Layout:
        """How it is laid out."""
        first = self.members[0] if self.members else None
        colon = first.colon if first else b": "
        if b"\n" in self.head:
            inner = self.head.rpartition(b"\n")[2]
            base = self.members[-1].after.rpartition(b"\n")[2] if self.members else b""
            return Layout(b",", colon, inner.removeprefix(base), base)
        if len(self.members) > 1:
            return Layout(self.members[0].after, colon)
        return Layout(b", " if colon.endswith(b" ") else b",", colon)


def laid_out(text: bytes, layout: Layout, depth: int) -> bytes:
    """Write a JSON value in another layout; numbers and strings stay as written.

    Parameters
    ----------
    depth : int
        How many levels stand around it: 0 for a record.
    """
    parts: list[bytes] = []

    def new_line() -> bytes:
        return b"" if layout.indent is None else b"\n" + layout.base + layout.indent * depth

    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in b"}]":
            depth -= 1
            parts.append(token if parts[-1] in (b"{", b"[") else new_line() + token)
            continue
        if parts and parts[-1] in (b"{", b"["):
            parts.append(new_line())
        if token == b",":
            parts.append(layout.comma if layout.indent is None else b"," + new_line())
        elif token == b":":
            parts.append(layout.colon)
        else:
            parts.append(token)
            depth += token in (b"{", b"[")
    return b"".join(parts)


def is_ascii_style(text: bytes) -> bool | None:
    """Tell whether characters beyond ASCII are escaped; None where there are none."""
    if not text.isascii():
        return False
    return True if _has_escapes(text) else None


def in_style(text: bytes, *, ascii_only: bool) -> bytes:
    """Escape the characters beyond ASCII in a JSON text, or write them as they are."""
    if ascii_only:
        if text.isascii():
            return text
        return b"".join(
            char.encode() if char.isascii() else json.dumps(char)[1:-1].encode() for char in text.decode()
        )
    return _ESCAPE.sub(_unescaped, text)


def _has_escapes(text: bytes) -> bool:
    return any(_unescaped(match) != match[0] for match in _ESCAPE.finditer(text))


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match[0] == b"\\\\":
        return match[0]
    parts = []
    for char in json.loads(b'"' + match[0] + b'"'):
        # Controls must be escaped, and a lone half of a pair has no bytes.
        kept = char.isascii() or "\ud800" <= char <= "\udfff"
        parts.append(json.dumps(char)[1:-1].encode() if kept else char.encode())
    plain = b"".join(parts)
    return match[0] if plain.isascii() else plain


def _skip(text: bytes, place: int) -> int:
    match = _BLANKS.match(text, place)
    return match.end() if match else place


def _value_end(text: bytes, start: int) -> int:
    first = text[start : start + 1]
    if first == b'"':
        match = _STRING.match(text, start)
    elif first in (b"{", b"["):
        return _nested_end(text, start)
    else:
        match = _SCALAR.match(text, start)
    if match is None:
        raise ValueError("a value is missing")
    return match.end()


def _nested_end(text: bytes, start: int) -> int:
    depth = 0
    for match in _NESTED.finditer(text, start):
        if match[0] in (b"{", b"["):
            depth += 1
        elif match[0] in (b"}", b"]"):
            depth -= 1
            if not depth:
                return match.end()
    raise ValueError("a bracket is not closed")
