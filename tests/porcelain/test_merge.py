"""merge, abort, revert, cherry-pick on real working trees."""

from __future__ import annotations

import os

import pytest

from dsvc.model.errors import MergeConflictError, NotFoundError, UsageError, WouldOverwriteError
from tests.porcelain.merging import LINES, edited
from tests.porcelain.working import EMPTY_FOLDER, Work, link, program, text


def test_clean_merge_has_both_sides_and_two_parents(work: Work) -> None:
    work.diverge(
        {
            b"a.txt": LINES,
            b"gone": b"x",
            "数据/一.txt".encode(): b"base",
            b"run.sh": b"#!/bin/sh\n",
            b"l": link(b"a"),
        },
        {b"a.txt": edited(1), b"ours": b"o", b"l": link(b"b")},
        {
            b"a.txt": edited(18),
            b"theirs": b"",
            b"gone": None,
            b"run.sh": program(b"#!/bin/sh\n"),
            "数据/二".encode(): b"2",
        },
    )
    ours = work.repo.history.refs.get("refs/heads/main")
    theirs = work.repo.history.refs.get("refs/heads/topic")
    outcome = work.repo.merge("topic")
    assert outcome.commit
    assert not outcome.conflicts
    assert not outcome.fast_forward
    assert work.tree() == {
        b"a.txt": text(edited(1, 18)),
        "数据/一.txt".encode(): text(b"base"),
        "数据/二".encode(): text(b"2"),
        b"run.sh": program(b"#!/bin/sh\n"),
        b"l": link(b"b"),
        b"ours": text(b"o"),
        b"theirs": text(b""),
    }
    assert work.clean()
    commit = work.repo.history.read_commit(outcome.commit)
    assert commit.parents == (ours, theirs)
    assert commit.message == "Merge branch 'topic'"
    assert work.repo.operations(1)[0].verb == "merge"


def test_fast_forward_and_up_to_date(work: Work) -> None:
    work.commit("one", {b"a": b"1"})
    work.branch("topic")
    tip = work.commit("two", {b"a": b"2", b"d/b": b"3"})
    work.repo.checkout("main")
    work.write({b"untracked": b"stays"})
    outcome = work.repo.merge("topic")
    assert outcome.fast_forward
    assert outcome.commit == tip
    assert work.tree() == {b"a": text("2"), b"d/b": text("3"), b"untracked": text("stays")}
    assert work.repo.history.refs.head().commit == tip
    assert work.repo.status().clean
    assert work.repo.merge("topic").up_to_date
    assert work.repo.merge("HEAD~1").up_to_date


def test_fast_forward_from_nothing(work: Work) -> None:
    work.commit("one", {b"a": b"1"})
    work.repo.create_branch("topic")
    work.repo.history.record  # noqa: B018
    other = Work(work.folder.parent / "other")
    with pytest.raises(NotFoundError):
        other.repo.merge("topic")


def test_text_conflict_leaves_markers_and_commit_finishes(work: Work) -> None:
    work.diverge(
        {b"a.txt": LINES, b"b.txt": b"b\n"},
        {b"a.txt": edited(3, by=b"ours")},
        {b"a.txt": edited(3, by=b"theirs"), b"b.txt": b"theirs\n"},
    )
    head = work.repo.history.refs.head().commit
    outcome = work.repo.merge("topic")
    assert outcome.commit is None
    assert [(c.path, c.kind) for c in outcome.conflicts] == [(b"a.txt", "content")]
    content = work.tree()[b"a.txt"][1]
    assert b"<<<<<<< HEAD\nours 3\n|||||||" in content
    assert b"=======\ntheirs 3\n>>>>>>> topic\n" in content
    assert work.tree()[b"b.txt"] == text("theirs\n")
    status = work.reopen().status()
    assert status.operation == "merge"
    assert not status.clean
    assert [c.path for c in status.conflicts] == [b"a.txt"]
    assert [c.path for c in status.staged] == [b"b.txt"]
    assert not status.unstaged
    with pytest.raises(MergeConflictError):
        work.repo.commit("too early")
    with pytest.raises(WouldOverwriteError):
        work.repo.merge("topic")
    with pytest.raises(WouldOverwriteError):
        work.repo.checkout("topic")
    work.write({b"a.txt": edited(3, by=b"both")})
    work.repo.add([b"a.txt"])
    done = work.repo.commit("merged")
    assert done.parents == (head, work.repo.history.refs.get("refs/heads/topic"))
    assert work.clean()
    assert work.repo.merge("topic").up_to_date


