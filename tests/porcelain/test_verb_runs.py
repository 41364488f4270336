"""Verbs that make content which no side had record themselves; merges have whole lineage."""

from __future__ import annotations

import pytest

from dsvc.lineage.run_tree import RunTree
from dsvc.model.run_record import RunKind
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.pending_runs import pending_runs
from tests.lineagekit import Lab, csv
from tests.porcelain.working import Work


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


def runs(lab: Lab, rev: str = "HEAD") -> list[RunTree]:
    commit = lab.repo.history.revisions.resolve(rev)
    return [RunTree(lab.repo.store, id_) for id_ in lineage_of(lab.repo, commit).runs()]


BASE = csv([(n, f"v{n}") for n in range(10)])
OURS = csv([(n, "ours" if n == 1 else f"v{n}") for n in range(10) if n != 3])
THEIRS = csv([(n, "theirs" if n == 8 else f"v{n}") for n in range(10)] + [(10, "new")])


def diverge(
    lab: Lab, base: bytes = BASE, ours: bytes = OURS, theirs: bytes = THEIRS, path: bytes = b"t.csv"
) -> None:
    """Three versions of a table, each attested by a source."""
    entry = lab.put({path: base})[path]
    lab.source("web", [entry])
    lab.commit("base")
    lab.work.branch("topic")
    lab.source("web", [lab.put({path: theirs})[path]])
    lab.commit("theirs")
    lab.repo.checkout("main")
    lab.source("web", [lab.put({path: ours})[path]])
    lab.commit("ours")


def test_a_merged_table_comes_from_both_sides(lab: Lab) -> None:
    diverge(lab)
    assert lab.repo.merge("topic").commit
    (tree,) = runs(lab)
    run = tree.run
    assert (run.kind, run.complete, run.manual) == (RunKind.MERGE, True, "dsvc merge topic")
    ours, theirs = run.inputs
    assert ours.path == theirs.path == run.outputs[0].path == b"t.csv"
    assert ours.fates is not None
    assert theirs.fates is not None
    assert (ours.fates.kept, ours.fates.changed, ours.fates.dropped) == (8, 1, 0)
    assert (theirs.fates.kept, theirs.fates.changed, theirs.fates.dropped) == (9, 1, 1)
    assert run.outputs[0].added == 0
    assert lab.repo.check().violations == ()
    assert lab.repo.fsck().ok
    assert pending_runs(lab.repo.layout) == []


def test_a_row_of_a_merge_is_traced(lab: Lab) -> None:
    diverge(lab)
    lab.repo.merge("topic")
    assert lab.repo.trace("t.csv#id=10").complete


def test_texts_merge_at_artifact_level(lab: Lab) -> None:
    lines = [f"{n}\n" for n in range(30)]
    base = "".join(lines).encode()
    ours = "".join(["ours\n", *lines]).encode()
    theirs = "".join([*lines, "theirs\n"]).encode()
    diverge(lab, base, ours, theirs, "笔记.txt".encode())
    lab.repo.merge("topic")
    (tree,) = runs(lab)
    assert tree.run.complete
    assert lab.repo.check().outcome == "PASS"


def test_code_that_is_merged_is_no_data(lab: Lab) -> None:
    lines = [f"{n}\n" for n in range(30)]
    lab.source("web", [lab.put({b"a.bin": b"1"})[b"a.bin"]])
    lab.put({b"step.py": "".join(lines).encode()})
    lab.commit("base")
    lab.work.branch("topic")
    lab.put({b"step.py": "".join([*lines, "theirs\n"]).encode()})
    lab.commit("theirs")
    lab.repo.checkout("main")
    lab.put({b"step.py": "".join(["ours\n", *lines]).encode()})
    lab.commit("ours")
    lab.repo.merge("topic")
    assert runs(lab) == []
    assert lab.repo.check().outcome == "PASS"


def test_without_lineage_nothing_is_recorded(lab: Lab) -> None:
    lab.work.diverge({b"t.csv": BASE}, {b"t.csv": OURS}, {b"t.csv": THEIRS})
    lab.repo.merge("topic")
    assert lab.repo.history.read_commit(lab.repo.history.revisions.resolve("HEAD")).lineage is None


