"""Whatever is done in whatever order: a defect is verified only by an evaluation of what was repaired."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsvc.model.defect import DefectStatus, DefectVerb
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.ids import CommitId
from dsvc.model.repair import RepairOperation, RepairVerb
from dsvc.porcelain.records.defect_chain import operate
from dsvc.porcelain.records.feedback_chain import observations
from dsvc.porcelain.records.repair_chain import RepairStateError, append_repair, repair_head
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import Author
from tests.feedbackkit import ROWS
from tests.verifykit import BAD, RepairLab

REPAIRED = [{**row, "label": 9} if row["id"] in BAD else row for row in ROWS]


@cache
def template(made: str) -> tuple[Path, str, str, str]:
    """A repository with a defect and a plan of its repair."""
    lab = RepairLab(Path(made))
    before = lab.find()
    plan = lab.plan()
    lab.repo.close()
    return lab.root, before, lab.defect, plan


class Copy(RepairLab):
    """A copy of it, and what should be true of it: which evaluations may close the defect."""

    def __init__(self, folder: Path, made: str) -> None:
        root, self.before, self.defect, self.planned = template(made)
        self.root, self.files = folder / "数据", folder / "results"
        self.files.mkdir()
        shutil.copytree(root, self.root)
        self.repo = Repository(str(self.root), author=Author("Ada", "ada@example.org"))
        self.rows = list(ROWS)
        self.evaluations = [self.before]
        self.good: set[str] = set()
        self.applied: CommitId | None = None
        self.closed = False

    def applies(self) -> None:
        if self.applied is None and self.repo.defect(self.defect).is_open:
            self.rows = list(REPAIRED)
            self.write("a.jsonl", self.rows)
            self.put("note.txt", "repaired")
            self.applied = CommitId(self.commit("repair"))
            self.apply(self.planned, str(self.applied))

    def evaluates(self, bad: tuple[int, ...]) -> None:
        done = self.evaluate(bad, subject="HEAD:a.jsonl")
        if self.applied is not None and self.rows == REPAIRED and not bad:
            self.good.add(done)
        self.evaluations.append(done)

    def verifies(self, number: int) -> None:
        feedback = self.evaluations[number % len(self.evaluations)]
        status = self.repo.defect(self.defect).status
        result = self.verify(self.planned, feedback)
        if result.is_verified:
            assert feedback in self.good
            assert status.is_open
            self.closed = True

    def goes(self, rows: list[dict[str, object]]) -> None:
        self.rows = list(rows)  # type: ignore[arg-type]
        self.write("a.jsonl", self.rows)
        self.repo.add([], all=True)
        self.repo.commit("goes on", allow_empty=True)

    def check(self) -> None:
        """A verified defect has an applied repair, and an evaluation of its result that finds no row bad."""
        state = self.repo.defect(self.defect)
        if state.status is not DefectStatus.VERIFIED:
            return
        assert self.closed
        closing = [step.operation for step in state.history if step.operation.verb is DefectVerb.VERIFY][-1]
        assert closing.feedback in self.good
        repair = repair_head(self.repo, closing.repair or "")
        assert RepairVerb.APPLY in [step.operation.verb for step in repair.history]
        record = self.repo.feedback(closing.feedback or "").record
        assert repair.commit is not None
        assert self.repo.history.is_ancestor(CommitId(repair.commit), CommitId(record.subject.commit))
        assert not list(observations(self.repo, closing.feedback or ""))


ACTIONS: dict[str, Callable[[Copy, int], object]] = {
    "confirm": lambda lab, n: lab.repo.defect_confirm(lab.defect),
    "reject": lambda lab, n: lab.repo.defect_reject(lab.defect, "no"),
    "reopen": lambda lab, n: lab.repo.defect_reopen(lab.defect, "again"),
    "apply": lambda lab, n: lab.applies(),
    "good": lambda lab, n: lab.evaluates(()),
    "bad": lambda lab, n: lab.evaluates((3,)),
    "verify": lambda lab, n: lab.verifies(n),
    "verify the last": lambda lab, n: lab.verifies(-1),
    "old rows": lambda lab, n: lab.goes([dict(row) for row in ROWS]),
    "repaired rows": lambda lab, n: lab.goes([dict(row) for row in REPAIRED]),
    "come back": lambda lab, n: lab.repo.defect_reopen_brought_back(),
}


@pytest.fixture(scope="module")
def made() -> Iterator[str]:
    with TemporaryDirectory(prefix="dsvc-closing-", ignore_cleanup_errors=True) as folder:
        yield folder


Between = list[tuple[str, int]]
between = st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 5)), max_size=2)


@settings(max_examples=6, deadline=None)
@given(st.tuples(between, between, between, between))
@example(([], [], [], [("old rows", 0), ("come back", 0), ("verify the last", 0)]))
def test_nothing_else_closes_a_defect(made: str, others: tuple[Between, ...]) -> None:
    """The way that closes it, with anything else in between."""
    actions: Between = []
    for name, more in zip(("apply", "good", "verify the last", ""), others, strict=True):
        actions += [*more, *([(name, 0)] if name else [])]
    with TemporaryDirectory() as folder:
        lab = Copy(Path(folder), made)
        for name, number in actions:
            # What is refused leaves the defect as it was; whatever isn't foreseen is no such refusal.
            with contextlib.suppress(UsageError, NotFoundError):
                ACTIONS[name](lab, number)
            lab.check()
        assert lab.closed or any(others)
        lab.repo.close()


def test_the_chains_refuse_a_short_cut(tmp_path: Path, made: str) -> None:
    """Nor can it be written down without: neither on the defect's chain nor on the repair's."""
    lab = Copy(tmp_path, made)
    who = {"at": "2026-01-01T00:00:00Z", "by": "Eve"}
    with lab.repo.changing():
        with pytest.raises(UsageError):
            operate(lab.repo, lab.defect, DefectVerb.VERIFY, repair=lab.planned, feedback=lab.before)
        state = repair_head(lab.repo, lab.planned)
        closing = RepairOperation(verb=RepairVerb.VERIFY, feedback=lab.before, **who)
        with pytest.raises(RepairStateError):
            append_repair(lab.repo, state, closing)
        state = append_repair(lab.repo, state, RepairOperation(verb=RepairVerb.RETURN, **who))
        with pytest.raises(RepairStateError):
            append_repair(lab.repo, state, closing)
