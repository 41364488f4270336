"""Repair where the trash is damaged too, where footers can't be believed, and where it is stopped itself."""

from __future__ import annotations

import blake3
import pytest

from dsvc.model.errors import ErasedError
from dsvc.model.ids import ChunkId, NodeId, PackId
from dsvc.model.manifest import Entry
from dsvc.store import pack
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.erase import erase
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer
from dsvc.store.prune import QUARANTINE
from dsvc.store.repair import Find, Repair, Repaired
from dsvc.store.scrub import check_packs
from dsvc.store.tree_check import TreeCheck
from tests.storekit import noise, prose, put_file, put_manifest, read_manifest, reopened, trash_with_chunks

TREE = {b"noise": noise(60_000, 1), b"text": prose(80_000, 2), b"small": b"small"}


def nothing(entry: Entry, offset: int, length: int) -> bytes | None:
    return None


def repair(store: ChunkStore, *roots: NodeId, find: Find = nothing) -> Repaired:
    fresh = reopened(store)
    reports = list(check_packs(fresh.backend, read_data=True))
    tree = TreeCheck(fresh, read_data=True)
    tree.check(roots)
    return Repair(reopened(store), find).run(reports, tree.missing, roots)


def found_in(contents: dict[bytes, bytes]) -> Find:
    return lambda entry, offset, length: contents[entry.path][offset : offset + length]


def damage(backend: MemoryBackend, name: PackId, at: int) -> None:
    for packs in (backend.packs, *backend._trash.values()):
        if name in packs:
            whole = packs[name]
            packs[name] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


def footer_at(backend: MemoryBackend, name: PackId) -> int:
    return backend.size(name) - pack.TRAILER.size - Footer(backend, name).length


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def store(backend: MemoryBackend) -> ChunkStore:
    return ChunkStore(backend)


def test_what_only_a_damaged_pack_in_the_trash_has(backend: MemoryBackend, store: ChunkStore) -> None:
    root = put_manifest(store, TREE)
    name = trash_with_chunks(store, "000001-x")
    damage(backend, name, backend.size(name) - 5)
    done = repair(store, root)
    assert done.healed > 0
    assert done.lost == ()
    assert read_manifest(reopened(store), root) == TREE
    again = repair(store, root)
    assert (again.healed, again.packs) == (0, ())


def test_a_whole_pack_beside_it_in_the_trash_stays_there(backend: MemoryBackend, store: ChunkStore) -> None:
    root = put_manifest(store, TREE)
    live = backend.list_packs()
    for seed in (5, 6):
        put_manifest(reopened(store), {b"other": noise(5000, seed)}, raw=True)
    bad, good = (name for name in backend.list_packs() if name not in live)
    backend.trash([bad, good], "000001-x")
    damage(backend, bad, backend.size(bad) - 5)
    done = repair(store, root)
    assert done.quarantined == (bad.hex(),)
    runs = backend.list_trash()
    assert runs.pop("000001-x") == [good]
    assert [(run.startswith(QUARANTINE), packs) for run, packs in runs.items()] == [(True, [bad])]
    assert backend.list_packs() == live
    again = repair(store, root)
    assert again == Repaired(healed=0, lost=(), packs=(), quarantined=())


def test_a_footer_that_can_not_be_believed_and_erased_rows(backend: MemoryBackend, store: ChunkStore) -> None:
    root = put_manifest(store, {**TREE, b"secret": noise(4000, 9)}, raw=True)
    secret = ChunkId(blake3.blake3(noise(4000, 9)).digest())
    erase(reopened(store), [secret])
    (name,) = backend.list_packs()
    footer = Footer(backend, name)
    ids = [id_ for id_, place in footer.rows() if not place.erased]
    at = backend.packs[name].rfind(ids[0]) + 31
    damage(backend, name, at)
    done = repair(store, root)
    assert name.hex() in done.packs
    fresh = reopened(store)
    with pytest.raises(ErasedError):
        fresh.get(secret)
    for id_ in ids:
        assert fresh.index.find(id_) is not None
    assert all(not report.defects for report in check_packs(backend, read_data=True))


