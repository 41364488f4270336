"""Hostile and malformed tables: a typed error that names the file, in bounded memory; the bytes stay whole.

Each file is read by a process of its own, whose address space is limited; a crash there is a failed test.
"""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dsvc.model.table_kind import recognise
from dsvc.porcelain.repository import Repository

MEMORY = 3 << 30
READ = """
import os, resource, sys
path, memory = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
from dsvc.model.errors import DsvcError
from dsvc.model.table_kind import recognise
from dsvc.table.origin.memory_source import MemorySource
with open(path, "rb") as stream:
    data = stream.read()
source = MemorySource(os.path.basename(path), data)
kind = recognise(os.fsencode(path), data[:8192])
def index():
    from dsvc.table.guard import build_indexes
    from dsvc.table.reading.row_reader import read_rows
    (index,) = build_indexes([(source, kind)])
    read_rows(source, kind, index, [0] if index.rows else [])
    return f"{index.rows} {[each.line for each in index.malformed][:9]}"
def arrow():
    from dsvc.table.reading.arrow_reader import open_arrow
    with open_arrow(source, kind) as table:
        return sum(batch.num_rows for batch in table.batches())
for work in (index, arrow):
    try:
        said = work()
    except DsvcError as error:
        said = f"{error.code} {error.exit_code} {error.message[:300]}"
    print(str(said).replace("\\n", " "), flush=True)
# Engines end their threads when a process ends, and not always well: everything is said by then.
os._exit(0)
"""


def read(path: Path) -> list[str]:
    """What a process says that indexes a table and then reads it: rows, or code, exit code and message."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(MEMORY)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def refused(folder: Path, name: str, data: bytes, code: str, *words: str) -> None:
    """Both ways to read a table refuse it, naming the file; the store takes it as bytes."""
    path = folder / name
    path.write_bytes(data)
    for said in read(path):
        assert said.startswith(f"{code} 41 {name}"), said
        assert all(word in said for word in words), said
    survives_as_bytes(folder, name, data)


def survives_as_bytes(folder: Path, name: str, data: bytes) -> None:
    root = folder / f"repository of {name}"
    repo = Repository.init(str(root))
    (root / name).write_bytes(data)
    repo.add(all=True)
    repo.commit("as bytes")
    (root / name).unlink()
    repo.checkout("HEAD", force=True)
    assert (root / name).read_bytes() == data
    assert not repo.fsck(read_data=True).defects


def parquet(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def arrow(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def with_number(data: bytes, old: int, new: int) -> bytes:
    """The file with the 32-bit numbers (old, old + 1) in it replaced by (old, new)."""
    before = np.array([old, old + 1], "<i4").tobytes()
    assert data.count(before) == 1
    return data.replace(before, np.array([old, new], "<i4").tobytes())


def text_arrow() -> bytes:
    return arrow(pa.table({"t": pa.array(["x" * n for n in (77_777, 1, 5)])}))


@pytest.mark.parametrize("offset", [77_776, 2**31 - 1, -1, -(2**31)])
def test_h41_bad_offsets_in_arrow_are_refused(tmp_path: Path, offset: int) -> None:
    refused(tmp_path, "t.arrow", with_number(text_arrow(), 77_777, offset), "not-a-table", "Arrow")


def test_h41_bad_dictionary_indices_in_arrow_are_refused(tmp_path: Path) -> None:
    indices = pa.array([1_000_001, 1_000_002], pa.int32())
    hostile = pa.DictionaryArray.from_arrays(indices, ["a", "b"], safe=False)
    refused(tmp_path, "t.arrow", arrow(pa.table({"d": hostile})), "not-a-table", "Arrow")


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_h41_cut_files_are_refused(tmp_path: Path, cut: float) -> None:
    for name, data in (("t.arrow", text_arrow()), ("t.parquet", parquet(pa.table({"a": range(10_000)})))):
        refused(tmp_path, name, data[: int(len(data) * cut)], "not-a-table")


def mutants(data: bytes, count: int, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(chance.choice([1, 1, 2, 8])):
            place = chance.randrange(len(mutant))
            if chance.random() < 0.5:
                place = len(mutant) - 1 - chance.randrange(min(len(mutant), 1500))
            mutant[place : place + 1] = chance.choice(
                [
                    bytes([mutant[place] ^ 1 << chance.randrange(8)]),
                    b"",
                    b"\xff\xff\xff\x7f",
                    b"\x00",
                    b"\x80",
                ]
            )
        found.append(bytes(mutant))
    return found


MUTATE = (
    READ.split("source =", maxsplit=1)[0]
    + """
import pickle
from dsvc.table.reading.arrow_reader import open_arrow
from dsvc.table.index.index_builder import build_index
for number, mutant in enumerate(pickle.loads(data)):
    kind = recognise(b"t", mutant[:8192])
    if kind is None:
        continue
    source = MemorySource("t", mutant)
    for work in (lambda: build_index(source, kind), lambda: open_arrow(source, kind).read()):
        try:
            work()
        except DsvcError as error:
            assert error.exit_code == 41 and error.message.startswith("t"), (number, error)
