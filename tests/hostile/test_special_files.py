"""F38 to F40: names of any bytes, holes, and what is no file: kept byte for byte, or named as skipped."""

from __future__ import annotations

import os
import random
import shutil
import socket
import stat
import time
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.tree.spread_write import SPREAD_BYTES
from dsvc.testing.checker import tree_state
from dsvc.testing.faults import run_in_child, tried
from tests.faultkit import commit_all, open_in, repository, write

NAMES = [
    b"new\nline",
    b"carriage\r",
    b"tab\there",
    b"\x1b[2Jescape",
    b"\xff\xfe not UTF-8",
    b"\xed\xa0\x80surrogate",
    b"n" * 255,
    "数据集".encode() * 28,
    "中文/文件夹/说明 (二).csv".encode(),
    b"-rf",
    b"--all",
    b" leading and trailing ",
    b"100%",
    b"%s%n%00",
    b"quote\"s'and`ticks`",
    b"$(touch canary)",
    b"semi;colon & more | less > out",
    b"star*question?[range]",
    b"back\\slash",
    b"C:colon",
    b"aux.txt",
    b"dot.",
    b"...",
    b"~home",
    b"#hash",
    b"!bang",
    b"@{0}",
    "\u202ertl\u200f".encode(),
    "e\u0301 decomposed".encode(),
    "\u00e9 composed".encode(),
    b"Case",
    b"case",
    b".hidden",
    b"git",
    b"dsvc",
    b"x/.gitignore",
    b"/".join([b"d"] * 60) + b"/deep",
]


@pytest.fixture
def root(fast_path: Path) -> str:
    path = str(fast_path / "repo")
    Repository.init(path)
    return path


def test_names_come_back_byte_for_byte(root: str) -> None:
    contents = {name: b"content of %d\n" % number for number, name in enumerate(NAMES)}
    write(root, contents)
    with repository(root) as repo:
        result = repo.add(all=True)
        assert result.skipped == []
        assert result.added == len(NAMES)
        repo.commit("names")
        assert {entry.path for entry in repo.ls("HEAD", recursive=True) if entry.entry} == set(NAMES)
        for name, data in contents.items():
            with repo.open_file(name, "HEAD") as stream:
                assert stream.read() == data
        before = tree_state(root)
        for name in contents:
            os.remove(os.path.join(os.fsencode(root), name))
        repo.restore([b""])
        assert tree_state(root) == before
        assert repo.status().clean
        assert repo.fsck().ok
        for name in NAMES:
            write(root, {name: b"edited\n"})
            assert repo.add([name]).modified == 1
            repo.restore([name], source="HEAD")
        assert tree_state(root) == before
    tried("hostile cases", len(NAMES))


def test_aliases_of_the_repository_are_named_not_taken(root: str) -> None:
    names = [
        b".DSVC",
        b".Git",
        b".dsvc ",
        b".git.",
        b"dsvc~1",
        b"GIT~1",
        ".d\u200csvc".encode(),
        "．dsvc".encode(),
    ]
    for name in names:
        write(root, {b"sub/" + name + b"/config": b"[core]\n", b"plain" + name[:1]: b"x\n"})
        write(root, {b"file/" + name: b"x\n"} if name != b"GIT~1" else {})
    with repository(root) as repo:
        result = repo.add(all=True)
        skipped = {s.path for s in result.skipped}
        assert {b"sub/" + name for name in names} <= skipped
        assert {b"file/" + name for name in names if name != b"GIT~1"} <= skipped
        assert not any(b"config" in e.path for e in repo.manifest_of("STAGED").entries())
    tried("hostile cases", 2 * len(names))


