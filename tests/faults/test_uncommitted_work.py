"""P15 to P17: uncommitted work is never overwritten by accident, and comes back where it was meant."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError, WouldOverwriteError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.values import ResetMode
from dsvc.testing.checker import commit_contents, tree_state
from dsvc.testing.faults import tried
from tests.faultkit import commit_all, open_in, repository, write

HERE = {
    b"same": b"same\n",
    b"changed": b"here\n",
    b"goes": b"goes\n",
    b"folder/file": b"file\n",
    b"becomes-folder": b"a file here\n",
    b"becomes-file/inner": b"inner\n",
}
THERE = {
    b"same": b"same\n",
    b"changed": b"there\n",
    b"new": b"new\n",
    b"new-folder/file": b"new\n",
    b"folder/file": b"changed there\n",
    b"becomes-folder/inner": b"inner\n",
    b"becomes-file": b"a file there\n",
}


def _fill(root: str, files: dict[bytes, bytes]) -> None:
    for folder, folders, names in os.walk(root, topdown=False):
        if "/.dsvc" in folder:
            continue
        for name in names:
            os.remove(os.path.join(folder, name))
        for name in folders:
            if name != ".dsvc":
                os.rmdir(os.path.join(folder, name))
    write(root, files)


@pytest.fixture
def root(fast_path: Path) -> str:
    """A repository on `here`, beside the branches `there` and `both` (there, merged with a change)."""
    path = str(fast_path / "repo")
    Repository.init(path)
    with repository(path) as repo:
        write(path, HERE)
        commit_all(repo, "here")
        repo.checkout(new_branch="there")
        _fill(path, THERE)
        commit_all(repo, "there")
        repo.checkout("main")
        repo.checkout(new_branch="here")
        write(path, {b"only-here": b"only here\n"})
        commit_all(repo, "more here")
    return path


def _everything(root: str) -> dict[str, tuple[object, ...]]:
    """Bytes, modes and times of the whole tree, and of everything under ``.dsvc`` that isn't derived."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, names in os.walk(root):
        inside = os.path.relpath(folder, root)
        if inside.startswith((".dsvc/cache", ".dsvc/locks")):
            folders.clear()
            continue
        for name in names + folders:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = Path(path).read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            times = () if inside.startswith(".dsvc") or name == ".dsvc" else (status.st_mtime_ns,)
            key = os.path.join(inside, name)
            if not key.startswith((".dsvc/cache", ".dsvc/locks", ".dsvc/tmp")):
                found[key] = (status.st_mode, status.st_ino, content, *times)
    return found


def _replace_by_folder(root: str, name: str) -> None:
    os.remove(os.path.join(root, name))
    write(root, {name.encode() + b"/mine": b"mine\n"})


def _replace_by_link(root: str, name: str) -> None:
    os.remove(os.path.join(root, name))
    os.symlink("elsewhere", os.path.join(root, name))


def _replace_folder_by_file(root: str, name: str) -> None:
    for inner in os.listdir(os.path.join(root, name)):
        os.remove(os.path.join(root, name, inner))
    os.rmdir(os.path.join(root, name))
    write(root, {name.encode(): b"mine\n"})


def _staged(root: str, path: bytes) -> None:
    write(root, {path: b"staged\n"})
    with repository(root) as repo:
        repo.add([path])


def _staged_then_put_back(root: str) -> None:
    _staged(root, b"changed")
    write(root, {b"changed": b"here\n"})


# Each leaves work that a switch to `there`, and a merge of it, would overwrite.
WORK: dict[str, Callable[[str], object]] = {
    "modified": lambda root: write(root, {b"changed": b"mine\n"}),
    "modified, same size": lambda root: write(root, {b"changed": b"HERE\n"}),
    "modified where it goes": lambda root: write(root, {b"goes": b"mine\n"}),
    "made executable": lambda root: os.chmod(os.path.join(root, "changed"), 0o755),
    "staged": lambda root: _staged(root, b"changed"),
    "staged alone": _staged_then_put_back,
    "staged new": lambda root: _staged(root, b"new"),
    "untracked": lambda root: write(root, {b"new": b"mine\n"}),
    "untracked empty": lambda root: write(root, {b"new": b""}),
    "untracked in a new folder": lambda root: write(root, {b"new-folder/file": b"mine\n"}),
    "file for a folder": lambda root: write(root, {b"new-folder": b"mine\n"}),
    "link for a folder": lambda root: os.symlink("folder", os.path.join(root, "new-folder")),
    "link for a file": lambda root: os.symlink("nowhere", os.path.join(root, "new")),
    "tracked became a link": lambda root: _replace_by_link(root, "changed"),
    "tracked became a folder": lambda root: _replace_by_folder(root, "changed"),
    "folder became a file": lambda root: _replace_folder_by_file(root, "folder"),
    "untracked in a folder that becomes a file": lambda root: write(root, {b"becomes-file/mine": b"mine\n"}),
    "ignored": lambda root: write(root, {b".dsvcignore": b"new\n", b"new": b"mine\n"}),
    "fifo": lambda root: os.mkfifo(os.path.join(root, "new")),
}


