"""SRC-07 and SRC-08: what sites said must be known, one refusal is enough, a licence settles reservations."""

from __future__ import annotations

import itertools

import pytest

from dsvc.lineage.validation import Outcome
from tests.policykit import Answer, ask

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE
FILE = 'file = [{ path = "a.jsonl", rows = [{ id = 1 }] }]\n[[source]]\nid = "网站"\n'


def snapshot(type_: str, name: str = "", **facts: str) -> str:
    told = ", ".join(f'{key} = "{value}"' for key, value in facts.items())
    named = f', name = "{name}"' if name else ""
    return f'{{ type = "{type_}"{named}, facts = {{ {told} }} }}'


def crawled(
    rule: str, *evidence: str, fields: str = "", acquisition: str = "crawl", **parameters: bool
) -> Answer:
    lines = f'acquisition = "{acquisition}"\nevidence = [{", ".join(evidence)}]\n{fields}\n'
    return ask(rule, FILE + lines, parameters)


# SRC-07

ROBOTS = {
    "allowed": snapshot("robots_txt", "robots.txt", robots_verdict="allowed"),
    "disallowed": snapshot("robots_txt", "robots-2.txt", robots_verdict="disallowed"),
    "unknown": snapshot("robots_txt", "robots-3.txt", robots_verdict="unknown"),
    "unread": snapshot("robots_txt", "robots-4.txt"),
}


@pytest.mark.parametrize("stated", ["", "allowed", "disallowed", "unknown"])
def test_robots_by_all_that_was_stored(stated: str) -> None:
    fields = f'robots_verdict = "{stated}"' if stated else ""
    for count in range(len(ROBOTS) + 1):
        for names in itertools.combinations(ROBOTS, count):
            outcome = crawled("SRC-07", *(ROBOTS[name] for name in names), fields=fields).outcome
            if "disallowed" in (*names, stated):
                assert outcome is FAIL
            elif not names:
                assert outcome is INCOMPLETE, "what nobody stored proves nothing"
            elif stated == "allowed" or set(names) == {"allowed"}:
                assert outcome is PASS
            else:
                assert outcome is INCOMPLETE


def test_a_snapshot_speaks_for_the_site_that_it_is_named_after() -> None:
    both = 'domains = ["a.org=1", "b.org=2"]'
    bare = ROBOTS["allowed"]
    named = [
        snapshot("robots_txt", f"robots-{host}.txt", robots_verdict="allowed") for host in ("a.org", "b.org")
    ]
    assert crawled("SRC-07", bare, fields='domains = ["a.org=1"]').outcome is PASS
    answer = crawled("SRC-07", bare, fields=both)
    assert answer.outcome is INCOMPLETE
    assert "a.org, b.org" in answer.messages
    assert "b.org" in crawled("SRC-07", named[0], fields=both).messages
    assert crawled("SRC-07", *named, fields=both).outcome is PASS
    within = 'domains = ["a.org=1", "b.org=2", "new-a.org=3"]'
    other = snapshot("robots_txt", "robots-new-a.org.txt", robots_verdict="allowed")
    assert "after a.org |" in crawled("SRC-07", named[1], other, fields=within).messages
    assert crawled("SRC-07", *named, other, fields=within).outcome is PASS
    assert crawled("SRC-07", bare, fields=both + '\nrobots_verdict = "allowed"').outcome is PASS


def test_two_verdicts_that_met_in_a_merge_are_none() -> None:
    merged = 'undetermined = ["robots_verdict"]'
    assert crawled("SRC-07", ROBOTS["allowed"], fields=merged).outcome is INCOMPLETE
    assert crawled("SRC-07", ROBOTS["disallowed"], fields=merged).outcome is FAIL


def test_other_acquisitions_need_no_snapshot_and_count_refusals_all_the_same() -> None:
    assert crawled("SRC-07", acquisition="api").outcome is PASS
    assert crawled("SRC-07", ROBOTS["disallowed"], acquisition="bulk").outcome is FAIL
    merged = 'undetermined = ["acquisition"]'
    assert crawled("SRC-07", acquisition="api", fields=merged).outcome is INCOMPLETE


# SRC-08

QUIET = snapshot("robots_txt", "robots.txt", robots_verdict="allowed")
LICENCE = '{ type = "licence_text" }'


