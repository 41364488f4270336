"""Whether evidence stands: it is there, its bytes are those of the record, and it holds on the day."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.lineage.evidence import is_valid
from dsvc.lineage.validation import Finding, Outcome
from dsvc.model.source_record import Evidence
from dsvc.policy.source_facts import SourceFacts


def flaw_of(facts: SourceFacts, evidence: Evidence, day: str) -> Finding | None:
    """Say what is wrong with one piece of evidence on a day; None where it stands.

    Its content is compared by the digest that the source's tree names, and is not read: whether the bytes
    still have that digest is for ``fsck``.
    """
    name = f"evidence {evidence.name} ({evidence.type})"
    if not is_valid(evidence, day):
        if evidence.valid_from is not None and evidence.valid_from[:10] > day:
            return facts.fails(
                f"{name} holds only from {evidence.valid_from[:10]} on", facts.adding(evidence.type)
            )
        assert evidence.valid_to is not None
        return facts.fails(f"{name} expired on {evidence.valid_to[:10]}", facts.adding(evidence.type))
    entry = facts.tree.evidence(evidence.name)
    if entry is None:
        return facts.lacks(f"{name} is not in the store", facts.adding(evidence.type))
    if (entry.digest, entry.size) != (evidence.digest, evidence.size):
        return facts.fails(f"{name} is not the file that the record names", facts.adding(evidence.type))
    if not facts.tree.has_bytes(entry):
        return facts.lacks(
            f"the bytes of {name} are missing from the store", "dsvc fsck names what is damaged"
        )
    return None


def lack_of(facts: SourceFacts, types: Sequence[str], day: str, why: str = "") -> Finding | None:
    """Say why no evidence of some types stands on a day; None where one does.

    One that stands is enough, whatever else there is. So taking evidence away never helps.

    Parameters
    ----------
    why : str
        What it is needed for.
    """
    flaws = []
    for evidence in facts.evidence:
        if evidence.type in types:
            flaw = flaw_of(facts, evidence, day)
            if flaw is None:
                return None
            flaws.append(flaw)
    wrong = [flaw for flaw in flaws if flaw.outcome is Outcome.FAIL]
    if flaws:
        return (wrong or flaws)[0]
    needed = f"; {why}" if why else ""
    return facts.lacks(f"evidence missing: {' or '.join(types)}{needed}", facts.adding(types[0]))
