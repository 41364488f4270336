"""Facts of a release: one encoding, nothing twice, and sums that add up."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.model.errors import CorruptDataError, DsvcError, MalformedInputError, UnsupportedFormatError
from dsvc.model.feedback import Metric, PilotKind
from dsvc.model.ids import Digest
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Agent, Code, Environment, Fates, Input, Run, RunId, RunKind
from dsvc.model.source_record import Acquisition, LegalBasis, SourceRecord, Status
from dsvc.release.drop_accounting import account_drops
from dsvc.release.facts import FileKind, ReleaseFacts
from dsvc.release.facts_codec import FactsMalformedError, decode_facts, encode_facts, facts_digest
from dsvc.release.mixture import Part, apportion, mix
from dsvc.release.quality_gain import Interval, quality_gain
from dsvc.release.records import file_fact, licence_of_all, run_fact, source_fact
from tests.releasekit import HEX, empty_facts, full_facts, hostile_facts, many_files, released_file


def _shuffled(facts: ReleaseFacts) -> ReleaseFacts:
    lineage = msgspec.structs.replace(
        facts.lineage, runs=facts.lineage.runs[::-1], sources=facts.lineage.sources[::-1]
    )
    return msgspec.structs.replace(
        facts, files=facts.files[::-1], lineage=lineage, defects=facts.defects[::-1]
    )


@pytest.mark.parametrize("facts", [empty_facts(), full_facts(), empty_facts(files=many_files(2000))])
def test_facts_come_back_as_they_were_whatever_the_order(facts: ReleaseFacts) -> None:
    data = encode_facts(facts)
    assert encode_facts(_shuffled(facts)) == data
    assert encode_facts(decode_facts(data)) == data
    assert facts_digest(_shuffled(facts)) == facts_digest(decode_facts(data))
    assert {each.path for each in decode_facts(data).files} == {each.path for each in facts.files}


def test_hostile_texts_are_kept_as_they_are() -> None:
    facts = hostile_facts("---\n# x\n<b>")
    assert decode_facts(encode_facts(facts)).lineage.sources[0].title == "---\n# x\n<b>"


def test_every_byte_decides_the_digest() -> None:
    seen = {facts_digest(full_facts())}
    for name in ("title", "notes", "created_at"):
        other = msgspec.structs.replace(full_facts(), **{name: "2026-11-22T10:00:02Z"})
        seen.add(facts_digest(other))
    assert len(seen) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"files": (released_file("a"), released_file("a"))},
        {"files": (msgspec.structs.replace(released_file("a"), blake3="zz"),)},
        {"files": (msgspec.structs.replace(released_file("a"), path=b"../a"),)},
        {"created_at": "yesterday"},
        {"manifest": "abc"},
        {"name": ""},
        {
            "evaluations": (
                msgspec.structs.replace(
                    full_facts().evaluations[0], metrics=(Metric(name="m", value=float("nan")),)
                ),
            )
        },
    ],
)
def test_facts_that_cannot_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedInputError):
        encode_facts(empty_facts(**changes))


def test_bytes_that_are_no_facts_are_refused() -> None:
    data = encode_facts(full_facts())
    for broken in (b"", b"\xc1", data[:-1], data + b"\0", data.replace(b"train.csv", b"/rain.csv")):
        with pytest.raises(MalformedInputError):
            decode_facts(broken)
    newer = msgspec.msgpack.encode({"format": 99})
    with pytest.raises(UnsupportedFormatError):
        decode_facts(newer)
    unordered = msgspec.msgpack.encode(_shuffled(full_facts()))
    with pytest.raises(FactsMalformedError):
        decode_facts(unordered)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_bytes_are_shared_out_whole_and_fair(total: int, shares: list[int]) -> None:
    parts = apportion(total, shares)
    assert sum(parts) == total
    if sum(shares):
        exact = [Fraction(total * share, sum(shares)) for share in shares]
        assert all(abs(part - each) < 1 for part, each in zip(parts, exact, strict=True))


def test_a_mixture_adds_up_by_source_and_by_type() -> None:
    parts = [
        Part(b"a", 600, ("r",), "text", False),
        Part(b"a", 200, ("n",), "text", False),
        Part(b"b", 100, ("n", "r"), "text", True),
        Part(b"c", 1, (), "image", None),
    ]
    found = mix(parts, {b"a": 1001, b"b": 10, b"c": 5})
    for lines in (found.by_source, found.by_type):
        assert sum(each.rows for each in lines) == found.rows == 901
        assert sum(each.bytes for each in lines) == found.bytes == 1016
        assert sum(each.weight for each in lines) == pytest.approx(1)
    by_source = {each.of: each for each in found.by_source}
    assert by_source["r",].rows == 3 * by_source["n",].rows
    assert by_source["n", "r"].rows == 100
    assert (found.synthetic_rows, found.unknown_rows, found.synthetic_share) == (100, 1, None)
    assert mix(parts[:3], {b"a": 1, b"b": 1}).synthetic_share == pytest.approx(1 / 9)
    assert mix(parts[::-1], {b"a": 1001, b"b": 10, b"c": 5}) == found
    assert mix([], {}).synthetic_share == 0.0


def _run(dropped: int, drops: dict[str, int]) -> Run:
    return Run(
        name="clean",
        kind=RunKind.CLEAN,
        inputs=(Input(path=b"a", digest=bytes(32), fates=Fates(kept=5, dropped=dropped)),),
        outputs=(),
        code=Code(),
        environment=Environment(),
        agent=Agent("a", "b"),
        started_at="",
        ended_at="",
        drops=drops,
    )


def test_rows_dropped_without_a_reason_count_as_unspecified() -> None:
    one, two = RunId(bytes(32)), RunId(b"\1" * 32)
    found = account_drops(
        [
            (one, _run(5, {"short": 2, "unspecified": 1})),
            (two, _run(4, {"short": 4})),
            (two, _run(4, {"short": 4})),
        ]
    )
    assert found.by_reason == {"short": 6, "unspecified": 3}
    assert (found.rows, found.unspecified) == (9, 3)
    assert account_drops([]).rows == 0
    with pytest.raises(CorruptDataError):
        account_drops([(one, _run(1, {"short": 2}))])


@dataclasses.dataclass
class _Measured:
    suite: str
    metrics: tuple[Metric, ...]
    kind: PilotKind | None = None


def test_metrics_of_two_releases_stand_side_by_side() -> None:
    def metric(value: float, **more: object) -> Metric:
        return Metric(name="acc", value=value, **more)  # type: ignore[arg-type]

    before = [
        _Measured("s", (metric(0.5, higher_is_better=True), metric(0.4, task="t"))),
        _Measured("gone", (metric(0.1),)),
        _Measured("twice", (metric(0.1),)),
        _Measured("twice", (metric(0.2),)),
    ]
    after = [_Measured("s", (metric(0.6), metric(0.3, task="t"))), _Measured("twice", (metric(0.3),))]
    asked = []

    def compare(one: Metric, other: Metric) -> Interval | None:
        asked.append((one.value, other.value))
        return Interval(0.05, 0.15, "newcombe") if one.task is None else None

    found = {(each.suite, each.task): each for each in quality_gain(before, after, compare)}
    assert asked == [(0.5, 0.6), (0.4, 0.3)]
    main = found["s", None]
    assert (main.before, main.after, main.is_better) == (0.5, 0.6, True)
    assert main.difference == pytest.approx(0.1)
    assert msgspec.structs.replace(main, higher_is_better=False).is_better is False
    assert msgspec.structs.replace(main, low=-0.1).is_better is None
    assert found["s", "t"].is_better is None
    assert (found["gone", None].before, found["gone", None].after) == (0.1, None)
    assert (found["twice", None].before, found["twice", None].after) == (None, 0.3)


def test_errors_have_codes_of_their_own() -> None:
    assert issubclass(FactsMalformedError, DsvcError)
    assert FactsMalformedError("x").exit_code == 41
    assert Digest.parse(HEX).hex() == HEX


def test_facts_of_records_say_what_the_records_say() -> None:
    entry = Entry("图.csv".encode(), 0o100644, 7, b"\1" * 32, b"\2" * 16, kind=3)
    assert file_fact(entry, sha256=HEX) == msgspec.structs.replace(
        released_file("图.csv"), size=7, blake3="01" * 32, xxh3="02" * 16, kind=FileKind.TABLE, sha256=HEX
    )
    run = run_fact(RunId(b"\3" * 32), _run(3, {"short": 3}))
    assert (run.id, run.rows["kept"], run.rows["dropped"]) == ("03" * 32, 5, 3)
    assert [each.path for each in run.inputs] == [b"a"]
    record = SourceRecord(
        source_id="s",
        title="t",
        acquisition=Acquisition.CRAWL,
        legal_basis=LegalBasis.CONSENT,
        license_expression="MIT",
        fields={
            "language": ["zh"],
            "commercial": True,
            "domains": {"b": "1", "a": "2"},
            "records": 3,
            "n": "",
        },
    )
    gone = msgspec.structs.replace(record, status=Status.WITHDRAWN, reason="asked")
    source = source_fact(record, HEX, now=gone)
    assert (source.status, source.reason) == (Status.WITHDRAWN, "asked")
    assert source_fact(gone, HEX, now=record).status is Status.WITHDRAWN
    assert source.stated == {
        "language": ("zh",),
        "commercial": "yes",
        "domains": ("a: 2", "b: 1"),
        "records": "3",
    }


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["MIT", "CC-BY-4.0", "MIT"], "CC-BY-4.0 AND MIT"),
        (["MIT OR Apache-2.0", "ISC"], "ISC AND (MIT OR Apache-2.0)"),
        (["MIT", "undetermined"], "undetermined"),
        ([], "undetermined"),
    ],
)
def test_licences_hold_together(licences: list[str], expected: str) -> None:
    assert licence_of_all(licences) == expected
