"""Readers of tables that end early: crashes, limits and holes in the store are errors of their own kinds."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pytest

from dsvc.model.errors import CorruptDataError, DsvcError, MissingDataError
from dsvc.model.table_kind import recognise
from dsvc.porcelain.repository import Repository
from dsvc.table.guard import build_indexes
from dsvc.table.index.index_builder import build_index
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.reading.arrow_reader import open_arrow
from tests.hostile.test_tables import arrow, every_type, parquet

GUARD = """
import os, resource, signal, sys
from dsvc.model.errors import DsvcError, MissingDataError
from dsvc.table import guard
from dsvc.table.origin.memory_source import MemorySource
guard.CPU_SECONDS = 1
guard.MEMORY_BYTES = 1 << 30
def endless():
    while True: pass
def gone(): raise MissingDataError("a chunk is gone")
works = {
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "memory": lambda: bytearray(4 << 30),
    "time": endless,
    "missing": gone,
    "core": lambda: resource.getrlimit(resource.RLIMIT_CORE)[0],
}
try:
    print(guard.run_guarded([guard.Guarded(MemorySource("t.csv", b"x"), works[sys.argv[1]])]))
except DsvcError as error:
    print(error.code, error.exit_code, error.message)
"""


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("crash", "not-a-table 41 t.csv can't be read as a table: its reader ended by SIGSEGV"),
        ("abort", "table-limit 41 t.csv needs more memory"),
        ("memory", "table-limit 41 t.csv needs more memory"),
        ("time", "table-limit 41 t.csv takes more than 1 s"),
        ("missing", "missing-data 31 a chunk is gone"),
        ("core", "[0]"),
    ],
)
def test_h43_whatever_ends_the_reader_is_an_error_of_the_parent(work: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", GUARD, work], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(said), done.stdout + done.stderr[-2000:]


def test_arrays_come_back_from_the_child_as_they_were(tmp_path: Path) -> None:
    data = parquet(every_type())
    kind = recognise(b"t.parquet", data)
    assert kind is not None
    source = MemorySource("t.parquet", data)
    expected = build_index(source, kind)
    for found in build_indexes([(source, kind), (source, kind)]):
        assert found.columns == expected.columns
        assert found.pieces.tolist() == expected.pieces.tolist()
        assert all(
            np.array_equal(one, other)
            for one, other in zip(
                found.cells().values(),
                expected.cells().values(),
                strict=True,
            )
        )


class Holed(MemorySource):
    """A table of which the store misses a chunk: reading there raises what the store raises."""

    def __init__(self, name: str, data: bytes, hole: int, error: DsvcError) -> None:
        super().__init__(name, data)
        self._hole = hole
        self._error = error

    def open(self) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(_HoledStream(super().open().read(), self._hole, self._error)))

    @contextmanager
    def local_path(self) -> Iterator[str]:
        with self.open() as stream:
            stream.read()  # here it ends: the store reads the whole file for this
        with super().local_path() as path:
            yield path


class _HoledStream(io.RawIOBase):
    def __init__(self, data: bytes, hole: int, error: DsvcError) -> None:
        self._inner = io.BytesIO(data)
        self._hole = hole
        self._error = error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._inner.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        start = self._inner.tell()
        count = self._inner.readinto(buffer)
        if start <= self._hole < start + count:
            raise self._error
        return count


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.csv", "t.jsonl", "t.json", "t.csv.gz"])
@pytest.mark.parametrize("error", [MissingDataError("a chunk is gone"), CorruptDataError("a chunk is wrong")])
@pytest.mark.parametrize("share", [0.01, 0.4, 0.999])
def test_a_missing_chunk_is_no_malformed_table(name: str, error: DsvcError, share: float) -> None:
    rows = [{"a": n, "b": f"row {n * 7919 % 10_007}"} for n in range(4000)]
    lines = [json.dumps(row) for row in rows]
    text = "a,b\n" + "".join(f"{row['a']},{row['b']}\n" for row in rows)
    makers: dict[str, Callable[[], bytes]] = {
        "t.parquet": lambda: parquet(pa.Table.from_pylist(rows), compression="none"),
        "t.arrow": lambda: arrow(pa.Table.from_pylist(rows)),
        "t.csv": text.encode,
        "t.jsonl": "\n".join(lines).encode,
        "t.json": f"[{','.join(lines)}]".encode,
        "t.csv.gz": lambda: gzip.compress(text.encode(), mtime=0),
    }
    data = makers[name]()
    kind = recognise(name.encode(), data[:8192])
    assert kind is not None
    source = Holed(name, data, int(len(data) * share), error)

    def read_all() -> None:
        with open_arrow(source, kind) as table:
            table.read()

    for work in (lambda: build_indexes([(source, kind)]), read_all):
        with pytest.raises(type(error), match="a chunk is"):
            work()


def test_h43_verbs_on_a_hostile_table_say_so_and_change_nothing(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    repo = Repository.init(str(root))
    good = parquet(pa.table({"a": range(100)}))
    bad = good[:40] + b"\xff" * 60 + good[100:]
    for data in (good, bad):
        (root / "t.parquet").write_bytes(data)
        repo.add(all=True)
        repo.commit("a version")

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "dsvc", *words], cwd=root, capture_output=True, check=False
        )

    diff = run("diff", "HEAD~1", "HEAD")
    assert diff.returncode == 1
    assert b"t.parquet is compared as bytes" in diff.stderr
    sql = run("sql", "select sum(a) from dsvc('HEAD:t.parquet')")
    assert sql.returncode == 41
    assert b"t.parquet can't be read" in sql.stderr
    assert run("cat", "HEAD:t.parquet").stdout == bad
    assert run("cat", "HEAD:t.parquet#@1").returncode == 41
    assert run("status").returncode == 0
    assert run("fsck", "--read-data").returncode == 0
    assert (root / "t.parquet").read_bytes() == bad
