"""Rules over data that crosses borders: by which mechanism, and where it may be kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple

from dsvc.lineage.validation import Finding
from dsvc.policy.case import Case
from dsvc.policy.regions import lies_within, touches
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.source_facts import SourceFacts, states

_OUT: Final = ("out", "both")
_REGION: Final = 'set region = "…" in the section [policy] of dsvc.toml'
_IMPORTANT: Final = ("important", "core")


class Mechanism(IntEnum):
    """What lets personal data leave, the weakest first."""

    NONE = 0
    CONTRACT = 1
    ASSESSMENT = 2


_NAMES: Final = {
    Mechanism.NONE: "no mechanism",
    Mechanism.CONTRACT: "a standard contract or a certification",
    Mechanism.ASSESSMENT: "a security assessment",
}
_WORDS: Final = {
    "assessment": Mechanism.ASSESSMENT,
    "评估": Mechanism.ASSESSMENT,
    "contract": Mechanism.CONTRACT,
    "scc": Mechanism.CONTRACT,
    "合同": Mechanism.CONTRACT,
    "certif": Mechanism.CONTRACT,
    "认证": Mechanism.CONTRACT,
    "none": Mechanism.NONE,
    "exempt": Mechanism.NONE,
    "豁免": Mechanism.NONE,
    "无": Mechanism.NONE,
}
_EXAMPLES: Final = {Mechanism.CONTRACT: "standard_contract", Mechanism.ASSESSMENT: "security_assessment"}


def mechanism_of(text: str) -> Mechanism | None:
    """Read which mechanism a text names; None where it names none that is known, or several."""
    word = text.casefold()
    found = {mechanism for part, mechanism in _WORDS.items() if part in word}
    return found.pop() if len(found) == 1 else None


class _Counters(NamedTuple):
    """People whose data left in the year, over all sources; of a source that doesn't say, none."""

    persons: float
    sensitive: float


class Transferred(Rule):
    """What lets data leave is at least what the numbers of the year demand.

    The numbers that sources state are added up: people without sensitive data, and people with. Data from
    abroad that is processed and sent back (``transit``) doesn't count.
    """

    id = "XB-01"
    settled_by = "compliance_officer"
    parameters: ClassVar = MappingProxyType(
        {
            "free_below": Parameter(100_000, Stricter.LOWER, "persons"),
            "assessed_from": Parameter(1_000_000, Stricter.LOWER, "persons"),
            "assessed_from_sensitive": Parameter(10_000, Stricter.LOWER, "persons"),
            "critical_operator": Parameter(False),
            "home": Parameter("CN"),
        }
    )

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Compare each source that leaves with what all of them together demand."""
        leaving = []
        for facts in states(case):
            if facts.is_open("cross_border"):
                yield facts.lacks_field("cross_border.direction", "out")
            elif facts.text("cross_border.direction") in _OUT:
                if facts.text("cross_border.transit") != "yes":
                    leaving.append(facts)
            elif facts.text("cross_border.direction") is None:
                yield from _unsaid(facts, _region(case), terms.text("home"))
        for facts in leaving:
            yield from _uncounted(facts)
        needed = _needed(_counters(leaving), terms)
        for facts in leaving:
            yield from _mechanism(facts, needed, case.day)


def _region(case: Case) -> str | None:
    return (case.settings.region or "").strip() or None


def _unsaid(facts: SourceFacts, region: str | None, home: str) -> Iterator[Finding]:
    """A source that doesn't say whether it leaves, and may do so."""
    if facts.record.fields.get("cross_border"):
        why = "the rest of cross_border says that it is transferred"
    elif facts.text("contains_pi") == "none" or (region is not None and lies_within(region, [home])):
        return
    else:
        origins = facts.texts("origin_geography")
        if origins and not touches(home, origins):
            return
        if region is None:
            yield facts.lacks(
                f"whether its data leaves {home} isn't known: neither region nor cross_border says so",
                f"{_REGION}, or {facts.setting('cross_border.direction=out')}",
            )
            return
        why = f"it is kept in {region}, and it has personal data from {home}, or may have"
    yield facts.lacks_field("cross_border.direction", "out", why)


def _uncounted(facts: SourceFacts) -> Iterator[Finding]:
    for name in ("persons", "sensitive_persons"):
        if _count(facts, name) is None:
            yield facts.lacks_field(f"cross_border.{name}", "0", "transfers of a year are added up")


def _count(facts: SourceFacts, name: str) -> float | None:
    number = facts.number(f"cross_border.{name}")
    if number is None and facts.text("contains_pi") == "none":
        return 0
    return number


def _counters(leaving: Sequence[SourceFacts]) -> _Counters:
    return _Counters(
        sum(_count(facts, "persons") or 0 for facts in leaving),
        sum(_count(facts, "sensitive_persons") or 0 for facts in leaving),
    )


