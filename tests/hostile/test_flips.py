"""One bit of any stored file flipped: fsck names it, and no answer is wrong (F13, H13; figures R5, R6)."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.history.loose_reader import LooseReader
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId, PackId
from dsvc.porcelain.care.history_check import HistoryCheck
from dsvc.store import block, pack
from dsvc.store.backend import Backend
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer
from dsvc.store.scrub import check_pack
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.faultkit import repository
from tests.wholekit import QUESTIONS, image, refuse_lies

_PAGE = 4096
CI, NIGHT, NIGHT_OF_OBJECTS = 1, 30, 250

# What may be flipped without a word of fsck, and why. Whatever it is, answers stay right or are refused.
UNNOTICED = {
    "audit.jsonl": "notes for people; no verb reads them",
    "cache/": "derived: left aside where its checksum is wrong, and made again",
    "config": "a setting may hold another value that is as good; the format and the flags are checked",
    "git/config": "settings for git alone; dsvc reads none of them",
    "git/logs/": "words of a message, a name or a time of a reflog; ids in it are compared",
    "locks/": "who holds a lock, for messages; the lock is the kernel's",
    "trash/*/journal.json": "when a pack was trashed; the younger of this and the folder's time counts",
}


def may_go_unnoticed(name: str) -> bool:
    if name.startswith("trash/"):
        return name.endswith("journal.json")
    return any(name == known or (known.endswith("/") and name.startswith(known)) for known in UNNOTICED)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The repository laid out once; each test puts back what it flips."""
    folder = str(tmp_path_factory.mktemp("flips") / "repo")
    image().lay_out(folder)
    return folder


def stored(root: str) -> list[str]:
    top = os.path.join(root, ".dsvc")
    found = []
    for at, _, names in os.walk(top):
        found += [os.path.relpath(os.path.join(at, name), top) for name in names]
    return sorted(found)


