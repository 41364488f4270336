"""Which lines differ: a shortest edit script where that is cheap, anchors where it is not, cost capped.

Lines come as small integers. Lines that one side lacks can't match and are set aside; what is left is
searched with Myers' greedy algorithm. Where the two differ too much for that, lines that are as frequent
on both sides are paired in order and the longest run of pairs that don't cross (patience) divides the
problem. The steps are counted: hostile input gets a valid, coarser answer instead of a long wait.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from dsvc.diff.sliding import Block, slide

REGION_STEPS: Final = 200_000
TOTAL_STEPS: Final = 4_000_000
_GALLOP = 32


class Interner:
    """Gives equal values the same small integer."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def numbers(self, values: Iterable[Hashable]) -> list[int]:
        """Integers of the values, in order."""
        known = self._numbers
        return [known.setdefault(value, len(known)) for value in values]


def changed_blocks(old: Sequence[int], new: Sequence[int]) -> list[Block]:
    """Blocks that turn `old` into `new`, in order, no two touching on both sides.

    Between two blocks, before the first and after the last the sides are equal. The time is about linear
    in the lengths where few lines differ or lines are mostly distinct, and bounded for any input.
    """
    head = common_prefix(old, new)
    tail = common_suffix(old, new, head)
    return slide(old, new, _blocks(_search(old, new, head, tail), len(old), len(new), head, tail))


def common_prefix(old: Sequence[int], new: Sequence[int]) -> int:
    """How many items are equal from the start."""
    return _common(old, new, 0, 0, min(len(old), len(new)))


