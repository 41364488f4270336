"""Rules over the evidence of sources: it is there, it is the file that was recorded, it holds long enough."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import ClassVar, Final

from dsvc.lineage.evidence import evidence_needed
from dsvc.lineage.validation import Finding
from dsvc.policy.case import Case
from dsvc.policy.evidence_standing import lack_of
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.source_facts import SourceFacts, later, states

_ENDS: Final = (
    ("expiry", "the right to use it"),
    ("valid_to", "its registration"),
    ("cross_border.valid_to", "its transfer mechanism"),
)
"""Fields that say when something ends, and what."""


class Evidenced(Rule):
    """Evidence of the kinds that the acquisition needs is there, is the recorded file, and holds that day.

    Of each group one piece that stands is enough. By which right the data may be used is not asked here: a
    legal basis that is undetermined is for SRC-11.
    """

    id = "SRC-02"
    settled_by = "source_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for groups of evidence of which nothing stands."""
        for facts in states(case):
            if facts.is_open("acquisition"):
                yield facts.lacks_acquisition()
            for group in evidence_needed(facts.record.acquisition):
                lack = lack_of(facts, group, case.day, f"{facts.record.acquisition} needs it")
                if lack is not None:
                    yield lack


class Lasting(Rule):
    """Needed evidence, contracts and registrations don't expire within some days."""

    id = "SRC-10"
    settled_by = "source_officer"
    parameters: ClassVar = MappingProxyType({"days": Parameter(90, Stricter.HIGHER, "days")})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at the same evidence as SRC-02, some days later, and at the dates on which rights end."""
        days = terms.number("days")
        day = later(case.day, days)
        for facts in states(case):
            for group in evidence_needed(facts.record.acquisition):
                lack = lack_of(facts, group, day)
                # What will hold only later holds by then; what stands on neither day is for SRC-02 too.
                if lack is not None:
                    yield lack._replace(message=f"{lack.message} (asked for the next {days:g} days)")
            yield from _ending(facts, day)


def _ending(facts: SourceFacts, day: str) -> Iterator[Finding]:
    for name, what in _ENDS:
        if facts.is_open(name):
            yield facts.lacks_field(name, day, f"it says when {what} ends")
            continue
        ends = facts.text(name)
        if ends is not None and ends[:10] < day:
            hint = f"{facts.setting(f'{name}=YYYY-MM-DD')} once it is renewed"
            yield facts.fails(f"{what} ends on {ends[:10]} ({name})", hint)


RULES: Final = (Evidenced(), Lasting())
