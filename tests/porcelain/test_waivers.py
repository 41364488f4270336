"""Waivers: who may let what stand, until when; and what counts for nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.policy.rule_catalogue import UnknownRuleError
from dsvc.policy.waivers import Standing
from dsvc.porcelain.policy import waivers
from dsvc.porcelain.policy.judged_version import judged_version
from dsvc.porcelain.policy.waivers import WaiverRefusedError, apply_waivers
from dsvc.porcelain.records.waiver_chain import NoSuchWaiverError, waiver_ids
from tests.officekit import ANN, FIELDS, OFFICER, OTHER, Office, roles, violation
from tests.officekit import today as _today
from tests.porcelain.working import Work


def test_a_waiver_counts_for_one_subject_of_one_content(office: Office) -> None:
    made = office.waive()
    assert (made.standing, made.rule, made.subject, made.reason) == ("counts", "SRC-01", b"a.csv", "合同在途")
    assert made.key == OFFICER.key.public.fingerprint
    found = office.ask()
    assert [use.id for use in found.uses] == [made.id] == [found.violations[0].waiver]
    assert office.standing(b"b.csv") is None
    assert office.ask(rule="LIC-01").uses == ()
    office.save(a=b"id\n3\n")
    assert office.standing() is Standing.OTHER_SUBJECT
    office.save(a=b"id\n1\n")
    assert office.standing() is Standing.COUNTS


def test_a_waiver_ends_and_has_a_beginning(office: Office) -> None:
    office.waive(until=_today())
    assert office.standing() is Standing.COUNTS
    assert office.standing(day="2999-01-01") is Standing.EXPIRED
    assert office.standing(day="2020-01-01") is Standing.NOT_YET


def test_what_cannot_be_waived(office: Office) -> None:
    before = office.work.everything()
    for wrong, kind in (
        ({"rule": "SRC-99"}, UnknownRuleError),
        ({"rule": "ROLES"}, UnknownRuleError),
        ({"rule": "../x"}, UnknownRuleError),
        ({"until": "2020-01-01"}, UsageError),
        ({"until": "31.12.2026"}, UsageError),
        ({"until": "2027-02-30"}, UsageError),
        ({"reason": " "}, UsageError),
    ):
        with pytest.raises(kind) as caught:
            office.waive(**wrong)
        assert caught.value.exit_code == 2
    for subject in (b"none.csv", b"source:none", b"run:abcd", b"a.csv@" + b"g" * 64):
        with pytest.raises(NotFoundError):
            office.waive(subject=subject)
    assert office.work.everything() == before


def test_h60_who_may_waive(office: Office) -> None:
    with pytest.raises(WaiverRefusedError, match="no compliance_officer") as caught:
        office.waive(ANN)
    assert caught.value.exit_code == 20
    office.save(OFFICER, a=b"id\n4\n")
    with pytest.raises(WaiverRefusedError, match=r"officer@example\.org made a commit"):
        office.waive()
    assert waiver_ids(office.work.repo) == []
    assert office.waive(subject=b"b.csv").standing is Standing.COUNTS


def test_a_key_that_signed_the_change_is_its_author(office: Office) -> None:
    repo = office.work.repo
    office.save(OTHER, signed=False, a=b"id\n5\n")
    repo.config.set("user.signingKey", office.key(OFFICER))
    office.work.write({b"a.csv": b"id\n6\n"})
    repo.add([b"a.csv"])
    repo.commit("someone else's name, the officer's key", sign=True)
    with pytest.raises(WaiverRefusedError, match="signed a commit"):
        office.waive()


def test_without_an_address_the_roster_leaves_the_waivers_own_word(work: Work, tmp_path: Path) -> None:
    nameless = dataclasses.replace(OFFICER, email="")
    office = Office(work, tmp_path)
    office.save(OTHER, toml=roles(nameless))
    office.save(OTHER, a=b"id\n1\n")
    assert office.waive().standing is Standing.COUNTS  # made by Ann, committed by somebody else
    office.save(ANN, a=b"id\n2\n")
    with pytest.raises(WaiverRefusedError, match=r"ann@example\.org made a commit"):
        office.waive()


def test_only_commits_since_the_branch_began_count_where_they_touch_the_subject(office: Office) -> None:
    office.save(OFFICER, c=b"id\n1\n")
    office.work.branch("topic")
    office.save(ANN, c=b"id\n2\n")
    office.save(OFFICER, b=b"id\n9\n")
    # The officer made c.csv before the branch began, and another file on the branch.
    assert office.waive(subject=b"c.csv").standing is Standing.COUNTS
    with pytest.raises(WaiverRefusedError):
        office.waive(subject=b"b.csv")
    with pytest.raises(WaiverRefusedError):  # the whole version is touched by every commit
        office.waive(subject=b"")
    assert office.standing(b"c.csv", target="main") is Standing.COUNTS
    office.work.repo.checkout("main")
    office.work.repo.merge("topic")
    assert office.standing(b"c.csv") is Standing.COUNTS


def test_what_is_staged_can_be_waived_before_it_is_committed(office: Office) -> None:
    repo = office.work.repo
    office.work.write({b"new.csv": b"id\n7\n"})
    repo.add([b"new.csv"])
    repo.config.set("user.email", OFFICER.email)  # who waives isn't who will commit
    assert office.waive(subject=b"new.csv").standing is Standing.COUNTS
    version = judged_version(repo, staged=True)
    found = violation(b"new.csv", waivers.subject_digest(repo, version, b"new.csv"))
    assert apply_waivers(repo, version, [found], _today()).uses[0].standing is Standing.SELF_MADE
    repo.config.set("user.email", ANN.email)
    assert apply_waivers(repo, version, [found], _today()).uses[0].standing is Standing.COUNTS


def test_the_whole_version(office: Office) -> None:
    assert office.waive(subject=b"").standing is Standing.COUNTS
    assert office.standing(b"") is Standing.COUNTS
    office.save(b=b"id\n8\n")
    assert office.standing(b"") is Standing.OTHER_SUBJECT


def test_sources(office: Office) -> None:
    repo = office.work.repo
    repo.source_add("s-1", [b"a.csv"], fields=FIELDS)
    assert office.waive(subject=b"source:s-1", rule="SRC-02").standing is Standing.COUNTS
    assert office.standing(b"source:s-1", rule="SRC-02") is Standing.COUNTS
    repo.config.set("user.email", OFFICER.email)
    repo.source_set("s-1", fields={"title": "二"})
    repo.config.set("user.email", ANN.email)
    assert office.standing(b"source:s-1", rule="SRC-02") is Standing.OTHER_SUBJECT
    with pytest.raises(WaiverRefusedError):
        office.waive(subject=b"source:s-1", rule="SRC-02")


def test_who_signs_the_commit_that_takes_a_source_in_is_its_author(office: Office) -> None:
    repo, subject = office.work.repo, b"source:s-1"
    repo.source_add("s-1", [b"a.csv"], fields=FIELDS)
    # The record is by Ann, and the officer's commits carry another address than the roster.
    repo.config.set("user.signingKey", office.key(OFFICER))
    repo.commit("接入", sign=True, allow_empty=True)
    with pytest.raises(WaiverRefusedError, match="signed a commit that touches its subject"):
        office.waive(subject=subject, rule="SRC-02")


def test_who_signs_something_else_may_let_a_source_stand(office: Office) -> None:
    repo = office.work.repo
    repo.source_add("s-1", [b"a.csv"], fields=FIELDS)
    repo.commit("接入", allow_empty=True)
    office.save(OFFICER, signed=True, c=b"id\n3\n")
    assert office.waive(subject=b"source:s-1", rule="SRC-02").standing is Standing.COUNTS


def test_revoked(office: Office) -> None:
    made = office.waive()
    done = waivers.revoke(office.work.repo, made.id[:5], "证据已到", _today())
    assert done.standing is Standing.REVOKED
    assert office.standing() is Standing.REVOKED
    office.work.repo.undo()
    assert office.standing() is Standing.COUNTS
    office.work.repo.undo()
    assert waiver_ids(office.work.repo) == []
    with pytest.raises(NoSuchWaiverError):
        waivers.revoke(office.work.repo, made.id, "x", _today())


def test_gc_keeps_and_fsck_knows_waivers(office: Office) -> None:
    made = office.waive()
    assert office.work.repo.gc(grace_seconds=0).candidates == 0
    assert office.work.repo.fsck(read_data=True).ok
    assert office.work.reopen()
    assert office.standing() is Standing.COUNTS
    listed = waivers.list_waivers(office.work.repo, _today())
    assert listed == [msgspec.structs.replace(made)]
