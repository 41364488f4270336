"""Rules over sources together: how many there are of a kind, how large each is, which sites were crawled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import ClassVar, Final

from dsvc.lineage.validation import Finding, Outcome
from dsvc.model.source_record import Acquisition
from dsvc.policy.case import Case
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.source_facts import SourceFacts, states

_SPOKEN: Final = frozenset({"text", "audio", "video"})
"""Types that have a language."""
_SIZED: Final = re.compile(r"(?P<name>.+?)=(?P<bytes>[^=]*)")
_URL: Final = re.compile(r"[a-z]+://", re.IGNORECASE)
_SHOWN: Final = 5


class Diverse(Rule):
    """Several sources for each language and type, and none that makes up nearly everything.

    Shares are of the bytes, or of the rows, that the sources attest.
    """

    id = "SRC-06"
    settled_by = "source_officer"
    parameters: ClassVar = MappingProxyType(
        {
            "min_sources": Parameter(2, Stricter.HIGHER, "sources"),
            "max_share": Parameter(0.8, Stricter.LOWER, "share"),
            "measure": Parameter("bytes"),
        }
    )

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Count sources by language and type, and compare their sizes."""
        kinds: dict[tuple[str, str], set[str]] = {}
        unknown: list[Finding] = []
        for facts in states(case):
            unknown += _unknown_kinds(facts)
            for kind in _kinds(facts):
                kinds.setdefault(kind, set()).add(facts.id)
        yield from unknown
        yield from _largest(case, terms)
        # A source that doesn't say what it is may be the one that is missing.
        least = 0 if unknown else terms.number("min_sources")
        for (type_, language), ids in sorted(kinds.items()):
            if len(ids) < least:
                what = f"{type_} in {language}" if language else type_
                yield Finding(
                    b"",
                    f"{what} comes from {', '.join(sorted(ids))} only; {least:g} sources are asked for",
                    "add another source of that kind, or correct language and modality of those there are",
                )


def _unknown_kinds(facts: SourceFacts) -> Iterator[Finding]:
    types = facts.texts("modality")
    if not types:
        yield facts.lacks_field("modality", "text")
    if _SPOKEN.intersection(types) and not facts.texts("language"):
        yield facts.lacks_field("language", "zh,en")


def _kinds(facts: SourceFacts) -> Iterator[tuple[str, str]]:
    for type_ in facts.texts("modality"):
        if type_ not in _SPOKEN:
            yield type_, ""
            continue
        for language in facts.texts("language"):
            yield type_, re.split("[-_]", language.casefold())[0]


def _largest(case: Case, terms: Terms) -> Iterator[Finding]:
    measure = terms.text("measure")
    sizes: dict[str, float] = {}
    for facts in states(case):
        size = _size(facts, measure)
        if size is None:
            yield facts.lacks(
                f"it isn't known how many {measure} it has", f"dsvc source update {facts.id} finds it out"
            )
            return
        sizes[facts.id] = max(size, sizes.get(facts.id, 0))
    total = sum(sizes.values())
    most = terms.number("max_share")
    for name, size in sorted(sizes.items()):
        if total and size / total > most:
            yield Finding(
                b"",
                f"source {name} has {size / total:.1%} of the {measure} of all sources; at most {most:.1%} "
                "may be of one",
                "add other sources, or take less of it",
                Outcome.FAIL,
            )


def _size(facts: SourceFacts, measure: str) -> float | None:
    if measure == "rows":
        rows = facts.record.discovered.get("rows", "")
        return float(rows) if rows.isdecimal() else None
    return float(facts.tree.files.totals()[1]) if measure == "bytes" else None


class Domains(Rule):
    """The list of crawled domains is complete, each with its bytes, so that the largest can be told."""

    id = "SRC-12"
    settled_by = "collector"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at the domains of every crawl."""
        for facts in states(case):
            if facts.record.acquisition is Acquisition.CRAWL or facts.is_open("acquisition"):
                yield from _unsized(facts)


def _unsized(facts: SourceFacts) -> Iterator[Finding]:
    domains = facts.texts("domains")
    if not domains:
        yield facts.lacks_field("domains", "example.org=1048576", "the largest tenth must be told")
        return
    sizes: dict[str, str] = {}
    bare, wrong = [], []
    for text in domains:
        found = _SIZED.fullmatch(_URL.sub("", text))
        if found is None:
            bare.append(text)
            continue
        size = found["bytes"]
        if not size.isdecimal() or sizes.setdefault(found["name"].casefold(), size) != size:
            wrong.append(text)
    hint = facts.setting("domains=HOST=BYTES,HOST=BYTES")
    if bare:
        yield facts.lacks(f"domains without their bytes: {_listed(bare)}", hint)
    if wrong:
        yield facts.fails(f"domains with no number of bytes, or with two: {_listed(wrong)}", hint)
    if sizes and not any(int(size) for size in sizes.values()):
        yield facts.fails("all domains have 0 bytes", hint)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


RULES: Final = (Diverse(), Domains())
