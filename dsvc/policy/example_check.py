"""Rules of packs asked about their examples: whether each passes, fails and is incomplete where it should."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from dsvc.lineage.validation import Finding, Outcome, unreadable
from dsvc.model.errors import DsvcError
from dsvc.policy.example_text import EXPECTED, ExampleError, Examples, World, parse_examples
from dsvc.policy.example_world import build_case
from dsvc.policy.pack import Pack
from dsvc.policy.rule import RuleUse

EXAMPLES: Final = Path(__file__).parent / "examples"
MAX_EXAMPLE_BYTES: Final = 1 << 20


class ExampleResult(NamedTuple):
    """What a rule said of one of its examples.

    Attributes
    ----------
    pack, rule : str
    example : str
        ``pass``, ``fail`` or ``missing``.
    expected : Outcome
    outcome : Outcome or None
        None: there is no such example, or it can't be read.
    messages : tuple of str
        What it found, or why there is no outcome.
    """

    pack: str
    rule: str
    example: str
    expected: Outcome
    outcome: Outcome | None
    messages: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it said what it should."""
        return self.outcome is self.expected


def load_examples(rule: str, folder: Path | None = None) -> Examples:
    """Read the examples of a rule.

    Parameters
    ----------
    folder : Path or None
        Where they are; those that come with dsvc are used for what it doesn't have.

    Raises
    ------
    ExampleError
        If there are none, or they are malformed.
    """
    for each in (folder, EXAMPLES):
        path = None if each is None else each / f"{rule}.toml"
        if path is None or not path.is_file():
            continue
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_EXAMPLE_BYTES + 1)
        except OSError as error:
            raise ExampleError(f"{path.name} can't be read: {error.strerror}") from error
        if len(data) > MAX_EXAMPLE_BYTES:
            raise ExampleError(f"{path.name} has more than {MAX_EXAMPLE_BYTES >> 20} MiB")
        return parse_examples(data, rule, path.name)
    raise ExampleError(f"rule {rule} has no examples", hint=f"they would stand in {rule}.toml")


def ask(use: RuleUse, world: World) -> tuple[Outcome, list[Finding]]:
    """Ask one rule about one world; what it does to a gate plays no part.

    Raises
    ------
    ExampleError
        If the world can't be.
    """
    case = build_case(world)
    terms = msgspec.structs.replace(use.terms, parameters={**use.terms.parameters, **world.values})
    findings: list[Finding] = []
    try:
        findings.extend(use.rule.find(case, terms))
    except DsvcError as error:
        # As the engine does.
        findings.append(unreadable(b"", error))
    found = {each.outcome for each in findings}
    outcome = next((each for each in (Outcome.FAIL, Outcome.INCOMPLETE) if each in found), Outcome.PASS)
    return outcome, findings


def check_rule(use: RuleUse, folder: Path | None = None) -> list[ExampleResult]:
    """Ask a rule about its three examples."""
    try:
        examples = load_examples(use.rule.id, folder)
    except ExampleError as error:
        return [_unknown(use, name, error) for name in EXPECTED]
    found = []
    for name, world in examples.worlds.items():
        try:
            outcome, findings = ask(use, world)
        except ExampleError as error:
            found.append(_unknown(use, name, error))
            continue
        messages = tuple(dict.fromkeys(each.message for each in findings))
        found.append(ExampleResult(use.pack, use.rule.id, name, EXPECTED[name], outcome, messages))
    return found


def check_packs(packs: Iterable[Pack], folder: Path | None = None) -> list[ExampleResult]:
    """Ask all rules of packs about their examples, under the terms of each pack."""
    uses: Sequence[RuleUse] = [use for pack in packs for use in pack.uses(None)]
    return [result for use in uses for result in check_rule(use, folder)]


def _unknown(use: RuleUse, name: str, error: DsvcError) -> ExampleResult:
    return ExampleResult(use.pack, use.rule.id, name, EXPECTED[name], None, (error.message,))
