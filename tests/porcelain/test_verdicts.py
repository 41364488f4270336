"""Verdicts: which policy judges, as of when, and that the same is said of the same."""

from __future__ import annotations

import pytest

from dsvc.lineage.validation import Gate, Outcome
from dsvc.model.errors import LineageBrokenError, PolicyDeniedError
from dsvc.porcelain.policy.audit_facts import audit_facts
from dsvc.porcelain.state.moment import MomentError, parse_moment
from tests.lineagekit import Lab, numbered
from tests.porcelain.working import Work

POLICY = b'[policy]\npacks = ["default"]\npurpose = "research"\nshared = false\n'
OWN = """id = "own"
version = "{version}"
date = "2026-01-01"
title = {{ en = "Own", zh = "Own" }}

[rules.SRC-04]
severity = "{severity}"
stage = "{stage}"
clause = "1.2"
parameters = {{ max_rate = {rate} }}
"""


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


def own(
    *, severity: str = "blocking", stage: str = "commit", rate: float = 0.05, version: str = "1"
) -> bytes:
    return OWN.format(severity=severity, stage=stage, rate=rate, version=version).encode()


def rules(lab: Lab, **more: object) -> dict[str, Outcome]:
    return {each.rule: each.outcome for each in lab.repo.check(**more).violations}  # type: ignore[arg-type]


def test_the_same_is_said_of_the_same(lab: Lab) -> None:
    lab.put({b"dsvc.toml": POLICY, b"a.csv": numbered(3)})
    lab.repo.commit("data", no_verify=True)
    first = lab.repo.check(as_of="2026-11-22")
    assert first.outcome is Outcome.FAIL
    assert lab.repo.check(as_of="2026-11-22").bytes == first.bytes
    assert lab.repo.check(as_of="2026-11-23").digest != first.digest
    assert [pack.name.partition("@")[0] for pack in first.packs] == ["default"]
    assert len(first.packs[0].digest) == 64


def test_an_old_verdict_is_made_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    files = lab.put({b"raw.csv": numbered(3)})
    lab.source("web", [files[b"raw.csv"]])
    commit = lab.commit()
    then = lab.repo.history.read_commit(commit).committer.rfc3339()
    monkeypatch.setattr("dsvc.porcelain.state.workspace.time.time", lambda: 4_000_000_000.0)
    lab.repo.source_withdraw("web", "revoked")
    assert rules(lab) == {"LIN-02": Outcome.FAIL}
    assert rules(lab, as_of=then) == {}


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026-1-1", "", "2026-01-01T00:00:00", "9" * 400]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(MomentError):
        parse_moment(text)


def test_moments() -> None:
    assert parse_moment("1970-01-02").seconds == 2 * 86_400 - 1
    assert parse_moment("1970-01-02T01:00:00+02:00")[:2] == ("1970-01-01", 82_800)
    assert parse_moment(None).seconds is None


def test_a_policy_weakened_in_a_branch_is_judged_by_the_old_one_and_named(lab: Lab) -> None:
    lab.put({b"dsvc.toml": b'[policy]\npacks = ["own.toml"]\n', b"own.toml": own()})
    lab.commit()
    lab.work.branch("feature")
    lab.put({b"own.toml": own(severity="warning", stage="release", rate=0.5, version="2")})
    files = lab.put({b"raw.csv": numbered(3)})
    lab.source(
        "web", [files[b"raw.csv"]], record={"fields": {"pre_collection_assessment": {"harmful_rate": "0.2"}}}
    )
    with pytest.raises(PolicyDeniedError, match="SRC-04"):
        lab.repo.commit("weaker")
    lab.repo.commit("weaker", no_verify=True)
    result = lab.repo.check(target="main")
    assert ("SRC-04", Outcome.FAIL) in [
        (each.rule, each.outcome) for each in result.violations if each.blocks
    ]
    weaker = {change.what for change in result.policy_changes if change.weaker}
    assert weaker == {"SRC-04 severity", "SRC-04 stage", "SRC-04 max_rate"}
    assert {pack.name for pack in result.packs} == {"own@1", "own@2"}


