"""Every field that the record of a source can have: its name, its kind, its group, and who is asked for it.

The groups and names are those of the project's source record. Only a few are required of every source
(`REQUIRED`); a rule of a policy may demand others, and the template of a kind of acquisition shows those that
it usually needs. What each field means stands in ``docs/provenance.md`` and in the templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dsvc.model.source_record import Acquisition, LegalBasis

YES_NO_UNKNOWN: Final = ("yes", "no", "unknown")
REQUIRED: Final = ("source_id", "title", "acquisition", "legal_basis", "license_expression")
"""What a source must have when it is added; evidence is asked for, and may come later."""
UNDETERMINED: Final = "undetermined"
MODALITIES: Final = ("text", "image", "audio", "video", "tabular", "time_series", "geospatial", "other")


class FieldKind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    LIST = "list"
    TRISTATE = "yes/no/unknown"
    DATE = "date"
    ENUM = "one of"
    NUMBER = "number"
    RECORD = "parts"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the record.

    Attributes
    ----------
    name : str
    kind : FieldKind
    group : str
        Which part of the record it belongs to.
    values : tuple of str
        All that it, or an item of its list, can be; empty where anything can.
    parts : mapping of str to Field
        Fields within it.
    asked_of : frozenset of Acquisition
        Kinds whose template shows it.
    attribute : bool
        Whether it is an attribute of the record, not one of its ``fields``.
    derived : bool
        Whether dsvc finds it out, so that nobody sets it.
    maximum : float or None
        The largest number that it can be.
    """

    name: str
    kind: FieldKind
    group: str
    values: tuple[str, ...] = ()
    parts: Mapping[str, Field] = field(default_factory=lambda: MappingProxyType({}))
    asked_of: frozenset[Acquisition] = frozenset()
    attribute: bool = False
    derived: bool = False
    maximum: float | None = None


EVERY: Final = frozenset(Acquisition)
OPEN, CRAWL, API, SENSOR, BULK, PURCHASE, USER, OWN, SYNTHETIC, ANNOTATION = Acquisition
_TEXT, _LIST, _TRI, _DATE = FieldKind.TEXT, FieldKind.LIST, FieldKind.TRISTATE, FieldKind.DATE
_ENUM, _NUMBER, _RECORD = FieldKind.ENUM, FieldKind.NUMBER, FieldKind.RECORD
_BOUGHT: Final = frozenset({PURCHASE, BULK})
_PEOPLE: Final = frozenset({USER, CRAWL, PURCHASE, SENSOR})
_WEB: Final = frozenset({CRAWL, API, OPEN})

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "公共": "public",
        "行业": "industry",
        "互联网": "internet",
        "科学": "scientific",
        "保障": "guarantee",
        "定制": "custom",
        "电商": "ecommerce",
        "结对子": "pairing",
        "一般": "general",
        "重要": "important",
        "核心": "core",
        "是": "yes",
        "否": "no",
        "未知": "unknown",
        "无": "none",
        "true": "yes",
        "false": "no",
    }
)
"""Other words for values of closed lists."""


def _assessment(name: str, asked_of: frozenset[Acquisition]) -> Field:
    return _parts(
        name,
        "quality",
        _of("sample", _NUMBER),
        _of("harmful_rate", _NUMBER, maximum=1.0),
        _of("date", _DATE),
        asked_of=asked_of,
    )


def _of(name: str, kind: FieldKind, group: str = "", *values: str, **more: object) -> Field:
    if kind is _TRI:
        values = YES_NO_UNKNOWN
    return Field(name, kind, group, tuple(values), **more)  # type: ignore[arg-type]


def _parts(name: str, group: str, *parts: Field, asked_of: frozenset[Acquisition] = frozenset()) -> Field:
    inner = MappingProxyType({part.name: part for part in parts})
    return Field(name, _RECORD, group, parts=inner, asked_of=asked_of)


def _all_fields() -> Iterator[Field]:
    yield from _who_and_what()
    yield from _rights()
    yield from _people_and_places()
    yield from _signals_and_quality()


