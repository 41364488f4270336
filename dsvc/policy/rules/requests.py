"""Rules over requests of people: refusals, open requests, what was erased, how long data may be kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from types import MappingProxyType
from typing import ClassVar, Final
from urllib.parse import urlsplit

from dsvc.lineage.known_sources import KnownSource
from dsvc.lineage.validation import Finding, Outcome, artifact_subject, source_subject
from dsvc.model.rights_request import REGISTER_ID, RequestKind, RequestState, RightsRequest, Selector
from dsvc.model.source_record import Acquisition, SourceRecord
from dsvc.policy.case import Case
from dsvc.policy.recorded_runs import unread
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.source_facts import later

_AUTHORS: Final = ("rightsholders", "issuer", "origin_org", "supplier")
_OF_OTHERS: Final = frozenset(
    {
        Acquisition.CRAWL,
        Acquisition.API,
        Acquisition.BULK,
        Acquisition.OPEN_DATASET,
        Acquisition.PURCHASE,
        Acquisition.USER_INPUT,
    }
)
"""Kinds of acquisition of which somebody else is the author."""
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")
_ON_THE_WEB: Final = frozenset({Acquisition.CRAWL, Acquisition.API})


def _told(request: RightsRequest) -> Iterator[Finding]:
    """Say what could not be told of a request."""
    id_ = request.record.request_id
    if request.problem is not None:
        yield Finding(b"", f"request {id_}: {request.problem}", None, Outcome.INCOMPLETE)
    for path in request.unmatched:
        hint = "dsvc.toml must name the subject column that the table has"
        yield Finding(
            path, f"it can't be searched for the subject of request {id_}", hint, Outcome.INCOMPLETE
        )


class Refused(Rule):
    """Nothing comes from those who refused, and the register of refusals is current."""

    id = "SRC-09"
    settled_by = "rights_agent"
    parameters: ClassVar = MappingProxyType({"days": Parameter(90, Stricter.LOWER, "days")})

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Compare sources, files and rows with all refusals that were not turned down."""
        yield from unread(case)
        yield from _register(case, terms)
        for request in case.requests:
            record = request.record
            if record.kind is RequestKind.REFUSAL and record.state is not RequestState.REFUSED:
                yield from refused_by(case, request)


def refused_by(case: Case, request: RightsRequest) -> Iterator[Finding]:
    """Say what a refusal is about: files, rows and sources; and what could not be told of it."""
    yield from _told(request)
    yield from _refused_data(case, request)
    for source in case.sources:
        for _, state in case.stated(source):
            yield from _refused_source(source, state, request.record.selector, request.record.request_id)


def _register(case: Case, terms: Terms) -> Iterator[Finding]:
    hint = "dsvc request confirm, once all refusals that were received are recorded"
    entry = next((each.record for each in case.requests if each.record.request_id == REGISTER_ID), None)
    if entry is None:
        said = "nobody has confirmed that the register of refusals is complete"
        yield Finding(b"", said, hint, Outcome.INCOMPLETE)
        return
    days = terms.number("days")
    confirmed = date.fromisoformat(entry.received_at)
    if later(entry.received_at, days) < case.day:
        yield Finding(b"", f"the register of refusals was confirmed on {confirmed}; {days:g} days hold", hint)
    elif confirmed.isoformat() > case.day:
        said = f"the register of refusals is said to be confirmed on {confirmed}, which is to come"
        yield Finding(b"", said, hint, Outcome.INCOMPLETE)


def _refused_data(case: Case, request: RightsRequest) -> Iterator[Finding]:
    id_, hint = request.record.request_id, "leave it out"
    refused = frozenset(request.record.selector.digests)
    for node in case.judged.closure.artifacts if refused else ():
        if node.digest in refused:
            yield Finding(artifact_subject(case.judged, node), f"request {id_} refuses this file", hint)
    for path in request.matched:
        yield Finding(path, f"it has rows of the person who refused in request {id_}", hint)


def _refused_source(
    source: KnownSource, record: SourceRecord, refused: Selector, id_: str
) -> Iterator[Finding]:
    subject = source_subject(source.id)
    hint = "leave the source out, or dsvc source withdraw it"
    places = _places(record)
    if (refused.domains or refused.urls) and not places and record.acquisition in _ON_THE_WEB:
        said = f"neither url nor domains is recorded, so request {id_} can't be compared with it"
        yield Finding(subject, said, f"dsvc source set {source.id} --field url=…", Outcome.INCOMPLETE)
    for domain in refused.domains:
        if any(host == domain or host.endswith("." + domain) for host, _ in places):
            yield Finding(subject, f"request {id_} refuses what comes from {domain}", hint)
    for url in refused.urls:
        host, path = _place(url)
        # A source that names a domain as a whole has all that is below it.
        if any(h == host and (p is None or _is_below(path, p) or _is_below(p, path)) for h, p in places):
            yield Finding(subject, f"request {id_} refuses {url}", hint)
    names = {_name(each) for field in _AUTHORS for each in _values(record, field)}
    if refused.authors and not names and record.acquisition in _OF_OTHERS:
        said = f"no rightsholder is recorded, so request {id_} can't be compared with it"
        yield Finding(
            subject, said, f"dsvc source set {source.id} --field rightsholders=…", Outcome.INCOMPLETE
        )
    for author in refused.authors:
        if _name(author) in names:
            yield Finding(subject, f"request {id_} refuses what is by {author}", hint)


