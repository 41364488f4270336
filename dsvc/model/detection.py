"""What a detector said of some bytes: a value that is kept, and that verdicts rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError

FORMAT: Final = 1
MAX_HITS: Final = 20
"""How many hits are kept one by one; all are counted."""


class DetectionStatus(StrEnum):
    """What came of looking; a closed list. What could not be looked at is never clean."""

    CLEAN = "clean"
    HITS = "hits"
    UNKNOWN = "unknown"


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found.

    Attributes
    ----------
    kind : str
        What it is, for instance ``cn_id_card``; the detector's own closed list.
    shown : str
        The value, masked: enough to find it again in the file, never the value itself.
    record : int or None
        Number of the record in its table, from 0, where that is known.
    line : int or None
        Line of the text, from 1, where there are lines.
    column : str or None
        Column of the table, where that is known.
    """

    kind: str
    shown: str
    record: int | None = None
    line: int | None = None
    column: str | None = None


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """What one detector said of one input.

    Attributes
    ----------
    detector, version : str
        Who looked; the version names the libraries that it stands on, too.
    config : str
        Hex digest of its configuration.
    input : bytes
        Key of what was looked at, from `dsvc.policy.detectors.detector.input_key`.
    status : DetectionStatus
    scanned_bytes, scanned_records : int
        How much was looked at: bytes of the file, records where it was read as a table, else 0.
    counts : mapping of str to int
        How many hits there are of each kind, those of 0 left out.
    hits : tuple of Hit
        The first `MAX_HITS`, in the order of the file.
    measures : mapping of str to float
        Further numbers of this detector.
    reason : str or None
        Why it is unknown; or what was not looked at, and why that is no harm.
    """

    detector: str
    version: str
    config: str
    input: bytes
    status: DetectionStatus
    scanned_bytes: int = 0
    scanned_records: int = 0
    counts: Mapping[str, int] = {}
    hits: tuple[Hit, ...] = ()
    measures: Mapping[str, float] = {}
    reason: str | None = None
    format: int = FORMAT


def encode_detection(detection: Detection) -> bytes:
    """Encode a detection; one value has one encoding."""
    return encode(
        msgspec.structs.replace(
            detection,
            counts=dict(sorted(detection.counts.items())),
            measures=dict(sorted(detection.measures.items())),
        )
    )


def decode_detection(data: bytes) -> Detection:
    """Decode what `encode_detection` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, contradicts itself, or is newer than this dsvc.
    """
    detection = decode(data, Detection, "a detection")
    if detection.format != FORMAT:
        raise MalformedInputError(f"a detection of format {detection.format}; this dsvc reads {FORMAT}")
    problem = _problem(detection)
    if problem is None and encode_detection(detection) != data:
        problem = "it is written in another way than dsvc does"
    if problem is not None:
        raise MalformedInputError(f"a detection is malformed: {problem}")
    return detection


def _problem(detection: Detection) -> str | None:
    """Say what no detector gives: what reads as clean while hits are counted, above all."""
    if (detection.status is DetectionStatus.CLEAN) and (detection.counts or detection.hits):
        return "it is clean and has hits"
    if detection.status is DetectionStatus.HITS and not detection.counts:
        return "it has hits and counts none"
    if detection.status is DetectionStatus.UNKNOWN and not detection.reason:
        return "it is unknown for no reason"
    if any(count <= 0 for count in detection.counts.values()):
        return "a count is not above 0"
    if min(detection.scanned_bytes, detection.scanned_records) < 0:
        return "less than nothing was looked at"
    if len(detection.hits) > MAX_HITS or not {hit.kind for hit in detection.hits} <= set(detection.counts):
        return "its hits are not among those counted"
    if not all(math.isfinite(value) for value in detection.measures.values()):
        return "a measure is no number"
    return None
