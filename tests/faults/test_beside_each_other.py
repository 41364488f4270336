"""F30, F31: readers, writers and gc at once: right bytes or told that they are gone, no live chunk lost."""

from __future__ import annotations

import contextlib
import os
import random
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsvc.model.errors import (
    ConcurrentChangeError,
    DsvcError,
    LockedError,
    MissingDataError,
)
from dsvc.model.run_record import RunKind
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.run_recording import ChangedOutsideError
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.testing.checker import check_fsck, opened
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.faultkit import AUTHOR, commit_all, open_in, write
from tests.lineagekit import numbered
from tests.racekit import Stopped, together

ENVIRON = {"PATH": "/usr/bin:/bin"}
TABLE = numbered(40, "row")
FILTER = RunSpec(
    name="half", kind=RunKind.FILTER, inputs=[b"raw.csv"], outputs=[b"kept.csv"], keys={None: ("id",)}
)
FIELDS = {
    "title": "x",
    "acquisition": "self_generated",
    "legal_basis": "consent",
    "license_expression": "CC0-1.0",
}
SECONDS = int(os.environ.get("DSVC_SOAK_SECONDS", "3600"))


def _impatient(root: str) -> Repository:
    return Repository.open(root, author=AUTHOR, lock_timeout=0.0, vouches=lambda *_: True)


def _prepared(root: str) -> None:
    """A table, what a run made of it, two more versions, and rubbish."""
    Repository.init(root)
    write(root, {b"raw.csv": TABLE, b"pair/a": _version(0), b"pair/b": _version(0)})
    repo = open_in(root)
    repo.add(all=True)
    repo.source_add("web", [b"raw.csv"], fields=FIELDS)
    repo.commit("data")
    open_in(root).run(FILTER, ["sh", "-c", "head -n 9 raw.csv > kept.csv"], environ=ENVIRON)
    commit_all(open_in(root), "run")
    write(root, {b"scratch": random.Random(5).randbytes(9000)})
    open_in(root).add(all=True)
    write(root, {b"scratch": b"", b"raw.csv": TABLE.replace(b"row", b"ROW", 3)})
    commit_all(open_in(root), "edited")
    open_in(root).create_branch("first", "HEAD~1")


def _version(number: int) -> bytes:
    return random.Random(number % 7).randbytes(20_000 + number % 7 * 5000)


def _archived(repo: Repository, rev: str, folder: Path) -> dict[str, bytes]:
    path = folder / f"archive-{os.getpid()}.tar"
    path.unlink(missing_ok=True)
    repo.archive(rev, str(path))
    with tarfile.open(path) as tar:
        files = {each.name: tar.extractfile(each) for each in tar if each.isfile()}
        return {name: b"" if file is None else file.read() for name, file in files.items()}


def _cat(repo: Repository, rev: str) -> dict[bytes, bytes]:
    found = {}
    for entry in repo.ls(rev, recursive=True):
        with repo.open_file(entry.path, rev) as stream:
            found[entry.path] = stream.read()
    return found


def _answers(repo: Repository, head: str, folder: Path) -> dict[str, Callable[[], Any]]:
    """Verbs that read, each with all that it says of versions that stay as they are."""
    return {
        "cat": lambda: [_cat(repo, rev) for rev in (head, "first", f"{head}~2")],
        "diff": lambda: [(each.path, each.kind) for each in repo.diff("first", head).changes],
        "rows": lambda: [_rows(repo, "first", head)],
        "sql": lambda: repo.sql(f"SELECT count(*) FROM dsvc('{head}:raw.csv')").to_pylist(),
        "archive": lambda: _archived(repo, head, folder),
        "trace": lambda: _traced(repo, f"{head}:kept.csv"),
        "log": lambda: [each.commit.id for each in repo.log(head)],
        "fsck": lambda: repo.fsck(read_data=True).ok,
    }


def _rows(repo: Repository, old: str, new: str) -> object:
    result = repo.diff(old, new)
    change = next(each for each in result.changes if each.path == b"raw.csv")
    return repo.table_diff(change, result, key=["id"])


def _traced(repo: Repository, target: str) -> object:
    found = repo.trace(target)
    return found.complete, [(each.step.artifact.path, each.step.artifact.digest) for each in found.steps]


_OTHERS: dict[str, Callable[[str], object]] = {
    "gc": lambda root: _impatient(root).gc(grace_seconds=0),
    "commit": lambda root: commit_all(_impatient(root), "more"),
}


@pytest.mark.parametrize(
    ("other", "every"),
    [pytest.param(name, 15, id=name) for name in _OTHERS]
    + [pytest.param(name, 1, id=f"{name}-all", marks=pytest.mark.soak) for name in _OTHERS],
)
def test_f31_readers_at_writes_of_others(fast_path: Path, other: str, every: int) -> None:
    """Who began before and who begins now: both are told the same, wherever the other one stands."""
    root = str(fast_path / "data")
    _prepared(root)
    write(root, {b"raw.csv": TABLE * 2, b"pair/a": _version(3)})
    with opened(root) as repo:
        head = str(repo.history.refs.head().commit)
        right = {verb: ask() for verb, ask in _answers(repo, head, fast_path).items()}
    kept = _impatient(root)
    for ask in _answers(kept, head, fast_path).values():
        ask()
    streams = [kept.open_file(b"pair/a", head) for _ in range(2)]
    begun = [stream.read(5000) for stream in streams]
    work = Stopped(lambda: _OTHERS[other](root), 1, every)
    reads = 0
    try:
        while work.waits:
            with _impatient(root) as fresh:
                for repo in (kept, fresh):
                    reads += _ask_all(repo, head, fast_path, right)
            work.next()
    finally:
        outcome = work.end()
    assert outcome.error is None
    for stream, beginning in zip(streams, begun, strict=True):
        if beginning + stream.read() != _version(0):
            raise BrokenPromiseError("a file that was open came out otherwise")
        stream.close()
    _ask_all(kept, head, fast_path, right)
    kept.close()
    assert reads > 20
    tried("reads beside others", reads)


