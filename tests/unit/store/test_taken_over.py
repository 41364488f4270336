"""Rewriting packs: a block is copied as it is stored where all of it is kept; else its items are put anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import blake3
import pytest
import zstandard

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import StorageError
from dsvc.store import block
from dsvc.store.block import TARGET_BYTES, Compressor, ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import STREAM_TEXT, Footer, PackWriter
from dsvc.store.rewrite import Rewriter
from dsvc.store.scrub import check_pack
from tests.forged_pack import IDS, ITEMS, Forged
from tests.storekit import local_store, prose, reopened


def stored_blocks(backend: MemoryBackend, footer: Footer) -> list[bytes]:
    infos = [footer.block(number) for number in range(footer.blocks)]
    return [bytes(backend.read(footer.pack, each.offset, each.stored_length)) for each in infos]


@pytest.mark.parametrize("dropped", [None, 0, -1])
def test_whole_blocks_are_taken_over(dropped: int | None) -> None:
    backend = MemoryBackend()
    items = {blake3.blake3(data).digest(): data for data in (prose(TARGET_BYTES // 4, n) for n in range(8))}
    # As another version may have compressed it: put anew, it would be other bytes.
    compressor = Compressor()
    compressor._zstd = zstandard.ZstdCompressor(level=9)
    writer = PackWriter(backend, compressor)
    for id_, data in items.items():
        writer.put(id_, data, ItemType.CHUNK, STREAM_TEXT)
    name = writer.publish()
    assert name is not None
    footer = Footer(backend, name)
    gone = None if dropped is None else list(items)[dropped]
    store = ChunkStore(backend)
    with Rewriter(store) as rewriter:
        rewriter.copy(footer, lambda row, id_, place: id_ != gone)
    kept = {id_: data for id_, data in items.items() if id_ != gone}
    (made,) = rewriter.published
    fresh = Footer(backend, made)
    found = ChunkStore(backend)
    assert {id_: bytes(found.read_at(fresh, place)) for id_, place in fresh.rows()} == kept
    before, after = stored_blocks(backend, footer), stored_blocks(backend, fresh)
    touched = set() if gone is None else {place.block for id_, place in footer.rows() if id_ == gone}
    whole = [
        data
        for number, data in enumerate(before)
        if number not in touched and footer.block(number).raw_length >= TARGET_BYTES // 2
    ]
    assert whole
    assert all(data in after for data in whole)


@pytest.mark.parametrize(("length", "blocks"), [(128 * 1024, 2), (128 * 1024 - 1, 1)])
def test_small_blocks_are_put_together(length: int, blocks: int) -> None:
    backend = MemoryBackend()
    contents = [prose(length, number) for number in range(2)]
    for data in contents:
        writer = PackWriter(backend)
        writer.put(blake3.blake3(data).digest(), data, ItemType.CHUNK, STREAM_TEXT)
        writer.publish()
    footers = [Footer(backend, name) for name in backend.list_packs()]
    with Rewriter(ChunkStore(backend)) as rewriter:
        for footer in footers:
            rewriter.copy(footer, lambda row, id_, place: True)
    (made,) = rewriter.published
    fresh = Footer(backend, made)
    assert fresh.blocks == blocks
    store = ChunkStore(backend)
    assert {bytes(store.read_at(fresh, place)) for _, place in fresh.rows()} == set(contents)


def test_a_block_is_taken_over_once() -> None:
    backend = MemoryBackend()
    writer = PackWriter(backend)
    data = prose(200_000)
    writer.put(blake3.blake3(data).digest(), data, ItemType.CHUNK, STREAM_TEXT)
    name = writer.publish()
    assert name is not None
    with Rewriter(ChunkStore(backend)) as rewriter:
        for _ in range(2):
            rewriter.copy(Footer(backend, name), lambda row, id_, place: True)
    assert rewriter.published == [name]


def right(forged: Forged) -> None:
    pass


def gap(forged: Forged) -> None:
    forged.stored = ITEMS[0] + b"x" + b"".join(ITEMS[1:])
    forged.rows = [(*row[:3], row[3] + 1 if number else 0) for number, row in enumerate(forged.rows)]


def tail(forged: Forged) -> None:
    forged.stored += b"x"


def wrong_sum(forged: Forged) -> None:
    forged.info = forged.info._replace(xxh3=b"s" * 16)


def wrong_count(forged: Forged) -> None:
    forged.info = forged.info._replace(items=4)


@pytest.mark.parametrize("change", [right, gap, tail, wrong_sum, wrong_count])
def test_what_is_wrong_in_a_block_is_not_taken_over(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Forged], None]
) -> None:
    monkeypatch.setattr(block, "TARGET_BYTES", 3000)  # the block is over half of it
    forged = Forged()
    change(forged)
    stored = block.stored_checksum([forged.stored])
    length = len(forged.stored)
    forged.info = forged.info._replace(stored_length=length, raw_length=length)
    if change is not wrong_sum:
        forged.info = forged.info._replace(xxh3=stored)
    backend, name = forged.made()
    with Rewriter(ChunkStore(backend)) as rewriter:
        rewriter.copy(Footer(backend, name), lambda row, id_, place: True)
    (made,) = rewriter.published
    assert (made == name) is (change is right)
    assert check_pack(backend, made, read_data=True).defects == []
    fresh, store = Footer(backend, made), ChunkStore(backend)
    assert {id_: bytes(store.read_at(fresh, place)) for id_, place in fresh.rows()} == dict(
        zip(IDS, ITEMS, strict=True)
    )


def test_what_could_not_be_published_is_put_again(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    rewriter = Rewriter(store)
    rewriter.put(IDS[0], ITEMS[0], ItemType.CHUNK, STREAM_TEXT)
    with armed(Plan(action=Action.ENOSPC, at=1)), pytest.raises(StorageError):
        rewriter.publish()
    rewriter.publish()
    assert rewriter.published == []
    rewriter.put(IDS[0], ITEMS[0], ItemType.CHUNK, STREAM_TEXT)
    rewriter.put(IDS[0], ITEMS[0], ItemType.CHUNK, STREAM_TEXT)
    rewriter.publish()
    assert bytes(reopened(store).get(IDS[0])) == ITEMS[0]
    assert rewriter.published == store.backend.list_packs()
