"""The commands that faults are tried on, each with a small repository where it has much to do."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from dsvc.fs.failpoints import Action
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.faults import ERRORS, KILLS, Fault
from tests import lineage_scenarios
from tests.faultkit import Command, Scenario, commit_all, open_in, write

_NOISE = random.Random(7).randbytes(3000)
_LINES = b"".join(b"%d,row,%d\n" % (n, n * n) for n in range(400))

FIRST = {
    b"a.txt": b"one\n",
    b"data/numbers.csv": _LINES,
    b"data/noise.bin": _NOISE,
    b"run.sh": b"#!/bin/sh\n",
    b"old/deep/file": b"goes\n",
}


def _first(root: str) -> Repository:
    Repository.init(root)
    repo = open_in(root)
    write(root, FIRST)
    os.chmod(os.path.join(root, "run.sh"), 0o755)
    os.symlink("data/numbers.csv", os.path.join(root, "link"))
    os.mkdir(os.path.join(root, "empty"))
    commit_all(repo, "first")
    return repo


def _edit(root: str) -> None:
    """Add, change, remove, and turn a folder into a file."""
    write(
        root,
        {b"a.txt": b"two\n", b"data/numbers.csv": _LINES.replace(b"5,row", b"5,ROW"), b"new/file": b"new\n"},
    )
    os.remove(os.path.join(root, "old/deep/file"))
    os.removedirs(os.path.join(root, "old/deep"))
    write(root, {b"old": b"a file now\n"})
    os.remove(os.path.join(root, "link"))
    os.symlink("elsewhere", os.path.join(root, "link"))
    os.chmod(os.path.join(root, "run.sh"), 0o644)


def edited(root: str) -> None:
    _first(root)
    _edit(root)


def staged(root: str) -> None:
    edited(root)
    open_in(root).add(all=True)


def two_commits(root: str) -> None:
    staged(root)
    repo = open_in(root)
    repo.checkout(new_branch="old")
    repo.checkout(new_branch="main2")
    repo.commit("second")


def dirty(root: str) -> None:
    """Two commits, then work that is not committed: changed, new, removed, staged and not."""
    two_commits(root)
    write(root, {b"a.txt": b"staged work\n", b"data/noise.bin": b"unsaved work\n", b"mine": b"untracked\n"})
    open_in(root).add([b"a.txt"])
    os.remove(os.path.join(root, "run.sh"))


def branched(root: str) -> None:
    """Main and topic, each with a commit of its own, without conflicts."""
    repo = _first(root)
    repo.checkout(new_branch="topic")
    write(root, {b"topic/file": b"topic\n", b"a.txt": b"topic\n"})
    commit_all(repo, "on topic")
    repo.checkout("main")
    write(root, {b"main/file": b"main\n", b"data/noise.bin": b"main\n"})
    os.remove(os.path.join(root, "run.sh"))
    commit_all(repo, "on main")


def conflicting(root: str) -> None:
    """Main and topic changed the same line; topic's second file merges."""
    repo = _first(root)
    repo.checkout(new_branch="topic")
    write(root, {b"a.txt": b"theirs\n", b"topic/file": b"topic\n"})
    commit_all(repo, "theirs")
    repo.checkout("main")
    write(root, {b"a.txt": b"ours\n"})
    commit_all(repo, "ours")


def restored(root: str) -> None:
    """Work was discarded; undo will bring it back."""
    dirty(root)
    open_in(root).restore([b""])


def _undo_restore(repo: Repository) -> object:
    """By its id: undo alone takes back the next older operation when it's run again."""
    return repo.undo(next(str(o.id) for o in repo.operations() if o.verb == "restore"))


def rubbish(root: str) -> None:
    """Several packs, some content that nothing needs any more."""
    two_commits(root)
    repo = open_in(root)
    write(root, {b"scratch": random.Random(8).randbytes(4000)})
    repo.add(all=True)
    write(root, {b"scratch": b"less\n"})
    repo.add(all=True)


# name: (what comes before, the command, codes of errors that say that it was done already)
COMMANDS: dict[str, tuple[Callable[[str], object], Command, tuple[str, ...]]] = {
    "add": (edited, lambda r: r.add(all=True), ()),
    "commit": (staged, lambda r: r.commit("second"), ("nothing-to-commit",)),
    "commit-all": (edited, lambda r: r.commit("second", all=True), ("nothing-to-commit",)),
    "checkout": (two_commits, lambda r: r.checkout("old"), ()),
    "checkout-force": (dirty, lambda r: r.checkout("old", force=True), ()),
    "restore": (dirty, lambda r: r.restore([b""]), ()),
    "reset-hard": (dirty, lambda r: r.reset("HEAD", ResetMode.HARD), ()),
    "merge": (branched, lambda r: r.merge("topic"), ()),
    "merge-conflict": (conflicting, lambda r: r.merge("topic"), ("would-overwrite", "merge-conflict")),
    "undo": (restored, _undo_restore, ()),
    "stash": (dirty, lambda r: r.stash("work"), ()),
    "rm": (two_commits, lambda r: r.remove([b"data"], recursive=True), ("not-found",)),
    "mv": (two_commits, lambda r: r.move(b"data", b"moved/data"), ("not-found",)),
    "clean": (dirty, lambda r: r.clean(), ()),
    "tag": (two_commits, lambda r: r.create_tag("v1", message="version 1"), ("ref-exists",)),
    "gc": (rubbish, lambda r: r.gc(grace_seconds=0), ()),
    **lineage_scenarios.COMMANDS,
}


_made: dict[str, Scenario] = {}


def make(name: str, folder: Path) -> Scenario:
    """A scenario, prepared in a folder that is made for it; once in each process, since none is changed."""
    if name in _made:
        return _made[name]
    folder.mkdir()
    prepare, command, already = COMMANDS[name]
    scenario = Scenario.make(folder, prepare, command, already)
    # What is stored first moves HEAD first: the tree of the version before is then nobody's any more.
    scenario.leaves_files = name == "checkout-force"
    _made[name] = scenario
    return scenario


MAIN = ("add", "commit", "checkout", "restore", "merge", "gc")
"""The commands that are killed at many of their operations in every run of the tests."""


_OF_LINEAGE = (KILLS[0], Fault(action=Action.EIO), Fault(action=Action.ENOSPC, persistent=True))
"""Faults that the commands on runs and sources meet in every run of the tests."""


def strides(fault: Fault) -> list[tuple[str, int, int]]:
    """Command, step and first operation for a run of a minute; the soak tests take every operation.

    Each kind of fault begins elsewhere, so that together they meet many operations.
    """
    rare = 9 if fault.kills else 4 if fault in ERRORS[:1] else 12
    offset = (KILLS + ERRORS).index(fault)
    found = []
    for name in COMMANDS:
        step = rare if name in MAIN else rare * 3
        if name in lineage_scenarios.COMMANDS:
            # Of what they share with other commands enough was seen there.
            if fault not in _OF_LINEAGE:
                continue
            step = rare * 5
        step = min(step, 3) if fault.of_writes else step
        found.append((name, step, 1 + (offset + crc32(name.encode())) % step))
    return found


def ids(faults: tuple[Fault, ...]) -> list[str]:
    """Names of the tests for `strides` of some faults."""
    return [
        f"{name}-{fault.action.value}{'-persistent' * fault.persistent}"
        for fault in faults
        for name, _, _ in strides(fault)
    ]