def test_data_lost_behind_a_footer_that_can_not_be_believed(
    backend: MemoryBackend, store: ChunkStore
) -> None:
    root = put_manifest(store, TREE, raw=True)
    (name,) = backend.list_packs()
    id_ = blake3.blake3(TREE[b"noise"]).digest()
    rows = dict(Footer(backend, name).rows())
    lost = max((place.length, id_) for id_, place in rows.items() if place.item_type == 0)[1]
    other = next(each for each in rows if each not in (lost, id_))
    found = next(at for at in range(len(backend.packs[name])) if backend.packs[name][at : at + 32] == other)
    damage(backend, name, found + 31)
    damage(backend, name, backend.packs[name].find(noise(60_000, 1)[:64]) + 100)
    done = repair(store, root)
    assert len(done.lost) >= 1
    assert done.quarantined == (name.hex(),)
    healed = repair(store, root, find=found_in(TREE))
    assert healed.lost == ()
    assert read_manifest(reopened(store), root) == TREE


def test_a_block_that_does_not_unpack(backend: MemoryBackend, store: ChunkStore) -> None:
    root = put_manifest(store, TREE)
    (name,) = backend.list_packs()
    footer = Footer(backend, name)
    for number in range(footer.blocks):
        info = footer.block(number)
        if info.codec:
            damage(backend, name, info.offset + 2)
    done = repair(store, root, find=found_in(TREE))
    assert done.healed
    assert all(not report.defects for report in check_packs(backend, read_data=True))
    assert read_manifest(reopened(store), root) == TREE


def test_stopped_it_leaves_everything_as_it_was(backend: MemoryBackend, store: ChunkStore) -> None:
    root = put_manifest(store, TREE, raw=True)
    (name,) = backend.list_packs()
    damage(backend, name, 5000)
    before = dict(backend.packs)

    def out_of_memory(entry: Entry, offset: int, length: int) -> bytes | None:
        raise MemoryError

    with pytest.raises(MemoryError):
        repair(store, root, find=out_of_memory)
    assert backend.packs == before
    assert backend.list_trash() == {}