def _common(old: Sequence[int], new: Sequence[int], i: int, j: int, limit: int) -> int:
    """How many items are equal from ``old[i]`` and ``new[j]``, at most `limit`; long runs by slices."""
    found, step = 0, _GALLOP
    while found < limit:
        if old[i + found] != new[j + found]:
            return found
        found += 1
        if found % _GALLOP == 0:
            while (
                step <= limit - found
                and old[i + found : i + found + step] == new[j + found : j + found + step]
            ):
                found += step
                step = min(step * 2, 1 << 16)
            step = max(_GALLOP, step // 8)
    return found


def common_suffix(old: Sequence[int], new: Sequence[int], head: int) -> int:
    """How many items are equal from the end, not counting the first `head`."""
    limit = min(len(old), len(new)) - head
    i, j, found, step = len(old), len(new), 0, _GALLOP
    while found < limit:
        if step <= limit - found and old[i - found - step : i - found] == new[j - found - step : j - found]:
            found += step
            step = min(step * 2, 1 << 16)
        elif step > 1:
            step //= 8 if step > 8 else 2
        else:
            break
    return found


def _search(old: Sequence[int], new: Sequence[int], head: int, tail: int) -> list[int]:
    """For each item of the old middle its match in the new one, or -1; indices of the whole lists."""
    in_old, in_new = set(old[head : len(old) - tail]), set(new[head : len(new) - tail])
    old_at = [i for i in range(head, len(old) - tail) if old[i] in in_new]
    new_at = [j for j in range(head, len(new) - tail) if new[j] in in_old]
    found = [-1] * (len(old) - tail - head)
    for i, j, length in _Matcher([old[i] for i in old_at], [new[j] for j in new_at]).runs():
        for k in range(length):
            found[old_at[i + k] - head] = new_at[j + k]
    return found


def _blocks(found: Sequence[int], old_length: int, new_length: int, head: int, tail: int) -> list[Block]:
    blocks = []
    i = j = head
    for position, match in enumerate([*found, new_length - tail], head):
        if match < 0:
            continue
        if position > i or match > j:
            blocks.append(Block(i, position, j, match))
        i, j = position + 1, match + 1
    return blocks


class _Matcher:
    """Finds runs of equal items in two lists whose items all occur on both sides."""

    def __init__(self, old: list[int], new: list[int]) -> None:
        self._old = old
        self._new = new
        self._steps = TOTAL_STEPS + 8 * (len(old) + len(new))

    def runs(self) -> list[tuple[int, int, int]]:
        """Matches as (old index, new index, length)."""
        found: list[tuple[int, int, int]] = []
        regions = [(0, len(self._old), 0, len(self._new))]
        while regions:
            i, i_end, j, j_end = regions.pop()
            a, b = self._old[i:i_end], self._new[j:j_end]
            head = common_prefix(a, b)
            tail = common_suffix(a, b, head)
            if head:
                found.append((i, j, head))
            if tail:
                found.append((i_end - tail, j_end - tail, tail))
            a, b = a[head : len(a) - tail], b[head : len(b) - tail]
            self._steps -= len(a) + len(b)
            if not a or not b or self._steps <= 0:
                continue
            i, j = i + head, j + head
            whole = self._shortest(a, b)
            if whole is not None:
                found.extend((i + x, j + y, length) for x, y, length in whole)
            else:
                regions.extend(_between(_anchors(a, b), a, b, i, j, found))
        return found

    def _shortest(self, a: list[int], b: list[int]) -> list[tuple[int, int, int]] | None:
        """Runs of a shortest edit script, or None where looking for it costs too much."""
        allowed = min(self._steps, REGION_STEPS + 4 * (len(a) + len(b)))
        trace, spent = _furthest(a, b, allowed)
        self._steps -= spent
        return None if trace is None else _walk_back(trace, len(a), len(b))


def _furthest(a: list[int], b: list[int], allowed: int) -> tuple[list[list[int]] | None, int]:
    """Furthest points for each number of edits and each diagonal, as Myers' algorithm finds them.

    Row d holds the old indices reached on diagonals -d, -d + 2, …, d (old index minus new index).
    """
    n, m = len(a), len(b)
    rows: list[list[int]] = []
    row: list[int] = []
    spent = 0
    for edits in range(n + m + 1):
        last, row = row, []
        for position in range(edits + 1):
            diagonal = 2 * position - edits
            # From the diagonal below by a removal, or from the one above by an addition: the further one.
            removal = last[position - 1] + 1 if position else -1
            addition = last[position] if position < edits else -1
            x = max(removal, addition) if edits else 0
            y = x - diagonal
            if x < n and y < m and a[x] == b[y]:
                length = _common(a, b, x, y, min(n - x, m - y))
                spent += length >> 3
                x += length
            row.append(x)
            if x >= n and x - diagonal >= m:
                rows.append(row)
                return rows, spent
        rows.append(row)
        spent += edits + 1
        if spent > allowed:
            return None, spent
    raise AssertionError("an edit script is never longer than both sides")


def _walk_back(rows: list[list[int]], n: int, m: int) -> list[tuple[int, int, int]]:
    runs = []
    x, y = n, m
    for edits in range(len(rows) - 1, 0, -1):
        last = rows[edits - 1]
        position = (x - y + edits) // 2
        removal = last[position - 1] + 1 if position else -1
        addition = last[position] if position < edits else -1
        start = max(removal, addition)
        if x > start:
            runs.append((start, start - (x - y), x - start))
        x, y = (start - 1, start - (x - y)) if removal >= addition else (start, start - (x - y) - 1)
    if x:
        runs.append((0, 0, x))
    return runs


def _anchors(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """Pairs of equal items that don't cross: of the rarest items that both sides hold equally often."""
    in_a, in_b = Counter(a), Counter(b)
    common = in_a.keys() & in_b.keys()
    alike = [item for item in common if in_a[item] == in_b[item]]
    chosen = {item for item in alike if in_a[item] == 1} or set(alike) or set(common)
    places: dict[int, list[int]] = {}
    for j in range(len(b) - 1, -1, -1):
        if b[j] in chosen:
            places.setdefault(b[j], []).append(j)
    pairs = [(i, places[item].pop()) for i, item in enumerate(a) if places.get(item)]
    return _longest_rising(pairs)


def _longest_rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Longest subsequence whose second members rise; the first members rise already."""
    ends: list[int] = []
    end_at: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(end_at[length - 1] if length else -1)
        if length == len(ends):
            ends.append(j)
            end_at.append(number)
        else:
            ends[length] = j
            end_at[length] = number
    chosen = []
    number = end_at[-1] if end_at else -1
    while number >= 0:
        chosen.append(pairs[number])
        number = before[number]
    return chosen[::-1]


def _between(
    anchors: list[tuple[int, int]],
    a: list[int],
    b: list[int],
    i: int,
    j: int,
    found: list[tuple[int, int, int]],
) -> list[tuple[int, int, int, int]]:
    """Record the anchors as matches and return the regions between them."""
    regions = []
    x = y = 0
    for anchor_x, anchor_y in [*anchors, (len(a), len(b))]:
        if anchor_x > x and anchor_y > y:
            regions.append((i + x, i + anchor_x, j + y, j + anchor_y))
        if anchor_x < len(a):
            found.append((i + anchor_x, j + anchor_y, 1))
        x, y = anchor_x + 1, anchor_y + 1
    return regions
