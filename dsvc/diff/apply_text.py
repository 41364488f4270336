"""Apply the hunks of a patch to a text: as strict as ``git apply``, lines may have moved but not changed."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.diff.patch_file import Hunk
from dsvc.diff.patch_format import PatchConflictError


def apply_hunks(old: bytes, hunks: Sequence[Hunk], name: str) -> bytes:
    """Return the text with all hunks applied.

    A hunk is looked for where it says, then nearer lines first, never before the end of the one that precedes
    it. One that begins at line 1 has to be at the beginning of the file, one without equal lines at its end
    at the end, as ``git apply`` has it.

    Parameters
    ----------
    old : bytes
        The text.
    name : str
        Its path, for messages.

    Raises
    ------
    PatchConflictError
        If the lines of a hunk are nowhere.
    """
    lines = old.splitlines(keepends=True) if b"\r" not in old else _lines(old)
    out: list[bytes] = []
    done, shift = 0, 0
    for hunk in hunks:
        # Of an empty stretch the line before it is named.
        expected = hunk.old_start - (1 if hunk.old else 0) + shift
        place = _find(lines, hunk, expected, done)
        if place is None:
            raise PatchConflictError(
                f"the patch doesn't apply to {name}: line {hunk.old_start} and what follows is not as it was",
                hint="nothing was written",
                details={"path": name, "line": hunk.old_start},
            )
        shift += place - expected
        out += lines[done:place]
        out += hunk.new
        done = place + len(hunk.old)
    out += lines[done:]
    return b"".join(out)


def _lines(text: bytes) -> list[bytes]:
    """Lines that end with a newline only: a carriage return belongs to its line."""
    parts = text.split(b"\n")
    rest = parts.pop()
    return [part + b"\n" for part in parts] + ([rest] if rest else [])


def _find(lines: Sequence[bytes], hunk: Hunk, expected: int, first: int) -> int | None:
    last = len(lines) - len(hunk.old)
    if hunk.old_start <= 1:
        candidates = [0] if _trailing(hunk) or last == 0 else []
    elif not _trailing(hunk):
        candidates = [last]
    else:
        candidates = [expected]
        for distance in range(1, max(expected - first, last - expected, 0) + 1):
            candidates += [expected - distance, expected + distance]
    for place in candidates:
        if first <= place <= last and list(lines[place : place + len(hunk.old)]) == hunk.old:
            return place
    return None


def _trailing(hunk: Hunk) -> int:
    """How many equal lines the hunk ends with."""
    equal = 0
    for one, other in zip(reversed(hunk.old), reversed(hunk.new), strict=False):
        if one != other:
            break
        equal += 1
    return equal
