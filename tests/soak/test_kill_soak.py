"""Every command, every fault, every operation; then commands at random until ten thousand kill points."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action
from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.checker import Expected, check, commit_contents, opened
from dsvc.testing.faults import ERRORS, KILLS, Fault, Image, points, tally
from tests import scenarios
from tests.faultkit import Command, commit_all, open_in, write

pytestmark = pytest.mark.soak
KILL_POINTS = int(os.environ.get("DSVC_SOAK_POINTS", "10000"))


@pytest.mark.parametrize("fault", [*KILLS, *ERRORS], ids=lambda f: f.action.value + "+" * f.persistent)
@pytest.mark.parametrize("name", scenarios.COMMANDS)
def test_every_fault_at_every_operation(fast_path: Path, name: str, fault: Fault) -> None:
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


@pytest.mark.parametrize("seed", range(2))
def test_ten_thousand_kill_points(fast_path: Path, seed: int) -> None:
    """A repository grows by random commands; each is killed at each of its operations, then carried out."""
    print(f"seed {seed}")
    rest = random.Random(seed)
    first = fast_path / "first"
    first.mkdir()
    Repository.init(str(first))
    write(first, {b"a/0": b"first\n"})
    commit_all(open_in(str(first)), "first")
    image, start, number = Image(str(first)), tally["kill points"], 0
    while tally["kill points"] - start < KILL_POINTS // 2:
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
        kill = Fault(action=rest.choice([Action.KILL, Action.TORN_WRITE]))
        for left, _ in points(before, str(folder), lambda path, run=command: run(open_in(path)), kill):
            check(left, expected)
        if len(known) < 30:
            image = Image(root)
