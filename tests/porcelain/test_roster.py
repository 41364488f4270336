"""The roster: who holds which role, and how that changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.policy.roster import Role, Roster, RosterError, read_roster
from dsvc.policy.waivers import Standing
from dsvc.porcelain.policy.waivers import WaiverRefusedError
from tests.officekit import ANN, OFFICER, OTHER, Office, roles
from tests.porcelain.working import Work


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
