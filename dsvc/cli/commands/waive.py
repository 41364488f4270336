"""`dsvc waive`."""

from __future__ import annotations

import os

import click

from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_refs, verb
from dsvc.cli.language.i18n import _
from dsvc.cli.policy.waiver_text import waiver_fields, waiver_lines
from dsvc.model.errors import UsageError


def _subject(session: Session, text: str) -> bytes:
    """Read what a waiver is for: the whole version, a run, a source, a defect, or a path from here."""
    if text.startswith(("run:", "source:", "defect:")):
        return os.fsencode(text)
    return tree_path(text, session.repository().root)


def _list(session: Session, rev: str | None) -> None:
    found = session.repository().waivers(rev)
    output = session.output
    if session.as_json:
        for use in found:
            output.json(waiver_fields(use))
        return
    with session.paged():
        for use in found:
            for line in waiver_lines(output, use):
                output.answer(line)
    if not found:
        output.line(_("no waivers"))


def _needed(name: str, value: str | None) -> str:
    if value is None:
        raise UsageError(
            _("{name} is needed").format(name=name),
            hint=_('dsvc waive RULE --subject PATH --reason "WHY" --until YYYY-MM-DD'),
        )
    return value


@verb("waive")
@click.argument("rule", required=False, metavar="[RULE]")
@click.option(
    "--subject",
    metavar="S",
    type=PathWord(),
    help=_("what check named: a path, PATH@DIGEST, run:ID, source:ID, defect:ID; . is the whole version"),
)
@click.option("--reason", metavar="R", help=_("why it may stand"))
@click.option("--until", metavar="DATE", help=_("the last day on which it holds, YYYY-MM-DD"))
@click.option(
    "--key",
    metavar="FILE",
    type=PathWord(),
    help=_("the SSH key to sign with, or the .pub file of one in an agent; without: user.signingKey"),
)
@click.option(
    "--rev",
    metavar="REV",
    shell_complete=complete_refs,
    help=_("whose content it is for; without: what is staged, else HEAD"),
)
@click.option("-l", "--list", "listing", is_flag=True, help=_("show all waivers and what they are worth"))
@click.option("--revoke", metavar="ID", help=_("end a waiver before its day"))
def command(
    session: Session,
    rule: str | None,
    subject: str | None,
    reason: str | None,
    until: str | None,
    key: str | None,
    rev: str | None,
    listing: bool,
    revoke: str | None,
) -> None:
    """Let a violation stand, signed by a compliance officer who isn't its author."""
    makes = [rule, subject, until, key]
    alone = not any(each is not None for each in makes) and not (listing and (revoke or reason is not None))
    if (listing or revoke is not None) and not alone:
        raise UsageError(_("--list and --revoke stand alone; neither makes a waiver"))
    if listing:
        _list(session, rev)
        return
    if revoke is not None:
        made = session.repository().revoke_waiver(revoke, _needed("--reason", reason))
        headline = _("revoked waiver {id}").format(id=made.id)
    else:
        made = session.signing_repository().waive(
            _needed("RULE", rule).upper(),
            _subject(session, _needed("--subject", subject)),
            reason=_needed("--reason", reason),
            until=_needed("--until", until),
            key=None if key is None else os.path.abspath(key),
            rev=rev,
        )
        headline = _("waiver {id}").format(id=made.id)
    session.output.json(waiver_fields(made))
    session.output.line(headline)
    for line in waiver_lines(session.output, made)[1:]:
        session.output.line(line)
