"""F4, F5: the power goes at any moment; whatever part of a command's writes is on the disk, nothing is lost.

The writes of short scripts are recorded, and the states that a disk may be in after a crash are made from
them (`dsvc.testing.crash_states`). At each one what was acknowledged is there, refs, HEAD,
the staged state and recorded provenance are as before the command or as after it, work that was in the tree
alone is there or can be brought back, fsck finds nothing, gc leaves nothing, and the next commands work.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check_fsck, check_history, check_nothing_left, commit_contents
from dsvc.testing.crash_states import Disk, Order, bench, fingerprint
from dsvc.testing.crash_states import image as image_of
from dsvc.testing.faults import BrokenPromiseError, tally, tried
from dsvc.testing.image import Image
from tests import crash_scripts, loop_scenarios, scenarios
from tests.crash_judge import Seen
from tests.crash_scripts import ALPHABET, steps, verb
from tests.crashkit import Crashes, record
from tests.faultkit import commit_all, open_in, repository, write
from tests.slim import in_slim_process

_NIGHT_STATES = int(os.environ.get("DSVC_SOAK_STATES", "100000"))
_DAY_STATES, _BESIDES = 425, 2
"""By day: states for each first command, and at one of how many more is tried than reading all."""
_ORDERS = (Order.JOURNAL, Order.NONE)


def _seed() -> int:
    seed = int(os.environ.get("DSVC_SEED") or random.SystemRandom().getrandbits(32))
    print(f"seed {seed}")
    return seed


def _cases() -> list[object]:
    """By first command: scripts of one and two commands, some of them; at night all of up to three."""
    night = _NIGHT_STATES // len(ALPHABET)
    return [
        *(pytest.param(first, 2, 6, _DAY_STATES, _BESIDES, id=first) for first in ALPHABET),
        *(
            pytest.param(first, 3, None, night, 1, id=f"{first}-night", marks=pytest.mark.soak)
            for first in ALPHABET
        ),
    ]


@pytest.mark.parametrize(("first", "length", "count", "states", "besides"), _cases())
@in_slim_process
def test_f4_f5_any_state_of_the_disk(
    fast_path: Path, first: str, length: int, count: int | None, states: int, besides: int
) -> None:
    """`count` scripts that begin with `first` (None: all), and in all about so many states."""
    seed = _seed()
    image = crash_scripts.start(fast_path)
    scripts = [each for each in crash_scripts.scripts(length) if each[0] == first]
    # The shortest is always there; of the others those that come first in an order by checksums.
    scripts = sorted(scripts, key=lambda each: len(each) > 1)[:count]
    for number, script in enumerate(scripts):
        recording = record(image, fast_path, steps(script))
        order = _ORDERS[(number + len(first)) % 2]
        name = " ".join(script)
        crashes = Crashes(recording, fast_path, order=order, seed=f"{seed} {name}", besides=besides)
        crashes.run(max(5, states // len(scripts)))


_OTHERS = ("rm", "mv", "clean", "merge-conflict", "commit-runs", "waive")
_LOOP = ("feedback-import", "release-create")
_NIGHT_OTHERS = [each for each in (*scenarios.COMMANDS, *loop_scenarios.COMMANDS) if each not in ALPHABET]


@pytest.mark.parametrize(
    ("name", "states"),
    [
        *((name, 20) for name in (*_OTHERS, *_LOOP)),
        *(pytest.param(each, 600, id=f"{each}-night", marks=pytest.mark.soak) for each in _NIGHT_OTHERS),
    ],
)
@in_slim_process
def test_f4_f5_any_state_of_the_disk_in_other_verbs(fast_path: Path, name: str, states: int) -> None:
    """Runs, sources, waivers, evaluations, repairs, releases: all that belongs to one, or nothing of it."""
    seed = _seed()
    prepare, command, _ = (scenarios.COMMANDS | loop_scenarios.COMMANDS)[name]
    (fast_path / "start").mkdir()
    prepare(str(fast_path / "start"))
    image = Image(str(fast_path / "start"))
    recording = record(image, fast_path, [(None, verb(command))])
    also = None
    if name in loop_scenarios.COMMANDS:
        known = record(image, fast_path, [(None, verb(command))], look=loop_scenarios.words).seen

        def also(root: str, returned: bool) -> None:
            found = loop_scenarios.words(root)
            if found not in known[returned:]:
                raise BrokenPromiseError(f"half done: {found}")

    for order in _ORDERS:
        crashes = Crashes(recording, fast_path, order=order, seed=f"{seed} {name}", also=also)
        crashes.run(states // len(_ORDERS))


@pytest.mark.parametrize("states", [60, pytest.param(2000, marks=pytest.mark.soak)])
@in_slim_process
def test_f4_f5_any_state_of_the_disk_in_init(fast_path: Path, states: int) -> None:
    seed = _seed()

    def init(root: str) -> None:
        if not os.path.exists(os.path.join(root, ".dsvc/config")):
            Repository.init(root)

    recording = record(None, fast_path, [(lambda root: write(root, {b"mine": b"my file\n"}), init)])
    for order in _ORDERS:
        Crashes(recording, fast_path, order=order, seed=f"{seed}", besides=0).run(states // len(_ORDERS))


def _damage(root: str) -> None:
    """Bytes of a pack go wrong whose content the working tree has too."""
    packs = os.path.join(root, ".dsvc/packs")
    path = os.path.join(
        packs, max(os.listdir(packs), key=lambda name: os.path.getsize(os.path.join(packs, name)))
    )
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 3)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("states", [60, pytest.param(2000, marks=pytest.mark.soak)])
@in_slim_process
def test_f4_f5_any_state_of_the_disk_in_repair(fast_path: Path, states: int) -> None:
    """Cut off at any moment, a repair can be done again, and brings back the same."""
    seed = _seed()
    start = str(fast_path / "start")
    os.mkdir(start)
    Repository.init(start)
    write(start, {b"noise": random.Random(1).randbytes(6000), "文本.txt".encode(): b"text\n" * 300})
    commit_all(open_in(start), "first")
    with repository(start) as repo:
        commits = {tip: commit_contents(repo, tip) for tip in repo.history.refs.list("refs/heads/").values()}
    _damage(start)
    fix = verb(lambda repo: repo.fsck(read_data=True, repair=True))
    recording = record(Image(start), fast_path, [(None, fix)], look=lambda root: None)
    state = str(fast_path / "state")
    place = bench(state)
    for order in _ORDERS:
        crashes = Crashes(recording, fast_path, order=order, seed=f"{seed}")
        for tree, _ in crashes.states(states // len(_ORDERS)):
            place.lay_out(image_of(tree))
            fix(state)
            with repository(state) as repo:
                check_history(repo, Expected(commits=commits))
                check_fsck(repo)
                check_nothing_left(repo)
            tried("disk states")


# The tool itself


@pytest.mark.parametrize("script", [("add",), ("commit",), ("tag",), ("gc",)], ids=" ".join)
@in_slim_process
def test_without_flushes_it_finds_what_is_lost(fast_path: Path, script: tuple[str, ...]) -> None:
    """The same writes on a disk on which no fsync does anything: broken promises, and found."""
    recording = record(crash_scripts.start(fast_path), fast_path, steps(script))
    crashes = Crashes(recording, fast_path, order=Order.JOURNAL, seed="1")
    before = tally.copy()
    with pytest.raises((BrokenPromiseError, DsvcError)):
        crashes.run(200, flushes=False)
    # Not lost by dsvc: nothing was flushed.
    tally.clear()
    tally.update(before)


@in_slim_process
def test_the_last_state_is_what_the_folder_holds(fast_path: Path) -> None:
    """Carried out to its end, the log makes the folder that was recorded."""
    image = crash_scripts.start(fast_path)
    recording = record(image, fast_path, steps(("commit", "gc")))
    for order in _ORDERS:
        disk = Disk(order)
        for step in (*recording.before, *recording.last):
            disk.take(step)
        bench(str(fast_path / "end")).lay_out(image_of(next(disk.states(random.Random(1)))))
        assert Seen.of(str(fast_path / "end")) == recording.seen[-1]
        assert len({fingerprint(each) for each in disk.states(random.Random(1))}) > 1