def mined(*evidence: str, basis: str = "tdm_exception", fields: str = "", **parameters: bool) -> Outcome:
    lines = f'legal_basis = "{basis}"\n{fields}'
    return crawled("SRC-08", QUIET, *evidence, fields=lines, **parameters).outcome


def test_reservations() -> None:
    free, held = snapshot("tdmrep", tdm_reservation="0"), snapshot("tdmrep", tdm_reservation="1")
    unknown, silent = snapshot("tdmrep", tdm_reservation="unknown"), snapshot("headers")
    assert mined(free) is PASS
    assert mined(free, silent) is PASS
    assert mined(snapshot("headers", tdm_reservation="0")) is PASS
    assert mined(held) is mined(free, held) is mined(snapshot("headers", tdm_reservation="1")) is FAIL
    assert mined() is mined(unknown) is mined(silent) is mined(free, unknown) is INCOMPLETE
    assert mined(fields='tdm_reservation = "0"') is INCOMPLETE, "what nobody stored proves nothing"
    assert mined(silent, fields='tdm_reservation = "0"') is PASS
    assert mined(free, fields='tdm_reservation = "1"') is FAIL
    assert mined(free, fields='undetermined = ["tdm_reservation"]') is INCOMPLETE
    assert crawled("SRC-08", acquisition="api").outcome is PASS
    assert crawled("SRC-08", held, acquisition="api", fields='legal_basis = "statutory"').outcome is FAIL


def test_each_site_says_what_it_reserves() -> None:
    sites = 'domains = ["a.org=1", "b.org=2"]'
    free = [snapshot("tdmrep", f"tdmrep-{host}.json", tdm_reservation="0") for host in ("a.org", "b.org")]
    held = snapshot("tdmrep", "tdmrep-b.org.json", tdm_reservation="1")
    assert mined(*free, fields=sites) is PASS
    assert mined(free[0], held, fields=sites) is FAIL
    assert mined(free[0], fields=sites) is INCOMPLETE, "taking the refusal away doesn't help"
    assert mined(free[0], fields=sites + '\ntdm_reservation = "0"') is PASS


def test_a_licence_settles_a_reservation_while_its_text_holds() -> None:
    held = snapshot("tdmrep", tdm_reservation="1")
    for basis in ("licence", "contract"):
        assert mined(held, LICENCE, basis=basis) is PASS
        assert mined(held, '{ type = "contract" }', basis=basis) is PASS
        assert mined(held, basis=basis) is FAIL
        assert mined(held, '{ type = "licence_text", valid_to = "2026-11-21" }', basis=basis) is FAIL
        assert mined(held, '{ type = "licence_text", bytes = "other" }', basis=basis) is FAIL
        assert mined(held, LICENCE, basis=basis, fields='undetermined = ["legal_basis"]') is FAIL
    assert mined(held, LICENCE, basis="tdm_exception") is FAIL
    assert mined(LICENCE, basis="licence") is PASS, "under a licence it does not matter what was reserved"


def test_training_that_is_refused_counts_where_the_pack_wants_it() -> None:
    free = snapshot("tdmrep", tdm_reservation="0")
    refusing = snapshot("headers", tdm_reservation="0", train_ai="n")
    assert mined(free, refusing) is FAIL
    assert mined(free, refusing, aipref=False) is PASS
    assert mined(free, snapshot("headers", train_ai="y")) is PASS
    assert mined(free, fields='aipref = "search=y, train-ai=n"') is FAIL
    assert mined(free, fields='aipref = "search=n"') is PASS
    assert mined(free, fields='undetermined = ["aipref"]') is INCOMPLETE
    no_robots = crawled("SRC-08", free, fields='legal_basis = "statutory"')
    assert no_robots.outcome is INCOMPLETE
    assert "robots.txt" in no_robots.messages


def test_taking_the_one_snapshot_away_never_helps() -> None:
    for facts in ({"tdm_reservation": "1"}, {"tdm_reservation": "unknown"}, {}):
        for stated in ("", 'tdm_reservation = "0"'):
            before = mined(snapshot("tdmrep", **facts), fields=stated)
            after = mined(fields=stated)
            assert after is not PASS or before is PASS
