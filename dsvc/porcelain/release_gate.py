"""The gate of `release create`: what it refuses, with every reason, and the code that comes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, NamedTuple

from dsvc.feedback.defect_state import DefectState
from dsvc.model.errors import (
    BlockingDefectError,
    DsvcError,
    LineageBrokenError,
    PolicyDeniedError,
    PolicyIncompleteError,
)
from dsvc.model.paths import display_path
from dsvc.porcelain.release_chain import ReleaseState
from dsvc.porcelain.release_evaluations import REPAIRED
from dsvc.porcelain.verdict import CheckResult
from dsvc.release.facts import DefectStanding, KnownDefect

ANNOUNCED: Final = "REL-01"
"""The rule over the time in which people can object."""


class ReleaseBrokenError(LineageBrokenError):
    """A release is refused: it isn't known where all of it comes from."""

    code: ClassVar[str] = "release-broken"


class ReleaseDeniedError(PolicyDeniedError):
    """A release is refused by the policy in force."""

    code: ClassVar[str] = "release-denied"


class ReleaseIncompleteError(PolicyIncompleteError):
    """A release is refused: a rule that blocks can't be answered."""

    code: ClassVar[str] = "release-incomplete"


class ReleaseBlockedError(BlockingDefectError):
    """A release is refused: a blocking defect is open."""

    code: ClassVar[str] = "release-blocked"


_REFUSALS: Final[dict[int, type[DsvcError]]] = {
    each.exit_code: each
    for each in (ReleaseBrokenError, ReleaseDeniedError, ReleaseIncompleteError, ReleaseBlockedError)
}
_ORDER: Final = (22, 20, 21, 23)


class Reason(NamedTuple):
    """Why a release is refused.

    Attributes
    ----------
    exit_code : int
        Of this reason alone.
    rule : str
    subject : bytes
    message : str
    hint : str or None
    """

    exit_code: int
    rule: str
    subject: bytes
    message: str
    hint: str | None = None

    @property
    def line(self) -> str:
        """In one line."""
        return f"{self.rule} {self.message}" + (f"; {self.hint}" if self.hint else "")


def reasons_against(
    verdict: CheckResult,
    defects: Iterable[KnownDefect],
    blocking: Iterable[DefectState],
    announced: ReleaseState | None,
    day: str,
) -> list[Reason]:
    """List everything that speaks against a release.

    Parameters
    ----------
    defects : iterable of KnownDefect
        How the defects of the version stand.
    blocking : iterable of DefectState
        Those that block unless a waiver lets them stand; they do whether a rule asks for them or not.
    announced : ReleaseState or None
        Its announcement.
    day : str
        Today, ``YYYY-MM-DD``.
    """
    found = [
        Reason(each.exit_code, each.rule, each.subject, each.sentence, each.hint)
        for each in verdict.violations
        if each.blocks
    ]
    said = " ".join(each.message for each in found if each.rule == REPAIRED)
    waived = {each.id for each in defects if each.standing is DefectStanding.WAIVED}
    for state in blocking:
        if state.id not in waived and state.id not in said:
            message = f"defect {state.id} blocks, and is {state.status}: {state.symptom}"
            found.append(Reason(23, REPAIRED, state.path, message, f"dsvc defect show {state.id}"))
    until = None if announced is None else announced.until
    if until is not None and day <= until and any(rule.id == ANNOUNCED for rule in verdict.rules):
        message = f"people can object until {until}"
        found.append(Reason(20, ANNOUNCED, b"", message, "wait until that day is over"))
    return found


def refuse(name: str, verdict: CheckResult, reasons: Sequence[Reason]) -> None:
    """Refuse a release where anything speaks against it.

    Raises
    ------
    ReleaseBrokenError, ReleaseDeniedError, ReleaseIncompleteError, ReleaseBlockedError
        The first of these that is among the reasons; the message lists every one.
    """
    if not reasons:
        return
    codes = {each.exit_code for each in reasons}
    first = next(code for code in _ORDER if code in codes)
    uncounted = [
        f"waiver {use.id} of {use.rule or 'an unknown rule'} doesn't count: {use.why}"
        for use in verdict.waivers
        if use.standing.value != "counts"
    ]
    raise _REFUSALS[first](
        "\n  ".join([f"release {name} is refused:", *(each.line for each in reasons), *uncounted]),
        hint="dsvc check --stage release says more; nothing was written",
        details={
            "release": name,
            "policy": list(verdict.policy),
            "outcome": verdict.outcome.value,
            "violations": [
                {
                    "rule": each.rule,
                    "subject": display_path(each.subject),
                    "message": each.message,
                    "hint": each.hint,
                    "exit_code": each.exit_code,
                }
                for each in reasons
            ],
        },
    )
