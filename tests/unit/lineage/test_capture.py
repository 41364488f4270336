"""Following rows through runs over real tables and folders."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dsvc.lineage.capture import capture
from dsvc.lineage.captured import CapturedInput, CapturedOutput, CaptureRequest
from dsvc.lineage.record_rows import TableRows, rows_of_tables
from dsvc.model.run_record import Capture, Fates, Role, RunKind
from tests.capturing import PEOPLE, csv, followed, pairs
from tests.tablekit import JSONL, parquet, version


def test_a_filter_by_key_over_text() -> None:
    result = followed(
        RunKind.FILTER,
        [csv(PEOPLE)],
        [csv("id,姓名,age\n3,Ann,41\n1,王芳,30\n")],
        key=("id",),
        drop_reason="太小",
    )
    assert pairs(result) == [(0, 2), (1, 0)]
    assert result.accounts[0].fates == Fates(kept=2, dropped=2)
    assert result.drops() == {"太小": 2}
    assert result.capture is Capture.KEY
    assert (result.added, result.duplicates, result.problems) == ({0: 0}, 0, ())


def test_without_a_key_equal_content_is_the_same_row() -> None:
    result = followed(RunKind.FILTER, [csv(PEOPLE)], [csv("id,姓名,age\n2,李雷,\n4,Bo,8\n")])
    assert pairs(result) == [(0, 1)]
    assert result.captures == {0: Capture.CONTENT}
    assert result.added == {0: 1}
    assert result.problems == ("out0: 1 of 2 rows have no parent",)
    assert result.drops() == {"unspecified": 3}


@pytest.mark.parametrize("kind", [RunKind.AUGMENT, RunKind.SYNTHESIZE, RunKind.INGEST, RunKind.APPLY])
def test_new_rows_are_allowed_where_they_are_made(kind: RunKind) -> None:
    result = followed(kind, [csv(PEOPLE)], [csv(PEOPLE + "5,新,1\n")], key=("id",))
    assert (result.added, result.problems) == ({0: 1}, ())
    assert result.accounts[0].fates == Fates(kept=4)


def test_an_ingest_needs_no_input() -> None:
    result = followed(RunKind.INGEST, [], [csv(PEOPLE)])
    assert (result.added, result.captures, result.problems) == ({0: 4}, {0: Capture.NONE}, ())


def test_from_text_to_columns_cells_are_compared_by_value() -> None:
    old = csv("id,score,day,ok,code\n1,1.50,2024-01-02,true,007\n2,2.0,2024-01-03,false,08\n3,3,,true,9a\n")
    new = parquet(
        pa.table(
            {
                "id": [3, 1, 2],
                "score": [3.0, 1.5, 2.25],
                "day": pa.array([None, 19724, 19725], pa.int32()).cast(pa.date32()),
                "ok": [True, True, False],
                "code": ["9a", "007", "08"],
            }
        )
    )
    result = followed(RunKind.CLEAN, [old], [new], key=("id",))
    assert pairs(result) == [(0, 2), (1, 0), (2, 1)]
    assert result.accounts[0].fates == Fates(kept=2, changed=1)
    assert result.accounts[0].changed.tolist() == [1]
    without = followed(RunKind.CLEAN, [old], [new])
    assert pairs(without) == [(0, 2), (1, 0)]


def test_three_formats_in_one_run() -> None:
    lines = version('{"id": 1, "x": "甲"}\n{"id": 2, "x": "乙"}\n', JSONL)
    table = parquet(pa.table({"id": [3, 4], "x": ["丙", None]}))
    out = csv("id,x\n4,\n1,甲\n3,丙\n2,戊\n")
    result = followed(RunKind.MIX, [lines, table], [out], key=("id",))
    assert (pairs(result, 0, 0), pairs(result, 0, 1)) == ([(1, 0), (3, 1)], [(0, 1), (2, 0)])
    assert result.accounts[0].fates == Fates(kept=1, changed=1)
    assert result.accounts[1].fates == Fates(kept=2)


def test_a_renamed_key_and_columns_added_and_removed() -> None:
    out = csv("编号,age,label\n1,30,\n2,,x\n3,41,\n")
    result = followed(
        RunKind.LABEL, [csv("id,age,gone\n1,30,\n2,,\n3,41,z\n")], [out], key=("id",), renamed={"id": "编号"}
    )
    assert pairs(result) == [(0, 0), (1, 1), (2, 2)]
    assert result.accounts[0].fates == Fates(kept=1, changed=2)


def test_a_lookup_and_what_has_no_rows_take_no_part() -> None:
    result = followed(
        RunKind.FILTER, [csv(PEOPLE), csv(PEOPLE)], [csv(PEOPLE)], key=("id",), roles=[Role.LOOKUP]
    )
    assert list(result.accounts) == [1]
    assert pairs(result, 0, 1) == [(n, n) for n in range(4)]
    none = capture(
        CaptureRequest(
            kind=RunKind.TRANSFORM, inputs=[CapturedInput(b"a", None)], outputs=[CapturedOutput(b"b", None)]
        )
    )
    assert (none.accounts, none.added, none.captures) == ({}, {}, {0: Capture.NONE})
    assert (none.capture, none.problems) == (Capture.NONE, ())


def test_a_null_key_is_no_key() -> None:
    old = csv("id,x\n,a\n,b\n1,c\n")
    result = followed(RunKind.FILTER, [old], [csv("id,x\n,b\n1,d\n,e\n")], key=("id",))
    assert pairs(result) == [(0, 1), (1, 2)]
    assert (result.added, result.duplicates) == ({0: 1}, 0)


def test_duplicate_keys_match_by_content_then_by_occurrence_and_are_counted() -> None:
    old = csv("id,x\n1,a\n1,b\n1,c\n2,d\n")
    result = followed(RunKind.CLEAN, [old], [csv("id,x\n2,d\n1,B\n1,c\n1,a\n")], key=("id",))
    assert pairs(result) == [(0, 3), (1, 1), (2, 2), (3, 0)]
    assert (result.duplicate_keys, result.duplicates) == ({0: 3}, 6)
    assert result.accounts[0].fates == Fates(kept=3, changed=1)
    assert result.problems == ()


def test_a_key_that_is_more_often_in_the_output_is_no_identity() -> None:
    old = csv("id,x\n1,a\n1,b\n2,c\n")
    new = "id,x,n\n1,a,0\n1,a,1\n1,b,2\n2,c,3\n"
    result = followed(RunKind.TRANSFORM, [old], [csv(new)], key=("id",))
    assert result.problems == ("out0: key not unique in the output",)
    assert pairs(result) == [(0, 0), (1, 0), (2, 1), (3, 2)]
    named = followed(RunKind.TRANSFORM, [old], [csv(new)], key=("id",), output_key=("n",))
    assert named.problems == ()
    assert pairs(named) == pairs(result)


def test_an_aggregate_has_all_members_as_parents() -> None:
    sales = csv("id,city,n\n1,京,2\n2,沪,3\n3,京,5\n4,穗,1\n")
    totals = csv("city,total\n京,7\n沪,3\n")
    result = followed(RunKind.TRANSFORM, [sales], [totals], key=("id",), output_key=("city",))
    assert pairs(result) == [(0, 0), (0, 2), (1, 1)]
    assert result.accounts[0].fates == Fates(merged=2, changed=1, dropped=1)


SALES = csv("id,city,n\n1,京,2\n2,,3\n3,京,5\n4,,1\n5,沪,4\n")


def test_an_aggregate_keeps_null_keys() -> None:
    totals = csv("city,total\n京,7\n沪,4\n,4\n")
    result = followed(RunKind.TRANSFORM, [SALES], [totals], key=("id",), output_key=("city",))
    assert pairs(result) == [(0, 0), (0, 2), (1, 4), (2, 1), (2, 3)]
    assert (result.added, result.problems, result.captures) == ({0: 0}, (), {0: Capture.KEY})
    assert result.accounts[0].fates == Fates(merged=4, changed=1)
    alone = followed(RunKind.TRANSFORM, [csv("k,n\n,1\n,2\n")], [csv("k,total\n,3\n")], key=("k",))
    assert (pairs(alone), alone.captures) == ([(0, 0), (0, 1)], {0: Capture.KEY})


def test_an_aggregate_by_several_columns_some_of_them_null() -> None:
    old = csv("a,b,n\n,x,1\n1,,2\n,,3\n,x,4\n1,x,5\n,,6\n1,,7\n")
    new = csv("a,b,total\n1,x,5\n1,,9\n,x,5\n,,9\n")
    result = followed(RunKind.TRANSFORM, [old], [new], key=("a", "b"))
    assert pairs(result) == [(0, 4), (1, 1), (1, 6), (2, 0), (2, 3), (3, 2), (3, 5)]
    assert result.problems == ()
    without = followed(RunKind.TRANSFORM, [old], [csv("a,b,total\n1,x,5\n2,,9\n")], key=("a", "b"))
    assert (pairs(without), without.added) == ([(0, 4)], {0: 1})


def test_null_keys_belong_together_in_aggregates_only() -> None:
    totals = csv("city,total\n京,7\n,4\n")
    of_a_filter = followed(RunKind.FILTER, [SALES], [totals], output_key=("city",))
    assert of_a_filter.added == {0: 1}
    of_a_join = followed(
        RunKind.TRANSFORM, [SALES, csv("city,x\n京,1\n,2\n")], [totals], output_key=("city",)
    )
    assert of_a_join.added == {0: 1}
    of_a_map = followed(RunKind.CLEAN, [csv("k,x\n1,a\n,b\n")], [csv("k,x\n1,A\n,B\n")], key=("k",))
    assert (pairs(of_a_map), of_a_map.added) == ([(0, 0)], {0: 1})
    twice = followed(RunKind.TRANSFORM, [SALES], [csv("city,total\n京,7\n,3\n,1\n")], output_key=("city",))
    assert twice.added == {0: 2}


def test_members_of_a_null_key_that_have_a_child_are_not_taken_again() -> None:
    old = csv("k,x\n,a\n1,b\n1,c\n,d\n")
    result = followed(RunKind.TRANSFORM, [old], [csv("k,x\n,a\n"), csv("k,x\n1,bc\n,d!\n")], key=("k",))
    assert (pairs(result, 0), pairs(result, 1)) == ([(0, 0)], [(0, 1), (0, 2), (1, 3)])


def test_a_filter_merges_nothing() -> None:
    result = followed(RunKind.FILTER, [csv("k,x\n1,a\n1,b\n")], [csv("k,x,new\n1,b,1\n")], key=("k",))
    assert pairs(result) == [(0, 1)]
    assert result.accounts[0].fates == Fates(changed=1, dropped=1)


def test_a_concatenation_belongs_to_one_of_its_inputs() -> None:
    first, second = csv("id,x\n1,a\n2,b\n"), csv("id,x\n2,B\n3,c\n")
    result = followed(RunKind.MIX, [first, second], [csv("id,x\n1,a\n2,B\n3,c\n")], key=("id",))
    assert (pairs(result, 0, 0), pairs(result, 0, 1)) == ([(0, 0)], [(1, 0), (2, 1)])
    neither = followed(RunKind.MIX, [first, second], [csv("id,x\n2,?\n")], key=("id",))
    assert (pairs(neither, 0, 0), pairs(neither, 0, 1)) == ([(0, 1)], [])


def test_a_row_in_several_outputs_is_split() -> None:
    result = followed(RunKind.SPLIT, [csv(PEOPLE)], [csv(PEOPLE), csv("id,姓名,age\n4,Bo,7\n")], key=("id",))
    assert pairs(result, 1) == [(0, 3)]
    assert result.accounts[0].fates == Fates(kept=3, split=1)


def test_duplicates_are_dropped_for_their_survivors() -> None:
    old = csv("id,x\n1,a\n2,b\n1,a\n2,c\n9,z\n")
    result = followed(RunKind.DEDUP, [old], [csv("id,x\n1,a\n2,b\n")], key=("id",), drop_reason="no")
    account = result.accounts[0]
    assert [account.drop_of(row) for row in range(5)] == [
        None,
        None,
        ("duplicate", 0),
        ("duplicate", 1),
        ("no", None),
    ]
    assert result.drops() == {"duplicate": 2, "no": 1}


def test_a_duplicate_of_another_input_is_one_without_a_survivor_here() -> None:
    table = csv("x\na\nb\n")
    result = followed(RunKind.DEDUP, [table, csv("x\nb\nc\n")], [csv("x\na\nb\nc\n")])
    assert result.drops() == {"duplicate": 1}
    assert result.accounts[1].drop_of(0) == ("duplicate", None)


def test_a_key_that_is_no_column_is_a_problem() -> None:
    rows = rows_of_tables([TableRows(t.source, t.kind, t.index) for t in [csv(PEOPLE)]])  # type: ignore[arg-type]
    result = capture(
        CaptureRequest(
            kind=RunKind.FILTER,
            inputs=[CapturedInput(b"a", rows[0], ("nope",))],
            outputs=[CapturedOutput(b"b", rows[0])],
        )
    )
    assert result.problems == ("a: its key 'nope' is no column",)
    assert result.accounts[0].fates == Fates(kept=4)
