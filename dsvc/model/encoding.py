"""Canonical bytes: domain-separated hashing and bounded decoding."""

from __future__ import annotations

from typing import Final, TypeVar

import blake3 as _blake3
import msgspec

from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import Digest

DOMAINS: Final = {
    "node": "dsvc v1 manifest node",
    "list": "dsvc v1 chunk list node",
    "record": "dsvc v1 record",
    "footer": "dsvc v1 pack footer",
}
"""Derive-key contexts of BLAKE3 for the structured objects; chunks use plain BLAKE3."""

MAX_OBJECT_BYTES: Final = 64 * 1024 * 1024
"""No structured object is larger; checked before anything is allocated."""

T = TypeVar("T")
D = TypeVar("D", bound=Digest)


def hash_object(domain: str, data: bytes | memoryview, kind: type[D]) -> D:
    """Hash `data` in the domain named by a key of `DOMAINS`."""
    return kind(_blake3.blake3(data, derive_key_context=DOMAINS[domain]).digest())


def encode(value: object) -> bytes:
    """Encode to msgpack; one value has one encoding (smallest integers, no maps with mixed order).

    Raises
    ------
    MalformedInputError
        If a text in it can't be written as UTF-8: an argument, or a name in a file.
    """
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError as error:
        shown = error.object[max(0, error.start - 20) : error.end + 20]
        raise MalformedInputError(f"{shown!a} is no text: it can't be written as UTF-8") from error


def decode(data: bytes | memoryview, kind: type[T], what: str, *, limit: int | None = MAX_OBJECT_BYTES) -> T:
    """Decode msgpack into `kind`, strictly.

    Raises
    ------
    MalformedInputError
        If the bytes are too long, truncated, or of another shape.
    """
    if limit is not None and len(data) > limit:
        raise MalformedInputError(f"{what} has {len(data)} bytes; at most {limit} are read")
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedInputError(f"{what} is malformed: {error}") from error
