"""Files on their way from what the working tree holds to what a patch makes of them.

Until `PatchedFiles.write` nothing is stored and the working tree isn't touched.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self, cast

import msgspec

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.model.manifest import MODE_SYMLINK, Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.runs.verb_runs import Made, record_made
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_source import table_source
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.tree_update import Transition, TreeUpdate
from dsvc.porcelain.tree.worktree_side import entry_now
from dsvc.porcelain.versions.checkout import refusal
from dsvc.store.ingest import UnstableFileError, store_symlink
from dsvc.table.origin.file_source import FileSource
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.origin.source import TableSource

_BUFFER_BYTES = 1 << 20


class FileState(NamedTuple):
    """A file or symlink: git's mode, and its bytes."""

    mode: int
    source: TableSource


class _Sink(io.RawIOBase):
    """Writes to a descriptor through the one seam for writes, and closes it."""

    def __init__(self, fd: int, path: str) -> None:
        super().__init__()
        self._fd = fd
        self._path = path
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        files.write(self._fd, view, self._path)
        self._at += len(view)
        return len(view)

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._fd)


class PatchedFiles:
    """Files before and after; temporary ones go at the end of the block.

    Parameters
    ----------
    repo : Workspace
        Whose working tree; its locks are held.
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._stack = ExitStack()
        self._tracked = repo.manifest(repo.staged().root)
        self._found: dict[bytes, tuple[Entry | None, FileState | None]] = {}
        self._now: dict[bytes, FileState | None] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove temporary files."""
        self._stack.close()

    def get(self, path: bytes) -> FileState | None:
        """What stands at a path after the changes so far.

        Raises
        ------
        StorageError, UnstableFileError
            If it can't be read whole.
        """
        if path not in self._found:
            with Beneath(self._repo.root) as tree:
                entry = entry_now(tree, path, self._tracked.get(path))
                state = None if entry is None else self._state(tree, entry)
            self._found[path] = entry, state
            self._now[path] = state
        return self._now[path]

    def _state(self, tree: Beneath, entry: Entry) -> FileState:
        if entry.mode == MODE_SYMLINK:
            return FileState(entry.mode, MemorySource(display_path(entry.path), tree.readlink(entry.path)))
        return FileState(entry.mode, table_source(self._repo, entry, worktree=True))

    def set(self, path: bytes, state: FileState | None) -> None:
        """Say what a path becomes."""
        self._now[path] = state

    @contextmanager
    def output(self, path: bytes) -> Iterator[tuple[BinaryIO, FileSource]]:
        """Open a temporary file for what a path becomes; it is whole after the block."""
        temporary = os.path.join(self._repo.layout.temporary, files.temporary_name("apply"))
        fd = files.open_new(temporary)
        self._stack.callback(files.discard, temporary)
        with io.BufferedWriter(_Sink(fd, temporary), _BUFFER_BYTES) as output:
            yield cast(BinaryIO, output), FileSource(display_path(path), temporary)

    def write(self) -> str | None:
        """Store both sides, record the operation and bring the files into the working tree.

        Returns
        -------
        str or None
            The operation that `undo` takes back; None where nothing changed.

        Raises
        ------
        WouldOverwriteError
            If something else stands in the way.
        UnstableFileError
            If a file changed since it was read.
        """
        repo = self._repo
        before, after = self._stored_before(), {}
        for path, state in sorted(self._now.items()):
            after[path] = None if state is None else self._store(path, state)
        changed = [path for path in after if after[path] != before[path]]
        if not changed:
            return None
        transitions = [Transition(path, before[path], after[path]) for path in changed]
        update = TreeUpdate(repo, transitions, mirror=False)
        obstacles = update.obstacles()
        if obstacles:
            raise refusal(obstacles)
        staged = repo.staged().root
        held = [self._tracked.update([(path, side[path]) for path in changed]) for side in (before, after)]
        repo.store.publish()
        made = [
            Made((old,), new)
            for p in changed
            if (old := before[p]) is not None and (new := after[p]) is not None
        ]
        runs = record_made(repo, "apply", made)
        mirror = Mirror(repo, staged)
        operation = repo.record(
            "apply",
            arguments=[display_path(path) for path in changed[:20]],
            before=staged,
            after=staged,
            tree=(held[0], held[1]),
            runs=runs,
        )
        update.apply()
        mirror.follow(staged, unknown=[path for path in changed if self._tracked.get(path) is not None])
        return None if operation.id is None else str(operation.id)

    def _stored_before(self) -> dict[bytes, Entry | None]:
        """Store what the working tree holds, so that `undo` can bring it back."""
        stored: dict[bytes, Entry | None] = {}
        with Beneath(self._repo.root) as tree:
            for path, (entry, _state) in sorted(self._found.items()):
                stored[path] = found = store_file(self._repo.store, tree, path, self._tracked.get(path))
                if (None if found is None else found.digest) != (None if entry is None else entry.digest):
                    name = display_path(path)
                    raise UnstableFileError(
                        f"{name} changed while the patch was applied",
                        hint="try again",
                        details={"path": name},
                    )
        return stored

    def _store(self, path: bytes, state: FileState) -> Entry:
        store, source = self._repo.store, state.source
        old = self._tracked.get(path)
        if isinstance(source, FileSource):
            folder, name = os.path.split(source.path)
            with Beneath(folder) as tree:
                entry = store_file(store, tree, os.fsencode(name), old, at=path)
            assert entry is not None
            return msgspec.structs.replace(entry, mode=state.mode)
        with source.open() as stream:
            data = stream.read()
        if state.mode == MODE_SYMLINK:
            return store_symlink(store, path, data)
        return entry_of_bytes(store, path, state.mode, data, old)
