"""F38, F40: holes, links, and what is no file: kept as they are, or named as skipped."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.model.manifest import MODE_SYMLINK
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import tree_state
from dsvc.testing.faults import run_in_child, tried
from tests.faultkit import commit_all, open_in, repository, write


@pytest.fixture
def root(fast_path: Path) -> str:
    path = str(fast_path / "repo")
    Repository.init(path)
    return path


def test_f40_what_is_no_file_is_skipped_and_named(root: str) -> None:
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
            signal.alarm(60)
            result = repo.add(all=True)
            signal.alarm(0)
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


def test_f40_an_unreadable_file_is_skipped_and_named(root: str, fast_path: Path) -> None:
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


def test_f40_a_tracked_file_that_became_unreadable_is_kept(root: str, fast_path: Path) -> None:
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


def test_f40_links_are_links(root: str) -> None:
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


def test_f40_hard_links_are_two_files(root: str) -> None:
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


def test_f40_checkout_writes_no_hard_link_through(root: str) -> None:
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


def test_f38_holes_come_back_as_holes(root: str) -> None:
    size = 3 << 30
    islands = {0: b"begin", 1 << 30: os.urandom(200_000), (2 << 30) + 5: b"middle", size - 3: b"end"}
    path = os.path.join(root, "holes")
    _sparse_file(path, size, islands)
    _sparse_file(os.path.join(root, "all-hole"), 1 << 30, {})
    with repository(root) as repo:
        commit_all(repo, "holes")
        digest = repo.manifest_of("HEAD").get(b"holes")
        os.remove(path)
        os.remove(os.path.join(root, "all-hole"))
        repo.restore([b""])
        assert repo.status().clean
        assert digest is not None
        assert digest.size == size
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


KINDS: dict[str, Callable[[bytes], object]] = {
    "FIFO": os.mkfifo,
    "device": lambda path: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5)),
    "socket": lambda path: os.mknod(path, 0o666 | stat.S_IFSOCK),
    "link": lambda path: os.symlink("/etc/passwd", path),
    "folder": os.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tracked", [False, True], ids=["new", "tracked"])
def test_f40_a_file_that_is_replaced_as_it_is_opened(root: str, kind: str, tracked: bool) -> None:
    """Between the look at it and the opening: no FIFO is waited for, no device read, no link followed."""
    write(root, {b"folder/victim": b"before\n", b"folder/other": b"other\n"})
    with repository(root) as repo:
        if tracked:
            commit_all(repo, "first")
            write(root, {b"folder/victim": b"changed, and longer\n"})
    path = os.path.join(os.fsencode(root), b"folder/victim")
    replaced: list[str] = []

    def replace(event: str, arguments: tuple[object, ...]) -> None:
        named = arguments[0] if event == "open" else None
        if not replaced and isinstance(named, bytes) and os.path.basename(named) == b"victim":
            replaced.append(kind)
            os.remove(path)
            KINDS[kind](path)

    def add() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        sys.addaudithook(replace)
        result = open_in(root).add(all=True)
        assert replaced
        skipped = {each.path for each in result.skipped}
        assert kind in ("link", "folder") or b"folder/victim" in skipped, result

    if kind == "device" and os.geteuid() != 0:
        pytest.skip("only root can make a device")
    outcome = run_in_child(add)
    assert outcome.error is None, outcome.error
    with repository(root) as repo:
        found = {entry.path: entry for entry in repo.manifest_of("STAGED").entries()}
        assert b"folder/other" in found
        entry = found.get(b"folder/victim")
        if entry is not None and entry.mode == MODE_SYMLINK:
            assert entry.size == len("/etc/passwd")
        elif entry is not None:
            # What was tracked and can't be read now is not staged as removed.
            assert tracked
            assert entry.size == len(b"before\n")
        assert repo.fsck(read_data=True).ok
    tried("races")
