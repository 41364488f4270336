"""conflicts, resolve, and what else settles a conflict."""

from __future__ import annotations

import pytest

from dsvc.model.errors import MergeConflictError, NotFoundError, UsageError
from tests.porcelain.working import Work, link, program, text

NAME = "数据/标签.bin".encode()


@pytest.fixture
def torn(work: Work) -> Work:
    """Conflicts of several kinds."""
    work.diverge(
        {NAME: b"\0base", b"t.txt": b"base\n", b"gone": b"\0base", b"l": link(b"base"), b"kept": b"\0base"},
        {NAME: b"\0ours", b"t.txt": b"ours\n", b"gone": None, b"l": link(b"ours"), b"kept": b"\0ours"},
        {
            NAME: program(b"\0theirs"),
            b"t.txt": b"theirs\n",
            b"gone": b"\0t",
            b"l": link(b"theirs"),
            b"kept": None,
        },
    )
    outcome = work.repo.merge("topic")
    assert {c.path for c in outcome.conflicts} == {NAME, b"t.txt", b"gone", b"l", b"kept"}
    return work


def test_conflicts_have_three_sides(torn: Work) -> None:
    found = {c.path: c for c in torn.repo.conflicts()}
    assert found[b"gone"].kind == "delete/modify"
    assert found[b"gone"].ours is None
    assert found[b"gone"].theirs is not None
    assert found[b"kept"].kind == "modify/delete"
    assert [c.path for c in torn.repo.conflicts(NAME)] == [NAME]
    assert [c.path for c in torn.repo.conflicts("数据".encode())] == [NAME]
    assert torn.repo.conflicts(b"nothing") == []


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_side_is_taken(torn: Work, side: str) -> None:
    for conflict in torn.repo.conflicts():
        torn.repo.resolve(conflict.path, side=side)
    expected = {
        "ours": {
            NAME: text(b"\0ours"),
            b"t.txt": text("ours\n"),
            b"l": link(b"ours"),
            b"kept": text(b"\0ours"),
        },
        "theirs": {
            NAME: program(b"\0theirs"),
            b"t.txt": text("theirs\n"),
            b"l": link(b"theirs"),
            b"gone": text(b"\0t"),
        },
    }
    assert torn.tree() == expected[side]
    assert torn.repo.conflicts() == []
    assert len(torn.repo.commit("merged").parents) == 2
    assert torn.clean()


def test_a_file_is_taken(torn: Work) -> None:
    other = torn.folder.parent / "merged.bin"
    other.write_bytes(b"\0merged")
    torn.repo.resolve(NAME, file=str(other))
    assert torn.tree()[NAME] == program(b"\0merged"), "theirs made it a program"
    torn.write({b"t.txt": b"by hand\n"})
    torn.repo.resolve(b"t.txt", file=str(torn.folder / "t.txt"))
    assert torn.tree()[b"t.txt"] == text("by hand\n")
    torn.repo.resolve(b"gone", file=str(other))
    assert torn.tree()[b"gone"] == text(b"\0merged")
    assert [c.path for c in torn.repo.conflicts()] == [b"kept", b"l"]


def test_wrong_calls(torn: Work) -> None:
    before = torn.everything()
    for arguments in ({}, {"side": "base"}, {"side": "ours", "file": "x"}):
        with pytest.raises(UsageError):
            torn.repo.resolve(NAME, **arguments)
    with pytest.raises(NotFoundError):
        torn.repo.resolve(b"other", side="ours")
    for missing in ("nothing", "no folder/x", "."):
        with pytest.raises(NotFoundError):
            torn.repo.resolve(NAME, file=str(torn.folder / missing))
    assert torn.everything() == before


def test_edits_are_stored_before_a_side_is_taken(torn: Work) -> None:
    torn.write({b"t.txt": b"hours of work\n"})
    before = torn.everything()
    torn.repo.resolve(b"t.txt", side="theirs")
    assert torn.tree()[b"t.txt"] == text("theirs\n")
    torn.repo.undo()
    assert torn.everything() == before
    assert torn.repo.conflicts(b"t.txt")


def test_add_settles_what_was_named_or_edited(torn: Work) -> None:
    torn.write({b"t.txt": b"by hand\n"})
    torn.repo.add(all=True)
    assert {c.path for c in torn.repo.conflicts()} == {NAME, b"gone", b"l", b"kept"}, "nobody looked at these"
    with pytest.raises(MergeConflictError):
        torn.repo.commit("too early")
    torn.repo.add([NAME, b"l", b"kept"])
    assert {c.path for c in torn.repo.conflicts()} == {b"gone"}
    torn.repo.remove([b"gone"])
    assert torn.repo.conflicts() == []
    torn.repo.commit("merged")
    assert torn.clean()


def test_add_that_settles_can_be_undone(torn: Work) -> None:
    before = torn.everything()
    torn.repo.add([NAME])
    torn.repo.undo()
    assert torn.everything() == before


def test_other_operations_leave_the_conflicts(torn: Work) -> None:
    torn.repo.create_branch("more")
    torn.write({b"new": b"1"})
    torn.repo.add([b"new"])
    torn.repo.undo()
    torn.repo.undo(str(next(o for o in torn.repo.operations() if o.verb == "branch").id))
    assert len(torn.repo.conflicts()) == 5
    assert torn.reopen().status().operation == "merge"
