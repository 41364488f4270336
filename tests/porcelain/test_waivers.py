"""Waivers and the roster: who may let what stand, until when; and what counts for nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from dsvc.lineage.validation import Outcome, Severity, Violation
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.ids import CommitId
from dsvc.policy.roster import Role, Roster, RosterError, read_roster
from dsvc.policy.rule_catalogue import UnknownRuleError
from dsvc.policy.waivers import Standing
from dsvc.porcelain import waivers
from dsvc.porcelain.judged_version import judged_version
from dsvc.porcelain.waiver_chain import NoSuchWaiverError, waiver_ids
from dsvc.porcelain.waivers import AppliedWaivers, WaiverRefusedError, WaiverUse, apply_waivers
from tests.porcelain.working import Work
from tests.signkit import Person, person

DAY = "2026-11-22"
FIELDS = {
    "title": "一",
    "acquisition": "self_generated",
    "legal_basis": "contract",
    "license_expression": "CC-BY-4.0",
}
ANN, OFFICER, OTHER = (person(f"{name}@example.org") for name in ("ann", "officer", "other"))


def roles(*officers: Person, **others: Person) -> bytes:
    lines = ["[roles]", f"compliance_officer = {[each.line for each in officers]!r}"]
    lines += [f"{role} = [{who.line!r}]" for role, who in others.items()]
    return "\n".join(lines).encode()


class Office:
    """A repository whose author is Ann, and the keys of everybody."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work = work
        self.folder = folder
        self.saved: dict[str, str] = {}

    def key(self, who: Person) -> str:
        return self.saved.setdefault(who.email, str(who.save(self.folder, who.email)))

    def save(self, by: Person = ANN, signed: bool = False, **files: bytes | None) -> CommitId:
        repo = self.work.repo
        self.work.write({_path(name): data for name, data in files.items()})
        repo.add([], all=True)
        repo.config.set("user.email", by.email)
        repo.config.set("user.signingKey", self.key(by))
        commit = repo.commit("数据", sign=signed, allow_empty=True).commit
        repo.config.set("user.email", ANN.email)
        return commit

    def waive(self, by: Person = OFFICER, subject: bytes = b"a.csv", **more: str) -> WaiverUse:
        given = {"rule": "SRC-01", "reason": "合同在途", "until": "2026-12-31", **more}
        return waivers.make_waiver(
            self.work.repo,
            given["rule"],
            subject,
            reason=given["reason"],
            until=given["until"],
            day=given.get("day", _today()),
            key=self.key(by),
        )

    def ask(
        self, subject: bytes = b"a.csv", rule: str = "SRC-01", day: str | None = None, **where: str
    ) -> AppliedWaivers:
        repo = self.work.repo
        version = judged_version(repo, where.get("rev"), target=where.get("target"))
        digest = waivers.subject_digest(repo, version, subject)
        return apply_waivers(repo, version, [violation(subject, digest, rule)], day or _today())

    def standing(self, subject: bytes = b"a.csv", **where: str) -> Standing | None:
        """What the only waiver of a subject is worth; None where there is none."""
        found = self.ask(subject, **where)
        worth = [use.standing for use in found.uses]
        assert len(worth) < 2
        waived = found.violations[0].waiver is not None
        assert waived == (worth == [Standing.COUNTS]) == (not found.violations[0].blocks)
        return worth[0] if worth else None


def _path(name: str) -> bytes:
    return {"toml": b"dsvc.toml"}.get(name, f"{name}.csv".encode())


def _today() -> str:
    from dsvc.porcelain.moment import now

    return now().day


def violation(subject: bytes, digest: bytes, rule: str = "SRC-01") -> Violation:
    return Violation(rule, Severity.BLOCKING, subject, "it has no source", None, "S4", Outcome.FAIL, digest)


@pytest.fixture
def office(work: Work, tmp_path: Path) -> Office:
    made = Office(work, tmp_path)
    made.save(OTHER, toml=roles(OFFICER))
    made.save(a=b"id\n1\n", b=b"id\n2\n")
    return made


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


def test_who_may_waive(office: Office) -> None:
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


# The roster


def test_a_roster_is_changed_by_an_officer_with_a_signature(office: Office) -> None:
    office.waive()
    office.save(OFFICER, signed=True, toml=roles(OTHER))
    found = office.ask()
    assert found.violations[-1].rule == "SRC-01"  # the change was allowed
    assert found.uses[0].standing is Standing.COUNTS  # and holds from the next version on
    office.save()
    assert office.standing() is Standing.NOT_ON_ROSTER
    assert office.waive(OTHER).standing is Standing.COUNTS


@pytest.mark.parametrize("how", ["unsigned", "signed by no officer", "removed", "malformed"])
def test_a_roster_changed_without_a_right_to_stays_as_it_was(office: Office, how: str) -> None:
    office.waive()
    content: dict[str, bytes | None] = {
        "removed": None,
        "malformed": b"[roles]\ncompliance_officer = ['x']\n",
    }
    office.save(ANN, signed=how != "unsigned", toml=content.get(how, roles(ANN)))
    for _ in range(2):
        found = office.ask()
        assert [each.rule for each in found.violations] == ["SRC-01", "ROLES"]
        assert found.violations[1].blocks
        assert found.violations[1].exit_code == 20
        assert found.uses[0].standing is Standing.COUNTS
        with pytest.raises(WaiverRefusedError):
            office.waive(ANN)
        office.save()  # another commit on top doesn't make it right
    office.save(toml=roles(OFFICER))  # putting it back needs no signature
    assert [each.rule for each in office.ask().violations] == ["SRC-01"]


