"""Reports of tests: held against ElementTree, an independent reader; entities and other tricks refused."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.importers.importer import FeedbackMalformedError, Imported, ImportOptions
from dsvc.feedback.importers.junit import Junit
from dsvc.feedback.importers.registry import recognise
from dsvc.model.feedback import Metric, Sample
from tests.feedback_mutations import FILES, answers, damaged_bytes, everything, opened

FOLDER = FILES / "junit"
NAMES = ("pytest.xml", "pytest_xunit1.xml", "node.xml")
DATA = {name: (FOLDER / name).read_bytes() for name in NAMES}


def read(data: bytes | str) -> Imported:
    return opened(Junit(), data if isinstance(data, bytes) else data.encode())


def one(inner: str, attributes: str = "") -> Sample:
    (found,) = everything(
        read(f'<testsuite><testcase name="test_a" {attributes}>{inner}</testcase></testsuite>')
    )
    return found


@pytest.mark.parametrize("name", NAMES)
def test_cases_are_what_an_independent_reader_finds(name: str) -> None:
    cases = list(ElementTree.fromstring(DATA[name]).iter("testcase"))
    found = everything(read(DATA[name]))
    assert len(found) == len(cases)
    for case, sample in zip(cases, found, strict=True):
        wrong = [each for each in case if each.tag in ("failure", "error")]
        told = wrong or case.findall("skipped")
        refs = [each.get("value") for each in case.iter("property") if each.get("name") == "dsvc_ref"]
        assert sample.passed is (False if wrong else None if told else True)
        assert [sample.selector.ref] == (refs or [None])
        assert sample.explanation == (told[0].get("message") if told else None)
        assert sample.evidence == (str(wrong[0].text).strip() if wrong else None)
        assert sample.scores == ({} if sample.passed is None else {"pass": float(sample.passed)})


def test_the_run_of_pytest() -> None:
    run, metrics, found = read(DATA["pytest.xml"])
    assert (run.tool, run.suite, run.outcome) == ("junit", "reviews", "failed")
    assert run.created == "2026-11-22T11:23:30.781565Z"
    assert json.loads(run.extra["reviews.failures"]) == "3"
    # 26 tests, of which 4 were skipped and 1 failed as was expected; 3 failed and 1 could not be set up.
    assert metrics == (Metric(name="pass", value=17 / 21, n=21, higher_is_better=True),)
    wrong = [
        (str(each.selector.ref).partition("#id=")[2], each.symptom) for each in found if each.passed is False
    ]
    assert wrong == [
        ("5", "failed-test-label"),
        ("6", "failed-test-label"),
        ("1", "failed-test-short"),
        ("7", "error-test-with-fixture"),
    ]


def test_a_sample_is_the_same_in_another_evaluation() -> None:
    first = everything(read(DATA["pytest.xml"]))
    other_commit = DATA["pytest.xml"].replace(b"4c1f0e6b", b"00000000")
    assert [each.sample_id for each in everything(read(other_commit))] == [each.sample_id for each in first]
    assert len({each.sample_id for each in first}) == len(first)
    assert [each.sample_id for each in everything(read(DATA["pytest_xunit1.xml"]))] == [
        each.sample_id for each in first
    ]


def test_suites_inside_each_other() -> None:
    run, metrics, found = read(DATA["node.xml"])
    assert [each.sample_id for each in found][:2] == ["test::label of review-3", "test::label of review-6"]
    assert (run.suite, metrics[0].n) == (None, 3)
    nested = '<testsuite name="a"><testsuite name="b"><testcase name="c"/></testsuite></testsuite>'
    (sample,) = everything(read(f"<testsuites>{nested}</testsuites>"))
    assert sample.sample_id == "a::b::c"


@pytest.mark.parametrize(
    ("inner", "attributes", "passed", "symptom"),
    [
        ("", "", True, None),
        ("<failure/>", "", False, "failed-test-a"),
        ("<error type='E'/>", "", False, "error-test-a"),
        ("<failure/><error/>", "", False, "error-test-a"),
        ("<error/><failure/>", "", False, "error-test-a"),
        ("<skipped/>", "", None, None),
        ("<skipped/><failure/>", "", False, "failed-test-a"),
        ("<failure/><skipped/>", "", False, "failed-test-a"),
        ("", "status='notrun'", None, None),
        ("", "result='suppressed'", None, None),
        ("", "status='run' result='completed'", True, None),
        ("<failure/>", "status='notrun'", False, "failed-test-a"),
        ("<system-out>x</system-out><rerunFailure/>", "", True, None),
    ],
)
def test_results(inner: str, attributes: str, passed: bool | None, symptom: str | None) -> None:
    found = one(inner, attributes)
    assert (found.passed, found.symptom) == (passed, symptom)


def test_a_report_without_verdicts_has_no_metric_and_no_outcome() -> None:
    for data in ("<testsuites/>", '<testsuite><testcase name="a"><skipped/></testcase></testsuite>'):
        run, metrics, _found = read(data)
        assert (run.outcome, metrics) == (None, ())


def test_other_encodings() -> None:
    text = '<?xml version="1.0" encoding="{}"?><testsuite name="情感"><testcase name="检查"/></testsuite>'
    for data in (text.format("utf-16").encode("utf-16"), text.format("utf-8").encode("utf-8-sig")):
        assert recognise(data, "x").name == "junit"
        assert [each.sample_id for each in everything(read(data))] == ["情感::检查"]
    with pytest.raises(FeedbackMalformedError):
        read(text.format("gb18030").encode("gb18030"))


TWO_REFERENCES = "<property name='dsvc_ref' value='1'/><property name='dsvc_ref' value='2'/>"
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "doctype",
    [
        f'<!DOCTYPE testsuite [<!ENTITY l0 "ha">{LAUGHS}]>',
        f'<!DOCTYPE testsuite [<!ENTITY l9 "{"a" * 100_000}">]>',
        '<!DOCTYPE testsuite [<!ENTITY l9 SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE testsuite [<!ENTITY % l9 SYSTEM "http://127.0.0.1:9/x.dtd"> %l9;]>',
        '<!DOCTYPE testsuite SYSTEM "file:///etc/hostname">',
        '<!DOCTYPE testsuite [<!ATTLIST testcase name CDATA "x">]>',
        "<!DOCTYPE testsuite>",
    ],
)
def test_a_document_type_is_refused_before_any_entity_is_expanded(doctype: str) -> None:
    body = f'<testsuite><testcase name="a">{"<failure>&l9;</failure>" * 100}</testcase></testsuite>'
    tracemalloc.start()
    with pytest.raises(FeedbackMalformedError, match=r"line 1.*: a document type"):
        read(f"{doctype}\n{body}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "not XML"),
        ("<a/>", "first element"),
        ("<testsuite>", "not XML"),
        ("<testsuite><testcase/></testsuite>", "without a name"),
        ('<testsuite><x><testcase name="a"/></x></testsuite>', "outside of a suite"),
        ("<testsuite><testcase name='a'><testcase name='b'/></testcase></testsuite>", "outside of a suite"),
        ("<testsuite><x><testsuite/></x></testsuite>", "inside something else"),
        ("<testsuite>" * 101, "nested deeper"),
        ("<testsuite><a>&unknown;</a></testsuite>", "not XML"),
        (
            f"<testsuite><testcase name='a'><properties>{TWO_REFERENCES}</properties></testcase></testsuite>",
            "twice",
        ),
    ],
)
def test_what_is_no_report_is_refused(data: str, message: str) -> None:
    with pytest.raises(FeedbackMalformedError, match=message):
        everything(read(data))


class Endless(io.RawIOBase):
    """A report that goes on and on, made while it is read."""

    def __init__(self, start: bytes, again: bytes) -> None:
        self.start, self.again, self.given = start, again, 0

    def read(self, size: int = -1) -> bytes:
        part = self.start or self.again * (max(size, 1) // len(self.again) or 1)
        self.start = b""
        self.given += len(part)
        return part


@pytest.mark.parametrize(
    ("start", "again", "limit", "message"),
    [
        (b"<testsuite>", b" " * 65536, 260 << 20, "larger than 256 MiB"),
        (b"<testsuite><!--", b"x" * 65536, 20 << 20, "tag or comment"),
        (b'<testsuite name="', b"x" * 65536, 20 << 20, "tag or comment"),
    ],
)
def test_a_report_without_end_is_refused(start: bytes, again: bytes, limit: int, message: str) -> None:
    stream: Any = Endless(start, again)
    with pytest.raises(FeedbackMalformedError, match=message):
        Junit().read(lambda: stream, ImportOptions())
    assert stream.given <= limit


def test_reports_are_known_by_their_content() -> None:
    for name, data in DATA.items():
        assert recognise(data, "x.bin").name == "junit", name
    for data in (b"<html/>", b"<testsuitesx/>", b"name,passed\n<testsuite>", b""):
        assert not Junit().recognises(data, "report.xml")


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(NAMES))
def test_any_damage_is_an_answer_or_a_typed_error(seed: int, name: str) -> None:
    answers(Junit(), damaged_bytes(DATA[name], seed))
