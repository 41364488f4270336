"""Rules over what was found out about sources: harmful content, rights, personal data."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import ClassVar, Final

from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.lineage.validation import Finding
from dsvc.model.source_record import Acquisition, LegalBasis
from dsvc.policy.case import Case
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.source_facts import SourceFacts, states

_OWN: Final = (
    Acquisition.SELF_GENERATED.value,
    Acquisition.SYNTHETIC.value,
    Acquisition.ANNOTATION_OUTPUT.value,
)


class _Assessed(Rule):
    """The share of unlawful and harmful content is known and low enough.

    What was made and not collected needs none. A rate is one of a sample: of none at all it says nothing.
    """

    settled_by = "source_officer"
    field: ClassVar[str]
    when: ClassVar[str]
    parameters: ClassVar = MappingProxyType(
        {
            "max_rate": Parameter(0.05, Stricter.LOWER, "share"),
            "min_sample": Parameter(0, Stricter.HIGHER, "items"),
            "not_collected": Parameter(_OWN),
        }
    )

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Compare the rate of each source."""
        exempt = terms.texts("not_collected")
        for facts in states(case):
            if facts.is_open("acquisition") or facts.record.acquisition.value not in exempt:
                yield from self._judged(facts, terms)

    def _judged(self, facts: SourceFacts, terms: Terms) -> Iterator[Finding]:
        rate = facts.number(f"{self.field}.harmful_rate")
        most, least = terms.number("max_rate"), terms.number("min_sample")
        if rate is None or rate > 1:
            why = f"the share of harmful content {self.when} must be known"
            yield facts.lacks_field(f"{self.field}.harmful_rate", "0.01", why)
        elif rate > most:
            told = _percent(rate).rstrip("%")
            yield facts.fails(
                f"{_percent(rate)} of the sample {self.when} was harmful; at most {_percent(most)} may be",
                f"take its data out; {facts.setting(f'blacklisted=harmful-{told}-percent')} keeps it out",
            )
        sample = facts.number(f"{self.field}.sample")
        if (least > 0 and sample is None) or sample == 0:
            yield facts.lacks_field(f"{self.field}.sample", "1000", "a rate is one of a sample")
        elif sample is not None and sample < least:
            yield facts.fails(f"the sample {self.when} has {sample:g} items; {least:g} are asked for")


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"


class AssessedBefore(_Assessed):
    """Before it was collected, at most 5 % of a source was harmful."""

    id = "SRC-04"
    field = "pre_collection_assessment"
    when = "before collection"


class AssessedAfter(_Assessed):
    """After it was collected, at most 5 % of a source is harmful."""

    id = "SRC-05"
    field = "post_collection_assessment"
    when = "after collection"


class Settled(Rule):
    """Rights and personal data are settled: nothing is undetermined, unknown or disputed.

    Here belong the legal basis, the status of the rights, and whether there is personal data at all.
    """

    id = "SRC-11"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what nobody has decided."""
        for facts in states(case):
            if facts.is_open("legal_basis") or facts.record.legal_basis is LegalBasis.UNDETERMINED:
                yield facts.lacks(
                    f"legal_basis is {UNDETERMINED}", f"dsvc source set {facts.id} --legal-basis licence"
                )
            rights = facts.text("rights_status")
            if rights == "disputed":
                yield facts.fails(
                    "rights_status is disputed", facts.setting("rights_status=clear") + " once it is settled"
                )
            elif rights != "clear":
                yield facts.lacks_field("rights_status", "clear")
            if facts.text("contains_pi") not in ("none", "yes"):
                yield facts.lacks_field("contains_pi", "none")


RULES: Final = (AssessedBefore(), AssessedAfter(), Settled())
