"""What comes of findings: gates, days, doubles, what counts before what."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from dsvc.lineage.validation import Gate, Outcome, Severity, Violation
from dsvc.model.errors import MissingDataError
from dsvc.policy.engine import asked_at, exit_code_of, judge, outcome_of, undecided, united
from dsvc.policy.example_world import build_case
from dsvc.policy.licence_fold import LicenceFolds
from dsvc.policy.licence_terms import choices_of
from dsvc.policy.licence_vector import UNDETERMINED, YES
from dsvc.policy.rule import RuleUse
from dsvc.policy.share_alike import MAX_BRANCHES, best_sharing, permits_output
from tests.policykit import data, use_of

GATES = (Gate.COMMIT, Gate.PUSH, Gate.RELEASE)


def at(gate: Gate, **terms: str) -> RuleUse:
    use = use_of("SRC-04")
    return use._replace(terms=msgspec.structs.replace(use.terms, gate=gate, **terms))


def found(
    severity: Severity = Severity.BLOCKING, outcome: Outcome = Outcome.FAIL, code: int = 20
) -> Violation:
    return Violation("SRC-04", severity, b"a", "x", None, "", outcome, exit_code=code)


def test_a_gate_asks_its_own_rules_and_those_of_the_gates_before() -> None:
    uses = [at(gate) for gate in GATES]
    for number, gate in enumerate(GATES, 1):
        assert asked_at(uses, gate, "2026-11-22") == uses[:number]


def test_a_rule_holds_from_its_first_day_before_its_end() -> None:
    use = at(Gate.COMMIT, effective_from="2026-11-01", effective_until="2026-11-30")
    for day, holds in (("10-31", False), ("11-01", True), ("11-29", True), ("11-30", False)):
        assert bool(asked_at([use], Gate.COMMIT, f"2026-{day}")) is holds


def test_a_rule_that_cannot_be_asked_is_incomplete() -> None:
    (one,) = undecided([use_of("SRC-04")], MissingDataError("the record is missing"))
    assert (one.outcome, one.exit_code, one.blocks) == (Outcome.INCOMPLETE, 21, True)
    assert "the record is missing" in one.message
    (lost,) = judge([use_of("SRC-05")], build_case(data({"lost": True})))
    assert (lost.outcome, lost.exit_code) == (Outcome.INCOMPLETE, 21)


def test_of_equal_findings_the_strictest_stays() -> None:
    ranks = [found(each) for each in (Severity.BLOCKING, Severity.WARNING, Severity.INFORMATION)]
    for order in permutations(ranks):
        assert united(order) == [ranks[0]]
    assert united(reversed(ranks[1:])) == [ranks[1]]
    inherited = ranks[0]._replace(inherited=True)
    assert united([inherited, ranks[1], ranks[0]]) == [ranks[0]], "what is inherited blocks nothing"


def test_what_is_wrong_counts_before_what_cannot_be_told_and_only_what_blocks() -> None:
    fail, unknown = found(), found(outcome=Outcome.INCOMPLETE, code=21)
    warning = found(Severity.WARNING)
    for order in permutations([fail, unknown, warning]):
        assert outcome_of(order) is Outcome.FAIL
        assert exit_code_of(order) == 20
    assert (outcome_of([unknown, warning]), exit_code_of([unknown, warning])) == (Outcome.INCOMPLETE, 21)
    assert (outcome_of([warning]), exit_code_of([warning])) == (Outcome.PASS, 0)
    assert (outcome_of([]), exit_code_of([])) == (Outcome.PASS, 0)
    assert [exit_code_of([found(code=code), *([found()] if code == 22 else [])]) for code in (22, 23)] == [
        22,
        23,
    ]


# Licences where nothing, or too much, is said


@pytest.mark.parametrize("count", [MAX_BRANCHES, MAX_BRANCHES + 1])
def test_an_expression_with_too_many_choices_permits_nothing(count: int) -> None:
    expression = " OR ".join(f"LicenseRef-{number}" for number in range(count))
    wanted = YES if count <= MAX_BRANCHES else UNDETERMINED
    assert permits_output(choices_of("CC0-1.0"), expression) is wanted


def test_a_source_that_nobody_knows_permits_nothing() -> None:
    folds = LicenceFolds({})
    assert {each.use for each in folds.own("网页")} == {UNDETERMINED}
    assert {each.use for each in folds.of([], whole=False)} == {UNDETERMINED}
    assert best_sharing(folds.of([])).permission is YES
    assert best_sharing(frozenset()).permission is UNDETERMINED
