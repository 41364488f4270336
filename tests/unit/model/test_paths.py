"""The path rule: portability, folding, and what a refusal says."""

from __future__ import annotations

import pytest

from dsvc.model.errors import MalformedInputError
from dsvc.model.paths import (
    check_structure,
    check_structures,
    display_path,
    fold,
    is_plain,
    is_reserved_name,
    is_within,
    portability_problem,
)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (b"a/b-c_d.csv", None),
        ("数据/文件.csv".encode(), None),
        (b"with space/a", None),
        (b"console.txt", None),
        (b"com10", None),
        (b"a\xff", "not UTF-8"),
        (b"a\nb", "control character"),
        (b"a\r", "control character"),
        (b"\x1b[2J", "control character"),
        (b"a\x7f", "control character"),
        (b"C:x", "character that Windows reserves"),
        (b"\\\\srv\\x", "character that Windows reserves"),
        (b"a?", "character that Windows reserves"),
        (b"a./b", "trailing dot or space"),
        (b"a ", "trailing dot or space"),
        (b"con", "device name on Windows"),
        (b"a/NUL.txt", "device name on Windows"),
        (b"com1.tar.gz", "device name on Windows"),
        ("LPT³".encode(), "device name on Windows"),
        (b"conin$", "device name on Windows"),
    ],
)
def test_portability(path: bytes, problem: str | None) -> None:
    check_structure(path)
    assert portability_problem(path) == problem
    assert not (is_plain(path) and problem)


def test_most_names_are_plain() -> None:
    for path in (b"a", b"a/b-c_d.csv", b"A/1.2/x", b"x" * 255):
        assert is_plain(path)
    for path in (b"", b"a b", b"a~", b"/a", b"a/", b"a.", "数".encode(), b"nul/x", b"x" * 256):
        assert not is_plain(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"A", b"a"),
        (b"DIR/file", b"dir/FILE"),
        ("é".encode(), "e\u0301".encode()),
        ("straße".encode(), b"strasse"),
    ],
)
def test_twins_fold_onto_one_name(one: bytes, other: bytes) -> None:
    assert fold(one) == fold(other)


def test_names_that_differ_do_not_fold() -> None:
    names = [b"a", b"b", b"a ", b"a\xff", b"a\xfe", "数".encode(), "据".encode()]
    assert len({fold(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    "name", [b"dsvc", b"git", b".gitignore", b".dsvcignore", b"git~", b"x.git", b".git1", b".gitx", b"..git"]
)
def test_names_that_only_resemble_reserved_ones(name: bytes) -> None:
    assert not is_reserved_name(name)
    check_structure(name)


def test_a_refusal_names_path_and_reason() -> None:
    with pytest.raises(MalformedInputError) as caught:
        check_structure(b"a/../\xff")
    assert caught.value.exit_code == 41
    assert caught.value.details == {"path": "a/../\ufffd", "why": "component '..'"}
    assert display_path(b"\xff") == "\ufffd"


@pytest.mark.parametrize(
    ("longest", "unit"),
    [
        (b"x" * 255, b"x"),
        ("文".encode() * 85, b"x"),
        (b"~" * 255, b"~"),
        (b"/".join([b"x" * 255] * 16), b"x"),
        (b"/".join([b"~"] * 1000), b"/~"),
        (b"/".join([b"x"] * 1000), b"/x"),
        (b"/".join([b"x" * 255] * 15 + [b"y" * 127, b"z" * 128]), b"z"),
    ],
)
def test_bounds_are_what_they_say(longest: bytes, unit: bytes) -> None:
    check_structure(longest)
    check_structures([b"a", longest])
    with pytest.raises(MalformedInputError):
        check_structure(longest + unit)
    with pytest.raises(MalformedInputError):
        check_structures([b"a", longest + unit])


@pytest.mark.parametrize("bad", [b"", b"..", b"a/", b"/a", b"a//b", b"a\0b", b".git", b"GIT~1"])
def test_one_bad_path_among_good_ones_is_refused(bad: bytes) -> None:
    check_structures([])
    good = [b"a", b"b/c", "数据".encode()]
    check_structures(good)
    for at in range(len(good) + 1):
        with pytest.raises(MalformedInputError):
            check_structures([*good[:at], bad, *good[at:]])
    with pytest.raises(MalformedInputError):
        check_structures([bad, b"a\nb"])


def test_a_line_feed_is_a_letter_of_a_name() -> None:
    for path in (b"a\nb", b"a\n.git/x", b"a\n..\nb"):
        check_structure(path)
        check_structures([path])
        check_structures([b"c", path, b"d"])


def test_what_lies_within_folders() -> None:
    for path, folders in ((b"a", [b"a"]), (b"a/b/c", [b"a"]), (b"a/b", [b"x", b"a/b"]), (b"x", [b""])):
        assert is_within(path, folders)
    for path, folders in ((b"a", []), (b"ab", [b"a"]), (b"a", [b"a/b"]), (b"x/a/b", [b"a", b"y"])):
        assert not is_within(path, folders)
