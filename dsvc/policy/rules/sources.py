"""Rules over whether sources may be used at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import ClassVar, Final

from dsvc.lineage.known_sources import KnownSource
from dsvc.lineage.optout import sites_of
from dsvc.lineage.validation import Finding, artifact_subject, shown, source_subject
from dsvc.model.source_record import SourceRecord, Status
from dsvc.policy.case import Case
from dsvc.policy.rule import Parameter, Rule, Terms
from dsvc.policy.source_facts import SourceFacts, states

DIGEST: Final = "digest"
_SAME: Final = ("supplier", "issuer", "domains")


class InForce(Rule):
    """No source is blacklisted or withdrawn, nor is another one that has the same content, site or supplier.

    The parameter ``same`` says what counts as the same: ``digest``, ``supplier``, ``issuer``, ``domains``.
    """

    id = "SRC-03"
    settled_by = "source_officer"
    parameters: ClassVar = MappingProxyType({"same": Parameter((DIGEST,))})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        for source in case.sources:
            if not source.in_force:
                why = f": {source.reason}" if source.reason else ""
                yield Finding(
                    source_subject(source.id),
                    f"source {source.id} is not in force, it is {source.status}{why}",
                    f"dsvc source show {source.id} says since when",
                )
        known = case.judged.origins.sources.all
        banned = [known[name] for name in sorted(known) if known[name].status is Status.BLACKLISTED]
        same = terms.texts("same")
        if banned and DIGEST in same:
            yield from _same_content(case, banned)
        for facts in states(case):
            for other in banned:
                if other.id != facts.id:
                    yield from _alike(facts, other, [name for name in _SAME if name in same])


def _same_content(case: Case, banned: Sequence[KnownSource]) -> Iterator[Finding]:
    """Files that a blacklisted source had, wherever they are now."""
    by_digest = {node.digest: source.id for source in banned for node in source.attested()}
    names = {source.id for source in banned}
    closure = case.judged.closure
    for node in sorted(closure.artifacts):
        # An empty file says nothing, and one that comes from that source itself is named with it.
        source = by_digest.get(node.digest) if node.digest != _EMPTY else None
        if source is not None and names.isdisjoint(closure.sources_of(node)):
            yield Finding(
                artifact_subject(case.judged, node),
                f"{shown(node)} has the content of a file of source {source}, which is blacklisted",
                f"dsvc source show {source} says why",
            )


_EMPTY: Final = bytes.fromhex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
"""BLAKE3-256 of no bytes."""


def _alike(facts: SourceFacts, other: KnownSource, names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        own = _values(facts.record, name)
        shared = sorted(own & _values(other.record, name))
        if shared:
            yield facts.fails(
                f"its {name} {shared[0]} is that of source {other.id}, which is blacklisted",
                f"dsvc source show {other.id} says why",
            )


def _values(record: SourceRecord, name: str) -> set[str]:
    value = record.fields.get(name)
    if name == "domains":
        return {site.host for site in sites_of(value if isinstance(value, list) else [])}
    return {value.strip().casefold()} if isinstance(value, str) and value.strip() else set()


RULES: Final = (InForce(),)
