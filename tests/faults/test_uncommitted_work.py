"""P15, P16, P17: work that is not committed is refused to be overwritten, or stored first; sparse trees."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsvc.model.errors import WouldOverwriteError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.checker import check_fsck, commit_contents
from tests.porcelain.working import EMPTY_FOLDER, Tree, Work, link, program

_BASE: dict[bytes, Any] = {
    b"file": b"base\n",
    b"run": program(b"#!/bin/sh\n"),
    b"link": link(b"file"),
    b"dir/one": b"1\n",
    b"dir/two": b"2\n",
    b"becomes-dir": b"a file\n",
    b"dir-becomes-file/inside": b"inside\n",
    b"goes": b"goes\n",
    b"goes-dir/x": b"x\n",
    b"quiet": b"quiet\n",
}
_THEIRS: dict[bytes, Any] = {
    b"file": b"theirs\n",
    b"run": program(b"#!/bin/sh\ntheirs\n"),
    b"link": link(b"elsewhere"),
    b"dir/one": b"theirs\n",
    b"becomes-dir": None,
    b"becomes-dir/inside": b"theirs\n",
    b"dir-becomes-file": b"theirs\n",
    b"goes": None,
    b"goes-dir/x": None,
    b"new": b"theirs\n",
    b"new-dir/deep/file": b"theirs\n",
    b"new-link": link(b"theirs"),
}

Stage = Callable[[Repository], object]


def _stage_all(repo: Repository) -> object:
    return repo.add(all=True)


# What a person did, whether it is staged, and a path that the refusal has to name.
_WORK: dict[str, tuple[dict[bytes, Any], bool, bytes]] = {
    "modified": ({b"file": b"mine\n"}, False, b"file"),
    "modified, same size": ({b"file": b"BASE\n"}, False, b"file"),
    "emptied": ({b"file": b""}, False, b"file"),
    "staged": ({b"file": b"mine\n"}, True, b"file"),
    "made executable": ({b"file": program(b"base\n")}, False, b"file"),
    "no longer executable": ({b"run": b"#!/bin/sh\n"}, False, b"run"),
    "symlink retargeted": ({b"link": link(b"mine")}, False, b"link"),
    "symlink became a file": ({b"link": b"mine\n"}, False, b"link"),
    "file became a symlink": ({b"file": link(b"quiet")}, False, b"file"),
    "modified, would be removed": ({b"goes": b"mine\n"}, False, b"goes"),
    "staged, would be removed": ({b"goes": b"mine\n"}, True, b"goes"),
    "untracked in the way": ({b"new": b"mine\n"}, False, b"new"),
    "staged new in the way": ({b"new": b"mine\n"}, True, b"new"),
    "untracked symlink in the way": ({b"new": link(b"file")}, False, b"new"),
    "dangling symlink in the way": ({b"new": link(b"nowhere")}, False, b"new"),
    "file where a link goes": ({b"new-link": b"mine\n"}, False, b"new-link"),
    "folder where a file goes": ({b"new/mine": b"mine\n"}, False, b"new"),
    "staged folder where a file goes": ({b"new/mine": b"mine\n"}, True, b"new"),
    "file where a folder goes": ({b"new-dir": b"mine\n"}, False, b"new-dir"),
    "file where a deep folder goes": ({b"new-dir/deep": b"mine\n"}, False, b"new-dir/deep"),
    "symlink where a folder goes": ({b"new-dir": link(b"dir")}, False, b"new-dir"),
    "untracked in a folder that becomes a file": (
        {b"dir-becomes-file/mine": b"mine\n"},
        False,
        b"dir-becomes-file",
    ),
    "modified, becomes a folder": ({b"becomes-dir": b"mine\n"}, False, b"becomes-dir"),
    "file became a folder": ({b"file": None, b"file/mine": b"mine\n"}, False, b"file"),
    "folder became a file": ({b"dir": b"mine\n"}, False, b"dir"),
    "folder became a symlink": ({b"dir": link(b"goes-dir")}, False, b"dir"),
}


def _photograph(top: bytes) -> dict[bytes, tuple[Any, ...]]:
    """All below a folder: kind, mode, time of change and content."""
    found = {}
    for folder, names, files in os.walk(top):
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            stat = os.lstat(path)
            content: bytes = b""
            if os.path.islink(path):
                content = os.readlink(path)
            elif name in files:
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, top)] = (stat.st_mode, stat.st_ino, stat.st_mtime_ns, content)
    return found


def _everything(work: Work) -> tuple[Any, ...]:
    """The tree to the last byte and time, and what of the repository tells its state."""
    found = _photograph(os.fsencode(work.folder))
    own = {p: f for p, f in found.items() if p.split(b"/")[0] != b".dsvc"}
    layout = work.repo.layout
    state: dict[bytes, Any] = {}
    for folder in (os.path.join(layout.git, "refs"), os.path.join(layout.git, "logs"), layout.work):
        for path, facts in _photograph(os.fsencode(folder)).items():
            # Caches and folders may be written anew; what they hold is the same.
            if not os.path.isdir(os.path.join(os.fsencode(folder), path)):
                state[os.path.join(os.fsencode(folder), path)] = facts[3]
    with open(os.path.join(layout.git, "HEAD"), "rb") as file:
        state[b"HEAD"] = file.read()
    return own, state, [operation.id for operation in work.reopen().operations()]


@pytest.fixture
def work(fast_path: Path) -> Work:
    return Work(fast_path / "data")


def _diverged(work: Work) -> None:
    """Main with one more commit than topic's base, topic with changes of all kinds."""
    work.diverge(_BASE, {b"only-main": b"main\n"}, _THEIRS)


