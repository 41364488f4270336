"""A release as Croissant: mlcroissant loads it, reads our rows, refuses other bytes; nothing is missing."""

from __future__ import annotations

import base64
import csv
import datetime
import fnmatch
import gzip
import io
import json
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import mlcroissant
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.model.table_kind import recognise
from dsvc.release.croissant import LISTED, croissant, field_id, file_id, record_set_id
from dsvc.release.croissant_terms import FieldType, field_type, media_types
from dsvc.release.facts import FileKind, ReleasedFile, ReleaseFacts
from tests.releasekit import HOSTILE, empty_facts, full_facts, hostile_facts, many_files, released_file
from tests.tablekit import version

REQUIRED = (
    "@context",
    "@type",
    "conformsTo",
    "name",
    "description",
    "license",
    "url",
    "creator",
    "datePublished",
)
ROWS: list[dict[str, Any]] = [
    {"id": 1, "text": '你好，"world"', "n": 2, "f": 1.5, "ok": True},
    {"id": 2, "text": "two\nlines", "n": None, "f": 2.5, "ok": False},
    {"id": 3, "text": "x", "n": -7, "f": 1e300, "ok": True},
]
TYPES = {"id": "int64", "text": "string", "n": "int64", "f": "double", "ok": "bool"}


pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword"),
]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> NoReturn:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def _csv(rows: Iterable[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, TYPES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {
            key: str(each).lower() if each in (True, False) and key == "ok" else each
            for key, each in row.items()
        }
        for row in rows
    )
    return out.getvalue().encode()


def _jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def _gzip_csv(rows: Iterable[dict[str, Any]]) -> bytes:
    return gzip.compress(_csv(rows), mtime=0)


def _laid_out(folder: Path, contents: dict[str, bytes]) -> tuple[ReleasedFile, ...]:
    """Write files; their columns are those that dsvc finds in them."""
    found = []
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        kind = recognise(path.encode(), data[:8192])
        assert kind is not None
        index = version(data, kind).index
        columns = {column.name: column.type for column in index.columns}
        found.append(released_file(path, data, columns, index.rows))
    return tuple(found)


def _load(folder: Path, facts: ReleaseFacts) -> mlcroissant.Dataset:
    (folder / "croissant.json").write_bytes(croissant(facts))
    return mlcroissant.Dataset(str(folder / "croissant.json"))


def _records(dataset: mlcroissant.Dataset, path: str, columns: Iterable[str] = TYPES) -> list[dict[str, Any]]:
    raw = path.encode()
    names = {field_id(raw, column): column for column in columns}
    found = []
    for record in dataset.records(record_set_id(raw)):
        assert record.keys() == names.keys()
        found.append({names[key]: _value(each) for key, each in record.items()})
    return found


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, list):
        return [_value(each) for each in value]
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value.item() if hasattr(value, "item") else value


@pytest.mark.parametrize(
    ("path", "write"),
    [
        ("train.csv", _csv),
        ("图 1/评论#a.csv", _csv),
        ("b/c.jsonl", _jsonl),
        ("d.parquet", _parquet),
        ("e.csv.gz", _gzip_csv),
    ],
)
def test_mlcroissant_reads_our_rows(tmp_path: Path, path: str, write: Callable[[Any], bytes]) -> None:
    files = _laid_out(tmp_path, {path: write(ROWS), "other.jsonl": _jsonl(ROWS[:1])})
    dataset = _load(tmp_path, msgspec.structs.replace(full_facts(), files=files))
    assert dataset.metadata.ctx.issues.errors == set()
    assert _records(dataset, path) == ROWS
    (tmp_path / path).write_bytes(write(ROWS[:-1]))
    with pytest.raises(Exception, match="Download") as refused:
        _records(dataset, path)
    assert "not identical" in str(refused.value.__cause__)


