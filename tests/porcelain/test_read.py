"""open_file and ls: any version, any range of bytes, without a checkout."""

from __future__ import annotations

import io
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.model.errors import (
    CorruptDataError,
    MalformedInputError,
    MissingDataError,
    NotFoundError,
    UsageError,
)
from dsvc.model.ids import NodeId
from dsvc.model.manifest import ChunkRef, Entry
from dsvc.porcelain.state.values import Listing
from dsvc.porcelain.tree.read import IsAFolderError, StoredFile
from dsvc.store.chunk_list import write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_ranges import children, totals_between
from dsvc.store.manifest_tree import Manifest
from dsvc.store.memory_backend import MemoryBackend
from tests.porcelain.working import EMPTY_FOLDER, Work, link
from tests.storekit import noise, prose, put_file, put_manifest

TEXT = prose(300_000)
BINARY = noise(1_500_000)


def read(work: Work, path: bytes | str, rev: str | None = None) -> bytes:
    with work.repo.open_file(path, rev) as stream:
        return stream.read()


def test_every_kind_of_file(work: Work) -> None:
    contents = {
        b"text": TEXT,
        b"binary": BINARY,
        b"empty": b"",
        "数据/文件.bin".encode(): b"\0\1",
        b"\xff\xfe": b"odd",
    }
    work.commit("1", contents)
    for path, content in contents.items():
        assert read(work, path) == content
    assert read(work, os.fsdecode(b"\xff\xfe")) == b"odd"
    stream = work.repo.open_file(b"text")
    assert isinstance(stream, io.BufferedReader)
    assert io.TextIOWrapper(stream, "utf-8").read() == TEXT.decode()


def test_every_version(work: Work) -> None:
    work.commit("1", {b"a": b"1"})
    work.commit("2", {b"a": b"2"})
    work.write({b"a": b"3"})
    work.repo.add([b"a"])
    work.write({b"a": b"4", b"untracked": b"5"})
    versions = ("HEAD~1", "HEAD", None, "STAGED", "WORKTREE")
    assert [read(work, b"a", rev) for rev in versions] == [b"1", b"2", b"2", b"3", b"4"]
    assert read(work, b"untracked", "WORKTREE") == b"5"
    for rev, path in (
        ("HEAD", b"untracked"),
        ("nosuch", b"a"),
        ("WORKTREE", b"nosuch"),
        ("WORKTREE", b"a/b"),
    ):
        with pytest.raises(NotFoundError):
            work.repo.open_file(path, rev)
    assert work.repo.open("a", "HEAD~1").read() == b"1"


def test_before_the_first_commit(work: Work) -> None:
    with pytest.raises(NotFoundError):
        work.repo.open_file(b"a")
    assert list(work.repo.ls()) == []
    with pytest.raises(NotFoundError):
        list(work.repo.ls(path=b"a"))


def test_holes_read_as_zeros(work: Work) -> None:
    path = work.path(b"sparse")
    with open(path, "wb") as file:
        file.write(b"head")
        file.seek(40 << 20)
        file.write(b"middle")
        file.truncate(60 << 20)
    work.commit("1")
    with work.repo.open_file(b"sparse") as stream:
        assert stream.seek(0, os.SEEK_END) == 60 << 20
        stream.seek((40 << 20) - 3)
        assert stream.read(12) == b"\0\0\0middle\0\0\0"
        stream.seek(-5, os.SEEK_END)
        assert stream.read() == bytes(5)
        stream.seek(30 << 20)
        assert stream.read(1 << 20) == bytes(1 << 20)
    with open(path, "rb") as there, work.repo.open_file(b"sparse") as stored:
        while piece := there.read(1 << 20):
            assert stored.read(1 << 20) == piece


