"""Manifests beside sorted lists: what is found, what a change makes of them, and what is no node."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest

from dsvc.model.encoding import encode, hash_object
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_FILE, Entry
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_ranges import FolderTotals, children, totals_between
from dsvc.store.manifest_tree import EMPTY_ROOT, Child, Manifest, TreeBuilder, encode_node, read_node
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.tree_check import TreeCheck

ID = b"i" * 32


@pytest.fixture
def store() -> ChunkStore:
    return ChunkStore(MemoryBackend())


def entry(path: bytes, size: int = 1) -> Entry:
    return Entry(path, MODE_FILE, size, ID, b"x" * 16)


def built(store: ChunkStore, entries: dict[bytes, Entry]) -> NodeId:
    builder = TreeBuilder(store)
    for path, each in sorted(entries.items()):
        builder.add(path, encode(each), each.size)
    return NodeId(builder.finish())


def tree(count: int, seed: int = 1) -> dict[bytes, Entry]:
    generator = random.Random(seed)
    paths = [
        b"%s%02d/%s%04d" % (generator.choice((b"a", b"b-")), generator.randrange(20), b"x" * (n % 60), n)
        for n in range(count)
    ]
    return {path: entry(path, generator.randrange(1, 1000)) for path in paths}


@pytest.mark.parametrize("count", [0, 1, 2, 70, 6000])
def test_whatever_is_asked_for_is_found(store: ChunkStore, count: int) -> None:
    entries = tree(count)
    ordered = [entries[path] for path in sorted(entries)]
    manifest = Manifest(store, built(store, entries))
    assert list(manifest.entries()) == ordered
    assert manifest.totals() == (count, sum(each.size for each in ordered))
    generator = random.Random(2)
    paths = [each.path for each in ordered]
    folders = {path.split(b"/")[0] for path in paths}
    for low in {*generator.sample(paths, min(count, 15)), *folders, b"", b"a", b"zzz", b"b-", b"a05/y"}:
        at = bisect_left(paths, low)
        for asked in (low, low + b"\0"):
            at = bisect_left(paths, asked)
            assert manifest.first_from(asked) == (ordered[at] if at < count else None)
            assert manifest.get(asked) == entries.get(asked)
        expected = [each for each in ordered if low in (b"", each.path) or each.path.startswith(low + b"/")]
        assert list(manifest.entries(low)) == expected


@pytest.mark.parametrize("count", [0, 1, 3, 400, 6000])
@pytest.mark.parametrize(
    "where", ["before all", "after all", "at the end", "at the start", "anywhere", "one"]
)
def test_a_changed_manifest_is_the_one_built_anew(store: ChunkStore, count: int, where: str) -> None:
    before = tree(count)
    paths = sorted(before)
    root = built(store, before)
    generator = random.Random(3)
    changes: dict[bytes, Entry | None] = {
        "before all": {b"+%d" % n: entry(b"+%d" % n) for n in range(100)},
        "after all": {b"z%d" % n: entry(b"z%d" % n) for n in range(100)},
        "at the end": dict.fromkeys(paths[-40:]),
        "at the start": dict.fromkeys(paths[:40]),
        "anywhere": {
            **dict.fromkeys(generator.sample(paths, len(paths) // 10)),
            **{path: entry(path, 7) for path in generator.sample(paths, len(paths) // 10)},
            **{path + b"+": entry(path + b"+") for path in generator.sample(paths, len(paths) // 10)},
            b"none": None,
        },
        "one": {b"a05/y": entry(b"a05/y")},
    }[where]
    after = {path: each for path, each in {**before, **changes}.items() if each is not None}
    expected = built(ChunkStore(MemoryBackend()), after)
    assert Manifest(store, root).update(sorted(changes.items())) == expected
    sizes = {encode(each): each.size for each in after.values()}
    encoded = [(path, each and encode(each)) for path, each in sorted(changes.items())]
    assert Manifest(store, root).update(encoded, sizes.__getitem__) == expected


def test_only_what_is_asked_for_is_read(store: ChunkStore) -> None:
    root = built(store, tree(6000))
    store.publish()
    level, _ = Manifest(store, root).node(bytes(root))
    for ask in (
        lambda manifest: manifest.get(b"a05/xx"),
        lambda manifest: manifest.first_from(b"a05/xx"),
        lambda manifest: manifest.update([(b"a05/xx", entry(b"a05/xx"))]),
        lambda manifest: manifest.update([]),
        lambda manifest: manifest.totals(),
    ):
        store.nodes.clear()
        ask(Manifest(store, root))
        assert len(store.nodes) <= 2 * (level + 1) + 2


def node(store: ChunkStore, data: bytes) -> NodeId:
    id_ = hash_object("node", data, NodeId)
    store.put_object(id_, data, ItemType.NODE)
    return id_


@pytest.mark.parametrize(
    "data",
    [
        b"\x92",
        b"\x92\x00",
        encode([0, [], 0]),
        encode([1, [Child(b"a", ID, 1, 1)], 0]),
        encode_node(12, [encode(Child(b"a", ID, 1, 1))]),
    ],
)
def test_nodes_of_another_shape(store: ChunkStore, data: bytes) -> None:
    with pytest.raises(MalformedInputError, match="is malformed"):
        read_node(store, node(store, data))


@pytest.mark.parametrize("level", [1, 11])
def test_what_children_may_say(store: ChunkStore, level: int) -> None:
    good = [Child(b"a", ID, 1, 0), Child(b"b", ID, 2, 5)]
    assert read_node(store, node(store, encode_node(level, [encode(each) for each in good]))) == (level, good)
    for wrong in (
        Child(b"b", ID[1:], 1, 1),
        Child(b"b", ID + b"i", 1, 1),
        Child(b"b", ID, 0, 1),
        Child(b"b", ID, 1, -1),
        Child(b"a", ID, 1, 1),
        Child(b"Z", ID, 1, 1),
    ):
        root = node(store, encode_node(level, [encode(good[0]), encode(wrong)]))
        with pytest.raises(MalformedInputError, match="wrong child"):
            read_node(store, root)
    with pytest.raises(MalformedInputError, match="wrong child"):
        read_node(store, node(store, encode_node(level, [encode(Child(b"", ID, 1, 1))])))
    with pytest.raises(MalformedInputError, match="no children"):
        read_node(store, node(store, encode_node(level, [])))


def test_entries_ascend(store: ChunkStore) -> None:
    good = [entry(b"a"), entry(b"b"), entry(b"c")]
    assert read_node(store, node(store, encode_node(0, [encode(each) for each in good]))) == (0, good)
    for paths in ((b"a", b"a"), (b"b", b"a"), (b"a", b"c", b"b"), (b"b", b"a", b"c")):
        root = node(store, encode_node(0, [encode(entry(path)) for path in paths]))
        with pytest.raises(MalformedInputError, match="out of order"):
            read_node(store, root)
    assert read_node(store, EMPTY_ROOT) == (0, [])


def test_many_manifests_keep_few_nodes_in_memory(store: ChunkStore) -> None:
    roots = [node(store, encode_node(0, [encode(entry(b"%d" % number))])) for number in range(1500)]
    for number, root in enumerate(roots):
        assert Manifest(store, root).get(b"%d" % number) is not None
        assert len(store.nodes) <= 1025


@pytest.mark.parametrize(("first", "sound"), [(b"b", False), (b"a+", False), (b"b+", True)])
def test_a_node_begins_after_the_one_before_it(store: ChunkStore, first: bytes, sound: bool) -> None:
    leaves = []
    for paths in ((b"a", b"b"), (first, b"c")):
        data = encode_node(0, [encode(entry(path, 0)) for path in paths])
        leaves.append(Child(paths[-1], bytes(node(store, data)), 2, 0))
    root = node(store, encode_node(1, [encode(leaf) for leaf in leaves]))
    store.publish()
    check = TreeCheck(store, read_data=False)
    check.check([root])
    assert ("F023" in {defect.id for defect in check.defects}) is not sound
    if sound:
        assert [each.path for each in Manifest(store, root).entries()] == [b"a", b"b", b"b+", b"c"]
        return
    with pytest.raises(MalformedInputError, match="begins before"):
        list(Manifest(store, root).entries())


@pytest.mark.parametrize("count", [0, 1, 70, 4000])
def test_ranges_are_counted_and_folders_listed(store: ChunkStore, count: int) -> None:
    entries = {**tree(count), **({b"a": entry(b"a", 9), b"b-": entry(b"b-", 5)} if count else {})}
    ordered = [entries[path] for path in sorted(entries)]
    manifest = Manifest(store, built(store, entries))
    paths = [each.path for each in ordered]
    generator = random.Random(4)
    ends = [b"", b"a", b"a05/", b"a050", b"b-", b"zz", *generator.sample(paths, min(30, len(paths)))]
    for low in ends:
        for high in (*generator.sample(ends, 5), low, None):
            within = [each for each in ordered if low <= each.path and (high is None or each.path < high)]
            found = totals_between(manifest, low, high)
            assert found == (len(within), sum(each.size for each in within))
    for folder in (b"", b"a05", b"b-11", b"none"):
        prefix = folder + b"/" if folder else b""
        below: dict[bytes, list[Entry]] = {}
        for each in ordered:
            if each.path.startswith(prefix):
                below.setdefault(prefix + each.path[len(prefix) :].split(b"/")[0], []).append(each)
        expected = [
            inside[0]
            if inside[0].path == path
            else FolderTotals(path, len(inside), sum(each.size for each in inside))
            for path, inside in below.items()
        ]
        assert list(children(manifest, folder)) == expected