"""
)


def every_type() -> pa.Table:
    n = 200
    return pa.table(
        {
            "i": range(n),
            "s": [f"row {i % 17}" for i in range(n)],
            "l": [[i, i + 1] if i % 3 else None for i in range(n)],
            "n": [{"a": i, "b": "z" * (i % 4)} for i in range(n)],
            "d": pa.array([f"v{i % 5}" for i in range(n)]).dictionary_encode(),
        }
    )


@pytest.mark.parametrize("count", [120, pytest.param(5000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("form", ["arrow", "parquet", "gzip", "plain"])
def test_h41_h43_no_mutant_kills_its_reader(tmp_path: Path, form: str, count: int) -> None:
    table = every_type()
    simple = table.select(["i", "s"])
    data = {
        "arrow": lambda: arrow(table),
        "parquet": lambda: parquet(table),
        "gzip": lambda: parquet(simple, compression="gzip", use_dictionary=False, row_group_size=50),
        "plain": lambda: parquet(simple, compression="none", use_dictionary=False),
    }[form]()
    path = tmp_path / "mutants"
    path.write_bytes(pickle.dumps(mutants(data, count, seed=41)))
    done = subprocess.run(
        [sys.executable, "-c", MUTATE, str(path), str(MEMORY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_h42_an_extension_type_runs_no_code(tmp_path: Path) -> None:
    """CVE-2023-47248: pickled extension types of PyArrow before 14.0.1; 21 is the oldest that is allowed."""
    mark = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(mark),)

    field = pa.field(
        "a",
        pa.int64(),
        metadata={
            "ARROW:extension:name": "arrow.py_extension_type",
            "ARROW:extension:metadata": pickle.dumps(Payload(), protocol=0),
        },
    )
    table = pa.Table.from_arrays([pa.array([1, 2])], schema=pa.schema([field]))
    for name, data in (("t.arrow", arrow(table)), ("t.parquet", parquet(table))):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name) == ["2 []", "2"]
        survives_as_bytes(tmp_path, name, data)
    assert not mark.exists()


def repeated(count: int) -> pa.DictionaryArray:
    """A text of a megabyte, so many times."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, "i4")), ["x" * 1_000_000])


def test_h43_a_small_parquet_file_of_much_text_is_refused(tmp_path: Path) -> None:
    data = parquet(pa.table({"t": repeated(1600)}), compression="zstd", store_schema=False)
    assert len(data) < 100_000
    refused(tmp_path, "t.parquet", data, "table-limit", "column t")


def test_h43_a_dictionary_in_a_list_is_refused_too(tmp_path: Path) -> None:
    texts = pa.ListArray.from_arrays([0, 0, *range(1, 1201)], repeated(1200))
    refused(
        tmp_path,
        "t.parquet",
        parquet(pa.table({"t": texts}), compression="zstd", store_schema=False),
        "table-limit",
    )


def test_h43_more_rows_than_a_file_can_be_worth_are_refused(tmp_path: Path) -> None:
    zeros = pa.array(np.zeros(60_000_000, "i1"))
    data = parquet(pa.table({"z": zeros}), compression="zstd", row_group_size=60_000_000)
    refused(tmp_path, "t.parquet", data, "table-limit", "60000000 rows")


def test_h43_runs_in_arrow_are_not_believed(tmp_path: Path) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int32()), pa.array(["x"]))
    refused(tmp_path, "t.arrow", arrow(pa.table({"r": runs})), "table-limit", "rows of 1 columns")


def test_h43_a_dictionary_in_arrow_is_not_written_out(tmp_path: Path) -> None:
    spread = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, "i1")), ["x" * 1_000_000])
    refused(tmp_path, "t.arrow", arrow(pa.table({"d": spread})), "table-limit", "column d")


def test_h43_too_many_columns_and_row_groups_are_refused(tmp_path: Path) -> None:
    wide = pa.table({f"c{n}": pa.array([1]) for n in range(25_000)})
    refused(tmp_path, "wide.parquet", parquet(wide), "table-limit", "25000 columns")
    long = parquet(pa.table({"a": range(50_001)}), row_group_size=1, compression="none")
    refused(tmp_path, "long.parquet", long, "table-limit", "50001 row groups")


def test_h43_deep_types_are_refused(tmp_path: Path) -> None:
    type_ = pa.int64()
    for _ in range(300):
        type_ = pa.struct([("a", type_)])
    refused(tmp_path, "t.parquet", parquet(pa.table({"a": pa.nulls(1, type_)})), "not-a-table", "deep")
    out = io.BytesIO()
    pa.ipc.new_stream(out, pa.schema([("a", type_)])).close()
    refused(tmp_path, "t.arrow", out.getvalue(), "not-a-table")


@pytest.mark.parametrize("length", [0, 13, 2**31 - 1, 2**32 - 1])
def test_h43_a_footer_that_lies_is_refused(tmp_path: Path, length: int) -> None:
    data = parquet(pa.table({"a": [1, 2, 3]}))
    lying = data[:-8] + length.to_bytes(4, "little") + b"PAR1"
    refused(tmp_path, "t.parquet", lying, "not-a-table")


