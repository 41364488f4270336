"""Files and folders that are flushed side by side: all of them, in no order, and every error is told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dsvc.fs import files, recording
from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.fs.flushing import Unflushed, sync_folders
from dsvc.model.errors import StorageError

WRITES = """
import sys
from dsvc.fs import files
from dsvc.fs.flushing import Unflushed, sync_folders
with Unflushed(durable=True) as unflushed:
    for number in range(70):
        name = f"{sys.argv[1]}/{number}"
        unflushed.write(files.open_new(name), name, b"data")
    unflushed.flush()
sync_folders([sys.argv[1], sys.argv[1] + "/.."])
"""


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def refuse_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")
def test_the_system_is_asked_for_each_file_and_folder(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "folder"
    folder.mkdir()
    trace = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=fsync"]
    subprocess.run([*trace, sys.executable, "-c", WRITES, str(folder)], check=True)
    flushed = set(re.findall(r"fsync\(\d+<(.+?)>", log.read_text()))
    assert flushed == {*(str(folder / str(number)) for number in range(70)), str(folder), str(tmp_path)}


@pytest.mark.parametrize("threads", [True, False])
def test_what_is_flushed_together_is_told_once_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: bool
) -> None:
    if not threads:
        refuse_threads(monkeypatch)
    before, found = (descriptors(), threading.active_count()), []
    with recording.recorded(found.append), Unflushed(durable=True) as unflushed:
        for number in range(70):
            name = str(tmp_path / str(number))
            unflushed.write(files.open_new(name), name, b"data")
        unflushed.append(str(tmp_path / "log"), b"line\n")
        unflushed.flush()
        sync_folders([str(tmp_path)])
    inodes = {os.stat(entry.path).st_ino for entry in os.scandir(tmp_path)}
    synced = [change.file[1] for change in found if change.name == "sync"]
    assert (len(synced), set(synced)) == (71, inodes)
    assert [change.path for change in found if change.name == "sync_folder"] == [str(tmp_path)]
    assert (descriptors(), threading.active_count()) == before


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("at", [0, 1, 9])
def test_one_that_the_system_can_not_flush_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: bool, at: int
) -> None:
    """A pipe can't be flushed: EINVAL by the system itself."""
    if not threads:
        refuse_threads(monkeypatch)
    before = descriptors()
    read, write = os.pipe()
    with Unflushed(durable=True) as unflushed:
        for number in range(10):
            name = str(tmp_path / str(number))
            unflushed.keep(write if number == at else files.open_new(name), name)
        with pytest.raises(StorageError, match="cannot flush") as caught:
            unflushed.flush()
    os.close(read)
    assert caught.value.details == {"errno": "EINVAL", "path": str(tmp_path / str(at))}
    assert descriptors() == before


def test_folders_that_are_not_there_are_named(tmp_path: Path) -> None:
    before = descriptors()
    with pytest.raises(StorageError, match="cannot flush folder") as caught:
        sync_folders([str(tmp_path), str(tmp_path / "gone")])
    assert caught.value.details["path"] == str(tmp_path / "gone")
    with armed(Plan(action=Action.EIO, at=2)), pytest.raises(StorageError, match="cannot flush folder"):
        sync_folders([str(tmp_path), str(tmp_path)])
    assert descriptors() == before


def test_what_can_not_be_written_leaves_no_file(tmp_path: Path) -> None:
    before = descriptors()
    name = str(tmp_path / "file")
    with Unflushed(durable=True) as unflushed:
        fd = files.open_new(name)
        with armed(Plan(action=Action.ENOSPC, at=1)), pytest.raises(StorageError):
            unflushed.write(fd, name, b"data")
        unflushed.flush()
    assert os.listdir(tmp_path) == []
    assert descriptors() == before


def test_what_need_not_last_is_not_flushed(tmp_path: Path) -> None:
    name = str(tmp_path / "file")
    with armed(Plan()) as plan, Unflushed(durable=False) as unflushed:
        unflushed.write(files.open_new(name), name, b"data")
        unflushed.flush()
    assert [each for each, _ in plan.seen] == ["open", "write"]
    assert Path(name).read_bytes() == b"data"


def test_what_was_not_flushed_is_closed(tmp_path: Path) -> None:
    before = descriptors()
    with Unflushed(durable=True) as unflushed:
        unflushed.append(str(tmp_path / "log"), b"line")
        assert descriptors() == before + 1
    assert descriptors() == before
    assert (tmp_path / "log").read_bytes() == b"line"
