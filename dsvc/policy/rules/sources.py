"""Rules over the records of sources: evidence, opt-outs, assessments, rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsvc.lineage.validation import Finding, source_subject
from dsvc.policy.case import Case
from dsvc.policy.rule import Rule, Terms


class InForce(Rule):
    """No source is blacklisted or withdrawn."""

    id = "SRC-03"
    settled_by = "source_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look for what breaks it."""
        for source in case.sources:
            if not source.in_force:
                why = f": {source.reason}" if source.reason else ""
                yield Finding(
                    source_subject(source.id),
                    f"source {source.id} is not in force, it is {source.status}{why}",
                    f"dsvc source show {source.id} says since when",
                )


RULES: Final = (InForce(),)
