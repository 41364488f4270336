"""Rules over personal data: what sources declare, what was found, and by which right it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple

from dsvc.lineage.descent import Descent
from dsvc.lineage.validation import Finding, Outcome
from dsvc.model.detection import Detection, DetectionStatus, Hit
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.policy.case import Case
from dsvc.policy.descents import sources_behind
from dsvc.policy.detectors.pii_kinds import SENSITIVE
from dsvc.policy.evidence_standing import lack_of
from dsvc.policy.rule import Parameter, Rule, Stricter, Terms
from dsvc.policy.source_facts import SourceFacts, counted, states
from dsvc.policy.table_questions import LOOK_AGAIN

_DETECTOR: Final = "pii"
_CONSENT: Final = "consent"
_SHOWN: Final = 3
_DENIALS: Final = frozenset({"none", "no", "n/a", "-", "无", "没有", "否"})
"""What stands in a field for a document when there is no such document."""


class _Said(NamedTuple):
    """What the sources behind a file declare: ``yes``, ``none``, ``no``, or None where that isn't known."""

    contains: str | None
    sensitive: str | None


class Declared(Rule):
    """No file holds personal data beyond what the sources behind it declare.

    What one of them declares the file may have: what was mixed can't be told apart again. Kinds that are
    sensitive must be declared as such.
    """

    id = "PII-01"
    settled_by = "compliance_officer"
    scans = (_DETECTOR,)
    parameters: ClassVar = MappingProxyType(
        {
            "tolerance": Parameter(0, Stricter.LOWER, "hits a file"),
            "sensitive_kinds": Parameter(tuple(sorted(kind.value for kind in SENSITIVE))),
        }
    )

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Compare what was found in each file with what is declared."""
        unclean = sorted(case.detections.unclean(_DETECTOR), key=lambda each: each[0].path)
        if not unclean:
            return
        behind = sources_behind(case)
        said = _declarations(states(case))
        for entry, detection in unclean:
            if detection.status is not DetectionStatus.HITS:
                yield Finding(
                    entry.path,
                    f"it isn't known whether {display_path(entry.path)} has personal data: "
                    f"{detection.reason or 'the detector has no answer'}",
                    LOOK_AGAIN,
                    Outcome.INCOMPLETE,
                )
                continue
            descent = behind.get(entry.path, Descent())
            finding = _beyond(entry, detection, descent, _united(descent, said), terms)
            if finding is not None:
                yield finding


def _declarations(facts: Iterable[SourceFacts]) -> dict[str, _Said]:
    """What each source declares; where two of its states differ, that isn't known."""
    found: dict[str, _Said] = {}
    for each in facts:
        contains = each.text("contains_pi")
        sensitive = "no" if contains == "none" else each.text("sensitive_pi")
        old = found.setdefault(each.id, _Said(contains, sensitive))
        if old != (contains, sensitive):
            found[each.id] = _Said(
                contains if contains == old.contains else None,
                sensitive if sensitive == old.sensitive else None,
            )
    return found


def _united(descent: Descent, said: dict[str, _Said]) -> _Said:
    every = [said.get(name, _Said(None, None)) for name in descent.sources]
    if not descent.whole:
        every.append(_Said(None, None))
    return _Said(
        _any_yes([each.contains for each in every], "none"),
        _any_yes([each.sensitive for each in every], "no"),
    )


def _any_yes(values: list[str | None], otherwise: str) -> str | None:
    if "yes" in values:
        return "yes"
    return None if None in values else otherwise


def _beyond(
    entry: Entry, detection: Detection, descent: Descent, said: _Said, terms: Terms
) -> Finding | None:
    """Say what a file has that isn't declared."""
    counts, what, field, answer = dict(detection.counts), "personal data", "contains_pi", said.contains
    if said.contains == "yes":
        if said.sensitive == "yes":
            return None
        kinds = terms.texts("sensitive_kinds")
        counts = {kind: number for kind, number in counts.items() if kind in kinds}
        what, field, answer = "sensitive personal data", "sensitive_pi", said.sensitive
    if sum(counts.values()) <= terms.number("tolerance"):
        return None
    by = f"by its sources ({', '.join(descent.sources)})" if descent.sources else "by any source"
    name = descent.sources[0] if len(descent.sources) == 1 else "ID"
    return Finding(
        entry.path,
        f"{display_path(entry.path)} has {what} that is not declared {by}: {counted(counts)}"
        f"{_places(hit for hit in detection.hits if hit.kind in counts)}",
        f"take it out with a run of kind redact, or declare it: dsvc source set {name} --field {field}=yes",
        Outcome.INCOMPLETE if answer is None else Outcome.FAIL,
    )


