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
    ("codec", "raw_length", "stored", "words"),
    [
        (Codec.RAW, 5, b"1234", "has another length"),
        (Codec.RAW, 32 << 20, b"", "has another length"),
        (Codec.RAW, (32 << 20) + 1, b"", "claims 33554433 bytes"),
        (Codec.ZSTD, 5, b"no frame", "does not decompress"),
        (Codec.ZSTD, 5, block.Compressor().store([b"a" * 100])[1][0], "has a frame of another length"),
        (7, 4, b"1234", "has the unknown codec 7"),
    ],
)
def test_blocks_that_are_none(codec: int, raw_length: int, stored: bytes, words: str) -> None:
    with pytest.raises(CorruptDataError, match=f"the block {words}"):
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


KIB = 1024


@pytest.mark.parametrize(
    ("parts", "codec"),
    [
        ([prose(24 * KIB), noise(16 * KIB), prose(24 * KIB)], Codec.RAW),  # the middle says what it is like
        ([prose(24 * KIB), noise(16 * KIB), prose(24 * KIB - 1)], Codec.ZSTD),  # too little to ask
        ([noise(24 * KIB), prose(16 * KIB), noise(24 * KIB)], Codec.ZSTD),
        ([noise(31 * KIB), prose(2 * KIB), noise(31 * KIB)], Codec.RAW),  # 3% fewer bytes aren't worth it
    ],
)
def test_what_does_not_compress_is_stored_as_it_is(parts: list[bytes], codec: Codec) -> None:
    assert block.Compressor().store([b"".join(parts)])[0] is codec


def test_small_texts_are_compressed_together() -> None:
    parts = [prose(5000, number) for number in range(20)]
    codec, stored = block.Compressor().store(parts)
    assert codec is Codec.ZSTD
    assert sum(map(len, stored)) < sum(map(len, parts)) // 2


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
        (b"BM" + b"x" * 29 + b"\0", Kind.IMAGE),
        (b"BM" + b"x" * 30 + b"\0", Kind.BINARY),
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
        (varints(b"\x7f", b"\x80\x10", b"\x80\x10"), ChunkClass.PAGED),
        (varints(b"\x00", b"\x80\x10", b"\x02"), ChunkClass.PAGED),
        (varints(b"\x00", b"\x80\x10", b"\x82\x80\x08"), ChunkClass.RAW),
        (varints(b"\x00", b"\x80\x10", b"\x00"), ChunkClass.RAW),
        (varints(b"\x00", b"\x80\x10"), ChunkClass.RAW),
        (varints(b"\x00", b"\x80\x10", b"\x80\x80\x80\x80\x80"), ChunkClass.RAW),
        (varints(b"\x00", b"\x80\x10", b"\x80\x80\x80\x80\x00"), ChunkClass.RAW),
    ],
)
def test_small_pages_up_to_64_kib(head: bytes, expected: ChunkClass) -> None:
    assert sniff(b"t.parquet", head).chunk_class is expected
