"""Cutting tables of text into records: beside Python's own csv and json modules."""

from __future__ import annotations

import csv
import io
import json

import pytest

from dsvc.model.table_kind import TableKind
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import NotATableError
from dsvc.table.text import records
from dsvc.table.text.records import TextRecords
from tests.tablekit import CSV, JSON, JSONL, TSV


def cut(text: str | bytes, kind: TableKind) -> tuple[TextRecords, list[bytes]]:
    found = TextRecords(MemorySource("表", text.encode() if isinstance(text, str) else text), kind)
    return found, [block.record(n) for block in found.blocks() for n in range(len(block))]


@pytest.fixture(params=[records.BLOCK_BYTES, 1, 5, 16])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(records, "BLOCK_BYTES", request.param)
    return int(request.param)


CSV_TEXTS = {
    "plain": "id,名字\n1,张三\n2,李四\n",
    "no final line end": "id,a\n1,x\n2,y",
    "header only": "id,a\n",
    "header without line end": "id,a",
    "windows": "id,a\r\n1,x\r\n2,y\r\n",
    "quoted line ends": 'id,a\n1,"x\n\ny"\n2,"x\r\ny"\n',
    "doubled quotes": 'id,a\n1,"say ""hi"", you"\n2,""""\n3,""\n',
    "quotes within fields": 'id,a\n1,5" pipe\n2,a "quoted" word\n3,"6"" pipe"\n4,x\n',
    "blank lines": "\n\nid,a\n\n1,x\n\r\n2,y\n\n\n",
    "semicolons": 'id;a\n1;"x;y"\n2;z\n',
    "pipes": "id|a\n1|x\n",
    "one column": "a\n1\n2\n",
    "quoted header": '"id","a, b","c\nd"\n1,2,3\n',
    "empty fields": "id,a,b\n,,\n1,,\n,,x\n",
}


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize("name", CSV_TEXTS)
def test_csv_is_cut_as_pythons_reader_cuts_it(name: str) -> None:
    text = CSV_TEXTS[name]
    found, rows = cut(text, CSV)
    delimiter = found.dialect.delimiter
    header, *expected = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    assert list(found.columns) == header
    assert [
        next(csv.reader(io.StringIO(r.decode(), newline=""), delimiter=delimiter)) for r in rows
    ] == expected


def test_a_row_of_nulls_between_tabs_is_a_row() -> None:
    assert cut("a\tb\tc\n\t\t\nx\t\t\n", TSV)[1] == [b"\t\t", b"x\t\t"]


def test_bytes_that_look_like_pipes_are_halves_of_characters() -> None:
    # The second byte of these characters is that of "|" in GB18030.
    text = "剕,剕剕剕|剕剕\n1,2\n".encode("gb18030")
    assert text.count(b"|") > text.count(b",")
    assert cut(text, CSV)[0].dialect.delimiter == ","
    assert cut(text, CSV)[0].dialect.encoding == "gb18030"


def test_names_of_columns_are_made_to_differ() -> None:
    assert cut("a,,a,a_2,\n1,2,3,4,5\n", CSV)[0].columns == ("a", "column_2", "a_2", "a_2_2", "column_5")
    assert cut(",".join(["a"] * 20_000) + "\n", CSV)[0].columns[-1] == "a_20000"


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    found, rows = cut("\ufeffid,a\r\n1,x\r\n", CSV)
    assert found.columns == ("id", "a")
    assert found.dialect.bom
    assert rows == [b"1,x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('id,a\n1,x\n2,"y\n3,z\n', 'line 3: a quote is opened and never closed.*2,"y'),
        ('"id,a\n1,x\n', "line 1: a quote is opened and never closed"),
        ("id,a\r1,x\r", "line 1: a line is ended by a carriage return alone"),
        ("\n\n", "no header line"),
        (b"id,a\n\xff\xfe,x\n", "neither UTF-8 nor GB18030"),
    ],
)
def test_csv_that_cannot_be_cut(text: str | bytes, message: str) -> None:
    with pytest.raises(NotATableError, match=message):
        cut(text, CSV)


OBJECTS = [{"a": "]}{["}, {"a": '"[\\"{', "b": [{"c": []}, "}"]}, {}, {"猫": "\\"}, {"x": "\\\\\\"}]


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
def test_json_arrays_are_cut_into_their_objects(indent: int | str | None) -> None:
    for text in (json.dumps(OBJECTS, indent=indent), " \n" + json.dumps(OBJECTS, indent=indent) + "\r\n\n"):
        _, rows = cut(text, JSON)
        assert [json.loads(row) for row in rows] == OBJECTS


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize(
    "text",
    [
        '[{"a":1}',
        '[{"a":1},',
        '[{"a":1},]',
        '[,{"a":1}]',
        '[{"a":1}{"a":2}]',
        '[{"a":1},,{"a":2}]',
        '[{"a":1}],',
        '[{"a":1}][{"a":2}]',
        '[{"a":1},2]',
        '[{"a":1},[2]]',
        '[{"a":1},"x"]',
        '[{"a":1}}',
        '{"a":1}]',
        '[{"a":"1}]',
    ],
)
def test_what_is_no_json_array_of_objects(text: str) -> None:
    with pytest.raises(NotATableError, match="表"):
        cut(text, JSON)


@pytest.mark.usefixtures("block_size")
def test_json_lines_end_at_line_ends_only() -> None:
    text = '{"a":"one \\" quote"}\r\n\n  \n{"b":"\u2028"}\n\t\n{"c":3}'
    assert cut(text, JSONL)[1] == [b'{"a":"one \\" quote"}', '{"b":"\u2028"}'.encode(), b'{"c":3}']


@pytest.mark.usefixtures("block_size")
def test_reading_begins_at_any_record() -> None:
    for text, kind in ((CSV_TEXTS["quotes within fields"], CSV), (json.dumps(OBJECTS, indent=1), JSON)):
        found, rows = cut(text, kind)
        places = [(b.first + n, int(b.offset + b.starts[n])) for b in found.blocks() for n in range(len(b))]
        assert [number for number, _ in places] == list(range(len(rows)))
        for number, place in places:
            again = [b.record(n) for b in found.blocks(place, small=True) for n in range(len(b))]
            assert again == rows[number:]


def test_lines_are_counted_past_headers_and_quotes() -> None:
    found, _ = cut('"i\nd",a\n1,"x\ny"\n\n2,z\n', CSV)
    assert [line for b in found.blocks() for line in b.lines_of(range(len(b)))] == [3, 6]
