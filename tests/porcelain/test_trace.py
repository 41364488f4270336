"""trace: from files and rows back to sources, through renames, copies, folders, reruns."""

from __future__ import annotations

import shutil

import pytest

from dsvc.lineage.trace import GapReason, Granularity, How
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.run_record import RunKind
from dsvc.model.source_record import Status
from dsvc.porcelain.lineage.lineage_trace import TraceResult
from dsvc.porcelain.runs.known_run import AmbiguousRunError
from tests.lineagekit import Folder, Lab, csv, numbered
from tests.porcelain.working import Work


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


def told(result: TraceResult) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(each.step.artifact.path.decode(), each.step.how.value, each.positions) for each in result.steps]


def chain(lab: Lab) -> None:
    """网页.csv of six rows; clean.csv has those of odd number, 成品.csv these in reverse, one merged."""
    raw = lab.put({"网页.csv".encode(): numbered(6)})["网页.csv".encode()]
    lab.source("web-2024", [raw])
    clean = lab.put({b"clean.csv": csv([(1, "x"), (3, "y"), (5, "x")])})[b"clean.csv"]
    lab.run(
        "filter",
        [raw],
        [clean],
        {(0, 0): [(0, 1), (1, 3), (2, 5)]},
        drops={0: {0: ("too short", -1), 2: ("duplicate", 1)}},
        changed={0: [3]},
    )
    final = lab.put({"成品.csv".encode(): csv([(1, "x"), (3, "y")])})["成品.csv".encode()]
    lab.run("merge", [clean], [final], {(0, 0): [(0, 0), (0, 2), (1, 1)]})
    lab.commit()


def test_row_goes_back_to_the_rows_of_its_source(lab: Lab) -> None:
    chain(lab)
    found = lab.repo.trace("成品.csv#@0")
    assert told(found) == [
        ("成品.csv", "generated", (0,)),
        ("clean.csv", "generated", (0, 2)),
        ("网页.csv", "attested", (1, 5)),
    ]
    assert found.complete
    assert [(each.source.id, each.rows) for each in found.sources] == [("web-2024", 2)]
    assert all(each.step.granularity is Granularity.ROW for each in found.steps)
    assert [each.step.fates for each in found.steps] == [("merged",), ("kept", "kept"), ()]
    assert told(lab.repo.trace("成品.csv#id=3"))[-1] == ("网页.csv", "attested", (3,))
    assert lab.repo.trace("成品.csv#id=3").steps[1].step.fates == ("changed",)


def test_file_goes_back_as_a_whole(lab: Lab) -> None:
    chain(lab)
    found = lab.repo.trace("成品.csv")
    assert [(path, how) for path, how, _ in told(found)] == [
        ("成品.csv", "generated"),
        ("clean.csv", "generated"),
        ("网页.csv", "attested"),
    ]
    assert found.complete
    assert [each.step.row_count for each in found.steps] == [2, 3, 6]
    assert all(each.step.granularity is Granularity.ARTIFACT for each in found.steps)
    assert found.steps[0].run is not None
    assert found.steps[0].run.name == "merge"


def test_each_step_says_how_to_check_it(lab: Lab) -> None:
    chain(lab)
    found = lab.repo.trace("成品.csv#@0")
    run = found.steps[0].step.run
    assert run is not None
    assert found.steps[0].check == f"dsvc rerun {run.short()} --check"
    assert found.steps[2].check == "dsvc cat 'HEAD:网页.csv' | b3sum"
    old = lab.repo.history.refs.head().commit
    assert old is not None
    lab.put({"网页.csv".encode(): None})
    lab.commit("raw data are gone")
    assert lab.repo.trace("成品.csv").steps[2].check == f"dsvc cat '{old[:12]}:网页.csv' | b3sum"


def test_pending_runs_count_for_the_working_tree_and_what_is_staged(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(3)})[b"raw.csv"]
    lab.source("s", [raw])
    lab.commit()
    out = lab.put({b"out.csv": numbered(2)})[b"out.csv"]
    lab.run("filter", [raw], [out], {(0, 0): [(0, 0), (1, 1)]})
    for revision in ("STAGED", "WORKTREE"):
        found = lab.repo.trace(f"{revision}:out.csv#@1")
        assert told(found) == [("out.csv", "generated", (1,)), ("raw.csv", "attested", (1,))]
        assert found.complete
    with pytest.raises(NotFoundError) as caught:
        lab.repo.trace("out.csv")
    assert caught.value.hint == "what no commit has yet is WORKTREE:out.csv"


