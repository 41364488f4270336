"""Chunk lists as they are read: what no dsvc writes is refused, node by node."""

from __future__ import annotations

import pytest

from dsvc.model.encoding import encode, hash_object
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import ListId
from dsvc.model.manifest import ChunkRef
from dsvc.store.block import ItemType
from dsvc.store.chunk_list import read_list, read_list_node, write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.tree_builder import Child, encode_node

ID = b"i" * 32


@pytest.fixture
def store() -> ChunkStore:
    return ChunkStore(MemoryBackend())


def stored(store: ChunkStore, data: bytes) -> bytes:
    id_ = hash_object("list", data, ListId)
    store.put_object(id_, data, ItemType.LIST)
    return bytes(id_)


CHILD = encode(Child(ID, ID, 1, 1))


@pytest.mark.parametrize(
    "data",
    [
        b"\x92",
        b"\x92\x00",
        encode([0, [], 0]),  # a third part, which a lenient reader would pass over
        encode([1, [Child(ID, ID, 1, 1)], 0]),
        encode_node(12, [CHILD]),
    ],
)
def test_nodes_of_another_shape(store: ChunkStore, data: bytes) -> None:
    with pytest.raises(MalformedInputError, match="is malformed"):
        read_list_node(store, stored(store, data))


@pytest.mark.parametrize("level", [1, 11])
def test_what_children_may_say(store: ChunkStore, level: int) -> None:
    good = Child(ID, ID, 1, 1)
    assert read_list_node(store, stored(store, encode_node(level, [encode(good)]))) == (level, [good])
    for wrong in (
        Child(ID, ID[1:], 1, 1),
        Child(ID, ID + b"i", 1, 1),
        Child(ID, ID, 0, 1),
        Child(ID, ID, 1, 0),
        Child(ID, ID, 1, -1),
    ):
        root = stored(store, encode_node(level, [encode(good), encode(wrong)]))
        with pytest.raises(MalformedInputError, match="wrong child"):
            read_list_node(store, root)


def test_what_chunks_may_say(store: ChunkStore) -> None:
    longest = (1 << 24) - 1
    good = [ChunkRef(1, ID), ChunkRef(longest, ID), ChunkRef(1, None), ChunkRef(longest + 1, None)]
    root = stored(store, encode_node(0, [encode(each) for each in good]))
    assert read_list_node(store, root) == (0, good)
    for length, id_ in ((0, ID), (0, None), (-1, ID), (-1, None), (longest + 1, ID), (5, ID[1:]), (5, b"")):
        root = stored(store, encode_node(0, [encode(good[0]), encode(ChunkRef(length, id_))]))
        with pytest.raises(MalformedInputError, match=f"a chunk of {length} bytes"):
            read_list_node(store, root)


@pytest.mark.parametrize("count", [1, 3, 2000])
def test_a_list_is_as_long_as_its_file(store: ChunkStore, count: int) -> None:
    refs = [ChunkRef(number + 1, number.to_bytes(32, "big")) for number in range(count)]
    size, root = count * (count + 1) // 2, write_list(store, refs)
    assert list(read_list(store, root, size)) == refs
    for wrong in (0, size - 1, size + 1):
        found = []
        with pytest.raises(MalformedInputError, match="another length"):
            found.extend(read_list(store, root, wrong))
