"""SQL on any version, compared with DuckDB on the files themselves."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import os
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.model.errors import MissingDataError, NotFoundError, UsageError
from dsvc.porcelain.tables.sql import open_query
from dsvc.table.origin.source import NotATableError
from dsvc.table.query.sql import SqlError
from tests.porcelain.working import Work
from tests.resident import resident

ROOT = Path(__file__).resolve().parents[2]


def parquet(table: pa.Table, **settings: object) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **settings)
    return stream.getvalue()


def numbers(count: int, offset: int = 0) -> pa.Table:
    return pa.table(
        {
            "id": range(count),
            "label": [(number + offset) % 7 for number in range(count)],
            "文": [f"第{number}行" for number in range(count)],
        }
    )


@pytest.fixture
def versions(work: Work) -> Work:
    """Two commits of each format."""
    old, new = numbers(100), numbers(120, offset=1)
    for table in (old, new):
        lines = [json.dumps(row, ensure_ascii=False) for row in table.to_pylist()]
        csv = "id,label,文\n" + "".join(f"{r['id']},{r['label']},{r['文']}\n" for r in table.to_pylist())
        stream = io.BytesIO()
        with pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
        work.commit(
            f"{len(table)} rows",
            {
                "数据/训练.parquet".encode(): parquet(table, row_group_size=30),
                b"t.csv": csv.encode(),
                b"t.csv.gz": gzip.compress(csv.encode(), mtime=0),
                b"t.jsonl": "\n".join(lines).encode(),
                b"t.json": ("[" + ",\n".join(lines) + "]").encode(),
                b"t.arrow": stream.getvalue(),
                b"notes.txt": b"no table",
            },
        )
    return work


PATHS = ("数据/训练.parquet", "t.csv", "t.csv.gz", "t.jsonl", "t.json", "t.arrow")


@pytest.mark.parametrize("path", PATHS)
def test_a_question_of_any_version_is_answered_as_by_the_engine_itself(path: str, versions: Work) -> None:
    question = "SELECT label, count(*) AS n, sum(id) AS s, min(文) AS m FROM {} GROUP BY label ORDER BY label"
    for rev, table in (("HEAD~1", numbers(100)), ("HEAD", numbers(120, offset=1))):
        found = versions.repo.sql(question.format(f"dsvc('{rev}:{path}')"))
        with duckdb.connect() as connection:
            connection.register("expected", table)
            expected = connection.sql(question.format("expected")).fetchall()
        assert [tuple(row.values()) for row in found.to_pylist()] == expected


@pytest.mark.parametrize("path", PATHS)
def test_versions_and_formats_join(path: str, versions: Work) -> None:
    found = versions.repo.sql(
        f"SELECT count(*) AS n FROM dsvc('HEAD~1:数据/训练.parquet') a JOIN '{path}' b USING (id) "
        "WHERE a.label <> b.label"
    )
    assert found.to_pylist() == [{"n": 100}]


def test_a_version_is_asked_twice_in_one_query(versions: Work) -> None:
    found = versions.repo.sql("SELECT count(*) AS n FROM dsvc('t.csv') a, dsvc('t.csv') b")
    assert found.to_pylist() == [{"n": 120 * 120}]


def test_working_tree_and_staged_state_are_revisions(versions: Work) -> None:
    versions.write({b"t.csv": b"id\n1\n", b"new.csv": b"id\n5\n"})
    count = "SELECT count(*) FROM dsvc('{}:t.csv')"
    assert [versions.repo.sql(count.format(rev))[0][0].as_py() for rev in ("WORKTREE", "STAGED")] == [1, 120]
    versions.repo.add([b"t.csv"])
    versions.write({b"t.csv": b"id\n1\n2\n"})
    assert [versions.repo.sql(count.format(rev))[0][0].as_py() for rev in ("WORKTREE", "STAGED")] == [2, 1]
    assert versions.repo.sql("FROM dsvc('WORKTREE:new.csv')").to_pylist() == [{"id": 5}]


@pytest.mark.parametrize(
    "name", ["'t.csv'", '"t.csv"', "t.csv", "dsvc('t.csv')", "DSVC('HEAD:/t.csv')", "dsvc(':t.csv')"]
)
def test_ways_to_name_a_path_of_head(name: str, versions: Work) -> None:
    assert versions.repo.sql(f"SELECT count(*) FROM {name}")[0][0].as_py() == 120


def test_a_bare_name_is_a_path_and_a_name_of_the_query_goes_first(work: Work) -> None:
    work.commit("bare", {b"people.d/x": b"", b"people": parquet(numbers(3))})
    assert work.repo.sql("SELECT count(*) FROM people")[0][0].as_py() == 3
    assert work.repo.sql("WITH people AS (SELECT 1 AS a) FROM people").to_pylist() == [{"a": 1}]


@pytest.mark.parametrize(
    "query",
    [
        "FROM dsvc('t.csv') LIMIT 3",
        "VALUES (1), (2), (3)",
        "SELECT * FROM range(3)",
        "WITH a AS (FROM 't.csv') FROM a LIMIT 3",
        "DESCRIBE 't.csv'",
        "SUMMARIZE 't.csv'",
        "PIVOT (SELECT 1 AS one, * FROM 't.csv' WHERE id < 3) ON label IN (1, 2) GROUP BY id",
        "-- a remark; with dsvc('nothing')\nFROM 't.csv' LIMIT 3;",
    ],
)
def test_kinds_of_questions(query: str, versions: Work) -> None:
    assert versions.repo.sql(query).num_rows == 3


def test_columns_of_one_name_are_told_apart(versions: Work) -> None:
    found = versions.repo.sql("SELECT a.id, b.id, b.label FROM 't.csv' a JOIN 't.jsonl' b USING (id) LIMIT 1")
    assert found.column_names == ["id", "id_1", "label"]


def test_answers_do_not_depend_on_the_zone_of_the_machine(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    found = work.repo.sql("SELECT date_part('hour', TIMESTAMPTZ '2026-01-01 12:00:00+00') AS hour")
    assert found.to_pylist() == [{"hour": 12}]


def test_results_come_in_batches(versions: Work) -> None:
    with open_query(versions.repo, "SELECT * FROM range(250000)") as reader:
        sizes = [batch.num_rows for batch in reader]
    assert sum(sizes) == 250000
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("FROM dsvc('HEAD:nix.csv')", NotFoundError),
        ("FROM dsvc('no-such-branch:t.csv')", NotFoundError),
        ("FROM dsvc('HEAD~9:t.csv')", NotFoundError),
        ("FROM 'nix.csv'", NotFoundError),
        ("FROM nix", NotFoundError),
        ("FROM dsvc('数据')", UsageError),
        ("FROM dsvc('t.csv#id=1')", UsageError),
        ("FROM dsvc('')", UsageError),
        ("FROM dsvc('HEAD:')", UsageError),
        ("FROM dsvc(1)", SqlError),
        ("FROM dsvc('a', 'b')", SqlError),
        ("SELECT nix FROM 't.csv'", SqlError),
        ("SELEC 1", SqlError),
        ("SELECT 1; SELECT 2", SqlError),
        ("", SqlError),
        ("SELECT " + "abs(" * 5000 + "1" + ")" * 5000, SqlError),
        ("SELECT '\0'", SqlError),
        ("FROM dsvc('notes.txt')", NotATableError),
    ],
)
def test_errors_are_typed(query: str, error: type[Exception], versions: Work) -> None:
    with pytest.raises(error):
        versions.repo.sql(query)


def test_a_wrong_name_gets_a_hint(versions: Work) -> None:
    with pytest.raises(NotFoundError) as caught:
        versions.repo.sql("FROM 't.csw'")
    assert "t.csv" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        (b"bad.csv", b"a,b\n1,2\n3\n", "line 3"),
        (b"bad.jsonl", b'{"a": 1}\n{"a": \n', "line 2"),
        (b"bad.parquet", b"PAR1" + b"\xff" * 64 + b"PAR1", "bad.parquet"),
    ],
)
def test_malformed_tables_are_named_with_the_place(
    name: bytes, content: bytes, place: str, work: Work
) -> None:
    work.commit("bad", {name: content})
    with pytest.raises(NotATableError, match=place) as caught:
        work.repo.sql(f"FROM dsvc('HEAD:{name.decode()}')")
    assert name.decode() in str(caught.value)


@pytest.mark.parametrize("name", ["t.csv", "数据/训练.parquet"])
def test_missing_content_is_said_to_be_missing(name: str, versions: Work) -> None:
    for folder, _, names in os.walk(versions.folder / ".dsvc" / "packs"):
        for each in names:
            os.unlink(os.path.join(folder, each))
    repo = versions.reopen()
    with pytest.raises(MissingDataError):
        repo.sql(f"SELECT * FROM dsvc('HEAD:{name}')")


def dsvc(work: Work, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return resident().run("sql", *arguments, folder=work.folder, environ={"LC_ALL": "C.UTF-8"})


VALUES = (
    "SELECT 1 AS i, sum(x) AS s, NULL AS n, '' AS e, '=1+1' AS f, 'a\"b,c' AS q, 1.50::DECIMAL(5,2) AS d, "
    "DATE '2026-01-02' AS t, TIMESTAMP '2026-01-02 03:04:05' AS ts, '\\xFF'::BLOB AS b, "
    "'nan'::DOUBLE AS nan, {'k': [1, 2]} AS st, true AS yes FROM (VALUES (1), (2)) v(x)"
)
IN_JSON = {
    "i": 1,
    "s": 3,
    "n": None,
    "e": "",
    "f": "=1+1",
    "q": 'a"b,c',
    "d": "1.50",
    "t": "2026-01-02",
    "ts": "2026-01-02T03:04:05",
    "b": "/w==",
    "nan": "NaN",
    "st": {"k": [1, 2]},
    "yes": True,
}


def test_json_is_one_object(work: Work) -> None:
    found = json.loads(dsvc(work, "--json", VALUES).stdout)
    assert found["rows"] == [IN_JSON]
    assert found["row_count"] == 1
    assert [column["name"] for column in found["columns"]] == list(IN_JSON)
    assert found["columns"][3]["type"] == "string"


def test_rows_as_json(work: Work) -> None:
    assert json.loads(dsvc(work, "--format", "json", VALUES).stdout) == [IN_JSON]
    assert json.loads(dsvc(work, "--format", "jsonl", VALUES).stdout) == IN_JSON
    assert json.loads(dsvc(work, "--format", "json", "SELECT 1 LIMIT 0").stdout) == []
    assert dsvc(work, "--format", "jsonl", "SELECT 1 LIMIT 0").stdout == b""


def test_csv_is_data_as_it_is(work: Work) -> None:
    header, row = dsvc(work, "--format", "csv", VALUES).stdout.decode().splitlines()
    assert header == "i,s,n,e,f,q,d,t,ts,b,nan,st,yes"
    assert row == (
        '1,3,,"",=1+1,"a""b,c",1.50,2026-01-02,2026-01-02T03:04:05,/w==,nan,"{""k"": [1, 2]}",true'
    )


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "json"])
def test_results_written_to_a_file_give_the_same_answers(suffix: str, versions: Work, tmp_path: Path) -> None:
    file = tmp_path / f"出.{suffix}"
    done = dsvc(versions, "--json", "-o", str(file), "SELECT * FROM '数据/训练.parquet'")
    assert json.loads(done.stdout)["row_count"] == 120, done.stderr
    with duckdb.connect() as connection:
        rows = connection.sql(f"SELECT * FROM '{file}'").fetchall()
    assert rows == [tuple(row.values()) for row in numbers(120, offset=1).to_pylist()]


def test_a_failed_query_leaves_the_file_that_stood_there(work: Work, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("before")
    done = dsvc(work, "-o", str(file), "SELECT CAST('x' AS INTEGER) FROM range(3)")
    assert done.returncode == UsageError.exit_code
    assert file.read_text() == "before"
    assert set(os.listdir(tmp_path)) == {"out.csv", work.folder.name}


def test_a_table_for_people_is_aligned_and_harmless(versions: Work) -> None:
    query = (
        "SELECT '中文' AS 列, 1 AS n, NULL AS x UNION ALL SELECT chr(27) || '[31m' || chr(10), 22, '[bold]'"
    )
    lines = dsvc(versions, query).stdout.decode().splitlines()
    assert "\x1b" not in "".join(lines)
    assert lines[-1] == "2 rows"
    assert "中文" in lines[2]
    assert "null" in lines[2]
    assert r"\x1b[31m" in lines[3]
    assert "[bold]" in lines[3]

    def cells(text: str) -> int:
        return sum(2 if ord(character) > 0x2E7F else 1 for character in text)

    def place(line: str, number: str) -> int:
        return cells(line[: line.rindex(number) + len(number)])

    assert place(lines[2], "1") == place(lines[3], "22")


def test_a_long_table_says_what_it_leaves_out(work: Work) -> None:
    done = dsvc(work, "SELECT * FROM range(1200)")
    assert b"1200 rows" in done.stdout or b"1,200 rows" in done.stdout
    assert b"-o FILE" in done.stderr
    assert done.stdout.count(b"\n") < 1100


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("FROM 'nix.csv'",), 14),
        (("FROM dsvc('nix:a.csv')",), 14),
        (("SELEC",), 2),
        (("--format", "xml", "SELECT 1"), 2),
        (("-o", "result", "SELECT 1"), 2),
        (("-o", "result.table", "SELECT 1"), 2),
        (("--json", "--format", "csv", "SELECT 1"), 2),
        ((), 2),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], status: int, work: Work) -> None:
    work.commit("one", {b"t.csv": b"a\n1\n"})
    done = dsvc(work, *arguments)
    assert done.returncode == status, done.stderr
    assert done.stdout == b""


def test_times_that_python_cannot_hold_are_written(work: Work) -> None:
    query = "SELECT TIMESTAMP_NS '2026-01-02 03:04:05.123456789' AS a, TIMESTAMP '9999-12-31 00:00:00' AS b"
    found = json.loads(dsvc(work, "--format", "jsonl", query).stdout)
    assert found["a"].endswith("03:04:05.123456789")
    assert datetime.datetime.fromisoformat(found["b"]).year == 9999
