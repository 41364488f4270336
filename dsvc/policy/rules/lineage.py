"""Rules over lineage: each leaf has a source, and what is recorded holds together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from dsvc.lineage import invariants
from dsvc.lineage.validation import Finding, Judged
from dsvc.policy.case import Case
from dsvc.policy.rule import Rule, Terms


class _Invariant(Rule):
    """A rule that looks at nothing but lineage."""

    exit_code = 22

    def __init__(self, look: Callable[[Judged], Iterator[Finding]]) -> None:
        self._look = look

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        return self._look(case.judged)


class Sourced(_Invariant):
    """Each leaf of the lineage has a source record."""

    id = "SRC-01"
    settled_by = "source_officer"


class Acyclic(_Invariant):
    """Nothing comes from itself."""

    id = "LIN-01"


class Whole(_Invariant):
    """Only sources in force are reached, and every record that is reached is whole."""

    id = "LIN-02"


class Explained(_Invariant):
    """Each run says with which code, where, by whom and when."""

    id = "LIN-03"


class Graded(_Invariant):
    """What a run made is graded no lower than what it read, unless someone declassified it."""

    id = "LIN-04"
    settled_by = "compliance_officer"


class Unleaked(_Invariant):
    """No row of equal content is in two outputs of a split."""

    id = "LIN-05"


RULES: Final = (
    Sourced(invariants.sourced),
    Acyclic(invariants.acyclic),
    Whole(invariants.whole),
    Explained(invariants.explained),
    Graded(invariants.graded),
    Unleaked(invariants.unleaked),
)
