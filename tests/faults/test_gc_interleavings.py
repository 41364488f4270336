"""gc beside writers and readers: every interleaving, every kill point, and real processes.

The scheduler runs the steps of a writer at the points of gc, in every order that the locks allow: a writer's
shared lock makes gc wait until it is done, gc's exclusive lock makes a writer wait. What must hold in each: a
manifest whose ref was moved can be read, byte for byte.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsvc.fs import failpoints
from dsvc.fs.failpoints import Action, Plan
from dsvc.model.errors import MissingDataError
from dsvc.model.ids import NodeId
from dsvc.porcelain.care.gc import leftovers
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.local_backend import LocalBackend
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.prune import collect
from dsvc.testing.faults import tried
from tests.slim import in_slim_process
from tests.storekit import local_store, noise, prose, put_file, put_manifest, read_manifest, reopened

LIVE = {b"live": prose(9000, 1), b"raw": noise(3000, 1)}
DEAD = {b"dead": prose(20_000, 2), b"shared": noise(5000, 2)}
# What the writer adds: a chunk that is dead, one that is alive, one that is new.
ADDED = {b"dead": DEAD[b"dead"], b"live": LIVE[b"live"], b"new": prose(4000, 3)}


class World:
    """A store with something alive and something dead, its refs, and a writer that has not begun."""

    def __init__(self, *, careful: bool = True) -> None:
        self.backend = MemoryBackend()
        store = ChunkStore(self.backend)
        self.expected: dict[NodeId, dict[bytes, bytes]] = {put_manifest(store, LIVE): LIVE}
        put_manifest(store, DEAD)
        self.refs = list(self.expected)
        self.locked = self.writing = False
        self.writers = [self._writer(careful) for _ in range(1)]
        self.old_reader = ChunkStore(self.backend)
        self.old_reader.index.reload()

    def _writer(self, careful: bool) -> Iterator[None]:
        store = ChunkStore(self.backend)
        if not careful:
            store.index.reload()
            yield
        while self.locked:
            yield
        self.writing = True
        yield
        if careful:
            store.index.reload()
            yield
        for path in sorted(ADDED):
            put_file(store, path, ADDED[path])
            yield
        root = put_manifest(store, ADDED)
        yield
        self.expected[root] = ADDED
        self.refs.append(root)
        yield
        self.writing = False

    def advance(self, steps: int) -> None:
        """Let the writer go on, as far as the locks let it."""
        for _ in range(steps):
            if self.locked and not self.writing:
                return
            for writer in self.writers:
                next(writer, None)

    def finish(self) -> None:
        """Let the writer end."""
        for writer in self.writers:
            for _ in writer:
                pass

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait for a writer that has begun, then keep it out."""
        while self.writing:
            self.advance(1)
        self.locked = True
        try:
            yield
        finally:
            self.locked = False

    def roots(self) -> Iterator[NodeId]:
        yield from list(self.refs)

    def check(self, store: ChunkStore) -> None:
        for root in list(self.refs):
            assert read_manifest(store, root) == self.expected[root]


POINTS = ("mark", "roots", "lock", "after")
WRITER_STEPS = 9


def schedules() -> Iterator[tuple[int, ...]]:
    """Every way to spread the writer's steps over the points, in order."""
    for cuts in itertools.combinations_with_replacement(range(WRITER_STEPS + 1), len(POINTS) - 1):
        yield tuple(b - a for a, b in itertools.pairwise((0, *cuts, WRITER_STEPS)))


def run(world: World, schedule: tuple[int, ...], *, grace: float, readers: bool = True) -> None:
    turns = dict(zip(POINTS, schedule, strict=True))

    def at(point: str) -> None:
        world.advance(turns.pop(point, 0))
        if readers:
            world.check(world.old_reader)
            world.check(ChunkStore(world.backend))

    def roots() -> Iterator[NodeId]:
        listed = list(world.roots())
        # The writer may move its ref after the refs were listed.
        at("roots")
        yield from listed

    collect(ChunkStore(world.backend), roots, world.exclusive, grace_seconds=grace, step=at)
    at("after")
    world.finish()


@pytest.mark.parametrize("grace", [0.0, 1e6], ids=["at once", "with grace"])
def test_f30_no_interleaving_loses_a_live_chunk(grace: float) -> None:
    count = 0
    for schedule in schedules():
        world = World()
        run(world, schedule, grace=grace, readers=count % 8 == 0)
        world.check(ChunkStore(world.backend))
        # A second run, with nothing beside it, loses nothing either.
        collect(ChunkStore(world.backend), world.roots, world.exclusive, grace_seconds=0)
        world.check(ChunkStore(world.backend))
        world.check(world.old_reader)
        count += 1
    assert count == 220
    tried("interleavings", count)


