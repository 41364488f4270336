"""Which waivers count: signed by an officer on the roster who isn't the author, for this content, in time."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Protocol

from dsvc.history.signature_frame import SignatureMalformedError
from dsvc.history.ssh_signature import SignatureForgedError, SignatureUnverifiableError, verify
from dsvc.model.errors import MalformedInputError, UnsupportedFormatError
from dsvc.model.ssh_key import SshKey
from dsvc.model.waiver import (
    NAMESPACE,
    Revocation,
    Waiver,
    WaiverMalformedError,
    decode_revocation,
    decode_waiver,
    waiver_id,
)
from dsvc.policy.roster import Roster, emails_in
from dsvc.policy.rule_catalogue import UnknownRuleError, find_rule


class Standing(StrEnum):
    """Whether a waiver counts, or why it doesn't."""

    COUNTS = "counts"
    UNSIGNED = "unsigned"
    NOT_ON_ROSTER = "not-on-roster"
    SELF_MADE = "self-made"
    EXPIRED = "expired"
    NOT_YET = "not-yet"
    REVOKED = "revoked"
    OTHER_SUBJECT = "other-subject"
    FORGED = "forged"
    UNKNOWN_RULE = "unknown-rule"
    MALFORMED = "malformed"
    UNTOLD = "untold"


class Judgement(NamedTuple):
    """A standing, and the reason for it in words."""

    standing: Standing
    reason: str


class StoredWaiver(NamedTuple):
    """A waiver as it was read; nothing about it need be right.

    Attributes
    ----------
    id : str
        Under which it is stored.
    waiver : Waiver or None
        None where that can't be read.
    key : SshKey or None
        The key that signed it, where the signature holds.
    problem : Judgement or None
        Why it counts nowhere, whatever is judged.
    revoked : Revocation or None
    """

    id: str
    waiver: Waiver | None = None
    key: SshKey | None = None
    problem: Judgement | None = None
    revoked: Revocation | None = None


class Touching(NamedTuple):
    """Who made the commits that touch a subject.

    Attributes
    ----------
    keys : frozenset of SshKey
        Keys that the commits say signed them; a claim is enough to be an author.
    emails : frozenset of str
        Of authors and committers, as `dsvc.policy.roster.same_email` writes them.
    problem : str or None
        Why that can't be told.
    """

    keys: frozenset[SshKey] = frozenset()
    emails: frozenset[str] = frozenset()
    problem: str | None = None


class Waivable(Protocol):
    """What a waiver is held against: `dsvc.lineage.validation.Violation`."""

    @property
    def rule(self) -> str:
        """Id of the rule."""

    @property
    def subject(self) -> bytes:
        """What it is about."""

    @property
    def digest(self) -> bytes:
        """Content of that; none where it isn't known."""


def read_waiver(
    id: str,  # noqa: A002
    statement: bytes | None,
    signature: bytes | None,
    revocation: bytes | None = None,
) -> StoredWaiver:
    """Read a stored waiver and check its signature; what is wrong with it is part of the answer.

    Parameters
    ----------
    id : str
        Under which it is stored.
    statement, signature, revocation : bytes or None
        What is stored; None where it isn't there.
    """
    try:
        if statement is None:
            raise WaiverMalformedError("the waiver has no statement")
        waiver = decode_waiver(statement)
        if waiver_id(statement) != id:
            raise WaiverMalformedError(f"the waiver says that it is {waiver_id(statement)}")
        revoked = None if revocation is None else decode_revocation(revocation)
    except (MalformedInputError, UnsupportedFormatError) as error:
        return StoredWaiver(id, problem=Judgement(Standing.MALFORMED, error.message))
    stored = StoredWaiver(id, waiver, revoked=revoked)
    if signature is None:
        return stored._replace(problem=Judgement(Standing.UNSIGNED, "it has no signature"))
    try:
        key = verify(signature, statement, NAMESPACE)
        if key.fingerprint != waiver.key:
            raise SignatureForgedError(f"it says {waiver.key} signed it, but that was {key.fingerprint}")
        return stored._replace(key=key)
    except SignatureForgedError as error:
        return stored._replace(problem=Judgement(Standing.FORGED, error.message))
    except SignatureMalformedError as error:
        return stored._replace(problem=Judgement(Standing.MALFORMED, error.message))
    except SignatureUnverifiableError as error:
        return stored._replace(problem=Judgement(Standing.UNTOLD, error.message))