def _who_and_what() -> Iterator[Field]:
    g = "identity"
    yield _of("source_id", _TEXT, g, attribute=True)
    yield _of("title", _TEXT, g, attribute=True)
    yield _of("description", _TEXT, g, asked_of=EVERY)
    yield _of("url", _TEXT, g, asked_of=_WEB)
    yield _of("supply_type", _ENUM, g, "public", "industry", "internet", "scientific", asked_of=EVERY)
    yield _of("acquisition", _ENUM, g, *Acquisition, attribute=True)
    yield _of("modality", _LIST, g, *MODALITIES, asked_of=EVERY)
    yield _of("format", _LIST, g)
    yield _of("language", _LIST, g, asked_of=EVERY)
    g = "parties"
    yield _of("issuer", _TEXT, g, asked_of=EVERY)
    yield _of("origin_org", _TEXT, g)
    yield _of("rightsholders", _LIST, g, asked_of=frozenset({OPEN, PURCHASE, BULK}))
    yield _of("supplier", _TEXT, g, asked_of=_BOUGHT)
    yield _of("data_subject_category", _LIST, g, asked_of=frozenset({USER}))
    yield _of("responsible_person", _TEXT, g, asked_of=EVERY)
    yield _of("ip_officer", _TEXT, g)
    g = "place and time"
    yield _of("origin_geography", _LIST, g, asked_of=EVERY)
    yield _of("collected_from", _DATE, g, asked_of=EVERY - {OPEN})
    yield _of("collected_to", _DATE, g, asked_of=EVERY - {OPEN})
    yield _of("ongoing", _TRI, g, attribute=True, asked_of=frozenset({CRAWL, API, SENSOR, USER}))
    yield _of("obtained_at", _DATE, g, asked_of=frozenset({OPEN, PURCHASE, BULK}))
    yield _of("first_used", _DATE, g)
    yield _of("issue_date", _DATE, g, asked_of=frozenset({OPEN}))
    yield _of("previous_version", _DATE, g)
    g = "collection"
    yield _of("crawler", _TEXT, g, asked_of=frozenset({CRAWL}))
    yield _of("user_agent", _TEXT, g, asked_of=frozenset({CRAWL}))
    yield _of("domains", _LIST, g, asked_of=frozenset({CRAWL}))
    yield _of("endpoint", _TEXT, g, asked_of=frozenset({API}))
    yield _of("device", _TEXT, g, asked_of=frozenset({SENSOR}))
    yield _of("policy_version", _TEXT, g, asked_of=frozenset({USER}))
    yield _of("generator", _TEXT, g, asked_of=frozenset({SYNTHETIC}))
    yield _of("generator_version", _TEXT, g, asked_of=frozenset({SYNTHETIC}))
    yield _of("prompt_hash", _TEXT, g, asked_of=frozenset({SYNTHETIC}))
    yield _of("seed_data", _LIST, g, asked_of=frozenset({SYNTHETIC}))
    yield _of("rules_version", _TEXT, g, asked_of=frozenset({ANNOTATION}))


def _rights() -> Iterator[Field]:
    g = "legal basis"
    yield _of("legal_basis", _ENUM, g, *LegalBasis, attribute=True)
    yield _of("license_expression", _TEXT, g, attribute=True)
    yield _of("license_text_hash", _TEXT, g, derived=True)
    yield _of("evidence", _LIST, g, derived=True)
    yield _of("contract_no", _TEXT, g, asked_of=_BOUGHT)
    yield _of("purchase", _ENUM, g, "bought", "licensed", "free", asked_of=_BOUGHT)
    marks = ("copyright", "patent", "trademark", "public_domain")
    yield _of("ip_flags", _LIST, g, *marks, asked_of=frozenset({OPEN, PURCHASE}))
    yield _of("rights_status", _ENUM, g, "clear", "disputed", UNDETERMINED, asked_of=EVERY)
    g = "use limits"
    yield _of("purposes_allowed", _LIST, g, asked_of=frozenset({PURCHASE, USER}))
    yield _of("purposes_forbidden", _LIST, g, asked_of=frozenset({PURCHASE, SYNTHETIC}))
    yield _of("commercial", _TRI, g, asked_of=frozenset({PURCHASE}))
    yield _of("operating_mode", _ENUM, g, "guarantee", "custom", "ecommerce", "pairing")
    yield _of("consumers_allowed", _LIST, g)
    yield _of("share_results", _TRI, g)
    yield _of("expiry", _DATE, g, asked_of=frozenset({PURCHASE}))
    yield _of("territory", _LIST, g)
    g = "registration"
    yield _of("registered", _TRI, g)
    yield _of("registry", _TEXT, g)
    yield _of("certificate_no", _TEXT, g)
    yield _of("valid_to", _DATE, g)
    yield _of("deposit_ref", _TEXT, g)
    yield _of("processing_rules_ref", _TEXT, g)
    yield _of("update_rate", _TEXT, g)
    yield _of("scenario", _TEXT, g)


