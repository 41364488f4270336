"""Regions: whether one lies within another, as ISO 3166 codes and a few well-known groups say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_EU: Final = frozenset(
    {"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"}
    | {"IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"}
)
_GROUPS: Final = {"EU": _EU, "EEA": _EU | {"IS", "LI", "NO"}}
_ANYWHERE: Final = frozenset({"*", "ANY", "WORLD", "GLOBAL", "WORLDWIDE", "全球", "不限"})


def code(text: str) -> str:
    """Write a region as it is compared: upper case, ``-`` before a subdivision."""
    return text.strip().upper().replace("_", "-")


def lies_within(region: str, areas: Iterable[str]) -> bool:
    """Whether all of a region lies in one of some areas: ``CN-BJ`` in ``CN``, ``FR`` in ``EU``."""
    inner = code(region)
    return any(_within(inner, code(area)) for area in areas)


def touches(region: str, areas: Iterable[str]) -> bool:
    """Whether some of a region lies in one of some areas: ``CN`` touches ``CN-BJ``."""
    inner = code(region)
    return any(_within(inner, outer) or _within(outer, inner) for outer in map(code, areas))


def _within(inner: str, outer: str) -> bool:
    if outer in _ANYWHERE or inner == outer or inner.startswith(outer + "-"):
        return True
    members = _GROUPS.get(outer, frozenset())
    return inner in members or inner.partition("-")[0] in members or _GROUPS.get(inner, {""}) <= members
