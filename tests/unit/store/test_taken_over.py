"""Rewriting packs: a block is copied as it is stored where all of it is kept; else its items are put anew."""

from __future__ import annotations

import blake3
import pytest
import zstandard

from dsvc.store.block import TARGET_BYTES, Compressor, ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import STREAM_TEXT, Footer, PackWriter
from dsvc.store.rewrite import Rewriter
from tests.storekit import prose


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
