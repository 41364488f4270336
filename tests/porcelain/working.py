"""A repository in a folder, and its working tree as a dictionary."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from dsvc.model.ids import CommitId
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import Author

Tree = dict[bytes, tuple[str, bytes]]
EMPTY_FOLDER = ("folder", b"")


def text(content: bytes | str) -> tuple[str, bytes]:
    return "file", content.encode() if isinstance(content, str) else content


def program(content: bytes) -> tuple[str, bytes]:
    return "exec", content


def link(target: bytes) -> tuple[str, bytes]:
    return "link", target


class Work:
    """A repository and its working tree, written and read as plain values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / ".dsvc").exists():
            Repository.init(str(folder))
        self.repo = self.open()

    def open(self) -> Repository:
        repo = Repository.open(str(self.folder), author=Author("Ann", "ann@example.org"), lock_timeout=5)
        repo.durability = "none"
        repo.backend.durable = False
        return repo

    def reopen(self) -> Repository:
        """As another process would see it."""
        self.repo = self.open()
        return self.repo

    def path(self, name: bytes) -> bytes:
        return os.path.join(os.fsencode(self.folder), name)

    def write(self, items: Mapping[bytes, tuple[str, bytes] | bytes | None]) -> None:
        """Make each path what is said; None removes it, folders with all that is in them."""
        for name, item in items.items():
            path = self.path(name)
            if os.path.islink(path) or os.path.isfile(path):
                os.unlink(path)
            elif os.path.isdir(path) and item != EMPTY_FOLDER:
                shutil.rmtree(path)
        for name, item in items.items():
            if item is None:
                self._prune(os.path.dirname(self.path(name)))
                continue
            kind, content = text(item) if isinstance(item, bytes) else item
            path = self.path(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind == "folder":
                os.makedirs(path, exist_ok=True)
            elif kind == "link":
                os.symlink(content, path)
            else:
                with open(path, "wb") as file:
                    file.write(content)
                os.chmod(path, 0o755 if kind == "exec" else 0o644)

    def _prune(self, folder: bytes) -> None:
        while folder != os.fsencode(self.folder) and os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
            folder = os.path.dirname(folder)

    def tree(self) -> Tree:
        """The working tree: kind and content of each path, empty folders too."""
        found: Tree = {}
        root = os.fsencode(self.folder)
        for folder, names, files in os.walk(root):
            if folder == root:
                names.remove(b".dsvc")
            at = os.path.relpath(folder, root)
            prefix = b"" if at == b"." else at + b"/"
            if not names and not files and prefix:
                found[at] = EMPTY_FOLDER
            for name in [*files, *(n for n in names if os.path.islink(os.path.join(folder, n)))]:
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    found[prefix + name] = link(os.readlink(path))
                    continue
                with open(path, "rb") as file:
                    kind = "exec" if os.stat(path).st_mode & 0o100 else "file"
                    found[prefix + name] = (kind, file.read())
        return found

    def commit(
        self, message: str, items: Mapping[bytes, tuple[str, bytes] | bytes | None] | None = None
    ) -> CommitId:
        self.write(items or {})
        self.repo.add(all=True)
        return self.repo.commit(message, allow_empty=True).commit

    def branch(self, name: str, rev: str | None = None) -> None:
        self.repo.checkout(rev, new_branch=name)

    def diverge(
        self,
        base: Mapping[bytes, tuple[str, bytes] | bytes | None],
        ours: Mapping[bytes, tuple[str, bytes] | bytes | None],
        theirs: Mapping[bytes, tuple[str, bytes] | bytes | None],
    ) -> None:
        """Main with base and ours, topic with base and theirs; main is checked out."""
        self.commit("base", base)
        self.branch("topic")
        self.commit("theirs", theirs)
        self.repo.checkout("main")
        self.commit("ours", ours)

    def staged_state(self) -> dict[bytes, tuple[int, bytes]]:
        return {e.path: (e.mode, e.digest) for e in self.repo.manifest(self.repo.staged().root).entries()}

    def everything(self) -> tuple[object, ...]:
        """All that a person sees: HEAD, branches, staged state, working tree, merge in progress."""
        repo = self.reopen()
        status = repo.status(untracked="all")
        refs = {n: c for n, c in repo.history.refs.list().items() if not n.startswith("refs/dsvc/operations")}
        return (
            repo.history.refs.head(),
            refs,
            self.staged_state(),
            self.tree(),
            status.operation,
            status.conflicts,
            status.staged,
            status.unstaged,
            status.untracked,
        )

    def clean(self) -> bool:
        status = self.reopen().status(untracked="all")
        return status.clean and not status.untracked and status.operation is None
