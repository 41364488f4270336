"""Releases: what is refused and why, the tag, who wins, what becomes of them; git checks the signature."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dsvc.history.ref_name import tag_ref
from dsvc.history.refs import RefChange
from dsvc.lineage.validation import Outcome
from dsvc.model.errors import (
    BlockingDefectError,
    ConcurrentChangeError,
    DsvcError,
    LineageBrokenError,
    MalformedInputError,
    NotFoundError,
    PolicyDeniedError,
    PolicyIncompleteError,
    UsageError,
)
from dsvc.model.release import (
    ReleaseOperation,
    ReleaseStatus,
    ReleaseVerb,
    decode_release_operation,
    encode_release_operation,
    status_after,
)
from dsvc.porcelain import releases
from dsvc.porcelain.release_chain import ReleaseStateError, release_head
from dsvc.porcelain.release_export import FolderNotEmptyError
from dsvc.porcelain.release_facts import About
from dsvc.porcelain.release_tag import ReleaseTag
from dsvc.porcelain.releases import ReleaseNameTakenError
from dsvc.release.facts import DefectStanding
from dsvc.release.facts_codec import facts_digest
from tests.lineagekit import csv
from tests.releasing import Shop
from tests.signkit import SSH_KEYGEN, person


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "数据"
    made = Shop(folder)
    made.fill()
    # What detectors say, and indexes of rows, stay in the cache for all tests.
    made.repo.release_create("v1")
    made.repo.undo()
    return folder


@pytest.fixture
def shop(filled: Path, tmp_path: Path) -> Shop:
    shutil.copytree(filled, tmp_path / "数据")
    return Shop(tmp_path / "数据")


def refs(shop: Shop) -> dict[str, str]:
    return {name: str(tip) for name, tip in shop.repo.history.refs.list().items()}


def drop_tag(shop: Shop) -> None:
    """Take the tag away as nobody can with dsvc."""
    tip = shop.repo.history.refs.get(tag_ref("v1"))
    shop.repo.record("forge", changes=[RefChange(tag_ref("v1"), tip, None)])


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
def test_of_two_at_once_one_wins_and_what_the_gate_did_not_see_stops_it(
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


def evaluate(shop: Shop, *lines: object, subject: str = "全部.csv", **more: Any) -> Any:
    path = shop.folder.parent / "结果.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return shop.repo.feedback_import(str(path), subject=subject, suite="pilot", **more)


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


OWN = """
id = "own"
version = "1"
date = "2026-01-01"
title = {en = "own", zh = "自己"}
[rules.LIN-01]
clause = "x"
severity = "blocking"
stage = "push"
""".encode()


def test_a_release_prints_open_defects_evaluations_and_what_it_gained(shop: Shop) -> None:
    shop.repo.release_create("v1")
    run = {
        "suite": "pilot",
        "metrics": [{"name": "accuracy", "value": 0.5, "n": 400, "higher_is_better": True}],
    }
    bad = {"path": "全部.csv", "position": 1, "symptom": "错标", "severity": "P3"}
    first = evaluate(shop, run, bad)
    (whole,) = shop.lab.put(
        {"全部.csv".encode(): csv([(0, "x0"), (1, "对"), (2, "x2"), (3, "x3"), (4, "x4"), (5, "n")])}
    ).values()
    old = shop.repo.manifest_of("HEAD").get(whole.path)
    assert old is not None
    shop.lab.run("改", [old], [whole], {(0, 0): [(n, n) for n in range(5)]}, kind=KIND, changed={0: [1]})
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


from dsvc.model.run_record import RunKind  # noqa: E402

KIND = RunKind.AUGMENT


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


# What becomes of them


def test_statuses_only_go_forward() -> None:
    names: dict[ReleaseStatus | None, set[str]] = {}
    for status in (None, *ReleaseStatus):
        names[status] = {verb.value for verb in ReleaseVerb if status_after(status, verb) is not None}
    assert names[None] == {"announce", "create"}
    assert names[ReleaseStatus.ANNOUNCED] == {"announce", "create", "withdraw"}
    assert names[ReleaseStatus.RELEASED] == {"announce", "deprecate", "archive", "offline", "withdraw"}
    assert names[ReleaseStatus.DEPRECATED] == {"announce", "archive", "offline", "withdraw"}
    assert names[ReleaseStatus.ARCHIVED] == {"announce", "offline", "withdraw"}
    assert names[ReleaseStatus.OFFLINE] == {"withdraw"}
    assert names[ReleaseStatus.WITHDRAWN] == set()


def test_a_release_ends_with_a_reason_and_names_who_is_concerned(shop: Shop) -> None:
    shop.repo.release_create("v1", consumers=["lab"])
    shop.lab.put({b"more.py": b"x"})
    shop.lab.commit("more")
    shop.repo.release_create("v2")
    shop.repo.release_announce("v1", consumers=["某院"])
    found = shop.repo.release_downstream("v1")
    assert (found.consumers, found.releases) == (("lab", "某院"), ("v2",))
    assert shop.repo.release_downstream("v2") == ((), ())
    with pytest.raises(UsageError):
        shop.repo.release_end("v1", "deprecate", " ")
    for verb, status in (("deprecate", "deprecated"), ("archive", "archived"), ("offline", "offline")):
        state = shop.repo.release_end("v1", verb, "旧")
        assert (state.status.value, state.reason) == (status, "旧")
        assert state.history[0].operation.listed == ("lab", "某院")
        assert state.history[0].operation.downstream == ("v2",)
        assert shop.repo.release_verify("v1").outcome is Outcome.PASS
        with pytest.raises(ReleaseStateError):
            shop.repo.release_end("v1", "deprecate", "again")
    with pytest.raises(ReleaseStateError):
        shop.repo.release_export("v1", str(shop.folder.parent / "out"))
    assert shop.repo.release_end("v1", "withdraw", "bad").status is ReleaseStatus.WITHDRAWN
    assert shop.repo.release_create("v3").facts.since is not None
    assert shop.repo.release("v3")[1].since.release == "v2"  # type: ignore[union-attr]
    shop.repo.undo()
    assert [each.name for each in shop.repo.releases()] == ["v1", "v2"]


def test_a_release_is_announced_before_it_is_created(shop: Shop) -> None:
    with pytest.raises(UsageError):
        shop.repo.release_announce("v1")
    with pytest.raises(UsageError):
        shop.repo.release_announce("v1", until="2001-01-01")
    assert shop.repo.release_announce("v1", until="2999-01-01").status is ReleaseStatus.ANNOUNCED
    for ask in (shop.repo.release_verify, shop.repo.release_reruns):
        with pytest.raises(ReleaseStateError):
            ask("v1", **({"count": 1} if ask == shop.repo.release_reruns else {}))
    shop.lab.put({b"dsvc.toml": b'[policy]\npacks = ["own.toml"]\n', b"own.toml": OWN + ANNOUNCED})
    shop.lab.commit("policy")
    with pytest.raises(DsvcError) as caught:
        shop.repo.release_create("v1")
    assert "people can object until 2999-01-01" in caught.value.message
    shop.lab.put({b"dsvc.toml": b""})
    shop.repo.release_announce("v2", until="2999-01-01")
    state = shop.repo.release_end("v2", "withdraw", "objections")
    assert (state.status, state.created) == (ReleaseStatus.WITHDRAWN, None)
    with pytest.raises(ReleaseStateError):
        shop.repo.release_create("v2")


ANNOUNCED = b'[rules.REL-01]\nclause = "x"\nseverity = "blocking"\nstage = "release"\n'


def test_releases_that_something_speaks_against_by_now(shop: Shop) -> None:
    shop.repo.release_create("v1")
    shop.repo.release_create("v2", paths=["raw/甲.csv".encode()])
    assert shop.repo.releases_affected() == []
    shop.repo.source_withdraw("b", "revoked")
    assert [each.state.name for each in shop.repo.releases_affected()] == ["v1"]
    evaluate(
        shop, {"path": "raw/甲.csv", "position": 0, "symptom": "bad", "severity": "P1"}, subject="raw/甲.csv"
    )
    found = {each.state.name: each.reasons for each in shop.repo.releases_affected()}
    assert [len(found[name]) for name in ("v1", "v2")] == [2, 1]
    shop.repo.release_end("v1", "withdraw", "source b")
    assert [each.state.name for each in shop.repo.releases_affected()] == ["v2"]


def test_what_reached_a_release(shop: Shop) -> None:
    shop.repo.release_create("v1", paths=["全部.csv".encode()])
    assert shop.repo.impact("source:b").releases == ("v1",)
    assert shop.repo.impact("run:清洗").releases == ("v1",)
    assert shop.repo.impact("raw/甲.csv").releases == ("v1",)
    reached = {n: shop.repo.impact(f"raw/甲.csv#id={n}").releases for n in range(6)}
    assert {n for n, names in reached.items() if names} == {0, 2, 3, 5}
    assert shop.repo.impact("README.md").releases == ()
    trace = shop.repo.trace("release:v1")
    assert trace.complete
    assert {each.source.id for each in trace.sources} == {"甲", "b"}
    nodes = {str(node) for node in shop.repo.lineage("raw/甲.csv", "down").graph.nodes()}
    assert "release:v1" in nodes
    with pytest.raises(NotFoundError):
        shop.repo.trace("release:v9")


# Written out, and kept


def test_an_exported_release_is_read_by_loaders(shop: Shop, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    shop.repo.release_create("v1", paths=["全部.csv".encode(), b"README.md".replace(b"README.md", b"clean")])
    out = tmp_path / "out"
    done = shop.repo.release_export("v1", str(out))
    assert (done.files, sorted(os.listdir(out))) == (
        2,
        sorted(["README.md", "README.zh.md", "clean", "croissant.json", "statement.jsonl", "全部.csv"]),
    )
    dataset = mlcroissant.Dataset(str(out / "croissant.json"))
    names = [each.uuid for each in dataset.metadata.record_sets]
    assert len(names) == 2
    (wanted,) = [name for name in names if "clean" not in name]
    rows = [list(record.values()) for record in dataset.records(wanted)]
    assert [row[0] for row in rows] == [0, 1, 2, 3, 4]
    with pytest.raises(FolderNotEmptyError):
        shop.repo.release_export("v1", str(out))


def test_the_attestation_is_one_for_in_toto(shop: Shop) -> None:
    pytest.importorskip("in_toto_attestation")
    from google.protobuf import json_format
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    shop.repo.release_create("v1")
    lines = shop.repo.release_document("v1", "statement.jsonl").splitlines()
    assert len(lines) == 2 + 2
    for line in lines:
        message = json_format.Parse(line, Message())
        Statement.copy_from_pb(message).validate()


def test_gc_keeps_a_release_whose_branch_and_tag_are_gone(shop: Shop) -> None:
    shop.repo.release_create("v1")
    state = release_head(shop.repo, "v1")
    assert state.commit is not None
    with pytest.raises(UsageError):
        shop.repo.delete_tag("v1")
    with pytest.raises(UsageError):
        shop.repo.create_tag("v1", force=True)
    drop_tag(shop)
    (finding,) = shop.repo.release_verify("v1").findings
    assert (finding.check, finding.outcome) == ("tag", Outcome.FAIL)
    assert shop.repo.fsck(read_data=True).defects == ()


def operations() -> Iterator[bytes]:
    plain = ReleaseOperation(verb=ReleaseVerb.ANNOUNCE, at="2026-01-01T00:00:00Z", by="a <b>")
    yield encode_release_operation(msgspec.structs.replace(plain, format=2))
    yield encode_release_operation(msgspec.structs.replace(plain, commit="0" * 40))
    yield encode_release_operation(msgspec.structs.replace(plain, until="soon"))
    yield encode_release_operation(msgspec.structs.replace(plain, verb=ReleaseVerb.CREATE))
    yield encode_release_operation(msgspec.structs.replace(plain, reason="x" * 70_000))
    yield b""
    yield b"\xc1" * 9


@pytest.mark.parametrize("data", list(operations()))
def test_a_malformed_operation_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInputError):
        decode_release_operation(data)