def test_binary_conflict_stays_ours(work: Work) -> None:
    base, ours, theirs = (b"\0" + bytes([n]) * 100 for n in range(3))
    work.diverge({b"x.bin": base, b"y": b"1"}, {b"x.bin": ours}, {b"x.bin": theirs, b"y": b"2"})
    outcome = work.repo.merge("topic")
    assert [(c.path, c.kind) for c in outcome.conflicts] == [(b"x.bin", "content")]
    assert work.tree() == {b"x.bin": text(ours), b"y": text("2")}
    work.repo.resolve(b"x.bin", side="theirs")
    assert work.tree()[b"x.bin"] == text(theirs)
    work.repo.commit("merged")
    assert work.clean()


@pytest.mark.parametrize("where", ["unstaged", "staged", "untracked", "conflicted"])
def test_refuses_to_overwrite_uncommitted_work(work: Work, where: str) -> None:
    work.diverge(
        {b"a": b"base", b"c": b"\0base", b"free": b"1"},
        {b"c": b"\0ours"},
        {b"a": b"theirs", b"c": b"\0theirs", b"new": b"theirs"},
    )
    changed = {"unstaged": b"a", "staged": b"a", "untracked": b"new", "conflicted": b"c"}[where]
    work.write({changed: b"\0mine", b"free": b"2", b"more": b"3"})
    if where == "staged":
        work.repo.add([b"a"])
    before = work.everything()
    with pytest.raises(WouldOverwriteError) as error:
        work.repo.merge("topic")
    assert changed.decode() in str(error.value)
    assert work.everything() == before


def test_unrelated_work_stays(work: Work) -> None:
    work.diverge({b"a": b"1", b"s": b"1", b"u": b"1"}, {b"o": b"1"}, {b"a": b"2"})
    work.write({b"s": b"staged", b"new": b"staged"})
    work.repo.add([b"s", b"new"])
    work.write({b"u": b"unstaged", b"untracked": b"x"})
    outcome = work.repo.merge("topic")
    assert outcome.commit
    status = work.reopen().status(untracked="all")
    assert [c.path for c in status.staged] == [b"new", b"s"]
    assert [c.path for c in status.unstaged] == [b"u"]
    assert [c.path for c in status.untracked] == [b"untracked"]
    assert work.repo.open(b"s", "HEAD").read() == b"1"
    assert work.tree()[b"a"] == text("2")


def test_file_becomes_folder_and_folder_becomes_file(work: Work) -> None:
    work.diverge(
        {b"a": b"file", b"d/x": b"1", b"d/y": b"2", b"empty": EMPTY_FOLDER, b"e2": EMPTY_FOLDER},
        {b"o": b"o", b"empty": None, b"empty/now": b"filled"},
        {b"a": None, b"a/in": b"folder", b"d": b"file now", b"e2": None, b"e3": EMPTY_FOLDER},
    )
    outcome = work.repo.merge("topic")
    assert outcome.commit
    assert work.tree() == {
        b"a/in": text("folder"),
        b"d": text("file now"),
        b"empty/now": text("filled"),
        b"e3": EMPTY_FOLDER,
        b"o": text("o"),
    }
    assert work.clean()


def test_folder_against_file_is_a_conflict_that_can_be_settled(work: Work) -> None:
    work.diverge({b"a": b"base\n"}, {b"a": b"ours\n"}, {b"a": None, b"a/in": b"theirs\n"})
    kept = work.tree()
    outcome = work.repo.merge("topic")
    assert {c.path for c in outcome.conflicts} == {b"a", b"a/in"}
    assert work.tree() == kept
    with pytest.raises(UsageError, match="a is a file"):
        work.repo.resolve(b"a/in", side="theirs")
    work.repo.resolve(b"a", side="theirs")
    work.repo.resolve(b"a/in", side="theirs")
    assert work.tree() == {b"a/in": text("theirs\n")}
    work.repo.commit("merged")
    assert work.clean()


def test_renames_are_followed(work: Work) -> None:
    work.diverge(
        {b"old/name.txt": LINES, b"x": b"1"},
        {b"old/name.txt": None, b"new/name.txt": LINES},
        {b"old/name.txt": edited(5)},
    )
    assert work.repo.merge("topic").commit
    assert work.tree() == {b"new/name.txt": text(edited(5)), b"x": text("1")}


def test_unrelated_histories_are_refused(work: Work) -> None:
    work.commit("one", {b"a": b"1"})
    repo = work.repo
    who = repo.signature()
    from dsvc.history.refs import RefChange

    lone = repo.history.commit(
        parents=[],
        manifest=repo.head_root(repo.history.refs.head()),
        files=1,
        bytes=1,
        message="alone",
        author=who,
        committer=who,
    )
    repo.record("branch", changes=[RefChange("refs/heads/alone", None, lone.id)], objects=lone.objects)
    before = work.everything()
    with pytest.raises(UsageError, match="no commit in common"):
        work.repo.merge("alone")
    assert work.everything() == before


