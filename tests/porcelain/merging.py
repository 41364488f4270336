"""What the tests of merges share."""

from __future__ import annotations

LINES = b"".join(b"line %d\n" % n for n in range(20))


def edited(*numbers: int, by: bytes = b"changed") -> bytes:
    lines = LINES.splitlines(keepends=True)
    for number in numbers:
        lines[number] = by + b" %d\n" % number
    return b"".join(lines)
