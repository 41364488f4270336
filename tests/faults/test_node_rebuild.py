"""fsck --repair makes manifest nodes and chunk lists again from a working tree that holds the same (F14)."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.model.manifest import Entry
from dsvc.porcelain.fsck import FsckResult
from dsvc.store import pack
from dsvc.store.block import ItemType
from dsvc.store.pack import Footer
from dsvc.store.rewrite import Rewriter
from dsvc.testing.faults import tried
from tests.porcelain.working import EMPTY_FOLDER, Work, link, program

_LINES = b"".join(b"%d,%d\n" % (n, n * 7919 % 1000) for n in range(200_000))
_NOISE = random.Random(7).randbytes(700_000)


def _filled(folder: Path, files: int = 3000) -> Work:
    """Several levels of nodes, a table and noise of several chunks; two versions."""
    work = Work(folder)
    work.commit(
        "one", {b"table.csv": b"n,m\n" + _LINES, b"noise.bin": _NOISE, b"run": program(b"#!/bin/sh\n")}
    )
    items = {f"文件夹/{n % 7}/{n}.txt".encode(): b"%d\n" % n for n in range(files)}
    work.commit(
        "two", {**items, b"table.csv": b"n,m\n9,9\n" + _LINES, b"link": link(b"run"), b"void": EMPTY_FOLDER}
    )
    return work


def _entries(work: Work) -> dict[bytes, Entry]:
    repo = work.reopen()
    return {entry.path: entry for entry in repo.manifest(repo.staged().root).entries()}


def _lose(work: Work, gone: Callable[[bytes, int], bool]) -> int:
    """Write all packs anew without some objects, as if their pack had been lost."""
    repo = work.reopen()
    backend, count = repo.backend, 0
    old = list(backend.list_packs())
    with Rewriter(repo.store) as rewriter:
        for name in old:
            footer = Footer(backend, name)
            for id_, place in footer.rows():
                if gone(id_, place.item_type):
                    count += 1
                    continue
                data = repo.store.read_at(footer, place)
                stream = pack.STREAM_TEXT if place.item_type == ItemType.CHUNK else pack.STREAM_OBJECTS
                rewriter.put(id_, bytes(data), place.item_type, stream)
    for name in old:
        if name not in rewriter.published:
            path = next(Path(repo.layout.root, "packs").rglob(f"{name.hex()}*"))
            path.unlink()
    return count


def _repaired(work: Work) -> FsckResult:
    assert not work.reopen().fsck().ok
    return work.reopen().fsck(repair=True)


_LOST: dict[str, frozenset[ItemType]] = {
    "nodes": frozenset({ItemType.NODE}),
    "lists": frozenset({ItemType.LIST}),
    "both": frozenset({ItemType.NODE, ItemType.LIST}),
    "all": frozenset(ItemType),
}


@pytest.mark.parametrize("lost", _LOST)
def test_f14_what_the_tree_has_comes_back(fast_path: Path, lost: str) -> None:
    """Of the newest version; nodes that only the first one has stay lost, and are named."""
    work = _filled(fast_path / "data")
    before, tree = _entries(work), work.tree()
    assert _lose(work, lambda _, item_type: item_type in _LOST[lost])
    tried("hostile cases")
    result = _repaired(work)
    assert result.repaired is not None
    assert result.repaired.healed
    assert _entries(work) == before
    for path in (b"table.csv", b"noise.bin", "文件夹/1/1.txt".encode()):
        (Path(work.folder) / path.decode()).unlink()
    work.reopen().restore([b""])
    assert work.tree() == tree
    # The list of the first version's table, or its nodes, are nowhere else.
    assert not result.ok
    assert result.exit_code == 31


@pytest.mark.parametrize("cache", [True, False], ids=["cache", "no cache"])
def test_f14_a_changed_tree_gives_what_it_still_has(fast_path: Path, cache: bool) -> None:
    """Files changed since, others untracked: the stat cache still brings all back."""
    work = _filled(fast_path / "data")
    before = _entries(work)
    work.write({b"untracked": b"new\n", "文件夹/1/8.txt".encode(): b"changed since\n"})
    _lose(work, lambda _, item_type: item_type == ItemType.NODE)
    if not cache:
        shutil.rmtree(Path(work.folder, ".dsvc/cache"))
    result = _repaired(work)
    assert result.repaired is not None
    if cache:
        assert _entries(work) == before
    else:
        assert not result.ok
        assert result.exit_code == 31
        assert work.tree()["文件夹/1/8.txt".encode()] == ("file", b"changed since\n")


def test_f14_files_that_nobody_tracks_are_no_hindrance(fast_path: Path) -> None:
    """Without a cache the paths of the version before tell what is tracked."""
    work = _filled(fast_path / "data")
    work.commit("three", {b"run": program(b"#!/bin/sh\n:\n")})
    before = _entries(work)
    work.write({b"aaa untracked": b"new\n"})
    head = work.repo.history.read_commit(work.repo.history.revisions.resolve("HEAD"))
    assert _lose(work, lambda id_, _: id_ == bytes(head.manifest)) == 1
    shutil.rmtree(Path(work.folder, ".dsvc/cache"))
    result = _repaired(work)
    assert result.ok
    assert result.repaired is not None
    assert (result.repaired.healed, result.repaired.lost) == (1, ())
    assert _entries(work) == before
    tried("hostile cases")
