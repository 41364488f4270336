"""Packs of a few bytes, each wrong in one way: what is refused says why, and what is right is read."""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from pathlib import Path

import pytest

from dsvc.history.git_object import MAX_BYTES, object_id
from dsvc.history.git_writer import GitWriter, init_bare
from dsvc.history.loose_reader import LooseReader
from dsvc.history.pack_delta import apply_delta, delta_lengths
from dsvc.history.pack_reader import MAX_INDEX_BYTES, PackReader
from dsvc.model.errors import CorruptDataError, DsvcError, MalformedInputError, MissingDataError, StorageError
from dsvc.model.ids import CommitId
from dsvc.testing.faults import tried
from tests.packkit import BLOB, OFS_DELTA, REF_DELTA, Packed, delta, offset_of, stream, write_pack, zeros
from tests.readkit import reading

TEN = b"0123456789"
COPY_TEN = b"\x90\x0a"
ID = object_id("blob", TEN)
RAW = bytes.fromhex(ID)
BASE = Packed(RAW, BLOB, len(TEN), stream(TEN))


def number(value: int) -> bytes:
    return value.to_bytes(20, "big")


def name(value: int) -> CommitId:
    return CommitId(number(value).hex())


def on(base: bytes, made: bytes) -> Packed:
    return Packed(number(2), REF_DELTA, len(made), stream(made), base)


def back(made: bytes, distance: bytes) -> Packed:
    return Packed(number(2), OFS_DELTA, len(made), stream(made), distance)


@pytest.fixture
def git_dir(fast_path: Path) -> Path:
    init_bare(str(fast_path), durable=False)
    return fast_path


# Deltas by themselves


@pytest.mark.parametrize(
    ("steps", "made"),
    [
        (COPY_TEN, TEN),
        (b"\x91\x03\x04", TEN[3:7]),
        (b"\x02xy" + b"\x91\x08\x02", b"xy89"),
        (b"\x93\x05\x00\x05", TEN[5:]),
        (b"", b""),
    ],
)
def test_a_delta_makes_what_its_steps_say(steps: bytes, made: bytes) -> None:
    written = delta(len(TEN), len(made), steps)
    assert apply_delta(TEN, written) == made
    assert delta_lengths(written) == (len(TEN), len(made), 2)