@pytest.mark.parametrize("case", _WORK)
def test_f36_refused_and_nothing_changed(work: Work, case: str) -> None:
    _diverged(work)
    mine, staged, named = _WORK[case]
    work.write(mine)
    if staged:
        _stage_all(work.repo)
    for refused in (lambda: work.repo.checkout("topic"), lambda: work.repo.merge("topic")):
        work.reopen().status(untracked="all")  # refreshes the caches, so that they may not differ below
        before = _everything(work)
        with pytest.raises(WouldOverwriteError) as caught:
            refused()
        assert caught.value.exit_code == 15
        assert os.fsdecode(named) in str(caught.value)
        after = _everything(work)
        assert after[0] == before[0], "the tree was touched"
        assert after[1:] == before[1:], "the repository was changed"


@pytest.mark.parametrize(
    "mine",
    [{b"quiet": b"mine\n"}, {b"elsewhere": b"mine\n"}, {b"dir/three": b"mine\n"}, {b"file": b"theirs\n"}],
    ids=["modified elsewhere", "untracked elsewhere", "in the same folder", "the same as theirs"],
)
def test_f36_work_that_is_not_in_the_way_stays(work: Work, mine: dict[bytes, Any]) -> None:
    _diverged(work)
    work.write(mine)
    work.repo.checkout("topic")
    tree = work.tree()
    assert {path: tree[path][1] for path in mine} == mine
    assert tree[b"new-dir/deep/file"] == ("file", b"theirs\n")


_DIRTY: dict[bytes, Any] = {
    b"file": b"mine, not staged\n",
    b"run": program(b"#!/bin/sh\nmine\n"),
    b"link": link(b"mine/anywhere"),
    b"dir/one": program(b"1\n"),
    b"quiet": bytes(range(256)) * 400,
    b"becomes-dir": link(b"quiet"),
}
_UNTRACKED: dict[bytes, Any] = {
    b"new": program(b"untracked\n"),
    b"new-link": link(b"untracked"),
    b"own/deep/file": b"untracked\n",
    b"own/link": link(b"deep"),
    b"own/empty": EMPTY_FOLDER,
}


def _discard_restore(work: Work) -> object:
    return work.repo.restore([b""])


def _discard_reset(work: Work) -> object:
    return work.repo.reset("HEAD", ResetMode.HARD)


def _discard_reset_back(work: Work) -> object:
    return work.repo.reset("topic", ResetMode.HARD)


def _discard_checkout(work: Work) -> object:
    return work.repo.checkout("topic", force=True)


def _discard_checkout_paths(work: Work) -> object:
    return work.repo.checkout("topic", [b"file", b"run", b"link", b"new"], force=True)


def _discard_clean(work: Work) -> object:
    return work.repo.clean()


def _discard_rm(work: Work) -> object:
    return work.repo.remove([b"file", b"run", b"link", b"dir"], force=True, recursive=True)


_DISCARD = [
    _discard_restore,
    _discard_reset,
    _discard_reset_back,
    _discard_checkout,
    _discard_checkout_paths,
    _discard_clean,
    _discard_rm,
]


@pytest.mark.parametrize("staged", [False, True], ids=["unstaged", "partly staged"])
@pytest.mark.parametrize("discard", _DISCARD, ids=lambda verb: verb.__name__.removeprefix("_discard_"))
def test_f36_undo_brings_back_what_was_discarded(
    work: Work, discard: Callable[[Work], object], staged: bool
) -> None:
    _diverged(work)
    if staged:
        work.write({b"file": b"mine, staged\n", b"dir/two": b"staged\n", b"staged": program(b"new\n")})
        _stage_all(work.repo)
    work.write(_DIRTY)
    work.write(_UNTRACKED)
    before = work.everything()
    discard(work)
    assert work.everything() != before
    work.repo.undo()
    _same(work.everything(), before)
    check_fsck(work.reopen())