class Files:
    """One file of each shape, made once."""

    def __init__(self) -> None:
        self.store = ChunkStore(MemoryBackend())
        refs, content = [], b""
        for number in range(40):
            if number % 3 == 1:
                refs.append(ChunkRef(700 * number, None))
                content += bytes(700 * number)
                continue
            piece = noise(900 + number, number)
            one = put_file(self.store, b"p", piece)
            refs.append(ChunkRef(len(piece), one.digest))
            content += piece
        holes = put_file(self.store, b"holes", b"x")
        root = bytes(write_list(self.store, refs))
        self.cases: list[tuple[Entry, bytes]] = [
            (put_file(self.store, b"text", TEXT), TEXT),
            (put_file(self.store, b"raw", BINARY, raw=True), BINARY),
            (put_file(self.store, b"one", b"one chunk"), b"one chunk"),
            (put_file(self.store, b"empty", b""), b""),
            (Entry(b"holes", holes.mode, len(content), holes.digest, holes.xxh3, 0, root), content),
        ]
        self.store.publish()


FILES = Files()
offsets = st.integers(-20, 1_600_000) | st.integers(0, 5000)
steps = st.lists(
    st.tuples(st.sampled_from(["seek", "current", "end", "read", "into"]), offsets), min_size=1, max_size=20
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(range(len(FILES.cases))), steps, st.booleans())
def test_reads_and_seeks_as_a_file_in_memory(
    number: int, moves: list[tuple[str, int]], buffered: bool
) -> None:
    entry, content = FILES.cases[number]
    plain = io.BytesIO(content)
    raw = StoredFile(FILES.store, entry)
    stored: io.BufferedReader | StoredFile = io.BufferedReader(raw) if buffered else raw
    for move, argument in moves:
        if move == "read":
            count = abs(argument) % 200_000
            expected = plain.read(count)
            found = stored.read(count)
            assert found is not None
            if not buffered:
                # A raw file may stop at the end of a chunk, but must get on.
                assert found == expected[: len(found)]
                assert bool(found) == bool(expected)
                plain.seek(len(found) - len(expected), os.SEEK_CUR)
            else:
                assert found == expected
        elif move == "into" and buffered:
            one, other = bytearray(abs(argument) % 70_000), bytearray(abs(argument) % 70_000)
            assert stored.readinto(one) == plain.readinto(other)
            assert one == other
        else:
            whence = {"seek": os.SEEK_SET, "current": os.SEEK_CUR, "end": os.SEEK_END}.get(move, os.SEEK_SET)
            base = (0, plain.tell(), len(content))[whence]
            target = -argument if whence == os.SEEK_END else argument
            if base + target >= 0:
                assert stored.seek(target, whence) == plain.seek(base + target)
            else:
                with pytest.raises((ValueError, OSError)):
                    stored.seek(target, whence)
                stored.seek(plain.tell())
        assert stored.tell() == plain.tell()
    assert stored.read(-1) == plain.read()