def test_criss_cross(work: Work) -> None:
    work.commit("base", {b"a.txt": LINES, b"b.bin": b"\0base"})
    work.branch("topic")
    work.commit("theirs", {b"a.txt": edited(2)})
    work.repo.checkout("main")
    work.commit("ours", {b"a.txt": edited(15)})
    main, topic = (work.repo.history.refs.get(f"refs/heads/{n}") for n in ("main", "topic"))
    work.repo.merge("topic")
    work.repo.checkout("topic")
    assert work.repo.merge(str(main)).commit
    work.commit("later theirs", {b"a.txt": edited(2, 9, 15)})
    work.repo.checkout("main")
    work.commit("later ours", {b"a.txt": edited(2, 5, 15), b"b.bin": b"\0new"})
    heads = [work.repo.history.refs.get(f"refs/heads/{n}") for n in ("main", "topic")]
    assert set(work.repo.history.merge_bases(*heads)) == {main, topic}
    assert work.repo.merge("topic").commit
    assert work.tree()[b"a.txt"] == text(edited(2, 5, 9, 15))
    assert work.clean()


def test_criss_cross_with_conflicting_ancestors(work: Work) -> None:
    """Both sides settled one conflict differently: neither answer may win silently."""
    work.commit("base", {b"a.txt": LINES})
    work.branch("topic")
    topic = work.commit("theirs", {b"a.txt": edited(7, by=b"theirs")})
    work.repo.checkout("main")
    main = work.commit("ours", {b"a.txt": edited(7, by=b"ours")})
    work.repo.merge(str(topic))
    work.write({b"a.txt": edited(7, by=b"ours")})
    work.repo.add([b"a.txt"])
    work.repo.commit("took ours")
    work.repo.checkout("topic")
    work.repo.merge(str(main))
    work.write({b"a.txt": LINES})
    work.repo.add([b"a.txt"])
    work.repo.commit("took neither")
    work.repo.checkout("main")
    outcome = work.repo.merge("topic")
    assert [c.path for c in outcome.conflicts] == [b"a.txt"]
    assert b"ours 7" in work.tree()[b"a.txt"][1]


def test_add_add_conflict_shows_both(work: Work) -> None:
    work.diverge({b"x": b"1"}, {b"new.txt": b"ours\n"}, {b"new.txt": b"theirs\n"})
    outcome = work.repo.merge("topic")
    assert [(c.path, c.kind) for c in outcome.conflicts] == [(b"new.txt", "add/add")]
    content = work.tree()[b"new.txt"][1]
    assert b"ours\n" in content
    assert b"theirs\n" in content
    assert b"<<<<<<<" in content


def test_detached_head_merges(work: Work) -> None:
    work.diverge({b"a": b"1"}, {b"o": b"1"}, {b"t": b"1"})
    main = work.repo.history.refs.head().commit
    work.repo.checkout(str(main))
    outcome = work.repo.merge("topic")
    head = work.repo.history.refs.head()
    assert (head.branch, head.commit) == (None, outcome.commit)
    assert work.repo.history.refs.get("refs/heads/main") == main
    work.repo.undo()
    assert work.repo.history.refs.head().commit == main


def test_nothing_is_followed_outside(work: Work) -> None:
    """A folder that became a link outside is not written through."""
    outside = work.folder.parent / "outside"
    outside.mkdir()
    work.diverge({b"d/x": b"1"}, {b"o": b"1"}, {b"d/x": b"2", b"d/y": b"3"})
    work.write({b"d": None})
    os.symlink(outside, work.path(b"d"))
    with pytest.raises(WouldOverwriteError):
        work.repo.merge("topic")
    assert not list(outside.iterdir())


def test_sparse_trees_merge_what_they_don_t_hold(work: Work) -> None:
    work.diverge(
        {b"in/a": b"1", b"out/b": b"1", b"out/c": b"\0base"},
        {b"in/o": b"o", b"out/c": b"\0ours"},
        {b"in/a": b"2", b"out/b": b"2", b"out/c": b"\0theirs"},
    )
    work.repo.checkout(sparse=["/in/"])
    held = {b"in/a": text("1"), b"in/o": text("o")}
    assert work.tree() == held
    before = work.everything()
    assert [c.path for c in work.repo.merge("topic").conflicts] == [b"out/c"]
    assert work.tree() == held | {b"in/a": text("2")}
    work.repo.merge_abort()
    assert work.everything() == before
    work.repo.merge("topic")
    work.repo.resolve(b"out/c", side="theirs")
    work.repo.commit("merged")
    assert work.tree() == held | {b"in/a": text("2")}
    assert work.clean()
    work.repo.checkout(sparse=["*"])
    assert work.tree()[b"out/c"] == text(b"\0theirs")
    assert work.tree()[b"out/b"] == text("2")
