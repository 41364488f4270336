"""Rules asked of small worlds: TOML as examples have it, judged in memory."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from dsvc.lineage.validation import Gate, Outcome, Severity, Violation
from dsvc.policy.engine import judge, outcome_of
from dsvc.policy.example_check import ask as ask_example
from dsvc.policy.example_text import World, world_of
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


def use_of(rule: str, **parameters: Value) -> RuleUse:
    """A rule that blocks at release, with thresholds other than its own where given."""
    found = find_rule(rule)
    defaults = {name: each.default for name, each in found.parameters.items()}
    values = {**defaults, **parameters}
    return RuleUse(
        found, Terms(severity=Severity.BLOCKING, gate=Gate.RELEASE, clause="", parameters=values), "t"
    )


def judged(rule: str, world: World, **parameters: Value) -> tuple[Outcome, list[str]]:
    """What a rule says of a world, and in which words."""
    outcome, findings = ask_example(use_of(rule, **parameters), world)
    return outcome, [each.message for each in findings]


def data(*sources: dict[str, Any], **more: Any) -> World:
    """One file, from these sources."""
    file = {"path": "数据.jsonl", "rows": [{"id": 1, "text": "a"}]}
    return world_of({"file": [file], "source": [{"id": "源", **each} for each in sources or ({},)], **more})
