"""Queries that try to get out: at files, the network, the program, the settings, or a second statement."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError, NotFoundError, UsageError
from dsvc.testing.faults import tally
from tests.porcelain.working import Work

SECRET = "the-secret-in-the-file"

READS = (
    "FROM '{secret}'",
    'FROM "{secret}"',
    "FROM 'file://{secret}'",
    "SELECT * FROM read_csv('{secret}', header = false)",
    "SELECT * FROM read_csv_auto('{secret}')",
    "SELECT * FROM read_csv(['{secret}'], columns = {{'a': 'VARCHAR'}})",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT content FROM read_text('{secret}')",
    "SELECT content FROM read_text('file://{secret}')",
    "SELECT content FROM read_blob('{secret}')",
    "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM read_json_auto('{folder}/*.json')",
    "SELECT * FROM read_json_objects('{secret}')",
    "SELECT * FROM read_ndjson_objects('{secret}')",
    "SELECT * FROM read_parquet('{folder}/secret.parquet')",
    "SELECT * FROM parquet_scan('{folder}/*.parquet')",
    "SELECT * FROM parquet_metadata('{folder}/secret.parquet')",
    "SELECT * FROM parquet_schema('{folder}/secret.parquet')",
    "SELECT * FROM parquet_kv_metadata('{folder}/secret.parquet')",
    "SELECT * FROM '{folder}/secret.parquet'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_duckdb('{folder}/secret.db', table_name = 't')",
    "SELECT * FROM query('FROM read_text(''{secret}'')')",
    "SELECT * FROM query_table('{secret}')",
    "SELECT (SELECT content FROM read_text('{secret}'))",
    "WITH x AS (FROM read_text('{secret}')) SELECT * FROM x",
    "SELECT * FROM dsvc('{secret}')",
    "SELECT * FROM dsvc('../secret.txt')",
    "SELECT * FROM dsvc('WORKTREE:../secret.txt')",
    "SELECT * FROM dsvc('WORKTREE:link.csv')",
    "SELECT * FROM dsvc('WORKTREE:linked/secret.csv')",
    "SELECT * FROM dsvc('HEAD:link.csv')",
    "SELECT * FROM dsvc('HEAD:linked/secret.csv')",
    "FROM 'link.csv'",
    "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
    "FROM 'https://127.0.0.1:1/x.parquet'",
    "FROM 's3://bucket/x.parquet'",
    "SELECT getenv('DSVC_TEST_SECRET')",
    "SELECT * FROM secret_of_the_program",
    "SELECT * FROM secret_frame",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{secret}'')'))",
    "SELECT * FROM import_database('{folder}')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM dsvc('a.csv'); SELECT * FROM read_text('{secret}')",
    "SELECT * FROM dsvc('a.csv'') UNION SELECT content, 1 FROM read_text(''{secret}')",
    "SELECT * FROM dsvc($$a.csv$$ || '{secret}')",
    "PREPARE x AS FROM read_text('{secret}')",
    "EXPLAIN ANALYZE SELECT * FROM read_text('{secret}')",
    "DESCRIBE FROM read_csv('{secret}')",
    "SUMMARIZE FROM read_csv('{secret}')",
    "PIVOT read_csv('{secret}') ON a",
    "FROM dsvc('a.csv') WHERE a IN (SELECT content FROM read_text('{secret}'))",
)

WRITES = (
    "COPY (SELECT 1) TO '{made}'",
    "COPY (SELECT 1) TO '{made}' (FORMAT parquet)",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{made}''')",
    "EXPORT DATABASE '{made}'",
    "ATTACH '{made}' AS x",
    "ATTACH '{made}' AS x; CREATE TABLE x.t AS SELECT 1",
    "CREATE TABLE t AS SELECT 1",
    "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'x')",
    'INSERT INTO "a.csv" VALUES (1, 2)',
    'DELETE FROM "a.csv"',
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{made}'",
    "FORCE INSTALL '{made}'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET temp_directory = '{made}'",
    "SET disabled_filesystems = ''",
    "RESET disabled_filesystems",
    "SET GLOBAL python_enable_replacements = true",
    "PRAGMA enable_profiling",
    "PRAGMA profile_output = '{made}'",
    "CALL enable_logging(storage = 'file', storage_path = '{made}')",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{made}')",
    "SELECT * FROM enable_profiling(save_location = '{made}')",
    "SELECT * FROM create_external_resource('x', '{made}')",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "USE x",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{made}'",
    "WITH x AS (COPY (SELECT 1) TO '{made}') SELECT * FROM x",
    "SELECT 1 INTO OUTFILE '{made}'",
    ".read {secret}",
    ".shell touch {made}",
)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "数据")


@pytest.fixture
def outside(tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A secret beside the repository, and links to it inside."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "secret.txt").write_text(f"a,b\n1,{SECRET}\n")
    (tmp_path / "secret.csv").write_text(f"a,b\n1,{SECRET}\n")
    (tmp_path / "secret.json").write_text(f'{{"a": "{SECRET}"}}\n')
    pq.write_table(pa.table({"a": [SECRET]}), tmp_path / "secret.parquet")
    monkeypatch.setenv("DSVC_TEST_SECRET", SECRET)
    os.symlink(tmp_path / "secret.csv", work.folder / "link.csv")
    os.symlink(tmp_path, work.folder / "linked")
    work.commit("tables", {b"a.csv": b"a,b\n1,2\n"})
    return {
        "secret": str(tmp_path / "secret.txt"),
        "folder": str(tmp_path),
        "made": str(tmp_path / "made.txt"),
    }


@pytest.mark.parametrize("query", READS)
def test_h50_no_query_reads_what_is_no_version(query: str, work: Work, outside: dict[str, str]) -> None:
    secret_of_the_program = __import__("pyarrow").table({"a": [SECRET]})
    secret_frame = __import__("pandas").DataFrame({"a": [SECRET]})
    tally["hostile cases"] += 1
    with pytest.raises(DsvcError) as caught:
        work.repo.sql(query.format(**outside))
    assert caught.value.exit_code in (UsageError.exit_code, NotFoundError.exit_code, 41), caught.value
    assert SECRET not in str(caught.value)
    assert len(secret_of_the_program) == len(secret_frame) == 1


@pytest.mark.parametrize("query", WRITES)
def test_h50_no_query_writes_or_changes_settings(query: str, work: Work, outside: dict[str, str]) -> None:
    tally["hostile cases"] += 1
    before = work.everything(), sorted(os.listdir(outside["folder"]))
    with pytest.raises(UsageError):
        work.repo.sql(query.format(**outside))
    assert (work.everything(), sorted(os.listdir(outside["folder"]))) == before


def test_folders_that_extensions_would_be_in_are_not_made(
    work: Work, outside: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    work.repo.sql("SELECT * FROM dsvc('a.csv') ORDER BY a")
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    "name", ["it's.csv", 'a"b.csv', "a;b.csv", "--.csv", "a\nb.csv", "\\x.csv", "表 格.csv"]
)
def test_h50_names_cannot_break_out_of_their_quotes(name: str, work: Work) -> None:
    work.commit("names", {os.fsencode(name): b"a\n1\n"})
    quoted = name.replace("'", "''")
    assert work.repo.sql(f"FROM dsvc('{quoted}')").to_pydict() == {"a": [1]}
    assert work.repo.sql(f"FROM dsvc('HEAD:{quoted}')").to_pydict() == {"a": [1]}
    assert work.repo.sql(f"FROM '{quoted}'").to_pydict() == {"a": [1]}


@pytest.mark.parametrize("column", ['x"; DROP TABLE t; --', "x'; SELECT 1; --", "", "a\nb", "💥"])
def test_h50_columns_cannot_break_out_of_their_quotes(column: str, work: Work) -> None:
    import json

    work.commit("columns", {b"a.jsonl": json.dumps({column: 1}).encode() + b"\n"})
    found = work.repo.sql("FROM 'a.jsonl'")
    assert found.num_rows == 1
    assert found.column(0).to_pylist() == [1]


def test_h50_settings_seen_from_inside_are_locked(work: Work, outside: dict[str, str]) -> None:
    found = work.repo.sql(
        "SELECT name, value FROM duckdb_settings() WHERE name IN "
        "('enable_external_access', 'lock_configuration', 'temp_directory', 'python_enable_replacements')"
    )
    values = dict(zip(*(column.to_pylist() for column in found.columns), strict=True))
    assert re.fullmatch("false|0", values["enable_external_access"])
    assert re.fullmatch("false|0", values["python_enable_replacements"])
    assert re.fullmatch("true|1", values["lock_configuration"])
    assert values["temp_directory"] == ""


def test_the_same_queries_get_out_of_an_engine_that_is_open(outside: dict[str, str]) -> None:
    """The attempts above are real ones: many of them succeed where nothing is locked."""
    import duckdb

    leaked = 0
    for query in READS:
        with duckdb.connect(":memory:") as open_engine:
            try:
                rows = open_engine.execute(query.format(**outside)).fetchall()
            except duckdb.Error:
                continue
            leaked += SECRET in str(rows) or "secret." in str(rows) or "passwd" in str(rows)
    assert leaked >= 15
