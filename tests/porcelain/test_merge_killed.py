"""merge killed at every operation of the write seam, then run again."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import WouldOverwriteError
from dsvc.porcelain.state.values import MergeOutcome
from tests.porcelain.working import EMPTY_FOLDER, Work, link, program, text
from tests.slim import in_slim_process

CN = "数据/一.txt".encode()
LINES = b"".join(b"line %d\n" % n for n in range(12))
MINE, YOURS, FAR = (
    LINES.replace(b"line 3\n", b"mine\n"),
    LINES.replace(b"line 3\n", b"yours\n"),
    LINES.replace(b"line 10\n", b"far\n"),
)
BASE = {CN: LINES, b"a": b"1", b"d/x": b"x", b"l": link(b"a"), b"b.bin": b"\0base", b"e": EMPTY_FOLDER}
OURS = {CN: MINE, b"b.bin": b"\0main", b"m": b"m"}
THEIRS = {
    "clean": {CN: FAR, b"a": program(b"2"), b"d/x": None, b"d": b"file", b"l": link(b"b"), b"n/n": b"n"},
    "conflicts": {CN: YOURS, b"a": b"2", b"b.bin": b"\0rival", b"d/x": None, b"n/n": b"n"},
    "fast-forward": {CN: FAR, b"a": program(b"2"), b"d/x": None, b"d": b"file", b"n/n": b"n"},
}
CLEAN_END = {
    CN: text(MINE.replace(b"line 10\n", b"far\n")),
    b"a": program(b"2"),
    b"d": text("file"),
    b"l": link(b"b"),
    b"b.bin": text(b"\0main"),
    b"e": EMPTY_FOLDER,
    b"m": text("m"),
    b"n/n": text("n"),
}
MINE_TOO = {b"u": text("untracked")}


def killed_at(work: Work, at: int) -> bool:
    """Run the merge in a child that is killed at an operation; whether it was."""
    repo = work.open()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            with armed(Plan(action=Action.KILL, at=at)):
                repo.merge("topic")
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def prepared(folder: Path, case: str) -> Work:
    work = Work(folder / "first")
    ours = {} if case == "fast-forward" else OURS
    work.diverge(BASE, ours, THEIRS[case])
    if case == "fast-forward":
        work.repo.reset("HEAD~1")
    work.write({b"u": b"untracked"})
    assert work.repo.status().clean
    return work


def check_end(work: Work, case: str, outcome: MergeOutcome, was: object) -> None:
    head = work.repo.history.refs.head().commit
    assert head is not None
    if case == "conflicts":
        assert head == was
        assert {c.path for c in work.repo.conflicts()} == {CN, b"b.bin"}
        assert {c.path for c in outcome.conflicts} == {CN, b"b.bin"}
        assert work.tree()[b"n/n"] == text("n")
        assert b"<<<<<<<" in work.tree()[CN][1]
        return
    tip = work.repo.history.refs.get("refs/heads/topic")
    if case == "clean":
        assert work.tree() == CLEAN_END | MINE_TOO
        assert work.repo.history.read_commit(head).parents == (was, tip)
    else:
        assert head == tip
    assert work.reopen().status().clean
    assert work.repo.status().operation is None


@pytest.mark.slow
@pytest.mark.parametrize("case", list(THEIRS))
@in_slim_process
def test_f1_killed_at_every_step_and_run_again(fast_path: Path, case: str) -> None:
    first = prepared(fast_path, case)
    was = first.repo.history.refs.head().commit
    before = first.tree()
    at, killed = 0, True
    while killed:
        at += 1
        copy = fast_path / str(at)
        shutil.copytree(first.folder, copy, symlinks=True)
        work = Work(copy)
        killed = killed_at(work, at)
        work.reopen()
        assert work.tree()[b"u"] == text("untracked")
        seen = work.repo.history.refs.head().commit
        assert seen is not None
        work.repo.history.read_commit(seen)
        if case == "conflicts" and work.repo.staged().root != work.repo.head_root(
            work.repo.history.refs.head()
        ):
            # All but the very last steps had happened: it says what to do.
            with pytest.raises(WouldOverwriteError, match="in progress"):
                work.repo.merge("topic")
            outcome = MergeOutcome(commit=None, conflicts=work.repo.status().conflicts)
        else:
            outcome = work.repo.merge("topic")
        check_end(work, case, outcome, was)
        if case == "conflicts":
            work.repo.merge_abort()
            assert work.tree() == before
            assert work.reopen().status().clean
        shutil.rmtree(copy)
    assert at > 20


@pytest.mark.slow
@in_slim_process
def test_f1_killed_and_given_up(fast_path: Path) -> None:
    """Whatever a kill left of a merge with conflicts: where it's in progress, abort takes it back."""
    first = prepared(fast_path, "conflicts")
    before = first.tree()
    at, killed, given_up = 0, True, 0
    while killed:
        at += 3
        copy = fast_path / str(at)
        shutil.copytree(first.folder, copy, symlinks=True)
        work = Work(copy)
        killed = killed_at(work, at)
        if work.reopen().status().operation is not None:
            work.repo.merge_abort()
            given_up += 1
        assert work.tree() == before
        assert work.reopen().status().clean
        shutil.rmtree(copy)
    assert given_up > 5
