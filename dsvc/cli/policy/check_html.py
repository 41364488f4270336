"""A verdict as an HTML page for auditors, that needs nothing else and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from dsvc.cli.language.i18n import _
from dsvc.cli.policy.check_text import by_source, clause_of, heading, remedy, status_of, title
from dsvc.cli.policy.waiver_text import roster_line, waiver_lines
from dsvc.cli.writing.html_page import PAGE_END, escape, page_begin
from dsvc.cli.writing.names import show_name

if TYPE_CHECKING:
    from dsvc.lineage.validation import Violation
    from dsvc.porcelain.policy.verdict import CheckResult

_STYLE: Final = """
.FAIL { background: var(--del); } .PASS { background: var(--add); }
.outcome { padding: .1em .5em; border-radius: 4px; font-weight: 600; }
td { vertical-align: top; overflow-wrap: anywhere; } dt { font-weight: 600; } dd { margin: 0 0 .4em; }
@media print { body { max-width: none; margin: 0; } tr { break-inside: avoid; } }
"""


def page(result: CheckResult) -> Iterator[str]:
    """Yield the pieces of the page."""
    yield page_begin(_("Verdict on {version}").format(version=(result.commit or result.version)[:16]), _STYLE)
    outcome = result.outcome.value
    yield f'<p><span class="outcome {outcome}">{outcome}</span></p>\n<dl>'
    for name, value in _facts(result):
        yield f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>"
    yield "</dl>\n"
    for source, violations in by_source(result).items():
        yield f"<h2>{escape(heading(source))}</h2>\n<table><thead><tr>"
        for head in (_("rule"), _("what is wrong"), _("clause"), _("settled by"), _("how")):
            yield f'<th scope="col">{escape(head)}</th>'
        yield "</tr></thead><tbody>\n"
        for violation in violations:
            yield _row(result, violation)
        yield "</tbody></table>\n"
    if result.policy_changes:
        yield f"<h2>{escape(_('changes of the policy'))}</h2>\n<ul>"
        for change in result.policy_changes:
            text = f"{change.what}: {change.before} → {change.after}"
            yield f"<li>{escape(text)} ({escape(_('weaker') if change.weaker else _('not weaker'))})</li>"
        yield "</ul>\n"
    yield from _waivers(result)
    yield f"<h2>{escape(_('rules that were asked'))}</h2>\n<table><tbody>\n"
    broken = {each.rule for each in result.violations}
    for rule in result.rules:
        state = _("see above") if rule.id in broken else _("nothing found")
        cells = (rule.id, title(rule.id), rule.clause, rule.pack, state)
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>\n"
    yield f"</tbody></table>\n<p>{escape(_('This is no legal advice.'))}</p>\n"
    yield PAGE_END


def _waivers(result: CheckResult) -> Iterator[str]:
    """Who let what stand, and whose keys are trusted since there were none before."""
    if result.waivers:
        yield f"<h2>{escape(_('waivers'))}</h2>\n<ul>"
        for use in result.waivers:
            lines = [line.strip() for line in waiver_lines(None, use)]
            yield f"<li>{'<br>'.join(escape(line) for line in lines)}</li>"
        yield "</ul>\n"
    roster = roster_line(result)
    if roster is not None:
        yield f"<p>{escape(roster)}</p>\n"


def _facts(result: CheckResult) -> Iterator[tuple[str, str]]:
    if result.commit is not None:
        yield _("commit"), result.commit
    yield _("version"), result.version
    yield _("stage"), result.stage.value
    yield _("as of"), result.as_of
    for pack in result.packs:
        yield _("policy pack"), f"{pack.name} blake3:{pack.digest}"
    yield _("verdict"), f"blake3:{result.digest}"


def _row(result: CheckResult, violation: Violation) -> str:
    subject = show_name(violation.subject) if violation.subject else _("the whole version")
    how = violation.hint or remedy(violation.rule)
    return (
        f"<tr><td>{escape(violation.rule)}<br>{escape(title(violation.rule))}</td>"
        f"<td><code>{escape(subject)}</code><br>{escape(violation.message)}"
        f'<br><span class="quiet">{escape(status_of(violation))}</span></td>'
        f"<td>{escape(clause_of(result, violation.rule))}</td>"
        f"<td>{escape(violation.settled_by)}</td><td>{escape(how)}</td></tr>\n"
    )
