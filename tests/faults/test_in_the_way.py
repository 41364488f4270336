"""F36: what stands where a file must go is named and left alone; with --force it is kept for undo."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.checker import check_fsck, tree_state
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.loop_scenarios import COMMANDS
from tests.porcelain.working import Work

_BASE: dict[bytes, Any] = {
    b"file": b"base\n",
    b"same": b"same\n",
    b"goes": b"goes\n",
    "表.csv".encode(): b"id,n\n1,1\n2,2\n",
    b"dir/one": b"1\n",
}
_THEIRS: dict[bytes, Any] = {
    b"file": b"theirs\n",
    b"new": b"theirs\n",
    b"goes": None,
    "表.csv".encode(): b"id,n\n1,1\n2,3\n",
    b"dir/one": b"theirs\n",
}
"""What each verb below is going to write; `same` only stands for files that it leaves alone."""


def _fifo(path: bytes) -> None:
    os.mkfifo(path)


def _folder(path: bytes) -> None:
    os.mkdir(path)
    Path(os.fsdecode(path), "mine").write_bytes(b"mine\n")


def _file(path: bytes) -> None:
    Path(os.fsdecode(path)).write_bytes(b"mine\n")


# What is put where a file is, or is to come.
OBSTACLES: dict[str, Callable[[bytes], None]] = {
    "another file": _file,
    "a folder": _folder,
    "a link to a file": lambda path: os.symlink(b"same", path),
    "a link to a folder": lambda path: os.symlink(b"..", path),
    "a link to nothing": lambda path: os.symlink(b"nowhere", path),
    "a FIFO": _fifo,
}


def put(work: Work, path: bytes, obstacle: str) -> None:
    full = work.path(path)
    if os.path.lexists(full):
        os.unlink(full)
    OBSTACLES[obstacle](full)


def seen(work: Work) -> tuple[object, ...]:
    """The tree to the last byte, and what tells the state of the repository."""
    repo = work.reopen()
    refs = repo.history.refs.list()
    merge = [name for name in os.listdir(repo.layout.work) if "merge" in name]
    return tree_state(str(work.folder)), repo.history.refs.head(), refs, work.staged_state(), merge


def _diverged(work: Work) -> None:
    work.diverge(_BASE, {b"only-main": b"main\n"}, _THEIRS)


def _on_top(work: Work) -> None:
    """HEAD took back `_THEIRS`: to revert it writes them again."""
    work.commit("base", {**_BASE, **_THEIRS})
    work.commit("back", {**_BASE, b"new": None})


def _stashed(work: Work) -> None:
    work.commit("base", _BASE)
    work.write(_THEIRS)
    work.repo.add(all=True)
    work.repo.stash()


def _gone_back(work: Work) -> None:
    """To undo the last operation is to write `_THEIRS` again."""
    _diverged(work)
    work.repo.checkout("topic")
    work.repo.checkout("main")


def _apply(repo: Repository) -> object:
    patch = b"".join(repo.diff_patch(repo.diff("topic~1", "topic")))
    return repo.apply(patch)


Case = tuple[Callable[[Work], None], Callable[[Repository], object]]
REFUSING: dict[str, Case] = {
    "checkout": (_diverged, lambda repo: repo.checkout("topic")),
    "merge": (_diverged, lambda repo: repo.merge("topic")),
    "cherry-pick": (_diverged, lambda repo: repo.cherry_pick("topic")),
    "revert": (_on_top, lambda repo: repo.revert("HEAD")),
    "stash pop": (_stashed, lambda repo: repo.stash_pop()),
    "undo": (_gone_back, lambda repo: repo.undo()),
    "apply": (_diverged, _apply),
}
KEEPING: dict[str, Case] = {
    "checkout --force": (_diverged, lambda repo: repo.checkout("topic", force=True)),
    "checkout of paths": (_diverged, lambda repo: repo.checkout("topic", [b"file", b"new"], force=True)),
    "restore": (_diverged, lambda repo: repo.restore([b"file", b"new"], source="topic")),
    "reset --hard": (_diverged, lambda repo: repo.reset("topic", ResetMode.HARD)),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[Callable[[Work], None], Path]:
    """The repository before each verb, once."""
    made = {}
    for prepare, _ in [*REFUSING.values(), *KEEPING.values()]:
        if prepare not in made:
            made[prepare] = tmp_path_factory.mktemp("prepared") / "data"
            prepare(Work(made[prepare]))
    return made


def laid_out(prepared: dict[Callable[[Work], None], Path], prepare: Callable[[Work], None], to: Path) -> Work:
    shutil.copytree(prepared[prepare], to, symlinks=True)
    return Work(to)


def cases(all_: bool) -> Iterator[tuple[int, str, bytes]]:
    """What is put where; every second case of them, or all."""
    for number, (obstacle, path) in enumerate(itertools.product(OBSTACLES, (b"file", b"new"))):
        if all_ or number % 4 in (0, 3):
            yield number, obstacle, path


_SIZES = [pytest.param(False, id="some"), pytest.param(True, id="all", marks=pytest.mark.soak)]


@pytest.mark.parametrize("all_", _SIZES)
@pytest.mark.parametrize("verb", REFUSING)
def test_f36_what_is_in_the_way_is_named_and_stays(
    prepared: dict[Callable[[Work], None], Path], fast_path: Path, verb: str, all_: bool
) -> None:
    prepare, command = REFUSING[verb]
    for number, obstacle, path in cases(all_):
        work = laid_out(prepared, prepare, fast_path / str(number))
        put(work, path, obstacle)
        before = seen(work)
        with pytest.raises(DsvcError) as caught:
            command(work.reopen())
        what = f"{verb}, {obstacle} at {path!r}"
        if path.decode() not in str(caught.value):
            raise BrokenPromiseError(f"{what}: it isn't named: {caught.value}")
        # A patch is for the content that it says; other content is a conflict with it.
        assert caught.value.exit_code in ((15,) if verb != "apply" else (13, 14, 15, 16)), what
        if seen(work) != before:
            raise BrokenPromiseError(f"{what}: something was changed")
        shutil.rmtree(work.folder)
        tried("things in the way")


@pytest.mark.parametrize("all_", _SIZES)
@pytest.mark.parametrize("verb", KEEPING)
def test_f36_what_is_overwritten_is_kept(
    prepared: dict[Callable[[Work], None], Path], fast_path: Path, verb: str, all_: bool
) -> None:
    """All but what no version can hold: that is named, and stays."""
    prepare, command = KEEPING[verb]
    for number, obstacle, path in cases(all_):
        work = laid_out(prepared, prepare, fast_path / str(number))
        put(work, path, obstacle)
        before = seen(work)
        what = f"{verb}, {obstacle} at {path!r}"
        if obstacle == "a FIFO":
            with pytest.raises(DsvcError, match=path.decode()):
                command(work.reopen())
            assert seen(work)[0] == before[0], what
            assert stat.S_ISFIFO(os.lstat(work.path(path)).st_mode), what
        else:
            command(work.reopen())
            assert work.tree()[path] == ("file", b"theirs\n"), what
            work.reopen().gc(grace_seconds=0)
            work.reopen().undo()
            if seen(work)[0] != before[0]:
                raise BrokenPromiseError(f"{what}: undo doesn't bring it back")
        check_fsck(work.repo)
        shutil.rmtree(work.folder)
        tried("things in the way")


def test_f36_a_release_is_written_into_an_empty_folder_alone(fast_path: Path) -> None:
    root = str(fast_path / "repo")
    os.mkdir(root)
    COMMANDS["release-withdraw"][0](root)
    target = fast_path / "out"
    for obstacle, place in itertools.product(OBSTACLES, (target, target / "raw.jsonl")):
        if place != target:
            target.mkdir()
        OBSTACLES[obstacle](os.fsencode(place))
        before = tree_state(str(fast_path))
        with pytest.raises(DsvcError) as caught, Repository.open(root) as repo:
            repo.release_export("v1", str(target))
        assert caught.value.exit_code in (15, 33), caught.value
        assert "out" in str(caught.value)
        assert tree_state(str(fast_path)) == before
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()
        tried("things in the way")


def test_f36_a_repair_touches_no_file(fast_path: Path) -> None:
    """Whatever stands in the tree, a repair is carried out beside it, on its own branch."""
    root = str(fast_path / "repo")
    os.mkdir(root)
    prepare, command, _ = COMMANDS["repair-apply"]
    prepare(root)
    os.unlink(os.path.join(root, "a.jsonl"))
    _folder(os.fsencode(os.path.join(root, "a.jsonl")))
    before = tree_state(root)
    command(Repository.open(root))
    assert tree_state(root) == before
    tried("things in the way")
