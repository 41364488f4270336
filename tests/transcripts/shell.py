"""A folder in which dsvc is run for what it says in JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.resident import resident


class Shell:
    """Runs dsvc in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()
        folder.mkdir()

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
        done = resident().run(
            *arguments,
            folder=self.folder,
            environ={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.folder.parent),
                "DSVC_AUTHOR_NAME": "Ada",
                "DSVC_AUTHOR_EMAIL": "ada@example.org",
                # Values must not depend on the language.
                "DSVC_LANG": "zh_CN",
            },
        )
        assert done.returncode == code, (done.stdout + done.stderr).decode()
        return done

    def lines(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """Run a listing; each line is one object."""
        self.used.add(arguments[0])
        done = self.run(arguments[0], "--json", *arguments[1:], code=code)
        assert code not in {0, 1} or done.stderr == b""
        return [json.loads(line) for line in done.stdout.splitlines()]

    def one(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run a verb that gives one object."""
        (found,) = self.lines(*arguments, code=code)
        return found

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")
