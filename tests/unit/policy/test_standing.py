"""What a waiver is worth, asked of its statement: the order of questions, and people with several keys."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dsvc.lineage.validation import Outcome, Severity, Violation
from dsvc.model.ssh_key import SshKey
from dsvc.model.waiver import Revocation, Waiver
from dsvc.policy.roster import Roster, RosterError, read_roster
from dsvc.policy.waivers import Judgement, Standing, StoredWaiver, Touching, standing
from tests.signkit import person

OFFICER, SECOND, ANN = (person(f"{name}@example.org") for name in ("officer", "second", "ann"))
KEY, OTHER, HERS = (each.key.public for each in (OFFICER, SECOND, ANN))
DAY = "2026-11-22"
WAIVER = Waiver(
    rule="SRC-04",
    subject="数据.csv".encode(),
    digest="00" * 32,
    reason="一",
    until="2026-12-31",
    made_at="2026-11-01T00:00:00Z",
    by="Officer <officer@example.org>",
    key=KEY.fingerprint,
)
FOUND = Violation("SRC-04", Severity.BLOCKING, WAIVER.subject, "x", None, "", Outcome.FAIL, bytes(32))


def line(key: SshKey, comment: str) -> str:
    word, text = next(each.line.split()[:2] for each in (OFFICER, SECOND, ANN) if each.key.public == key)
    return f"{word} {text} {comment}"


def roster(*officers: str, engineers: tuple[str, ...] = ()) -> Roster:
    return Roster.parse({"compliance_officer": [*officers], "engineer": [*engineers]}, "dsvc.toml")


ROSTER = roster(line(KEY, "officer@example.org"), engineers=(line(HERS, "ann@example.org"),))


def worth(
    waiver: Waiver | None = WAIVER,
    key: SshKey | None = KEY,
    *,
    of: Violation | None = FOUND,
    by: Roster | None = ROSTER,
    touching: Touching | None = None,
    day: str = DAY,
    **stored: Any,
) -> Standing:
    """How it stands; who made the change is asked only where all else is in order."""
    asked: list[int] = []

    def who() -> Touching:
        asked.append(1)
        return touching or Touching()

    found = standing(StoredWaiver("w", waiver, key, **stored), of, by, day, who)
    assert bool(asked) == (found.standing in (Standing.COUNTS, Standing.SELF_MADE, Standing.UNTOLD))
    assert found.reason
    return found.standing


def test_a_waiver_that_is_in_order_counts() -> None:
    assert worth() is worth(of=None) is Standing.COUNTS
    assert worth(touching=Touching(frozenset([HERS]), frozenset(["ann@example.org"]))) is Standing.COUNTS


def test_what_was_not_read_counts_nowhere() -> None:
    assert worth(None) is worth(key=None) is Standing.MALFORMED
    assert worth(problem=Judgement(Standing.FORGED, "x")) is Standing.FORGED


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"rule": "SRC-05"}, Standing.OTHER_SUBJECT),
        ({"rule": "XYZ-01"}, Standing.UNKNOWN_RULE),
        ({"subject": b"other.csv"}, Standing.OTHER_SUBJECT),
        ({"digest": "11" * 32}, Standing.OTHER_SUBJECT),
        ({"until": DAY}, Standing.COUNTS),
        ({"until": "2026-11-21"}, Standing.EXPIRED),
        ({"made_at": f"{DAY}T23:59:59Z"}, Standing.COUNTS),
        ({"made_at": "2026-11-23T00:00:00Z"}, Standing.NOT_YET),
    ],
)
def test_it_counts_for_one_finding_of_one_content_while_it_lasts(
    changes: dict[str, Any], wanted: Standing
) -> None:
    assert worth(msgspec.structs.replace(WAIVER, **changes)) is wanted


def test_what_was_revoked_counts_for_nothing_any_more() -> None:
    revoked = Revocation(by="Officer <officer@example.org>", made_at=f"{DAY}T00:00:00Z", reason="误")
    assert worth(revoked=revoked) is worth(of=None, revoked=revoked) is Standing.REVOKED


def test_only_officers_of_the_roster_in_force_waive() -> None:
    assert worth(by=None) is Standing.NOT_ON_ROSTER
    assert worth(key=HERS) is worth(key=OTHER) is Standing.NOT_ON_ROSTER
    assert worth(by=Roster()) is Standing.NOT_ON_ROSTER


@pytest.mark.parametrize(
    ("touching", "wanted"),
    [
        (Touching(keys=frozenset([KEY])), Standing.SELF_MADE),
        (Touching(emails=frozenset(["officer@example.org"])), Standing.SELF_MADE),
        (Touching(problem="a commit is missing"), Standing.UNTOLD),
        (Touching(keys=frozenset([KEY]), problem="a commit is missing"), Standing.UNTOLD),
    ],
)
def test_nobody_waives_what_they_made(touching: Touching, wanted: Standing) -> None:
    assert worth(touching=touching) is wanted


def test_one_person_with_two_keys_is_one_person() -> None:
    for address, wanted in (("OFFICER@example.org", Standing.SELF_MADE), ("x@example.org", Standing.COUNTS)):
        two = roster(line(KEY, "officer@example.org"), engineers=(line(OTHER, f"Two <{address}>"),))
        assert worth(by=two, touching=Touching(keys=frozenset([OTHER]))) is wanted


def test_without_an_address_its_own_word_says_who_made_it() -> None:
    plain = roster(line(KEY, "the officer"))
    assert worth(by=plain, touching=Touching(emails=frozenset(["officer@example.org"]))) is Standing.SELF_MADE
    assert worth(by=plain, touching=Touching(emails=frozenset(["ann@example.org"]))) is Standing.COUNTS


# The roster itself


def test_a_roster_says_who_holds_which_key() -> None:
    assert ROSTER.is_officer(KEY)
    assert not ROSTER.is_officer(HERS)
    assert ROSTER.roles_of(HERS) == {"engineer"}
    assert ROSTER.roles_of(OTHER) == frozenset()
    assert ROSTER.name_of(KEY) == "officer@example.org"
    assert ROSTER.name_of(OTHER) is None
    assert ROSTER.keys_of(" ANN@example.org") == {HERS}
    assert ROSTER.emails_of(HERS) == {"ann@example.org"}
    assert ROSTER.has_officer
    assert not Roster().has_officer
    assert roster(line(KEY, "")).name_of(KEY) == KEY.fingerprint
    again = roster(line(KEY, "officer@example.org"), engineers=(line(HERS, "ann@example.org"),))
    assert again == ROSTER
    assert hash(again) == hash(ROSTER)
    assert roster(line(KEY, "officer@example.org")) != ROSTER
    assert ROSTER != "roster"


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ([], "roles is no section"),
        ({"boss": []}, "unknown role 'boss'"),
        ({"auditors": []}, "unknown role 'auditors'"),
        ({"auditor": OFFICER.line}, "takes a list"),
        ({"auditor": [1]}, "entry 1 is no text"),
        ({"auditor": ["ssh-rsa x"]}, "entry 1"),
        ({"auditor": [OFFICER.line, OFFICER.line]}, "entry 2 lists SHA256:"),
        ({"auditor": [OFFICER.line + "\x1b[2J"]}, "control characters"),
        ({"auditor": [OFFICER.line] * 10_000}, "takes a list of at most"),
    ],
)
def test_a_roster_that_makes_no_sense_is_refused(section: object, problem: str) -> None:
    with pytest.raises(RosterError) as caught:
        Roster.parse(section, "dsvc.toml")
    assert problem in caught.value.message


def test_a_file_without_roles_has_no_roster() -> None:
    assert read_roster(None, "dsvc.toml") is None
    assert read_roster(b"[policy]\n", "dsvc.toml") is None
    assert read_roster(b"[roles]\n", "dsvc.toml") == Roster()
    with pytest.raises(RosterError):
        read_roster(b"roles = 1\n", "dsvc.toml")
