"""Rules over the record itself: every move of a ref is logged, signatures are right, waivers count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsvc.lineage.validation import Finding, Outcome
from dsvc.policy.case import Case
from dsvc.policy.rule import Rule, Terms

_UNTOLD: Final = ("", "untold", "unknown")


class Logged(Rule):
    """Every ref is where the log left it, and no signature is wrong."""

    id = "AUD-01"
    settled_by = "admin"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at what was found out of the log and of signatures."""
        if case.audit is None:
            said = "whether every move of a ref is logged could not be told"
            yield Finding(b"", said, "dsvc fsck", Outcome.INCOMPLETE)
            return
        for ref in case.audit.unlogged:
            yield Finding(b"", f"{ref} is not where the log left it", "dsvc op log shows the log; dsvc fsck")
        for commit in case.audit.bad_signatures:
            yield Finding(b"", f"the signature of {commit} is wrong", "dsvc log --show-signature")


class Waived(Rule):
    """Every waiver counts: signed for this content by an officer who is not the author, not expired."""

    id = "AUD-02"
    settled_by = "compliance_officer"

    def find(self, case: Case, terms: Terms) -> Iterator[Finding]:
        """Look at how each waiver stands."""
        for each in case.waivers:
            what = f"waiver {each.id} of {each.rule}"
            if each.standing in _UNTOLD:
                said = f"whether {what} counts can't be told"
                yield Finding(each.subject, said, "dsvc waive --list", Outcome.INCOMPLETE)
            elif each.standing != "counts":
                yield Finding(each.subject, f"{what} does not count: {each.standing}", "dsvc waive --list")


RULES: Final = (Logged(), Waived())
