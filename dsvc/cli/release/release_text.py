"""Releases for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.policy.waiver_text import roster_line, waiver_lines
from dsvc.cli.release.release_json import release_fields
from dsvc.cli.writing.names import show_line, show_name
from dsvc.cli.writing.sizes import pad, show_bytes, width

if TYPE_CHECKING:
    from dsvc.porcelain.records.release_chain import ReleaseState
    from dsvc.porcelain.release.release_lifecycle import Downstream
    from dsvc.porcelain.release.release_verify import Verified
    from dsvc.porcelain.release.releases import CreatedRelease
    from dsvc.release.facts import ReleaseFacts

_SHOWN = 20


def list_releases(session: Session, states: list[ReleaseState]) -> None:
    """List releases, a line for each."""
    cells = max((width(show_line(state.name)) for state in states), default=0)
    output = session.output
    for state in states:
        facts = session.repository().release(state.name)[1]
        output.json(release_fields(state, facts))
        name = output.style(pad(show_line(state.name), cells), "tag")
        words = [name, show_release_status(state)]
        if facts is not None:
            words += [facts.created_at[:10], facts.commit[:8], _counts(facts)]
        elif state.until is not None:
            words.append(_("objections until {date}").format(date=state.until))
        output.answer("  ".join(words))


def show_release_status(state: ReleaseState) -> str:
    """Return how a release stands, in a word."""
    names = {
        "announced": _("announced"),
        "released": _("released"),
        "deprecated": _("deprecated"),
        "archived": _("archived"),
        "offline": _("offline"),
        "withdrawn": _("withdrawn"),
    }
    return names[state.status.value]


def _counts(facts: ReleaseFacts) -> str:
    count = len(facts.files)
    parts = [ngettext("{n} file", "{n} files", count), ngettext("{n} row", "{n} rows", facts.rows)]
    return _(", ").join([*parts, show_bytes(facts.size)])


def show_created(session: Session, done: CreatedRelease) -> None:
    """Say what was released."""
    output, facts = session.output, done.facts
    output.line(
        _("released {name}: commit {commit}, {counts}").format(
            name=show_line(facts.name), commit=facts.commit[:12], counts=_counts(facts)
        )
    )
    if done.signer is not None:
        output.line(_("the tag is signed by {key}").format(key=done.signer))
    for line in _quality(facts):
        output.line(line)
    for each in done.verdict.violations[:_SHOWN]:
        output.warning(show_line(f"{each.rule} {each.sentence}"))
    for use in done.verdict.waivers:
        for line in waiver_lines(output, use):
            output.line(line)
    roster = roster_line(done.verdict)
    if roster is not None:
        output.line(roster)


def show_release(session: Session, state: ReleaseState, facts: ReleaseFacts | None) -> None:
    """Show a release."""
    output = session.output
    output.answer(output.style(show_line(state.name), "heading") + "  " + show_release_status(state))
    for line in _fields(state, facts):
        output.answer("  " + line)
    if facts is not None:
        output.answer(output.style(_("mixture"), "heading"))
        for line in _mixture(facts):
            output.answer("  " + line)
        for line in _quality(facts):
            output.answer(line)
    output.answer(output.style(_("history"), "heading"))
    for step in state.history:
        done = step.operation
        text = f"{done.at}  {done.verb.value}  {show_line(done.by)}"
        output.answer("  " + (f"{text}: {show_line(done.reason)}" if done.reason else text))


def _fields(state: ReleaseState, facts: ReleaseFacts | None) -> Iterator[str]:
    if state.until is not None:
        yield _("objections until {date}").format(date=state.until)
    if facts is not None:
        verdict = facts.verdict
        packs = _(", ").join(show_line(each.name) for each in verdict.packs)
        yield _("commit {commit}, {counts}").format(commit=facts.commit, counts=_counts(facts))
        yield _("created {time} by {who}").format(time=facts.created_at, who=show_line(facts.author))
        yield _("verdict {outcome} by {packs}").format(outcome=verdict.outcome.value, packs=packs)
        yield _("licence {licence}").format(licence=show_line(facts.licence))
        runs = ngettext("{n} run", "{n} runs", len(facts.lineage.runs))
        sources = _(", ").join(show_line(each.id) for each in facts.lineage.sources)
        yield _("lineage {digest}: {runs}, sources {sources}").format(
            digest=facts.lineage.digest[:12], runs=runs, sources=sources or "-"
        )
        drops = ngettext("{n} row left out", "{n} rows left out", facts.drops.rows)
        yield _("{drops}, {n} of them for no stated reason").format(drops=drops, n=facts.drops.unspecified)
    if state.consumers:
        yield _("consumers: {names}").format(names=_(", ").join(map(show_line, state.consumers)))


def _mixture(facts: ReleaseFacts) -> Iterator[str]:
    lines = facts.mixture.by_source
    for each in lines[:_SHOWN]:
        name = " + ".join(map(show_line, each.of)) or _("not known")
        rows = ngettext("{n} row", "{n} rows", each.rows)
        yield f"{name}  {rows}  {show_bytes(each.bytes)}  {each.weight:.1%}"
    if len(lines) > _SHOWN:
        yield ngettext("{n} more", "{n} more", len(lines) - _SHOWN)


def _quality(facts: ReleaseFacts) -> Iterator[str]:
    standings = {"open": _("open"), "waived": _("waived"), "closed": _("closed")}
    for each in facts.defects:
        yield _("defect {id} {severity} {standing}: {symptom}, {rows}").format(
            id=each.id,
            severity=each.severity.value,
            standing=standings[each.standing.value],
            symptom=show_line(each.symptom),
            rows=ngettext("{n} row", "{n} rows", each.rows),
        )
    for evaluation in facts.evaluations:
        values = (f"{show_line(each.name)} {each.value:.6g}" for each in evaluation.metrics[:_SHOWN])
        yield _("evaluation {id} {suite}: {metrics}").format(
            id=evaluation.feedback, suite=show_line(evaluation.suite), metrics=_(", ").join(values) or "-"
        )
    if facts.since is None:
        return
    yield _("since release {name}").format(name=show_line(facts.since.release))
    for change in facts.since.files[:_SHOWN]:
        rows = [change.rows_added, change.rows_removed, change.rows_changed]
        counts = "" if None in rows else "  +{} -{} ~{}".format(*rows)
        yield f"  {change.change.value}  {show_name(change.path)}{counts}"
    for metric in facts.since.metrics[:_SHOWN]:
        before = "-" if metric.before is None else f"{metric.before:.6g}"
        after = "-" if metric.after is None else f"{metric.after:.6g}"
        interval = "" if metric.low is None else f"  [{metric.low:+.4g}, {metric.high:+.4g}]"
        yield f"  {show_line(metric.suite)} {show_line(metric.name)}  {before} → {after}{interval}"


def show_downstream(session: Session, name: str, found: Downstream) -> None:
    """Say who is concerned when a release goes."""
    output = session.output
    consumers = _(", ").join(map(show_line, found.consumers)) or _("none")
    releases = _(", ").join(map(show_line, found.releases)) or _("none")
    output.line(_("consumers of {name}: {names}").format(name=show_line(name), names=consumers))
    output.line(_("releases that come from it: {names}").format(names=releases))


def show_verified(session: Session, found: Verified) -> None:
    """Say what came of verifying a release."""
    from dsvc.lineage.validation import Outcome

    output = session.output
    for note in found.notes:
        output.answer(output.style(show_line(note), "yellow"))
    for each in found.findings:
        unknown = "" if each.outcome is Outcome.FAIL else _("can't be told: ")
        output.answer(output.style(f"{each.check}: {unknown}{show_line(each.message)}", "red"))
    name = show_line(found.state.name)
    if found.outcome is Outcome.PASS:
        looked = _(", ").join(found.checks)
        output.answer(_("release {name} is as it says: {checks}").format(name=name, checks=looked))
    elif found.outcome is Outcome.FAIL:
        output.answer(_("release {name} is not as it says").format(name=name))
    else:
        output.answer(_("release {name} can't be verified").format(name=name))
