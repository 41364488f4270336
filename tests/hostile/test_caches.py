"""P18: whatever happens to the files under ``.dsvc/cache``, every answer is the same (F19, F20)."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import answers, commit_contents
from dsvc.testing.faults import tried
from dsvc.testing.image import Image
from tests.faultkit import commit_all, open_in, repository, write
from tests.wholekit import ask, expected, image, refuse_lies

FILES = {
    b"top": b"top\n",
    b"one/a": b"a\n",
    b"one/b": b"b\n",
    b"one/deep/c": b"c\n",
    b"two/a": b"other a\n",
    b"three/x/y/z": b"z\n",
}


def _prepare(root: str, other: bytes = b"") -> None:
    os.makedirs(root)
    Repository.init(root)
    repo = open_in(root)
    write(root, {path: data + other for path, data in FILES.items()})
    os.mkdir(os.path.join(root, "empty"))
    commit_all(repo, "first")
    # Old enough for the cache to trust them.
    for path in FILES:
        os.utime(os.path.join(os.fsencode(root), path), (1_000_000_000.25, 1_000_000_000.25))
    repo.status()
    write(root, {b"one/a": b"edited\n", b"new": b"new\n", b"two/new": b"new too\n"})
    os.remove(os.path.join(root, "one/b"))
    os.remove(os.path.join(root, "three/x/y/z"))
    repo.add([b"one/a"])
    repo.status()
    repo.backend.forget()


def _cache_files(root: str) -> list[str]:
    folder = os.path.join(root, ".dsvc", "cache")
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)


def _answers(root: str) -> list[object]:
    with repository(root) as repo:
        return [*answers(repo), repo.status()]


def _committed(root: str) -> dict[bytes, bytes]:
    with repository(root) as repo:
        repo.add(all=True)
        return commit_contents(repo, repo.commit("second").commit)


def _flip(path: str) -> None:
    data = bytearray(Path(path).read_bytes())
    data[len(data) // 2] ^= 0x10
    Path(path).write_bytes(data)


def _garbage(path: str) -> None:
    Path(path).write_bytes(random.Random(5).randbytes(300))


def _folder(path: str) -> None:
    os.remove(path)
    os.mkdir(path)


DAMAGE: dict[str, Callable[[str], object]] = {
    "flipped": _flip,
    "emptied": lambda path: os.truncate(path, 0),
    "cut": lambda path: os.truncate(path, os.path.getsize(path) - 3),
    "garbage": _garbage,
    "gone": os.remove,
    "unreadable link": lambda path: (os.remove(path), os.symlink("/nonexistent/x", path)),
}


@pytest.fixture
def case(fast_path: Path) -> tuple[Image, str]:
    _prepare(str(fast_path / "first"))
    return Image(str(fast_path / "first")), str(fast_path / "case")


def _expected(image: Image, root: str) -> tuple[list[object], dict[bytes, bytes]]:
    image.lay_out(root)
    found = _answers(root), _committed(root)
    shutil.rmtree(root)
    return found


@pytest.mark.parametrize("kind", DAMAGE)
def test_f19_f20_each_file_damaged(case: Any, kind: str) -> None:
    image, root = case
    told, committed = _expected(image, root)
    image.lay_out(root)
    count = len(_cache_files(root))
    shutil.rmtree(root)
    assert count >= 5
    for number in range(count):
        for verb in (_answers, _committed):
            image.lay_out(root)
            DAMAGE[kind](_cache_files(root)[number])
            tried("flips")
            assert verb(root) == (told if verb is _answers else committed), number
            if verb is _answers:
                assert _answers(root) == told, number
            shutil.rmtree(root)


def test_f19_f20_files_swapped(case: Any) -> None:
    image, root = case
    told, committed = _expected(image, root)
    image.lay_out(root)
    count = len(_cache_files(root))
    shutil.rmtree(root)
    for a in range(count):
        for b in range(a):
            image.lay_out(root)
            paths = _cache_files(root)
            first = Path(paths[a]).read_bytes()
            Path(paths[a]).write_bytes(Path(paths[b]).read_bytes())
            Path(paths[b]).write_bytes(first)
            tried("flips")
            assert _answers(root) == told, (a, b)
            assert _committed(root) == committed, (a, b)
            shutil.rmtree(root)


def test_f19_f20_the_whole_cache_of_another_repository(case: Any, fast_path: Path) -> None:
    image, root = case
    told, committed = _expected(image, root)
    _prepare(str(fast_path / "other"), other=b"!")
    image.lay_out(root)
    shutil.rmtree(os.path.join(root, ".dsvc", "cache"))
    shutil.copytree(fast_path / "other" / ".dsvc" / "cache", os.path.join(root, ".dsvc", "cache"))
    assert _answers(root) == told
    assert _committed(root) == committed


def test_f20_a_cache_of_another_time(fast_path: Path) -> None:
    """The cache is restored from a backup after versions with other folders were checked out."""
    root = str(fast_path / "repo")
    os.makedirs(root)
    Repository.init(root)
    with repository(root) as repo:
        write(root, {b"kept": b"kept\n"})
        commit_all(repo, "first")
        repo.checkout(new_branch="more")
        write(root, {b"folder/file": b"file\n"})
        commit_all(repo, "second")
        old = Image(repo.layout.cache)
        repo.checkout("main")
        write(root, {b"folder/file": b"file\n"})
        expected = _answers(root)
        shutil.rmtree(repo.layout.cache)
        old.lay_out(repo.layout.cache)
        assert _answers(root) == expected
        assert [str(c.path) for c in repo.status(untracked="all").untracked] == [str(b"folder/file")]
        repo.add(all=True)
        repo.commit("third")
        assert commit_contents(repo, repo.history.refs.head().commit) == {
            b"kept": b"kept\n",
            b"folder/file": b"file\n",
        }


def test_f20_state_lost_after_a_folder_went(fast_path: Path) -> None:
    """A shard of a folder that is in no version checked out speaks for nothing."""
    root = str(fast_path / "repo")
    os.makedirs(root)
    Repository.init(root)
    with repository(root) as repo:
        write(root, {b"kept": b"kept\n"})
        commit_all(repo, "first")
        repo.checkout(new_branch="more")
        write(root, {b"folder/file": b"file\n"})
        commit_all(repo, "second")
        saved = Image(root)
        head = repo.history.refs.head().commit
    again = str(fast_path / "again")
    saved.lay_out(again)
    with repository(again) as repo:
        # What a crash leaves: HEAD is on main, the tree and the shards still of the other branch, no state.
        os.remove(os.path.join(repo.layout.cache, "stat", "state"))
        Path(repo.layout.git, "HEAD").write_text("ref: refs/heads/main\n")
        assert head is not None
        for _ in range(2):
            assert [c.path for c in repo.status(untracked="all").untracked] == [b"folder/file"]
        assert repo.add(all=True).added == 1


def test_f19_f20_the_folder_gone_altogether(case: Any) -> None:
    image, root = case
    told, committed = _expected(image, root)
    image.lay_out(root)
    shutil.rmtree(os.path.join(root, ".dsvc", "cache"))
    assert _answers(root) == told
    assert _committed(root) == committed
    with repository(root) as repo:
        assert repo.fsck().ok
        repo.checkout("HEAD~1")


def test_f20_a_large_new_file_beside_a_lost_state(fast_path: Path) -> None:
    root = str(fast_path / "repo")
    os.makedirs(root)
    Repository.init(root)
    with repository(root) as repo:
        write(root, {b"folder/small": b"small\n", b"small": b"small\n"})
        commit_all(repo, "first")
        os.remove(os.path.join(repo.layout.cache, "stat", "state"))
        data = random.Random(3).randbytes(9 << 20)
        write(root, {b"folder/large": data})
        assert repo.add(all=True).added == 1
        status = repo.status(untracked="all")
        assert (status.unstaged, status.untracked) == ([], [])
        assert [c.path for c in status.staged] == [b"folder/large"]


def test_f20_a_clean_file_that_was_made_by_hand(fast_path: Path) -> None:
    """What checkout finds in place already is remembered as what it is now, not as what it replaced."""
    root = str(fast_path / "repo")
    os.makedirs(root)
    Repository.init(root)
    with repository(root) as repo:
        write(root, {b"file": b"one\n", b"other": b"x\n"})
        commit_all(repo, "first")
        repo.checkout(new_branch="more")
        write(root, {b"file": b"three\n", b"other": b"y\n"})
        commit_all(repo, "second")
        repo.checkout("main")
        write(root, {b"file": b"three\n"})
        repo.checkout("more")
        assert repo.status().clean
        write(root, {b"file": b"one\n"})
        assert [c.path for c in repo.status().unstaged] == [b"file"]
        assert repo.add(all=True).modified == 1


def _newer(path: str) -> None:
    """Another number of the format, as a later version could leave it."""
    data = bytearray(Path(path).read_bytes())
    if data.startswith(b"dsvcrow2"):
        data[7:8] = b"9"
    else:
        data[:1] = bytes([data[0] + 1 & 0xFF]) if data else b""
    Path(path).write_bytes(data)


EVERYTHING = {
    **DAMAGE,
    "half written": lambda path: os.truncate(path, os.path.getsize(path) // 2),
    "newer": _newer,
}


@pytest.mark.parametrize("stride", [8, pytest.param(1, marks=pytest.mark.soak)])
def test_f19_every_cache_that_there_is(fast_path: Path, stride: int) -> None:
    """Row indexes, summaries of runs, detections, what is known of contents: all questions, and commits."""
    root = str(fast_path / "case")
    image().lay_out(root)
    names = [os.path.relpath(each, root) for each in _cache_files(root)]
    shutil.rmtree(root)
    assert {name.split("/")[2] for name in names} >= {"rows", "stat", "detections", "contents"}
    for number, (name, kind) in enumerate((name, kind) for name in names for kind in EVERYTHING):
        if number % stride:
            continue
        image().lay_out(root)
        EVERYTHING[kind](os.path.join(root, name))
        refuse_lies(root, f"{name} {kind}")
        with repository(root) as repo:
            assert repo.fsck().ok, (name, kind)
        if number % (4 * stride) == 0:
            with repository(root) as repo:
                repo.merge_abort()
                repo.commit("never blocked", no_verify=True, allow_empty=True)
        shutil.rmtree(root)
        tried("hostile cases")


@pytest.mark.parametrize("how", ["gone", "emptied", "of another repository"])
def test_f19_the_caches_of_everything_at_once(fast_path: Path, how: str) -> None:
    root, other = str(fast_path / "case"), str(fast_path / "other")
    image().lay_out(root)
    cache = os.path.join(root, ".dsvc", "cache")
    if how == "gone":
        shutil.rmtree(cache)
    elif how == "emptied":
        for path in _cache_files(root):
            os.truncate(path, 0)
    else:
        _prepare(other, other=b"!")
        shutil.rmtree(cache)
        shutil.copytree(os.path.join(other, ".dsvc", "cache"), cache)
    found = ask(root)
    for name, answer in expected().items():
        assert found[name] == answer, name
    tried("hostile cases")
