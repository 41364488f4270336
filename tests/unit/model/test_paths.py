"""The path rule: portability, folding, and what a refusal says."""

from __future__ import annotations

import pytest

from dsvc.model.errors import MalformedInputError
from dsvc.model.paths import (
    check_structure,
    display_path,
    fold,
    is_plain,
    is_reserved_name,
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
