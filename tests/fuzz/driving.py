"""Fuzzing one target in a process of its own, which libFuzzer never leaves alive."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from dsvc.model.errors import DsvcError
from tests.fuzz.mutating import mutants
from tests.fuzz.registry import Target, found_inputs

MOST_CPU_SECONDS: Final = 2.0
"""Processor time of one input."""
MOST_BYTES: Final = 512 << 20
"""What one input may add to the memory of the process."""
_STUCK_SECONDS = 120
"""Where no signal is answered any more, libFuzzer ends the process; by the clock, so much later."""
_MOST_KINDS = 20
_RENEWED = 512
"""Inputs after which the memory that is used is looked at anew."""
_MUTANTS = 60
"""Inputs with values exchanged, for each seed."""
_COUNTS = struct.Struct("<QQ")


class SlowInputError(Exception):
    """An input took longer than any may."""


class Finding(NamedTuple):
    """An input that broke the promise.

    Attributes
    ----------
    what : str
        The last lines of the trace, or how the process ended.
    path : str
        Where the input is kept; empty where it isn't known.
    """

    what: str
    path: str


class Fuzzed(NamedTuple):
    """What came of a target.

    Attributes
    ----------
    runs : int
        Inputs that were tried.
    accepted : int
        Those that weren't refused.
    """

    name: str
    runs: int
    accepted: int
    findings: list[Finding]


class _Counts:
    """Two numbers that the child counts up and the parent reads."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        self.runs = self.accepted = 0

    def write(self) -> None:
        _COUNTS.pack_into(self._shared, 0, self.runs, self.accepted)

    def read(self) -> tuple[int, int]:
        return _COUNTS.unpack_from(self._shared, 0)


class Trial:
    """Runs inputs, and keeps one of each kind that breaks the promise; goes on after it.

    Parameters
    ----------
    folder : Path
        Where such inputs are kept.
    renew : callable or None
        Called now and then, and after a finding: what libFuzzer and the heap keep is no input's doing.
    """

    def __init__(
        self,
        target: Target,
        folder: Path,
        counts: _Counts | None = None,
        renew: Callable[[], None] | None = None,
    ) -> None:
        self._renew = renew or (lambda: None)
        self._target = target
        self._folder = folder
        self._counts = counts or _Counts()
        self._kinds: set[str] = set()

    def __call__(self, data: bytes) -> None:
        """Try one input."""
        self._counts.runs += 1
        if self._counts.runs % _RENEWED == 0:
            self._renew()
        try:
            run_bounded(self._target.parse, data)
            self._counts.accepted += 1
        except DsvcError:
            pass
        except (Exception, RecursionError, MemoryError) as error:
            self._renew()
            self._keep(error, data)
        self._counts.write()

    @property
    def accepted(self) -> int:
        """Inputs that weren't refused."""
        return self._counts.accepted

    def findings(self) -> list[str]:
        """What broke the promise, a line for each kind."""
        return [path.read_text("utf-8") for path in sorted(self._folder.glob("*.txt"))]

    def _keep(self, error: BaseException, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        where = "; ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames[-4:])
        kind = f"{type(error).__name__} at {where}"
        if kind in self._kinds or len(self._kinds) >= _MOST_KINDS:
            return
        self._kinds.add(kind)
        path = self._folder / f"{len(self._kinds):02}"
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(f"{kind}: {str(error)[:300]!r}", "utf-8")


def run_bounded(parse: Callable[[bytes], object], data: bytes) -> None:
    """Run a parser on an input.

    Raises
    ------
    SlowInputError
        If it takes more than `MOST_CPU_SECONDS` of the processor.
    """
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_SECONDS)
    try:
        parse(data)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _too_slow(number: int, frame: Any) -> None:
    raise SlowInputError(f"an input took {MOST_CPU_SECONDS} s of the processor")


def watch_the_processor() -> None:
    """Let inputs that take too long raise."""
    signal.signal(signal.SIGPROF, _too_slow)


def fuzz(target: Target, *, runs: int, seconds: int, seed: int, keep: Path) -> Fuzzed:
    """Fuzz a target in a forked child.

    Parameters
    ----------
    runs, seconds : int
        How many inputs at most, and how long at most; 0: no bound of this kind.
    keep : Path
        Where inputs that break the promise are put, in a folder of the target's name.
    """
    # A corpus of thousands of small files: in memory where there is such a thing.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    scratch = Path(tempfile.mkdtemp(prefix="dsvc-fuzz-", dir=memory))
    counts = _Counts()
    pid = 0
    try:
        for name in ("corpus", "found"):
            (scratch / name).mkdir()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _be_child(target, scratch, counts, (runs, seconds, seed))
        _, status = os.waitpid(pid, 0)
        pid = 0
        findings = _findings(target, scratch, status, keep)
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        shutil.rmtree(scratch, ignore_errors=True)
    return Fuzzed(target.name, *counts.read(), findings)


def _be_child(target: Target, scratch: Path, counts: _Counts, bounds: tuple[int, int, int]) -> None:
    """Fuzz; never returns."""
    try:
        import atheris

        _end_with_the_parent()
        os.chdir(scratch)
        tempfile.tempdir = str(scratch)
        log = os.open("log", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        runs, seconds, seed = bounds
        seeds = [*target.seeds(), *found_inputs(target.name)]
        seeds += [each for whole in target.seeds() for each in mutants(target.form, whole, _MUTANTS, seed)]
        for number, data in enumerate(seeds):
            (scratch / "corpus" / f"seed-{number}").write_bytes(data)
        longest = max(target.longest, *map(len, seeds))
        # libFuzzer counts the seeds too, and runs an empty input first.
        words = [f"-runs={runs + len(seeds) + 1}" if runs else "-runs=-1", f"-seed={seed}"]
        words += [f"-max_total_time={seconds}", f"-max_len={longest}", f"-timeout={_STUCK_SECONDS}"]
        words += ["-rss_limit_mb=0", "-len_control=0", "-artifact_prefix=died-", "-close_fd_mask=0"]
        watch_the_processor()
        gc.collect()
        _limit_memory()
        atheris.Setup(["fuzz", *words, "corpus"], Trial(target, scratch / "found", counts, _limit_memory))
        atheris.Fuzz()
    except BaseException:
        traceback.print_exc()
    os._exit(99)


def _end_with_the_parent() -> None:
    """Let the kernel end this process when the one that waits for it is gone."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _limit_memory() -> None:
    """Allow `MOST_BYTES` more than is used now, freed parts of the heap given back."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm", "rb") as stream:
        now = int(stream.read().split()[0]) * mmap.PAGESIZE
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (now + MOST_BYTES, hard))


def _findings(target: Target, scratch: Path, status: int, keep: Path) -> list[Finding]:
    """What the child left behind; inputs are copied to where they are kept."""
    found: list[tuple[str, Path | None]] = [
        (path.read_text("utf-8"), path.with_suffix("")) for path in sorted((scratch / "found").glob("*.txt"))
    ]
    if os.waitstatus_to_exitcode(status) != 0:
        log = (scratch / "log").read_text("utf-8", "replace") if (scratch / "log").exists() else ""
        died = sorted(scratch.glob("died-*"))
        ended = f"ended with {os.waitstatus_to_exitcode(status)}: {log[-1500:]}"
        found.append((ended, died[0] if died else None))
    findings = []
    for number, (what, path) in enumerate(found):
        copy = keep / target.name / f"{number:02}"
        if path is not None:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        findings.append(Finding(what, str(copy) if path is not None else ""))
    return findings
