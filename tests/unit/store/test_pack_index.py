"""The pack index over many packs: what is there is found, what isn't is not, with and without the filter."""

from __future__ import annotations

import blake3

from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack_index import _FILTER_MISSES, _FILTER_PACKS


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