def test_columns_of_parquet_keep_their_types(tmp_path: Path) -> None:
    moment, day = datetime.datetime(2024, 1, 2, 3, 4, 5), datetime.date(2024, 1, 2)  # noqa: DTZ001
    columns = {
        "i8": pa.array([1, -2], pa.int8()),
        "u64": pa.array([2**63, 1], pa.uint64()),
        "f32": pa.array([1.5, 2.5], pa.float32()),
        "时间": pa.array([moment, moment]),
        "day": pa.array([day, day]),
        "tags": pa.array([["a", "b"], []], pa.list_(pa.string())),
        "label": pa.array(["x", "y"]).dictionary_encode(),
        "列 a/b#c%d": pa.array(["p", "q"]),
        "box": pa.array([{"x": 1}, {"x": 2}]),
    }
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    files = _laid_out(tmp_path, {"t.parquet": out.getvalue()})
    facts = empty_facts(files=files)
    found = _records(_load(tmp_path, facts), "t.parquet", [name for name in columns if name != "box"])
    assert found[0] == {
        "i8": 1,
        "u64": 2**63,
        "f32": 1.5,
        "时间": moment,
        "day": datetime.datetime(2024, 1, 2),  # noqa: DTZ001
        "tags": ["a", "b"],
        "label": "x",
        "列 a/b#c%d": "p",
    }
    [record_set] = json.loads(croissant(facts))["recordSet"]
    assert "box (struct<x: int64>)" in record_set["description"]


def test_what_loaders_take_for_dates_does_not_keep_the_other_columns_from_them(tmp_path: Path) -> None:
    rows = [
        {"created_at": "2024-01-01", "Timestamp": 17, "update": "x", "big": 2**63},
        {"created_at": "no", "Timestamp": 18, "update": "y", "big": 1},
    ]
    files = _laid_out(tmp_path, {"a.jsonl": _jsonl(rows)})
    found = _records(_load(tmp_path, empty_facts(files=files)), "a.jsonl", ["update", "big"])
    assert found == [{"update": "x", "big": 2**63}, {"update": "y", "big": 1}]
    [record_set] = json.loads(croissant(empty_facts(files=files)))["recordSet"]
    assert "created_at (string), Timestamp (int64)" in record_set["description"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("timestamp[us, tz=UTC]", FieldType("sc:DateTime")),
        ("date32[day]", FieldType("sc:Date")),
        ("large_list<item: int64>", FieldType("cr:Int64", True)),
        ("list<element: string not null>", FieldType("sc:Text", True)),
        ("list<list<int64>>", None),
        ("list", None),
        ("struct", None),
        ("json", None),
        ("decimal128(3, 2)", None),
        ("binary", None),
    ],
)
def test_a_type_that_cannot_be_said_is_not_said(column: str, expected: FieldType | None) -> None:
    assert field_type(column) == expected


