"""Packs whose footer is sound and says something wrong: each lie has its number; what is made of packs."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dsvc.model.errors import CorruptDataError
from dsvc.store import block, pack
from dsvc.store.block import Codec
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.defects import Defect, exit_code
from dsvc.store.pack import Footer
from dsvc.store.rewrite import is_sound
from dsvc.store.salvage import salvage
from dsvc.store.scrub import check_pack
from tests.forged_pack import IDS, ITEMS, Forged
from tests.readkit import reading
from tests.storekit import local_store, noise, prose, put_manifest, put_record, reopened


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


@pytest.mark.parametrize("number", [1, 7])
def test_a_block_that_is_not_there(forged: Forged, number: int) -> None:
    id_, length, _, at = forged.rows[1]
    forged.rows[1] = id_, length, number, at
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


def test_each_type_of_object_is_known(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    put_manifest(store, {b"a": prose(100_000)})  # chunks, a list and a node
    put_record(store, b"a record")
    store.publish()
    kinds = {place.item_type for footer in store.index.footers() for _, place in footer.rows()}
    assert kinds == {0, 1, 2, 3}
    for name in store.backend.list_packs():
        assert check_pack(store.backend, name, read_data=True).defects == []


def test_the_worst_defect_says_the_exit_code() -> None:
    wrong, missing, malformed, broken = "F001", "F020", "F022", "F060"
    assert exit_code([]) == 0
    for ids, code in (
        ((wrong, missing, malformed, broken), 30),
        ((broken, malformed, missing), 31),
        ((broken, malformed), 41),
        ((broken,), 22),
    ):
        assert exit_code([Defect(id=id_, object="x", message="y") for id_ in ids]) == code
