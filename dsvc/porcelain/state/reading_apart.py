"""Tables that somebody else may have prepared are read in a child first, from end to end, then here.

A table is the user's own where `add` stored it from the working tree of this repository, at this machine.
Anything else, and anything in doubt, is somebody else's: `StoredSource` gives its bytes to no decoder of this
process before a child has come through all of them. What is known stands in ``.dsvc/cache/contents``, by
digest. It can be lost at any time: then a child reads once more.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from dsvc.fs import cache_files
from dsvc.model.manifest import Entry
from dsvc.model.table_kind import TableKind

if TYPE_CHECKING:
    from dsvc.table.origin.source import TableSource

MAX_NOTES: Final = 1 << 17
"""Digests in one file; where there would be more it begins anew."""
_DIGEST_BYTES: Final = 32
_MAGIC: Final = b"dsvc contents 1\n"
_PLACE: Final = struct.Struct("<QQ")


class ReadingApart:
    """Knows which tables can be read in this process.

    Parameters
    ----------
    folder : str
        ``.dsvc``.
    cache : str
        Its folder for what can be lost.
    """

    def __init__(self, folder: str, cache: str) -> None:
        self._own = _Notes(folder, os.path.join(cache, "contents"), "own")
        self._read = _Notes(folder, os.path.join(cache, "contents"), "read")

    def is_foreign(self, digest: bytes, *, isolate: bool) -> bool:
        """Whether a table may be somebody else's, and no child has read it yet.

        Parameters
        ----------
        isolate : bool
            Whether all tables count as somebody else's.
        """
        return digest not in self._read and (isolate or digest not in self._own)

    def keep_own(self, entries: Iterable[Entry]) -> None:
        """Note which tables the user has stored from the working tree."""
        self._own.add(entry.digest for entry in entries if entry.is_file and entry.rows is not None)

    def keep_read(self, digests: Iterable[bytes]) -> None:
        """Note which tables a child has come through."""
        self._read.add(digests)

    def clear(self, source: TableSource, kind: TableKind) -> None:
        """Have a child read a table from end to end, and note that it could.

        Raises
        ------
        NotATableError
            If the child crashed.
        TableLimitError
            If it needed more memory or time than the file is worth.
        DsvcError
            If its bytes can't be had, or no child be started.
        """
        from dsvc.table.guard import Guarded, run_guarded
        from dsvc.table.reading.read_through import read_through

        run_guarded([Guarded(source, partial(read_through, source, kind))], apart=True)
        self.keep_read([source.digest])


def must_clear() -> bool:
    """Whether hostile bytes are kept from this process: it is no child itself, and can have some."""
    from dsvc.fs.child_process import can_start, inside  # nothing that each command needs

    return not inside() and can_start()


class _Notes:
    """Digests in a file that is of use only where it was written: a copy of the repository is in doubt."""

    def __init__(self, place: str, folder: str, name: str) -> None:
        self._place = place
        self._path = os.path.join(folder, name)
        self._known: set[bytes] | None = None

    def __contains__(self, digest: bytes) -> bool:
        if self._known is None:
            self._known = self._load()
        return digest in self._known

    def _head(self) -> bytes:
        found = os.stat(self._place)
        return _MAGIC + _PLACE.pack(found.st_dev, found.st_ino)

    def _load(self) -> set[bytes]:
        try:
            with open(self._path, "rb") as stream:
                if stream.read(_DIGEST_BYTES) != self._head():
                    return set()
                data = stream.read(MAX_NOTES * _DIGEST_BYTES)
        except OSError:
            return set()
        whole = range(0, len(data) - len(data) % _DIGEST_BYTES, _DIGEST_BYTES)
        return {data[at : at + _DIGEST_BYTES] for at in whole}

    def add(self, digests: Iterable[bytes]) -> None:
        """Note some; a disk that refuses it only costs time later."""
        # Others may have written meanwhile.
        known, new = self._load(), set(digests)
        if not new - known:
            self._known = known
            return
        self._known = known | new if len(known | new) <= MAX_NOTES else new
        with contextlib.suppress(OSError):
            cache_files.keep(self._path, self._head() + b"".join(sorted(self._known)[:MAX_NOTES]))
