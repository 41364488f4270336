"""F41: parts of the working tree or of the repository on other file systems, mounts where files must go."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError, NotFoundError, StorageError
from dsvc.model.manifest import MODE_FILE
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.porcelain.tree.spread_write import SPREAD_BYTES
from dsvc.porcelain.versions.commit import NothingToCommitError
from dsvc.testing.checker import tree_state
from dsvc.testing.faults import tried
from tests.faultkit import commit_all, repository, write
from tests.mountkit import bound, in_memory


@pytest.fixture
def root(fast_path: Path) -> str:
    path = str(fast_path / "repo")
    Repository.init(path)
    return path


@pytest.mark.parametrize("size", [4, SPREAD_BYTES + 1], ids=["small", "large"])
def test_f41_a_folder_inside_another_file_system(root: str, tmp_path: Path, size: int) -> None:
    """What is checked out into a mounted folder is written by copy, or refused with nothing written."""

    one, two = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    write(root, {b"mounted/file": one, b"here": b"one\n"})
    with repository(root) as repo:
        commit_all(repo, "one")
        write(root, {b"mounted/file": two, b"here": b"two\n"})
        commit_all(repo, "two")
        other = tmp_path / "other"
        shutil.copytree(os.path.join(root, "mounted"), other)
        with bound(other, Path(root, "mounted")):
            done = True
            try:
                repo.checkout("HEAD~1")
            except DsvcError:
                done = False
            assert (other / "file").read_bytes() == (one if done else two)
            assert repo.status().clean
    tried("disk states")


def _change_all(repo: Repository, root: str) -> None:
    """Every verb that writes files of the working tree."""
    write(root, {b"sub/a": b"edited\n", b"here": b"edited\n"})
    repo.restore([b""])
    repo.checkout("HEAD~1")
    repo.checkout("main")
    repo.move(b"sub/a", b"sub/b")
    repo.reset("HEAD", ResetMode.HARD)
    write(root, {b"sub/a": b"put aside\n", b"sub/new": b"new\n"})
    repo.stash("work")
    repo.stash_pop()
    repo.reset("HEAD", ResetMode.HARD)
    repo.clean()
    repo.remove([b"sub/large"])
    repo.undo()
    repo.gc(grace_seconds=0)


@pytest.mark.parametrize("elsewhere", ["sub", ".dsvc", ".dsvc/cache"])
def test_f41_parts_on_other_file_systems(root: str, elsewhere: str) -> None:
    """Nothing can be renamed or linked from one to the other: it is done by copy."""
    with _begun(root, elsewhere), repository(root) as repo:
        write(root, {b"sub/a": b"two\n", b"sub/large": os.urandom(SPREAD_BYTES + 1), b"here": b"two\n"})
        second = tree_state(root)
        commit_all(repo, "two")
        _change_all(repo, root)
        assert tree_state(root) == second
        assert repo.status().clean
        assert repo.fsck(read_data=True).ok
    tried("disk states")


@contextlib.contextmanager
def _begun(root: str, elsewhere: str) -> Iterator[None]:
    """A repository with a commit, one folder of it in a file system of its own."""
    write(root, {b"sub/a": b"one\n", b"sub/large": os.urandom(SPREAD_BYTES + 1), b"here": b"one\n"})
    with repository(root) as repo:
        commit_all(repo, "one")
    there, kept = Path(root, elsewhere), Path(root).parent / "kept"
    shutil.copytree(there, kept)
    with in_memory(there):
        shutil.copytree(kept, there, dirs_exist_ok=True)
        yield


@pytest.mark.parametrize(("source", "target"), [(b"sub/a", b"moved"), (b"here", b"sub/here"), (b"sub", b"x")])
def test_f41_what_lies_on_another_file_system_is_not_moved_half(
    root: str, source: bytes, target: bytes
) -> None:
    with _begun(root, "sub"), repository(root) as repo:
        before, staged = tree_state(root), repo.staged().root
        with pytest.raises(DsvcError) as caught:
            repo.move(source, target)
        assert caught.value.exit_code == 33
        assert (tree_state(root), repo.staged().root) == (before, staged)
        assert repo.status().clean
        assert repo.fsck().ok
    tried("disk states")


@pytest.mark.parametrize("elsewhere", [".dsvc/packs", ".dsvc/tmp", ".dsvc/work", ".dsvc/git"])
def test_f41_a_repository_in_pieces_is_refused_or_works(root: str, elsewhere: str) -> None:
    """What is renamed into its place must come from the same file system: said, and nothing is half done."""
    with _begun(root, elsewhere):
        with repository(root) as repo:
            head, staged = repo.history.refs.head(), repo.staged().root
            write(root, {b"sub/a": b"two\n"})
            before = tree_state(root)
            refusal: StorageError | None = None
            try:
                commit_all(repo, "two")
            except StorageError as error:
                refusal = error
            if refusal is not None:
                assert refusal.details["errno"] == "EXDEV"
                assert refusal.hint
                assert repo.history.refs.head() == head
                assert repo.staged().root == staged
            assert tree_state(root) == before
            assert repo.fsck(read_data=True).ok
        shutil.copytree(Path(root, elsewhere), Path(root).parent / "after")
    shutil.rmtree(Path(root, elsewhere))
    shutil.copytree(Path(root).parent / "after", Path(root, elsewhere))
    with repository(root) as repo:
        with contextlib.suppress(NothingToCommitError):
            commit_all(repo, "two")
        assert repo.status().clean
        repo.gc(grace_seconds=0)
        assert repo.fsck(read_data=True).ok
    tried("disk states")


@pytest.mark.parametrize("verb", ["checkout", "checkout --force", "restore", "reset", "rm", "merge"])
def test_f41_a_mount_point_where_a_file_must_go(root: str, tmp_path: Path, verb: str) -> None:
    """A folder that something is mounted on can't be removed: refused, and each file is old or new, whole."""
    write(root, {b"place": b"a file\n", b"here": b"one\n"})
    with repository(root) as repo:
        commit_all(repo, "one")
        repo.create_branch("one")
        os.remove(os.path.join(root, "place"))
        write(root, {b"place/inside": b"inside\n", b"here": b"two\n"})
        commit_all(repo, "two")
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", {b"inside": b"inside\n"})
    verbs: dict[str, Callable[[Repository], object]] = {
        "checkout": lambda repo: repo.checkout("one"),
        "checkout --force": lambda repo: repo.checkout("one", force=True),
        "restore": lambda repo: repo.restore([b""], source="one"),
        "reset": lambda repo: repo.reset("one", ResetMode.HARD),
        "rm": lambda repo: repo.remove([b"place"], recursive=True),
        "merge": lambda repo: repo.revert("HEAD"),
    }
    with bound(tmp_path / "other", Path(root, "place")), repository(root) as repo:
        with contextlib.suppress(DsvcError):
            verbs[verb](repo)
        for path, (_, data) in tree_state(root).items():
            assert data in {b"here": (b"one\n", b"two\n")}.get(path, (b"inside\n", b"")), path
        assert repo.fsck().ok
    # Once it is gone the same command comes to its end.
    with repository(root) as repo:
        with contextlib.suppress(NotFoundError):
            verbs[verb](repo)
        assert repo.fsck().ok
        if verb != "rm":
            repo.reset("one", ResetMode.HARD)
            assert tree_state(root) == {b"place": (MODE_FILE, b"a file\n"), b"here": (MODE_FILE, b"one\n")}
    tried("disk states")
