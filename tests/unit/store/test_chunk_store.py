"""What is put, published or given up, and what reading costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import blake3
import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.encoding import hash_object
from dsvc.model.errors import CorruptDataError, ErasedError, MissingDataError, StorageError
from dsvc.model.ids import ChunkId, ListId, PackId
from dsvc.store.backend import Buffer
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.erase import erase
from dsvc.store.memory_backend import MemoryBackend, MemorySink
from tests.storekit import local_store, noise, prose

KIB, MIB = 1 << 10, 1 << 20


def put(store: ChunkStore, data: bytes, *, raw: bool = True) -> bytes:
    id_ = blake3.blake3(data).digest()
    store.put_chunk(id_, data, raw=raw)
    return id_


def put_list(store: ChunkStore, data: bytes) -> ListId:
    id_ = hash_object("list", data, ListId)
    store.put_object(id_, data, ItemType.LIST)
    return id_


class Counting(MemoryBackend):
    """Packs in memory; how often bytes were read."""

    reads = 0

    def read(self, pack: PackId, offset: int, length: int) -> bytes:
        self.reads += 1
        return super().read(pack, offset, length)


class Weightless(MemoryBackend):
    """A backend that only counts what is written."""

    def create(self) -> MemorySink:
        return WeightlessSink(self.packs)


class WeightlessSink(MemorySink):
    written = 0

    @property
    def position(self) -> int:
        return self.written

    def write(self, buffers: Sequence[Buffer]) -> None:
        self.written += sum(len(buffer) for buffer in buffers)


def test_what_was_put_and_published_is_counted() -> None:
    backend = MemoryBackend()
    store = ChunkStore(backend)
    assert (store.put_bytes, store.published_bytes, store.publish()) == (0, 0, None)
    for number in range(2):
        put(store, noise(5000, number))
        put(store, noise(5000, number))
        put_list(store, b"\x92\x00\x91" + noise(100, number))
        assert store.put_bytes == (number + 1) * 5103
        assert store.publish() in backend.packs
        assert store.published_bytes == sum(map(len, backend.packs.values()))


def test_what_is_there_is_not_new_and_like_lies_with_like() -> None:
    store = ChunkStore(MemoryBackend())
    text, raw = prose(5000), noise(5000)
    text_id, raw_id = blake3.blake3(text).digest(), blake3.blake3(raw).digest()
    listed = hash_object("list", b"\x92\x00\x90", ListId)
    for new in (True, False):
        assert store.put_chunk(raw_id, raw, raw=True) is new
        assert store.put_object(listed, b"\x92\x00\x90", ItemType.LIST) is new
        assert store.put_chunk(text_id, text, raw=False) is new
    store.publish()
    assert not store.put_chunk(raw_id, raw, raw=True)
    assert not store.put_object(listed, b"\x92\x00\x90", ItemType.LIST)
    assert store.publish() is None
    assert [store.locate(id_)[1].block for id_ in (text_id, raw_id, listed)] == [0, 1, 2]


def test_that_something_was_erased_is_believed_of_a_sound_footer_only() -> None:
    backend = MemoryBackend()
    store = ChunkStore(backend)
    id_ = put(store, noise(5000))
    name = store.publish()
    assert name is not None
    whole = bytearray(backend.packs[name])
    whole[-64 - 12 + 3] |= 0x80  # the type of the only row: as if it had been erased
    backend.packs[name] = bytes(whole)
    with pytest.raises(CorruptDataError, match="footer"):
        ChunkStore(backend).get(id_)
    other = MemoryBackend()
    store = ChunkStore(other)
    put(store, noise(5000))
    store.publish()
    erase(store, [ChunkId(id_)])
    with pytest.raises(ErasedError):
        ChunkStore(other).get(id_)
    with pytest.raises(ErasedError):
        ChunkStore(other).put_chunk(id_, noise(5000), raw=True)


def test_a_pack_is_full_at_128_mib() -> None:
    data = noise(8 * MIB)
    # A pack's header has 16 bytes, a block's 36 and 4 for each item; the sixteenth fills it up.
    for last, full in ((8 * MIB - 16 - 16 * 40, True), (8 * MIB - 16 - 16 * 40 - 1, False)):
        store = ChunkStore(Weightless())
        assert not store.pack_is_full
        for number in range(15):
            store.put_chunk(bytes([number] * 32), data, raw=True)
        assert not store.pack_is_full
        store.put_chunk(b"x" * 32, memoryview(data)[:last], raw=True)
        assert store.pack_is_full is full
        store.abandon()


def test_what_was_given_up_is_not_there() -> None:
    store = ChunkStore(MemoryBackend())
    chunk, listed = put(store, noise(5000)), put_list(store, b"\x92\x00\x90")
    assert store.has(chunk)
    assert bytes(store.get(listed, item_type=ItemType.LIST)) == b"\x92\x00\x90"
    for _ in range(2):
        store.abandon()
        assert not store.has(chunk)
    with pytest.raises(MissingDataError):
        store.get(listed, item_type=ItemType.LIST)
    assert put(store, noise(5000)) == chunk
    store.publish()
    assert bytes(store.get(chunk)) == noise(5000)


def test_what_could_not_be_published_is_put_again(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    chunk = put(store, noise(5000))
    with armed(Plan(action=Action.ENOSPC, at=1)), pytest.raises(StorageError):
        store.publish()
    assert not store.has(chunk)
    assert store.publish() is None
    assert put(store, noise(5000)) == chunk
    assert store.publish() is not None
    assert bytes(store.get(chunk)) == noise(5000)


def test_a_block_is_read_once_and_32_are_kept() -> None:
    backend = Counting()
    store, ids = ChunkStore(backend), []
    for number in range(33):
        ids.append(put(store, prose(5000, number), raw=False))
        store.publish()
    store = ChunkStore(backend)
    assert [bytes(store.get(id_)) for id_ in ids] == [prose(5000, number) for number in range(33)]
    before = backend.reads
    for id_ in ids[1:]:
        store.get(id_)
    assert backend.reads == before
    assert bytes(store.get(ids[0])) == prose(5000, 0)
    assert backend.reads == before + 1
