"""Merges given up; revert and cherry-pick."""

from __future__ import annotations

import pytest

from dsvc.model.errors import UsageError
from dsvc.porcelain.state.values import Author
from tests.porcelain.merging import LINES, edited
from tests.porcelain.working import Work, program, text

# abort


def test_abort_restores_everything(work: Work) -> None:
    work.diverge(
        {b"a.txt": LINES, b"b": b"\0b", b"d/x": b"1", b"m": b"m"},
        {b"a.txt": edited(3, by=b"ours"), b"b": b"\0ours", b"m": b"mine"},
        {
            b"a.txt": edited(3, by=b"theirs"),
            b"b": b"\0theirs",
            b"d/x": None,
            b"d": b"file",
            b"m": None,
            b"n": b"n",
        },
    )
    work.write({b"staged": b"s"})
    work.repo.add([b"staged"])
    before = work.everything()
    outcome = work.repo.merge("topic")
    assert {c.path for c in outcome.conflicts} == {b"a.txt", b"b", b"m"}
    assert work.everything() != before
    work.repo.merge_abort()
    assert work.everything() == before
    with pytest.raises(UsageError):
        work.repo.merge_abort()


def test_abort_keeps_edits_for_undo(work: Work) -> None:
    work.diverge(
        {b"a.txt": LINES, b"b": b"\0b"}, {b"a.txt": edited(3), b"b": b"\0o"}, {b"a.txt": b"t\n", b"b": b"\0t"}
    )
    before = work.everything()
    work.repo.merge("topic")
    work.write({b"a.txt": b"half done\n", b"b": b"\0half"})
    during = work.everything()
    result = work.repo.merge_abort()
    assert work.everything() == before
    assert result.saved == 2
    assert result.undo
    work.repo.undo()
    assert work.everything() == during


def test_abort_after_settling_some(work: Work) -> None:
    work.diverge(
        {b"a": b"\0b", b"b": b"\0b"}, {b"a": b"\0o", b"b": b"\0o"}, {b"a": b"\0t", b"b": b"\0t", b"c": b"1"}
    )
    before = work.everything()
    work.repo.merge("topic")
    work.repo.resolve(b"a", side="theirs")
    work.repo.merge_abort()
    assert work.everything() == before


# revert and cherry-pick


def test_revert(work: Work) -> None:
    work.commit("one", {b"a.txt": LINES, b"x": b"1"})
    bad = work.commit("bad change\n\nwith a body", {b"a.txt": edited(2), b"x": None, b"y": b"2"})
    work.commit("three", {b"a.txt": edited(2, 17), b"z": b"3"})
    outcome = work.repo.revert(str(bad))
    assert work.tree() == {b"a.txt": text(edited(17)), b"x": text("1"), b"z": text("3")}
    commit = work.repo.history.read_commit(outcome.commit)
    assert commit.message == f'Revert "bad change"\n\nThis reverts commit {bad}.'
    assert len(commit.parents) == 1
    assert work.clean()
    assert work.repo.revert(str(bad)).up_to_date, "it's reverted already"


def test_revert_of_the_first_commit(work: Work) -> None:
    first = work.commit("one", {b"a": b"1"})
    work.commit("two", {b"b": b"2"})
    assert work.repo.revert(str(first)).commit
    assert work.tree() == {b"b": text("2")}


def test_revert_with_conflict_can_be_finished_or_given_up(work: Work) -> None:
    work.commit("one", {b"a.txt": LINES})
    bad = work.commit("bad", {b"a.txt": edited(2)})
    head = work.commit("on top", {b"a.txt": edited(2, by=b"again")})
    before = work.everything()
    outcome = work.repo.revert(str(bad))
    assert [c.path for c in outcome.conflicts] == [b"a.txt"]
    assert work.repo.status().operation == "revert"
    work.repo.merge_abort()
    assert work.everything() == before
    work.repo.revert(str(bad))
    work.repo.resolve(b"a.txt", side="theirs")
    assert work.tree() == {b"a.txt": text(LINES)}
    assert work.repo.commit("reverted").parents == (head,)


def test_merge_commits_are_not_picked(work: Work) -> None:
    work.diverge({b"a": b"1"}, {b"o": b"1"}, {b"t": b"1"})
    merged = work.repo.merge("topic").commit
    for verb in (work.repo.revert, work.repo.cherry_pick):
        with pytest.raises(UsageError, match="is a merge"):
            verb(str(merged))


def test_cherry_pick_keeps_author_and_message(work: Work) -> None:
    work.commit("base", {b"a.txt": LINES})
    work.branch("topic")
    work.commit("not wanted", {b"n": b"1"})
    work.repo._author = Author("王芳", "fang@example.org")
    wanted = work.commit("修正标签\n\nbody\n\nReviewed-by: Ann", {b"a.txt": edited(4), b"w": program(b"2")})
    work.reopen()
    work.repo.checkout("main")
    outcome = work.repo.cherry_pick(str(wanted))
    assert work.tree() == {b"a.txt": text(edited(4)), b"w": program(b"2")}
    commit, source = (work.repo.history.read_commit(c) for c in (outcome.commit, wanted))
    assert commit.author == source.author
    assert commit.author.name == "王芳"
    assert commit.committer.name == "Ann"
    assert commit.message == source.message
    assert work.repo.cherry_pick(str(wanted)).up_to_date


def test_cherry_pick_with_conflict_keeps_the_author(work: Work) -> None:
    work.commit("base", {b"a.txt": LINES})
    work.branch("topic")
    work.repo._author = Author("王芳", "fang@example.org")
    wanted = work.commit("wanted", {b"a.txt": edited(4, by=b"theirs")})
    work.reopen()
    work.repo.checkout("main")
    work.commit("ours", {b"a.txt": edited(4, by=b"ours")})
    assert work.repo.cherry_pick(str(wanted)).conflicts
    work.repo.resolve(b"a.txt", side="theirs")
    done = work.repo.commit("wanted, here")
    assert work.repo.history.read_commit(done.commit).author.name == "王芳"
    assert len(done.parents) == 1


def test_cherry_pick_of_a_root_commit(work: Work) -> None:
    first = work.commit("one", {b"a": b"1"})
    work.commit("two", {b"a": None, b"b": b"2"})
    assert work.repo.cherry_pick(str(first)).commit
    assert work.tree() == {b"a": text("1"), b"b": text("2")}
