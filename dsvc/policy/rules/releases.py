"""Rules over what is given out: objections, what must be disclosed, registration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import ClassVar, Final

from dsvc.lineage.validation import Finding, Outcome
from dsvc.model.rights_request import RequestKind
from dsvc.policy.case import Case
from dsvc.policy.disclosure import items_of
from dsvc.policy.facts import Announcement
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.rules.requests import refused_by
from dsvc.policy.source_facts import SourceFacts, later, states

_WINDOW: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})", re.ASCII)


class Announced(Rule):
    """The time in which people can object to what goes in is over, and no objection is open.

    So is the time for which the release was announced, where it was.
    """

    id = "REL-01"
    settled_by = "release_manager"
    parameters: ClassVar = MappingProxyType({"days": Parameter(0, Stricter.HIGHER, "days")})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at the window of each source, and at refusals that nobody has settled."""
        for facts in states(case):
            yield from _window(facts, case.day, terms.number("days"))
        for announced in case.announced:
            yield from _announcement(announced, case.day, terms.number("days"))
        for request in case.requests:
            record = request.record
            if record.kind is RequestKind.REFUSAL and not record.state.is_settled:
                for each in refused_by(case, request):
                    yield each._replace(message=f"{each.message}; the objection is open")


def _window(facts: SourceFacts, day: str, days: float) -> Iterator[Finding]:
    text = facts.text("objection_window")
    if text is None:
        example = "objection_window=2026-10-01..2026-10-31"
        yield facts.lacks("when people could object is not stated", facts.setting(example))
        return
    found = _WINDOW.fullmatch(text)
    if found is None or found[2] < found[1]:
        yield facts.lacks(
            f"objection_window is {text}, which is no span of days", "FROM..TO, YYYY-MM-DD each"
        )
    elif day <= found[2]:
        yield facts.fails(f"people can object until {found[2]}", "wait until that day is over")
    elif later(found[1], days) > later(found[2], 1):
        yield facts.fails(f"people could object for less than {days:g} days", "announce it again")


def _announcement(announced: Announcement, day: str, days: float) -> Iterator[Finding]:
    name, until = announced.release, announced.until
    show = f"dsvc release show {name}"
    if announced.problem is not None:
        said = f"how release {name} stands can't be told: {announced.problem}"
        yield Finding(b"", said, show, Outcome.INCOMPLETE)
    elif until is None:
        if days:
            said = f"release {name} is announced, and until when people can object is not said"
            yield Finding(b"", said, show, Outcome.INCOMPLETE)
    elif day <= until:
        said = f"release {name} is announced; people can object until {until}"
        yield Finding(b"", said, "wait until that day is over")
    elif later(announced.since, days) > later(until, 1):
        said = f"people could object to release {name} for less than {days:g} days"
        yield Finding(b"", said, "announce it again")


class Disclosed(Rule):
    """All that must be disclosed can be derived: nothing of the card or of the summaries is blank."""

    id = "REL-02"
    settled_by = "source_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for a field of each item, by how the source was acquired."""
        for facts in states(case):
            for item in items_of(facts.record.acquisition):
                if not item.is_known(facts):
                    hint = facts.setting(f"{item.fields[0]}=…") if item.fields else None
                    yield facts.lacks(f"{item.what} is not stated ({item.name})", hint)
            begins, ends = facts.text("collected_from"), facts.text("collected_to")
            if begins is not None and ends is None and not facts.record.ongoing:
                yield facts.lacks_field("collected_to", "2026-06-30", "AB 2013 (10)")
            if begins is not None and ends is not None and ends[:10] < begins[:10]:
                said = f"it was collected until {ends}, which is before {begins} (AB 2013 (10))"
                yield facts.fails(said, facts.setting("collected_to=…"))
            first = facts.text("first_used")
            if first is not None and first[:10] > case.day:
                said = f"it was first used on {first}, which is to come (AB 2013 (11))"
                yield facts.fails(said, facts.setting("first_used=…"))


class Registered(Rule):
    """Sources are registered; which are not, and what that means for liability, is shown."""

    id = "REL-03"
    settled_by = "release_manager"
    parameters: ClassVar = MappingProxyType({"share": Parameter(1.0, Stricter.HIGHER, "share")})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Count registered sources; a certificate that is over registers nothing."""
        registered: dict[str, bool] = {}
        for facts in states(case):
            said = facts.text("registered")
            if said is None:
                yield facts.lacks_field("registered", "no")
                continue
            until = facts.text("valid_to")
            holds = said == "yes" and (until is None or case.day <= until[:10])
            registered[facts.id] = holds and registered.get(facts.id, True)
            if said == "yes" and not holds:
                yield facts.fails(f"its registration held until {until}", "renew it")
        share = sum(registered.values()) / len(registered) if registered else 1.0
        if share < terms.number("share"):
            others = sorted(name for name, holds in registered.items() if not holds)
            yield Finding(
                b"",
                f"{sum(registered.values())} of {len(registered)} sources are registered ({share:.0%}); "
                f"liability without fault is proposed for the others: {', '.join(others[:5])}",
                "register them, or set registry and certificate_no where they are",
            )


RULES: Final = (Announced(), Disclosed(), Registered())
