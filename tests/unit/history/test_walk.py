"""Walks over graphs that are not stored anywhere: deep, wide, dense, dated wrongly, or circular."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.history.commit_codec import Commit
from dsvc.history.merge_base import is_ancestor, merge_bases
from dsvc.history.signature import Signature
from dsvc.history.walk import ancestors, log
from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import CommitId, NodeId

Graph = dict[int, tuple[int, ...]]


def name(number: int) -> CommitId:
    return CommitId(f"{number:040x}")


def reader(graph: Graph, dates: dict[int, int] | None = None) -> Callable[[CommitId], Commit]:
    def read(id_: CommitId) -> Commit:
        number = int(id_, 16)
        who = Signature(name="", email="", seconds=number if dates is None else dates.get(number, 0))
        return Commit(
            id=id_,
            parents=tuple(name(parent) for parent in graph[number]),
            author=who,
            committer=who,
            message="",
            manifest=NodeId(bytes(32)),
            files=0,
            bytes=0,
            lineage=None,
            trailers=(),
        )

    return read


def numbers(commits: object) -> list[int]:
    return [int(commit.id, 16) for commit in commits]  # type: ignore[attr-defined]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, dict[int, int]]:
    count = draw(st.integers(1, 14))
    graph: Graph = {}
    for number in range(count):
        earlier = st.lists(st.integers(0, number - 1), max_size=3, unique=True) if number else st.just([])
        graph[number] = tuple(draw(earlier))
    dates = {number: draw(st.integers(0, 5)) for number in graph}
    return graph, dates


def all_ancestors(graph: Graph, start: int) -> set[int]:
    seen, pending = {start}, [start]
    while pending:
        for parent in graph[pending.pop()]:
            if parent not in seen:
                seen.add(parent)
                pending.append(parent)
    return seen


@given(graphs(), st.data())
def test_merge_bases_are_right_whatever_the_dates(
    drawn: tuple[Graph, dict[int, int]], data: st.DataObject
) -> None:
    graph, dates = drawn
    a = data.draw(st.sampled_from(sorted(graph)))
    b = data.draw(st.sampled_from(sorted(graph)))
    shared = all_ancestors(graph, a) & all_ancestors(graph, b)
    best = {
        one
        for one in shared
        if not any(one != other and one in all_ancestors(graph, other) for other in shared)
    }
    read = reader(graph, dates)
    assert {int(id_, 16) for id_ in merge_bases(read, name(a), name(b))} == best
    assert is_ancestor(read, name(a), name(b)) == (a in all_ancestors(graph, b))


@given(graphs(), st.data())
def test_log_is_topological_and_complete_whatever_the_dates(
    drawn: tuple[Graph, dict[int, int]], data: st.DataObject
) -> None:
    graph, dates = drawn
    some = st.lists(st.sampled_from(sorted(graph)), min_size=1, max_size=3)
    starts, hidden = data.draw(some), data.draw(st.lists(st.sampled_from(sorted(graph)), max_size=2))
    read = reader(graph, dates)
    found = numbers(log(read, [name(s) for s in starts], exclude=[name(h) for h in hidden]))
    left_out = set().union(*(all_ancestors(graph, h) for h in hidden))
    assert sorted(found) == sorted(set().union(*(all_ancestors(graph, s) for s in starts)) - left_out)
    at = {number: position for position, number in enumerate(found)}
    for child in found:
        assert all(at[child] < at[parent] for parent in graph[child] if parent in at)
    limit = data.draw(st.integers(0, len(found)))
    assert (
        numbers(log(read, [name(s) for s in starts], limit=limit, exclude=[name(h) for h in hidden]))
        == found[:limit]
    )


def test_the_later_date_comes_first_among_several() -> None:
    graph: Graph = {0: (), 1: (0,), 2: (0,), 3: (1,), 4: (2,), 5: (3, 4)}
    assert numbers(log(reader(graph), [name(5)])) == [5, 4, 3, 2, 1, 0]
    dates = {0: 0, 1: 10, 2: 1, 3: 11, 4: 2, 5: 20}
    assert numbers(log(reader(graph, dates), [name(5)])) == [5, 3, 1, 4, 2, 0]


def test_a_plain_line_is_read_as_it_is_asked_for() -> None:
    graph: Graph = {number: (number - 1,) if number else () for number in range(1000)}
    read = reader(graph)
    asked: list[CommitId] = []

    def counting(id_: CommitId) -> Commit:
        asked.append(id_)
        return read(id_)

    assert numbers(log(counting, [name(999)], limit=3)) == [999, 998, 997]
    assert len(asked) == 3
    asked.clear()
    assert merge_bases(counting, name(999), name(990)) == [name(990)]
    assert len(asked) < 30


@pytest.mark.parametrize(
    "graph",
    [
        {number: (number - 1,) if number else () for number in range(20_000)},
        # A lattice: 2^5000 paths.
        {number: tuple(p for p in (number - 1, number - 2) if p >= 0) for number in range(10_000)},
        {0: (), **dict.fromkeys(range(1, 10001), (0,)), 10_001: tuple(range(1, 10_001))},
    ],
    ids=["deep", "lattice", "octopus"],
)
def test_h21_large_graphs_take_linear_time(graph: Graph) -> None:
    read = reader(graph)
    tip = max(graph)
    start = time.process_time()
    assert len(list(log(read, [name(tip)]))) == len(graph)
    assert len(ancestors(read, [name(tip)])) == len(graph)
    assert merge_bases(read, name(tip), name(0)) == [name(0)]
    assert time.process_time() - start < 5
    assert len(graph) > sys.getrecursionlimit()


@pytest.mark.parametrize(
    "graph", [{0: (0,)}, {0: (1,), 1: (0,)}, {0: (1, 2), 1: (2,), 2: (0,)}, {3: (1, 2), 1: (2,), 2: (1,)}]
)
def test_h21_circles_end(graph: Graph) -> None:
    read = reader(graph)
    tip = name(max(graph))
    with pytest.raises(CorruptDataError):
        list(log(read, [tip]))
    ancestors(read, [tip])
    merge_bases(read, tip, name(min(graph)))


def test_criss_cross_has_two_bases_and_strangers_have_none() -> None:
    graph: Graph = {0: (), 1: (0,), 2: (0,), 3: (1, 2), 4: (2, 1), 9: ()}
    assert sorted(merge_bases(reader(graph), name(3), name(4))) == [name(1), name(2)]
    assert merge_bases(reader(graph), name(3), name(9)) == []
    assert merge_bases(reader(graph), name(3), name(3)) == [name(3)]


def test_an_older_base_with_a_later_date_is_none() -> None:
    """The base that comes first by its date is an ancestor of the other, over commits not looked at."""
    graph: Graph = {0: (), 1: (0,), 2: (1,), 3: (2,), 4: (3, 0), 5: (3, 0)}
    dates = {0: 100, 1: 1, 2: 1, 3: 50, 4: 200, 5: 201}
    assert merge_bases(reader(graph, dates), name(4), name(5)) == [name(3)]


def test_of_equal_dates_the_one_that_was_ready_first_comes_first() -> None:
    graph: Graph = {0: (), 1: (0,), 2: (0,), 3: (0,), 4: (3,), 5: (1,), 6: (4, 2, 5)}
    assert numbers(log(reader(graph, {}), [name(6)])) == [6, 4, 2, 5, 3, 1, 0]
    assert numbers(log(reader(graph, {}), [name(2), name(5), name(4)])) == [2, 5, 4, 1, 3, 0]


def test_what_is_hidden_hides_nothing_beside_it() -> None:
    graph: Graph = {0: (), 1: (0,), 2: (0,), 3: (1, 2), 4: (0,), 5: (3, 4)}
    assert numbers(log(reader(graph), [name(5)], exclude=[name(1)])) == [5, 4, 3, 2]
    assert numbers(log(reader(graph), [name(5)], exclude=[name(3)])) == [5, 4]
    assert numbers(log(reader(graph), [name(5)], exclude=[name(4), name(1)])) == [5, 3, 2]


def test_two_bases_above_many_ways() -> None:
    graph: Graph = {number: tuple(p for p in (number - 1, number - 2) if p >= 0) for number in range(100)}
    graph |= {100: (99, 98), 101: (99, 98), 102: (100, 101), 103: (100, 101)}
    assert set(merge_bases(reader(graph), name(102), name(103))) == {name(100), name(101)}
