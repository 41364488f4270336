"""A file by its place on the disk as a source of a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import BinaryIO

from blake3 import blake3

from dsvc.fs import files
from dsvc.model.errors import NotFoundError
from dsvc.model.paths import display_path
from dsvc.model.table_kind import HEAD_BYTES, TableKind, recognise
from dsvc.table.origin.source import NotATableError

_READ_BYTES = 1 << 20


class FileSource:
    """A file as a source of a table; it must not change while it is read.

    Parameters
    ----------
    name : str
        Name for messages.
    path : str
        Where it is.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path

    @cached_property
    def size(self) -> int:
        """Length in bytes."""
        return os.stat(self.path).st_size

    @cached_property
    def digest(self) -> bytes:
        """BLAKE3-256 of the bytes."""
        hasher = blake3()
        with self.open() as stream:
            while part := stream.read(_READ_BYTES):
                hasher.update(part)
        return hasher.digest()

    def open(self) -> BinaryIO:
        """Open the bytes as a new seekable stream.

        Raises
        ------
        NotFoundError
            If there is no such file.
        StorageError
            If it can't be opened.
        """
        try:
            return open(self.path, "rb")
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no file {self.name}", details={"path": self.name}) from error
        except OSError as error:
            raise files.storage_error(error, "open", self.path) from error

    @contextmanager
    def local_path(self) -> Iterator[str]:
        """Give the file's own path."""
        yield self.path


def file_table(path: bytes, place: str) -> tuple[FileSource, TableKind]:
    """Find out which kind of table a file is.

    Parameters
    ----------
    path : bytes
        Its path for messages, whose last name counts.
    place : str
        Where it is.

    Raises
    ------
    NotFoundError, StorageError
        As `FileSource.open`.
    NotATableError
        If it is none.
    """
    source = FileSource(display_path(path), place)
    with source.open() as stream:
        kind = recognise(path, stream.read(HEAD_BYTES))
    if kind is None:
        raise NotATableError(f"{source.name} is not a table", details={"path": source.name})
    return source, kind
