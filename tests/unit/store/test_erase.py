"""Erasure: no copy of the bytes remains, the id does, and nothing brings it back unasked."""

from __future__ import annotations

import contextlib
from pathlib import Path

import blake3
import pytest

from dsvc.model.errors import CorruptDataError, ErasedError, NotFoundError, UsageError
from dsvc.model.ids import ChunkId
from dsvc.store import pack as packs_of
from dsvc.store.absence import stored_lengths
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.erase import erase
from dsvc.store.manifest_tree import Manifest
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.prune import collect
from dsvc.store.scrub import check_packs
from dsvc.store.tree_check import TreeCheck
from tests.storekit import local_store, noise, put_file, put_manifest, read_manifest, reopened

SECRET = noise(5000, 42)
ID = ChunkId(blake3.blake3(SECRET).digest())
TREE = {b"secret": SECRET, b"public": noise(5000, 43), b"z": b"z"}


def test_no_copy_of_the_bytes_remains(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    root = put_manifest(store, TREE, raw=True)
    (first,) = store.backend.list_packs()
    store.backend.trash([first], "000001-x")
    other = put_manifest(reopened(store), {**TREE, b"y": b"y"}, raw=True)
    third = put_manifest(reopened(store), {b"innocent": noise(3000, 5)}, raw=True)
    done = erase(reopened(store), [ID])
    assert (done.objects, done.packs) == (1, 2)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET[100:200] not in path.read_bytes(), path
    fresh = reopened(store)
    with pytest.raises(ErasedError):
        fresh.get(ID)
    assert fresh.get(blake3.blake3(TREE[b"public"]).digest()) == TREE[b"public"]
    assert read_manifest(fresh, third) == {b"innocent": noise(3000, 5)}
    assert all(not report.defects for report in check_packs(fresh.backend, read_data=True))
    tree = TreeCheck(fresh, read_data=True)
    tree.check([root, other, third])
    assert tree.defects == []
    assert erase(fresh, [ID]).packs == 0, "again: nothing to do"


def test_what_was_erased_is_not_stored_again_unasked() -> None:
    store = ChunkStore(MemoryBackend())
    put_manifest(store, TREE, raw=True)
    erase(store, [ID])
    fresh = reopened(store)
    with pytest.raises(ErasedError):
        put_file(fresh, b"again", SECRET, raw=True)
    fresh.revive_erased = True
    put_file(fresh, b"again", SECRET, raw=True)
    fresh.publish()
    assert reopened(fresh).get(ID) == SECRET


def test_an_erased_id_survives_gc() -> None:
    store = ChunkStore(MemoryBackend())
    root = put_manifest(store, TREE, raw=True)
    put_manifest(store, {b"gone": noise(90_000, 1)}, raw=True)
    erase(store, [ID])
    collect(reopened(store), lambda: [root], contextlib.nullcontext, grace_seconds=0)
    fresh = reopened(store)
    with pytest.raises(ErasedError):
        fresh.get(ID)
    assert len(fresh.backend.list_packs()) == 1


def test_nodes_and_unknown_ids_are_refused() -> None:
    store = ChunkStore(MemoryBackend())
    root = put_manifest(store, TREE)
    with pytest.raises(UsageError):
        erase(store, [ChunkId(bytes(root))])
    with pytest.raises(NotFoundError):
        erase(store, [ChunkId(b"x" * 32)])
    assert read_manifest(reopened(store), root) == TREE


def test_gc_keeps_that_something_was_erased_though_nothing_needs_it() -> None:
    store = ChunkStore(MemoryBackend())
    put_manifest(store, TREE, raw=True)
    erase(store, [ID])
    for _ in range(3):
        other = put_manifest(reopened(store), {b"other": noise(9000, 7)}, raw=True)
        done = collect(reopened(store), lambda kept=other: [kept], contextlib.nullcontext, grace_seconds=0)
    assert (done.candidates, done.deleted) == (0, 0), "the third time there is nothing to do"
    fresh = reopened(store)
    with pytest.raises(ErasedError):
        fresh.get(ID)
    with pytest.raises(ErasedError):
        put_file(fresh, b"again", SECRET, raw=True)


def test_what_nothing_needs_goes_with_it_at_once() -> None:
    store = ChunkStore(MemoryBackend())
    root = put_manifest(store, TREE, raw=True)
    dead = noise(3000, 77)
    put_manifest(reopened(store), {b"dead": dead}, raw=True)
    (_, last) = sorted(
        store.backend.list_packs(),
        key=lambda pack: dead in bytes(store.backend.view(pack, 0, store.backend.size(pack))),
    )
    store.backend.trash([last], "000009-x")
    fresh = reopened(store)
    marks = Marks(fresh)
    marks.manifests([root])
    erase(fresh, [ID], needed=lambda id_: marks.marked_place(id_) is not None)
    backend = store.backend
    packs = [*backend.list_packs(), *(pack for run in backend.list_trash().values() for pack in run)]
    for pack in packs:
        data = bytes(backend.view(pack, 0, backend.size(pack)))
        assert dead[:50] not in data
        assert SECRET[:50] not in data
    assert read_manifest(reopened(store), put_manifest(reopened(store), {b"z": b"z"})) == {b"z": b"z"}


def test_much_that_is_left_goes_into_several_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    trees = [{b"%d" % number: noise(60_000, number), b"secret": SECRET} for number in range(6)]
    roots = []
    for number, tree in enumerate(trees):
        backend.trash(backend.list_packs(), "000001-apart")
        roots.append(put_manifest(ChunkStore(backend), tree, raw=True))
        assert len(backend.list_packs()) == 1, number
    backend.recover("000001-apart")
    monkeypatch.setattr(packs_of, "TARGET_BYTES", 150_000)
    assert erase(ChunkStore(backend), [ID]).packs == len(trees)
    assert 1 < len(backend.list_packs()) < len(trees)
    assert all(SECRET[:50] not in data for data in backend.packs.values())
    for root, tree in zip(roots, trees, strict=True):
        left = {path: data for path, data in tree.items() if path != b"secret"}
        entries = {entry.path: entry.digest for entry in Manifest(ChunkStore(backend), root).entries()}
        assert {path: bytes(ChunkStore(backend).get(entries[path])) for path in left} == left


def test_trash_without_what_is_erased_stays_where_it_is() -> None:
    backend = MemoryBackend()
    runs = {"000001-x": {b"other": noise(3000, 1)}, "000002-x": TREE, "000003-x": {b"third": noise(3000, 3)}}
    for run, tree in runs.items():
        put_manifest(ChunkStore(backend), tree, raw=True)
        backend.trash(backend.list_packs(), run)
    before = backend.list_trash()
    erase(ChunkStore(backend), [ID])
    after = backend.list_trash()
    assert {run: after[run] for run in ("000001-x", "000003-x")} == {
        run: before[run] for run in ("000001-x", "000003-x")
    }
    assert "000002-x" not in after


def test_an_erased_place_is_no_copy_of_what_was_stored_again() -> None:
    backend = MemoryBackend()
    put_manifest(ChunkStore(backend), TREE, raw=True)
    erase(ChunkStore(backend), [ID])
    store = ChunkStore(backend)
    store.revive_erased = True
    put_file(store, b"again", SECRET, raw=True)
    name = store.publish()
    assert name is not None
    at = backend.packs[name].index(SECRET) + 40
    backend.packs[name] = backend.packs[name][:at] + b"?" + backend.packs[name][at + 1 :]
    with pytest.raises(CorruptDataError, match="wrong bytes"):
        ChunkStore(backend).get(ID)


def test_each_object_can_be_erased_wherever_it_lies() -> None:
    backend = MemoryBackend()
    contents = [noise(5000 + number, number) for number in range(6)]
    ids = [ChunkId(blake3.blake3(data).digest()) for data in contents]
    for half in (contents[:3], contents[3:]):
        store = ChunkStore(backend)
        for data in half:
            put_file(store, b"a", data, raw=True)
        store.publish()
    store = ChunkStore(backend)
    rows = sum(footer.count for footer in store.index.footers())
    for each in (ids[:1], ids[1:4], ids[4:]):
        bytes(store.get(each[0]))
        assert erase(store, each).objects == len(each)
        for id_ in each:
            with pytest.raises(ErasedError):
                store.get(id_)
        assert sum(footer.count for footer in ChunkStore(backend).index.footers()) == rows
        assert stored_lengths(backend, ids) == {
            bytes(id_): len(data) for id_, data in zip(ids, contents, strict=True)
        }
    assert all(not report.defects for report in check_packs(backend, read_data=True))
