"""Large files: cut in one pass, stored in segments, with holes; what changes meanwhile is noticed."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import blake3
import pytest
import xxhash

from dsvc.model.errors import StorageError
from dsvc.model.manifest import MODE_FILE, ChunkClass, ChunkRef, Entry, Kind
from dsvc.model.table_kind import TableKind
from dsvc.store import large_file
from dsvc.store.chunk_list import chunks_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.content import Describer, Facts
from dsvc.store.ingest import Content, FileStat, UnstableFileError
from dsvc.store.large_file import READ_BYTES, Digests, Segment
from dsvc.store.memory_backend import MemoryBackend
from tests.readkit import reading
from tests.storekit import noise

NAME = b"large.bin"
HOLE = 1 << 20
BLOCK = 64 << 10


def no_table(kind: TableKind, size: int) -> Describer:
    raise AssertionError("this is no table")


class Store:
    """A store, and files stored in it segment by segment."""

    def __init__(self, folder: Path) -> None:
        self.store = ChunkStore(MemoryBackend())
        self.path = folder / os.fsdecode(NAME)
        self.dir_fd = os.open(folder, os.O_RDONLY)
        self.progress: list[int] = []
        self.segments: list[Segment] = []

    def segment_by_segment(self, segments: Iterator[Segment], fd: int) -> dict[int, bytes]:
        found = {}
        for segment in segments:
            self.segments.append(segment)
            found[segment.number] = large_file.store_segment(self.store, fd, segment)
        return found

    def put(self) -> tuple[Content, FileStat]:
        made = large_file.store_large(
            self.store,
            NAME,
            NAME,
            self.dir_fd,
            None,
            no_table,
            self.segment_by_segment,
            self.progress.append,
        )
        self.store.publish()
        return made

    def chunks(self, content: Content) -> list[ChunkRef]:
        digests = content.digest, content.xxh3
        entry = Entry(NAME, MODE_FILE, content.size, *digests, content.chunk_class, content.chunks, 1)
        return list(chunks_of(self.store, entry))

    def back(self, content: Content) -> bytes:
        parts = (
            bytes(chunk.length_bytes) if chunk.id is None else bytes(self.store.get(chunk.id))
            for chunk in self.chunks(content)
        )
        return b"".join(parts)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    os.close(made.dir_fd)


def written(path: Path, pieces: list[bytes | int]) -> bytes:
    """Make a file of data and holes; its logical content."""
    with open(path, "wb") as file:
        for piece in pieces:
            if isinstance(piece, int):
                file.seek(piece, os.SEEK_CUR)
            else:
                file.write(piece)
        file.truncate(file.tell())
    return b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)


# Made when they're wanted: kept, they'd be copied by every fork of a test process.
SHAPES: dict[str, Callable[[], list[bytes | int]]] = {
    "one byte": lambda: [b"x"],
    "data": lambda: [noise(3 * READ_BYTES + 12_345, 1)],
    "exact": lambda: [noise(2 * READ_BYTES, 2)],
    "hole first": lambda: [HOLE, noise(BLOCK, 3)],
    "hole last": lambda: [noise(BLOCK, 4), HOLE],
    "hole inside": lambda: [noise(BLOCK, 5), HOLE, noise(2 * BLOCK, 6)],
    "holes": lambda: [HOLE, noise(BLOCK, 7), 2 * HOLE, noise(BLOCK, 8), HOLE],
    "large hole": lambda: [noise(BLOCK, 9), 9 * HOLE, b"end".ljust(4096, b".")],
    "only a hole": lambda: [3 * HOLE],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("at_most", [None, 1_000_003])
def test_it_comes_back(store: Store, shape: str, at_most: int | None) -> None:
    data = written(store.path, SHAPES[shape]())
    with reading("large.bin", at_most=at_most):
        content, stat = store.put()
    assert store.back(content) == data
    assert (content.size, content.digest) == (len(data), blake3.blake3(data).digest())
    assert content.xxh3 == xxhash.xxh3_128_digest(data)
    assert stat == FileStat.of(os.stat(store.path))
    assert sum(store.progress) == len(data)
    assert (content.chunks is None) == (len(store.chunks(content)) == 1 and shape != "only a hole")
    assert [segment.number for segment in store.segments] == list(range(len(store.segments)))


def test_holes_stay_holes(store: Store) -> None:
    written(store.path, SHAPES["holes"]())
    if os.stat(store.path).st_blocks * 512 >= store.path.stat().st_size:
        pytest.skip("this file system keeps no holes")
    content, _ = store.put()
    holes = [chunk.length_bytes for chunk in store.chunks(content) if chunk.id is None]
    assert holes == [HOLE, 2 * HOLE, HOLE]


def test_a_small_hole_in_much_data_stays_one(store: Store) -> None:
    written(store.path, [noise(1 << 20, 1), 4096, noise((1 << 20) - 4096, 2)])
    if os.stat(store.path).st_blocks * 512 >= store.path.stat().st_size:
        pytest.skip("this file system keeps no hole of 4 KiB")
    content, _ = store.put()
    assert [chunk.length_bytes for chunk in store.chunks(content) if chunk.id is None] == [4096]


def test_equal_data_is_cut_the_same_whatever_the_system_gives_at_once(store: Store) -> None:
    written(store.path, [noise(3 * READ_BYTES + 777, 11)])
    first = store.chunks(store.put()[0])
    with reading("large.bin", at_most=99_991):
        assert store.chunks(store.put()[0]) == first


def test_a_system_that_tells_nothing_of_holes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(store.path, SHAPES["holes"]())
    was = os.lseek

    def lseek(fd: int, position: int, how: int) -> int:
        if how == os.SEEK_DATA:
            raise OSError(errno.EINVAL, "no such thing")
        return was(fd, position, how)

    monkeypatch.setattr(os, "lseek", lseek)
    content, _ = store.put()
    assert store.back(content) == data
    assert None not in {chunk.id for chunk in store.chunks(content)}


def test_extents_are_what_the_system_says(tmp_path: Path) -> None:
    generator = random.Random(7)
    for number in range(20):
        pieces = [
            generator.choice([noise(4096 * generator.randint(1, 5), 1), HOLE * generator.randint(1, 3)])
            for _ in range(generator.randint(1, 6))
        ]
        data = written(tmp_path / "file", pieces)
        fd = os.open(tmp_path / "file", os.O_RDONLY)
        try:
            found = list(large_file.extents(fd, len(data)))
            cut = list(large_file.extents(fd, len(data) - 5000)) if len(data) > 5000 else []
        finally:
            os.close(fd)
        assert sum(length for _, length, _ in found) == len(data), (number, pieces)
        at = 0
        for offset, length, hole in found:
            assert (offset, length > 0) == (at, True)
            assert not hole or not any(data[offset : offset + length])
            at += length
        assert sum(length for _, length, _ in cut) == (len(data) - 5000 if cut else 0)


def test_a_file_that_ends_early(store: Store) -> None:
    data = written(store.path, [noise(READ_BYTES, 1)])
    fd = os.open(store.path, os.O_RDONLY)
    try:
        assert large_file.read_range(fd, 10, 100) == data[10:110]
        assert large_file.read_range(fd, len(data) - 5, 100) == data[-5:]
        with reading("large.bin", at_most=7):
            assert large_file.read_range(fd, len(data) - 50, 100) == data[-50:]
        room = memoryview(bytearray(100))
        assert large_file.read_into(fd, room, 10)
        assert room == data[10:110]
        assert not large_file.read_into(fd, room, len(data) - 50)
        segment = Segment(0, NAME, len(data) - 10, [5, 6], True, ())
        with pytest.raises(UnstableFileError):
            large_file.store_segment(store.store, fd, segment)
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_f34_a_file_that_changes_once_is_read_again(store: Store, size: int) -> None:
    change = noise(size * READ_BYTES, 5)
    written(store.path, [noise(2 * READ_BYTES, 1)])

    def meanwhile(number: int) -> None:
        if number == 2:
            store.path.write_bytes(change)
            os.utime(store.path, ns=(0, 1))

    with reading("large.bin", before=meanwhile):
        content, stat = store.put()
    assert store.back(content) == change
    assert stat == FileStat.of(os.stat(store.path))


def test_f34_a_file_that_grows_behind_a_hole_is_read_again(store: Store) -> None:
    written(store.path, [noise(BLOCK, 1), HOLE])

    def meanwhile(number: int) -> None:
        if number == 1:
            with open(store.path, "ab") as file:
                file.write(noise(BLOCK, 2))

    with reading("large.bin", before=meanwhile):
        content, _ = store.put()
    assert store.back(content) == noise(BLOCK, 1) + bytes(HOLE) + noise(BLOCK, 2)


@pytest.mark.parametrize("hole", ["inside", "at the end"])
def test_a_table_with_a_hole_is_the_one_with_the_same_zeros(store: Store, hole: str) -> None:
    lines = b"".join(b'{"n": %d}\n' % number for number in range(9000))
    lines = lines.ljust(-(-len(lines) // 4096) * 4096, b" ")
    pieces: list[bytes | int] = [lines, HOLE]
    if hole == "inside":
        pieces.append(lines)
    data = written(store.path, pieces)
    made = []
    for dense in (False, True):
        if dense:
            store.path.write_bytes(data)
        content, _ = large_file.store_large(
            store.store, b"t.jsonl", NAME, store.dir_fd, None, Lines, store.segment_by_segment
        )
        made.append((content.rows, content.schema, content.digest, content.xxh3, content.size))
    assert made[0] == made[1]
    assert made[0][0] == data.count(b"\n")


class Lines:
    """Counts the ends of lines, in pieces and again in the whole, and notes zeros, which are no table's."""

    def __init__(self, kind: TableKind, size: int) -> None:
        self.ends = 0
        self.zeros = False

    def feed(self, part: bytes | memoryview) -> None:
        self.ends += bytes(part).count(b"\n")
        self.zeros |= b"\0" in bytes(part)

    def facts(self, stream: BinaryIO) -> Facts:
        assert stream.read().count(b"\n") == self.ends
        return self.ends, b"zeros" if self.zeros else b"no zeros"


