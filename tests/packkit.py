"""Git packs written by hand, with whatever lengths, deltas and ids a test wants in them."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

BLOB: Final = 3
OFS_DELTA: Final = 6
REF_DELTA: Final = 7


class Packed(NamedTuple):
    """An entry of a pack: its id, its type, the length that it declares, what stands before its stream.

    `body` is its stream, compressed already.
    """

    id: bytes
    kind: int
    length: int
    body: bytes
    base: bytes = b""


def stream(data: bytes) -> bytes:
    """Compress the content of an entry."""
    return zlib.compress(data, 9)


def zeros(megabytes: int) -> bytes:
    """A stream of many zeros: one block of a megabyte, again and again, and the checksum of all."""
    made = zlib.compressobj(9, wbits=-15)
    block = made.compress(bytes(1 << 20)) + made.flush(zlib.Z_FULL_FLUSH)
    checksum = (megabytes << 20) % 65521 << 16 | 1
    return b"\x78\xda" + block * megabytes + b"\x03\x00" + struct.pack(">I", checksum)


def size_of(number: int) -> bytes:
    """A length as deltas write it."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 127
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


def delta(base: int, result: int, steps: bytes) -> bytes:
    """A delta that says these lengths."""
    return size_of(base) + size_of(result) + steps


def offset_of(distance: int) -> bytes:
    """How far back the base of an OFS_DELTA is."""
    out = [distance & 127]
    while distance := distance >> 7:
        distance -= 1
        out.append(128 | distance & 127)
    return bytes(reversed(out))


def _head(kind: int, length: int) -> bytes:
    first, rest = kind << 4 | length & 15, length >> 4
    return bytes([first | (128 if rest else 0)]) + (size_of(rest) if rest else b"")


def write_pack(git_dir: Path, entries: Sequence[Packed]) -> Path:
    """Write a pack and its index; checksums are right."""
    body, places = bytearray(b"PACK" + struct.pack(">II", 2, len(entries))), []
    for entry in entries:
        start = len(body)
        body += _head(entry.kind, entry.length) + entry.base + entry.body
        places.append((entry.id, zlib.crc32(body[start:]), start))
    trailer = hashlib.sha1(body, usedforsecurity=False).digest()
    places.sort()
    counts = [0] * 256
    at = 0
    for first in range(256):
        while at < len(places) and places[at][0][0] == first:
            at += 1
        counts[first] = at
    index = b"\xfftOc" + struct.pack(">I", 2) + struct.pack(">256I", *counts)
    index += b"".join(place[0] for place in places)
    index += struct.pack(f">{len(places)}I", *(place[1] for place in places))
    index += struct.pack(f">{len(places)}I", *(place[2] for place in places)) + trailer
    index += hashlib.sha1(index, usedforsecurity=False).digest()
    folder = git_dir / "objects" / "pack"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pack-{trailer.hex()}.pack"
    path.write_bytes(bytes(body) + trailer)
    path.with_suffix(".idx").write_bytes(index)
    return path
