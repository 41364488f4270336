"""The pack index over many packs: what is there is found, what isn't is not, with and without the filter."""

from __future__ import annotations

import logging

import blake3
import pytest

from dsvc.model.ids import PackId
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


def absent(count: int, start: int = 0) -> list[bytes]:
    return [blake3.blake3(b"absent %d" % number).digest() for number in range(start, start + count)]


def pack_of(backend: MemoryBackend, ids: list[bytes], *, erased: bool = True) -> PackId:
    writer = PackWriter(backend)
    for id_ in ids:
        if erased:
            writer.put_erased(id_, 4, ItemType.CHUNK)
        else:
            writer.put(id_, b"data", ItemType.CHUNK, STREAM_TEXT)
    name = writer.publish()
    assert name is not None
    return name


@pytest.mark.parametrize(("packs", "built"), [(7, False), (8, True)])
def test_the_filter_is_built_after_1000_misses_in_8_packs(packs: int, built: bool) -> None:
    backend = MemoryBackend()
    for number in range(packs):
        _put(backend, number)
    index = PackIndex(backend)
    for id_ in absent(999):
        assert index.find(id_) is None
    assert index._filter is None
    assert index.find(absent(1, 999)[0]) is None
    assert (index._filter is not None) is built
    first = index._filter
    assert not any(index.find(id_) for id_ in absent(2000, 1000))
    assert index._filter is first


def test_the_filter_grows_with_the_packs_and_lets_few_through() -> None:
    backend = MemoryBackend()
    for number in range(8):
        _put(backend, number)
    index = PackIndex(backend)
    for id_ in absent(1000):
        index.find(id_)
    first = index._filter
    assert first is not None
    for _ in range(100):
        index.reload()
    assert index._filter is first
    assert first.ids == 8 * 20
    ids = [blake3.blake3(b"%d" % number).digest() for number in range(30_000)]
    pack_of(backend, ids)
    index.reload()
    filtered = index._filter
    assert filtered is not None
    assert filtered.ids == 8 * 20 + 30_000
    assert all(map(filtered.may_have, ids))
    assert sum(map(filtered.may_have, absent(10_000))) < 500, "3% are to be expected"


def test_the_table_of_packs_is_built_after_20000_looks_in_vain() -> None:
    backend = MemoryBackend()
    ids = _put(backend, 1)
    index = PackIndex(backend)
    for _ in range(2):
        for _ in range(2):
            assert not any(index.find(id_) for id_ in absent(9_999))
            assert all(map(index.find, ids)), "found at once: nothing in vain"
        assert index.find(absent(1)[0]) is None
        assert index._merged is None
        assert index.find(absent(1)[0]) is None
        assert index._merged is not None
        assert all(map(index.find, ids))
        index.reload()
        assert index._merged is None


def test_what_was_erased_in_one_pack_is_found_in_another() -> None:
    backend = MemoryBackend()
    first, second = absent(2)
    writers = [PackWriter(backend), PackWriter(backend)]
    for writer, here, gone in zip(writers, (first, second), (second, first), strict=True):
        writer.put(here, b"data", ItemType.CHUNK, STREAM_TEXT)
        writer.put_erased(gone, 4, ItemType.CHUNK)
        writer.publish()
    others = [pack_of(backend, [id_], erased=False) for id_ in absent(5, 10)]
    index = PackIndex(backend)
    assert {footer.pack for footer in index.footers()} > set(others)
    for id_ in (first, second, first, *absent(5, 10)):
        found = index.find(id_)
        assert found is not None
        assert not found[1].erased
        assert index.footers()[0] is found[0], "the next is likely there too"
    assert {place.erased for _, place in index.places(first)} == {False, True}


def test_a_broken_pack_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    backend = MemoryBackend()
    ids = _put(backend, 1)
    whole = PackId(backend.list_packs()[0])
    broken = pack_of(backend, absent(1))
    backend.packs[broken] = backend.packs[broken][:-1]
    index = PackIndex(backend)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            index.reload()
            assert set(index.broken) == {broken}
            assert [footer.pack for footer in index.footers()] == [whole]
    assert caplog.text.count(f"pack {broken.short()} can't be read") == 1
    assert all(map(index.find, ids))


def test_a_trashed_place_with_bytes_is_preferred() -> None:
    backend = MemoryBackend()
    (id_,) = absent(1)
    names = [pack_of(backend, [id_]), pack_of(backend, [id_], erased=False)]
    for number, name in enumerate(names):
        backend.trash([name], f"00000{number}-x")
    index = PackIndex(backend)
    assert index.find(id_) is None
    found = index.find_in_trash(id_)
    assert found is not None
    assert (found[0].pack, found[1].erased) == (names[1], False)
    assert index.find_in_trash(absent(1, 5)[0]) is None
    assert index.places(id_) == []
    assert len(index.places(id_, trash=True)) == 2
