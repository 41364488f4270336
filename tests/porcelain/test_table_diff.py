"""Row diffs over a repository: every pair of sides, rules, formats, caches that are gone or damaged."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from dsvc.diff.row_compare import DuplicateKeyError, NoSuchColumnError
from dsvc.diff.table_delta import KeySource, TableDelta
from dsvc.porcelain.state.values import DiffResult
from dsvc.table.origin.source import NotATableError
from tests.porcelain.working import Work
from tests.tablekit import counts

PATH = "数据/标注.csv".encode()
ONE = "id,文本,label\n" + "".join(f"{n},第{n}条,{n % 3}\n" for n in range(300))
TWO = ONE.replace("7,第7条,1\n", "7,第七条,1\n").replace("9,第9条,0\n", "") + "300,新,2\n"
THREE = TWO.replace("第7", "七")


def only(work: Work, result: DiffResult, **options: Any) -> TableDelta:
    (change,) = result.changes
    found = work.repo.table_diff(change, result, **options)
    assert found is not None
    return found


def encoded(text: str) -> bytes:
    return text.encode()


def test_every_pair_of_sides(work: Work) -> None:
    repo = work.repo
    work.commit("one", {PATH: encoded(ONE)})
    work.commit("two", {PATH: encoded(TWO)})
    expected = (1, 1, 1, 298, {"文本": 1})
    assert counts(only(work, repo.diff("HEAD~1", "HEAD"))) == expected
    assert counts(only(work, repo.diff("HEAD", "HEAD~1"))) == expected
    work.write({PATH: encoded(ONE)})
    assert counts(only(work, repo.diff())) == expected
    repo.add([PATH])
    assert counts(only(work, repo.diff(staged=True))) == expected
    work.write({PATH: encoded(THREE)})
    assert counts(only(work, repo.diff("HEAD")))[:2] == (0, 0)
    assert not repo.diff("HEAD", "HEAD").changes


def test_ranges_begin_at_the_merge_base(work: Work) -> None:
    work.diverge({PATH: encoded(ONE)}, {PATH: encoded(ONE + "400,甲,0\n")}, {PATH: encoded(TWO)})
    assert counts(only(work, work.repo.diff("main...topic"))) == (1, 1, 1, 298, {"文本": 1})
    assert counts(only(work, work.repo.diff("topic...main"))) == (1, 0, 0, 300, {})


def test_changes_name_rows_and_cells(work: Work) -> None:
    work.commit("one", {PATH: encoded(ONE)})
    work.commit("two", {PATH: encoded(TWO)})
    found = only(work, work.repo.diff("HEAD~1", "HEAD"))
    assert (found.key, found.key_from) == (("id",), KeySource.GUESSED)
    changed, removed, added = found.changes
    assert (changed.key, changed.columns) == ({"id": 7}, ("文本",))
    assert changed.before == {"id": 7, "文本": "第7条", "label": 1}
    assert changed.after == {"id": 7, "文本": "第七条", "label": 1}
    assert (removed.before_position, removed.after_position) == (9, None)
    assert (added.before_position, added.after_position) == (None, 299)
    assert added.after == {"id": 300, "文本": "新", "label": 2}


def test_a_limit_lists_less_and_counts_all(work: Work) -> None:
    work.commit("one", {PATH: encoded(ONE)})
    work.commit("none", {PATH: encoded(ONE.partition("\n")[0] + "\n")})
    result = work.repo.diff("HEAD~1", "HEAD")
    few, every = only(work, result, limit=2), only(work, result, limit=None)
    assert (len(few.changes), few.truncated, few.rows_removed) == (2, True, 300)
    assert (len(every.changes), every.truncated) == (300, False)
    assert few.changes == every.changes[:2]


def test_added_removed_and_renamed_tables(work: Work) -> None:
    work.commit("none", {b"other": b"x"})
    work.commit("one", {PATH: encoded(ONE)})
    work.commit("moved", {PATH: None, b"b.csv": encoded(ONE)})
    work.commit("gone", {b"b.csv": None})
    assert counts(only(work, work.repo.diff("HEAD~3", "HEAD~2"))) == (300, 0, 0, 0, {})
    assert only(work, work.repo.diff("HEAD~2", "HEAD~1")).is_empty
    assert counts(only(work, work.repo.diff("HEAD~1", "HEAD"))) == (0, 300, 0, 0, {})


def test_another_format_of_the_same_rows(work: Work) -> None:
    table = pa.csv.read_csv(io.BytesIO(encoded(ONE)))
    output = io.BytesIO()
    pq.write_table(table.append_column("x", pa.array([n / 7 for n in range(300)])), output)
    text = io.BytesIO()
    pa.csv.write_csv(pq.read_table(io.BytesIO(output.getvalue())), text)
    # Parquet is known by its bytes, whatever the file is called.
    work.commit("csv", {b"t.csv": text.getvalue()})
    work.commit("parquet", {b"t.csv": output.getvalue()})
    for key in (None, ["id"], []):
        for pair in (("HEAD~1", "HEAD"), ("HEAD", "HEAD~1")):
            assert counts(only(work, work.repo.diff(*pair), key=key)) == (0, 0, 0, 300, {})


def test_the_key_that_rules_name(work: Work) -> None:
    rows = "a,b,v\n1,1,x\n1,2,x\n2,1,z\n"
    work.commit("one", {b"d/t.csv": encoded(rows)})
    work.commit("two", {b"d/t.csv": encoded(rows.replace("2,1,z", "2,1,w"))})
    result = work.repo.diff("HEAD~1", "HEAD")
    without = only(work, result)
    assert (without.key_from, counts(without)[:2]) == (KeySource.NONE, (1, 1))
    work.write({b"dsvc.toml": b'[tables."d/*.csv"]\nkey = ["a", "b"]\n'})
    ruled = only(work, result)
    assert (ruled.key, ruled.key_from) == (("a", "b"), KeySource.CONFIG)
    assert counts(ruled) == (0, 0, 1, 2, {"v": 1})
    asked = only(work, result, key=["b", "a"])
    assert (asked.key_from, counts(asked)[2]) == (KeySource.OPTION, 1)
    assert only(work, result, key=[]).key_from is KeySource.NONE
    with pytest.raises(DuplicateKeyError, match="a=1"):
        only(work, result, key=["a"])
    with pytest.raises(NoSuchColumnError, match="nope"):
        only(work, result, key=["nope"])


def test_a_table_that_became_malformed(work: Work) -> None:
    work.commit("one", {PATH: encoded(ONE)})
    work.commit("ragged", {PATH: encoded(ONE.replace("5,第5条,2\n", "5,第5条\n"))})
    found = only(work, work.repo.diff("HEAD~1", "HEAD"))
    assert counts(found) == (0, 1, 0, 299, {})
    assert [each.line for each in found.malformed_after] == [7]
    work.commit("broken", {PATH: encoded(ONE + '301,"never closed,1\n')})
    result = work.repo.diff("HEAD~1", "HEAD")
    with pytest.raises(NotATableError, match=r"标注\.csv, line 302: a quote is opened and never closed"):
        only(work, result)
    work.commit("binary", {PATH: b"\0\1\2"})
    result = work.repo.diff("HEAD~1", "HEAD")
    assert work.repo.table_diff(result.changes[0], result) is None


def parquet_bytes(table: pa.Table) -> bytes:
    output = io.BytesIO()
    pq.write_table(table, output)
    return output.getvalue()


def test_caches_that_are_kept_lost_or_damaged_change_no_answer(work: Work) -> None:
    table = pa.table({"id": range(2000), "v": [f"{n * n}" for n in range(2000)]})
    edited = table.set_column(1, "v", pa.array([f"{n * n if n % 500 else 'x'}" for n in range(2000)]))
    work.commit("one", {b"t.parquet": parquet_bytes(table)})
    work.commit("two", {b"t.parquet": parquet_bytes(edited)})
    work.commit("three", {b"t.parquet": parquet_bytes(edited.slice(3))})
    folder = Path(work.repo.layout.cache, "rows")

    def answers() -> list[TableDelta]:
        repo = work.reopen()
        pairs = (("HEAD~2", "HEAD~1"), ("HEAD~1", "HEAD"), ("HEAD~2", "HEAD"))
        return [only(work, repo.diff(*pair), limit=None) for pair in pairs]

    expected = answers()
    assert [counts(each)[:3] for each in expected] == [(0, 0, 4), (0, 3, 0), (0, 3, 3)]
    files = sorted(folder.iterdir())
    assert len(files) == 3
    assert answers() == expected
    for gone in files:
        gone.unlink()
        assert answers() == expected
    chance = random.Random(7)
    for file in files:
        data = file.read_bytes()
        places = {*range(32), *(chance.randrange(len(data)) for _ in range(4))}
        for place in chance.sample(sorted(places), 8):
            file.unlink()
            file.write_bytes(
                data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
            )
            assert answers() == expected, (file.name, place)
        file.unlink()
        file.write_bytes(data[: len(data) // 2])
        assert answers() == expected
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert answers() == expected
