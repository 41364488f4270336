"""What ``dsvc.toml`` declares of licences of one's own, in ``[policy.licences."LicenseRef-…"]``.

What a declaration doesn't say stays undetermined: only what is said is permitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from dsvc.lineage.license_text import LicenseExpressionError, licence_tree
from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.model.errors import UsageError
from dsvc.policy.licence_terms import Declared, LicenceTerms, known_terms, make_vector
from dsvc.policy.licence_vector import Vector

_HINT: Final = 'as in [policy.licences."LicenseRef-acme"] with commercial = "no", derivatives = "yes"'
_Answer = Literal["yes", "no", "undetermined"] | bool


class LicenceSettingsError(UsageError):
    """What ``dsvc.toml`` declares of a licence can't be read."""

    code = "licence-settings"


class _Declaration(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    commercial: _Answer = "undetermined"
    derivatives: Literal["yes", "not-shared", "no", "undetermined"] | bool = "undetermined"
    redistribute: _Answer = "undetermined"
    attribution: _Answer = "undetermined"
    share_alike: tuple[str, ...] = ()
    purposes: tuple[str, ...] | None = None
    forbidden: tuple[str, ...] = ()
    territory: tuple[str, ...] | None = None
    own_terms: bool = True


def declared_licences(licences: Mapping[str, Mapping[str, Any]], name: str = "dsvc.toml") -> Declared:
    """Read declarations of licences.

    Parameters
    ----------
    licences : mapping
        The section ``[policy.licences]``. Each part has ``commercial``, ``redistribute``, ``attribution``
        (yes, no, undetermined), ``derivatives`` (yes, not-shared, no, undetermined), ``share_alike``
        (licences that an adaptation must carry one of), ``purposes``, ``forbidden``, ``territory`` (lists),
        ``own_terms`` (whether a person has to read it, which is so unless it is said otherwise).
    name : str
        What to call the file in messages.

    Raises
    ------
    LicenceSettingsError
        If one has a key that there isn't, or a value of another kind, or is a licence that is known.
    """
    return {
        id_: _terms(id_, said, f'{name}: [policy.licences."{id_[:80]}"]') for id_, said in licences.items()
    }


def _terms(id_: str, said: Mapping[str, Any], where: str) -> LicenceTerms:
    try:
        found = msgspec.convert(said, _Declaration)
    except msgspec.ValidationError as error:
        raise LicenceSettingsError(f"{where}: {error}", hint=_HINT) from error
    try:
        tree = licence_tree(id_)
        accepted = [licence_tree(each) for each in found.share_alike]
    except LicenseExpressionError as error:
        raise LicenceSettingsError(f"{where}: {error.message}", hint=error.hint) from error
    if not all(isinstance(each, str) and " WITH " not in each for each in [tree, *accepted]) or tree != id_:
        raise LicenceSettingsError(f"{where}: it names one licence each, as SPDX writes it", hint=_HINT)
    if id_ == UNDETERMINED or known_terms(id_) is not None:
        raise LicenceSettingsError(
            f"{where}: what it permits is known, and can't be declared otherwise",
            hint="a licence of your own is LicenseRef-NAME",
        )
    return LicenceTerms(_vector(id_, found), frozenset(found.share_alike), found.own_terms)


def _vector(id_: str, found: _Declaration) -> Vector:
    vector = make_vector(
        _word(found.commercial),
        _word(found.derivatives),
        _word(found.redistribute),
        _word(found.attribution),
        id_ if found.share_alike else None,
    )
    return vector._replace(
        purposes=None if found.purposes is None else words_of(found.purposes),
        forbidden=words_of(found.forbidden),
        territory=None if found.territory is None else words_of(found.territory),
    )


def _word(answer: str | bool) -> str:
    return answer if isinstance(answer, str) else "yes" if answer else "no"


def words_of(words: Iterable[str]) -> frozenset[str]:
    """Normalise words that people write in lists: purposes, places, names."""
    return frozenset(word for each in words if (word := normal_word(each)))


def normal_word(word: str) -> str:
    """Leave out what two people write differently: case, spaces, ``-`` and ``_``."""
    return "_".join(word.casefold().replace("-", " ").replace("_", " ").split())
