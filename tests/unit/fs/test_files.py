"""The write seam: complete or an error, and failpoints that act at the operation they name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dsvc.fs import failpoints, files
from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import StorageError
from dsvc.testing.faults import run_in_child


def _new(path: Path) -> int:
    return files.open_new(str(path))


@pytest.mark.parametrize("persistent", [False, True])
def test_short_writes_are_completed(tmp_path: Path, persistent: bool) -> None:
    buffers = [b"one", b"", b"two" * 1000, memoryview(b"three")]
    with armed(Plan(action=Action.SHORT_WRITE, at=2, persistent=persistent)) as plan:
        fd = _new(tmp_path / "file")
        files.writev(fd, buffers)
        files.write(fd, b"four")
        files.pwrite(fd, b"FIVE", 0)
        os.close(fd)
    assert plan.fired >= 1
    expected = b"one" + b"two" * 1000 + b"three" + b"four"
    assert (tmp_path / "file").read_bytes() == b"FIVE" + expected[4:]


def test_more_buffers_than_one_call_takes(tmp_path: Path) -> None:
    fd = _new(tmp_path / "file")
    files.writev(fd, [b"%04d" % n for n in range(3000)])
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"".join(b"%04d" % n for n in range(3000))


@pytest.mark.parametrize("action", [Action.EIO, Action.ENOSPC])
def test_errors_are_typed_and_say_what_to_do(tmp_path: Path, action: Action) -> None:
    path = str(tmp_path / "file")
    with armed(Plan(action=action, at=1)), pytest.raises(StorageError) as caught:
        files.write_atomically(path, b"data")
    assert caught.value.exit_code == 33
    assert caught.value.hint
    assert caught.value.details["errno"] == action.name


def test_nothing_of_a_failed_replacement_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with armed(Plan()) as plan:
        files.write_atomically(str(path), b"before")
    for at in range(1, len(plan.seen) + 1):
        for action in (Action.EIO, Action.MEMORY):
            with armed(Plan(action=action, at=at)), pytest.raises((StorageError, MemoryError)):
                files.write_atomically(str(path), b"after")
            renamed = at > [name for name, _ in plan.seen].index("rename") + 1
            assert path.read_bytes() == (b"after" if renamed else b"before")
            assert os.listdir(tmp_path) == ["file"]
            path.write_bytes(b"before")


def test_killed_at_each_step_it_is_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    at = 0
    while True:
        at += 1
        outcome = run_in_child(
            lambda: files.write_atomically(str(path), b"after" * 100), Plan(action=Action.TORN_WRITE, at=at)
        )
        assert path.read_bytes() in (b"before", b"after" * 100)
        if not outcome.fired:
            break
    assert path.read_bytes() == b"after" * 100


def test_a_plan_counts_in_order_and_is_disarmed(tmp_path: Path) -> None:
    seen: list[tuple[int, str, str]] = []
    with armed(Plan(observer=lambda *what: seen.append(what))) as plan:
        files.write_atomically(str(tmp_path / "file"), b"data")
        files.unlink(str(tmp_path / "file"))
    assert failpoints.plan is None
    assert [name for name, _ in plan.seen] == ["open", "write", "fsync", "rename", "fsync_folder", "unlink"]
    assert [(number, name) for number, name, _ in seen] == list(enumerate([n for n, _ in plan.seen], 1))
    with pytest.raises(KeyError), armed(Plan()):
        raise KeyError
    assert failpoints.plan is None


def test_append_keeps_what_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    files.append(path, b"one\n")
    with armed(Plan(action=Action.SHORT_WRITE, at=1, persistent=True)):
        files.append(path, b"two, longer\n")
    assert Path(path).read_bytes() == b"one\ntwo, longer\n"


def test_a_new_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(StorageError):
        files.open_new(str(tmp_path / "link"))
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(StorageError):
        files.open_new(str(tmp_path / "dangling"))
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "target").read_bytes() == b"theirs"


def test_folders(tmp_path: Path) -> None:
    folder = str(tmp_path / "a" / "b" / "c")
    files.make_folders(folder)
    files.make_folders(folder)
    assert not files.make_folder(folder)
    with pytest.raises(StorageError):
        files.make_folder(folder, exist_ok=False)
    assert not files.remove_folder(str(tmp_path / "a"))
    assert files.remove_folder(folder)
    assert not files.remove_folder(folder)
    with pytest.raises(StorageError) as caught:
        files.unlink(folder)
    assert caught.value.details["errno"] == errno.errorcode[errno.ENOENT]
    files.unlink(folder, missing_ok=True)