@pytest.mark.parametrize("verb", ["checkout", "merge"])
@pytest.mark.parametrize("work", WORK)
def test_refused_and_nothing_changed(root: str, verb: str, work: str) -> None:
    WORK[work](root)
    with repository(root) as repo:
        repo.status()
        before = _everything(root)
        with pytest.raises(WouldOverwriteError) as caught:
            repo.checkout("there") if verb == "checkout" else repo.merge("there")
        assert caught.value.exit_code == 15
        assert caught.value.details["paths"]
        after = _everything(root)
    tried("hostile cases")
    assert {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} == set()


def test_work_that_is_in_nobodys_way_stays(root: str) -> None:
    write(root, {b"same": b"mine\n", b"untracked": b"mine\n", b"folder/other": b"mine\n"})
    with repository(root) as repo:
        repo.add([b"untracked"])
        repo.checkout("there")
        status = repo.status(untracked="all")
        assert [c.path for c in status.staged] == [b"untracked"]
        assert [c.path for c in status.unstaged] == [b"same"]
        assert [c.path for c in status.untracked] == [b"folder/other"]
    assert tree_state(root)[b"same"][1] == b"mine\n"


# Forced

KEPT = [name for name in WORK if name != "fifo"]


def _forced(repo: Repository, verb: str) -> object:
    if verb == "checkout":
        return repo.checkout("there", force=True)
    if verb == "reset":
        return repo.reset("there", ResetMode.HARD)
    return repo.restore([b""], source="there")


@pytest.mark.parametrize("verb", ["checkout", "reset", "restore"])
@pytest.mark.parametrize("work", KEPT)
def test_what_is_discarded_on_purpose_comes_back(root: str, verb: str, work: str) -> None:
    WORK[work](root)
    before = tree_state(root)
    with repository(root) as repo:
        status = repo.status(untracked="all")
        _forced(repo, verb)
        now = tree_state(root)
        for path, data in THERE.items():
            assert now[path][1] == data, path
        repo.undo()
        tried("hostile cases")
        after = tree_state(root)
        assert after == before
        assert repo.status(untracked="all") == status
        assert repo.fsck().ok


@pytest.mark.parametrize("work", ["modified", "staged", "tracked became a folder", "folder became a file"])
def test_reset_to_head(root: str, work: str) -> None:
    WORK[work](root)
    before = tree_state(root)
    with repository(root) as repo:
        repo.reset("HEAD", ResetMode.HARD)
        assert tree_state(root)[b"changed"][1] == b"here\n"
        assert repo.status().clean
        repo.undo()
    assert tree_state(root) == before


def test_a_special_file_is_not_discarded(root: str) -> None:
    """A FIFO or a socket can't be stored, so even --force leaves it."""
    os.mkfifo(os.path.join(root, "new"))
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)
        try:
            server.bind("new-folder")
        finally:
            os.chdir(here)
    with repository(root) as repo:
        before = tree_state(root)
        for verb in ("checkout", "reset", "restore"):
            with pytest.raises(WouldOverwriteError):
                _forced(repo, verb)
        assert tree_state(root) == before


def test_another_repository_in_the_way_is_not_discarded(root: str) -> None:
    write(root, {b"new/.git/config": b"[core]\n", b"new/file": b"mine\n"})
    with repository(root) as repo:
        before = tree_state(root)
        with pytest.raises(DsvcError) as caught:
            repo.checkout("there", force=True)
        assert caught.value.exit_code in (15, 41)
    assert tree_state(root) == before


