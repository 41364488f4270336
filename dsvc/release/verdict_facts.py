"""What a release says of the verdict of the gate: packs, rules, findings, waivers, changes of policy."""

from __future__ import annotations

import msgspec

from dsvc.lineage.validation import Outcome, Severity


class PackUsed(msgspec.Struct, frozen=True):
    """A policy pack: name with version, and BLAKE3-256 of its content in hex."""

    name: str
    digest: str


class RuleAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that was asked."""

    id: str
    severity: Severity
    clause: str = ""
    verified: bool = False
    pack: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate found; fields as in `dsvc.lineage.validation.Violation`."""

    rule: str
    severity: Severity
    subject: bytes
    message: str
    outcome: Outcome
    clause: str = ""
    waiver: str | None = None


class WaiverShown(msgspec.Struct, frozen=True, kw_only=True):
    """A waiver, also one that does not count: `why` says which.

    Attributes
    ----------
    id : str
    counts : bool
    why : str
        Who signed it, or why it doesn't count.
    rule : str or None
        None, as all below, where it can't be read.
    subject : bytes
    reason, until, by, key : str or None
    """

    id: str
    counts: bool
    why: str
    rule: str | None = None
    subject: bytes = b""
    reason: str | None = None
    until: str | None = None
    by: str | None = None
    key: str | None = None


class PolicyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """What the release changes of the policy of the branch that it comes from."""

    what: str
    before: str
    after: str
    weaker: bool


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the release stage of the gate said.

    Attributes
    ----------
    outcome : Outcome
    judged_at : str
        When, RFC 3339 with Z.
    as_of : str
        The day that rules were asked for, ``YYYY-MM-DD``.
    digest : str
        Of the verdict as the gate gives it, in hex.
    packs, rules, violations, waivers, policy_changes : tuple
    """

    outcome: Outcome
    judged_at: str
    as_of: str = ""
    digest: str = ""
    packs: tuple[PackUsed, ...] = ()
    rules: tuple[RuleAsked, ...] = ()
    violations: tuple[Found, ...] = ()
    waivers: tuple[WaiverShown, ...] = ()
    policy_changes: tuple[PolicyChanged, ...] = ()
