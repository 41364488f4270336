"""F30, F32: two real processes, one stopped at each of its writes while the other goes its way.

What a verb stores is in the repository already, as rubbish: so gc takes away what the verb relies on.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.model.errors import CorruptDataError
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import commit_contents, leftovers, opened
from dsvc.testing.faults import BrokenPromiseError, count_operations
from dsvc.testing.image import Image
from tests import loop_scenarios, scenarios
from tests.faultkit import AUTHOR, commit_all, open_in, repository, state, write
from tests.loop_world import make as make_world
from tests.porcelain.people import VALUE, WHO, holding
from tests.racekit import Command, interleaved, some
from tests.slim import in_slim_process

WRITERS = {
    "add": 4,
    "commit-all": 2,
    "stash": 2,
    "merge": 2,
    "run": 2,
    "feedback-import": 1,
    "repair-apply": 1,
}
"""Verbs, and at how many places each is tried in every run of the tests."""
OTHERS = (
    "checkout-force",
    "restore",
    "undo",
    "mv",
    "tag",
    "source-add",
    "commit-runs",
    "rerun",
    "defect-join",
    "repair-verify",
    "release-create",
)
SEED = 17
Check = Callable[[str], None]


def impatient(root: str) -> Repository:
    return Repository.open(root, author=AUTHOR, lock_timeout=0.0, vouches=lambda *_: True)


def collect(root: str) -> object:
    return impatient(root).gc(grace_seconds=0)


def collect_what_is_whole(root: str) -> None:
    """Damage that nobody mended yet stops gc."""
    with contextlib.suppress(CorruptDataError):
        collect(root)


def repair(root: str) -> object:
    return impatient(root).fsck(read_data=True, repair=True)


def writer(name: str, folder: Path) -> tuple[Image, Command, Check]:
    """A repository, a verb on it, and what has to hold once the verb has come through."""
    if name in loop_scenarios.COMMANDS:
        world = make_world(name, folder)
        command = loop_scenarios.COMMANDS[name][1]

        def check_words(root: str) -> None:
            if loop_scenarios.words(root) != world.after:
                raise BrokenPromiseError(
                    f"{name} comes to {loop_scenarios.words(root)}, not to {world.after}"
                )

        return world.image, lambda root: command(impatient(root)), check_words
    scenario = scenarios.make(name, folder)

    def check_state(root: str) -> None:
        with repository(root) as repo:
            if state(repo) != scenario.end:
                raise BrokenPromiseError(f"{name} comes to something else than alone")

    return scenario.image, lambda root: scenario.command(impatient(root)), check_state


def with_rubbish(image: Image, folder: Path, command: Command) -> Image:
    """The same, and all that the command will store, which nothing needs yet."""
    done, found = str(folder / "done"), str(folder / "found")
    image.lay_out(done)
    image.lay_out(found)
    command(done)
    for name in os.listdir(os.path.join(done, ".dsvc/packs")):
        if not os.path.exists(os.path.join(found, ".dsvc/packs", name)):
            shutil.copy(os.path.join(done, ".dsvc/packs", name), os.path.join(found, ".dsvc/packs", name))
    made = Image(found)
    shutil.rmtree(done)
    shutil.rmtree(found)
    return made


def whole(root: str) -> None:
    """Everything that any version needs can be read, and a further gc changes nothing of that."""
    for _ in range(2):
        with opened(root) as repo:
            result = repo.fsck(read_data=True)
            if not result.ok:
                raise BrokenPromiseError(f"live chunks lost: {result.defects[:3]}")
            repo.gc(grace_seconds=0)
    if left := leftovers(root):
        raise BrokenPromiseError(f"left after gc: {left}")


@pytest.mark.parametrize(
    ("name", "count"),
    [pytest.param(name, count, id=name) for name, count in WRITERS.items()]
    + [pytest.param(name, None, id=f"{name}-all", marks=pytest.mark.soak) for name in (*WRITERS, *OTHERS)],
)
@in_slim_process
def test_f30_a_verb_beside_gc(fast_path: Path, name: str, count: int | None) -> None:
    """Either is stopped at its writes while the other runs through, or up to one of its own."""
    image, command, check = writer(name, fast_path / "world")
    image = with_rubbish(image, fast_path, command)
    writes, moves = (len(count_operations(image, str(fast_path), each)) for each in (command, collect))
    print(f"seed {SEED}")
    rng = random.Random(SEED)

    def look(root: str) -> None:
        check(root)
        whole(root)

    places = [(at, 0, True) for at in some(writes, count)] + [(at, 0, False) for at in some(moves, count)]
    for first in (True, False):
        most = writes if first else moves
        other = moves if first else writes
        places += [(rng.randint(1, most), rng.randint(1, other), first) for _ in range(1 if count else 60)]
    for number, (at, until, first) in enumerate(places):
        pair = ((command, at), (collect, until)) if first else ((collect, at), (command, until))
        interleaved(image, str(fast_path / str(number)), *pair, look)


def _base(root: str) -> Repository:
    Repository.init(root)
    repo = open_in(root)
    noise = random.Random(1).randbytes(30_000)
    write(root, {b"noise.bin": noise, b"old.bin": noise[:9000][::-1], b"t.csv": b"id,n\n" + b"1,2\n" * 300})
    commit_all(repo, "first")
    write(root, {b"scratch": random.Random(8).randbytes(4000)})
    repo.add(all=True)
    write(root, {b"scratch": b"less\n"})
    commit_all(open_in(root), "second")
    return repo


def _damaged(root: str) -> None:
    """A byte of the largest pack is wrong; the working tree has what it was."""
    _base(root)
    folder = Path(root, ".dsvc/packs")
    pack = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[data.index(Path(root, "noise.bin").read_bytes()[:16]) + 9000] ^= 1
    pack.write_bytes(data)


def _person(root: str) -> None:
    repo = _base(root)
    rows = b"who,name\n" + b"".join(b"p-%04d,name %d\n" % (n, n) for n in range(30))
    write(root, {b"dsvc.toml": b'[tables."*.csv"]\nkey = "who"\nsubject = "who"\n'})
    write(root, {b"a.csv": rows.replace(b"name 7\n", VALUE.encode() + b"\n"), b"t.csv": b"who,n\n"})
    repo.add(all=True)
    repo.commit("people")
    repo.request_add("r", "deletion", subjects=[WHO])


def _erase(root: str) -> object:
    return impatient(root).request_erase("r", "asked for")


def _nobody(root: str) -> None:
    if holding(Path(root)):
        raise BrokenPromiseError("what was erased is still there")


def _contents(root: str) -> list[dict[bytes, bytes]]:
    with opened(root) as repo:
        head = repo.history.refs.head().commit
        assert head is not None
        return [commit_contents(repo, commit.id) for commit in repo.history.log([head])]


_PAIRS: dict[str, tuple[Callable[[str], object], Command, Command]] = {
    "gc-gc": (_base, collect, collect),
    "gc-repair": (_damaged, collect_what_is_whole, repair),
    "repair-repair": (_damaged, repair, repair),
    "erase-gc": (_person, _erase, collect),
    "erase-repair": (_person, _erase, repair),
}


@pytest.mark.parametrize(
    ("name", "count"),
    [pytest.param(name, 1 if one is _erase else 3, id=name) for name, (_, one, _) in list(_PAIRS.items())[:4]]
    + [pytest.param(name, None, id=f"{name}-all", marks=pytest.mark.soak) for name in _PAIRS],
)
@in_slim_process
def test_f32_two_that_move_packs(fast_path: Path, name: str, count: int | None) -> None:
    """One works, the other is told or changes nothing; together they come to what they come to in turn."""
    prepare, one, two = _PAIRS[name]
    before, after = str(fast_path / "before"), str(fast_path / "after")
    os.mkdir(before)
    prepare(before)
    image = Image(before)
    image.lay_out(after)
    if two is repair:
        two(after)
    one(after)
    two(after)
    expected = None if one is _erase else _contents(after)

    def look(root: str) -> None:
        if expected is None:
            _nobody(root)
        elif _contents(root) != expected:
            raise BrokenPromiseError("versions came out otherwise")
        whole(root)

    for first, second in ((one, two), (two, one)):
        if one is two and first is not one:
            continue
        writes = len(count_operations(image, str(fast_path), first))
        for at in some(writes, count):
            interleaved(image, str(fast_path / f"{first.__name__}-{at}"), (first, at), (second, 0), look)
