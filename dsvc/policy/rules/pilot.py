"""Rules over pilot evaluations and the defects that they found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsvc.lineage.validation import Finding, Outcome
from dsvc.policy.case import Case
from dsvc.policy.rule import Rule, Terms

KINDS: Final = ("training", "finetuning", "inference")
_OPEN: Final = ("open", "confirmed", "repairing", "reopened")
_CLOSED: Final = ("verified", "rejected")


class Evaluated(Rule):
    """Training, fine-tuning and inference were evaluated on exactly this version."""

    id = "PIL-01"
    settled_by = "evaluator"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for evaluations of each kind."""
        own = [each for each in case.evaluations if each.version == case.version]
        for kind in KINDS:
            outcomes = [(each.outcome, each.id) for each in own if each.kind == kind]
            hint = f"dsvc feedback import, of an evaluation of kind {kind} of this version"
            if not outcomes:
                said = f"no {kind} evaluation of this version is recorded"
                yield Finding(b"", said, hint, Outcome.INCOMPLETE)
            for outcome, id_ in outcomes:
                if outcome == "failed":
                    yield Finding(b"", f"the {kind} evaluation {id_} of this version failed", hint)
                elif outcome != "passed":
                    said = f"what came of the {kind} evaluation {id_} is {outcome or 'unknown'}"
                    yield Finding(b"", said, hint, Outcome.INCOMPLETE)


class Repaired(Rule):
    """No blocking defect is open: each has a repair, and an evaluation after it."""

    id = "PIL-02"
    settled_by = "engineer"
    exit_code = 23

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for defects of the severity that blocks."""
        for each in case.defects:
            hint = f"dsvc defect show {each.id}"
            if each.severity not in ("P1", "P2", "P3") or each.status not in (*_OPEN, *_CLOSED):
                said = f"how defect {each.id} stands can't be told"
                yield Finding(each.path, said, hint, Outcome.INCOMPLETE)
            elif each.severity == "P1" and each.status in _OPEN:
                yield Finding(each.path, f"defect {each.id} blocks, and is {each.status}", hint)


RULES: Final = (Evaluated(), Repaired())
