"""Packs written anew, salvaged, erased from: nothing is lost where the disk or the pack is bad."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import CorruptDataError, DsvcError, StorageError
from dsvc.model.ids import ChunkId, PackId
from dsvc.store import block, pack
from dsvc.store.absence import StillThereError, prove_absent, stored_lengths
from dsvc.store.block import Codec, ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.erase import erase
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer, PackWriter
from dsvc.store.rewrite import Rewriter
from dsvc.store.salvage import rebuild, salvage
from dsvc.store.scrub import check_pack
from tests.forged_pack import IDS, ITEMS, Forged
from tests.readkit import reading
from tests.storekit import local_store, noise, prose, put_manifest, read_manifest, reopened, rewrite


@pytest.fixture
def forged() -> Forged:
    return Forged()


# Rewriting


def two_packs() -> tuple[ChunkStore, MemoryBackend]:
    backend = MemoryBackend()
    store = ChunkStore(backend)
    put_manifest(store, {b"a": noise(300_000, 1), b"b": noise(300_000, 2)}, raw=True)
    put_manifest(reopened(store), {b"c": noise(300_000, 3)}, raw=True)
    return reopened(store), backend


def everything(row: int, id_: bytes, place: pack.Location) -> bool:
    return True


def test_what_is_rewritten_is_the_same() -> None:
    store, backend = two_packs()
    before = {id_ for footer in store.index.footers() for id_, _ in footer.rows()}
    (made,) = rewrite(store, [(footer, everything) for footer in store.index.footers()])
    assert {id_ for id_, _ in Footer(backend, made).rows()} == before
    assert check_pack(backend, made, read_data=True).defects == []


def test_large_stores_are_rewritten_into_several_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    store, backend = two_packs()
    monkeypatch.setattr(pack, "TARGET_BYTES", 200_000)
    made = rewrite(store, [(footer, everything) for footer in store.index.footers()])
    assert len(made) == 2
    assert all(check_pack(backend, name, read_data=True).defects == [] for name in made)


def test_a_rewrite_that_fails_leaves_nothing() -> None:
    store, backend = two_packs()
    footers = list(store.index.footers())
    before = dict(backend.packs)

    def broken(row: int, id_: bytes, place: pack.Location) -> bool:
        raise MemoryError

    with pytest.raises(MemoryError):
        rewrite(store, [(footers[0], everything), (footers[1], broken)])
    assert backend.packs == before


def test_a_sink_that_fails_is_thrown_away() -> None:
    class FailingSink:
        """A disk that is full at a chosen write, and at publishing."""

        def __init__(self, fail_at: int) -> None:
            self.position, self.writes, self.fail_at, self.abandoned = 0, 0, fail_at, False

        def write(self, buffers: list[bytes]) -> None:
            self.writes += 1
            if self.writes == self.fail_at:
                raise OSError(errno.ENOSPC, "full")
            self.position += sum(map(len, buffers))

        def publish(self, name: PackId) -> None:
            raise OSError(errno.ENOSPC, "full")

        def abandon(self) -> None:
            self.abandoned = True

    class FullBackend(MemoryBackend):
        fail_at = 0

        def create(self) -> FailingSink:  # type: ignore[override]
            self.sink = FailingSink(self.fail_at)
            return self.sink

    backend = FullBackend()
    backend.fail_at = 1
    with pytest.raises(OSError, match="full"):
        PackWriter(backend, block.Compressor())
    assert backend.sink.abandoned
    backend.fail_at = 0
    store = ChunkStore(backend)
    for finish in (store.publish, Rewriter(store).publish):
        if finish == store.publish:
            store.put_chunk(IDS[0], ITEMS[0], raw=True)
        else:
            finish.__self__.put(IDS[0], ITEMS[0], ItemType.CHUNK, pack.STREAM_RAW)
        with pytest.raises(OSError, match="full"):
            finish()
        assert backend.sink.abandoned
        assert finish() is None, "nothing is left to be published"
    store.put_chunk(IDS[0], ITEMS[0], raw=True)
    assert store.has(IDS[0])
    store.abandon()
    assert not store.has(IDS[0])
    assert backend.sink.abandoned


# Salvage, marks, erasure


def test_a_pack_that_can_not_be_rebuilt_stays_as_it_is(forged: Forged) -> None:
    backend, name = forged.made()
    whole = backend.packs[name]
    assert rebuild(backend, name)
    assert backend.packs[name] == whole
    for wrong in (b"", pack.HEADER, whole[:200], whole[:100] + b"?" + whole[101:], whole[:12]):
        backend.packs[name] = wrong
        assert not rebuild(backend, name)
        assert backend.packs[name] == wrong


def test_a_rebuilt_pack_that_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    put_manifest(store, {b"a": noise(5000)}, raw=True)
    (name,) = store.backend.list_packs()
    temporary = tmp_path / ".dsvc" / "tmp"
    with armed(Plan()) as plan:
        assert rebuild(store.backend, name)
    for at in range(1, [what for what, _ in plan.seen].index("rename") + 2):
        with armed(Plan(action=Action.ENOSPC, at=at)), pytest.raises(StorageError):
            rebuild(store.backend, name)
        assert list(temporary.iterdir()) == []
    assert check_pack(reopened(store).backend, name, read_data=True).defects == []


@pytest.mark.parametrize(
    "what", ["no items", "a petabyte", "beyond the end", "other lengths", "type 9", "nothing"]
)
def test_headers_that_can_be_none_are_passed_over(forged: Forged, what: str) -> None:
    backend, name = forged.made()
    lengths = [len(data) for data in ITEMS]
    items, raw, stored, rows = len(ITEMS), sum(lengths), len(forged.stored), list(lengths)
    match what:
        case "no items":
            items, rows = 0, []
        case "a petabyte":
            raw = block.MAX_RAW_BYTES + 1
        case "beyond the end":
            stored = 1 << 20
        case "other lengths":
            rows[0] += 1
        case "type 9":
            rows[0] |= 9 << 24
        case "nothing":
            items, raw, stored, rows = 1, 0, 0, [0]
    head = block.HEADER.pack(block.MAGIC, Codec.RAW, 0, 0, items, raw, stored, bytes(16))
    false = head + b"".join(row.to_bytes(4, "little") for row in rows)
    backend.packs[name] = pack.HEADER + false + backend.packs[name][len(pack.HEADER) :] + block.MAGIC
    assert [found.id for found in salvage(backend, name) if found.trusted] == IDS


def test_a_block_that_does_not_unpack_gives_nothing(forged: Forged) -> None:
    backend, name = forged.made()
    data = bytearray(backend.packs[name])
    data[len(pack.HEADER) + 4] = 7
    backend.packs[name] = bytes(data)
    assert list(salvage(backend, name)) == []
    assert not rebuild(backend, name)


def test_what_is_erased_is_looked_for_in_packs_that_can_be_read() -> None:
    store, backend = two_packs()
    first = backend.list_packs()[0]
    backend.packs[first] = backend.packs[first][:-1]
    before = dict(backend.packs)
    for call in (lambda: erase(reopened(store), []), lambda: Marks(reopened(store))):
        with pytest.raises(CorruptDataError) as caught:
            call()
        assert "fsck" in str(caught.value.hint)
    assert backend.packs == before


def test_an_erasure_that_can_not_carry_the_rest_deletes_nothing() -> None:
    store, backend = two_packs()
    victim = next(
        (footer.pack, id_)
        for footer in store.index.footers()
        for id_, place in footer.rows()
        if place.item_type == ItemType.CHUNK and place.length > 100_000
    )
    data = bytearray(backend.packs[victim[0]])
    data[len(data) // 2] ^= 1
    damaged = [
        id_
        for footer in store.index.footers()
        for id_, place in footer.rows()
        if footer.pack == victim[0] and place.item_type == ItemType.CHUNK
    ]
    backend.packs[victim[0]] = bytes(data)
    before = dict(backend.packs)
    outcomes = []
    for id_ in damaged:
        backend.packs.clear()
        backend.packs.update(before)
        try:
            outcomes.append(erase(reopened(store), [ChunkId(id_)]).objects)
        except DsvcError:
            outcomes.append(0)
            assert backend.packs == before, "nothing was deleted"
    assert 0 in outcomes


def test_what_a_disk_still_gives_back_is_saved(tmp_path: Path) -> None:
    tree = {b"%d" % number: noise(150_000, number) for number in range(6)}
    store = local_store(tmp_path)
    root = put_manifest(store, tree, raw=True)
    (name,) = store.backend.list_packs()
    backend = reopened(store).backend
    with reading(f"{name.hex()}.pack", bad=range(20_000, 20_001)):
        found = {found.id for found in salvage(backend, name) if found.trusted}
        wanted = {id_ for id_, _ in Footer(backend, name).rows()}
        assert len(wanted - found) in (1, 2), "those of one block"
        assert not rebuild(backend, name)
    assert read_manifest(reopened(store), root) == tree


def test_a_damaged_block_is_copied_from_where_it_is_whole() -> None:
    text = prose(300_000, 3)
    backend = MemoryBackend()
    root = put_manifest(ChunkStore(backend), {b"a": text})
    (first,) = backend.list_packs()
    backend.trash([first], "000001-x")
    other = put_manifest(ChunkStore(backend), {b"a": text, b"b": b"b"})
    (second,) = backend.list_packs()
    backend.recover("000001-x")
    info = Footer(backend, first).block(0)
    whole = backend.packs[first]
    backend.packs[first] = (
        whole[: info.offset] + bytes(info.stored_length) + whole[info.offset + info.stored_length :]
    )
    store = ChunkStore(backend)
    (made,) = rewrite(store, [(Footer(backend, first), everything)])
    assert check_pack(backend, made, read_data=True).defects == []
    del backend.packs[second]
    with pytest.raises(DsvcError):
        rewrite(
            ChunkStore(backend), [(Footer(backend, first), everything), (Footer(backend, second), everything)]
        )
    assert read_manifest(ChunkStore(backend), root) == {b"a": text}
    assert other != root


def test_absence_is_proved_of_packs_that_can_be_read() -> None:
    store, backend = two_packs()
    ids = [id_ for footer in store.index.footers() for id_, _ in footer.rows()]
    assert prove_absent(backend, [b"m" * 32]) == len(ids)
    assert set(stored_lengths(backend, [*ids, b"m" * 32])) == set(ids)
    for id_ in ids:
        with pytest.raises(StillThereError) as caught:
            prove_absent(backend, [id_])
        assert caught.value.details["id"] == id_.hex()
    first = backend.list_packs()[0]
    backend.trash([first], "000001-x")
    assert prove_absent(backend, [b"m" * 32]) == len(ids), "the trash too"
    backend.recover("000001-x")
    damaged = backend.packs[first]
    backend.packs[first] = damaged[:5000] + bytes([damaged[5000] ^ 1]) + damaged[5001:]
    with pytest.raises(CorruptDataError, match="can't be read whole"):
        prove_absent(backend, [b"m" * 32])