def _people_and_places() -> Iterator[Field]:
    g = "personal data"
    yield _of("contains_pi", _ENUM, g, "none", "yes", "unknown", asked_of=EVERY)
    yield _of("sensitive_pi", _TRI, g, asked_of=_PEOPLE)
    yield _of("minors_under_14", _TRI, g, asked_of=frozenset({USER}))
    yield _of("pi_basis", _TEXT, g, asked_of=_PEOPLE)
    yield _of("separate_consent_ref", _TEXT, g, asked_of=frozenset({USER}))
    yield _of("consent_refs", _LIST, g, asked_of=frozenset({USER}))
    yield _of("subject_count_estimate", _NUMBER, g, asked_of=frozenset({USER}))
    yield _parts(
        "deidentification",
        g,
        *(_of(part, _TEXT) for part in ("method", "tool", "params", "residual_risk")),
        asked_of=frozenset({USER}),
    )
    yield _of("retention_until", _DATE, g, asked_of=frozenset({USER}))
    yield _of("pipia_ref", _TEXT, g)
    yield _of("aggregate_consumer_info", _TRI, g)
    g = "classification"
    yield _of("category", _TEXT, g)
    yield _of("grade", _ENUM, g, "general", "important", "core", asked_of=EVERY)
    yield _of("internal_level", _TEXT, g)
    yield _of("domain_profile", _TEXT, g)
    yield _of("trade_secret", _TRI, g)
    yield _of("special_category", _TRI, g)
    g = "location"
    for name in ("storage_allowed", "storage_forbidden", "processing_allowed", "processing_forbidden"):
        yield _of(name, _LIST, g)
    yield _of("custody", _ENUM, g, "local", "external")
    yield _parts(
        "cross_border",
        g,
        _of("direction", _ENUM, "", "in", "out", "both"),
        _of("mechanism", _TEXT),
        _of("filing_no", _TEXT),
        _of("valid_to", _DATE),
        _of("persons", _NUMBER),
        _of("sensitive_persons", _NUMBER),
        _of("transit", _TRI),
    )


def _signals_and_quality() -> Iterator[Field]:
    g = "opt-out"
    yield _of("tdm_reservation", _ENUM, g, "0", "1", "unknown", asked_of=frozenset({CRAWL}))
    yield _of("tdm_policy", _TEXT, g)
    yield _of("robots_verdict", _ENUM, g, "allowed", "disallowed", "unknown", asked_of=frozenset({CRAWL}))
    yield _of("aipref", _TEXT, g)
    yield _of("refusal_registry_checked_at", _DATE, g)
    yield _of("objection_window", _TEXT, g)
    g = "AI marks"
    yield _of("synthetic", _TRI, g, asked_of=frozenset({SYNTHETIC, OPEN, PURCHASE}))
    yield _of("aigc_label", _TEXT, g, asked_of=frozenset({SYNTHETIC}))
    yield _of("c2pa_source_type", _TEXT, g)
    yield _assessment("pre_collection_assessment", EVERY - {OWN, ANNOTATION, SYNTHETIC})
    yield _assessment("post_collection_assessment", frozenset())
    g = "quality"
    yield _of("metrics", _LIST, g)
    yield _of("blacklisted", _TEXT, g, attribute=True)
    yield _of("withdrawn", _TEXT, g, attribute=True)
    g = "integrity"
    yield _of("content_root", _TEXT, g, derived=True)
    yield _of("bytes", _NUMBER, g, derived=True)
    yield _of("records", _NUMBER, g, derived=True)
    yield _of("discovered", _LIST, g, derived=True)
    yield _of("record_schema", _TEXT, g)
    yield _of("ingest_activity", _TEXT, g)
    yield _of("signature", _TEXT, g)


FIELDS: Final[Mapping[str, Field]] = MappingProxyType({each.name: each for each in _all_fields()})
"""Every field by its name, in the order of the record."""


def asked_of(acquisition: Acquisition) -> list[Field]:
    """List the fields that a kind of acquisition is asked for, beyond those that every source must have."""
    return [each for each in FIELDS.values() if acquisition in each.asked_of]
