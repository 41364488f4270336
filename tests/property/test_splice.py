"""Random tables, cut and put together again: the rows are those of the plan, by readers of another make."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.model.table_kind import Compression, TableFormat, TableKind
from dsvc.table.splice.splice import CellEdit
from tests.splicekit import (
    ARROW,
    PARQUET,
    arrow_bytes,
    donor,
    packed,
    parquet_bytes,
    read_csv,
    read_jsonl,
    spliced,
    unpacked,
)

SETTINGS = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
COLUMNS = ["id", "名字", "a"]
Table = list[dict[str, Any]]
Plan = tuple[list[tuple[int, int, int]], list[tuple[int, str, int, int]]]

words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from(',;"\\\n\t猫'), max_size=6
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def plans(draw: st.DrawFn, sizes: list[int], columns: list[str]) -> Plan:
    """Segments of the tables of these sizes, and edits: row, column, donor, row of the donor."""
    filled = [place for place, size in enumerate(sizes) if size]
    segments, rows = [], 0
    for _ in range(draw(st.integers(0, 6)) if filled else 0):
        place = draw(st.sampled_from(filled))
        start = draw(st.integers(0, sizes[place] - 1))
        count = draw(st.integers(0, sizes[place] - start))
        segments.append((place, start, count))
        rows += count
    edits = {}
    for _ in range(draw(st.integers(0, 5)) if rows else 0):
        place = draw(st.sampled_from(filled))
        cell = (draw(st.integers(0, rows - 1)), draw(st.sampled_from(columns)))
        edits[cell] = (*cell, place, draw(st.integers(0, sizes[place] - 1)))
    return segments, sorted(edits.values())


def outcome(tables: list[Table], plan: Plan) -> Table:
    rows = [
        dict(tables[place][row]) for place, start, count in plan[0] for row in range(start, start + count)
    ]
    for row, column, place, source in plan[1]:
        if column in tables[place][source]:
            rows[row][column] = tables[place][source][column]
        else:
            rows[row].pop(column, None)
    return rows


def edits_of(plan: Plan) -> list[CellEdit]:
    return [CellEdit(row, column, place, source, column) for row, column, place, source in plan[1]]


class CsvStyle(csv.Dialect):
    lineterminator = "\n"
    delimiter = ","
    quotechar = '"'
    quoting = csv.QUOTE_MINIMAL
    doublequote = True


styles = st.fixed_dictionaries(
    {
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    }
)


def csv_bytes(table: Table, style: dict[str, Any], encoding: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, CsvStyle, **style)
    writer.writerow(COLUMNS)
    writer.writerows([row[column] for column in COLUMNS] for row in table)
    return text.getvalue().encode(encoding)


csv_tables = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 99).map(str), "名字": words, "a": words}), max_size=8
)


@SETTINGS
@given(st.data())
def test_csv(data: st.DataObject) -> None:
    tables = data.draw(st.lists(csv_tables, min_size=1, max_size=3))
    looks = [(data.draw(styles), data.draw(st.sampled_from(["utf-8", "gb18030"]))) for _ in tables]
    compression = data.draw(st.sampled_from(list(Compression)))
    texts = [csv_bytes(table, *look) for table, look in zip(tables, looks, strict=True)]
    # Bytes may happen to be text in both encodings; then nobody can tell.
    looks = [
        (style, "utf-8" if _is_utf8(text) else encoding)
        for (style, encoding), text in zip(looks, texts, strict=True)
    ]
    tables = [
        [dict(zip(COLUMNS, row, strict=True)) for row in read_csv(text, style["delimiter"], encoding)[1:]]
        for text, (style, encoding) in zip(texts, looks, strict=True)
    ]
    kind = TableKind(TableFormat.CSV, compression)
    donors = [donor(packed(text, compression), kind) for text in texts]
    assert unpacked(spliced(donors, [(0, 0, len(tables[0]))]), compression) == texts[0]
    plan = data.draw(plans([len(table) for table in tables], COLUMNS))
    result = unpacked(spliced(donors, plan[0], edits_of(plan)), compression)
    found = read_csv(result, looks[0][0]["delimiter"], looks[0][1])[1:]
    assert found == [[row[column] for column in COLUMNS] for row in outcome(tables, plan)]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


json_tables = st.lists(st.dictionaries(st.sampled_from(COLUMNS), json_values, max_size=3), max_size=6)
json_looks = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, None, 1, 2, "\t"]),
        "separators": st.sampled_from([(", ", ": "), (",", ":"), (" , ", " :")]),
    }
)


def json_bytes(table: Table, form: TableFormat, look: dict[str, Any]) -> bytes:
    if form is TableFormat.JSON:
        return json.dumps(table, **look).encode()
    return "".join(json.dumps(row, **look | {"indent": None}) + "\n" for row in table).encode()


@SETTINGS
@given(st.data())
def test_json(data: st.DataObject) -> None:
    tables = data.draw(st.lists(json_tables, min_size=1, max_size=3))
    compression = data.draw(st.sampled_from(list(Compression)))
    forms = [data.draw(st.sampled_from([TableFormat.JSON, TableFormat.JSONL])) for _ in tables]
    texts = [
        json_bytes(table, form, data.draw(json_looks)) for table, form in zip(tables, forms, strict=True)
    ]
    donors = [
        donor(packed(text, compression), TableKind(form, compression))
        for text, form in zip(texts, forms, strict=True)
    ]
    assert unpacked(spliced(donors, [(0, 0, len(tables[0]))]), compression) == texts[0]
    plan = data.draw(plans([len(table) for table in tables], COLUMNS))
    result = unpacked(spliced(donors, plan[0], edits_of(plan)), compression)
    found = json.loads(result) if forms[0] is TableFormat.JSON else read_jsonl(result)
    assert found == outcome(tables, plan)


arrow_types = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats() | st.just(float("nan")),
    pa.bool_(): st.booleans(),
    pa.string(): words,
    pa.large_binary(): st.binary(max_size=4),
    pa.decimal128(9, 2): st.integers(-(10**8), 10**8).map(lambda number: Decimal(number) / 100),
    pa.date32(): st.dates(),
    pa.timestamp("us", "Asia/Shanghai"): st.datetimes(
        dt.datetime(1980, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
        dt.datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.just(dt.UTC),
    ),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["猫", "狗", "", "x"]),
    pa.list_(pa.field("element", pa.int16())): st.lists(st.none() | st.integers(-9, 9), max_size=3),
    pa.struct(
        [("x", pa.string()), ("y", pa.list_(pa.field("element", pa.float64())))]
    ): st.fixed_dictionaries(
        {"x": st.none() | words, "y": st.none() | st.lists(st.floats(allow_nan=False), max_size=2)}
    ),
    pa.map_(pa.string(), pa.int64()): st.lists(st.tuples(words, st.none() | st.integers(0, 9)), max_size=2),
}


@st.composite
def arrow_tables(draw: st.DrawFn) -> list[pa.Table]:
    """Tables of one schema."""
    chosen = draw(st.lists(st.sampled_from(list(arrow_types)), min_size=1, max_size=4))
    schema = pa.schema([(f"c{place}", dtype) for place, dtype in enumerate(chosen)], metadata={"k": "值"})
    tables = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(0, 12))
        arrays = [
            pa.array(draw(st.lists(st.none() | arrow_types[dtype], min_size=rows, max_size=rows)), dtype)
            for dtype in chosen
        ]
        tables.append(pa.Table.from_arrays(arrays, schema=schema))
    return tables


@SETTINGS
@given(st.data())
def test_parquet_and_arrow(data: st.DataObject) -> None:
    tables = data.draw(arrow_tables())
    forms = [data.draw(st.sampled_from(["parquet", "file", "stream"])) for _ in tables]
    texts = [
        _columnar(table, form, data.draw(st.integers(1, 6)))
        for table, form in zip(tables, forms, strict=True)
    ]
    donors = [
        donor(text, PARQUET if form == "parquet" else ARROW) for text, form in zip(texts, forms, strict=True)
    ]
    same = _read(spliced(donors, [(0, 0, len(tables[0]))]), forms[0])
    # Reading Parquet gives parts of nested types names of its own.
    schema = _read(texts[0], forms[0]).schema
    assert same.schema.equals(schema, check_metadata=True)
    assert repr(same.to_pylist()) == repr(tables[0].to_pylist())
    plan = data.draw(plans([len(table) for table in tables], tables[0].schema.names))
    result = _read(spliced(donors, plan[0], edits_of(plan)), forms[0])
    result.validate(full=True)
    assert result.schema.equals(schema, check_metadata=True)
    assert repr(result.to_pylist()) == repr(outcome([table.to_pylist() for table in tables], plan))


def _columnar(table: pa.Table, form: str, part_rows: int) -> bytes:
    if form == "parquet":
        return parquet_bytes(table, row_group_size=part_rows)
    return arrow_bytes(table, stream=form == "stream", batch_rows=part_rows)


def _read(data: bytes, form: str) -> pa.Table:
    if form == "parquet":
        return pq.read_table(io.BytesIO(data))
    return (pa.ipc.open_stream(data) if form == "stream" else pa.ipc.open_file(data)).read_all()
