"""JSON lines and arrays put together of others: what isn't edited keeps its text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.origin.source import NotATableError
from dsvc.table.splice.splice import CellEdit, OutputColumn
from dsvc.table.text.text_donor import TextDonor
from tests.splicekit import JSON, JSONL, MemorySource, donor, packed, read_jsonl, spliced, unpacked

ROWS: list[dict[str, Any]] = [
    {"id": 1, "文": '中文 "引号" \\', "n": None, "l": [1, {"a": "}"}]},
    {"id": 2, "文": "", "n": 1.50},
    {"id": 3, "z": {}, "e": []},
]
LINES = '{"id": 1,  "a" : 1.50e2, "s": "中\\n"}\n\n  {"id":2,"a":[1, {"k": "]"}],"s":"x"}\r\n{"s":"","id":3}'


@pytest.mark.parametrize("text", [LINES, LINES + "\n", "\n\n" + LINES + "\n\n\n", "\ufeff" + LINES])
@pytest.mark.parametrize("compression", list(Compression))
def test_lines_without_changes_keep_their_bytes(text: str, compression: Compression) -> None:
    kind = TableKind(TableFormat.JSONL, compression)
    one = donor(packed(text.encode(), compression), kind)
    assert unpacked(spliced([one], [(0, 0, 3)]), compression) == text.encode()


def _arrays() -> list[str]:
    return [
        json.dumps(ROWS),
        json.dumps(ROWS, ensure_ascii=False, indent=2) + "\n",
        json.dumps(ROWS, separators=(",", ":")),
        json.dumps(ROWS, indent="\t"),
        "[\n" + ",\n".join(json.dumps(row) for row in ROWS) + "\n]\n",
        "\ufeff \n[ " + " , ".join(json.dumps(row) for row in ROWS) + " ]  \n",
    ]


@pytest.mark.parametrize("text", _arrays())
@pytest.mark.parametrize("compression", list(Compression))
def test_arrays_without_changes_keep_their_bytes(text: str, compression: Compression) -> None:
    kind = TableKind(TableFormat.JSON, compression)
    one = donor(packed(text.encode(), compression), kind)
    assert unpacked(spliced([one], [(0, 0, 3)]), compression) == text.encode()


def test_only_the_edited_members_change() -> None:
    other = donor(b'{"a": 7, "new": {"k": [1, 2]}, "s": "\\u732b"}\n', JSONL)
    edits = [
        CellEdit(0, "a", 1, 0, "a"),
        CellEdit(0, "new", 1, 0, "new"),
        CellEdit(1, "s", 1, 0, "s"),
        CellEdit(1, "a", 1, 0, None),
        CellEdit(1, "new", 1, 0, "new"),
        CellEdit(2, "s", 1, 0, "absent"),
    ]
    assert spliced([donor(LINES.encode(), JSONL), other], [(0, 0, 3)], edits).decode() == (
        '{"id": 1,  "a" : 7, "s": "中\\n", "new": {"k": [1, 2]}}\n\n'
        '  {"id":2,"a":null,"s":"猫","new":{"k": [1, 2]}}\r\n'
        '{"id":3}'
    )


def test_absent_and_null_are_kept_apart() -> None:
    data = b'{"a":1,"b":2}\n{"a":3}\n{"b":null}\n'
    edits = [
        CellEdit(0, "b", 0, 1, None),
        CellEdit(0, "a", 0, 0, None),
        CellEdit(1, "b", 0, 2, "b"),
        CellEdit(2, "b", 0, -1, None),
    ]
    result = spliced([donor(data, JSONL)], [(0, 0, 3)], edits)
    assert result == b'{"a":null}\n{"a":3,"b":null}\n{}\n'


@pytest.mark.parametrize("text", _arrays())
def test_an_array_keeps_its_style_as_it_grows(text: str) -> None:
    more = donor('{"id":4,"l":[1,{"a":[]}],"文":"新"}\n{"id":5}'.encode(), JSONL)
    result = spliced(
        [donor(text.encode(), JSON), more],
        [(0, 0, 2), (1, 0, 2), (0, 2, 1)],
        [CellEdit(1, "l", 1, 0, "l"), CellEdit(4, "e", 0, 0, "文")],
    ).decode("utf-8-sig")
    expected = [
        ROWS[0],
        {**ROWS[1], "l": [1, {"a": []}]},
        {"id": 4, "l": [1, {"a": []}], "文": "新"},
        {"id": 5},
    ]
    expected.append({**ROWS[2], "e": ROWS[0]["文"]})
    assert json.loads(result) == expected
    indent: dict[str, Any] = {"indent": 2} if "\n  " in text else {"indent": "\t"} if "\t" in text else {}
    if indent:
        plain = json.dumps(expected, ensure_ascii=False, **indent)
        assert json.dumps(json.loads(result), ensure_ascii=False, **indent) == plain
        assert [line[: len(line) - len(line.lstrip())] for line in result.splitlines()] == [
            line[: len(line) - len(line.lstrip())] for line in plain.splitlines()
        ]
    if text.startswith("[\n{"):
        assert len(result.splitlines()) == 7


def test_rows_of_an_indented_array_become_single_lines() -> None:
    donors = [donor(b'{"id":0}\n', JSONL), donor(json.dumps(ROWS, indent=2).encode(), JSON)]
    result = spliced(donors, [(1, 0, 3), (0, 0, 1)], [CellEdit(3, "l", 1, 0, "l")])
    assert read_jsonl(result) == [*ROWS, {"id": 0, "l": ROWS[0]["l"]}]
    assert len(result.splitlines()) == 4


def test_escaped_and_plain_characters() -> None:
    ascii_rows = b'{"t": "\\u732b"}\n{"t": "x"}\n'
    plain = '{"t": "狗 \\\\u0041 \\u0007 𠮷"}\n'.encode()
    first = spliced(
        [donor(ascii_rows, JSONL), donor(plain, JSONL)], [(0, 0, 2)], [CellEdit(1, "t", 1, 0, "t")]
    )
    assert first == b'{"t": "\\u732b"}\n{"t": "\\u72d7 \\\\u0041 \\u0007 \\ud842\\udfb7"}\n'
    second = spliced([donor(plain, JSONL), donor(first, JSONL)], [(0, 0, 1)], [CellEdit(0, "t", 1, 1, "t")])
    assert second == plain


def test_keys_are_renamed_and_left_out() -> None:
    first = donor(b'{"id": 1, "old": 2, "gone": 3}\n', JSONL, old="new")
    other = donor('{"编号": 4, "gone": 1}\n'.encode(), JSONL, 编号="id")
    columns = [OutputColumn("id", 0, "id"), OutputColumn("new", 0, "old")]
    assert (
        spliced([first, other], [(0, 0, 1), (1, 0, 1)], columns=columns)
        == b'{"id": 1, "new": 2}\n{"id": 4}\n'
    )


def test_tables_without_records() -> None:
    empty, pretty = donor(b" [ ]\n", JSON), donor(json.dumps(ROWS, indent=2).encode(), JSON)
    assert json.loads(spliced([empty, pretty], [(1, 0, 3)])) == ROWS
    assert spliced([empty], []) == b" [ ]\n"
    assert json.loads(spliced([pretty], [])) == []
    assert json.loads(spliced([empty, donor(LINES.encode(), JSONL)], [(1, 0, 2)]))[1]["id"] == 2
    assert spliced([donor(b"\n", JSONL), donor(b'{"a":1}', JSONL)], [(1, 0, 1)]) == b'{"a":1}\n'
    assert spliced([donor(LINES.encode(), JSONL)], []) == b""


def test_of_a_key_given_twice_the_last_counts() -> None:
    data = b'{"a": 1, "a": 2}\n{"a": 3}\n'
    assert json.loads(spliced([donor(data, JSONL)], [(0, 0, 1)], [CellEdit(0, "a", 0, 1, "a")])) == {"a": 3}
    assert spliced([donor(data, JSONL)], [(0, 1, 1)], [CellEdit(0, "a", 0, 0, "a")]) == b'{"a": 2}\n'


def test_long_texts() -> None:
    long = 'x\\"' * 3_000_000
    data = b'{"a": "' + long.encode() + b'"}\n{"a": 1}\n'
    assert (
        spliced([donor(data, JSONL)], [(0, 1, 1)], [CellEdit(0, "a", 0, 0, "a")])
        == data[: data.index(b"\n") + 1]
    )


def test_records_by_number() -> None:
    source = MemorySource(json.dumps(ROWS, indent=1).encode())
    with TextDonor(source, JSON) as donor:
        assert [json.loads(record) for record in donor.records_at([2, 0])] == [ROWS[2], ROWS[0]]


@pytest.mark.parametrize(
    "bad", [b'{"a" 1}', b"[1]", b"nonsense", b'{"a": }', b'{"a": [1}', b'{"a": 1 "b": 2}']
)
def test_a_record_that_is_no_object_has_a_typed_error(bad: bytes) -> None:
    one = donor(b'{"a": 1}\n' + bad + b"\n", JSONL)
    assert spliced([one], [(0, 0, 2)]) == b'{"a": 1}\n' + bad + b"\n"
    with pytest.raises(NotATableError, match="表"):
        spliced([one], [(0, 0, 2)], [CellEdit(1, "a", 0, 0, "a")])
