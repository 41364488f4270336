"""The attestation of a release, held against the in-toto library and against its facts."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from dsvc.lineage.validation import Outcome
from dsvc.release.facts import ReleaseFacts
from dsvc.release.facts_codec import FactsMalformedError, facts_digest
from dsvc.release.statement import PROVENANCE, RELEASE, TEST_RESULT, VERDICT, attestation, statements
from tests.releasekit import HEX, HOSTILE, empty_facts, full_facts, hostile_facts, many_files, released_file


def _lines(facts: ReleaseFacts) -> list[dict[str, Any]]:
    data = attestation(facts)
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.decode("utf-8").split("\n")[:-1]]


def _validate(line: dict[str, Any]) -> None:
    message = json_format.ParseDict(line, statement_pb2.Statement())
    Statement.copy_from_pb(message).validate()


def _of(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["predicateType"] == kind]


@pytest.mark.parametrize(
    "facts",
    [empty_facts(), full_facts(), empty_facts(files=many_files(2000)), *map(hostile_facts, HOSTILE)],
)
def test_every_line_is_a_statement_for_the_in_toto_library(facts: ReleaseFacts) -> None:
    lines = _lines(facts)
    for line in lines:
        _validate(line)
    for line in _of(lines, PROVENANCE):
        json_format.ParseDict(line["predicate"], provenance_pb2.Provenance())
    for line in _of(lines, TEST_RESULT):
        predicate = {key: each for key, each in line["predicate"].items() if not key.startswith("dsvc_")}
        json_format.ParseDict(predicate, test_result_pb2.TestResult())
    assert attestation(facts) == attestation(facts)
    assert [each["predicateType"] for each in lines[:2]] == [RELEASE, VERDICT]


def test_a_statement_without_subject_digest_is_refused_by_that_library() -> None:
    line = _lines(empty_facts())[0]
    line["subject"][0]["digest"] = {}
    with pytest.raises(ValueError, match="digest"):
        _validate(line)


def test_everything_is_said_exactly_once() -> None:
    facts = full_facts()
    lines = _lines(facts)
    release = lines[0]
    files = release["subject"][1:]
    named = {(each["name"], each["digest"]["blake3"], each["digest"]["sha256"]) for each in files}
    assert len(files) == len(named) == len(facts.files)
    assert named == {(each.path.decode("utf-8", "replace"), each.blake3, each.sha256) for each in facts.files}
    assert [each["annotations"] for each in files if "annotations" in each] == [{"path_b64": "/y9vZGQuYmlu"}]
    predicate = release["predicate"]
    assert Counter(each["id"] for each in predicate["lineage"]["sources"]) == Counter(["synthetic-1", "网页"])
    assert Counter(predicate["lineage"]["runs"]) == Counter(each.id for each in facts.lineage.runs)
    invocations = [
        each["predicate"]["runDetails"]["metadata"]["invocationId"] for each in _of(lines, PROVENANCE)
    ]
    assert Counter(invocations) == Counter(each.id for each in facts.lineage.runs)
    read = next(
        each
        for each in _of(lines, PROVENANCE)
        if each["predicate"]["buildDefinition"]["externalParameters"]["name"] == "清洗"
    )
    assert [each["digest"] for each in read["predicate"]["buildDefinition"]["resolvedDependencies"]] == [
        {"blake3": HEX},
        {"dsvcFolder": HEX},
    ]
    lost = {(each["run"], each["reason"]): each["rows"] for each in predicate["drops"]["lines"]}
    assert lost == {(each.run, each.reason): each.rows for each in facts.drops.lines}
    assert predicate["drops"]["unspecified"] == 1
    assert Counter(each["id"] for each in predicate["defects"]) == Counter(each.id for each in facts.defects)
    verdict = lines[1]["predicate"]["dsvc_verdict"]
    assert Counter(each["id"] for each in verdict["waivers"]) == Counter(["waiver000001", "waiver000002"])
    assert len(verdict["violations"]) == 2
    results = [each["predicate"]["dsvc_evaluation"] for each in _of(lines, TEST_RESULT)]
    assert Counter(each["feedback"] for each in results) == Counter(predicate["evaluations"])
    assert results[0]["metrics"][0] == {
        "name": "accuracy",
        "value": 0.81,
        "n": 500,
        "higher_is_better": True,
        "support": "recomputed",
    }
    assert predicate["since"]["metrics"][0]["better"] is True
    assert predicate["factsDigest"] == {"blake3": facts_digest(facts)}
    assert predicate["files"] == {"count": 3, "bytes": facts.size, "rows": 1}


def test_only_rules_that_hold_are_verified_properties() -> None:
    lines = _lines(full_facts())
    predicate = lines[1]["predicate"]
    assert predicate["properties"] == ["DSVC_RULE_SRC-01", "DSVC_RELEASE_GATE_PASSED"]
    assert [each["digest"]["blake3"] for each in predicate["verifier"]["policies"]] == [HEX, HEX]
    failed = msgspec.structs.replace(full_facts().verdict, outcome=Outcome.INCOMPLETE)
    lines = _lines(msgspec.structs.replace(full_facts(), verdict=failed))
    assert lines[1]["predicate"]["properties"] == ["DSVC_RULE_SRC-01"]


def test_an_evaluation_that_nobody_judged_is_no_pass() -> None:
    results = [each["predicate"]["result"] for each in _of(_lines(full_facts()), TEST_RESULT)]
    assert results == ["PASSED", "WARNED"]


def test_texts_of_others_stay_values() -> None:
    for text in HOSTILE:
        lines = _lines(hostile_facts(text))
        assert lines[0]["predicate"]["title"] == text
        assert len(lines) == len(_lines(full_facts()))


def test_facts_that_cannot_be_make_no_statement() -> None:
    with pytest.raises(FactsMalformedError):
        statements(empty_facts(files=(released_file("a"), released_file("a"))))
