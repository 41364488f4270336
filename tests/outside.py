"""Whether a command writes outside of the folders it was given, seen from outside: strace on a forked child.

Several cases run in one child, since tracing costs time for each process. The child has limits of processor
time and memory for each case, so that a case that takes too much fails as one that writes elsewhere does.
"""

from __future__ import annotations

import ctypes
import io
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from dsvc.model.errors import DsvcError
from dsvc.testing.faults import BrokenPromiseError, tried

MEMORY: Final = 512 << 20
SECONDS: Final = 5

# Arguments that name what is written: places of (folder, name); None where there is none.
_NAMED: Final[dict[str, tuple[tuple[int | None, int | None], ...]]] = {
    "open": ((None, 0),),
    "creat": ((None, 0),),
    "openat": ((0, 1),),
    "openat2": ((0, 1),),
    "rename": ((None, 0), (None, 1)),
    "renameat": ((0, 1), (2, 3)),
    "renameat2": ((0, 1), (2, 3)),
    "link": ((None, 1),),
    "linkat": ((2, 3),),
    "symlink": ((None, 1),),
    "symlinkat": ((1, 2),),
    "mkdir": ((None, 0),),
    "mkdirat": ((0, 1),),
    "mknod": ((None, 0),),
    "mknodat": ((0, 1),),
    "unlink": ((None, 0),),
    "unlinkat": ((0, 1),),
    "rmdir": ((None, 0),),
    "truncate": ((None, 0),),
    "chmod": ((None, 0),),
    "fchmodat": ((0, 1),),
    "chown": ((None, 0),),
    "lchown": ((None, 0),),
    "fchownat": ((0, 1),),
    "utime": ((None, 0),),
    "utimes": ((None, 0),),
    "futimesat": ((0, 1),),
    "utimensat": ((0, 1),),
    "setxattr": ((None, 0),),
    "lsetxattr": ((None, 0),),
    "removexattr": ((None, 0),),
    "lremovexattr": ((None, 0),),
    "ftruncate": ((0, None),),
    "fchmod": ((0, None),),
    "fchown": ((0, None),),
    "fsetxattr": ((0, None),),
}
_CALLS: Final = ",".join("?" + call for call in (*_NAMED, "chdir", "fchdir"))
_STRACE: Final = ("strace", "-f", "-ff", "-y", "-xx", "-ttt", "-e", "trace=" + _CALLS)
# These change what a link leads to.
_FOLLOWING: Final = frozenset(
    [
        "truncate",
        "chmod",
        "fchmodat",
        "chown",
        "fchownat",
        "utime",
        "utimes",
        "futimesat",
        "utimensat",
        "setxattr",
        "removexattr",
    ]
)
_OPENING: Final = ("open", "openat", "openat2")
_WRITING: Final = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")
# The kernel said that a name led elsewhere, or that it is there already: nothing was touched.
_REFUSED: Final = ("ELOOP", "EXDEV", "EEXIST")
_QUOTED: Final = re.compile(r'"([^"]*)"|<([^>]*)>')
_LINE: Final = re.compile(r"(?P<at>[\d.]+) (?P<call>\w+)\((?P<words>.*)\) += (?P<result>.*)")
_BESIDE: Final = re.compile(rb"/dev/(null|tty|pts/\d+|ptmx|full|zero)|(socket|pipe|anon_inode):.*|/memfd:.*")
_MARK: Final = b"/case of tests.outside/"


class Ended(NamedTuple):
    """How a case ended: what it raised, what it printed, what it returned (where that can be pickled)."""

    error: DsvcError | None
    output: str
    value: Any

    @property
    def code(self) -> int:
        """Exit code of what was raised, 0 without."""
        return 0 if self.error is None else self.error.exit_code


