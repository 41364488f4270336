"""undo of every verb, and undo of that undo: files, staged state, refs, and merges in progress."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dsvc.model.errors import ConcurrentChangeError, NotFoundError, WouldOverwriteError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from tests.porcelain.working import EMPTY_FOLDER, Work, link, program, text

CN = "数据/一.txt".encode()
LINES = b"".join(b"line %d\n" % n for n in range(20))
MINE, YOURS = LINES.replace(b"line 3\n", b"mine\n"), LINES.replace(b"line 3\n", b"yours\n")
FAR = LINES.replace(b"line 17\n", b"far away\n")

Action = Callable[[Repository], object]


def history(work: Work) -> None:
    """Main with two commits, topic that merges, rival that conflicts, ahead of main by one: ahead."""
    work.commit(
        "base",
        {
            CN: LINES,
            b"a": b"1",
            b"d/x": b"x",
            b"run": b"#!",
            b"l": link(b"a"),
            b"e": EMPTY_FOLDER,
            b"b.bin": b"\0base",
            b"file": b"a file",
            b"folder/in": b"in",
        },
    )
    work.branch("topic")
    work.commit(
        "topic",
        {CN: FAR, b"run": program(b"#!"), b"d/x": None, b"file": None, b"file/in": b"folder", b"t/t": b"t"},
    )
    work.branch("rival", "main")
    work.commit("rival", {CN: YOURS, b"b.bin": b"\0rival", b"l": link(b"rival"), b"folder": None, b"r": b"r"})
    work.repo.checkout("main")
    work.commit("main", {CN: MINE, b"b.bin": b"\0main", b"m": b"m", b"a": b"2"})
    work.branch("ahead")
    work.commit("ahead", {b"ahead": b"1", b"folder": b"file now", b"folder/in": None, b"e": None})
    work.repo.checkout("main")


def litter(work: Work) -> None:
    """Staged, unstaged and untracked work that no merge of `history` touches."""
    work.write({b"m": b"staged", b"new": b"staged"})
    work.repo.add([b"m", b"new"])
    work.write({b"m": b"edited again", b"a": b"edited", b"u/u": b"untracked", b"hollow": EMPTY_FOLDER})


CLEAN: dict[str, Action] = {
    "checkout": lambda repo: repo.checkout("topic"),
    "checkout -b": lambda repo: repo.checkout("topic", new_branch="more"),
    "checkout detached": lambda repo: repo.checkout("HEAD~1"),
    "merge": lambda repo: repo.merge("topic"),
    "merge ff": lambda repo: repo.merge("ahead"),
    "merge with conflicts": lambda repo: repo.merge("rival"),
    "revert": lambda repo: repo.revert("HEAD"),
    "cherry-pick": lambda repo: repo.cherry_pick("topic"),
    "cherry-pick with conflicts": lambda repo: repo.cherry_pick("rival"),
    "reset hard": lambda repo: repo.reset("topic", ResetMode.HARD),
    "rm": lambda repo: repo.remove([CN, b"l", b"d", b"e"], recursive=True),
    "mv": lambda repo: repo.move(b"d", b"e"),
    "commit allow-empty": lambda repo: repo.commit("nothing", allow_empty=True),
    "amend": lambda repo: repo.commit("better words", amend=True),
}

LITTERED: dict[str, Action] = {
    "add": lambda repo: repo.add(all=True),
    "commit": lambda repo: repo.commit("staged only"),
    "checkout force": lambda repo: repo.checkout("topic", force=True),
    "checkout paths": lambda repo: (
        repo.checkout("topic", [CN, b"m"], force=True)
        if False
        else repo.checkout("HEAD~1", [CN, b"a"], force=True)
    ),
    "restore": lambda repo: repo.restore([b"m", b"a"]),
    "restore all": lambda repo: repo.restore([b""]),
    "restore from": lambda repo: repo.restore([b"a", CN], source="HEAD~1"),
    "restore staged": lambda repo: repo.restore([b"m", b"new"], staged=True),
    "reset": lambda repo: repo.reset("HEAD~1"),
    "reset soft": lambda repo: repo.reset("HEAD~1", ResetMode.SOFT),
    "reset hard": lambda repo: repo.reset("HEAD~1", ResetMode.HARD),
    "reset paths": lambda repo: repo.reset("HEAD", paths=[b"m"]),
    "merge": lambda repo: repo.merge("topic"),
    "merge ff": lambda repo: repo.merge("ahead"),
    "merge with conflicts": lambda repo: repo.merge("rival"),
    "cherry-pick": lambda repo: repo.cherry_pick("topic"),
    "stash": lambda repo: repo.stash("work"),
    "rm force": lambda repo: repo.remove([b"m", b"a", b"new"], force=True),
    "rm cached": lambda repo: repo.remove([b"a", b"new"], cached=True, force=True),
    "mv": lambda repo: repo.move(b"a", b"t/moved"),
    "mv staged": lambda repo: repo.move(b"m", b"d"),
    "clean": lambda repo: repo.clean(),
    "branch": lambda repo: repo.create_branch("more"),
    "delete branch": lambda repo: repo.delete_branch("topic", force=True),
    "tag": lambda repo: repo.create_tag("v1"),
    "annotated tag": lambda repo: repo.create_tag("v1", message="版本"),
}

CASES = [
    *(pytest.param(act, False, id=name) for name, act in CLEAN.items()),
    *(pytest.param(act, True, id=f"{name}, littered") for name, act in LITTERED.items()),
]


def there_and_back(work: Work, action: Action) -> None:
    """Do, undo, undo the undo, and once more; each state comes back byte for byte."""
    before = work.everything()
    count = len(work.repo.operations())
    action(work.repo)
    after = work.everything()
    assert len(work.repo.operations()) == count + 1, "one operation"
    done = work.repo.operations(1)[0]
    undone = work.repo.undo()
    assert undone.undone == str(done.id)
    assert work.everything() == before
    redone = work.repo.undo(undone.operation)
    assert work.everything() == after
    work.repo.undo(redone.operation)
    assert work.everything() == before


@pytest.mark.parametrize(("action", "littered"), CASES)
def test_undo(work: Work, action: Action, littered: bool) -> None:
    history(work)
    if littered:
        litter(work)
    there_and_back(work, action)


@pytest.mark.parametrize("verb", ["merge", "merge ff", "merge with conflicts", "cherry-pick"])
def test_work_that_was_what_the_merge_brings_stays(work: Work, verb: str) -> None:
    history(work)
    work.write({b"t/t": b"t", b"r": b"r", b"ahead": b"1", b"run": program(b"#!")})
    there_and_back(work, CLEAN[verb])


DURING: dict[str, Action] = {
    "abort": lambda repo: repo.merge_abort(),
    "resolve theirs": lambda repo: repo.resolve(b"b.bin", side="theirs"),
    "resolve edited": lambda repo: repo.resolve(CN, side="ours"),
    "resolve by hand": lambda repo: repo.resolve(CN, file=f"{repo.root}/{CN.decode()}"),
    "resolve a link": lambda repo: repo.resolve(b"l", side="theirs"),
    "add": lambda repo: repo.add([CN, b"b.bin"]),
    "add all": lambda repo: repo.add(all=True),
    "rm": lambda repo: repo.remove([b"b.bin"]),
    "checkout force": lambda repo: repo.checkout("topic", force=True),
    "reset hard": lambda repo: repo.reset("HEAD", ResetMode.HARD),
    "reset": lambda repo: repo.reset("HEAD"),
    "clean": lambda repo: repo.clean(),
    "branch": lambda repo: repo.create_branch("more"),
}


@pytest.mark.parametrize("action", [pytest.param(act, id=name) for name, act in DURING.items()])
def test_undo_in_the_middle_of_a_merge(work: Work, action: Action) -> None:
    history(work)
    work.write({b"l": link(b"main")})
    work.repo.add([b"l"])
    work.repo.commit("link")
    assert {c.path for c in work.repo.merge("rival").conflicts} == {CN, b"b.bin", b"l"}
    work.write({CN: b"half settled\n", b"u": b"untracked"})
    there_and_back(work, action)


@pytest.mark.parametrize("verb", ["merge", "cherry-pick"])
def test_undo_of_the_commit_that_finishes_a_merge(work: Work, verb: str) -> None:
    """The merge is in progress again, so that the next commit has both parents too."""
    history(work)
    outcome = work.repo.merge("rival") if verb == "merge" else work.repo.cherry_pick("rival")
    for conflict in outcome.conflicts:
        work.repo.resolve(conflict.path, side="theirs")
    there_and_back(work, lambda repo: repo.commit("finished"))
    assert work.repo.status().operation == verb
    assert len(work.repo.commit("again").parents) == (2 if verb == "merge" else 1)


def test_step_by_step_back_to_nothing(work: Work) -> None:
    states = [work.everything()]
    work.write({b"a": b"1", CN: LINES})
    written = work.tree()
    work.repo.add(all=True)
    work.repo.commit("one")
    work.repo.move(b"a", b"b")
    work.repo.commit("two")
    work.repo.create_tag("v1")
    work.repo.remove([b"b"])
    for _ in range(6):
        work.reopen().undo()
    assert work.tree() == written
    assert work.everything()[:3] == states[0][:3]
    with pytest.raises(NotFoundError):
        work.repo.undo()


def test_undo_refuses_to_overwrite_later_work(work: Work) -> None:
    history(work)
    work.repo.merge("rival")
    work.write({CN: b"hours of work\n"})
    before = work.everything()
    with pytest.raises(WouldOverwriteError):
        work.repo.undo()
    assert work.everything() == before


def test_undo_of_an_older_operation(work: Work) -> None:
    work.commit("one", {b"a": b"1", b"b": b"1"})
    work.write({b"a": b"2"})
    work.repo.restore([b"a"])
    restore = str(work.repo.operations(1)[0].id)
    work.write({b"new": b"1"})
    work.repo.add([b"new"])
    work.repo.undo(restore)
    assert work.tree() == {b"a": text("2"), b"b": text("1"), b"new": text("1")}
    assert [c.path for c in work.reopen().status().staged] == [b"new"]


def test_a_commit_is_not_taken_back_in_the_middle_of_a_merge(work: Work) -> None:
    history(work)
    commit = str(work.repo.operations(1)[0].id)
    made = str(next(o for o in work.repo.operations() if any(r[0] == "refs/heads/main" for r in o.refs)).id)
    work.repo.merge("rival")
    before = work.everything()
    for operation in (commit, made):
        with pytest.raises((ConcurrentChangeError, WouldOverwriteError)):
            work.repo.undo(operation)
    assert work.everything() == before


def test_what_undo_needs_survives_gc(work: Work) -> None:
    history(work)
    work.repo.merge("rival")
    during = work.everything()
    work.write({CN: b"half\n"})
    edited = work.everything()
    work.repo.merge_abort()
    work.repo.delete_branch("rival", force=True)
    work.repo.gc(grace_seconds=0)
    work.reopen().undo()
    work.repo.undo()
    assert work.everything() == edited
    assert during[1] == edited[1]
