"""Blocks as they are stored, and what a file is at first sight."""

from __future__ import annotations

import pytest
import xxhash

from dsvc.model.errors import CorruptDataError
from dsvc.model.manifest import ChunkClass, Kind
from dsvc.store import block
from dsvc.store.block import BlockInfo, Codec
from dsvc.store.content import sniff
from tests.storekit import noise, prose


@pytest.mark.parametrize(
    ("codec", "raw_length", "stored"),
    [
        (Codec.RAW, 5, b"1234"),
        (Codec.RAW, block.MAX_RAW_BYTES + 1, b""),
        (Codec.ZSTD, 5, b"no frame"),
        (Codec.ZSTD, 5, block.Compressor().store([b"a" * 100])[1][0]),
        (7, 4, b"1234"),
    ],
)
def test_blocks_that_are_none(codec: int, raw_length: int, stored: bytes) -> None:
    with pytest.raises(CorruptDataError, match="the block"):
        block.decode(BlockInfo(0, len(stored), raw_length, 1, codec, b""), stored, "the block")


@pytest.mark.parametrize("data", [b"a" * 100_000, prose(50_000), noise(70_000), b"", b"x"])
def test_blocks_come_back(data: bytes) -> None:
    for parts in ([data], [data[: len(data) // 2], data[len(data) // 2 :]]):
        codec, stored = block.Compressor().store(parts)
        whole = b"".join(stored)
        assert block.stored_checksum(stored) == xxhash.xxh3_128_digest(whole)
        info = BlockInfo(0, len(whole), len(data), len(parts), codec, b"")
        assert bytes(block.decode(info, whole, "block")) == data
    assert codec is (Codec.RAW if data in (b"", b"x", noise(70_000)) else Codec.ZSTD)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", Kind.IMAGE),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", Kind.IMAGE),
        (b"\xff\xd8\xff without zeros", Kind.IMAGE),
        (b"GIF89a\x01\0", Kind.IMAGE),
        (b"GIF87a without", Kind.IMAGE),
        (b"BM\x36\0\0\0", Kind.IMAGE),
        (b"BMW, and other text", Kind.TEXT),
        (b"BM" + b"x" * 40 + b"\0", Kind.BINARY),
        (b"II*\0\x08\0", Kind.IMAGE),
        (b"MM\0*\0\0", Kind.IMAGE),
        (b"RIFF\0\0\0\0WEBPVP8 ", Kind.IMAGE),
        (b"RIFF\0\0\0\0WAVEfmt ", Kind.BINARY),
        (b"\0\0\0\x1cftypavif", Kind.IMAGE),
        (b"\0\0\0\x1cftypheic", Kind.IMAGE),
        (b"\0\0\0\x1cftypisom", Kind.BINARY),
        (b"\0\0\x01\0\x01\0", Kind.IMAGE),
        (b"%PDF-1.7 text", Kind.BINARY),
        (b"\0", Kind.BINARY),
        (b"", Kind.TEXT),
        ("文字".encode(), Kind.TEXT),
        (b"\xff not a picture", Kind.TEXT),
    ],
)
def test_what_a_file_is_at_first_sight(head: bytes, kind: Kind) -> None:
    look = sniff(b"name", head)
    assert look.kind is kind
    assert look.chunk_class is (ChunkClass.TEXT if kind is Kind.TEXT else ChunkClass.RAW)


def varints(*numbers: bytes) -> bytes:
    return b"PAR1" + b"".join(b"\x15" + number for number in numbers) + b"\0" * 20


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (varints(b"\x00", b"\x80\x10", b"\x80\x10"), ChunkClass.PAGED),
        (varints(b"\x00", b"\x80\x10", b"\x80\x80\x08"), ChunkClass.PAGED),
        (varints(b"\x00", b"\x80\x10", b"\x82\x80\x08"), ChunkClass.RAW),
        (varints(b"\x00", b"\x80\x10", b"\x00"), ChunkClass.RAW),
        (varints(b"\x00", b"\x80\x10"), ChunkClass.RAW),
        (varints(b"\x00", b"\x80\x10", b"\x80\x80\x80\x80\x80"), ChunkClass.RAW),
        (varints(b"\x00", b"\x80\x10", b"\x80\x80\x80\x80\x00"), ChunkClass.RAW),
    ],
)
def test_small_pages_up_to_64_kib(head: bytes, expected: ChunkClass) -> None:
    assert sniff(b"t.parquet", head).chunk_class is expected
