"""Policy packs, what is in force, and the outcome of examples: as JSON and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import N_, _, language, ngettext
from dsvc.cli.writing.names import show_line
from dsvc.cli.writing.sizes import pad, width

if TYPE_CHECKING:
    from dsvc.policy.example_check import ExampleResult
    from dsvc.policy.pack import Pack
    from dsvc.policy.rule import RuleUse, Terms, Value
    from dsvc.porcelain.policy.policy_in_force import Policy
    from dsvc.porcelain.policy.policy_view import PolicyView

NO_ADVICE: Final = N_("this is not legal advice")
SEVERITIES: Final = {
    "blocking": N_("blocks"),
    "warning": N_("warns"),
    "information": N_("informs"),
}
STAGES: Final = {"commit": N_("at a commit"), "push": N_("at a push"), "release": N_("at a release")}
BINDINGS: Final = {
    "mandatory": N_("mandatory"),
    "recommended": N_("recommended"),
    "proposal": N_("a proposal, not law"),
}
SETTINGS: Final = {
    "packs": N_("packs in force: built-in ones by name, one's own by path"),
    "purpose": N_("what the data are for: commercial, research or another word that sources use"),
    "shared": N_("whether the data, or what is made of them, are given to others"),
    "output_license": N_("under which licence, SPDX"),
    "consumer": N_("who will use them"),
    "operating_mode": N_("guarantee, custom, ecommerce or pairing"),
    "region": N_("where they are kept or sent, ISO 3166"),
    "profile": N_("a profile of thresholds that a pack in force offers"),
    "words": N_("path of the list of sensitive words"),
    "presidio": N_("whether the recognisers of presidio are asked too"),
    "parameters": N_("thresholds by rule, stricter than the pack's"),
    "licences": N_("what licences of one's own permit"),
}
"""Every key that [policy] can hold."""


def spoken_here(texts: Mapping[str, str]) -> str:
    """Give a text of a pack or a rule in the language of the command line."""
    from dsvc.policy.rule_texts import spoken

    return spoken(texts, language())


def shown_value(value: Value) -> str:
    """Write the value of a parameter or a setting."""
    if isinstance(value, tuple):
        return _(", ").join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def terms_fields(terms: Terms) -> dict[str, object]:
    """Return what a pack says of a rule as JSON."""
    return {
        "severity": terms.severity.value,
        "stage": terms.gate.value,
        "clause": terms.clause,
        "jurisdiction": terms.jurisdiction,
        "binding": terms.binding.value,
        "effective_from": terms.effective_from,
        "effective_until": terms.effective_until,
        "verified": terms.verified,
        "parameters": _values(terms.parameters),
    }


def _values(values: Mapping[str, Value]) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def terms_line(terms: Terms) -> str:
    """Say in a line how far a pack's rule obliges, from when on, and whether its clause was compared."""
    parts = [f"{_(SEVERITIES[terms.severity.value])} {_(STAGES[terms.gate.value])}", show_line(terms.clause)]
    if terms.jurisdiction != "*":
        parts.append(terms.jurisdiction)
    parts.append(_(BINDINGS[terms.binding.value]))
    if terms.effective_from is not None:
        parts.append(_("from {day} on").format(day=terms.effective_from))
    if terms.effective_until is not None:
        parts.append(_("until {day}").format(day=terms.effective_until))
    if not terms.verified:
        parts.append(_("not compared with the primary text"))
    return _("; ").join(parts)


# list


def list_packs(session: Session, packs: Sequence[Pack], view: PolicyView | None) -> None:
    """List packs, those in force marked."""
    from dsvc.porcelain.policy.policy_view import is_in_force

    output = session.output
    for pack in packs:
        used = is_in_force(view, pack)
        output.json(
            {
                "pack": pack.id,
                "version": pack.version,
                "date": pack.date,
                "title": dict(pack.title),
                "rules": len(pack.rules),
                "digest": pack.digest,
                "in_force": used if view is not None else None,
            }
        )
        count = ngettext("{n} rule", "{n} rules", len(pack.rules))
        mark = output.style("*", "added") if used else " "
        name = pad(pack.name, 24)
        output.answer(
            f"{mark} {output.style(name, 'id')} {pack.date}  {pad(count, 9)} {spoken_here(pack.title)}"
        )
    if view is not None and view.in_force.is_named:
        output.line(_("* in force here"))


