"""Rows of a step in words."""

from __future__ import annotations

from dsvc.cli.lineage.lineage_words import show_rows


def test_many_rows_are_named_in_part() -> None:
    assert show_rows((), None) == ""
    assert show_rows((4,), 1) == "row 4"
    assert show_rows((1, 2), 2) == "rows 1, 2"
    assert show_rows(tuple(range(20)), 1234) == "rows 0, 1, 2, 3, 4, 5 and 1,228 more"
