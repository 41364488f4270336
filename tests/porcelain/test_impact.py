"""impact and lineage: forward to everything that came of something, at a version or in all."""

from __future__ import annotations

import shutil

import pytest

from dsvc.lineage.graph import ArtifactNode, EdgeKind, NodeKind
from dsvc.lineage.trace import Granularity
from dsvc.porcelain.lineage.lineage_impact import ImpactResult
from tests.lineagekit import Lab, numbered
from tests.porcelain.working import Work

SAME = {(0, 0): [(n, n) for n in range(4)]}


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


def told(result: ImpactResult) -> dict[str, int | None]:
    return {each.artifact.path.decode(): each.rows for each in result.artifacts}


def two_sources(lab: Lab) -> None:
    """a.csv and b.csv become all.csv, of that half.csv."""
    items = lab.put({b"a.csv": numbered(4, "a"), b"b.csv": numbered(3, "b")})
    lab.source("来源-a", [items[b"a.csv"]])
    lab.source("b", [items[b"b.csv"]])
    both = lab.put({b"all.csv": numbered(7)})[b"all.csv"]
    links = {(0, 0): [(n, n) for n in range(4)], (0, 1): [(n + 4, n) for n in range(3)]}
    lab.run("mix", [items[b"a.csv"], items[b"b.csv"]], [both], links)
    half = lab.put({b"half.csv": numbered(3)})[b"half.csv"]
    lab.run(
        "filter",
        [both],
        [half],
        {(0, 0): [(0, 1), (1, 3), (2, 5)]},
        drops={0: {0: ("too short", -1), 2: ("duplicate", 1), 4: ("duplicate", 5)}},
    )
    lab.commit()


def test_source_reaches_what_came_of_its_rows(lab: Lab) -> None:
    two_sources(lab)
    found = lab.repo.impact("source:来源-a")
    assert told(found) == {"a.csv": 4, "all.csv": 4, "half.csv": 2}
    assert found.rows == 10
    assert {each.granularity for each in found.artifacts} == {Granularity.ROW}
    assert told(lab.repo.impact("source:b")) == {"b.csv": 3, "all.csv": 3, "half.csv": 1}


def test_file_row_and_run(lab: Lab) -> None:
    two_sources(lab)
    assert told(lab.repo.impact("a.csv")) == {"all.csv": 4, "half.csv": 2}
    assert told(lab.repo.impact("b.csv#@1")) == {"all.csv": 1, "half.csv": 1}
    assert told(lab.repo.impact("run:filter")) == {"half.csv": 3}
    assert told(lab.repo.impact("run:mix")) == {"all.csv": 7, "half.csv": 3}
    assert told(lab.repo.impact("half.csv")) == {}


def test_dropped_row_says_by_which_run_and_why(lab: Lab) -> None:
    two_sources(lab)
    found = lab.repo.impact("a.csv#@2")
    assert told(found) == {"all.csv": 1}
    assert found.dropped is not None
    (drop,) = found.dropped
    assert (drop.artifact.path, drop.row, drop.reason, drop.survivor) == (b"all.csv", 2, "duplicate", 1)
    assert lab.repo.impact("all.csv#@0").dropped[0].survivor is None  # type: ignore[index]
    assert lab.repo.impact("a.csv#@1").dropped == ()
    assert lab.repo.impact("a.csv").dropped is None


def test_rows_of_which_nothing_is_known_are_all_counted(lab: Lab) -> None:
    items = lab.put({b"a.csv": numbered(4), b"model.bin": b"weights"})
    lab.source("s", [items[b"a.csv"]])
    out = lab.put({b"out.csv": numbered(9)})[b"out.csv"]
    lab.run("shuffle", [items[b"a.csv"]], [out])
    scored = lab.put({b"scored.csv": numbered(9, "y")})[b"scored.csv"]
    lab.run("score", [out], [scored], {(0, 0): [(n, n) for n in range(9)]}, lookups=[items[b"model.bin"]])
    lab.commit()
    found = lab.repo.impact("a.csv#@0")
    assert told(found) == {"out.csv": 9, "scored.csv": 9}
    assert {each.granularity for each in found.artifacts} == {Granularity.ARTIFACT}
    assert told(lab.repo.impact("model.bin")) == {"scored.csv": 9}


def test_copies_count_and_files_that_are_gone_do_not(lab: Lab) -> None:
    two_sources(lab)
    shutil.copy(lab.work.folder / "half.csv", lab.work.folder / "副本.csv")
    lab.put({b"all.csv": None})
    lab.commit()
    assert told(lab.repo.impact("source:b")) == {"b.csv": 3, "half.csv": 1, "副本.csv": 1}
    assert told(lab.repo.impact("副本.csv")) == {}
    assert told(lab.repo.impact("half.csv#@0")) == {"副本.csv": 1}
    assert told(lab.repo.impact("source:b", everywhere=True)) == {"b.csv": 3, "half.csv": 1, "副本.csv": 1}
    assert told(lab.repo.impact("HEAD~1:b.csv")) == {"all.csv": 3, "half.csv": 1}


