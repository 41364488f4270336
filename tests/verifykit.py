"""A defect that was found, repaired and is evaluated again, in a small repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsvc.model.defect import DefectVerb
from dsvc.model.repair import RepairOperation, RepairVerb
from dsvc.model.repair_proof import Proof
from dsvc.porcelain.records import defect_chain
from dsvc.porcelain.records.repair_chain import RepairState, prepare_repair, repair_head
from dsvc.porcelain.repair.repair_verify import VerifyResult, verify_repair
from tests.feedbackkit import ROWS, FeedbackLab

BAD = tuple(range(8))
"""Rows whose label is wrong: enough of them that having them right is more than chance."""
SYMPTOM = "wrong-label"


class RepairLab(FeedbackLab):
    """Rows of ``a.jsonl`` are flagged, and get the label 9 by a repair that is committed by hand."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.before = ""
        self.defect = ""

    def find(
        self, bad: Sequence[int] = BAD, metrics: Sequence[Mapping[str, object]] = (), **run: object
    ) -> str:
        """Import the evaluation that finds the defect; returns its id."""
        done = self.evaluate(bad, metrics, **run)
        self.before, self.defect = done, self.repo.feedback(done).id and self._defect(done)
        return done

    def _defect(self, feedback: str) -> str:
        return next(state.id for state in self.repo.defects() if feedback in state.feedbacks)

    def evaluate(
        self,
        bad: Sequence[int] = (),
        metrics: Sequence[Mapping[str, object]] = (),
        *,
        scored: bool = True,
        subject: str = "a.jsonl",
        suite: str = "pilot",
        of: str = "accuracy",
        symptom: str = SYMPTOM,
        **run: object,
    ) -> str:
        """Import an evaluation of all rows, of which some are bad; returns its id."""
        lines: list[dict[str, object]] = [{"suite": suite, "metrics": list(metrics), **run}]
        for row in self.rows:
            key: dict[str, object] = {"row": {"id": row["id"]}, "path": "a.jsonl"}
            wrong = row["id"] in bad
            if scored:
                key |= {"metric": of, "value": int(not wrong)}
            if wrong:
                lines.append({**key, "symptom": symptom, "severity": "P1"})
            elif scored:
                lines.append({**key, "passed": True})
        return self.take(*lines, subject=subject, suite=suite).feedback

    def set_label(self, rows: Sequence[int] = BAD, label: int = 9) -> None:
        self.rows = [{**row, "label": label} if row["id"] in rows else row for row in self.rows]
        self.write("a.jsonl", self.rows)

    def drop(self, rows: Sequence[int] = BAD) -> None:
        self.rows = [row for row in self.rows if row["id"] not in rows]
        self.write("a.jsonl", self.rows)

    def plan(self, **action: Any) -> str:
        view = self.repo.repair_plan(self.defect, **(action or {"values": {"label": "9"}}))
        return view.state.id

    def apply(self, repair: str, commit: str) -> RepairState:
        """Record that a commit has the result of a repair, as applying does."""
        repo = self.repo
        proof = Proof(
            flagged_changed=len(BAD),
            selected_changed=0,
            consequent_changed=0,
            others_changed=0,
            conserved=True,
            files_unchanged=0,
        )
        state, who = repair_head(repo, repair), repo.signature()
        operation = RepairOperation(verb=RepairVerb.APPLY, at=who.rfc3339(), by="Ada", commit=commit)
        with repo.changing():
            head = defect_chain.defect_head(repo, self.defect)
            fields = {"repair": repair, "commit": commit}
            done = defect_chain.prepare(repo, head.state.id, DefectVerb.REPAIR, head, fields)
            prepared, change = prepare_repair(repo, state, operation, proof=proof)
            repo.store.publish()
            objects = [*done.prepared.objects, *prepared.objects]
            repo.record("repair apply", arguments=[repair], changes=[done.change, change], objects=objects)
        return repair_head(repo, repair)

    def repair(self, bad: Sequence[int] = BAD, **action: Any) -> str:
        """Plan and apply the repair that gives the rows another label, or drops them; returns its id."""
        repair = self.plan(**action)
        if action.get("drop"):
            self.drop(bad)
        else:
            self.set_label(bad)
        self.apply(repair, self.commit("repair"))
        return repair

    def verify(self, repair: str, feedback: str, accept_point: str | None = None) -> VerifyResult:
        return verify_repair(self.repo, repair, feedback, accept_point=accept_point)

    def status(self) -> tuple[str, str]:
        """Of the defect and of its last repair."""
        state = self.repo.defect(self.defect)
        return state.status.value, repair_head(self.repo, state.repairs[-1]).status.value

    def old_content(self) -> None:
        self.rows = list(ROWS)
        self.write("a.jsonl", self.rows)
