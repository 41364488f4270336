"""A pack of which anything can be changed before its footer is named."""

from __future__ import annotations

from collections.abc import Callable

import blake3

from dsvc.model.encoding import hash_object
from dsvc.model.ids import PackId
from dsvc.store import block, pack
from dsvc.store.block import BlockInfo, Codec
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.scrub import check_pack
from tests.storekit import noise

Row = tuple[bytes, int, int, int]
"""Id, length with type, block, offset."""

ITEMS = sorted((noise(500 + n, n) for n in range(3)), key=lambda data: blake3.blake3(data).digest())
IDS = [blake3.blake3(data).digest() for data in ITEMS]


class Forged:
    """A pack of one block, of which anything can be changed before its footer is named."""

    def __init__(self) -> None:
        stored = b"".join(ITEMS)
        self.header = pack.HEADER
        self.before, self.after = b"", b""
        self.info = BlockInfo(
            len(pack.HEADER) + block.HEADER.size + 4 * len(ITEMS),
            len(stored),
            len(stored),
            len(ITEMS),
            Codec.RAW,
            block.stored_checksum([stored]),
        )
        self.stored = stored
        self.rows: list[Row] = []
        at = 0
        for id_, data in zip(IDS, ITEMS, strict=True):
            self.rows.append((id_, len(data), 0, at))
            at += len(data)
        self.footer: Callable[[bytes], bytes] = bytes

    def made(self) -> tuple[MemoryBackend, PackId]:
        lengths = [len(data) for data in ITEMS]
        fixed = block.HEADER.pack(
            block.MAGIC, Codec.RAW, 0, 0, len(ITEMS), sum(lengths), len(self.stored), self.info.xxh3
        )
        head = fixed + b"".join(length.to_bytes(4, "little") for length in lengths)
        body = self.header + self.before + head + self.stored + self.after
        footer = self.footer(pack.encode_footer([self.info], self.rows))
        name = hash_object("footer", footer, PackId)
        trailer = pack.TRAILER.pack(
            pack.TRAILER_MAGIC, len(body), len(footer), 1, len(self.rows), bytes(name)
        )
        backend = MemoryBackend()
        backend.packs[name] = body + footer + trailer
        return backend, name

    def defects(self, *, read_data: bool = True) -> list[str]:
        backend, name = self.made()
        report = check_pack(backend, name, read_data=read_data)
        assert all(name.hex() in defect.object for defect in report.defects)
        return [defect.id for defect in report.defects]
