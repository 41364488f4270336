"""`dsvc release`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import click

from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.environment.settings import is_terminal
from dsvc.cli.frame.named_files import read_file
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, complete_chains, complete_refs
from dsvc.cli.frame.verb_group import VerbGroup
from dsvc.cli.language.i18n import _
from dsvc.cli.release.release_json import created_fields, release_fields, shown_fields, verified_fields
from dsvc.cli.release.release_text import (
    list_releases,
    show_created,
    show_downstream,
    show_release,
    show_verified,
)
from dsvc.cli.writing.names import show_line, show_name
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.release.release_rerun import PlannedRerun

_MAX_NOTES = 4 << 20

command = VerbGroup(
    "release",
    default="list",
    details=_(
        "A release is a commit that passed the release stage of the gate, with its verdict, its lineage, its "
        "evaluations and its defects on record."
    ),
)


class NotAgreedError(UsageError):
    """Nobody said yes to what was to be done."""

    code: ClassVar[str] = "not-agreed"


_NAME = click.argument("name", metavar="NAME", shell_complete=complete_chains("releases"))
_YES = click.option("--yes", is_flag=True, help=_("do it without asking"))


def _agree(session: Session, question: str, *, yes: bool) -> None:
    """Ask, where somebody is there to answer."""
    if yes:
        return
    if session.as_json or not is_terminal(sys.stdin):
        raise NotAgreedError(_("nobody is there to agree"), hint=_("--yes agrees beforehand"))
    if not click.confirm(question, err=True):
        raise NotAgreedError(_("nothing was done"))


@command.verb(
    "create",
    _("Release a committed version, if the gate lets it"),
    _(
        "REV is HEAD by default; what the working tree holds is no part of it. The rules of all stages are "
        "asked of the whole version, by the pack default where no policy is named. If any refuses it, every "
        "reason is listed, nothing is written, and the exit code is the first present of 22, 20, 21 and 23. "
        "The release and its tag can't be changed afterwards."
    ),
    greedy=("--path", "--consumer"),
)
@click.argument("name", metavar="NAME")
@click.argument("rev", required=False, default="HEAD", metavar="[REV]", shell_complete=complete_refs)
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="PATH…",
    type=PathWord(),
    help=_("files and folders that are given out; without: everything"),
)
@click.option("--title", default="", metavar="TEXT", help=_("title on the card"))
@click.option("--description", default="", metavar="TEXT", help=_("what it is, for the card"))
@click.option("--notes", metavar="FILE", type=PathWord(), help=_("notes on the release, a text file"))
@click.option("--contact", metavar="TEXT", help=_("who answers questions; without: the author"))
@click.option("--url", metavar="URL", help=_("where it can be found"))
@click.option("--consumer", "consumers", multiple=True, metavar="NAME…", help=_("to whom it is given"))
@click.option("-S", "--sign", is_flag=True, help=_("sign the tag with the SSH key of user.signingKey"))
@click.option(
    "--policy", metavar="FILE", type=PathWord(), help=_("ask this policy pack too, besides those in force")
)
def create(
    session: Session,
    name: str,
    rev: str,
    paths: tuple[str, ...],
    title: str,
    description: str,
    notes: str | None,
    contact: str | None,
    url: str | None,
    consumers: tuple[str, ...],
    sign: bool,
    policy: str | None,
) -> None:
    """Release a version."""
    from dsvc.policy.pack import MAX_PACK_BYTES
    from dsvc.porcelain.release.release_facts import About

    about = About(
        title=title,
        description=description,
        notes="" if notes is None else read_file(notes, _MAX_NOTES).decode("utf-8", "replace"),
        contact=contact or None,
        url=url or None,
    )
    pack = None if policy is None else (read_file(policy, MAX_PACK_BYTES), os.path.basename(policy))
    repo = session.signing_repository() if sign else session.repository()
    done = repo.release_create(
        name,
        rev,
        paths=[tree_path(path, repo.root) for path in paths],
        about=about,
        consumers=consumers,
        policy=pack,
        sign=sign,
    )
    session.output.json(created_fields(done))
    show_created(session, done)
    if not session.as_json and not repo.status().clean:
        session.advise("release", _("what is not committed is no part of it"))
    session.advise_identity()


@command.verb("list", _("List the releases"))
@click.option(
    "--affected",
    is_flag=True,
    help=_(
        "those that something speaks against by now: a source withdrawn, a blocking defect; with the reasons"
    ),
)
def list_(session: Session, affected: bool) -> None:
    """List releases."""
    repo = session.repository()
    if not affected:
        list_releases(session, repo.releases())
        return
    for each in repo.releases_affected():
        facts = repo.release(each.state.name)[1]
        session.output.json({**release_fields(each.state, facts), "reasons": list(each.reasons)})
        session.output.answer(session.output.style(show_line(each.state.name), "tag"))
        for reason in each.reasons:
            session.output.answer("  " + show_line(reason))


@command.verb("show", _("Show a release, or one of its documents"))
@_NAME
@click.option("--card", type=click.Choice(["en", "zh"]), help=_("the card, as Markdown"))
@click.option("--statement", is_flag=True, help=_("the attestation: in-toto statements, one on each line"))
@click.option("--croissant", is_flag=True, help=_("the description for data loaders, Croissant JSON-LD"))
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help=_("how to write it")
)
def show(session: Session, name: str, card: str | None, statement: bool, croissant: bool, form: str) -> None:
    """Show a release."""
    cards = {None: None, "en": "README.md", "zh": "README.zh.md"}
    wanted = [cards[card], "statement.jsonl" if statement else None, "croissant.json" if croissant else None]
    documents = [each for each in wanted if each is not None]
    if len(documents) > 1:
        raise UsageError(_("one document at a time"))
    repo = session.repository()
    if documents:
        text = repo.release_document(name, documents[0]).decode("utf-8", "replace")
        session.output.json({"release": name, "document": documents[0], "text": text})
        session.output.exact(text.removesuffix("\n"))
        return
    if form == "json":
        session.settings.as_json = True
    state, facts = repo.release(name)
    session.output.json(shown_fields(state, facts))
    show_release(session, state, facts)


@command.verb(
    "verify",
    _("Hold a release against everything that is stored"),
    _(
        "Tag, signature, commit, every byte of every file, documents, lineage, verdict, facts and "
        "evaluations are checked again, and the same in any copy of the repository: exit 0 if all of it "
        "is as the release says, else 1 with each finding. Recorded commands are not run. With --rerun "
        "some runs are done again, drawn by the content of the release: their commands are shown, and "
        "carried out only once you agree, without network and within limits."
    ),
)
@_NAME
@click.option("--rerun", type=click.IntRange(0, 10_000), default=0, metavar="N", help=_("do N runs again"))
@click.option("--yes", is_flag=True, help=_("agree to the commands beforehand"))
@click.option("--allow-network", is_flag=True, help=_("let these commands reach the network"))
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    metavar="SECONDS",
    help=_("end a command after this time; 3600 by default"),
)
def verify(session: Session, name: str, rerun: int, yes: bool, allow_network: bool, timeout: float) -> int:
    """Verify a release."""
    from dsvc.lineage.validation import Outcome
    from dsvc.porcelain.runs.rerun import Carrier

    repo = session.repository()
    plan: Sequence[PlannedRerun] = ()
    how = None
    if rerun:
        from dsvc.porcelain.runs.isolation import isolating_words

        plan = repo.release_reruns(name, rerun)
        for each in plan:
            text = _("to be run again: {name} {id}: {command}")
            line = text.format(name=show_line(each.name), id=each.run.short(), command=show_line(each.shown))
            click.echo(line, err=session.as_json)
        if plan:
            _agree(session, _("run these commands, which somebody else recorded?"), yes=yes)
        environ = session.settings.environ
        how = Carrier(
            environ=environ,
            timeout=timeout,
            output=sys.stderr.fileno() if session.as_json else None,
            through=isolating_words(environ, network=allow_network) if plan else (),
        )
        sys.stdout.flush()
    found = repo.release_verify(name, reruns=plan, how=how)
    session.output.json({**verified_fields(found), "reruns": [each.run.hex() for each in plan]})
    show_verified(session, found)
    return 0 if found.outcome is Outcome.PASS else 1


@command.verb(
    "announce",
    _("Announce a release before it is created, or record to whom it is given"),
    greedy=("--to",),
)
@_NAME
@click.option("--until", metavar="DATE", help=_("last day on which people can object to what goes in"))
@click.option("--to", "consumers", multiple=True, metavar="NAME…", help=_("to whom it is given"))
@click.option("--reason", metavar="TEXT", help=_("why; it is recorded"))
def announce(
    session: Session, name: str, until: str | None, consumers: tuple[str, ...], reason: str | None
) -> None:
    """Announce a release."""
    repo = session.repository()
    state = repo.release_announce(name, until=until, consumers=consumers, reason=reason)
    session.output.json(release_fields(state, repo.release(name)[1]))
    if until is not None:
        session.output.line(
            _("announced release {name}: objections until {date}").format(name=show_line(name), date=until)
        )
    if consumers:
        given = _(", ").join(map(show_line, state.consumers))
        session.output.line(_("consumers of {name}: {names}").format(name=show_line(name), names=given))


def _end(session: Session, name: str, verb: str, reason: str, line: str, *, yes: bool) -> None:
    """End a release, once whoever does it knows who is concerned."""
    repo = session.repository()
    found = repo.release_downstream(name)
    show_downstream(session, name, found)
    _agree(session, _("go on?"), yes=yes)
    state = repo.release_end(name, verb, reason)
    fields = release_fields(state, repo.release(name)[1])
    session.output.json({**fields, "consumers": list(found.consumers), "downstream": list(found.releases)})
    session.output.line(line.format(name=show_line(name)))


_REASON = click.option("--reason", required=True, metavar="TEXT", help=_("why; it is recorded"))


def _ending(verb: str, title: str, done: str) -> None:
    """Add a verb that ends a release, or moves it on to its end."""

    @command.verb(verb, title)
    @_NAME
    @_REASON
    @_YES
    def end(session: Session, name: str, reason: str, yes: bool) -> None:
        _end(session, name, verb, reason, done, yes=yes)


_ending("withdraw", _("Withdraw a release: nobody should use it any more"), _("release {name} is withdrawn"))
_ending("deprecate", _("Deprecate a release: there is a better one"), _("release {name} is deprecated"))
_ending(
    "archive",
    _("Archive a release: kept, verified whole, no longer recommended"),
    _("release {name} is archived"),
)
_ending("offline", _("Take a release offline: it is not given out any more"), _("release {name} is offline"))


@command.verb(
    "export",
    _("Write the files of a release and its documents into a folder"),
    _("The folder has a card, croissant.json, which loaders of Croissant read, and the attestation."),
)
@_NAME
@click.option(
    "-o", "--output", "folder", required=True, metavar="DIR", type=PathWord(), help=_("a new folder")
)
def export(session: Session, name: str, folder: str) -> None:
    """Export a release."""
    done = session.repository().release_export(name, folder)
    session.output.json(
        {
            "release": name,
            "files": done.files,
            "bytes": done.size,
            "documents": [each.decode() for each in done.documents],
        }
    )
    shown = _("wrote release {name} into {folder}")
    session.output.line(shown.format(name=show_line(name), folder=show_name(os.fsencode(folder))))
