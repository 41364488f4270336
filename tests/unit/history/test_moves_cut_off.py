"""A move of several refs, looked at as a kill before each of its steps would leave it.

All that a move does to the disk goes through the write seam, one step after the other. So copies of the
folder made before each step are the states that a kill can leave; no process has to die for them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.history.history import History
from dsvc.history.reflog import encode_line
from dsvc.history.refs import OPERATIONS, RefChange, Refs
from dsvc.model.errors import LockedError, StorageError
from dsvc.model.ids import CommitId
from tests.historykit import MAIN, WHO, Repo

TOPIC = "refs/heads/a/topic"
PACKED = "refs/heads/packed"
DEEP = "refs/tags/deep/er"
KEPT = "refs/tags/v1"
STILL = "refs/heads/still"
Ids = tuple[CommitId, CommitId]
State = tuple[dict[str, CommitId], str]


@pytest.fixture
def repo(fast_path: Path) -> Repo:
    root = fast_path / "repo"
    root.mkdir()
    return Repo(root)


@pytest.fixture
def ids(repo: Repo) -> Ids:
    """Loose refs, packed ones, and one below a folder of its own."""
    first = repo.commit()
    second = repo.commit(first, branch=None, n=2)
    repo.move(RefChange(DEEP, None, first), RefChange(STILL, None, first))
    repo.path("packed-refs").write_text(
        f"# pack-refs with: peeled fully-peeled sorted \n{first} {PACKED}\n{second} {KEPT}\n^{first}\n"
    )
    return first, second


def move(root: Path, ids: Ids, *, durable: bool = True) -> None:
    """A branch moves, one is made, one is only looked at, a packed and a loose one go, and so does HEAD."""
    first, second = ids
    changes = [
        RefChange(MAIN, first, second),
        RefChange(TOPIC, None, second),
        RefChange(STILL, first, first),
        RefChange(PACKED, first, None),
        RefChange(DEEP, first, None),
    ]
    opened(root, durable=durable).refs.update(changes, message="move", who=WHO, head=TOPIC)


def opened(root: Path, *, durable: bool = True) -> History:
    """The history there, with nothing finished or undone yet."""
    return History(str(root / "git"), str(root / "refs.lock"), durable)


def state(root: Path) -> State:
    history = opened(root)
    found = history.refs.list()
    found.pop(OPERATIONS)
    return found, history.refs.head().text


def nothing_is_left(root: Path) -> bool:
    git = root / "git"
    return not [*git.rglob("*.lock"), *git.glob("dsvc-update*")]


def before_and_after(ids: Ids) -> tuple[State, State]:
    first, second = ids
    stays = {KEPT: second, STILL: first}
    before = {MAIN: first, PACKED: first, DEEP: first, **stays}
    return (before, MAIN), ({MAIN: second, TOPIC: second, **stays}, TOPIC)


def cut_off(root: Path, run: Callable[[], object], to: Path) -> list[Path]:
    """Run something; what a kill before each of its steps would leave, and what it has left in the end."""
    found: list[Path] = []

    def copy() -> None:
        found.append(Path(shutil.copytree(root, to / str(len(found)), symlinks=True)))

    def look(_number: int, name: str, _path: str) -> None:
        if not name.startswith("fsync"):  # changes nothing that a copy shows
            copy()

    with armed(Plan(observer=look)):
        run()
    copy()
    return found


def check_moved(root: Path, ids: Ids) -> None:
    """All that was asked for is there, once, and nothing of how it was done."""
    first, second = ids
    assert state(root) == before_and_after(ids)[1]
    assert nothing_is_left(root)
    refs = opened(root).refs
    assert [(each.old, each.new) for each in refs.reflog(MAIN)] == [(first, second), (None, first)]
    assert [(each.old, each.new) for each in refs.reflog(TOPIC)] == [(None, second)]
    assert [(each.old, each.new) for each in refs.reflog(DEEP)] == [(first, None), (None, first)]
    assert [(each.old, each.new) for each in refs.reflog(PACKED)] == [(first, None)]
    assert [(each.old, each.new) for each in refs.reflog(STILL)] == [(None, first)]
    assert [(each.old, each.new) for each in refs.reflog("HEAD", 1)] == [(first, second)]
    git = root / "git"
    assert git.joinpath("packed-refs").read_text().splitlines()[1:] == [f"{second} {KEPT}", f"^{first}"]
    assert sorted(os.listdir(git / "refs")) == ["dsvc", "heads", "tags"]


def check(root: Path, ids: Ids) -> bool:
    """All is as before or all is as after, for who looks and for who cleans up; whether it's as after."""
    before, after = before_and_after(ids)
    seen = state(root)
    assert seen in (before, after)
    opened(root).refs.recover()
    assert state(root) == seen
    assert nothing_is_left(root)
    if seen == before:
        assert [each.new for each in opened(root).refs.reflog(MAIN)] == [ids[0]]
        move(root, ids)
    check_moved(root, ids)
    return seen == after


