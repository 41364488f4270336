"""Policy packs: dated data that name rules, with the clause, the gate and the thresholds of each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from dsvc.lineage.validation import Gate
from dsvc.model.encoding import encode
from dsvc.model.errors import UsageError
from dsvc.model.waiver import is_day
from dsvc.policy.rule import Parameter, RuleUse, Stricter, Terms, Value
from dsvc.policy.rule_catalogue import find_rule
from dsvc.table.rules_file import read_document

PACKS: Final = Path(__file__).parent / "packs"
DEFAULT: Final = "default"
INVARIANTS: Final = "invariants"
"""The pack that `check` asks whatever is in force: what holds for every lineage."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
MAX_PACK_BYTES: Final = 4 << 20
_VERSION_LENGTH: Final = 64
_LARGEST: Final = 1 << 53
"""Beyond it numbers are no longer told apart, and encodings end."""


class PackError(UsageError):
    """A policy pack can't be read, or there is none of that name."""

    code = "policy-pack"


class _RuleText(Terms, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Terms as a pack writes them; its parameters are not checked yet, and not all there."""

    gate: Gate = msgspec.field(name="stage")
    parameters: Mapping[str, Any] = {}


class _Title(msgspec.Struct, forbid_unknown_fields=True):
    en: str
    zh: str


class _PackText(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    id: str
    version: str
    date: str
    title: _Title
    note: _Title | None = None
    rules: dict[str, _RuleText]
    profiles: dict[str, dict[str, dict[str, Any]]] = {}


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """A policy pack.

    Attributes
    ----------
    id : str
    version : str
    date : str
        Of the law and the standards as the pack has them, ``YYYY-MM-DD``.
    title, note : mapping of str to str
        By language, ``en`` and ``zh``.
    rules : mapping of str to Terms
        By id of the rule, parameters filled in.
    profiles : mapping
        Stricter parameters by profile and rule.
    """

    id: str
    version: str
    date: str
    title: Mapping[str, str]
    note: Mapping[str, str]
    rules: Mapping[str, Terms]
    profiles: Mapping[str, Mapping[str, Mapping[str, Value]]] = {}

    @property
    def digest(self) -> str:
        """BLAKE3-256 over the pack's canonical encoding, in hex; a verdict names it."""
        from blake3 import blake3

        return blake3(b"dsvc policy pack 1\0" + encode(_plain(self))).hexdigest()

    @property
    def name(self) -> str:
        """Id and version."""
        return f"{self.id}@{self.version}"

    def uses(
        self, profile: str | None, overrides: Mapping[str, Mapping[str, Value]] | None = None
    ) -> list[RuleUse]:
        """Rules as the pack names them, under a profile and stricter thresholds of one's own.

        Raises
        ------
        PackError
            If an override is for no parameter, or towards the looser side.
        """
        found = []
        for id_, terms in sorted(self.rules.items()):
            rule = find_rule(id_)
            for source in (self.profiles.get(profile or "", {}), overrides or {}):
                if id_ in source:
                    values = _overridden(id_, terms.parameters, rule.parameters, source[id_])
                    terms = msgspec.structs.replace(terms, parameters=values)
            found.append(RuleUse(rule, terms, self.name))
        return found


def _plain(value: object) -> object:
    """Sort mappings, so that equal packs have equal bytes."""
    if isinstance(value, msgspec.Struct):
        return _plain(msgspec.structs.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _overridden(
    rule: str,
    values: Mapping[str, Value],
    known: Mapping[str, Parameter],
    changes: Mapping[str, Value],
) -> dict[str, Value]:
    found = dict(values)
    for name, value in changes.items():
        if name not in known:
            raise PackError(f"rule {rule} has no parameter {name!r}", hint=f"dsvc policy explain {rule}")
        direction = known[name].stricter
        old = found[name]
        if direction is None or not _is_number(old):
            raise PackError(f"parameter {name} of rule {rule} can only be set by a pack")
        if not _is_number(value):
            raise PackError(f"parameter {name} of rule {rule} takes a number, not {_shown(value)}")
        assert isinstance(old, int | float)
        assert isinstance(value, int | float)
        if (value < old) if direction is Stricter.HIGHER else (value > old):
            raise PackError(
                f"parameter {name} of rule {rule} is {old}; {value} would be looser",
                hint=f"thresholds are overridden towards the stricter side only ({direction.value})",
            )
        found[name] = value
    return found


def _is_number(value: object) -> bool:
    """Whether a value is a number that has an order: no threshold is NaN, which nothing exceeds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _LARGEST if isinstance(value, int) else math.isfinite(value)


def _shown(value: object) -> str:
    is_long = isinstance(value, int) and abs(value) > _LARGEST
    return "one of so many digits" if is_long else repr(value)[:80]


def parse_pack(data: bytes, name: str) -> Pack:
    """Read a pack.

    Raises
    ------
    PackError
        If it is malformed, or names a rule or a parameter that there isn't.
    """
    document = read_document(data, name, PackError)
    try:
        text = msgspec.convert(document, _PackText)
    except msgspec.ValidationError as error:
        raise PackError(f"{name}: {error}", details={"path": name}) from error
    _check(text, name)
    return Pack(
        id=text.id,
        version=text.version,
        date=text.date,
        title=msgspec.structs.asdict(text.title),
        note={} if text.note is None else msgspec.structs.asdict(text.note),
        rules={id_: _terms(id_, rule, name) for id_, rule in sorted(text.rules.items())},
        profiles=_profiles(text, name),
    )


def _check(text: _PackText, name: str) -> None:
    days = [text.date]
    for rule in text.rules.values():
        days += [day for day in (rule.effective_from, rule.effective_until) if day is not None]
    for day in days:
        if not is_day(day):
            raise PackError(f"{name}: {day[:40]!r} is no date YYYY-MM-DD", details={"path": name})
    is_version = 0 < len(text.version.strip()) <= _VERSION_LENGTH and text.version.isprintable()
    if not _NAME.fullmatch(text.id) or not is_version:
        raise PackError(f"{name}: id and version name a pack, as in default and 2026.11")
    if not text.rules:
        raise PackError(f"{name}: a pack names at least one rule", details={"path": name})


def _terms(id_: str, text: _RuleText, name: str) -> Terms:
    known = find_rule(id_, name).parameters
    values: dict[str, Value] = {key: each.default for key, each in known.items()}
    for key, value in text.parameters.items():
        if key not in known:
            raise PackError(f"{name}: rule {id_} has no parameter {key!r}", details={"path": name})
        values[key] = _value(value, known[key].default, f"{name}: {id_}.{key}")
    return Terms(**{**msgspec.structs.asdict(text), "parameters": values})


def _value(value: object, like: Value, what: str) -> Value:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = tuple(value)
    if _is_number(like):
        if _is_number(value):
            return cast("int | float", value)
    elif type(value) is type(like):
        return value
    raise PackError(f"{what} takes a value like {like!r}, not {_shown(value)}")


def _profiles(text: _PackText, name: str) -> dict[str, dict[str, dict[str, Value]]]:
    found: dict[str, dict[str, dict[str, Value]]] = {}
    for profile, rules in text.profiles.items():
        # One that changes nothing is offered too: the pack as it is, by a name of its own.
        found[profile] = {}
        for id_, values in rules.items():
            if id_ not in text.rules:
                raise PackError(f"{name}: profile {profile}: the pack has no rule {id_}")
            base = _terms(id_, text.rules[id_], name).parameters
            _overridden(id_, base, find_rule(id_, name).parameters, values)
            found[profile][id_] = dict(values)
    return found


def built_in() -> list[str]:
    """Names of the packs that come with dsvc, without the invariants."""
    return sorted(path.stem for path in PACKS.glob("*.toml") if path.stem != INVARIANTS)


@lru_cache(maxsize=16)
def load_built_in(name: str) -> Pack:
    """Read a pack that comes with dsvc.

    Raises
    ------
    PackError
        If there is none of that name.
    """
    path = PACKS / f"{name}.toml"
    if not _NAME.fullmatch(name) or not path.is_file():
        from difflib import get_close_matches

        close = get_close_matches(name, built_in(), 1, 0.5)
        meant = f"did you mean {close[0]}? " if close else ""
        raise PackError(
            f"there is no policy pack {name!r}",
            hint=f"{meant}there are {', '.join(built_in())}; one's own is a path that ends in .toml",
        )
    return parse_pack(path.read_bytes(), f"pack {name}")
