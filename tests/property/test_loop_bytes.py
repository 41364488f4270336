"""Bytes of evaluations, defects, repairs and releases, forged: decoded as they can be, or refused, typed."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.feedback.defect_state import DefectStep, compile_state
from dsvc.lineage.row_set import decode_rows
from dsvc.model.defect import (
    decode_defect_operation,
)
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.feedback import (
    Observation,
    Unresolved,
)
from dsvc.model.feedback_codec import decode_feedback, decode_frames, encode_feedback, encode_frames
from dsvc.model.ids import CommitId
from dsvc.model.release import (
    decode_release_operation,
    encode_release_operation,
)
from dsvc.model.repair import (
    decode_plan,
    decode_repair_operation,
    encode_plan,
)
from dsvc.model.repair_proof import (
    decode_proof,
    encode_proof,
)
from dsvc.porcelain.records.feedback_chain import _score_head
from dsvc.porcelain.repair.repair_world import decode_correspondence
from dsvc.release.card import dataset_card
from dsvc.release.croissant import croissant
from dsvc.release.facts_codec import decode_facts, encode_facts
from dsvc.release.statement import attestation
from tests.loop_records import (
    CORRESPONDENCE,
    DEFECT,
    FACTS,
    FRAME,
    LOST,
    OPEN,
    PLAN,
    PROOF,
    RECORD,
    RELEASE,
    REPAIR,
    SCORES,
    VERIFIED,
)
from tests.record_mutations import damaged, places, records, refused, value_at, with_

HEX_40 = re.compile("[0-9a-f]{40}")
NO_NUMBERS = (float("nan"), float("inf"), -1.5, -2, -(1 << 63), (1 << 64) - 1)


def exchanged(whole: bytes) -> list[bytes]:
    """A record with each of its numbers exchanged for one that can't be."""
    plain = msgspec.msgpack.decode(whole)
    return [
        msgspec.msgpack.encode(with_(plain, at, new))
        for at in places(plain)
        for new in NO_NUMBERS
        if type(new) is type(value_at(plain, at))
    ]


FEW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def forged(whole: bytes) -> st.SearchStrategy[bytes]:
    return records(whole) | damaged(whole) | st.binary(max_size=200)


def floats(value: Any) -> list[float]:
    return [each for at in places(value) if isinstance(each := value_at(value, at), float)]


def finite(value: Any) -> bool:
    """Whether every number can be written as JSON; programs are told of all of them."""
    return all(map(math.isfinite, floats(msgspec.to_builtins(value, builtin_types=(bytes,)))))


def _read_feedback(data: bytes) -> None:
    record = decode_feedback(data)
    assert finite(record)
    assert encode_feedback(decode_feedback(encode_feedback(record))) == encode_feedback(record)


@FEW
@given(forged(RECORD))
def test_records_of_evaluations(data: bytes) -> None:
    refused(lambda: _read_feedback(data))


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def _read_frames(data: bytes, kind: Any) -> None:
    found = list(decode_frames(io.BytesIO(data), kind))
    assert all(map(finite, found))
    again = b"".join(encode_frames(found))
    assert list(decode_frames(io.BytesIO(again), kind)) == found


@FEW
@given(forged(FRAME).map(_framed) | damaged(_framed(FRAME)))
def test_observations(data: bytes) -> None:
    refused(lambda: _read_frames(data, Observation))


@settings(FEW, max_examples=60)
@given(forged(LOST).map(_framed) | damaged(_framed(LOST)))
def test_what_was_not_found(data: bytes) -> None:
    refused(lambda: _read_frames(data, Unresolved))


@pytest.mark.parametrize("length", [0, 64 << 20, (64 << 20) + 1, (1 << 32) - 1])
def test_h16_the_length_of_a_frame_allocates_nothing(length: int) -> None:
    data = length.to_bytes(4, "little") + b"\x90"
    with pytest.raises(DsvcError):
        _read_frames(data, Observation)


def _read_scores(data: bytes) -> None:
    head, at = _score_head(data)
    assert len(data) - at == head.samples * 24