def test_way_without_a_source_is_not_complete(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(3)})[b"raw.csv"]
    out = lab.put({b"out.csv": numbered(2)})[b"out.csv"]
    lab.run("filter", [raw], [out], {(0, 0): [(0, 0), (1, 1)]})
    lab.commit()
    found = lab.repo.trace("out.csv#@1")
    assert [each.step.how for each in found.steps] == [How.GENERATED, How.UNKNOWN]
    assert not found.complete
    assert [(gap.artifact.path, gap.reason) for gap in found.gaps] == [(b"raw.csv", GapReason.NO_SOURCE)]


def test_source_that_is_withdrawn_later_ends_no_way(lab: Lab) -> None:
    chain(lab)
    raw = lab.repo.manifest_of("HEAD").get("网页.csv".encode())
    assert raw is not None
    lab.source("web-2024", [raw], status=Status.WITHDRAWN)
    found = lab.repo.trace("成品.csv#@0")
    assert not found.complete
    assert [gap.reason for gap in found.gaps] == [GapReason.NOT_IN_FORCE]
    assert found.sources[0].source.status is Status.WITHDRAWN


def test_rows_of_one_file_may_have_different_sources(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(4)})[b"raw.csv"]
    lab.source("a", [raw], rows={b"raw.csv": [0, 1]})
    lab.source("b", [raw], rows={b"raw.csv": [2]})
    lab.commit()
    assert [each.source.id for each in lab.repo.trace("raw.csv#@1").sources] == ["a"]
    assert [each.source.id for each in lab.repo.trace("raw.csv#@2").sources] == ["b"]
    assert not lab.repo.trace("raw.csv#@3").complete
    whole = lab.repo.trace("raw.csv")
    assert [(each.source.id, each.rows) for each in whole.sources] == [("a", 2), ("b", 1)]
    assert [(gap.reason, gap.rows) for gap in whole.gaps] == [(GapReason.ROWS, 1)]


def test_what_an_earlier_operation_attested_still_counts(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(4)})[b"raw.csv"]
    lab.source("s", [raw])
    out = lab.put({b"out.csv": numbered(2, "y")})[b"out.csv"]
    lab.run("filter", [raw], [out], {(0, 0): [(0, 0), (1, 1)]})
    lab.commit()
    lab.source("s", list(lab.put({b"raw.csv": numbered(5)}).values()))
    lab.commit()
    assert lab.repo.trace("out.csv#@1").complete


def test_copies_and_renames_are_followed(lab: Lab) -> None:
    chain(lab)
    lab.repo.move("成品.csv".encode(), "最终 版.csv".encode())
    lab.repo.move("网页.csv".encode(), b"old/raw.csv")
    lab.commit("renamed")
    assert told(lab.repo.trace("最终 版.csv#@0"))[:2] == [
        ("最终 版.csv", "copied", (0,)),
        ("成品.csv", "generated", (0,)),
    ]
    assert lab.repo.trace("最终 版.csv#@0").complete
    assert told(lab.repo.trace("old/raw.csv#@4")) == [
        ("old/raw.csv", "copied", (4,)),
        ("网页.csv", "attested", (4,)),
    ]


def test_empty_files_are_copies_of_nothing(lab: Lab) -> None:
    first = lab.put({b"a.bin": b"", b"b.bin": b""})[b"a.bin"]
    lab.source("s", [first])
    lab.commit()
    assert lab.repo.trace("a.bin").complete
    assert told(lab.repo.trace("b.bin")) == [("b.bin", "unknown", ())]


