"""The path rule over arbitrary bytes: what it lets through is written below a folder, and nowhere else."""

from __future__ import annotations

import os

from hypothesis import example, given
from hypothesis import strategies as st

from dsvc.model.errors import MalformedInputError
from dsvc.model.paths import (
    MAX_NAME_BYTES,
    MAX_PATH_BYTES,
    check_structure,
    display_path,
    is_plain,
    is_reserved_name,
    portability_problem,
)

PIECES = [
    b".",
    b"..",
    b"/",
    b"\0",
    b"~1",
    b" ",
    b":",
    b"\\",
    b"a",
    b"git",
    b".dsvc",
    b"DSVC",
    b".GIT",
    b"con",
]
NAMES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=8).map(b"".join)
PATHS = st.binary(max_size=300) | NAMES | st.lists(NAMES, max_size=5).map(b"/".join)


def accepted(path: bytes) -> bool:
    try:
        check_structure(path)
    except MalformedInputError:
        return False
    return True


@given(PATHS)
@example(b"a" * 255)
@example("\u200c.dsvc".encode())
def test_h1_h2_h3_what_is_accepted_stays_below_its_folder(path: bytes) -> None:
    if not accepted(path):
        return
    assert 0 < len(path) <= MAX_PATH_BYTES
    assert os.path.normpath(b"/root/" + path) == b"/root/" + path
    names = path.split(b"/")
    assert all(0 < len(name) <= MAX_NAME_BYTES and b"\0" not in name for name in names)
    assert not any(is_reserved_name(name) for name in names)
    assert not any(name.lower() in {b".", b"..", b".git", b".dsvc"} for name in names)


@given(PATHS)
def test_plain_paths_are_accepted_and_portable(path: bytes) -> None:
    if is_plain(path):
        assert accepted(path)
        assert portability_problem(path) is None


@given(PATHS, PATHS)
def test_a_path_is_accepted_if_its_parts_are(one: bytes, other: bytes) -> None:
    if len(one) + len(other) < MAX_PATH_BYTES:
        assert accepted(one + b"/" + other) == (accepted(one) and accepted(other))


@given(st.sampled_from([".dsvc", ".git", "dsvc~1", "git~2"]), st.data())
def test_h4_h5_every_spelling_of_a_reserved_name_is_refused(name: str, data: st.DataObject) -> None:
    spelt = ""
    for letter in name:
        spelt += data.draw(st.sampled_from([letter, letter.upper()]))
        spelt += data.draw(st.sampled_from(["", "", "\u200c", "\ufeff", "\u2060", "\u00ad"]))
    spelt += data.draw(st.sampled_from(["", ".", " ", ". .", "::$INDEX_ALLOCATION", ":x"]))
    assert is_reserved_name(spelt.encode())
    assert not accepted(b"a/" + spelt.encode() + b"/b")


@given(PATHS)
def test_h6_a_path_can_always_be_shown(path: bytes) -> None:
    display_path(path).encode()