def list_rules(session: Session, packs: Sequence[Pack]) -> None:
    """List all rules with the packs that name each."""
    from dsvc.policy.rule_catalogue import all_rules
    from dsvc.policy.rule_texts import text_of

    for rule in all_rules():
        named = [pack.name for pack in packs if rule.id in pack.rules]
        title = text_of(rule.id).title
        session.output.json(
            {"rule": rule.id, "title": dict(title), "packs": named, "settled_by": rule.settled_by}
        )
        short = _(", ").join(name.partition("@")[0] for name in named)
        label = session.output.style(pad(rule.id, 8), "id")
        session.output.answer(f"{label} {spoken_here(title)}  {session.output.style(short, 'dim')}")


# show


def pack_fields(pack: Pack) -> dict[str, object]:
    """Return a pack as JSON."""
    return {
        "pack": pack.id,
        "version": pack.version,
        "date": pack.date,
        "digest": pack.digest,
        "title": dict(pack.title),
        "note": dict(pack.note),
        "rules": {id_: terms_fields(terms) for id_, terms in pack.rules.items()},
        "profiles": {
            name: {id_: _values(values) for id_, values in rules.items()}
            for name, rules in pack.profiles.items()
        },
    }


def show_pack(session: Session, pack: Pack) -> None:
    """Show a pack: its rules, thresholds and profiles."""
    from dsvc.policy.rule_texts import text_of

    output = session.output
    output.json({**pack_fields(pack), "legal_advice": False})
    output.answer(f"{output.style(pack.name, 'id')}  {pack.date}  {spoken_here(pack.title)}")
    if pack.note:
        output.answer(spoken_here(pack.note))
    for id_, terms in pack.rules.items():
        output.answer(f"{output.style(pad(id_, 8), 'id')} {spoken_here(text_of(id_).title)}")
        output.answer(f"         {terms_line(terms)}")
        for name, value in terms.parameters.items():
            output.answer(f"         {name} = {shown_value(value)}")
    for name in pack.profiles:
        output.answer(_("profile {name}").format(name=output.style(name, "bold")))
        for id_, values in pack.profiles[name].items():
            for parameter, value in values.items():
                output.answer(f"  {id_} {parameter} = {shown_value(value)}")
    output.answer(_(NO_ADVICE))


def show_view(session: Session, view: PolicyView) -> None:
    """Show what is in force here."""
    output = session.output
    output.json(_view_fields(view))
    for problem in view.in_force.problems:
        output.answer(output.style(_("can't be read"), "error") + f" {show_line(problem)}")
    for number, policy in enumerate(view.in_force.policies):
        if number:
            output.answer(
                output.style(_("and the policy of the version or branch that it goes to:"), "heading")
            )
        _show_policy(session, policy)
    _show_roster(session, view)
    if view.unstaged:
        output.hint(_("dsvc.toml here is another one than the staged one; dsvc add dsvc.toml stages it"))
    output.answer(_(NO_ADVICE))


def _view_fields(view: PolicyView) -> dict[str, object]:
    import msgspec

    from dsvc.porcelain.policy.policy_view import thresholds

    policies = []
    for policy in view.in_force.policies:
        rules = [
            {
                "rule": use.rule.id,
                "pack": use.pack,
                **terms_fields(use.terms),
                "given": {each.name: each.given.value for each in thresholds(policy, use)},
            }
            for use in policy.uses
        ]
        packs = [{"name": pack.name, "digest": pack.digest, "date": pack.date} for pack in policy.packs]
        policies.append({"packs": packs, "settings": msgspec.to_builtins(policy.settings), "rules": rules})
    roster = None
    if view.roster is not None:
        roster = {
            role.value: [
                {"name": each.name, "fingerprint": each.key.fingerprint} for each in view.roster.roles[role]
            ]
            for role in view.roster.roles
        }
    return {
        "policies": policies,
        "problems": list(view.in_force.problems),
        "roster": roster,
        "roster_first": view.roster_first,
        "roster_problem": view.roster_problem,
        "unstaged": view.unstaged,
        "legal_advice": False,
    }


