"""Where things lie under ``.dsvc`` and which format they have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

FORMAT_VERSION: Final = 1
FEATURES: Final = frozenset({"packs-v1", "manifest-tree-v1", "git-sha1"})
"""Feature flags this version understands; a repository that names another is refused."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one repository; `root` is its ``.dsvc`` folder."""

    root: str

    @property
    def config(self) -> str:
        """Settings, format version, features."""
        return os.path.join(self.root, "config")

    @property
    def git(self) -> str:
        """Bare git repository with the history."""
        return os.path.join(self.root, "git")

    @property
    def packs(self) -> str:
        """Folder of the packs: its listing is the pack list."""
        return os.path.join(self.root, "packs")

    @property
    def trash(self) -> str:
        """Packs that gc took out, one folder a run."""
        return os.path.join(self.root, "trash")

    @property
    def work(self) -> str:
        """State of the working tree: staged root, merge and conflict state, sparse patterns."""
        return os.path.join(self.root, "work")

    @property
    def cache(self) -> str:
        """Derived data; may be deleted at any time."""
        return os.path.join(self.root, "cache")

    @property
    def locks(self) -> str:
        """Lock files; never renamed, never removed."""
        return os.path.join(self.root, "locks")

    @property
    def temporary(self) -> str:
        """Files being written; gc removes what a crash left."""
        return os.path.join(self.root, "tmp")

    @property
    def audit(self) -> str:
        """Audit events, one JSON object a line."""
        return os.path.join(self.root, "audit.jsonl")

    def lock(self, name: str) -> str:
        """Path of the lock file `name`: ``work``, ``store``, ``refs`` or ``cache``."""
        return os.path.join(self.locks, name)

    def folders(self) -> list[str]:
        """Every folder that `init` makes, parents first."""
        return [self.root, self.packs, self.trash, self.work, self.cache, self.locks, self.temporary]
