"""One operation on a source: what was done to its record; who did it, its commit says."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError

FORMAT: Final = 1


class SourceVerb(StrEnum):
    """What was done to a source; a closed list."""

    ADD = "add"
    UPDATE = "update"
    SET = "set"
    WITHDRAW = "withdraw"
    BLACKLIST = "blacklist"
    MERGE = "merge"
    BATCH = "batch"


class SourceOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of a source's chain.

    Attributes
    ----------
    verb : SourceVerb
    time : str
        When, RFC 3339.
    changed : tuple of str
        Fields that it set or removed, and ``evidence``, ``covers`` or ``files`` where it changed those.
    reason : str or None
        Why, where it withdrew or blacklisted.
    """

    verb: SourceVerb
    time: str
    changed: tuple[str, ...] = ()
    reason: str | None = None
    format: int = FORMAT


def encode_operation(operation: SourceOperation) -> bytes:
    """Encode an operation; one value has one encoding."""
    return encode(operation)


def decode_operation(data: bytes) -> SourceOperation:
    """Decode what `encode_operation` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    operation = decode(data, SourceOperation, "operation of a source")
    if operation.format != FORMAT:
        raise MalformedInputError(f"an operation of format {operation.format}; this dsvc reads {FORMAT}")
    return operation