def test_what_is_no_file_is_skipped_and_named(root: str) -> None:
    """Add never blocks on a FIFO and never reads a device."""
    os.mkfifo(os.path.join(root, "fifo"))
    os.mknod(
        os.path.join(root, "full"), 0o666 | stat.S_IFCHR, os.makedev(1, 7)
    ) if os.geteuid() == 0 else None
    with socket.socket(socket.AF_UNIX) as server:
        short = os.path.join(root, "socket")
        server.bind(short)
        write(root, {b"file": b"file\n"})
        with repository(root) as repo:
            started = time.monotonic()
            result = repo.add(all=True)
            assert time.monotonic() - started < 2
            expected = {b"fifo": "it is a FIFO", b"socket": "it is a socket"}
            if os.geteuid() == 0:
                expected[b"full"] = "it is a character device"
            assert dict(result.skipped) == expected
            assert result.added == 1
            assert dict(repo.status().skipped) == expected
            repo.commit("file")
            for path in expected:
                assert repo.add([path]).added == 0
    tried("hostile cases", 3)


def test_an_unreadable_file_is_skipped_and_named(root: str, fast_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    write(root, {b"file": b"file\n", b"closed": b"closed\n", b"folder/file": b"file\n"})
    for folder, _, names in os.walk(root):
        os.chown(folder, 65534, 65534)
        for name in names:
            os.chown(os.path.join(folder, name), 65534, 65534)
    os.chmod(fast_path, 0o755)
    os.chmod(os.path.join(root, "closed"), 0)
    os.chmod(os.path.join(root, "folder"), 0)

    def add() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        repo = open_in(root)
        result = repo.add(all=True)
        assert result.added == 1, result
        assert {s.path for s in result.skipped} == {b"closed", b"folder"}, result
        assert all("ermission" in s.reason for s in result.skipped), result
        repo.commit("what could be read")
        assert {c.path for c in repo.status().untracked} == {b"closed", b"folder/"}
        assert {s.path for s in repo.status(untracked="all").skipped} == {b"folder"}

    outcome = run_in_child(add)
    assert outcome.error is None, outcome.error
    with repository(root) as repo:
        os.chmod(os.path.join(root, "folder"), 0o755)
        assert repo.add(all=True).added == 2
        assert repo.fsck().ok
    tried("hostile cases", 2)


def test_a_tracked_file_that_became_unreadable_is_not_staged_as_removed(root: str, fast_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    write(root, {b"file": b"file\n", b"folder/file": b"file\n"})
    with repository(root) as repo:
        commit_all(repo, "first")
    for folder, _, names in os.walk(root):
        os.chown(folder, 65534, 65534)
        for name in names:
            os.chown(os.path.join(folder, name), 65534, 65534)
    os.chmod(fast_path, 0o755)
    os.chmod(os.path.join(root, "folder"), 0)

    def add() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        result = open_in(root).add(all=True)
        assert result.removed == 0, result
        assert b"folder" in {s.path for s in result.skipped}, result

    outcome = run_in_child(add)
    assert outcome.error is None, outcome.error
    tried("hostile cases")


def test_links_are_links(root: str) -> None:
    """Dangling, absolute, in a circle, to a folder, to a device: kept as text, never followed."""
    targets = {
        b"dangling": b"nowhere",
        b"absolute": b"/etc/passwd",
        b"device": b"/dev/zero",
        b"circle-a": b"circle-b",
        b"circle-b": b"circle-a",
        b"itself": b"itself",
        b"parent": b"..",
        b"folder-link": b"folder",
        b"odd": b"\xff\n target ",
        b"long": b"x" * 4000,
    }
    write(root, {b"folder/file": b"file\n"})
    for name, target in targets.items():
        os.symlink(target, os.path.join(os.fsencode(root), name))
    before = tree_state(root)
    with repository(root) as repo:
        assert repo.add(all=True).added == len(targets) + 1
        commit_all(repo, "links") if repo.status().unstaged else repo.commit("links")
        for name in targets:
            os.remove(os.path.join(os.fsencode(root), name))
        repo.restore([b""])
        assert tree_state(root) == before
        assert repo.status().clean
    tried("hostile cases", len(targets))


def test_hard_links_are_two_files(root: str) -> None:
    """Writing one version never writes through to a hard link outside or inside the tree."""
    outside = Path(root).parent / "outside"
    outside.write_bytes(b"theirs\n")
    write(root, {b"one": b"shared\n"})
    os.link(os.path.join(root, "one"), os.path.join(root, "two"))
    os.link(outside, os.path.join(root, "linked"))
    with repository(root) as repo:
        commit_all(repo, "links")
        write_anew = {b"one": b"changed\n", b"linked": b"mine\n"}
        for name in write_anew:
            os.remove(os.path.join(os.fsencode(root), name))
        write(root, write_anew)
        commit_all(repo, "changed")
        os.remove(os.path.join(root, "linked"))
        write(root, {b"linked": b"mine\n"})
        repo.checkout("HEAD~1")
    assert tree_state(root)[b"one"][1] == tree_state(root)[b"two"][1] == b"shared\n"
    assert tree_state(root)[b"linked"][1] == b"theirs\n"
    assert outside.read_bytes() == b"theirs\n"
    tried("hostile cases", 2)


def test_checkout_writes_no_hard_link_through(root: str) -> None:
    """A tracked file that is also hard-linked from outside is replaced, not written."""
    outside = Path(root).parent / "outside"
    write(root, {b"file": b"one\n"})
    with repository(root) as repo:
        commit_all(repo, "one")
        write(root, {b"file": b"two\n"})
        commit_all(repo, "two")
        os.link(os.path.join(root, "file"), outside)
        repo.checkout("HEAD~1")
    assert tree_state(root)[b"file"][1] == b"one\n"
    assert outside.read_bytes() == b"two\n"
    tried("hostile cases")


def _sparse_file(path: str, size: int, islands: dict[int, bytes]) -> None:
    with open(path, "wb") as file:
        file.truncate(size)
        for offset, data in islands.items():
            file.seek(offset)
            file.write(data)


def test_holes_come_back_as_holes(root: str) -> None:
    size = 3 << 30
    islands = {0: b"begin", 1 << 30: os.urandom(200_000), (2 << 30) + 5: b"middle", size - 3: b"end"}
    path = os.path.join(root, "holes")
    _sparse_file(path, size, islands)
    _sparse_file(os.path.join(root, "all-hole"), 1 << 30, {})
    with repository(root) as repo:
        started = time.monotonic()
        commit_all(repo, "holes")
        digest = repo.manifest_of("HEAD").get(b"holes")
        os.remove(path)
        os.remove(os.path.join(root, "all-hole"))
        repo.restore([b""])
        assert repo.status().clean
        assert digest is not None
        assert digest.size == size
        assert time.monotonic() - started < 60
    status = os.stat(path)
    assert status.st_size == size
    assert status.st_blocks * 512 < 2_000_000
    assert os.stat(os.path.join(root, "all-hole")).st_blocks * 512 < 100_000
    with open(path, "rb") as file:
        for offset, data in islands.items():
            file.seek(offset)
            assert file.read(len(data)) == data
        file.seek(1 << 20)
        assert file.read(1 << 20) == bytes(1 << 20)
    packs = sum(p.stat().st_size for p in Path(root, ".dsvc", "packs").iterdir())
    assert packs < 2_000_000
    tried("hostile cases", 2)


@pytest.mark.parametrize("size", [4, SPREAD_BYTES + 1], ids=["small", "large"])
def test_a_folder_inside_another_file_system(root: str, tmp_path: Path, size: int) -> None:
    """What is checked out into a mounted folder is written by copy, or refused with nothing written."""
    import subprocess

    one, two = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    write(root, {b"mounted/file": one, b"here": b"one\n"})
    with repository(root) as repo:
        commit_all(repo, "one")
        write(root, {b"mounted/file": two, b"here": b"two\n"})
        commit_all(repo, "two")
        other = tmp_path / "other"
        shutil.copytree(os.path.join(root, "mounted"), other)
        mount = ["mount", "--bind", str(other), os.path.join(root, "mounted")]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")
        try:
            done = True
            try:
                repo.checkout("HEAD~1")
            except DsvcError:
                done = False
            assert (other / "file").read_bytes() == (one if done else two)
            assert repo.status().clean
        finally:
            subprocess.run(["umount", os.path.join(root, "mounted")], check=True)
    tried("hostile cases")
