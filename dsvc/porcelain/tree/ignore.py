"""Which untracked paths are ignored: ``.dsvcignore`` files with gitignore syntax, in any folder."""

from __future__ import annotations

import os
from typing import Final

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.files import storage_error
from dsvc.model.errors import MalformedInputError
from dsvc.model.paths import display_path
from dsvc.store.ingest import open_file

IGNORE_FILE: Final = b".dsvcignore"
_MAX_BYTES = 1 << 20


class IgnoreFileError(MalformedInputError):
    """A ``.dsvcignore`` is beyond the limits."""

    code = "ignore-file"


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
            # Not os.read, which may stop short: a rule that isn't read would let a file in.
            with open(fd, "rb") as stream:
                text = stream.read(_MAX_BYTES)
        except OSError as error:
            raise storage_error(error, "read", os.path.join(folder, IGNORE_FILE)) from error
        lines = text.decode("utf-8", "surrogateescape").splitlines()
        if not any(line.strip() and not line.startswith("#") for line in lines):
            return None
        from dsvc.model.path_patterns import PatternError, path_patterns  # loaded only where a rule exists

        try:
            return path_patterns(lines, strict=False)
        except PatternError as error:
            name = display_path(folder + b"/" + IGNORE_FILE if folder else IGNORE_FILE)
            raise IgnoreFileError(f"{name}: {error}", details={"path": name}) from error

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
