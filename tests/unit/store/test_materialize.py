"""Files written from the store: whole or not at all, on file systems that can less too."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dsvc.fs.beneath import Beneath
from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import CorruptDataError, MissingDataError, StorageError, WouldOverwriteError
from dsvc.model.manifest import MODE_DIRECTORY, MODE_EXECUTABLE, MODE_FILE, ChunkRef, Entry
from dsvc.store.chunk_list import write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import FileStat, store_symlink
from dsvc.store.materialize import TreeWriter, content_parts, read_content
from dsvc.store.memory_backend import MemoryBackend
from tests.storekit import noise, put_file

PATH = "文件/a file".encode()


@pytest.fixture
def store() -> ChunkStore:
    return ChunkStore(MemoryBackend())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    made.mkdir()
    (tmp_path / "temporary").mkdir()
    return made


@pytest.fixture(params=["unnamed", "named", "elsewhere"])
def writer(
    request: pytest.FixtureRequest, store: ChunkStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TreeWriter]:
    """A writer on a file system that has unnamed files, on one that hasn't, and with tmp on another one."""
    was = os.open

    def no_unnamed(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no such thing")
        return was(path, flags, *rest, **named)

    def other_disk(name: str) -> Any:
        function = getattr(os, name)

        def call(source: Any, target: Any, **named: Any) -> None:
            if isinstance(source, str) and source.startswith(temporary):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            function(source, target, **named)

        return call

    temporary = str(root.parent / "temporary")
    if request.param != "unnamed":
        monkeypatch.setattr(os, "open", no_unnamed)
    if request.param == "elsewhere":
        for name in ("link", "rename"):
            monkeypatch.setattr(os, name, other_disk(name))
    with Beneath(str(root)) as tree:
        yield TreeWriter(store, tree, temporary)
    assert os.listdir(temporary) == []
    assert not list(root.rglob(".dsvc-*"))


def stored(store: ChunkStore, data: bytes, **changes: Any) -> Entry:
    made = put_file(store, PATH, data, raw=True)
    store.publish()
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return Entry(**{**fields, **changes})


@pytest.mark.parametrize("data", [b"", b"x", noise(3_000_000, 1)])
@pytest.mark.parametrize("mode", [MODE_FILE, MODE_EXECUTABLE])
def test_new_files(store: ChunkStore, root: Path, writer: TreeWriter, data: bytes, mode: int) -> None:
    found = writer.write(stored(store, data, mode=mode))
    path = root / os.fsdecode(PATH)
    assert path.read_bytes() == data
    assert found == FileStat.of(os.stat(path))
    assert bool(path.stat().st_mode & stat.S_IXUSR) == (mode == MODE_EXECUTABLE)


def test_what_stands_there_stays_unless_it_may_go(store: ChunkStore, root: Path, writer: TreeWriter) -> None:
    entry, path = stored(store, b"ours"), root / os.fsdecode(PATH)
    path.parent.mkdir()
    path.write_bytes(b"theirs")
    with pytest.raises(WouldOverwriteError) as caught:
        writer.write(entry)
    assert caught.value.details == {"path": PATH.decode()}
    assert path.read_bytes() == b"theirs"
    assert writer.write(entry, replace=True) == FileStat.of(os.stat(path))
    assert path.read_bytes() == b"ours"


def test_symlinks(store: ChunkStore, root: Path, writer: TreeWriter) -> None:
    path = root / "link"
    first = store_symlink(store, b"link", b"target")
    second = store_symlink(store, b"link", "另一个".encode())
    store.publish()
    assert writer.write(first) == FileStat.of(os.lstat(path))
    assert os.readlink(path) == "target"
    with pytest.raises(WouldOverwriteError):
        writer.write(second)
    assert os.readlink(path) == "target"
    assert writer.write(second, replace=True) == FileStat.of(os.lstat(path))
    assert os.readlink(path) == "另一个"
    writer.remove(b"link")
    writer.remove(b"link")
    assert not path.is_symlink()


def test_folders(store: ChunkStore, root: Path, writer: TreeWriter) -> None:
    empty = Entry(b"a/b", MODE_DIRECTORY, 0, b"d" * 32, b"x" * 16, 0, None, 0)
    assert writer.write(empty) is None
    assert (root / "a" / "b").is_dir()


def test_holes_are_holes(store: ChunkStore, root: Path, writer: TreeWriter) -> None:
    data = noise(5000, 2)
    whole = put_file(store, PATH, data, raw=True)
    hole = 8 << 20
    for order in ([None, 1], [1, None], [1, None, 1], [None]):
        refs = [ChunkRef(hole, None) if part is None else ChunkRef(5000, whole.digest) for part in order]
        chunks = bytes(write_list(store, refs))
        store.publish()
        size = sum(ref.length_bytes for ref in refs)
        writer.write(stored(store, data, size=size, chunks=chunks), replace=True)
        path = root / os.fsdecode(PATH)
        assert path.read_bytes() == b"".join(bytes(hole) if part is None else data for part in order)
        assert path.stat().st_blocks * 512 < size


def test_content_that_can_not_be_had_leaves_nothing(
    store: ChunkStore, root: Path, writer: TreeWriter
) -> None:
    good = stored(store, noise(5000, 3))
    missing = stored(store, b"x", digest=b"m" * 32)
    with pytest.raises(MissingDataError):
        writer.write(missing)
    refs = [ChunkRef(5000, good.digest), ChunkRef(10, b"m" * 32)]
    chunks = bytes(write_list(store, refs))
    store.publish()
    with pytest.raises(MissingDataError):
        writer.write(stored(store, noise(5000, 3), size=5010, chunks=chunks), replace=True)
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


def test_a_chunk_of_another_length_is_refused(store: ChunkStore, root: Path, writer: TreeWriter) -> None:
    lying = stored(store, noise(5000, 3), size=4999)
    with pytest.raises(CorruptDataError, match="another length"):
        writer.write(lying)
    with pytest.raises(CorruptDataError):
        read_content(store, lying)
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize("action", [Action.EIO, Action.ENOSPC, Action.MEMORY])
@pytest.mark.parametrize("replace", [False, True])
def test_errors_at_any_operation_leave_the_old_or_the_new(
    store: ChunkStore, root: Path, writer: TreeWriter, action: Action, replace: bool
) -> None:
    entry, path = stored(store, noise(3000, 4)), root / os.fsdecode(PATH)
    path.parent.mkdir()
    for at in range(1, 30):
        path.unlink(missing_ok=True)
        if replace:
            path.write_bytes(b"old")
        with armed(Plan(action=action, at=at)) as plan, suppress(StorageError, MemoryError):
            writer.write(entry, replace=replace)
        now = path.read_bytes() if path.exists() else None
        assert now in ((b"old" if replace else None), noise(3000, 4))
        assert os.listdir(path.parent) == [path.name] * (now is not None)
        if not plan.fired:
            return
    raise AssertionError("it never ran through")


def test_an_error_that_is_not_about_unnamed_files_is_told(
    store: ChunkStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, was = stored(store, b"data"), os.open

    def full(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return was(path, flags, *rest, **named)

    with Beneath(str(root)) as tree:
        monkeypatch.setattr(os, "open", full)
        with pytest.raises(StorageError) as caught:
            TreeWriter(store, tree, str(root.parent / "temporary")).write(entry)
    assert caught.value.details == {"errno": "ENOSPC", "path": PATH.decode()}


def test_parts_in_order(store: ChunkStore) -> None:
    data = noise(5000, 5)
    whole = put_file(store, PATH, data, raw=True)
    refs = [ChunkRef(7, None), ChunkRef(5000, whole.digest), ChunkRef(9, None)]
    chunks = bytes(write_list(store, refs))
    store.publish()
    entry = stored(store, data, size=5016, chunks=chunks)
    parts = [part if isinstance(part, int) else bytes(part) for part in content_parts(store, entry)]
    assert parts == [7, data, 9]
    assert read_content(store, entry) == bytes(7) + data + bytes(9)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("replace", [False, True])
def test_permissions_are_those_of_the_user(
    writer: TreeWriter, store: ChunkStore, root: Path, mask: int, replace: bool
) -> None:
    before = os.umask(mask)
    try:
        for name, mode, expected in ((b"file", MODE_FILE, 0o666), (b"program", MODE_EXECUTABLE, 0o777)):
            made = put_file(store, name, b"content")
            store.publish()
            made = Entry(name, mode, made.size, made.digest, made.xxh3)
            found = writer.write(made, replace=replace)
            written = os.stat(root / os.fsdecode(name))
            assert stat.S_IMODE(written.st_mode) == expected & ~mask
            assert found == FileStat.of(written)
    finally:
        os.umask(before)


@pytest.mark.parametrize("action", [Action.ENOSPC, Action.EIO])
def test_an_error_that_comes_once_is_no_other_file_system(
    store: ChunkStore, root: Path, action: Action
) -> None:
    made = put_file(store, b"file", b"content")
    store.publish()
    (root / "file").write_bytes(b"before")
    with Beneath(str(root)) as tree:
        writer = TreeWriter(store, tree, str(root.parent / "temporary"))
        with armed(Plan()) as plan:
            writer.write(made, replace=True)
        (root / "file").write_bytes(b"before")
        kinds = [name for name, _ in plan.seen]
        for at in range(1, kinds.index("rename") + 2):
            with armed(Plan(action=action, at=at)), pytest.raises(StorageError):
                writer.write(made, replace=True)
            assert (root / "file").read_bytes() == b"before"
            assert os.listdir(root) == ["file"]
            assert os.listdir(root.parent / "temporary") == []
