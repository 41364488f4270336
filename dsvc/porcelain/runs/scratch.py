"""A scratch folder: part of a working tree at recorded digests, where a command can run and do no harm."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.fs.temporary_folder import temporary_folder
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.paths import check_structure, display_path
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.worktree_side import entry_now
from dsvc.store.materialize import TreeWriter

if TYPE_CHECKING:
    from dsvc.porcelain.tables.row_indexes import KnownTable


class Scratch(NamedTuple):
    """Where a command runs that must not touch the working tree.

    Attributes
    ----------
    tree : str
        Stands for the working tree.
    notes : str
        Where the command may say what became of its rows (``DSVC_RUN_DIR``).
    """

    tree: str
    notes: str

    def path(self, path: bytes) -> str:
        """Place of a path of the working tree."""
        return os.path.join(self.tree, os.fsdecode(path)) if path else self.tree

    def put(self, repo: Workspace, entries: Iterable[Entry]) -> None:
        """Write stored files; of two at one path the first counts.

        Raises
        ------
        MissingDataError, ErasedError, CorruptDataError
            If the content of one can't be had.
        """
        written: set[bytes] = set()
        with Beneath(self.tree) as tree:
            writer = TreeWriter(repo.store, tree, repo.layout.temporary)
            for entry in entries:
                check_structure(entry.path)
                if entry.path not in written and entry.mode != MODE_DIRECTORY:
                    writer.write(entry)
                    written.add(entry.path)

    def write(self, path: bytes, data: bytes) -> None:
        """Write a file."""
        check_structure(path)
        with Beneath(self.tree) as tree:
            folder, name = tree.split(path, create=True)
            fd = files.open_new(name, dir_fd=folder)
            try:
                files.write(fd, data, path)
            finally:
                os.close(fd)

    def make_folders(self, paths: Iterable[bytes]) -> None:
        """Make folders with their parents."""
        with Beneath(self.tree) as tree:
            for path in paths:
                if path:
                    check_structure(path)
                    tree.folder(path, create=True)

    def entry(self, path: bytes) -> Entry | None:
        """What stands at a path now, not stored; None where there is neither a file nor a link."""
        with Beneath(self.tree) as tree:
            return entry_now(tree, path, None)

    def below(self, folder: bytes) -> Iterator[bytes]:
        """Files and links below a folder, in no order."""
        top = os.fsencode(self.path(folder))
        for at, names, found in os.walk(top):
            links = [name for name in names if os.path.islink(os.path.join(at, name))]
            for name in [*found, *links]:
                path = os.path.relpath(os.path.join(at, name), top)
                yield folder + b"/" + path if folder else path


@contextmanager
def scratch_folder(repo: Workspace) -> Iterator[Scratch]:
    """Make a scratch folder, which goes at the end with all that is in it.

    Raises
    ------
    StorageError
        If it can't be made.
    """
    with temporary_folder(repo.layout.temporary, "scratch") as folder:
        scratch = Scratch(os.path.join(folder, "tree"), os.path.join(folder, "notes"))
        for path in scratch:
            files.make_folder(path)
        yield scratch


class ScratchSource:
    """A file of a scratch folder as the source of a table.

    Parameters
    ----------
    scratch : Scratch
        Where it is.
    entry : Entry
        The file, as `Scratch.entry` found it.
    """

    def __init__(self, scratch: Scratch, entry: Entry) -> None:
        self._path = scratch.path(entry.path)
        self.name = display_path(entry.path)
        self.size = entry.size
        self.digest = entry.digest

    def open(self) -> BinaryIO:
        """Open the file.

        Raises
        ------
        StorageError
            If it can't be read.
        """
        try:
            return open(self._path, "rb")
        except OSError as error:
            raise files.storage_error(error, "read", self.name) from error

    @contextmanager
    def local_path(self) -> Iterator[str]:
        """Give the file's own path."""
        yield self._path


def scratch_table(scratch: Scratch, entry: Entry) -> KnownTable | None:
    """Give access to a file of a scratch folder as a table; None where it is none."""
    if not entry.is_file or not entry.size:
        return None
    from dsvc.model.table_kind import HEAD_BYTES, recognise
    from dsvc.porcelain.tables.row_indexes import KnownTable

    source = ScratchSource(scratch, entry)
    with source.open() as stream:
        kind = recognise(entry.path, stream.read(HEAD_BYTES))
    return None if kind is None else KnownTable(source, kind)