def _needed(total: _Counters, terms: Terms) -> tuple[Mechanism, str]:
    """What the numbers demand; a number that isn't known is reported on its own."""
    persons, sensitive = total
    said = f"{persons:,.0f} people, {sensitive:,.0f} of sensitive data, are transferred in the year"
    if terms.flag("critical_operator"):
        return Mechanism.ASSESSMENT, "an operator of critical infrastructure transfers them"
    if persons >= terms.number("assessed_from") or sensitive >= terms.number("assessed_from_sensitive"):
        return Mechanism.ASSESSMENT, said
    if persons >= terms.number("free_below") or sensitive > 0:
        return Mechanism.CONTRACT, said
    return Mechanism.NONE, said


def _mechanism(facts: SourceFacts, needed: tuple[Mechanism, str], day: str) -> Iterator[Finding]:
    least, why = needed
    if least is Mechanism.NONE:
        return
    text = facts.text("cross_border.mechanism")
    found = None if text is None else mechanism_of(text)
    if found is None:
        yield facts.lacks_field(
            "cross_border.mechanism", _EXAMPLES[least], f"{why}: {_NAMES[least]} is needed"
        )
    elif found < least:
        yield facts.fails(
            f"cross_border.mechanism is {text}; {why}: {_NAMES[least]} is needed",
            facts.setting(f"cross_border.mechanism={_EXAMPLES[least]}") + " once there is one",
        )
    ends = facts.text("cross_border.valid_to")
    if ends is not None and ends[:10] < day:
        yield facts.fails(
            f"its transfer mechanism expired on {ends[:10]}",
            facts.setting("cross_border.valid_to=YYYY-MM-DD"),
        )


class Placed(Rule):
    """The region where data is kept or sent is allowed by every source, and forbidden by none."""

    id = "XB-02"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Compare the region of the settings with what sources allow and forbid."""
        region = _region(case)
        for facts in states(case):
            for act in ("storage", "processing"):
                yield from _placed(facts, act, region)


def _placed(facts: SourceFacts, act: str, region: str | None) -> Iterator[Finding]:
    allowed, forbidden = f"{act}_allowed", f"{act}_forbidden"
    undecided = [name for name in (allowed, forbidden) if facts.is_open(name)]
    for name in undecided:
        yield facts.lacks_field(name, region or "CN")
    within, without = facts.texts(allowed), facts.texts(forbidden)
    if region is None:
        if within or without:
            yield facts.lacks(
                f"{allowed if within else forbidden} limits where it may be, and where it is isn't known",
                f"{_REGION}, an ISO 3166 code",
            )
        return
    if touches(region, without):
        yield facts.fails(f"{act} in {region} is forbidden ({', '.join(without)})", "keep it elsewhere")
    elif within and not lies_within(region, within):
        yield facts.fails(f"{act} is allowed in {', '.join(within)} only, not in {region}", "keep it there")


class Approved(Rule):
    """Important data, and data of operators of critical infrastructure, leaves after an assessment only."""

    id = "XB-03"
    settled_by = "compliance_officer"
    parameters: ClassVar = MappingProxyType({"critical_operator": Parameter(False), "home": Parameter("CN")})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at the sources that leave, by their grade."""
        for facts in states(case):
            grade, direction = facts.text("grade"), facts.text("cross_border.direction")
            is_strict = grade in _IMPORTANT or terms.flag("critical_operator")
            if facts.is_open("cross_border"):
                yield facts.lacks_field("cross_border.direction", "out")
            elif direction is None and is_strict and not _is_home(case, terms):
                yield facts.lacks_field(
                    "cross_border.direction", "out", "region doesn't say that it is kept at home"
                )
            elif direction in _OUT and is_strict:
                yield from _approval(facts, case.day)
            elif grade is None and (direction in _OUT or (direction is None and not _is_home(case, terms))):
                why = "it is transferred" if direction in _OUT else "whether it leaves isn't stated either"
                yield facts.lacks_field("grade", "general", why)


def _is_home(case: Case, terms: Terms) -> bool:
    region = _region(case)
    return region is not None and lies_within(region, [terms.text("home")])


def _approval(facts: SourceFacts, day: str) -> Iterator[Finding]:
    why = "such data leaves after a security assessment only"
    text = facts.text("cross_border.mechanism")
    found = None if text is None else mechanism_of(text)
    if found is None:
        yield facts.lacks_field("cross_border.mechanism", "security_assessment", why)
    elif found is not Mechanism.ASSESSMENT:
        yield facts.fails(f"cross_border.mechanism is {text}; {why}")
    if facts.text("cross_border.filing_no") is None:
        yield facts.lacks_field("cross_border.filing_no", "NUMBER", why)
    ends = facts.text("cross_border.valid_to")
    if ends is None:
        yield facts.lacks_field("cross_border.valid_to", "YYYY-MM-DD", why)
    elif ends[:10] < day:
        yield facts.fails(
            f"its security assessment expired on {ends[:10]}",
            facts.setting("cross_border.valid_to=YYYY-MM-DD"),
        )


RULES: Final = (Transferred(), Placed(), Approved())
