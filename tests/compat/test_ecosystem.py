"""The libraries that people work with read any version, by `repo.table` and by ``dsvc://``."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from dsvc.filesystem import DsvcFileSystem, FolderOpenedError, NoSuchFileError
from dsvc.model.errors import NoRepositoryError, NotFoundError
from dsvc.porcelain.tables.table_view import MissingExtraError
from dsvc.table.origin.source import NotATableError
from tests.porcelain.working import Work

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

FORMATS = ("parquet", "csv", "jsonl", "arrow")


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "文": f"第{n}行", "x": n / 4} for n in range(count)]


def contents(count: int) -> dict[bytes, bytes]:
    table = pa.Table.from_pylist(rows(count))
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet, row_group_size=50)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    csv = "id,文,x\n" + "".join(f"{row['id']},{row['文']},{row['x']}\n" for row in rows(count))
    jsonl = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(count))
    return {
        "数据/t.parquet".encode(): parquet.getvalue(),
        "数据/t.arrow".encode(): arrow.getvalue(),
        "数据/t.csv".encode(): csv.encode(),
        "数据/t.jsonl".encode(): jsonl.encode(),
        b"notes.txt": b"no table",
    }


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """100 rows, then 200 rows; a branch with a slash stands at the former, and the files are gone."""
    work = Work(tmp_path_factory.mktemp("repo") / "库")
    work.commit("100", contents(100))
    work.repo.create_branch("feature/x")
    work.commit("200", contents(200))
    work.repo.create_tag("v2")
    work.write(dict.fromkeys(contents(0)))
    return work


@pytest.fixture
def options(work: Work) -> dict[str, str]:
    return {"repo": str(work.folder)}


OLD = "dsvc://HEAD~1/数据/t."


# The Python API


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("rev", "count"), [("HEAD~1", 100), ("v2", 200), ("feature/x", 100), (None, 200)])
def test_a_table_of_any_version_in_every_library(form: str, rev: str | None, count: int, work: Work) -> None:
    view = work.repo.table(f"数据/t.{form}", rev)
    assert len(view) == view.num_rows == count
    assert view.schema.names == ["id", "文", "x"]
    assert view.to_arrow().to_pylist() == rows(count)
    assert view.to_arrow(["x", "id"]).column_names == ["x", "id"]
    assert view.dataset().to_table(filter=pc.field("id") >= 90).num_rows == count - 90
    assert view.to_polars().to_dicts() == rows(count)
    assert view.to_pandas().to_dict("records") == rows(count)
    assert view.rows([7, 0, -1]).to_pylist() == [rows(count)[place] for place in (7, 0, -1)]
    with duckdb.connect() as connection:
        relation = view.to_duckdb(connection)
        assert relation.aggregate("count(*), sum(id)").fetchall() == [(count, sum(range(count)))]
    assert view.to_duckdb().filter("id = 3").fetchall() == [(3, "第3行", 0.75)]


def test_a_view_stays_what_it_is_when_branches_move(tmp_path: Path) -> None:
    work = Work(tmp_path / "r")
    work.commit("one", {b"t.csv": b"a\n1\n"})
    view, dataset = work.repo.table("t.csv"), work.repo.table("t.csv").map_dataset()
    work.commit("two", {b"t.csv": b"a\n1\n2\n"})
    assert len(view) == len(dataset) == 1
    assert len(work.repo.table("t.csv")) == 2


def test_the_working_tree_and_the_staged_state_are_versions(tmp_path: Path) -> None:
    work = Work(tmp_path / "r")
    work.commit("one", {b"t.csv": b"a\n1\n"})
    work.write({b"t.csv": b"a\n1\n2\n3\n"})
    assert [len(work.repo.table("t.csv", rev)) for rev in ("HEAD", "STAGED", "WORKTREE")] == [1, 1, 3]


def test_what_is_no_table_is_said_to_be_none(work: Work) -> None:
    with pytest.raises(NotATableError):
        work.repo.table("notes.txt").to_arrow()
    with pytest.raises(NotFoundError):
        work.repo.table("nix.csv")
    with pytest.raises(NotFoundError):
        work.repo.table("数据/t.csv", "nix")


def test_a_library_that_is_not_there_is_named(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsvc.table.exchange.extras.find_spec", lambda _name: None)
    for extra in ("polars", "pandas"):
        with pytest.raises(MissingExtraError) as caught:
            getattr(work.repo.table("数据/t.csv"), f"to_{extra}")()
        assert f"dsvc[{extra}]" in str(caught.value.hint)


def test_tables_are_read_by_several_threads_at_once(work: Work) -> None:
    def read(number: int) -> int:
        return int(work_views[number].to_arrow().num_rows)

    work_views = [work.repo.table(f"数据/t.{form}", "HEAD~1") for form in FORMATS * 4]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(16))) == [100] * 16


def label(row: dict[str, Any]) -> tuple[int, str]:
    return row["id"], row["文"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_map_dataset_keeps_the_protocol_of_pytorch(form: str, work: Work) -> None:
    dataset = work.repo.table(f"数据/t.{form}", "HEAD~1").map_dataset(label)
    assert len(dataset) == 100
    assert dataset[5] == (5, "第5行")
    assert dataset.__getitems__([99, 0, 51]) == [(99, "第99行"), (0, "第0行"), (51, "第51行")]
    with pytest.raises(IndexError):
        dataset[100]
    assert [row[0] for row in dataset] == list(range(100))
    assert pickle.loads(pickle.dumps(dataset))[7] == (7, "第7行")


def test_a_map_dataset_works_in_other_processes(work: Work, tmp_path: Path) -> None:
    """As a data loader uses it: sent to new processes, and inherited by forked ones."""
    dataset = work.repo.table("数据/t.parquet", "HEAD~1").map_dataset()
    assert dataset[0]["id"] == 0
    code = "import pickle, sys; d = pickle.load(sys.stdin.buffer); print(len(d), d[42]['id'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(dataset),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.split() == [b"100", b"42"]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, str(dataset.__getitems__([99, 1])[0]["id"]).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == "99"
    os.waitpid(child, 0)


def test_a_data_loader_reads_rows(work: Work) -> None:
    data = pytest.importorskip("torch.utils.data", reason="torch is not installed")
    dataset = work.repo.table("数据/t.parquet", "HEAD~1").map_dataset(lambda row: row["id"])
    loader = data.DataLoader(dataset, batch_size=16, shuffle=True)
    assert sorted(int(value) for batch in loader for value in batch) == list(range(100))


# The file system


def test_the_file_system_is_registered(options: dict[str, str]) -> None:
    assert isinstance(fsspec.filesystem("dsvc", **options), DsvcFileSystem)


def test_listing_and_reading(options: dict[str, str]) -> None:
    fs = fsspec.filesystem("dsvc", **options)
    assert fs.ls("", detail=False) == ["HEAD", "feature%2Fx", "main", "v2"]
    assert fs.ls("dsvc://v2", detail=False) == ["v2/notes.txt", "v2/数据"]
    names = [f"v2/数据/t.{form}" for form in sorted(FORMATS)]
    assert fs.ls("v2/数据", detail=False) == fs.glob("dsvc://v2/数据/t.*") == fs.find("v2/数据") == names
    assert fs.isdir("HEAD")
    assert fs.isdir("HEAD/数据/")
    assert fs.isfile("HEAD/notes.txt")
    assert not fs.exists("HEAD/nix")
    assert not fs.exists("nix/notes.txt")
    assert fs.cat("HEAD/notes.txt") == b"no table"
    assert fs.cat_file("HEAD/notes.txt", start=3, end=6) == b"tab"
    assert fs.size("HEAD~1/数据/t.csv") == len(contents(100)["数据/t.csv".encode()])
    assert fs.info("HEAD/notes.txt")["type"] == "file"
    with fs.open("dsvc://HEAD/notes.txt", "rt") as file:
        assert file.read() == "no table"
    assert fs.ukey("HEAD/数据/t.csv") != fs.ukey("HEAD~1/数据/t.csv")
    assert fs.ukey("HEAD/notes.txt") == fs.ukey("HEAD~1/notes.txt")


@pytest.mark.parametrize("revision", ["feature/x", "feature%2Fx", "refs/heads/feature/x", "HEAD~1", "HEAD^"])
def test_revisions_with_slashes(revision: str, options: dict[str, str]) -> None:
    fs = fsspec.filesystem("dsvc", **options)
    assert fs.ls(f"dsvc://{revision}/数据", detail=False) == [
        f"{revision}/数据/t.{form}" for form in sorted(FORMATS)
    ]
    assert fs.cat(f"dsvc://{revision}/数据/t.csv") == contents(100)["数据/t.csv".encode()]


def test_working_tree_links_and_staged_state(tmp_path: Path) -> None:
    work = Work(tmp_path / "r")
    (tmp_path / "outside.txt").write_text("outside")
    links = {b"in": ("link", b"d/a.txt"), b"out": ("link", b"../outside.txt")}
    work.commit("one", {b"d/a.txt": b"one", **links})
    work.write({b"d/a.txt": b"three"})
    fs = fsspec.filesystem("dsvc", repo=str(work.folder))
    assert [fs.cat(f"{rev}/d/a.txt") for rev in ("HEAD", "STAGED", "WORKTREE")] == [b"one", b"one", b"three"]
    assert fs.cat("HEAD/in") == b"one"
    assert fs.info("HEAD/in")["size"] == 3
    assert fs.info("HEAD/out")["type"] == "other"
    for rev in ("HEAD", "STAGED", "WORKTREE"):
        with pytest.raises(FileNotFoundError):
            fs.cat(f"{rev}/out")


def test_errors_are_those_of_files_and_ours(options: dict[str, str]) -> None:
    fs = fsspec.filesystem("dsvc", **options)
    for path in ("HEAD/nix.csv", "nix/a.csv", "HEAD~99/notes.txt"):
        with pytest.raises(NoSuchFileError) as caught:
            fs.open(path)
        assert isinstance(caught.value, FileNotFoundError)
        assert isinstance(caught.value, NotFoundError)
        assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    with pytest.raises(FolderOpenedError):
        fs.open("HEAD/数据")


def test_nothing_is_written(options: dict[str, str]) -> None:
    fs = fsspec.filesystem("dsvc", **options)
    for attempt in (
        lambda: fs.open("HEAD/new.txt", "wb"),
        lambda: fs.pipe("HEAD/new.txt", b"x"),
        lambda: fs.rm("HEAD/notes.txt"),
        lambda: fs.mkdir("HEAD/new"),
        lambda: fs.mv("HEAD/notes.txt", "HEAD/other.txt"),
        lambda: fs.cp("HEAD/notes.txt", "HEAD/other.txt"),
        lambda: fs.touch("HEAD/new.txt"),
    ):
        with pytest.raises(OSError, match="read-only"):
            attempt()


def test_without_an_option_the_repository_is_the_one_around(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work.folder)
    here = fsspec.filesystem("dsvc")
    assert here.cat("HEAD/notes.txt") == b"no table"
    sent = pickle.dumps(here)
    monkeypatch.chdir(tmp_path)
    assert here.cat("HEAD/notes.txt") == pickle.loads(sent).cat("HEAD/notes.txt") == b"no table"
    with pytest.raises(NoRepositoryError):
        fsspec.filesystem("dsvc")


def test_many_threads_read_through_one_file_system(options: dict[str, str]) -> None:
    fs = fsspec.filesystem("dsvc", **options)
    paths = [f"{rev}/数据/t.{form}" for rev in ("HEAD", "HEAD~1") for form in FORMATS] * 4
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda path: len(fs.cat_file(path)), paths))
    assert sizes == [fs.size(path) for path in paths]


# The libraries through the file system


def test_pandas_reads_versions(options: dict[str, str]) -> None:
    read = {
        "parquet": pandas.read_parquet,
        "csv": pandas.read_csv,
        "jsonl": lambda url, **more: pandas.read_json(url, lines=True, **more),
    }
    for form, reader in read.items():
        assert reader(OLD + form, storage_options=options).to_dict("records") == rows(100)


def test_polars_reads_versions(options: dict[str, str]) -> None:
    for form, reader in {"parquet": polars.read_parquet, "csv": polars.read_csv}.items():
        with fsspec.open(OLD + form, **options) as file:
            assert reader(file).to_dicts() == rows(100)
    with fsspec.open(OLD + "jsonl", **options) as file:
        assert polars.read_ndjson(file.read()).to_dicts() == rows(100)
    fs = fsspec.filesystem("dsvc", **options)
    lazy = polars.scan_pyarrow_dataset(ds.dataset("HEAD~1/数据/t.parquet", filesystem=fs))
    assert lazy.filter(polars.col("id") < 3).collect().to_dicts() == rows(3)


def test_arrow_reads_versions(options: dict[str, str]) -> None:
    fs = fsspec.filesystem("dsvc", **options)
    dataset = ds.dataset("HEAD~1/数据/t.parquet", filesystem=fs)
    assert dataset.to_table(filter=ds.field("id") < 3).to_pylist() == rows(3)
    assert pq.read_table("feature/x/数据/t.parquet", filesystem=fs).to_pylist() == rows(100)


def test_duckdb_reads_versions(options: dict[str, str]) -> None:
    with duckdb.connect() as connection:
        connection.register_filesystem(fsspec.filesystem("dsvc", **options))
        question = "SELECT count(*), sum(id) FROM '{}{}'"
        for form in ("parquet", "csv"):
            assert connection.execute(question.format(OLD, form)).fetchall() == [(100, 4950)]
        new = connection.execute("SELECT count(*) FROM read_csv('dsvc://v2/数据/*.csv')").fetchall()
        assert new == [(200,)]


@pytest.mark.parametrize(("form", "builder"), [("parquet", "parquet"), ("csv", "csv"), ("jsonl", "json")])
def test_hugging_face_datasets_read_versions(
    form: str, builder: str, options: dict[str, str], tmp_path: Path
) -> None:
    """In a process of its own, since the library reads its settings when it is imported."""
    pytest.importorskip("datasets")
    code = f"""
import json, os, sys, datasets
datasets.disable_progress_bars()
found = [
    datasets.load_dataset({builder!r}, data_files=url, split="train", storage_options={options!r}, **more)
    for url in ("{OLD}{form}", "dsvc://v2/数据/t.{form}") for more in ({{}}, {{"streaming": True}})
]
print(json.dumps([[row["文"] for row in each] for each in found]), flush=True)
os._exit(0)  # its threads that still read may end the process by a signal when Python shuts down
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={
            **os.environ,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "0",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "PYTHONIOENCODING": "utf-8",
        },
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    old, new = ([row["文"] for row in rows(count)] for count in (100, 200))
    assert json.loads(done.stdout.splitlines()[-1]) == [old, old, new, new]
