"""References to rows come back as they went out, whatever the names; ordinary ones are targets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.reference import MalformedReferenceError, Reference, read_reference, write_reference
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.porcelain.tables.row_target import RowName, parse_target

COMMIT = "0123456789abcdef" * 2 + "01234567"
PATHS = [
    b"clean/a.jsonl",
    "清洗/数据#1:二.jsonl".encode(),
    b"100%.csv",
    b"a%23b%.csv",
    b"%%41#",
    b"latin-\xe9\xff.csv",
    b"two\nlines\x7f.csv",
    "line\u2028separator.csv".encode(),
]
KEYS: list[dict[str, str | int | float | bool]] = [
    {"id": 7},
    {"编号": "甲#乙:丙", "lang": "zh"},
    {"a=b,c": "x=y,z", "%": "%23"},
    {"id": "@3"},
    {"n": -1.5, "ok": True},
    {"id": "", "other": "one\ntwo\x00"},
    {"id": "\ud800"},
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", KEYS)
def test_what_is_written_is_read(path: bytes, key: dict[str, str | int | float | bool]) -> None:
    written = write_reference(COMMIT, path, key)
    assert len(written.splitlines()) == 1
    written.encode("utf-8")
    read = read_reference(written)
    texts = {name: str(value) if value is not True else "true" for name, value in key.items()}
    assert read == Reference(COMMIT, path, tuple(texts.items()))


@pytest.mark.parametrize("path", PATHS)
def test_places_and_whole_files(path: bytes) -> None:
    assert read_reference(write_reference(COMMIT, path, position=17)) == Reference(COMMIT, path, position=17)
    assert read_reference(write_reference(COMMIT, path)) == Reference(COMMIT, path)


names = st.text(st.characters(), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    path=st.binary(min_size=1, max_size=8),
    key=st.dictionaries(names, st.text(max_size=6), min_size=1, max_size=3),
)
def test_any_name_comes_back(path: bytes, key: dict[str, str]) -> None:
    path = b"x" + path.replace(b"/", b"_").replace(b"\0", b"_") + b"x"
    try:
        written = write_reference(COMMIT, path, key)
    except MalformedInputError:
        assert b"~" in path or b"." in path  # an alias of a reserved name
        return
    assert read_reference(written) == Reference(COMMIT, path, tuple(key.items()))


@pytest.mark.parametrize("key", [{"id": "7"}, {"编号": "甲,乙", "lang": "z#h=%"}])
def test_an_ordinary_reference_is_a_target(key: dict[str, str]) -> None:
    path = "清洗/a b#1.jsonl".encode()
    target = parse_target(write_reference(COMMIT, path, key))
    assert (target.revision, target.path, target.row) == (COMMIT, path, RowName(key=tuple(key.items())))


NO_REFERENCES = """
abc|a.jsonl#id=7|:a.jsonl#id=7|c:#id=7|c:a.jsonl#|c:a.jsonl#id|c:a.jsonl#=7|c:a.jsonl#id=7,id=8|c:../a#id=7
|c:/etc/passwd|c:a:b#id=7|c:a#@-1|c:a#id=%ff|c:.dsvc/config#@0|c:a%2F..%2Fb|"""


@pytest.mark.parametrize(
    "text", [*NO_REFERENCES.replace("\n", "").split("|"), "c:\ud800", f"c:a#{'i' * 70_000}=1"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(MalformedReferenceError) as caught:
        read_reference(text)
    assert len(caught.value.message) < 200


def test_what_cannot_be_written_is_refused() -> None:
    for row in ({}, {"": 1}, {"id": None}, {"id": "x" * 70_000}):
        with pytest.raises(MalformedReferenceError):
            write_reference(COMMIT, b"a", row)
    with pytest.raises(MalformedReferenceError):
        write_reference(COMMIT, b"a", position=-1)
    with pytest.raises(UsageError):
        write_reference(COMMIT, b"a", {"id": 1}, position=1)
    for commit, path in (("main", b"a"), (COMMIT, b"../a"), (COMMIT, b"")):
        with pytest.raises(MalformedInputError):
            write_reference(commit, path, {"id": 1})
