"""F1: a command is killed at every write, after each of the other commands, in a repository that grows."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.fs import files
from dsvc.model.errors import DsvcError
from dsvc.testing.faults import BrokenPromiseError, tally
from dsvc.testing.image import Image
from dsvc.testing.walk import walk
from tests import crash_scripts
from tests.crash_judge import REFUSALS, Judge, Seen, Verb
from tests.faultkit import look_at
from tests.slim import in_slim_process

_BESIDES = 12
"""At one of how many states more is tried by day than reading all that was acknowledged."""
_BY_DAY = 10
"""How many rows there are in every run of the tests."""


def _tolerant(command: Verb) -> Verb:
    """A command that may have nothing to do."""

    def run(root: str) -> None:
        try:
            command(root)
        except DsvcError as error:
            if error.exit_code not in REFUSALS:
                raise

    return run


def _seen(image: Image, folder: Path) -> Seen:
    root = str(folder / "seen")
    image.lay_out(root)
    try:
        return Seen.of(root)
    finally:
        shutil.rmtree(root)


def _edited(image: Image, folder: Path, edit: Callable[[str], None]) -> Image:
    root = str(folder / "edited")
    image.lay_out(root)
    edit(root)
    try:
        return Image(root)
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize(
    ("row", "besides"),
    [(number, _BESIDES) for number in range(_BY_DAY)]
    + [
        pytest.param(number, 0, id=f"{number}-pieces", marks=pytest.mark.soak)
        for number in range(len(crash_scripts.ALPHABET))
    ],
)
@in_slim_process
def test_f1_killed_after_each_other_command(fast_path: Path, row: int, besides: int) -> None:
    """All commands, one after the other, each killed everywhere; at night also inside of writes."""
    seed = int(os.environ.get("DSVC_SEED") or random.SystemRandom().getrandbits(32))
    print(f"seed {seed}")
    image = crash_scripts.start(fast_path)
    names = crash_scripts.rows()[row]
    for name, (edit, command) in zip(names, crash_scripts.steps(names), strict=True):
        image = _edited(image, fast_path, edit)
        image = _killed(image, fast_path, _tolerant(command), seed=f"{seed} {name}", besides=besides)


def _killed(image: Image, folder: Path, run: Verb, *, seed: str, besides: int) -> Image:
    """Kill a command everywhere, and look; returns what it leaves in the end."""
    found = walk(image, str(folder), run, pieces=besides == 0)
    end = found[found[-1].first - 1].image
    assert end is not None
    judge = Judge([_seen(image, folder), _seen(end, folder)], run, seed=seed, besides=besides)
    look_at(found, folder, lambda root: judge.look(root, False))
    return end


def _branch_away_and_back(root: str) -> None:
    path = os.path.join(root, ".dsvc/git/refs/heads/main")
    tip = Path(path).read_bytes()
    files.unlink(path)
    _anew(path, tip)


def _work_away(root: str) -> None:
    _anew(os.path.join(root, "a.txt"), b"one\n")


def _work_away_and_back(root: str) -> None:
    path = os.path.join(root, "a.txt")
    work = Path(path).read_bytes()
    files.unlink(path)
    _anew(path, work)


def _head_before_its_branch(root: str) -> None:
    git = os.path.join(root, ".dsvc/git")
    _anew(f"{git}/HEAD", b"ref: refs/heads/next\n")
    _anew(f"{git}/refs/heads/next", Path(git, "refs/heads/main").read_bytes())


def _anew(path: str, data: bytes) -> None:
    files.write_atomically(path, data)


@pytest.mark.parametrize(
    "wrong", [_branch_away_and_back, _work_away, _work_away_and_back, _head_before_its_branch]
)
@in_slim_process
def test_what_no_command_may_do_is_found(fast_path: Path, wrong: Verb) -> None:
    """Commands that lose something, most of them between two writes alone, and nothing in the end."""
    image = _edited(crash_scripts.start(fast_path), fast_path, crash_scripts.steps(["add"])[0][0])
    before = tally.copy()
    with pytest.raises((BrokenPromiseError, DsvcError)):
        _killed(image, fast_path, wrong, seed="1", besides=12)
    # Not lost by dsvc.
    tally.clear()
    tally.update(before)


def test_each_command_comes_once_after_each_other() -> None:
    pairs = [pair for row in crash_scripts.rows() for pair in itertools.pairwise(row)]
    assert sorted(pairs) == sorted(itertools.permutations(crash_scripts.ALPHABET, 2))
    assert all(sorted(row) == sorted(crash_scripts.ALPHABET) for row in crash_scripts.rows())
