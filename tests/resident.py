"""The program ``dsvc``, started once: each command is a fork of a process that has the libraries imported.

Most of a short command's time goes into starting Python and importing. What a fork runs is
`dsvc.__main__.main` itself, in a process of its own, with the caller's streams, folder and environment:
commands can be piped, redirected and killed as ever. That the program starts by itself is looked at with
real processes, in `test_start_up` and in those transcripts that `test_transcripts` plays with them.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import os
import pkgutil
import selectors
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from tests.resident_client import LENGTH, call

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = str(Path(sys.executable).parent / "dsvc")
# What many verbs need and what is slow to import. Not the commands: their texts are in the language of
# whoever imports them. Not what few verbs need, since a fork of a large process takes longer.
_PACKAGES = ("diff", "fs", "history", "lineage", "model", "policy", "porcelain", "store", "table")
_MODULES = (
    "dsvc.cli.main",
    "networkx",
    "numpy.ma",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.ipc",
    "pyarrow.json",
    "rich.console",
    "tomllib",
)
# They load libraries that few verbs need.
_LEFT_OUT = ("dsvc.policy.detectors", "dsvc.table.exchange")


class Resident:
    """The running program, and a folder with a command ``dsvc`` that calls it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dsvc-resident-")
        self.folder = self._folder.name
        self._address = os.path.join(self.folder, "socket")
        # A file that is open elsewhere for writing can't be executed, so it's written by nobody else here.
        script = Path(self.folder, "dsvc")
        client = [sys.executable, "-I", "-S", str(ROOT / "tests" / "resident_client.py"), self._address]
        script.write_text(f'#!/bin/sh\nexec {shlex.join(client)} "$@"\n')
        script.chmod(0o755)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.resident", self._address],
            cwd=ROOT,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """End it; it goes by itself when this process goes."""
        self._server.communicate()
        self._folder.cleanup()

    def run(
        self, *arguments: str, folder: Path, environ: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command without input, and capture what it prints."""
        with open(os.devnull, "rb") as nothing, _captured() as output, _captured() as errors:
            code = call(
                self._address,
                [os.fsencode(argument) for argument in arguments],
                os.fsencode(folder),
                {os.fsencode(name): os.fsencode(value) for name, value in environ.items()},
                (nothing.fileno(), output.fileno(), errors.fileno()),
            )
            said = []
            for stream in (output, errors):
                stream.seek(0)
                said.append(stream.read())
        return subprocess.CompletedProcess(["dsvc", *arguments], code, *said)


def _captured() -> tempfile._TemporaryFileWrapper[bytes]:
    return tempfile.TemporaryFile(buffering=0)  # type: ignore[return-value]


@functools.cache
def resident() -> Resident:
    """The one of this process, started when it's first asked for."""
    made = Resident()
    atexit.register(made.close)
    return made


def _import() -> None:
    for package in (f"dsvc.{name}" for name in _PACKAGES):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.startswith(_LEFT_OUT):
                importlib.import_module(module.name)
    for name in _MODULES:
        importlib.import_module(name)


def _serve(address: str) -> None:
    """Fork for each call, until nobody holds the other end of the standard input."""
    _import()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)
    os.write(1, b"ready\n")
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while not any(key.fd == 0 for key, _ in selector.select()):
            caller, _ = listener.accept()
            if os.fork() == 0:
                selector.close()
                listener.close()
                _be_the_program(caller)
            caller.close()
            _reap(os.WNOHANG)
    _reap(0)
    # Without the checks that libraries make at the end, which take a while and say nothing of dsvc.
    os._exit(0)


def _reap(options: int) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, options) != (0, 0):
            pass


def _be_the_program(caller: socket.socket) -> NoReturn:
    """Become what the caller asked for; the connection is the last thing to be closed."""
    code = 70
    try:
        head, streams, _, _ = socket.recv_fds(caller, LENGTH, 3)
        with caller.makefile("rb") as stream:
            folder, count, *rest = stream.read(int.from_bytes(head, "big")).split(b"\0")
        arguments, environ = rest[: int(count)], rest[int(count) :]
        os.chdir(folder)
        os.environ.clear()
        os.environb.update(dict(item.split(b"=", 1) for item in environ))
        time.tzset()
        sys.argv = [PROGRAM, *map(os.fsdecode, arguments)]
        _take(streams)
        code = _main()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        caller.sendall(b"%d" % code)
        os._exit(code)


def _take(streams: list[int]) -> None:
    """Make three descriptors the standard streams, as Python does at its start."""
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
        os.close(fd)
    by_line = 1 if os.isatty(1) else -1
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", by_line, encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _main() -> int:
    from dsvc.__main__ import main

    try:
        code: object = main()
    except SystemExit as raised:
        code = raised.code
    except BaseException:
        traceback.print_exc()
        return 1
    atexit._run_exitfuncs()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    _serve(sys.argv[1])
