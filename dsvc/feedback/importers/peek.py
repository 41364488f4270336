"""What stands in the first JSON value of a file, told from its beginning: how files are recognised."""

from __future__ import annotations

import re
from typing import Final

ELEMENT: Final = "*"
"""Stands for an element of an array in a path."""
MAX_PEEK_DEPTH: Final = 4
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)

KeyPath = tuple[str, ...]


def key_paths(head: bytes) -> frozenset[KeyPath]:
    """Give the paths of all keys in the first JSON value, as far as `head` has them.

    ``{"a": [{"b": 1}]}`` has ``("a",)`` and ``("a", "*", "b")``. Nothing is said of values, nor of what lies
    deeper than `MAX_PEEK_DEPTH`; what is no JSON has no paths, or some of those that it would have.
    """
    found: set[KeyPath] = set()
    at: list[str] = []
    depth = 0
    last = b""
    for match in _TOKEN.finditer(head.removeprefix(b"\xef\xbb\xbf")):
        token = match[0]
        if token == b'"':  # a string that goes on beyond the head
            break
        if token in (b"{", b"["):
            depth += 1
            if depth <= MAX_PEEK_DEPTH:
                at.append(ELEMENT if token == b"[" else "")
        elif token in (b"}", b"]"):
            if depth <= MAX_PEEK_DEPTH:
                at = at[:-1]
            depth -= 1
        elif token == b":" and depth <= MAX_PEEK_DEPTH and at and at[-1] != ELEMENT:
            at[-1] = last[1:-1].decode("utf-8", "replace")
            found.add(tuple(at))
        elif depth == 0:
            break
        last = token
        if depth <= 0:
            break
    return frozenset(found)
