"""Values as people write them, many at once, and how columns of several tables are compared."""

from __future__ import annotations

import pytest

from dsvc.model.table_kind import Family, TableKind
from dsvc.table.index.index_builder import build_index
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.values.key_value import hashes_of_values, value_hashes
from dsvc.table.values.value_form import Form, common_form
from dsvc.table.values.value_hash import hashes_of_texts, value_cells
from tests.tablekit import ARROW, CSV, JSON, JSONL, PARQUET, TSV


@pytest.mark.parametrize("kind", [CSV, JSONL, PARQUET], ids=lambda kind: str(kind.format))
@pytest.mark.parametrize(
    ("type_", "texts"),
    [
        ("string", ["a", "王", "", "1.5", "true", 'q"\n']),
        ("int64", ["0", "-7", "9223372036854775807"]),
        ("double", ["1.5", "2", "-0.25", "1e3"]),
        ("bool", ["true", "false"]),
    ],
)
def test_many_values_hash_as_each_does(kind: TableKind, type_: str, texts: list[str]) -> None:
    hashes = hashes_of_values(texts, type_, kind)
    for text, own in zip(texts, hashes.tolist(), strict=True):
        assert set(own) == set(value_hashes(text, type_, kind))


@pytest.mark.parametrize("kind", [CSV, JSONL, PARQUET], ids=lambda kind: str(kind.format))
def test_one_value_of_another_type_among_many_is_an_error(kind: TableKind) -> None:
    with pytest.raises(ValueError, match="seven"):
        hashes_of_values(["1", "seven"], "int64", kind)
    assert hashes_of_values([], "int64", kind).shape[0] == 0


def test_texts_hash_as_cells_of_text_by_value() -> None:
    source = MemorySource("t.csv", b"n,d,t\n1.50,2024-01-02,a\n7,2024-02-03,\n")
    index = build_index(source, CSV)
    forms = {"n": Form.NUMBER, "d": Form.DATE, "t": Form.TEXT}
    cells = value_cells(source, CSV, index, index.rows_of(index.pieces["rows"][:0].astype("i8")), forms)
    assert all(not len(column) for column in cells.values())
    import numpy as np

    cells = value_cells(source, CSV, index, np.arange(2), forms)
    assert hashes_of_texts(["1.5", "7.0"], Form.NUMBER).tolist() == cells["n"].tolist()
    assert hashes_of_texts(["2024-01-02"], Form.DATE)[0] == cells["d"][0]
    assert hashes_of_texts(["a"], Form.TEXT)[0] == cells["t"][0]


def test_families_are_formats_that_hash_alike() -> None:
    kinds = {Family.CSV: (CSV, TSV), Family.JSON: (JSON, JSONL), Family.BINARY: (PARQUET, ARROW)}
    for expected, members in kinds.items():
        assert {kind.format.family for kind in members} == {expected}


@pytest.mark.parametrize(
    ("sides", "form"),
    [
        ([], Form.TEXT),
        ([("null", CSV)], Form.TEXT),
        ([("int64", CSV), ("null", PARQUET)], Form.NUMBER),
        ([("int64", CSV), ("double", JSONL), ("decimal128(5, 2)", PARQUET)], Form.NUMBER),
        ([("double", CSV), ("float", PARQUET)], Form.FLOAT32),
        ([("int64", CSV), ("string", PARQUET)], Form.TEXT),
        ([("string", CSV), ("timestamp[us]", PARQUET)], Form.TIME),
        ([("string", CSV), ("int64", JSONL), ("bool", ARROW)], Form.BOOL),
        ([("int64", CSV), ("bool", JSONL)], Form.TEXT),
        ([("list", JSONL), ("string", JSON)], Form.NESTED),
    ],
)
def test_a_column_of_several_tables_is_compared_as_its_binary_side_is(
    sides: list[tuple[str, TableKind]], form: Form
) -> None:
    assert common_form(sides) is form


PLAIN = [
    "",
    "a",
    "王芳李雷",
    "x" * 100,
    "12345678",
    "123456789",
    'q"\n\\/\x7f',
    "0",
    "-0",
    "+5",
    "007",
    "-12",
]
NUMBERS = [
    "-12",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1.50",
    "5.0",
    "1e3",
    " 7",
]
OTHERS = ["true", "null", "[1]", "2024-01-02T03:04:05", "1_000", "\ud800"]


@pytest.mark.parametrize("kind", [CSV, JSONL, PARQUET], ids=lambda kind: str(kind.format))
@pytest.mark.parametrize("type_", ["string", "int64", "int32", "double", "timestamp[us]"])
def test_one_value_that_needs_no_engine_hashes_as_with_it(kind: TableKind, type_: str) -> None:
    alone: dict[str, set[int]] = {}
    for text in (*PLAIN, *NUMBERS, *OTHERS):
        try:
            alone[text] = set(value_hashes(text, type_, kind))
        except ValueError:
            with pytest.raises(ValueError):  # noqa: PT011 messages are those of several libraries
                hashes_of_values([text], type_, kind)
    assert alone
    by_engine = hashes_of_values(list(alone), type_, kind).tolist()
    assert [set(each) for each in by_engine] == list(alone.values())
