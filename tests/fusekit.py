"""A file system that lies: a folder seen through FUSE, with errors, wrong bytes, names that fold.

`mounted` shows a folder at another place, by a process of its own. `Faults` says what is wrong there, and
can be changed meanwhile; what the kernel has read of a file that is open stays as it was read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[1]
_FOLDS: dict[str, Callable[[str], str]] = {
    "": lambda name: name,
    "case": str.casefold,
    "nfc": lambda name: unicodedata.normalize("NFC", name),
    "both": lambda name: unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()),
}


class Range(NamedTuple):
    """Files by pattern (of the path below the mount, `*` goes over slashes), and which of their bytes."""

    pattern: str
    start: int = 0
    end: int = 1 << 62


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the file system.

    Attributes
    ----------
    eio : sequence of Range
        Reading one of these bytes fails.
    wrong : sequence of Range
        The lowest bit of each of these bytes is read the other way round.
    short : sequence of str
        Patterns of files of which a read gives at most seven bytes, past the kernel's cache.
    fold : str
        Names that are one: ``case``, ``nfc`` or ``both``; as they were written they are listed.
    refused : dict of str to str
        Names of operations (``rename``, ``link``, ``flock``…) to the name of the error that they give.
    coarse : int
        Nanoseconds that times are rounded down to.
    """

    eio: Sequence[Range] = ()
    wrong: Sequence[Range] = ()
    short: Sequence[str] = ()
    fold: str = ""
    refused: dict[str, str] = {}
    coarse: int = 1


class Mounted(NamedTuple):
    """A mounted folder: `root` as dsvc sees it, `below` as it is."""

    root: Path
    below: Path
    control: Path

    def set(self, faults: Faults) -> None:
        """Change what is wrong, from the next operation on."""
        beside = self.control.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(faults))
        beside.rename(self.control)


def need_fuse() -> None:
    """Skip a test where nothing can be mounted."""
    for program in ("fusermount3", "fusermount"):
        if shutil.which(program):
            break
    else:
        pytest.skip("fusermount3 is not installed")
    if importlib.util.find_spec("mfusepy") is None:
        pytest.skip("mfusepy is not installed")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("/dev/fuse can't be opened")


@contextlib.contextmanager
def mounted(folder: Path, faults: Faults | None = None) -> Iterator[Mounted]:
    """Show ``folder/below`` at ``folder/mount`` for the length of the block."""
    need_fuse()
    found = Mounted(folder / "mount", folder / "below", folder / "faults.json")
    for path in (folder, found.root, found.below):
        path.mkdir(exist_ok=True)
    found.set(faults or Faults())
    words = [sys.executable, "-m", "tests.fusekit", *map(str, (found.below, found.root, found.control))]
    server = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        if server.stdout.readline() != b"ready\n":
            pytest.skip("nothing can be mounted by FUSE here")
        yield found
    finally:
        unmount = shutil.which("fusermount3") or "fusermount"
        subprocess.run([unmount, "-u", "-z", str(found.root)], check=False, stderr=subprocess.DEVNULL)
        try:
            # Who still has a file of it mapped keeps it: nothing is lost by not waiting for them.
            server.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()


