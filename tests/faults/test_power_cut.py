"""P3: the power is cut under a repository on ext4 and xfs; what was acknowledged is there afterwards.

A file system in an image is mounted, commands run on it in children, and the shutdown ioctl of the
file system drops what it had not written: with `LOG_FLUSHED` its journal is still written (files of
length zero), with `NOTHING_FLUSHED` nothing is (renames are lost too). What the commands acknowledged
is noted outside.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.checker import Expected, check, tree_state
from dsvc.testing.faults import BrokenPromiseError, run_in_child
from dsvc.testing.lineage_checker import provenance
from tests import scenarios
from tests.faultkit import Scenario, open_in, repository, write
from tests.loop_scenarios import words
from tests.loop_world import World
from tests.loop_world import make as make_world
from tests.powerkit import LOG_FLUSHED, MAKE, NOTHING_FLUSHED, SIZES, Disk

pytestmark = pytest.mark.power

Contents = dict[bytes, bytes]


@pytest.fixture(params=list(SIZES))
def disk(request: pytest.FixtureRequest, tmp_path: Path, fast_path: Path) -> Iterator[Disk]:
    kind = request.param
    if os.geteuid() != 0:
        pytest.skip("cutting the power needs root")
    if shutil.which(MAKE[kind][0]) is None:
        pytest.skip(f"{MAKE[kind][0]} is missing")
    made = Disk(kind, fast_path / "image", tmp_path / "disk")
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no {kind} on a loop device here: {error.stderr.decode(errors='replace').strip()}")
        os.mkdir(made.root)
        os.sync()
        yield made
    finally:
        made.close()


@dataclass
class Known:
    """What was acknowledged, and what the command that was interrupted may have done."""

    ready: bool = False
    commits: dict[CommitId, Contents] = field(default_factory=dict)
    possible: list[Contents] = field(default_factory=list)
    tips: dict[str, CommitId] = field(default_factory=dict)
    heads: set[str] = field(default_factory=lambda: {"main"})


class Book:
    """Notes on another file system: what is tried, and what was acknowledged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def note(self, *record: Any) -> None:
        with open(self._path, "ab", buffering=0) as file:
            file.write(pickle.dumps(record))

    def read(self) -> Known:
        known = Known()
        with open(self._path, "rb") as file:
            while True:
                try:
                    kind, *values = pickle.load(file)
                except EOFError:
                    return known
                getattr(self, "_" + kind)(known, *values)

    def _start(self, known: Known, contents: Contents | None, branch: str | None) -> None:
        if contents is not None:
            known.possible.append(contents)
        known.heads.update([] if branch is None else [branch])

    def _done(self, known: Known, branch: str, tips: dict[str, CommitId]) -> None:
        for tip in tips.values():
            known.commits.setdefault(tip, known.possible[-1] if known.possible else {})
        known.ready, known.heads, known.possible, known.tips = True, {branch}, [], tips

    def _found(self, known: Known, branch: str, tips: dict[str, CommitId]) -> None:
        """What the interrupted command had done, once it was checked: from now on it counts."""
        if known.possible:
            self._done(known, branch, tips)
        known.heads = {branch}

    def done(self, root: str, kind: str = "done") -> None:
        with repository(root) as repo:
            head = repo.history.refs.head().branch or ""
            tips = {**repo.history.refs.list("refs/heads/"), **repo.history.refs.list("refs/tags/")}
        self.note(kind, head.removeprefix("refs/heads/"), tips)


def _contents(root: str) -> Contents:
    return {path: content for path, (_, content) in tree_state(root).items()}


def _tracked(book: Book, root: str, run: Callable[[Repository], object], **intended: Any) -> None:
    """Run a command as a process of its own would, with a note before and one after."""
    book.note("start", intended.get("contents"), intended.get("branch"))
    run(open_in(root))
    book.done(root)


def _init(book: Book, root: str) -> None:
    book.note("start", None, "main")
    Repository.init(root)
    book.done(root)


