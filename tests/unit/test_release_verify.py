"""release verify: the same answer in every copy; what was tampered with is named; nothing is run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from dsvc.history.refs import RefChange
from dsvc.lineage.source_tree import store_part
from dsvc.lineage.validation import Outcome
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.model.run_record import RunId
from dsvc.porcelain.records.operation_chain import prepare_operation
from dsvc.porcelain.records.release_chain import FACTS, release_head, release_part, release_ref
from dsvc.porcelain.release.release_tag import tag_text
from dsvc.porcelain.release.releases import release_parts
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs import isolation
from dsvc.porcelain.runs.isolation import NotIsolatedError, isolating_words
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.run import run
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.release.facts import ReleaseFacts
from dsvc.release.facts_codec import decode_facts
from dsvc.release.mixture import Mixture
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import read_content
from tests.releasing import Shop

MARKER = "ran.txt"
COPY = """
import os, pathlib
pathlib.Path(os.environ["MARK"]).write_text("ran")
import socket
try:
    socket.create_connection(("127.0.0.1", int(os.environ.get("PORT", "1"))), 1)
    raise SystemExit("the network is there")
except ConnectionRefusedError:
    raise SystemExit("the network is there")
except OSError:
    pass
rows = open("raw/甲.csv", encoding="utf-8").read().splitlines()
text = "\\n".join([rows[0], *(row for row in rows[1:] if int(row.split(",")[0]) % 2)]) + "\\n"
open("odd.csv", "w", encoding="utf-8").write(text if not os.environ.get("OTHER") else text.upper())
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of what was recorded by hand, and of what a real command made."""
    folder = tmp_path_factory.mktemp("shop") / "数据"
    shop = Shop(folder)
    shop.fill()
    shop.lab.work.write({b"odd.py": COPY.replace("ConnectionRefusedError", "ZeroDivisionError").encode()})
    spec = RunSpec(name="奇数", inputs=("raw/甲.csv".encode(),), outputs=(b"odd.csv",))
    environ = {**os.environ, "MARK": str(folder.parent / MARKER)}
    run(shop.repo, spec, [sys.executable, "-S", "odd.py"], environ=environ)
    (folder.parent / MARKER).unlink()
    shop.repo.add([], all=True)
    shop.lab.commit("odd")
    shop.repo.release_create("v1")
    assert shop.repo.release_verify("v1").outcome is Outcome.PASS
    return folder


@pytest.fixture
def shop(released: Path, tmp_path: Path) -> Shop:
    shutil.copytree(released, tmp_path / "copy")
    return Shop(tmp_path / "copy")


def checks(repo: Repository, outcome: Outcome = Outcome.FAIL) -> set[str]:
    found = repo.release_verify("v1")
    assert found.outcome is outcome
    return {each.check for each in found.findings}


# The same answer everywhere


def test_a_copy_of_the_folder_verifies_and_what_came_later_changes_no_answer(shop: Shop) -> None:
    assert checks(shop.repo, Outcome.PASS) == set()
    shop.repo.source_withdraw("b", "revoked")
    shop.lab.put({b"raw/z.csv": b"id\n1\n", "raw/甲.csv".encode(): None})
    shop.lab.commit("later")
    shop.repo.release_end("v1", "deprecate", "old")
    found = shop.repo.release_verify("v1")
    assert (found.outcome, found.findings) == (Outcome.PASS, ())
    assert found.notes == ("it is deprecated: old", "source b is withdrawn: revoked")


# Tampering


def rewrite(shop: Shop, change: Callable[[ReleaseFacts], ReleaseFacts], *, tag: bool) -> None:
    """Record other facts with documents that fit them, and with a tag that fits as well."""
    repo = shop.repo
    state = release_head(repo, "v1")
    facts = change(decode_facts(release_part(repo, state, FACTS)))
    parts = release_parts(facts)
    base = Manifest(repo.store, repo.history.read_commit(state.head).manifest, trees=True)
    news = {
        path: msgspec.structs.replace(store_part(repo.store, data), path=path) for path, data in parts.items()
    }
    root = base.update(sorted(news.items()))
    prepared = prepare_operation(repo, Manifest(repo.store, root, trees=True), [], "forged")
    changes = [RefChange(release_ref("v1"), state.head, prepared.id)]
    objects = [*prepared.objects]
    if tag:
        old = repo.history.refs.get("refs/tags/v1")
        made = repo.history.annotated_tag(
            name="v1",
            target=CommitId(facts.commit),
            message=tag_text(facts, parts),
            tagger=repo.signature(),
            expected=old,
        )
        changes += made.changes
        objects += made.objects
    repo.store.publish()
    repo.record("forge", changes=changes, objects=objects)


def _other_mixture(facts: ReleaseFacts) -> ReleaseFacts:
    return msgspec.structs.replace(facts, mixture=Mixture(rows=1, bytes=1))


def _no_drops(facts: ReleaseFacts) -> ReleaseFacts:
    return msgspec.structs.replace(facts, drops=msgspec.structs.replace(facts.drops, lines=()))


def _other_verdict(facts: ReleaseFacts) -> ReleaseFacts:
    return msgspec.structs.replace(facts, verdict=msgspec.structs.replace(facts.verdict, digest="0" * 64))


def _other_sha(facts: ReleaseFacts) -> ReleaseFacts:
    first, *rest = facts.files
    return msgspec.structs.replace(facts, files=(msgspec.structs.replace(first, sha256="0" * 64), *rest))


def _fewer_sources(facts: ReleaseFacts) -> ReleaseFacts:
    return msgspec.structs.replace(
        facts, lineage=msgspec.structs.replace(facts.lineage, sources=facts.lineage.sources[:1])
    )


@pytest.mark.parametrize(
    ("change", "check", "says"),
    [
        (_other_mixture, {"facts"}, "mixture"),
        (_no_drops, {"facts"}, "drops"),
        (_other_verdict, {"verdict"}, "can't be reproduced"),
        (_other_sha, {"files", "facts"}, "files"),
        (_fewer_sources, {"facts"}, "lineage.sources"),
    ],
)
def test_facts_that_are_not_so_are_found_out_even_with_documents_and_tag_that_fit(
    shop: Shop, change: Callable[[ReleaseFacts], ReleaseFacts], check: set[str], says: str
) -> None:
    rewrite(shop, change, tag=True)
    found = shop.repo.release_verify("v1")
    assert {each.check for each in found.findings} == check
    assert any(says in each.message for each in found.findings)


def test_a_tag_that_says_something_else_is_found_out(shop: Shop) -> None:
    rewrite(shop, _other_mixture, tag=False)
    assert checks(shop.repo) == {"tag", "facts"}
    old = shop.repo.history.refs.get("refs/tags/v1")
    head = shop.repo.history.refs.head().commit
    for new in (head, None):
        shop.repo.record("forge", changes=[RefChange("refs/tags/v1", old, new)])
        assert "tag" in checks(shop.repo)
        old = new


def test_bytes_that_are_gone_or_wrong_are_named_and_never_pass(shop: Shop) -> None:
    repo = shop.repo
    facts = repo.release("v1")[1]
    assert facts is not None
    run_root = RunId.parse(facts.lineage.runs[0].id)
    part = Manifest(repo.store, run_root, trees=True).get(b"maps/0-0") or repo.manifest_of("HEAD").get(
        b"odd.py"
    )
    assert part is not None
    wanted = {
        "files": bytes.fromhex(facts.files[-1].blake3),
        "lineage": part.digest,
        "statement": repo.manifest(repo.history.read_commit(release_head(repo, "v1").head).manifest).root,
    }
    for name, id_ in wanted.items():
        pack = Path(repo.layout.root) / "packs" / f"{repo.store.locate(id_)[0].pack.hex()}.pack"
        (found,) = [each for each in pack.parent.rglob("*") if pack.stem in each.name]
        data = found.read_bytes()
        found.unlink()
        with Repository.open(str(shop.folder)) as again:
            answer: object = Outcome.PASS
            try:
                answer = again.release_verify("v1").outcome
            except DsvcError as error:
                answer = error.exit_code
        assert answer in (Outcome.INCOMPLETE, Outcome.FAIL, 30, 31), name
        found.write_bytes(data)
    with Repository.open(str(shop.folder)) as again:
        assert again.release_verify("v1").outcome is Outcome.PASS


# Doing runs again


def test_no_recorded_command_runs_without_a_yes(shop: Shop, released: Path) -> None:
    marker = released.parent / MARKER
    shop.repo.release_verify("v1")
    plan = shop.repo.release_reruns("v1", 3)
    shop.repo.release_verify("v1", reruns=plan)
    assert not marker.exists()
    assert not (shop.folder / MARKER).exists()
    assert [each.name for each in shop.repo.release_reruns("v1", 9)].count("奇数") == 1
    assert shop.repo.release_reruns("v1", 2) == plan[:2]


def test_runs_are_done_again_without_network(shop: Shop, tmp_path: Path) -> None:
    plan = [each for each in shop.repo.release_reruns("v1", 9) if each.name == "奇数"]
    environ = {**os.environ, "MARK": str(tmp_path / MARKER)}
    try:
        through = isolating_words(environ)
    except NotIsolatedError:
        pytest.skip("the kernel lets nobody make a network of their own")
    found = shop.repo.release_verify("v1", reruns=plan, how=Carrier(environ=environ, through=through))
    assert (found.outcome, found.findings) == (Outcome.PASS, ())
    assert (tmp_path / MARKER).read_text() == "ran"
    other = Carrier(environ={**environ, "OTHER": "1"}, through=through)
    (finding,) = shop.repo.release_verify("v1", reruns=plan, how=other).findings
    assert (finding.check, finding.outcome) == ("rerun", Outcome.FAIL)
    assert "odd.csv" in finding.message
    (finding,) = shop.repo.release_verify(
        "v1", reruns=plan, how=Carrier(environ={"PATH": ""}, through=through)
    ).findings
    assert "can't be done again" in finding.message


def test_where_nothing_can_be_isolated_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotIsolatedError):
        isolating_words({"PATH": "/nonexistent"})
    monkeypatch.setattr(isolation, "_WAYS", (("--no-such-option",),))
    if shutil.which("unshare") and shutil.which("prlimit"):
        with pytest.raises(NotIsolatedError):
            isolating_words(os.environ)
        assert isolating_words(os.environ, network=True)[0].endswith("prlimit")


def test_the_documents_are_kept_byte_for_byte(shop: Shop) -> None:
    state = release_head(shop.repo, "v1")
    facts = decode_facts(release_part(shop.repo, state, FACTS))
    manifest = Manifest(shop.repo.store, shop.repo.history.read_commit(state.head).manifest, trees=True)
    for path, data in release_parts(facts).items():
        entry = manifest.get(path)
        assert entry is not None
        assert read_content(shop.repo.store, entry) == data
