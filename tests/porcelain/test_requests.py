"""request: recorded, searched, refused, sealed; of a person nothing but keyed hashes is kept."""

from __future__ import annotations

import datetime
import os

import blake3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.model.errors import CorruptDataError, DsvcError, NotFoundError, UsageError
from dsvc.model.rights_request import Reach, RequestState
from dsvc.porcelain.policy.request_facts import rights_requests
from dsvc.porcelain.records.request_chain import NoSuchRequestError
from dsvc.porcelain.requests.requests import RequestExistsError
from dsvc.table.origin.source import NotATableError
from dsvc.table.reading.subject_rows import NoSubjectColumnError
from tests.porcelain.people import holding
from tests.porcelain.working import Work

RULES = b'[tables."*.csv"]\nsubject = "who"\n[tables."*.parquet"]\nsubject = ["who", "by"]\n'
ROWS = b"who,name\n007,Bond\n8,Bill\nx 9,Zoe\n"


def test_a_person_is_kept_as_a_keyed_hash(work: Work) -> None:
    work.commit("1", {b"dsvc.toml": RULES, b"a.csv": ROWS})
    made = work.repo.request_add(
        "2026-1",
        "deletion",
        subjects=["very-private@example.org"],
        received_at="2026-01-31",
        ground="GDPR 17",
    )
    assert (made.record.state, made.record.due) == (RequestState.OPEN, "2026-03-02")
    assert holding(work.folder, "very-private") == []
    again = work.reopen().request("2026-1")
    assert again.record == made.record
    assert [step.verb.value for step in again.history] == ["add"]
    other = Work(work.folder.parent / "other")
    theirs = other.repo.request_add("2026-1", "deletion", subjects=["very-private@example.org"])
    assert theirs.record.selector != made.record.selector, "another salt"
    assert work.repo.fsck(read_data=True).ok


def test_a_request_names_somebody(work: Work) -> None:
    with pytest.raises(UsageError):
        work.repo.request_add("r", "deletion")
    with pytest.raises(UsageError):
        work.repo.request_add("r", "deletion", domains=["example.org"])
    brackets = "http://[::1"  # which no parser of addresses reads
    wrongs = (
        {"domains": ["a b"]},
        {"urls": ["x"]},
        {"urls": [brackets]},
        {"authors": [" "]},
        {"digests": ["ab"]},
    )
    for wrong in wrongs:
        with pytest.raises(UsageError):
            work.repo.request_add("r", "refusal", **wrong)  # type: ignore[arg-type]
    for id_ in ("", "a/b", "../x", ".a", "a.lock", "register"):
        with pytest.raises(DsvcError):
            work.repo.request_add(id_, "refusal", domains=["example.org"])
    with pytest.raises(UsageError):
        work.repo.request_add("r", "refusal", domains=["example.org"], received_at="2026-02-30")
    with pytest.raises(UsageError):
        work.repo.request_add("r", "refusal", domains=["example.org"], received_at="9999-12-31")
    made = work.repo.request_add("r", "refusal", domains=["例子.cn"], authors=["  王  小明 "])
    assert made.record.selector.domains == ("xn--fsqu00a.cn",)
    assert made.record.selector.authors == ("王 小明",)
    with pytest.raises(RequestExistsError):
        work.repo.request_add("r", "refusal", domains=["example.org"])
    with pytest.raises(NoSuchRequestError):
        work.repo.request("nobody")
    assert [each.record.request_id for each in work.repo.requests()] == ["r"]


@pytest.mark.parametrize(
    ("key", "csv", "parquet"),
    [("007", 1, 1), ("7", 0, 1), ("7.0", 0, 1), ("8", 1, 1), ("x 9", 1, 0), ("x", 0, 0), ("", 0, 0)],
)
def test_keys_are_found_as_text_and_as_numbers(work: Work, key: str, csv: int, parquet: int) -> None:
    work.commit("1", {b"dsvc.toml": RULES, b"a.csv": ROWS})
    table = pa.table({"who": [7.0, None, 1.5], "by": pa.array([None, 8, 9], pa.int64())})
    pq.write_table(table, work.folder / "b.parquet")
    work.commit("2")
    work.repo.request_add("r", "deletion", subjects=[key])
    found = {each.path: each.rows for each in work.repo.request_find("r").record.found}
    assert found == {path: 1 for path, there in ((b"a.csv", csv), (b"b.parquet", parquet)) if there}


def test_a_condition_names_the_subjects_of_its_rows(work: Work) -> None:
    work.commit(
        "1", {b"dsvc.toml": RULES, b"a.csv": ROWS, b"b.csv": b"who,n\nx 9,1\nx 9,2\n8,3\n", b"t.txt": b"x"}
    )
    made = work.repo.request_add("r", "withdrawal", where=[("a.csv", "name == 'Zoe'")])
    found = {(each.path, each.rows, each.reach) for each in work.repo.request_find("r").record.found}
    assert found == {(b"a.csv", 1, Reach.DIRECT), (b"b.csv", 2, Reach.DIRECT)}
    assert holding(work.folder / ".dsvc" / "git", "Zoe") == []
    direct = work.repo.request_add("s", "withdrawal", subjects=["x 9"])
    assert direct.record.selector == made.record.selector
    with pytest.raises(NotFoundError):
        work.repo.request_add("n", "deletion", where=[("a.csv", "name == 'Nobody'")])
    with pytest.raises((NoSubjectColumnError, NotATableError)):
        work.repo.request_add("n", "deletion", where=[("t.txt", "name == 'Zoe'")])


