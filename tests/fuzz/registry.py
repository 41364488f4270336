"""The parsers that are fuzzed, by name: each a function of bytes, with inputs to begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

GROUPS: Final = (
    "store",
    "state",
    "history",
    "lineage",
    "documents",
    "policy",
    "feedback",
    "records",
    "tables",
)
FOUND: Final = Path(__file__).parent / "found"
"""Inputs that once did what no input may, by the name of the target."""


class Form(Enum):
    """What an input is, where values in it can be exchanged."""

    BYTES = "bytes"
    MSGPACK = "msgpack"
    JSON = "json"


class Target(NamedTuple):
    """A parser.

    Attributes
    ----------
    parse : callable
        Reads bytes. A `DsvcError` is a refusal; anything else that it raises is a finding, and so is an
        assertion about what was accepted.
    seeds : callable
        Gives inputs that are accepted, made by dsvc itself.
    runs : int
        How many inputs are tried at the size of `make test`.
    longest : int
        Length of an input in bytes.
    """

    name: str
    group: str
    parse: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    form: Form
    runs: int
    longest: int


_targets: dict[str, Target] = {}


def target(
    name: str,
    seeds: Callable[[], Sequence[bytes]] | Sequence[bytes],
    *,
    form: Form = Form.BYTES,
    runs: int = 5000,
    longest: int = 4096,
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    """Register the function below as a target."""

    def register(parse: Callable[[bytes], object]) -> Callable[[bytes], object]:
        group = parse.__module__.rpartition("targets_")[2]
        given = seeds if callable(seeds) else lambda: seeds
        assert name not in _targets, name
        _targets[name] = Target(name, group, parse, given, form, runs, longest)
        return parse

    return register


def targets(groups: Sequence[str] = GROUPS) -> list[Target]:
    """All targets of some groups, in the order of their modules."""
    for group in groups:
        import_module(f"tests.fuzz.targets_{group}")
    return [each for each in _targets.values() if each.group in groups]


def chosen(names: Sequence[str]) -> list[Target]:
    """Targets by their names or those of their groups; without any, all.

    Raises
    ------
    KeyError
        If there is none of a name.
    """
    # What isn't asked for isn't imported.
    are_groups = bool(names) and set(names) <= set(GROUPS)
    found = targets(names if are_groups else GROUPS)
    known = {each.name for each in found}
    for name in names:
        if name not in known and name not in GROUPS:
            raise KeyError(name)
    return [each for each in found if not names or each.name in names or each.group in names]


def found_inputs(name: str) -> list[bytes]:
    """Inputs that a target once was broken by."""
    folder = FOUND / name
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []
