"""Trees beside a plain implementation of docs/format.md: the same nodes, however they came about."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest
import xxhash

from dsvc.model.encoding import hash_object
from dsvc.model.ids import ListId, NodeId
from dsvc.model.manifest import ChunkRef
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.tree_builder import Child, TreeBuilder

Item = tuple[bytes, bytes, int, int]
"""Key, encoded item, files and bytes below it."""


class Plain:
    """Nodes by id, as the format says they are."""

    def __init__(self, kind: str, every: int) -> None:
        self.kind, self.every = kind, every
        self.nodes: dict[bytes, tuple[int, list[Item]]] = {}

    def root(self, items: list[Item]) -> bytes:
        level = 0
        while True:
            above = [self._node(level, node) for node in self._cut(level, items)]
            if len(above) == 1:
                return msgspec.msgpack.decode(above[0][1], type=list)[1]
            items, level = above, level + 1

    def _cut(self, level: int, items: list[Item]) -> list[list[Item]]:
        nodes: list[list[Item]] = [[]]
        for item in items:
            if nodes[-1] and sum(len(each[1]) for each in [*nodes[-1], item]) > 16384:
                nodes.append([])
            nodes[-1].append(item)
            if xxhash.xxh3_64_intdigest(item[0], seed=level) % self.every == 0:
                nodes.append([])
        return [node for node in nodes if node]

    def _node(self, level: int, items: list[Item]) -> Item:
        data = msgspec.msgpack.encode([level, [msgspec.Raw(encoded) for _, encoded, _, _ in items]])
        id_ = bytes(hash_object(self.kind, data, NodeId if self.kind == "node" else ListId))
        self.nodes[id_] = level, items
        last, files, size = items[-1][0], sum(item[2] for item in items), sum(item[3] for item in items)
        return last, msgspec.msgpack.encode([last, id_, files, size]), files, size


def entries(lengths: Sequence[int], seed: int) -> list[Item]:
    generator = random.Random(seed)
    keys = sorted(generator.sample(range(1 << 40), len(lengths)))
    return [
        (b"%013d" % key, generator.randbytes(length), 1, generator.randrange(1 << 20))
        for key, length in zip(keys, lengths, strict=True)
    ]


@pytest.fixture
def store() -> ChunkStore:
    return ChunkStore(MemoryBackend())


def sizes(shape: str) -> list[int]:
    generator = random.Random(shape)
    return {
        "one": [100],
        "two": [100, 100],
        "small": [generator.randint(60, 130) for _ in range(6000)],
        "of 15 and 16": [9] * 2000,
        "large": [generator.randint(1, 5000) for _ in range(1500)],
        "that fill a node to the byte": [4096] * 300,
        "one byte too much": [4096, 4096, 4096, 4097] * 75,
        "larger than a node": [20_000, 10, 16_384, 16_385, 1] * 20,
    }[shape]


SHAPES = [
    "one",
    "two",
    "small",
    "of 15 and 16",
    "large",
    "that fill a node to the byte",
    "one byte too much",
    "larger than a node",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_nodes_are_those_of_the_format(store: ChunkStore, shape: str) -> None:
    items = entries(sizes(shape), 1)
    plain = Plain("node", 64)
    expected = plain.root(items)
    builder = TreeBuilder(store)
    for path, encoded, _, size in items:
        builder.add(path, encoded, size)
    assert builder.finish() == expected
    assert all(store.has(id_) for id_ in plain.nodes)


@pytest.mark.parametrize("seed", range(5))
def test_whole_subtrees_are_passed_through(store: ChunkStore, seed: int) -> None:
    """At each place where a subtree may be passed through, it is, or isn't: the root is the same."""
    generator = random.Random(seed)
    items = entries([generator.randint(60, 130) for _ in range(8000)], seed)
    plain = Plain("node", 64)
    expected = plain.root(items)
    builder, passed = TreeBuilder(store), 0

    def put(id_: bytes, item: Item) -> None:
        nonlocal passed
        level, below = plain.nodes[id_]
        if builder.in_step(level) and generator.random() < 0.5:
            builder.add_subtree(level, Child(item[0], id_, item[2], item[3]))
            assert builder.last_path == item[0]
            assert builder.in_step(level)
            passed += 1
            return
        for each in below:
            if level:
                put(msgspec.msgpack.decode(each[1], type=list)[1], each)
            else:
                builder.add(each[0], each[1], each[3])

    for each in plain.nodes[expected][1]:
        put(msgspec.msgpack.decode(each[1], type=list)[1], each)
    assert builder.finish() == expected
    assert passed > 10


def test_what_is_pending_keeps_subtrees_out(store: ChunkStore) -> None:
    builder = TreeBuilder(store)
    assert [builder.in_step(level) for level in range(3)] == [True, True, True]
    keys = (b"%d" % number for number in range(1000))
    plain = [key for key in keys if all(xxhash.xxh3_64_intdigest(key, seed=level) % 64 for level in (0, 1))]
    builder.add_subtree(0, Child(plain[0], b"i" * 32, 1, 1))  # pending at level 1
    assert [builder.in_step(level) for level in range(3)] == [True, False, False]
    builder = TreeBuilder(store)
    builder.add(plain[0], b"x", 1)
    assert [builder.in_step(level) for level in range(3)] == [False, False, False]


def test_lists_are_cut_finer(store: ChunkStore) -> None:
    generator = random.Random(3)
    refs = [
        ChunkRef(generator.randint(1, 9), None if generator.random() < 0.1 else generator.randbytes(32))
        for _ in range(4000)
    ]
    plain = Plain("list", 32)
    encoded = [msgspec.msgpack.encode([ref.length_bytes, ref.id]) for ref in refs]
    expected = plain.root(
        [(ref.id or data, data, 1, ref.length_bytes) for ref, data in zip(refs, encoded, strict=True)]
    )
    builder = TreeBuilder(store, ItemType.LIST)
    for ref in refs:
        builder.add_chunk(ref.id, ref.length_bytes)
    assert builder.finish() == expected
    assert bytes(store.get(expected, item_type=ItemType.LIST))
