"""Files that a person asked for by name: written beside their place, and put there once they are whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from dsvc.fs import files
from dsvc.model.errors import UsageError
from dsvc.porcelain.state.workspace import Workspace

_GATHER_BYTES: Final = 1 << 20


class Output:
    """A new file, written through the seam in large pieces; `write` goes on where `seek` went.

    Parameters
    ----------
    fd : int
        The file; the caller closes it.
    name : str
        Its name for messages.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._position = 0
        self._gathered: list[bytes] = []
        self._size = 0

    def write(self, data: bytes | memoryview, /) -> int:
        """Take all of `data`."""
        self._gathered.append(bytes(data))
        self._size += len(data)
        if self._size >= _GATHER_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Hand everything to the system."""
        files.pwrite(self._fd, b"".join(self._gathered), self._position, self._name)
        self._position += self._size
        self._gathered, self._size = [], 0

    def tell(self) -> int:
        """Position in bytes."""
        return self._position + self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to `offset` from the start; going past the end leaves a hole."""
        assert whence == os.SEEK_SET
        self.flush()
        self._position = offset
        return offset


def write_output(repo: Workspace, output: str, fill: Callable[[Output], None]) -> None:
    """Write a file, replacing one that stands there once the new one is whole.

    Parameters
    ----------
    output : str
        The file to write.
    fill : callable
        Writes the content.

    Raises
    ------
    UsageError
        If `output` is a folder.
    StorageError
        If the file can't be written; what stood there stays.
    """
    if os.path.isdir(output):
        raise UsageError(f"{output} is a folder", hint="name a file")
    target = os.path.realpath(output)
    # A dot in front, so that few take it for something while it is being made.
    temporary = os.path.join(_temporary_folder(repo, output), files.temporary_name(".dsvc-output"))
    durable = repo.keeps_content
    fd = files.open_new(temporary)
    try:
        try:
            stream = Output(fd, output)
            fill(stream)
            stream.flush()
            if durable:
                files.sync(fd, output)
        finally:
            os.close(fd)
        files.rename(temporary, target)
    except BaseException:
        files.discard(temporary)
        raise
    if durable:
        files.sync_folder(os.path.dirname(target))


def _temporary_folder(repo: Workspace, output: str) -> str:
    """Where the file is made: in the working tree, which `add` might look at, in gc's own folder."""
    folder = os.path.dirname(os.path.realpath(output))
    inside = os.path.commonpath([folder, repo.root]) == repo.root and os.path.isdir(folder)
    same = inside and os.stat(folder).st_dev == os.stat(repo.layout.temporary).st_dev
    return repo.layout.temporary if same else folder
