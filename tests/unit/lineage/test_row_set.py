"""Sets of rows as bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.lineage.row_set import MAX_ROW, decode_rows, encode_rows
from dsvc.model.errors import MalformedInputError


@given(st.lists(st.integers(0, MAX_ROW), max_size=200))
def test_a_set_comes_back_in_order(rows: list[int]) -> None:
    assert decode_rows(encode_rows(np.array(rows, np.int64))).tolist() == sorted(set(rows))


def test_many_rows_in_line_take_next_to_nothing() -> None:
    rows = np.arange(5, 3_000_000)
    encoded = encode_rows(rows)
    assert len(encoded) < 200
    assert np.array_equal(decode_rows(encoded), rows)


@given(st.sets(st.integers(0, 1000), min_size=1), st.data())
def test_other_bytes_are_refused_or_a_set(rows: set[int], data: st.DataObject) -> None:
    encoded = bytearray(encode_rows(np.array(sorted(rows), np.int64)))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_rows(bytes(encoded)).tolist()
    except MalformedInputError:
        return
    assert found == sorted(set(found))
    assert all(0 <= row <= MAX_ROW for row in found)


@pytest.mark.parametrize("data", [b"", b"rows1\0x", b"rows2\0", encode_rows(np.array([1, 2])) + b"x"])
def test_what_is_no_set_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInputError):
        decode_rows(data)