def test_a_step_without_a_length_takes_64_kib() -> None:
    base = bytes(range(256)) * 300
    written = delta(len(base), 1 << 16, b"\x81\x05")
    assert apply_delta(base, written) == base[5 : 5 + (1 << 16)]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (b"", "cut off"),
        (b"\x8a", "cut off"),
        (b"\x0a\x8a", "cut off"),
        (b"\x80" * 20 + COPY_TEN, "cut off"),
        (delta(10, 10, b"\x91\x01"), "cut off"),
        (delta(10, 10, b"\x90"), "cut off"),
        (delta(11, 10, COPY_TEN), "another base"),
        (delta(10, 10, b"\x91\x01\x0a"), "takes what there isn't"),
        (delta(10, 10, b"\x91\xff\x0a"), "takes what there isn't"),
        (delta(10, 10, b"\x05only"), "takes what there isn't"),
        (delta(10, 10, b"\0" + COPY_TEN), "takes what there isn't"),
        (delta(10, 9, COPY_TEN), "more than it states"),
        (delta(10, 11, COPY_TEN), "less than it states"),
        (delta(10, 1, b""), "less than it states"),
    ],
)
def test_h20_deltas_that_do_not_fit(written: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        apply_delta(TEN, written)
    tried("hostile cases", 1)


# Entries of a pack


MUCH = 120 * (8 << 20)
SWOLLEN = delta(8 << 20, MUCH, b"\xc0\x80" * 120)
NO_END = b"\xff" * 30


@pytest.mark.parametrize(
    ("entries", "kind", "why"),
    [
        ([BASE._replace(length=1 << 40)], MalformedInputError, "declares 1099511627776 bytes"),
        ([BASE._replace(length=MAX_BYTES + 1)], MalformedInputError, "declares"),
        ([BASE._replace(length=1 << 200)], CorruptDataError, "cut off"),
        ([BASE._replace(length=9)], CorruptDataError, "declares 9 bytes"),
        ([BASE._replace(length=11)], CorruptDataError, "declares 11 bytes"),
        ([BASE._replace(body=BASE.body[:-2])], CorruptDataError, "declares 10 bytes|incorrect"),
        ([BASE._replace(body=b"no stream")], CorruptDataError, "incorrect header"),
        ([BASE._replace(kind=5)], CorruptDataError, "unknown type 5"),
        ([BASE._replace(kind=0)], CorruptDataError, "unknown type 0"),
        ([BASE, on(RAW, delta(10, 11, COPY_TEN))], CorruptDataError, "makes less"),
        ([BASE, on(RAW, b"\x8a")], CorruptDataError, "a delta is cut off"),
        ([BASE, on(number(9), delta(10, 10, COPY_TEN))], CorruptDataError, "base of a delta is missing"),
        ([on(number(2), delta(10, 10, COPY_TEN))], MalformedInputError, "deltas"),
        ([BASE, back(delta(10, 10, COPY_TEN), b"\0")], CorruptDataError, "no entry can be"),
        ([BASE, back(delta(10, 10, COPY_TEN), offset_of(1 << 40))], CorruptDataError, "no entry can be"),
        ([BASE, back(delta(10, 10, COPY_TEN), NO_END)], CorruptDataError, "head in the pack is cut off"),
        ([Packed(RAW, BLOB, 8 << 20, zeros(8)), on(RAW, SWOLLEN)], MalformedInputError, f"make {MUCH} bytes"),
        ([BASE, on(RAW, COPY_TEN)._replace(length=MAX_BYTES)], CorruptDataError, "another length"),
    ],
)
def test_h20_entries_that_lie(git_dir: Path, entries: list[Packed], kind: type[DsvcError], why: str) -> None:
    write_pack(git_dir, entries)
    with pytest.raises(kind, match=why):
        PackReader(str(git_dir)).read(CommitId(entries[-1].id.hex()))
    tried("hostile cases", 1)


def test_a_base_by_offset_is_read(git_dir: Path) -> None:
    """Objects that aren't alike, the second made from the first: both are kept and read again."""
    other = b"0123456789and more"
    made = delta(10, len(other), COPY_TEN + b"\x08and more")
    raw = bytes.fromhex(object_id("blob", other))
    length_of_base = 1 + len(BASE.body)
    write_pack(git_dir, [BASE, back(made, offset_of(length_of_base))._replace(id=raw)])
    reader = PackReader(str(git_dir))
    for _ in range(2):
        assert reader.read(object_id("blob", other)) == ("blob", other)
        assert reader.read(ID) == ("blob", TEN)


def test_what_is_not_there_is_missing(git_dir: Path) -> None:
    reader = PackReader(str(git_dir))
    assert not reader.has(ID)
    with pytest.raises(MissingDataError):
        reader.read(ID)
    write_pack(git_dir, [BASE])
    assert reader.has(ID)
    assert reader.expand(ID[:7]) == [ID]
    assert reader.expand(ID) == [ID]
    assert reader.expand("f" if ID[0] != "f" else "e") == []
    for bad in ("", "xyz", "A", "a" * 41):
        with pytest.raises(MalformedInputError):
            reader.expand(bad)
    with pytest.raises(MissingDataError):
        reader.read(name(9))


def test_packs_on_a_disk_that_fails(git_dir: Path) -> None:
    pack = write_pack(git_dir, [BASE])
    with reading(".idx", error=errno.EIO), pytest.raises(StorageError) as caught:
        PackReader(str(git_dir)).read(ID)
    assert caught.value.details["path"] == str(pack.with_suffix(".idx"))
    reader = PackReader(str(git_dir))
    with reading(".pack", error=errno.EIO), pytest.raises(StorageError) as caught:
        reader.read(ID)
    assert caught.value.details["path"] == str(pack)
    assert reader.read(ID) == ("blob", TEN)


def index_with_places_of_64_bits(pack: Path, offset: int) -> None:
    """Have the index of a pack with one object say its place as those of packs over 2 GiB do."""
    index = pack.with_suffix(".idx")
    whole = index.read_bytes()
    index.write_bytes(whole[:1056] + b"\x80\0\0\0" + offset.to_bytes(8, "big") + whole[1060:])


def test_places_of_64_bits(git_dir: Path) -> None:
    pack = write_pack(git_dir, [BASE])
    index = pack.with_suffix(".idx").read_bytes()
    index_with_places_of_64_bits(pack, 12)
    assert PackReader(str(git_dir)).read(ID) == ("blob", TEN)
    for beyond in (1 << 31, 1 << 62, (1 << 64) - 1):
        pack.with_suffix(".idx").write_bytes(index)
        index_with_places_of_64_bits(pack, beyond)
        with pytest.raises(CorruptDataError, match="no entry can be"):
            PackReader(str(git_dir)).read(ID)


def test_a_pack_that_ends_inside_an_object(git_dir: Path) -> None:
    pack = write_pack(git_dir, [BASE])
    whole = pack.read_bytes()
    for end in range(12, len(whole) - 20):
        pack.write_bytes(whole[:end])
        with pytest.raises(CorruptDataError):
            PackReader(str(git_dir)).read(ID)
    tried("cuts", len(whole) - 32)


def test_h20_an_index_of_256_mib_is_not_read(git_dir: Path) -> None:
    pack = write_pack(git_dir, [BASE])
    os.truncate(pack.with_suffix(".idx"), MAX_INDEX_BYTES + 1)
    with pytest.raises(MalformedInputError, match="at most"):
        PackReader(str(git_dir)).read(ID)
    tried("hostile cases", 1)


def test_an_object_larger_than_what_is_kept(git_dir: Path) -> None:
    data = bytes(200_000)
    id_ = object_id("blob", data)
    write_pack(git_dir, [Packed(bytes.fromhex(id_), BLOB, len(data), stream(data))])
    reader = PackReader(str(git_dir))
    for _ in range(2):
        assert reader.read(id_) == ("blob", data)


def test_a_pack_that_goes_while_packs_are_listed(git_dir: Path) -> None:
    """As `git gc` does it: what is still there is read."""
    paths = sorted([write_pack(git_dir, [BASE]), write_pack(git_dir, [BASE, BASE._replace(id=number(9))])])
    with reading(paths[0].stem, before=lambda _: paths[1].with_suffix(".idx").unlink(missing_ok=True)):
        assert PackReader(str(git_dir)).read(ID) == ("blob", TEN)
    assert not paths[1].with_suffix(".idx").exists()


def test_a_folder_of_packs_that_can_not_be_listed(git_dir: Path) -> None:
    folder = git_dir / "objects/pack"
    if folder.exists():
        folder.rmdir()
    folder.write_bytes(b"no folder")
    with pytest.raises(StorageError) as caught:
        PackReader(str(git_dir)).read(ID)
    assert caught.value.details["path"] == str(folder)


@pytest.mark.parametrize(("times", "is_read"), [(1, True), (2, False)])
def test_packs_that_are_made_anew_while_they_are_listed(git_dir: Path, times: int, is_read: bool) -> None:
    """As `git gc` does it, between reading an index and opening its pack: once is got over."""
    packs = [write_pack(git_dir, [BASE])]

    def made_anew(call: int) -> None:
        # Each index takes two calls, the second of which finds its end.
        if call % 2 and len(packs) <= times:
            packs[-1].unlink()
            packs[-1].with_suffix(".idx").unlink()
            packs.append(write_pack(git_dir, [BASE, *([BASE._replace(id=number(9))] * len(packs))]))

    with reading(".idx", before=made_anew):
        if is_read:
            assert PackReader(str(git_dir)).read(ID) == ("blob", TEN)
        else:
            with pytest.raises(MissingDataError):
                PackReader(str(git_dir)).read(ID)
    assert len(packs) == times + 1
    assert PackReader(str(git_dir)).read(ID) == ("blob", TEN)


# Loose objects beside packs


def beside(git_dir: Path) -> LooseReader:
    return LooseReader(str(git_dir), lambda: PackReader(str(git_dir)))


def loose(git_dir: Path, data: bytes) -> None:
    path = git_dir / "objects" / ID[:2] / ID[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def test_of_a_loose_object_and_a_packed_one_the_one_that_is_right_is_read(git_dir: Path) -> None:
    loose(git_dir, b"damaged")
    pack = write_pack(git_dir, [BASE])
    assert beside(git_dir).read(ID) == ("blob", TEN)
    pack.write_bytes(pack.read_bytes()[:20])
    with pytest.raises(CorruptDataError, match="incorrect header check"):
        beside(git_dir).read(ID)
    # Not in a pack at all: what is told is the damage, not that it is missing.
    pack.unlink()
    pack.with_suffix(".idx").unlink()
    pack = write_pack(git_dir, [BASE._replace(id=number(9))])
    with pytest.raises(CorruptDataError, match="incorrect header check"):
        beside(git_dir).read(ID)
    pack.with_suffix(".idx").write_bytes(b"no index")
    (git_dir / "objects" / ID[:2] / ID[2:]).unlink()
    with pytest.raises(CorruptDataError, match="no index"):
        beside(git_dir).read(ID)


def test_an_object_that_is_unpacked_between_two_looks(git_dir: Path) -> None:
    """As `git repack -A` does it with what nothing reaches: the pack is gone, the loose file is there."""
    write_pack(git_dir, [BASE._replace(id=number(9))])

    def unpacked() -> PackReader:
        GitWriter(str(git_dir), durable=False).write([("blob", TEN)])
        return PackReader(str(git_dir))

    assert LooseReader(str(git_dir), unpacked).read(ID) == ("blob", TEN)
    with pytest.raises(MissingDataError):
        beside(git_dir).read(name(5))


def test_without_a_folder_of_packs(git_dir: Path) -> None:
    (git_dir / "objects/pack").rmdir()
    for reader in (beside(git_dir), PackReader(str(git_dir))):
        with pytest.raises(MissingDataError):
            reader.read(ID)
        assert not reader.has(ID)
    GitWriter(str(git_dir), durable=False).write([("blob", TEN)])
    assert beside(git_dir).read(ID) == ("blob", TEN)


def test_an_object_of_no_known_type_is_corrupt_though_its_hash_is_right(git_dir: Path) -> None:
    data = b"blub 3\0abc"
    id_ = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    path = git_dir / "objects" / id_[:2] / id_[2:]
    path.parent.mkdir()
    path.write_bytes(zlib.compress(data))
    with pytest.raises(CorruptDataError, match="unknown type 'blub'"):
        beside(git_dir).read(CommitId(id_))