def _same(after: tuple[Any, ...], before: tuple[Any, ...]) -> None:
    trees: list[Tree] = [after[3], before[3]]
    differs = {p for p in trees[0].keys() | trees[1].keys() if trees[0].get(p) != trees[1].get(p)}
    assert not differs, {p: (trees[0].get(p), trees[1].get(p)) for p in differs}
    assert after == before


def test_f36_what_was_discarded_survives_gc(work: Work) -> None:
    _diverged(work)
    work.write(_DIRTY)
    before = work.everything()
    work.repo.reset("HEAD", ResetMode.HARD)
    work.reopen().gc(grace_seconds=0)
    work.reopen().undo()
    _same(work.everything(), before)


def test_f36_merge_abort_stores_what_it_overwrites(work: Work) -> None:
    work.diverge(_BASE, {b"file": b"ours\n"}, {b"file": b"theirs\n", b"dir/one": b"theirs\n"})
    clean = work.everything()
    assert work.repo.merge("topic").conflicts
    work.write({b"file": program(b"half of a resolution\n"), b"dir/one": link(b"mine")})
    before = work.everything()
    work.reopen().merge_abort()
    assert work.everything()[:4] == clean[:4]
    work.reopen().undo()
    _same(work.everything(), before)


_WIDE: dict[bytes, Any] = {
    b"in/a": b"a\n",
    b"in/b": program(b"b\n"),
    b"out/c": b"c\n",
    b"out/deep/link": link(b"../c"),
    b"out/deep/run": program(b"run\n"),
    b"top": b"top\n",
}


def _sparse(work: Work) -> None:
    work.diverge(_WIDE, {b"in/a": b"ours\n"}, {b"out/c": b"theirs\n", b"out/new": b"theirs\n"})
    work.repo.checkout(sparse=["/in/"])
    assert set(work.tree()) == {b"in/a", b"in/b"}


def _head(work: Work) -> dict[bytes, bytes]:
    head = work.reopen().history.refs.head().commit
    assert head is not None
    return commit_contents(work.repo, head)


@pytest.mark.parametrize("way", ["add all", "add folder", "commit all", "add absent"])
def test_absent_paths_are_never_staged_as_removed(work: Work, way: str) -> None:
    _sparse(work)
    whole = _head(work)
    work.write({b"in/a": b"changed\n", b"in/b": None})
    if way == "add all":
        result = work.reopen().add(all=True)
        assert (result.modified, result.removed) == (1, 1)
    elif way == "add folder":
        work.reopen().add([b"in"])
    elif way == "add absent":
        work.reopen().add([b"in", b"out", b"top"])
    staged = work.reopen().status().staged
    assert all(change.path.startswith(b"in/") for change in staged)
    work.reopen().commit("sparse", all=way == "commit all")
    expected = {**whole, b"in/a": b"changed\n"}
    del expected[b"in/b"]
    assert _head(work) == expected
    assert work.clean()
    work.reopen().checkout(sparse=["*"])
    assert {path: content for path, (_, content) in work.tree().items()} == expected
    assert work.tree()[b"out/deep/run"] == program(b"run\n")
    assert work.tree()[b"out/deep/link"] == link(b"../c")
    assert work.clean()


def test_merges_carry_absent_paths_over(work: Work) -> None:
    _sparse(work)
    expected = {**_head(work), b"out/c": b"theirs\n", b"out/new": b"theirs\n"}
    assert work.reopen().merge("topic").commit is not None
    assert _head(work) == expected
    assert set(work.tree()) == {b"in/a", b"in/b"}
    assert work.clean()
    work.reopen().checkout(sparse=["*"])
    assert {path: content for path, (_, content) in work.tree().items()} == expected
    assert work.clean()


def test_absent_paths_survive_verbs_that_write_the_tree(work: Work) -> None:
    _sparse(work)
    whole = _head(work)
    work.write({b"in/a": b"work\n"})
    for verb in (
        lambda r: r.restore([b""]),
        lambda r: r.reset("HEAD", ResetMode.HARD),
        lambda r: r.clean(),
        lambda r: r.gc(grace_seconds=0),
    ):
        verb(work.reopen())
        assert work.clean()
    shutil.rmtree(work.repo.layout.cache)
    os.mkdir(work.repo.layout.cache)
    assert work.clean()
    work.reopen().commit("nothing", all=True, allow_empty=True)
    assert _head(work) == whole


def test_f36_work_under_an_absent_path_is_not_overwritten(work: Work) -> None:
    """A file that a person made where an absent one would come back."""
    _sparse(work)
    work.write({b"out/c": b"mine\n"})
    before = work.tree()
    with pytest.raises(WouldOverwriteError):
        work.reopen().checkout(sparse=["*"])
    assert work.tree() == before
