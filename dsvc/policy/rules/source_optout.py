"""Rules over what web sites say about the use of what they publish: robots.txt, TDMRep, AIPREF.

A crawl must have stored what the sites said, and what that was must be known; one refusal is enough. A
snapshot speaks for the site that its name has in it, or for all where the source has one site only. Other
kinds of acquisition need no such snapshot, but a refusal that they recorded counts as well.

Of several snapshots of one site all count. Whoever takes the only one that refuses out of the record hides
it: the chain of the source shows that (`dsvc source show`), these rules don't.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

from dsvc.lineage.evidence import HEADERS, LICENCE_TEXT, ROBOTS, TDMREP
from dsvc.lineage.optout import sites_of, training_preference
from dsvc.lineage.validation import Finding
from dsvc.model.source_record import Acquisition, LegalBasis
from dsvc.policy.case import Case
from dsvc.policy.evidence_standing import lack_of
from dsvc.policy.rule import Parameter, Rule, Terms
from dsvc.policy.source_facts import SourceFacts, states

if TYPE_CHECKING:
    from dsvc.model.source_record import Evidence

_SHOWN: Final = 5
_LICENSED: Final = frozenset({LegalBasis.LICENCE, LegalBasis.CONTRACT})


def _is_crawl(facts: SourceFacts) -> bool:
    return facts.record.acquisition is Acquisition.CRAWL or facts.is_open("acquisition")


def _snapshots(facts: SourceFacts, *types: str) -> list[Evidence]:
    return [evidence for evidence in facts.evidence if evidence.type in types]


class Crawlable(Rule):
    """The stored robots.txt let our crawler in.

    Of sites without a snapshot, and of snapshots that can't be read, the field ``robots_verdict`` can tell.
    """

    id = "SRC-07"
    settled_by = "source_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for refusals, then for what isn't known."""
        for facts in states(case):
            refusals = list(_refusals(facts))
            yield from refusals
            if not refusals and _is_crawl(facts):
                yield from _unknown_verdicts(facts)


def _refusals(facts: SourceFacts) -> Iterator[Finding]:
    hint = f"take out what it refused, or {facts.setting('blacklisted=robots')}"
    if facts.text("robots_verdict") == "disallowed":
        yield facts.fails("robots_verdict is disallowed: the site did not let our crawler in", hint)
    for each in _snapshots(facts, ROBOTS):
        if each.facts.get("robots_verdict") == "disallowed":
            agent = facts.text("user_agent") or "our crawler"
            yield facts.fails(f"{each.name} did not let {agent} in", hint)


def _unknown_verdicts(facts: SourceFacts) -> Iterator[Finding]:
    snapshots = _snapshots(facts, ROBOTS)
    if not snapshots:
        yield facts.lacks("no robots.txt of the crawled site is stored", facts.adding(ROBOTS))
        return
    if facts.is_open("robots_verdict"):
        yield facts.lacks_field("robots_verdict", "allowed")
        return
    if facts.text("robots_verdict") == "allowed":
        return
    for each in snapshots:
        if each.facts.get("robots_verdict") != "allowed":
            agent = "" if facts.text("user_agent") else "; user_agent is not stated"
            hint = facts.setting("user_agent=NAME" if agent else "robots_verdict=allowed")
            yield facts.lacks(f"it isn't known whether {each.name} let our crawler in{agent}", hint)
    silent = _silent_hosts(facts, snapshots)
    if silent:
        yield facts.lacks(
            f"no robots.txt is named after {_listed(silent)}",
            f"{facts.adding(ROBOTS)} with the host in its name, or {facts.setting('robots_verdict=allowed')}",
        )


def _silent_hosts(facts: SourceFacts, snapshots: list[Evidence]) -> list[str]:
    """Hosts that no snapshot speaks for; of one host any does."""
    hosts = sorted({site.host for site in sites_of(facts.texts("domains"))})
    if len(hosts) < 2:
        return []
    spoken: set[str] = set()
    for each in snapshots:
        name = f"{each.name}\n{(each.path or b'').decode('utf-8', 'replace')}".casefold()
        found = [host for host in hosts if host in name]
        # The name of news.example.org has example.org in it, and doesn't speak for that.
        spoken.update(host for host in found if not any(host in other != host for other in found))
    return [host for host in hosts if host not in spoken]


