"""A store that changes under its readers: packs that move, go, or are damaged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from dsvc.model.errors import CorruptDataError, DsvcError, MissingDataError
from dsvc.model.ids import NodeId
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Manifest
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer
from dsvc.store.prune import collect
from tests.storekit import noise, prose, put_file, put_manifest, read_manifest, reopened


@pytest.fixture
def store() -> ChunkStore:
    return ChunkStore(MemoryBackend())


def test_an_object_that_moved_to_another_pack_is_found_again(store: ChunkStore) -> None:
    backend = store.backend
    assert isinstance(backend, MemoryBackend)
    tree = {b"a": noise(50_000, 1), b"b": noise(50_000, 2)}
    put_file(store, b"c", noise(50_000, 3), raw=True)  # without it, the pack would come out as it was
    root = put_manifest(store, tree, raw=True)
    (before,) = backend.list_packs()
    reader = reopened(store)
    first = Manifest(reader, root).get(b"a")
    assert first is not None
    collect(reopened(store), lambda: [root], contextlib.nullcontext, grace_seconds=0)
    assert len(backend.list_packs()) == 1
    assert before not in backend.list_packs()
    assert read_manifest(reader, root) == tree


def test_after_a_wait_what_lies_there_now_is_read(store: ChunkStore) -> None:
    backend = store.backend
    assert isinstance(backend, MemoryBackend)
    data = prose(5000)
    id_ = put_file(store, b"a", data).digest
    name = store.publish()
    assert name is not None
    assert bytes(store.get(id_)) == data
    whole = backend.packs[name]
    backend.packs[name] = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    store.forget()
    with pytest.raises(CorruptDataError):
        store.get(id_)


def test_a_damaged_copy_gives_way_to_a_whole_one(store: ChunkStore) -> None:
    backend = store.backend
    assert isinstance(backend, MemoryBackend)
    data = noise(100_000, 5)
    root = put_manifest(store, {b"a": data}, raw=True)
    (first,) = backend.list_packs()
    backend.trash([first], "000001-x")
    put_manifest(reopened(store), {b"a": data, b"z": b"z"}, raw=True)
    backend.recover("000001-x")
    for victim in backend.list_packs():
        whole = backend.packs[victim]
        backend.packs[victim] = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
        assert read_manifest(reopened(store), root) == {b"a": data}
        backend.packs[victim] = whole
    for victim in backend.list_packs():
        whole = backend.packs[victim]
        backend.packs[victim] = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    with pytest.raises(DsvcError):
        read_manifest(reopened(store), root)


def test_f32_gc_begins_anew_where_a_pack_went_meanwhile(store: ChunkStore) -> None:
    backend = store.backend
    tree = {b"a": noise(50_000, 1)}
    root = put_manifest(store, tree, raw=True)

    @contextlib.contextmanager
    def meanwhile() -> Iterator[None]:
        other = reopened(store)
        put_manifest(other, {b"b": b"b"})
        collect(other, lambda: [root], contextlib.nullcontext, grace_seconds=0)
        yield

    put_manifest(reopened(store), {b"dead": noise(50_000, 2)}, raw=True)
    collect(reopened(store), lambda: [root], meanwhile, grace_seconds=0)
    assert read_manifest(reopened(store), root) == tree
    assert len(backend.list_packs()) == 1


def test_gc_deletes_nothing_from_a_pack_whose_footer_is_wrong(store: ChunkStore) -> None:
    backend = store.backend
    assert isinstance(backend, MemoryBackend)
    first = put_manifest(store, {b"a": noise(50_000, 1), b"b": noise(50_000, 3)}, raw=True)
    put_manifest(reopened(store), {b"dead": noise(50_000, 2)}, raw=True)
    second = put_manifest(reopened(store), {b"c": noise(50_000, 4)}, raw=True)

    def roots() -> list[NodeId]:
        return [first, second]

    for victim in backend.list_packs():
        footer = Footer(backend, victim)
        at = backend.size(victim) - 64 - footer.length + 10
        whole = backend.packs[victim]
        backend.packs[victim] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        before = dict(backend.packs)
        # It was to be deleted, or to be merged with the other.
        with pytest.raises(CorruptDataError, match="nothing was deleted"):
            collect(reopened(store), roots, contextlib.nullcontext, grace_seconds=0)
        assert backend.packs == before
        backend.packs[victim] = whole


def test_an_object_in_the_trash_is_still_reachable(store: ChunkStore) -> None:
    backend = store.backend
    root = put_manifest(store, {b"a": noise(50_000, 1)}, raw=True)
    backend.trash(backend.list_packs(), "000001-x")
    marks = Marks(reopened(store))
    marks.manifests([root])
    assert [marked.trashed for marked in marks.rescued()] == [True]
    with pytest.raises(MissingDataError, match="reachable and missing"):
        marks.mark(b"m" * 32, ItemType.CHUNK)
    with pytest.raises(MissingDataError):
        marks.place(b"m" * 32)
    assert marks.marked_place(b"m" * 32) is None
