"""A table whose bytes are at hand."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import BinaryIO

from blake3 import blake3

from dsvc.fs import files


class MemorySource:
    """Bytes in memory as a source of a table.

    Parameters
    ----------
    name : str
        Name for messages.
    data : bytes
        The bytes.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    @cached_property
    def digest(self) -> bytes:
        """BLAKE3-256 of the bytes."""
        return blake3(self.data).digest()

    def open(self) -> BinaryIO:
        """Open the bytes as a new seekable stream."""
        return io.BytesIO(self.data)

    @contextmanager
    def local_path(self) -> Iterator[str]:
        """Write the bytes to a temporary file, which is removed at the end."""
        with tempfile.NamedTemporaryFile(prefix="dsvc-") as file:
            files.write(file.fileno(), self.data, file.name)
            yield file.name
