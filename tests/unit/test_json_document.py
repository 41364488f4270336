"""JSON of unknown origin: what is beyond a limit or says two things at once is refused with its place."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.importers.importer import FeedbackMalformedError
from dsvc.feedback.importers.json_document import (
    MAX_CONTAINERS,
    JsonObject,
    bounded_extra,
    decode,
    lines,
    read_document,
    to_json,
)
from dsvc.feedback.importers.peek import key_paths

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(value=JSON, ascii_only=st.booleans())
def test_documents_are_read_as_they_are(value: Any, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert decode(data) == value
    assert decode(b"\xef\xbb\xbf" + data) == value
    assert decode(to_json(value).encode()) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "a key that stands twice in one object: 'c'"),
        (b"[1e999]", "a number beyond the range of a double: '1e999'"),
        (b"[" * 101 + b"]" * 101, "nested deeper than 100"),
        (b"[" * 500_000, "nested deeper than 100"),
        (b'{"a":' * 500_000, "nested deeper than 100"),
        (b"[" + b"9" * 5000 + b"]", "a number that is too long"),
        (b'["\xff"]', "not UTF-8 at byte 2"),
        (b"[1,]", r"not JSON at column \d"),
        (b"{}\n{}", "not JSON at line 2, column 1"),
        (b"", "not JSON"),
        (b"[]," * (MAX_CONTAINERS + 1), "more values than are read"),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FeedbackMalformedError, match=f"^line 3: {message}"):
        decode(data, "line 3")


def test_what_stands_in_strings_is_no_nesting() -> None:
    text = "[{" * 500
    assert decode(json.dumps([text]).encode()) == [text]
    assert decode(b"[" * 100 + b"]" * 100) is not None


def test_a_surrogate_alone_becomes_a_mark_and_a_pair_stays() -> None:
    assert decode(rb'{"\ud800a": ["\udc00", "\ud83d\ude00", "\\ud800"]}') == {"�a": ["�", "😀", "\\ud800"]}


class Endless(io.RawIOBase):
    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        return b" " * size

    def readline(self, size: int | None = -1) -> bytes:
        return self.read(size or 0)


def test_a_document_or_a_line_without_end_is_refused() -> None:
    endless: Any = Endless()
    with pytest.raises(FeedbackMalformedError, match="larger than 256 MiB") as caught:
        read_document(endless)
    assert "JSON Lines" in str(caught.value.hint)
    assert endless.given == (256 << 20) + 1
    with pytest.raises(FeedbackMalformedError, match="line 1: longer than 16 MiB"):
        next(lines(endless))


def test_lines_are_numbered_and_blank_ones_left_out() -> None:
    stream = io.BytesIO(b"\xef\xbb\xbf{}\r\n\n  \n[1]\n2")
    assert list(lines(stream)) == [(1, b"{}"), (4, b"[1]"), (5, b"2")]


def test_deep_nesting_takes_no_memory_of_its_own() -> None:
    tracemalloc.start()
    with pytest.raises(FeedbackMalformedError):
        decode(b"[" * 3_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_members_of_a_wrong_type_are_refused_with_their_pointer() -> None:
    found = JsonObject(
        decode(b'{"a/b~": {"t": 1, "n": "x", "w": -1, "f": 1, "o": [], "l": {}, "i": NaN, "e": true}}')
    )
    inner = found.object("a/b~")
    for read, key in (
        (inner.text, "t"),
        (inner.number, "n"),
        (inner.number, "i"),
        (inner.number, "e"),
        (inner.whole, "w"),
        (inner.flag, "f"),
        (inner.object, "o"),
        (inner.array, "l"),
        (inner.scalar, "o"),
    ):
        with pytest.raises(FeedbackMalformedError, match=f"^/a~1b~0/{key}: "):
            read(key)
    assert inner.number("i", nan_is_none=True) is None
    assert (inner.text("x"), inner.array("x"), inner.object("x").value) == (None, [], {})


def test_messages_show_little_of_the_file() -> None:
    long = "秘" * 10_000
    found = JsonObject({long: {long: 1}, "a": long, "b": 10**400})
    for read, key in (
        (found.number, "a"),
        (found.number, "b"),
        (found.text, long),
        (found.object(long).text, long),
    ):
        with pytest.raises(FeedbackMalformedError) as caught:
            read(key)
        assert caught.value.message.count("秘") <= 200
        assert len(caught.value.message) < 300


def test_what_is_kept_besides_is_bounded_and_says_what_is_missing() -> None:
    kept = bounded_extra(
        {"small": [1, float("nan")], "large": "x" * 5000} | {f"k{n}": "y" * 4000 for n in range(30)}
    )
    assert json.loads(kept["small"]) == [1, "nan"]
    assert sum(len(key) + len(value) for key, value in kept.items()) < 66_000
    assert set(json.loads(kept["omitted"])) == {"large"} | {f"k{n}" for n in range(30) if f"k{n}" not in kept}


def test_keys_are_found_in_the_beginning_of_a_document() -> None:
    document = {"a": [{"b": 1, "c": {"d": {"e": 1}}}], 'z,"{': "x:{y"}
    expected = {("a",), ("a", "*", "b"), ("a", "*", "c"), ("a", "*", "c", "d"), ('z,\\"{',)}
    data = json.dumps(document).encode()
    assert key_paths(data) == expected
    assert key_paths(data + b'\n{"other": 1}') == expected
    assert all(key_paths(data[:end]) <= expected for end in range(len(data)))
    assert key_paths(b"}}{") == key_paths(b"a,b:c") == key_paths(b"") == frozenset()
