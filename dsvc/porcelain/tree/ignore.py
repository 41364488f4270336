"""Which untracked paths are ignored: ``.dsvcignore`` files with gitignore syntax, in any folder."""

from __future__ import annotations

import os
from typing import Final

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.store.ingest import open_file

IGNORE_FILE: Final = b".dsvcignore"
_MAX_BYTES = 1 << 20


class IgnoreRules:
    """The rules of one folder on top of its parents'; the deepest file with an opinion decides.

    Parameters
    ----------
    tree : Beneath
        The working tree.
    """

    def __init__(self, tree: Beneath) -> None:
        self._tree = tree
        self._specs: dict[bytes, object | None] = {}
        self._chains: dict[bytes, list[tuple[bytes, object]]] = {}

    def _spec(self, folder: bytes) -> object | None:
        if folder not in self._specs:
            self._specs[folder] = self._load(folder)
        return self._specs[folder]

    def _load(self, folder: bytes) -> object | None:
        try:
            fd = open_file(IGNORE_FILE, self._tree.folder(folder))
        except (OSError, NotAFolderError):
            return None
        try:
            text = os.read(fd, _MAX_BYTES)
        finally:
            os.close(fd)
        lines = text.decode("utf-8", "surrogateescape").splitlines()
        if not any(line.strip() and not line.startswith("#") for line in lines):
            return None
        from pathspec import GitIgnoreSpec  # loaded only where a rule exists

        return GitIgnoreSpec.from_lines(lines)

    def chain(self, folder: bytes) -> list[tuple[bytes, object]]:
        """Specs that apply in `folder`, deepest first, each with its own folder."""
        found = []
        at = folder
        while True:
            spec = self._spec(at)
            if spec is not None:
                found.append((at, spec))
            if not at:
                return found
            at = at.rpartition(b"/")[0]

    def ignored(self, path: bytes, *, is_folder: bool) -> bool:
        """Whether an untracked path is ignored; its parents are taken not to be."""
        parent = path.rpartition(b"/")[0]
        if parent not in self._chains:
            self._chains[parent] = self.chain(parent)
        for folder, spec in self._chains[parent]:
            relative = path[len(folder) + 1 :] if folder else path
            text = relative.decode("utf-8", "surrogateescape") + ("/" if is_folder else "")
            verdict = spec.check_file(text).include  # type: ignore[attr-defined]
            if verdict is not None:
                return bool(verdict)
        return False
