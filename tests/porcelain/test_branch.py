"""Branches: made, moved, renamed and deleted as in git, one operation each."""

from __future__ import annotations

import pytest

from dsvc.history.refs import RefConflictError
from dsvc.model.errors import MalformedInputError, NotFoundError, UsageError
from dsvc.porcelain.state.ref_moves import CurrentBranchError, RefExistsError, UnmergedBranchError
from tests.porcelain.working import Work


@pytest.fixture
def two(work: Work) -> Work:
    """Two commits on main."""
    work.commit("1", {b"a": b"1"})
    work.commit("2", {b"a": b"2"})
    return work


def names(work: Work) -> list[str]:
    return [("*" if branch.current else "") + branch.name for branch in work.reopen().branches()]


def resolve(work: Work, rev: str) -> str:
    return work.repo.history.revisions.resolve(rev)


def test_before_the_first_commit(work: Work) -> None:
    assert work.repo.branches() == []
    for attempt in (lambda: work.repo.create_branch("x"), lambda: work.repo.rename_branch("main", "x")):
        with pytest.raises(NotFoundError) as caught:
            attempt()
        assert "no commit yet" in caught.value.message
        assert caught.value.hint


def test_made_at_head_or_a_revision(two: Work) -> None:
    made = two.repo.create_branch("实验/一", "HEAD~1")
    assert made.commit == resolve(two, "HEAD~1")
    assert not made.current
    assert two.repo.create_branch("here").commit == resolve(two, "main")
    assert names(two) == ["here", "*main", "实验/一"]
    assert two.clean()


def test_an_existing_one_moves_only_by_force(two: Work) -> None:
    two.repo.create_branch("b", "HEAD~1")
    with pytest.raises(RefExistsError) as caught:
        two.repo.create_branch("b")
    assert caught.value.exit_code == 2
    assert resolve(two, "b") == resolve(two, "HEAD~1")
    two.repo.create_branch("b", force=True)
    assert resolve(two, "b") == resolve(two, "HEAD")
    two.repo.undo()
    assert resolve(two, "b") == resolve(two, "HEAD~1")


def test_the_current_branch_is_neither_moved_nor_deleted(two: Work) -> None:
    before = two.everything()
    with pytest.raises(CurrentBranchError):
        two.repo.create_branch("main", "HEAD~1", force=True)
    for force in (False, True):
        with pytest.raises(CurrentBranchError):
            two.repo.delete_branch("main", force=force)
    assert two.everything() == before


@pytest.mark.parametrize("name", ["", "a b", "HEAD", "-x", "a..b", "x.lock", "STAGED", "a" * 40])
def test_names_that_are_refused(two: Work, name: str) -> None:
    with pytest.raises(MalformedInputError):
        two.repo.create_branch(name)


def test_names_that_cannot_stand_beside_each_other(two: Work) -> None:
    two.repo.create_branch("a/b")
    with pytest.raises(RefConflictError):
        two.repo.create_branch("a")
    with pytest.raises(NotFoundError):
        two.repo.create_branch("x", "nosuch")


def test_delete_refuses_what_is_not_merged(two: Work) -> None:
    two.branch("topic")
    two.commit("3", {b"a": b"3"})
    tip = resolve(two, "topic")
    two.repo.checkout("main")
    with pytest.raises(UnmergedBranchError):
        two.repo.delete_branch("topic")
    assert two.repo.delete_branch("topic", force=True).commit == tip
    assert names(two) == ["*main"]
    two.repo.undo()
    assert resolve(two, "topic") == tip
    two.repo.create_branch("merged", "HEAD~1")
    two.repo.delete_branch("merged")
    with pytest.raises(NotFoundError) as caught:
        two.repo.delete_branch("topik")
    assert "topic" in (caught.value.hint or "")


def test_rename_moves_head_and_reflog(two: Work) -> None:
    before = two.everything()
    renamed = two.repo.rename_branch("main", "主干")
    assert renamed.current
    assert names(two) == ["*主干"]
    assert [entry.message for entry in two.repo.reflog("主干")] == [
        "branch: renamed main to 主干",
        "commit: 2",
        "commit: 1",
    ]
    assert resolve(two, "主干@{1}") == resolve(two, "HEAD")
    assert two.clean()
    two.repo.undo()
    assert two.everything() == before
    assert [entry.message for entry in two.repo.reflog("main")][-2:] == ["commit: 2", "commit: 1"]
    two.repo.rename_branch("main", "主干")
    two.commit("3", {b"a": b"3"})
    assert [entry.commit.message for entry in two.repo.log("主干")] == ["3", "2", "1"]


def test_rename_of_another_branch_leaves_head(two: Work) -> None:
    two.repo.create_branch("b", "HEAD~1")
    assert not two.repo.rename_branch("b", "c").current
    assert names(two) == ["c", "*main"]
    with pytest.raises(RefExistsError):
        two.repo.rename_branch("c", "main")
    with pytest.raises(NotFoundError):
        two.repo.rename_branch("b", "d")
    assert two.repo.rename_branch("c", "c").name == "c"


def test_renamed_back_and_forth_the_reflog_repeats_nothing(two: Work) -> None:
    two.repo.create_branch("b")
    for old, new in (("b", "c"), ("c", "b"), ("b", "c")):
        two.repo.rename_branch(old, new)
    assert [entry.message for entry in two.repo.reflog("c")].count("branch: made at HEAD") == 1
    assert two.repo.reflog("c")[-1].message == "branch: made at HEAD"


def test_the_log_of_a_renamed_branch_is_whole(two: Work) -> None:
    two.repo.rename_branch("main", "主干")
    two.commit("3", {b"a": b"3"})
    two.repo.rename_branch("主干", "main")
    assert not two.repo.fsck().defects


def test_each_change_is_one_operation(two: Work) -> None:
    count = len(two.repo.operations())
    two.repo.create_branch("b")
    two.repo.rename_branch("b", "c")
    two.repo.delete_branch("c")
    two.repo.create_branch("b")
    two.repo.create_branch("b", force=True)
    assert [operation.verb for operation in two.repo.operations()][:-count] == ["branch"] * 4
    for _ in range(4):
        two.repo.undo()
    assert names(two) == ["*main"]


def test_detached(two: Work) -> None:
    two.repo.checkout("HEAD~1")
    assert [branch.current for branch in two.repo.branches()] == [False]
    two.repo.create_branch("here")
    assert resolve(two, "here") == resolve(two, "main~1")
    with pytest.raises(UsageError):
        two.repo.delete_branch("main")
