"""All rules by their ids; a family is imported when one of its rules is asked for."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Final

from dsvc.model.errors import UsageError
from dsvc.policy.rule import Rule

FAMILIES: Final = {
    "SRC": (
        "lineage",
        "sources",
        "source_evidence",
        "source_optout",
        "source_assessment",
        "source_mix",
        "requests",
    ),
    "LIC": ("licences", "grants"),
    "PII": ("personal_data", "requests"),
    "XB": ("transfers",),
    "SAFE": ("safety",),
    "ANN": ("annotation",),
    "LIN": ("lineage",),
    "SYN": ("synthetic",),
    "QTY": ("quality",),
    "PIL": ("pilot",),
    "REL": ("releases",),
    "AUD": ("audit",),
}
"""Modules of `dsvc.policy.rules` by how ids of their rules begin."""


class UnknownRuleError(UsageError):
    """There is no rule of that id."""

    code = "unknown-rule"


@lru_cache(maxsize=64)
def _module_rules(name: str) -> dict[str, Rule]:
    module = import_module(f"dsvc.policy.rules.{name}")
    rules: tuple[Rule, ...] = module.RULES
    return {rule.id: rule for rule in rules}


def find_rule(id_: str, where: str | None = None) -> Rule:
    """Return a rule.

    Parameters
    ----------
    where : str or None
        What names it, for the message.

    Raises
    ------
    UnknownRuleError
        If there is none.
    """
    for name in FAMILIES.get(id_.partition("-")[0], ()):
        found = _module_rules(name).get(id_)
        if found is not None:
            return found
    from difflib import get_close_matches

    begin = "" if where is None else f"{where}: "
    close = get_close_matches(id_.upper()[:80], [rule.id for rule in all_rules()], 3, 0.6)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    raise UnknownRuleError(
        f"{begin}there is no rule {id_[:80]!r}",
        hint=f"{meant}dsvc policy list --rules shows those that there are",
    )


def all_rules() -> list[Rule]:
    """Every rule, by id."""
    names = dict.fromkeys(name for modules in FAMILIES.values() for name in modules)
    return sorted((rule for name in names for rule in _module_rules(name).values()), key=lambda r: r.id)
