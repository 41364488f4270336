"""What was done with a release: announced, created, deprecated, archived, taken offline, withdrawn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.model.feedback import check_format

FORMAT: Final = 1
_MAX_TEXT: Final = 64 * 1024
_MAX_CONSUMERS: Final = 10_000
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


class ReleaseVerb(StrEnum):
    """What was done."""

    ANNOUNCE = "announce"
    CREATE = "create"
    DEPRECATE = "deprecate"
    ARCHIVE = "archive"
    OFFLINE = "offline"
    WITHDRAW = "withdraw"


class ReleaseStatus(StrEnum):
    """How a release stands."""

    ANNOUNCED = "announced"
    RELEASED = "released"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"
    OFFLINE = "offline"
    WITHDRAWN = "withdrawn"

    @property
    def is_given_out(self) -> bool:
        """Whether it may still be handed to consumers."""
        return self in (ReleaseStatus.RELEASED, ReleaseStatus.DEPRECATED, ReleaseStatus.ARCHIVED)


_TO: Final = {
    ReleaseVerb.CREATE: ReleaseStatus.RELEASED,
    ReleaseVerb.DEPRECATE: ReleaseStatus.DEPRECATED,
    ReleaseVerb.ARCHIVE: ReleaseStatus.ARCHIVED,
    ReleaseVerb.OFFLINE: ReleaseStatus.OFFLINE,
    ReleaseVerb.WITHDRAW: ReleaseStatus.WITHDRAWN,
}
_MAY: Final[Mapping[ReleaseVerb, tuple[ReleaseStatus | None, ...]]] = {
    ReleaseVerb.ANNOUNCE: (
        None,
        ReleaseStatus.ANNOUNCED,
        ReleaseStatus.RELEASED,
        ReleaseStatus.DEPRECATED,
        ReleaseStatus.ARCHIVED,
    ),
    ReleaseVerb.CREATE: (None, ReleaseStatus.ANNOUNCED),
    ReleaseVerb.DEPRECATE: (ReleaseStatus.RELEASED,),
    ReleaseVerb.ARCHIVE: (ReleaseStatus.RELEASED, ReleaseStatus.DEPRECATED),
    ReleaseVerb.OFFLINE: (ReleaseStatus.RELEASED, ReleaseStatus.DEPRECATED, ReleaseStatus.ARCHIVED),
    ReleaseVerb.WITHDRAW: tuple(each for each in ReleaseStatus if each is not ReleaseStatus.WITHDRAWN),
}
"""After which status something can be done; None: before anything was. There is no way back."""


def status_after(status: ReleaseStatus | None, verb: ReleaseVerb) -> ReleaseStatus | None:
    """Status of a release after something was done with it; None where that can't be done.

    Parameters
    ----------
    status : ReleaseStatus or None
        Before; None: nothing was done yet.
    """
    if status not in _MAY[verb]:
        return None
    if verb is ReleaseVerb.ANNOUNCE:
        return ReleaseStatus.ANNOUNCED if status is None else status
    return _TO[verb]


class ReleaseOperation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation on a release; which fields it has depends on the verb.

    Attributes
    ----------
    verb : ReleaseVerb
    at : str
        When, RFC 3339 with Z.
    by : str
        ``Name <email>``.
    reason : str or None
        Why; of create None.
    until : str or None
        Of announce before it is created: last day on which people can object, ``YYYY-MM-DD``.
    commit : str or None
        Of create: the version, in hex.
    signer : str or None
        Of create: fingerprint of the key that signed its tag; None: nobody did.
    made_by : str or None
        Of create: version of dsvc that wrote its documents.
    consumers : tuple of str
        Of announce and create: to whom it is given, as people write it.
    listed : tuple of str
        Of the others: consumers who were listed before it was done.
    downstream : tuple of str
        Releases that come from it, which were listed before it was done.
    """

    verb: ReleaseVerb
    at: str
    by: str
    format: int = FORMAT
    reason: str | None = None
    until: str | None = None
    commit: str | None = None
    signer: str | None = None
    made_by: str | None = None
    consumers: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()


def encode_release_operation(operation: ReleaseOperation) -> bytes:
    """Encode an operation; equal operations have equal bytes."""
    return encode(operation)


def decode_release_operation(data: bytes) -> ReleaseOperation:
    """Decode what `encode_release_operation` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, newer than this dsvc, or out of its limits.
    """
    operation = decode(data, ReleaseOperation, "operation on a release")
    check_format(operation.format, "an operation on a release")
    names = (*operation.consumers, *operation.listed, *operation.downstream)
    texts = (operation.at, operation.by, operation.reason or "", *names)
    if max(map(len, texts)) > _MAX_TEXT or len(names) > 3 * _MAX_CONSUMERS:
        raise MalformedInputError("an operation on a release is out of its limits")
    if operation.until is not None and not _DAY.fullmatch(operation.until):
        raise MalformedInputError("an announcement of a release ends on no day")
    created = operation.verb is ReleaseVerb.CREATE
    if created != (operation.commit is not None) or not _COMMIT.fullmatch(operation.commit or "0" * 40):
        raise MalformedInputError("an operation on a release names no commit, or one where there is none")
    return operation
