"""Three-way merge of texts by line, as ``git merge-file --diff3`` does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dsvc.diff.content import BufferContent
from dsvc.diff.line_ranges import changed_ranges
from dsvc.diff.sliding import Block

MARKER_CHARS: Final = 7


class _Change(NamedTuple):
    """Bytes of base that one or both sides changed, and what stands for them in each."""

    base: tuple[int, int]
    ours: tuple[int, int]
    theirs: tuple[int, int]
    by_ours: bool
    by_theirs: bool


def merge3(
    base: bytes,
    ours: bytes,
    theirs: bytes,
    *,
    ours_name: str = "ours",
    base_name: str = "base",
    theirs_name: str = "theirs",
) -> tuple[bytes, int]:
    """Merge what both sides changed since base.

    Changes of different lines are united, equal changes agree; changes that overlap or touch are a
    conflict, shown between markers with what each side and base have.

    Parameters
    ----------
    ours_name, base_name, theirs_name : str
        Shown at the markers.

    Returns
    -------
    merged : bytes
        With conflict markers where there are conflicts.
    conflicts : int
        How many there are; 0 means that the merge is clean.
    """
    sides = (BufferContent(base), BufferContent(ours), BufferContent(theirs))
    mine = list(changed_ranges(sides[0], sides[1]))
    other = list(changed_ranges(sides[0], sides[2]))
    names = [
        name.replace("\n", " ").encode("utf-8", "surrogateescape")
        for name in (ours_name, base_name, theirs_name)
    ]
    pieces: list[bytes] = []
    at, conflicts = 0, 0
    for change in _united(mine, other):
        pieces.append(base[at : change.base[0]])
        at = change.base[1]
        our_part, their_part = ours[slice(*change.ours)], theirs[slice(*change.theirs)]
        if change.by_ours and change.by_theirs and our_part != their_part:
            conflicts += 1
            parts = (our_part, base[slice(*change.base)], their_part)
            pieces.extend(_marked(parts, names, _line_end(ours, base, theirs)))
        else:
            pieces.append(our_part if change.by_ours else their_part)
    pieces.append(base[at:])
    return b"".join(pieces), conflicts


def _united(mine: Sequence[Block], other: Sequence[Block]) -> Iterator[_Change]:
    """Unite changes that overlap or touch in base, whichever side they are of."""
    tagged = sorted([(block, True) for block in mine] + [(block, False) for block in other], key=_place)
    shift_ours = shift_theirs = 0
    position = 0
    while position < len(tagged):
        start, end = tagged[position][0].old_start, tagged[position][0].old_end
        grown_ours = grown_theirs = 0
        by_ours = by_theirs = False
        while position < len(tagged) and tagged[position][0].old_start <= end:
            block, is_mine = tagged[position]
            end = max(end, block.old_end)
            growth = (block.new_end - block.new_start) - (block.old_end - block.old_start)
            if is_mine:
                by_ours, grown_ours = True, grown_ours + growth
            else:
                by_theirs, grown_theirs = True, grown_theirs + growth
            position += 1
        yield _Change(
            (start, end),
            (start + shift_ours, end + shift_ours + grown_ours),
            (start + shift_theirs, end + shift_theirs + grown_theirs),
            by_ours,
            by_theirs,
        )
        shift_ours += grown_ours
        shift_theirs += grown_theirs


def _place(tagged: tuple[Block, bool]) -> tuple[int, int]:
    return tagged[0].old_start, tagged[0].old_end


def _line_end(*texts: bytes) -> bytes:
    """How lines end in the first text that has a line end."""
    for text in texts:
        position = text.find(b"\n")
        if position >= 0:
            return b"\r\n" if text[max(0, position - 1) : position] == b"\r" else b"\n"
    return b"\n"


def _marked(parts: Sequence[bytes], names: Sequence[bytes], line_end: bytes) -> Iterator[bytes]:
    ours, base, theirs = parts
    our_name, base_name, their_name = names
    for char, name, part in ((b"<", our_name, ours), (b"|", base_name, base), (b"=", b"", theirs)):
        yield char * MARKER_CHARS + (b" " + name if name else b"") + line_end
        yield part
        if part and not part.endswith(b"\n"):
            yield line_end
    yield b">" * MARKER_CHARS + (b" " + their_name if their_name else b"") + line_end
