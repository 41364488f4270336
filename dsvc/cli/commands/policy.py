"""`dsvc policy`."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dsvc.cli.frame.named_files import read_file
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord
from dsvc.cli.frame.verb_group import VerbGroup
from dsvc.cli.language.i18n import _, language, ngettext, use_language
from dsvc.cli.policy.detections_text import add_detections
from dsvc.cli.policy.licence_text import add_licence
from dsvc.cli.writing.names import show_name
from dsvc.model.errors import NoRepositoryError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsvc.policy.pack import Pack
    from dsvc.porcelain.policy.policy_view import PolicyView


command = VerbGroup(
    "policy",
    default="show",
    details=_(
        "Packs are dated lists of rules, each with its clause; dsvc.toml names those that are in force."
    ),
)


def _complete_rules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete ids of rules."""
    from dsvc.policy.rule_catalogue import all_rules

    return [rule.id for rule in all_rules() if rule.id.startswith(incomplete.upper())]


def _complete_packs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of packs."""
    from dsvc.policy.pack import built_in

    return [name for name in built_in() if name.startswith(incomplete)]


def _built_in() -> list[Pack]:
    from dsvc.policy.pack import INVARIANTS, built_in, load_built_in

    return [load_built_in(name) for name in (*built_in(), INVARIANTS)]


def _view(session: Session) -> PolicyView | None:
    """Find what is in force; None where there is no repository."""
    from dsvc.porcelain.policy.policy_view import policy_view

    try:
        return policy_view(session.repository())
    except NoRepositoryError:
        return None


def _pack(session: Session, name: str) -> Pack:
    """Find a pack: a file, a built-in one, or one that is in force here."""
    from dsvc.policy.pack import MAX_PACK_BYTES, load_built_in, parse_pack

    if name.endswith(".toml") and os.path.isfile(name):
        return parse_pack(read_file(name, MAX_PACK_BYTES), os.path.basename(name))
    view = _view(session) if name.endswith(".toml") or "@" in name else None
    for pack in () if view is None else view.in_force.packs:
        if pack.name == name:
            return pack
    if name.endswith(".toml"):
        raise NotFoundError(_("there is no file {name}").format(name=show_name(os.fsencode(name))))
    return load_built_in(name.partition("@")[0])


@contextmanager
def _speaking(wanted: str | None) -> Iterator[None]:
    """Speak another language for a while."""
    if wanted is None:
        yield
        return
    before = language()
    use_language(wanted)
    try:
        yield
    finally:
        use_language(before)


@command.verb("show", _("Show what is in force here, or what a pack asks for"))
@click.argument("pack", required=False, metavar="[PACK]", shell_complete=_complete_packs)
def show(session: Session, pack: str | None) -> None:
    """Show what is in force, or a pack."""
    from dsvc.cli.policy.policy_text import show_pack, show_view
    from dsvc.porcelain.policy.policy_view import policy_view

    if pack is not None:
        found = _pack(session, pack)
        with session.paged():
            show_pack(session, found)
        return
    view = policy_view(session.repository())
    with session.paged():
        show_view(session, view)


@command.verb("list", _("List the packs, or all rules"))
@click.option("--rules", "with_rules", is_flag=True, help=_("list the rules, with the packs that name each"))
def list_(session: Session, with_rules: bool) -> None:
    """List packs or rules."""
    from dsvc.cli.policy.policy_text import list_packs, list_rules

    view = _view(session)
    packs = _built_in()
    known = {pack.digest for pack in packs}
    packs += [pack for pack in (() if view is None else view.in_force.packs) if pack.digest not in known]
    with session.paged():
        if with_rules:
            list_rules(session, packs)
        else:
            list_packs(session, packs, view)


@command.verb("explain", _("Say what a rule asks, which clause demands it, and how to settle it"))
@click.argument("rule", metavar="RULE", shell_complete=_complete_rules)
@click.option(
    "--language",
    "wanted",
    type=click.Choice(["en", "zh"]),
    help=_("in which language; without: that of the command line"),
)
def explain(session: Session, rule: str, wanted: str | None) -> None:
    """Explain a rule."""
    from dsvc.cli.policy.rule_text import explain as write
    from dsvc.policy.rule_catalogue import find_rule

    found = find_rule(rule.upper())
    with _speaking(wanted), session.paged():
        write(session, found, _built_in())


@command.verb(
    "test",
    _("Ask rules about their examples: one that passes, one that fails, one without evidence"),
    _("Without PACK those of all built-in packs. Exits with 1 where a rule says something else."),
)
@click.argument(
    "pack", required=False, metavar="[PACK|FILE]", type=PathWord(), shell_complete=_complete_packs
)
@click.option(
    "--examples",
    metavar="DIR",
    type=PathWord(),
    help=_("examples of one's own, RULE.toml each; for rules without, the built-in ones"),
)
def test(session: Session, pack: str | None, examples: str | None) -> int:
    """Run examples."""
    from pathlib import Path

    from dsvc.cli.policy.policy_text import show_results
    from dsvc.policy.example_check import check_packs

    folder = None if examples is None else Path(examples)
    if folder is not None and not folder.is_dir():
        raise NotFoundError(_("there is no folder {name}").format(name=show_name(os.fsencode(folder))))
    results = check_packs([_pack(session, pack)] if pack is not None else _built_in(), folder)
    with session.paged():
        show_results(session, results)
    wrong = sum(not each.ok for each in results)
    if wrong:
        session.output.line(ngettext("{n} example differs", "{n} examples differ", wrong))
    else:
        session.output.line(
            ngettext("{n} example, as expected", "{n} examples, all as expected", len(results))
        )
    return int(wrong > 0)


add_licence(command)
add_detections(command)
