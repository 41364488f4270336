"""The record of a source: where bytes came from, by which right, with which evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.paths import check_structure

FORMAT: Final = 1
MAX_ID_CHARACTERS: Final = 100
MAX_ID_BYTES: Final = 240
"""A ref of that name must fit into a file name."""
_ID = re.compile(r"[^\W_][\w.+-]*")


class Acquisition(StrEnum):
    """How data was acquired; a closed list."""

    OPEN_DATASET = "open_dataset"
    CRAWL = "crawl"
    API = "api"
    SENSOR = "sensor"
    BULK = "bulk"
    PURCHASE = "purchase"
    USER_INPUT = "user_input"
    SELF_GENERATED = "self_generated"
    SYNTHETIC = "synthetic"
    ANNOTATION_OUTPUT = "annotation_output"


class LegalBasis(StrEnum):
    """By which right it may be used; a closed list."""

    LICENCE = "licence"
    CONTRACT = "contract"
    CONSENT = "consent"
    AUTHORISATION = "authorisation"
    STATUTORY = "statutory"
    PUBLIC_PI_REASONABLE = "public_pi_reasonable"
    TDM_EXCEPTION = "tdm_exception"
    UNDETERMINED = "undetermined"


class Status(StrEnum):
    """What may be done with it now; the later one wins where two meet."""

    ACTIVE = "active"
    BLACKLISTED = "blacklisted"
    WITHDRAWN = "withdrawn"


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """A path that a source covers: a file, or what lies below a folder (``b""``: everything).

    Attributes
    ----------
    path : bytes
    where : str or None
        Which rows, in the grammar of `dsvc.table.query.predicate`; None: all.
    """

    path: bytes
    where: str | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A file that proves something of a source; it is stored as ``evidence/NAME`` of the source's tree.

    Attributes
    ----------
    type : str
        What it is, one of `dsvc.lineage.evidence.TYPES`.
    name : str
        Its name, unique within the source.
    digest : bytes
        BLAKE3-256 of its bytes.
    size : int
    valid_from, valid_to : str or None
        Dates between which it holds.
    facts : mapping of str to str
        What was read from it: a robots verdict, a reservation.
    path : bytes or None
        Where it stood in the working tree, where it came from there: that file is no data.
    """

    type: str
    name: str
    digest: bytes
    size: int
    valid_from: str | None = None
    valid_to: str | None = None
    facts: Mapping[str, str] = {}
    path: bytes | None = None


Value = str | bool | int | float | list[str] | Mapping[str, str]
"""What a field of the record can hold."""


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a source: what its chain of operations adds up to.

    Attributes
    ----------
    source_id : str
    title : str
    acquisition : Acquisition
    legal_basis : LegalBasis
    license_expression : str
        SPDX, or ``undetermined``.
    status : Status
    reason : str or None
        Why it is withdrawn or blacklisted.
    covers : tuple of Coverage
        What it speaks of.
    ongoing : bool
        Whether it covers files that come later, too.
    evidence : tuple of Evidence
        By name.
    fields : mapping of str to Value
        Every other field of the record by its name (`dsvc.lineage.source_fields`).
    undetermined : tuple of str
        Fields for which two values met in a merge, until one is set.
    attested_at : str
        When the files were attested last, RFC 3339.
    discovered : mapping of str to str
        What dsvc found out about the files when `add` or `update` attested them: formats, encodings, rows.
    """

    source_id: str
    title: str
    acquisition: Acquisition
    legal_basis: LegalBasis
    license_expression: str
    format: int = FORMAT
    status: Status = Status.ACTIVE
    reason: str | None = None
    covers: tuple[Coverage, ...] = ()
    ongoing: bool = False
    evidence: tuple[Evidence, ...] = ()
    fields: Mapping[str, Value] = {}
    undetermined: tuple[str, ...] = ()
    attested_at: str = ""
    discovered: Mapping[str, str] = {}

    @property
    def in_force(self) -> bool:
        """Whether it may be used."""
        return self.status is Status.ACTIVE


def check_source_id(text: str) -> str:
    """Refuse what is no id of a source.

    Raises
    ------
    UsageError
        If it isn't letters of any script, digits, ``.``, ``_``, ``+`` or ``-``, beginning with one of the
        first two.
    """
    if (
        not _ID.fullmatch(text)
        or len(text) > MAX_ID_CHARACTERS
        or len(text.encode()) > MAX_ID_BYTES
        or text.endswith((".", ".lock"))
        or ".." in text
    ):
        raise UsageError(
            f"{text[:120]!r} is no id of a source",
            hint="letters, digits, '.', '_', '+' and '-', as in web-2024; at most 100",
        )
    return text


def encode_source(record: SourceRecord) -> bytes:
    """Encode a record; one state has one encoding."""
    evidence = tuple(
        msgspec.structs.replace(each, facts=dict(sorted(each.facts.items())))
        for each in sorted(record.evidence, key=lambda each: each.name)
    )
    return encode(
        msgspec.structs.replace(
            record,
            evidence=evidence,
            fields=dict(sorted(record.fields.items())),
            discovered=dict(sorted(record.discovered.items())),
        )
    )


def decode_source(data: bytes) -> SourceRecord:
    """Decode what `encode_source` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    record = decode(data, SourceRecord, "record of a source")
    if record.format != FORMAT:
        raise MalformedInputError(f"a source of format {record.format}; this dsvc reads {FORMAT}")
    for each in record.covers:
        if each.path:
            check_structure(each.path)
    return record