def test_a_commit_cannot_change_what_the_data_are_for_to_get_in(lab: Lab) -> None:
    lab.put({b"dsvc.toml": POLICY.replace(b"research", b"commercial").replace(b"false", b"true")})
    lab.commit()
    lab.put({b"dsvc.toml": POLICY})
    lab.commit()
    changed = {change.what for change in lab.repo.check().policy_changes}
    assert changed == {"purpose", "shared"}


def test_a_release_without_a_policy_is_judged_by_the_default(lab: Lab) -> None:
    files = lab.put({b"raw.csv": numbered(3)})
    lab.source("web", [files[b"raw.csv"]])
    lab.commit()
    assert lab.repo.check().policy == ()
    assert lab.repo.check(gate=Gate.RELEASE).policy == ("default",)


def test_what_was_wrong_before_is_a_warning_until_more_of_it_comes(lab: Lab) -> None:
    files = lab.put({b"raw/a.csv": numbered(3)})
    lab.source("web", [files[b"raw/a.csv"]])
    lab.commit()
    lab.put({b"dsvc.toml": POLICY, b"note.py": b""})
    result = lab.repo.commit("a policy, later")
    assert result.verdict == "PASS"
    more = lab.put({b"raw/b.csv": numbered(4)})
    lab.source("web", [files[b"raw/a.csv"], more[b"raw/b.csv"]])
    with pytest.raises((PolicyDeniedError, LineageBrokenError, Exception), match="SRC-02"):
        lab.repo.commit("more of it")


def test_a_ref_moved_behind_the_log_is_found(lab: Lab) -> None:
    lab.put({b"a.csv": numbered(1)})
    first = lab.commit()
    lab.put({b"a.csv": numbered(2)})
    second = lab.commit()
    facts = audit_facts(lab.repo, [second])
    assert facts is not None
    assert facts.unlogged == ()
    with open(f"{lab.repo.layout.git}/refs/heads/main", "w", encoding="ascii") as stream:
        stream.write(f"{first}\n")
    moved = audit_facts(lab.repo, [second])
    assert moved is not None
    assert moved.unlogged == ("refs/heads/main",)


def test_which_sources_a_version_does_not_know_as_they_are(lab: Lab) -> None:
    entries = lab.put({b"a.csv": numbered(3), b"b.csv": numbered(4), b"c.csv": numbered(5)})
    for name, entry in zip(("一", "二", "三"), entries.values(), strict=True):
        lab.source(name, [entry])
    commit = lab.repo.commit("data", no_verify=True).commit
    assert lab.repo.changed_sources(commit) == frozenset()
    lab.repo.source_set("一", fields={"title": "changed"})
    # That this one is withdrawn counts at once, for every version.
    lab.repo.source_withdraw("二", "the licence ended")
    assert lab.repo.changed_sources(commit) == {"一"}
    again = lab.repo.commit("again", no_verify=True, allow_empty=True).commit
    assert lab.repo.changed_sources(again) == frozenset()
    assert lab.repo.changed_sources(commit) == {"一"}


@pytest.mark.parametrize("way", ["forward", "merge", "pick", "revert"])
def test_what_slipped_past_a_commit_is_not_joined_in(lab: Lab, way: str) -> None:
    lab.put({b"dsvc.toml": POLICY, b"old.csv": numbered(2)})
    lab.repo.commit("with a file of no source", no_verify=True)
    lab.work.branch("feature")
    lab.put({b"dsvc.toml": b"", b"bad.csv": numbered(3)})
    bad = lab.repo.commit("slipped past", no_verify=True).commit
    lab.repo.checkout("main")
    if way == "merge":
        lab.put({b"note.py": b"x"})
        lab.commit()
    if way == "revert":
        lab.repo.remove([b"old.csv"])
        bad = lab.repo.commit("removed").commit
    before = lab.repo.history.refs.head()
    join = {"pick": lab.repo.cherry_pick, "revert": lab.repo.revert}.get(way, lab.repo.merge)
    with pytest.raises(LineageBrokenError, match="SRC-01"):
        join(bad)
    assert lab.repo.history.refs.head() == before
    assert lab.repo.status().clean
    assert lab.repo.status().pending_runs == []
    outcome = join(bad, no_verify=True)
    assert outcome.commit is not None
    if way != "forward":
        trailers = lab.repo.history.read_commit(outcome.commit).trailers
        assert ("Dsvc-No-Verify", "true") in trailers
