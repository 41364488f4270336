"""What hints and remedies of rules tell people to type is a command of dsvc, with options that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import click
import pytest

from dsvc.cli.main import make_group
from dsvc.model.errors import DsvcError
from dsvc.policy.example_check import load_examples
from dsvc.policy.example_world import build_case
from dsvc.policy.pack import INVARIANTS, built_in, load_built_in
from dsvc.policy.rule_catalogue import all_rules
from dsvc.policy.rule_texts import text_of

_COMMAND = re.compile(r"dsvc ((?=[a-z])(?:[^;,。；，、（）]|,(?=\S))*)")
"""Up to where the sentence goes on."""
_TO_COME = ("repair verify", "release")
"""Verbs that rules over pilots and releases name, and that do not exist yet."""


def _hints() -> dict[str, str]:
    """Return all remedies, and what the rules hint at in their examples, with the rule that says it."""
    found = {text: rule.id for rule in all_rules() for text in text_of(rule.id).remedy.values()}
    packs = [load_built_in(name) for name in (*built_in(), INVARIANTS)]
    uses = {use.rule.id: use for pack in packs for use in pack.uses(None)}
    for id_, use in uses.items():
        for world in load_examples(id_).worlds.values():
            # Some evidence is missing because it can't be read.
            with suppress(DsvcError):
                for finding in use.rule.find(build_case(world), use.terms):
                    found.setdefault(finding.hint or "", id_)
    return found


def _find(words: list[str], group: click.Group) -> tuple[click.Command | None, list[str]]:
    """Return the command that words begin with, and what follows."""
    command: click.Command | None = group
    with click.Context(group) as context:
        while isinstance(command, click.Group) and words:
            command, words = command.get_command(context, words[0]), words[1:]
    return command, words


def _wrong(text: str, group: click.Group) -> Iterator[str]:
    for match in _COMMAND.finditer(text):
        command, rest = _find([word.rstrip(".)`") for word in match[1].split()], group)
        if command is None:
            yield from [] if match[1].startswith(_TO_COME) else [match[0]]
            continue
        options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        yield from (word for word in rest if word.startswith("--") and word != "--" and word not in options)
        # A value that no option takes would be refused: ID field=VALUE for ID --field field=VALUE.
        first = next((word for word in rest[1:] if "=" in word), None)
        if first is not None and not any(word.startswith("-") for word in rest[: rest.index(first)]):
            yield first


def test_what_people_are_told_to_type_exists() -> None:
    hints, group = _hints(), make_group()
    assert len(hints) > 150
    assert [(rule, each) for text, rule in hints.items() for each in _wrong(text, group)] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("dsvc source set web license_expression=MIT", ["license_expression=MIT"]),
        ("dsvc source set web --field a=b c=d, or take it out", []),
        ("dsvc source set web --fields a=b", ["--fields"]),
        ("ask; dsvc sauce set web", ["dsvc sauce set web"]),
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str, wrong: list[str]) -> None:
    assert list(_wrong(text, make_group())) == wrong
