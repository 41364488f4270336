"""The gate: each rule finds what breaks it, and what can't be read never passes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dsvc.lineage.run_tree import Files, RunTree, store_run
from dsvc.lineage.validation import Gate, Outcome, Violation
from dsvc.model.errors import NotFoundError
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Code, Environment, Fates, Run, RunId, RunKind
from dsvc.model.source_record import Status
from dsvc.porcelain.state.pending_runs import add_pending, pending_runs, remove_pending
from dsvc.porcelain.state.values import ResetMode
from dsvc.store.materialize import read_content
from tests.lineagekit import Lab, Made, csv, numbered
from tests.porcelain.working import Work


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


def violations(lab: Lab, rev: str = "HEAD", gate: Gate | None = None) -> list[Violation]:
    """What the rules over lineage find; a release asks the default pack, too, where no policy is named."""
    found = lab.repo.check(rev, gate=gate).violations
    return [each for each in found if each.rule == "SRC-01" or each.rule.startswith("LIN-")]


def found(lab: Lab, rev: str = "HEAD", gate: Gate | None = None) -> set[tuple[str, str]]:
    return {(each.rule, each.subject.decode().split("@")[0]) for each in violations(lab, rev, gate)}


def chain(lab: Lab) -> tuple[dict[bytes, Entry], Made, Made]:
    """raw.csv of a source, clean.csv made of it, final.csv made of that."""
    files = lab.put({b"raw.csv": numbered(4), b"clean.csv": numbered(3), b"final.csv": numbered(2)})
    lab.source("web", [files[b"raw.csv"]])
    clean = lab.run("clean", [files[b"raw.csv"]], [files[b"clean.csv"]], {(0, 0): [(0, 0), (1, 1), (2, 2)]})
    final = lab.run("final", [files[b"clean.csv"]], [files[b"final.csv"]], {(0, 0): [(0, 0), (1, 1)]})
    return files, clean, final


def altered(lab: Lab, made: Made, change: Callable[[Run], Run], **parts: bytes | None) -> RunId:
    """Put a changed run in the place of one that waits; `parts` as maps__0_0=…, None leaves one out."""
    tree = RunTree(lab.repo.store, made.id)
    kept = {}
    for folder in (b"maps", b"rows"):
        for path in tree.parts(folder):
            data = tree.part(path)
            assert data is not None
            kept[path] = data
    for name, part in parts.items():
        path = name.replace("__", "/").replace("_", "-").encode()
        kept.pop(path, None)
        if part is not None:
            kept[path] = part
    sides = []
    for count, files in (
        (len(tree.run.inputs), tree.input_files),
        (len(tree.run.outputs), tree.output_files),
    ):
        sides.append([Files(files(number), False) for number in range(count)])
    id_ = store_run(lab.repo.store, change(tree.run), inputs=sides[0], outputs=sides[1], parts=kept)
    lab.repo.store.publish()
    remove_pending(lab.repo.layout, [made.id], durable=False)
    add_pending(lab.repo.layout, id_, durable=False)
    return id_


def with_(**fields: Any) -> Callable[[Run], Run]:
    return lambda run: msgspec.structs.replace(run, **fields)


def test_whole_lineage_passes(lab: Lab) -> None:
    chain(lab)
    lab.commit()
    result = lab.repo.check()
    assert (result.outcome, result.violations, result.gate_exit_code) == (Outcome.PASS, (), 0)
    assert violations(lab, gate=Gate.RELEASE) == []
    assert lab.repo.check(gate=Gate.RELEASE).policy == ("default",)


def test_nothing_at_all_passes(lab: Lab) -> None:
    assert lab.repo.check().outcome is Outcome.PASS
    assert lab.repo.check(staged=True).outcome is Outcome.PASS
    with pytest.raises(NotFoundError):
        lab.repo.check("nowhere")


def test_staged_is_judged_with_the_runs_that_wait(lab: Lab) -> None:
    chain(lab)
    assert lab.repo.check(staged=True).outcome is Outcome.PASS
    remove_pending(lab.repo.layout, pending_runs(lab.repo.layout), durable=False)
    result = lab.repo.check(staged=True)
    assert result.gate_exit_code == 22
    assert {each.subject for each in result.violations} == {b"clean.csv", b"final.csv"}


def test_a_leaf_far_up_without_a_source_is_found(lab: Lab) -> None:
    _files, _clean, _final = chain(lab)
    lab.source("web", [], covers=[b"elsewhere"])
    lab.work.write({b"raw.csv": None, b"clean.csv": None})
    lab.commit()
    # An operation of the source that attested the leaf is not taken back by one that says nothing of it.
    assert lab.repo.check().outcome is Outcome.FAIL
    assert found(lab) == {("SRC-01", "raw.csv")}


def test_gates_ask_more_and_more(lab: Lab) -> None:
    _files, clean, _final = chain(lab)
    altered(lab, clean, with_(environment=Environment()))
    lab.commit()
    assert found(lab, gate=Gate.COMMIT) == set()
    assert {rule for rule, _ in found(lab, gate=Gate.PUSH)} == {"LIN-03"}
    assert {rule for rule, _ in found(lab, gate=Gate.RELEASE)} == {"LIN-03"}


# LIN-01


def test_up_down_and_up_again_is_no_cycle(lab: Lab) -> None:
    up = lab.put({b"a.csv": csv([(1, "x"), (2, "y")])})[b"a.csv"]
    down = lab.put({b"a.csv": csv([(2, "y"), (1, "x")])})[b"a.csv"]
    lab.source("web", [up])
    lab.run("sort", [up], [down], {(0, 0): [(0, 1), (1, 0)]})
    lab.put({b"a.csv": csv([(1, "x"), (2, "y")])})
    lab.run("sort", [down], [up], {(0, 0): [(0, 1), (1, 0)]})
    lab.commit()
    assert found(lab) == set()
    lab.source("web", [up], status=Status.WITHDRAWN)
    assert found(lab) == {("LIN-02", "a.csv")}


def test_h22_what_comes_from_itself_alone_is_a_cycle(lab: Lab) -> None:
    files = lab.put({b"a.csv": numbered(2), b"b.csv": numbered(3), b"c.csv": numbered(4)})
    a, b, c = files.values()
    one, two = {(0, 0): [(0, 0), (1, 1)]}, {(0, 0): [(0, 0), (1, 1), (2, 1)]}
    lab.run("there", [a], [b], two)
    lab.run("back", [b], [a], one)
    lab.run("off", [b], [c], {(0, 0): [(n, min(n, 2)) for n in range(4)]})
    lab.commit()
    assert {each for each in found(lab) if each[0] != "LIN-02"} == {("LIN-01", "a.csv"), ("LIN-01", "b.csv")}


# LIN-02


@pytest.mark.parametrize("status", [Status.WITHDRAWN, Status.BLACKLISTED])
def test_a_withdrawn_source_fails_everything_downstream_on_every_branch(lab: Lab, status: Status) -> None:
    files, _clean, _final = chain(lab)
    lab.commit()
    lab.repo.checkout(new_branch="side")
    lab.work.write({b"raw.csv": None, b"final.csv": None})
    lab.put({b"moved.csv": numbered(3)})
    lab.commit()
    lab.source("web", [files[b"raw.csv"]], status=status)
    assert found(lab, "main") == {("LIN-02", name) for name in ("raw.csv", "clean.csv", "final.csv")}
    assert found(lab, "side") == {("LIN-02", name) for name in ("clean.csv", "moved.csv")}


def test_what_a_commit_pinned_counts_too(lab: Lab) -> None:
    files, _clean, _final = chain(lab)
    lab.source("web", [files[b"raw.csv"]], status=Status.WITHDRAWN)
    lab.commit()
    lab.source("web", [files[b"raw.csv"]])
    assert {rule for rule, _ in found(lab)} == {"LIN-02"}


def test_a_run_wins_over_a_source(lab: Lab) -> None:
    files, _clean, _final = chain(lab)
    lab.source("wide", [files[b"final.csv"]], status=Status.WITHDRAWN)
    lab.commit()
    assert found(lab) == set()


def test_runs_that_are_not_complete_are_named(lab: Lab) -> None:
    _files, clean, _final = chain(lab)
    id_ = altered(lab, clean, with_(complete=False, problems=("key not unique",)))
    lab.commit()
    (one,) = violations(lab)
    assert (one.rule, one.subject.decode()) == ("LIN-02", f"run:{id_.hex()}")
    assert "key not unique" in one.message


def _other_fates(run: Run) -> Run:
    first = msgspec.structs.replace(run.inputs[0], fates=Fates(kept=4))
    return msgspec.structs.replace(run, inputs=(first,))


def _other_added(run: Run) -> Run:
    return msgspec.structs.replace(run, outputs=(msgspec.structs.replace(run.outputs[0], added=1),))


def _other_digest(run: Run) -> Run:
    first = msgspec.structs.replace(run.inputs[0], digest=bytes(32))
    return msgspec.structs.replace(run, inputs=(first,))


@pytest.mark.parametrize(
    ("change", "parts", "outcome"),
    [
        (_other_fates, {}, Outcome.FAIL),
        (_other_added, {}, Outcome.FAIL),
        (_other_digest, {}, Outcome.FAIL),
        (with_(), {"maps__0_0": None}, Outcome.FAIL),
        (with_(), {"rows__0": None}, Outcome.FAIL),
        (with_(), {"maps__0_0": b"no map"}, Outcome.INCOMPLETE),
        (with_(), {"rows__0": b"no account"}, Outcome.INCOMPLETE),
    ],
)
def test_records_that_do_not_hold_together(
    lab: Lab, change: Callable[[Run], Run], parts: dict[str, bytes | None], outcome: Outcome
) -> None:
    _files, clean, _final = chain(lab)
    altered(lab, clean, change, **parts)
    lab.commit()
    assert Outcome.PASS is not lab.repo.check().outcome
    assert outcome in {each.outcome for each in violations(lab) if each.rule == "LIN-02"}


def test_a_map_of_rows_that_are_not_there(lab: Lab) -> None:
    import numpy as np

    from dsvc.lineage.link_file import encode_links
    from dsvc.lineage.links import ordered

    _files, clean, _final = chain(lab)
    links = ordered(np.array([0, 1, 2]), np.array([0, 1, 9]))
    altered(lab, clean, with_(), maps__0_0=encode_links(links))
    lab.commit()
    (one,) = violations(lab)
    assert (one.rule, one.outcome) == ("LIN-02", Outcome.FAIL)
    assert "beyond the 4" in one.message


def test_a_run_that_cannot_be_read_is_unknown_never_right(lab: Lab) -> None:
    from dsvc.lineage.lineage_tree import LineageTree
    from dsvc.porcelain.state.commit_lineage import lineage_of
    from tests.porcelain.test_commit_lineage import commit_of

    chain(lab)
    head = lab.commit()
    lineage = lineage_of(lab.repo, head)
    root = LineageTree(lab.repo.store, lineage.root).extended([RunId(b"x" * 32)], {})
    commit_of(lab.work, lab.repo.manifest_of("HEAD").root, root)
    result = lab.repo.check("forged")
    assert (result.outcome, result.gate_exit_code) == (Outcome.INCOMPLETE, 21)
    assert {each.subject for each in result.violations} == {b"run:" + (b"x" * 32).hex().encode()}


# LIN-03


@pytest.mark.parametrize(
    "fields",
    [
        {"code": Code()},
        {"environment": Environment()},
        {"started_at": "2026-01-01T00:00:09.000Z"},
        {"ended_at": "yesterday"},
        {"started_at": "2025-01-01T00:00:09.000"},
    ],
)
def test_a_run_says_with_what_by_whom_and_when(lab: Lab, fields: dict[str, object]) -> None:
    _files, clean, _final = chain(lab)
    id_ = altered(lab, clean, with_(**fields))
    lab.commit()
    assert found(lab) == {("LIN-03", f"run:{id_.hex()}")}


def test_what_was_done_by_hand_needs_words_and_no_code(lab: Lab) -> None:
    _files, clean, _final = chain(lab)
    altered(lab, clean, with_(code=Code(), command=(), manual="按规则删掉一行"))
    lab.commit()
    assert found(lab) == set()


# LIN-04


def test_a_grade_never_falls_unsaid(lab: Lab) -> None:
    _files, clean, final = chain(lab)
    altered(lab, clean, with_(grade="core"))
    lowered = altered(lab, final, with_(grade="general"))
    lab.commit()
    assert found(lab) == {("LIN-04", f"run:{lowered.hex()}")}
    grades = {node.path: each.grade for node, each in lab.repo.stages().items()}
    assert grades == {b"raw.csv": "general", b"clean.csv": "core", b"final.csv": "core"}


def test_a_grade_falls_for_a_reason(lab: Lab) -> None:
    _files, clean, final = chain(lab)
    altered(lab, clean, with_(grade="core"))
    altered(lab, final, with_(grade="important", declassified="aggregates only; approved by 李"))
    lab.commit()
    assert found(lab) == set()
    grades = {node.path: each.grade for node, each in lab.repo.stages().items()}
    assert grades[b"final.csv"] == "important"


# LIN-05


def split(lab: Lab, train: bytes, test: bytes, suffix: bytes = b".csv") -> None:
    names = [b"all" + suffix, b"train" + suffix, b"test" + suffix]
    files = lab.put(dict(zip(names, (numbered(4), train, test), strict=True)))
    lab.source("web", [files[names[0]]])
    lab.run("split", [files[names[0]]], [files[name] for name in names[1:]], kind=RunKind.SPLIT)
    lab.commit()


def test_a_split_leaks_no_row(lab: Lab) -> None:
    split(lab, csv([(0, "x"), (1, "x")]), csv([(2, "x"), (3, "x")]))
    assert found(lab, gate=Gate.RELEASE) == set()


def test_equal_rows_in_two_parts_are_a_leak_at_release(lab: Lab) -> None:
    split(lab, csv([(0, "x"), (1, "x")]), csv([(1, "x"), (1, "y"), (0, "x")]))
    assert found(lab) == set()
    (one,) = violations(lab, gate=Gate.RELEASE)
    assert (one.rule, one.outcome) == ("LIN-05", Outcome.FAIL)
    assert one.message == "run split: 2 rows of train.csv are in test.csv too"


def test_a_part_that_is_no_whole_table_is_unknown(lab: Lab) -> None:
    split(lab, b'{"a": 1}\n', b'{"a": 1}\n{"a": \n', b".jsonl")
    outcomes = {each.rule: each.outcome for each in violations(lab, gate=Gate.RELEASE)}
    assert outcomes == {"LIN-05": Outcome.INCOMPLETE}


def test_folders_leak_by_file(lab: Lab) -> None:
    lab.put({b"all/a": b"1", b"all/b": b"2", b"x/a": b"1", b"y/a": b"1", b"y/b": b"2"})
    lab.source("web", [lab.folder(b"all")])
    lab.run("split", [lab.folder(b"all")], [lab.folder(b"x"), lab.folder(b"y")], kind=RunKind.SPLIT)
    lab.commit()
    assert {rule for rule, _ in found(lab, gate=Gate.RELEASE)} == {"LIN-05"}


# What moves history


def test_caches_make_no_difference(lab: Lab) -> None:
    import shutil

    files, _clean, _final = chain(lab)
    lab.source("web", [files[b"raw.csv"]], status=Status.WITHDRAWN)
    lab.commit()
    before = violations(lab, gate=Gate.RELEASE)
    shutil.rmtree(lab.repo.layout.cache)
    lab.work.reopen()
    assert violations(lab, gate=Gate.RELEASE) == before


def test_runs_of_a_commit_that_was_reset_are_judged_when_staged(lab: Lab) -> None:
    lab.put({b"x.py": b"1"})
    lab.commit()
    chain(lab)
    lab.commit()
    lab.repo.reset("HEAD~1", ResetMode.SOFT)
    assert lab.repo.check(staged=True).outcome is Outcome.PASS


def test_a_source_of_another_name_is_unknown(lab: Lab) -> None:
    files, _clean, _final = chain(lab)
    lab.commit()
    tip = lab.repo.history.refs.get("refs/dsvc/sources/web")
    from dsvc.history.refs import RefChange

    lab.repo.record("source add", changes=[RefChange("refs/dsvc/sources/other", None, tip)])
    assert read_content(lab.repo.store, files[b"raw.csv"])
    assert {(each.outcome, each.subject) for each in violations(lab)} == {
        (Outcome.INCOMPLETE, b"source:other")
    }


def test_branches_alone_are_no_whole_history(lab: Lab) -> None:
    """As `git clone --bare` copies them: that a source was withdrawn is not among them."""
    files = lab.put({b"raw.csv": numbered(4)})
    lab.source("web", [files[b"raw.csv"]])
    lab.commit()
    lab.source("web", [files[b"raw.csv"]], status=Status.WITHDRAWN)
    assert lab.repo.check().outcome is Outcome.FAIL
    refs = os.path.join(lab.repo.layout.git, "refs/dsvc")
    shutil.rmtree(refs)
    lab.work.reopen()
    result = lab.work.repo.check()
    assert (result.outcome, result.gate_exit_code) == (Outcome.INCOMPLETE, 21)
    assert "refs/dsvc" in result.violations[0].message
    assert "--mirror" in str(result.violations[0].hint)