def test_the_first_roster_is_trusted_on_first_use(work: Work, tmp_path: Path) -> None:
    office = Office(work, tmp_path)
    office.save(a=b"id\n1\n")
    with pytest.raises(WaiverRefusedError, match="no roster in force"):
        office.waive()
    first = office.save(toml=roles(OFFICER))
    found = office.ask()
    assert found.roster.is_new
    assert found.roster.first == first
    assert found.violations[1:] == []
    office.save(b=b"id\n")
    found = office.ask()
    assert not found.roster.is_new
    assert found.roster.first == first
    assert found.roster.roster == read_roster(roles(OFFICER), "x")


def test_a_branch_is_judged_by_the_roster_of_where_it_goes(office: Office) -> None:
    office.work.branch("topic")
    office.save(ANN, a=b"id\n2\n", toml=roles(ANN, OTHER))
    assert [each.rule for each in office.ask(target="main").violations] == ["SRC-01", "ROLES"]
    with pytest.raises(WaiverRefusedError):
        office.waive(OTHER)
    assert office.waive().standing is Standing.COUNTS
    assert office.standing(target="main") is Standing.COUNTS


def test_a_merge_brings_no_roster_that_nobody_signed(office: Office) -> None:
    repo = office.work.repo
    office.work.branch("topic")
    repo.checkout("main")
    office.save(OFFICER, signed=True, toml=roles(OFFICER, OTHER))  # main goes on
    repo.checkout("topic")
    office.save(ANN, c=b"id\n")
    # A merge that keeps the old roster against the signed one is a change that needs a signature too.
    merged = repo.merge("main").commit
    assert merged is not None
    assert office.ask(target="main").violations[1:] == []
    office.work.write({b"dsvc.toml": roles(OFFICER)})
    repo.add([b"dsvc.toml"])
    repo.commit("merge", amend=True)
    assert [each.rule for each in office.ask(target="main").violations[1:]] == ["ROLES"]
    repo.checkout("main")
    repo.reset("topic")
    assert [each.rule for each in office.ask().violations[1:]] == ["ROLES"]
    assert office.ask().roster.roster == read_roster(roles(OFFICER, OTHER), "x")


def test_rosters_that_went_apart_need_a_signature_where_they_meet(office: Office) -> None:
    repo = office.work.repo
    office.work.branch("topic")
    repo.checkout("main")
    office.save(OFFICER, signed=True, toml=roles(OFFICER, OTHER))
    repo.checkout("topic")
    office.save(OFFICER, signed=True, toml=roles(OFFICER, ANN))
    assert [each.rule for each in office.ask(target="main").violations[1:]] == ["ROLES"]
    assert repo.merge("main").commit is None
    repo.resolve(b"dsvc.toml", side="ours")
    repo.commit("merge")
    assert [each.rule for each in office.ask(target="main").violations[1:]] == ["ROLES"]
    repo.config.set("user.signingKey", office.key(OFFICER))
    repo.commit("merge", amend=True, sign=True)
    assert office.ask(target="main").violations[1:] == []


@pytest.mark.parametrize(
    "text",
    [
        "roles = 1",
        "[roles]\nboss = []",
        "[roles]\ncompliance_officer = 'ssh-ed25519 AAAA'",
        "[roles]\ncompliance_officer = [1]",
        "[roles]\ncompliance_officer = ['ssh-ed25519 AAAA a@b']",
        "[roles]\ncompliance_officer = ['']",
        f"[roles]\ncompliance_officer = ['{OFFICER.line}', '{OFFICER.public} other']",
        f'[roles]\ncompliance_officer = ["{OFFICER.public} a\\u0007"]',
        "[roles",
    ],
)
def test_rosters_that_are_none(text: str) -> None:
    with pytest.raises(RosterError) as caught:
        read_roster(text.encode(), "dsvc.toml")
    assert caught.value.exit_code == 2
    assert "dsvc.toml" in caught.value.message


def test_reading_a_roster() -> None:
    roster = read_roster(roles(OFFICER, OTHER, admin=OFFICER), "dsvc.toml")
    assert roster is not None
    assert roster.has_officer
    key = OFFICER.key.public
    assert roster.roles_of(key) == {Role.ADMIN, Role.COMPLIANCE_OFFICER}
    assert (roster.name_of(key), roster.emails_of(key)) == ("officer@example.org", {"officer@example.org"})
    assert roster.keys_of("Officer@Example.org") == {key}
    assert not roster.is_officer(ANN.key.public)
    assert read_roster(b"[policy]\n", "x") is read_roster(None, "x") is None
    assert read_roster(b"[roles]\n", "x") == Roster() != roster
