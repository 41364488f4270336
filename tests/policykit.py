"""Rules asked of small worlds: TOML as examples have it, judged in memory."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import NamedTuple

from dsvc.lineage.validation import Gate, Outcome, Severity, Violation
from dsvc.policy.engine import judge, outcome_of
from dsvc.policy.example_text import world_of
from dsvc.policy.example_world import build_case
from dsvc.policy.rule import RuleUse, Terms, Value
from dsvc.policy.rule_catalogue import find_rule


class Answer(NamedTuple):
    """What a rule said."""

    outcome: Outcome
    violations: list[Violation]

    @property
    def messages(self) -> str:
        return "\n".join(f"{each.message} | {each.hint}" for each in self.violations)


def ask(rule: str, world: str, parameters: Mapping[str, Value] | None = None) -> Answer:
    """Ask a rule of a world, blocking, with thresholds other than its own where given."""
    found = find_rule(rule)
    values = {name: each.default for name, each in found.parameters.items()}
    assert set(parameters or {}) <= set(values)
    terms = Terms(
        severity=Severity.BLOCKING,
        gate=Gate.COMMIT,
        clause="",
        parameters={**values, **(parameters or {})},
    )
    violations = judge([RuleUse(found, terms, "test")], build_case(world_of(tomllib.loads(world))))
    return Answer(outcome_of(violations), violations)
