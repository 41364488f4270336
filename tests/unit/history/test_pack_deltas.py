"""Deltas and indexes of packs, written here by git's rules: every form of a step and of a length."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from dsvc.history.git_object import object_id
from dsvc.history.git_writer import init_bare
from dsvc.history.pack_delta import apply_delta, delta_lengths
from dsvc.history.pack_reader import PackReader
from dsvc.model.errors import CorruptDataError, MissingDataError
from dsvc.model.ids import CommitId
from tests.packkit import BLOB, OFS_DELTA, Packed, delta, offset_of, size_of, stream, write_pack

BASE = bytes(range(251)) * (1 + ((1 << 24) + 5000) // 251)
PLACES = (0, 1, 255, 256, 0x0100FF, 0xFF00, 0x010000, 0x1000000, 0x1000100, 0x1000FFF)
LENGTHS = (1, 255, 256, 0xFFFF, 0x010000, 0x010001, 0x010100, 0x0FFF00, 0x100000)


def copy(start: int, length: int) -> bytes:
    """A step that takes a piece of the base: bytes that are zero are left out, and so is 64 KiB."""
    step, written = 128, b""
    for bit, byte in enumerate(start.to_bytes(4, "little") + (length % (1 << 24)).to_bytes(3, "little")):
        if byte and not (length == 1 << 16 and bit >= 4):
            step |= 1 << bit
            written += bytes([byte])
    return bytes([step]) + written


@pytest.mark.parametrize("start", PLACES)
def test_pieces_of_the_base_wherever_they_are(start: int) -> None:
    lengths = [each for each in LENGTHS if start + each <= len(BASE)]
    written = delta(len(BASE), sum(lengths), b"".join(copy(start, each) for each in lengths))
    assert apply_delta(BASE, written) == b"".join(BASE[start : start + each] for each in lengths)


def test_new_bytes_of_each_length() -> None:
    pieces = [bytes([number]) * number for number in range(1, 128)]
    steps = b"".join(bytes([len(piece)]) + piece for piece in pieces)
    assert apply_delta(b"", delta(0, len(b"".join(pieces)), steps)) == b"".join(pieces)


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 129, 16_383, 16_384, (1 << 63) - 1, 1 << 63])
def test_lengths_that_a_delta_states(length: int) -> None:
    other = 300
    written = delta(length, other, b"")
    assert delta_lengths(written) == (length, other, len(written))
    assert delta_lengths(delta(other, length, b"x")) == (other, length, len(written))
    with pytest.raises(ValueError, match="cut off"):
        delta_lengths(size_of(length))


# In packs


@pytest.fixture
def git_dir(fast_path: Path) -> Path:
    init_bare(str(fast_path), durable=False)
    return fast_path


def blob(data: bytes) -> Packed:
    return Packed(bytes.fromhex(object_id("blob", data)), BLOB, len(data), stream(data))


def test_many_objects_are_found_and_listed(git_dir: Path) -> None:
    contents = [b"number %d" % number * (1 + number % 40) for number in range(600)]
    write_pack(git_dir, [blob(data) for data in contents])
    before = os.listdir("/proc/self/fd")
    reader = PackReader(str(git_dir))
    known = sorted(object_id("blob", data) for data in contents)
    for data in contents:
        assert reader.read(object_id("blob", data)) == ("blob", data)
    for prefix in ("0", "ff", "a", known[0][:3], known[-1], known[300][:39]):
        assert reader.expand(prefix) == [each for each in known if each.startswith(prefix)][:100]
    for each in (known[0], known[-1]):
        other = CommitId(each[:-1] + ("0" if each[-1] != "0" else "1"))
        assert not reader.has(other)
        with pytest.raises(MissingDataError):
            reader.read(other)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("filler", [0, 100, 130, 16_400, 40_000])
def test_a_base_far_back(git_dir: Path, filler: int) -> None:
    """Distances of one, two and three bytes, and lengths of deltas that take as many."""
    base = blob(b"the base of all")
    between = blob(random.Random(7).randbytes(filler))
    made = bytes(range(256)) * (1 + filler // 300) + b"the base"
    news = [made[at : at + 127] for at in range(0, len(made) - 8, 127)]
    news[-1] = news[-1][: len(made) - 8 - 127 * (len(news) - 1)]
    steps = b"".join(bytes([len(each)]) + each for each in news) + copy(0, 8)
    written = delta(15, len(made), steps)
    distance = 1 + len(base.body) + len(_head_of(between)) + len(between.body)
    last = Packed(bytes.fromhex(object_id("blob", made)), OFS_DELTA, len(written), stream(written))
    write_pack(git_dir, [base, between, last._replace(base=offset_of(distance))])
    assert PackReader(str(git_dir)).read(object_id("blob", made)) == ("blob", made)


def _head_of(entry: Packed) -> bytes:
    rest = entry.length >> 4
    return b"x" + (size_of(rest) if rest else b"")


def test_an_index_that_names_a_place_beyond_its_own(git_dir: Path) -> None:
    pack = write_pack(git_dir, [blob(b"0123456789")])
    index = pack.with_suffix(".idx")
    whole = index.read_bytes()
    for number in (0, 1, 5, (1 << 31) - 1):
        index.write_bytes(whole[:1056] + (1 << 31 | number).to_bytes(4, "big") + whole[1060:])
        with pytest.raises(CorruptDataError, match="a place that it doesn't have"):
            PackReader(str(git_dir)).read(object_id("blob", b"0123456789"))


def test_places_of_64_bits_of_several_objects(git_dir: Path) -> None:
    """As packs of more than 2 GiB have them: a table of its own, in any order."""
    contents = [b"%d" % number * 5 for number in range(4)]
    pack = write_pack(git_dir, [blob(data) for data in contents])
    index = pack.with_suffix(".idx")
    whole = index.read_bytes()
    start = 8 + 1024 + 24 * len(contents)
    end = start + 4 * len(contents)
    places = [whole[at : at + 4] for at in range(start, end, 4)]
    turned = b"".join((1 << 31 | number).to_bytes(4, "big") for number in (3, 2, 1, 0))
    table = b"".join(bytes(4) + place for place in reversed(places))
    index.write_bytes(whole[:start] + turned + table + whole[end:])
    reader = PackReader(str(git_dir))
    for data in contents:
        assert reader.read(object_id("blob", data)) == ("blob", data)
    for number in (4, 1 << 29, 1 << 30):
        beyond = (1 << 31 | number).to_bytes(4, "big") * len(contents)
        index.write_bytes(whole[:start] + beyond + table + whole[end:])
        with pytest.raises(CorruptDataError, match="a place that it doesn't have"):
            PackReader(str(git_dir)).read(object_id("blob", contents[0]))


def test_a_pack_that_can_not_be_read_hides_no_other(git_dir: Path) -> None:
    write_pack(git_dir, [blob(b"whole")])
    for wrong in (b"", b"no index"):
        for digit in "0f":
            (git_dir / f"objects/pack/pack-{digit * 40}.idx").write_bytes(wrong)
        reader = PackReader(str(git_dir))
        assert reader.read(object_id("blob", b"whole")) == ("blob", b"whole")
        assert reader.has(object_id("blob", b"whole"))
        with pytest.raises(CorruptDataError):
            reader.read(object_id("blob", b"other"))