def watched(
    cases: Mapping[str, Callable[[], object]],
    *inside: Path,
    seconds: int = SECONDS,
    memory: int = MEMORY,
    kind: str = "hostile cases",
) -> dict[str, Ended]:
    """Run cases one after the other in a forked, traced child; none may write outside of `inside`.

    Parameters
    ----------
    cases : mapping of str to callable
        What each does; it may start processes of its own.
    inside : Path
        Folders where writing is allowed: the working tree with its ``.dsvc``, where a result goes.
    seconds, memory : int
        Processor time, and address space beyond what this process has now, that a case may take.
    kind : str
        What they are counted as.

    Returns
    -------
    dict of str to Ended
        What each came to. A `DsvcError` is handed back; the caller says which are right.

    Raises
    ------
    BrokenPromiseError
        If a case wrote elsewhere, raised what is not typed, or took more than it may.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    logs = Path(tempfile.mkdtemp(prefix="dsvc-outside-"))
    try:
        found, status = _run(list(cases.items()), logs, seconds, memory)
        names = list(cases)
        elsewhere = list(_elsewhere(logs, names, [os.path.realpath(os.fsencode(each)) for each in inside]))
    finally:
        shutil.rmtree(logs, ignore_errors=True)
    tried(kind, len(found))
    problems = [f"{name}: {call}" for name, call in elsewhere]
    problems += [f"{name}: {trace}" for name, (_, trace) in found.items() if trace]
    if len(found) < len(cases):
        problems.append(f"{names[len(found)]}: the child ended ({_ending(status)})")
    if problems:
        raise BrokenPromiseError("\n".join(problems))
    return {name: ended for name, (ended, _) in found.items()}


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit {os.waitstatus_to_exitcode(status)}"


Found = dict[str, tuple[Ended, str]]


def _run(
    cases: Sequence[tuple[str, Callable[[], object]]], logs: Path, seconds: int, memory: int
) -> tuple[Found, int]:
    """Fork the child, have strace attach to it, let it go on; what each case came to, and how it ended."""
    go_read, go_write = os.pipe()
    result_read, result_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_write)
        os.close(result_read)
        _be_child(cases, go_read, result_write, seconds, memory)
    os.close(go_read)
    os.close(result_write)
    tracer = subprocess.Popen(
        [*_STRACE, "-o", str(logs / "log"), "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if b"attached" not in said:
            pytest.skip(f"strace can't attach here: {said.decode(errors='replace').strip()}")
        os.write(go_write, b"x")
        with open(result_read, "rb", closefd=False) as pipe:
            data = pipe.read()
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(go_write)
        os.close(result_read)
        _, status = os.waitpid(pid, 0)
        with suppress(subprocess.TimeoutExpired):
            tracer.communicate(timeout=30)
        tracer.kill()
        tracer.wait()
    return _read_results(data), status


def _read_results(data: bytes) -> Found:
    found: Found = {}
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        name, ended, trace = pickle.load(stream)
        found[name] = (ended, trace)
    return found


def _be_child(
    cases: Sequence[tuple[str, Callable[[], object]]], go: int, result: int, seconds: int, memory: int
) -> None:
    """Run the cases and tell how each ended; never returns."""
    sys.dont_write_bytecode = True
    try:
        # PR_SET_PTRACER to anybody: Yama lets only ancestors trace otherwise.
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1 & (1 << 64) - 1), 0, 0, 0)
        if os.read(go, 1):
            output = os.memfd_create("output")
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdout = sys.stderr = io.TextIOWrapper(
                io.FileIO(1, "w", closefd=False), encoding="utf-8", errors="surrogateescape"
            )
            for at, (name, case) in enumerate(cases):
                # Beyond what is mapped already: libraries that the cases before have loaded stay.
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                limit = pages * resource.getpagesize() + memory
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
                used = resource.getrusage(resource.RUSAGE_SELF)
                until = int(used.ru_utime + used.ru_stime) + seconds + 1
                resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
                # Nothing here may take this long; a case that hangs ends the child, not the tests.
                signal.alarm(24 * seconds)
                with suppress(OSError):
                    os.open(_MARK + str(at).encode(), os.O_RDONLY)
                _tell(result, name, *_one(case, output))
    finally:
        os._exit(0)


def _one(case: Callable[[], object], output: int) -> tuple[Ended, str]:
    os.ftruncate(output, 0)
    os.lseek(output, 0, os.SEEK_SET)
    error, value, trace = None, None, ""
    try:
        value = case()
    except DsvcError as raised:
        error = raised
        error.__cause__ = error.__context__ = error.__traceback__ = None
    except BaseException:
        trace = traceback.format_exc()
    sys.stdout.flush()
    said = os.pread(output, 1 << 22, 0).decode("utf-8", "surrogateescape")
    return Ended(error, said, value), trace


def _tell(result: int, name: str, ended: Ended, trace: str) -> None:
    try:
        data = pickle.dumps((name, ended, trace))
        pickle.loads(data)
    except Exception:
        # Errors with arguments of their own don't travel: what counts of them is kept.
        error = ended.error
        if error is not None:
            plain = DsvcError(f"{type(error).__name__}: {error}")
            plain.exit_code = error.exit_code
            plain.code = error.code
            error = plain
        data = pickle.dumps((name, Ended(error, ended.output, None), trace))
    view = memoryview(data)
    while view:
        view = view[os.write(result, view) :]


def _elsewhere(logs: Path, names: Sequence[str], inside: Sequence[bytes]) -> list[tuple[str, str]]:
    """Name of the case and the call, of each that wrote or tried to write elsewhere."""
    lines = [
        (float(found["at"]), log.name, found)
        for log in logs.iterdir()
        for line in log.read_text(encoding="ascii", errors="replace").splitlines()
        if (found := _LINE.match(line))
    ]
    lines.sort(key=lambda each: each[0])
    case, wrong = "before the first case", []
    here: dict[str, bytes] = {}
    for _, process, line in lines:
        call, words, result = line["call"], line["words"].split(", "), line["result"]
        base = here.get(process, os.fsencode(os.getcwd()))
        if words[0].startswith("AT_FDCWD<"):
            here[process] = _text(words[0])
        if call in ("chdir", "fchdir"):
            if result.startswith("0"):
                here[process] = os.path.join(base, _text(words[0]))
            continue
        if call in _OPENING and (mark := _text(words[0 if call == "open" else 1])).startswith(_MARK):
            case = names[int(mark.removeprefix(_MARK))]
            continue
        if call in _OPENING and not _WRITING.search(line["words"]):
            continue
        if any(f" {refusal} " in result for refusal in _REFUSED):
            continue
        for path in _written(call, words, result, base):
            if not _BESIDE.fullmatch(path) and not any(_is_below(path, root) for root in inside):
                wrong.append((case, f"{call} of {path!r}"))
    return wrong


def _is_below(path: bytes, root: bytes) -> bool:
    return path == root or path.startswith(root.rstrip(b"/") + b"/")


def _text(word: str) -> bytes:
    """The bytes of a quoted argument, or of the path that strace shows beside a descriptor."""
    found = _QUOTED.search(word)
    return b"" if found is None else bytes.fromhex((found[1] or found[2] or "").replace("\\x", ""))


def _written(call: str, words: Sequence[str], result: str, here: bytes) -> list[bytes]:
    """Real paths of what a call writes: of an open file as the kernel says it, else by its folder."""
    if call in (*_OPENING, "creat") and "<" in result:
        return [_text(result)]
    found = []
    for folder, name in _NAMED[call]:
        base = here if folder is None else _text(words[folder])
        given = b"" if name is None or name >= len(words) else _text(words[name])
        path = os.path.join(base, given) if given else base
        follows = call in _FOLLOWING and "AT_SYMLINK_NOFOLLOW" not in words[-1]
        parent, last = os.path.split(path.rstrip(b"/"))
        if follows or last in (b"..", b"."):
            parent, last = path, b""
        # Else the last name is what is made or removed; links on the way to it are followed.
        found.append(os.path.join(os.path.realpath(parent), last).rstrip(b"/") if given else path)
    return found
