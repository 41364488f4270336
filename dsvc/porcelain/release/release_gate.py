"""The gate of `release create`: what it refuses, with every reason, and the code that comes first."""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

from dsvc.model.errors import (
    BlockingDefectError,
    DsvcError,
    LineageBrokenError,
    PolicyDeniedError,
    PolicyIncompleteError,
)
from dsvc.model.paths import display_path
from dsvc.porcelain.policy.verdict import CheckResult


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


def reasons_against(verdict: CheckResult) -> list[Reason]:
    """List everything that speaks against a release."""
    return [
        Reason(each.exit_code, each.rule, each.subject, each.sentence, each.hint)
        for each in verdict.violations
        if each.blocks
    ]


def refuse(name: str, verdict: CheckResult) -> None:
    """Refuse a release where anything speaks against it.

    Raises
    ------
    ReleaseBrokenError, ReleaseDeniedError, ReleaseIncompleteError, ReleaseBlockedError
        The first of these that is among the reasons; the message lists every one.
    """
    reasons = reasons_against(verdict)
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
