"""Reads loose objects without a library, since importing one costs more than most verbs take.

Packed objects are there only after somebody ran ``git gc``; then a reader that knows packs is asked.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Callable
from typing import Final

from dsvc.fs.files import storage_error
from dsvc.history.git_object import MAX_BYTES, GitObject
from dsvc.history.odb import (
    MAX_MATCHES,
    CorruptObjectError,
    MissingObjectError,
    ObjectDatabase,
    corrupt,
    missing,
    verified,
)
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.ids import CommitId

_MAX_HEADER: Final = 32
_HEADER = re.compile(rb"([a-z]{1,10}) (0|[1-9][0-9]{0,18})\0")
_PREFIX = re.compile("[0-9a-f]{1,40}")
_REST = re.compile("[0-9a-f]{38}")


def check_prefix(prefix: str) -> None:
    """Refuse what is not the beginning of an id.

    Raises
    ------
    MalformedInputError
        Since a prefix becomes part of a path.
    """
    if not _PREFIX.fullmatch(prefix):
        raise MalformedInputError(f"not the beginning of an id: {prefix[:80]!r}")


def inflate(id: CommitId, data: bytes) -> GitObject:  # noqa: A002
    """Decompress a loose object; its declared size bounds what is allocated.

    Raises
    ------
    CorruptDataError
        If the stream or the header is wrong, or the length is not the declared one.
    MalformedInputError
        If it declares more than any object of dsvc has.
    """
    try:
        stream = zlib.decompressobj()
        start = stream.decompress(data, _MAX_HEADER)
        found = _HEADER.match(start)
        if not found:
            raise corrupt(id, "no header")
        size = int(found[2])
        if size > MAX_BYTES:
            raise MalformedInputError(f"git object {id} declares {size} bytes; at most {MAX_BYTES} are read")
        body = start[found.end() :]
        # One byte more than declared, so that a stream that goes on is noticed and not followed.
        body += stream.decompress(stream.unconsumed_tail, max(1, size - len(body) + 1))
        if not stream.eof:
            body += stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise corrupt(id, str(error)) from error
    if len(body) != size or not stream.eof or stream.unused_data:
        raise corrupt(id, f"it declares {size} bytes and has another length")
    return verified(id, found[1].decode("ascii"), body)


class LooseReader:
    """The object database of every verb.

    Parameters
    ----------
    git_dir : str
        The bare repository.
    packed : callable or None
        Makes the reader to ask for what is not loose; called at most once, and only if there are packs.
    objects : str or None
        Folder of the objects, where that isn't the repository's own.
    """

    def __init__(
        self,
        git_dir: str,
        packed: Callable[[], ObjectDatabase] | None = None,
        *,
        objects: str | None = None,
    ) -> None:
        self._objects = objects or os.path.join(git_dir, "objects")
        self._make_packed = packed
        self._packed: ObjectDatabase | None = None

    def _path(self, id: CommitId) -> str:  # noqa: A002
        CommitId.parse(id)
        return os.path.join(self._objects, id[:2], id[2:])

    def _packs(self) -> ObjectDatabase | None:
        if self._packed is None and self._make_packed is not None:
            try:
                names = os.listdir(os.path.join(self._objects, "pack"))
            except OSError:
                names = []
            if any(name.endswith(".idx") for name in names):
                self._packed = self._make_packed()
        return self._packed

    def _load(self, id: CommitId) -> bytes | None:  # noqa: A002
        path = self._path(id)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise storage_error(error, "read", path) from error
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_BYTES + (MAX_BYTES >> 4):
                raise corrupt(id, "not a file, or too large a one")
            parts = []
            while part := os.read(fd, facts.st_size + 1):
                parts.append(part)
            return b"".join(parts)
        except OSError as error:
            raise storage_error(error, "read", path) from error
        finally:
            os.close(fd)

    def read_loose(self, id: CommitId) -> GitObject | None:  # noqa: A002
        """Read an object from its own file, or None if it has none.

        Raises
        ------
        CorruptDataError, MalformedInputError
            As `read`.
        """
        data = self._load(id)
        return None if data is None else inflate(id, data)

    def read(self, id: CommitId) -> GitObject:  # noqa: A002
        """Read type and bytes of an object, from a pack where the loose file is missing or wrong.

        Raises
        ------
        MissingDataError
            If it is nowhere.
        CorruptDataError
            If its bytes are wrong and no pack has it.
        MalformedInputError
            If `id` is not an id, or the object is too large.
        """
        damage: CorruptObjectError | None = None
        try:
            found = self.read_loose(id)
        except CorruptObjectError as error:
            found, damage = None, error
        if found is not None:
            return found
        packs = self._packs()
        if packs is not None:
            try:
                return packs.read(id)
            except MissingObjectError:
                pass
            except DsvcError:
                if damage is None:
                    raise
        # `git repack -A` may have unpacked it and removed its pack between the two looks.
        if damage is None and (found := self.read_loose(id)) is not None:
            return found
        raise damage or missing(id)

    def expand(self, prefix: str) -> list[CommitId]:
        """List the ids that begin with `prefix`, loose or packed, sorted.

        Raises
        ------
        MalformedInputError
            If `prefix` is not 1 to 40 lower-case hexadecimal digits.
        """
        check_prefix(prefix)
        found: set[CommitId] = set()
        folders = [prefix[:2]] if len(prefix) >= 2 else [f"{prefix}{digit:x}" for digit in range(16)]
        for folder in folders:
            try:
                names = os.listdir(os.path.join(self._objects, folder))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise storage_error(error, "list", folder) from error
            rest = prefix[2:]
            found.update(
                CommitId(folder + name) for name in names if name.startswith(rest) and _REST.fullmatch(name)
            )
        packs = self._packs()
        if packs is not None:
            found.update(packs.expand(prefix))
        return sorted(found)[:MAX_MATCHES]

    def has(self, id: CommitId) -> bool:  # noqa: A002
        """Whether the object is there."""
        if os.path.isfile(self._path(id)):
            return True
        packs = self._packs()
        return packs is not None and packs.has(id)