def _show_policy(session: Session, policy: Policy) -> None:
    import msgspec

    output = session.output
    if policy.packs:
        output.answer(_("in force: {packs}").format(packs=_(", ").join(p.name for p in policy.packs)))
    else:
        output.answer(_('no policy is in force; dsvc.toml names one: [policy] packs = ["default"]'))
    output.answer(output.style(_("[policy] of dsvc.toml can hold:"), "heading"))
    said = msgspec.to_builtins(policy.settings)
    for name, meaning in SETTINGS.items():
        value = said[name]
        written = "-" if value in (None, [], (), {}) else _setting(value)
        output.answer(f"  {pad(name, 15)} {pad(written, 20)} {output.style(_(meaning), 'dim')}")
    for use in policy.uses:
        _show_use(session, policy, use)


def _setting(value: object) -> str:
    if isinstance(value, dict):
        return _(", ").join(sorted(value))
    if isinstance(value, list | tuple):
        return _(", ").join(map(str, value))
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _show_use(session: Session, policy: Policy, use: RuleUse) -> None:
    from dsvc.policy.rule_texts import text_of
    from dsvc.porcelain.policy.policy_view import thresholds

    output = session.output
    title = spoken_here(text_of(use.rule.id).title)
    output.answer(f"{output.style(pad(use.rule.id, 8), 'id')} {title}")
    output.answer(f"         {use.pack}{_('; ')}{terms_line(use.terms)}")
    for each in thresholds(policy, use):
        given = _("by {where}").format(where=each.given.value)
        output.answer(f"         {each.name} = {shown_value(each.value)}  {output.style(given, 'dim')}")


def _show_roster(session: Session, view: PolicyView) -> None:
    output = session.output
    if view.roster_problem is not None:
        output.answer(_("the roster can't be told: {why}").format(why=show_line(view.roster_problem)))
    if view.roster is None:
        return
    first = (
        ""
        if view.roster_first is None
        else " " + _("(first of {commit})").format(commit=view.roster_first[:8])
    )
    output.answer(output.style(_("roster"), "heading") + first)
    for role, members in view.roster.roles.items():
        for each in members:
            output.answer(f"  {pad(role.value, 20)} {show_line(each.name)}  {each.key.fingerprint}")


# test


def show_results(session: Session, results: Sequence[ExampleResult]) -> None:
    """Show what rules said of their examples: a line for each rule, and what differs."""
    from dsvc.policy.example_text import EXPECTED

    output = session.output
    for each in results:
        output.json(
            {
                "pack": each.pack,
                "rule": each.rule,
                "example": each.example,
                "expected": each.expected.value,
                "outcome": None if each.outcome is None else each.outcome.value,
                "ok": each.ok,
                "messages": list(each.messages),
            }
        )
    uses = dict.fromkeys((each.pack, each.rule) for each in results)
    wide = max((width(pack) for pack, _rule in uses), default=0)
    heading = " ".join(pad(name, 8) for name in EXPECTED)
    output.line(output.style(f"{pad('', wide)}          {heading}".rstrip(), "heading"))
    found = {(each.pack, each.rule, each.example): each for each in results}
    for pack, rule in uses:
        cells = []
        for name in EXPECTED:
            ok = found[pack, rule, name].ok
            cells.append(output.style(pad(_("ok") if ok else _("differs"), 8), "added" if ok else "error"))
        output.answer(f"{pad(pack, wide)} {output.style(pad(rule, 8), 'id')} {' '.join(cells)}".rstrip())
        for name in EXPECTED:
            _show_difference(session, found[pack, rule, name])


def _show_difference(session: Session, each: ExampleResult) -> None:
    if each.ok:
        return
    said = _("nothing") if each.outcome is None else each.outcome.value
    text = _("{example}: {expected} was expected, {said} came").format(
        example=each.example, expected=each.expected.value, said=said
    )
    session.output.answer(f"    {text}")
    for message in each.messages[:3]:
        session.output.answer(f"      {show_line(message)}")