def test_a_closed_file_reads_nothing() -> None:
    stored = StoredFile(FILES.store, FILES.cases[0][0])
    stored.close()
    for attempt in (lambda: stored.read(1), stored.tell, lambda: stored.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            attempt()


def test_random_access_reads_few_chunks() -> None:
    store = ChunkStore(MemoryBackend())
    refs = [ChunkRef(1 << 40, None) for _ in range(5000)]
    tail = put_file(store, b"t", b"tail")
    root = bytes(write_list(store, [*refs, ChunkRef(4, tail.digest)]))
    store.publish()
    entry = Entry(b"huge", tail.mode, 5000 * (1 << 40) + 4, tail.digest, tail.xxh3, 1, root)
    asked: list[bytes] = []
    plain = store.get

    def counting(id_: bytes, **more: int) -> bytes | memoryview:
        asked.append(id_)
        return plain(id_, **more)

    store.get = counting  # type: ignore[method-assign]
    stored = StoredFile(store, entry)
    stored.seek(-3, os.SEEK_END)
    assert stored.readall() == b"ail"
    assert len(asked) <= 5


def test_wrong_bytes_are_never_given_out(work: Work) -> None:
    work.commit("1", {b"text": TEXT, b"b": b"b"})
    packs = Path(work.folder, ".dsvc", "packs")
    for pack in packs.rglob("*"):
        if pack.is_file():
            data = bytearray(pack.read_bytes())
            for at in range(0, len(data) // 3, 2000):
                data[at + 40] ^= 1
            pack.chmod(0o644)
            pack.write_bytes(bytes(data))
    work.reopen()
    with pytest.raises((CorruptDataError, MissingDataError, MalformedInputError)):
        read(work, b"text")


def test_a_list_that_lies_about_lengths_is_refused() -> None:
    store = ChunkStore(MemoryBackend())
    part = put_file(store, b"p", b"12345")
    root = bytes(write_list(store, [ChunkRef(5, part.digest), ChunkRef(7, None)]))
    wrong = Entry(b"f", part.mode, 13, part.digest, part.xxh3, 0, root)
    with pytest.raises(MalformedInputError):
        StoredFile(store, wrong).read(1)
    root = bytes(write_list(store, [ChunkRef(6, part.digest), ChunkRef(7, None)]))
    store.publish()
    with pytest.raises(CorruptDataError):
        StoredFile(store, Entry(b"f", part.mode, 13, part.digest, part.xxh3, 0, root)).read(1)


@pytest.mark.parametrize("rev", ["HEAD", "WORKTREE"])
def test_links_are_followed_inside_the_version_only(work: Work, rev: str) -> None:
    work.commit(
        "1",
        {
            b"d/a": b"content",
            b"d/e/up": link(b"../a"),
            b"to-file": link(b"d/./a"),
            b"to-folder": link(b"d/e"),
            b"chain": link(b"to-folder/up"),
            b"out": link(b"../secret"),
            b"absolute": link(b"/etc/passwd"),
            b"dangling": link(b"nosuch"),
            b"loop": link(b"loop"),
            b"internal": link(b".dsvc/config"),
        },
    )
    (work.folder.parent / "secret").write_bytes(b"secret")
    for path in (b"d/a", b"d/e/up", b"to-file", b"chain", b"to-folder/up"):
        assert read(work, path, rev) == b"content", path
    for path in (b"out", b"absolute", b"dangling", b"loop", b"to-folder/no", b"d/a/b"):
        with pytest.raises(NotFoundError):
            work.repo.open_file(path, rev)
    with pytest.raises((NotFoundError, MalformedInputError)):
        work.repo.open_file(b"internal", rev)
    for path in (b"d", b"d/e", b"to-folder", b""):
        with pytest.raises(IsAFolderError):
            work.repo.open_file(path, rev)


def test_a_fifo_in_the_tree_is_not_waited_for(work: Work) -> None:
    os.mkfifo(work.path(b"pipe"))
    with pytest.raises(UsageError):
        work.repo.open_file(b"pipe", "WORKTREE")


def test_the_hint_says_what_may_have_been_meant(work: Work) -> None:
    work.commit("1", {b"data/train.jsonl": b"1", b"data/test.jsonl": b"2", b"Readme": b"3"})
    for path, meant in (
        (b"data/tran.jsonl", "data/train.jsonl"),
        (b"dta/test.jsonl", "data/test.jsonl"),
        (b"README", "Readme"),
    ):
        with pytest.raises(NotFoundError) as caught:
            work.repo.open_file(path)
        assert caught.value.exit_code == 14
        assert meant in (caught.value.hint or "")
        with pytest.raises(NotFoundError):
            work.repo.ls(path=path)


def lines(found: Iterable[Listing]) -> list[tuple[bytes, bool, int, int]]:
    return [(item.path, item.entry is None, item.files, item.size) for item in found]


@pytest.mark.parametrize("rev", [None, "STAGED", "WORKTREE"])
def test_ls_lists_children_with_totals(work: Work, rev: str | None) -> None:
    work.commit(
        "1",
        {
            b"a": b"1",
            b"d!": b"22",
            b"d/x": b"333",
            b"d/e/y": b"4444",
            b"d/e/z": b"",
            b"d0": link(b"a"),
            "空".encode(): EMPTY_FOLDER,
            b"\xff/f": b"55555",
        },
    )
    assert lines(work.repo.ls(rev)) == [
        (b"a", False, 1, 1),
        (b"d!", False, 1, 2),
        (b"d", True, 3, 7),
        (b"d0", False, 1, 1),
        ("空".encode(), True, 0, 0),
        (b"\xff", True, 1, 5),
    ]
    assert lines(work.repo.ls(rev, b"d")) == [(b"d/e", True, 2, 4), (b"d/x", False, 1, 3)]
    assert lines(work.repo.ls(rev, b"d/")) == lines(work.repo.ls(rev, b"d"))
    assert lines(work.repo.ls(rev, b"d/x")) == [(b"d/x", False, 1, 3)]
    assert lines(work.repo.ls(rev, "空".encode())) == []
    assert [item[0] for item in lines(work.repo.ls(rev, b"d", recursive=True))] == [
        b"d/e/y",
        b"d/e/z",
        b"d/x",
    ]
    assert len(lines(work.repo.ls(rev, recursive=True))) == 8


def test_ls_of_the_working_tree_shows_what_is_there_now(work: Work) -> None:
    work.commit("1", {b"d/a": b"1", b"d/b": b"2", b"c": b"3"})
    work.write({b"d/a": b"longer", b"d/b": None, b"new": b"untracked"})
    assert lines(work.repo.ls("WORKTREE")) == [(b"c", False, 1, 1), (b"d", True, 1, 6)]
    assert lines(work.repo.ls("WORKTREE", b"d")) == [(b"d/a", False, 1, 6)]
    assert lines(work.repo.ls("WORKTREE", b"d/a")) == [(b"d/a", False, 1, 6)]


names = st.binary(min_size=1, max_size=3).filter(lambda n: b"/" not in n and b"\0" not in n)


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.lists(names, min_size=1, max_size=3).map(b"/".join), max_size=30),
    st.integers(0, 400),
    st.binary(max_size=4),
    st.binary(max_size=4),
)
def test_ranges_of_random_manifests(paths: set[bytes], more: int, low: bytes, high: bytes) -> None:
    paths = {
        path
        for path in paths
        if not path.startswith((b".", b"m")) and not set(path.split(b"/")) & {b".", b".."}
    }
    # A path that is a file here and a folder there can't be.
    paths = {path for path in paths if not any(other.startswith(path + b"/") for other in paths)}
    tree = {path: bytes(len(path)) for path in paths}
    tree |= {b"many/%d/%05d" % (number % 5, number): bytes(number % 9) for number in range(more)}
    store = ChunkStore(MemoryBackend())
    manifest = Manifest(store, NodeId(put_manifest(store, tree)))
    within = [path for path in tree if low <= path < high]
    assert totals_between(manifest, low, high) == (len(within), sum(len(tree[p]) for p in within))
    first = manifest.first_from(low)
    assert (None if first is None else first.path) == min((p for p in tree if p >= low), default=None)
    found = {item.path: item for item in children(manifest, b"")}
    assert set(found) == {path.split(b"/")[0] for path in tree}
    for path, item in found.items():
        below = [p for p in tree if p == path or p.startswith(path + b"/")]
        assert item.size == sum(len(tree[p]) for p in below)


def test_ls_reads_few_nodes(tmp_path: Path) -> None:
    store = ChunkStore(MemoryBackend())
    tree = {b"%02d/%05d" % (folder, number): b"x" for folder in range(4) for number in range(8000)}
    root = put_manifest(store, tree)
    manifest = Manifest(store, root)
    assert len(list(children(manifest, b""))) == 4
    assert len(store.nodes) < 40
    shutil.rmtree(tmp_path)


def test_many_ranges_of_a_large_file(work: Work) -> None:
    content = noise(9_000_000, 3)
    work.commit("1", {b"large": content})
    generator = random.Random(1)
    with work.repo.open_file(b"large") as stream:
        for _ in range(200):
            start, length = generator.randrange(9_000_000), generator.randrange(100_000)
            stream.seek(start)
            assert stream.read(length) == content[start : start + length]
