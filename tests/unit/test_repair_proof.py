"""The proof of a repair, against brute force, and on versions that somebody forged."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.proof import compare, unmatched
from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.row_set import encode_rows
from dsvc.lineage.run_tree import Files, RunTree, store_run
from dsvc.model.defect import DefectVerb, FlaggedRows
from dsvc.model.feedback import DefectSeverity
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.repair_proof import Proof, decode_proof, encode_proof
from dsvc.model.run_record import Run, RunId
from dsvc.model.table_kind import recognise
from dsvc.porcelain.records.defect_chain import new_defect_id, prepare, record
from dsvc.porcelain.repair.repair_apply import RepairApplied
from dsvc.porcelain.repair.repair_plan import plan_edits
from dsvc.porcelain.repair.repair_proof import prove
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.run import run
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.table.origin.memory_source import MemorySource
from tests import applykit
from tests.applykit import carrier, content
from tests.lineagekit import Lab
from tests.porcelain.working import Work
from tests.repairkit import Pipeline, flag

# Versions compared, against brute force


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12),
    st.lists(st.integers(0, 4), max_size=12),
)
@settings(max_examples=60)
def test_unmatched_rows(before: list[tuple[int, bool]], after: list[int]) -> None:
    values, first = [value for value, _ in before], [flag for _, flag in before]
    gone, came = unmatched(np.array(values, np.uint64), np.array(after, np.uint64), np.array(first, np.bool_))
    assert list(gone) == sorted(set(gone.tolist()))
    assert list(came) == sorted(set(came.tolist()))
    ours, theirs = Counter(values), Counter(after)
    assert Counter(values[row] for row in gone.tolist()) == ours - theirs
    assert Counter(after[row] for row in came.tolist()) == theirs - ours
    for value in ours:
        planned = [row for row, found in enumerate(values) if found == value and first[row]]
        left = [row for row in gone.tolist() if values[row] == value]
        # Those of the plan go first.
        assert sum(row in planned for row in left) == min(len(left), len(planned))


def test_tables_whose_rows_repeat(tmp_path: Path) -> None:
    """Blocks of rows come again and again, so that pieces of both versions are the same in many places."""
    from dsvc.porcelain.tables.row_indexes import KnownTable, RowIndexes

    work, rest = Work(tmp_path / "r"), random.Random(6)
    indexes = RowIndexes(work.repo)

    def index(rows: list[str]) -> object:
        data = ("v\n" + "".join(f"{row}\n" for row in rows)).encode()
        kind = recognise(b"t.csv", data)
        assert kind is not None
        return indexes.get(KnownTable(MemorySource("t.csv", data), kind))

    block = [f"{rest.randrange(30)}x" for _ in range(400)]
    before = block * 4 + [f"{n}y" for n in range(300)]
    for _ in range(3):
        planned = sorted(rest.sample(range(len(before)), 40))
        wild = rest.sample(range(len(before)), rest.choice([0, 5]))
        gone_rows = {*planned[:20], *wild}
        after = [
            f"{row}z" if n in planned[20:] else row for n, row in enumerate(before) if n not in gone_rows
        ]
        rest.shuffle(after)
        found = compare(index(before), index(after), np.array(planned, np.int64))  # type: ignore[arg-type]
        assert Counter(before[row] for row in found.gone.tolist()) == Counter(before) - Counter(after)
        assert Counter(after[row] for row in found.came.tolist()) == Counter(after) - Counter(before)
        others = Counter(before[row] for row in set(found.gone.tolist()) - set(planned))
        # What is gone beyond the rows of the plan, whichever of equal rows these are.
        assert others == (Counter(before) - Counter(after)) - Counter(before[row] for row in planned)


# Forged versions


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, RepairApplied]:
    made = applykit.copied(tmp_path_factory.mktemp("proof") / "数据")
    view = made.repo.repair_plan(flag(made, b"train.csv", [5]), values={"label": "good"}, at=b"labels.csv")
    return made, made.repo.repair_apply(view.state.id, carrier())


def proved(
    applied: tuple[Pipeline, RepairApplied],
    files: Mapping[str, bytes | None] | None = None,
    runs: Mapping[int, RunId] | None = None,
) -> Proof:
    """The proof of what the repair made, with other files and other runs in it."""
    made, done = applied
    repo, plan = made.repo, done.state.plan
    manifest = repo.manifest(repo.history.read_commit(done.commit).manifest)
    changes = {}
    for path, data in (files or {}).items():
        old = manifest.get(path.encode())
        mode = 0o100644 if old is None else old.mode
        entry = None if data is None else entry_of_bytes(repo.store, path.encode(), mode, data, old)
        changes[path.encode()] = entry
    root: NodeId = manifest.update(sorted(changes.items())) if changes else manifest.root
    repo.store.publish()
    before = repo.history.read_commit(CommitId(plan.base)).manifest
    edits = plan_edits(repo, plan)
    found = prove(repo, plan, before, root, {**done.state.steps, **(runs or {})}, edits=edits)
    assert decode_proof(encode_proof(found)) == found
    return found


def test_what_was_made_is_proven_again(applied: tuple[Pipeline, RepairApplied]) -> None:
    assert proved(applied) == applied[1].proof
    assert applied[1].proof.holds


Forge = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("path", "forge", "others", "came"),
    [
        ("train.csv", lambda t: [*t[:4], t[4].replace(b"3", b"x", 1), *t[5:]], (3,), 2),
        ("train.csv", lambda t: [*t[:4], *t[5:]], (3,), 1),
        ("copy.csv", lambda t: [*t, t[4]], (), 2),
        ("train.csv", lambda t: [t[0], *(r.replace(b",", b".0,", 1) for r in reversed(t[1:]))], (), 1),
        ("labels.csv", lambda t: [*t[:12], t[12].replace(b"good", b"bad")], (11,), 2),
        ("raw.csv", lambda t: t[:-1], (11,), 0),
    ],
    ids=["changed", "missing", "twice", "order-and-writing", "edited", "source"],
)
def test_h60_rows_outside_of_the_plan(
    applied: tuple[Pipeline, RepairApplied], path: str, forge: Forge, others: tuple[int, ...], came: int
) -> None:
    made, done = applied
    proof = proved(applied, {path: b"".join(forge(content(made, done.commit, path).splitlines(True)))})
    found = next(each for each in proof.artifacts if each.path == path.encode())
    assert (found.others, found.came) == (others, came)
    # No run made such a file, so that what is new in it comes from nothing.
    assert len(found.strange) == (came if path != "raw.csv" else 0)
    assert proof.others_changed == found.others_changed == max(len(others), came)
    assert not proof.holds


def test_h60_wrong_splice_that_a_run_stands_for(applied: tuple[Pipeline, RepairApplied]) -> None:
    made, done = applied
    lines = content(made, done.commit, "clean.csv").splitlines(True)
    data = b"".join([*lines[:4], lines[4].replace(b"good", b"bad"), *lines[5:]])
    old = made.repo.manifest_of(str(done.commit)).get(b"clean.csv")
    assert old is not None
    entry = entry_of_bytes(made.repo.store, old.path, old.mode, data, old)

    def with_output(run: Run) -> Run:
        output = msgspec.structs.replace(run.outputs[0], digest=entry.digest, size=entry.size)
        return msgspec.structs.replace(run, outputs=(output,))

    forged = forged_run(made.repo, done.state.steps[1], with_output, output=entry)
    proof = proved(applied, {"clean.csv": data}, {1: forged})
    found = next(each for each in proof.artifacts if each.path == b"clean.csv")
    assert (found.others_changed, found.others, found.strange) == (1, (3,), (3,))
    assert found.consequent_changed == 1
    assert proof.conserved
    assert not proof.holds


@pytest.mark.parametrize("path", ["step.py", "new.csv", "dsvc.toml"])
def test_h60_files_outside_of_the_plan(applied: tuple[Pipeline, RepairApplied], path: str) -> None:
    proof = proved(applied, {path: b"id\n1\n" if path == "new.csv" else None})
    assert (proof.others_changed, proof.holds) == (1, False)
    assert proof.files_unchanged == 3 - (path != "new.csv")


def test_file_that_went(applied: tuple[Pipeline, RepairApplied]) -> None:
    """Of train.csv one row may go; the seven others may not."""
    assert proved(applied, {"train.csv": None}).others_changed == 7


def test_action_that_was_not_done(applied: tuple[Pipeline, RepairApplied]) -> None:
    made, done = applied
    labels = content(made, done.state.plan.base, "labels.csv")
    assert proved(applied, {"labels.csv": labels}).not_as_asked == 1
    wrong = content(made, done.commit, "labels.csv").replace(
        b"5,\xe5\x8f\xa5\xe5\xad\x90 5 ,good", b"5,x,fine"
    )
    proof = proved(applied, {"labels.csv": wrong})
    assert (proof.not_as_asked, proof.holds) == (1, False)


def forged_run(
    repo: Repository,
    id_: RunId,
    change: Callable[[Run], Run],
    pairs: Iterable[tuple[int, int]] = (),
    output: Entry | None = None,
) -> RunId:
    """A run whose record, row map or output is another one."""
    tree = RunTree(repo.store, id_)
    parts = {path: part for path in (*tree.parts(b"maps"), *tree.parts(b"rows")) if (part := tree.part(path))}
    if pairs:
        outputs, inputs = np.array(sorted(pairs), np.int64).T
        parts[b"maps/0-0"] = encode_links(ordered(outputs, inputs))
    made = store_run(
        repo.store,
        change(tree.run),
        inputs=[Files(tree.input_files(0), False)],
        outputs=[Files(tree.output_files(0) if output is None else [output], False)],
        code=tree.code_files(),
        parts=parts,
    )
    repo.store.publish()
    return made


def test_rows_that_are_not_accounted_for(applied: tuple[Pipeline, RepairApplied]) -> None:
    made, done = applied

    def incomplete(run: Run) -> Run:
        return msgspec.structs.replace(run, complete=False, problems=("3 rows have no parent",))

    def miscounted(run: Run) -> Run:
        (read,) = run.inputs
        assert read.fates is not None
        fates = msgspec.structs.replace(read.fates, kept=read.fates.kept + 1)
        return msgspec.structs.replace(run, inputs=(msgspec.structs.replace(read, fates=fates),))

    for change, why in ((incomplete, "3 rows have no parent"), (miscounted, "other fates than the record")):
        proof = proved(applied, runs={1: forged_run(made.repo, done.state.steps[1], change)})
        assert (proof.conserved, proof.holds, proof.others_changed) == (False, False, 0)
        assert why in proof.flaws[0]


def test_new_row_must_come_from_a_row_of_the_plan(applied: tuple[Pipeline, RepairApplied]) -> None:
    """The run of clean.csv says that what is new there came from another row than the changed one."""
    made, done = applied
    data = RunTree(made.repo.store, done.state.steps[1]).part(b"maps/0-0")
    assert data is not None
    links = LinkFile(data).all()
    pairs = {
        (out, 6 if row == 5 else 5 if row == 6 else row)
        for out, row in zip(links.outputs.tolist(), links.inputs.tolist(), strict=True)
    }
    proof = proved(applied, runs={1: forged_run(made.repo, done.state.steps[1], lambda run: run, pairs)})
    found = {each.path: each.strange for each in proof.artifacts}
    assert found[b"clean.csv"] == (5,)
    assert not proof.holds


# Folders


def test_files_of_a_folder_are_rows(tmp_path: Path) -> None:
    work = Work(tmp_path / "图")
    repo = work.repo
    work.write({b"raw/%d.txt" % n: b"text %d" % n for n in range(5)})
    run(
        repo,
        RunSpec(name="copy", inputs=[b"raw"], outputs=[b"small"]),
        ["mkdir small; for f in raw/*; do sed s/text/t/ $f > small/${f#raw/}; done"],
        environ={"PATH": "/usr/bin:/bin"},
    )
    work.commit("data")
    files = ArtifactFiles(b"small", True, tuple(repo.manifest_of("HEAD").entries(b"small")))
    flagged = FlaggedRows(
        path=b"small",
        digest=files.artifact().digest,
        rows=encode_rows(np.array([1, 3], np.int64)),
        count=2,
        folder=True,
    )
    fields = {
        "feedback": "f" * 12,
        "path": b"small",
        "symptom": "blurred",
        "severity": DefectSeverity.P2,
        "rows": (flagged,),
    }
    with repo.changing():
        id_ = new_defect_id(repo, "f" * 12, b"small", "blurred")
        record(repo, "defect open", [prepare(repo, id_, DefectVerb.OPEN, None, fields)], [id_])
    done = repo.repair_apply(repo.repair_plan(id_, drop=True).state.id, carrier())
    kept = [entry.path for entry in repo.manifest_of(str(done.commit)).entries(b"small")]
    assert kept == [b"small/0.txt", b"small/2.txt", b"small/4.txt"]
    assert (done.proof.flagged_changed, done.proof.others_changed, done.proof.files_unchanged) == (2, 0, 8)
    made = Pipeline(Lab(work))
    assert proved((made, done), {"small/2.txt": b"other"}).others_changed == 1
    assert proved((made, done), {"small/9.txt": b"new"}).others_changed == 1
    assert proved((made, done), {"small/1.txt": b"t 1"}).not_as_asked == 1
