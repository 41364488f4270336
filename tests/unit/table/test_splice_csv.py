"""CSV put together of others: untouched records keep their bytes, the rest has the first one's dialect."""

from __future__ import annotations

import csv
import io

import pytest

from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.origin.source import NotATableError
from dsvc.table.splice.splice import CellEdit, IncompatibleTablesError, OutputColumn
from dsvc.table.text.text_donor import TextDonor
from tests.splicekit import CSV, TSV, MemorySource, donor, packed, read_csv, spliced, unpacked

BASE = 'id,名字,note\r\n1,张三,"a ""quoted"" one"\r\n2,李四,"line\nbreak"\r\n\r\n3,,""\r\n4, x ,"plain"'


@pytest.mark.parametrize(
    "text", [BASE, BASE + "\r\n", "\ufeff" + BASE + "\n\n", "\n\na,b\n1,2\n", "a\n1\n2", "a,b"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("compression", list(Compression))
def test_a_table_without_changes_keeps_its_bytes(text: str, encoding: str, compression: Compression) -> None:
    if text.startswith("\ufeff") and encoding == "gb18030":
        text = text[1:]
    data = text.encode(encoding)
    kind = TableKind(TableFormat.CSV, compression)
    one = donor(packed(data, compression), kind)
    rows = len(read_csv(data, encoding="utf-8-sig" if encoding == "utf-8" else encoding)) - 1
    again = spliced([one], [(0, 0, rows)])
    assert unpacked(again, compression) == data
    assert spliced([one], [(0, 0, rows)]) == again


def test_only_the_edited_fields_change() -> None:
    other = donor('note,id,名字\nN,9,"王,五"\n'.encode(), CSV)
    edits = [
        CellEdit(0, "id", 1, 0, "id"),
        CellEdit(1, "名字", 1, 0, "名字"),
        CellEdit(1, "id", 0, 0, None),
        CellEdit(3, "note", 0, 0, "note"),
    ]
    result = spliced([donor(BASE.encode(), CSV), other], [(0, 0, 4)], edits).decode()
    assert result == (
        'id,名字,note\r\n9,张三,"a ""quoted"" one"\r\n,"王,五","line\nbreak"\r\n\r\n3,,""\r\n'
        '4, x ,"a ""quoted"" one"'
    )


def test_the_end_of_the_file_is_that_of_the_first() -> None:
    for end, other_end in (("", "\n"), ("\n", ""), ("\n\n", "\n")):
        donors = [
            donor(f"a,b\n1,2\n3,4{end}".encode(), CSV),
            donor(f"a,b\n5,6\n7,8{other_end}".encode(), CSV),
        ]
        assert spliced(donors, [(0, 0, 2), (1, 0, 2)]).decode() == f"a,b\n1,2\n3,4\n5,6\n7,8{end}"
        assert spliced(donors, [(1, 1, 1), (0, 1, 1), (0, 0, 1)]).decode() == f"a,b\n7,8\n3,4\n1,2{end}"
        assert spliced(donors, []).decode() == "a,b\n"


def test_records_of_another_dialect_are_written_anew() -> None:
    first = donor(b'"id","v"\r\n"1","x"\r\n', CSV)
    others = [
        donor(b'id\tv\n2\ty\n3\tz,z\n4\t\n5\t""\n', TSV),
        donor("v;id\n中文;6\n".encode("gb18030"), CSV),
    ]
    result = spliced([first, *others], [(1, 0, 4), (0, 0, 1), (2, 0, 1)])
    assert result.decode() == (
        '"id","v"\r\n"2","y"\r\n"3","z,z"\r\n"4",\r\n"5",""\r\n"1","x"\r\n"6","中文"\r\n'
    )


def test_text_of_another_encoding() -> None:
    first = donor("id,名\n1,中|文\n".encode("gb18030"), CSV)
    other = donor("id,名\n2,鿆𠮷\n".encode(), CSV)
    result = spliced([first, other], [(1, 0, 1), (0, 0, 1)])
    assert result.decode("gb18030") == "id,名\n2,鿆𠮷\n1,中|文\n"


def test_bytes_that_are_no_delimiters() -> None:
    # The second bytes of these characters look like "|" in GB18030.
    text = "a|b\n乣|x\n羭|y\n"
    data = text.encode("gb18030")
    assert data.count(b"|") > 3
    result = spliced([donor(data, CSV)], [(0, 0, 2)], [CellEdit(0, "b", 0, 1, "b")])
    assert result.decode("gb18030") == "a|b\n乣|y\n羭|y\n"


def test_columns_are_chosen_ordered_and_named() -> None:
    first = donor("\ufeffid,v\n1,x\n".encode(), CSV)
    other = donor(b"ident,w,v\n2,new,y\n", CSV, ident="id")
    columns = [OutputColumn("v", 0, "v"), OutputColumn("w,w", 1, "w"), OutputColumn("id", 0, "id")]
    result = spliced([first, other], [(0, 0, 1), (1, 0, 1)], columns=columns)
    assert result.decode() == '\ufeffv,"w,w",id\nx,,1\ny,new,2\n'
    renamed = donor(b"a,,a\n1,2,3\n", CSV, a="b")
    assert spliced([renamed], [(0, 0, 1)]) == b"b,,a\n1,2,3\n"
    with pytest.raises(IncompatibleTablesError, match="nothing"):
        spliced([first], [(0, 0, 1)], columns=[OutputColumn("x", 0, "nothing")])
    for edit in (CellEdit(0, "nothing", 0, 0, "id"), CellEdit(0, "id", 0, 0, "nothing")):
        with pytest.raises(IncompatibleTablesError, match="nothing"):
            spliced([first], [(0, 0, 1)], [edit])


def test_tables_without_records() -> None:
    full = donor(b"a,b\n1,2\n", CSV)
    assert spliced([donor(b"a,b\r\n", CSV), full], [(1, 0, 1)]) == b"a,b\r\n1,2\r\n"
    assert spliced([donor(b"a,b", CSV), full], [(1, 0, 1)]) == b"a,b\n1,2"
    assert spliced([donor(b"a,b", CSV), full], []) == b"a,b"


def test_a_record_never_becomes_a_blank_line() -> None:
    result = spliced([donor(b"a\n1\n2\n", CSV)], [(0, 0, 2)], [CellEdit(0, "a", 0, 0, None)])
    assert result == b'a\n""\n2\n'


def test_ragged_records_are_filled_where_they_are_edited() -> None:
    data = b"a,b,c\n1\n2,3\n"
    assert spliced([donor(data, CSV)], [(0, 0, 2)]) == data
    result = spliced([donor(data, CSV)], [(0, 0, 2)], [CellEdit(0, "c", 0, 1, "b")])
    assert result == b"a,b,c\n1,,3\n2,3\n"


def test_many_runs_in_any_order_from_a_compressed_table() -> None:
    rows = [[str(i), f"文本 {i}", "" if i % 3 else "x\ny"] for i in range(5000)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["i", "t", "n"], *rows])
    kind = TableKind(TableFormat.CSV, Compression.ZSTD)
    one = donor(packed(text.getvalue().encode(), Compression.ZSTD), kind)
    order = [(i * 1733) % 5000 for i in range(2000)]
    result = unpacked(spliced([one], [(0, i, 1) for i in order]), Compression.ZSTD)
    assert read_csv(result)[1:] == [rows[i] for i in order]


def test_records_by_number() -> None:
    source = MemorySource(BASE.encode())
    with TextDonor(source, CSV) as donor:
        assert donor.records_at([3, 0, 3]) == [
            b'4, x ,"plain"',
            '1,张三,"a ""quoted"" one"'.encode(),
            b'4, x ,"plain"',
        ]
        with pytest.raises(IndexError):
            donor.records_at([4])


def test_what_is_no_table_has_a_typed_error() -> None:
    with pytest.raises(NotATableError, match="表"):
        spliced([donor(b'a,b\n1,"never closed\n', CSV)], [(0, 0, 1)])
    cut = donor(packed(b"a\n1\n", Compression.GZIP)[:-9], TableKind(TableFormat.CSV, Compression.GZIP))
    with pytest.raises(NotATableError, match="表"):
        spliced([cut], [(0, 0, 1)])