class _Seen:
    """The operations of FUSE on a folder. A path of FUSE begins with a slash."""

    use_ns = True

    def __init__(self, below: str, control: str) -> None:
        self._below = below
        self._control = control
        self._stamp: tuple[int, int] | None = None
        self._faults = Faults()

    @property
    def faults(self) -> Faults:
        stat = os.stat(self._control)
        if (stat.st_ino, stat.st_mtime_ns) != self._stamp:
            self._stamp = (stat.st_ino, stat.st_mtime_ns)
            self._faults = msgspec.json.decode(Path(self._control).read_bytes(), type=Faults)
        return self._faults

    def _at(self, path: str, operation: str = "") -> str:
        """Where a path is; each part is the name that it is one with, if there is one."""
        refused = self.faults.refused.get(operation)
        if refused is not None:
            raise OSError(getattr(errno, refused), operation)
        fold = _FOLDS[self.faults.fold]
        at = self._below
        for part in path.strip("/").split("/"):
            beside = os.path.join(at, part)
            if self.faults.fold and not os.path.lexists(beside) and os.path.isdir(at):
                part = next((name for name in os.listdir(at) if fold(name) == fold(part)), part)
            at = os.path.join(at, part)
        return at.rstrip("/")

    def _meets(self, ranges: Sequence[Range], path: str, start: int, end: int) -> Iterator[Range]:
        for each in ranges:
            if fnmatchcase(path.lstrip("/"), each.pattern) and start < each.end and each.start < end:
                yield each

    def _reads_short(self, path: str) -> bool:
        return any(fnmatchcase(path.lstrip("/"), pattern) for pattern in self.faults.short)

    def init(self, path: str) -> None:
        os.write(1, b"ready\n")

    def getattr(self, path: str, fi: Any = None) -> dict[str, Any]:
        stat = os.lstat(self._at(path)) if fi is None else os.fstat(fi.fh)
        found = {name: getattr(stat, name) for name in dir(stat) if name.startswith("st_")}
        for name in ("st_atime", "st_mtime", "st_ctime"):
            found[name] = found[name + "_ns"] // self.faults.coarse * self.faults.coarse
        return found

    def readdir(self, path: str, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        # A number has to be there: without it the C library leaves a name out.
        for name in (".", ".."):
            yield name, {"st_ino": 1}, 0
        with os.scandir(self._at(path)) as found:
            for item in found:
                stat = item.stat(follow_symlinks=False)
                yield item.name, {"st_ino": stat.st_ino, "st_mode": stat.st_mode}, 0

    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    def statfs(self, path: str) -> dict[str, int]:
        stat = os.statvfs(self._below)
        return {name: getattr(stat, name) for name in dir(stat) if name.startswith("f_")}

    def open(self, path: str, fi: Any) -> int:
        fi.fh = os.open(
            self._at(path, "open"), fi.flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND)
        )
        fi.direct_io = self._reads_short(path)
        return 0

    def create(self, path: str, mode: int, fi: Any) -> int:
        fi.fh = os.open(self._at(path, "create"), os.O_RDWR | os.O_CREAT | fi.flags & os.O_EXCL, mode)
        return 0

    def read(self, path: str, size: int, offset: int, fi: Any) -> bytes:
        faults = self.faults
        if next(self._meets(faults.eio, path, offset, offset + size), None) is not None:
            raise OSError(errno.EIO, "read")
        if self._reads_short(path):
            size = min(size, 7)
        data = bytearray(os.pread(fi.fh, size, offset))
        for each in self._meets(faults.wrong, path, offset, offset + len(data)):
            for place in range(max(each.start, offset), min(each.end, offset + len(data))):
                data[place - offset] ^= 1
        return bytes(data)

    def write(self, path: str, data: bytes, offset: int, fi: Any) -> int:
        self._at(path, "write")
        return os.pwrite(fi.fh, data, offset)

    def truncate(self, path: str, length: int, fi: Any = None) -> int:
        os.truncate(self._at(path, "truncate") if fi is None else fi.fh, length)
        return 0

    def release(self, path: str, fi: Any) -> int:
        os.close(fi.fh)
        return 0

    def fsync(self, path: str, datasync: int, fi: Any) -> int:
        self._at(path, "fsync")
        os.fsync(fi.fh)
        return 0

    def flock(self, path: str, fi: Any, operation: int) -> int:
        self._at(path, "flock")
        # One process serves all: a lock that is taken is waited for by who asks, not here.
        fcntl.flock(fi.fh, operation | fcntl.LOCK_NB)
        return 0

    def rename(self, old: str, new: str) -> int:
        os.rename(self._at(old, "rename"), self._at(new))
        return 0

    def link(self, name: str, source: str) -> int:
        os.link(self._at(source, "link"), self._at(name), follow_symlinks=False)
        return 0

    def symlink(self, name: str, target: str) -> int:
        os.symlink(target, self._at(name, "symlink"))
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self._at(path, "unlink"))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path, "mkdir"), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._at(path, "rmdir"))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._at(path, "chmod"), mode)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        now = (time.time_ns(), time.time_ns())
        os.utime(self._at(path), ns=times or now, follow_symlinks=False)
        return 0


def _serve(below: str, mount: str, control: str) -> None:
    """Serve until it is unmounted; the kernel remembers no names, so that it asks for those that fold."""
    import mfusepy  # type: ignore[import-untyped]

    os.umask(0)
    fresh = {"entry_timeout": 0, "attr_timeout": 0, "negative_timeout": 0}
    mfusepy.FUSE(
        _Seen(below, control), mount, raw_fi=True, foreground=True, nothreads=True, use_ino=True, **fresh
    )


if __name__ == "__main__":
    _serve(*sys.argv[1:])