def test_clean_stores_first(root: str) -> None:
    write(root, {b"scrap": b"scrap\n", b"deep/er/scrap": b"more\n", b"changed": b"mine\n"})
    os.symlink("scrap", os.path.join(root, "link"))
    before = tree_state(root)
    with repository(root) as repo:
        removed, _ = repo.clean()
        assert sorted(removed) == [b"deep/er/scrap", b"link", b"scrap"]
        now = tree_state(root)
        assert b"scrap" not in now
        assert now[b"changed"][1] == b"mine\n"
        repo.undo()
    assert tree_state(root) == before


def test_stash_brings_everything_back(root: str) -> None:
    write(root, {b"changed": b"mine\n"})
    _staged(root, b"only-here")
    os.remove(os.path.join(root, "goes"))
    before = tree_state(root)
    with repository(root) as repo:
        status = repo.status()
        repo.stash("work")
        assert repo.status().clean
        repo.stash_pop()
        assert tree_state(root) == before
        now = repo.status()
        assert {c.path for c in (*now.staged, *now.unstaged)} == {
            c.path for c in (*status.staged, *status.unstaged)
        }


def test_merge_abort_brings_work_back(root: str) -> None:
    with repository(root) as repo:
        write(root, {b"changed": b"ours\n"})
        commit_all(repo, "ours")
        write(root, {b"only-here": b"not committed\n"})
        before = tree_state(root)
        assert repo.merge("there").conflicts
        write(root, {b"changed": b"half resolved\n"})
        repo.merge_abort()
        assert tree_state(root) == before
        repo.undo()
        assert tree_state(root)[b"changed"][1] == b"half resolved\n"


# Sparse


def _sparse(root: str) -> Repository:
    repo = open_in(root)
    repo.checkout(sparse=["/folder/", "/changed"])
    return repo


def test_sparse_holds_what_it_says(root: str) -> None:
    _sparse(root)
    assert set(tree_state(root)) == {b"folder/file", b"changed"}


@pytest.mark.parametrize("verb", ["add", "commit-all", "add-paths", "lost cache"])
def test_absent_paths_are_never_staged_as_removed(root: str, verb: str) -> None:
    repo = _sparse(root)
    before = commit_contents(repo, repo.history.refs.head().commit)  # type: ignore[arg-type]
    write(root, {b"changed": b"mine\n"})
    if verb == "commit-all":
        repo.commit("sparse", all=True)
    else:
        if verb == "lost cache":
            os.remove(os.path.join(repo.layout.cache, "stat", "state"))
        paths = [b"folder", b"changed"] if verb == "add-paths" else [b""]
        result = repo.add(paths)
        assert result.removed == 0
        assert [c.path for c in repo.status().staged] == [b"changed"]
        repo.commit("sparse")
    assert repo.status().clean
    after = commit_contents(repo, repo.history.refs.head().commit)  # type: ignore[arg-type]
    assert after == {**before, b"changed": b"mine\n"}


def test_a_path_inside_the_patterns_is_staged_as_removed(root: str) -> None:
    repo = _sparse(root)
    os.remove(os.path.join(root, "changed"))
    assert repo.add(all=True).removed == 1
    assert [c.path for c in repo.status().staged] == [b"changed"]


def test_merge_and_checkout_carry_absent_paths(root: str) -> None:
    repo = _sparse(root)
    outcome = repo.merge("there")
    assert outcome.commit is not None
    contents = commit_contents(repo, outcome.commit)
    assert contents == {**THERE, b"only-here": b"only here\n"}
    assert repo.status().clean
    assert set(tree_state(root)) == {b"folder/file", b"changed"}
    repo.checkout("main")
    assert repo.status().clean
    assert set(tree_state(root)) == {b"folder/file", b"changed"}
    repo.checkout(sparse=["*"])
    assert {path: data for path, (_, data) in tree_state(root).items()} == HERE
    assert repo.status().clean


def test_leaving_a_sparse_tree_refuses_to_overwrite(root: str) -> None:
    repo = _sparse(root)
    write(root, {b"goes": b"mine\n"})
    with pytest.raises(WouldOverwriteError):
        repo.checkout(sparse=["*"])
    assert tree_state(root)[b"goes"][1] == b"mine\n"


def test_narrowing_refuses_to_remove_work(root: str) -> None:
    repo = open_in(root)
    write(root, {b"goes": b"mine\n"})
    before = tree_state(root)
    with pytest.raises(WouldOverwriteError):
        repo.checkout(sparse=["/folder/"])
    assert tree_state(root) == before
