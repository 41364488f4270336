"""What stands in packs: manifest nodes, chunk lists, blocks, footers, and packs as a whole."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache

from dsvc.model.encoding import encode, hash_object
from dsvc.model.errors import DsvcError
from dsvc.model.ids import Digest, ListId, NodeId, PackId
from dsvc.model.manifest import MODE_SYMLINK, ChunkRef, Entry, Kind, decode_schema, encode_schema
from dsvc.store import block, pack
from dsvc.store.block import BlockInfo, Codec, ItemType
from dsvc.store.chunk_list import read_list, read_list_node
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Child, Manifest, encode_node, read_node
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer
from dsvc.store.salvage import rebuild, salvage
from dsvc.store.scrub import check_pack
from dsvc.store.tree_check import TreeCheck
from tests.fuzz.registry import Form, target
from tests.storekit import noise, prose, put_file, put_record

DIGEST = b"d" * 32


def _store_with(
    data: bytes, domain: str, kind: type[Digest], item_type: ItemType
) -> tuple[ChunkStore, Digest]:
    store = ChunkStore(MemoryBackend())
    id_ = hash_object(domain, data, kind)
    store.put_object(id_, data, item_type)
    store.publish()
    return store, id_


def _entries() -> list[Entry]:
    store = ChunkStore(MemoryBackend())
    link = Entry(path=b"link", mode=MODE_SYMLINK, size=3, digest=DIGEST, xxh3=b"x" * 16)
    table = Entry(
        path="表.csv".encode(),
        mode=0o100644,
        size=9,
        digest=DIGEST,
        xxh3=b"x" * 16,
        kind=Kind.TABLE,
        rows=3,
        schema=encode_schema([("id", "int64"), ("名", "string")]),
    )
    files = [put_file(store, b"a/%d" % n, noise(40, n)) for n in range(3)]
    return sorted([*files, link, table], key=lambda each: each.path)


def _nodes() -> Sequence[bytes]:
    leaf = encode_node(0, [encode(each) for each in _entries()])
    inner = encode([1, [Child(b"a", DIGEST, 2, 9), Child(b"b", DIGEST, 1, 0)]])
    return [leaf, inner, encode_node(0, [])]


@target("manifest-node", _nodes, form=Form.MSGPACK, runs=1500)
def manifest_node(data: bytes) -> None:
    store, id_ = _store_with(data, "node", NodeId, ItemType.NODE)
    level, items = read_node(store, NodeId(id_))
    again = encode_node(level, [encode(each) for each in items])
    other, same = _store_with(again, "node", NodeId, ItemType.NODE)
    assert read_node(other, NodeId(same)) == (level, items)
    for each in items:
        if isinstance(each, Entry) and each.schema is not None:
            with contextlib.suppress(DsvcError):
                decode_schema(each.schema)
    manifest = Manifest(store, NodeId(id_))
    for ask in (manifest.totals, lambda: list(manifest.entries()), lambda: manifest.get(b"a/1")):
        with contextlib.suppress(DsvcError):
            ask()
    TreeCheck(store, read_data=False).check([NodeId(id_)])


def _lists() -> Sequence[bytes]:
    leaf = encode([0, [ChunkRef(40, DIGEST), ChunkRef(9), ChunkRef(1, b"e" * 32)]])
    return [leaf, encode([1, [Child(b"", DIGEST, 2, 9)]])]


@target("chunk-list", _lists, form=Form.MSGPACK, runs=2000)
def chunk_list(data: bytes) -> None:
    store, id_ = _store_with(data, "list", ListId, ItemType.LIST)
    level, items = read_list_node(store, id_)
    other, same = _store_with(encode([level, items]), "list", ListId, ItemType.LIST)
    assert read_list_node(other, same) == (level, items)
    if level == 0:
        chunks = list(
            read_list(store, id_, sum(each.length_bytes for each in items if isinstance(each, ChunkRef)))
        )
        assert chunks == items
    else:
        with contextlib.suppress(DsvcError):
            list(read_list(store, id_, 9))


@cache
def _pack() -> bytes:
    backend = MemoryBackend()
    store = ChunkStore(backend)
    for n in range(3):
        put_file(store, b"a", noise(60, n), raw=True)
        put_file(store, b"a", prose(300, n))
    store.put_object(hash_object("node", _nodes()[0], NodeId), _nodes()[0], ItemType.NODE)
    put_record(store, b"record")
    store.publish()
    (found,) = backend.packs.values()
    return found


def _read_pack(data: bytes, name: PackId) -> None:
    backend = MemoryBackend()
    backend.packs[name] = data
    check_pack(backend, name, read_data=True)
    for each in salvage(backend, name):
        assert each.id
    with contextlib.suppress(DsvcError):
        assert rebuild(backend, name) in (True, False)
    backend.packs = {name: data}
    footer = Footer(backend, name)
    store = ChunkStore(backend)
    rows = list(footer.rows())
    for id_, location in rows[:50]:
        footer.find(id_)
        with contextlib.suppress(DsvcError):
            footer.block(location.block)
        with contextlib.suppress(DsvcError):
            store.get(id_, item_type=location.item_type)
    assert list(footer.prefixes()) == [int.from_bytes(id_[:4], "big") for id_, _ in rows]


@target("pack", lambda: [_pack()], longest=8192, runs=1500)
def whole_pack(data: bytes) -> None:
    named = data[-32:] if len(data) >= pack.TRAILER.size else DIGEST
    _read_pack(data, PackId(named))


def _footer_seed() -> Sequence[bytes]:
    data = _pack()
    _, _, _, blocks, count, _ = pack.TRAILER.unpack(data[-pack.TRAILER.size :])
    return [bytes([blocks, count]) + data[len(pack.HEADER) : -pack.TRAILER.size]]


@target("pack-footer", _footer_seed, longest=8192, runs=1500)
def pack_footer(data: bytes) -> None:
    """A pack whose trailer and name fit whatever the footer says: two bytes tell how long it is."""
    if len(data) < 2:
        return
    blocks, count, body = data[0], data[1], pack.HEADER + data[2:]
    length = blocks * pack.BLOCK_ROW.size + pack.FANOUT.size + count * (32 + pack.ID_ROW.size)
    offset = len(body) - length
    if offset < len(pack.HEADER):
        return
    name = hash_object("footer", body[offset:], PackId)
    trailer = pack.TRAILER.pack(pack.TRAILER_MAGIC, offset, length, blocks, count, bytes(name))
    _read_pack(body + trailer, name)


def _frames() -> Sequence[bytes]:
    data = prose(500)
    _, (stored,) = block.Compressor().store([data])
    return [(500).to_bytes(4, "little") + bytes([Codec.ZSTD]) + bytes(stored), b"\3\0\0\0\0abc"]


@target("block", _frames)
def one_block(data: bytes) -> None:
    """A length, a codec, and what is stored."""
    info = BlockInfo(
        0, len(data) - 5, int.from_bytes(data[:4], "little"), 1, data[4] if len(data) > 4 else 0, b""
    )
    assert len(block.decode(info, data[5:], "a block")) == info.raw_length


@target("schema", lambda: [encode_schema([("id", "int64"), ("名", "string")]) or b""], form=Form.MSGPACK)
def schema(data: bytes) -> None:
    columns = decode_schema(data)
    again = encode_schema(columns)
    assert again is None or decode_schema(again) == columns
