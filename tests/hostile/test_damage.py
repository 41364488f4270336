"""Stored files cut, emptied, doubled, exchanged, gone: fsck names each, and reads never lie (F14, F16)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from dsvc.model.errors import DsvcError
from dsvc.model.ids import PackId
from dsvc.porcelain.fsck import FsckResult
from dsvc.porcelain.repository import Repository
from dsvc.store import pack
from dsvc.store.pack import Footer
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.faultkit import commit_all, open_in, repository, write
from tests.hostile.test_flips import may_go_unnoticed, stored
from tests.storekit import noise, prose
from tests.wholekit import QUESTIONS, image, refuse_lies

STRIDES = [pytest.param(12, id="some"), pytest.param(1, marks=pytest.mark.soak, id="all")]

# A file that is gone leaves a state that there may be, so that nothing says so.
GONE_UNNOTICED = {
    "git/logs/": "git has no reflog for refs that never moved, and lets them be removed",
    "trash/": "nothing needs a pack in the trash; it goes when its grace is over",
    "work/": "made again from the newest operation; that no run waits is a state like any other",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The repository laid out once; each case puts back what it damages."""
    folder = str(tmp_path_factory.mktemp("damage") / "repo")
    image().lay_out(folder)
    return folder


def check(root: str) -> FsckResult | DsvcError:
    """Check as a new process would; a repository that can't be opened says so, which names it too."""
    try:
        with repository(root) as repo:
            return repo.fsck(read_data=True)
    except DsvcError as error:
        return error


def is_named(found: FsckResult | DsvcError) -> bool:
    return isinstance(found, DsvcError) or not found.ok


CHANGES: dict[str, Callable[[bytes], bytes | None]] = {
    "cut": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "one byte more": lambda data: data + b"\0",
    "doubled": lambda data: data + data,
    "zeroed": lambda data: bytes(len(data)),
    "end zeroed": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "gone": lambda data: None,
}


def judge(root: str, name: str, what: str, *, silent: bool) -> None:
    """Hold what fsck and two questions say against what they may say."""
    if name.startswith("trash/") and Path(root, ".dsvc/packs", Path(name).name).exists():
        return  # the same pack is listed again: that one is read
    if not silent and not is_named(check(root)):
        raise BrokenPromiseError(f"{name} {what} goes unnoticed")
    tried("hostile cases")
    if name.startswith("work/runs/") and what == "gone":
        return  # no run waits any more
    if name.startswith("git/refs/") and (what == "gone" or what.startswith("in the place")):
        return  # another version has the name: fsck says so by the reflog, which reading doesn't look into
    number = crc32(f"{name} {what}".encode())
    questions = list(QUESTIONS)
    refuse_lies(root, f"{name} {what}", *{questions[number % len(questions)], "contents"})


def is_all_elsewhere(root: str, name: str) -> bool:
    """Whether other packs, those in the trash too, have everything that a pack has: nothing is missing."""
    with repository(root) as repo:
        footer = Footer(repo.backend, PackId.parse(Path(name).stem))
        return all(len(repo.store.index.places(id_, trash=True)) > 1 for id_, _ in footer.rows())


def is_silent(name: str, what: str, changed: bytes | None, data: bytes) -> bool:
    if changed is None and any(name.startswith(known) for known in GONE_UNNOTICED):
        return True
    # A line end more or less, or a last line that git ignores.
    return may_go_unnoticed(name) or (changed is not None and changed.split() == data.split())


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("stride", STRIDES)
def test_f14_a_changed_file_is_named(root: str, stride: int, what: str) -> None:
    names = stored(root)
    for number, name in enumerate(names):
        if (number + crc32(what.encode())) % stride:
            continue
        path = Path(root, ".dsvc", name)
        path.chmod(0o644)
        data = path.read_bytes()
        changed = CHANGES[what](data)
        if changed == data:
            continue
        silent = is_silent(name, what, changed, data)
        if changed is None and name.startswith("packs/"):
            silent = is_all_elsewhere(root, name)
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)
        try:
            judge(root, name, what, silent=silent)
        finally:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    assert not is_named(check(root))


@pytest.mark.parametrize("over", [False, True], ids=["swapped", "copied over"])
@pytest.mark.parametrize("stride", STRIDES)
def test_f16_files_in_each_others_places_are_named(root: str, stride: int, over: bool) -> None:
    """Packs, git objects, refs, files of the work: each with the next of its kind."""
    kinds = ("packs/", "trash/", "git/objects/", "git/refs/", "work/")
    for kind in kinds:
        names = [each for each in stored(root) if each.startswith(kind) and not may_go_unnoticed(each)]
        for number, (one, other) in enumerate(zip(names, names[1:] + names[:1], strict=True)):
            paths = [Path(root, ".dsvc", each) for each in (one, other)]
            before = [path.read_bytes() for path in paths]
            if (number + over) % stride or before[0] == before[1]:
                continue
            for path in paths:
                path.chmod(0o644)
            paths[0].write_bytes(before[1])
            if not over:
                paths[1].write_bytes(before[0])
            try:
                judge(root, one, f"in the place of {other}", silent=False)
            finally:
                for path, data in zip(paths, before, strict=True):
                    path.write_bytes(data)
    assert not is_named(check(root))


def test_f14_torn_and_foreign_lines_of_a_reflog_are_named(root: str) -> None:
    logs = [each for each in stored(root) if each.startswith("git/logs/")]
    for name in [*logs[::4], "git/logs/HEAD"]:
        path = Path(root, ".dsvc", name)
        data = path.read_bytes()
        lines = data.splitlines(keepends=True)
        if not lines:
            continue
        for changed in (
            data[: len(data) - len(lines[-1]) + 60],
            b"x" + data,
            data + b"no line\n",
            *([lines[1] + lines[0]] if len(lines) > 1 else []),
        ):
            path.write_bytes(changed)
            found = check(root)
            path.write_bytes(data)
            assert is_named(found), name
            tried("hostile cases")


@pytest.mark.parametrize("how", ["a bit", "cut", "gone"])
def test_f13_f14_f15_a_damaged_pack_is_healed_from_the_working_tree(fast_path: Path, how: str) -> None:
    """R7: each pack of a repository in turn; what the tree has comes back, bit for bit."""
    contents = {
        # Lists of chunks are nowhere else, as manifests are.
        b"folder/text": prose(4_000 if how == "gone" else 60_000, 1),
        b"noise": noise(40_000, 2),
        b"small": b"small",
        b"empty": b"",
    }
    root = str(fast_path / "repo")
    os.mkdir(root)
    Repository.init(root)
    write(root, contents)
    commit_all(open_in(root), "first")
    for path in sorted(Path(root, ".dsvc/packs").iterdir()):
        path.chmod(0o644)
        data = path.read_bytes()
        nodes_alone = pack.TRAILER.unpack(data[-pack.TRAILER.size :])[4] < len(contents)
        if how == "gone":
            if nodes_alone:
                continue  # manifests are nowhere else
            path.unlink()
        else:
            path.write_bytes(data[:-5] + bytes([data[-5] ^ 2]) + data[-4:] if how == "a bit" else data[:-90])
        assert is_named(check(root))
        with repository(root) as repo:
            done = repo.fsck(read_data=True, repair=True)
            assert done.ok, done.defects
            read = {each.path: repo.open(each.path).read() for each in repo.manifest_of("HEAD").entries()}
        assert read == contents
        tried("hostile cases")