def _commit(book: Book, root: str, rng: random.Random) -> None:
    """Change files of the branch's own folder, add, commit."""
    folder = (open_in(root).history.refs.head().branch or "").rpartition("/")[2].encode()
    sizes = [0, 10, 3000, 90_000]
    write(root, {b"%s/%d" % (folder, rng.randrange(6)): rng.randbytes(rng.choice(sizes)) for _ in range(3)})
    write(root, {folder + b"/count": b"%d\n" % rng.getrandbits(40)})
    open_in(root).add(all=True)
    _tracked(book, root, lambda repo: repo.commit("more"), contents=_contents(root))


def _switch(book: Book, root: str, name: str) -> None:
    known = open_in(root).history.refs.get("refs/heads/" + name) is not None
    if known:
        _tracked(book, root, lambda repo: repo.checkout(name), branch=name)
    else:
        _tracked(book, root, lambda repo: repo.checkout(new_branch=name), branch=name)


def _merge(book: Book, root: str) -> None:
    """Merge topic into main: each has changed its own folder only."""
    _switch(book, root, "topic")
    theirs = _contents(root)
    _switch(book, root, "main")
    mixed = {p: c for p, c in _contents(root).items() if not p.startswith(b"topic/")}
    mixed |= {p: c for p, c in theirs.items() if p.startswith(b"topic/")}
    _tracked(book, root, lambda repo: repo.merge("topic"), contents=mixed)


def _collect(book: Book, root: str) -> None:
    _tracked(book, root, lambda repo: repo.gc(grace_seconds=0))


def _tag(book: Book, root: str) -> None:
    _tracked(book, root, lambda repo: repo.create_tag("v1"))


def _tidy(repo: Repository) -> None:
    """Files of the tree that were written a moment ago may be cut short: they are no commits yet."""
    repo.reset("HEAD", ResetMode.HARD)
    repo.clean()


def _verify(book: Book, root: str) -> None:
    """All that was acknowledged is there, and the next commands work."""
    known = book.read()
    if not known.ready and not os.path.exists(os.path.join(root, ".dsvc/config")):
        Repository.init(root)
    with repository(root) as repo:
        refs = {**repo.history.refs.list("refs/heads/"), **repo.history.refs.list("refs/tags/")}
        for ref, commit in known.tips.items():
            assert ref in refs, f"{ref} is gone"
            assert repo.history.is_ancestor(commit, refs[ref]), f"{ref} fell back behind {commit}"
        head = repo.history.refs.head()
        git = repo.layout.git
    subprocess.run(["git", f"--git-dir={git}", "fsck", "--strict"], check=True, capture_output=True)
    check(
        root,
        Expected(commits=known.commits, possible=known.possible, head=frozenset(known.heads)),
        rerun=None if head.commit is None else _tidy,
    )
    book.done(root, "found")
    if head.commit is not None:
        with repository(root) as repo:
            commit = repo.history.refs.head().commit
            contents = dict(known.commits.get(commit, {})) if commit is not None else {}
        assert not contents or _contents(root) == contents


def _checked(disk: Disk, book: Book) -> None:
    disk.boot()
    # In a child, so that nothing of it is open when the file system goes.
    outcome = run_in_child(lambda: _verify(book, disk.root))
    assert outcome.error is None, outcome.error


@pytest.mark.parametrize("flag", [LOG_FLUSHED, NOTHING_FLUSHED])
def test_f3_cut_after_each_command(disk: Disk, tmp_path: Path, flag: int) -> None:
    book, rng = Book(tmp_path / "book"), random.Random(3)
    root = disk.root
    commands: list[Callable[[], object]] = [
        lambda: _init(book, root),
        lambda: _commit(book, root, rng),
        lambda: _switch(book, root, "topic"),
        lambda: _commit(book, root, random.Random(4)),
        lambda: _switch(book, root, "main"),
        lambda: _commit(book, root, random.Random(5)),
        lambda: _merge(book, root),
        lambda: _tag(book, root),
        lambda: _collect(book, root),
    ]
    for command in commands:
        outcome = run_in_child(command)
        assert outcome.error is None
        disk.cut(flag)
        _checked(disk, book)
    known = book.read()
    assert len(known.commits) == 4
    assert set(known.tips) == {"refs/heads/main", "refs/heads/topic", "refs/tags/v1"}


