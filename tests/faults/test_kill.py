"""P1, P4, P5: killed at any write, a command leaves the state before or after it, and runs again."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsvc.fs.failpoints import Action, Plan
from dsvc.model.errors import NoRepositoryError, StorageError, UsageError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.tree import tree_scan, tree_update
from dsvc.testing.checker import Expected, check, check_files, commit_contents, tree_state, unchanged
from dsvc.testing.faults import KILLS, Fault, points, run_in_child, tried
from dsvc.testing.image import Image
from dsvc.testing.walk import walk
from tests import lineage_scenarios, scenarios
from tests.faultkit import Scenario, commit_all, open_in, repository, write
from tests.slim import in_slim_process


def _night(name: str) -> object:
    return pytest.param(name, True, marks=pytest.mark.soak, id=f"{name}-pieces")


@pytest.mark.parametrize(
    ("name", "pieces"),
    [pytest.param(name, False, id=name) for name in scenarios.COMMANDS]
    + list(map(_night, scenarios.COMMANDS)),
)
@in_slim_process
def test_f1_killed_at_every_operation(fast_path: Path, name: str, pieces: bool) -> None:
    """Each state that a kill leaves; with pieces also those inside of writes."""
    scenario = scenarios.make(name, fast_path / "scenario")
    # Of what the commands on runs and sources share with others enough is seen there.
    step = 6 if name in lineage_scenarios.COMMANDS and not pieces else 1
    assert scenario.walk(fast_path, pieces=pieces, step=step) > 3


@pytest.mark.parametrize(
    ("fault", "name", "step", "first"),
    [(fault, *stride) for fault in KILLS for stride in scenarios.strides(fault)],
    ids=scenarios.ids(KILLS),
)
@in_slim_process
def test_f1_killed_for_good(fast_path: Path, fault: Fault, name: str, step: int, first: int) -> None:
    """The process that is killed wrote where it is looked at: caches know these files by number and time."""
    scenario = scenarios.make(name, fast_path / "scenario")
    assert scenario.loop(fast_path, fault, step=step, first=first)


@in_slim_process
def test_f1_a_walk_shows_what_kills_leave(fast_path: Path) -> None:
    """What stands at a stop is what a kill leaves, but for made-up names and what tells of time."""
    scenario = scenarios.make("add", fast_path / "scenario")
    # Names of objects are made of times: where two fall into one folder there is an operation less.
    assert any(_stopped(scenario, fast_path) == _killed(scenario, fast_path) for _ in range(3))


def _stopped(scenario: Scenario, folder: Path) -> list[list[tuple[str, int]]]:
    stops = [left.image for left in walk(scenario.image, str(folder), scenario.run)]
    seen, last = [], None
    for last in (stop or last for stop in stops):
        assert last is not None
        root = str(folder / "stop")
        last.lay_out(root)
        seen.append(_shape(root))
        shutil.rmtree(root)
    return seen


def _killed(scenario: Scenario, folder: Path) -> list[list[tuple[str, int]]]:
    fault = Fault(action=Action.KILL)
    return [_shape(root) for root, _ in points(scenario.image, str(folder), scenario.run, fault)]


def _shape(root: str) -> list[tuple[str, int]]:
    """All files with their sizes, names that are made up left out."""
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            # Objects of operations and the stat cache tell of times; a time may take a digit more.
            if not path.startswith((".dsvc/git/objects", ".dsvc/cache")):
                path = re.sub(r"[0-9]+-[0-9a-f]{16}", "", path)
                found.append((path, os.lstat(os.path.join(folder, name)).st_size))
    return sorted(found)


@pytest.mark.parametrize("fault", KILLS, ids=lambda fault: fault.action.value)
@in_slim_process
def test_f1_init_killed_at_every_operation(fast_path: Path, fault: Fault) -> None:
    (fast_path / "before").mkdir()
    write(fast_path / "before", {b"mine": b"my file\n"})
    image = Image(str(fast_path / "before"))
    files = unchanged(tree_state(str(fast_path / "before")))
    for root, _ in points(image, str(fast_path), Repository.init, fault):
        check_files(root, files)
        try:
            Repository.open(root)
        except NoRepositoryError:
            Repository.init(root)
        else:
            with pytest.raises(UsageError, match="already"):
                Repository.init(root)
        check(
            root,
            Expected(files=files, possible=[{b"mine": b"my file\n"}]),
            rerun=lambda repo: commit_all(open_in(repo.root), "first"),
        )
        with repository(root) as repo:
            head = repo.history.refs.head()
            assert head.commit is not None
            assert commit_contents(repo, head.commit) == {b"mine": b"my file\n"}


@pytest.mark.parametrize("name", ["checkout-force", "restore", "reset-hard"])
@in_slim_process
def test_f1_what_a_killed_verb_discarded_comes_back(fast_path: Path, name: str) -> None:
    """At each kill point work is still in the tree, or `undo` brings it back."""
    scenario = scenarios.make(name, fast_path / "scenario")
    # The files whose content is nowhere but in the tree.
    work = [b"data/noise.bin", b"a.txt"]
    for root, _ in points(scenario.image, str(fast_path), scenario.run, Fault(action=Action.KILL), step=2):
        found = tree_state(root)
        if all(found.get(path) == scenario.before[path] for path in work):
            continue
        with repository(root) as repo:
            repo.undo()
        now = tree_state(root)
        assert {path: now.get(path) for path in work} == {path: scenario.before[path] for path in work}


@in_slim_process
def test_f1_recovery_is_killed_too(fast_path: Path) -> None:
    """A command killed while it cleans up after a killed one is no worse than either."""
    scenario = scenarios.make("commit", fast_path / "scenario")
    (fast_path / "second").mkdir()
    for number, (root, outcome) in enumerate(
        points(scenario.image, str(fast_path), scenario.run, Fault(action=Action.KILL), first=2, step=7)
    ):
        if not outcome.killed:
            break
        again = Image(root)
        for second, _ in points(
            again,
            str(fast_path / "second"),
            _tolerant(scenario),
            Fault(action=Action.KILL),
            first=1 + number % 5,
            step=5,
        ):
            scenario.check(second)


def _tolerant(scenario: Scenario) -> Any:
    return lambda root: scenario.again(open_in(root))


# Forked workers


def _many(root: str) -> None:
    Repository.init(root)
    repo = open_in(root)
    write(root, {b"%d/file%d" % (n % 5, n): b"content %d\n" % n for n in range(40)})
    commit_all(repo, "first")
    write(root, {b"%d/file%d" % (n % 5, n): b"changed %d\n" % n for n in range(0, 40, 3)})


@contextlib.contextmanager
def _early_workers() -> Iterator[None]:
    """Workers are forked for a few files already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_scan, "FORK_FROM", 2)
        patch.setattr(tree_update, "FORK_FROM", 2)
        patch.setattr("dsvc.porcelain.tree.tree_scan.worker_count", lambda: 2, raising=False)
        patch.setattr("dsvc.store.workers.worker_count", lambda: 2)
        yield


