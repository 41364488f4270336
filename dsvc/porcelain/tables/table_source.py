"""Versions of a file as sources of tables: from the store, or from the working tree."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from dsvc.fs import files
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.table_kind import HEAD_BYTES, TableKind, recognise
from dsvc.porcelain.state.reading_apart import must_clear
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.read import StoredFile, open_file
from dsvc.porcelain.tree.worktree_side import is_stored
from dsvc.store.ingest import UnstableFileError
from dsvc.store.materialize import content_parts
from dsvc.table.origin.source import NotATableError, TableSource

_BUFFER_BYTES = 1 << 20


class StoredSource:
    """A stored version of a file.

    Where it may be somebody else's, a child reads it as a table before this process gets its bytes.

    Parameters
    ----------
    repo : Workspace
        Where it is stored.
    entry : Entry
        The file.
    """

    def __init__(self, repo: Workspace, entry: Entry) -> None:
        self._repo = repo
        self.entry = entry
        self.name = display_path(entry.path)
        self.size = entry.size
        self.digest = entry.digest
        self._is_clear = False

    @property
    def is_foreign(self) -> bool:
        """Whether it may be somebody else's, and no child has read it yet."""
        return self._repo.reading_apart.is_foreign(self.digest, isolate=self._repo.isolate)

    def _clear(self) -> None:
        if self._is_clear or not must_clear():
            return
        if self.is_foreign:
            kind = self.kind()
            if kind is not None:
                self._repo.reading_apart.clear(self, kind)
        self._is_clear = True

    def kind(self) -> TableKind | None:
        """Tell from its name and first bytes whether it is a table; so much is looked at here."""
        with self._open() as stream:
            return recognise(self.entry.path, stream.read(HEAD_BYTES))

    def open(self) -> BinaryIO:
        """Open the bytes; each chunk is checked before it is given out.

        Raises
        ------
        NotATableError, TableLimitError
            If the child that was to read it first crashed, or needed too much.
        """
        self._clear()
        return self._open()

    def _open(self) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(StoredFile(self._repo.store, self.entry), _BUFFER_BYTES))

    @contextmanager
    def local_path(self) -> Iterator[str]:
        """Write the bytes to a temporary file, which is removed at the end; gc removes what a kill leaves.

        Raises
        ------
        NotATableError, TableLimitError
            As `open`.
        """
        self._clear()
        path = os.path.join(self._repo.layout.temporary, files.temporary_name("table"))
        fd = files.open_new(path)
        try:
            try:
                for part in content_parts(self._repo.store, self.entry):
                    if isinstance(part, int):
                        files.truncate(fd, os.lseek(fd, part, os.SEEK_CUR), path)
                    else:
                        files.write(fd, part, path)
            finally:
                os.close(fd)
            yield path
        finally:
            files.discard(path)


class WorktreeSource:
    """A file of the working tree, as it was when `entry` was made of it.

    Parameters
    ----------
    repo : Workspace
        Whose working tree.
    entry : Entry
        The file, with the digest that it had.
    """

    def __init__(self, repo: Workspace, entry: Entry) -> None:
        self._repo = repo
        self.entry = entry
        self.name = display_path(entry.path)
        self.size = entry.size
        self.digest = entry.digest

    def open(self) -> BinaryIO:
        """Open the file.

        Raises
        ------
        UnstableFileError
            If it has another length by now.
        """
        stream = open_file(self._repo, self.entry.path, "WORKTREE")
        if os.fstat(stream.fileno()).st_size != self.size:
            stream.close()
            raise UnstableFileError(
                f"{self.name} changed while it was read", hint="try again", details={"path": self.name}
            )
        return stream

    @contextmanager
    def local_path(self) -> Iterator[str]:
        """Give the file's own path."""
        with self.open():
            yield os.path.join(self._repo.root, os.fsdecode(self.entry.path))


def table_source(repo: Workspace, entry: Entry, *, worktree: bool = False) -> TableSource:
    """Give access to a version of a file.

    Parameters
    ----------
    worktree : bool
        Whether `entry` describes the file in the working tree; it's read there unless it is stored.
    """
    if worktree and not is_stored(repo, entry):
        return WorktreeSource(repo, entry)
    return StoredSource(repo, entry)


def recognise_entry(repo: Workspace, entry: Entry, *, worktree: bool = False) -> TableKind | None:
    """Tell whether a version of a file is a table, by its name and its first bytes."""
    if not entry.is_file or entry.size == 0:
        return None
    source = table_source(repo, entry, worktree=worktree)
    if isinstance(source, StoredSource):
        return source.kind()
    with source.open() as stream:
        return recognise(entry.path, stream.read(HEAD_BYTES))


def not_a_table(entry: Entry) -> NotATableError:
    """Make the error for a file that was asked for as a table."""
    name = display_path(entry.path)
    return NotATableError(
        f"{name} is not a table, it has no rows",
        hint="tables are Parquet, Arrow, CSV, TSV, JSON lines and JSON arrays of objects",
        details={"path": name},
    )


__all__ = ["StoredSource", "WorktreeSource", "not_a_table", "recognise_entry", "table_source"]
