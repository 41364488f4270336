"""stash: push, pop, list, drop."""

from __future__ import annotations

import pytest

from dsvc.model.errors import NotFoundError, UsageError, WouldOverwriteError
from tests.porcelain.working import EMPTY_FOLDER, Work, link, program, text

CN = "数据/一.txt".encode()
LINES = b"".join(b"line %d\n" % n for n in range(20))


@pytest.fixture
def busy(work: Work) -> Work:
    """Staged, unstaged, both for one file, removed, untracked."""
    work.commit(
        "base",
        {
            CN: LINES,
            b"a": b"1",
            b"b": b"1",
            b"gone": b"1",
            b"run": b"#!",
            b"l": link(b"a"),
            b"e": EMPTY_FOLDER,
        },
    )
    work.write({b"a": b"staged", b"new": b"new", b"run": program(b"#!"), b"gone": None, b"f/x": b""})
    work.repo.add([b"a", b"new", b"run", b"gone", b"f"])
    work.write({b"a": b"edited again", b"b": b"edited", b"l": link(b"b"), b"u": b"untracked"})
    return work


def test_push_and_pop(busy: Work) -> None:
    before = busy.everything()
    commit = busy.repo.stash()
    assert commit is not None
    assert busy.tree() == {
        CN: text(LINES),
        b"a": text("1"),
        b"b": text("1"),
        b"gone": text("1"),
        b"run": text("#!"),
        b"l": link(b"a"),
        b"e": EMPTY_FOLDER,
        b"u": text("untracked"),
    }
    assert busy.reopen().status().clean
    (entry,) = busy.repo.stash_list()
    assert entry.commit.id == commit
    assert entry.commit.message.startswith("WIP on main: ")
    outcome = busy.repo.stash_pop()
    assert not outcome.conflicts
    assert busy.everything() == before
    assert busy.repo.stash_list() == []


def test_both_can_be_undone(busy: Work) -> None:
    before = busy.everything()
    busy.repo.stash("work")
    stashed = busy.everything()
    undone = busy.repo.undo()
    assert busy.everything() == before
    busy.repo.undo(undone.operation)
    assert busy.everything() == stashed
    busy.repo.stash_pop()
    popped = busy.everything()
    undone = busy.repo.undo()
    assert busy.everything() == stashed
    busy.repo.undo(undone.operation)
    assert busy.everything() == popped


def test_a_chain_of_stashes(work: Work) -> None:
    work.commit("base", {b"a": b"1", b"b": b"1"})
    assert work.repo.stash() is None
    work.write({b"a": b"2"})
    first = work.repo.stash("第一")
    work.write({b"b": b"2"})
    second = work.repo.stash()
    assert [e.commit.id for e in work.repo.stash_list()] == [second, first]
    assert [e.refs for e in work.repo.stash_list()] == [("stash@{0}",), ("stash@{1}",)]
    assert work.repo.stash_list()[1].commit.message == "On main: 第一"
    before = work.everything()
    assert work.repo.stash_drop() == second
    assert [e.commit.id for e in work.repo.stash_list()] == [first]
    work.repo.undo()
    assert work.everything() == before
    work.repo.stash_pop()
    work.repo.stash_pop()
    assert work.tree() == {b"a": text("2"), b"b": text("2")}
    for verb in (work.repo.stash_pop, work.repo.stash_drop):
        with pytest.raises(NotFoundError):
            verb()


def test_pop_on_another_commit_merges(work: Work) -> None:
    work.commit("base", {CN: LINES, b"b": b"1"})
    work.write({CN: LINES.replace(b"line 3\n", b"mine\n")})
    work.repo.stash()
    later = LINES.replace(b"line 17\n", b"later\n")
    work.commit("later", {CN: later})
    assert not work.repo.stash_pop().conflicts
    assert work.tree()[CN] == text(later.replace(b"line 3\n", b"mine\n"))
    assert [c.path for c in work.reopen().status().unstaged] == [CN]


def test_pop_with_conflicts_keeps_the_stash(work: Work) -> None:
    work.commit("base", {CN: LINES, b"b": b"1"})
    work.write({CN: LINES.replace(b"line 3\n", b"mine\n"), b"b": b"2"})
    stashed = work.repo.stash()
    work.commit("later", {CN: LINES.replace(b"line 3\n", b"theirs\n")})
    before = work.everything()
    outcome = work.repo.stash_pop()
    assert [c.path for c in outcome.conflicts] == [CN]
    assert b"<<<<<<<" in work.tree()[CN][1]
    assert work.tree()[b"b"] == text("2")
    assert [e.commit.id for e in work.repo.stash_list()] == [stashed]
    during = work.everything()
    work.repo.merge_abort()
    assert work.everything() == before
    work.repo.undo()
    assert work.everything() == during
    work.repo.resolve(CN, side="theirs")
    assert len(work.repo.commit("settled").parents) == 1
    assert work.clean()


def test_pop_refuses_where_work_is_in_the_way(work: Work) -> None:
    work.commit("base", {b"a": b"1", b"b": b"1"})
    work.write({b"a": b"2"})
    work.repo.stash()
    work.write({b"a": b"3", b"b": b"4"})
    before = work.everything()
    with pytest.raises(WouldOverwriteError):
        work.repo.stash_pop()
    assert work.everything() == before
    work.write({b"a": b"1"})
    work.repo.stash_pop()
    assert work.tree() == {b"a": text("2"), b"b": text("4")}


def test_pop_of_what_is_there_already(work: Work) -> None:
    work.commit("base", {b"a": b"1", b"b": b"1"})
    work.write({b"a": b"2", b"b": b"2"})
    work.repo.stash()
    work.write({b"a": b"2"})
    before = work.everything()
    work.repo.stash_pop()
    assert work.tree() == {b"a": text("2"), b"b": text("2")}
    work.repo.undo()
    assert work.everything() == before


def test_push_is_refused_without_a_commit_or_in_a_merge(work: Work) -> None:
    work.write({b"a": b"1"})
    work.repo.add([b"a"])
    with pytest.raises(UsageError):
        work.repo.stash()
    work.diverge({b"a": b"\0"}, {b"a": b"\0o"}, {b"a": b"\0t"})
    work.repo.merge("topic")
    with pytest.raises(WouldOverwriteError):
        work.repo.stash()


def test_gc_keeps_stashes(busy: Work) -> None:
    before = busy.everything()
    busy.repo.stash()
    busy.repo.gc(grace_seconds=0)
    busy.reopen().stash_pop()
    assert busy.everything() == before
