"""Every stored file of a small repository damaged in every way: fsck names it, and reads never lie."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError
from dsvc.porcelain.fsck import FsckResult
from dsvc.porcelain.repository import Repository
from dsvc.store import block, pack
from dsvc.store.chunk_list import chunks_of
from tests.storekit import noise, prose

CONTENTS = {
    b"folder/text.txt": prose(60_000, 1),
    b"folder/noise.bin": noise(40_000, 2),
    b"small": b"small",
    b"empty": b"",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two commits and something staged."""
    root = tmp_path_factory.mktemp("whole")
    repo = Repository.init(str(root))
    for path, data in CONTENTS.items():
        target = root / os.fsdecode(path)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
    repo.add([b""])
    repo.commit("first")
    (root / "second").write_bytes(prose(9000, 3))
    repo.add([b""])
    repo.commit("second")
    (root / "staged").write_bytes(prose(5000, 4))
    repo.add([b""])
    assert repo.fsck(read_data=True).ok
    return root


@pytest.fixture
def copied(whole: Path, fast_path: Path) -> Path:
    target = fast_path / "copy"
    shutil.copytree(whole, target, symlinks=True)
    return target


def check(root: Path) -> FsckResult | DsvcError:
    """Check as a new process would; a repository that can't be opened says so, which names it too."""
    try:
        return Repository.open(str(root)).fsck(read_data=True)
    except DsvcError as error:
        return error


def is_named(found: FsckResult | DsvcError) -> bool:
    return isinstance(found, DsvcError) or not found.ok


def reads_are_honest(root: Path) -> bool:
    """Whether every file of HEAD is right or refused."""
    try:
        repo = Repository.open(str(root))
        head = {entry.path: entry for entry in repo.manifest_of("HEAD").entries()}
    except DsvcError:
        return True
    for path, data in CONTENTS.items():
        if path not in head:
            return False
        try:
            refs = chunks_of(repo.store, head[path])
            read = b"".join(bytes(repo.store.get(ref.id)) for ref in refs if ref.id is not None)
        except DsvcError:
            continue
        if read != data:
            return False
    return True


def stored(root: Path, *, folder: str) -> Iterator[Path]:
    for path in sorted((root / ".dsvc" / folder).rglob("*")):
        if path.is_file():
            yield path


def flip(path: Path, offset: int, bit: int) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def places(data: bytes, sample: int) -> list[int]:
    """Every byte of headers, footer and trailer of a pack, and a sample of the bodies of its blocks."""
    generator = random.Random(11)
    offset, length = pack.TRAILER.unpack(data[-pack.TRAILER.size :])[1:3]
    found = set(range(len(pack.HEADER)))
    found.update(range(len(data) - pack.TRAILER.size, len(data)))
    found.update(generator.sample(range(offset, offset + length), min(length, sample)))
    found.update(range(len(pack.HEADER), len(pack.HEADER) + block.HEADER.size + 8))
    found.update(generator.sample(range(len(pack.HEADER), offset), min(offset - len(pack.HEADER), sample)))
    return sorted(found)


@pytest.mark.parametrize(("sample", "least"), [(12, 150), pytest.param(60, 300, marks=pytest.mark.soak)])
def test_every_flipped_bit_of_a_pack_is_named(whole: Path, copied: Path, sample: int, least: int) -> None:
    generator = random.Random(12)
    count = 0
    for original in stored(whole, folder="packs"):
        path = copied / original.relative_to(whole)
        data = original.read_bytes()
        for offset in places(data, sample):
            flip(path, offset, generator.randrange(8))
            found = check(copied)
            assert is_named(found), f"{path.name} at {offset}"
            if isinstance(found, FsckResult):
                assert any(path.stem in defect.object for defect in found.defects)
            if count % 4 == 0:
                assert reads_are_honest(copied), f"{path.name} at {offset}"
            path.write_bytes(data)
            count += 1
    assert count > least
    assert not is_named(check(copied))


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def emptied(data: bytes) -> bytes:
    return b""


