"""gc: what lives stays, what is dead goes by way of the trash, and an error deletes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from pathlib import Path

import pytest

from dsvc.model.errors import CorruptDataError, MissingDataError, NotFoundError
from dsvc.model.ids import NodeId, PackId
from dsvc.store import prune
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.local_backend import LocalBackend
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import STREAM_RAW, PackWriter
from dsvc.store.prune import PackUse, collect, plan
from tests.storekit import (
    local_store,
    noise,
    prose,
    put_manifest,
    read_manifest,
    reopened,
    small_tree,
)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ChunkStore:
    return local_store(tmp_path) if request.param == "local" else ChunkStore(MemoryBackend())


def gc(store: ChunkStore, *roots: NodeId, grace: float = 1e6, dry_run: bool = False) -> prune.Collected:
    return collect(store, lambda: roots, contextlib.nullcontext, grace_seconds=grace, dry_run=dry_run)


def use(number: int, size: int, dead_share: float) -> PackUse:
    return PackUse(
        pack=PackId(bytes([number]) * 32),
        size_bytes=size,
        rows=100,
        live_rows=round(100 * (1 - dead_share)),
        raw_bytes=1000,
        live_bytes=round(1000 * (1 - dead_share)),
    )


def numbers(packs: tuple[PackId, ...]) -> list[int]:
    return [pack[0] for pack in packs]


class TestPlan:
    def test_large_and_mostly_alive_packs_stay(self) -> None:
        decided = plan([use(1, 1 << 27, 0.0), use(2, 1 << 27, 0.3)])
        assert decided.drop == decided.rewrite == ()
        assert decided.candidates == 30
        assert decided.bytes == 300

    def test_dead_packs_go_and_decayed_ones_are_rewritten(self) -> None:
        decided = plan([use(1, 1 << 27, 1.0), use(2, 1 << 27, 0.31), use(3, 1 << 27, 0.0)])
        assert (numbers(decided.drop), numbers(decided.rewrite)) == ([1], [2])

    def test_one_small_pack_stays_two_are_merged(self) -> None:
        assert plan([use(1, 1 << 20, 0.0)]).rewrite == ()
        assert numbers(plan([use(1, 1 << 20, 0.0), use(2, 1 << 20, 0.1)]).rewrite) == [1, 2]

    def test_a_small_pack_goes_along_with_a_decayed_one(self) -> None:
        assert numbers(plan([use(1, 1 << 20, 0.0), use(2, 1 << 27, 0.5)]).rewrite) == [1, 2]

    def test_no_packs(self) -> None:
        assert plan([]) == prune.Plan(drop=(), rewrite=(), candidates=0, bytes=0)


def test_everything_alive_stays(store: ChunkStore) -> None:
    tree = small_tree()
    root = put_manifest(store, tree)
    before = store.backend.list_packs()
    done = gc(store, root)
    assert (done.candidates, done.bytes, done.deleted, done.trashed, done.run) == (0, 0, 0, 0, None)
    assert store.backend.list_packs() == before
    assert read_manifest(store, root) == tree


def test_what_nothing_reaches_is_trashed_and_undone(store: ChunkStore) -> None:
    kept = small_tree(1)
    root = put_manifest(store, kept)
    gone = {b"gone": noise(200_000, 7), **{b"x%d" % n: prose(3000, n + 77) for n in range(10)}}
    lost = put_manifest(store, gone)
    done = gc(store, root)
    assert done.candidates > 10
    assert done.trashed
    assert done.deleted == 0
    fresh = reopened(store)
    assert read_manifest(fresh, root) == kept
    assert read_manifest(fresh, lost) == gone, "a reader still finds it in the trash"
    assert not any(fresh.has(entry) for entry in [bytes(lost)]), "a dedup hit must not find it"
    run = prune.newest_run(store.backend)
    assert run == done.run
    store.backend.recover(run)
    assert reopened(store).has(lost)


def test_collecting_twice_changes_nothing_more(store: ChunkStore) -> None:
    root = put_manifest(store, small_tree(1))
    put_manifest(store, {b"gone": noise(200_000, 7)})
    gc(store, root)
    packs = store.backend.list_packs()
    again = gc(store, root)
    assert (again.candidates, again.trashed, again.deleted) == (0, 0, 0)
    assert store.backend.list_packs() == packs


def test_no_grace_deletes_at_once(store: ChunkStore) -> None:
    kept = small_tree(1)
    root = put_manifest(store, kept)
    lost = put_manifest(store, {b"gone": noise(200_000, 7)})
    gc(store, root)
    done = gc(store, root, grace=0)
    assert done.deleted >= 1
    assert done.freed_bytes > 200_000
    assert store.backend.list_trash() == {}
    with pytest.raises(MissingDataError):
        read_manifest(reopened(store), lost)
    assert read_manifest(reopened(store), root) == kept
    with pytest.raises(NotFoundError):
        prune.newest_run(store.backend)


def test_a_dry_run_changes_nothing_and_foresees(store: ChunkStore) -> None:
    root = put_manifest(store, small_tree(1))
    put_manifest(store, {b"gone": noise(200_000, 7)})
    packs = store.backend.list_packs()
    foreseen = gc(store, root, dry_run=True)
    assert store.backend.list_packs() == packs
    assert store.backend.list_trash() == {}
    done = gc(store, root)
    assert dataclasses.replace(done, run=None) == foreseen
    assert (foreseen.deleted, foreseen.trashed) == (0, 1)
    put_manifest(store, {b"more": noise(200_000, 8)})
    old = sum(store.backend.size(pack) for packs in store.backend.list_trash().values() for pack in packs)
    foreseen = gc(store, root, dry_run=True, grace=0)
    done = gc(store, root, grace=0)
    assert (foreseen.candidates, foreseen.bytes) == (done.candidates, done.bytes)
    assert (foreseen.deleted, foreseen.trashed, foreseen.freed_bytes) == (done.deleted, 0, old)
    assert done.freed_bytes > old


def test_several_small_packs_become_one(store: ChunkStore) -> None:
    tree = small_tree(3)
    roots = [put_manifest(store, dict(list(tree.items())[: n + 1])) for n in range(len(tree))]
    gc(store, *roots, grace=0)
    assert len(store.backend.list_packs()) == 1
    fresh = reopened(store)
    assert read_manifest(fresh, roots[-1]) == tree
    assert read_manifest(fresh, roots[4]) == dict(list(tree.items())[:5])


def test_what_is_in_the_trash_and_reachable_again_comes_back(store: ChunkStore) -> None:
    kept, tree = {b"other": prose(5000, 9)}, small_tree(1)
    root, again = put_manifest(store, kept), put_manifest(store, tree)
    gc(store, root)
    assert not reopened(store).has(again)
    gc(store, root, again, grace=0)
    assert store.backend.list_trash() == {}
    assert read_manifest(reopened(store), again) == tree
    assert read_manifest(reopened(store), root) == kept


def test_duplicates_go_and_one_copy_stays(store: ChunkStore, tmp_path: Path) -> None:
    tree = small_tree(1)
    root = put_manifest(store, tree)
    pack = store.backend.list_packs()[0]
    store.backend.trash([pack], "000009-test")
    assert put_manifest(reopened(store), {**tree, b"new": b"new"}) != root
    store.backend.recover("000009-test")
    assert len(store.backend.list_packs()) == 2
    other = put_manifest(reopened(store), {**tree, b"new": b"new"})
    gc(store, root, other, grace=0)
    assert len(store.backend.list_packs()) == 1
    fresh = reopened(store)
    assert read_manifest(fresh, root) == tree
    rows = sum(footer.count for footer in fresh.index.footers())
    assert len({id_ for footer in fresh.index.footers() for id_, _ in footer.rows()}) == rows


def damage(store: ChunkStore, pack: PackId, offset: int) -> None:
    backend = store.backend
    assert isinstance(backend, MemoryBackend)
    data = bytearray(backend.packs[pack])
    data[offset] ^= 1
    backend.packs[pack] = bytes(data)


def test_a_whole_duplicate_of_a_damaged_chunk_is_kept() -> None:
    for damaged in (0, 1):
        store = ChunkStore(MemoryBackend())
        tree = {b"noise": noise(50_000)}
        root = put_manifest(store, tree, raw=True)
        first = store.backend.list_packs()[0]
        store.backend.trash([first], "000009-test")
        put_manifest(reopened(store), {**tree, b"x": noise(4000, 3)}, raw=True)
        (second,) = store.backend.list_packs()
        store.backend.recover("000009-test")
        damage(store, [first, second][damaged], 1000)
        gc(reopened(store), root, grace=0)
        assert read_manifest(reopened(store), root) == tree


@pytest.mark.parametrize("what", ["missing chunk", "damaged node", "damaged footer", "missing pack"])
def test_an_error_deletes_nothing(what: str) -> None:
    store = ChunkStore(MemoryBackend())
    root = put_manifest(store, {b"keep": noise(300_000, 1)}, raw=True)
    (pack,) = store.backend.list_packs()
    put_manifest(store, {b"gone": noise(300_000, 2)}, raw=True)
    size = store.backend.size(pack)
    if what == "missing chunk":
        store.backend.trash([pack], "000001-x")
        store.backend.empty_trash("000001-x")
    elif what == "damaged node":
        footer, place = store.locate(root)
        damage(store, pack, footer.block(place.block).offset + place.offset + 5)
    elif what == "damaged footer":
        damage(store, pack, size - 5)
    else:
        del store.backend.packs[pack]  # type: ignore[attr-defined]
    packs = store.backend.list_packs()
    with pytest.raises((MissingDataError, CorruptDataError)):
        gc(reopened(store), root, grace=0)
    assert store.backend.list_packs() == packs
    assert store.backend.list_trash() == {}


def test_damage_met_while_rewriting_stops_the_run() -> None:
    store = ChunkStore(MemoryBackend())
    root = put_manifest(store, {b"keep": noise(30_000, 1), b"a": prose(5000)}, raw=True)
    (pack,) = store.backend.list_packs()
    put_manifest(store, {b"gone": noise(300_000, 2)}, raw=True)
    extra = put_manifest(store, {b"more": noise(300_000, 3)}, raw=True)
    damage(store, pack, 500)
    with pytest.raises(CorruptDataError):
        gc(reopened(store), root, extra, grace=0)
    assert pack in store.backend.list_packs()


def test_runs_are_named_by_age_whatever_the_clock_says(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    backend = store.backend
    assert isinstance(backend, LocalBackend)
    for number in range(3):
        put_manifest(store, {b"x%d" % number: noise(1000, number)})
        backend.trash(backend.list_packs(), prune.new_run(backend))
    names = list(backend.list_trash())
    assert [name[:6] for name in names] == ["000001", "000002", "000003"]
    assert prune.newest_run(backend) == names[-1]
    os.utime(os.path.join(backend.layout.trash, names[0]), (0, 0))
    assert backend.trash_age(names[0]) < 3600, "a folder's time alone deletes nothing"


def test_f31_a_new_handle_reads_on_while_gc_moves_packs(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    tree = small_tree(1)
    root = put_manifest(store, tree)
    put_manifest(store, {b"gone": noise(400_000, 7)})
    reader = reopened(store)
    assert reader.has(root)
    gc(store, root, grace=0)
    assert read_manifest(reader, root) == tree


DAY = 24 * 3600


@pytest.mark.parametrize(
    ("age", "grace", "goes", "doubtful"),
    [
        (14 * DAY - 60, None, False, False),
        (14 * DAY + 60, None, True, False),
        ((14 + 365) * DAY - 60, None, True, False),
        ((14 + 365) * DAY + 60, None, False, True),
        (60 - DAY, None, False, False),
        (-60 - DAY, None, False, True),
        (800 * DAY, 0, True, False),
        (30, 1, True, False),
        (30, 60, False, False),
    ],
)
def test_how_long_trash_is_kept(age: float, grace: float | None, goes: bool, doubtful: bool) -> None:
    grace = prune.DEFAULT_GRACE_SECONDS if grace is None else grace
    backend = MemoryBackend()
    store = ChunkStore(backend)
    for run in ("000001-x", "quarantine-000002-x"):
        put_manifest(store, {b"a": b"a", run.encode(): b""})
        backend.trash(backend.list_packs(), run)
        backend._trashed_at[run] = time.time() - age
    assert prune.expired(backend, grace) == (["000001-x"] if goes else [])
    prune.begin_anew(backend, grace)
    assert backend.trash_age("000001-x") == pytest.approx(0 if doubtful else age, abs=30)
    assert backend.trash_age("quarantine-000002-x") == pytest.approx(age, abs=30)


def test_a_short_grace_is_one(store: ChunkStore) -> None:
    root = put_manifest(store, {b"a": b"a"})
    put_manifest(store, {b"gone": noise(200_000, 7)})
    done = gc(store, root, grace=1)
    assert (done.deleted, done.trashed) == (0, 1)
    assert store.backend.list_trash()


def test_each_step_is_told_before_it_begins(store: ChunkStore) -> None:
    def steps(*roots: NodeId, grace: float) -> list[str]:
        told: list[str] = []
        collect(store, lambda: roots, contextlib.nullcontext, grace_seconds=grace, step=told.append)
        return told

    first, second = put_manifest(store, small_tree(1)), put_manifest(store, {b"x": noise(900_000, 8)})
    begin = ["mark", "lock", "re-mark", "expire"]
    assert steps(first, second, grace=1e6) == [*begin, "rewrite", "trash"]
    assert steps(first, grace=1e6) == [*begin, "rewrite", "trash"]
    assert steps(first, grace=0) == [*begin, "delete", "delete", "rewrite"]


def test_what_was_erased_counts_no_bytes() -> None:
    backend = MemoryBackend()
    writer = PackWriter(backend)
    writer.put(b"a" * 32, b"1234", ItemType.CHUNK, STREAM_RAW)
    writer.put_erased(b"b" * 32, 1000, ItemType.CHUNK)
    writer.put(b"c" * 32, b"12345", ItemType.CHUNK, STREAM_RAW)
    name = writer.publish()
    assert name is not None
    marks = Marks(ChunkStore(backend))
    for marked, live in (([], 0), ([b"a" * 32], 4), ([b"a" * 32, b"c" * 32], 9)):
        for id_ in marked:
            marks.mark(id_, ItemType.CHUNK)
        (pack,) = marks.packs()
        found = prune.usage(backend, pack)
        assert (found.pack, found.size_bytes, found.rows) == (name, len(backend.packs[name]), 3)
        assert (found.live_rows, found.raw_bytes, found.live_bytes) == (len(marked) + 1, 9, live)
