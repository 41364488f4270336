"""Manifests and chunk lists that don't hold together."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import blake3
import pytest
import xxhash

from dsvc.model.encoding import encode, hash_object
from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.ids import ChunkId, ListId, NodeId
from dsvc.model.manifest import MODE_FILE, MODE_TREE, ChunkClass, ChunkRef, Entry, Kind
from dsvc.store.block import ItemType
from dsvc.store.chunk_list import chunks_of, read_list, write_list
from dsvc.store.chunk_map import ChunkMap
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.erase import erase
from dsvc.store.manifest_tree import Child, Manifest, TreeBuilder, encode_node
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.tree_check import TreeCheck
from tests.storekit import noise, put_file, put_manifest, reopened

DATA = noise(4000, 1)
CHUNK = blake3.blake3(DATA).digest()


@pytest.fixture
def store() -> ChunkStore:
    return ChunkStore(MemoryBackend())


def object_of(store: ChunkStore, kind: str, data: bytes) -> bytes:
    id_ = hash_object(kind, data, NodeId if kind == "node" else ListId)
    store.put_object(id_, data, ItemType.NODE if kind == "node" else ItemType.LIST)
    return bytes(id_)


def list_node(store: ChunkStore, level: int, items: Iterable[ChunkRef | Child]) -> bytes:
    return object_of(store, "list", encode_node(level, [encode(item) for item in items]))


def file_of(store: ChunkStore, root: bytes, size: int, digest: bytes = b"d" * 32) -> Entry:
    return Entry(b"file", MODE_FILE, size, digest, b"x" * 16, ChunkClass.RAW, root, Kind.BINARY)


def manifest_of(store: ChunkStore, *entries: Entry) -> NodeId:
    root = object_of(store, "node", encode_node(0, [encode(entry) for entry in entries]))
    store.publish()
    return NodeId(root)


def defects(store: ChunkStore, root: NodeId, *, read_data: bool = True) -> list[str]:
    check = TreeCheck(reopened(store), read_data=read_data)
    check.check([root])
    return [defect.id for defect in check.defects]


def chunk(store: ChunkStore, data: bytes = DATA) -> ChunkRef:
    id_ = blake3.blake3(data).digest()
    store.put_chunk(id_, data, raw=True)
    return ChunkRef(len(data), id_)


# Chunk lists


def wrong_level(store: ChunkStore) -> bytes:
    leaf = list_node(store, 0, [chunk(store)])
    return list_node(store, 5, [Child(CHUNK, leaf, 1, 4000)])


def wrong_sum(store: ChunkStore) -> bytes:
    leaf = list_node(store, 0, [chunk(store)])
    return list_node(store, 1, [Child(CHUNK, leaf, 2, 4000)])


def no_list(store: ChunkStore) -> bytes:
    return object_of(store, "list", b"\x93\x00\x90")


def short_child(store: ChunkStore) -> bytes:
    return object_of(store, "list", encode([1, [[b"k", b"short", 1, 4000]]]))


def no_children(store: ChunkStore) -> bytes:
    return object_of(store, "list", encode([1, []]))


def level_without_bound(store: ChunkStore) -> bytes:
    return object_of(store, "list", b"\x92\x0c\x90")


@pytest.mark.parametrize(
    "make", [wrong_level, wrong_sum, no_list, short_child, no_children, level_without_bound]
)
def test_chunk_lists_that_are_wrong(store: ChunkStore, make: Callable[[ChunkStore], bytes]) -> None:
    root = make(store)
    manifest = manifest_of(store, file_of(store, root, 4000))
    assert defects(store, manifest) == ["F026"]
    if make is wrong_sum:
        return  # what it says beside its length concerns only the check
    with pytest.raises(MalformedInputError):
        list(read_list(store, root, 4000))
    with pytest.raises(MalformedInputError):
        Marks(reopened(store)).manifests([manifest])
    with pytest.raises(MalformedInputError):
        ChunkMap(store, file_of(store, root, 4000)).at(0)


def test_a_list_that_is_missing(store: ChunkStore) -> None:
    manifest = manifest_of(store, file_of(store, b"m" * 32, 4000))
    assert defects(store, manifest) == ["F024"]


def test_a_list_of_another_length_than_its_file(store: ChunkStore) -> None:
    root = list_node(store, 0, [chunk(store), ChunkRef(10, None)])
    for size in (3999, 4000, 4009, 4011):
        manifest = manifest_of(store, file_of(store, root, size))
        assert defects(store, manifest, read_data=False) == ["F027"]


def test_a_file_of_other_bytes_than_its_digest(store: ChunkStore) -> None:
    root = list_node(store, 0, [chunk(store), ChunkRef(3 << 20, None)])
    data = DATA + bytes(3 << 20)
    right = blake3.blake3(data).digest()
    good = Entry(b"a", MODE_FILE, len(data), right, xxhash.xxh3_128_digest(data), 1, root, 1)
    assert defects(store, manifest_of(store, good)) == []
    bad = file_of(store, root, len(data), right)
    assert defects(store, manifest_of(store, bad)) == ["F030"]
    assert defects(store, manifest_of(store, bad), read_data=False) == []


def test_an_empty_file_with_the_digest_of_another(store: ChunkStore) -> None:
    entry = Entry(b"a", MODE_FILE, 0, b"d" * 32, b"x" * 16, 0, None, 0)
    assert defects(store, manifest_of(store, entry)) == ["F031"]


@pytest.mark.parametrize(("size", "number"), [(3999, "F029"), (4001, "F029"), (4000, None)])
def test_a_chunk_of_another_length(store: ChunkStore, size: int, number: str | None) -> None:
    chunk(store)
    entry = Entry(b"a", MODE_FILE, size, CHUNK, xxhash.xxh3_128_digest(DATA), 1, None, 1)
    assert defects(store, manifest_of(store, entry)) == ([number] if number else [])


def test_a_chunk_that_is_a_node(store: ChunkStore) -> None:
    node = object_of(store, "node", encode_node(0, []) + b"")
    entry = Entry(b"a", MODE_FILE, 3, node, b"x" * 16, 1, None, 1)
    root = manifest_of(store, entry)
    assert defects(store, root) == ["F029"]
    with pytest.raises(CorruptDataError, match="another type"):
        Marks(reopened(store)).manifests([root])


def test_a_missing_and_an_erased_chunk(store: ChunkStore) -> None:
    gone = noise(5000, 9)
    refs = [chunk(store), chunk(store, gone), ChunkRef(50, b"m" * 32)]
    root = list_node(store, 0, refs)
    manifest = manifest_of(store, file_of(store, root, 9050))
    erase(reopened(store), [ChunkId(blake3.blake3(gone).digest())])
    check = TreeCheck(reopened(store), read_data=True)
    check.check([manifest, manifest])
    assert [defect.id for defect in check.defects] == ["F028"]
    assert check.erased == {blake3.blake3(gone).digest()}
    assert set(check.missing) == {b"m" * 32}
    need = check.missing[b"m" * 32]
    assert (need.length, need.offset, need.entry.path) == (50, 9000, b"file")


def test_where_chunks_are_needed_is_noted_for_repair(store: ChunkStore) -> None:
    refs = [ChunkRef(100, None), chunk(store), chunk(store, noise(500, 2))]
    manifest = manifest_of(store, file_of(store, list_node(store, 0, refs), 4600))
    check = TreeCheck(reopened(store), read_data=False, wanted=lambda id_: id_ == CHUNK)
    check.check([manifest])
    assert {id_: (need.length, need.offset) for id_, need in check.needs.items()} == {CHUNK: (4000, 100)}


# Chunks by offset


@pytest.mark.parametrize("count", [1, 3, 5000])
def test_any_byte_is_found(store: ChunkStore, count: int) -> None:
    generator = random.Random(count)
    refs = [
        ChunkRef(generator.randint(1, 9), None if generator.random() < 0.2 else number.to_bytes(32, "big"))
        for number in range(count)
    ]
    root = bytes(write_list(store, refs))
    store.publish()
    size = sum(ref.length_bytes for ref in refs)
    starts, at = [], 0
    for ref in refs:
        starts += [(at, ref)] * ref.length_bytes
        at += ref.length_bytes
    found = ChunkMap(store, file_of(store, root, size))
    for offset in [0, size - 1, *generator.choices(range(size), k=300), *range(min(size, 50))]:
        extent = found.at(offset)
        assert (extent.start, extent.chunk) == starts[offset]
        assert extent.end == extent.start + extent.chunk.length_bytes
    for wrong in (size - 1, size + 1):
        with pytest.raises(MalformedInputError, match="another length"):
            ChunkMap(store, file_of(store, root, wrong)).at(0)


def test_bytes_of_chunks_and_holes(store: ChunkStore) -> None:
    root = list_node(store, 0, [ChunkRef(7, None), chunk(store), ChunkRef(3999, CHUNK)])
    store.publish()
    found = ChunkMap(store, file_of(store, root, 7 + 4000 + 3999))
    assert found.read(found.at(6)) == b""
    assert found.read(found.at(7)) == DATA
    with pytest.raises(CorruptDataError, match="another length"):
        found.read(found.at(5000))
    one = Entry(b"a", MODE_FILE, 4000, CHUNK, b"x" * 16, 1, None, 1)
    assert ChunkMap(store, one).at(3999) == (0, ChunkRef(4000, CHUNK))


def test_chunks_of_files_without_a_list(store: ChunkStore) -> None:
    assert list(chunks_of(store, Entry(b"a", MODE_FILE, 0, b"d" * 32, b"x" * 16, 0, None, 0))) == []
    one = Entry(b"a", MODE_FILE, 9, b"d" * 32, b"x" * 16, 0, None, 0)
    assert list(chunks_of(store, one)) == [ChunkRef(9, b"d" * 32)]


# Manifests


def large(count: int, seed: int = 0) -> dict[bytes, bytes]:
    return {b"folder/%06d" % n: b"%d" % (n + seed) for n in range(count)}


def test_paths_must_ascend(store: ChunkStore) -> None:
    builder = TreeBuilder(store)
    builder.add(b"b", b"", 0)
    for path in (b"b", b"a"):
        with pytest.raises(MalformedInputError, match="not in order"):
            builder.add(path, b"", 0)


def test_a_tree_has_no_needless_levels(store: ChunkStore) -> None:
    root = put_manifest(store, large(3000))
    manifest = Manifest(store, root)
    for keep in (1, 2, 40):
        gone = [(path, None) for path in sorted(large(3000))[keep:]]
        smaller = manifest.update(gone)
        store.publish()
        assert smaller == put_manifest(reopened(store), dict(sorted(large(3000).items())[:keep]))
        store.index.reload()


def test_a_tree_where_only_files_can_be(store: ChunkStore) -> None:
    below = put_manifest(store, {b"a": b"x"})
    root = manifest_of(store, Entry(b"run", MODE_TREE, 0, bytes(below), bytes(16), 0, None, 0))
    with pytest.raises(MalformedInputError, match="a tree where only files"):
        list(Manifest(store, root).entries())
    assert [entry.is_tree for entry in Manifest(store, root, trees=True).entries()] == [True]
    assert defects(store, root) == []
    marks = Marks(reopened(store))
    marks.manifests([root])
    assert marks.marked_place(bytes(below)) is not None


def lying_parent(store: ChunkStore, change: Callable[[Child], Child], *, twice: bool = False) -> NodeId:
    """A root above two leaves, of which one is spoken of wrongly."""
    leaves = []
    for names in ((b"a", b"b"), (b"c", b"d")):
        entries = [Entry(name, MODE_FILE, 0, b"d" * 32, b"x" * 16, 0, None, 0) for name in names]
        data = encode_node(0, [encode(entry) for entry in entries])
        leaves.append(Child(names[-1], object_of(store, "node", data), 2, 0))
    second = Child(b"e", leaves[0].id, 2, 0) if twice else change(leaves[1])
    root = object_of(store, "node", encode_node(1, [encode(leaves[0]), encode(second)]))
    store.publish()
    return NodeId(root)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: Child(b"z", said.id, said.files, said.size),
        lambda said: Child(said.last, said.id, 3, said.size),
        lambda said: Child(said.last, said.id, said.files, 1),
    ],
)
def test_a_node_that_is_not_what_is_said_of_it(store: ChunkStore, change: Callable[[Child], Child]) -> None:
    root = lying_parent(store, change)
    with pytest.raises(MalformedInputError, match="not what its parent says"):
        list(Manifest(store, root).entries())
    assert "F023" in defects(store, root)


def test_a_node_that_comes_twice(store: ChunkStore) -> None:
    root = lying_parent(store, lambda said: said, twice=True)
    with pytest.raises(MalformedInputError):
        list(Manifest(store, root).entries())
    assert "F023" in defects(store, root)


def test_erased_content_is_not_there(store: ChunkStore) -> None:
    entry = put_file(store, b"a", DATA, raw=True)
    assert store.has(entry.digest), "put, though not published yet"
    store.publish()
    assert store.has(entry.digest)
    assert not store.has(b"m" * 32)
    erase(reopened(store), [ChunkId(entry.digest)])
    assert not reopened(store).has(entry.digest)


def test_trees_of_many_levels_are_sound(store: ChunkStore) -> None:
    tree = {b"%06d" % number: b"%d" % number for number in range(12_000)}
    root = put_manifest(store, tree)
    level, _ = Manifest(store, root).node(bytes(root))
    assert level >= 2
    assert defects(store, root) == []
    refs = [chunk(store, b"%d" % number) for number in range(5_000)]
    data = b"".join(b"%d" % number for number in range(5_000))
    digest, xxh3 = blake3.blake3(data).digest(), xxhash.xxh3_128_digest(data)
    listed = bytes(write_list(store, refs))
    entry = Entry(b"file", MODE_FILE, len(data), digest, xxh3, 1, listed, 1)
    assert defects(store, manifest_of(store, entry)) == []


def test_a_tree_with_content_of_its_own_is_refused(store: ChunkStore) -> None:
    for size, kind, xxh3 in ((1, 0, bytes(16)), (0, 1, bytes(16)), (0, 0, b"x" * 16)):
        root = manifest_of(store, Entry(b"run", MODE_TREE, size, b"d" * 32, xxh3, 0, None, kind))
        with pytest.raises(MalformedInputError, match="tree with content"):
            list(Manifest(store, root, trees=True).entries())
        assert defects(store, root) == ["F022"]


def test_nodes_are_cut_as_ever(store: ChunkStore) -> None:
    """Where nodes end is part of the format: other cuts would be other ids for the same versions."""
    root = put_manifest(store, large(3000))
    refs = [ChunkRef(number + 1, number.to_bytes(32, "big")) for number in range(5000)]
    assert bytes(root).hex()[:16] == "b2b7859fc28ae832"
    assert bytes(write_list(store, refs)).hex()[:16] == "0463ba5bf8e56089"
    changed = Manifest(store, root).update([(b"folder/000500", None)])
    store.publish()
    rest = {path: data for path, data in large(3000).items() if path != b"folder/000500"}
    assert changed == put_manifest(ChunkStore(MemoryBackend()), rest), "however it came about"