def _values(record: SourceRecord, name: str) -> list[str]:
    value = record.fields.get(name)
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _name(text: str) -> str:
    return " ".join(text.casefold().split())


def _places(record: SourceRecord) -> set[tuple[str, str | None]]:
    """Hosts that a source names, each with the path below it, None for all of it."""
    domains = (each.partition("=")[0] for each in _values(record, "domains"))  # NAME=REQUESTS
    found: set[tuple[str, str | None]] = {(_host(each), None) for each in domains}
    for field in ("url", "endpoint"):
        found |= {_place(each) for each in _values(record, field)}
    return {(host, path) for host, path in found if host}


def _place(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url if "//" in url else "//" + url)
    except ValueError:
        # Stray brackets, or signs that stand for others: what is refused must not pass for them.
        net = re.split("[/?#]", url.partition("//")[2], maxsplit=1)[0].rpartition("@")[2]
        return _host(net.replace("[", "").replace("]", "").partition(":")[0]), ""
    return _host(parts.hostname or ""), parts.path.rstrip("/")


def _host(text: str) -> str:
    """A name of a host, each part as the net has it: one that is no such part hides not what it is below."""
    parts = [part for part in _DOTS.split(text.strip()) if part]
    return ".".join(_part(each) for each in (parts[1:] if parts[:1] == ["*"] else parts))


def _part(text: str) -> str:
    try:
        return text.encode("idna").decode().lower()
    except UnicodeError:
        return text.lower()


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


class Settled(Rule):
    """No request to delete, and no withdrawal, is open that touches what is judged."""

    id = "PII-04"
    settled_by = "rights_agent"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for the artifacts and rows of open and sealed requests in the closure."""
        for request in case.requests:
            record = request.record
            if record.kind not in (RequestKind.WITHDRAWAL, RequestKind.DELETION) or record.state.is_settled:
                continue
            yield from _told(request)
            yield from self._touched(case, request)

    @staticmethod
    def _touched(case: Case, request: RightsRequest) -> Iterator[Finding]:
        record = request.record
        what = f"request {record.request_id} ({record.kind}, due {record.due}) is {record.state}"
        hint = f"dsvc request erase {record.request_id}, or refuse it"
        if record.searched_at is None:
            hint = f"dsvc request find {record.request_id}"
            yield Finding(b"", f"{what} and nobody has looked where it is", hint, Outcome.INCOMPLETE)
        digests = {each.digest for each in record.found} | set(record.selector.digests)
        reached = {
            artifact_subject(case.judged, node): node
            for node in case.judged.closure.artifacts
            if node.digest in digests
        }
        for subject in sorted({*reached, *request.matched}):
            yield Finding(subject, f"{what} and is about this", hint)
        unsearched = {each.digest for each in record.unsearched}
        for node in case.judged.closure.artifacts if unsearched else ():
            if node.digest in unsearched and node.digest not in digests:
                said = f"{what} and this could not be searched"
                yield Finding(artifact_subject(case.judged, node), said, None, Outcome.INCOMPLETE)


class Erased(Rule):
    """What was erased can't be read any more, and is not back."""

    id = "PII-05"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for erased chunks in the store, and for erased subjects in the judged files."""
        for request in case.requests:
            record = request.record
            if record.state not in (RequestState.ERASING, RequestState.ERASED):
                continue
            id_ = record.request_id
            again = f"dsvc request erase {id_}"
            yield from _told(request)
            if record.state is RequestState.ERASING:
                yield Finding(b"", f"the erasure of request {id_} has not come to its end", again)
            elif record.certificate is None:
                yield Finding(b"", f"request {id_} has no certificate of erasure", again, Outcome.INCOMPLETE)
            if request.readable is None:
                said = f"whether what request {id_} erased can be read could not be told"
                yield Finding(b"", said, "dsvc fsck", Outcome.INCOMPLETE)
            elif request.readable:
                said = f"{request.readable} chunks that request {id_} erased can be read again"
                yield Finding(b"", said, again)
            for path in request.matched:
                yield Finding(path, f"rows that request {id_} erased are back", again)


class Retained(Rule):
    """No data of people is kept beyond its time."""

    id = "PII-06"
    settled_by = "rights_agent"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Compare ``retention_until`` of all sources with the day."""
        yield from unread(case)
        for source in case.sources:
            for _, record in case.stated(source):
                yield from _retention(source.id, record, case.day)


def _retention(id_: str, record: SourceRecord, day: str) -> Iterator[Finding]:
    subject, until = source_subject(id_), record.fields.get("retention_until")
    if "retention_until" in record.undetermined or not isinstance(until, str | None):
        said = "until when it may be kept is undetermined"
        yield Finding(
            subject, said, f"dsvc source set {id_} --field retention_until=DATE", Outcome.INCOMPLETE
        )
    elif until is not None:
        # The day itself is still allowed.
        if until[:10] < day:
            yield Finding(subject, f"it was to be kept until {until}", "erase it, or prolong with evidence")
    elif record.fields.get("contains_pi") != "none":
        said = "it may have personal data, and until when it may be kept is not recorded"
        yield Finding(
            subject, said, f"dsvc source set {id_} --field retention_until=DATE", Outcome.INCOMPLETE
        )


RULES: Final = (Refused(), Settled(), Erased(), Retained())
