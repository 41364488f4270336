"""Following rows through runs over real tables and folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import blake3
import numpy as np
import pyarrow as pa
import pytest

from dsvc.diff.row_diff import TableVersion
from dsvc.lineage.capture import capture
from dsvc.lineage.captured import CapturedInput, CapturedOutput, CaptureRequest, CaptureResult
from dsvc.lineage.declared_maps import DeclaredDrops, DeclaredMaps, RowMapError
from dsvc.lineage.links import Links, identity
from dsvc.lineage.record_rows import RecordRows, TableRows, rows_of_tables
from dsvc.model.manifest import MODE_FILE, NO_CHECKSUM, Entry
from dsvc.model.run_record import Capture, Fates, Role, RunKind
from tests.tablekit import CSV, JSONL, parquet, version

Key = tuple[str, ...]


def csv(text: str) -> TableVersion:
    return version(text, CSV)


def followed(
    kind: RunKind,
    inputs: Sequence[TableVersion],
    outputs: Sequence[TableVersion],
    *,
    key: Key = (),
    output_key: Key | None = None,
    roles: Sequence[Role] = (),
    **options: Any,
) -> CaptureResult:
    renamed = options.get("renamed", {})
    tables = [TableRows(each.source, each.kind, each.index) for each in (*inputs, *outputs)]  # type: ignore[arg-type]
    rows = rows_of_tables(tables, renamed)
    roles = [*roles, *[Role.INPUT] * len(inputs)]
    return capture(
        CaptureRequest(
            kind=kind,
            inputs=[
                CapturedInput(b"in%d" % n, rows[n], key if set(key) <= set(rows[n].columns) else (), roles[n])
                for n in range(len(inputs))
            ],
            outputs=[
                CapturedOutput(b"out%d" % n, each, key if output_key is None else output_key)
                for n, each in enumerate(rows[len(inputs) :])
            ],
            **options,
        )
    )


def pairs(result: CaptureResult, output: int = 0, input_: int = 0) -> list[tuple[int, int]]:
    links = result.links.get((output, input_))
    return [] if links is None else list(zip(links.outputs.tolist(), links.inputs.tolist(), strict=True))


PEOPLE = "id,姓名,age\n1,王芳,30\n2,李雷,\n3,Ann,41\n4,Bo,7\n"


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


# Folders


def member(path: str, content: bytes) -> Entry:
    return Entry(path.encode(), MODE_FILE, len(content), blake3.blake3(content).digest(), NO_CHECKSUM)


def test_files_of_a_folder_have_fates_as_rows_have() -> None:
    old = [member("a.png", b"1"), member("b.png", b"2"), member("c.png", b"3"), member("d.png", b"4")]
    new = [member("a.png", b"1"), member("b.png", b"2!"), member("图/c.png", b"3")]
    result = capture(
        CaptureRequest(
            kind=RunKind.CLEAN,
            inputs=[CapturedInput(b"raw", RecordRows.of_folder(old))],
            outputs=[CapturedOutput(b"clean", RecordRows.of_folder(new))],
            declared=DeclaredMaps({}, {b"raw": dropped_by_key({"path": "d.png"}, "模糊")}),
        )
    )
    assert pairs(result) == [(0, 0), (1, 1), (2, 2)]
    # A file that has another path now is a record of which a cell differs.
    assert result.accounts[0].fates == Fates(kept=1, changed=2, dropped=1)
    assert result.drops() == {"模糊": 1}
    assert result.problems == ()


def dropped_by_key(key: dict[str, str], reason: str) -> DeclaredDrops:
    nothing = np.array([-1])
    return DeclaredDrops(nothing, (reason,), np.array([0]), nothing, {0: key})


# What the run declares


def test_declared_links_come_before_keys_for_the_outputs_that_they_name() -> None:
    links = Links(np.array([0, 0, 1]), np.array([0, 1, 3]))
    maps = DeclaredMaps.from_links({(b"out0", b"in0"): links})
    result = followed(
        RunKind.TRANSFORM, [csv(PEOPLE)], [csv(PEOPLE), csv(PEOPLE)], key=("id",), declared=maps
    )
    assert pairs(result) == [(0, 0), (0, 1), (1, 3)]
    assert pairs(result, 1) == [(n, n) for n in range(4)]
    assert result.captures == {0: Capture.CARRIED, 1: Capture.KEY}
    assert result.capture is Capture.KEY
    assert result.accounts[0].fates == Fates(kept=1, split=3)
    assert result.problems == ("out0: 2 of 4 rows have no parent",)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (DeclaredMaps({(b"out0", b"in0"): identity(5)}), "row 4 of out0, which has 4 rows"),
        (DeclaredMaps({(b"out0", b"in0"): Links(np.array([0]), np.array([-1]))}), "row -1 of in0"),
        (DeclaredMaps({(b"other", b"in0"): identity(1)}), "other, which is no output"),
        (DeclaredMaps({(b"out0", b"other"): identity(1)}), "other, which is no input"),
        (DeclaredMaps({(b"out0", b"in1"): identity(1)}), "in1, whose rows take no part"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([4], ["x"])}), "row 4 of in0"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([1], ["x"], [7])}), "row 7 of in0"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([3, 3], ["x", "y"])}), "dropped twice"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([3], ["x"], [3])}), "stand for itself"),
        (DeclaredMaps({}, {b"in0": DeclaredDrops.of_rows([1], ["x"])}), "row 1 of in0 is said to be dropped"),
        (DeclaredMaps({}, {b"in0": dropped_by_key({"id": "9"}, "x")}), "no row of in0 has the key"),
        (DeclaredMaps({}, {b"in0": dropped_by_key({"id": "nine"}, "x")}), "key of a dropped row of in0"),
        (DeclaredMaps({}, {b"in0": dropped_by_key({"nope": "1"}, "x")}), "'nope', which is no column"),
        (DeclaredMaps({}, {b"in0": dropped_by_key({"same": "s"}, "x")}), "more than one row of in0"),
        (DeclaredMaps({}, {b"nope": dropped_by_key({"id": "1"}, "x")}), "nope, which is no input"),
    ],
)
def test_a_map_that_lies_is_refused(maps: DeclaredMaps, message: str) -> None:
    table = csv("id,same\n1,s\n2,s\n3,s\n4,s\n")
    kept = csv("id,same\n1,s\n2,s\n3,s\n4,s\n")
    with pytest.raises(RowMapError, match=message):
        followed(
            RunKind.FILTER,
            [table, table],
            [kept],
            key=("id",),
            declared=maps,
            roles=[Role.INPUT, Role.LOOKUP],
        )


@pytest.mark.parametrize("other", [CSV, JSONL])
def test_drops_and_survivors_are_named_by_keys_of_any_type_in_any_format(other: Any) -> None:
    tables = {
        "csv": csv("n,f,t,d\n1,1.5,王,2024-01-01\n2,2.25,b,2024-01-02\n3,3.0,c,2024-01-03\n"),
        "json": version(
            '{"n": 1, "f": 1.50, "t": "王", "d": "2024-01-01"}\n'
            '{"n": 2, "f": 2.25, "t": "b", "d": "2024-01-02"}\n'
            '{"n": 3, "f": 3.0, "t": "c", "d": "2024-01-03"}\n',
            JSONL,
        ),
        "parquet": parquet(
            pa.table(
                {
                    "n": [1, 2, 3],
                    "f": [1.5, 2.25, 3.0],
                    "t": ["王", "b", "c"],
                    "d": pa.array([19723, 19724, 19725], pa.int32()).cast(pa.date32()),
                }
            )
        ),
    }
    # Beside a table of another family text is hashed by value, beside one of its own by text.
    empty = version("n,f,t,d\n" if other is CSV else '{"n": 9}\n', other)
    keys = [
        {"n": "1"},
        {"f": "1.5"},
        {"t": "王"},
        {"d": "2024-01-01"},
        {"n": "1", "f": "1.5", "t": "王", "d": "2024-01-01"},
    ]
    for table in tables.values():
        for key in keys:
            drops = DeclaredDrops(
                np.array([-1, 1]),
                ("far",),
                np.zeros(2, np.int64),
                np.array([2, -1]),
                {0: key},
                {1: {"n": "3"}},
            )
            result = followed(RunKind.AUGMENT, [table], [empty], declared=DeclaredMaps({}, {b"in0": drops}))
            account = result.accounts[0]
            assert (account.drop_of(0), account.drop_of(1)) == (("far", 2), ("far", 2))
            assert account.drop_of(2) == ("unspecified", None)
