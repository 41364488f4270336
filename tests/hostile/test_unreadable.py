"""A disk that doesn't give back what is stored: one file is named, the others come out (F12; figure R7)."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from dsvc.model.errors import CorruptDataError, DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.store.backend import UnreadableError
from dsvc.store.chunk_list import chunks_of
from dsvc.testing.checker import leftovers, tree_state
from dsvc.testing.faults import BrokenPromiseError, run_in_child, tried
from tests.faultkit import commit_all, open_in, repository, write
from tests.fusekit import Faults, Mounted, Range, mounted
from tests.storekit import noise

_NAMES = ("good", "坏/bad", "more/good", "last")
CONTENTS = {name.encode(): noise(40_000, n) for n, name in enumerate(_NAMES)}
MANY = {b"many/%d" % n: noise(300, 100 + n) for n in range(380)}
"""So many chunks that their index is over 16 KiB, and mapped."""
BAD = "坏/bad".encode()


def make(root: str, more: dict[bytes, bytes]) -> None:
    """Main has the files, the branch none has not; rubbish lies in the pack that has them."""
    os.makedirs(root, exist_ok=True)
    Repository.init(root)
    repo = open_in(root)
    write(root, {b"kept": b"kept\n"})
    commit_all(repo, "nothing yet")
    repo.checkout(new_branch="none")
    repo.checkout("main")
    write(root, {**CONTENTS, **more, b"rubbish": noise(70_000, 9)})
    repo.add(all=True)
    os.remove(os.path.join(root, "rubbish"))
    repo.add(all=True)
    repo.commit("all")
    repo.backend.forget()


def place(root: str, path: bytes) -> tuple[str, int, int]:
    """Name of the pack, and where in it the bytes of a file are, and where the footer is."""
    with repository(root) as repo:
        entry = repo.manifest_of("main").get(path)
        assert entry is not None
        (ref,) = chunks_of(repo.store, entry)
        assert ref.id is not None
        footer, location = repo.store.locate(ref.id)
        offset = footer.block(location.block).offset + location.offset
        return footer.pack.hex() + ".pack", offset, repo.backend.size(footer.pack) - 64 - footer.length


def packs(root: str) -> list[str]:
    """Everything that gc could take away."""
    found = []
    for folder in ("packs", "trash"):
        for at, _, names in os.walk(os.path.join(root, ".dsvc", folder)):
            found += [os.path.join(at, name) for name in names if name.endswith(".pack")]
    return sorted(found)


def in_child(root: str, command: Callable[[Repository], object]) -> DsvcError | None:
    """Run a command as a process of its own; a signal that ends it (SIGBUS) is an error of the test."""
    outcome = run_in_child(lambda: command(open_in(root)))
    assert outcome.error is None or isinstance(outcome.error, DsvcError)
    return outcome.error


def expect_one_lost(root: str, name: str, kind: type[DsvcError]) -> None:
    """Check out, check, collect, with the bytes of one file not to be had."""
    error = in_child(root, lambda repo: repo.checkout("main"))
    assert isinstance(error, kind), error
    assert error.details["paths"] == [BAD.decode()]
    tree = tree_state(root)
    assert BAD not in tree
    for path, data in CONTENTS.items():
        if path != BAD and tree.get(path, (0, b""))[1] != data:
            raise BrokenPromiseError(f"{path!r} didn't come out")
    with repository(root) as repo:
        found = repo.fsck(read_data=True)
    assert any(name.removesuffix(".pack") in defect.object for defect in found.defects)
    before = packs(root)
    error = in_child(root, lambda repo: repo.gc(grace_seconds=0))
    assert isinstance(error, (kind, CorruptDataError)), error
    assert packs(root) == before
    assert leftovers(root) == []
    tried("disk errors", 3)


def expect_all_well(root: str) -> None:
    """The same commands succeed, with no step by hand."""
    with repository(root) as repo:
        repo.checkout("main")
        repo.gc(grace_seconds=0)
        assert repo.fsck(read_data=True).ok
    tree = tree_state(root)
    assert {path: tree[path][1] for path in CONTENTS} == CONTENTS


class Seen(NamedTuple):
    """A repository that is seen through FUSE, and where the bytes of the bad file are in its pack."""

    disk: Mounted
    root: str
    name: str
    offset: int
    footer: int

    def fail(self, kind: str, at: int) -> None:
        """Have a byte of the pack not given back, or changed."""
        self.disk.set(Faults(**{kind: [Range(f"*{self.name}", at, at + 1)]}))  # type: ignore[arg-type]


@contextmanager
def on_fuse(folder: Path, *, more: dict[bytes, bytes] | None = None, branch: str = "none") -> Iterator[Seen]:
    """Show a repository that was made below."""
    with mounted(folder) as disk:
        below = str(disk.below / "repo")
        make(below, more or {})
        found = place(below, BAD)
        with repository(below) as repo:
            repo.checkout(branch)
        yield Seen(disk, str(disk.root / "repo"), *found)


@pytest.mark.parametrize("kind", ["eio", "wrong"])
def test_f12_a_chunk_that_fuse_does_not_give_back(fast_path: Path, kind: str) -> None:
    with on_fuse(fast_path) as seen:
        seen.fail(kind, seen.offset + 20_000)
        expect_one_lost(seen.root, seen.name, UnreadableError if kind == "eio" else CorruptDataError)
        seen.disk.set(Faults())
        expect_all_well(seen.root)


@pytest.mark.parametrize("where", ["header", "chunk", "footer", "trailer"])
def test_f12_f15_what_fuse_does_not_give_back_is_healed_from_the_tree(fast_path: Path, where: str) -> None:
    """R7. In an index that is mapped it would be a SIGBUS, which ends the process."""
    more = MANY if where == "footer" else None
    with on_fuse(fast_path, more=more, branch="main") as seen:
        root, name = seen.root, seen.name
        size = os.path.getsize(os.path.join(root, ".dsvc/packs", name))
        places = {"header": 3, "chunk": seen.offset + 20_000, "footer": size - 4000, "trailer": size - 9}
        assert size - seen.footer > 16_500 or where != "footer"
        seen.fail("eio", places[where])
        for command in (lambda repo: repo.gc(grace_seconds=0), lambda repo: repo.open(BAD).read()):
            in_child(root, command)
        assert name in {os.path.basename(each) for each in packs(root)}
        there = Path(seen.disk.below, "repo/.dsvc/packs", name)
        damaged = there.stat().st_ino
        assert in_child(root, lambda repo: repo.fsck(read_data=True, repair=True)) is None
        if there.exists() and there.stat().st_ino != damaged:
            seen.disk.set(Faults())  # written anew under its own name: it lies elsewhere on the disk
        with repository(root) as repo:
            found = repo.fsck()
            assert found.ok, found.defects
            assert repo.open(BAD).read() == CONTENTS[BAD]
        tried("disk errors", 3)


def test_f12_another_copy_is_taken(fast_path: Path) -> None:
    """The same chunk in another pack, as two who add at once leave it."""
    with on_fuse(fast_path, branch="main") as seen:
        below = str(seen.disk.below / "repo")
        aside, there = os.path.join(below, "aside"), os.path.join(below, ".dsvc/packs", seen.name)
        os.rename(there, aside)
        write(below, {BAD + b"2": CONTENTS[BAD]})
        with repository(below) as repo:
            repo.add([BAD + b"2"])
        os.rename(aside, there)
        os.remove(os.path.join(os.fsencode(below), BAD))
        seen.fail("eio", seen.offset + 20_000)
        with repository(seen.root) as repo:
            repo.restore([BAD], source="HEAD")
        assert Path(seen.root, BAD.decode()).read_bytes() == CONTENTS[BAD]
        tried("disk errors")


def test_f10_reads_of_a_few_bytes_that_can_not_be_mapped(fast_path: Path) -> None:
    with on_fuse(fast_path) as seen:
        seen.disk.set(Faults(short=["*/git/*", "*/work/*", "*/config"]))
        with repository(seen.root) as repo:
            repo.checkout("main")
            assert repo.fsck().ok
        tried("disk errors", 2)


@contextmanager
def _loop(image: Path, at: Path) -> Iterator[None]:
    done = subprocess.run(["mount", "-o", "loop", str(image), str(at)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no loop mount of btrfs here: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield
        subprocess.run(["umount", str(at)], check=True)
    finally:
        if os.path.ismount(at):
            subprocess.run(["umount", "-l", str(at)], check=True)


def _break(image: Path, data: bytes) -> int:
    """Change a byte of each place of an image that has these bytes; returns how many."""
    found = 0
    with open(image, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        at = view.find(data)
        while at >= 0:
            view[at + 100] ^= 1
            found += 1
            at = view.find(data, at + 1)
    return found


def test_f12_a_real_read_error_of_btrfs(tmp_path: Path) -> None:
    """A changed byte below the checksums of the file system: reading it gives EIO."""
    if os.getuid() != 0 or shutil.which("mkfs.btrfs") is None:
        pytest.skip("needs root and mkfs.btrfs (Debian package btrfs-progs)")
    image, at = tmp_path / "image", tmp_path / "mnt"
    at.mkdir()
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    words = ["mkfs.btrfs", "-q", "-m", "single", "-d", "single", str(image)]
    subprocess.run(words, check=True, capture_output=True)
    root = str(at / "repo")
    with _loop(image, at):
        run_in_child(lambda: make(root, {}))
        name, _, _ = place(root, BAD)
        assert in_child(root, lambda repo: repo.checkout("none")) is None
    assert _break(image, CONTENTS[BAD][16_384:20_480]) >= 1
    with _loop(image, at):
        with pytest.raises(OSError, match="Input/output"):
            Path(root, ".dsvc/packs", name).read_bytes()
        expect_one_lost(root, name, UnreadableError)
        write(root, {BAD: CONTENTS[BAD]})
        with repository(root) as repo:
            assert repo.fsck(read_data=True, repair=True).repaired is not None
            assert repo.fsck().ok
            assert repo.open(BAD, "main").read() == CONTENTS[BAD]
