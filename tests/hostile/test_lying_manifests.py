"""Manifests of well-formed nodes that are not what the nodes above them say: refused wherever one reads."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.model.encoding import encode, hash_object
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import NodeId
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_ranges import totals_between
from dsvc.store.manifest_tree import EMPTY_ROOT, Child, Manifest, encode_node
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.tree_check import TreeCheck
from tests.hostile.test_malformed import DIGEST, bounded, entry, leaf


def tree(*nodes: bytes, said: Sequence[tuple[bytes, int, int]], level: int = 1) -> tuple[ChunkStore, NodeId]:
    """A store with a manifest of one inner node that says of its children what it is told."""
    store = ChunkStore(MemoryBackend())
    ids = [hash_object("node", data, NodeId) for data in nodes]
    for id_, data in zip(ids, nodes, strict=True):
        store.put_object(id_, data, ItemType.NODE)
    store.put_chunk(DIGEST, b"x", raw=False)
    children = [Child(last, bytes(id_), *sums) for id_, (last, *sums) in zip(ids, said, strict=True)]
    top = encode_node(level, [encode(child) for child in children])
    root = hash_object("node", top, NodeId)
    store.put_object(root, top, ItemType.NODE)
    store.publish()
    return store, root


ONE_ENTRY = leaf(entry())
LYING_TREES = {
    "a path twice": ([leaf(entry(b"a"), entry(b"c")), ONE_ENTRY], [(b"c", 2, 2), (b"d", 1, 1)]),
    "a path twice, told": (
        [leaf(entry(b"a"), entry(b"c")), leaf(entry(b"a"), entry(b"d"))],
        [(b"c", 2, 2), (b"d", 2, 2)],
    ),
    "one node twice": ([ONE_ENTRY, ONE_ENTRY], [(b"a", 1, 1), (b"b", 1, 1)]),
    "10^9 entries": ([ONE_ENTRY], [(b"a", 10**9, 1)]),
    "2^60 bytes": ([ONE_ENTRY], [(b"a", 1, 1 << 60)]),
    "no entries": ([encode_node(0, [])], [(b"a", 1, 1)]),
    "another last path": ([ONE_ENTRY], [(b"b", 1, 1)]),
}


@pytest.mark.parametrize("name", LYING_TREES)
def test_h10_h16_a_node_that_is_not_what_its_parent_says_is_refused(name: str) -> None:
    nodes, said = LYING_TREES[name]
    store, root = tree(*nodes, said=said)
    for read in (
        lambda: list(Manifest(store, root).entries()),
        lambda: list(Manifest(store, root).entries(said[-1][0])),
        lambda: Manifest(store, root).get(said[-1][0]),
        lambda: list(diff_manifests(Manifest(store, EMPTY_ROOT), Manifest(store, root))),
        lambda: list(diff_manifests(Manifest(store, root), Manifest(store, EMPTY_ROOT))),
        lambda: totals_between(Manifest(store, root), said[-1][0], None),
        lambda: Manifest(store, root).update([(said[-1][0] + b"!", entry(said[-1][0] + b"!"))]),
    ):
        bounded(read, MalformedInputError)
    check = TreeCheck(store, read_data=False)
    check.check([root])
    assert {defect.id for defect in check.defects} & {"F023", "F022"}


def test_h16_a_manifest_of_10_12_entries_from_four_nodes() -> None:
    """Each node names the one below a thousand times."""
    store = ChunkStore(MemoryBackend())
    data, said = leaf(entry()), (1, 1)
    for level in range(1, 5):
        id_ = hash_object("node", data, NodeId)
        store.put_object(id_, data, ItemType.NODE)
        below = [Child(b"a%03d" % at, bytes(id_), *said) for at in range(1000)]
        data, said = encode_node(level, [encode(child) for child in below]), (said[0] * 1000, said[1] * 1000)
    root = hash_object("node", data, NodeId)
    store.put_object(root, data, ItemType.NODE)
    store.put_chunk(DIGEST, b"x", raw=False)
    store.publish()
    bounded(lambda: list(Manifest(store, root).entries()), MalformedInputError)
    bounded(
        lambda: list(diff_manifests(Manifest(store, EMPTY_ROOT), Manifest(store, root))), MalformedInputError
    )
    assert Manifest(store, root).totals() == (10**12, 10**12)
    Marks(store).manifests([root])
    check = TreeCheck(store, read_data=True)
    check.check([root])
    assert {defect.id for defect in check.defects} == {"F023"}
