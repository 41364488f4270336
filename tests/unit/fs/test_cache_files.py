"""Files of a cache: kept where that can be done, and in nobody's way where it can't."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.fs import cache_files
from dsvc.fs.failpoints import Action, Plan, armed


def test_a_kept_file_is_there_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "deep" / "file"
    assert cache_files.keep(str(path), [b"one", b"two"])
    assert path.read_bytes() == b"onetwo"
    assert cache_files.keep(str(path), b"three")
    assert path.read_bytes() == b"three"
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("action", [Action.EIO, Action.ENOSPC])
def test_what_can_not_be_kept_costs_nothing_but_time(tmp_path: Path, action: Action) -> None:
    path = tmp_path / "cache" / "file"
    at = 0
    while True:
        at += 1
        with armed(Plan(action=action, at=at)) as plan:
            kept = cache_files.keep(str(path), b"data")
        assert kept == (plan.fired == 0)
        assert path.exists() == kept
        if kept:
            break
    assert at > 3
    assert os.listdir(path.parent) == ["file"]


def test_a_cache_is_never_flushed(tmp_path: Path) -> None:
    with armed(Plan()) as plan:
        cache_files.keep(str(tmp_path / "a" / "file"), b"data")
    assert [name for name, _ in plan.seen] == ["mkdir", "open", "write", "rename"]


def test_where_something_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert not cache_files.keep(str(tmp_path / "file" / "below"), b"data")
    (tmp_path / "circle").symlink_to("circle")
    assert not cache_files.keep(str(tmp_path / "circle" / "below"), b"data")


def test_writable_is_what_the_nearest_folder_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_files.writable(str(tmp_path))
    assert cache_files.writable(str(tmp_path / "a" / "b" / "c"))
    assert not cache_files.writable("/proc/self/nothing")
    monkeypatch.chdir(tmp_path)
    assert cache_files.writable("relative/path")
    assert os.listdir(tmp_path) == []
