"""Tests that fork a hundred times run in a small process: the time that a fork takes grows with its memory.

A process of pytest has everything imported that any test needs, and forks in 20 ms; one with dsvc alone in 4.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import os
import pickle
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from dsvc.testing.faults import tally

ROOT = Path(__file__).resolve().parents[1]


def in_slim_process(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in the small process of this worker; its arguments and what it raises are pickled."""

    @functools.wraps(test)
    def elsewhere(**arguments: object) -> None:
        _slim().run(test.__module__, test.__name__, arguments)

    return elsewhere


class _Slim:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.slim"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def close(self) -> None:
        """End it; it goes by itself when this process goes."""
        self._process.communicate()

    def run(self, module: str, name: str, arguments: dict[str, object]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((module, name, arguments), self._process.stdin)
            self._process.stdin.flush()
            here = Counter(tally)
            tried, raised, trace = pickle.load(self._process.stdout)
        except BaseException:
            # Interrupted or broken: what it would say later is no answer to the next test.
            self._process.kill()
            _slim.cache_clear()
            raise
        # A broken promise counts itself as lost when it is made, also out of a pickle.
        tally.clear()
        tally.update(here + tried)
        if raised is not None:
            raised.add_note(trace)
            raise raised


@functools.cache
def _slim() -> _Slim:
    made = _Slim()
    atexit.register(made.close)
    return made


def _run(module: str, name: str, arguments: dict[str, object]) -> tuple[Counter[str], Any, str]:
    before, raised, trace = Counter(tally), None, ""
    try:
        importlib.import_module(module).__dict__[name].__wrapped__(**arguments)
    except BaseException as error:
        trace = traceback.format_exc()
        raised = _portable(error)
    return tally - before, raised, trace


def _portable(error: BaseException) -> BaseException:
    error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return AssertionError(f"{type(error).__name__}: {error}")
    return error


def _serve() -> NoReturn:
    """Run one test after the other, until the worker closes the pipe."""
    answers = os.fdopen(os.dup(1), "wb")
    # What is imported stays: neither this process nor what it forks looks through it for garbage.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    # What a test prints shall not be taken for an answer.
    os.dup2(2, 1)
    while True:
        try:
            module, name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            # What tests have left to be done at the end, and none of the checks of libraries.
            atexit._run_exitfuncs()
            os._exit(0)
        pickle.dump(_run(module, name, arguments), answers)
        answers.flush()


if __name__ == "__main__":
    _serve()
