"""Evaluations as bytes: the record, and observations in frames, so that there may be millions of them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.model.feedback import FeedbackRecord, Observation, Unresolved, check_format
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.paths import check_structure
from dsvc.model.record_bounds import MAX_COUNT, check_numbers

if TYPE_CHECKING:
    from typing import BinaryIO

_MAX_METRICS: Final = 100_000
_MAX_NAME_BYTES: Final = 200


def encode_feedback(record: FeedbackRecord) -> bytes:
    """Encode a record; equal records have equal bytes.

    When and by whom it was imported stands in the commit, and the rows of `evaluated` in files of their own:
    so the same evaluation of the same data is the same wherever it is imported.
    """
    run = msgspec.structs.replace(record.run, extra=dict(sorted(record.run.extra.items())))
    evaluated = tuple(
        msgspec.structs.replace(each, rows=None if each.rows is None else b"") for each in record.evaluated
    )
    return encode(msgspec.structs.replace(record, run=run, evaluated=evaluated, imported_at="", by=""))


def decode_feedback(data: bytes) -> FeedbackRecord:
    """Decode what `encode_feedback` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    record = decode(data, FeedbackRecord, "record of an evaluation")
    check_format(record.format, "the record of an evaluation")
    check_numbers(record, "the record of an evaluation")
    subject = record.subject
    CommitId.parse(subject.commit)
    NodeId.parse(subject.manifest)
    artifacts = [(subject.path, subject.digest), *((each.path, each.digest) for each in record.evaluated)]
    for path, digest in artifacts:
        if path:
            check_structure(path)
        if len(digest) != 32:
            raise MalformedInputError("the record of an evaluation names a digest that is none")
    if (
        len(record.evidence_digest) != 32
        or len(record.metrics) > _MAX_METRICS
        or not 0 < len(record.evidence.encode("utf-8", "replace")) <= _MAX_NAME_BYTES
    ):
        raise MalformedInputError("the record of an evaluation is out of its limits")
    return record


# Observations: frames of a few hundred, each with its length before it

_LENGTH: Final = struct.Struct("<I")
_FRAME_ITEMS: Final = 256
_MAX_FRAME: Final = 64 << 20
T = TypeVar("T", Observation, Unresolved)


def encode_frames(items: Iterable[Observation] | Iterable[Unresolved]) -> Iterator[bytes]:
    """Encode observations, a frame at a time; long ones in frames of fewer.

    Raises
    ------
    MalformedInputError
        If one alone is longer than a frame may be.
    """
    rest: Iterator[Observation | Unresolved] = iter(items)
    while batch := list(islice(rest, _FRAME_ITEMS)):
        yield from _frames(batch)


def _frames(batch: Sequence[Observation | Unresolved]) -> Iterator[bytes]:
    data = encode(batch)
    if len(data) <= _MAX_FRAME:
        yield _LENGTH.pack(len(data)) + data
        return
    if len(batch) == 1:
        raise MalformedInputError(f"the observation at {batch[0].pointer[:80]} is too long to be kept")
    middle = len(batch) // 2
    yield from _frames(batch[:middle])
    yield from _frames(batch[middle:])


def decode_frames(stream: BinaryIO, kind: type[T]) -> Iterator[T]:
    """Decode what `encode_frames` made, as it is read.

    Raises
    ------
    MalformedInputError
        If it is anything else.
    """
    while head := stream.read(_LENGTH.size):
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        if not 0 < length <= _MAX_FRAME:
            raise MalformedInputError("a list of observations is torn")
        data = stream.read(length)
        if len(data) != length:
            raise MalformedInputError("a list of observations is torn")
        for each in decode(data, list[kind], "list of observations"):  # type: ignore[valid-type]
            if isinstance(each, Observation):
                _check_observation(each)
            yield each


def _check_observation(observation: Observation) -> None:
    rows = len(observation.positions)
    if observation.path:
        check_structure(observation.path)
    if (
        len(observation.digest) != 32
        or min(observation.positions, default=0) < 0
        or max(observation.positions, default=0) > MAX_COUNT
        or not all(map(math.isfinite, observation.scores.values()))
        or len(observation.keys) not in (0, rows)
        or len(observation.row_hashes) not in (0, rows)
        or any(len(each) != 32 for each in observation.row_hashes)
    ):
        raise MalformedInputError(f"the observation at {observation.pointer[:80]} names rows that can't be")
