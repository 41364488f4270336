"""The record of a detector's run: which files it looked at, as which version, and what it said of each."""

from __future__ import annotations

from typing import Final

import msgspec

from dsvc.model.detection import Detection, decode_detection, encode_detection
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.model.paths import check_structure

FORMAT: Final = 1
_DIGEST_BYTES: Final = 32


class DetectionRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector said of the files that a commit brought.

    Attributes
    ----------
    detector, version : str
    config : str
        Hex digest of its configuration.
    clean : tuple of (bytes, bytes)
        Paths and BLAKE3-256 of files in which it found nothing, by path.
    found : tuple of (bytes, bytes, Detection)
        The same of the others, with what it said.
    """

    detector: str
    version: str
    config: str
    clean: tuple[tuple[bytes, bytes], ...]
    found: tuple[tuple[bytes, bytes, Detection], ...]
    format: int = FORMAT


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    detector: str
    version: str
    config: str
    clean: tuple[tuple[bytes, bytes], ...]
    found: tuple[tuple[bytes, bytes, bytes], ...]
    format: int = FORMAT


def encode_detection_run(run: DetectionRun) -> bytes:
    """Encode it; one value has one encoding."""
    return encode(
        _Stored(
            detector=run.detector,
            version=run.version,
            config=run.config,
            clean=tuple(sorted(run.clean)),
            found=tuple(sorted((path, digest, encode_detection(d)) for path, digest, d in run.found)),
        )
    )


def decode_detection_run(data: bytes) -> DetectionRun:
    """Decode what `encode_detection_run` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    stored = decode(data, _Stored, "run of a detector")
    if stored.format != FORMAT:
        raise MalformedInputError(f"a run of a detector of format {stored.format}; this dsvc reads {FORMAT}")
    found = tuple((path, digest, decode_detection(each)) for path, digest, each in stored.found)
    for path, digest in (*stored.clean, *((path, digest) for path, digest, _ in found)):
        check_structure(path)
        if len(digest) != _DIGEST_BYTES:
            raise MalformedInputError("a run of a detector names a file by a digest of a wrong length")
    for _, _, each in found:
        if (each.detector, each.version, each.config) != (stored.detector, stored.version, stored.config):
            raise MalformedInputError("a run of a detector holds what another one said")
    return DetectionRun(
        detector=stored.detector,
        version=stored.version,
        config=stored.config,
        clean=stored.clean,
        found=found,
    )
