"""Records of sources by the Data Provenance Standards 1.0.0: valid, and read back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dsvc.lineage.provenance_standard import IncompleteRecordError, parse_dps, render_dps
from dsvc.lineage.source_document import SourceDocumentError
from dsvc.lineage.source_values import new_record, read_changes
from dsvc.model.source_record import Acquisition, SourceRecord

SCHEMA = json.loads((Path(__file__).parent / "data_provenance_1.0.0.json").read_text(encoding="utf-8"))
LEAST = {
    "title": "公开语料",
    "acquisition": "open_dataset",
    "legal_basis": "licence",
    "license_expression": "CC-BY-4.0 AND MIT",
    "issuer": "某研究院",
    "description": "说明",
    "origin_geography": ["CN", "US/CA"],
    "issue_date": "2024-05-01",
    "purposes_allowed": ["ai-pre-training", "问答"],
}
ALL = LEAST | {
    "url": "https://example.org/语料",
    "origin_org": "来源机构",
    "previous_version": "2023-05-01",
    "collected_from": "2022-01-01",
    "collected_to": "2023-01-01",
    "format": ["csv", "文本"],
    "consent_refs": ["合同 1"],
    "ip_flags": ["copyright", "trademark"],
    "rightsholders": ["甲", "乙"],
    "contains_pi": "yes",
    "sensitive_pi": "no",
    "deidentification": {"method": "k", "tool": "t", "params": "k=5", "residual_risk": "low"},
    "processing_allowed": ["CN"],
    "processing_forbidden": ["US"],
    "storage_allowed": ["CN/北京"],
    "storage_forbidden": ["US"],
}


def record(values: dict[str, Any]) -> SourceRecord:
    return new_record("语料", read_changes(values.items()))


@pytest.mark.parametrize("values", [LEAST, ALL], ids=["least", "all"])
def test_a_record_is_valid_and_comes_back_the_same(values: dict[str, Any]) -> None:
    made = record(values)
    written = render_dps(made)
    jsonschema.validate(json.loads(written), SCHEMA, cls=jsonschema.Draft202012Validator)
    assert record(dict(parse_dps(written.encode(), "x.json").values)) == made


@pytest.mark.parametrize("kind", list(Acquisition))
def test_every_kind_of_acquisition_comes_back(kind: Acquisition) -> None:
    written = render_dps(record(LEAST | {"acquisition": kind.value}))
    jsonschema.validate(json.loads(written), SCHEMA)
    assert dict(parse_dps(written.encode(), "x").values)["acquisition"] == kind


def test_what_is_lacking_is_named_at_once() -> None:
    values = {name: value for name, value in LEAST.items() if name not in ("issuer", "issue_date")}
    with pytest.raises(IncompleteRecordError) as caught:
        render_dps(record(values))
    assert caught.value.details["missing"] == ["issuer", "issue_date"]
    made = json.loads(render_dps(record(LEAST | {"issue_date": "", "obtained_at": "2024-06-01"})))
    assert made["provenance"]["date"] == "2024-06-01"


def test_a_record_that_somebody_else_made_is_read() -> None:
    document = {
        "source": {
            "version": "1.0.0",
            "title": "T",
            "id": "1",
            "issuer": [{"name": "I"}],
            "description": "D",
        },
        "provenance": {
            "origin-geography": [{"country": "Germany", "state": "Bayern"}],
            "date": "2024-01-31",
            "generation-method": [{"code": "sensor-and-iot-output-health", "description": "Health"}],
        },
        "use": {
            "intended-purpose": [{"code": "ai-other", "description": "x"}],
            "license": ["https://example.org/terms"],
            "patent": ["EP 1"],
        },
    }
    jsonschema.validate(document, SCHEMA)
    values = dict(parse_dps(json.dumps(document).encode(), "x").values)
    assert values["acquisition"] == "sensor"
    assert (values["legal_basis"], values["license_expression"]) == ("undetermined", "undetermined")
    assert values["origin_geography"] == ["Germany/Bayern"]
    assert (values["ip_flags"], values["rightsholders"]) == (["patent"], ["EP 1"])
    assert record(values).title == "T"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b'{"source": 1}',
        b'{"source": {"title": 1}, "provenance": {"generation-method": [{"code": "x"}]}}',
        b'{"source": {"title": "t"}, "provenance": {"generation-method": {}}}',
        b'{"source": {"title": "t"}, "provenance": {"generation-method": [1]}}',
        b'{"source": {"title": "t"}, "provenance": {"generation-method": [{}]}, "use": {"license": "MIT"}}',
        b"[" * 100_000,
        b"\xff\xfe{",
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(SourceDocumentError):
        parse_dps(data, "x.json")
