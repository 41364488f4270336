"""Reading files that are stored: whole, as they were at one moment, or an error that says why not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import blake3
import pytest
import xxhash

from dsvc.model.errors import StorageError
from dsvc.model.manifest import MODE_EXECUTABLE, MODE_FILE, MODE_SYMLINK, ChunkClass, Entry, Kind
from dsvc.model.table_kind import TableKind
from dsvc.store import ingest
from dsvc.store.chunk_list import chunks_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.content import Describer, Facts, sniff
from dsvc.store.ingest import ATTEMPTS, FileStat, UnstableFileError
from dsvc.store.memory_backend import MemoryBackend
from tests.readkit import reading
from tests.storekit import noise, prose

DATA = noise(300_000, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file.bin").write_bytes(DATA)
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def no_facts(kind: TableKind, size: int) -> Describer:
    raise AssertionError("this is no table")


Read = Callable[[int], tuple[tuple[bytes, bytes], FileStat]]


def by_bytes(folder: int) -> tuple[tuple[bytes, bytes], FileStat]:
    data, stat = ingest.read_stable(b"file.bin", folder)
    return (blake3.blake3(data).digest(), xxhash.xxh3_128_digest(data)), stat


def by_hash(folder: int) -> tuple[tuple[bytes, bytes], FileStat]:
    strong, quick, stat = ingest.hash_file(b"file.bin", folder)
    return (strong, quick), stat


def by_look(folder: int) -> tuple[tuple[bytes, bytes], FileStat]:
    found, stat = ingest.examine_file(b"file.bin", b"file.bin", folder, None, no_facts)
    assert (found.size, found.chunk_class, found.kind) == (stat.size, ChunkClass.RAW, Kind.BINARY)
    return (found.digest, found.xxh3), stat


READS = pytest.mark.parametrize("read", [by_bytes, by_hash, by_look])


@READS
@pytest.mark.parametrize("at_most", [None, 65_537])
def test_what_is_read_is_the_file(tmp_path: Path, folder: int, read: Read, at_most: int | None) -> None:
    with reading("file.bin", at_most=at_most):
        digests, stat = read(folder)
    assert digests == (blake3.blake3(DATA).digest(), xxhash.xxh3_128_digest(DATA))
    assert stat == FileStat.of(os.stat(tmp_path / "file.bin"))


@READS
@pytest.mark.parametrize("change", [b"", DATA[:-5], DATA + b"x", DATA[::-1]])
def test_f34_a_file_that_changes_once_is_read_again(
    tmp_path: Path, folder: int, read: Read, change: bytes
) -> None:
    def meanwhile(number: int) -> None:
        if number == 1:
            (tmp_path / "file.bin").write_bytes(change)
            os.utime(tmp_path / "file.bin", ns=(0, 1))

    with reading("file.bin", before=meanwhile):
        if read is by_look and not change:
            found, stat = ingest.examine_file(b"file.bin", b"file.bin", folder, None, no_facts)
            digests = found.digest, found.xxh3
        else:
            digests, stat = read(folder)
    assert digests == (blake3.blake3(change).digest(), xxhash.xxh3_128_digest(change))
    assert stat.size == len(change)


@READS
def test_f34_a_file_that_changes_each_time_is_refused(tmp_path: Path, folder: int, read: Read) -> None:
    def meanwhile(number: int) -> None:
        with open(tmp_path / "file.bin", "r+b") as file:
            file.write(b"%d" % number)
        os.utime(tmp_path / "file.bin", ns=(0, number))

    with reading("file.bin", before=meanwhile) as seen, pytest.raises(UnstableFileError, match="three times"):
        read(folder)
    assert len(seen) >= 3


@READS
def test_f34_a_file_that_grows_as_fast_as_it_is_read_is_given_up(
    tmp_path: Path, folder: int, read: Read
) -> None:
    def meanwhile(number: int) -> None:
        assert number <= 5 * ATTEMPTS, "it would be read for as long as it grows"
        with open(tmp_path / "file.bin", "ab") as file:
            file.write(DATA)

    with reading("file.bin", before=meanwhile), pytest.raises(UnstableFileError):
        read(folder)


@READS
def test_a_disk_error_is_told_with_the_path(folder: int, read: Read) -> None:
    with reading("file.bin", error=errno.EIO), pytest.raises(StorageError) as caught:
        read(folder)
    assert caught.value.details == {"errno": "EIO", "path": "file.bin"}
    assert caught.value.message.startswith("cannot read file.bin")


@READS
def test_what_is_no_file_is_not_read(tmp_path: Path, folder: int, read: Read) -> None:
    (tmp_path / "file.bin").unlink()
    with pytest.raises(StorageError) as caught:
        read(folder)
    assert caught.value.details["errno"] == "ENOENT"
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / "file.bin").symlink_to("target")
    with pytest.raises(StorageError) as caught:
        read(folder)
    assert caught.value.details["errno"] == "ELOOP"
    (tmp_path / "file.bin").unlink()
    (tmp_path / "file.bin").mkdir()
    with pytest.raises(StorageError) as caught:
        read(folder)
    assert caught.value.details["errno"] == "EISDIR"
    (tmp_path / "file.bin").rmdir()
    os.mkfifo(tmp_path / "file.bin")  # it would be waited for
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StorageError) as caught:
        read(folder)
    assert caught.value.details["errno"] == "ENXIO"
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_stat_that_was_seen_before_counts(tmp_path: Path, folder: int) -> None:
    seen = FileStat.of(os.stat(tmp_path / "file.bin"))
    assert ingest.read_stable(b"file.bin", folder, seen) == (DATA, seen)
    assert ingest.hash_file(b"file.bin", folder, seen)[2] == seen
    other = b"other" * 50_000
    (tmp_path / "file.bin").write_bytes(other)
    now = FileStat.of(os.stat(tmp_path / "file.bin"))
    assert ingest.read_stable(b"file.bin", folder, seen) == (other, now)
    strong, _, stat = ingest.hash_file(b"file.bin", folder, seen)
    assert (strong, stat) == (blake3.blake3(other).digest(), now)


def entry(size: int, chunk_class: ChunkClass, mode: int = MODE_FILE) -> Entry:
    return Entry(b"file.bin", mode, size, b"d" * 32, b"x" * 16, chunk_class, None, Kind.TEXT)


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        (None, ChunkClass.RAW),
        (entry(5, ChunkClass.TEXT), ChunkClass.TEXT),
        (entry(5, ChunkClass.RAW), ChunkClass.RAW),
        (entry(0, ChunkClass.TEXT), ChunkClass.RAW),
        (entry(5, ChunkClass.TEXT, MODE_SYMLINK), ChunkClass.RAW),
    ],
)
def test_a_path_keeps_the_class_it_is_cut_in(folder: int, old: Entry | None, expected: ChunkClass) -> None:
    found, _ = ingest.examine_file(b"file.bin", b"file.bin", folder, old, no_facts)
    assert found.chunk_class == expected
    store = ChunkStore(MemoryBackend())
    stored = ingest.store_bytes(store, b"file.bin", DATA, old, lambda kind, data: (None, None))
    assert stored.chunk_class == expected


@pytest.mark.parametrize("data", [b"", b"x", prose(5_000), prose(400_000), noise(200_000, 1)])
def test_what_is_stored_comes_back(data: bytes) -> None:
    store = ChunkStore(MemoryBackend())
    found = ingest.store_bytes(store, b"path", data, None, lambda kind, data: (None, None))
    store.publish()
    made = Entry(
        b"path", MODE_FILE, found.size, found.digest, found.xxh3, found.chunk_class, found.chunks, found.kind
    )
    parts = [store.get(chunk.id) for chunk in chunks_of(store, made) if chunk.id is not None]
    assert b"".join(bytes(part) for part in parts) == data
    assert (found.size, found.digest) == (len(data), blake3.blake3(data).digest())
    assert (found.chunks is not None) == (len(parts) > 1)


class Counter:
    """Counts the lines of what it is fed, and again in the whole."""

    def __init__(self) -> None:
        self.lines = 0

    def feed(self, part: bytes | memoryview) -> None:
        self.lines += bytes(part).count(b"\n")

    def facts(self, stream: BinaryIO) -> Facts:
        assert stream.read().count(b"\n") == self.lines
        return self.lines, b"schema"


def test_a_table_is_described_while_it_is_read(tmp_path: Path) -> None:
    data = b"a,b\n" + b"1,2\n" * 100_000
    (tmp_path / "t.csv").write_bytes(data)
    folder = os.open(tmp_path, os.O_RDONLY)
    asked: list[int] = []

    def describe(kind: TableKind, size: int) -> Describer:
        asked.append(size)
        return Counter()

    try:
        found, _ = ingest.examine_file(b"t.csv", b"t.csv", folder, None, describe)
    finally:
        os.close(folder)
    assert (found.rows, found.schema, found.kind) == (100_001, b"schema", Kind.TABLE)
    assert asked == [len(data)]


def test_a_symlink_is_its_target() -> None:
    store = ChunkStore(MemoryBackend())
    made = ingest.store_symlink(store, b"link", b"../\xff")
    store.publish()
    assert (made.mode, made.size, made.kind) == (MODE_SYMLINK, 4, Kind.TEXT)
    assert store.get(made.digest) == b"../\xff"


KIB = 1024


@pytest.mark.parametrize(
    ("size", "raw"),
    [
        (size + more, raw)
        for raw, sizes in ((True, (512, 600, 1000, 2000)), (False, (4, 5, 20, 40, 300)))
        for size in (n * KIB for n in sizes)
        for more in (0, 1)
    ]
    + [(0, True), (1, True)],
)
def test_files_in_memory_come_back_cut_as_their_class_is(size: int, raw: bool) -> None:
    store = ChunkStore(MemoryBackend())
    data = noise(size, 5) if raw else prose(size, 5)
    content = ingest.store_bytes(store, b"file", data, None, no_facts_of_bytes)
    assert (content.size, content.digest) == (size, blake3.blake3(data).digest())
    assert content.xxh3 == xxhash.xxh3_128_digest(data)
    assert content.chunk_class == (ChunkClass.RAW if raw and size > 1 else ChunkClass.TEXT)
    entry = content.entry(b"file", MODE_FILE)
    store.publish()
    chunks = list(chunks_of(store, entry))
    assert b"".join(bytes(store.get(chunk.id)) for chunk in chunks if chunk.id) == data
    assert (content.chunks is None) == (len(chunks) <= 1)
    assert len(chunks) <= 1 or size > (512 if raw else 4) * KIB
    again = ingest.store_bytes(store, b"file", data, None, no_facts_of_bytes)
    assert again == content


def no_facts_of_bytes(kind: TableKind, data: bytes) -> Facts:
    raise AssertionError("this is no table")


def test_a_path_keeps_its_class() -> None:
    old = Entry(b"file", MODE_FILE, 1, b"d" * 32, b"x" * 16, ChunkClass.RAW)
    text, noisy = sniff(b"file", b"text"), sniff(b"file", b"\0\xff")
    assert (text.chunk_class, noisy.chunk_class) == (ChunkClass.TEXT, ChunkClass.RAW)
    assert ingest.class_at(None, text) is ChunkClass.TEXT
    assert ingest.class_at(old, text) is ChunkClass.RAW
    empty = Entry(b"file", MODE_FILE, 0, b"d" * 32, b"x" * 16, ChunkClass.RAW)
    link = Entry(b"file", MODE_SYMLINK, 1, b"d" * 32, b"x" * 16, ChunkClass.RAW)
    executable = Entry(b"file", MODE_EXECUTABLE, 1, b"d" * 32, b"x" * 16, ChunkClass.RAW)
    assert [ingest.class_at(each, text) for each in (empty, link, executable)] == [
        ChunkClass.TEXT,
        ChunkClass.TEXT,
        ChunkClass.RAW,
    ]
