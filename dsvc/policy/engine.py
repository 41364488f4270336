"""The engine: rules asked of a case, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from dsvc.lineage.validation import Finding, Gate, Outcome, Violation, unreadable
from dsvc.model.errors import DsvcError
from dsvc.policy.case import Case
from dsvc.policy.descents import sources_of_subject
from dsvc.policy.rule import GATES, SEVERITIES, RuleUse

INCOMPLETE_EXIT: Final = 21
_EXITS: Final = (22, 20, INCOMPLETE_EXIT, 23)
"""The first of these that is present is what a gate exits with."""


def asked_at(uses: Iterable[RuleUse], gate: Gate, day: str) -> list[RuleUse]:
    """Rules that a gate asks on a day: its own, and those of the gates before it."""
    last = GATES.index(gate)
    return [use for use in uses if GATES.index(use.terms.gate) <= last and use.terms.holds_on(day)]


def judge(uses: Iterable[RuleUse], case: Case) -> list[Violation]:
    """Ask rules; one that stops at something unreadable is incomplete."""
    return united([_violation(use, case, found) for use in uses for found in _asked(use, case)])


def _asked(use: RuleUse, case: Case) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(use.rule.find(case, use.terms))
    except DsvcError as error:
        found.append(unreadable(b"", error))
    return found


def undecided(uses: Iterable[RuleUse], error: DsvcError) -> list[Violation]:
    """Answer for rules that can't even be asked, since what they look at can't be read."""
    return united([_violation(use, None, unreadable(b"", error)) for use in uses])


def _violation(use: RuleUse, case: Case | None, found: Finding) -> Violation:
    is_fail = found.outcome is Outcome.FAIL
    return Violation(
        use.rule.id,
        use.terms.severity,
        found.subject,
        found.message,
        found.hint,
        use.terms.clause,
        found.outcome,
        digest=b"" if case is None else case.digest_of(found.subject),
        pack=use.pack,
        settled_by=use.rule.settled_by,
        exit_code=use.rule.exit_code if is_fail else INCOMPLETE_EXIT,
        sources=() if case is None else sources_of_subject(case, found.subject),
    )


def united(violations: Iterable[Violation]) -> list[Violation]:
    """Leave one of violations that say the same by the same rule: the strictest."""
    found: dict[tuple[str, bytes, str], Violation] = {}
    for each in violations:
        key = (each.rule, each.subject, each.message)
        old = found.get(key)
        if old is None or _rank(each) < _rank(old):
            found[key] = each
    return list(found.values())


def _rank(violation: Violation) -> tuple[bool, int]:
    return not violation.blocks, SEVERITIES.index(violation.severity)


def outcome_of(violations: Iterable[Violation]) -> Outcome:
    """Sum up: what is wrong counts before what can't be told; only what blocks counts."""
    found = {each.outcome for each in violations if each.blocks}
    return next((each for each in (Outcome.FAIL, Outcome.INCOMPLETE) if each in found), Outcome.PASS)


def exit_code_of(violations: Sequence[Violation]) -> int:
    """Give what a gate exits with; 0 where nothing blocks."""
    codes = {each.exit_code for each in violations if each.blocks}
    return next((code for code in _EXITS if code in codes), 0)