@pytest.mark.parametrize(
    "facts", [empty_facts(), full_facts(), empty_facts(files=many_files(150)), *map(hostile_facts, HOSTILE)]
)
def test_the_document_has_what_the_standard_requires_and_loads(facts: ReleaseFacts) -> None:
    data = croissant(facts)
    assert croissant(facts) == data
    document = json.loads(data)
    for name in REQUIRED:
        assert document[name], name
    assert document["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    dataset = mlcroissant.Dataset(document)
    assert dataset.metadata.ctx.issues.errors == set()
    assert len(dataset.metadata.file_objects) == len(facts.files)
    assert dataset.metadata.name == (facts.title or facts.name)


def _listed(facts: ReleaseFacts) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    document = json.loads(croissant(facts))
    named = [each for each in document.get("distribution", []) if each["@type"] == "cr:FileObject"]
    return document, named


@pytest.mark.parametrize("facts", [full_facts(), empty_facts(files=many_files(2000))])
def test_every_file_source_and_run_is_named_once(facts: ReleaseFacts) -> None:
    document, named = _listed(facts)
    assert [each["@id"] for each in named] == [
        file_id(each.path) for each in sorted(facts.files, key=lambda f: f.path)
    ]
    assert len({each["@id"] for each in named}) == len(facts.files)
    assert {(each["sha256"], each["identifier"]) for each in named} == {
        (each.sha256, f"blake3:{each.blake3}") for each in facts.files
    }
    assert sum(int(each["contentSize"].removesuffix(" B")) for each in named) == facts.size
    derived = [each["identifier"] for each in document.get("prov:wasDerivedFrom", [])]
    assert sorted(derived) == sorted(each.id for each in facts.lineage.sources)
    generated = [each["@id"] for each in document.get("prov:wasGeneratedBy", [])]
    assert sorted(generated) == sorted(f"dsvc:run/{each.id}" for each in facts.lineage.runs)


def test_a_path_that_is_no_text_can_be_told_from_its_id() -> None:
    _, named = _listed(full_facts())
    odd = next(each for each in named if "cr:path_b64" in each)
    assert base64.b64decode(odd["cr:path_b64"]) == b"\xff/odd.bin"
    assert odd["@id"] == "files/%FF/odd.bin"


def test_responsible_ai_is_told_as_far_as_the_facts_go(tmp_path: Path) -> None:
    metadata = _load(tmp_path, full_facts()).metadata
    assert metadata.data_collection_type == ["Others", "Web Scraping"]
    assert [each.date().isoformat() for each in metadata.data_collection_timeframe] == [
        "2026-01-01",
        "2026-02-01",
    ]
    assert metadata.data_annotation_platform == ["Label Studio"]
    assert len(metadata.data_limitations) == 2
    assert metadata.personal_sensitive_information == ["新闻网页: contains_pi none"]
    assert "rai:dataLimitations" not in json.loads(croissant(empty_facts()))


def test_files_without_sha256_are_sets_and_their_digests_are_listed() -> None:
    paths = ["图/a.png", "图/b.png", "图/[x].PNG", "图/README", "top.bin", "图/深/c.png"]
    files = tuple(
        msgspec.structs.replace(released_file(path, path.encode()), sha256=None, kind=FileKind.IMAGE)
        for path in paths
    )
    document, named = _listed(empty_facts(files=(*files, released_file("a.txt"))))
    assert [each["name"] for each in named] == ["a.txt"]
    sets = [each for each in document["distribution"] if each["@type"] == "cr:FileSet"]
    for path in paths:
        matching = [each for each in sets if fnmatch.fnmatchcase(path, each["includes"])]
        assert any(each["includes"].rpartition("/")[0] == path.rpartition("/")[0] for each in matching)
    assert not any(fnmatch.fnmatchcase("a.txt", each["includes"]) for each in sets)
    dataset = mlcroissant.Dataset(document)
    assert dataset.metadata.ctx.issues.errors == set()
    rows = [
        {key.partition("#")[2]: _value(each) for key, each in row.items()} for row in dataset.records(LISTED)
    ]
    assert sorted((row["path"], row["size"], row["blake3"]) for row in rows) == sorted(
        (each.path.decode(), each.size, each.blake3) for each in files
    )


def test_tables_that_loaders_read_wrongly_have_no_record_set() -> None:
    table = released_file("a.csv", b"a;b\n1;2\n", {"a": "int64"}, 1)
    odd = msgspec.structs.replace(table, table=msgspec.structs.replace(table.table, plain=False))
    document, named = _listed(
        empty_facts(files=(odd, released_file("b.json", b'[{"a": 1}]', {"a": "int64"}, 1)))
    )
    assert "recordSet" not in document
    assert [each["description"] for each in named] == ["Table, 1 rows: a (int64)"] * 2
    twice = msgspec.structs.replace(table.table, columns=table.table.columns * 2)
    document, _ = _listed(empty_facts(files=(msgspec.structs.replace(table, table=twice),)))
    assert "recordSet" not in document


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", "https://spdx.org/licenses/MIT.html"),
        (
            "CC-BY-4.0 AND LicenseRef-x",
            ["https://spdx.org/licenses/CC-BY-4.0.html", "LicenseRef-x"],
        ),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("undetermined", "undetermined"),
    ],
)
def test_a_licence_is_named_by_its_text(licence: str, expected: object) -> None:
    assert json.loads(croissant(empty_facts(licence=licence)))["license"] == expected


def test_media_types_do_not_depend_on_the_machine() -> None:
    assert media_types(released_file("a.csv.gz", gzip.compress(b"a\n1\n"), {"a": "int64"}, 1)) == [
        "text/csv",
        "application/gzip",
    ]
    assert media_types(released_file("no_suffix")) == ["application/octet-stream"]
    assert media_types(released_file("A.JPG")) == ["image/jpeg"]