def _listed(hosts: list[str]) -> str:
    more = f" and {len(hosts) - _SHOWN} more" if len(hosts) > _SHOWN else ""
    return ", ".join(hosts[:_SHOWN]) + more


class Unreserved(Rule):
    """What sites reserved from text and data mining was licensed.

    A licence or a contract, with its text as evidence that holds, settles any reservation. Without one, a
    crawl must have stored what the sites said, and that must be known to be no reservation.
    """

    id = "SRC-08"
    settled_by = "source_officer"
    parameters: ClassVar = MappingProxyType({"aipref": Parameter(True)})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for reservations without a licence, then for what isn't known."""
        for facts in states(case):
            reserved = list(_reservations(facts, aipref=terms.flag("aipref")))
            unknown = _unknown_reservations(facts, aipref=terms.flag("aipref")) if _is_crawl(facts) else ()
            if (reserved or unknown) and not _is_licensed(facts, case.day):
                for said in reserved:
                    yield facts.fails(
                        f"{said}, and no licence or contract settles that",
                        f"dsvc source set {facts.id} --legal-basis licence --evidence {LICENCE_TEXT}=FILE, "
                        "or take its data out",
                    )
                if not reserved:
                    yield from unknown


def _is_licensed(facts: SourceFacts, day: str) -> bool:
    if facts.is_open("legal_basis") or facts.record.legal_basis not in _LICENSED:
        return False
    return lack_of(facts, (LICENCE_TEXT, "contract"), day) is None


def _reservations(facts: SourceFacts, *, aipref: bool) -> Iterator[str]:
    if facts.text("tdm_reservation") == "1":
        yield "tdm_reservation is 1: text and data mining is reserved"
    for each in _snapshots(facts, TDMREP, HEADERS):
        if each.facts.get("tdm_reservation") == "1":
            yield f"{each.name} reserves text and data mining (tdm-reservation 1)"
    if not aipref:
        return
    if training_preference(facts.text("aipref") or "") == "n":
        yield "aipref says train-ai=n: training is refused"
    for each in _snapshots(facts, ROBOTS, HEADERS):
        if each.facts.get("train_ai") == "n":
            yield f"{each.name} refuses training (train-ai=n)"


def _unknown_reservations(facts: SourceFacts, *, aipref: bool) -> list[Finding]:
    snapshots = _snapshots(facts, TDMREP, HEADERS)
    if not snapshots:
        return [facts.lacks("neither tdmrep.json nor headers of the site are stored", facts.adding(TDMREP))]
    found = []
    said = [each.facts.get("tdm_reservation") for each in snapshots]
    stated = facts.text("tdm_reservation") == "0"
    if not stated and (facts.is_open("tdm_reservation") or "unknown" in said or "0" not in said):
        found.append(
            facts.lacks(
                "it isn't known whether the site reserves text and data mining",
                f"{facts.adding(TDMREP)}, or {facts.setting('tdm_reservation=0')}",
            )
        )
    silent = [] if stated or found else _silent_hosts(facts, snapshots)
    if silent:
        found.append(
            facts.lacks(
                f"neither tdmrep.json nor headers are named after {_listed(silent)}",
                f"{facts.adding(TDMREP)} with the host in its name, or {facts.setting('tdm_reservation=0')}",
            )
        )
    if aipref and facts.is_open("aipref"):
        found.append(facts.lacks_field("aipref", "train-ai=y"))
    elif aipref and not _snapshots(facts, ROBOTS):
        found.append(
            facts.lacks("no robots.txt is stored, which may refuse training (AIPREF)", facts.adding(ROBOTS))
        )
    return found


RULES: Final = (Crawlable(), Unreserved())
