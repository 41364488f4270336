"""Where a change among repeated lines is shown: as low as it can go, or beside a change of the other side.

Of ``a b a b`` with one ``a b`` added, the added lines can be the first or the last two. Readers expect
the last; and a removal that can stand next to an addition reads as a replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Block(NamedTuple):
    """Lines ``old_start:old_end`` became ``new_start:new_end``; one of the two may be empty."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int

    @property
    def removes_only(self) -> bool:
        """Whether no new line stands for it."""
        return self.new_start == self.new_end

    @property
    def is_replacement(self) -> bool:
        """Whether it has lines on both sides."""
        return self.old_start < self.old_end and self.new_start < self.new_end

    def moved(self, lines: int) -> Block:
        """The block that many lines further down."""
        return Block(
            self.old_start + lines, self.old_end + lines, self.new_start + lines, self.new_end + lines
        )

    def joined(self, later: Block) -> Block:
        """Make one block of it and one that begins where it ends."""
        return Block(self.old_start, later.old_end, self.new_start, later.new_end)

    def touches(self, later: Block) -> bool:
        """Whether `later` begins where it ends."""
        return self.old_end == later.old_start and self.new_end == later.new_start


def slide(old: Sequence[int], new: Sequence[int], blocks: Sequence[Block]) -> list[Block]:
    """Move removals and additions within equal lines, joining those that come to touch.

    The steps are capped; what is left then stays where it is.
    """
    waiting = list(reversed(blocks))
    done: list[Block] = []
    steps = 1_000_000 + 4 * (len(old) + len(new))
    while waiting:
        block = waiting.pop()
        if block.is_replacement or steps <= 0:
            done.append(block)
            continue
        lines = old if block.removes_only else new
        previous = done[-1] if done else None
        top = block.moved(-_room_above(lines, block, previous))
        if previous is not None and previous.touches(top) and _same_side(previous, block):
            steps -= block.old_start - top.old_start
            waiting.append(done.pop().joined(top))
            continue
        following = waiting[-1] if waiting else None
        bottom = top.moved(_room_below(lines, top, following, len(old)))
        steps -= 2 * (bottom.old_start - top.old_start) + 1
        if following is not None and bottom.touches(following):
            waiting[-1] = bottom.joined(following)
        elif previous is not None and previous.touches(top):
            done[-1] = previous.joined(top)
        else:
            done.append(bottom)
    return done


def _same_side(one: Block, other: Block) -> bool:
    if other.removes_only:
        return one.old_start < one.old_end
    return one.new_start < one.new_end


def _group(block: Block) -> tuple[int, int]:
    """Start and end of the lines of a block that has them on one side only."""
    if block.removes_only:
        return block.old_start, block.old_end
    return block.new_start, block.new_end


def _room_above(lines: Sequence[int], block: Block, previous: Block | None) -> int:
    start, end = _group(block)
    limit = block.old_start - (previous.old_end if previous is not None else 0)
    room = 0
    while room < limit and lines[start - room - 1] == lines[end - room - 1]:
        room += 1
    return room


def _room_below(lines: Sequence[int], block: Block, following: Block | None, old_length: int) -> int:
    start, end = _group(block)
    limit = (following.old_start if following is not None else old_length) - block.old_end
    room = 0
    while room < limit and lines[start + room] == lines[end + room]:
        room += 1
    return room
