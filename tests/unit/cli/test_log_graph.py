"""The lines of a history: every commit in its lane, every lane leads where it should."""

from __future__ import annotations

import random

import pytest

from dsvc.cli.versions.log_graph import Graph


def draw(*history: tuple[str, str]) -> list[str]:
    graph = Graph()
    rows = []
    for commit, parents in history:
        above, star, below = graph.rows(commit, parents.split())
        rows += [*above, f"{star} {commit}", *below]
    assert graph.margin() == ""
    return rows


def test_a_straight_history_is_one_lane() -> None:
    assert draw(("c", "b"), ("b", "a"), ("a", "")) == ["* c", "* b", "* a"]


def test_a_merge_opens_a_lane_and_the_fork_closes_it() -> None:
    assert draw(("m", "b c"), ("b", "a"), ("c", "a"), ("a", "")) == [
        "* m",
        "|\\",
        "* | b",
        "| * c",
        "|/",
        "* a",
    ]


def test_two_roots_end_in_lanes_of_their_own() -> None:
    assert draw(("b", ""), ("a", "")) == ["* b", "* a"]
    assert draw(("m", "b a"), ("b", ""), ("a", ""))[:3] == ["* m", "|\\", "* | b"]


@pytest.mark.parametrize("seed", range(40))
def test_any_history_keeps_each_commit_in_one_lane(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"c{n}" for n in range(30)]
    graph = Graph()
    for index, name in enumerate(names):
        later = names[index + 1 :]
        parents = chance.sample(later, min(len(later), chance.choice([1, 1, 1, 2, 3])))
        above, star, below = graph.rows(name, parents)
        assert star.count("*") == 1
        assert set(star) <= {"*", "|", " "}
        assert all(set(row) <= set("|\\/_ ") for row in above + below)
    assert graph.margin() == ""


def test_lanes_to_the_right_move_up_when_one_closes() -> None:
    rows = draw(("m", "a b c"), ("a", "z"), ("b", "z"), ("c", "z"), ("z", ""))
    assert rows[0] == "* m"
    assert rows[-1] == "* z"
    assert [row for row in rows if row.endswith(("a", "b", "c"))] == ["* | | a", "| * | b", "| | * c"]
    assert all(row == row.rstrip() for row in rows)
