"""Merges of tables: by row and cell, what conflicts, how it is settled, undone, given up."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.porcelain.state.values import MergeOutcome
from dsvc.porcelain.tables.row_target import RowName
from tests.porcelain.working import Work

BASE = "id,label,备注\n1,a,x\n2,b,y\n3,c,z\n"


def fork(
    work: Work, base: bytes | str, ours: bytes | str, theirs: bytes | str, name: bytes = b"t.csv"
) -> None:
    """Make two branches that changed a file; HEAD is ours."""

    def put(content: bytes | str, message: str) -> None:
        work.write({name: content.encode() if isinstance(content, str) else content})
        work.repo.add([b""])
        work.repo.commit(message)

    put(base, "base")
    work.repo.checkout(new_branch="side")
    put(theirs, "theirs")
    work.repo.checkout("main")
    put(ours, "ours")


def merge(work: Work, base: str, ours: str, theirs: str, name: bytes = b"t.csv") -> MergeOutcome:
    fork(work, base, ours, theirs, name)
    return work.repo.merge("side")


def content(work: Work, name: bytes = b"t.csv") -> str:
    return work.tree()[name][1].decode()


def test_two_appends_become_one_table(work: Work) -> None:
    outcome = merge(work, BASE, BASE + "4,d,我们\n", BASE + "5,e,他们\n6,f,他们\n")
    assert outcome.commit is not None
    assert content(work) == BASE + "4,d,我们\n5,e,他们\n6,f,他们\n"


def test_edits_of_different_cells_of_a_row_merge(work: Work) -> None:
    outcome = merge(work, BASE, BASE.replace("2,b,y", "2,B,y"), BASE.replace("2,b,y", "2,b,新"))
    assert outcome.commit is not None
    assert content(work) == BASE.replace("2,b,y", "2,B,新")


def test_the_same_edit_on_both_sides_is_no_conflict(work: Work) -> None:
    both = BASE.replace("2,b,y", "2,B,y")
    outcome = merge(work, BASE, both + "4,d,x\n", both)
    assert outcome.commit is not None
    assert content(work) == both + "4,d,x\n"


def test_a_row_inserted_in_the_middle_stays_behind_its_neighbour(work: Work) -> None:
    outcome = merge(work, BASE, BASE.replace("1,a", "1,A"), BASE.replace("2,b,y\n", "2,b,y\n7,g,w\n"))
    assert outcome.commit is not None
    assert content(work) == "id,label,备注\n1,A,x\n2,b,y\n7,g,w\n3,c,z\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "meanwhile", "settled_theirs"),
    [
        ("2,B,y\n", "2,bb,y\n", "content", "2,B,y\n", "2,bb,y\n"),
        ("", "2,bb,y\n", "delete/modify", "", "2,bb,y\n"),
        ("2,B,y\n", "", "modify/delete", "2,B,y\n", ""),
    ],
)
def test_what_conflicts_and_how_either_side_settles_it(
    work: Work, ours: str, theirs: str, kind: str, meanwhile: str, settled_theirs: str
) -> None:
    outcome = merge(work, BASE, BASE.replace("2,b,y\n", ours), BASE.replace("2,b,y\n", theirs))
    assert outcome.commit is None
    assert [(c.path, c.kind, c.rows) for c in outcome.conflicts] == [(b"t.csv", "rows", 1)]
    (row,) = work.repo.conflict_rows(b"t.csv")
    assert (row.kind, row.key) == (kind, {"id": 2})
    assert sorted(content(work).splitlines()) == sorted(BASE.replace("2,b,y\n", meanwhile).splitlines())
    work.repo.resolve(b"t.csv", side="theirs")
    assert sorted(content(work).splitlines()) == sorted(BASE.replace("2,b,y\n", settled_theirs).splitlines())
    assert work.repo.conflicts() == []
    assert work.repo.commit("settled").commit


def test_a_key_that_both_added_is_a_conflict_of_the_cells_that_differ(work: Work) -> None:
    outcome = merge(work, BASE, BASE + "4,d,ours\n", BASE + "4,d,theirs\n5,e,x\n")
    assert outcome.commit is None
    (row,) = work.repo.conflict_rows(b"t.csv")
    assert (row.kind, row.columns, row.base) == ("add/add", ("备注",), None)
    assert content(work) == BASE + "4,d,ours\n5,e,x\n"


def test_a_side_settles_conflicting_cells_only_and_edits_made_since_stay(work: Work) -> None:
    merge(
        work,
        BASE,
        BASE.replace("2,b", "2,OURS").replace("3,c,z", "3,C,z"),
        BASE.replace("2,b", "2,THEIRS").replace("3,c,z", "3,K,Z"),
    )
    work.write({b"t.csv": content(work).replace("1,a,x", "1,a,edited").encode()})
    work.repo.resolve(b"t.csv", side="theirs", row=RowName(key=(("id", "2"),)))
    assert [row.key for row in work.repo.conflict_rows(b"t.csv")] == [{"id": 3}]
    work.repo.resolve(b"t.csv", side="ours")
    assert content(work) == "id,label,备注\n1,a,edited\n2,THEIRS,y\n3,C,Z\n"
    assert work.repo.conflicts() == []


def test_cells_of_one_row_are_settled_one_by_one(work: Work) -> None:
    merge(work, BASE, BASE.replace("2,b,y", "2,O,O"), BASE.replace("2,b,y", "2,T,T"))
    work.repo.resolve(b"t.csv", side="theirs", columns=["label"])
    (row,) = work.repo.conflict_rows(b"t.csv")
    assert row.columns == ("备注",)
    work.repo.resolve(b"t.csv", side="ours", columns=["备注"])
    assert content(work) == BASE.replace("2,b,y", "2,T,O")
    assert work.repo.conflicts() == []


def test_undo_brings_a_settled_row_back_into_conflict(work: Work) -> None:
    merge(work, BASE, BASE.replace("2,b", "2,O"), BASE.replace("2,b", "2,T"))
    before = content(work)
    work.repo.resolve(b"t.csv", side="theirs")
    assert content(work) != before
    work.repo.undo()
    assert content(work) == before
    assert len(work.repo.conflict_rows(b"t.csv")) == 1


def test_giving_up_a_merge_leaves_ours(work: Work) -> None:
    ours = BASE.replace("2,b", "2,O") + "9,i,w\n"
    merge(work, BASE, ours, BASE.replace("2,b", "2,T"))
    work.repo.merge_abort()
    assert content(work) == ours


def test_a_row_that_is_not_in_conflict_can_not_be_settled(work: Work) -> None:
    merge(work, BASE, BASE.replace("2,b", "2,O"), BASE.replace("2,b", "2,T"))
    with pytest.raises(NotFoundError):
        work.repo.resolve(b"t.csv", side="theirs", row=RowName(key=(("id", "1"),)))
    with pytest.raises(NotFoundError):
        work.repo.resolve(b"t.csv", side="theirs", columns=["id"])
    assert len(work.repo.conflict_rows(b"t.csv")) == 1


def test_rows_of_a_file_without_a_key_can_not_be_named(work: Work) -> None:
    merge(work, "x\n1\n1\n", "x\n1\n2\n", "x\n1\n3\n")
    with pytest.raises(UsageError):
        work.repo.resolve(b"t.csv", side="theirs", columns=["x"])


def test_the_key_of_the_rules_file_counts_where_none_could_be_guessed(work: Work) -> None:
    work.write({b"dsvc.toml": b'[tables."*.csv"]\nkey = ["a", "b"]\n'})
    base = "a,b,v\n1,1,x\n1,2,x\n2,1,x\n"
    outcome = merge(work, base, base.replace("1,2,x", "1,2,O"), base.replace("2,1,x", "2,1,T"))
    assert outcome.commit is not None
    assert content(work) == "a,b,v\n1,1,x\n1,2,O\n2,1,T\n"


def parquet(rows: list[tuple[int, str]], more: Callable[[pa.Table], pa.Table] = lambda t: t) -> bytes:
    table = pa.table({"id": [row[0] for row in rows], "label": [row[1] for row in rows]})
    out = io.BytesIO()
    pq.write_table(more(table), out, compression="zstd", row_group_size=100)
    return out.getvalue()


def test_parquet_merges_by_row_and_keeps_the_settings_of_ours(work: Work) -> None:
    rows = [(number, f"标签{number}") for number in range(500)]
    ours = [(n, "我们" if n == 3 else label) for n, label in rows] + [(1000, "ours")]
    theirs = [(n, "他们" if n == 400 else label) for n, label in rows if n != 7] + [(2000, "theirs")]
    fork(work, parquet(rows), parquet(ours), parquet(theirs), b"t.parquet")
    outcome = work.repo.merge("side")
    assert outcome.commit is not None
    file = pq.ParquetFile(work.folder / "t.parquet")
    expected = {n: label for n, label in ours if n != 7} | {400: "他们", 2000: "theirs"}
    found = file.read()
    assert found.num_rows == len(expected)
    assert {row["id"]: row["label"] for row in found.to_pylist()} == expected
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    sizes = {file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)}
    assert max(sizes) == 100


def test_columns_added_on_either_side_are_both_there(work: Work) -> None:
    rows = [(number, str(number)) for number in range(20)]
    ours = parquet(rows, lambda t: t.append_column("mine", pa.array(range(20))))
    theirs = parquet(rows, lambda t: t.append_column("other", pa.array([n / 2 for n in range(20)])))
    fork(work, parquet(rows), ours, theirs, b"t.parquet")
    outcome = work.repo.merge("side")
    assert outcome.commit is not None
    table = pq.read_table(work.folder / "t.parquet")
    assert table.column_names == ["id", "label", "mine", "other"]
    assert table.column("other").to_pylist() == [n / 2 for n in range(20)]
    assert table.column("mine").to_pylist() == list(range(20))


def test_a_column_renamed_on_one_side_keeps_the_edits_of_the_other(work: Work) -> None:
    rows = [(number, str(number)) for number in range(50)]
    ours = parquet(rows, lambda t: t.rename_columns(["id", "名称"]))
    theirs = parquet([(n, "edited" if n == 9 else label) for n, label in rows])
    fork(work, parquet(rows), ours, theirs, b"t.parquet")
    assert work.repo.merge("side").commit is not None
    table = pq.read_table(work.folder / "t.parquet")
    assert table.column_names == ["id", "名称"]
    assert table.column("名称").to_pylist()[9] == "edited"


def test_columns_that_do_not_go_together_conflict_as_a_file(work: Work) -> None:
    rows = [(number, str(number)) for number in range(50)]
    ours = parquet(rows, lambda t: t.rename_columns(["id", "one"]))
    theirs = parquet(rows, lambda t: t.rename_columns(["id", "two"]))
    fork(work, parquet(rows), ours, theirs, b"t.parquet")
    outcome = work.repo.merge("side")
    assert [(c.kind, c.rows) for c in outcome.conflicts] == [("content", None)]


def test_revert_and_cherry_pick_work_by_row_too(work: Work) -> None:
    fork(work, BASE, BASE.replace("1,a", "1,A"), BASE.replace("3,c", "3,C"))
    assert work.repo.cherry_pick("side").commit is not None
    assert content(work) == BASE.replace("1,a", "1,A").replace("3,c", "3,C")
    assert work.repo.revert("HEAD~1").commit is not None
    assert content(work) == BASE.replace("3,c", "3,C")


def test_a_header_of_other_columns_alone_is_no_table_that_lost_its_rows(work: Work) -> None:
    outcome = merge(work, "id\n1\n2\n", "ours\n", "theirs\n")
    assert [(conflict.kind, conflict.rows) for conflict in outcome.conflicts] == [("content", None)]


def test_rows_appended_to_an_empty_table_merge(work: Work) -> None:
    assert merge(work, "id,v\n", "id,v\n1,a\n", "id,v\n2,b\n").commit is not None
    assert content(work) == "id,v\n1,a\n2,b\n"


def test_objects_appended_to_an_empty_array_merge(work: Work) -> None:
    name = b"t.json"
    assert merge(work, "[]", '[{"id": 1}]', '[{"id": 2}]', name).commit is not None
    assert [row["id"] for row in json.loads(content(work, name))] == [1, 2]


def test_rules_that_can_not_be_read_end_the_merge_and_change_nothing(work: Work) -> None:
    fork(work, BASE, BASE.replace("1,a", "1,A"), BASE.replace("3,c", "3,C"))
    work.write({b"dsvc.toml": b"[tables.\n"})
    before = work.tree()
    with pytest.raises(UsageError):
        work.repo.merge("side")
    assert work.tree() == before
    assert work.repo.conflicts() == []
