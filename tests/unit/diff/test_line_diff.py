"""Line differences: valid for every input, shortest where cheap, and never slow."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.diff.line_diff import Interner, changed_blocks, common_prefix, common_suffix
from dsvc.diff.sliding import Block, slide


def check(old: Sequence[int], new: Sequence[int], blocks: Sequence[Block]) -> None:
    """The blocks turn old into new, in order, and each changes something."""
    i = j = 0
    for block in blocks:
        assert block.old_start - i == block.new_start - j
        assert block.old_start > i or block.new_start > j or (i, j) == (0, 0)
        assert old[i : block.old_start] == new[j : block.new_start]
        assert block.old_end > block.old_start or block.new_end > block.new_start
        i, j = block.old_end, block.new_end
    assert old[i:] == new[j:]


def edits(blocks: Sequence[Block]) -> int:
    return sum(b.old_end - b.old_start + b.new_end - b.new_start for b in blocks)


def shortest(old: Sequence[int], new: Sequence[int]) -> int:
    row = list(range(len(new) + 1))
    for i, a in enumerate(old, 1):
        last, row = row, [i]
        for j, b in enumerate(new, 1):
            row.append(last[j - 1] if a == b else 1 + min(last[j], row[-1]))
    return row[-1]


short = st.lists(st.integers(0, 4), max_size=25)


@given(short, short)
@settings(max_examples=1000, deadline=None)
def test_small_differences_are_shortest(old: list[int], new: list[int]) -> None:
    blocks = changed_blocks(old, new)
    check(old, new, blocks)
    assert edits(blocks) == shortest(old, new)


@given(st.lists(st.integers(0, 3), max_size=200), st.integers(0, 3), st.data())
@settings(max_examples=300, deadline=None)
def test_common_ends_are_found_whole(start: list[int], item: int, data: st.DataObject) -> None:
    end = data.draw(st.lists(st.integers(0, 3), max_size=200))
    one, other = [*start, item, *end], [*start, item + 10, *end]
    assert common_prefix(one, other) == len(start)
    assert common_suffix(one, other, 0) == len(end)
    assert common_prefix(one, one) == len(one)
    assert common_suffix(one, one, 3) == len(one) - min(3, len(one))


@pytest.mark.parametrize("lines", [50, 3_000, 40_000])
def test_moved_and_changed_lines(lines: int) -> None:
    chance = random.Random(lines)
    old = [chance.randrange(lines // 3) for _ in range(lines)]
    new = list(old)
    for _ in range(lines // 20):
        position = chance.randrange(len(new))
        new[position : position + chance.randrange(3)] = [
            chance.randrange(lines) for _ in range(chance.randrange(3))
        ]
    blocks = changed_blocks(old, new)
    check(old, new, blocks)
    assert edits(blocks) <= lines // 20 * 5


HOSTILE = {
    "shuffled": lambda n, r: (list(range(n)), r.sample(range(n), n)),
    "two symbols": lambda n, r: ([r.randrange(2) for _ in range(n)], [r.randrange(2) for _ in range(n)]),
    "few symbols": lambda n, r: ([r.randrange(50) for _ in range(n)], [r.randrange(50) for _ in range(n)]),
    "reversed": lambda n, r: (list(range(n)), list(range(n))[::-1]),
    "periodic": lambda n, r: ([0, 1] * (n // 2), [1, 0, 0] * (n // 3)),
    "one symbol": lambda n, r: ([0] * n, [1, *[0] * (n // 2), 1]),
    "blocks swapped": lambda n, r: ([*range(n)], [*range(n // 2, n), *range(n // 2)]),
    "doubled": lambda n, r: ([*range(n)], [k // 2 for k in range(2 * n)]),
}


@pytest.mark.parametrize("lines", [60_000, pytest.param(200_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_takes_bounded_time(name: str, lines: int) -> None:
    old, new = HOSTILE[name](lines, random.Random(1))
    began = time.process_time()
    blocks = changed_blocks(old, new)
    took = time.process_time() - began
    check(old, new, blocks)
    assert took < lines / 10_000, f"{took:.1f} s"


def test_anchors_keep_what_is_common_when_the_search_is_too_dear() -> None:
    chance = random.Random(2)
    common = list(range(10_000, 20_000))
    old = [x for line in common for x in (line, chance.randrange(100))]
    new = [x for line in common for x in (chance.randrange(100), line)]
    blocks = changed_blocks(old, new)
    check(old, new, blocks)
    assert edits(blocks) <= len(old) + len(new) - 2 * len(common)


def test_changes_among_repeated_lines_go_down() -> None:
    a, b, c = 1, 2, 3
    assert changed_blocks([c, a, b], [c, a, b, a, b]) == [Block(3, 3, 3, 5)]
    assert changed_blocks([a, b, a, b, c], [a, b, c]) == [Block(2, 4, 2, 2)]
    # An addition that can stand next to a removal does.
    assert slide([a, a, c], [a, b, a, a], [Block(1, 1, 1, 2), Block(2, 3, 3, 4)]) == [
        Block(1, 1, 1, 2),
        Block(2, 3, 3, 4),
    ]
    assert slide([a, b, c], [a, b, a, b], [Block(0, 0, 0, 2), Block(2, 3, 4, 4)]) == [Block(2, 3, 2, 4)]


@given(short, short)
@settings(max_examples=500, deadline=None)
def test_sliding_keeps_the_difference_right(old: list[int], new: list[int]) -> None:
    # The crudest script there is: match greedily from the left.
    blocks, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        k = next((k for k in range(j, len(new)) if i < len(old) and new[k] == old[i]), None)
        end = (i, k) if k is not None else (len(old), len(new))
        if end != (i, j):
            blocks.append(Block(i, end[0], j, end[1]))
        i, j = end[0] + 1, end[1] + 1
    merged = [b for b in blocks if b.old_start <= len(old)]
    check(old, new, merged)
    slid = slide(old, new, merged)
    check(old, new, slid)
    assert edits(slid) == edits(merged)


def test_equal_values_get_equal_numbers() -> None:
    interner = Interner()
    assert interner.numbers([b"x", b"y", b"x"]) == [0, 1, 0]
    assert interner.numbers([b"z", b"y"]) == [2, 1]
