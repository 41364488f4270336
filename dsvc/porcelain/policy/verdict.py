"""The verdict of the gate: a value that says everything that it rests on."""

from __future__ import annotations

import msgspec

from dsvc.lineage.validation import Gate, Outcome, Severity, Violation
from dsvc.model.encoding import encode
from dsvc.policy.engine import exit_code_of
from dsvc.porcelain.policy.policy_in_force import PolicyChange
from dsvc.porcelain.policy.waivers import WaiverUse


class PackInForce(msgspec.Struct, frozen=True):
    """A pack that a verdict was made by: name with version, and BLAKE3-256 of its content in hex."""

    name: str
    digest: str


class RuleAsked(msgspec.Struct, frozen=True):
    """A rule that was asked, and under which terms of which pack."""

    id: str
    severity: Severity
    clause: str
    verified: bool
    pack: str


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of the gate: the same version, packs, waivers and day give the same one.

    Attributes
    ----------
    outcome : Outcome
    version : str
        Root of the judged manifest, in hex.
    commit : str or None
        The judged commit; None where what is staged was judged.
    stage : Gate
        Up to which gate rules were asked.
    as_of : str
        On which day, ``YYYY-MM-DD``.
    packs : tuple of PackInForce
        Policy packs in force.
    rules : tuple of RuleAsked
        What was asked, by id.
    violations : tuple of Violation
        Everything that was found, also what does not block.
    policy_changes : tuple of PolicyChange
        What the version changes of the policy of the branch that it goes to.
    waivers : tuple of WaiverUse
        Waivers for what was found, those that don't count too; and those that can't be read.
    first_roster : str or None
        Commit whose roster is trusted since none was in force before, or ``STAGED``.
    officers : tuple of str
        Compliance officers of that roster, with the fingerprints of their keys: something to be shown.
    """

    outcome: Outcome
    version: str = ""
    commit: str | None = None
    stage: Gate = Gate.PUSH
    as_of: str = ""
    packs: tuple[PackInForce, ...] = ()
    rules: tuple[RuleAsked, ...] = ()
    violations: tuple[Violation, ...] = ()
    policy_changes: tuple[PolicyChange, ...] = ()
    waivers: tuple[WaiverUse, ...] = ()
    first_roster: str | None = None
    officers: tuple[str, ...] = ()

    @property
    def policy(self) -> tuple[str, ...]:
        """Names of the packs in force."""
        return tuple(pack.name.partition("@")[0] for pack in self.packs)

    @property
    def gate_exit_code(self) -> int:
        """What a gate exits with: the first present of 22, 20, 21, 23; else 0."""
        return exit_code_of(self.violations)

    @property
    def bytes(self) -> bytes:
        """Canonical encoding of the verdict."""
        return encode(msgspec.to_builtins(self))

    @property
    def digest(self) -> str:
        """BLAKE3-256 of the verdict, in hex."""
        from blake3 import blake3

        return blake3(b"dsvc verdict 1\0" + self.bytes).hexdigest()
