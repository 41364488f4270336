"""A folder in which git and dsvc are run, as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.resident import resident

ROOT = Path(__file__).resolve().parents[1]
POLICY = '[policy]\npacks = ["default"]\n'


class Place:
    """A folder in which git and dsvc are run, as a person would."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.environ = {
            "PATH": f"{resident().folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "DSVC_AUTHOR_NAME": "Ann",
            "DSVC_AUTHOR_EMAIL": "ann@example.org",
            **{f"GIT_{who}_NAME": "Ann" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ann@example.org" for who in ("AUTHOR", "COMMITTER")},
        }

    def run(self, *words: str | bytes, code: int | None = 0, data: bytes = b"", **more: str) -> str:
        """Run a program, which is to end with this exit code, and return what it printed."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**self.environ, **more},
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        said = done.stdout.decode("utf-8", "replace")
        assert code is None or done.returncode == code, said
        return said

    def git(self, *words: str | bytes, code: int | None = 0, **more: str) -> str:
        return self.run("git", *words, code=code, **more)

    def dsvc(self, *words: str, code: int | None = 0, data: bytes = b"", **more: str) -> str:
        return self.run("dsvc", *words, code=code, data=data, **more)

    def write(self, files: Mapping[str | bytes, str | bytes]) -> None:
        for name, content in files.items():
            path = os.path.join(os.fsencode(self.folder), os.fsencode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())

    def commits(self) -> int:
        return len(self.git("log", "--oneline", "--all").splitlines())

    def cover(self, *paths: str, id_: str = "web") -> None:
        """Say that these files were delivered, with a licence."""
        self.write({"proof/licence.txt": "you may\n"})
        words = ("--license", "CC-BY-4.0", "--acquisition", "open_dataset", "--legal-basis", "licence")
        proof = ("--evidence", "licence_text=proof/licence.txt", "--field", "contains_pi=no")
        spread = [word for path in paths for word in ("--path", path)]
        self.dsvc("source", "add", id_, *spread, "--title", "Web", *words, *proof, "-q")
