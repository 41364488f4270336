"""Evaluations, defects, repairs and releases, as they are stored."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

from dsvc.feedback.defect_state import DefectStep, compile_state
from dsvc.model.defect import decode_defect_operation, encode_defect_operation
from dsvc.model.errors import DsvcError
from dsvc.model.feedback import Observation, Unresolved
from dsvc.model.feedback_codec import decode_feedback, decode_frames, encode_feedback, encode_frames
from dsvc.model.ids import CommitId
from dsvc.model.release import decode_release_operation, encode_release_operation
from dsvc.model.repair import decode_plan, decode_repair_operation, encode_plan, encode_repair_operation
from dsvc.model.repair_proof import decode_proof, encode_proof
from dsvc.porcelain.records.feedback_chain import _score_head
from dsvc.porcelain.repair.repair_world import decode_correspondence
from dsvc.release.facts_codec import decode_facts, encode_facts
from tests.fuzz.registry import Form, target
from tests.loop_records import (
    CORRESPONDENCE,
    DEFECT,
    FACTS,
    FRAME,
    LOST,
    PLAN,
    PROOF,
    RECORD,
    RELEASE,
    REPAIR,
    SCORES,
    VERIFIED,
)


def _twice(read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Callable[[bytes], None]:
    """A parser whose answer is the same once it was written."""

    def parse(data: bytes) -> None:
        found = read(data)
        again = write(found)
        assert write(read(again)) == again

    parse.__module__ = __name__
    return parse


_PLAIN: dict[str, tuple[list[bytes], Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "evaluation": ([RECORD], decode_feedback, encode_feedback),
    "repair-plan": ([PLAN], decode_plan, encode_plan),
    "repair-operation": ([REPAIR], decode_repair_operation, encode_repair_operation),
    "repair-proof": ([PROOF], decode_proof, encode_proof),
    "release-operation": ([RELEASE], decode_release_operation, encode_release_operation),
    "release-facts": ([FACTS], decode_facts, encode_facts),
}
for _name, (_seeds, _read, _write) in _PLAIN.items():
    target(_name, _seeds, form=Form.MSGPACK)(_twice(_read, _write))


@target("defect-operation", [DEFECT, VERIFIED], form=Form.MSGPACK)
def defect_operation(data: bytes) -> None:
    found = decode_defect_operation(data)
    assert decode_defect_operation(encode_defect_operation(found)) == found
    with contextlib.suppress(DsvcError):
        compile_state("d-00000001", [DefectStep(CommitId("2" * 40), found)])


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def _frames(data: bytes, kind: Any) -> None:
    found = list(decode_frames(io.BytesIO(data), kind))
    again = b"".join(encode_frames(found))
    # As bytes: a key may be NaN, which equals nothing.
    assert b"".join(encode_frames(decode_frames(io.BytesIO(again), kind))) == again


@target("observations", [FRAME], form=Form.MSGPACK)
def observations(data: bytes) -> None:
    _frames(_framed(data), Observation)


@target("unresolved", [LOST], form=Form.MSGPACK)
def unresolved(data: bytes) -> None:
    _frames(_framed(data), Unresolved)


@target("frames", [_framed(FRAME) + _framed(FRAME)])
def frames(data: bytes) -> None:
    _frames(data, Observation)


@target("scores", [SCORES])
def scores(data: bytes) -> None:
    head, at = _score_head(data)
    assert len(data) - at == head.samples * 24


@target("correspondence", [CORRESPONDENCE])
def correspondence(data: bytes) -> None:
    decode_correspondence(data, 4)
