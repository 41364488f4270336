"""Requests of people: to be left out, to take consent back, to be deleted; and what became of them.

A person is named by keyed hashes only (`dsvc.table.reading.subject_rows`), so that neither a request nor its
certificate says who it was.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.paths import check_structure

FORMAT: Final = 1
REGISTER_ID: Final = "register"
"""Id of the entry that says when the register of refusals was last brought up to date."""
_ID: Final = re.compile(r"[^\W_][\w.+-]*")
_MAX_ID_BYTES: Final = 200


class RequestKind(StrEnum):
    """What is asked for; a closed list."""

    REFUSAL = "refusal"
    WITHDRAWAL = "withdrawal"
    DELETION = "deletion"
    REGISTER = "register"


class RequestState(StrEnum):
    """How far a request has come; `ERASED` and `REFUSED` are ends."""

    OPEN = "open"
    FOUND = "found"
    ERASING = "erasing"
    ERASED = "erased"
    REFUSED = "refused"
    SEALED = "sealed"

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do."""
        return self in (RequestState.ERASED, RequestState.REFUSED)


class Reach(StrEnum):
    """How a subject is in an artifact: named, derived, one of several, or in rows that nobody knows."""

    DIRECT = "direct"
    DERIVED = "derived"
    MIXED = "mixed"
    UNKNOWN = "unknown"

    @property
    def is_personal(self) -> bool:
        """Whether the rows are of nobody else."""
        return self in (Reach.DIRECT, Reach.DERIVED)


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """Who or what a request is about.

    Attributes
    ----------
    subjects : tuple of bytes
        Keyed hashes of values in columns that play the part of ``subject``.
    domains, urls, authors : tuple of str
        What a refusal names.
    digests : tuple of bytes
        BLAKE3-256 of whole files.
    """

    subjects: tuple[bytes, ...] = ()
    domains: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    digests: tuple[bytes, ...] = ()

    @property
    def names_data(self) -> bool:
        """Whether it names rows or files that could be erased."""
        return bool(self.subjects or self.digests)


class FoundArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a file in which a subject is.

    Attributes
    ----------
    path : bytes
    digest : bytes
    rows : int or None
        How many of its rows; None: all of it.
    reach : Reach
    """

    path: bytes
    digest: bytes
    rows: int | None
    reach: Reach


class Unsearched(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a file that should have been searched and could not be."""

    path: bytes
    digest: bytes
    reason: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """That something was erased, and how that was proven.

    Attributes
    ----------
    time : str
        When, RFC 3339.
    approver : str
        Who had it done.
    reason : str
        Why.
    method : str
        How.
    chunks, bytes : int
        Chunks that were erased, and their length.
    packs : int
        Packs that were rewritten and deleted.
    objects_read : int
        Stored objects whose bytes were read and compared with the erased ones afterwards; none was one.
    tables_read : int
        Versions of tables that were searched for the subject afterwards; none had it.
    kept_shared : str or None
        Why chunks that other files need were kept, where they were.
    shared : int
        How many these were.
    limits : tuple of str
        What was not reached, by name: ``copies``, ``disk`` and so on; `dsvc.cli.requests.request_text`
        says them.
    """

    time: str
    approver: str
    reason: str
    method: str
    chunks: int
    bytes: int
    packs: int
    objects_read: int
    tables_read: int
    kept_shared: str | None = None
    shared: int = 0
    limits: tuple[str, ...] = ()


METHOD: Final = "rows removed from files in use; packs rewritten without the chunks, old packs deleted"


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a request: what its chain of operations adds up to.

    Attributes
    ----------
    request_id : str
    kind : RequestKind
    received_at, due : str
        Dates, ``YYYY-MM-DD``.
    ground : str
        By which right, as in ``GDPR 17``.
    selector : Selector
    state : RequestState
    reason : str or None
        Why it was refused, sealed or carried out.
    searched_at : str or None
        When it was searched last, RFC 3339.
    found : tuple of FoundArtifact
        Where it was found then, over all history.
    unsearched : tuple of Unsearched
        What could not be searched then.
    certificate : Certificate or None
    """

    request_id: str
    kind: RequestKind
    received_at: str
    due: str
    ground: str = ""
    selector: Selector = Selector()
    state: RequestState = RequestState.OPEN
    reason: str | None = None
    searched_at: str | None = None
    found: tuple[FoundArtifact, ...] = ()
    unsearched: tuple[Unsearched, ...] = ()
    certificate: Certificate | None = None
    format: int = FORMAT


class RequestVerb(StrEnum):
    """What was done to a request; a closed list."""

    ADD = "add"
    FIND = "find"
    REFUSE = "refuse"
    SEAL = "seal"
    ERASE = "erase"
    CERTIFY = "certify"
    CONFIRM = "confirm"


class RequestOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of a request's chain; who did it, its commit says."""

    verb: RequestVerb
    time: str
    reason: str | None = None
    format: int = FORMAT


class RightsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as rules see it: its record, and how the judged version and the store stand to it.

    Attributes
    ----------
    record : RequestRecord
    matched : tuple of bytes
        Paths of judged files that name the subject now.
    unmatched : tuple of bytes
        Paths of judged files that should be searched and can't be.
    readable : int or None
        How many of the chunks that it erased can be read, from packs or trash; None: that could not be told.
    problem : str or None
        Why something could not be told.
    """

    record: RequestRecord
    matched: tuple[bytes, ...] = ()
    unmatched: tuple[bytes, ...] = ()
    readable: int | None = 0
    problem: str | None = None


def check_request_id(text: str) -> str:
    """Refuse what is no id of a request.

    Raises
    ------
    UsageError
        If it isn't letters of any script, digits, ``.``, ``_``, ``+`` or ``-``, beginning with one of the
        first two.
    """
    wrong = not _ID.fullmatch(text) or len(text.encode()) > _MAX_ID_BYTES
    if wrong or text.endswith((".", ".lock")) or ".." in text:
        raise UsageError(
            f"{text[:120]!r} is no id of a request",
            hint="letters, digits, '.', '_', '+' and '-', as in 2026-017; nothing that names a person",
        )
    return text


def encode_request(record: RequestRecord) -> bytes:
    """Encode a record; one state has one encoding."""
    chosen = record.selector
    fields = {name: tuple(sorted(set(getattr(chosen, name)))) for name in Selector.__struct_fields__}
    return encode(msgspec.structs.replace(record, selector=Selector(**fields)))


def decode_request(data: bytes) -> RequestRecord:
    """Decode what `encode_request` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    record = decode(data, RequestRecord, "record of a request")
    if record.format != FORMAT:
        raise MalformedInputError(f"a request of format {record.format}; this dsvc reads {FORMAT}")
    named = [(each.path, each.digest) for each in record.found]
    named += [(each.path, each.digest) for each in record.unsearched]
    for path, digest in named:
        check_structure(path)
        if len(digest) != 32:
            raise MalformedInputError("record of a request: a digest of another length")
    if any(len(hash_) != 32 for hash_ in (*record.selector.subjects, *record.selector.digests)):
        raise MalformedInputError("record of a request: a hash of another length")
    return record


def encode_request_operation(operation: RequestOperation) -> bytes:
    """Encode an operation; one value has one encoding."""
    return encode(operation)


def decode_request_operation(data: bytes) -> RequestOperation:
    """Decode what `encode_request_operation` made; raises as `decode_request`."""
    operation = decode(data, RequestOperation, "operation of a request")
    if operation.format != FORMAT:
        raise MalformedInputError(f"an operation of format {operation.format}; this dsvc reads {FORMAT}")
    return operation
