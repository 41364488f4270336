"""Targets that name rows: where the file ends, where the row begins, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.cli.arguments.paths import row_target
from dsvc.model.errors import UsageError
from dsvc.porcelain.tables.row_target import RowName, RowTarget, parse_target, split_row


def by(*key: tuple[str, str]) -> RowName:
    return RowName(key=key)


@pytest.mark.parametrize(
    ("target", "file", "row"),
    [
        ("a.csv", "a.csv", None),
        ("a.csv#id=42", "a.csv", by(("id", "42"))),
        ("HEAD~1:a.csv#a=1,b=x", "HEAD~1:a.csv", by(("a", "1"), ("b", "x"))),
        ("a.csv#@17", "a.csv", RowName(position=17)),
        ("数据/表.csv#编号=七", "数据/表.csv", by(("编号", "七"))),
        ("a%23b.csv#id=1", "a%23b.csv", by(("id", "1"))),
        ("a.csv#at=12:30:00", "a.csv", by(("at", "12:30:00"))),
        ("v1:a.csv#at=12:30:00", "v1:a.csv", by(("at", "12:30:00"))),
        ("fix#7:a.csv#id=1", "fix#7:a.csv", by(("id", "1"))),
        ("fix#7:a.csv", "fix#7:a.csv", None),
        ("a.csv#name=Doe, Ann,id=3", "a.csv", by(("name", "Doe, Ann"), ("id", "3"))),
        ("a.csv#x=a=b", "a.csv", by(("x", "a=b"))),
        ("a.csv#x%3Dy=1%2Ca=2", "a.csv", by(("x=y", "1,a=2"))),
        ("a.csv#id=", "a.csv", by(("id", ""))),
        ("a.csv#share=100%", "a.csv", by(("share", "100%"))),
        ("a.csv#x=#1", "a.csv", by(("x", "#1"))),
    ],
)
def test_file_and_row(target: str, file: str, row: RowName | None) -> None:
    assert split_row(target) == (file, row)


@pytest.mark.parametrize("row", ["", "7", "@", "@-1", "@x", "=1", "a=1,a=2", "a=1,=2"])
def test_what_names_no_row_is_a_usage_error(row: str) -> None:
    with pytest.raises(UsageError):
        split_row(f"a.csv#{row}")


def test_paths_and_revisions() -> None:
    assert parse_target("a%23b%3Ac#@0") == RowTarget("HEAD", b"a#b:c", RowName(position=0))
    assert parse_target("WORKTREE:/d/a.csv") == RowTarget("WORKTREE", b"d/a.csv")
    assert parse_target(":a.csv") == RowTarget("HEAD", b"a.csv")
    for target in ("", "HEAD:", "#id=1"):
        with pytest.raises(UsageError):
            parse_target(target)


def test_on_the_command_line_a_path_is_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    root = str(tmp_path)
    assert row_target("a.csv#id=1", root) == RowTarget("HEAD", b"sub/a.csv", by(("id", "1")))
    assert row_target("v1:a.csv#@3", root) == RowTarget("v1", b"a.csv", RowName(position=3))


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    st.binary(min_size=1, max_size=8).filter(
        lambda path: b"\0" not in path and path.strip(b"/") == path and b"%" not in path
    ),
    st.one_of(
        st.none(),
        st.integers(0, 10**12).map(lambda number: RowName(position=number)),
        st.dictionaries(NAMES, NAMES, min_size=1, max_size=3).map(lambda key: by(*key.items())),
    ),
)
def test_what_is_written_is_read_back(path: bytes, row: RowName | None) -> None:
    target = RowTarget("feature#1", path, row)
    assert parse_target(str(target)) == target
