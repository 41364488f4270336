"""SRC-09, PII-04 to PII-06: refusals by what they name, states of requests, days at their borders."""

from __future__ import annotations

import pytest

from dsvc.lineage.validation import Outcome
from tests.policykit import Answer, ask

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE
FILE = 'file = [{ path = "a.txt", content = "a" }]\n'
REGISTER = '[[request]]\nid = "register"\nkind = "register"\nreceived_at = "2026-11-22"\n'
CRAWL = 'acquisition = "crawl"\nlegal_basis = "tdm_exception"\nrightsholders = ["Example"]\n'


def refused(source: str, request: str, register: str = REGISTER, **parameters: int) -> Answer:
    world = f'{FILE}[[source]]\nid = "web"\n{source}\n{register}'
    return ask("SRC-09", f'{world}\n[[request]]\nid = "r"\nkind = "refusal"\n{request}', parameters)


NAMED = [
    # what the source says, what is refused, the answer
    ('url = "https://example.org/a/b"', 'domains = ["example.org"]', FAIL),
    ('url = "https://www.example.org/a"', 'domains = ["example.org"]', FAIL),
    ('url = "https://example.org"', 'domains = ["www.example.org"]', PASS),
    ('url = "https://notexample.org"', 'domains = ["example.org"]', PASS),
    ('url = "https://例子.cn/x"', 'domains = ["xn--fsqu00a.cn"]', FAIL),
    ('domains = ["*.example.org=12"]', 'domains = ["example.org"]', FAIL),
    ('url = "https://example.org/gallery/1"', 'urls = ["https://example.org/gallery/"]', FAIL),
    ('url = "https://example.org/gallery2"', 'urls = ["https://example.org/gallery"]', PASS),
    ('url = "https://example.org/"', 'urls = ["https://example.org/gallery"]', FAIL),
    ('domains = ["example.org=5"]', 'urls = ["https://example.org/gallery"]', FAIL),
    ('url = "https://example.org]/a"', 'domains = ["example.org"]', FAIL),
    ('url = "https://u@[example.org:80/a"', 'urls = ["https://example.org/gallery"]', FAIL),
    ('url = "https://[::1"', 'domains = ["example.org"]', INCOMPLETE),
    ("", 'domains = ["example.org"]', INCOMPLETE),
    ('url = "https://a.org"', 'authors = ["  EXAMPLE "]', FAIL),
    ('url = "https://a.org"', 'authors = ["王小明"]', PASS),
    ('url = "https://a.org"', 'digests = ["a.txt"]', FAIL),
    ('url = "https://a.org"', 'matched = ["a.txt"]', FAIL),
    ('url = "https://a.org"', 'unmatched = ["a.txt"]', INCOMPLETE),
    ('url = "https://a.org"', 'problem = "the salt is missing"', INCOMPLETE),
    ('url = "https://example.org"', 'domains = ["example.org"]\nstate = "refused"', PASS),
]


@pytest.mark.parametrize(("source", "request_", "answer"), NAMED)
def test_what_is_refused_is_found(source: str, request_: str, answer: Outcome) -> None:
    assert refused(CRAWL + source, request_).outcome is answer


def test_a_source_without_authors_can_not_be_compared() -> None:
    assert refused("", 'authors = ["Ann"]').outcome is INCOMPLETE
    assert refused('acquisition = "self_generated"', 'authors = ["Ann"]').outcome is PASS


@pytest.mark.parametrize(
    ("day", "answer"),
    [("2026-11-22", PASS), ("2026-08-24", PASS), ("2026-08-23", FAIL), ("2026-11-23", INCOMPLETE)],
)
def test_the_register_has_to_be_current(day: str, answer: Outcome) -> None:
    register = REGISTER.replace("2026-11-22", day)
    assert refused("", 'domains = ["example.org"]', register).outcome is answer


