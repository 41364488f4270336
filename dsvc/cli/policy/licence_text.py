"""What may be done with data, as JSON and for people; `add_licence` makes it a verb of a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from dsvc.cli.arguments.lineage_targets import TARGETS, lineage_target
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import show_line

if TYPE_CHECKING:
    from dsvc.cli.frame.verb_group import VerbGroup
    from dsvc.porcelain.policy.licences import LicenceAnswer, Permitted, SourceLicence


def add_licence(group: VerbGroup) -> None:
    """Take the verb ``licence`` into a group."""

    @group.verb("licence", _("Say what may be done with data, and who forbids what"), TARGETS)
    @click.argument("target", metavar="[TARGET]", type=PathWord(), required=False)
    def licence(session: Session, target: str | None) -> None:
        repo = session.repository()
        found = repo.licence_of(None if target is None else lineage_target(target, repo.root))
        session.output.json(licence_fields(target, found))
        if not session.as_json:
            for line in licence_lines(found):
                session.output.answer(line)


def licence_fields(target: str | None, answer: LicenceAnswer) -> dict[str, object]:
    """Return what may be done as JSON; the target is None for all of HEAD."""
    import msgspec

    fields: Mapping[str, Any] = msgspec.to_builtins(answer)
    return {"target": target, **fields}


def _words() -> dict[str, str]:
    return {"yes": _("yes"), "no": _("no"), "undetermined": _("not known")}


def _asked(answer: LicenceAnswer) -> dict[str, str]:
    purpose = answer.purpose
    return {
        "use": _("use for {purpose}").format(purpose=show_line(purpose))
        if purpose
        else _("use, whatever for"),
        "commercial": _("use for gain"),
        "adapt": _("adapt it"),
        "share_adapted": _("give it to others adapted"),
        "redistribute": _("give it to others as it is"),
    }


def licence_lines(answer: LicenceAnswer) -> Iterator[str]:
    """Write what may be done, line by line."""
    sources = {each.source: each for each in answer.sources}
    if answer.files:
        yield ngettext("{n} file", "{n} files", answer.files) + _(", from {sources}").format(
            sources=ngettext("{n} source", "{n} sources", len(sources))
        )
    asked = _asked(answer)
    for each in answer.answers:
        yield _("  {what}: {answer}").format(what=asked[each.what], answer=_said(each, sources))
    shareable = _words()[answer.shareable]
    if answer.output_licences:
        licences = _(" or ").join(answer.output_licences)
        shareable = _("{answer}, under {licences}").format(answer=shareable, licences=licences)
    yield _("  {what}: {answer}").format(what=_("give it to others united in one file"), answer=shareable)
    yield from _limits(answer)
    if answer.attribution:
        named = [_source(sources[name]) for name in answer.attribution]
        yield _("name: {sources}").format(sources=_(", ").join(named))
    unread = [_source(each) for each in answer.sources if each.own_terms]
    if unread:
        yield _("read the terms of: {sources}").format(sources=_(", ").join(unread))
    if answer.choices > 1:
        yield _("the licences leave a choice; each answer is that of the best one")
    for path in answer.unknown_files:
        yield _("not all that {path} comes from is known").format(path=show_line(path))


def _said(each: Permitted, sources: Mapping[str, SourceLicence]) -> str:
    word = _words()[each.permission]
    if not each.by:
        return word
    named = _(", ").join(_source(sources[name]) for name in each.by)
    return _("{answer}, by {sources}").format(answer=word, sources=named)


def _source(each: SourceLicence) -> str:
    return show_line(f"{each.source} ({each.licence})")


def _limits(answer: LicenceAnswer) -> Iterator[str]:
    for text, words in (
        (_("only for: {words}"), answer.purposes),
        (_("never for: {words}"), answer.forbidden or None),
        (_("only in: {words}"), answer.territory),
        (_("only by: {words}"), answer.consumers),
    ):
        if words is not None:
            yield text.format(words=show_line(_(", ").join(words)) or _("nothing that all allow"))
    if answer.expiry is not None:
        yield _("until {day}").format(day=show_line(answer.expiry))
