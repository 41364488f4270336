"""Packs whose footer is sound and says something wrong: each lie has its number; what is made of packs."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest

from dsvc.model.encoding import hash_object
from dsvc.model.errors import CorruptDataError, DsvcError
from dsvc.model.ids import ChunkId, PackId
from dsvc.store import block, pack
from dsvc.store.absence import StillThereError, prove_absent, stored_lengths
from dsvc.store.block import BlockInfo, Codec, ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.erase import erase
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer, PackWriter
from dsvc.store.rewrite import Rewriter, is_sound
from dsvc.store.salvage import rebuild, salvage
from dsvc.store.scrub import check_pack
from tests.readkit import reading
from tests.storekit import local_store, noise, prose, put_manifest, read_manifest, reopened, rewrite

Row = tuple[bytes, int, int, int]
"""Id, length with type, block, offset."""

ITEMS = sorted((noise(500 + n, n) for n in range(3)), key=lambda data: blake3.blake3(data).digest())
IDS = [blake3.blake3(data).digest() for data in ITEMS]


class Forged:
    """A pack of one block, of which anything can be changed before its footer is named."""

    def __init__(self) -> None:
        stored = b"".join(ITEMS)
        self.header = pack.HEADER
        self.before, self.after = b"", b""
        self.info = BlockInfo(
            len(pack.HEADER) + block.HEADER.size + 4 * len(ITEMS),
            len(stored),
            len(stored),
            len(ITEMS),
            Codec.RAW,
            block.stored_checksum([stored]),
        )
        self.stored = stored
        self.rows: list[Row] = []
        at = 0
        for id_, data in zip(IDS, ITEMS, strict=True):
            self.rows.append((id_, len(data), 0, at))
            at += len(data)
        self.footer: Callable[[bytes], bytes] = bytes

    def made(self) -> tuple[MemoryBackend, PackId]:
        lengths = [len(data) for data in ITEMS]
        fixed = block.HEADER.pack(
            block.MAGIC, Codec.RAW, 0, 0, len(ITEMS), sum(lengths), len(self.stored), self.info.xxh3
        )
        head = fixed + b"".join(length.to_bytes(4, "little") for length in lengths)
        body = self.header + self.before + head + self.stored + self.after
        footer = self.footer(pack.encode_footer([self.info], self.rows))
        name = hash_object("footer", footer, PackId)
        trailer = pack.TRAILER.pack(
            pack.TRAILER_MAGIC, len(body), len(footer), 1, len(self.rows), bytes(name)
        )
        backend = MemoryBackend()
        backend.packs[name] = body + footer + trailer
        return backend, name

    def defects(self, *, read_data: bool = True) -> list[str]:
        backend, name = self.made()
        report = check_pack(backend, name, read_data=read_data)
        assert all(name.hex() in defect.object for defect in report.defects)
        return [defect.id for defect in report.defects]


@pytest.fixture
def forged() -> Forged:
    return Forged()


@pytest.mark.parametrize("read_data", [False, True])
def test_what_is_right_is_right(forged: Forged, read_data: bool) -> None:
    assert forged.defects(read_data=read_data) == []
    backend, name = forged.made()
    report = check_pack(backend, name, read_data=read_data)
    assert (report.objects, report.bytes, report.bad) == (3, backend.size(name), [])


def test_a_wrong_header(forged: Forged) -> None:
    forged.header = b"X" + pack.HEADER[1:]
    assert forged.defects() == ["F003"]


def test_ids_out_of_order(forged: Forged) -> None:
    first, second = IDS[:2]
    forged.footer = lambda data: (
        data.replace(first, b"?" * 32).replace(second, first).replace(b"?" * 32, second)
    )
    assert "F004" in forged.defects()


def test_an_id_twice(forged: Forged) -> None:
    forged.footer = lambda data: data.replace(IDS[1], IDS[0])
    assert "F004" in forged.defects()


def test_an_unknown_type(forged: Forged) -> None:
    id_, length, number, at = forged.rows[1]
    forged.rows[1] = id_, length | 9 << 24, number, at
    backend, name = forged.made()
    report = check_pack(backend, name, read_data=True)
    assert [defect.id for defect in report.defects][:2] == ["F005", "F005"]
    assert IDS[1].hex()[:12] in report.defects[0].message


def test_a_block_that_is_not_there(forged: Forged) -> None:
    id_, length, _, at = forged.rows[1]
    forged.rows[1] = id_, length, 7, at
    assert forged.defects()[:2] == ["F005", "F005"]


@pytest.mark.parametrize("change", ["gap", "overlap", "empty", "too few", "too long"])
def test_objects_that_do_not_fill_their_block(forged: Forged, change: str) -> None:
    id_, length, number, at = forged.rows[1]
    if change == "too few":
        del forged.rows[1]
    else:
        move, more = {"gap": (1, 0), "overlap": (-1, 0), "empty": (0, -length), "too long": (0, 1)}[change]
        forged.rows[1] = id_, length + more, number, at + move
    assert forged.defects(read_data=False)[0] == "F005"


def test_a_block_elsewhere(forged: Forged) -> None:
    forged.before = b"\0" * 8
    forged.info = forged.info._replace(offset=forged.info.offset + 8)
    assert forged.defects() == ["F006"]


def test_a_block_that_reaches_into_the_footer(forged: Forged) -> None:
    forged.info = forged.info._replace(stored_length=forged.info.stored_length + 1)
    assert forged.defects() == ["F006"]


def test_bytes_that_nobody_speaks_of(forged: Forged) -> None:
    forged.after = b"?"
    assert forged.defects() == ["F006"]


def test_a_block_header_that_differs(forged: Forged) -> None:
    forged.info = forged.info._replace(codec=Codec.ZSTD)
    assert forged.defects(read_data=False) == ["F007"]
    backend, name = forged.made()
    report = check_pack(backend, name, read_data=True)
    assert [defect.id for defect in report.defects] == ["F007", "F009"]
    assert [bad.id for bad in report.bad] == IDS


def test_bytes_that_are_not_those_of_the_checksum(forged: Forged) -> None:
    damaged = bytearray(forged.stored)
    damaged[0] ^= 1
    forged.stored = bytes(damaged)
    backend, name = forged.made()
    report = check_pack(backend, name, read_data=True)
    assert [defect.id for defect in report.defects] == ["F008", "F010"]
    assert [(bad.id, bad.length) for bad in report.bad] == [(IDS[0], len(ITEMS[0]))]
    assert forged.defects(read_data=False) == []


def test_bytes_of_another_chunk_under_a_right_checksum(forged: Forged) -> None:
    damaged = forged.stored[:-1] + bytes([forged.stored[-1] ^ 1])
    forged.stored = damaged
    forged.info = forged.info._replace(xxh3=block.stored_checksum([damaged]))
    backend, name = forged.made()
    assert [d.id for d in check_pack(backend, name, read_data=True).defects] == ["F010"]
    footer = Footer(backend, name)
    store = ChunkStore(backend)
    places = dict(footer.rows())
    assert [is_sound(store, footer, id_, places[id_]) for id_ in IDS] == [True, True, False]


def test_a_disk_that_does_not_give_back_what_it_has(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    put_manifest(store, {b"a": noise(100_000, 1)}, raw=True)
    (name,) = store.backend.list_packs()
    backend = reopened(store).backend
    with reading(f"{name.hex()}.pack", error=errno.EIO):
        report = check_pack(backend, name, read_data=True)
    assert [defect.id for defect in report.defects] == ["F012"]
    assert check_pack(backend, name, read_data=True).defects == []

    def later(number: int) -> None:
        if number > 3:
            raise OSError(errno.EIO, "later")

    with reading(f"{name.hex()}.pack", before=later):
        report = check_pack(reopened(store).backend, name, read_data=True)
    assert [defect.id for defect in report.defects] == ["F012"]


def test_a_read_that_fails_once_is_no_defect(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    put_manifest(store, {b"a": noise(100_000, 1)}, raw=True)
    (name,) = store.backend.list_packs()

    def once(number: int) -> None:
        if number == 2:
            raise OSError(errno.EIO, "once")

    with reading(f"{name.hex()}.pack", before=once):
        assert check_pack(reopened(store).backend, name, read_data=True).defects == []


@pytest.mark.parametrize("at_most", [1, 1000])
def test_packs_are_read_however_little_comes_at_once(tmp_path: Path, at_most: int) -> None:
    store = local_store(tmp_path)
    data = noise(3_000 if at_most == 1 else 300_000, 1)
    put_manifest(store, {b"a": data}, raw=True)
    (name,) = store.backend.list_packs()
    fresh = reopened(store)
    with reading(f"{name.hex()}.pack", at_most=at_most):
        assert check_pack(fresh.backend, name, read_data=True).defects == []
        assert [bytes(found.data) for found in salvage(fresh.backend, name) if found.item_type == 0]


def test_a_pack_that_becomes_shorter_while_it_is_read(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    put_manifest(store, {b"a": noise(100_000, 1)}, raw=True)
    (name,) = store.backend.list_packs()
    path = next(tmp_path.rglob("*.pack"))
    path.chmod(0o600)
    backend = reopened(store).backend
    size = backend.size(name)

    def cut(number: int) -> None:
        if number == 2:
            with open(path, "r+b") as file:
                file.truncate(size // 2)

    with (
        reading(f"{name.hex()}.pack", at_most=size // 2, before=cut),
        pytest.raises(CorruptDataError, match="ends early"),
    ):
        backend.read(name, 0, size)
    with pytest.raises(CorruptDataError, match="shorter"):
        backend.view(name, 0, size)
    with pytest.raises(CorruptDataError, match="shorter"):
        backend.read(name, -1, 1)


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


@pytest.mark.parametrize("what", ["no items", "a petabyte", "beyond the end", "other lengths", "type 9"])
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
