"""A verdict for people, by source: what is missing, which clause asks, who can settle it and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsvc.cli.language.i18n import _, language, ngettext
from dsvc.cli.policy.waiver_text import roster_line, waiver_lines
from dsvc.cli.writing.names import show_line, show_name
from dsvc.lineage.validation import Outcome, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsvc.cli.terminal.output import Output
    from dsvc.lineage.validation import Violation
    from dsvc.porcelain.policy.verdict import CheckResult

_SHOWN: Final = 20
_HOW: Final = 10


def show_verdict(output: Output, result: CheckResult) -> None:
    """Write a verdict."""
    for source, violations in by_source(result).items():
        output.answer(output.style(heading(source), "heading"))
        for rule in dict.fromkeys(each.rule for each in violations):
            _show_rule(output, result, rule, [each for each in violations if each.rule == rule])
    _show_changes(output, result)
    _show_waivers(output, result)
    _show_sum(output, result)


def _show_changes(output: Output, result: CheckResult) -> None:
    """Show where the policy gets weaker, line by line, and the rest in one."""
    for change in result.policy_changes:
        if change.weaker:
            text = _("the policy gets weaker: {what}: {before} → {after}")
            output.answer(show_line(text.format(what=change.what, before=change.before, after=change.after)))
    others = [change.what for change in result.policy_changes if not change.weaker]
    if others:
        output.answer(show_line(_("the policy asks more: {what}").format(what=_(", ").join(others))))


def _show_waivers(output: Output, result: CheckResult) -> None:
    """Show what waivers let stand, and those that count for nothing."""
    if result.waivers:
        output.answer(output.style(_("waivers"), "heading"))
    for use in result.waivers:
        for line in waiver_lines(output, use):
            output.answer("  " + line)
    roster = roster_line(result)
    if roster is not None:
        output.answer(roster)


def by_source(result: CheckResult) -> dict[str | None, list[Violation]]:
    """Sort violations by the source that they are about; None: about no source that is known."""
    found: dict[str | None, list[Violation]] = {}
    for violation in sorted(result.violations, key=lambda each: not each.blocks):
        names = violation.sources or (None,)
        for name in names:
            found.setdefault(name, []).append(violation)
    return dict(sorted(found.items(), key=lambda each: (each[0] is not None, each[0] or "")))


def heading(source: str | None) -> str:
    """Name a group of violations."""
    return _("no source") if source is None else _("source {id}").format(id=show_line(source))


def status_of(violation: Violation) -> str:
    """Say in a word what a violation amounts to."""
    if violation.waiver is not None:
        return _("waived by {id}").format(id=violation.waiver)
    if violation.inherited:
        return _("as before")
    if violation.outcome is Outcome.INCOMPLETE:
        blocking = violation.severity is Severity.BLOCKING
        return _("can't be told") if blocking else _("can't be told (doesn't block)")
    if violation.severity is Severity.BLOCKING:
        return _("refused")
    return _("warning") if violation.severity is Severity.WARNING else _("for information")


def said_of(violation: Violation) -> str:
    """Say what is wrong, with the subject as ``waive`` takes it, once."""
    subject, message = show_name(violation.subject), show_line(violation.message)
    if not subject:
        return f"{_('the whole version')}: {message}"
    for kind in ("source", "defect"):
        name = subject.removeprefix(f"{kind}:")
        if name != subject:
            return f"{subject}: {message.removeprefix(f'{kind} {name}: ')}"
    return message if violation.sentence == violation.message else f"{subject}: {message}"


def clause_of(result: CheckResult, rule: str) -> str:
    """Name the clauses that ask for a rule, and say where one was not compared with the primary text."""
    found: dict[str, bool] = {}
    for each in result.rules:
        if each.id == rule and each.clause:
            found[each.clause] = found.get(each.clause, False) or each.verified
    unverified = _("not verified against the primary text")
    return "; ".join(name if verified else f"{name} ({unverified})" for name, verified in found.items())


def title(rule: str) -> str:
    """Title of a rule in the language that is spoken."""
    from dsvc.policy.rule_texts import title_of

    found = title_of(rule, language())
    return "" if found == rule else found


def remedy(rule: str) -> str:
    """How to settle what a rule finds, in the language that is spoken."""
    from dsvc.policy.rule_texts import spoken, text_of

    return spoken(text_of(rule).remedy, language())


def _show_rule(output: Output, result: CheckResult, rule: str, found: Sequence[Violation]) -> None:
    blocks = any(each.blocks for each in found)
    label = output.style(rule, "error" if blocks else "warning")
    output.answer(f"  {label} {show_line(title(rule))}".rstrip())
    for violation in found[:_SHOWN]:
        output.answer(f"    {status_of(violation)}: {said_of(violation)}")
    if len(found) > _SHOWN:
        output.answer("    " + _("and {n} more").format(n=len(found) - _SHOWN))
    clause = clause_of(result, rule)
    if clause:
        output.answer("    " + _("clause: {clause}").format(clause=show_line(clause)))
    how = list(dict.fromkeys(each.hint for each in found if each.hint))[:_HOW] or [remedy(rule)]
    role = found[0].settled_by
    for number, hint in enumerate(each for each in how if each):
        who = _("settled by {role}: {how}") if not number and role else "{how}"
        output.answer("    " + who.format(role=role, how=show_line(hint)))


def _show_sum(output: Output, result: CheckResult) -> None:
    if result.packs:
        names = ", ".join(pack.name for pack in result.packs)
        note = _("policy: {packs}, as of {day}; this is no legal advice")
        output.line(note.format(packs=names, day=result.as_of))
    if result.violations:
        text = ngettext("{n} violation", "{n} violations", len(result.violations))
        blocking = sum(each.blocks for each in result.violations)
        if not blocking:
            text = _("{violations}; none blocks").format(violations=text)
        elif blocking < len(result.violations):
            block = ngettext("{n} blocks", "{n} block", blocking)
            text = _("{violations}; {block}").format(violations=text, block=block)
        output.line(text)
    else:
        output.line(_("all data has a source, and its lineage is whole"))