def test_much_is_brought_back_in_several_packs(
    backend: MemoryBackend, store: ChunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = {b"%d" % n: noise(50_000, n) for n in range(20)}
    root = put_manifest(store, tree, raw=True)
    (name,) = backend.list_packs()
    damage(backend, name, 5000)
    monkeypatch.setattr(pack, "TARGET_BYTES", 300_000)
    done = repair(store, root, find=found_in(tree))
    assert (done.lost, done.quarantined) == ((), ())
    assert len(backend.list_packs()) > 2
    assert read_manifest(reopened(store), root) == tree


@pytest.mark.parametrize("what", ["short", "long", "other"])
def test_a_working_tree_that_gives_something_else(
    backend: MemoryBackend, store: ChunkStore, what: str
) -> None:
    root = put_manifest(store, {b"a": noise(60_000, 1)}, raw=True)
    (name,) = backend.list_packs()
    damage(backend, name, 5000)

    def find(entry: Entry, offset: int, length: int) -> bytes | None:
        data = noise(60_000, 1)[offset : offset + length]
        return {"short": data[:-1], "long": data + b"x", "other": bytes(length)}[what]

    done = repair(store, root, find=find)
    assert len(done.lost) == 1
    assert done.healed == 0


def test_a_pack_whose_end_is_damaged_is_made_again_in_place(
    backend: MemoryBackend, store: ChunkStore
) -> None:
    root = put_manifest(store, TREE, raw=True)
    (name,) = backend.list_packs()
    whole = backend.packs[name]
    damage(backend, name, len(whole) - 5)
    done = repair(store, root)
    assert done == Repaired(healed=0, lost=(), packs=(name.hex(),), quarantined=())
    assert backend.packs == {name: whole}
    assert backend.list_trash() == {}


def test_where_only_the_header_of_a_block_is_damaged_nothing_is_lost(
    backend: MemoryBackend, store: ChunkStore
) -> None:
    root = put_manifest(store, TREE, raw=True)
    (name,) = backend.list_packs()
    damage(backend, name, len(pack.HEADER))
    done = repair(store, root)
    assert done == Repaired(healed=0, lost=(), packs=(name.hex(),), quarantined=())
    assert read_manifest(reopened(store), root) == TREE
    assert all(not report.defects for report in check_packs(backend, read_data=True) if report.pack != name)


def test_what_is_healed_is_counted_and_lies_with_its_like(backend: MemoryBackend, store: ChunkStore) -> None:
    text, noisy, other = prose(3000, 1), noise(5000, 2), noise(6000, 3)
    put_file(store, b"text", text)
    ids = [put_file(store, name, data, raw=True).digest for name, data in ((b"n", noisy), (b"o", other))]
    name = store.publish()
    assert name is not None
    backend.trash([name], "000001-x")
    second = ChunkStore(backend)
    put_file(second, b"n", noisy, raw=True)
    second.publish()
    backend.recover("000001-x")
    block = Footer(backend, name).block(1)
    damage(backend, name, block.offset + 100)
    done = repair(store)
    assert (done.healed, done.lost, done.packs) == (1, (), (name.hex(),))
    assert done.quarantined == ()
    fresh = reopened(store)
    assert [bytes(fresh.get(id_)) for id_ in ids] == [noisy, other]
    text_id = blake3.blake3(text).digest()
    place = fresh.locate(text_id)
    assert bytes(fresh.get(text_id)) == text
    (new,) = (footer for footer in fresh.index.footers() if footer.pack == place[0].pack)
    blocks = {id_: at.block for id_, at in new.rows()}
    assert blocks[text_id] not in {blocks[id_] for id_ in ids if id_ in blocks}


@pytest.mark.parametrize("raw", [True, False])
def test_what_comes_from_the_working_tree_lies_with_its_like(
    backend: MemoryBackend, store: ChunkStore, raw: bool
) -> None:
    data, other = noise(5000, 2), prose(3000, 3)
    root = put_manifest(store, {b"a": data}, raw=raw)
    (name,) = backend.list_packs()
    at = Footer(backend, name).block(0).offset
    damage(backend, name, at + 50)
    put_file(store, b"b", other)
    store.publish()
    done = repair(store, root, find=found_in({b"a": data}))
    assert (done.healed, done.lost, done.quarantined) == (1, (), ())
    assert read_manifest(reopened(store), root) == {b"a": data}


def test_an_erased_copy_hides_no_whole_one(backend: MemoryBackend, store: ChunkStore) -> None:
    contents = [noise(5000, number) for number in range(6)]
    ids = [blake3.blake3(data).digest() for data in contents]
    for erased in (ids[:3], ids[3:]):
        writer = pack.PackWriter(backend)
        for id_, data in zip(ids, contents, strict=True):
            if id_ in erased:
                writer.put_erased(id_, len(data), ItemType.CHUNK)
            else:
                writer.put(id_, data, ItemType.CHUNK, pack.STREAM_RAW)
        writer.publish()
    writer = pack.PackWriter(backend)
    for id_, data in zip(ids, contents, strict=True):
        writer.put(id_, data, ItemType.CHUNK, pack.STREAM_RAW)
    victim = writer.publish()
    assert victim is not None
    info = Footer(backend, victim).block(0)
    for number in range(6):
        damage(backend, victim, info.offset + 5000 * number + 7)
    done = repair(store)
    assert (done.healed, done.lost) == (6, ())
    assert [bytes(reopened(store).get(id_)) for id_ in ids] == contents