def test_cut_off_before_each_step_all_or_nothing_has_moved(repo: Repo, ids: Ids, fast_path: Path) -> None:
    states = cut_off(repo.root, lambda: move(repo.root, ids), fast_path)
    check_moved(repo.root, ids)
    assert os.listdir(repo.path("refs/tags")) == [], "the folder of a tag that is gone goes with it"
    outcomes = [check(each, ids) for each in states]
    assert outcomes == sorted(outcomes), "one commit point, and nothing goes back over it"
    assert (outcomes[0], outcomes[-1]) == (False, True)
    assert len(states) > 30


def test_cleaning_up_cut_off_before_each_step_is_done_again(repo: Repo, ids: Ids, fast_path: Path) -> None:
    states = cut_off(repo.root, lambda: move(repo.root, ids), fast_path)
    decided = [each for each in states if (each / "git" / "dsvc-update.committed").exists()]
    undecided = [each for each in states if (each / "git" / "dsvc-update.prepared").exists()]
    for number, start in enumerate((undecided[-1], decided[0], decided[len(decided) // 2], decided[-1])):
        again = cut_off(start, opened(start).refs.recover, fast_path / f"again{number}")
        moved = {check(each, ids) for each in again}
        assert moved == {start in decided}


def test_a_disk_that_fails_at_each_step(repo: Repo, ids: Ids, fast_path: Path) -> None:
    """An error says that nothing has moved, none that all has; and then nobody sees anything else."""
    before, after = before_and_after(ids)
    outcomes = []
    for at in range(1, 200):
        root = Path(shutil.copytree(repo.root, fast_path / str(at)))
        failed = False
        with armed(Plan(action=Action.EIO, at=at)) as plan:
            try:
                move(root, ids)
            except StorageError:
                failed = True
        assert state(root) == (before if failed else after)
        if failed:
            assert nothing_is_left(root)
        assert check(root, ids) is not failed
        outcomes.append(not failed)
        if not plan.fired:
            break
    assert outcomes == sorted(outcomes)
    assert 20 < outcomes.count(False) < len(outcomes) - 20


def flushed_in_time(steps: list[tuple[str, str]], root: Path) -> None:
    """Each name that changed was flushed in its folder before the journal, which says what to do, went."""
    git = str(root / "git")
    gone = max(at for at, step in enumerate(steps) if step == ("unlink", f"{git}/dsvc-update.committed"))
    for name, path in steps[:gone]:
        if name == "write":
            assert ("fsync", path) in steps[:gone], path
    for at, (name, path) in enumerate(steps[:gone]):
        if name == "rename" or (name == "unlink" and not path.endswith(".lock")):
            folder = os.path.dirname(path)
            if os.path.isdir(folder):
                assert ("fsync_folder", folder) in steps[at:gone], path


def test_what_moved_is_flushed_before_the_journal_goes(repo: Repo, ids: Ids, fast_path: Path) -> None:
    states = cut_off(repo.root, lambda: move(repo.root, ids), fast_path)
    first = states[0]
    with armed(Plan()) as plan:
        move(first, ids)
    flushed_in_time(plan.seen, first)
    git = str(first / "git")
    decision = plan.seen.index(("rename", f"{git}/dsvc-update.committed"))
    assert plan.seen[decision + 1] == ("fsync_folder", git), "the decision is flushed before it is acted on"
    assert ("fsync", f"{git}/dsvc-update.prepared") in plan.seen[:decision]
    for name in (MAIN, TOPIC, "HEAD"):
        assert ("fsync", f"{git}/{name}.lock") in plan.seen[:decision]
    for root in states:
        if (root / "git" / "dsvc-update.committed").exists():
            with armed(Plan()) as plan:
                opened(root).refs.recover()
            flushed_in_time(plan.seen, root)
            # What had moved by then may not have been flushed by who is dead.
            for name in (MAIN, TOPIC):
                assert ("fsync_folder", os.path.dirname(f"{root}/git/{name}")) in plan.seen


def test_what_need_not_last_is_not_flushed(repo: Repo, ids: Ids) -> None:
    with armed(Plan()) as plan:
        move(repo.root, ids, durable=False)
    assert not [name for name, _ in plan.seen if name.startswith("fsync")]
    check_moved(repo.root, ids)


def test_the_last_branch_that_goes_leaves_the_folder_of_branches(repo: Repo) -> None:
    first = repo.commit()
    repo.move(RefChange(TOPIC, None, first))
    repo.move(head=first)
    repo.move(RefChange(MAIN, first, None), RefChange(TOPIC, first, None))
    assert os.listdir(repo.path("refs/heads")) == []
    assert repo.path("refs/tags").is_dir()


def test_a_line_of_a_log_torn_by_a_crash_is_there_once(repo: Repo, ids: Ids, fast_path: Path) -> None:
    """Cut off anywhere, or with zeros in place of data, as file systems leave what wasn't flushed."""
    states = cut_off(repo.root, lambda: move(repo.root, ids), fast_path)
    start = next(each for each in states if (each / "git" / "dsvc-update.committed").exists())
    journal = json.loads((start / "git" / "dsvc-update.committed").read_bytes())
    line = dict(journal["logs"])[MAIN].encode()
    torn = {line[:kept] for kept in (1, 41, len(line) - 1, len(line))}
    torn |= {
        line[:kept] + bytes(zeros) for kept, zeros in ((0, 1), (0, len(line)), (50, 7), (50, len(line) - 50))
    }
    for number, end in enumerate(sorted(torn)):
        root = Path(shutil.copytree(start, fast_path / f"torn{number}"))
        with (root / "git" / "logs" / MAIN).open("ab") as file:
            file.write(end)
        assert check(root, ids)


@pytest.mark.parametrize("name", ["dsvc-update.committed", "dsvc-update.prepared"])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format",), 2),
        (("refs", 0, 0), "refs/../../x"),
        (("refs", 0, 0), "HEAD"),
        (("refs", 0, 1), "0" * 39),
        (("refs", 0, 2), "../x"),
        (("logs", 0, 0), "../x"),
        (("logs", 0, 0), "HEADS"),
        (("more",), 1),
    ],
)
def test_a_plan_that_no_dsvc_wrote_is_dropped(
    repo: Repo,
    ids: Ids,
    caplog: pytest.LogCaptureFixture,
    name: str,
    place: tuple[str | int, ...],
    value: object,
) -> None:
    first, second = ids
    plan = {"format": 1, "refs": [[MAIN, first, second]], "head": None, "logs": [[MAIN, "line\n"]]}
    repo.path(f"{MAIN}.lock").write_text(f"{second}\n")
    at: Any = plan
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    repo.path(name).write_text(json.dumps(plan))
    before = state(repo.root)
    opened(repo.root).refs.recover()
    assert state(repo.root) == before
    assert not repo.path(name).exists()
    assert ("malformed" in caplog.text) == (name == "dsvc-update.committed"), "a move may have been lost"
    assert repo.path(f"{MAIN}.lock").exists(), "nobody knows whose that is"


def test_locks_of_a_plan_that_was_not_decided_go_and_those_of_others_stay(repo: Repo, ids: Ids) -> None:
    first, second = ids
    odd = "refs/heads/odd"
    plan = {"refs": [[odd, None, first], [MAIN, first, second], [TOPIC, None, second]], "head": None}
    os.mkfifo(repo.path(f"{odd}.lock"))
    repo.path("dsvc-update.prepared").write_text(json.dumps(plan))
    repo.path(f"{MAIN}.lock").write_text(f"{second}\n"[:20])  # it was being written
    theirs = repo.path(f"{TOPIC}.lock")
    theirs.parent.mkdir()
    theirs.write_text(f"{first}\n")
    opened(repo.root).refs.recover()
    found = {*repo.path(".").rglob("*.lock"), *repo.path(".").glob("dsvc-update*")}
    assert found == {theirs, repo.path(f"{odd}.lock")}
    for path in found:
        path.unlink()
    assert state(repo.root) == before_and_after(ids)[0]


def test_what_another_tool_moved_meanwhile_is_not_told_as_ours(repo: Repo, ids: Ids) -> None:
    first, second = ids
    third = repo.commit(second, branch=None, n=3)
    plan = {
        "refs": [[MAIN, first, second], [TOPIC, None, second]],
        "head": [f"ref: {MAIN}", f"ref: {TOPIC}"],
        "logs": [[name, encode_line(first, second, WHO, "ours").decode()] for name in (MAIN, TOPIC, "HEAD")],
    }
    repo.path("dsvc-update.committed").write_text(json.dumps(plan))
    repo.path(MAIN).write_text(f"{third}\n")
    repo.path("HEAD").write_text(f"{first}\n")
    refs = repo.open().refs
    assert (refs.get(MAIN), refs.get(TOPIC), refs.head().text) == (third, second, first)
    assert [each.message for each in refs.reflog(MAIN, 1)] == ["commit: a change"]
    assert [each.message for each in refs.reflog(TOPIC, 1)] == ["ours"]
    assert [each.message for each in refs.reflog("HEAD", 1)] == ["ours"]
    assert nothing_is_left(repo.root)


def test_writers_wait_for_each_other_to_the_end_of_the_outermost(repo: Repo, ids: Ids) -> None:
    other = Refs(repo.git_dir, repo.lock_path, durable=False, lock_timeout=0.0)
    refs = repo.history.refs
    with refs.locked():
        with refs.locked(), refs.locked():
            pass
        for _ in range(2):
            with refs.locked(timeout=0.0):
                pass
        with pytest.raises(LockedError), other.locked():
            pass
    with other.locked(), pytest.raises(LockedError), refs.locked(timeout=0.0):
        pass
    with refs.locked(), pytest.raises(LockedError), other.locked():
        pass
