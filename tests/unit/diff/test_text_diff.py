"""Unified diffs: real ``patch`` and ``git apply`` make the new file of the old one."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
import tracemalloc
from pathlib import Path

import blake3
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.diff import content, line_ranges
from dsvc.diff.content import (
    BufferContent,
    DiffTooLargeError,
    StoredContent,
    count_lines,
    lines_between,
    skip_lines,
    skip_lines_back,
)
from dsvc.diff.line_ranges import changed_spans
from dsvc.diff.text_diff import (
    NO_NEWLINE,
    content_of,
    diff_contents,
    diff_stat,
    escaped,
    is_text,
    stat_contents,
    unified,
)
from dsvc.model.manifest import MODE_FILE, ChunkClass, ChunkRef, Entry, Kind
from dsvc.store.block import ItemType
from dsvc.store.chunk_list import write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.chunker import cut
from dsvc.store.memory_backend import MemoryBackend


def diff(old: bytes, new: bytes, context: int = 3) -> str:
    return "\n".join(unified(old, new, old_name="a/f", new_name="b/f", context=context))


def patched(old: bytes, patch: str, context: int = 3) -> bytes:
    """Apply a patch, strictly, without looking for moved lines."""
    lines = patch.encode("utf-8", "surrogateescape").split(b"\n")
    source = old.split(b"\n")
    source = [line + b"\n" for line in source[:-1]] + ([source[-1]] if source[-1] else [])
    result: list[bytes] = []
    at = 0
    for number, line in enumerate(lines):
        ended = b"" if number + 1 < len(lines) and lines[number + 1] == NO_NEWLINE.encode() else b"\n"
        if line.startswith(b"@@ "):
            old_span, new_span = line.split(b" ")[1:3]
            start, _, count = old_span[1:].partition(b",")
            begin = int(start) - (count != b"0")
            assert begin >= at
            result += source[at:begin]
            at = begin
            new_start, _, new_count = new_span[1:].partition(b",")
            assert int(new_start) - (new_count != b"0") == len(result)
        elif number < 2:
            assert line.startswith((b"--- ", b"+++ "))
        elif line[:1] in (b" ", b"-"):
            assert source[at] == line[1:] + ended
            at += 1
            if line[:1] == b" ":
                result.append(line[1:] + ended)
        elif line[:1] == b"+":
            result.append(line[1:] + ended)
    return b"".join(result + source[at:])


lines = st.sampled_from([b"a", b"b", b"", b"c\r", "数据".encode(), b"\xff\xfe", b"\x1b[31m", b"-- x", b"\f"])
texts = st.builds(
    lambda items, end: b"".join(item + b"\n" for item in items) + end,
    st.lists(lines, max_size=30),
    st.sampled_from([b"", b"", b"a", b"last\r"]),
)


@given(texts, texts, st.integers(0, 4))
@settings(max_examples=1000, deadline=None)
def test_diff_then_apply_gives_new(old: bytes, new: bytes, context: int) -> None:
    text = diff(old, new, context)
    if old == new:
        assert text == ""
    else:
        assert patched(old, text) == new
    added, removed = diff_stat(old, new)
    body = text.split("\n")[2:]
    assert added == sum(line.startswith("+") for line in body)
    assert removed == sum(line.startswith("-") for line in body)


@given(texts, texts, st.integers(1, 9), st.integers(0, 3))
@settings(max_examples=500, deadline=None)
def test_diff_by_chunk_then_apply_gives_new(old: bytes, new: bytes, length: int, context: int) -> None:
    # Tiny chunks, cut anywhere: spans begin and end in the middle of lines.
    one, other = Cut(old, length), Cut(new, length)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_ranges, "CHUNKED_BYTES", 0)
        text = "\n".join(diff_contents(one, other, old_name="a/f", new_name="b/f", context=context))
    assert patched(old, text) == new if old != new else text == ""


class Cut(BufferContent):
    """Cut after every byte that is a multiple of a number."""

    def __init__(self, data: bytes, number: int) -> None:
        super().__init__(data)
        self._bytes = data
        self._number = number

    def table(self) -> content.ChunkTable:
        pieces, start = [], 0
        for end in range(1, len(self._bytes) + 1):
            if self._bytes[end - 1] % self._number == 0 or end == len(self._bytes):
                pieces.append(self._bytes[start:end])
                start = end
        return content.ChunkTable((blake3.blake3(piece).digest(), len(piece)) for piece in pieces)


CASES = {
    "change": (b"1\n2\n3\n4\n5\n6\n7\n8\n9\n", b"1\n2\n3\n4\nx\n6\n7\n8\n9\n"),
    "two hunks": (
        b"".join(b"%d\n" % n for n in range(40)),
        b"".join(b"%d\n" % n for n in range(1, 42) if n != 20),
    ),
    "from nothing": (b"", b"a\nb\n"),
    "to nothing": (b"a\nb\n", b""),
    "newline lost": (b"a\nb\n", b"a\nb"),
    "newline gained": (b"a\nb", b"a\nb\n"),
    "no newline on either side": (b"a\nb", b"c\nb"),
    "line ends": (b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nc\n"),
    "Chinese": ("一\n二\n三\n".encode(), "一\n两\n三\n".encode()),
    "not UTF-8": ("中文\n".encode("gb18030"), "中国\n".encode("gb18030")),
    "looks like a header": (b"-- a\n++ b\n@@ -1 +1 @@\n", b"-- c\n++ b\n@@ -1 +1 @@\n"),
}


@pytest.mark.parametrize("program", ["patch", "git"])
@pytest.mark.parametrize("name", CASES)
def test_real_programs_apply_it(name: str, program: str, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    old, new = CASES[name]
    (tmp_path / "f").write_bytes(old)
    (tmp_path / "p").write_bytes((diff(old, new) + "\n").encode("utf-8", "surrogateescape"))
    command = ["git", "apply", "-v", "p"] if program == "git" else ["patch", "--binary", "-p1", "-i", "p"]
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fuzz" not in done.stdout
    assert "offset" not in done.stdout
    assert ((tmp_path / "f").read_bytes() if (tmp_path / "f").exists() else b"") == new


@pytest.mark.parametrize("seed", range(20))
def test_hunks_are_those_of_git(seed: int, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    chance = random.Random(seed)
    old = [b"line %d\n" % number for number in range(300)]
    new = list(old)
    for number in range(12):
        position = chance.randrange(len(new))
        new[position : position + chance.randrange(3)] = [b"new %d\n" % number] * chance.randrange(3)
    (tmp_path / "old").write_bytes(b"".join(old))
    (tmp_path / "new").write_bytes(b"".join(new))
    done = subprocess.run(
        ["git", "diff", "--no-index", "--no-ext-diff", "old", "new"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    theirs = done.stdout.split("\n")[4:-1]
    theirs = [line[: line.rindex("@@") + 2] if line.startswith("@@") else line for line in theirs]
    assert diff(b"".join(old), b"".join(new)).split("\n")[2:] == theirs


def test_header_and_hunks_read_as_usual() -> None:
    assert diff(*CASES["change"]).split("\n") == [
        "--- a/f", "+++ b/f", "@@ -2,7 +2,7 @@", " 2", " 3", " 4", "-5", "+x", " 6", " 7", " 8",
    ]  # fmt: skip
    assert diff(b"", b"a\n").split("\n")[2] == "@@ -0,0 +1 @@"
    assert diff(b"x", b"y").split("\n")[3:] == ["-x", NO_NEWLINE, "+y", NO_NEWLINE]


def test_names_in_the_header() -> None:
    def header(name: str) -> str:
        return next(unified(b"", b"a", old_name=name, new_name="n"))

    assert header("a/数据 1.txt") == "--- a/数据 1.txt\t"
    assert header("a/new\nline") == '--- "a/new\\nline"'
    assert header('a/"\x01\\') == '--- "a/\\"\\001\\\\"'


def test_lines_for_people() -> None:
    assert escaped("+数据\ttab\r") == "+数据\ttab\r"
    assert escaped(b"-\xff\x1b[31m".decode("utf-8", "surrogateescape")) == "-\\xff\\x1b[31m"


def test_what_is_text() -> None:
    assert is_text(b"")
    assert is_text("数据".encode())
    assert not is_text(b"PAR1\0")


@given(texts, st.data())
@settings(max_examples=300, deadline=None)
def test_lines_are_found_in_any_range(data: bytes, draw: st.DataObject) -> None:
    whole = _lines(data)
    starts = [sum(map(len, whole[:n])) for n in range(len(whole) + 1)]
    side = BufferContent(data)
    first = draw.draw(st.integers(0, len(whole)))
    last = draw.draw(st.integers(first, len(whole)))
    start, end = starts[first], starts[last]
    assert list(lines_between(side, start, end)) == whole[first:last]
    assert count_lines(side, start, end) == last - first
    count = draw.draw(st.integers(0, 5))
    assert skip_lines(side, start, end, count) == starts[min(last, first + count)]
    if end == 0 or data[end - 1 : end] == b"\n":
        assert skip_lines_back(side, start, end, count) == starts[max(first, last - count)]


def _lines(data: bytes) -> list[bytes]:
    pieces = data.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


# Stored files.


class CountingStore(ChunkStore):
    def __init__(self) -> None:
        super().__init__(MemoryBackend())
        self.read_chunks = 0

    def get(self, id_: bytes, *, item_type: int = ItemType.CHUNK) -> bytes | memoryview:
        self.read_chunks += item_type == ItemType.CHUNK
        return super().get(id_, item_type=item_type)


def stored(store: ChunkStore, data: bytes, hole: tuple[int, int] | None = None) -> Entry:
    """Store a file as ingest does; `hole` puts a hole of a length before the chunk of a number."""
    refs = []
    for number, piece in enumerate(cut(ChunkClass.TEXT, data)):
        if hole is not None and number == hole[0]:
            refs.append(ChunkRef(hole[1]))
        id_ = blake3.blake3(piece).digest()
        store.put_chunk(id_, bytes(piece), raw=False)
        refs.append(ChunkRef(len(piece), id_))
    chunks = bytes(write_list(store, refs)) if len(refs) > 1 else None
    store.publish()
    size = sum(ref.length_bytes for ref in refs)
    digest, xxh3 = blake3.blake3(data).digest(), xxhash.xxh3_128_digest(data)
    return Entry(b"data.jsonl", MODE_FILE, size, digest, xxh3, ChunkClass.TEXT, chunks, Kind.TEXT)


def records(count: int, chance: random.Random) -> list[bytes]:
    return [b'{"id": %d, "text": "%s"}\n' % (n, chance.randbytes(30).hex().encode()) for n in range(count)]


def edited(rows: list[bytes], chance: random.Random, edits: int) -> list[bytes]:
    rows = list(rows)
    for number in range(edits):
        position = chance.randrange(len(rows))
        rows[position : position + chance.randrange(3)] = [b'{"new": %d}\n' % number] * chance.randrange(3)
    return rows


def diff_entries(store: ChunkStore, old: Entry | None, new: Entry | None) -> list[str]:
    names = [
        "/dev/null" if entry is None else f"{side}/{entry.path.decode()}"
        for side, entry in (("a", old), ("b", new))
    ]
    sides = content_of(store, old), content_of(store, new)
    return list(diff_contents(*sides, old_name=names[0], new_name=names[1]))


def stat_entries(store: ChunkStore, old: Entry, new: Entry) -> tuple[int, int]:
    return stat_contents(content_of(store, old), content_of(store, new))


@pytest.mark.parametrize("edits", [1, 20, 2_000])
def test_stored_files_of_many_chunks(edits: int) -> None:
    chance = random.Random(edits)
    rows = records(60_000, chance)
    old, new = b"".join(rows), b"".join(edited(rows, chance, edits))
    store = CountingStore()
    one, other = stored(store, old), stored(store, new)
    text = "\n".join(diff_entries(store, one, other))
    assert text.startswith("--- a/data.jsonl\n+++ b/data.jsonl\n@@ ")
    assert patched(old, text) == new
    assert stat_entries(store, one, other) == diff_stat(old, new)
    # The working tree's side comes from memory and is cut alike.
    mixed = diff_contents(StoredContent(store, one), BufferContent(new), old_name="a/f", new_name="b/f")
    assert patched(old, "\n".join(mixed)) == new


def test_only_chunks_that_differ_are_compared() -> None:
    chance = random.Random(3)
    rows = records(60_000, chance)
    changed_rows = list(rows)
    changed_rows[100] = b"changed\n"
    changed_rows[40_000] = b"changed\n"
    store = CountingStore()
    one, other = stored(store, b"".join(rows)), stored(store, b"".join(changed_rows))
    store.read_chunks = 0
    spans = changed_spans(StoredContent(store, one), StoredContent(store, other))
    assert store.read_chunks == 0
    assert len(spans) == 2
    assert sum(span.old_end - span.old_start for span in spans) < 4 * 64 * 1024
    assert stat_entries(store, one, other) == (2, 2)
    assert store.read_chunks < 40


def test_added_removed_and_equal_files() -> None:
    store = CountingStore()
    one = stored(store, b"a\n")
    assert diff_entries(store, None, one) == [
        "--- /dev/null",
        "+++ b/data.jsonl",
        "@@ -0,0 +1 @@",
        "+a",
    ]
    assert diff_entries(store, one, None) == [
        "--- a/data.jsonl",
        "+++ /dev/null",
        "@@ -1 +0,0 @@",
        "-a",
    ]
    assert diff_entries(store, one, one) == []


def test_holes_are_zeros() -> None:
    store = CountingStore()
    data = b"".join(records(40_000, random.Random(4)))
    plain, holed = stored(store, data), stored(store, data, hole=(3, 5_000_000))
    assert stat_entries(store, plain, holed)[0] >= 1
    side = StoredContent(store, holed)
    assert side.size == len(data) + 5_000_000
    assert sum(window.count(b"\0") for window in side.windows(0, side.size)) == 5_000_000
    assert max(len(window) for window in side.windows(0, side.size)) <= content.WINDOW_BYTES


def test_a_stretch_too_long_for_memory_comes_as_one_change(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = b"a\n" * 50 + b"end\n", b"b\n" * 60 + b"end\n"
    monkeypatch.setattr(line_ranges, "MAX_REGION_LINES", 20)
    assert diff_stat(old, new) == (61, 51)
    assert patched(old, diff(old, new)) == new
    monkeypatch.undo()
    monkeypatch.setattr(line_ranges, "MAX_REGION_BYTES", 20)
    assert diff_stat(old, new) == (61, 51)
    monkeypatch.undo()
    monkeypatch.setattr(line_ranges, "_HASHED_BYTES", 20)
    assert diff_stat(old, new) == (60, 50)
    monkeypatch.setattr(content, "MAX_CHUNKS", 2)
    with pytest.raises(DiffTooLargeError):
        content.ChunkTable((bytes(32), 1) for _ in range(3))


def test_a_large_text_takes_seconds_and_little_memory() -> None:
    chance = random.Random(5)
    rows = [b'{"id": %d, "text": "%s"}\n' % (n, b"lorem ipsum dolor " * 4) for n in range(400_000)]
    changed_rows = edited(rows, chance, 300)
    changed_rows[0] = b"first\n"
    changed_rows[-1] = b"last"
    old, new = b"".join(rows), b"".join(changed_rows)
    del rows, changed_rows
    began = time.process_time()
    added, removed = diff_stat(old, new)
    took = time.process_time() - began
    assert 200 < added < 500
    assert 200 < removed < 500
    assert took < 10, f"{took:.1f} s for {len(old) >> 20} MiB"
    tracemalloc.start()
    text = sum(1 for _ in unified(old, new, old_name="a", new_name="b"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text < 4_000
    assert peak < 64 << 20, f"{peak >> 20} MiB"