def test_join_has_parents_in_both_inputs_and_a_lookup_as_a_whole(lab: Lab) -> None:
    items = lab.put({b"a.csv": numbered(3, "a"), b"b.csv": numbered(3, "b"), b"words.txt": b"words"})
    lab.source("s", [items[b"a.csv"], items[b"b.csv"]])
    out = lab.put({b"out.csv": numbered(2, "c")})[b"out.csv"]
    lab.run(
        "join",
        [items[b"a.csv"], items[b"b.csv"]],
        [out],
        {(0, 0): [(0, 1), (1, 2)], (0, 1): [(0, 2)]},
        lookups=[items[b"words.txt"]],
    )
    lab.commit()
    found = lab.repo.trace("out.csv#@0")
    steps = {each.step.artifact.path: each for each in found.steps}
    assert (steps[b"a.csv"].positions, steps[b"b.csv"].positions) == ((1,), (2,))
    assert steps[b"words.txt"].step.how is How.UNKNOWN
    assert not found.complete, "the lookup has no source"
    assert b"b.csv" not in {each.step.artifact.path for each in lab.repo.trace("out.csv#@1").steps}


def test_run_that_is_not_complete_goes_on_by_file(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(3)})[b"raw.csv"]
    lab.source("s", [raw])
    out = lab.put({b"out.csv": numbered(2)})[b"out.csv"]
    lab.run("shuffle", [raw], [out], {(0, 0): [(0, 0)]}, complete=False)
    lab.commit()
    found = lab.repo.trace("out.csv#@0")
    assert [each.step.granularity for each in found.steps] == [Granularity.ARTIFACT] * 2
    assert found.steps[1].step.row_count == 3
    assert found.complete


def test_added_rows_need_a_source_of_their_own(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(2)})[b"raw.csv"]
    lab.source("s", [raw])
    out = lab.put({b"out.csv": numbered(3)})[b"out.csv"]
    lab.run("augment", [raw], [out], {(0, 0): [(0, 0), (1, 1)]}, kind=RunKind.AUGMENT)
    lab.commit()
    assert lab.repo.trace("out.csv#@1").complete
    added = lab.repo.trace("out.csv#@2")
    assert [gap.reason for gap in added.gaps] == [GapReason.ADDED]
    assert added.steps[0].step.fates == ("added",)
    lab.source("model-x", [out])
    assert lab.repo.trace("out.csv#@2").complete
    assert [each.source.id for each in lab.repo.trace("out.csv#@1").sources] == ["s"]


def test_ingest_without_input_is_spoken_for_by_a_source(lab: Lab) -> None:
    out = lab.put({b"raw.csv": numbered(3)})[b"raw.csv"]
    lab.run("download", [], [out], {}, kind=RunKind.INGEST)
    lab.commit()
    assert not lab.repo.trace("raw.csv").complete
    lab.source("s", [out])
    found = lab.repo.trace("raw.csv#@1")
    assert [each.step.how for each in found.steps] == [How.GENERATED, How.ATTESTED]
    assert found.complete


def test_in_place_runs_and_content_that_comes_back(lab: Lab) -> None:
    first = lab.put({b"f.csv": numbered(3, "a")})[b"f.csv"]
    lab.source("s", [first])
    lab.commit()
    second = lab.put({b"f.csv": numbered(3, "b")})[b"f.csv"]
    lab.run("change", [first], [second], {(0, 0): [(n, n) for n in range(3)]})
    lab.commit()
    assert told(lab.repo.trace("f.csv#@1")) == [("f.csv", "generated", (1,)), ("f.csv", "attested", (1,))]
    lab.put({b"f.csv": numbered(3, "a")})
    lab.run("revert", [second], [first], {(0, 0): [(n, n) for n in range(3)]}, kind=RunKind.REVERT)
    lab.commit()
    found = lab.repo.trace("f.csv#@1")
    assert told(found) == [("f.csv", "attested", (1,))], "the run gave back what was there before"
    assert found.complete


def test_reruns_of_the_same_are_one_step(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(3)})[b"raw.csv"]
    lab.source("s", [raw])
    out = lab.put({b"out.csv": numbered(2)})[b"out.csv"]
    runs = [lab.run("filter", [raw], [out], {(0, 0): [(0, 0), (1, 1)]}) for _ in range(3)]
    lab.commit()
    found = lab.repo.trace("out.csv#@0")
    assert [each.step.run for each in found.steps] == [runs[-1].id, None]
    assert found.steps[0].step.reruns == 2


