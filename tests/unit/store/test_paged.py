"""Which Parquet files are cut finely: those of small pages, told from their first bytes."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.model.manifest import MODE_FILE, ChunkClass, Entry
from dsvc.store.content import SNIFF_BYTES, sniff
from dsvc.store.ingest import class_at

SMALL_PAGES = {"use_content_defined_chunking": {"min_chunk_size": 2048, "max_chunk_size": 8192}}


def head(**writer: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"x": [n / 7 for n in range(200_000)]}), out, **writer)
    return out.getvalue()[:SNIFF_BYTES]


@pytest.mark.parametrize(
    ("writer", "expected"),
    [
        ({}, ChunkClass.RAW),
        ({"use_dictionary": False}, ChunkClass.RAW),
        ({"use_dictionary": False, **SMALL_PAGES}, ChunkClass.PAGED),
        ({"use_dictionary": False, "compression": "zstd", **SMALL_PAGES}, ChunkClass.PAGED),
        ({"use_dictionary": False, "data_page_version": "2.0", **SMALL_PAGES}, ChunkClass.PAGED),
    ],
    ids=str,
)
def test_small_pages_are_seen(writer: dict[str, Any], expected: ChunkClass) -> None:
    look = sniff(b"t.parquet", head(**writer))
    assert look.chunk_class is expected
    raw = Entry(b"t.parquet", MODE_FILE, 9, b"\0" * 32, b"\0" * 16, ChunkClass.RAW)
    assert class_at(raw, look) is expected


def test_a_paged_path_stays_paged() -> None:
    paged = Entry(b"t.parquet", MODE_FILE, 9, b"\0" * 32, b"\0" * 16, ChunkClass.PAGED)
    assert class_at(paged, sniff(b"t.parquet", head())) is ChunkClass.PAGED


@given(st.binary(max_size=40))
def test_no_first_bytes_are_too_odd(rest: bytes) -> None:
    assert sniff(b"t.parquet", b"PAR1" + rest).chunk_class in (ChunkClass.RAW, ChunkClass.PAGED)
