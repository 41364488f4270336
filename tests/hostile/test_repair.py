"""Repair brings back what has a whole copy anywhere, and never takes a last copy away."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from dsvc.model.errors import DsvcError
from dsvc.model.ids import NodeId, PackId
from dsvc.model.manifest import Entry
from dsvc.store import defects
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.prune import QUARANTINE
from dsvc.store.repair import Repair, Repaired
from dsvc.store.scrub import PackReport, check_packs
from dsvc.store.tree_check import TreeCheck
from tests.storekit import noise, prose, put_manifest, read_manifest, reopened, rewrite, small_tree

Find = Callable[[Entry, int, int], bytes | None]


def nothing(entry: Entry, offset: int, length: int) -> bytes | None:
    return None


def working_tree(contents: dict[bytes, bytes]) -> Find:
    def find(entry: Entry, offset: int, length: int) -> bytes | None:
        return contents.get(entry.path, b"")[offset : offset + length]

    return find


def check(store: ChunkStore, *roots: NodeId) -> tuple[list[PackReport], TreeCheck, list[defects.Defect]]:
    fresh = reopened(store)
    reports = list(check_packs(fresh.backend, read_data=True))
    tree = TreeCheck(fresh, read_data=True)
    tree.check(roots)
    return reports, tree, [d for r in reports for d in r.defects] + tree.defects


def repair(store: ChunkStore, *roots: NodeId, find: Find = nothing) -> Repaired:
    reports, tree, _ = check(store, *roots)
    return Repair(reopened(store), find).run(reports, tree.missing, roots)


def store_of(contents: dict[bytes, bytes], *, raw: bool = False) -> tuple[ChunkStore, MemoryBackend, NodeId]:
    backend = MemoryBackend()
    store = ChunkStore(backend)
    return store, backend, put_manifest(store, contents, raw=raw)


def flip(backend: MemoryBackend, pack: PackId, offset: int, bit: int = 0) -> None:
    data = bytearray(backend.packs[pack])
    data[offset] ^= 1 << bit
    backend.packs[pack] = bytes(data)


def footer_start(store: ChunkStore) -> int:
    (footer,) = store.index.footers()
    return store.backend.size(footer.pack) - 64 - footer.length


def clean(store: ChunkStore, *roots: NodeId) -> bool:
    return not check(store, *roots)[2]


@pytest.mark.parametrize("where", ["trailer", "footer", "header", "block header", "cut", "too long"])
def test_f13_f14_structure_is_rebuilt_from_the_blocks(where: str) -> None:
    tree = small_tree(1)
    store, backend, root = store_of(tree)
    (pack,) = backend.list_packs()
    whole, start = backend.packs[pack], footer_start(store)
    if where == "cut":
        backend.packs[pack] = whole[: start + 100]
    elif where == "too long":
        backend.packs[pack] = whole + b"more"
    else:
        offset = {"trailer": len(whole) - 60, "footer": start + 2000, "header": 3, "block header": 20}[where]
        flip(backend, pack, offset)
    assert not clean(store, root)
    done = repair(store, root)
    assert done.lost == ()
    assert clean(store, root)
    assert read_manifest(reopened(store), root) == tree
    if where != "block header":
        assert backend.packs[pack] == whole


def test_f13_every_footer_byte_can_be_wrong_and_is_rebuilt() -> None:
    tree = {b"a": prose(3000), b"b": noise(2000), b"c": noise(70_000, 3)}
    store, backend, root = store_of(tree)
    (pack,) = backend.list_packs()
    whole, start = backend.packs[pack], footer_start(store)
    for offset in random.Random(5).sample(range(start, len(whole)), 60):
        flip(backend, pack, offset, offset % 8)
        assert not clean(store, root)
        repair(store, root)
        assert clean(store, root), offset
        assert backend.packs[pack] == whole


def test_f13_f15_a_damaged_chunk_is_healed_from_the_working_tree() -> None:
    tree = small_tree(2)
    store, backend, root = store_of(tree)
    (pack,) = backend.list_packs()
    for offset in (100, 3000, 50_000):
        flip(backend, pack, offset)
    found = check(store, root)[2]
    assert defects.exit_code(found) == 30
    done = repair(store, root, find=working_tree(tree))
    assert done.healed
    assert done.lost == done.quarantined == ()
    assert clean(store, root)
    assert read_manifest(reopened(store), root) == tree
    assert any(run.startswith("repaired-") for run in backend.list_trash())
    again = repair(store, root, find=working_tree(tree))
    assert (again.healed, again.packs) == (0, ())


def test_f15_a_missing_pack_is_healed_from_the_working_tree_where_nodes_are_left() -> None:
    tree = {b"noise": noise(300_000, 4), b"text": prose(50_000)}
    backend = MemoryBackend()
    store = ChunkStore(backend)
    root = put_manifest(store, tree, raw=True)
    other = put_manifest(store, {**tree, b"z": b"z"}, raw=True)
    first = next(p for p in backend.list_packs() if backend.size(p) > 100_000)
    keep = ChunkStore(backend)
    rewrite(keep, [(f, lambda row, id_, place: place.item_type != 0) for f in keep.index.footers()])
    del backend.packs[first]
    assert defects.exit_code(check(store, root, other)[2]) == 31
    done = repair(store, root, other, find=working_tree(tree))
    assert done.healed >= 2
    assert clean(store, root, other)
    assert read_manifest(reopened(store), root) == tree


def test_f15_a_changed_working_tree_heals_what_did_not_change() -> None:
    tree = {b"large": prose(500_000)}
    store, backend, root = store_of(tree)
    (pack,) = backend.list_packs()
    flip(backend, pack, 1000)
    changed = {b"large": tree[b"large"][:-1000] + b"x" * 1000}
    assert repair(store, root, find=working_tree(changed)).healed
    damaged = [d for d in check(store, root)[2] if d.id != "F008"]
    fresh = repair(store, root, find=working_tree(tree))
    assert clean(store, root), (damaged, fresh)


def test_f13_f15_a_damaged_chunk_is_healed_from_another_pack_and_from_the_trash() -> None:
    for trashed in (False, True):
        tree = {b"noise": noise(200_000, 4)}
        store, backend, root = store_of(tree, raw=True)
        (first,) = backend.list_packs()
        backend.trash([first], "000001-x")
        other = put_manifest(reopened(store), {**tree, b"z": b"z"}, raw=True)
        (second,) = backend.list_packs()
        if not trashed:
            backend.recover("000001-x")
        flip(backend, second, 5000)
        done = repair(store, root, other)
        assert done.lost == ()
        assert clean(store, root, other)
        assert read_manifest(reopened(store), other)[b"noise"] == tree[b"noise"]


def test_f13_what_can_not_be_healed_is_kept_in_quarantine() -> None:
    tree = {b"lost": noise(200_000, 4), b"whole": noise(100_000, 5)}
    store, backend, root = store_of(tree, raw=True)
    (pack,) = backend.list_packs()
    damaged = bytearray(backend.packs[pack])
    damaged[5000] ^= 1
    backend.packs[pack] = bytes(damaged)
    done = repair(store, root)
    assert len(done.lost) == 1
    assert done.quarantined == (pack.hex(),)
    assert all(run.startswith(QUARANTINE) for run in backend.list_trash())
    assert backend.read(pack, 0, len(damaged)) == bytes(damaged)
    assert {d.id for d in check(store, root)[2]} <= {"F010", "F028"}
    fresh = reopened(store)
    with pytest.raises(DsvcError):
        read_manifest(fresh, root)
    again = repair(store, root)
    assert again.packs == ()
    healed = repair(store, root, find=working_tree(tree))
    assert healed.lost == ()
    assert clean(store, root)


def test_f15_wrong_bytes_from_the_working_tree_heal_nothing() -> None:
    tree = {b"noise": noise(200_000, 4)}
    store, backend, root = store_of(tree, raw=True)
    (pack,) = backend.list_packs()
    flip(backend, pack, 5000)
    done = repair(store, root, find=working_tree({b"noise": noise(200_000, 5)}))
    assert len(done.lost) == 1
    assert not clean(store, root)


def test_f44_repair_of_a_healthy_store_changes_nothing() -> None:
    store, backend, root = store_of(small_tree(3))
    packs = dict(backend.packs)
    done = repair(store, root)
    assert done == Repaired(healed=0, lost=(), packs=(), quarantined=())
    assert backend.packs == packs
