"""Row indexes on disk: a cache file for each version, which refers to others for the pieces they share.

A file is a magic, the header's length, the XXH3-64 of all that follows, the header (msgpack), the table of
pieces, and the hashes: stripe by stripe, column by column. What can't be read is made again.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import xxhash

from dsvc.model.encoding import encode
from dsvc.table.hashes.hash_scheme import scheme
from dsvc.table.index.row_index import MAX_PIECE_ROWS, PIECE, IndexColumn, Malformed, RowIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

_MAGIC: Final = b"dsvcrow2"
_PREFIX: Final = 24
_MAX_FILES: Final = 256
"""Files that one index may refer to; each that is mapped costs a file descriptor."""
_MAPPED_BYTES: Final = 1 << 20
"""Files from this size on are mapped, others are read."""


class _Header(msgspec.Struct, array_like=True, frozen=True):
    scheme: str
    columns: list[tuple[str, str, bool, bool]]
    malformed: list[tuple[int, int, str]]
    pieces: int
    stripes: list[tuple[int, list[str]]]
    evidence: list[tuple[str, str, int]]
    # Digest of the table, checksum of the file; of the file itself there is none yet.
    files: list[tuple[bytes, bytes]]


class MappedStripe:
    """Hashes in a mapped file.

    Parameters
    ----------
    data : memoryview
        Where they are.
    offset, rows : int
        Where the first column begins, in bytes, and how long each is.
    names : sequence of str
        The columns.
    """

    def __init__(self, data: memoryview, offset: int, rows: int, names: Sequence[str]) -> None:
        self._data = data
        self._rows = rows
        self._offsets = {name: offset + 8 * rows * number for number, name in enumerate(names)}

    def column(self, name: str) -> Hashes | None:
        """Hashes of one column, None where all are null."""
        offset = self._offsets.get(name)
        if offset is None:
            return None
        return np.frombuffer(self._data, np.uint64, self._rows, offset)


class StoredIndex(RowIndex):
    """A row index from a cache file.

    Attributes
    ----------
    files : list of (bytes, bytes)
        The files that hold its hashes, its own first: the digest of the table, the checksum of the file. A
        file that was made again may hold its hashes in other places.
    """

    def __init__(self, opened: Sequence[IndexFile]) -> None:
        own = opened[0]
        super().__init__(
            [IndexColumn(*column) for column in own.header.columns],
            own.pieces,
            [each.stripes for each in opened],
            [Malformed(*each) for each in own.header.malformed],
            {(column, fact): row for column, fact, row in own.header.evidence},
        )
        self.files = [
            (digest, each.checksum) for (digest, _), each in zip(own.header.files, opened, strict=True)
        ]
        # A file stays among those that are open as long as an index needs it.
        self._opened = tuple(opened)


def encode_index(index: RowIndex, digest: bytes, base: RowIndex | None) -> list[bytes | memoryview]:
    """Encode an index that was just built.

    Parameters
    ----------
    digest : bytes
        Of the table.
    base : RowIndex or None
        An index from a cache file; pieces that it has too are referred to.

    Returns
    -------
    list of bytes-like
        The file's parts, in order.
    """
    pieces = index.pieces.copy()
    files = [(digest, b"")]
    shared = np.zeros(len(pieces), bool)
    if isinstance(base, StoredIndex) and len(base.pieces) and len(base.files) < _MAX_FILES:
        shared = _refer(pieces, base, files)
    parts, stripes = _own_stripes(index, pieces, shared)
    header = encode(
        _Header(
            scheme=scheme(),
            columns=[(c.name, c.type, c.complete, c.unique) for c in index.columns],
            malformed=[(each.record, each.line, each.message) for each in index.malformed],
            pieces=len(pieces),
            stripes=stripes,
            evidence=[(*fact, row) for fact, row in index.evidence.items()],
            files=files,
        )
    )
    # Padded, so that the hashes lie where a mapped array may begin.
    size = _PREFIX + len(header) + pieces.nbytes
    body: list[bytes | memoryview] = [header, pieces.tobytes(), bytes(-size % 8), *parts]
    checksum = xxhash.xxh3_64()
    for part in body:
        checksum.update(part)
    return [_MAGIC + len(header).to_bytes(8, "little") + checksum.digest(), *body]


def _refer(
    pieces: NDArray[np.void], base: StoredIndex, files: list[tuple[bytes, bytes]]
) -> NDArray[np.bool_]:
    """Point pieces that `base` has to where it has them; returns which."""
    order = np.argsort(base.pieces["id"], kind="stable")
    known = base.pieces[order]
    at = np.minimum(np.searchsorted(known["id"], pieces["id"]), len(known) - 1)
    shared: NDArray[np.bool_] = (known["id"][at] == pieces["id"]) & (known["rows"][at] == pieces["rows"])
    found = known[at[shared]]
    used, place = np.unique(found["file"], return_inverse=True)
    numbers = []
    for number in used:
        other = base.files[int(number)]
        if other not in files:
            files.append(other)
        numbers.append(files.index(other))
    for field in ("stripe", "start"):
        pieces[field][shared] = found[field]
    if len(used):
        pieces["file"][shared] = np.array(numbers, np.uint16)[place]
    return shared


def _own_stripes(
    index: RowIndex, pieces: NDArray[np.void], shared: NDArray[np.bool_]
) -> tuple[list[memoryview], list[tuple[int, list[str]]]]:
    """Hashes of the pieces that are not shared, each stripe without its shared rows."""
    parts: list[memoryview] = []
    stripes: list[tuple[int, list[str]]] = []
    own = np.flatnonzero(~shared)
    for number in np.unique(index.pieces["stripe"][own]):
        here = own[index.pieces["stripe"][own] == number]
        cells = index.cells(here)
        names = [name for name, hashes in cells.items() if hashes.any()]
        counts = pieces["rows"][here].astype(np.int64)
        pieces["stripe"][here] = len(stripes)
        pieces["start"][here] = np.cumsum(counts) - counts
        stripes.append((int(counts.sum()), names))
        parts.extend(cells[name].view(np.uint8).data for name in names)
    pieces["file"][own] = 0
    return parts, stripes


class IndexFile:
    """One cache file, checked.

    Parameters
    ----------
    path : str
        Where it is.
    """

    def __init__(self, path: str) -> None:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size < _MAPPED_BYTES:
                data = memoryview(stream.read())
            else:
                data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        length = int.from_bytes(data[8:16], "little")
        self.checksum = bytes(data[16:24])
        if bytes(data[:8]) != _MAGIC or xxhash.xxh3_64_digest(data[_PREFIX:]) != self.checksum:
            raise ValueError("damaged")
        self.header = msgspec.msgpack.decode(data[_PREFIX : _PREFIX + length], type=_Header)
        if self.header.scheme != scheme():
            raise ValueError("made by another version")
        offset = _PREFIX + length
        # Less than none would be all that is left.
        self.pieces = np.frombuffer(data, PIECE, max(self.header.pieces, 0), offset)
        offset += self.pieces.nbytes
        offset += -offset % 8
        self.stripes: list[MappedStripe] = []
        for rows, names in self.header.stripes:
            self.stripes.append(MappedStripe(data, offset, rows, names))
            offset += 8 * rows * len(names)
            if rows < 0 or offset > len(data):
                raise ValueError("a stripe ends behind the file")


def load_index(
    digest: bytes,
    path_of: Callable[[bytes], str],
    opened: MutableMapping[bytes, IndexFile] | None = None,
) -> StoredIndex | None:
    """Load an index from its cache file and those it refers to.

    Parameters
    ----------
    digest : bytes
        Of the table.
    path_of : callable
        Gives the path of a table's cache file.
    opened : mapping of bytes to IndexFile or None
        Files that are open already, by their table's digest; those opened now are put there.

    Returns
    -------
    StoredIndex or None
        None where there is none that can be used.
    """
    files: MutableMapping[bytes, IndexFile] = {} if opened is None else opened

    def open_(wanted: bytes, checksum: bytes = b"") -> IndexFile:
        found = files.get(wanted)
        if found is None or (checksum and found.checksum != checksum):
            found = files[wanted] = IndexFile(path_of(wanted))
        if checksum and found.checksum != checksum:
            raise ValueError("made again since")
        return found

    try:
        own = open_(digest)
        if own.header.files[0][0] != digest:
            return None
        opened_files = [own, *(open_(*other) for other in own.header.files[1:])]
        _check_pieces(opened_files)
        return StoredIndex(opened_files)
    except (OSError, ValueError, IndexError, OverflowError, RecursionError, msgspec.DecodeError):
        return None


def _check_pieces(opened: Sequence[IndexFile]) -> None:
    """Refuse pieces that are not where they say: the checksum of a forged file is right."""
    pieces = opened[0].pieces
    stripes = [rows for each in opened for rows, _ in each.header.stripes]
    counts = np.array([len(each.header.stripes) for each in opened], np.int64)
    files = pieces["file"].astype(np.int64)
    if len(pieces) and (
        int(files.max()) >= len(counts)
        or int(pieces["rows"].max()) > MAX_PIECE_ROWS
        or bool((pieces["stripe"] >= counts[files]).any())
    ):
        raise ValueError("a piece is in no stripe")
    held = np.array(stripes, np.int64)[(np.cumsum(counts) - counts)[files] + pieces["stripe"]]
    if bool((pieces["start"].astype(np.int64) + pieces["rows"] > held).any()):
        raise ValueError("a piece ends behind its stripe")


def oldest_first(folder: str) -> list[tuple[str, int]]:
    """Cache files with their sizes, those made first in front."""
    with os.scandir(folder) as found:
        files = [(entry.stat().st_mtime_ns, entry.path, entry.stat().st_size) for entry in found]
    return [(path, size) for _, path, size in sorted(files)]
