"""Compressed tables: whole ones are read, cut ones are errors, whatever the codec."""

from __future__ import annotations

import gzip

import pytest
import zstandard

from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.origin.decompress import open_text
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import NotATableError

TEXT = b"id,v\n" + b"".join(f"{n},{n * n}\n".encode() for n in range(20_000))
PACKED = {
    Compression.GZIP: gzip.compress(TEXT, mtime=0),
    Compression.ZSTD: zstandard.ZstdCompressor().compress(TEXT),
}


def read(data: bytes, codec: Compression) -> bytes:
    with open_text(MemorySource("t.csv", data), TableKind(TableFormat.CSV, codec)) as stream:
        return stream.read()


@pytest.mark.parametrize("codec", PACKED)
def test_one_part_or_several_are_read_whole(codec: Compression) -> None:
    assert read(PACKED[codec], codec) == TEXT
    assert read(PACKED[codec] * 3, codec) == TEXT * 3


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.999])
def test_a_file_that_ends_early_is_an_error(codec: Compression, kept: float) -> None:
    data = PACKED[codec]
    with pytest.raises(NotATableError):
        read(data[: int(len(data) * kept)], codec)
    with pytest.raises(NotATableError):
        read(data + data[: int(len(data) * kept)], codec)
