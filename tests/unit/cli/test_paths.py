"""Arguments become bytes relative to the root, from wherever one stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.cli.arguments.paths import Target, from_here, parse_target, tree_path
from dsvc.model.errors import UsageError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    tree = tmp_path / "tree"
    (tree / "sub" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tree / "sub")
    return str(tree)


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        (".", b"sub"),
        ("..", b""),
        ("../", b""),
        ("a", b"sub/a"),
        ("a/", b"sub/a"),
        ("./a//b/", b"sub/a/b"),
        ("../a/../b", b"b"),
        ("deep/../..", b""),
        ("数据", b"sub/" + "数据".encode()),
        (os.fsdecode(b"\xff\n"), b"sub/\xff\n"),
        ("-", b"sub/-"),
    ],
)
def test_an_argument_is_relative_to_the_current_folder(root: str, argument: str, path: bytes) -> None:
    assert tree_path(argument, root) == path


def test_an_absolute_path_may_be_given(root: str) -> None:
    assert tree_path(root, root) == b""
    assert tree_path(f"{root}/x/", root) == b"x"
    assert tree_path(f"/{root}/x", root) == b"x"


@pytest.mark.parametrize("argument", ["", "../..", "/", "../../other/a", "../../tree-2"])
def test_outside_the_tree_is_a_usage_error(root: str, argument: str) -> None:
    with pytest.raises(UsageError):
        tree_path(argument, root)


def test_links_on_the_way_are_followed_the_last_name_is_not(root: str, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert tree_path(str(tmp_path / "alias" / "x"), root) == b"x"
    assert tree_path(str(tmp_path / "alias"), root) == b""
    assert tree_path("../x", str(tmp_path / "alias")) == b"x"
    (tmp_path / "tree" / "link").symlink_to("/etc")
    assert tree_path("../link", root) == b"link"


@pytest.mark.parametrize(
    ("argument", "target"),
    [
        ("a.csv", Target("HEAD", b"sub/a.csv")),
        ("HEAD~2:a.csv", Target("HEAD~2", b"a.csv")),
        ("main:./a.csv", Target("main", b"a.csv")),
        ("main:", Target("main", b"")),
        (":a", Target("HEAD", b"a")),
        ("v1:x%3Ay%23z%3a", Target("v1", b"x:y#z:")),
        ("v1:100%25", Target("v1", b"100%25")),
        ("v1:a:b", Target("v1", b"a:b")),
        ("v1:/a/", Target("v1", b"a")),
    ],
)
def test_a_target_is_a_revision_and_a_path(
    root: str, argument: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ":./" in argument:
        monkeypatch.chdir(root)
    assert parse_target(argument, root) == target


def test_after_a_revision_a_dot_stands_for_the_current_folder(root: str) -> None:
    assert parse_target("main:./a", root) == Target("main", b"sub/a")
    assert parse_target("main:../a", root) == Target("main", b"a")


def test_a_row_is_refused_with_the_way_to_write_the_sign(root: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target("a.csv#id=7", root)
    assert "%23" in str(caught.value.hint)


def test_a_target_stays_in_the_tree(root: str) -> None:
    with pytest.raises(UsageError):
        parse_target("main:../../x", root)


def test_people_see_paths_from_where_they_stand(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert from_here(b"sub/a", root) == b"a"
    assert from_here(b"b", root) == b"../b"
    assert from_here(b"sub/", root) == b"./"
    assert from_here(b"new/", root) == b"../new/"
    monkeypatch.chdir(root)
    assert from_here(b"sub/a", root) == b"sub/a"
    monkeypatch.chdir("/")
    assert from_here(b"sub/a", root) == b"sub/a"
