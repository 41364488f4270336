"""checkout, reset, restore and merge where files, staged work or a merge are in the way, as git does it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.model.errors import WouldOverwriteError
from dsvc.porcelain.state.values import ResetMode
from tests.porcelain.working import Work, text

TREE = {b"d/x": text(b"one\n"), b"f": text(b"two\n")}


@pytest.mark.parametrize("scope", [b"", b"d", b"d/x"])
def test_a_file_in_place_of_a_folder_is_stored_and_gives_way(work: Work, scope: bytes) -> None:
    work.commit("1", TREE)
    work.write({b"d/x": None, b"d": b"mine\n"})
    work.repo.restore([scope])
    assert work.tree() == TREE
    work.repo.undo()
    assert work.tree() == {b"d": text(b"mine\n"), b"f": text(b"two\n")}


def test_files_in_a_folder_in_place_of_a_file_are_stored_and_give_way(work: Work) -> None:
    work.commit("1", TREE)
    work.write({b"f": None, b"f/a": b"mine\n"})
    work.repo.restore([b""])
    assert work.tree() == TREE
    work.repo.undo()
    assert work.tree() == {b"d/x": text(b"one\n"), b"f/a": text(b"mine\n")}


def test_the_branch_is_not_moved_under_a_merge(work: Work) -> None:
    work.diverge({b"a": b"0\n"}, {b"a": b"1\n"}, {b"a": b"2\n"})
    work.repo.merge("topic")
    before = work.everything()
    with pytest.raises(WouldOverwriteError, match="merge is in progress"):
        work.repo.reset("HEAD~1", ResetMode.SOFT)
    assert work.everything() == before
    work.repo.resolve(b"a", side="ours")
    with pytest.raises(WouldOverwriteError):
        work.repo.reset("HEAD~1", ResetMode.SOFT)
    work.repo.reset("HEAD~1")
    assert work.repo.status().operation is None


def test_no_commit_is_replaced_in_the_middle_of_a_merge(work: Work) -> None:
    work.diverge({b"a": b"0\n"}, {b"a": b"1\n"}, {b"a": b"2\n"})
    work.repo.merge("topic")
    work.repo.resolve(b"a", side="ours")
    before = work.everything()
    with pytest.raises(WouldOverwriteError, match="merge is in progress"):
        work.repo.commit("again", amend=True)
    assert work.everything() == before
    made = work.repo.commit("merged").commit
    assert len(work.repo.history.read_commit(made).parents) == 2


def test_staged_work_is_carried_to_another_branch_for_good(work: Work) -> None:
    work.commit("1", TREE)
    work.branch("topic")
    work.commit("2", {b"f": b"other\n"})
    work.repo.checkout("main")
    work.write({b"d/x": b"mine\n"})
    work.repo.add([b"d/x"])
    work.repo.checkout("topic")
    found = work.reopen().status()
    assert [each.path for each in found.staged] == [b"d/x"]
    assert work.tree() == {b"d/x": text(b"mine\n"), b"f": text(b"other\n")}
    work.repo.checkout("main")
    assert work.reopen().fsck().ok
    assert work.tree() == {b"d/x": text(b"mine\n"), b"f": text(b"two\n")}


def test_staged_work_where_a_conflict_comes_is_not_merged_over(work: Work) -> None:
    work.diverge({b"a": b"0\n"}, {b"a": b"1\n"}, {b"a": None})
    work.repo.remove([b"a"])
    before = work.everything()
    with pytest.raises(WouldOverwriteError, match="uncommitted"):
        work.repo.merge("topic")
    assert work.everything() == before


def test_files_that_come_back_into_a_sparse_tree_are_tracked(work: Work) -> None:
    work.commit("1", {**TREE, b"noise": b"\0"})
    work.repo.checkout(sparse=["d/"])
    work.repo.remove([b"noise"], cached=True, force=True)
    work.repo.checkout(sparse=["*"])
    assert work.tree() == TREE
    found = work.reopen().status(untracked="all")
    assert ([each.path for each in found.staged], found.unstaged, found.untracked) == ([b"noise"], [], [])


def test_who_only_reads_what_is_staged_leaves_nothing_behind(work: Work) -> None:
    """A branch that another tool has moved: what was staged is put onto it, and nobody keeps that."""
    first = work.commit("1", TREE)
    work.commit("2", {b"b": b"2\n"})
    work.write({b"c": b"3\n", b"f": b"4\n"})
    work.repo.add(all=True)
    Path(work.repo.layout.git, "refs/heads/main").write_text(f"{first}\n")
    assert [each.path for each in work.repo.status().staged] == [b"c", b"f"]
    work.repo.close()
    assert os.listdir(work.repo.layout.temporary) == []
