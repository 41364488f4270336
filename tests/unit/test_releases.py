"""Releases: what is refused and why, the tag, who wins, what becomes of them; git checks the signature."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dsvc.history.ref_name import tag_ref
from dsvc.lineage.validation import Outcome
from dsvc.model.errors import (
    BlockingDefectError,
    ConcurrentChangeError,
    DsvcError,
    LineageBrokenError,
    NotFoundError,
    PolicyDeniedError,
    PolicyIncompleteError,
    UsageError,
)
from dsvc.model.release import (
    ReleaseStatus,
)
from dsvc.model.run_record import RunKind
from dsvc.porcelain.release import releases
from dsvc.porcelain.release.release_facts import About
from dsvc.porcelain.release.release_tag import ReleaseTag
from dsvc.porcelain.release.releases import ReleaseNameTakenError
from dsvc.release.facts import DefectStanding
from dsvc.release.facts_codec import facts_digest
from tests.lineagekit import csv
from tests.releasing import OWN, Shop, evaluate, filled, shop
from tests.signkit import SSH_KEYGEN, person

__all__ = ["filled", "shop"]


def refs(shop: Shop) -> dict[str, str]:
    return {name: str(tip) for name, tip in shop.repo.history.refs.list().items()}


# Creating


def test_a_release_is_a_tag_and_a_chain_that_say_the_same(shop: Shop) -> None:
    head = shop.repo.history.refs.head()
    shop.lab.work.write({b"raw/b.csv": b"id\n9\n", b"new": b"x"})
    tree = shop.lab.work.tree()
    done = shop.repo.release_create(
        "v1",
        about=About(title="评论", notes="第一版\n", contact="a@example.org"),
        consumers=["某院", "某院", "lab"],
    )
    assert shop.repo.history.refs.head() == head
    assert shop.lab.work.tree() == tree
    facts = done.facts
    assert (done.state.status, done.state.commit) == (ReleaseStatus.RELEASED, head.commit)
    assert done.state.consumers == ("lab", "某院")
    assert (facts.verdict.outcome, facts.verdict.digest) == (Outcome.PASS, done.verdict.digest)
    tag = ReleaseTag(shop.repo, "v1")
    assert tag.target == head.commit
    assert tag.text is not None
    lines = dict(line.split(": ", 1) for line in tag.text.splitlines() if line.startswith("Dsvc-"))
    assert lines["Dsvc-Manifest"] == facts.manifest
    assert lines["Dsvc-Verdict"] == f"PASS {facts.verdict.digest}"
    assert lines["Dsvc-Facts"] == facts_digest(facts)
    assert lines["Dsvc-Counts"] == "files=6 bytes=152 rows=19 runs=2 sources=2 dropped=3 unspecified=3"
    assert shop.repo.release_document("v1", "notes") == "第一版\n".encode()
    assert "评论" in shop.repo.release_document("v1", "README.zh.md").decode()
    assert json.loads(shop.repo.release_document("v1", "croissant.json"))["name"] == "评论"
    assert [tag.name for tag in shop.repo.tags()] == ["v1"]


def test_a_name_is_taken_once(shop: Shop) -> None:
    shop.repo.create_tag("v0")
    shop.repo.release_create("v1")
    before = refs(shop)
    for name in ("v0", "v1"):
        with pytest.raises(ReleaseNameTakenError):
            shop.repo.release_create(name)
    for name in ("", "a..b", "-x", "HEAD"):
        with pytest.raises(DsvcError):
            shop.repo.release_create(name)
    with pytest.raises(NotFoundError):
        shop.repo.release_create("v2", "nowhere")
    with pytest.raises(NotFoundError):
        shop.repo.release_create("v2", paths=[b"clean/x.csv"])
    with pytest.raises(UsageError):
        shop.repo.release_create("v2", consumers=[" "])
    assert refs(shop) == before


@pytest.mark.parametrize("ref", ["refs/dsvc/releases/v1", "refs/dsvc/sources/b"])
def test_f29_of_two_at_once_one_wins_and_what_the_gate_did_not_see_stops_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, ref: str
) -> None:
    collect = releases.collect_facts

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(releases, "collect_facts", collect)
        if ref.endswith("v1"):
            shop.lab.work.open().release_create("v1")
        else:
            shop.lab.work.open().source_withdraw("b", "revoked")
        return collect(*arguments)

    monkeypatch.setattr(releases, "collect_facts", meanwhile)
    with pytest.raises(ConcurrentChangeError):
        shop.repo.release_create("v1")
    assert (shop.repo.history.refs.get(tag_ref("v1")) is not None) == ref.endswith("v1")


def test_only_some_paths_are_given_out_and_a_name_makes_a_file_data(shop: Shop) -> None:
    done = shop.repo.release_create("v1", paths=["全部.csv".encode(), b"clean"])
    assert [file.path.decode() for file in done.facts.files] == ["clean/甲.csv", "全部.csv"]
    assert done.facts.mixture.rows == 9
    with pytest.raises(LineageBrokenError) as caught:
        shop.repo.release_create("v2", paths=[b"README.md"])
    assert "README.md has no source" in caught.value.message


# Refusing


def test_every_reason_is_listed_and_the_code_is_the_first(shop: Shop, tmp_path: Path) -> None:
    shop.lab.put({b"raw/c.csv": csv([(1, "c")])})
    shop.lab.commit("no source")
    shop.repo.source_set("b", fields={"license_expression": "undetermined", "contains_pi": "unknown"})
    shop.lab.put({b"more.py": b"x"})
    shop.lab.commit("pinned")
    before = refs(shop)
    with pytest.raises(LineageBrokenError) as caught:
        shop.repo.release_create("v1")
    error = caught.value
    codes = {each["exit_code"] for each in error.details["violations"]}  # type: ignore[attr-defined]
    assert error.exit_code == 22
    assert codes == {22, 21}
    verdict = shop.repo.check(gate=releases.Gate.RELEASE)
    wanted = {each.message for each in verdict.violations if each.blocks}
    assert {each["message"] for each in error.details["violations"]} >= wanted - {""}  # type: ignore[attr-defined]
    assert all(message in error.message for message in wanted)
    assert refs(shop) == before


def test_what_cannot_be_told_and_what_is_denied(shop: Shop) -> None:
    shop.repo.source_set("b", fields={"contains_pi": "unknown"})
    shop.lab.put({b"more.py": b"x"})
    shop.lab.commit("pinned")
    with pytest.raises(PolicyIncompleteError):
        shop.repo.release_create("v1")
    shop.repo.source_set("b", fields={"contains_pi": "none", "license_expression": "CC-BY-NC-4.0"})
    shop.lab.put({b"dsvc.toml": b'[policy]\npacks = ["default"]\npurpose = "commercial"\n'})
    with pytest.raises(PolicyDeniedError):
        shop.lab.commit("pinned") and shop.repo.release_create("v1")
    assert not shop.repo.releases()


def test_a_blocking_defect_blocks_under_any_policy_and_others_are_printed(shop: Shop) -> None:
    bad = {"path": "全部.csv", "position": 1, "symptom": "错标", "severity": "P1"}
    evaluate(shop, bad, {**bad, "position": 2, "symptom": "short", "severity": "P3"})
    shop.lab.put({b"own.toml": OWN})
    for toml in (b"", b'[policy]\npacks = ["own.toml"]\n'):
        shop.lab.put({b"dsvc.toml": toml})
        shop.lab.commit("policy")
        with pytest.raises(BlockingDefectError) as caught:
            shop.repo.release_create("v1")
        assert "PIL-02" in caught.value.message
    (blocking,) = [each for each in shop.repo.defects() if each.symptom == "错标"]
    shop.repo.defect_reject(blocking.id, "no")
    with pytest.raises(BlockingDefectError):
        shop.repo.release_create("v1")
    other = next(each for each in shop.repo.defects() if each.symptom == "short")
    assert other.is_open


def test_a_release_prints_open_defects_evaluations_and_what_it_gained(shop: Shop) -> None:
    shop.repo.release_create("v1")
    run = {
        "suite": "pilot",
        "metrics": [{"name": "accuracy", "value": 0.5, "n": 400, "higher_is_better": True}],
    }
    bad = {"path": "全部.csv", "position": 1, "symptom": "错标", "severity": "P3"}
    first = evaluate(shop, run, bad)
    rows = [(0, "x0"), (1, "对"), (2, "x2"), (3, "x3"), (4, "x4"), (5, "n")]
    (whole,) = shop.lab.put({"全部.csv".encode(): csv(rows)}).values()
    old = shop.repo.manifest_of("HEAD").get(whole.path)
    assert old is not None
    shop.lab.run(
        "改", [old], [whole], {(0, 0): [(n, n) for n in range(5)]}, kind=RunKind.AUGMENT, changed={0: [1]}
    )
    shop.lab.commit("改")
    second = evaluate(
        shop,
        {**run, "metrics": [{**run["metrics"][0], "value": 0.8}]},
        {"path": "全部.csv", "position": 1, "passed": True},
        {**bad, "position": 0},
    )  # type: ignore[dict-item]
    facts = shop.repo.release_create("v2").facts
    assert [each.feedback for each in facts.evaluations] == [second.feedback]
    assert {each.standing for each in facts.defects} == {DefectStanding.OPEN}
    since = facts.since
    assert since is not None
    assert since.release == "v1"
    (change,) = [each for each in since.files if each.path == whole.path]
    assert (change.rows_added, change.rows_removed, change.rows_changed) == (1, 0, 1)
    (metric,) = since.metrics
    assert (metric.before, metric.after, metric.is_better) == (0.5, 0.8, True)
    assert first.feedback != second.feedback


# Signing


def test_git_accepts_the_signature_of_a_tag(shop: Shop, tmp_path: Path) -> None:
    if SSH_KEYGEN is None or shutil.which("git") is None:
        pytest.skip("git and ssh-keygen are needed")
    ann = person("ann@example.org")
    shop.repo.config.set("user.signingKey", str(ann.save(tmp_path, "ann")))
    done = shop.repo.release_create("v1", sign=True)
    assert done.signer == ann.key.public.fingerprint
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ann@example.org {ann.public}\n", "utf-8")
    git = [
        "git",
        "-C",
        shop.repo.layout.git,
        "-c",
        "gpg.format=ssh",
        "-c",
        f"gpg.ssh.allowedSignersFile={allowed}",
    ]
    for words in (["verify-tag", "v1"], ["tag", "-v", "v1"]):
        found = subprocess.run([*git, *words], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        assert 'Good "git" signature for ann@example.org' in found.stderr
    (tag,) = shop.repo.tags()
    assert "SSH SIGNATURE" not in (tag.message or "")
    assert shop.repo.release_verify("v1").outcome is Outcome.PASS
