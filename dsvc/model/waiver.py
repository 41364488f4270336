"""A waiver: what somebody signs who lets a violation of a rule stand, for one content, until a day.

Its bytes are what is signed, one line of JSON, so that ``ssh-keygen -Y verify`` can check a waiver too.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import date
from typing import Final

import msgspec
from blake3 import blake3

from dsvc.model.errors import MalformedInputError, UnsupportedFormatError

FORMAT: Final = 1
NAMESPACE: Final = "dsvc-waiver@dsvc"
"""What a signature of a waiver is for; one of a commit, or of anything else, is none."""
MAX_BYTES: Final = 64 * 1024
MAX_REASON: Final = 4096
ID_DIGITS: Final = 12

_RULE = re.compile(r"[A-Z][A-Z0-9]{0,15}(?:-[A-Z0-9]{1,15}){0,3}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class WaiverMalformedError(MalformedInputError):
    """Not a waiver."""

    code = "malformed-waiver"


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that a violation may stand.

    Attributes
    ----------
    rule : str
        Id of the rule.
    subject : bytes
        What the violation is about, as in `dsvc.lineage.validation.Finding`.
    digest : str
        Content of the subject, in hex: a waiver holds for that only.
    reason : str
    until : str
        Last day on which it holds, ``YYYY-MM-DD``.
    made_at : str
        When it was made, RFC 3339, UTC.
    by : str
        Who made it, ``Name <email>``, by their own word; what counts is the key.
    key : str
        Fingerprint of the key that signs it.
    """

    rule: str
    subject: bytes
    digest: str
    reason: str
    until: str
    made_at: str
    by: str
    key: str

    def __post_init__(self) -> None:
        """Check every field.

        Raises
        ------
        WaiverMalformedError
            If one has another form.
        """
        if not is_rule_id(self.rule):
            raise WaiverMalformedError(f"a waiver of rule {self.rule[:40]!r}")
        if b"\0" in self.subject or len(self.subject) > 8192:
            raise WaiverMalformedError("the waiver's subject is too long or has a NUL")
        if not _DIGEST.fullmatch(self.digest):
            raise WaiverMalformedError(f"the waiver's digest {self.digest[:80]!r} is none")
        for name, text in (("reason", self.reason), ("by", self.by)):
            if len(text) > MAX_REASON or _CONTROL.search(text):
                raise WaiverMalformedError(f"the waiver's {name} is too long or has control characters")
        if not self.reason.strip():
            raise WaiverMalformedError("a waiver needs a reason")
        if not is_day(self.until):
            raise WaiverMalformedError(f"the waiver ends on {self.until[:40]!r}, which is no day")
        if not _FINGERPRINT.fullmatch(self.key):
            raise WaiverMalformedError(f"the waiver is signed by {self.key[:80]!r}, which is no key")
        found = _MOMENT.fullmatch(self.made_at)
        if not found or not is_day(found[1]):
            raise WaiverMalformedError(f"the waiver was made at {self.made_at[:40]!r}, which is no time")


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    by: str
    digest: str
    format: int
    key: str
    made_at: str
    reason: str
    rule: str
    subject: str | None
    subject_b64: str | None
    until: str


class _Format(msgspec.Struct, frozen=True):
    format: int


def is_rule_id(text: str) -> bool:
    """Whether text has the form of a rule's id."""
    return _RULE.fullmatch(text) is not None


def is_day(text: str) -> bool:
    """Whether text is a day of the calendar, ``YYYY-MM-DD``."""
    if not _DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def encode_waiver(waiver: Waiver) -> bytes:
    """Encode as canonical JSON: keys sorted, one value one text, a newline at the end.

    Raises
    ------
    WaiverMalformedError
        If a text can't be written.
    """
    try:
        subject: str | None = waiver.subject.decode("utf-8")
    except UnicodeDecodeError:
        subject = None
    stored = _Stored(
        by=waiver.by,
        digest=waiver.digest,
        format=FORMAT,
        key=waiver.key,
        made_at=waiver.made_at,
        reason=waiver.reason,
        rule=waiver.rule,
        subject=subject,
        subject_b64=None if subject is not None else base64.b64encode(waiver.subject).decode(),
        until=waiver.until,
    )
    return _encoded(stored)


def decode_waiver(data: bytes) -> Waiver:
    """Decode what `encode_waiver` made.

    Raises
    ------
    UnsupportedFormatError
        If a newer dsvc wrote it.
    WaiverMalformedError
        If it is anything else, or the same said with other bytes.
    """
    if len(data) > MAX_BYTES:
        raise WaiverMalformedError(f"a waiver of {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        if msgspec.json.decode(data, type=_Format).format > FORMAT:
            raise UnsupportedFormatError("a newer dsvc wrote this waiver", hint="install a newer dsvc")
        stored = msgspec.json.decode(data, type=_Stored)
        subject = _subject(stored)
    except (msgspec.DecodeError, UnicodeError, binascii.Error, RecursionError) as error:
        raise WaiverMalformedError(f"the waiver is malformed: {error}") from error
    waiver = Waiver(
        rule=stored.rule,
        subject=subject,
        digest=stored.digest,
        reason=stored.reason,
        until=stored.until,
        made_at=stored.made_at,
        by=stored.by,
        key=stored.key,
    )
    if encode_waiver(waiver) != data:
        raise WaiverMalformedError("the waiver's bytes are not those that dsvc writes")
    return waiver


def _subject(stored: _Stored) -> bytes:
    if (stored.subject is None) == (stored.subject_b64 is None):
        raise WaiverMalformedError("the waiver names no subject, or two")
    if stored.subject is not None:
        return stored.subject.encode("utf-8")
    return base64.b64decode(stored.subject_b64 or "", validate=True)


def waiver_id(statement: bytes) -> str:
    """Id of a waiver: the beginning of the BLAKE3-256 of its statement."""
    return blake3(statement).hexdigest()[:ID_DIGITS]


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ends a waiver before its day; it needs no signature, since it lets nothing pass.

    Attributes
    ----------
    by : str
    made_at : str
        When, RFC 3339, UTC.
    reason : str
    """

    by: str
    made_at: str
    reason: str


def encode_revocation(revocation: Revocation) -> bytes:
    """Encode as JSON with a newline at the end.

    Raises
    ------
    WaiverMalformedError
        If a text in it is no Unicode.
    """
    return _encoded(revocation)


def _encoded(stored: _Stored | Revocation) -> bytes:
    try:
        return msgspec.json.encode(stored) + b"\n"
    except UnicodeEncodeError as error:
        raise WaiverMalformedError("the waiver has a text that is not Unicode") from error


def decode_revocation(data: bytes) -> Revocation:
    """Decode what `encode_revocation` made.

    Raises
    ------
    WaiverMalformedError
        If it is anything else.
    """
    try:
        return msgspec.json.decode(data[:MAX_BYTES], type=Revocation)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WaiverMalformedError(f"the revocation of a waiver is malformed: {error}") from error
