"""Where one tool works in one round: its tree, store and home; nothing of the user's is seen or touched."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent / ".bench"


@dataclass(frozen=True, slots=True)
class Site:
    """The folders of one round of one tool."""

    root: Path

    @property
    def tree(self) -> Path:
        """The working tree; the data is in its folder `data`."""
        return self.root / "tree"

    @property
    def data(self) -> Path:
        """The data that is versioned."""
        return self.tree / "data"

    @property
    def home(self) -> Path:
        """Configuration and caches of the tool."""
        return self.root / "home"

    @property
    def store(self) -> Path:
        """The repository of the tools that keep it outside of the tree."""
        return self.root / "store"

    @property
    def empty(self) -> Path:
        """An empty folder to restore into, for those tools."""
        return self.root / "restored"

    @property
    def log(self) -> Path:
        """What the commands printed."""
        return self.root / "log"

    def create(self) -> None:
        """Make the folders, of nothing."""
        for folder in (self.tree, self.home, self.empty):
            folder.mkdir(parents=True)

    def remove(self) -> None:
        """Free the space."""
        shutil.rmtree(self.root, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """A small environment: no configuration from the user's home folder reaches a tool."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "TMPDIR": str(self.home),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        }


def copy_over(source: Path, target: Path) -> None:
    """Copy the files below `source` over those below `target`, with the system's `cp`: the fastest way."""
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-R", f"{source}/.", str(target)], check=True)


def tree_size(*folders: Path) -> tuple[int, int]:
    """Sum of the sizes of the files below the folders, in bytes, and of the space they take on the disk."""
    size = allocated = 0
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                status = os.lstat(os.path.join(parent, name))
                size += status.st_size
                allocated += status.st_blocks * 512
    return size, allocated


def differing(expected: Path, found: Path) -> str | None:
    """The first path that differs between two trees, or None; `diff` reads every byte."""
    result = subprocess.run(
        ["diff", "--recursive", "--brief", str(expected), str(found)],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if result.returncode == 0 else (result.stdout + result.stderr).splitlines()[0]
