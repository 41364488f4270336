"""Hostile objects and packs: refused with a typed error, in bounded memory and time."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest
import xxhash
import zstandard

from dsvc.model.encoding import encode, hash_object
from dsvc.model.errors import CorruptDataError, DsvcError, MalformedInputError, MissingDataError
from dsvc.model.ids import CommitId, ListId, NodeId, PackId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_FILE, MODE_SYMLINK, ChunkRef, Entry
from dsvc.porcelain.care.gc import work_roots
from dsvc.porcelain.state import sparse
from dsvc.porcelain.state.staging import write_checked
from dsvc.porcelain.tree import merge_state
from dsvc.store import block, pack
from dsvc.store.block import BlockInfo, Codec, ItemType
from dsvc.store.chunk_list import chunks_of, read_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Child, Manifest, encode_node, read_node
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer, encode_footer
from dsvc.store.salvage import salvage
from dsvc.store.scrub import check_pack
from dsvc.store.tree_check import TreeCheck
from tests.storekit import make_layout, noise, prose, put_manifest, put_record

DIGEST, XXH3 = blake3.blake3(b"x").digest(), xxhash.xxh3_128_digest(b"x")


def entry(path: bytes = b"a", **changes: object) -> Entry:
    values = {"path": path, "mode": MODE_FILE, "size": 1, "digest": DIGEST, "xxh3": XXH3, **changes}
    return Entry(**values)  # type: ignore[arg-type]


def bounded(work: Callable[[], object], *errors: type[Exception]) -> None:
    """Run what must be refused: typed, within 5 s and 64 MiB."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(errors):
            work()
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 5


def store_with_node(data: bytes) -> tuple[ChunkStore, NodeId]:
    store = ChunkStore(MemoryBackend())
    id_ = hash_object("node", data, NodeId)
    store.put_object(id_, data, ItemType.NODE)
    store.publish()
    return store, id_


def leaf(*entries: Entry) -> bytes:
    return encode_node(0, [encode(item) for item in entries])


BAD_LEAVES = {
    "climbs out": leaf(entry(b"../x")),
    "climbs out inside": leaf(entry(b"a/../../x")),
    "absolute": leaf(entry(b"/etc/passwd")),
    "in .dsvc": leaf(entry(b".dsvc/config")),
    "in .git": leaf(entry(b".GIT/hooks/post-checkout")),
    "short name of .dsvc": leaf(entry(b"dsvc~1")),
    "NUL": leaf(entry(b"a\0b")),
    "empty path": leaf(entry(b"")),
    "long name": leaf(entry(b"x" * 256)),
    "out of order": leaf(entry(b"b"), entry(b"a")),
    "twice": leaf(entry(b"a"), entry(b"a")),
    "setuid": leaf(entry(mode=0o104755)),
    "device": leaf(entry(mode=0o060644)),
    "negative size": leaf(entry(size=-1)),
    "size 2^63": leaf(entry(size=1 << 63)),
    "short digest": leaf(entry(digest=b"x")),
    "short checksum": leaf(entry(xxh3=b"x")),
    "list of a folder": leaf(entry(mode=MODE_DIRECTORY, size=0, chunks=DIGEST)),
    "folder with bytes": leaf(entry(mode=MODE_DIRECTORY)),
    "endless link": leaf(entry(mode=MODE_SYMLINK, size=5000)),
    "unknown class": leaf(entry(chunk_class=7)),
    "unknown kind": leaf(entry(kind=9)),
    "no node": b"\x00",
    "empty": b"\x92",
    "text for a size": encode([0, [[b"a", MODE_FILE, "1", DIGEST, XXH3, 0, None, 0, None]]]),
    "float for a size": encode([0, [[b"a", MODE_FILE, 1e300, DIGEST, XXH3, 0, None, 0, None]]]),
    "10^9 entries in nine bytes": b"\x92\x00\xdd" + (10**9).to_bytes(4, "big"),
    "more entries than there are": b"\x92\x00\xdc\xff\xff" + encode(entry()),
    "deeply nested": b"\x92\x00" + b"\x91" * 100_000,
    "level 200": b"\x92\xcc\xc8\x90",
    "level 100": b"\x92\x64\x90",
    "inner without children": encode([1, []]),
    "child with a short id": encode([1, [[b"a", b"x", 1, 1]]]),
    "children out of order": encode([1, [[b"b", DIGEST, 1, 1], [b"a", DIGEST, 1, 1]]]),
    "child with -1 files": encode([1, [[b"a", DIGEST, -1, 1]]]),
    "trailing bytes": leaf(entry()) + b"\x00",
}