def test_f34_a_file_that_changes_each_time_is_refused(store: Store) -> None:
    written(store.path, [noise(2 * READ_BYTES, 1)])

    def meanwhile(number: int) -> None:
        with open(store.path, "r+b") as file:
            file.write(b"%d" % number)
        os.utime(store.path, ns=(0, number))

    with reading("large.bin", before=meanwhile), pytest.raises(UnstableFileError, match="three times"):
        store.put()


def test_a_disk_error_is_told(store: Store) -> None:
    written(store.path, [noise(2 * READ_BYTES, 1)])
    with reading("large.bin", error=errno.EIO), pytest.raises(StorageError) as caught:
        store.put()
    assert caught.value.details == {"errno": "EIO", "path": "large.bin"}


def test_a_file_that_can_not_be_opened_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written(store.path, [b"x"])
    was = os.open

    def refused(path: bytes, flags: int, *, dir_fd: int | None = None) -> int:
        if path == NAME:
            raise OSError(errno.EACCES, "no")
        return was(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(StorageError) as caught:
        store.put()
    monkeypatch.undo()
    assert caught.value.details == {"errno": "EACCES", "path": "large.bin"}
    store.path.unlink()
    with pytest.raises(UnstableFileError):
        store.put()


def test_a_file_that_gives_less_than_its_length_is_refused(store: Store) -> None:
    written(store.path, [noise(1 << 20, 1)])
    with reading("large.bin", at_most=0), pytest.raises(UnstableFileError, match="three times"):
        store.put()


def test_digests_of_holes() -> None:
    digests, size = Digests(), 9 * HOLE + 5
    digests.update(b"a")
    digests.zeros(size)
    data = b"a" + bytes(size)
    assert digests.result() == (blake3.blake3(data).digest(), xxhash.xxh3_128_digest(data))


def test_text_is_cut_as_text(store: Store) -> None:
    written(store.path, [b"line of text\n" * 400_000])
    content, _ = store.put()
    assert content.chunk_class is ChunkClass.TEXT
    assert not any(segment.raw for segment in store.segments)


def test_a_picture_is_told_by_its_first_bytes(store: Store) -> None:
    written(store.path, [b"\x89PNG\r\n\x1a\n\0\0" + noise(100_000)])
    content, _ = store.put()
    assert (content.kind, content.chunk_class) == (Kind.IMAGE, ChunkClass.RAW)
