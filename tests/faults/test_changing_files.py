"""F34, F35: files that change while verbs read them: read again, then named; never a mix is recorded."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import blake3
import pytest

from dsvc.model.errors import DsvcError
from dsvc.model.run_record import RunKind
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.store.materialize import read_content
from dsvc.testing.checker import check_fsck
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.faultkit import commit_all, open_in, repository, write
from tests.feedbackkit import FeedbackLab
from tests.fusekit import Faults, mounted
from tests.lineagekit import numbered
from tests.readkit import reading

_LARGE = 9 << 20
FILES: dict[str, Callable[[int], bytes]] = {
    "small.bin": lambda number: random.Random(number).randbytes(30_000),
    "表.csv": lambda number: numbered(3000, f"row {number % 10}"),
    "lines.jsonl": lambda number: b'{"id": 1, "n": %d}\n' % (number % 10) * 2000,
    "large.bin": lambda number: random.Random(number).randbytes(1 << 16) * (_LARGE >> 16),
}


class Changing:
    """A file that becomes another version each time that somebody reads it; all that it ever was is known."""

    def __init__(self, path: Path, how: str, make: Callable[[int], bytes], times: int) -> None:
        self.path, self.how, self._make, self._times = path, how, make, times
        self.versions: list[bytes | None] = [make(0)]
        path.write_bytes(make(0))
        self._count, self._pid = 0, os.getpid()

    def change(self, _number: int) -> None:
        # Not in workers, of which nobody would learn what they wrote.
        if self._count >= self._times or os.getpid() != self._pid:
            return
        self._count += 1
        before = self.path.read_bytes() if self.path.is_file() else b""
        self.versions.append(self._changed(before))
        # However coarse the times of the file system are.
        if self.path.is_file():
            os.utime(self.path, ns=(0, self._count))

    def _changed(self, before: bytes) -> bytes | None:
        data = self._make(self._count)
        if self.how == "grows":
            with self.path.open("ab") as file:
                file.write(data[:5000])
        elif self.how == "shrinks":
            os.truncate(self.path, len(before) // 2)
        elif self.how == "becomes a hole":
            os.truncate(self.path, 0)
            os.truncate(self.path, len(before))
        elif self.how == "is written over":
            with self.path.open("r+b") as file:
                file.write(data)
        elif self.how == "is replaced":
            self.path.with_name("beside").write_bytes(data)
            self.path.with_name("beside").replace(self.path)
        else:
            self.path.unlink(missing_ok=True)
            return None
        return self.path.read_bytes()


Result = TypeVar("Result")
HOWS = ("grows", "shrinks", "becomes a hole", "is written over", "is replaced", "is removed")


@pytest.fixture
def root(fast_path: Path) -> str:
    path = str(fast_path / "data")
    Repository.init(path)
    write(path, {b"quiet": b"quiet\n", b".dsvcignore": b"beside\n"})
    commit_all(open_in(path), "first")
    return path


def _typed(command: Callable[[], Result]) -> Result | None:
    """What a command returns, or None where it says why not."""
    try:
        return command()
    except DsvcError:
        return None


def _digests(changing: Changing) -> set[bytes]:
    return {blake3.blake3(each).digest() for each in changing.versions if each is not None}


def _look(changing: Changing, found: bytes | None, what: str) -> None:
    if found is not None and found not in changing.versions:
        raise BrokenPromiseError(f"{what}: a mix of two versions was recorded")
    tried("changing files")


_LARGE_ONES = {("is replaced", False), ("is removed", True), ("shrinks", True)}


def _cases() -> Iterator[object]:
    """Each change of a small file and of a table in every run of the tests, of a large one some."""
    for name, how, tracked in itertools.product(FILES, HOWS, (False, True)):
        large = name == "large.bin"
        often = (how, tracked) in _LARGE_ONES if large else tracked == (name == "表.csv")
        marks = [] if often else [pytest.mark.soak]
        label = f"{name}-{how}-{'tracked' if tracked else 'new'}"
        yield pytest.param(how, name, tracked, marks=marks, id=label)


@pytest.mark.parametrize(("how", "name", "tracked"), list(_cases()))
def test_f34_add_while_a_file_changes(root: str, how: str, name: str, tracked: bool) -> None:
    """Once: what it became is stored. Each time: it is named, and what can be had is."""
    for times in (1, 50):
        path = Path(root, name)
        if tracked:
            path.write_bytes(FILES[name](9)[: -times or None])
            commit_all(open_in(root), f"before {times}")
        changing = Changing(path, how, FILES[name], times)
        write(root, {b"other": b"%d\n" % times})
        with reading(name, before=changing.change):
            result = open_in(root).add(all=True)
        skipped = {os.fsdecode(each.path) for each in result.skipped}
        with repository(root) as repo:
            entries = {os.fsdecode(each.path): each for each in repo.manifest_of("STAGED").entries()}
            entry = entries.get(name)
            found = None if entry is None else read_content(repo.store, entry)
        what = f"add, {name} {how} {times} times"
        assert "other" in entries, what
        assert skipped <= {name}, what
        if not tracked or not skipped:
            _look(changing, found, what)
        if times == 1 and how != "is removed" and (skipped or found != changing.versions[-1]):
            raise BrokenPromiseError(f"{what}: what it became isn't stored")
        path.unlink(missing_ok=True)
        open_in(root).add(all=True)
    with repository(root) as repo:
        check_fsck(repo)


_RUN = ["sh", "-c", "head -n 5 in.csv > out.csv"]
_SPEC = RunSpec(
    name="half", kind=RunKind.FILTER, inputs=[b"in.csv"], outputs=[b"out.csv"], keys={None: ("id",)}
)


@pytest.mark.parametrize("which", ["in.csv", "out.csv"])
@pytest.mark.parametrize("how", HOWS)
def test_f34_a_run_while_its_files_change(root: str, how: str, which: str) -> None:
    """Nothing is recorded, or files that were there as a whole."""
    for times in (1, 50):
        make = FILES["表.csv"]
        inside, outside = Path(root, "in.csv"), Path(root, "out.csv")
        outside.unlink(missing_ok=True)
        inside.write_bytes(make(0))
        first_lines = b"".join(make(0).splitlines(keepends=True)[:5])
        changing = Changing(Path(root, which), how, make, times)
        if which == "out.csv":
            outside.unlink()
            changing.versions = [first_lines]
        what = f"run, {which} {how} {times} times"
        with reading(which, before=changing.change):
            done = _typed(lambda: open_in(root).run(_SPEC, _RUN, environ={"PATH": "/usr/bin:/bin"}))
        if done is None:
            tried("changing files")
            continue
        with repository(root) as repo:
            (artifact,) = done.run.inputs if which == "in.csv" else done.run.outputs
            if artifact.digest not in _digests(changing):
                raise BrokenPromiseError(f"{what}: a mix of two versions was recorded")
            tried("changing files")
            check_fsck(repo)


@pytest.mark.parametrize("how", HOWS)
def test_f34_feedback_while_its_file_changes(tmp_path: Path, how: str) -> None:
    lab = FeedbackLab(tmp_path)
    head = b'{"suite": "s", "model": "m"}\n'

    def make(number: int) -> bytes:
        line = b'{"row": {"id": %d}, "symptom": "typo"}\n'
        return head + b"".join(line % (n % 20) for n in range(number % 7, number % 7 + 9))

    for times in (1, 50):
        changing = Changing(lab.files / "result.jsonl", how, make, times)
        with reading("result.jsonl", before=changing.change):
            done = _typed(
                lambda path=changing.path, suite=f"s{times}": lab.repo.feedback_import(
                    str(path), subject="a.jsonl", suite=suite
                )
            )
        if done is not None:
            record = lab.repo.feedback(done.feedback)
            entry = next(
                each
                for each in lab.repo.manifest(record.root).entries()
                if each.digest == record.record.evidence_digest
            )
            _look(changing, read_content(lab.repo.store, entry), f"feedback file {how}")
        tried("changing files")
    check_fsck(lab.repo)


@pytest.mark.parametrize("rounds", [5, pytest.param(60, marks=pytest.mark.soak)])
def test_f35_within_a_tick_of_two_seconds(tmp_path: Path, rounds: int) -> None:
    """Where times are that coarse, what has the same size, inode and times is seen all the same."""
    rng = random.Random(35)
    with mounted(tmp_path / "fuse", Faults(coarse=2_000_000_000)) as disk:
        root = str(disk.root / "repo")
        Repository.init(root).config.set("core.durability", "none")
        path = Path(root, "file")
        path.write_bytes(b"0000")
        commit_all(open_in(root), "first")
        for number in range(1, rounds + 1):
            open_in(root).status()
            before = os.stat(path)
            with path.open("r+b") as file:
                file.write(b"%04d" % number)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            found = [change.path for change in open_in(root).status().unstaged]
            if found != [b"file"]:
                raise BrokenPromiseError(f"change {number} isn't seen")
            assert open_in(root).add(all=True).modified == 1
            time.sleep(rng.uniform(0, 0.4))
            open_in(root).commit(f"{number}", allow_empty=True)
    tried("changing files", rounds)
