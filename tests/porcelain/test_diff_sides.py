"""diff: which sides are compared, and a working tree that changes meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dsvc.model.errors import DsvcError, NotFoundError, StorageError, UsageError
from dsvc.porcelain.tree import file_entry, worktree_side
from dsvc.store.ingest import UnstableFileError
from tests.porcelain.diffing import lines_of, status
from tests.porcelain.working import Work, link

# Which sides are compared


@pytest.fixture
def states(work: Work) -> Work:
    """`a` is 1 and 2 in two commits, 3 staged, 4 in the tree; `base` stands at the first."""
    work.commit("1", {b"a": b"1\n", b"gone": b"x\n"})
    work.repo.create_branch("base")
    work.commit("2", {b"a": b"2\n"})
    work.write({b"a": b"3\n"})
    work.repo.add([b"a"])
    work.write({b"a": b"4\n", b"gone": None, b"untracked": b"?"})
    return work


def between(work: Work, *arguments: str | None, **more: bool) -> tuple[str, str]:
    """What became of `a`, as (old, new)."""
    result = work.repo.diff(*arguments, paths=[b"a"], **more)  # type: ignore[arg-type]
    if not result.changes:
        return "", ""
    lines = lines_of(work, result.changes[0], result) or []
    return lines[-2][1:], lines[-1][1:]


def test_the_sides(states: Work) -> None:
    assert between(states) == ("2", "4")
    assert between(states, staged=True) == ("2", "3")
    assert between(states, "base", staged=True) == ("1", "3")
    assert between(states, "base") == ("1", "4")
    assert between(states, "base", "HEAD") == ("1", "2")
    assert between(states, "HEAD", "base") == ("2", "1")
    assert between(states, "STAGED", "WORKTREE") == ("3", "4")
    assert between(states, "WORKTREE", "STAGED") == ("4", "3")
    assert between(states, "STAGED") == ("3", "4")
    assert between(states, "WORKTREE", "base") == ("4", "1")
    assert between(states, "base..") == ("1", "2")
    assert between(states, "..base") == ("2", "1")
    assert between(states, "base..STAGED") == ("1", "3")
    assert between(states, "HEAD", "HEAD") == between(states, "WORKTREE", "WORKTREE") == ("", "")


def test_the_sides_are_named(states: Work) -> None:
    head, base = (str(states.repo.history.revisions.resolve(rev)) for rev in ("HEAD", "base"))
    assert (states.repo.diff().source, states.repo.diff().target) == (head, "WORKTREE")
    staged = states.repo.diff(staged=True)
    assert (staged.source, staged.target) == (head, "STAGED")
    symmetric = states.repo.diff("HEAD...base")
    assert (symmetric.source, symmetric.target) == (base, base)


def test_three_dots_begin_at_the_merge_base(work: Work) -> None:
    work.diverge({b"a": b"0"}, {b"ours": b"1"}, {b"theirs": b"2"})
    assert status(work.repo.diff("HEAD...topic")) == [("A", "theirs")]
    assert status(work.repo.diff("topic...")) == [("A", "ours")]
    assert status(work.repo.diff("HEAD..topic")) == [("A", "theirs"), ("D", "ours")]


def test_what_does_not_go_together(states: Work) -> None:
    for arguments, options in (
        ((None, "HEAD"), {}),
        (("base", "HEAD"), {"staged": True}),
        (("base..HEAD",), {"staged": True}),
        (("STAGED...HEAD",), {}),
    ):
        with pytest.raises(UsageError):
            states.repo.diff(*arguments, **options)  # type: ignore[arg-type]
    for rev in ("nosuch", "nosuch..HEAD", "HEAD..nosuch", "HEAD...nosuch"):
        with pytest.raises(NotFoundError):
            states.repo.diff(rev)


def test_before_the_first_commit(work: Work) -> None:
    work.write({b"a": b"1\n", b"untracked": b"?"})
    work.repo.add([b"a"])
    work.write({b"a": b"2\n"})
    assert status(work.repo.diff()) == status(work.repo.diff(staged=True)) == [("A", "a")]
    assert status(work.repo.diff("STAGED")) == [("M", "a")]


def test_paths_limit_it(states: Work) -> None:
    assert status(states.repo.diff()) == [("D", "gone"), ("M", "a")]
    assert status(states.repo.diff(paths=[b"gone"])) == [("D", "gone")]
    assert status(states.repo.diff(paths=[b""])) == status(states.repo.diff())
    assert status(states.repo.diff(paths=[b"untracked"])) == []
    assert status(states.repo.diff(paths=[b"nosuch"])) == []
    states.write({b"d/x": b"1"})
    states.repo.add([b"d"])
    assert status(states.repo.diff(paths=[b"d/"])) == [("A", "d/x")]
    assert status(states.repo.diff("base", "HEAD", paths=[b"a", b"gone"])) == [("M", "a")]


def test_a_path_that_only_the_revision_has(work: Work) -> None:
    work.commit("1", {b"d/old": b"1\n"})
    work.commit("2", {b"d/old": None, b"new": b"1"})
    assert status(work.repo.diff("HEAD~1", paths=[b"d"])) == [("D", "d/old")]


def test_staged_removal_and_the_file_still_there(work: Work) -> None:
    work.commit("1", {b"a": b"1\n"})
    work.repo.remove([b"a"], cached=True)
    assert status(work.repo.diff()) == [("D", "a")], "as in git, an untracked file is no part of it"
    assert status(work.repo.diff("STAGED")) == []


def test_back_to_what_the_revision_has_is_no_change(states: Work) -> None:
    states.write({b"a": b"2\n", b"gone": b"x\n"})
    assert states.repo.diff().changes == []
    assert status(states.repo.diff("STAGED")) == [("M", "a")]


def test_a_file_becomes_a_folder(work: Work) -> None:
    work.commit("1", {b"a": b"1\n", b"d/x": b"2\n"})
    work.write({b"a": None, b"d": None})
    work.write({b"a/inner": b"1\n", b"d": b"2\n"})
    assert status(work.repo.diff()) == [("D", "a"), ("D", "d/x")]
    work.repo.add(all=True)
    assert status(work.repo.diff()) == [("R", "a", "a/inner"), ("R", "d/x", "d")]


def test_sparse_paths_are_not_removed(work: Work) -> None:
    work.commit("1", {b"in/a": b"1\n", b"out/b": b"1\n"})
    work.commit("2", {b"in/a": b"2\n", b"out/b": b"2\n"})
    work.repo.checkout("HEAD", sparse=["in/"])
    assert work.repo.diff().changes == []
    result = work.repo.diff("HEAD~1")
    assert status(result) == [("M", "in/a"), ("M", "out/b")]
    for change in result.changes:
        assert (lines_of(work, change, result) or [])[-2:] == ["-1", "+2"]


# The working tree under its feet


def test_unchanged_files_are_not_read(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.commit("1", {b"%d" % number: b"x" for number in range(50)})
    work.write({b"7": b"y"})
    os.utime(work.path(b"7"), (1, 1))
    work.repo.status()
    read: list[bytes] = []
    plain = file_entry.entry_unstored

    def counting(path: bytes, *rest: Any) -> object:
        read.append(path)
        return plain(path, *rest)

    monkeypatch.setattr(worktree_side, "entry_unstored", counting)
    assert status(work.repo.diff()) == [("M", "7")]
    assert read == [b"7"]


def test_a_file_that_changes_after_it_was_compared(work: Work) -> None:
    work.commit("1", {b"a": b"1\n" * 10, b"l": link(b"x")})
    for later in (b"shorter", None, link(b"/etc/passwd")):
        work.write({b"a": b"2\n" * 10})
        result = work.repo.diff()
        work.write({b"a": later})
        lines = work.repo.unified_diff(result.changes[0], result)
        assert lines is not None
        with pytest.raises((UnstableFileError, StorageError)):
            list(lines)


def test_a_folder_replaced_by_a_link_is_not_followed(work: Work, tmp_path: Path) -> None:
    work.commit("1", {b"d/a": b"1\n"})
    work.write({b"d/a": b"2\n"})
    result = work.repo.diff()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"3\n")
    work.write({b"d": None})
    os.symlink(outside, work.path(b"d"))
    lines = work.repo.unified_diff(result.changes[0], result)
    assert lines is not None
    with pytest.raises(DsvcError):
        list(lines)
    assert status(work.repo.diff()) == [("D", "d/a")]


def test_a_large_file_that_is_not_stored(work: Work) -> None:
    old = b"".join(b'{"id": %d, "text": "%x"}\n' % (n, n * 2654435761 % 2**32) for n in range(400_000))
    work.commit("1", {b"large.jsonl": old})
    new = old.replace(b'{"id": 200000,', b'{"id": -1,') + b"last\n"
    work.write({b"large.jsonl": new})
    result = work.repo.diff()
    change = result.changes[0]
    assert work.repo.diff_stat(change, result) == (2, 1)
    lines = lines_of(work, change, result)
    assert lines is not None
    assert [line for line in lines if line[0] in "+-"][2:] == [
        f"-{old.splitlines()[200_000].decode()}",
        f"+{new.splitlines()[200_000].decode()}",
        "+last",
    ]