def is_waivable(rule: str) -> bool:
    """Whether there is a rule of that id; what judges the policy itself is none, and is never waived."""
    try:
        find_rule(rule)
    except UnknownRuleError:
        return False
    return True


def standing(
    stored: StoredWaiver,
    violation: Waivable | None,
    roster: Roster | None,
    day: str,
    touching: Callable[[], Touching],
) -> Judgement:
    """Tell whether a waiver counts for a violation.

    Parameters
    ----------
    violation : Waivable or None
        None: whatever it was made for.
    roster : Roster or None
        The one in force.
    day : str
        On which it is asked, ``YYYY-MM-DD``.
    touching : callable
        Tells who made the commits that touch the subject; asked last.
    """
    waiver, key = stored.waiver, stored.key
    if stored.problem is not None:
        return stored.problem
    if waiver is None or key is None:
        return Judgement(Standing.MALFORMED, "it could not be read")
    found = _bounds(stored, waiver, violation, day)
    if found is not None:
        return found
    if roster is None or not roster.is_officer(key):
        return Judgement(
            Standing.NOT_ON_ROSTER,
            f"the roster in force lists {key.fingerprint} as no compliance_officer"
            if roster is not None
            else "there is no roster in force: [roles] in dsvc.toml",
        )
    return _independence(key, waiver.by, roster, touching())


def _bounds(stored: StoredWaiver, waiver: Waiver, violation: Waivable | None, day: str) -> Judgement | None:
    """Ask what needs neither roster nor history."""
    if not is_waivable(waiver.rule):
        return Judgement(Standing.UNKNOWN_RULE, f"there is no rule {waiver.rule} that can be waived")
    if stored.revoked is not None:
        return Judgement(Standing.REVOKED, f"it was revoked by {stored.revoked.by}: {stored.revoked.reason}")
    if violation is not None:
        if (waiver.rule, waiver.subject) != (violation.rule, violation.subject):
            return Judgement(Standing.OTHER_SUBJECT, "it is for another rule or subject")
        if waiver.digest != violation.digest.hex():
            return Judgement(Standing.OTHER_SUBJECT, "its subject is not as it was when it was made")
    if waiver.made_at[:10] > day:
        return Judgement(Standing.NOT_YET, f"it was made later: {waiver.made_at}")
    if waiver.until < day:
        return Judgement(Standing.EXPIRED, f"it ended after {waiver.until}")
    return None


def _independence(key: SshKey, by: str, roster: Roster, touching: Touching) -> Judgement:
    """Tell whether who signed is somebody else than who made the change."""
    if touching.problem is not None:
        return Judgement(Standing.UNTOLD, f"who made what it is for can't be told: {touching.problem}")
    if key in touching.keys:
        return Judgement(Standing.SELF_MADE, f"{key.fingerprint} signed a commit that touches its subject")
    emails = roster.emails_of(key)
    # Where the roster gives no address, what the waiver itself says of who made it is all that there is.
    emails = emails or emails_in(by)
    # One person may have several keys, and sign the change with one and the waiver with another.
    others = {other for email in emails for other in roster.keys_of(email)} & touching.keys
    if others:
        return Judgement(Standing.SELF_MADE, f"{_listed(emails)} signed a commit that touches its subject")
    both = emails & touching.emails
    if both:
        return Judgement(Standing.SELF_MADE, f"{_listed(both)} made a commit that touches its subject")
    return Judgement(Standing.COUNTS, f"signed by {roster.name_of(key)}")


def _listed(emails: frozenset[str]) -> str:
    return ", ".join(sorted(emails))
