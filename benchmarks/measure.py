"""One process from start to end: its wall time, its processor time, the peak memory of its process tree.

Memory is sampled: every 10 ms (less often where a sample itself takes longer than 1 ms) the tree is walked in
/proc. A tree of one process counts its resident set; a tree of several the sum of their proportional sets
(PSS), which counts a page that forked processes share once. The kernel's own high-water mark of the largest
process (`ru_maxrss` of wait4) is exact and a floor: the larger of the two is the peak. A memory cgroup is not
used: it charges the pages of files on tmpfs to whoever writes them, and so would count the store itself.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

INTERVAL_S = 0.01
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class StepFailed(Exception):
    """A measured command did not end with exit code 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one process, or several one after the other, took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int

    def then(self, other: "Measurement") -> "Measurement":
        """Both, one after the other."""
        return Measurement(
            wall_s=self.wall_s + other.wall_s,
            cpu_s=self.cpu_s + other.cpu_s,
            peak_bytes=max(self.peak_bytes, other.peak_bytes),
        )


NOTHING = Measurement(wall_s=0.0, cpu_s=0.0, peak_bytes=0)


def tree_of(pid: int) -> list[int]:
    """`pid` and its living descendants."""
    found = [pid]
    for process in found:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{process}/task"):
                children = Path(f"/proc/{process}/task/{thread}/children").read_bytes()
                found.extend(int(child) for child in children.split())
    return found


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE_BYTES


def _proportional_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def tree_bytes(pid: int) -> int:
    """Memory of the process tree now; processes that end meanwhile count nothing."""
    processes = tree_of(pid)
    size = _resident_bytes if len(processes) == 1 else _proportional_bytes
    total = 0
    for process in processes:
        with suppress(OSError, IndexError):
            total += size(process)
    return total


class _Sampler(threading.Thread):
    """Keeps the largest size of a process tree until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        pause = INTERVAL_S
        while not self._ended.wait(pause):
            started = time.perf_counter()
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))
            pause = max(INTERVAL_S, 9 * (time.perf_counter() - started))

    def finish(self) -> int:
        self._ended.set()
        self.join()
        return self.peak_bytes


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, float, int]:
    """Wait for the end; exit code, processor seconds and largest resident set of the processes waited for."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> Measurement:
    """Run `argv` and measure it; its output goes to `log`.

    Raises
    ------
    StepFailed
        The command ended with another exit code than 0.
    """
    with log.open("ab") as out:
        out.write(f"$ {' '.join(argv)}\n".encode())
        out.flush()
        started = time.perf_counter()
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        sampler = _Sampler(process.pid)
        sampler.start()
        code, cpu_s, largest_bytes = _wait(process)
        wall_s = time.perf_counter() - started
        sampled_bytes = sampler.finish()
    if code != 0:
        tail = log.read_text(errors="replace")[-2_000:]
        raise StepFailed(f"{' '.join(argv)}: exit {code}\n{tail}")
    return Measurement(wall_s=wall_s, cpu_s=cpu_s, peak_bytes=max(sampled_bytes, largest_bytes))
