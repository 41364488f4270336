"""record() killed or failing at every step, and eight processes on one branch."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.history.history import History
from dsvc.history.refs import OPERATIONS, RefChange
from dsvc.model.errors import ConcurrentChangeError, DsvcError, LockedError
from dsvc.model.ids import CommitId
from tests.historykit import repo_at, run_in_child
from tests.slim import in_slim_process

MAIN = "refs/heads/main"
TOPIC = "refs/heads/a/topic"
GONE = "refs/heads/gone"


def state(history: History) -> tuple[dict[str, CommitId], str]:
    refs = history.refs.list()
    refs.pop(OPERATIONS, None)
    return refs, history.refs.head().text


def big_step(repo: Any, history: History) -> tuple[Any, Any]:
    """Everything at once: a commit, a new branch, one that goes (packed), HEAD moves."""
    from dsvc.history.operations import Operation

    main = history.refs.get(MAIN)
    who = history.read_commit(main).author
    parent = history.read_commit(main)
    made = history.commit(
        parents=[main],
        manifest=parent.manifest,
        files=7,
        bytes=7,
        message="the step",
        author=who,
        committer=who,
        branch=MAIN,
        expected=main,
    )
    changes = [*made.changes, RefChange(TOPIC, None, made.id), RefChange(GONE, main, None)]
    operation = Operation(
        id=None,
        verb="commit",
        arguments=(),
        seconds=1,
        refs=(),
        head_before=MAIN,
        head_after="",
        staged_before=None,
        staged_after=None,
        discarded=None,
        undone=None,
        who=who,
        note=None,
    )

    def run() -> None:
        history.record(
            changes=changes,
            operation=operation,
            message="step",
            who=who,
            new_objects=made.objects,
            head=TOPIC,
        )

    return made.id, run


def prepared(repo: Any) -> tuple[Any, Any]:
    (one,) = repo.line(1)
    repo.move(RefChange(GONE, None, one))
    repo.git("pack-refs", "--all")
    repo.move(RefChange("refs/heads/other", None, one))
    history = repo.open(durable=True)
    return one, history


def check(repo: Any, one: CommitId, new: CommitId) -> bool:
    """Everything is as before, or everything is as after; returns which."""
    others = {"refs/heads/other": one}
    before = ({MAIN: one, GONE: one, **others}, MAIN)
    after = ({MAIN: new, TOPIC: new, **others}, TOPIC)
    # A reader that may write nothing sees the same as one that cleans up.
    reader = History(repo.git_dir, repo.lock_path)
    seen = state(reader)
    operations = reader.operations.list()
    writer = repo.open()
    assert state(writer) == seen
    assert writer.operations.list() == operations
    assert seen in (before, after)
    moved = seen == after
    assert len(operations) == 1 + moved
    if moved:
        assert operations[0].refs == ((MAIN, one, new), (TOPIC, None, new), (GONE, one, None))
        assert (operations[0].head_before, operations[0].head_after) == (MAIN, TOPIC)
        assert [(e.old, e.new) for e in writer.refs.reflog("HEAD", 1)] == [(one, new)]
        assert [(e.old, e.new) for e in writer.refs.reflog(MAIN)] == [(one, new), (None, one)]
        assert [e.new for e in writer.refs.reflog(TOPIC)] == [new]
    assert not list(Path(repo.git_dir).rglob("*.lock"))
    assert not list(Path(repo.git_dir).glob("dsvc-update*"))
    assert writer.read_commit(new if moved else one)
    if moved:
        git = repo.git("for-each-ref", "--format=%(refname) %(objectname)")
        assert dict(line.split() for line in git.splitlines()) == {**after[0], OPERATIONS: operations[0].id}
        assert repo.git("symbolic-ref", "HEAD") == TOPIC
    return moved


def steps(repo: Any) -> int:
    """How many operations the big step has."""
    _, run = big_step(repo, prepared(repo)[1])
    with armed(Plan()) as plan:
        run()
    assert len(plan.seen) > 25
    return len(plan.seen)


@pytest.mark.parametrize("action", [Action.KILL, Action.TORN_WRITE])
@in_slim_process
def test_killed_at_every_step(fast_path: Path, action: Action) -> None:
    outcomes = []
    for at in range(1, steps(repo_at(fast_path, 0)) + 2):
        repo = repo_at(fast_path, at)
        one, history = prepared(repo)
        new, run = big_step(repo, history)
        run_in_child(run, Plan(action=action, at=at))
        outcomes.append(check(repo, one, new))
        if at % 8 == 0:
            assert repo.git("fsck", "--strict", "--no-dangling") == ""
        if not outcomes[-1]:
            run()
            assert check(repo, one, new)
    if action is Action.TORN_WRITE:
        return
    assert outcomes == sorted(outcomes), "one commit point, and nothing goes back over it"
    assert not outcomes[0]


@pytest.mark.parametrize("action", [Action.EIO, Action.ENOSPC, Action.SHORT_WRITE])
@pytest.mark.parametrize("persistent", [False, True])
@in_slim_process
def test_failing_at_every_step(fast_path: Path, action: Action, persistent: bool) -> None:
    at = 0
    while True:
        at += 1
        repo = repo_at(fast_path, at)
        one, history = prepared(repo)
        new, run = big_step(repo, history)
        failed = False
        with armed(Plan(action=action, at=at, persistent=persistent)) as plan:
            try:
                run()
            except DsvcError:
                failed = True
        moved = check(repo, one, new)
        assert moved != failed, "an error means that nothing moved; none means that everything did"
        if not moved:
            run()
            assert check(repo, one, new)
        if not plan.fired:
            break
    assert at > 4


@pytest.mark.slow
@in_slim_process
def test_recovery_killed_at_every_step(fast_path: Path) -> None:
    for first in range(1, 200):
        repo = repo_at(fast_path, first)
        one, history = prepared(repo)
        new, run = big_step(repo, history)
        if not run_in_child(run, Plan(action=Action.KILL, at=first)):
            break
        if not repo.path("dsvc-update.committed").exists():
            continue
        at = 1
        while run_in_child(lambda repo=repo: repo.open(durable=True), Plan(action=Action.KILL, at=at)):
            at += 1
            assert at < 100
        assert check(repo, one, new)
    else:
        pytest.fail("it never ran through")


def test_a_reader_never_waits_and_sees_all_or_nothing(repo: Any) -> None:
    one, history = prepared(repo)
    new, run = big_step(repo, history)
    seen = []
    reader = History(repo.git_dir, repo.lock_path)
    with armed(Plan(observer=lambda *_: seen.append(state(reader)))):
        run()
    others = {"refs/heads/other": one}
    before = ({MAIN: one, GONE: one, **others}, MAIN)
    after = ({MAIN: new, TOPIC: new, **others}, TOPIC)
    turn = seen.index(after)
    assert seen == [before] * turn + [after] * (len(seen) - turn)


def test_a_journal_of_nonsense_is_dropped(repo: Any) -> None:
    one, _ = prepared(repo)
    for content in (
        b"",
        b"\0" * 100,
        b"{}",
        b'{"format":1,"refs":[["refs/../x",null,null]]}',
        b"[" * 100_000,
    ):
        for name in ("dsvc-update.committed", "dsvc-update.prepared"):
            repo.path(name).write_bytes(content)
        assert repo.open().refs.get(MAIN) == one
        assert not list(Path(repo.git_dir).glob("dsvc-update*"))


def test_what_another_tool_moved_after_a_crash_stays(repo: Any, killed: Any) -> None:
    one, history = prepared(repo)
    two = repo.commit(one, branch=None, n=9)
    new, run = big_step(repo, history)
    at = 1
    while not repo.path("dsvc-update.committed").exists():
        assert killed(run, Plan(action=Action.KILL, at=at))
        at += 1
    repo.path(MAIN + ".lock").unlink()
    repo.path("HEAD.lock").unlink()
    repo.git("update-ref", MAIN, two)
    repo.open()
    assert repo.history.refs.get(MAIN) == two
    assert repo.history.refs.get(TOPIC) == new


def _commit_until_done(repo: Any, number: int, count: int) -> None:
    history = repo.open(lock_timeout=60)
    done = 0
    while done < count:
        try:
            tip = history.refs.get(MAIN)
            repo.commit(tip, message=f"{number}.{done}", n=number * 1000 + done + 1, history=history)
            done += 1
        except ConcurrentChangeError:
            time.sleep(0.001)


def test_eight_processes_lose_no_update(repo: Any) -> None:
    repo.line(1)
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            try:
                _commit_until_done(repo, number, 10)
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    history = repo.open()
    messages = [commit.message for commit in history.log([history.refs.get(MAIN)])]
    assert len(messages) == 81
    assert set(messages) == {"change 1", *(f"{a}.{b}" for a in range(8) for b in range(10))}
    assert len(history.operations.list()) == 81
    assert len(history.refs.reflog(MAIN)) == 81
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_one_of_eight_wins(repo: Any) -> None:
    (one,) = repo.line(1)
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            try:
                repo.commit(one, n=number + 2, message=str(number), history=repo.open(lock_timeout=60))
            except ConcurrentChangeError:
                os._exit(13)
            except LockedError:
                os._exit(11)
            os._exit(0)
        children.append(child)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == [0] + [13] * 7
    assert len(repo.open().operations.list()) == 2
