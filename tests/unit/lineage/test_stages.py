"""Stages and grades: functions of the facts, whatever order they were recorded in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.grades import Grade, join, parse_grade
from dsvc.lineage.known_runs import KnownRuns
from dsvc.lineage.known_sources import KnownSource, KnownSources
from dsvc.lineage.lineage_rules import LineageRules
from dsvc.lineage.run_tree import RunTree, store_run
from dsvc.lineage.source_tree import SourceTree
from dsvc.lineage.stages import Stage, StageAndGrade, stages_of
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId, RunKind
from dsvc.model.source_record import Evidence, SourceRecord, Status
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Manifest
from tests.lineagekit import Lab, numbered
from tests.porcelain.working import Work

LICENCE = Evidence(type="licence_text", name="LICENSE", digest=bytes(32), size=0)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Work(tmp_path / "数据"))


def source(lab: Lab, name: str, entries: Sequence[Entry], **changes: object) -> KnownSource:
    """A source whose record is changed."""
    from dsvc.lineage.source_tree import store_part
    from dsvc.model.source_record import encode_source

    lab.source(name, entries)
    tip = lab.repo.history.refs.get(f"refs/dsvc/sources/{name}")
    assert tip is not None
    root = lab.repo.history.read_commit(tip).manifest
    record: SourceRecord = msgspec.structs.replace(SourceTree(lab.repo.store, root).record, **changes)
    part = msgspec.structs.replace(store_part(lab.repo.store, encode_source(record)), path=b"record")
    root = Manifest(lab.repo.store, root, trees=True).update([(b"record", part)])
    lab.repo.store.publish()
    return KnownSource([SourceTree(lab.repo.store, NodeId(bytes(root)))], dict)


def run(lab: Lab, inputs: list[Entry], output: Entry, kind: RunKind, **changes: object) -> RunId:
    made = lab.run(kind.value, inputs, [output], kind=kind)
    tree = RunTree(lab.repo.store, made.id)
    from dsvc.lineage.run_tree import Files

    id_ = store_run(
        lab.repo.store,
        msgspec.structs.replace(tree.run, **changes),
        inputs=[Files([entry], False) for entry in inputs],
        outputs=[Files([output], False)],
    )
    lab.repo.store.publish()
    return id_


def judged(
    store: ChunkStore, runs: Sequence[RunId], sources: Sequence[KnownSource], entries: Sequence[Entry]
) -> dict[str, StageAndGrade]:
    known = Origins(KnownRuns(store, runs), KnownSources(sources), LineageRules())
    found = stages_of(known, Closure(known, entries))
    return {node.path.decode(): each for node, each in found.items()}


def files(lab: Lab, *names: str) -> list[Entry]:
    return list(lab.put({name.encode(): numbered(1, name) for name in names}).values())


def test_a_source_is_planned_sourced_reserved_withdrawn(lab: Lab) -> None:
    (a,) = files(lab, "a")
    for changes, stage in (
        ({}, Stage.SOURCED),
        ({"evidence": (LICENCE,)}, Stage.RESERVED),
        ({"evidence": (LICENCE,), "status": Status.WITHDRAWN}, Stage.WITHDRAWN),
    ):
        made = source(lab, "web", [a], **changes)
        assert judged(lab.repo.store, [], [made], [a])["a"].stage is stage
    assert judged(lab.repo.store, [], [], [a])["a"].stage is Stage.PLANNED


def test_the_way_of_data(lab: Lab) -> None:
    raw, clean, labelled, reviewed, again = entries = files(
        lab, "raw", "clean", "labelled", "reviewed", "again"
    )
    sources = [source(lab, "web", [raw], evidence=(LICENCE,))]
    runs = [
        run(lab, [raw], clean, RunKind.CLEAN),
        run(lab, [clean], labelled, RunKind.LABEL),
        run(lab, [labelled], reviewed, RunKind.REVIEW),
        run(lab, [reviewed], again, RunKind.LABEL),
    ]
    found = judged(lab.repo.store, runs, sources, entries)
    assert [found[name].stage for name in ("raw", "clean", "labelled", "reviewed", "again")] == [
        Stage.RESERVED,
        Stage.PRODUCED,
        Stage.ANNOTATED,
        Stage.REVIEWED,
        Stage.ANNOTATED,
    ]


def test_a_review_that_failed_reviews_nothing(lab: Lab) -> None:
    raw, labelled, checked = entries = files(lab, "raw", "labelled", "checked")
    sources = [source(lab, "web", [raw], evidence=(LICENCE,))]
    label = run(lab, [raw], labelled, RunKind.LABEL)
    for verdict, stage in (("fail", Stage.ANNOTATED), ("pass", Stage.REVIEWED)):
        review = run(lab, [labelled], checked, RunKind.REVIEW, facts={"verdict": verdict})
        assert judged(lab.repo.store, [label, review], sources, entries)["checked"].stage is stage


def test_what_comes_from_too_little_is_no_further(lab: Lab) -> None:
    raw, other, mixed, broken = entries = files(lab, "raw", "other", "mixed", "broken")
    sources = [source(lab, "web", [raw], evidence=(LICENCE,)), source(lab, "bare", [other])]
    runs = [
        run(lab, [raw, other], mixed, RunKind.MIX),
        run(lab, [raw], broken, RunKind.CLEAN, complete=False),
    ]
    found = judged(lab.repo.store, runs, sources, entries)
    assert (found["mixed"].stage, found["broken"].stage) == (Stage.SOURCED, Stage.RESERVED)


def test_a_table_without_labels_takes_none_away(lab: Lab) -> None:
    raw, names, labelled, joined = entries = files(lab, "raw", "names", "labelled", "joined")
    sources = [source(lab, "web", [raw, names], evidence=(LICENCE,))]
    runs = [run(lab, [raw], labelled, RunKind.LABEL), run(lab, [labelled, names], joined, RunKind.TRANSFORM)]
    assert judged(lab.repo.store, runs, sources, entries)["joined"].stage is Stage.ANNOTATED


def test_a_field_that_is_undetermined_counts_as_the_highest(lab: Lab) -> None:
    (a,) = files(lab, "a")
    made = source(lab, "web", [a], fields={"grade": "general"}, undetermined=("grade",))
    assert judged(lab.repo.store, [], [made], [a])["a"].grade is Grade.CORE
    assert parse_grade("secret") is Grade.CORE
    assert join([]) is Grade.GENERAL


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.data())
def test_any_order_gives_the_same_and_grades_never_fall(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random, data: st.DataObject
) -> None:
    lab = Lab(Work(tmp_path_factory.mktemp("lab")))
    count = data.draw(st.integers(2, 7))
    entries = files(lab, *(f"f{n}" for n in range(count)))
    grades = [data.draw(st.sampled_from(["general", "important", "core"])) for _ in range(2)]
    statuses = [
        data.draw(st.sampled_from([Status.ACTIVE, Status.ACTIVE, Status.WITHDRAWN])) for _ in range(2)
    ]
    sources = [
        source(
            lab, f"s{n}", [entries[n]], evidence=(LICENCE,), status=statuses[n], fields={"grade": grades[n]}
        )
        for n in range(2)
    ]
    runs, parents, stated = [], {}, {}
    for number in range(2, count):
        read = sorted(data.draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3)))
        kind = data.draw(st.sampled_from([RunKind.CLEAN, RunKind.LABEL, RunKind.REVIEW, RunKind.MIX]))
        grade = data.draw(st.sampled_from([None, "important"]))
        runs.append(run(lab, [entries[n] for n in read], entries[number], kind, grade=grade))
        parents[number], stated[number] = read, grade
    found = judged(lab.repo.store, runs, sources, entries)
    for _ in range(3):
        chance.shuffle(runs)
        chance.shuffle(sources)
        shuffled = list(entries)
        chance.shuffle(shuffled)
        assert judged(lab.repo.store, runs, sources, shuffled) == found
    order = list(Grade)
    withdrawn = {n for n in range(2) if statuses[n] is Status.WITHDRAWN}
    for number, read in parents.items():
        mine = order.index(found[f"f{number}"].grade)
        assert all(mine >= order.index(found[f"f{n}"].grade) for n in read)
        if withdrawn.intersection(read):
            withdrawn.add(number)
        assert (found[f"f{number}"].stage is Stage.WITHDRAWN) == (number in withdrawn)
