"""How a waiver looks: for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsvc.cli.language.i18n import N_, _
from dsvc.cli.terminal.output import Output, Style
from dsvc.cli.writing.names import path_fields, show_line, show_name

if TYPE_CHECKING:
    from dsvc.porcelain.policy.verdict import CheckResult
    from dsvc.porcelain.policy.waivers import WaiverUse

STANDINGS: Final = {
    "counts": N_("counts"),
    "unsigned": N_("not signed"),
    "not-on-roster": N_("signer not on the roster"),
    "self-made": N_("made by the author"),
    "expired": N_("expired"),
    "not-yet": N_("made later"),
    "revoked": N_("revoked"),
    "other-subject": N_("for other content"),
    "forged": N_("forged signature"),
    "unknown-rule": N_("unknown rule"),
    "malformed": N_("malformed"),
    "untold": N_("can't be told"),
}


def waiver_fields(use: WaiverUse) -> dict[str, object]:
    """Return a waiver and what it is worth as JSON."""
    return {
        "id": use.id,
        "standing": use.standing.value,
        "why": use.why,
        "rule": use.rule,
        **path_fields(use.subject, "subject"),
        "digest": use.digest,
        "reason": use.reason,
        "until": use.until,
        "made_at": use.made_at,
        "by": use.by,
        "key": use.key,
    }


def roster_line(result: CheckResult) -> str | None:
    """Say whose keys are trusted from now on; None where the version before had a roster."""
    if result.first_roster is None:
        return None
    text = _("the roster of {commit} is the first, and trusted from now on: {officers}")
    officers = show_line(_(", ").join(result.officers))
    return text.format(commit=result.first_roster[:8], officers=officers)


def waiver_lines(output: Output | None, use: WaiverUse) -> list[str]:
    """Return a waiver for people: what it is for and worth, then why and by whom.

    Parameters
    ----------
    output : Output or None
        Where it will be shown, for its colours; None: without any.
    """

    def style(text: str, name: Style) -> str:
        return text if output is None else output.style(text, name)

    counts = use.standing.value == "counts"
    standing = style(_(STANDINGS[use.standing.value]), "added" if counts else "warning")
    if use.rule is None:
        return [f"{style(use.id, 'id')} {standing}: {show_line(use.why)}"]
    subject = show_name(use.subject) if use.subject else _("the whole version")
    until = _("until {day}").format(day=use.until)
    lines = [f"{style(use.id, 'id')} {use.rule} {subject} {until}: {standing}"]
    if not counts:
        lines.append("  " + show_line(use.why))
    by = _("{reason}; by {who}").format(reason=show_line(use.reason or ""), who=show_line(use.by or ""))
    lines.append("  " + by)
    if use.key is not None:
        # Whose key it is stands on the roster; the name of the author is what the config said.
        lines.append(f"  {show_line(use.why)}, {use.key}" if counts else f"  {use.key}")
    return lines