@pytest.mark.parametrize(
    ("name", "start", "unit", "count", "words"),
    [
        ("field.csv", b"a,b\n1,", b"x", 90 << 20, "line 2"),
        pytest.param("quote.csv", b'a,b\n1,"', b"x\n", 45 << 20, "t", marks=pytest.mark.soak),
        ("wide.csv", b"", b",", 1_000_000, "1000001 columns"),
    ],
)
def test_h44_long_records_and_wide_headers_are_refused(
    tmp_path: Path, name: str, start: bytes, unit: bytes, count: int, words: str
) -> None:
    refused(tmp_path, name, start + unit * count, "table-limit", words)


def test_h44_a_quote_that_is_never_closed_is_named(tmp_path: Path) -> None:
    refused(tmp_path, "t.csv", b'a,b\n1,"never\n2,3\n', "not-a-table", "never closed", "never")


def test_h44_ragged_rows_are_named_by_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,x\n1,2,3\n" + b"," * 100_000 + b"\n2,\xff\n9,y\n")
    index, arrow_said = read(path)
    assert index == "2 [3, 4, 5]"
    assert arrow_said.startswith("not-a-table 41 t.csv, line 3")


def test_h44_a_million_ragged_rows_take_no_longer_than_others(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1,2,3\n" * 300_000)
    assert read(path)[0].startswith("0 [2, 3, 4")


def test_h44_one_bad_byte_among_many_rows_is_found(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 200_000 + b'1,"x"y"z\n' + b"3,4\n" * 200_000)
    assert read(path)[0].split()[0] in ("400000", "400001")


def test_h44_mixed_line_ends_and_repeated_names_are_read(tmp_path: Path) -> None:
    for name, data, rows in (
        ("mixed.csv", b"a,b\r\n1,x\n2,3\r\n6,7", "3 []"),
        ("names.csv", b"a," * 19_999 + b"a\n", "0 []"),
    ):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name)[0] == rows


@pytest.mark.parametrize(
    ("name", "pack", "code"),
    [
        pytest.param(
            "t.csv.gz",
            lambda: gzip.compress(b"a\n" + b"\n" * 300_000_000, 1, mtime=0),
            "table-limit",
            marks=pytest.mark.soak,
        ),
        ("t.jsonl.zst", lambda: zstandard.compress(b" " * 300_000_000), "table-limit"),
        ("cut.csv.gz", lambda: gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0)[:-20], "not-a-table"),
        ("window.csv.zst", lambda: b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00", "not-a-table"),
    ],
    ids=["gzip", "zstd", "cut", "window"],
)
def test_h44_bombs_around_text_are_refused(
    tmp_path: Path, name: str, pack: Callable[[], bytes], code: str
) -> None:
    refused(tmp_path, name, pack(), code)


def test_h45_deep_json_is_refused_or_shown_as_text(tmp_path: Path) -> None:
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    refused(tmp_path, "t.json", b"[" + deep + b"]", "table-limit", "deeper than 512")
    (tmp_path / "t.jsonl").write_bytes(deep + b"\n")
    index, arrow_said = read(tmp_path / "t.jsonl")
    assert index == "1 []"
    assert arrow_said.startswith("table-limit 41 t.jsonl")


def test_h45_long_numbers_twice_named_members_and_bad_text_end_in_rows_or_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lines = [b'{"a":' + b"7" * 5000 + b"}", b'{"a":1,"a":2}', b'{"a":"\\ud800"}', b'{"a":1']
    path.write_bytes(b'{"a":"ok"}\n' * 20_000 + b"\n".join(lines) + b'\n{"a":"\xff"}\n{"a":2}\n')
    index, arrow_said = read(path)
    assert index == "20002 [20002, 20003, 20004, 20005]"
    assert arrow_said.startswith("not-a-table 41 t.jsonl, line 20002")


def test_h45_more_members_than_columns_are_refused(tmp_path: Path) -> None:
    wide = b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}\n"
    refused(tmp_path, "t.jsonl", wide, "table-limit", "100000 columns")


@pytest.mark.parametrize(
    "data",
    [
        b'\x93NUMPY\x01\x00v\x00{"descr": "|O"}' + b"\x80\x04cos\nsystem\n",
        b"cos\nmkdir\n(S'ran'\ntR.",
        b"PAR1" + b"cos\nmkdir\n(S'ran'\ntR." + b"PAR1",
    ],
    ids=["npy", "pickle", "between magics"],
)
def test_h47_pickles_named_like_tables_run_nothing(tmp_path: Path, data: bytes) -> None:
    if recognise(b"t.parquet", data) is not None:
        refused(tmp_path, "t.parquet", data, "not-a-table")
    else:
        survives_as_bytes(tmp_path, "t.parquet", data)
    assert not list(tmp_path.rglob("ran"))
    assert not Path("ran").exists()
