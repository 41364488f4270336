"""Repair where the same object is in several packs, damaged or erased, and where writing fails."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import blake3
import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import ErasedError, StorageError
from dsvc.model.ids import ChunkId, NodeId, PackId
from dsvc.model.manifest import Entry
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.erase import erase
from dsvc.store.local_backend import LocalBackend
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer
from dsvc.store.repair import Find, Repair, Repaired
from dsvc.store.scrub import check_packs
from dsvc.store.tree_check import TreeCheck
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.storekit import local_store, noise, put_manifest, read_manifest, reopened, trash_with_chunks

SHARED = noise(60_000, 1)
ID = ChunkId(blake3.blake3(SHARED).digest())


def nothing(entry: Entry, offset: int, length: int) -> bytes | None:
    return None


def found_in(contents: dict[bytes, bytes]) -> Find:
    return lambda entry, offset, length: contents[entry.path][offset : offset + length]


def repair(store: ChunkStore, *roots: NodeId, find: Find = nothing) -> Repaired:
    fresh = reopened(store)
    reports = list(check_packs(fresh.backend, read_data=True))
    tree = TreeCheck(fresh, read_data=True)
    tree.check(roots)
    return Repair(reopened(store), find).run(reports, tree.missing, roots)


def whole(store: ChunkStore) -> bool:
    return not any(report.defects for report in check_packs(reopened(store).backend, read_data=True))


def damage(backend: MemoryBackend, name: PackId, at: int) -> None:
    data = backend.packs[name]
    backend.packs[name] = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def damage_content(backend: MemoryBackend, name: PackId, content: bytes) -> None:
    damage(backend, name, backend.packs[name].index(content[:64]) + 40)


def damage_ids(backend: MemoryBackend, name: PackId, but: ChunkId) -> None:
    """Make a footer one that isn't believed, by an id in it other than `but`."""
    footer = Footer(backend, name)
    other = next(id_ for id_, _ in footer.rows() if id_ != bytes(but))
    damage(backend, name, backend.packs[name].rindex(other) + 31)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def store(backend: MemoryBackend) -> ChunkStore:
    return ChunkStore(backend)


def put_apart(store: ChunkStore, *trees: dict[bytes, bytes]) -> list[tuple[NodeId, PackId]]:
    """Store each tree whole in a pack of its own, whatever the others have."""
    backend, made = store.backend, []
    for number, tree in enumerate(trees):
        run = f"{number + 1:06d}-apart"
        backend.trash(backend.list_packs(), run)
        root = put_manifest(reopened(store), tree, raw=True)
        (name,) = backend.list_packs()
        backend.recover(run)
        made.append((root, name))
    return made


def test_two_damaged_packs_with_the_same_object(backend: MemoryBackend, store: ChunkStore) -> None:
    trees = [{b"a": SHARED, b"%d" % number: noise(40_000, 10 + number)} for number in range(2)]
    made = put_apart(store, *trees)
    for (_, name), tree in zip(made, trees, strict=True):
        damage_content(backend, name, list(tree.values())[1])
    done = repair(store, *(root for root, _ in made), find=lambda *what: _in_either(trees, *what))
    assert (done.healed, done.lost, done.quarantined) == (2, (), ())
    assert whole(store)
    for (root, _), tree in zip(made, trees, strict=True):
        assert read_manifest(reopened(store), root) == tree
    assert sum(footer.find(ID) >= 0 for footer in reopened(store).index.footers()) == 1


def _in_either(trees: list[dict[bytes, bytes]], entry: Entry, offset: int, length: int) -> bytes | None:
    data = {path: data for tree in trees for path, data in tree.items()}[entry.path]
    return data[offset : offset + length]


def test_what_another_pack_has_is_not_lost_behind_a_footer_that_can_not_be_believed(
    backend: MemoryBackend, store: ChunkStore
) -> None:
    (root, first), (other, _) = put_apart(store, {b"a": SHARED}, {b"a": SHARED, b"b": noise(9000, 2)})
    damage_content(backend, first, SHARED)
    damage_ids(backend, first, ID)
    done = repair(store, root, other)
    assert ID.hex() not in done.lost
    assert read_manifest(reopened(store), other) == {b"a": SHARED, b"b": noise(9000, 2)}
    assert whole(store)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_was_erased_stays_so(backend: MemoryBackend, store: ChunkStore, elsewhere: bool) -> None:
    trees = [{b"a": SHARED, b"b": noise(40_000, 2)}, {b"a": SHARED, b"c": noise(40_000, 3)}]
    made = put_apart(store, *trees[: 1 + elsewhere])
    for part in ("ids", "content"):
        erase(reopened(store), [ID])
        victim = next(
            footer.pack
            for footer in reopened(store).index.footers()
            if footer.find(blake3.blake3(trees[0][b"b"]).digest()) >= 0
        )
        if part == "ids":
            damage_ids(backend, victim, ID)
        else:
            damage_content(backend, victim, trees[0][b"b"])
        done = repair(store, *(root for root, _ in made), find=found_in(trees[0]))
        assert blake3.blake3(trees[0][b"b"]).hexdigest() not in done.lost
        with pytest.raises(ErasedError):
            reopened(store).get(ID)
        assert bytes(reopened(store).get(blake3.blake3(trees[0][b"b"]).digest())) == trees[0][b"b"]
        assert whole(store)


