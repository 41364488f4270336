"""A shell for the demo: commands are shown as in a terminal, and stop the demo where they fail."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-m", "dsvc"]
"""What is run as dsvc."""


class DemoFailedError(Exception):
    """The demo cannot go on; the text says why."""


def say(text: str) -> None:
    """Print a line of explanation."""
    print(f"\n# {text}", flush=True)


def quoted(word: str) -> str:
    """Quote a word as a person would for the shell."""
    plain = "'" in word and not set(word) & set('"$`\\\\!')
    return f'"{word}"' if plain else shlex.quote(word)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below `folder`, dsvc's own folder left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".dsvc" not in path.relative_to(folder).parts
    }


class Shell:
    """Runs commands in one folder and shows them as a terminal would; more variables can be given."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.environ = environ

    def dsvc(self, *arguments: str, code: int = 0) -> str:
        """Run dsvc, which is to end with this exit code, and return what it printed."""
        return self._run(f"dsvc {' '.join(map(quoted, arguments))}", [*PROGRAM, *arguments], code)

    def git(self, *arguments: str, code: int = 0) -> str:
        """Run git, which is to end with this exit code, and return what it printed."""
        return self._run(f"git {' '.join(map(quoted, arguments))}", ["git", *arguments], code)

    def python(self, *arguments: str) -> str:
        """Run a Python script and return what it printed."""
        return self._run(f"python3 {' '.join(map(quoted, arguments))}", [sys.executable, *arguments], 0)

    def ask(self, *arguments: str) -> Any:
        """Ask dsvc for its answer in JSON, without showing it."""
        with contextlib.redirect_stdout(io.StringIO()):
            return json.loads(self.dsvc(*arguments, "--json"))

    def ask_lines(self, *arguments: str) -> list[Any]:
        """Ask dsvc for a listing in JSON, an object a line, without showing it."""
        with contextlib.redirect_stdout(io.StringIO()):
            return [json.loads(line) for line in self.dsvc(*arguments, "--json").splitlines()]

    def _run(self, shown: str, arguments: list[str], code: int) -> str:
        print(f"\n$ {shown}", flush=True)
        # A step that is called python3 is to run with the interpreter that has dsvc.
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
        done = subprocess.run(
            arguments,
            cwd=self.folder,
            env={**os.environ, **self.environ, "PYTHONUTF8": "1", "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode("utf-8", "backslashreplace")
        print(output, end="" if output.endswith("\n") or not output else "\n", flush=True)
        if done.returncode != code:
            raise DemoFailedError(
                f"{shown.split(maxsplit=1)[0]} {arguments[-1]} exited with {done.returncode}, not {code}"
            )
        return output
