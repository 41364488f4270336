"""What becomes of releases: statuses, what speaks against them by now, exports; gc and fsck."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dsvc.lineage.validation import Outcome
from dsvc.model.errors import (
    DsvcError,
    MalformedInputError,
    NotFoundError,
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
from dsvc.porcelain.records.release_chain import ReleaseStateError, release_head
from dsvc.porcelain.release.release_export import FolderNotEmptyError
from tests.releasing import OWN, Shop, drop_tag, evaluate, filled, shop

__all__ = ["filled", "shop"]


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