@pytest.mark.parametrize("in_tree", [False, True])
def test_an_erased_row_elsewhere_is_no_copy(backend: MemoryBackend, store: ChunkStore, in_tree: bool) -> None:
    (root, name), _ = put_apart(store, {b"a": SHARED}, {b"a": SHARED, b"b": noise(9000, 2)})
    backend.trash([name], "000009-x")
    erase_in = reopened(store)
    backend.recover("000009-x")
    first = backend.packs.pop(name)
    erase(erase_in, [ID])
    backend.packs[name] = first
    damage_content(backend, name, SHARED)
    if in_tree:
        done = repair(store, root, find=found_in({b"a": SHARED}))
        assert (done.healed, done.lost, done.quarantined) == (1, (), ())
        assert read_manifest(reopened(store), root) == {b"a": SHARED}
    else:
        done = repair(store, root)
        assert (done.healed, done.lost, done.quarantined) == (0, (ID.hex(),), (name.hex(),))


def put_chunks_apart(store: ChunkStore, tree: dict[bytes, bytes]) -> tuple[NodeId, PackId]:
    """Store a tree whose nodes and chunk lists are in a second pack too; its root, and the first pack."""
    root = put_manifest(store, tree, raw=True)
    name = trash_with_chunks(store, "000001-apart")
    store.backend.recover("000001-apart")
    return root, name


TREE = {b"%d" % number: noise(150_000, number) for number in range(6)}


@pytest.mark.parametrize("share", [0.95, 0.5, 0.0001])
def test_of_a_pack_that_was_cut_what_is_left_is_saved(
    backend: MemoryBackend, store: ChunkStore, share: float
) -> None:
    root, name = put_chunks_apart(store, TREE)
    footer, end = Footer(backend, name), int(len(backend.packs[name]) * share)
    beyond = set()
    for id_, place in footer.rows():
        info = footer.block(place.block)
        if place.item_type == ItemType.CHUNK and info.offset + info.stored_length > end:
            beyond.add(id_.hex())
    backend.packs[name] = backend.packs[name][:end]
    done = repair(store, root)
    assert set(done.lost) == beyond
    assert done.quarantined == (name.hex(),)
    assert whole(store)
    healed = repair(store, root, find=found_in(TREE))
    assert (healed.healed, healed.lost) == (len(beyond), ())
    assert read_manifest(reopened(store), root) == TREE


def test_a_pack_that_can_not_be_opened_gives_way(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    root, name = put_chunks_apart(store, TREE)
    path = Path(packs_of(store), f"{name.hex()}.pack")
    path.rename(tmp_path / "away")
    path.symlink_to(tmp_path / "away")
    done = repair(store, root, find=found_in(TREE))
    assert (done.lost, done.packs) == ((), (name.hex(),))
    assert not os.path.lexists(path)
    assert read_manifest(reopened(store), root) == TREE
    assert (tmp_path / "away").exists(), "what a link leads to is not touched"


def packs_of(store: ChunkStore) -> str:
    assert isinstance(store.backend, LocalBackend)
    return store.backend.layout.packs


@pytest.mark.parametrize("damaged", ["cut", "trailer", "content"])
@pytest.mark.parametrize("action", [Action.EIO, Action.SHORT_WRITE])
def test_f7_f44_an_error_while_writing_takes_nothing_away(
    fast_path: Path, action: Action, damaged: str
) -> None:
    """Nothing counts as brought back that could not be written."""
    for at in itertools.count(1):
        folder = fast_path / str(at)
        folder.mkdir()
        store = local_store(folder)
        root, name = put_chunks_apart(store, TREE)
        path = Path(packs_of(store), f"{name.hex()}.pack")
        data = path.read_bytes()
        middle = len(data) // 2
        path.chmod(0o644)
        path.write_bytes(
            {
                "cut": data[: len(data) * 3 // 4],
                "trailer": data[:-40] + bytes(40),
                "content": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            }[damaged]
        )
        with armed(Plan(action=action, at=at)) as plan:
            try:
                repair(store, root, find=found_in(TREE))
            except StorageError:
                again = True
            else:
                again = False
        if not plan.fired:
            return
        tried("disk errors")
        if again:
            repair(store, root, find=found_in(TREE))
        if not whole(store) or read_manifest(reopened(store), root) != TREE:
            raise BrokenPromiseError(f"{action} at operation {at} lost something")
