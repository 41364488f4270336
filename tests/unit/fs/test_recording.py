"""What the write seam tells a recorder is what was done, with all that repeating it takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.fs import files
from dsvc.fs.recording import Change, of_write, recorded


def test_every_kind_of_change_is_told(tmp_path: Path) -> None:
    seen: list[Change] = []
    one, two, three = (str(tmp_path / name) for name in ("one", "two", "三"))
    with recorded(seen.append):
        fd = files.open_new(one)
        files.write(fd, b"first", one)
        files.write(fd, b" second", one)
        files.sync(fd, one)
        facts = os.fstat(fd)
        os.close(fd)
        files.rename(one, two)
        files.rename(two, three)
        files.unlink(three)
    files.make_folder(one)
    assert not os.path.exists(three)
    writes = [each for each in seen if each.name == "write"]
    assert [(each.offset, each.data) for each in writes] == [(0, b"first"), (5, b" second")]
    assert {each.file for each in writes} == {(facts.st_dev, facts.st_ino)}
    made = next(each for each in seen if each.path == one)
    assert (made.file, made.mode) == ((facts.st_dev, facts.st_ino), facts.st_mode & 0o7777)
    assert [(each.source, each.path) for each in seen if each.name == "rename"] == [(one, two), (two, three)]
    assert (seen[-1].name, seen[-1].path) == ("unlink", three)
    assert any(each.name == "sync" and each.file == writes[0].file for each in seen)


def test_recorders_stand_in_one_another(tmp_path: Path) -> None:
    outer: list[Change] = []
    inner: list[Change] = []
    with recorded(outer.append):
        with recorded(inner.append):
            files.make_folder(str(tmp_path / "a"))
        files.make_folder(str(tmp_path / "b"))
    files.make_folder(str(tmp_path / "c"))
    of_write(-1, [], None, 0)  # nobody listens: not even looked at
    assert [each.path for each in inner] == [str(tmp_path / "a")]
    assert [each.path for each in outer] == [str(tmp_path / "b")]


def test_names_below_an_open_folder_are_told_whole(tmp_path: Path) -> None:
    seen: list[Change] = []
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with recorded(seen.append):
            files.symlink(b"target", b"link", dir_fd=folder)
            files.unlink(b"link", dir_fd=folder)
    finally:
        os.close(folder)
    link = str(tmp_path / "link")
    assert [(each.name, each.path, each.source) for each in seen] == [
        ("symlink", link, "target"),
        ("unlink", link, ""),
    ]


def test_modes_and_logs_and_names_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Change] = []
    monkeypatch.chdir(tmp_path)
    log = str(tmp_path / "log")
    with recorded(seen.append):
        files.append("log", b"line")
        with open(log, "rb") as file:
            files.set_mode(file.fileno(), 0o755)
            files.set_mode(file.fileno(), 0o4710)
    assert [(each.name, each.path) for each in seen if each.path] == [("append", log)]
    assert [each.mode for each in seen if each.name == "set_mode"] == [0o755, 0o4710]
    facts = os.stat(log)
    assert {each.file for each in seen} == {(facts.st_dev, facts.st_ino)}
