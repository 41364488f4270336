"""Which bytes differ, in whole lines: first by chunk, then by line where chunks differ.

What both sides hold in equal chunks is neither read nor compared. A stretch that differs throughout and
is too long to be held in memory comes as one range: right, though not the shortest.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final

from dsvc.diff.content import Content, lines_between, skip_lines, skip_lines_back
from dsvc.diff.line_diff import Interner, changed_blocks
from dsvc.diff.sliding import Block

CHUNKED_BYTES: Final = 2 << 20
"""Less than this in memory is compared by line at once."""
MAX_REGION_BYTES: Final = 128 << 20
MAX_REGION_LINES: Final = 1_500_000
_HASHED_BYTES: Final = 16 << 20
_KEY_BYTES: Final = 24


def changed_ranges(old: Content, new: Content) -> Iterator[Block]:
    """Ranges of bytes that differ, in order; each begins at a line and ends after one, or at the end.

    Between two ranges lies at least one line that both sides share.

    Raises
    ------
    DiffTooLargeError
        If a side has too many chunks.
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError
        If what differs can't be read.
    """
    spans = changed_spans(old, new)
    for span in _whole_lines(old, new, spans):
        yield from _by_line(old, new, span)


def changed_spans(old: Content, new: Content) -> list[Block]:
    """Ranges of bytes outside the chunks that both sides share in the same order."""
    if max(old.size, new.size) <= CHUNKED_BYTES:
        whole = Block(0, old.size, 0, new.size)
        return [whole] if old.size or new.size else []
    one, other = old.table(), new.table()
    shorter = min(len(one), len(other))
    head = 0
    while head < shorter and one.id(head) == other.id(head):
        head += 1
    tail = 0
    while tail < shorter - head and one.id(len(one) - tail - 1) == other.id(len(other) - tail - 1):
        tail += 1
    interner = Interner()
    blocks = changed_blocks(
        interner.numbers(map(one.id, range(head, len(one) - tail))),
        interner.numbers(map(other.id, range(head, len(other) - tail))),
    )
    return [
        Block(
            one.offsets[head + block.old_start],
            one.offsets[head + block.old_end],
            other.offsets[head + block.new_start],
            other.offsets[head + block.new_end],
        )
        for block in blocks
    ]


def _whole_lines(old: Content, new: Content, spans: Iterable[Block]) -> Iterator[Block]:
    """Widen spans to whole lines, joining those that come to touch."""
    pending: Block | None = None
    for span in spans:
        floor = pending.old_end if pending is not None else 0
        start = skip_lines_back(old, floor, span.old_start, 0)
        widened = Block(start, span.old_end, span.new_start - (span.old_start - start), span.new_end)
        if pending is not None:
            # The rest of the line that `pending` ends in is common, and may reach into this span.
            stop = pending.old_end + _rest_of_line(old, new, pending, start)
            if stop == start:
                pending = pending.joined(widened)
                continue
            yield _ended(pending, stop - pending.old_end)
        pending = widened
    if pending is not None:
        yield _ended(pending, _rest_of_line(old, new, pending, old.size))


def _ended(span: Block, more: int) -> Block:
    return Block(span.old_start, span.old_end + more, span.new_start, span.new_end + more)


def _rest_of_line(old: Content, new: Content, span: Block, limit: int) -> int:
    """How many common bytes after a span belong to its last line."""
    whole = _ends_line(old, span.old_start, span.old_end) and _ends_line(new, span.new_start, span.new_end)
    return 0 if whole else skip_lines(old, span.old_end, limit, 1) - span.old_end


def _ends_line(content: Content, start: int, end: int) -> bool:
    """Whether a range that begins at a line also ends after one."""
    return start == end or b"".join(content.windows(end - 1, end)) == b"\n"


def _by_line(old: Content, new: Content, span: Block) -> Iterator[Block]:
    length = span.old_end - span.old_start + span.new_end - span.new_start
    if length > MAX_REGION_BYTES:
        yield span
        return
    interner = Interner()
    key = _digest_key if length > _HASHED_BYTES else _plain_key
    one = _numbered(old, span.old_start, span.old_end, interner, key)
    other = _numbered(new, span.new_start, span.new_end, interner, key)
    if one is None or other is None:
        yield span
        return
    i = j = 0
    old_offset, new_offset = span.old_start, span.new_start
    for block in changed_blocks(one[0], other[0]):
        old_start = old_offset + sum(one[1][i : block.old_start])
        new_start = new_offset + sum(other[1][j : block.new_start])
        i, j = block.old_end, block.new_end
        old_offset = old_start + sum(one[1][block.old_start : i])
        new_offset = new_start + sum(other[1][block.new_start : j])
        yield Block(old_start, old_offset, new_start, new_offset)


def _plain_key(line: bytes) -> Hashable:
    return line


def _digest_key(line: bytes) -> Hashable:
    # Many long lines would not fit into memory. Only digests are as long as a digest, so that no line
    # can pass for another one's.
    if len(line) < _KEY_BYTES:
        return line
    return hashlib.blake2b(line, digest_size=_KEY_BYTES).digest()


def _numbered(
    content: Content, start: int, end: int, interner: Interner, key: Callable[[bytes], Hashable]
) -> tuple[list[int], array[int]] | None:
    """Numbers and lengths of the lines, or None where they are too many."""
    lengths = array("Q")

    def keys() -> Iterator[Hashable]:
        for line in lines_between(content, start, end):
            lengths.append(len(line))
            if len(lengths) > MAX_REGION_LINES // 2:
                return
            yield key(line)

    numbers = interner.numbers(keys())
    return (numbers, lengths) if len(numbers) == len(lengths) else None