@pytest.mark.parametrize("verb", ["add", "checkout"])
@in_slim_process
@_early_workers()
def test_f1_killed_with_workers(fast_path: Path, verb: str) -> None:
    """The armed plan counts in each process; whichever comes first to its n-th operation dies."""
    commands = {"add": lambda r: r.add(all=True), "checkout": lambda r: r.checkout("HEAD", force=True)}
    (fast_path / "scenario").mkdir()
    scenario = Scenario.make(fast_path / "scenario", _many, commands[verb])
    count = 0
    for root, outcome in points(
        scenario.image, str(fast_path), scenario.run, Fault(action=Action.KILL), step=5
    ):
        # Killed in a worker alone, the command ends with a typed error.
        assert outcome.error is None or isinstance(outcome.error, StorageError)
        scenario.check(root)
        count += 1
    assert count >= 10


def _kill_a_worker(grandparent: int, at: int, number: int, _name: str, _path: str) -> None:
    if os.getppid() != grandparent and number >= at:
        os.kill(os.getpid(), signal.SIGKILL)


@in_slim_process
@_early_workers()
def test_f1_a_worker_that_dies_is_a_storage_error(fast_path: Path) -> None:
    (fast_path / "scenario").mkdir()
    scenario = Scenario.make(fast_path / "scenario", _many, lambda r: r.add(all=True))
    for at in range(1, 12):
        root = str(fast_path / str(at))
        scenario.image.lay_out(root)
        plan = Plan(observer=functools.partial(_kill_a_worker, os.getpid(), at))
        outcome = run_in_child(functools.partial(scenario.run, root), plan)
        tried("kill points")
        assert not outcome.killed
        assert outcome.error is None or isinstance(outcome.error, StorageError)
        scenario.check(root)
