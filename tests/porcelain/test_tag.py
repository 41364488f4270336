"""Tags: plain and annotated, readable by git."""

from __future__ import annotations

import subprocess

import pytest

from dsvc.model.errors import MalformedInputError, NotFoundError, UsageError
from dsvc.porcelain.state.ref_moves import RefExistsError
from tests.porcelain.working import Work


@pytest.fixture
def two(work: Work) -> Work:
    work.commit("1", {b"a": b"1"})
    work.commit("2", {b"a": b"2"})
    return work


def test_before_the_first_commit(work: Work) -> None:
    assert work.repo.tags() == []
    with pytest.raises(NotFoundError):
        work.repo.create_tag("v1")


def test_plain_and_annotated(two: Work) -> None:
    resolve = two.repo.history.revisions.resolve
    two.repo.create_tag("v1", "HEAD~1")
    made = two.repo.create_tag("发布/二", message="第二版\n\n带说明\n")
    assert made.message == "第二版\n\n带说明"
    found = two.reopen().tags()
    assert [(tag.name, tag.commit, tag.message) for tag in found] == [
        ("v1", resolve("HEAD~1"), None),
        ("发布/二", resolve("HEAD"), "第二版\n\n带说明"),
    ]
    assert resolve("发布/二~1") == resolve("v1")
    git = ["git", f"--git-dir={two.folder}/.dsvc/git"]
    shown = subprocess.run([*git, "cat-file", "tag", "发布/二"], capture_output=True, text=True, check=True)
    assert "tagger Ann <ann@example.org>" in shown.stdout
    assert shown.stdout.endswith("\n\n第二版\n\n带说明\n")
    subprocess.run([*git, "fsck", "--strict"], capture_output=True, check=True)


def test_a_tag_moves_only_by_force(two: Work) -> None:
    resolve = two.repo.history.revisions.resolve
    two.repo.create_tag("v1", "HEAD~1", message="old")
    with pytest.raises(RefExistsError):
        two.repo.create_tag("v1")
    two.repo.create_tag("v1", force=True)
    assert resolve("v1") == resolve("HEAD")
    two.repo.undo()
    assert [(tag.commit, tag.message) for tag in two.repo.tags()] == [(resolve("HEAD~1"), "old")]


def test_delete_and_undo(two: Work) -> None:
    two.repo.create_tag("release-1", message="m")
    gone = two.repo.delete_tag("release-1")
    assert (gone.name, gone.message) == ("release-1", "m")
    assert two.repo.tags() == []
    two.repo.undo()
    assert [tag.message for tag in two.repo.tags()] == ["m"]
    with pytest.raises(NotFoundError) as caught:
        two.repo.delete_tag("release-2")
    assert "release-1" in (caught.value.hint or "")


def test_what_is_refused(two: Work) -> None:
    with pytest.raises(UsageError):
        two.repo.create_tag("v1", message=" \n")
    with pytest.raises(NotFoundError):
        two.repo.create_tag("v1", "nosuch")
    for name in ("", "a b", "-d", "WORKTREE"):
        with pytest.raises(MalformedInputError):
            two.repo.create_tag(name)
    assert two.repo.tags() == []


def test_a_branch_and_a_tag_of_one_name(two: Work) -> None:
    resolve = two.repo.history.revisions.resolve
    two.repo.create_tag("main", "HEAD~1")
    assert resolve("main") == resolve("HEAD~1"), "as in git, the tag is meant"
    assert [tag.name for tag in two.repo.tags()] == ["main"]
