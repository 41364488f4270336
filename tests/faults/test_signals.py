"""Ctrl-C and SIGTERM, once and twice, in the middle of each verb: the exit code says so, nothing is left."""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol

import pytest

from dsvc.fs import failpoints
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check, leftovers, tree_state, unchanged
from dsvc.testing.faults import BrokenPromiseError, count_operations, tried
from dsvc.testing.image import Image
from tests import lineage_scenarios, loop_scenarios, scenarios
from tests.faultkit import commit_all, open_in, repository, write
from tests.loop_world import make as make_world
from tests.slim import in_slim_process

INT, TERM = signal.SIGINT, signal.SIGTERM
SIGNALS = {
    "int": (INT,),
    "term": (TERM,),
    "int-int": (INT, INT),
    "term-term": (TERM, TERM),
    "int-term": (INT, TERM),
}
CPU_SECONDS = 2.0

RUN = ["run", "--name", "keep", "--kind", "filter", "-i", "raw.csv", "-o", "kept.csv", "--key", "id", "--"]
VERBS: dict[str, list[str]] = {
    "init": ["init"],
    "add": ["add", "--all"],
    "commit": ["commit", "-m", "second"],
    "checkout": ["checkout", "old"],
    "merge": ["merge", "topic"],
    "gc": ["gc", "--grace", "0s"],
    "tag": ["tag", "v1", "-m", "version 1"],
    "stash": ["stash", "-m", "work"],
    "run": [*RUN, "sh", "-c", "grep -v -e one -e two raw.csv > kept.csv"],
    "source-withdraw": ["source", "withdraw", "web", "--reason", "asked to"],
    "feedback-import": ["feedback", "import", "next.jsonl", "--subject", "a.jsonl", "--suite", "next.jsonl"],
    "repair-apply": ["repair", "apply", "REPAIR"],
    "release-create": ["release", "create", "v1", "--consumer", "某公司"],
}


class _World(Protocol):
    image: Image

    def run(self, root: str) -> None: ...
    def check(self, root: str) -> None: ...


class _Init:
    """A folder with a file, in which there is no repository yet."""

    def __init__(self, folder: Path) -> None:
        before = folder / "before"
        before.mkdir(parents=True)
        write(before, {b"mine": b"my file\n"})
        self.image, self._files = Image(str(before)), unchanged(tree_state(str(before)))

    def run(self, root: str) -> None:
        Repository.init(root)

    def check(self, root: str) -> None:
        if not os.path.exists(os.path.join(root, ".dsvc/config")):
            Repository.init(root)
        expected = Expected(files=self._files, possible=[{b"mine": b"my file\n"}])
        check(root, expected, rerun=lambda repo: commit_all(open_in(repo.root), "first"))


def _world(verb: str, folder: Path) -> _World:
    if verb == "init":
        return _Init(folder)
    if verb in scenarios.COMMANDS:
        return scenarios.make(verb, folder)
    return make_world(verb, folder)


class Ended(NamedTuple):
    """How the program ended, and what it said."""

    paused: bool
    code: int
    errors: str
    cpu_seconds: float


