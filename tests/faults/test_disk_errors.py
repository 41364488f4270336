"""P2, P4: an operation fails or writes less than asked; nothing is lost, and the command runs again."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action
from dsvc.model.errors import StorageError
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check, check_files, tree_state, unchanged
from dsvc.testing.faults import ERRORS, Fault, Image, points, run_in_child, tried
from tests import scenarios
from tests.faultkit import commit_all, open_in, repository, write
from tests.slim import in_slim_process


def _id(fault: Fault) -> str:
    return fault.action.value + ("-persistent" if fault.persistent else "")


@pytest.mark.parametrize(
    ("fault", "name", "step", "first"),
    [(fault, *stride) for fault in ERRORS for stride in scenarios.strides(fault)],
    ids=scenarios.ids(ERRORS),
)
@in_slim_process
def test_errors_of_every_kind(fast_path: Path, fault: Fault, name: str, step: int, first: int) -> None:
    scenarios.make(name, fast_path / "scenario").loop(fast_path, fault, step=step, first=first)


@pytest.mark.parametrize("fault", ERRORS, ids=_id)
@in_slim_process
def test_init(fast_path: Path, fault: Fault) -> None:
    (fast_path / "before").mkdir()
    write(fast_path / "before", {b"mine": b"my file\n"})
    image = Image(str(fast_path / "before"))
    files = unchanged(tree_state(str(fast_path / "before")))
    for root, outcome in points(image, str(fast_path), Repository.init, fault, step=3):
        check_files(root, files)
        if outcome.error is not None and not os.path.exists(os.path.join(root, ".dsvc", "config")):
            Repository.init(root)
        check(
            root,
            Expected(files=files, possible=[{b"mine": b"my file\n"}]),
            rerun=lambda repo: commit_all(open_in(repo.root), "first"),
        )


@pytest.mark.parametrize("name", ["add", "commit"])
@in_slim_process
def test_an_error_is_told_and_names_what_to_do(fast_path: Path, name: str) -> None:
    """Without an error of its own a command that met ENOSPC throughout has done its work."""
    scenario = scenarios.make(name, fast_path / "scenario")
    fault = Fault(action=Action.ENOSPC, persistent=True)
    for root, outcome in points(scenario.image, str(fast_path), scenario.run, fault, step=5):
        if isinstance(outcome.error, StorageError):
            assert outcome.error.exit_code == 33
            assert outcome.error.hint
            assert outcome.error.details["errno"] == "ENOSPC"
        else:
            assert outcome.error is None
            with repository(root) as repo:
                staged = repo.staged()
                assert (repo.head_root(repo.history.refs.head()), staged.root) == scenario.end[1:3]


def test_a_full_disk(tmp_path: Path) -> None:
    """On a file system of 7 MB: add fails, reading commands work, and with room it goes on."""
    mount = _mount_tmpfs(tmp_path, "size=7m")
    try:
        root = str(mount)
        Repository.init(root)
        repo = open_in(root)
        write(root, {b"small": b"small\n"})
        first = commit_all(repo, "first")
        write(root, {b"large": os.urandom(1_400_000)})
        files = unchanged(tree_state(root))
        filler = mount / "filler"
        filler.write_bytes(bytes(4_700_000))
        with pytest.raises(StorageError) as caught:
            repo.add([b"large"])
        tried("disk errors")
        assert caught.value.details["errno"] == "ENOSPC"
        _fill(filler)
        reader = open_in(root)
        assert reader.status().branch == "main"
        assert [commit.id for commit in reader.history.log([first])] == [first]
        assert reader.fsck().ok
        with contextlib.suppress(StorageError):  # merging small packs needs room
            reader.gc(grace_seconds=0)
        filler.unlink()
        check(
            root,
            Expected(commits={first: {b"small": b"small\n"}}, files=files),
            rerun=lambda r: r.add(all=True),
        )
        repo.backend.forget()
        reader.backend.forget()
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def _fill(path: Path) -> None:
    """Let a file take what is left of the disk."""
    with open(path, "ab", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(bytes(1 << 16)):
            pass


def _mount_tmpfs(folder: Path, options: str) -> Path:
    mount = folder / "mount"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mount)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted: {done.stderr.decode().strip()}")
    return mount


def test_no_inodes_left(tmp_path: Path) -> None:
    mount = _mount_tmpfs(tmp_path, "nr_inodes=130")
    try:
        root = str(mount)
        Repository.init(root)
        repo = open_in(root)
        write(root, {b"one": b"one\n"})
        first = commit_all(repo, "first")
        made = []
        with contextlib.suppress(OSError):
            for number in range(200):
                (mount / f"file{number}").write_bytes(b"%d\n" % number)
                made.append(mount / f"file{number}")
        assert 10 < len(made) < 200
        with pytest.raises(StorageError) as caught:
            repo.add(all=True)
        tried("disk errors")
        assert caught.value.details["errno"] == "ENOSPC"
        assert open_in(root).status().head == first
        for path in made[10:]:
            path.unlink()
        write(root, {path.name.encode(): path.read_bytes() for path in made[:10]})
        check(root, Expected(commits={first: {b"one": b"one\n"}}), rerun=lambda r: r.add(all=True))
        repo.backend.forget()
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_few_descriptors(fast_path: Path) -> None:
    """With 40 open files a tree of 60 folders is added, or an error names the limit."""
    import resource

    root = str(fast_path / "repo")
    Repository.init(root)
    write(root, {b"%d/a/b/file" % n: b"%d\n" % n for n in range(60)})

    def add() -> None:
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 36, used + 36))
        open_in(root).add(all=True)

    outcome = run_in_child(add)
    tried("disk errors")
    assert outcome.error is None or (
        isinstance(outcome.error, StorageError)
        and outcome.error.details["errno"] == errno.errorcode[errno.EMFILE]
    )
    contents = {b"%d/a/b/file" % n: b"%d\n" % n for n in range(60)}
    check(root, Expected(possible=[contents]), rerun=lambda repo: commit_all(open_in(repo.root), "first"))
