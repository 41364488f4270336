"""F10, F11: the system does less than asked, is interrupted, or lies about what it wrote."""

from __future__ import annotations

import os
import random
import signal
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dsvc.model.errors import DsvcError
from dsvc.model.manifest import MODE_EXECUTABLE, MODE_FILE
from dsvc.testing.checker import commit_contents
from dsvc.testing.faults import BrokenPromiseError, run_in_child, tried
from tests import lineage_scenarios, loop_scenarios, scenarios
from tests.faultkit import Scenario, open_in, repository, write
from tests.faultkit import state as state_of
from tests.loop_world import make as make_world
from tests.slim import in_slim_process

# Less than asked


def _stop_short(seed: int) -> None:
    """From now on, in this process, no call reads or writes more than some bytes of a file at once.

    Pipes stay as they are: what is shorter than ``PIPE_BUF`` goes through them in one piece.
    """
    rest = random.Random(seed)

    def few(fd: int) -> int:
        return rest.choice((1, 7, 100, 1000)) if stat.S_ISREG(os.fstat(fd).st_mode) else 1 << 30

    def cut(fd: int, buffers: Sequence[Any]) -> list[memoryview]:
        return [memoryview(next(each for each in buffers if len(each))).cast("B")[: few(fd)]]

    def cut_length(call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda fd, length, *rest: call(fd, min(length, few(fd)), *rest)

    def cut_buffers(call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda fd, buffers, *rest: call(fd, cut(fd, buffers), *rest)

    def cut_data(call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda fd, data, *rest: call(fd, memoryview(data).cast("B")[: few(fd)], *rest)

    for name in ("read", "pread"):
        setattr(os, name, cut_length(getattr(os, name)))
    for name in ("readv", "preadv", "writev", "pwritev"):
        setattr(os, name, cut_buffers(getattr(os, name)))
    for name in ("write", "pwrite"):
        setattr(os, name, cut_data(getattr(os, name)))


def _interrupt() -> None:
    """From now on a signal comes every half millisecond: system calls that wait are interrupted (EINTR)."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)


LATER = lineage_scenarios.COMMANDS.keys() | loop_scenarios.COMMANDS.keys()
ALWAYS = (scenarios.COMMANDS.keys() - LATER) | {"run", "source-add", "repair-apply", "release-create"}
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 30))]


def _ran(run: Callable[[], object], trouble: Callable[[], None]) -> None:
    def child() -> None:
        trouble()
        run()
        signal.setitimer(signal.ITIMER_REAL, 0)

    outcome = run_in_child(child)
    tried("disk errors")
    if outcome.error is not None:
        raise BrokenPromiseError(f"it did not go on: {outcome.error.code}: {outcome.error}")  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "name",
    [
        name if name in ALWAYS else pytest.param(name, marks=pytest.mark.soak)
        for name in (*scenarios.COMMANDS, *loop_scenarios.COMMANDS)
    ],
)
@in_slim_process
def test_f10_less_than_asked_at_every_call(fast_path: Path, name: str, seed: int) -> None:
    print(f"seed {seed}")
    root = str(fast_path / "case")
    if name in scenarios.COMMANDS:
        scenario = scenarios.make(name, fast_path / "scenario")
        scenario.image.lay_out(root)
        _ran(partial(scenario.run, root), partial(_stop_short, seed))
        with repository(root) as repo:
            assert state_of(repo) == scenario.end
    else:
        world = make_world(name, fast_path / "world")
        world.image.lay_out(root)
        _ran(partial(world.run, root), partial(_stop_short, seed))
        assert loop_scenarios.words(root) == world.after


@pytest.mark.parametrize("name", ["add", "commit", "checkout", "merge", "gc", "run"])
@in_slim_process
def test_f10_interrupted_all_the_time(fast_path: Path, name: str) -> None:
    scenario = scenarios.make(name, fast_path / "scenario")
    root = str(fast_path / "case")
    scenario.image.lay_out(root)
    _ran(partial(scenario.run, root), _interrupt)
    with repository(root) as repo:
        assert state_of(repo) == scenario.end


@in_slim_process
def test_f10_answers_are_whole_where_reads_are_short(fast_path: Path) -> None:
    """What other verbs say: status, log, diff, fsck, the content of files."""
    scenario = scenarios.make("checkout-force", fast_path / "scenario")
    root = str(fast_path / "case")
    scenario.image.lay_out(root)
    ignored = b"".join(b"nothing%d\n" % n for n in range(300)) + b"mine\n"
    write(root, {b".dsvcignore": ignored, b"data/.dsvcignore": ignored, b"data/mine": b"ignored"})
    usual = _answers(root)

    def short() -> None:
        _stop_short(3)
        if (found := _answers(root)) != usual:
            raise BrokenPromiseError(f"{found}, where it was {usual}")

    assert run_in_child(short).error is None
    tried("disk errors")


def _answers(root: str) -> list[object]:
    with repository(root) as repo:
        head = repo.history.refs.head().commit
        assert head is not None
        found: list[object] = [repo.status(untracked="all"), commit_contents(repo, head), repo.diff()]
        found += [[each.id for each in repo.history.log([head])], repo.fsck(read_data=True).ok]
        return found


# Bytes that were never written


def _lie_at(number: int, zeros: bool) -> list[int]:
    """From now on the n-th write tells that all was written; in its place there is nothing, or zeros."""
    seen = [0]

    def lying(call: Callable[..., Any]) -> Callable[..., Any]:
        def write(fd: int, buffers: Sequence[Any], *rest: Any) -> int:
            seen[0] += 1
            if seen[0] != number:
                return call(fd, buffers, *rest)  # type: ignore[no-any-return]
            length = sum(len(memoryview(each).cast("B")) for each in buffers)
            if zeros:
                call(fd, [bytes(length)], *rest)
            return length

        return write

    os.writev, os.pwritev = lying(os.writev), lying(os.pwritev)
    return seen


def _reads_right(root: str, scenario: Scenario) -> bool:
    """Whether all can be read; never other bytes than those that were given."""
    told = False
    for rev in ("HEAD", "STAGED"):
        try:
            with repository(root) as repo:
                entries = list(repo.manifest_of(rev).entries())
        except DsvcError:
            told = True
            continue
        for entry in entries:
            if entry.mode not in (MODE_FILE, MODE_EXECUTABLE):
                continue
            try:
                with open_in(root).open_file(entry.path, rev) as stream:
                    data = stream.read()
            except DsvcError:
                told = True
                continue
            known = {state.get(entry.path, (0, None))[1] for state in (scenario.before, scenario.after)}
            known |= {each.get(entry.path) for each in (*scenario.commits.values(), *scenario.possible)}
            if data not in known:
                raise BrokenPromiseError(f"{entry.path!r} of {rev} is {data[:40]!r}")
    return not told


@pytest.mark.parametrize("zeros", [False, True], ids=["nothing", "zeros"])
@pytest.mark.parametrize(
    "name",
    [
        "add",
        "commit",
        "commit-all",
        *(pytest.param(n, marks=pytest.mark.soak) for n in ("merge", "gc", "stash")),
    ],
)
@in_slim_process
def test_f11_a_write_that_lies_is_found(fast_path: Path, name: str, zeros: bool) -> None:
    """The command fails, or reading fails, and fsck names it; wrong bytes are never given out."""
    scenario = scenarios.make(name, fast_path / "scenario")
    for number in range(1, 1000):
        root = str(fast_path / str(number))
        scenario.image.lay_out(root)

        def run(number: int = number, root: str = root) -> None:
            seen = _lie_at(number, zeros)
            scenario.run(root)
            if seen[0] < number:
                os._exit(9)

        try:
            outcome = run_in_child(run)
        except EOFError:
            break
        tried("disk errors")
        whole = _reads_right(root, scenario)
        with repository(root) as repo:
            try:
                sound = repo.fsck(read_data=True).ok
            except DsvcError:
                sound = False
        if outcome.error is None and not whole and sound:
            raise BrokenPromiseError(f"write {number} was lost, and fsck says that all is well")
    else:
        raise AssertionError("it never came to an end")
    assert number > 3