def _ask_all(repo: Repository, head: str, folder: Path, right: dict[str, Any]) -> int:
    count = 0
    for verb, ask in _answers(repo, head, folder).items():
        try:
            found = ask()
        except LockedError:
            # Who checks everything waits for who moves packs.
            if verb != "fsck":
                raise
            continue
        if found != right[verb]:
            raise BrokenPromiseError(f"{verb} says {found!r:.300}, not {right[verb]!r:.300}")
        count += 1
    return count


def test_f31_what_was_staged_once_is_right_or_gone(fast_path: Path) -> None:
    """Somebody reads a staged file; it is staged anew, and gc takes what it was."""
    root = str(fast_path / "data")
    _prepared(root)
    data = random.Random(3).randbytes(300_000)
    write(root, {b"new": data})
    open_in(root).add(all=True)
    with open_in(root) as repo, repo.open_file(b"new", "STAGED") as stream:
        begun = stream.read(1000)
        manifest = repo.manifest_of("STAGED")
        write(root, {b"new": b"other\n"})
        open_in(root).add(all=True)
        open_in(root).undo(str(open_in(root).operations()[0].id))
        open_in(root).gc(grace_seconds=0)
        with contextlib.suppress(MissingDataError):
            assert begun + stream.read() == data
        with contextlib.suppress(MissingDataError):
            assert any(entry.path == b"new" for entry in manifest.entries())
    tried("reads beside others", 2)


# All at once, for a while

Until = Callable[[], bool]


def _until(seconds: float) -> Until:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


@contextlib.contextmanager
def _or_told() -> Iterator[None]:
    """Others may be first, or in the way."""
    with contextlib.suppress(LockedError, ConcurrentChangeError, ChangedOutsideError):
        yield


def _write_on(root: str, who: int, going_on: Until) -> int:
    """Commit a pair of equal files, again and again; one of the writers also records runs."""
    count = 0
    while going_on():
        count += 1
        folder = f"own/{who}"
        data = _version(count + who)
        write(root, {f"{folder}/a".encode(): data, f"{folder}/b".encode(): data})
        with _or_told():
            repo = open_in(root)
            repo.add([folder.encode()])
            repo.commit(f"{who} {count}", allow_empty=True)
        if who == 0 and count % 3 == 0:
            with _or_told():
                open_in(root).run(
                    FILTER, ["sh", "-c", f"head -n {count % 30 + 2} raw.csv > kept.csv"], environ=ENVIRON
                )
        if count % 5 == 0:
            with _or_told():
                open_in(root).create_tag(f"t-{who}-{count}")
        # A run is refused if a tracked file changes meanwhile.
        time.sleep(0.2 if who else 0.02)
    return count


def _collect_on(root: str, going_on: Until) -> int:
    count = 0
    while going_on():
        with _or_told():
            open_in(root).gc(grace_seconds=1)
            count += 1
        time.sleep(0.1)
    return count


def _read_on(root: str, who: int, going_on: Until) -> int:
    """Every answer is right and none fails; each round as a process of its own would begin."""
    known = {_version(number) for number in range(7)}
    rng = random.Random(who)
    kept = open_in(root)
    count = 0
    while going_on():
        with open_in(root) as fresh:
            for repo in (kept, fresh):
                repo.status(untracked="all")
                recent = [each.commit.id for each in repo.log(limit=20)]
                for rev in (recent[0], rng.choice(recent)):
                    _read_pairs(repo, str(rev), known)
                    count += 1
                assert repo.trace("first:kept.csv").complete
    return count


def _read_pairs(repo: Repository, rev: str, known: set[bytes]) -> None:
    try:
        found = _cat(repo, rev)
    except DsvcError as error:
        raise BrokenPromiseError(f"a live version can't be read: {error}") from error
    for path, data in found.items():
        folder, _, name = path.rpartition(b"/")
        if name == b"a" and found.get(folder + b"/b") != data and folder == b"pair":
            raise BrokenPromiseError(f"{path!r} is of another version than what is beside it")
        if name in (b"a", b"b") and data not in known:
            raise BrokenPromiseError(f"{path!r} has bytes that nobody wrote")


@pytest.mark.parametrize("seconds", [8, pytest.param(SECONDS, id="soak", marks=pytest.mark.soak)])
def test_f29_f30_f31_writers_readers_and_gc_at_once(fast_path: Path, seconds: int) -> None:
    root = str(fast_path / "data")
    _prepared(root)
    going_on = _until(seconds)
    jobs: list[Callable[[], int]] = [lambda who=who: _write_on(root, who, going_on) for who in range(2)]
    jobs.append(lambda: _collect_on(root, going_on))
    jobs += [lambda who=who: _read_on(root, who, going_on) for who in range(3)]
    first, second, collected, *read = together(jobs)
    assert min(first, second, collected, *read) >= 3
    with opened(root) as repo:
        check_fsck(repo)
        if not repo.fsck(read_data=True).ok:
            raise BrokenPromiseError("live chunks lost")
    tried("reads beside others", sum(read))
    tried("writes beside gc", first + second)
