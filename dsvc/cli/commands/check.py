"""`dsvc check`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from dsvc.cli.frame.named_files import read_file
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_refs, verb
from dsvc.cli.language.i18n import _, language
from dsvc.cli.policy.check_json import verdict_fields
from dsvc.cli.writing.names import show_line
from dsvc.model.errors import (
    CorruptDataError,
    MalformedInputError,
    MissingDataError,
    UsageError,
)

if TYPE_CHECKING:
    from dsvc.porcelain.policy.verdict import CheckResult


def _changed_sources(session: Session, result: CheckResult) -> list[str]:
    """Sources of what was found whose record this version doesn't have yet."""
    named = {name for each in result.violations for name in each.sources}
    if result.commit is None or not named:
        return []
    try:
        return sorted(named & session.repository().changed_sources(result.commit))
    except (MissingDataError, CorruptDataError, MalformedInputError):
        # The verdict has said so.
        return []


def _report(session: Session, result: CheckResult, form: str) -> None:
    from dsvc.cli.policy.check_text import show_verdict
    from dsvc.cli.terminal.output import encode_json
    from dsvc.policy.rule_texts import title_of

    output = session.output
    changed = _changed_sources(session, result)
    output.json({**verdict_fields(result), "changed_sources": changed})
    if form in ("text", "json"):
        show_verdict(output, result)
        if changed:
            text = _(
                "changed since this version: source {ids}; what it says now counts from the next commit on"
            )
            output.hint(text.format(ids=show_line(_(", ").join(changed))))
        return
    ids = {rule.id for rule in result.rules} | {each.rule for each in result.violations}
    titles = {id_: title_of(id_, language()) for id_ in ids}
    if form == "sarif":
        from dsvc.cli.policy.check_sarif import sarif

        output.exact(encode_json(sarif(result, titles)))
        return
    from dsvc.cli.policy.check_junit import junit

    output.exact(junit(result, titles).removesuffix("\n"))


@verb("check")
@click.argument("rev", required=False, metavar="[REV]", shell_complete=complete_refs)
@click.option("--staged", is_flag=True, help=_("judge what is staged, with the runs that wait for a commit"))
@click.option(
    "--policy", metavar="FILE", type=PathWord(), help=_("ask this policy pack too, besides those in force")
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "junit"]),
    default="text",
    help=_("how to write the answer"),
)
@click.option(
    "--stage",
    type=click.Choice(["commit", "push", "release"]),
    help=_("up to which gate; without: commit and push"),
)
@click.option(
    "--target",
    metavar="BRANCH",
    shell_complete=complete_refs,
    help=_("the branch that it goes to, whose policy counts too; without: that of policy.target"),
)
@click.option("--as-of", metavar="DATE", help=_("judge as of a date or time: knowing what was known then"))
@click.option("--rescan", is_flag=True, help=_("have detectors look again at what they have seen before"))
@click.option("--html", metavar="FILE", type=PathWord(), help=_("write a page for auditors, too"))
@click.option(
    "--gate",
    "as_gate",
    is_flag=True,
    help=_("exit as hooks and CI need it: 22 where lineage is broken, 20, 21 or 23 by the policy"),
)
def command(
    session: Session,
    rev: str | None,
    staged: bool,
    policy: str | None,
    form: str,
    stage: str | None,
    target: str | None,
    as_of: str | None,
    rescan: bool,
    html: str | None,
    as_gate: bool,
) -> int:
    """Judge a version by the policy in force."""
    if staged and rev is not None:
        raise UsageError(_("--staged judges what is staged, not a revision"))
    if form == "json":
        session.settings.as_json = True
    from dsvc.lineage.validation import Gate
    from dsvc.policy.pack import MAX_PACK_BYTES

    pack = None
    if policy is not None:
        hint = _("--policy takes a pack of your own, as a TOML file")
        pack = read_file(policy, MAX_PACK_BYTES, hint=hint), os.path.basename(policy)

    result = session.repository().check(
        rev,
        staged=staged,
        gate=None if stage is None else Gate(stage),
        target=target,
        policy=pack,
        as_of=as_of,
        rescan=rescan,
    )
    if html is not None:
        from dsvc.cli.frame.named_files import write_page
        from dsvc.cli.policy.check_html import page

        write_page(session, html, page(result))
    _report(session, result, form)
    return result.gate_exit_code if as_gate else int(result.gate_exit_code != 0)
