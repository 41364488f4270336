"""fsck --repair: killed anywhere, where all is well, where nobody can write, on the packs of others."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from dsvc.model.errors import CorruptDataError, DsvcError, MissingDataError, StorageError
from dsvc.model.manifest import MODE_EXECUTABLE, MODE_FILE
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import check_nothing_left, tree_state
from dsvc.testing.faults import BrokenPromiseError, run_in_child, tried
from dsvc.testing.image import Image
from dsvc.testing.walk import walk
from tests.faultkit import commit_all, look_at, open_in, repository, write
from tests.slim import in_slim_process

Readable = frozenset[tuple[str, bytes, bytes]]
NOISE = random.Random(5).randbytes(20_000)
GONE = random.Random(6).randbytes(20_000)


def _two_versions(root: str) -> Repository:
    """The second version is in the tree; of the first, one file is nowhere but in the store."""
    Repository.init(root)
    repo = open_in(root)
    write(root, {b"noise.bin": NOISE, b"old.bin": GONE, "数据.csv".encode(): b"id,n\n" + b"1,2\n" * 500})
    commit_all(repo, "first")
    os.remove(os.path.join(root, "old.bin"))
    write(root, {b"new.txt": b"new\n"})
    commit_all(open_in(root), "second")
    return open_in(root)


def _packs(root: str) -> list[str]:
    folder = os.path.join(root, ".dsvc/packs")
    return sorted((os.path.join(folder, name) for name in os.listdir(folder)), key=os.path.getsize)


def _damage(path: str, *offsets: int) -> None:
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        for offset in offsets:
            file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0x10]))


def _find(path: str, part: bytes) -> int:
    return Path(path).read_bytes().index(part)


def _in_the_tree(root: str) -> None:
    """A chunk that the working tree still has."""
    _two_versions(root)
    _damage(_packs(root)[-1], _find(_packs(root)[-1], NOISE[:16]) + 9_000)


def _nowhere_else(root: str) -> None:
    """A chunk that nothing else has, and one that the tree has."""
    _in_the_tree(root)
    _damage(_packs(root)[-1], _find(_packs(root)[-1], GONE[:16]) + 9_000)


def _structure(root: str) -> None:
    """The trailer of one pack, the footer of another, a pack that was cut."""
    _two_versions(root)
    first, *_, last = _packs(root)
    _damage(last, -20)
    os.chmod(first, 0o644)
    os.truncate(first, os.path.getsize(first) - 30)


DAMAGES = {"in-the-tree": _in_the_tree, "nowhere-else": _nowhere_else, "structure": _structure}


def _readable(root: str) -> Readable:
    """Every file of every version that can be read, and what it is."""
    found = set()
    with repository(root) as repo:
        head = repo.history.refs.head().commit
        assert head is not None
        for commit in repo.history.log([head]):
            try:
                entries = list(repo.manifest_of(str(commit.id)).entries())
            except DsvcError:
                continue
            for entry in entries:
                try:
                    with repo.open_file(entry.path, str(commit.id)) as stream:
                        data = stream.read()
                except DsvcError:
                    continue
                if entry.mode in (MODE_FILE, MODE_EXECUTABLE):
                    found.add((str(commit.id), entry.path, data))
    return frozenset(found)


def _repair(root: str) -> list[str]:
    """Repair, and what stays wrong."""
    with repository(root) as repo:
        return sorted(f"{each.id} {each.object}" for each in repo.fsck(read_data=True, repair=True).defects)


def _left(root: str) -> list[str]:
    with repository(root) as repo:
        return sorted(f"{each.id} {each.object}" for each in repo.fsck(read_data=True).defects)


def _bytes_of(root: str) -> dict[str, bytes]:
    """Everything under ``.dsvc`` but what derives and what is empty."""
    top = Path(root, ".dsvc")
    files = (each for each in top.rglob("*") if each.is_file())
    inside = ((str(each.relative_to(top)), each) for each in files)
    return {name: each.read_bytes() for name, each in inside if not name.startswith(("cache/", "locks/"))}


@pytest.mark.parametrize("pieces", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["", "pieces"])
@pytest.mark.parametrize("damage", DAMAGES)
@in_slim_process
def test_f1_f44_repair_is_killed_anywhere(fast_path: Path, damage: str, pieces: bool) -> None:
    """What could be read before can be read at each point, and the next repair comes to the same."""
    root = str(fast_path / "case")
    os.mkdir(root)
    DAMAGES[damage](root)
    tree = tree_state(root)
    image, before = Image(root), _readable(root)
    _repair(root)
    end, left = _readable(root), _left(root)
    assert end > before
    assert bool(left) == (damage == "nowhere-else")

    def look(state: str) -> None:
        if not before <= _readable(state):
            raise BrokenPromiseError("killed, repair had taken a copy away")
        _repair(state)
        if _readable(state) != end or _left(state) != left:
            raise BrokenPromiseError("repaired again, it comes to something else")
        again = _bytes_of(state)
        _repair(state)
        if damage != "nowhere-else" and _bytes_of(state) != again:
            raise BrokenPromiseError("where all is healed, a further repair changes something")
        with repository(state) as repo:
            if damage != "nowhere-else":
                check_nothing_left(repo)
        if _readable(state) != end or tree_state(state) != tree:
            raise BrokenPromiseError("something is gone after a further repair and gc")

    count = look_at(walk(image, str(fast_path), _repair, pieces=pieces), fast_path, look)
    assert count > 3


def test_f44_repair_of_what_is_well_changes_nothing(fast_path: Path) -> None:
    root = str(fast_path / "case")
    _two_versions(root)
    before = _bytes_of(root)
    for _ in range(2):
        assert _repair(root) == []
        tried("hostile cases")
        assert _bytes_of(root) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_f44_repair_where_nobody_can_write(tmp_path: Path, damage: str) -> None:
    """A store that is mounted read-only: a typed error, and not a byte is other than before."""
    root = str(tmp_path / "case")
    os.mkdir(root)
    DAMAGES[damage](root)
    before, readable = _bytes_of(root), _readable(root)
    done = subprocess.run(["mount", "--bind", root, root], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted: {done.stderr.decode().strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        outcome = run_in_child(lambda: _repair(root))
        tried("hostile cases")
        assert isinstance(outcome.error, StorageError)
        assert outcome.error.details["errno"] == "EROFS"
    finally:
        subprocess.run(["umount", "-l", root], check=False)
    assert _bytes_of(root) == before
    assert _readable(root) == readable


def test_f44_repair_with_the_packs_of_another_repository(fast_path: Path) -> None:
    """It heals what the tree has, takes nothing away, and with the right packs everything is there again."""
    root, other = str(fast_path / "case"), str(fast_path / "other")
    _two_versions(root)
    whole = _readable(root)
    Repository.init(other)
    write(other, {b"else": random.Random(9).randbytes(30_000)})
    commit_all(open_in(other), "else")
    kept = str(fast_path / "kept")
    os.rename(os.path.join(root, ".dsvc/packs"), kept)
    shutil.copytree(os.path.join(other, ".dsvc/packs"), os.path.join(root, ".dsvc/packs"))
    foreign = {Path(path).read_bytes() for path in _packs(root)}
    for _ in range(2):
        with contextlib.suppress(CorruptDataError, MissingDataError):
            assert _repair(root)
        tried("hostile cases")
        assert foreign <= set(_bytes_of(root).values())
    for name in os.listdir(kept):
        shutil.copy(os.path.join(kept, name), os.path.join(root, ".dsvc/packs", name))
    _repair(root)
    assert _readable(root) == whole
    assert _left(root) == []


def test_f44_repair_where_there_is_no_repository(tmp_path: Path) -> None:
    write(tmp_path, {b"mine": b"mine\n", b"packs/a.pack": b"no pack"})
    before = tree_state(str(tmp_path))
    with pytest.raises(DsvcError) as caught:
        _repair(str(tmp_path))
    tried("hostile cases")
    assert caught.value.exit_code == 10
    assert tree_state(str(tmp_path)) == before
