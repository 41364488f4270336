"""The record of a source by the Data Provenance Standards 1.0.0 of the Data & Trust Alliance.

That record has three groups: ``source``, ``provenance`` and ``use``. It knows neither legal basis nor
evidence; what it doesn't know is undetermined when such a record is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from dsvc.lineage.license_text import LicenseExpressionError, check_license
from dsvc.lineage.source_document import MAX_DOCUMENT_BYTES, SourceDocument, SourceDocumentError
from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.model.errors import UsageError
from dsvc.model.source_record import Acquisition, SourceRecord, Value

VERSION: Final = "1.0.0"
_CODES: Final = "https://dataandtrustalliance.org/DPS/CodeSystem/"
_METHODS: Final[Mapping[Acquisition, str]] = {
    Acquisition.OPEN_DATASET: "other-na",
    Acquisition.CRAWL: "web-scraping-crawling-other",
    Acquisition.API: "feeds-api-source",
    Acquisition.SENSOR: "sensor-and-iot-output-other",
    Acquisition.BULK: "feeds-file-feed-info",
    Acquisition.PURCHASE: "syndication-other",
    Acquisition.USER_INPUT: "user-generated-content-other",
    Acquisition.SELF_GENERATED: "primary-user-source-other",
    Acquisition.SYNTHETIC: "machine-generated-mlops-synthetic",
    Acquisition.ANNOTATION_OUTPUT: "machine-generated-mlops-other",
}
_KINDS: Final = (
    ("web-scraping", Acquisition.CRAWL),
    ("feeds-file", Acquisition.BULK),
    ("feeds", Acquisition.API),
    ("syndication", Acquisition.PURCHASE),
    ("sensor", Acquisition.SENSOR),
    ("machine-generated", Acquisition.SYNTHETIC),
    ("data-augmentation", Acquisition.SYNTHETIC),
    ("simulations", Acquisition.SYNTHETIC),
    ("user-generated", Acquisition.USER_INPUT),
    ("social-media", Acquisition.CRAWL),
    ("primary-user", Acquisition.USER_INPUT),
)
_USES: Final = {
    "ai-pre-training": "AI Pre-Training",
    "ai-alignment": "AI Alignment",
    "ai-evaluation": "AI Evaluation",
    "ai-synthetic": "AI Synthetic Data Generation",
    "non-ai-staging": "Non-AI Staging/testing",
    "non-ai-production": "Non-AI Production",
    "non-ai-quality": "Non-AI Quality assurance",
}
_PLACES: Final = (
    ("processing-included", "processing_allowed"),
    ("processing-excluded", "processing_forbidden"),
    ("storage-allowed", "storage_allowed"),
    ("storage-forbidden", "storage_forbidden"),
)
_FLAGS: Final = ("copyright", "patent", "trademark")
_REGULATIONS: Final = (("pii", "contains_pi"), ("spi", "sensitive_pi"))


class IncompleteRecordError(UsageError):
    """A record lacks what a standard asks for."""

    code = "incomplete-record"


# Writing


def render_dps(record: SourceRecord) -> str:
    """Write a record by the standard, as JSON.

    Raises
    ------
    IncompleteRecordError
        If it lacks what the standard asks for; all of it is named.
    """
    fields = record.fields
    date = next((d for d in map(fields.get, ("issue_date", "obtained_at", "collected_to")) if d), None)
    needed = {
        "issuer": fields.get("issuer"),
        "description": fields.get("description"),
        "origin_geography": fields.get("origin_geography"),
        "issue_date": date,
        "purposes_allowed": fields.get("purposes_allowed"),
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise IncompleteRecordError(
            f"the Data Provenance Standards ask for {', '.join(missing)}, which the record lacks",
            hint=f"dsvc source set {record.source_id} --field {missing[0]}=…",
            details={"missing": missing},
        )
    found = {
        "source": _present(
            version=VERSION,
            title=record.title,
            id=record.source_id,
            location=fields.get("url"),
            issuer=[{"name": fields["issuer"]}],
            description=fields["description"],
        ),
        "provenance": _provenance(record, str(date)),
        "use": _use(record),
    }
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def _present(**values: object) -> dict[str, object]:
    return {name.replace("_", "-"): value for name, value in values.items() if value}


def _texts(value: Value | None) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _provenance(record: SourceRecord, date: str) -> dict[str, object]:
    fields = record.fields
    period = _present(start=fields.get("collected_from"), end=fields.get("collected_to"))
    method = {
        "code": _METHODS[record.acquisition],
        "system": f"{_CODES}Method",
        "description": record.acquisition.value,
    }
    origin = fields.get("origin_org")
    return _present(
        origin=[{"name": origin}] if origin else None,
        origin_geography=_regions(_texts(fields.get("origin_geography"))),
        date=date,
        previous_date=fields.get("previous_version"),
        generation_period=period,
        generation_method=[method],
        format=_texts(fields.get("format")),
    )


def _regions(places: Iterable[str]) -> list[dict[str, str]]:
    found = []
    for place in places:
        country, _, state = place.partition("/")
        found.append({"country": country} | ({"state": state} if state else {}))
    return found


def _use(record: SourceRecord) -> dict[str, object]:
    fields = record.fields
    flags = _texts(fields.get("ip_flags"))
    told = [(code, fields.get(name)) for code, name in _REGULATIONS]
    found = _present(
        # What is unknown isn't said: the standard has no word for it.
        classification=[
            {"regulation": {"code": code, "system": f"{_CODES}Regulation"}, "evaluated": value == "yes"}
            for code, value in told
            if value in ("yes", "no", "none")
        ],
        consents=_texts(fields.get("consent_refs")),
        privacy_enhancing=_privacy(fields.get("deidentification")),
        license=[] if record.license_expression == UNDETERMINED else [record.license_expression],
        intended_purpose=[
            {"code": use, "system": f"{_CODES}Use", "description": _USES[use]}
            if use in _USES
            else {"code": use, "description": use}
            for use in _texts(fields.get("purposes_allowed"))
        ],
        **{flag: _texts(fields.get("rightsholders")) or ["yes"] for flag in _FLAGS if flag in flags},
    )
    places = {name: _regions(_texts(fields.get(field))) for name, field in _PLACES}
    return found | {name: regions for name, regions in places.items() if regions}


def _privacy(value: Value | None) -> list[dict[str, object]]:
    if not isinstance(value, Mapping):
        return []
    tool = value.get("tool") or value.get("method") or UNDETERMINED
    # The published schema requires `tool`, its text says `tool-used`.
    found: dict[str, object] = {"tool": tool, "tool-used": tool}
    if value.get("method"):
        found["tool-category"] = {"code": value["method"]}
    if value.get("params"):
        found["parameters"] = [value["params"]]
    if value.get("residual_risk"):
        found["result"] = [value["residual_risk"]]
    return [found]


# Reading


class _Reader:
    """Takes values of some form out of JSON of unknown form."""

    def __init__(self, found: object, where: str) -> None:
        if not isinstance(found, dict):
            raise SourceDocumentError(f"{where} is no object of the Data Provenance Standards {VERSION}")
        self._found: dict[str, Any] = found
        self._where = where

    def text(self, name: str) -> str | None:
        value = self._found.get(name)
        if value is not None and not isinstance(value, str):
            raise SourceDocumentError(f"{self._where}.{name} is no text")
        return value or None

    def inner(self, name: str) -> _Reader:
        return _Reader(self._found.get(name, {}), f"{self._where}.{name}")

    def texts(self, name: str) -> list[str]:
        value = self._found.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SourceDocumentError(f"{self._where}.{name} is no list of texts")
        return value

    def each(self, name: str) -> list[_Reader]:
        value = self._found.get(name, [])
        if not isinstance(value, list):
            raise SourceDocumentError(f"{self._where}.{name} is no list")
        return [_Reader(item, f"{self._where}.{name}[{at}]") for at, item in enumerate(value)]

    def flag(self, name: str) -> bool:
        return self._found.get(name) is True


def parse_dps(data: bytes, name: str) -> SourceDocument:
    """Read a record of the standard.

    Raises
    ------
    SourceDocumentError
        If it is no JSON, or no such record.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise SourceDocumentError(f"{name} has more than {MAX_DOCUMENT_BYTES >> 20} MiB")
    try:
        document = _Reader(msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf")), name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceDocumentError(f"{name}: not valid JSON: {error}") from error
    source, provenance, use = (document.inner(group) for group in ("source", "provenance", "use"))
    methods = provenance.each("generation-method")
    if source.text("title") is None or not methods:
        raise SourceDocumentError(
            f"{name} is no record of the Data Provenance Standards {VERSION}",
            hint="it needs source.title and provenance.generation-method",
        )
    licence, basis = _licence(use.texts("license"))
    values: dict[str, object] = {
        "title": source.text("title"),
        "description": source.text("description"),
        "url": source.text("location"),
        "issuer": _names(source.each("issuer")),
        "acquisition": _acquisition(methods[0]),
        "legal_basis": basis,
        "license_expression": licence,
        "origin_org": _names(provenance.each("origin")),
        "origin_geography": _places(provenance.each("origin-geography")),
        "issue_date": provenance.text("date"),
        "previous_version": provenance.text("previous-date"),
        "collected_from": provenance.inner("generation-period").text("start"),
        "collected_to": provenance.inner("generation-period").text("end"),
        "format": provenance.texts("format"),
        "consent_refs": use.texts("consents"),
        "purposes_allowed": [code for each in use.each("intended-purpose") if (code := each.text("code"))],
        "ip_flags": [flag for flag in _FLAGS if use.texts(flag)],
        "rightsholders": _rightsholders(use),
        **{field: _places(use.each(place)) for place, field in _PLACES},
        **_classified(use.each("classification")),
        **_protected(use.each("privacy-enhancing")),
    }
    return SourceDocument(values=tuple((field, value) for field, value in values.items() if value))


def _names(parties: Iterable[_Reader]) -> str:
    return ", ".join(name for each in parties if (name := each.text("name")))


def _places(regions: Iterable[_Reader]) -> list[str]:
    found = [(each.text("country"), each.text("state")) for each in regions]
    return ["/".join(part for part in place if part) for place in found if place[0]]


def _acquisition(method: _Reader) -> str:
    described, code = method.text("description"), method.text("code") or ""
    if described in tuple(Acquisition):
        return described
    return next((kind for start, kind in _KINDS if code.startswith(start)), Acquisition.OPEN_DATASET).value


def _licence(texts: list[str]) -> tuple[str, str]:
    """SPDX where a single licence is that, and the legal basis that follows."""
    try:
        found = check_license(texts[0]) if len(texts) == 1 else UNDETERMINED
    except LicenseExpressionError:
        return UNDETERMINED, UNDETERMINED
    return found, UNDETERMINED if found == UNDETERMINED else "licence"


def _rightsholders(use: _Reader) -> list[str]:
    texts = [text for flag in _FLAGS for text in use.texts(flag) if text.casefold() not in ("yes", "no")]
    return list(dict.fromkeys(texts))


def _classified(found: Iterable[_Reader]) -> dict[str, object]:
    named = dict(_REGULATIONS)
    told = {each.inner("regulation").text("code"): each.flag("evaluated") for each in found}
    return {
        named[code]: "yes" if value else "none" if code == "pii" else "no"
        for code, value in told.items()
        if code in named
    }


def _protected(found: list[_Reader]) -> dict[str, object]:
    if not found:
        return {}
    first = found[0]
    parts = {
        "method": first.inner("tool-category").text("code"),
        "tool": first.text("tool-used") or first.text("tool"),
        "params": "; ".join(first.texts("parameters")),
        "residual_risk": "; ".join(first.texts("result")),
    }
    return {"deidentification": {part: text for part, text in parts.items() if text}}
