"""Memory that a process and what it starts may take together; a test is skipped where nothing bounds it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


class Ended(NamedTuple):
    """How a program ended, by exit status or signal, what it said, and the peak of its memory in bytes."""

    code: int
    said: str
    peak: int


class Bounded(NamedTuple):
    """A cgroup with a limit of memory."""

    group: Path

    def dsvc(self, root: Path, *words: str) -> Ended:
        """Run the program within the limit."""
        join = f'echo 0 > "{self.group / "cgroup.procs"}" && exec "$@"'
        process = subprocess.Popen(
            ["sh", "-c", join, "sh", sys.executable, "-m", "dsvc", "-C", str(root), *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        said = process.stdout.read().decode(errors="replace")
        process.wait()
        process.stdout.close()
        self._empty()
        return Ended(process.returncode, said, self._peak())

    def _empty(self) -> None:
        """Wait for the workers of a killed program, which end by themselves."""
        for _ in range(200):
            if not (self.group / "cgroup.procs").read_text().split():
                return
            time.sleep(0.05)

    def _peak(self) -> int:
        """What the group took at most; that of a process would count the one it was forked from."""
        is_v2 = (self.group / "memory.max").exists()
        file = self.group / ("memory.peak" if is_v2 else "memory.max_usage_in_bytes")
        return int(file.read_text()) if file.exists() else 0


@contextmanager
def bounded(limit: int) -> Iterator[Bounded]:
    """Make a group, and remove it with what still runs in it."""
    is_v2 = (_V2 / "cgroup.controllers").exists()
    group = (_V2 if is_v2 else _V1) / f"dsvc-test-{os.getpid()}-{limit}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error.strerror}")
    try:
        try:
            (group / ("memory.max" if is_v2 else "memory.limit_in_bytes")).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"memory can't be bounded here: {error.strerror}")
        with suppress(OSError):
            (group / ("memory.swap.max" if is_v2 else "memory.swappiness")).write_text("0")
        yield Bounded(group)
    finally:
        for _ in range(100):
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)
