"""One rule explained: what it asks, who asks for it, how to settle it, and three examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import N_, _
from dsvc.cli.policy.policy_text import NO_ADVICE, shown_value, spoken_here, terms_fields, terms_line
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import pad

if TYPE_CHECKING:
    from dsvc.policy.example_check import ExampleResult
    from dsvc.policy.example_text import Examples
    from dsvc.policy.pack import Pack
    from dsvc.policy.rule import Parameter, Rule

OUTCOMES: Final = {
    "PASS": N_("passes"),
    "FAIL": N_("fails"),
    "INCOMPLETE": N_("can't be told"),
}
_DIRECTIONS: Final = {"higher": N_("higher is stricter"), "lower": N_("lower is stricter")}
ROLES: Final = {
    "collector": N_("who collects"),
    "source_officer": N_("who keeps the sources"),
    "engineer": N_("who cleans and transforms"),
    "annotator": N_("who labels"),
    "reviewer": N_("who reviews labels"),
    "expert": N_("an expert of the field"),
    "evaluator": N_("who evaluates"),
    "compliance_officer": N_("a compliance officer"),
    "release_manager": N_("who releases"),
    "rights_agent": N_("who handles requests of people"),
    "admin": N_("who administers the repository"),
}
"""Roles that can settle what a rule finds."""


def explain(session: Session, rule: Rule, packs: Sequence[Pack]) -> None:
    """Say all that there is to say of a rule."""
    from dsvc.policy.rule_texts import text_of

    text = text_of(rule.id)
    examples, results = _examples(rule, packs)
    output = session.output
    output.json(
        {
            "rule": rule.id,
            "title": dict(text.title),
            "asks": dict(text.asks),
            "remedy": dict(text.remedy),
            "settled_by": rule.settled_by,
            "exit_code": rule.exit_code,
            "parameters": {name: _parameter(each) for name, each in rule.parameters.items()},
            "packs": [
                {"pack": pack.name, **terms_fields(pack.rules[rule.id])}
                for pack in packs
                if rule.id in pack.rules
            ],
            "examples": [_example(each, examples) for each in results],
            "legal_advice": False,
        }
    )
    output.answer(f"{output.style(rule.id, 'id')}  {output.style(spoken_here(text.title), 'bold')}")
    _section(session, _("asks"), [spoken_here(text.asks)])
    _section(session, _("how to settle it"), [spoken_here(text.remedy)])
    who = _(ROLES[rule.settled_by]) if rule.settled_by in ROLES else rule.settled_by
    _section(session, _("who can settle it"), [_("{who} ({role})").format(who=who, role=rule.settled_by)])
    _section(session, _("thresholds"), [_threshold(*each) for each in rule.parameters.items()])
    named = [
        f"{pad(pack.name, 22)} {terms_line(pack.rules[rule.id])}" for pack in packs if rule.id in pack.rules
    ]
    _section(session, _("packs that name it"), named or [_("none")])
    _section(session, _("examples"), [_example_line(each, examples) for each in results])
    output.answer(_(NO_ADVICE))


def _section(session: Session, heading: str, lines: Sequence[str]) -> None:
    if lines:
        session.output.answer(session.output.style(heading, "heading"))
    for line in lines:
        session.output.answer(f"  {line}".rstrip())


def _parameter(each: Parameter) -> dict[str, object]:
    default = list(each.default) if isinstance(each.default, tuple) else each.default
    direction = None if each.stricter is None else each.stricter.value
    return {"default": default, "stricter": direction, "unit": each.unit}


def _threshold(name: str, each: Parameter) -> str:
    value = shown_value(each.default) or "-"
    parts = [f"{name} = {value} {each.unit}".rstrip()]
    if each.stricter is None:
        parts.append(_("set by packs only"))
    else:
        parts.append(_(_DIRECTIONS[each.stricter.value]))
    return _("; ").join(parts)


def _examples(rule: Rule, packs: Sequence[Pack]) -> tuple[Examples | None, list[ExampleResult]]:
    """Ask the rule about its examples, under the terms of the first pack that names it."""
    from dsvc.lineage.validation import Gate, Severity
    from dsvc.policy.example_check import check_rule, load_examples
    from dsvc.policy.example_text import ExampleError
    from dsvc.policy.rule import RuleUse, Terms

    named = [(pack.rules[rule.id], pack.name) for pack in packs if rule.id in pack.rules]
    defaults = {name: each.default for name, each in rule.parameters.items()}
    own = Terms(severity=Severity.BLOCKING, gate=Gate.COMMIT, clause="", parameters=defaults)
    terms, pack_name = named[0] if named else (own, "")
    try:
        return load_examples(rule.id), check_rule(RuleUse(rule, terms, pack_name))
    except ExampleError:
        return None, []


def _example(each: ExampleResult, examples: Examples | None) -> dict[str, object]:
    about = {} if examples is None else examples.worlds[each.example].about
    return {
        "example": each.example,
        "about": dict(about),
        "outcome": None if each.outcome is None else each.outcome.value,
        "messages": list(each.messages),
    }


def _example_line(each: ExampleResult, examples: Examples | None) -> str:
    about = "" if examples is None else spoken_here(examples.worlds[each.example].about)
    outcome = _("nothing") if each.outcome is None else _(OUTCOMES[each.outcome.value])
    return f"{pad(outcome, 14)} {show_line(about)}"
