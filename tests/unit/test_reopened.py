"""Rows that come back as they were before a verified repair: which, when that reopens, and who says so."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from dsvc.model.defect import DefectStatus, DefectVerb
from dsvc.model.ids import CommitId
from dsvc.porcelain.feedback.brought_back import brought_back, reopened
from dsvc.porcelain.state.pending_runs import add_pending
from tests.feedbackkit import ROWS
from tests.lineagekit import Folder, make_run
from tests.verifykit import BAD, RepairLab


class ClosedLab(RepairLab):
    """With a defect that was repaired and verified."""

    def __init__(self, folder: Path, **action: object) -> None:
        super().__init__(folder)
        self.first = self.at()
        self.find()
        self.made = self.repair(**action)
        assert self.verify(self.made, self.evaluate()).is_verified

    def at(self) -> CommitId:
        commit = self.repo.history.refs.head().commit
        assert commit is not None
        return commit

    def put_rows(self, rows: list[dict[str, object]]) -> CommitId:
        self.rows = rows  # type: ignore[assignment]
        self.write("a.jsonl", rows)
        return CommitId(self.commit("rows"))

    def back(self, commit: CommitId) -> list[int]:
        found = brought_back(self.repo, commit)
        assert set(found) <= {self.defect}
        return found[self.defect].tolist() if found else []


@pytest.fixture
def lab(tmp_path: Path) -> ClosedLab:
    return ClosedLab(tmp_path)


def test_only_rows_with_the_old_content_count(lab: ClosedLab) -> None:
    fixed = list(lab.rows)
    assert lab.back(lab.at()) == []
    # Rows move, and others come: nothing came back.
    assert lab.back(lab.put_rows([{"id": 50, "text": "x", "label": 9}, *reversed(fixed)])) == []
    # Two of them are as they were, wherever they stand; a third one has another wrong value.
    third = {**ROWS[7], "label": 5}
    rows = [*fixed[8:], ROWS[5], ROWS[2], third]
    commit = lab.put_rows(rows)
    assert [rows[n]["id"] for n in lab.back(commit)] == [5, 2]
    assert [each.rows.tolist() for each in reopened(lab.repo, commit)] == [[12, 13]]


def test_versions_from_before_are_open_and_reopen_nothing(lab: ClosedLab) -> None:
    assert lab.back(lab.first) == list(BAD)
    assert reopened(lab.repo, lab.first) == []
    assert lab.repo.defect_reopen_brought_back(str(lab.first)) == []
    assert lab.repo.defect(lab.defect).status is DefectStatus.VERIFIED
    # Nor does one beside the repair.
    lab.repo.create_branch("side", str(lab.first))
    lab.repo.checkout("side")
    lab.put("more.txt", "more")
    side = CommitId(lab.commit("beside"))
    assert lab.back(side) == list(BAD)
    assert reopened(lab.repo, side) == []


def test_reopening_is_recorded_once(lab: ClosedLab) -> None:
    lab.put_rows([*lab.rows, ROWS[3]])
    (found,) = lab.repo.defect_reopen_brought_back()
    assert (found.defect, found.repair, found.rows.tolist()) == (lab.defect, lab.made, [20])
    state = lab.repo.defect(lab.defect)
    operation = state.history[-1].operation
    assert (state.status, operation.verb, operation.commit) == (
        DefectStatus.REOPENED,
        DefectVerb.REOPEN,
        str(lab.at()),
    )
    assert operation.reason == f"{lab.at()[:12]} has 1 repaired rows of a.jsonl as they were before"
    assert state.blocking
    refs = lab.refs()
    assert lab.repo.defect_reopen_brought_back() == []
    assert lab.refs() == refs
    lab.repo.undo()
    assert lab.repo.defect(lab.defect).status is DefectStatus.VERIFIED


def test_an_import_reopens_and_adds_to_it(lab: ClosedLab) -> None:
    lab.put_rows([*lab.rows, ROWS[3]])
    lines = [{"position": 20, "symptom": "wrong-label"}, {"position": 15, "symptom": "wrong-label"}]
    done = lab.take(*lines)
    assert (done.reopened, done.extended, done.opened) == ((lab.defect,), (lab.defect,), ())
    state = lab.repo.defect(lab.defect)
    assert [step.operation.verb for step in state.history[-2:]] == [DefectVerb.REOPEN, DefectVerb.EXTEND]
    assert state.status is DefectStatus.REOPENED
    assert done.feedback in state.feedbacks
    # Repaired once more, by another plan, it is held against the evaluation that found it again.
    repair = lab.plan(drop=True)
    plan = lab.repo.repair(repair).state.plan
    assert sum(plan.rows[0].counts) == plan.rows_affected >= 2
    assert lab.repo.fsck().ok


def test_a_passing_import_reopens_too(lab: ClosedLab) -> None:
    """Whatever it finds: the rows are there."""
    lab.put_rows([*lab.rows, ROWS[0]])
    done = lab.take({"position": 12, "passed": True}, suite="other")
    assert (done.reopened, done.defects) == ((lab.defect,), (lab.defect,))


def test_dropped_rows_and_duplicates(tmp_path: Path) -> None:
    """A row that was dropped while an equal one stays: that one is no row that came back."""
    lab = RepairLab(tmp_path)
    twin = {"id": 3, "text": "文本 3", "label": 0}
    lab.rows = [*lab.rows, {**twin, "id": 30, "text": "t"}, twin, twin]
    lab.write("a.jsonl", lab.rows)
    lab.commit("twins")
    metrics = [{"name": "accuracy", "value": 0.5, "n": 400}]
    lines = [{"position": n, "symptom": "wrong-label", "severity": "P1"} for n in (0, 1, 22)]
    lab.before = lab.take({"metrics": metrics}, *lines).feedback
    lab.defect = next(state.id for state in lab.repo.defects())
    repair = lab.plan(drop=True)
    kept = [row for n, row in enumerate(lab.rows) if n not in (0, 1, 22)]
    lab.rows = kept
    lab.write("a.jsonl", kept)
    lab.apply(repair, lab.commit("repair"))
    after = lab.take({"metrics": [{"name": "accuracy", "value": 0.9, "n": 400}]}).feedback
    assert lab.verify(repair, after).is_verified
    old = [ROWS[0], ROWS[1], twin]
    rng = random.Random(7)
    for _ in range(3):
        rows = [*kept, *rng.choices(old, k=rng.randrange(4)), {"id": 99, "text": "n", "label": 1}]
        rng.shuffle(rows)
        lab.write("a.jsonl", rows)
        commit = CommitId(lab.commit("again"))
        found = brought_back(lab.repo, commit).get(lab.defect)
        # By brute force: of each old row as many as there are beyond what the repair left.
        texts = [repr(sorted(row.items())) for row in rows]
        left = Counter(repr(sorted(row.items())) for row in kept)
        wanted = {repr(sorted(row.items())) for row in old}
        expected, seen = [], Counter[str]()
        for number, text in enumerate(texts):
            seen[text] += 1
            if text in wanted and seen[text] > left[text]:
                expected.append(number)
        assert ([] if found is None else found.tolist()) == expected


def made_by_a_run(lab: RepairLab, path: bytes) -> None:
    manifest = lab.repo.manifest_of("HEAD")
    table = manifest.get(b"a.jsonl")
    assert table is not None
    run = make_run(lab.repo.store, "draw", [table], [Folder(path, tuple(manifest.entries(path)))], second=1)
    lab.repo.store.publish()
    add_pending(lab.repo.layout, run.id, durable=False)
    lab.put("notes.txt", "drawn")
    lab.commit("drawn")


def test_files_of_a_folder(tmp_path: Path) -> None:
    lab = RepairLab(tmp_path)
    old = (lab.root / "图" / "1.png").read_bytes()
    made_by_a_run(lab, "图".encode())
    metrics = {"metrics": [{"name": "accuracy", "value": 0.5, "n": 400}]}
    lab.take(metrics, {"path": "图/1.png", "symptom": "dark", "severity": "P1"}, subject="图")
    lab.defect = next(state.id for state in lab.repo.defects())
    repair = lab.plan(drop=True)
    (lab.root / "图" / "1.png").unlink()
    lab.apply(repair, lab.commit("repair"))
    metrics = {"metrics": [{"name": "accuracy", "value": 0.9, "n": 400}]}
    assert lab.verify(repair, lab.take(metrics, subject="图").feedback).is_verified
    lab.put("图/3.png", "another")
    assert brought_back(lab.repo, CommitId(lab.commit("more"))) == {}
    (lab.root / "图" / "其他.png").write_bytes(old)
    (found,) = reopened(lab.repo, CommitId(lab.commit("back, under another name")))
    assert (found.place.folder, found.rows.tolist()) == (True, [3])