def test_a_register_that_nobody_confirmed_is_unknown() -> None:
    assert refused("", 'domains = ["example.org"]', "").outcome is INCOMPLETE
    assert refused("", 'domains = ["example.org"]', days=0).outcome is PASS
    assert refused("", 'domains = ["example.org"]', days=10**9).outcome is PASS, "more days than there are"


def asked(rule: str, request: str) -> Answer:
    files = '{ path = "a.txt", content = "a" }, { path = "b.txt", content = "b", judged = false }'
    source = '[[source]]\nid = "s"\npaths = ["a.txt"]'
    return ask(rule, f'file = [{files}]\n{source}\n[[request]]\nid = "r"\n{request}')


OPEN = [
    ('kind = "deletion"\nstate = "found"\nfound = ["a.txt"]', FAIL),
    ('kind = "deletion"\nstate = "found"\nfound = ["b.txt"]', PASS),
    ('kind = "deletion"\nstate = "sealed"\nfound = ["a.txt"]', FAIL),
    ('kind = "deletion"\nstate = "erasing"\nfound = ["a.txt"]', FAIL),
    ('kind = "deletion"\nstate = "erased"\nfound = ["a.txt"]', PASS),
    ('kind = "withdrawal"\nstate = "refused"\nfound = ["a.txt"]', PASS),
    ('kind = "withdrawal"\nstate = "found"\nmatched = ["a.txt"]', FAIL),
    ('kind = "withdrawal"\nstate = "open"\nsearched_at = ""\nmatched = ["a.txt"]', FAIL),
    ('kind = "withdrawal"\nstate = "open"\nsearched_at = ""', INCOMPLETE),
    ('kind = "deletion"\nstate = "open"\nsearched_at = ""\ndigests = ["a.txt"]', FAIL),
    ('kind = "deletion"\nstate = "found"\nunsearched = ["a.txt"]', INCOMPLETE),
    ('kind = "deletion"\nstate = "found"\nunsearched = ["b.txt"]', PASS),
    ('kind = "deletion"\nstate = "found"\nproblem = "no salt"', INCOMPLETE),
    ('kind = "refusal"\nstate = "open"\nmatched = ["a.txt"]', PASS),
]


@pytest.mark.parametrize(("request_", "answer"), OPEN)
def test_open_requests_keep_what_they_are_about(request_: str, answer: Outcome) -> None:
    assert asked("PII-04", request_).outcome is answer


ERASED = [
    ('state = "erased"\ncertified = true', PASS),
    ('state = "erased"', INCOMPLETE),
    ('state = "erased"\ncertified = true\nreadable = 1', FAIL),
    ('state = "erased"\ncertified = true\nreadable = "unknown"', INCOMPLETE),
    ('state = "erased"\ncertified = true\nmatched = ["a.txt"]', FAIL),
    ('state = "erased"\ncertified = true\nunmatched = ["a.txt"]', INCOMPLETE),
    ('state = "erasing"', FAIL),
    ('state = "found"', PASS),
]


@pytest.mark.parametrize(("request_", "answer"), ERASED)
def test_what_is_erased_is_gone(request_: str, answer: Outcome) -> None:
    assert asked("PII-05", f'kind = "deletion"\n{request_}').outcome is answer


KEPT = [
    ('contains_pi = "yes"\nretention_until = "2026-11-22"', PASS),
    ('contains_pi = "yes"\nretention_until = "2026-11-21"', FAIL),
    ('contains_pi = "none"\nretention_until = "2026-11-21"', FAIL),
    ('contains_pi = "none"', PASS),
    ('contains_pi = "unknown"', INCOMPLETE),
    ("", INCOMPLETE),
    ('contains_pi = "none"\nundetermined = ["retention_until"]', INCOMPLETE),
]


@pytest.mark.parametrize(("source", "answer"), KEPT)
def test_nothing_is_kept_beyond_its_time(source: str, answer: Outcome) -> None:
    assert ask("PII-06", f'{FILE}[[source]]\nid = "s"\n{source}').outcome is answer
