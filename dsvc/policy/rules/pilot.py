"""Rules over pilot evaluations and the defects that they found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsvc.lineage.validation import Finding, Outcome, defect_subject
from dsvc.model.paths import display_path
from dsvc.policy.case import Case
from dsvc.policy.facts import Defect
from dsvc.policy.rule import Rule, Terms

KINDS: Final = ("training", "finetuning", "inference")
_SEVERITIES: Final = ("P1", "P2", "P3")
_BLOCKING: Final = "P1"
_OPEN: Final = ("open", "confirmed", "repairing", "reopened")
_CLOSED: Final = ("verified", "rejected")


class Evaluated(Rule):
    """Training, fine-tuning and inference were evaluated on exactly this version."""

    id = "PIL-01"
    settled_by = "evaluator"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for evaluations of each kind."""
        for each in case.evaluations:
            if each.problem is not None:
                said = f"what evaluation {each.id} says can't be told: {each.problem}"
                yield Finding(b"", said, "dsvc fsck names what is damaged", Outcome.INCOMPLETE)
        own = [each for each in case.evaluations if each.problem is None and each.version == case.version]
        for kind in KINDS:
            outcomes = [(each.outcome, each.id) for each in own if each.kind == kind]
            hint = f"dsvc feedback import FILE --kind {kind}, of an evaluation of this version"
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
    """No blocking defect is open: each has a repair, and an evaluation after it.

    One that ever was of the severity that blocks does so until that is verified: rejecting it or grading it
    down takes a waiver of a compliance officer.
    """

    id = "PIL-02"
    settled_by = "engineer"
    exit_code = 23

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for defects of the severity that blocks."""
        for each in case.defects:
            subject, hint = defect_subject(each.id), f"dsvc defect show {each.id}"
            why = _unclear(each)
            if why is not None:
                said = f"defect {each.id}: how it stands can't be told{why}"
                yield Finding(subject, said, hint, Outcome.INCOMPLETE)
            elif _BLOCKING in (each.severity, each.worst):
                what = _blocks(each)
                if what is not None:
                    yield Finding(subject, f"defect {each.id}: it {what} ({display_path(each.path)})", hint)


def _unclear(defect: Defect) -> str | None:
    """Say why it can't be told how a defect stands; None where it can."""
    if defect.problem is not None:
        return f": {defect.problem}"
    known = {defect.severity, defect.worst or defect.severity} <= set(_SEVERITIES)
    return None if known and defect.status in (*_OPEN, *_CLOSED) else ""


def _blocks(defect: Defect) -> str | None:
    """Say in which way a defect blocks that ever was a P1; None where it doesn't."""
    if defect.status == "verified":
        rows = "1 row is" if defect.back == 1 else f"{defect.back} rows are"
        return f"was verified, but {rows} as before the repair" if defect.back else None
    if defect.status == "rejected":
        return f"was {_BLOCKING} and is rejected; only a waiver lets it stand"
    if defect.severity != _BLOCKING:
        return f"was {_BLOCKING} and is graded {defect.severity}; only a waiver lets it stand"
    return f"blocks, and is {defect.status}"


RULES: Final = (Evaluated(), Repaired())
