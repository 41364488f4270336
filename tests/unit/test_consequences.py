"""What follows from rows that change: copies, folders, unions, several ways, rows that surely stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsvc.lineage.graph import ArtifactNode
from dsvc.porcelain.repair.consequences import Consequences, Touched, consequences
from dsvc.porcelain.repair.repair_target import Base
from tests.lineagekit import Lab, Thing, csv, numbered
from tests.porcelain.working import Work

SAME = {(0, 0): [(n, n) for n in range(4)]}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Work(tmp_path / "数据"))


def follow(lab: Lab, path: bytes, rows: list[int], removed: list[int] | None = None) -> Consequences:
    head = lab.repo.history.refs.head().commit
    assert head is not None
    base = Base(lab.repo, head)
    node = base.artifact(path).node
    base.resolve([node])
    first = Touched(np.array(rows), np.array(rows if removed is None else removed, np.int64))
    starts = {node: first}
    for folder, number in base.builder.holding(node):
        starts[folder] = Touched(np.array([number]))
    return consequences(base.builder, base.flow, base.files, starts)


def told(found: Consequences) -> dict[str, list[int] | None]:
    return {
        node.path.decode(): None if each.unknown else each.rows.tolist()
        for node, each in found.artifacts.items()
    }


def node_of(found: Consequences, path: bytes) -> ArtifactNode:
    (node,) = [each for each in found.artifacts if each.path == path]
    return node


def test_unions_of_several_ways(lab: Lab) -> None:
    """Both halves of a.csv come together again; a row that came both ways is there once."""
    items = lab.put({b"a.csv": numbered(4)})
    halves = lab.put({b"b.csv": numbered(3, "b"), b"c.csv": numbered(3, "c")})
    lab.run(
        "split",
        [items[b"a.csv"]],
        [halves[b"b.csv"], halves[b"c.csv"]],
        {(0, 0): [(n, n) for n in range(3)], (1, 0): [(n, n + 1) for n in range(3)]},
    )
    both = lab.put({b"all.csv": numbered(4, "all")})
    links = {(0, 0): [(n, n) for n in range(3)], (0, 1): [(n + 1, n) for n in range(3)]}
    lab.run("join", [halves[b"b.csv"], halves[b"c.csv"]], [both[b"all.csv"]], links)
    lab.commit()
    found = follow(lab, b"a.csv", [1, 3])
    assert told(found) == {"a.csv": [1, 3], "b.csv": [1], "c.csv": [0, 2], "all.csv": [1, 3]}
    assert len(found.ways) == 2
    # Row 0 of all.csv has one parent, row 1 two: both are gone with the row of a.csv.
    assert found.artifacts[node_of(found, b"all.csv")].removed.tolist() == [1, 3]


def test_aggregates_stay_while_a_member_stays(lab: Lab) -> None:
    items = lab.put({b"a.csv": numbered(4)})
    sums = lab.put({b"sums.csv": numbered(2, "s")})
    links = {(0, 0): [(0, 0), (0, 1), (1, 2)]}
    lab.run("sum", [items[b"a.csv"]], [sums[b"sums.csv"]], links)
    lab.commit()
    found = follow(lab, b"a.csv", [0, 2])
    reached = found.artifacts[node_of(found, b"sums.csv")]
    assert (reached.rows.tolist(), reached.removed.tolist()) == ([0, 1], [1])


def test_copies_that_no_run_made(lab: Lab) -> None:
    items = lab.put({b"a.csv": numbered(4)})
    made = lab.put({b"b.csv": numbered(4, "b"), b"copy/b2.csv": numbered(4, "b")})
    lab.run("map", [items[b"a.csv"]], [made[b"b.csv"]], SAME)
    after = lab.put({b"c.csv": numbered(4, "c")})
    lab.run("map", [made[b"copy/b2.csv"]], [after[b"c.csv"]], SAME)
    lab.commit()
    found = follow(lab, b"a.csv", [2])
    assert told(found) == {"a.csv": [2], "b.csv": [2], "copy/b2.csv": [2], "c.csv": [2]}
    copies = [(way.origin, way.copies) for way in found.ways if way.run is None]
    assert copies == [(b"b.csv", (b"copy/b2.csv",))]


def test_files_of_a_folder(lab: Lab) -> None:
    """A run reads one file that another one made with a folder; of it all rows may change."""
    items = lab.put({b"a.csv": numbered(4)})
    lab.put({b"parts/x.csv": numbered(2, "x"), b"parts/y.csv": numbered(2, "y")})
    folder: Thing = lab.folder(b"parts")
    lab.run("cut", [items[b"a.csv"]], [folder], {(0, 0): [(0, 0), (0, 1), (1, 2), (1, 3)]})
    entry = lab.repo.manifest_of("STAGED").get(b"parts/y.csv")
    assert entry is not None
    after = lab.put({b"c.csv": numbered(2, "c")})
    lab.run("map", [entry], [after[b"c.csv"]], {(0, 0): [(0, 0), (1, 1)]})
    lab.commit()
    found = follow(lab, b"a.csv", [3])
    assert told(found) == {"a.csv": [3], "parts": [1], "parts/y.csv": None, "c.csv": None}
    assert [way.run is None for way in found.ways] == [False, False]
    assert told(follow(lab, b"parts/y.csv", [0])) == {"parts/y.csv": [0], "parts": [1], "c.csv": [0]}


def test_what_no_row_reaches_surely_stays(lab: Lab) -> None:
    """A row-wise filter left row 0 out: it may come once it is another one, not when it goes."""
    items = lab.put({b"a.csv": numbered(4)})
    made = lab.put({b"b.csv": numbered(3, "b"), b"c.csv": numbered(3, "c")})
    lab.run(
        "filter", [items[b"a.csv"]], [made[b"b.csv"]], {(0, 0): [(n, n + 1) for n in range(3)]}, rowwise=True
    )
    lab.run("map", [made[b"b.csv"]], [made[b"c.csv"]], {(0, 0): [(n, n) for n in range(3)]})
    lab.commit()
    assert told(follow(lab, b"a.csv", [0])) == {"a.csv": [0]}
    assert follow(lab, b"a.csv", [0]).ways == []
    changed = follow(lab, b"a.csv", [0], [])
    assert told(changed) == {"a.csv": [0], "b.csv": [], "c.csv": []}
    assert len(changed.ways) == 2


def test_older_versions_are_no_part_of_it(lab: Lab) -> None:
    items = lab.put({b"a.csv": numbered(4)})
    first = lab.put({b"b.csv": numbered(4, "old")})
    lab.run("map", [items[b"a.csv"]], [first[b"b.csv"]], SAME)
    lab.run("gone", [first[b"b.csv"]], [lab.put({b"x.csv": numbered(4, "x")})[b"x.csv"]], SAME)
    lab.commit()
    second = lab.put({b"b.csv": numbered(4, "new"), b"x.csv": None})
    newer = lab.run("map", [items[b"a.csv"]], [second[b"b.csv"]], {(0, 0): [(n, 3 - n) for n in range(4)]})
    lab.commit()
    found = follow(lab, b"a.csv", [0])
    assert told(found) == {"a.csv": [0], "b.csv": [3]}
    assert [way.run for way in found.ways] == [newer.id]


def test_chains_of_duplicates_come_back_together(lab: Lab) -> None:
    """Row 2 was left out for row 1, that one for row 0."""
    items = lab.put({b"a.csv": numbered(4)})
    made = lab.put({b"b.csv": csv([(0, "b"), (3, "b")])})
    drops = {0: {1: ("duplicate", 0), 2: ("duplicate", 1)}}
    lab.run("dedup", [items[b"a.csv"]], [made[b"b.csv"]], {(0, 0): [(0, 0), (1, 3)]}, drops=drops)
    after = lab.put({b"c.csv": numbered(2, "c")})
    lab.run("map", [made[b"b.csv"]], [after[b"c.csv"]], {(0, 0): [(0, 0), (1, 1)]}, rowwise=True)
    lab.commit()
    found = follow(lab, b"a.csv", [0])
    assert {node.path: rows.tolist() for node, rows in found.returning.items()} == {b"a.csv": [1, 2]}
    assert found.artifacts[node_of(found, b"b.csv")].arriving == 1
    assert found.artifacts[node_of(found, b"c.csv")].arriving == 1
    assert follow(lab, b"a.csv", [3]).returning == {}