def test_file_of_a_folder_is_its_record(lab: Lab) -> None:
    names = [b"%d.png" % number for number in range(4)]
    raw = lab.put({b"images/" + name: b"raw " + name for name in names})
    lab.source("camera", list(raw.values()), covers=[b"images"])
    before = lab.folder(b"images")
    made = lab.put({b"small/" + name: b"small " + name for name in names[1:]})
    lab.run("shrink", [before], [lab.folder(b"small")], {(0, 0): [(0, 1), (1, 2), (2, 3)]})
    lab.commit()
    found = lab.repo.trace("small/2.png")
    assert told(found) == [("small", "generated", (1,)), ("images", "attested", (2,))]
    assert found.complete
    assert told(lab.repo.trace("images/0.png")) == [("images/0.png", "attested", ())]
    # One file is replaced by hand, another comes: only these have no source.
    lab.put({b"small/1.png": b"by hand", b"small/9.png": b"new"})
    final = lab.put({b"list.csv": numbered(4)})[b"list.csv"]
    lab.run("list", [lab.folder(b"small")], [final], {(0, 0): [(n, n) for n in range(4)]})
    lab.commit()
    assert made
    assert told(lab.repo.trace("list.csv#@1")) == [
        ("list.csv", "generated", (1,)),
        ("small", "copied", (1,)),
        ("small", "generated", (1,)),
        ("images", "attested", (2,)),
    ]
    assert lab.repo.trace("list.csv#@1").complete
    assert not lab.repo.trace("list.csv#@0").complete
    assert lab.repo.trace("small").gaps[0].reason is GapReason.NO_SOURCE


def test_runs_and_names_as_targets(lab: Lab) -> None:
    chain(lab)
    run = lab.repo.trace("成品.csv").steps[0].step.run
    assert run is not None
    for text in (run.hex(), run.hex()[:6], "merge"):
        assert told(lab.repo.trace(f"run:{text}"))[0][0] == "成品.csv"
    raw = lab.put({b"x.csv": numbered(2, "q")})[b"x.csv"]
    lab.run("merge", [raw], [lab.put({b"y.csv": numbered(1)})[b"y.csv"]], {(0, 0): [(0, 0)]})
    lab.commit()
    with pytest.raises(AmbiguousRunError):
        lab.repo.trace("run:merge")
    with pytest.raises(UsageError):
        lab.repo.trace("source:web-2024")
    for text in ("run:abcd" * 8, "run:no", "release:v1", "defect:7"):
        with pytest.raises(NotFoundError):
            lab.repo.trace(text)


def test_merge_of_branches_has_the_lineage_of_both(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(4)})[b"raw.csv"]
    lab.source("s", [raw])
    lab.commit()
    lab.work.branch("topic")
    out = lab.put({b"left.csv": numbered(2, "l")})[b"left.csv"]
    lab.run("left", [raw], [out], {(0, 0): [(0, 0), (1, 1)]})
    lab.commit()
    lab.repo.checkout("main")
    out = lab.put({b"right.csv": numbered(2, "r")})[b"right.csv"]
    lab.run("right", [raw], [out], {(0, 0): [(0, 2), (1, 3)]})
    lab.commit()
    lab.repo.merge("topic")
    for target in ("left.csv#@1", "right.csv#@1"):
        assert lab.repo.trace(target).complete


def test_caches_change_no_answer(lab: Lab) -> None:
    names = [b"%04d" % number for number in range(300)]
    raw = lab.put({b"many/" + name: name for name in names})
    lab.source("s", list(raw.values()), covers=[b"many"])
    out = lab.put({b"list.csv": numbered(300)})[b"list.csv"]
    lab.run(
        "list", [Folder(b"many", lab.folder(b"many").entries)], [out], {(0, 0): [(n, n) for n in range(300)]}
    )
    lab.commit()
    first = lab.repo.trace("list.csv#@7")
    cache = lab.work.folder / ".dsvc" / "cache" / "lineage"
    kept = sorted(path for path in cache.rglob("*") if path.is_file())
    assert len(kept) == 2
    for damage in (b"", b"\0" * 9, kept[0].read_bytes()[:-1]):
        for path in kept:
            path.write_bytes(damage)
        again = lab.work.reopen().trace("list.csv#@7")
        assert (told(again), again.complete) == (told(first), True)
    shutil.rmtree(lab.work.folder / ".dsvc" / "cache")
    assert told(lab.work.reopen().trace("list.csv#@7")) == told(first)