@pytest.mark.parametrize("name", BAD_LEAVES)
def test_h1_h10_h12_h15_h16_malformed_nodes_are_refused(name: str) -> None:
    store, id_ = store_with_node(BAD_LEAVES[name])
    bounded(lambda: read_node(store, id_), MalformedInputError)
    bounded(lambda: list(Manifest(store, id_).entries()), MalformedInputError)
    bounded(lambda: Marks(store).manifests([id_]), MalformedInputError)
    check = TreeCheck(store, read_data=True)
    check.check([id_])
    assert [defect.id for defect in check.defects] == ["F022"]


BAD_LISTS = {
    "zero length": [ChunkRef(0, DIGEST)],
    "negative length": [ChunkRef(-1, DIGEST)],
    "empty hole": [ChunkRef(0, None)],
    "too short": [ChunkRef(1, DIGEST)],
    "too long": [ChunkRef(1000, DIGEST), ChunkRef(1000, DIGEST)],
    "short id": [ChunkRef(100, b"x")],
    "chunk of 2^40": [ChunkRef(1 << 40, DIGEST)],
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_h15_h17_malformed_chunk_lists_are_refused(name: str) -> None:
    store = ChunkStore(MemoryBackend())
    data = encode_node(0, [encode(item) for item in BAD_LISTS[name]])
    id_ = hash_object("list", data, ListId)
    store.put_object(id_, data, ItemType.LIST)
    store.publish()
    bounded(lambda: list(read_list(store, id_, 100)), MalformedInputError)
    file = entry(size=100, chunks=bytes(id_))
    bounded(lambda: list(chunks_of(store, file)), MalformedInputError)


def test_h18_a_petabyte_from_a_kilobyte_is_not_expanded() -> None:
    store = ChunkStore(MemoryBackend())
    data = encode_node(0, [encode(ChunkRef(1 << 55, None))] * 2)
    id_ = hash_object("list", data, ListId)
    store.put_object(id_, data, ItemType.LIST)
    root = leaf(entry(size=1 << 56, chunks=bytes(id_)))
    node = hash_object("node", root, NodeId)
    store.put_object(node, root, ItemType.NODE)
    store.publish()
    began = time.monotonic()
    check = TreeCheck(store, read_data=True)
    check.check([node])
    assert time.monotonic() - began < 5
    assert check.defects == []


def test_a_level_that_differs_from_the_parent_is_refused() -> None:
    store = ChunkStore(MemoryBackend())
    data = leaf(entry())
    below = hash_object("node", data, NodeId)
    store.put_object(below, data, ItemType.NODE)
    top = encode_node(5, [encode(Child(b"a", bytes(below), 1, 1))])
    root = hash_object("node", top, NodeId)
    store.put_object(root, top, ItemType.NODE)
    store.publish()
    bounded(lambda: list(Manifest(store, root).entries()), CorruptDataError, MalformedInputError)
    bounded(lambda: Marks(store).manifests([root]), MalformedInputError)
    check = TreeCheck(store, read_data=False)
    check.check([root])
    assert [defect.id for defect in check.defects] == ["F023"]


@pytest.mark.parametrize("said", [Child(b"z", b"", 1, 1), Child(b"a", b"", 2, 1), Child(b"a", b"", 1, 9)])
def test_a_parent_that_lies_about_its_child_is_named(said: Child) -> None:
    store = ChunkStore(MemoryBackend())
    data = leaf(entry())
    below = hash_object("node", data, NodeId)
    store.put_object(below, data, ItemType.NODE)
    top = encode_node(1, [encode(Child(said.last, bytes(below), said.files, said.size))])
    root = hash_object("node", top, NodeId)
    store.put_object(root, top, ItemType.NODE)
    store.put_chunk(DIGEST, b"x", raw=False)
    store.publish()
    check = TreeCheck(store, read_data=False)
    check.check([root])
    assert [defect.id for defect in check.defects] == ["F023"]


def test_h23_an_object_of_another_domain_is_refused() -> None:
    store = ChunkStore(MemoryBackend())
    data = leaf(entry())
    chunk = blake3.blake3(data).digest()
    store.put_chunk(chunk, data, raw=False)
    record = put_record(store, data)
    store.publish()
    for id_ in (chunk, bytes(record)):
        bounded(lambda id_=id_: read_node(store, NodeId(id_)), CorruptDataError)  # type: ignore[misc]
    bounded(lambda: store.get(record), CorruptDataError)


# Packs


def forged(
    stored: bytes,
    *,
    raw_length: int,
    codec: int = Codec.ZSTD,
    items: int = 1,
    lengths: list[int] | None = None,
) -> tuple[MemoryBackend, bytes]:
    """A pack with one block whose lengths may lie; its footer is consistent and names it."""
    id_ = hashlib.sha256(stored).digest()
    lengths = lengths or [min(raw_length, block.MAX_ITEM_BYTES)]
    rows = struct.pack(f"<{len(lengths)}I", *lengths)
    checksum = xxhash.xxh3_128_digest(stored)
    head = block.HEADER.pack(block.MAGIC, codec, 0, 0, items, raw_length & 0xFFFFFFFF, len(stored), checksum)
    start = len(pack.HEADER) + len(head) + len(rows)
    info = BlockInfo(start, len(stored), raw_length & 0xFFFFFFFF, items, codec, checksum)
    footer = encode_footer([info], [(id_, lengths[0], 0, 0)])
    name = hash_object("footer", footer, PackId)
    body = pack.HEADER + head + rows + stored
    trailer = pack.TRAILER.pack(pack.TRAILER_MAGIC, len(body), len(footer), 1, 1, bytes(name))
    backend = MemoryBackend()
    backend.packs[name] = body + footer + trailer
    return backend, id_


def frame_claiming(size: int) -> bytes:
    """A zstd frame of some bytes that claims `size`."""
    return b"\x28\xb5\x2f\xfd" + bytes([0xE0]) + struct.pack("<Q", size) + b"\x01\x00\x00"


BOMBS = {
    "1 GiB of zeros": (zstandard.compress(bytes(64 << 20)) * 16, 1 << 30),
    "64 MiB under a small length": (zstandard.compress(bytes(64 << 20)), 1000),
    "claims 2^40": (frame_claiming(1 << 40), 1000),
    "claims 2^63": (frame_claiming(1 << 63), (1 << 32) - 1),
    "claims what the footer claims": (frame_claiming(1 << 24), 1 << 24),
    "no frame": (b"no frame", 100),
    "empty": (b"", 100),
    "unknown length": (zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 100), 100),
    "a window of 2^41": (b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00", 1000),
    "a frame to be skipped": (b"\x50\x2a\x4d\x18\xff\xff\xff\x7f", 1000),
    "skipped, then true": (b"\x50\x2a\x4d\x18\x00\x00\x00\x00" + zstandard.compress(b"x" * 100), 100),
    "two frames": (zstandard.compress(b"x" * 50) * 2, 100),
    "a frame in a frame": (zstandard.compress(zstandard.compress(bytes(1 << 20))), 1 << 20),
    "checksum of others": (
        zstandard.ZstdCompressor(write_checksum=True).compress(b"x" * 100)[:-1] + b"\0",
        100,
    ),
    "dictionary": (
        zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(prose(4000))).compress(prose(4000)),
        4000,
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_h19_bombs_and_lying_frames_are_refused(name: str) -> None:
    stored, raw_length = BOMBS[name]
    backend, id_ = forged(stored, raw_length=raw_length)
    bounded(lambda: ChunkStore(backend).get(id_), CorruptDataError)
    (pack_id,) = backend.list_packs()
    assert check_pack(backend, pack_id, read_data=True).defects
    assert list(salvage(backend, pack_id)) == [] or name == "dictionary"


@pytest.mark.parametrize("codec", [2, 7, 255, 1 << 31])
def test_an_unknown_codec_is_refused(codec: int) -> None:
    stored = b"x" * 100
    info = BlockInfo(0, 100, 100, 1, codec, xxhash.xxh3_128_digest(stored))
    with pytest.raises(CorruptDataError):
        block.decode(info, stored, "block")


@pytest.mark.parametrize(
    "changes",
    [
        {"blocks": 1 << 31},
        {"ids": 1 << 31},
        {"length": 1 << 63},
        {"offset": 1 << 63},
        {"offset": 0, "length": 0, "blocks": 0, "ids": 0},
        {"blocks": 3},
        {"ids": 3},
        {"length": 10},
    ],
)
def test_h15_h16_lying_trailers_are_refused_before_anything_is_allocated(changes: dict[str, int]) -> None:
    backend = MemoryBackend()
    put_manifest(ChunkStore(backend), {b"a": noise(1000)}, raw=True)
    (name,) = backend.list_packs()
    data = backend.packs[name]
    magic, offset, length, blocks, ids, named = pack.TRAILER.unpack(data[-64:])
    values = {"offset": offset, "length": length, "blocks": blocks, "ids": ids, **changes}
    backend.packs[name] = data[:-64] + pack.TRAILER.pack(magic, *values.values(), named)
    bounded(lambda: Footer(backend, name), CorruptDataError)
    assert [d.id for d in check_pack(backend, name, read_data=True).defects] == ["F001"]


def test_arbitrary_bytes_as_a_pack_are_refused() -> None:
    generator = random.Random(3)
    for size in (0, 1, 15, 16, 63, 64, 80, 1000, 5000):
        backend = MemoryBackend()
        name = PackId(generator.randbytes(32))
        backend.packs[name] = generator.randbytes(size)
        assert [d.id for d in check_pack(backend, name, read_data=True).defects] == ["F001"]
        assert list(salvage(backend, name)) == []
        store = ChunkStore(backend)
        with pytest.raises(MissingDataError):
            store.get(DIGEST)
        assert name in store.index.broken


def test_mutated_packs_raise_only_typed_errors() -> None:
    """Bytes of footers and headers at random: right bytes or a typed error, never anything else."""
    generator = random.Random(4)
    backend = MemoryBackend()
    contents = {b"a": prose(3000), b"b": noise(2000), b"c": prose(30_000, 2)}
    root = put_manifest(ChunkStore(backend), contents)
    (name,) = backend.list_packs()
    whole = backend.packs[name]
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(generator.choice((1, 1, 2, 8))):
            data[generator.randrange(len(data))] = generator.randrange(256)
        backend.packs[name] = bytes(data)
        store = ChunkStore(backend)
        try:
            for item in Manifest(store, root).entries():
                parts = [bytes(store.get(ref.id)) for ref in chunks_of(store, item) if ref.id]
                assert b"".join(parts) == contents[item.path]
        except DsvcError:
            pass
        assert bytes(data) == whole or check_pack(backend, name, read_data=True).defects
        list(salvage(backend, name))


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", encode([1, 2, 3]), encode([None, b"x", b"y"]), b"\xdd\xff\xff\xff\xff"]
)
def test_h16_h23_a_staged_file_of_another_shape_is_refused(tmp_path: Path, body: bytes) -> None:
    layout = make_layout(tmp_path)
    write_checked(os.path.join(layout.work, "staged"), body, durable=False)
    bounded(lambda: list(work_roots(layout)), CorruptDataError, MalformedInputError)


def test_text_that_is_no_utf8_is_refused() -> None:
    """The decoder says so with an error of its own, which is none of its errors."""
    from dsvc.history.operations import decode_operation
    from dsvc.model.encoding import decode

    with pytest.raises(MalformedInputError):
        decode(b"\xa3\x00\x00\x80", str, "text")
    with pytest.raises(MalformedInputError):
        decode_operation(CommitId("0" * 40), b'{"format": 1, "verb": "\xff"}')


@pytest.mark.parametrize("body", [b"\x91\xa3\x00\x00\x80", b"\xc1", b"\x93\xa1\x80\xc4\x00\xc4\x00"])
def test_h23_work_files_that_hold_something_else(tmp_path: Path, body: bytes) -> None:
    """Their checksums are right."""
    layout = make_layout(tmp_path)
    for name, read in (
        ("sparse", lambda: sparse.load(layout)),
        ("staged", lambda: list(work_roots(layout))),
        ("merge", lambda: merge_state.load(layout)),
    ):
        path = os.path.join(layout.work, name)
        write_checked(path, body, durable=False)
        bounded(read, CorruptDataError)
        os.remove(path)