def flipped(data: bytes, offset: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[offset] ^= 1 << bit
    return bytes(changed)


def places(data: bytes) -> list[int]:
    """Every byte of the headers of a pack and its blocks and of its trailer; one in 4 KiB of the rest."""
    offset, length = pack.TRAILER.unpack(data[-pack.TRAILER.size :])[1:3]
    generator = random.Random(len(data))
    found = {*range(len(pack.HEADER)), *range(len(data) - pack.TRAILER.size, len(data))}
    at = len(pack.HEADER)
    while at < offset:
        _, _, _, _, items, _, stored_length, _ = block.HEADER.unpack_from(data, at)
        body = at + block.HEADER.size + 4 * items
        found.update(range(at, body))
        found.update(_one_in_each_page(body, body + stored_length, generator))
        at = body + stored_length
    found.update(_one_in_each_page(offset, offset + length, generator))
    return sorted(found)


def _one_in_each_page(start: int, end: int, generator: random.Random) -> Iterator[int]:
    yield start
    yield end - 1
    for page in range(start, end, _PAGE):
        yield generator.randrange(page, min(end, page + _PAGE))


class OnePack:
    """A pack in memory, its objects as they are, and what happens when it is read with a bit flipped."""

    def __init__(self, name: PackId, data: bytes) -> None:
        self.name, self.data = name, data
        self.objects = {id_: bytes(self._read(data, id_, place.item_type)) for id_, place in self._rows()}

    def _backend(self, data: bytes) -> Backend:
        backend = MemoryBackend()
        backend.packs[self.name] = data
        return backend

    def _rows(self) -> list[tuple[bytes, pack.Location]]:
        self.types = {
            id_: place.item_type for id_, place in Footer(self._backend(self.data), self.name).rows()
        }
        return [row for row in Footer(self._backend(self.data), self.name).rows() if not row[1].erased]

    def _read(self, data: bytes, id_: bytes, item_type: int) -> bytes | memoryview:
        return ChunkStore(self._backend(data)).get(id_, item_type=item_type)

    def try_flip(self, offset: int, bit: int, *, read: bool) -> None:
        """Check it, and read it; `BrokenPromiseError` where nothing is said, or something else is read."""
        changed = flipped(self.data, offset, bit)
        backend = self._backend(changed)
        report = check_pack(backend, self.name, read_data=True)
        if not any(self.name.hex() in defect.object for defect in report.defects):
            raise BrokenPromiseError(f"bit {bit} at {offset} of pack {self.name.short()} goes unnoticed")
        store = ChunkStore(backend)
        for id_, data in self.objects.items() if read else ():
            try:
                found = store.get(id_, item_type=self.types[id_])
            except DsvcError:
                continue
            if bytes(found) != data:
                raise BrokenPromiseError(
                    f"bit {bit} at {offset} of {self.name.short()}: wrong bytes are read"
                )


@pytest.mark.parametrize("bits", [1, pytest.param(8, marks=pytest.mark.soak)])
def test_f13_h13_each_byte_of_a_pack_is_named_and_never_read_as_something_else(root: str, bits: int) -> None:
    """Every byte of every header, one byte of 4 KiB of bodies; a bit of each, at night all bits."""
    seed = 13
    print("seed", seed)
    generator = random.Random(seed)
    for name in [each for each in stored(root) if each.endswith(".pack")]:
        one = OnePack(PackId.parse(Path(name).stem), Path(root, ".dsvc", name).read_bytes())
        for offset in places(one.data):
            for bit in generator.sample(range(8), bits):
                one.try_flip(offset, bit, read=bits > 1 or generator.random() < 0.4)
                tried("flips")


def is_read(git: str, id_: CommitId) -> bool:
    """Whether a git object is taken for whole."""
    try:
        LooseReader(git).read_loose(id_)
    except DsvcError:
        return False
    return True


def is_same_object(data: bytes, changed: bytes) -> bool:
    """Whether a git object decodes as before: a deflate stream ends in bits without meaning."""
    try:
        return zlib.decompress(changed) == zlib.decompress(data)
    except zlib.error:
        return False


def history_is_whole(root: str) -> bool:
    with repository(root) as repo:
        check = HistoryCheck(repo)
        check.check()
        return not check.defects


def is_whole(root: str) -> bool:
    try:
        with repository(root) as repo:
            return repo.fsck(read_data=True).ok
    except DsvcError:
        return False


@pytest.mark.parametrize("times", [CI, pytest.param(NIGHT_OF_OBJECTS, marks=pytest.mark.soak)])
def test_f13_each_bit_of_a_git_object_is_named(root: str, times: int) -> None:
    seed = 131 + times
    print("seed", seed)
    generator = random.Random(seed)
    git = os.path.join(root, ".dsvc", "git")
    for name in [each for each in stored(root) if each.startswith("git/objects/")]:
        path = Path(root, ".dsvc", name)
        path.chmod(0o644)
        data = path.read_bytes()
        id_ = CommitId.parse(path.parent.name + path.name)
        for offset in {0, 1, *generator.choices(range(len(data)), k=times + 2)}:
            changed = flipped(data, offset, generator.randrange(8))
            path.write_bytes(changed)
            try:
                # fsck reads each object like that; now and then fsck itself is asked.
                named = not is_read(git, id_) and (generator.randrange(25) or not history_is_whole(root))
                if not named and not is_same_object(data, changed):
                    raise BrokenPromiseError(f"{name} at {offset} goes unnoticed")
                if not generator.randrange(25):
                    refuse_lies(root, f"{name} at {offset}", "log", "operations")
            finally:
                path.write_bytes(data)
            tried("flips")


@pytest.mark.parametrize("times", [CI, pytest.param(NIGHT, marks=pytest.mark.soak)])
def test_f13_f20_each_bit_of_any_other_file_is_named_or_changes_no_answer(root: str, times: int) -> None:
    """Refs, HEAD, logs, settings, the salt, staged state, merge, sparse, pending runs, caches, notes."""
    seed = 1313 + times
    print("seed", seed)
    generator = random.Random(seed)
    questions = list(QUESTIONS)
    names = [each for each in stored(root) if not each.endswith(".pack") and "git/objects/" not in each]
    for name in names:
        path = Path(root, ".dsvc", name)
        data = path.read_bytes()
        for offset in generator.choices(range(len(data)), k=2 * times) if data else ():
            changed = flipped(data, offset, generator.randrange(8))
            if changed.split() == data.split():
                continue  # another kind of space at the end of a line
            path.write_bytes(changed)
            try:
                if not may_go_unnoticed(name) and is_whole(root):
                    raise BrokenPromiseError(f"{name} at {offset} goes unnoticed")
                refuse_lies(root, f"{name} at {offset}", *generator.sample(questions, 2))
            finally:
                if os.path.lexists(path) or path.parent.is_dir():
                    path.write_bytes(data)
            tried("flips")
    assert is_whole(root)
