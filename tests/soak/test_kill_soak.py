"""Every command, every fault, every operation; then commands at random until so many kill points are seen.

``DSVC_SOAK_POINTS`` says how many, 10,000 if it isn't set.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.checker import Expected, check, commit_contents, opened
from dsvc.testing.faults import ERRORS, KILLS, Fault, tally
from dsvc.testing.image import Image
from dsvc.testing.walk import walk
from tests import scenarios
from tests.faultkit import Command, commit_all, look_at, open_in, write
from tests.slim import in_slim_process

KILL_POINTS = int(os.environ.get("DSVC_SOAK_POINTS", "10000"))


@pytest.mark.soak
@pytest.mark.parametrize("fault", [*KILLS, *ERRORS], ids=lambda f: f.action.value + "+" * f.persistent)
@pytest.mark.parametrize("name", scenarios.COMMANDS)
def test_f1_f7_every_fault_at_every_operation(fast_path: Path, name: str, fault: Fault) -> None:
    scenarios.make(name, fast_path / "scenario").loop(fast_path, fault)


def _edit(root: str, rest: random.Random) -> None:
    for _ in range(rest.randrange(1, 6)):
        path = f"{rest.choice('abc')}/{rest.randrange(8)}"
        if rest.random() < 0.2 and os.path.exists(os.path.join(root, path)):
            os.remove(os.path.join(root, path))
        else:
            write(root, {path.encode(): rest.randbytes(rest.choice([0, 10, 2000, 40_000]))})


def _commands(rest: random.Random) -> list[tuple[str, Command]]:
    branch = f"b{rest.randrange(10**9)}"
    return [
        ("add", lambda r: r.add(all=True)),
        ("commit", lambda r: r.commit("random", all=True, allow_empty=True)),
        ("branch", lambda r: r.checkout(new_branch=branch)),
        ("main", lambda r: r.checkout("main", force=True)),
        ("restore", lambda r: r.restore([b""])),
        ("reset", lambda r: r.reset("HEAD", ResetMode.HARD)),
        ("gc", lambda r: r.gc(grace_seconds=0)),
    ]


@pytest.mark.parametrize(
    ("seed", "wanted"),
    [(0, 250), *(pytest.param(seed, KILL_POINTS // 2, marks=pytest.mark.soak) for seed in (1, 2))],
)
@in_slim_process
def test_f1_commands_at_random_killed_everywhere(fast_path: Path, seed: int, wanted: int) -> None:
    """A repository grows by random commands; each is killed at each of its operations, then carried out."""
    print(f"seed {seed}")
    rest = random.Random(seed)
    first = fast_path / "first"
    first.mkdir()
    Repository.init(str(first))
    write(first, {b"a/0": b"first\n"})
    commit_all(open_in(str(first)), "first")
    image, start, number = Image(str(first)), tally["kill points"], 0
    while tally["kill points"] - start < wanted:
        number += 1
        root = str(fast_path / f"step{number}")
        image.lay_out(root)
        _edit(root, rest)
        _, command = rest.choice(_commands(rest))
        before = Image(root)
        with opened(root) as repo:
            tips = list(repo.history.refs.list("refs/heads/").values())
            known = list(repo.history.log(tips))
            commits = {commit.id: commit_contents(repo, commit.id) for commit in known[:12]}
        try:
            command(open_in(root))
        except DsvcError:
            continue
        with opened(root) as repo:
            heads = repo.history.refs.list("refs/heads/").values()
            possible = [commit_contents(repo, id_) for id_ in {*heads, *(c.id for c in known)}]
        folder = fast_path / f"points{number}"
        folder.mkdir()
        expected = Expected(commits=commits, possible=possible)
        found = walk(
            before, str(folder), lambda path, run=command: run(open_in(path)), pieces=rest.random() < 0.5
        )
        look_at(found, folder, lambda left, expected=expected: check(left, expected))
        shutil.rmtree(folder)
        if len(known) < 30:
            image = Image(root)