@FEW
@given(
    damaged(SCORES) | st.binary(max_size=80) | records(SCORES[4:-72]).map(lambda h: _framed(h) + SCORES[-72:])
)
def test_scores(data: bytes) -> None:
    refused(lambda: _read_scores(data))


@FEW
@given(damaged(CORRESPONDENCE) | records(CORRESPONDENCE), st.sampled_from([4, 0, 5]))
def test_how_rows_stand_to_those_before(data: bytes, rows: int) -> None:
    refused(lambda: decode_correspondence(data, rows))


def _read_defect(data: bytes) -> None:
    operation = decode_defect_operation(data)
    assert finite(operation)
    head = CommitId("2" * 40)
    steps = [DefectStep(head, operation, (CommitId("1" * 40),)), DefectStep(CommitId("1" * 40), OPEN)]
    for way in (steps, [DefectStep(head, operation)]):
        for each in compile_state("d-00000001", way).rows:
            decode_rows(each.rows)


@FEW
@given(forged(DEFECT) | forged(VERIFIED))
def test_operations_on_defects(data: bytes) -> None:
    refused(lambda: _read_defect(data))


def _read_plan(data: bytes) -> None:
    plan = decode_plan(data)
    assert finite(plan)
    assert HEX_40.fullmatch(plan.base)
    for each in plan.rows:
        assert min(each.counts) >= 0
    assert encode_plan(decode_plan(encode_plan(plan))) == encode_plan(plan)


@FEW
@given(forged(PLAN))
def test_plans(data: bytes) -> None:
    refused(lambda: _read_plan(data))


@FEW
@given(forged(REPAIR))
def test_operations_on_repairs(data: bytes) -> None:
    def read() -> None:
        operation = decode_repair_operation(data)
        assert finite(operation)
        assert operation.commit is None or HEX_40.fullmatch(operation.commit)

    refused(read)


@FEW
@given(forged(PROOF))
def test_proofs(data: bytes) -> None:
    def read() -> None:
        proof = decode_proof(data)
        assert encode_proof(decode_proof(encode_proof(proof))) == encode_proof(proof)
        counts = (proof.flagged_changed, proof.selected_changed, proof.consequent_changed)
        assert min(*counts, proof.others_changed, proof.not_as_asked, proof.files_unchanged) >= 0

    refused(read)


@FEW
@given(forged(RELEASE))
def test_operations_on_releases(data: bytes) -> None:
    refused(lambda: encode_release_operation(decode_release_operation(data)))


@settings(FEW, max_examples=60)
@given(forged(FACTS))
def test_facts_of_releases(data: bytes) -> None:
    """Whatever decodes can be written as the documents, and gives the same bytes."""

    def read() -> None:
        facts = decode_facts(data)
        assert encode_facts(facts) == data
        assert attestation(facts)
        assert dataset_card(facts)
        assert croissant(facts)

    refused(read)


@pytest.mark.parametrize(
    ("whole", "read"),
    [
        (RECORD, decode_feedback),
        (FRAME, lambda data: _read_frames(_framed(data), Observation)),
        (DEFECT, decode_defect_operation),
        (VERIFIED, decode_defect_operation),
        (PLAN, decode_plan),
        (REPAIR, decode_repair_operation),
        (PROOF, decode_proof),
        (RELEASE, decode_release_operation),
    ],
    ids=["record", "observations", "open", "verify", "plan", "repair", "proof", "release"],
)
def test_h15_numbers_that_count_nothing_are_refused(whole: bytes, read: Any) -> None:
    for data in exchanged(whole):
        plain = msgspec.msgpack.decode(data)
        # Values of key columns are anybody's numbers, and metrics may be below zero.
        if whole is FRAME:
            plain[0].update(keys=[{"id": 7}], selector={"row": {"id": 7}})
            data = msgspec.msgpack.encode(plain)
            if data == whole:
                continue
        if -1.5 in floats(plain):
            continue
        with pytest.raises(MalformedInputError):
            read(data)
