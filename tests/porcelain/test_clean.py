"""clean."""

from __future__ import annotations

import os

import pytest

from dsvc.model.errors import NotFoundError
from dsvc.porcelain.repository import Repository
from tests.porcelain.working import EMPTY_FOLDER, Work, link, program, text

NEW = {
    "新/深/一".encode(): b"1",
    b"new.sh": program(b"#!/bin/sh\n"),
    b"l": link(b"nowhere"),
    b"d/new": b"",
    b"empty/in": EMPTY_FOLDER,
    b"bad-\xff": b"bytes",
}


@pytest.fixture
def littered(work: Work) -> Work:
    work.commit("base", {b"a": b"1", b"d/b": b"2", b".dsvcignore": b"*.tmp\nbuild/\n"})
    work.write({b"x.tmp": b"ignored", b"build/out": b"ignored", b"a": b"edited"})
    work.write(NEW)
    return work


def test_removes_what_is_untracked_and_undo_brings_it_back(littered: Work) -> None:
    before = littered.everything()
    removed, result = littered.repo.clean()
    assert removed == sorted([b"bad-\xff", b"d/new", b"empty/in/", b"l", b"new.sh", "新/深/一".encode()])
    assert result is not None
    assert (result.removed, result.saved) == (5, 6)
    assert littered.tree() == {
        b"a": text("edited"),
        b"d/b": text("2"),
        b".dsvcignore": text("*.tmp\nbuild/\n"),
        b"x.tmp": text("ignored"),
        b"build/out": text("ignored"),
    }
    assert littered.repo.operations(1)[0].verb == "clean"
    assert str(littered.repo.operations(1)[0].id) == result.undo
    undone = littered.repo.undo()
    assert undone.verb == "clean"
    assert littered.everything() == before
    littered.repo.undo(undone.operation)
    assert "新/深/一".encode() not in littered.tree()


def test_dry_run_only_lists(littered: Work) -> None:
    before = littered.everything()
    operations = len(littered.repo.operations())
    removed, result = littered.repo.clean(dry_run=True)
    assert len(removed) == 6
    assert result is None
    assert littered.everything() == before
    assert len(littered.repo.operations()) == operations


def test_limited_to_paths(littered: Work) -> None:
    removed, _ = littered.repo.clean([b"d", b"new.sh"])
    assert removed == [b"d/new", b"new.sh"]
    assert "新/深/一".encode() in littered.tree()
    with pytest.raises(NotFoundError):
        littered.repo.clean([b"nothing"])


def test_nothing_to_clean(work: Work) -> None:
    work.commit("base", {b"a": b"1"})
    assert work.repo.clean() == ([], None)
    assert work.repo.operations(1)[0].verb == "commit"


def test_nested_repositories_and_special_files_stay(work: Work) -> None:
    work.commit("base", {b"a": b"1"})
    work.write({b"sub/.git/HEAD": b"x", b"sub/f": b"1"})
    Repository.init(str(work.folder / "inner"), nested=True)
    Work(work.folder / "inner").write({b"mine": b"1"})
    os.mkfifo(work.folder / "pipe")
    removed, _ = work.repo.clean()
    assert removed == [b"sub/f"]
    assert (work.folder / "sub/.git/HEAD").exists()
    assert (work.folder / "inner/mine").exists()
    assert (work.folder / "pipe").exists()
