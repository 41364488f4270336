"""The verdict that let a commit in, as the commit's trailer ``Dsvc-Verdict`` says it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dsvc.history.trailers import Trailer

VERDICT: Final = "Dsvc-Verdict"
_VALUE: Final = re.compile("(PASS|FAIL|INCOMPLETE) blake3:([0-9a-f]{64})")


def verdict_trailer(outcome: str, digest: str) -> Trailer:
    """Write the trailer: the outcome, and the digest of the whole verdict in hex."""
    return VERDICT, f"{outcome} blake3:{digest}"


def recorded_verdict(trailers: Iterable[Trailer]) -> tuple[str, str] | None:
    """Outcome and digest of the verdict that a commit says it was let in by; None where it says nothing.

    It is what was said then, to be looked up: a gate judges anew and never asks for it.
    """
    found = [_VALUE.fullmatch(value) for key, value in trailers if key == VERDICT]
    return None if len(found) != 1 or found[0] is None else (found[0][1], found[0][2])