def test_all_looks_at_every_branch(lab: Lab) -> None:
    two_sources(lab)
    lab.work.branch("topic")
    half = lab.repo.manifest_of("HEAD").get(b"half.csv")
    assert half is not None
    lab.run("last", [half], [lab.put({b"last.csv": numbered(1, "z")})[b"last.csv"]], {(0, 0): [(0, 2)]})
    lab.commit()
    lab.repo.checkout("main")
    assert "last.csv" not in told(lab.repo.impact("source:b"))
    assert told(lab.repo.impact("source:b", everywhere=True))["last.csv"] == 1
    assert "last.csv" not in told(lab.repo.impact("source:来源-a", everywhere=True))


def test_pending_runs_reach_what_is_in_the_working_tree(lab: Lab) -> None:
    two_sources(lab)
    half = lab.repo.manifest_of("HEAD").get(b"half.csv")
    assert half is not None
    last = lab.put({b"last.csv": numbered(2, "z")})[b"last.csv"]
    made = lab.run("last", [half], [last], {(0, 0): [(0, 2), (1, 0)]})
    assert told(lab.repo.impact("b.csv")) == {"all.csv": 3, "half.csv": 1}
    for revision in ("WORKTREE", "STAGED"):
        assert told(lab.repo.impact(f"{revision}:b.csv")) == {"all.csv": 3, "half.csv": 1, "last.csv": 1}
    assert told(lab.repo.impact(f"run:{made.id.hex()[:8]}")) == {"last.csv": 2}
    lab.repo.remove([b"last.csv"], cached=True)
    assert told(lab.repo.impact("WORKTREE:b.csv"))["last.csv"] == 1


def test_files_of_folders_count_once(lab: Lab) -> None:
    raw = lab.put({b"raw/%d.png" % n: b"raw %d" % n for n in range(5)})
    lab.source("camera", list(raw.values()), covers=[b"raw"])
    before = lab.folder(b"raw")
    lab.put({b"small/%d.png" % n: b"small %d" % n for n in range(4)})
    lab.run("shrink", [before], [lab.folder(b"small")], SAME)
    # One of them is made again by a run of its own, and all are read with another one.
    lab.put({b"small/3.png": b"sharp 3", b"small/9.png": b"by hand"})
    lab.run("sharpen", [before], [lab.folder(b"small", [b"3.png"])], {(0, 0): [(0, 3)]})
    table = lab.put({b"list.csv": numbered(5)})[b"list.csv"]
    lab.run("list", [lab.folder(b"small")], [table], {(0, 0): [(n, n) for n in range(5)]})
    lab.commit()
    found = lab.repo.impact("source:camera")
    assert told(found)["list.csv"] == 4
    assert found.rows == 5 + 4 + 4, "raw files, small files but the one by hand, rows"
    one = lab.repo.impact("raw/2.png")
    assert (told(one)["list.csv"], one.rows) == (1, 2)
    assert told(lab.repo.impact("small/9.png")) == {"list.csv": 1}
    assert told(lab.repo.impact("raw")) == told(lab.repo.impact("run:shrink")) | told(lab.repo.impact("raw"))


def test_graph_around_a_target(lab: Lab) -> None:
    two_sources(lab)
    whole = lab.repo.lineage()
    kinds = [node.kind for node in whole.graph.ordered()]
    assert {kind: kinds.count(kind) for kind in NodeKind if kind in kinds} == {
        NodeKind.SOURCE: 2,
        NodeKind.ARTIFACT: 4,
        NodeKind.RUN: 2,
    }
    assert [kind for _, _, kind in whole.graph.edges()].count(EdgeKind.USED) == 3

    def paths(direction: str) -> set[str]:
        nodes = lab.repo.lineage("all.csv", direction).graph.nodes()
        return {node.path.decode() for node in nodes if isinstance(node, ArtifactNode)}

    assert paths("up") == {"a.csv", "b.csv", "all.csv"}
    assert paths("down") == {"all.csv", "half.csv"}
    assert paths("both") == {"a.csv", "b.csv", "all.csv", "half.csv"}


def test_without_lineage_there_is_nothing_to_tell(lab: Lab) -> None:
    lab.put({b"a.csv": numbered(2)})
    lab.commit()
    assert len(lab.repo.lineage().graph) == 0
    assert told(lab.repo.impact("a.csv")) == {}
    assert not lab.repo.trace("a.csv").complete


def test_caches_change_no_answer(lab: Lab) -> None:
    two_sources(lab)
    first = {target: told(lab.repo.impact(target)) for target in ("source:b", "a.csv#id=1", "run:mix")}
    shutil.rmtree(lab.work.folder / ".dsvc" / "cache")
    repo = lab.work.reopen()
    assert {target: told(repo.impact(target)) for target in first} == first
