"""Entries of manifests: what dsvc writes is taken, one step beyond each bound is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dsvc.model.errors import MalformedInputError
from dsvc.model.manifest import (
    MODE_DIRECTORY,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SYMLINK,
    MODES,
    Entry,
    Kind,
    check_entries,
    check_entry,
    decode_schema,
    encode_schema,
    tree_entry,
)

FILE = Entry(b"data.bin", MODE_FILE, 5, bytes(32), bytes(16))
FOLDER = Entry(b"folder", MODE_DIRECTORY, 0, bytes(32), bytes(16))
LINK = Entry(b"link", MODE_SYMLINK, 4, bytes(32), bytes(16))
TREE = tree_entry(b"run", b"\1" * 32)
TABLE = Entry(b"t.csv", MODE_FILE, 5, bytes(32), bytes(16), kind=Kind.TABLE, rows=1, schema=b"\x90")
CHUNKED = Entry(b"big", MODE_FILE, 1, bytes(32), bytes(16), chunks=bytes(32))

GOOD: list[tuple[Entry, dict[str, Any]]] = [
    *((each, {}) for each in (FILE, FOLDER, LINK, TREE, TABLE, CHUNKED)),
    (FILE, {"mode": 0o100755}),
    *((FILE, {"size": size}) for size in (0, 1, 1 << 56)),
    *((FILE, {"chunk_class": number}) for number in (0, 1, 2)),
    *((FILE, {"kind": number}) for number in (0, 1, 2, 3)),
    *((LINK, {"size": size}) for size in (1, 4096)),
    (CHUNKED, {"mode": 0o100755}),
    *((TABLE, {"rows": rows}) for rows in (None, 0, (1 << 63) - 1)),
    *((TABLE, {"schema": schema}) for schema in (None, b"", bytes(1024))),
    (TABLE, {"mode": 0o100755}),
    (CHUNKED, {"kind": 3, "rows": 7}),
]
BAD: list[tuple[Entry, dict[str, Any], str]] = [
    *((FILE, {"mode": mode}, "mode") for mode in (0, 0o100644 + 1, 0o100600, 0o100666, 0o040755, 0o20000)),
    *((FILE, {"size": size}, "size") for size in (-1, (1 << 56) + 1)),
    *((FILE, {"digest": bytes(length)}, "digest") for length in (0, 31, 33)),
    *((FILE, {"xxh3": bytes(length)}, "digest") for length in (0, 15, 17)),
    *((CHUNKED, {"chunks": bytes(length)}, "chunk list") for length in (0, 31, 33)),
    (CHUNKED, {"size": 0}, "chunk list"),
    *((each, {"chunks": bytes(32)}, "chunk list") for each in (FOLDER, LINK, TREE)),
    *((FILE, {"chunk_class": number}, "chunk class") for number in (-1, 3)),
    *((FILE, {"kind": number}, "kind") for number in (-1, 4)),
    (FOLDER, {"size": 1}, "folder"),
    *((TREE, change, "tree") for change in ({"size": 1}, {"kind": 1}, {"xxh3": b"\0" * 15 + b"\1"})),
    *((LINK, {"size": size}, "symlink") for size in (0, 4097)),
    *((TABLE, {"rows": rows}, "rows") for rows in (-1, 1 << 63)),
    (TABLE, {"schema": bytes(1025)}, "schema"),
    *((TABLE, {"kind": kind}, "no table") for kind in (0, 1, 2)),
    *((each, {"kind": 3, "rows": 1}, "no table") for each in (FOLDER, LINK)),
    *((FILE, change, "no table") for change in ({"rows": 1}, {"schema": b"\x90"})),
    *((FILE, {"path": path}, "refused") for path in (b"", b"../x", b"/x", b"a//b", b".git/x", b"x" * 256)),
]


def of(entry: Entry, changes: dict[str, Any]) -> Entry:
    return msgspec.structs.replace(entry, **changes)


@pytest.mark.parametrize(("entry", "changes"), GOOD)
def test_entries_that_dsvc_writes(entry: Entry, changes: dict[str, Any]) -> None:
    good = of(entry, changes)
    check_entry(good)
    check_entries([FILE, good, TABLE])


@pytest.mark.parametrize(("entry", "changes", "why"), BAD)
def test_entries_that_no_dsvc_writes(entry: Entry, changes: dict[str, Any], why: str) -> None:
    bad = of(entry, changes)
    with pytest.raises(MalformedInputError, match=why):
        check_entry(bad)
    for others in ([bad], [bad, FILE], [FILE, TABLE, bad]):
        with pytest.raises(MalformedInputError, match=why):
            check_entries(others)


def test_what_an_entry_stands_for() -> None:
    assert [each.is_file for each in (FILE, CHUNKED, TABLE, FOLDER, LINK, TREE)] == [True] * 3 + [False] * 3
    assert of(FILE, {"mode": MODE_EXECUTABLE}).is_file
    assert [each for each in (FILE, FOLDER, LINK, TREE) if each.is_tree] == [TREE]
    assert {FILE.mode, MODE_EXECUTABLE, FOLDER.mode, LINK.mode, TREE.mode} == MODES
    assert (TREE.digest, TREE.size) == (b"\1" * 32, 0)
    # As git has them: docs/format.md gives the numbers.
    assert [oct(mode) for mode in sorted(MODES)] == [
        "0o40000",
        "0o100644",
        "0o100755",
        "0o120000",
        "0o160000",
    ]


def test_the_same_content_is_the_same_bytes_of_the_same_type() -> None:
    for field, other in (("mode", MODE_EXECUTABLE), ("size", 6), ("digest", b"\1" * 32)):
        assert not FILE.same_content(of(FILE, {field: other}))
    for field, value in (("path", b"x"), ("chunk_class", 1), ("kind", 1), ("chunks", bytes(32)), ("rows", 1)):
        assert FILE.same_content(of(FILE, {field: value})), (
            "how it's cut, named or described is another matter"
        )


def test_columns_that_do_not_fit_are_left_out() -> None:
    columns = [("名", "string"), ("n", "int64")]
    schema = encode_schema(columns)
    assert schema is not None
    assert decode_schema(schema) == columns
    # A list of one pair of texts has seven bytes around them, with a type of one letter.
    longest = [("x" * (1024 - 7), "t")]
    fits = encode_schema(longest)
    assert fits is not None
    assert (len(fits), decode_schema(fits)) == (1024, longest)
    assert encode_schema([("x" * (1024 - 6), "t")]) is None
    with pytest.raises(MalformedInputError):
        decode_schema(msgspec.msgpack.encode([["x" * (1024 - 6), "t"]]))
    for wrong in (b"", b"\x91\x01", b"\x91\x92\xa1a\x01", b"\x90\x00"):
        with pytest.raises(MalformedInputError):
            decode_schema(wrong)