def _places(hits: Iterable[Hit]) -> str:
    """Name the first places, with values masked."""
    shown: list[str] = []
    for hit in hits:
        if len(shown) == _SHOWN:
            break
        where = "" if hit.line is None else f"line {hit.line}"
        if hit.record is not None:
            where = f"record {hit.record}" + (f", {hit.column}" if hit.column else "")
        shown.append(f"{hit.shown} ({where})" if where else hit.shown)
    return f"; first: {'; '.join(shown)}" if shown else ""


class Based(Rule):
    """Where there is personal data, its basis is stated and proved; sensitive data has separate consent.

    Whether there is any is for SRC-11: a source that doesn't say passes here, one of which two answers met in
    a merge does not.
    """

    id = "PII-02"
    settled_by = "compliance_officer"
    parameters: ClassVar = MappingProxyType(
        {"evidence": Parameter((_CONSENT, "authorisation", "contract", "policy", "assessment"))}
    )

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at the sources that declare personal data."""
        for facts in states(case):
            if facts.is_open("contains_pi"):
                yield facts.lacks_field("contains_pi", "yes")
            elif facts.text("contains_pi") == "yes" or facts.text("sensitive_pi") == "yes":
                yield from _basis(facts, terms.texts("evidence"), case.day)


def _basis(facts: SourceFacts, types: tuple[str, ...], day: str) -> Iterator[Finding]:
    basis = facts.text("pi_basis")
    if basis is None:
        yield facts.lacks_field("pi_basis", _CONSENT, "it has personal data")
    elif basis.casefold() in _DENIALS:
        yield facts.fails(f"pi_basis is {basis}: nothing allows its personal data", "take the data out")
    lack = lack_of(facts, types, day, "it has personal data")
    if lack is not None:
        yield lack
    sensitive = facts.text("sensitive_pi")
    if sensitive is None:
        yield facts.lacks_field("sensitive_pi", "no", "it has personal data")
    elif sensitive == "yes":
        yield from _separate_consent(facts, day)


def _separate_consent(facts: SourceFacts, day: str) -> Iterator[Finding]:
    reference = facts.text("separate_consent_ref")
    if reference is not None and reference.casefold() not in _DENIALS:
        return
    lack = lack_of(facts, (_CONSENT,), day, "sensitive personal data needs separate consent")
    if lack is None:
        return
    if reference is not None:
        yield facts.fails(
            f"separate_consent_ref is {reference}: sensitive personal data needs separate consent",
            facts.adding(_CONSENT),
        )
    else:
        yield lack


class Guarded(Rule):
    """Data of children under 14 has the consent of a guardian."""

    id = "PII-03"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at sources with such data, and at those with personal data that don't say."""
        for facts in states(case):
            minors = facts.text("minors_under_14")
            if minors == "yes":
                lack = lack_of(facts, (_CONSENT,), case.day, "data of children needs a guardian's consent")
                if lack is not None:
                    yield lack
            elif minors is None and (
                facts.text("contains_pi") == "yes"
                or facts.is_open("contains_pi")
                or facts.is_open("minors_under_14")
            ):
                yield facts.lacks_field("minors_under_14", "no", "it has personal data")


class Assessed(Rule):
    """The impact on people was assessed where data is sensitive, goes abroad, or is given to others."""

    id = "PII-07"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at the sources with personal data, and at those that may have some."""
        for facts in states(case):
            reasons = list(_reasons(facts, shared=case.settings.shared))
            if not reasons:
                continue
            reference = facts.text("pipia_ref")
            if reference is None and facts.text("contains_pi") is None:
                yield facts.lacks_field("contains_pi", "none", "personal data needs an impact assessment")
            elif reference is None:
                yield facts.lacks_field("pipia_ref", "REFERENCE", reasons[0])
            elif reference.casefold() in _DENIALS:
                yield facts.fails(
                    f"pipia_ref is {reference}: there is no impact assessment; {reasons[0]}",
                    facts.setting("pipia_ref=REFERENCE") + " once it was made",
                )


def _reasons(facts: SourceFacts, *, shared: bool | None) -> Iterator[str]:
    """Why an assessment is needed; what isn't known counts as if it were so."""
    if facts.text("contains_pi") == "none":
        return
    if facts.text("sensitive_pi") != "no":
        yield "personal data is sensitive, or may be"
    if facts.text("cross_border.direction") in ("out", "both") or facts.is_open("cross_border"):
        yield "personal data goes abroad, or may do so"
    if shared is not False:
        yield "personal data is given to others, or [policy] shared doesn't say that it isn't"


RULES: Final = (Declared(), Based(), Guarded(), Assessed())
