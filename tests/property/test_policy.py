"""What takes evidence away never makes a rule pass; what isn't known never passes; order plays no part."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.validation import Outcome
from dsvc.model.detection import DetectionStatus
from dsvc.policy.engine import judge
from dsvc.policy.example_check import ask, load_examples
from dsvc.policy.example_text import EXPECTED, DetectionEntry, SourceEntry, World
from dsvc.policy.example_world import build_case
from dsvc.policy.pack import built_in, load_built_in
from dsvc.policy.rule import RuleUse
from dsvc.policy.rule_catalogue import all_rules

RULES = [rule.id for rule in all_rules()]
REQUIRED = ("title", "acquisition", "legal_basis", "license_expression")
"""No source is without these."""
RESTRICTIONS = {
    "LIC-06": {"purposes_forbidden"},
    "LIC-07": {"operating_mode", "consumers_allowed", "purposes_allowed", "expiry"},
    "LIN-04": {"grade"},
    "SRC-10": {"expiry"},
    "XB-02": {"storage_allowed"},
}
"""What a source says to restrict its use, and no rule asks of it: without it nothing is forbidden."""
BESIDE = {"PII-02": "SRC-11", "PII-03": "SRC-11"}
"""Whether there is personal data at all is what the second rule asks."""
UNKNOWN = DetectionEntry(status=DetectionStatus.UNKNOWN, reason="it crashed")


@lru_cache
def use_of(rule: str) -> RuleUse:
    """The rule as the first pack names it."""
    uses = (use for name in built_in() for use in load_built_in(name).uses(None))
    return next(use for use in uses if use.rule.id == rule)


@lru_cache
def worlds_of(rule: str) -> dict[str, World]:
    return dict(load_examples(rule).worlds)


def outcome(rule: str, world: World) -> Outcome:
    return ask(use_of(rule), world)[0]


def passes(rule: str, world: World) -> bool:
    return all(outcome(each, world) is Outcome.PASS for each in (rule, BESIDE.get(rule, rule)))


def replaced(items: list[object], number: int, new: object | None) -> list[object]:
    return [*items[:number], *([] if new is None else [new]), *items[number + 1 :]]


def without_evidence(rule: str, world: World) -> Iterator[tuple[str, World]]:
    """Every world that has a piece less of what is known."""
    put = msgspec.structs.replace
    for n, source in enumerate(world.source):
        for name, smaller in smaller_sources(source, RESTRICTIONS.get(rule, set())):
            yield name, put(world, source=replaced(world.source, n, smaller))
        yield (
            f"the record of source {source.id}",
            put(world, source=replaced(world.source, n, put(source, lost=True))),
        )
    for n, run in enumerate(world.run):
        yield f"the record of run {run.name}", put(world, run=replaced(world.run, n, put(run, lost=True)))
        for fact in run.facts:
            rest = {name: value for name, value in run.facts.items() if name != fact}
            yield (
                f"the fact {fact} of {run.name}",
                put(world, run=replaced(world.run, n, put(run, facts=rest))),
            )
    for n, each in enumerate(world.evaluation):
        if each.outcome == "passed":
            yield f"evaluation {each.id}", put(world, evaluation=replaced(world.evaluation, n, None))
    for name in world.detections:
        rest_of = {other: said for other, said in world.detections.items() if other != name}
        yield f"detections of {name}", put(world, detections=rest_of)
    if world.audit:
        yield "the log", put(world, audit=None)
    if world.word_list is not None:
        yield "the list of words", put(world, word_list=None)


def smaller_sources(source: SourceEntry, kept: set[str]) -> Iterator[tuple[str, SourceEntry]]:
    put = msgspec.structs.replace
    for name in source.fields:
        if name not in REQUIRED and name not in kept:
            rest = {other: value for other, value in source.fields.items() if other != name}
            yield f"{name} of {source.id}", put(source, fields=rest)
            yield (
                f"one value of {name} of {source.id}",
                put(source, undetermined=[*source.undetermined, name]),
            )
        if isinstance(source.fields[name], dict):
            for part in source.fields[name]:
                inner = {other: v for other, v in source.fields[name].items() if other != part}
                yield f"{name}.{part} of {source.id}", put(source, fields={**source.fields, name: inner})
    for n, each in enumerate(source.evidence):
        yield f"evidence {each.type} of {source.id}", put(source, evidence=replaced(source.evidence, n, None))
        yield (
            f"the bytes of {each.type} of {source.id}",
            put(source, evidence=replaced(source.evidence, n, put(each, bytes="absent"))),
        )
        for fact in each.facts:
            rest = {name: value for name, value in each.facts.items() if name != fact}
            yield (
                f"{fact} of {each.type}",
                put(source, evidence=replaced(source.evidence, n, put(each, facts=rest))),
            )


@pytest.mark.parametrize("rule", RULES)
def test_taking_evidence_away_never_makes_a_rule_pass(rule: str) -> None:
    for name in ("fail", "missing"):
        for what, world in without_evidence(rule, worlds_of(rule)[name]):
            assert not passes(rule, world), f"{name} without {what}"


@given(rule=st.sampled_from(RULES), example=st.sampled_from(["fail", "missing"]), data=st.data())
@settings(max_examples=60, deadline=None)
def test_taking_several_pieces_away_does_not_either(rule: str, example: str, data: st.DataObject) -> None:
    world = worlds_of(rule)[example]
    for _ in range(3):
        smaller = [each for _name, each in without_evidence(rule, world)]
        if not smaller:
            return
        world = data.draw(st.sampled_from(smaller))
        assert not passes(rule, world)


@pytest.mark.parametrize("rule", RULES)
def test_what_a_detector_cannot_tell_never_passes(rule: str) -> None:
    for name in EXPECTED:
        world = worlds_of(rule)[name]
        if world.detections:
            unknown = msgspec.structs.replace(world, detections=dict.fromkeys(world.detections, UNKNOWN))
            assert outcome(rule, unknown) is not Outcome.PASS


@given(rule=st.sampled_from(RULES), example=st.sampled_from(sorted(EXPECTED)), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_world_has_one_verdict_in_whatever_order_it_is_told(rule: str, example: str, seed: int) -> None:
    world = worlds_of(rule)[example]
    mixed = random.Random(seed)
    lists = {
        name: mixed.sample(each, len(each)) for name in ("file", "source") if (each := getattr(world, name))
    }
    other = msgspec.structs.replace(world, **lists)
    # The time of a run follows from its place, so runs stay where they are.
    found = [judge([use_of(rule)], build_case(each)) for each in (world, world, other)]
    assert found[0] == found[1]
    assert found[0] == found[2]