def longer(data: bytes) -> bytes:
    return data + b"\0"


def zeroed(data: bytes) -> bytes:
    return bytes(len(data))


@pytest.mark.parametrize("change", [truncated, emptied, longer, zeroed])
@pytest.mark.parametrize("folder", ["packs", "git/objects", "git/refs", "work"])
def test_a_changed_file_is_named(
    whole: Path, copied: Path, folder: str, change: Callable[[bytes], bytes]
) -> None:
    for original in stored(whole, folder=folder):
        path = copied / original.relative_to(whole)
        data = original.read_bytes()
        path.chmod(0o644)
        path.write_bytes(change(data))
        assert is_named(check(copied)), f"{path.relative_to(copied)} {change.__name__}"
        assert reads_are_honest(copied), f"{path.relative_to(copied)} {change.__name__}"
        path.write_bytes(data)
    assert not is_named(check(copied))


def is_same_object(path: Path, before: bytes) -> bool:
    """Whether a git object decodes as before: a deflate stream ends in bits without meaning."""
    return "objects" in path.parts and zlib.decompress(path.read_bytes()) == zlib.decompress(before)


@pytest.mark.parametrize("folder", ["git/objects", "git/refs", "work"])
def test_every_flipped_bit_of_history_and_work_is_named(whole: Path, copied: Path, folder: str) -> None:
    generator = random.Random(13)
    for original in stored(whole, folder=folder):
        path = copied / original.relative_to(whole)
        data = original.read_bytes()
        for offset in generator.sample(range(len(data)), min(len(data), 12)):
            if data[offset : offset + 1] == b"\n":
                continue
            flip(path, offset, generator.randrange(8))
            assert is_named(check(copied)) or is_same_object(path, data), f"{path} at {offset}"
            assert reads_are_honest(copied)
            path.write_bytes(data)


@pytest.mark.parametrize("folder", ["packs", "git/objects", "git/refs"])
def test_a_missing_file_is_named(whole: Path, copied: Path, folder: str) -> None:
    for original in stored(whole, folder=folder):
        path = copied / original.relative_to(whole)
        data = path.read_bytes()
        path.unlink()
        assert is_named(check(copied)), str(path.relative_to(copied))
        assert reads_are_honest(copied) or folder == "git/refs"
        path.write_bytes(data)


@pytest.mark.parametrize("folder", ["packs", "git/objects"])
def test_swapped_files_are_named(whole: Path, copied: Path, folder: str) -> None:
    names = [path.relative_to(whole) for path in stored(whole, folder=folder)]
    assert len(names) > 1
    for first, second in itertools.pairwise(names):
        for name, other in ((first, second), (second, first)):
            (copied / name).chmod(0o644)
            (copied / name).write_bytes((whole / other).read_bytes())
        found = check(copied)
        assert is_named(found), f"{first} and {second}"
        assert reads_are_honest(copied)
        for name in (first, second):
            (copied / name).write_bytes((whole / name).read_bytes())


def test_torn_and_foreign_lines_of_a_reflog_are_named(whole: Path, copied: Path) -> None:
    for original in stored(whole, folder="git/logs"):
        path = copied / original.relative_to(whole)
        data = original.read_bytes()
        lines = data.splitlines(keepends=True)
        for changed in (
            data[:-20],
            b"x" + data,
            data + b"no line\n",
            *([lines[1] + lines[0]] * (len(lines) > 1)),
        ):
            path.write_bytes(changed)
            assert is_named(check(copied)), str(path.relative_to(copied))
            path.write_bytes(data)


def test_repair_heals_a_whole_repository_from_its_working_tree(whole: Path, copied: Path) -> None:
    for path in stored(copied, folder="packs"):
        data = path.read_bytes()
        flip(path, len(data) - 5, 1)
    repo = Repository.open(str(copied))
    done = repo.fsck(read_data=True, repair=True)
    assert done.ok, done.defects
    assert reads_are_honest(copied)
