"""Differences of tables in a terminal: what stands where, and that nothing in a cell reaches the terminal."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dsvc.cli.environment.settings import Settings
from dsvc.cli.tables.table_text import count_line, table_lines
from dsvc.cli.terminal.output import Output
from dsvc.cli.writing.cell_text import CELL_WIDTH, mark, show_cell, show_short
from dsvc.cli.writing.sizes import width
from dsvc.diff.table_delta import (
    Column,
    KeySource,
    MalformedRow,
    Renamed,
    Retyped,
    RowChange,
    RowOp,
    SchemaDelta,
    TableDelta,
)

LONG = "a sentence that goes on and on " * 20
DELTA = TableDelta(
    key=("id",),
    key_from=KeySource.GUESSED,
    rows_added=1,
    rows_removed=1,
    rows_changed=1001,
    rows_unchanged=12345,
    cells_changed=1003,
    by_column={"text": 2, "label": 1001},
    schema=SchemaDelta(
        added=(Column("note", "string"),),
        removed=(Column("old", "double"),),
        retyped=(Retyped("score", "int64", "double"),),
        renamed=(Renamed("class", "label"),),
    ),
    changes=[
        RowChange(
            op=RowOp.CHANGED,
            key={"id": 7},
            before={"id": 7, "class": "cat", "text": LONG + "end", "score": 1, "n": None},
            after={"id": 7, "label": "dog", "text": LONG + "stop", "score": 1, "n": None},
            columns=("label", "text"),
        ),
        RowChange(op=RowOp.REMOVED, key={"id": 3}, before={"text": "", "id": 3}, after=None),
        RowChange(
            op=RowOp.ADDED, key={"id": 9}, before=None, after={"id": 9, "label": "1", "text": "一只黑猫"}
        ),
    ],
    truncated=True,
    malformed_after=(MalformedRow(12, "3 fields, 4 expected"),),
)


def lines(delta: TableDelta, *, color: bool = False, **more: object) -> list[str]:
    settings = Settings()
    settings.color = color
    return list(table_lines(Output(settings), delta, **more))  # type: ignore[arg-type]


def test_the_whole_of_it() -> None:
    assert lines(DELTA) == [
        "@@ key id (guessed) @@",
        "- column old double",
        "+ column note string",
        "~ column score int64 → double",
        "~ column class → label (renamed)",
        "~ id=7 label=[-cat-]{+dog+} text=…that goes on and on [-end-]{+stop+} score=1 n=null",
        '- id=3 text=""',
        '+ id=9 label="1" text=一只黑猫',
        "… and 1,000 more rows (all: dsvc diff --limit 0)",
        "! + line 12: 3 fields, 4 expected",
        "1,003 rows: +1 -1 ~1,001, 1,003 cells, 4 columns; 12,345 rows unchanged; label 1,001, text 2",
    ]


def test_colours_change_no_word() -> None:
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in lines(DELTA, color=True)] == lines(DELTA)
    assert "\x1b[31m[-cat-]\x1b[0m\x1b[32m{+dog+}\x1b[0m" in lines(DELTA, color=True)[5]


def test_parts_and_narrow_terminals() -> None:
    assert not any(line.startswith(("~ id", "- id", "+ id", "!")) for line in lines(DELTA, rows=False))
    assert not any("column" in line for line in lines(DELTA, schema=False)[:-1])
    assert lines(DELTA, columns=30)[5].endswith("{+stop+} …")


def test_without_a_key_and_without_changes() -> None:
    same = TableDelta(
        key=(), key_from=KeySource.NONE, rows_added=0, rows_removed=0, rows_changed=0, rows_unchanged=2
    )
    assert lines(same) == [
        "@@ no key: rows are compared whole @@",
        "same rows and columns, other bytes; 2 rows unchanged",
    ]
    assert count_line(DELTA).startswith("1,003 rows: +1 -1 ~1,001")


def test_values_that_look_alike_are_told_apart() -> None:
    shown = [
        show_cell(value) for value in (1, "1", 1.0, None, "null", "", " ", True, "true", float("nan"), "NaN")
    ]
    assert len(set(shown)) == len(shown)
    assert [show_cell(value) for value in ("two words", "二", b"\0\1", [1, "a"])] == [
        "two words",
        "二",
        "AAE=",
        '[1, "a"]',
    ]


def test_marks_stand_around_what_differs() -> None:
    assert mark("一只很大的黑色的猫", "一只很大的白色的猫") == ("一只很大的", "黑", "白", "色的猫")
    assert mark("the quick fox jumps", "the quicker fox jumps") == ("the ", "quick", "quicker", " fox jumps")
    # Nothing in common: both whole.
    assert mark("abcdefghij", "0123456789").head == ""
    assert mark(1, 2) == ("", "1", "2", "")


def is_harmless(text: str) -> bool:
    return text.isprintable() or all(c.isprintable() or c in "\u200c\u200d" or c.isspace() for c in text)


@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_reaches_the_terminal(old: str, new: str) -> None:
    change = RowChange(
        op=RowOp.CHANGED,
        key={old: new},
        before={old: old, "k": old},
        after={old: old, "k": new},
        columns=("k",),
    )
    delta = TableDelta(
        key=(old,),
        key_from=KeySource.CONFIG,
        rows_added=0,
        rows_removed=0,
        rows_changed=1,
        rows_unchanged=0,
        changes=[change, RowChange(op=RowOp.ADDED, key=None, before=None, after={new: old})],
        malformed_before=(MalformedRow(1, new),),
        schema=SchemaDelta(added=(Column(old, new),), renamed=(Renamed(old, new),)),
    )
    for line in lines(delta):
        assert "\x1b" not in line
        assert "\n" not in line
        assert "\r" not in line
        assert "\u202e" not in line
        line.encode("utf-8")


@given(st.text(alphabet="猫a\x00é\n", max_size=500))
def test_cells_take_no_more_room_than_they_may(text: str) -> None:
    assert width(show_short(text)) <= CELL_WIDTH
