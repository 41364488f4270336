"""P2, P4: an operation fails or writes less than asked; nothing is lost, and the command runs again."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import StorageError
from dsvc.model.ids import CommitId
from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import Expected, check, check_files, leftovers, tree_state, unchanged
from dsvc.testing.faults import (
    ERRORS,
    BrokenPromiseError,
    Fault,
    Image,
    count_operations,
    points,
    run_in_child,
    tried,
)
from tests import scenarios
from tests.faultkit import commit_all, open_in, repository, state, write
from tests.resident import resident
from tests.slim import in_slim_process


def _id(fault: Fault) -> str:
    return fault.action.value + ("-persistent" if fault.persistent else "")


@pytest.mark.parametrize(
    ("fault", "name", "step", "first"),
    [(fault, *stride) for fault in ERRORS for stride in scenarios.strides(fault)],
    ids=scenarios.ids(ERRORS),
)
@in_slim_process
def test_f7_errors_of_every_kind(fast_path: Path, fault: Fault, name: str, step: int, first: int) -> None:
    scenarios.make(name, fast_path / "scenario").loop(fast_path, fault, step=step, first=first)


@pytest.mark.parametrize("fault", ERRORS, ids=_id)
@in_slim_process
def test_f7_init(fast_path: Path, fault: Fault) -> None:
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


@pytest.mark.parametrize("action", [Action.ENOSPC, Action.EDQUOT], ids=lambda action: action.value)
@pytest.mark.parametrize("name", ["add", "commit", "checkout"])
@in_slim_process
def test_f7_an_error_is_told_and_names_what_to_do(fast_path: Path, name: str, action: Action) -> None:
    """Without an error of its own a command that met ENOSPC throughout has done its work."""
    scenario = scenarios.make(name, fast_path / "scenario")
    fault = Fault(action=action, persistent=True)
    for root, outcome in points(scenario.image, str(fast_path), scenario.run, fault, step=9):
        if isinstance(outcome.error, StorageError):
            assert outcome.error.exit_code == 33
            assert "free some space" in (outcome.error.hint or "")
            assert outcome.error.details["errno"] == action.name
        else:
            assert outcome.error is None
            with repository(root) as repo:
                staged = repo.staged()
                assert (repo.head_root(repo.history.refs.head()), staged.root) == scenario.end[1:3]


# An fsync that fails


@pytest.mark.parametrize(
    "name",
    [
        *("add", "commit", "gc", "merge", "tag"),
        *(
            pytest.param(name, marks=pytest.mark.soak)
            for name in scenarios.COMMANDS
            if name not in ("add", "commit", "gc", "merge", "tag")
        ),
    ],
)
@in_slim_process
def test_f6_an_fsync_that_fails_is_never_tried_again(fast_path: Path, name: str) -> None:
    """EIO at each fsync, once: what it was for is thrown away, and the command run again makes it anew."""
    scenario = scenarios.make(name, fast_path / "scenario")
    names = count_operations(scenario.image, str(fast_path), scenario.run)
    for at in [number for number, each in enumerate(names, 1) if each in ("fsync", "fsync_folder")]:
        root = str(fast_path / str(at))
        scenario.image.lay_out(root)

        def command(root: str = root, at: int = at) -> None:
            seen: list[tuple[str, str]] = []
            plan = Plan(action=Action.EIO, at=at, observer=lambda _, *what: seen.append(what))
            try:
                with armed(plan):
                    scenario.run(root)
            finally:
                again = [each for each in seen[at:] if each == seen[at - 1] and each[0] == "fsync"]
                if plan.fired and again:
                    raise BrokenPromiseError(f"{again[0][1]} was flushed again after it had failed")

        outcome = run_in_child(command)
        tried("disk errors")
        assert outcome.error is None or isinstance(outcome.error, StorageError)
        if outcome.error is None:
            # Refs had moved for every reader, or it was a cache: nothing that was acknowledged is lost.
            with repository(root) as repo:
                assert state(repo) == scenario.end
        scenario.check(root)
        shutil.rmtree(root)


_WHEN = [1, *(pytest.param(number, marks=pytest.mark.soak) for number in range(2, 12))]


@pytest.mark.parametrize("when", _WHEN)
@pytest.mark.parametrize("verb", ["add", "commit", "gc"])
def test_f6_the_program_by_strace(fast_path: Path, verb: str, when: int) -> None:
    """The same below Python, where libraries written in C flush too."""
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    scenario = scenarios.make(verb, fast_path / "scenario")
    root, log = str(fast_path / "case"), str(fast_path / "log")
    scenario.image.lay_out(root)
    inject = f"inject=fsync,fdatasync,syncfs,sync_file_range:error=EIO:when={when}"
    trace = ["strace", "-f", "--seccomp-bpf", "-o", log, "-e", "trace=fsync,fdatasync,syncfs", "-e", inject]
    words = {"add": ["add", "--all"], "commit": ["commit", "-m", "second"], "gc": ["gc", "--grace", "0s"]}[
        verb
    ]
    done = subprocess.run(
        [*trace, sys.executable, "-m", "dsvc", "-C", root, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr and done.returncode not in (0, 33):
        pytest.skip("nothing can be traced here")
    tried("disk errors")
    injected = "(INJECTED)" in Path(log).read_text()
    assert done.returncode == (33 if injected else 0) or "refs have moved" in done.stderr, done.stderr
    assert injected or when > 1
    scenario.check(root)


# Disks that are full


def test_f7_f8_a_full_disk(tmp_path: Path) -> None:
    """On a disk of 7 MB: add fails, reading commands and gc work without a byte, and then it goes on."""
    mount = _mount_tmpfs(tmp_path, "size=7m")
    try:
        root = str(mount)
        Repository.init(root)
        repo = open_in(root)
        write(root, {b"small": b"small\n"})
        first = commit_all(repo, "first")
        # What nobody needs any more: packs of which gc would keep a part, and one of which it keeps nothing.
        for number in range(3):
            write(root, {b"scratch": os.urandom(200_000), b"kept%d" % number: os.urandom(100_000)})
            repo.add(all=True)
        os.remove(mount / "scratch")
        write(root, {b"gone": os.urandom(100_000)})
        with armed(Plan(observer=_no_operations)), pytest.raises(StorageError):
            open_in(root).add([b"gone"])
        os.remove(mount / "gone")
        second = commit_all(repo, "second")
        contents = {path: data for path, (_, data) in tree_state(root).items()}
        write(root, {b"large": os.urandom(1_400_000), b"small": b"changed\n"})
        files = unchanged(tree_state(root))
        filler = mount / "filler"
        filler.write_bytes(bytes(os.statvfs(mount).f_bavail * 4096 - 300_000))
        with pytest.raises(StorageError) as caught:
            repo.add([b"large"])
        tried("full disks")
        assert caught.value.details["errno"] == "ENOSPC"
        assert "free some space" in (caught.value.hint or "")
        _fill(filler)
        _works_without_a_byte(root, [second, first])
        used = _stored(root)
        _dsvc(root, "gc", "--grace", "0s")
        assert _stored(root) < used
        _fill(filler)
        _dsvc(root, "gc", "--grace", "0s")
        assert not leftovers(root)
        filler.unlink()
        check(
            root,
            Expected(commits={first: {b"small": b"small\n"}, second: contents}, files=files),
            rerun=lambda r: r.add(all=True),
        )
        repo.backend.forget()
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def _no_operations(_number: int, name: str, path: str) -> None:
    """What is stored is stored then, and nobody needs it."""
    if "operations.lock" in path:
        raise OSError(errno.EIO, name, path)


def _works_without_a_byte(root: str, log: list[CommitId]) -> None:
    assert os.statvfs(root).f_bavail == 0
    said = {
        name: _dsvc(root, *name.split())
        for name in (
            "status",
            "log --oneline",
            "fsck",
            "fsck --read-data",
            "diff",
            "cat HEAD:small",
            "show",
            "ls",
        )
    }
    assert "small" in said["status"]
    assert len(said["log --oneline"].splitlines()) == len(log)
    assert "+changed" in said["diff"]
    assert said["cat HEAD:small"] == "small\n"
    assert "kept0" in said["ls"]
    tried("full disks", len(said))


def _dsvc(root: str, *words: str) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": root, "LC_ALL": "C.UTF-8"}
    done = resident().run(*words, folder=Path(root), environ=environ)
    if done.returncode:
        raise BrokenPromiseError(f"dsvc {' '.join(words)} ended with {done.returncode}: {done.stderr!r}")
    return done.stdout.decode()


def _stored(root: str) -> int:
    packs = Path(root, ".dsvc")
    return sum(each.stat().st_size for each in packs.rglob("*.pack"))


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


def test_f9_no_inodes_left(tmp_path: Path) -> None:
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


def test_f9_no_inodes_left_for_a_checkout(tmp_path: Path) -> None:
    """It stops with an error, the version before can be had again, and with inodes it goes through."""
    mount = _mount_tmpfs(tmp_path, "nr_inodes=220")
    try:
        root = str(mount)
        Repository.init(root)
        repo = open_in(root)
        many = {b"many/%d" % number: b"%d\n" % number for number in range(60)}
        write(root, {b"one": b"one\n"})
        first = commit_all(repo, "first")
        write(root, many)
        second = commit_all(repo, "second")
        repo.checkout(str(first))
        filler = []
        with contextlib.suppress(OSError):
            for number in range(200):
                (mount / f"filler{number}").touch()
                filler.append(mount / f"filler{number}")
        for path in filler[:30]:
            path.unlink()
        with pytest.raises(StorageError) as caught:
            open_in(root).checkout("main")
        tried("disk errors")
        assert caught.value.details["errno"] == "ENOSPC"
        assert (mount / "one").read_bytes() == b"one\n"
        for path in filler[30:]:
            path.unlink()
        contents = {b"one": b"one\n", **many}
        check(
            root,
            Expected(commits={first: {b"one": b"one\n"}, second: contents}),
            rerun=lambda r: open_in(r.root).checkout("main", force=True),
        )
        assert {path: data for path, (_, data) in tree_state(root).items()} == contents
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
