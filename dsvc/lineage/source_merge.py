"""Two states of a source become one: operations unite, the stricter status wins, what contradicts is open.

Both sides are compared with the state that they come from. A field that only one side changed has its value;
one that both changed to different values is undetermined until somebody sets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.model.source_record import Coverage, Evidence, LegalBasis, SourceRecord, Status, Value

STRICTEST: Final = (Status.ACTIVE, Status.BLACKLISTED, Status.WITHDRAWN)
_ATTRIBUTES: Final = ("title", "acquisition", "legal_basis", "license_expression")
_OPEN: Final[Mapping[str, object]] = {
    "legal_basis": LegalBasis.UNDETERMINED,
    "license_expression": UNDETERMINED,
}

T = TypeVar("T")


class _Open:
    """The value of a field that is undetermined."""


OPEN: Final = _Open()


def merge_records(base: SourceRecord | None, ours: SourceRecord, theirs: SourceRecord) -> SourceRecord:
    """Unite two records of one source.

    Parameters
    ----------
    base : SourceRecord or None
        What both come from; None where each was added on its own.
    """
    if ours == theirs:
        return ours
    status = max(ours.status, theirs.status, key=STRICTEST.index)
    fields, undetermined = _merge_fields(base, ours, theirs)
    attributes, more = _merge_attributes(base, ours, theirs)
    covers = _merge_sets(() if base is None else base.covers, ours.covers, theirs.covers)
    return msgspec.structs.replace(
        ours,
        **attributes,
        status=status,
        reason=_reason([each for each in (ours, theirs) if each.status is status]),
        covers=tuple(sorted(covers, key=lambda each: (each.path, each.where or ""))),
        ongoing=_pick(False if base is None else base.ongoing, ours.ongoing, theirs.ongoing, ours.ongoing),
        evidence=_merge_evidence(() if base is None else base.evidence, ours.evidence, theirs.evidence),
        fields=fields,
        undetermined=tuple(sorted(undetermined | more)),
        attested_at=max(ours.attested_at, theirs.attested_at),
        # Of the newer attestation; whoever unites the files finds out about all of them.
        discovered=max(
            ours, theirs, key=lambda each: (each.attested_at, sorted(each.discovered.items()))
        ).discovered,
    )


def _reason(records: Iterable[SourceRecord]) -> str | None:
    return "; ".join(sorted({each.reason for each in records if each.reason})) or None


def _pick(base: T | None, ours: T, theirs: T, otherwise: T) -> T:
    """Choose the side that changed a value; `otherwise` where both did, differently."""
    if theirs in (ours, base):
        return ours
    return theirs if ours == base else otherwise


def _state(record: SourceRecord | None, name: str) -> object:
    if record is None:
        return None
    return OPEN if name in record.undetermined else record.fields.get(name)


def _merge_fields(
    base: SourceRecord | None, ours: SourceRecord, theirs: SourceRecord
) -> tuple[dict[str, Value], set[str]]:
    names = {*ours.fields, *theirs.fields, *ours.undetermined, *theirs.undetermined} - set(_ATTRIBUTES)
    found: dict[str, Value] = {}
    undetermined = set()
    for name in sorted(names):
        value = _pick(_state(base, name), _state(ours, name), _state(theirs, name), OPEN)
        if value is OPEN:
            undetermined.add(name)
        elif value is not None:
            found[name] = value  # type: ignore[assignment]
    return found, undetermined


def _merge_attributes(
    base: SourceRecord | None, ours: SourceRecord, theirs: SourceRecord
) -> tuple[dict[str, object], set[str]]:
    found: dict[str, object] = {}
    undetermined = set()
    for name in _ATTRIBUTES:
        before, mine, other = (_valued(each, name) for each in (base, ours, theirs))
        # Something must stand there; which one doesn't depend on the side.
        contradicting = True, _OPEN.get(name, min(getattr(ours, name), getattr(theirs, name)))
        picked = _pick(before, mine, other, contradicting) or contradicting
        if picked[0]:
            undetermined.add(name)
        found[name] = picked[1]
    return found, undetermined


def _valued(record: SourceRecord | None, name: str) -> tuple[bool, object] | None:
    return None if record is None else (name in record.undetermined, getattr(record, name))


def _merge_sets(
    base: Iterable[Coverage], ours: Iterable[Coverage], theirs: Iterable[Coverage]
) -> set[Coverage]:
    before, left, right = set(base), set(ours), set(theirs)
    return (left & right) | (left - before) | (right - before)


def _merge_evidence(
    base: Iterable[Evidence], ours: Iterable[Evidence], theirs: Iterable[Evidence]
) -> tuple[Evidence, ...]:
    before, left, right = ({each.name: each for each in side} for side in (base, ours, theirs))
    found: dict[str, Evidence] = {}
    doubled: list[Evidence] = []
    for name in sorted({*left, *right}):
        mine, other, old = left.get(name), right.get(name), before.get(name)
        if other in (mine, old):
            picked = mine
        elif mine == old:
            picked = other
        elif mine is None or other is None:
            picked = mine or other  # one side renewed what the other dropped: proofs are kept
        else:
            picked, second = sorted((mine, other), key=_order)
            doubled.append(second)
        if picked is not None:
            found[name] = picked
    for each in doubled:
        stem, dot, suffix = each.name.rpartition(".")
        name = f"{stem or suffix}-{each.digest.hex()[:12]}{dot if stem else ''}{suffix if stem else ''}"
        found.setdefault(name, msgspec.structs.replace(each, name=name))
    return tuple(found[name] for name in sorted(found))


def _order(each: Evidence) -> tuple[bytes, str, str, str, list[tuple[str, str]], bytes]:
    facts = sorted(each.facts.items())
    return each.digest, each.type, each.valid_from or "", each.valid_to or "", facts, each.path or b""