def test_f30_the_schedules_would_find_a_writer_that_looks_before_it_locks() -> None:
    lost = 0
    for schedule in schedules():
        world = World(careful=False)
        try:
            run(world, schedule, grace=0.0, readers=False)
            world.check(ChunkStore(world.backend))
        except MissingDataError:
            lost += 1
    assert lost, "a writer with a stale list of packs was expected to lose something somewhere"


def test_f32_two_collections_one_after_the_other_mark() -> None:
    """A run whose packs were taken by another in between starts its mark again."""
    world = World()
    inner_done = False

    def step(name: str) -> None:
        nonlocal inner_done
        if name == "lock" and not inner_done:
            inner_done = True
            collect(ChunkStore(world.backend), world.roots, contextlib.nullcontext, grace_seconds=0)

    collect(ChunkStore(world.backend), world.roots, world.exclusive, grace_seconds=0, step=step)
    world.check(ChunkStore(world.backend))
    assert world.backend.list_trash() == {}


def in_child(work: Callable[[], None]) -> int:
    """Run in a fork; returns the exit status, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def prepared(folder: Path) -> tuple[ChunkStore, NodeId, NodeId]:
    store = local_store(folder)
    live = put_manifest(store, LIVE)
    put_manifest(store, DEAD)
    again = put_manifest(store, {b"z": prose(2000, 9)})
    collect(store, lambda: [live], contextlib.nullcontext, grace_seconds=1e6)
    put_manifest(store, {b"more": noise(9000, 8)})
    other = put_manifest(store, {b"other": noise(7000, 7)})
    return store, live, other if other != again else again


@pytest.mark.parametrize(
    "action", [Action.KILL, Action.EIO, Action.ENOSPC, Action.SHORT_WRITE, Action.TORN_WRITE]
)
@pytest.mark.parametrize("grace", [0.0, 1e6], ids=["at once", "with grace"])
@in_slim_process
def test_f1_f7_f30_gc_stopped_at_any_operation_loses_nothing(
    fast_path: Path, action: Action, grace: float
) -> None:
    for number in itertools.count(1):
        assert number < 200
        folder = fast_path / str(number)
        folder.mkdir()
        store, live, other = prepared(folder)
        assert isinstance(store.backend, LocalBackend)
        layout = store.backend.layout

        def work(
            store: ChunkStore = store, live: NodeId = live, other: NodeId = other, n: int = number
        ) -> None:
            plan = Plan(action, at=n)
            with failpoints.armed(plan), contextlib.suppress(Exception):
                collect(reopened(store), lambda: [live, other], contextlib.nullcontext, grace_seconds=grace)
            os._exit(0 if plan.fired else 9)

        status = in_child(work)
        assert status in (0, 9, -signal.SIGKILL)
        fresh = reopened(store)
        assert read_manifest(fresh, live) == LIVE
        assert read_manifest(fresh, other) == {b"other": noise(7000, 7)}
        roots = [live, other]
        collect(fresh, lambda roots=roots: roots, contextlib.nullcontext, grace_seconds=0)
        assert read_manifest(reopened(store), live) == LIVE
        assert len(store.backend.list_packs()) == 1
        left = os.listdir(layout.temporary)
        assert len(leftovers(layout)) == len(left), "what is left is known for what it is"
        if status == 9:
            break


def test_f30_real_processes_add_and_commit_while_gc_deletes_at_once(tmp_path: Path) -> None:
    from dsvc.porcelain.repository import Repository
    from dsvc.porcelain.versions.commit import NothingToCommitError

    root = str(tmp_path)
    repo = Repository.init(root)
    (tmp_path / "first").write_bytes(noise(4000))
    repo.add([b""])
    repo.commit("first")

    def write(number: int) -> Callable[[], None]:
        def work() -> None:
            mine = Repository.open(root, lock_timeout=60)
            for turn in range(6):
                name = f"file{number}-{turn}"
                # Content that comes and goes, so that some of it is dead, in the trash, or gone.
                Path(root, name).write_bytes(noise(3000, turn % 3) + prose(2000, number))
                mine.add([name.encode()])
                # The other writer's commit may have taken what was just staged along.
                with contextlib.suppress(NothingToCommitError):
                    mine.commit(f"{name} is added")

        return work

    def clean() -> None:
        for _ in range(8):
            Repository.open(root, lock_timeout=60).gc(grace_seconds=0)

    pids = []
    for job in (write(1), write(2), clean):
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                job()
                code = 0
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
            finally:
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    result = Repository.open(root).fsck(read_data=True)
    assert result.ok, result.defects
    assert Repository.open(root).usage().commits >= 2
