"""What a licence permits: by the table of licences, or as declared for licences of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from dsvc.lineage.license_text import LicenceTree, licence_tree
from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.policy.licence_vector import NO, UNKNOWN, YES, Choices, Permission, Vector, both, either

_TABLE: Final = Path(__file__).parent / "licences.toml"
_VERSION: Final = re.compile(r"-(\d+)\.(\d+)")
_DERIVATIVES: Final = {"yes": (YES, YES), "not-shared": (YES, NO), "no": (NO, NO)}
_ITSELF: Final = "itself"


class LicenceTerms(NamedTuple):
    """What one licence permits.

    Attributes
    ----------
    vector : Vector
    accepts : frozenset of str
        Of a share-alike licence: licences that an adaptation may carry.
    own_terms : bool
        Whether it has terms that no vector says, which a person has to read.
    """

    vector: Vector
    accepts: frozenset[str] = frozenset()
    own_terms: bool = False


Declared = Mapping[str, LicenceTerms]
"""Licences of one's own by their names."""
NOTHING_DECLARED: Final[Declared] = MappingProxyType({})


class _Class(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    ids: tuple[str, ...]
    commercial: str
    derivatives: str
    redistribute: str
    attribution: str
    share_alike: str | None = None
    later: bool = False
    accepts: tuple[str, ...] = ()
    own_terms: bool = False

    def matches(self, id_: str) -> bool:
        return any(id_ == each or fnmatchcase(id_, each) for each in self.ids)


@lru_cache(maxsize=1)
def _classes() -> tuple[_Class, ...]:
    import tomllib

    return tuple(msgspec.convert(tomllib.loads(_TABLE.read_text("utf-8"))["class"], list[_Class]))


def class_of(id_: str) -> str | None:
    """Name of the class of licences that one belongs to; None where the table doesn't have it."""
    found = next((each for each in _classes() if each.matches(id_)), None)
    return None if found is None else found.name


@lru_cache(maxsize=4096)
def known_terms(id_: str) -> LicenceTerms | None:
    """What a licence permits by the table; None where it isn't there."""
    found = next((each for each in _classes() if each.matches(id_)), None)
    if found is None:
        return None
    vector = make_vector(
        found.commercial, found.derivatives, found.redistribute, found.attribution, found.share_alike and id_
    )
    return LicenceTerms(vector, _accepted(id_, found), found.own_terms)


def make_vector(
    commercial: str, derivatives: str, redistribute: str, attribution: str, share_alike: str | None = None
) -> Vector:
    """Read the words of a table; a word that isn't known is undetermined."""
    unknown = (Permission.UNDETERMINED, Permission.UNDETERMINED)
    adapt, share_adapted = _DERIVATIVES.get(derivatives, unknown)
    return Vector(
        commercial=Permission.of(commercial),
        adapt=adapt,
        share_adapted=share_adapted,
        redistribute=Permission.of(redistribute),
        unnamed=Permission(YES - Permission.of(attribution)),
        share_alike=frozenset([share_alike] if share_alike else []),
    )


def _accepted(id_: str, found: _Class) -> frozenset[str]:
    if found.share_alike is None:
        return frozenset()
    accepted = {id_, *found.accepts}
    if found.share_alike != _ITSELF and found.later:
        first = _version(id_)
        family = [each for each in _classes() if each.share_alike == found.share_alike]
        accepted |= {each for each in _spdx_ids() if _in(each, family) and _version(each) >= first}
    return frozenset(accepted)


def _in(id_: str, classes: Iterable[_Class]) -> bool:
    return any(each.matches(id_) for each in classes)


def _version(id_: str) -> tuple[int, int]:
    found = _VERSION.search(id_)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@lru_cache(maxsize=1)
def _spdx_ids() -> frozenset[str]:
    from dsvc.lineage.license_text import spdx_ids

    return spdx_ids()


def accepted_by(id_: str, declared: Declared = NOTHING_DECLARED) -> frozenset[str]:
    """Licences that an adaptation may carry of what has a share-alike licence."""
    found = terms_of(id_, declared)
    return frozenset([id_]) if found is None or not found.accepts else found.accepts


def terms_of(id_: str, declared: Declared = NOTHING_DECLARED) -> LicenceTerms | None:
    """What one licence permits, ``WITH`` an exception or without; None where that isn't known.

    An exception only permits more, and only of programs: it changes nothing here.
    """
    bare = id_.partition(" WITH ")[0]
    return known_terms(bare) or declared.get(bare)


def licences_in(expression: str) -> tuple[str, ...]:
    """List the licences that an expression names, each with its exception; raises as `choices_of`."""
    return tuple(dict.fromkeys(_leaves(licence_tree(expression))))


def _leaves(tree: LicenceTree) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
        return
    for part in tree[1]:
        yield from _leaves(part)


def choices_of(expression: str, declared: Declared = NOTHING_DECLARED) -> Choices:
    """What an expression permits: ``AND``: what both do, ``OR``: one of them, as the user chooses.

    Parameters
    ----------
    expression : str
        As `dsvc.lineage.license_text.check_license` gives it; ``undetermined`` permits nothing that is known.
    declared : mapping of str to LicenceTerms
        Licences of one's own.

    Raises
    ------
    LicenseExpressionError
        If it can't be parsed.
    TooManyChoicesError
        If it leaves too many choices.
    """
    if expression == UNDETERMINED:
        return UNKNOWN
    return _choices(licence_tree(expression), declared)


def _choices(tree: LicenceTree, declared: Declared) -> Choices:
    if isinstance(tree, str):
        found = terms_of(tree, declared)
        return UNKNOWN if found is None else frozenset([found.vector])
    word, parts = tree
    join = both if word == "AND" else either
    result = _choices(parts[0], declared)
    for part in parts[1:]:
        result = join(result, _choices(part, declared))
    return result
