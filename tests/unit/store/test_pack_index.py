"""The pack index over many packs: what is there is found, what isn't is not, with and without the filter."""

from __future__ import annotations

import blake3

from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import STREAM_TEXT, PackWriter
from dsvc.store.pack_index import _FILTER_MISSES, _FILTER_PACKS, _MERGED_IDS, PackIndex


def _put(backend: MemoryBackend, number: int) -> list[bytes]:
    store = ChunkStore(backend)
    ids = []
    for item in range(20):
        data = f"{number}/{item}".encode()
        ids.append(blake3.blake3(data).digest())
        store.put_chunk(ids[-1], data, raw=False)
    store.publish()
    return ids


def test_many_misses_over_many_packs_hide_nothing() -> None:
    backend = MemoryBackend()
    ids = [id_ for number in range(_FILTER_PACKS + 4) for id_ in _put(backend, number)]
    store = ChunkStore(backend)
    absent = [blake3.blake3(f"absent {n}".encode()).digest() for n in range(_FILTER_MISSES + 500)]
    assert not any(store.has(id_) for id_ in absent)
    assert all(store.has(id_) for id_ in ids)
    assert not any(store.has(id_) for id_ in absent)


def test_packs_that_come_later_are_seen_through_the_filter() -> None:
    backend = MemoryBackend()
    for number in range(_FILTER_PACKS):
        _put(backend, number)
    store = ChunkStore(backend)
    for n in range(_FILTER_MISSES + 1):
        assert not store.has(blake3.blake3(f"absent {n}".encode()).digest())
    late = [id_ for number in range(100, 140) for id_ in _put(backend, number)]
    store.index.reload()
    assert all(store.has(id_) for id_ in late)


def test_the_table_of_many_packs_says_what_the_packs_say() -> None:
    """Ids that begin alike, objects in several packs, erased ones, and a pack too large for the table."""
    backend = MemoryBackend()
    ids = []
    for number in range(40):
        writer = PackWriter(backend)
        for item in range(60):
            # Few beginnings: most ids share their first four bytes with one in another pack.
            id_ = bytes([item % 7, 0, 0, 0]) + blake3.blake3(b"%d" % (number * 50 + item)).digest()[:28]
            ids.append(id_)
            if (number + item) % 3:
                writer.put(id_, b"data", ItemType.CHUNK, STREAM_TEXT)
            else:
                writer.put_erased(id_, 4, ItemType.CHUNK)
        writer.publish()
    large = PackWriter(backend)
    for item in range(_MERGED_IDS + 1):
        large.put_erased(item.to_bytes(32, "big"), 4, ItemType.CHUNK)
    large.publish()
    ids += [item.to_bytes(32, "big") for item in range(0, _MERGED_IDS, 1 << 13)]
    index = PackIndex(backend)
    while index._merged is None:
        for id_ in ids:
            index.find(id_)
    absent = [bytes([n % 9, 0, 0, 0]) + bytes([255]) * 28 for n in range(9)]
    for id_ in [*ids, *absent]:
        found, places = index.find(id_), index.places(id_)
        assert (found is None) == (not places)
        if found is not None:
            assert found[1].erased == all(place.erased for _, place in places)
            assert found in places