def test_a_revert_comes_from_both_versions(lab: Lab) -> None:
    first = csv([(n, f"v{n}") for n in range(10)])
    second = csv([(n, "x" if n == 2 else f"v{n}") for n in range(10)])
    third = csv([(n, "x" if n == 2 else "y" if n == 7 else f"v{n}") for n in range(10)])
    for content in (first, second, third):
        lab.source("web", [lab.put({b"t.csv": content})[b"t.csv"]])
        lab.commit()
    lab.repo.revert("HEAD~1")
    (tree,) = runs(lab)
    assert (tree.run.kind, tree.run.complete) == (RunKind.REVERT, True)
    assert lab.repo.check().outcome == "PASS"


def test_a_pick_brings_the_runs_of_what_it_picks(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": BASE})[b"raw.csv"]
    lab.source("web", [raw])
    lab.commit("base")
    lab.work.branch("topic")
    clean = lab.put({b"clean.csv": OURS})[b"clean.csv"]
    made = lab.run("clean", [raw], [clean], {(0, 0): [(n, n) for n in range(9)]})
    lab.commit("clean")
    lab.repo.checkout("main")
    lab.put({b"other.py": b"1"})
    lab.commit("other")
    lab.repo.cherry_pick("topic")
    assert [tree.id for tree in runs(lab)] == [made.id]
    assert lab.repo.check().outcome == "PASS"


def conflicting(lab: Lab) -> None:
    ours = csv([(n, "ours" if n in (1, 5) else f"v{n}") for n in range(10)])
    theirs = csv([(n, "theirs" if n in (5, 8) else f"v{n}") for n in range(10)])
    diverge(lab, BASE, ours, theirs)
    assert lab.repo.merge("topic").conflicts


def test_a_settled_conflict_comes_from_both_sides(lab: Lab) -> None:
    conflicting(lab)
    lab.repo.resolve(b"t.csv", side="theirs")
    lab.repo.commit("merged")
    (tree,) = runs(lab)
    assert (tree.run.kind, tree.run.complete) == (RunKind.RESOLVE, True)
    assert lab.repo.check().outcome == "PASS"
    assert pending_runs(lab.repo.layout) == []


@pytest.mark.parametrize("by_adding", [False, True])
def test_a_conflict_settled_by_hand_comes_from_both_sides(lab: Lab, by_adding: bool) -> None:
    conflicting(lab)
    settled = csv(
        [(n, "both" if n == 5 else "ours" if n == 1 else "theirs" if n == 8 else f"v{n}") for n in range(10)]
    )
    lab.work.write({b"t.csv": settled, b"dsvc.toml": b'[tables."*.csv"]\nkey = "id"\n'})
    if by_adding:
        lab.repo.add([b"t.csv"])
    else:
        lab.repo.resolve(b"t.csv", file=str(lab.work.folder / "t.csv"))
    lab.repo.commit("merged")
    (tree,) = runs(lab)
    assert (tree.run.kind, tree.run.complete) == (RunKind.RESOLVE, True)
    assert lab.repo.check().outcome == "PASS"


def test_a_merge_that_is_given_up_leaves_no_run(lab: Lab) -> None:
    diverge(lab)
    lines = [f"{n}\n" for n in range(3)]
    lab.put({b"x.txt": "".join(["a\n", *lines]).encode()})
    lab.commit("x")
    lab.repo.checkout("topic")
    lab.put({b"x.txt": "".join(["b\n", *lines]).encode()})
    lab.commit("x too")
    lab.repo.checkout("main")
    assert lab.repo.merge("topic").conflicts
    assert len(pending_runs(lab.repo.layout)) == 1
    lab.repo.merge_abort()
    assert pending_runs(lab.repo.layout) == []


def test_giving_a_merge_up_leaves_the_runs_of_what_is_in_the_tree(lab: Lab) -> None:
    """A stash came back merged, and waits for a commit; a merge of another file is begun and given up."""
    diverge(lab)
    lab.work.write({b"t.csv": OURS.replace(b"v5", b"stashed")})
    lab.repo.stash()
    lab.source("web", [lab.put({b"t.csv": OURS.replace(b"v9", b"since")})[b"t.csv"]])
    lab.commit("since")
    lab.work.commit("both", {b"other": b"base\n"})
    lab.work.branch("side")
    lab.work.commit("side", {b"other": b"side\n"})
    lab.repo.checkout("main")
    lab.work.commit("main", {b"other": b"main\n"})
    assert not lab.repo.stash_pop().conflicts
    waiting = pending_runs(lab.repo.layout)
    assert len(waiting) == 1
    assert lab.repo.merge("side").conflicts
    lab.repo.merge_abort()
    assert pending_runs(lab.repo.layout) == waiting


def test_a_merge_that_is_brought_back_has_its_runs_again(lab: Lab) -> None:
    diverge(lab)
    for branch, content in (("topic", b"theirs\n"), ("main", b"ours\n")):
        lab.repo.checkout(branch)
        lab.work.commit(branch, {b"conflict": content})
    assert lab.repo.merge("topic").conflicts
    waiting = pending_runs(lab.repo.layout)
    assert len(waiting) == 1
    lab.repo.merge_abort()
    assert pending_runs(lab.repo.layout) == []
    lab.repo.undo()
    assert pending_runs(lab.repo.layout) == waiting
    lab.repo.resolve(b"conflict", side="ours")
    lab.repo.commit("merged")
    assert waiting[0] in lineage_of(lab.repo, lab.repo.history.refs.head().commit).runs()
    lab.repo.undo()
    lab.repo.undo()
    lab.repo.merge_abort()
    assert pending_runs(lab.repo.layout) == []


def test_undo_of_a_merge_with_conflicts_takes_its_runs_back(lab: Lab) -> None:
    diverge(lab)
    for branch, content in (("topic", b"theirs\n"), ("main", b"ours\n")):
        lab.repo.checkout(branch)
        lab.work.commit(branch, {b"conflict": content})
    assert lab.repo.merge("topic").conflicts
    assert len(pending_runs(lab.repo.layout)) == 1
    lab.repo.undo()
    assert pending_runs(lab.repo.layout) == []
    assert lab.repo.status().clean


def test_a_patch_makes_a_run(lab: Lab) -> None:
    from dsvc.porcelain.versions.apply import apply

    first = csv([(n, f"v{n}") for n in range(10)])
    lab.source("web", [lab.put({b"t.csv": first})[b"t.csv"]])
    lab.commit()
    lab.work.write({b"t.csv": csv([(n, "x" if n == 2 else f"v{n}") for n in range(10)] + [(99, "new")])})
    patch = b"".join(lab.repo.diff_patch(lab.repo.diff()))
    lab.work.write({b"t.csv": first})
    apply(lab.repo, patch)
    lab.work.commit("patched")
    (tree,) = runs(lab)
    assert (tree.run.kind, tree.run.complete) == (RunKind.APPLY, True)
    fates = tree.run.inputs[0].fates
    assert fates is not None
    assert (fates.kept, fates.changed, fates.dropped, tree.run.outputs[0].added) == (9, 1, 0, 1)
    assert lab.repo.check().outcome == "PASS"


def test_normalizing_keeps_every_row(lab: Lab) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from dsvc.porcelain.versions.normalize import normalize

    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(50))}), buffer, compression="snappy", row_group_size=7)
    lab.source("web", [lab.put({b"t.parquet": buffer.getvalue()})[b"t.parquet"]])
    lab.commit()
    assert normalize(lab.repo, [b"t.parquet"]).undo is not None
    lab.work.commit("normalized")
    (tree,) = runs(lab)
    fates = tree.run.inputs[0].fates
    assert fates is not None
    assert (tree.run.kind, fates.kept, fates.total) == (RunKind.NORMALIZE, 50, 50)
    assert lab.repo.check().outcome == "PASS"


def test_undo_takes_the_run_of_a_verb_back(lab: Lab) -> None:
    conflicting(lab)
    lab.repo.resolve(b"t.csv", side="theirs")
    assert len(pending_runs(lab.repo.layout)) == 1
    lab.repo.undo()
    assert pending_runs(lab.repo.layout) == []


def test_undo_takes_all_runs_of_a_verb_back(lab: Lab) -> None:
    from dsvc.porcelain.versions.apply import apply

    before = {f"{name}.csv".encode(): csv([(n, f"{name}{n}") for n in range(5)]) for name in "abc"}
    lab.source("web", list(lab.put(before).values()))
    lab.commit()
    lab.work.write({path: data + b"99,new\n" for path, data in before.items()})
    patch = b"".join(lab.repo.diff_patch(lab.repo.diff()))
    lab.work.write(before)
    apply(lab.repo, patch)
    waiting = pending_runs(lab.repo.layout)
    assert len(waiting) == 3
    undone = lab.repo.undo()
    assert pending_runs(lab.repo.layout) == []
    lab.repo.undo(undone.operation)
    assert pending_runs(lab.repo.layout) == waiting