def test_what_can_not_be_searched_is_said(work: Work) -> None:
    work.commit(
        "1", {b"dsvc.toml": RULES, b"a.csv": ROWS, b"b.csv": b"id,n\n8,1\n", b"c.csv": b'who\n"open\n'}
    )
    work.repo.request_add("r", "deletion", subjects=["8"])
    record = work.repo.request_find("r").record
    assert [each.path for each in record.found] == [b"a.csv"]
    assert {each.path for each in record.unsearched} == {b"b.csv", b"c.csv"}
    (facts,) = rights_requests(work.repo, list(work.repo.manifest_of("HEAD").entries()))
    assert (facts.matched, set(facts.unmatched)) == ((b"a.csv",), {b"b.csv", b"c.csv"})
    assert (facts.readable, facts.problem) == (0, None)


def test_a_salt_that_is_lost_or_damaged_is_never_made_anew(work: Work) -> None:
    work.commit("1", {b"dsvc.toml": RULES, b"a.csv": ROWS})
    work.repo.request_add("r", "deletion", subjects=["8"])
    path = work.folder / ".dsvc" / "salt"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert [defect.id for defect in work.repo.fsck().defects] == ["F050"]
    with pytest.raises(CorruptDataError):
        work.repo.request_find("r")
    os.unlink(path)
    with pytest.raises(NotFoundError):
        work.repo.request_find("r")
    with pytest.raises(NotFoundError):
        work.repo.request_add("s", "deletion", subjects=["8"])
    (facts,) = rights_requests(work.repo, [])
    assert facts.readable is None
    assert facts.problem


def test_refused_sealed_confirmed(work: Work) -> None:
    work.repo.request_add("r", "deletion", subjects=["8"])
    with pytest.raises(UsageError):
        work.repo.request_refuse("r", " ")
    sealed = work.repo.request_seal("r", "the backup tape can't be rewritten")
    assert sealed.record.state is RequestState.SEALED
    assert work.repo.request_refuse("r", "no such person").record.state is RequestState.REFUSED
    assert [step.verb.value for step in work.repo.request("r").history] == ["refuse", "seal", "add"]
    assert work.repo.request_register() is None
    work.repo.request_confirm("mailbox read")
    register = work.repo.request_confirm("mailbox read again").record
    assert register.received_at == datetime.datetime.now(datetime.UTC).date().isoformat()
    assert [each.record.request_id for each in work.repo.requests()] == ["r"]
    facts = rights_requests(work.repo, [])
    assert [each.record.request_id for each in facts] == ["r", "register"]


def test_what_is_erased_and_comes_back_is_known(work: Work) -> None:
    work.commit("1", {b"dsvc.toml": RULES, b"a.csv": ROWS})
    work.repo.request_add("r", "deletion", subjects=["8"])
    work.repo.request_erase("r", "asked for")
    work.commit("again", {b"a.csv": ROWS + b"more,More\n"})
    (facts,) = rights_requests(work.repo, list(work.repo.manifest_of("HEAD").entries()))
    assert (facts.matched, facts.readable) == ((b"a.csv",), 0)
    work.repo.store.revive_erased = True
    work.repo.store.put_chunk(blake3.blake3(ROWS).digest(), ROWS, raw=False)
    work.repo.store.publish()
    (facts,) = rights_requests(work.reopen(), [])
    assert facts.readable == 1
    done = work.repo.request_erase("r", "it came back")
    assert done.changed
    assert holding(work.folder, "Bill") == []
    (facts,) = rights_requests(work.repo, list(work.repo.manifest_of("HEAD").entries()))
    assert (facts.matched, facts.readable) == ((), 0)


PACK = """id = "own"
version = "1"
date = "2026-11-22"
title = { en = "Own", zh = "自有" }
[rules.PII-04]
severity = "blocking"
stage = "push"
clause = "GDPR 17"
[rules.PII-05]
severity = "blocking"
stage = "push"
clause = "GDPR 17"
"""


def judged(work: Work) -> list[tuple[str, str]]:
    found = work.reopen().check().violations
    return [(each.rule, each.outcome.value) for each in found if each.rule.startswith("PII")]


def test_the_gate_knows_of_requests(work: Work) -> None:
    rules = RULES + b'[policy]\npacks = ["own.toml"]\n'
    work.write({b"dsvc.toml": rules, b"own.toml": PACK.encode(), b"a.csv": ROWS})
    work.repo.add(all=True)
    work.repo.source_add(
        "people",
        [b"a.csv"],
        fields={
            "title": "People",
            "acquisition": "user_input",
            "legal_basis": "consent",
            "license_expression": "LicenseRef-own",
        },
    )
    work.repo.commit("1", no_verify=True)
    assert judged(work) == []
    work.repo.request_add("r", "deletion", subjects=["8"])
    assert set(judged(work)) == {("PII-04", "INCOMPLETE"), ("PII-04", "FAIL")}
    work.repo.request_find("r")
    assert set(judged(work)) == {("PII-04", "FAIL")}
    work.repo.request_erase("r", "asked for")
    assert judged(work) == []
    work.write({b"a.csv": ROWS + b"9,Nina\n"})
    work.repo.add(all=True)
    work.repo.commit("again", no_verify=True)
    assert judged(work) == [("PII-05", "FAIL")]
