"""Two heads of a source: the same result from either side, nothing lost, the stricter status wins."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dsvc.lineage.source_merge import STRICTEST, merge_records
from dsvc.lineage.source_values import changed_record
from dsvc.model.source_record import Acquisition, Coverage, Evidence, LegalBasis, SourceRecord, Status

NAMES = st.sampled_from(["title", "grade", "issuer", "language"])
WORDS = st.sampled_from(["甲", "乙", "core"])


def evidence(name: str, byte: int) -> Evidence:
    return Evidence(type="other", name=name, digest=bytes([byte]) * 32, size=1)


@st.composite
def records(draw: st.DrawFn) -> SourceRecord:
    status = draw(st.sampled_from(list(Status)))
    names = draw(st.sets(st.sampled_from(["a.txt", "b"])))
    fields = draw(st.dictionaries(st.sampled_from(["grade", "issuer"]), WORDS))
    open_ = draw(st.sets(st.sampled_from(["grade", "title", "legal_basis"]))) - set(fields)
    return SourceRecord(
        source_id="源",
        title=draw(WORDS),
        acquisition=draw(st.sampled_from(list(Acquisition)[:2])),
        legal_basis=draw(st.sampled_from(list(LegalBasis)[:2])),
        license_expression=draw(st.sampled_from(["MIT", "undetermined"])),
        status=status,
        reason=None if status is Status.ACTIVE else draw(WORDS),
        covers=tuple(
            Coverage(path=path) for path in sorted(draw(st.sets(st.sampled_from([b"", b"a", b"b"]))))
        ),
        ongoing=draw(st.booleans()),
        evidence=tuple(evidence(name, draw(st.integers(0, 2))) for name in sorted(names)),
        fields=dict(sorted(fields.items())),
        undetermined=tuple(sorted(open_)),
        attested_at=draw(st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])),
    )


@given(st.none() | records(), records(), records())
def test_a_merge_is_the_same_from_either_side(
    base: SourceRecord | None, ours: SourceRecord, theirs: SourceRecord
) -> None:
    merged = merge_records(base, ours, theirs)
    assert merged == merge_records(base, theirs, ours)
    assert merge_records(base, ours, ours) == ours
    assert merge_records(base, merged, merged) == merged
    assert merged.status is max(ours.status, theirs.status, key=STRICTEST.index)
    assert Status.WITHDRAWN not in (ours.status, theirs.status) or merged.status is Status.WITHDRAWN
    assert (merged.reason is None) == (merged.status is Status.ACTIVE)
    kept = {each.digest for each in merged.evidence}
    old = set() if base is None else {each.digest for each in base.evidence}
    assert {each.digest for side in (ours, theirs) for each in side.evidence} - old <= kept
    names = [each.name for each in merged.evidence]
    assert names == sorted(set(names))


@given(records(), records())
def test_one_side_alone_is_taken(base: SourceRecord, theirs: SourceRecord) -> None:
    merged = merge_records(base, base, theirs)
    calmer = {"status": theirs.status, "reason": theirs.reason, "attested_at": theirs.attested_at}
    if STRICTEST.index(theirs.status) > STRICTEST.index(base.status):
        assert msgspec.structs.replace(merged, **calmer) == theirs
    else:
        same = {name: getattr(merged, name) for name in calmer}
        assert merged == msgspec.structs.replace(theirs, **same)


@given(records(), NAMES, WORDS, WORDS)
def test_two_values_are_open_until_one_is_set(base: SourceRecord, name: str, one: str, two: str) -> None:
    ours, theirs = changed_record(base, {name: one}), changed_record(base, {name: two})
    merged = merge_records(base, ours, theirs)
    both_new = one != two and base not in (ours, theirs)
    assert (name in merged.undetermined) == both_new
    if both_new and name != "title":
        assert name not in merged.fields
    settled = changed_record(merged, {name: one})
    assert name not in settled.undetermined
    assert name not in merge_records(merged, settled, merged).undetermined