def _be_the_program(root: str, words: list[str], at: int, fds: tuple[int, int], errors: str) -> NoReturn:
    """The command line with a pause before an operation, in a session of its own."""
    code = 70
    try:
        os.setsid()
        os.chdir(root)
        os.environ.clear()
        os.environ.update(
            PATH="/usr/bin:/bin", HOME=root, LC_ALL="C.UTF-8", DSVC_AUTHOR="Ada <ada@example.org>"
        )
        signal.signal(INT, signal.default_int_handler)
        signal.signal(TERM, signal.SIG_DFL)
        fd = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        # Without buffers of the process that was forked.
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)

        def pause(number: int, _name: str, _path: str) -> None:
            if number == at and os.getppid() == parent:
                os.write(fds[0], b".")
                os.read(fds[1], 1)

        parent = os.getppid()
        failpoints.plan = failpoints.Plan(observer=pause)
        sys.argv = ["dsvc", *words]
        from dsvc.__main__ import main

        code = main()
    except SystemExit as raised:
        code = raised.code if isinstance(raised.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def signalled(
    root: str, words: list[str], at: int, signals: tuple[signal.Signals, ...], errors: str
) -> Ended:
    """Run the program, and send signals when it is about to do its n-th operation."""
    said, say = os.pipe()
    go_on, let_go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(said)
        os.close(let_go)
        _be_the_program(root, words, at, (say, go_on), errors)
    os.close(say)
    os.close(go_on)
    paused = os.read(said, 1) == b"."
    if paused:
        # Both at once, as they come while it can't look: the second meets the clean-up after the first.
        os.kill(pid, signal.SIGSTOP)
        for number in signals:
            os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
        if len(set(signals)) < len(signals):
            os.kill(pid, signals[-1])
    _, status, used = os.wait4(pid, 0)
    os.close(said)
    os.close(let_go)
    text = Path(errors).read_text(errors="replace")
    return Ended(paused, os.waitstatus_to_exitcode(status), text, used.ru_utime + used.ru_stime)


def _arguments(verb: str, root: str) -> list[str]:
    words = VERBS[verb]
    if "REPAIR" in words:
        with repository(root) as repo:
            words = [repo.repairs()[0].id if word == "REPAIR" else word for word in words]
    return words


def _tried(verb: str, folder: Path, how: str, points: int | None) -> None:
    seed = int(os.environ.get("DSVC_SEED") or random.SystemRandom().getrandbits(32))
    print(f"seed {seed}")
    world = _world(verb, folder / "world")
    count = len(count_operations(world.image, str(folder), world.run))
    every = range(1, count + 1)
    for at in every if points is None else sorted(random.Random(seed).sample(every, points)):
        root, errors = str(folder / f"at{at}"), str(folder / f"errors{at}")
        world.image.lay_out(root)
        ended = signalled(root, _arguments(verb, root), at, SIGNALS[how], errors)
        tried("signals", len(SIGNALS[how]))
        _look_at(root, ended, {128 + number for number in SIGNALS[how]}, f"{verb}, {how} at {at}")
        world.check(root)


def _look_at(root: str, ended: Ended, codes: set[int], what: str) -> None:
    if not ended.paused:
        # The command line does a little more or less than the library: here it had come to its end.
        if ended.code:
            raise BrokenPromiseError(f"{what}: it failed by itself: {ended}")
        return
    if ended.code not in codes or "Traceback" in ended.errors:
        raise BrokenPromiseError(f"{what}: it ended with {ended.code}: {ended.errors}")
    if ended.cpu_seconds > CPU_SECONDS:
        raise BrokenPromiseError(f"{what}: it took {ended.cpu_seconds} s to end")
    if os.path.isdir(os.path.join(root, ".dsvc/locks")) and (left := leftovers(root)):
        raise BrokenPromiseError(f"{what}: it left {left}")
    if os.path.exists(os.path.join(root, ".dsvc/config")):
        with repository(root) as repo, repo.changing():
            pass


def _cases() -> list[object]:
    """Verbs that take long meet two of the cases in every run of the tests."""
    long = VERBS.keys() & {*loop_scenarios.COMMANDS, *lineage_scenarios.COMMANDS}
    some = [pytest.mark.soak]
    return [
        pytest.param(verb, how, 1, marks=some if verb in long and how not in ("term", "int-term") else [])
        for verb in VERBS
        for how in SIGNALS
    ]


_EVERY = [pytest.param(verb, how, None, marks=pytest.mark.soak) for verb in VERBS for how in SIGNALS]


@pytest.mark.parametrize(("verb", "how", "points"), _cases() + _EVERY)
@in_slim_process
def test_f2_a_signal_ends_it_and_nothing_is_left(
    fast_path: Path, verb: str, how: str, points: int | None
) -> None:
    _tried(verb, fast_path, how, points)