@pytest.mark.parametrize("flag", [LOG_FLUSHED, NOTHING_FLUSHED])
def test_f3_staged_state_survives(disk: Disk, flag: int) -> None:
    """What add acknowledged can be committed after a cut, even where the file itself is lost."""
    root = disk.root
    run_in_child(lambda: Repository.init(root))
    data = random.Random(6).randbytes(50_000)

    def add() -> None:
        write(root, {b"file": data})
        assert open_in(root).add(all=True).added == 1

    def commit() -> None:
        repo = open_in(root)
        repo.commit("what was staged")
        with repo.open_file(b"file", "HEAD") as stream:
            assert stream.read() == data

    run_in_child(add)
    disk.cut(flag)
    disk.boot()
    outcome = run_in_child(commit)
    assert outcome.error is None, outcome.error


def _live(book: Book, root: str, seed: int) -> None:
    """Commands without end, until the power goes."""
    rng = random.Random(seed)
    if not book.read().ready and not os.path.exists(os.path.join(root, ".dsvc/config")):
        _init(book, root)
    if open_in(root).history.refs.head().commit is None:
        _commit(book, root, rng)
    while True:
        for name in ("topic", "main"):
            _switch(book, root, name)
            for _ in range(rng.randrange(3)):
                _commit(book, root, rng)
        _merge(book, root)
        if rng.random() < 0.5:
            _collect(book, root)


def _start(command: Callable[[], None]) -> int:
    """A child in a group of its own; errors after the cut are its own affair."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            command()
        except (DsvcError, OSError) as error:
            os.write(2, f"after the cut: {error!r}\n".encode())
        finally:
            os._exit(1)
    return pid


def _kill_all(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


LATER = ("run", "source-add", "feedback-import", "repair-apply", "release-create")


@pytest.mark.parametrize("flag", [LOG_FLUSHED, NOTHING_FLUSHED])
def test_f3_cut_after_what_is_recorded_beside_commits(disk: Disk, fast_path: Path, flag: int) -> None:
    """Runs, sources, evaluations, repairs and releases are there once the command has said so."""
    for name in LATER:
        made: Scenario | World = (
            scenarios.make(name, fast_path / name)
            if name in scenarios.COMMANDS
            else make_world(name, fast_path / name)
        )
        made.image.lay_out(disk.root + name)
        os.sync()
        outcome = run_in_child(lambda: made.run(disk.root + name))  # noqa: B023
        assert outcome.error is None
        disk.cut(flag)
        disk.boot()
        outcome = run_in_child(lambda: _recorded(made, disk.root + name))  # noqa: B023
        assert outcome.error is None, outcome.error


def _recorded(made: Scenario | World, root: str) -> None:
    """Everything is recorded as after the command, and whole; files of the tree may be cut short."""
    if isinstance(made, World):
        if words(root) != made.after:
            raise BrokenPromiseError(f"after a cut there is {words(root)}, not {made.after}")
        check(root, dataclasses.replace(made.expected, files=None))
        return
    with repository(root) as repo:
        found = provenance(repo, repo.history.refs.head().commit)
        if found != made.end[4]:
            raise BrokenPromiseError(f"after a cut there is {found}, not {made.end[4]}")
    check(root, Expected(commits=made.commits, possible=made.possible))


@pytest.mark.parametrize("rounds", [10, pytest.param(480, marks=pytest.mark.soak)])
@pytest.mark.parametrize("flag", [LOG_FLUSHED, NOTHING_FLUSHED])
def test_f4_cut_at_random_times(disk: Disk, tmp_path: Path, flag: int, rounds: int) -> None:
    seed = int(os.environ.get("DSVC_SEED") or random.SystemRandom().getrandbits(32))
    print(f"seed {seed}")
    book, rng = Book(tmp_path / "book"), random.Random(seed)
    for round_ in range(rounds):
        pid = _start(lambda number=round_: _live(book, disk.root, seed + number))  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.4))
        working = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        disk.cut(flag)
        _kill_all(pid)
        assert working, "the commands failed before the cut"
        _checked(disk, book)
