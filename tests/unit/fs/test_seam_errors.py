"""What the write seam says where the system refuses: which operation, on what, and with which error."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.fs import files, locks
from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import StorageError

FD = -1
OPERATIONS: list[tuple[str, Callable[[str], object]]] = [
    ("create {}", files.open_new),
    ("resize {}", lambda path: files.truncate(FD, 0, path)),
    ("change the mode of {}", lambda path: files.set_mode(FD, 0o600, path)),
    ("flush {}", lambda path: files.sync(FD, path)),
    ("flush folder {}", files.sync_folder),
    ("rename to {}", lambda path: files.rename("source", path)),
    ("link {}", lambda path: files.link("source", path)),
    ("remove {}", files.unlink),
    ("remove {}", lambda path: files.unlink(path, missing_ok=True)),
    ("create folder {}", files.make_folder),
    ("remove folder {}", files.remove_folder),
    ("link {}", lambda path: files.symlink(b"target", path)),
    ("open {}", lambda path: files.append(path, b"data")),
    ("write {}", lambda path: files.write(FD, b"data", path)),
    ("write {}", lambda path: files.pwrite(FD, b"data", 0, path)),
]


@pytest.mark.parametrize(("doing", "operation"), OPERATIONS)
def test_a_refused_operation_is_named(tmp_path: Path, doing: str, operation: Callable[[str], object]) -> None:
    path = str(tmp_path / "数据")
    with armed(Plan(action=Action.EIO, at=1)), pytest.raises(StorageError) as caught:
        operation(path)
    assert caught.value.message == f"cannot {doing.format(path)}: {os.strerror(errno.EIO)}"
    assert caught.value.details == {"errno": "EIO", "path": path}
    assert "fsck" in str(caught.value.hint)
    assert os.listdir(tmp_path) == []


def test_an_error_without_a_number_is_told_too() -> None:
    told = files.storage_error(OSError("odd"), "read", b"a\xff")
    assert told.message == "cannot read a\ufffd: odd"
    assert told.details == {"errno": "0", "path": "a\ufffd"}
    assert told.hint is None


def test_a_name_that_is_taken_is_the_callers_business(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"theirs")
    (tmp_path / "mine").write_bytes(b"mine")
    folder = os.open(tmp_path, os.O_RDONLY)
    unnamed = files.open_unnamed(folder)
    try:
        with pytest.raises(FileExistsError):
            files.link(str(tmp_path / "mine"), str(taken))
        with pytest.raises(FileExistsError):
            files.symlink(b"mine", str(taken))
        with pytest.raises(FileExistsError):
            files.link_unnamed(unnamed, b"taken", dir_fd=folder)
    finally:
        os.close(unnamed)
        os.close(folder)
    assert taken.read_bytes() == b"theirs"


def test_a_file_without_a_name_gets_one(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    unnamed = files.open_unnamed(folder, 0o640)
    try:
        files.write(unnamed, b"content")
        assert os.listdir(tmp_path) == []
        files.link_unnamed(unnamed, b"\xe6\x96\x87", dir_fd=folder)
    finally:
        os.close(unnamed)
        os.close(folder)
    assert (tmp_path / "文").read_bytes() == b"content"
    assert (tmp_path / "文").stat().st_mode & 0o137 == 0, "the mode asked for, less the umask"


def test_a_link_is_linked_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    files.link(str(tmp_path / "link"), str(tmp_path / "second"))
    assert os.readlink(tmp_path / "second") == "target"


def test_size_mode_and_place_of_an_open_file(tmp_path: Path) -> None:
    fd = files.open_new(str(tmp_path / "file"))
    files.write(fd, b"0123456789")
    files.pwritev(fd, [b"ab", b"", b"cd"], 3)
    files.write(fd, b"end")
    files.truncate(fd, 12)
    files.set_mode(fd, 0o400)
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"012abcd789en"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o400


def operations_of(call: Callable[[], object]) -> list[str]:
    with armed(Plan()) as plan:
        call()
    return [name for name, _ in plan.seen]


def test_what_need_not_last_is_not_flushed(tmp_path: Path) -> None:
    path, log = str(tmp_path / "cache"), str(tmp_path / "log")
    assert operations_of(lambda: files.write_atomically(path, [b"a", b"b"], durable=False)) == [
        *("open", "write", "rename")
    ]
    assert Path(path).read_bytes() == b"ab"
    assert operations_of(lambda: files.append(log, b"x", durable=False)) == ["open", "write"]
    assert operations_of(lambda: files.append(log, b"x")) == ["open", "write", "fsync"]
    deep = str(tmp_path / "a" / "b")
    assert operations_of(lambda: files.make_folders(deep, durable=False)) == ["mkdir", "mkdir"]
    assert operations_of(lambda: files.make_folders(f"{deep}/c")) == ["mkdir", "fsync_folder"]
    assert operations_of(lambda: files.make_folders(f"{deep}/c")) == []


def test_folders_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.make_folders("a/b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_somebody_else_makes_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "folder"

    def meanwhile(_number: int, name: str, _path: str) -> None:
        if name == "mkdir":
            path.mkdir()

    with armed(Plan(observer=meanwhile)) as plan:
        files.make_folders(str(path))
    assert [name for name, _ in plan.seen] == ["mkdir"], "who makes it flushes it"


def test_a_temporary_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    places: list[str] = []
    with armed(Plan(observer=lambda number, name, path: places.append(f"{name} {path}"))):
        files.write_atomically(str(tmp_path / "file"), b"x", temporary=str(tmp_path / "tmp"))
    assert places[0].startswith(f"open {tmp_path}/tmp/tmp-{os.getpid()}-")
    assert os.listdir(tmp_path / "tmp") == []


def test_discarding_never_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    for name in ("file", "missing", "folder"):
        files.discard(str(tmp_path / name))
    files.discard_own(str(tmp_path / "missing"))
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("operation", [Action.EIO, Action.ENOSPC, Action.MEMORY])
def test_a_persistent_fault_goes_on_and_another_does_not(tmp_path: Path, operation: Action) -> None:
    def failed(plan: Plan) -> list[int]:
        found = []
        with armed(plan):
            for number in range(1, 6):
                try:
                    files.make_folder(str(tmp_path), exist_ok=True)
                except (StorageError, MemoryError):
                    found.append(number)
        return found

    assert failed(Plan(action=operation, at=3)) == [3]
    assert failed(Plan(action=operation, at=3, persistent=True)) == [3, 4, 5]
    assert failed(Plan(action=operation, at=1, persistent=True)) == [1, 2, 3, 4, 5]
    assert failed(Plan(action=operation, persistent=True)) == []
    plan = Plan(action=operation, at=2, persistent=True)
    failed(plan)
    assert (plan.fired, len(plan.seen)) == (4, 5)


def test_what_a_plan_tells_a_write() -> None:
    plan = Plan(action=Action.SHORT_WRITE, at=2)
    assert [plan.hit("write", "f") for _ in range(3)] == [Action.COUNT, Action.SHORT_WRITE, Action.COUNT]
    assert plan.fired == 1


def test_permissions_are_what_the_user_allows(tmp_path: Path) -> None:
    """Everything for everybody but to execute, less the umask, as for any file that a program makes."""
    folder = os.open(tmp_path, os.O_RDONLY)
    for umask, expected in ((0, 0o666), (0o027, 0o640)):
        before = os.umask(umask)
        try:
            os.close(files.open_new(str(tmp_path / f"new{umask}")))
            files.append(str(tmp_path / f"log{umask}"), b"line\n")
            unnamed = files.open_unnamed(folder)
            with locks.hold(str(tmp_path / f"lock{umask}"), what="test"):
                pass
        finally:
            os.umask(before)
        assert os.fstat(unnamed).st_mode & 0o777 == expected
        os.close(unnamed)
        for name in ("new", "log", "lock"):
            assert (tmp_path / f"{name}{umask}").stat().st_mode & 0o777 == expected
    os.close(folder)


def test_what_is_flushed_is_flushed_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(os.fstat(fd).st_ino))
    fd = files.open_new(str(tmp_path / "file"))
    files.sync(fd)
    assert flushed == [os.fstat(fd).st_ino]
    os.close(fd)
    files.sync_folder(str(tmp_path))
    assert flushed[1:] == [tmp_path.stat().st_ino]


def test_own_files_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    files.discard_own(str(tmp_path / "missing"))
    assert os.listdir(tmp_path) == []


def test_a_plan_is_told_names_as_text(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with armed(Plan()) as plan:
        files.unlink("文\xe9".encode("latin-1", "replace") + b"\xff", dir_fd=folder, missing_ok=True)
        files.unlink(str(tmp_path / "a\udcff"), missing_ok=True)
    os.close(folder)
    assert plan.seen == [("unlink", "?\ufffd\ufffd"), ("unlink", str(tmp_path / "a\udcff"))]
