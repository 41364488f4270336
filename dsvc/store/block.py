"""Blocks: runs of chunks compressed together, the unit of compression and of a ranged read.

Byte layout: ``docs/format.md``, section *Block*. A header holds lengths only; salvage recomputes the ids.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

import xxhash
import zstandard

from dsvc.model.errors import CorruptDataError
from dsvc.store.backend import Buffer

MAGIC: Final = b"DSVB"
HEADER: Final = struct.Struct("<4sBBHIII16s")
"""Magic, codec, reserved, reserved, items, raw length, stored length, XXH3-128 of the stored bytes."""
TARGET_BYTES: Final = 256 * 1024
MAX_RAW_BYTES: Final = 32 * 1024 * 1024
MAX_ITEM_BYTES: Final = (1 << 24) - 1
TEXT_TARGET_BYTES: Final = 384 * 1024
"""Text shares more per block than it costs to read one: measured in ``docs/adr``."""
_PROBE_BYTES = 16 * 1024
_WORTHWHILE = 0.95


class Codec(IntEnum):
    """How a block's bytes are stored."""

    RAW = 0
    ZSTD = 1


class ItemType(IntEnum):
    """What an item of a block is; decides the domain its id is hashed in."""

    CHUNK = 0
    NODE = 1
    LIST = 2
    RECORD = 3


class BlockInfo(NamedTuple):
    """A block's row in the footer."""

    offset: int
    stored_length: int
    raw_length: int
    items: int
    codec: int
    xxh3: bytes


class Compressor:
    """Compresses blocks; keeps its context between calls, one object a thread."""

    def __init__(self) -> None:
        # Level 3's strategy with tables that fit a core's cache: a fifth faster, 3% smaller on text.
        parameters = zstandard.ZstdCompressionParameters(
            window_log=19,
            chain_log=15,
            hash_log=16,
            search_log=1,
            min_match=6,
            target_length=0,
            strategy=zstandard.STRATEGY_DFAST,
            write_content_size=True,
        )
        self._zstd = zstandard.ZstdCompressor(compression_params=parameters)
        self._quick = zstandard.ZstdCompressor(level=1)

    def _worthwhile(self, buffers: Sequence[Buffer], total: int) -> bool:
        """Probe the largest item: bytes that don't compress at level 1 are stored as they are."""
        if total < 4 * _PROBE_BYTES:
            return True
        sample = max(buffers, key=len)
        middle = max(0, len(sample) // 2 - _PROBE_BYTES // 2)
        probe = memoryview(sample)[middle : middle + _PROBE_BYTES]
        return len(self._quick.compress(probe)) < _WORTHWHILE * len(probe)

    def store(self, buffers: Sequence[Buffer]) -> tuple[Codec, list[Buffer]]:
        """Choose the codec and return the bytes to store, as one buffer or as the given ones."""
        total = sum(len(b) for b in buffers)
        if self._worthwhile(buffers, total):
            packed = self._zstd.compress(b"".join(buffers))
            if len(packed) < _WORTHWHILE * total:
                return Codec.ZSTD, [packed]
        return Codec.RAW, list(buffers)


def stored_checksum(buffers: Sequence[Buffer]) -> bytes:
    """XXH3-128 of the stored bytes, big-endian."""
    state = xxhash.xxh3_128()
    for buffer in buffers:
        state.update(buffer)
    return state.digest()


@lru_cache(maxsize=1)
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(max_window_size=MAX_RAW_BYTES)


def decode(info: BlockInfo, stored: bytes | memoryview, what: str) -> bytes | memoryview:
    """Return a block's raw bytes.

    Raises
    ------
    CorruptDataError
        If the stored bytes are no frame of exactly the declared length; checked before allocation,
        since zstd believes whatever length a frame claims.
    """
    if info.raw_length > MAX_RAW_BYTES:
        raise CorruptDataError(f"{what} claims {info.raw_length} bytes")
    if info.codec == Codec.RAW:
        if len(stored) != info.raw_length:
            raise CorruptDataError(f"{what} has another length than its index says")
        return stored
    if info.codec != Codec.ZSTD:
        raise CorruptDataError(f"{what} has the unknown codec {info.codec}")
    try:
        if zstandard.get_frame_parameters(stored).content_size != info.raw_length:
            raise CorruptDataError(f"{what} has a frame of another length")
        return _decompressor().decompress(stored, max_output_size=info.raw_length)
    except zstandard.ZstdError as error:
        raise CorruptDataError(f"{what} does not decompress: {error}") from error
