"""Reads objects out of git's packs, within bounds; imported only when a repository has packs.

A pack may come from anybody: each length is compared with what any object of dsvc has before anything is
unpacked, and a chain of deltas has an end. Neither libgit2 nor dulwich does so, and dulwich maps packs into
memory, so that a disk that fails ends the process (ADR 0014).
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from dsvc.fs.files import storage_error
from dsvc.history.git_object import MAX_BYTES, GitObject
from dsvc.history.loose_reader import check_prefix
from dsvc.history.odb import MAX_MATCHES, corrupt, missing, verified
from dsvc.history.pack_delta import apply_delta, delta_lengths
from dsvc.model.errors import CorruptDataError, DsvcError, MalformedInputError
from dsvc.model.ids import CommitId

MAX_CHAIN: Final = 4095
"""Deltas upon deltas, as many as git itself makes."""
MAX_DELTA_BYTES: Final = MAX_BYTES
"""All deltas of one object together, since they are gone through byte by byte."""
MAX_CHAIN_BYTES: Final = 16 * MAX_BYTES
"""All that deltas make on the way to one object."""
MAX_INDEX_BYTES: Final = 256 * 1024 * 1024

_KINDS: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_BY_OFFSET, _BY_ID = 6, 7
_NAME: Final = re.compile(r"pack-[0-9a-f]{40}\.idx")
_INDEX_HEAD: Final = b"\xfftOc\0\0\0\x02"
_TABLE: Final = 8 + 1024
_HEADER_BYTES: Final = 64
_KEPT_BYTES, _KEPT_OBJECTS = 1 << 16, 1024


class _Entry(NamedTuple):
    """Head of an entry of a pack."""

    kind: int
    size: int
    data_at: int
    base_at: int | None


class _Pack:
    """A pack with its index; what its numbers say is checked before it is used."""

    def __init__(self, index_path: str) -> None:
        self._path = index_path[:-4] + ".pack"
        self._index = _whole(index_path)
        self._count = self._number(_TABLE - 4) if len(self._index) >= _TABLE else 0
        if self._index[:8] != _INDEX_HEAD or len(self._index) < _TABLE + self._count * 28 + 40:
            raise CorruptDataError(f"{index_path} is no index of a pack", hint="run git fsck in .dsvc/git")
        self._ids = range(self._count)
        self._kept: dict[int, GitObject] = {}

    def _number(self, at: int, width: int = 4) -> int:
        return int.from_bytes(self._index[at : at + width], "big")

    def _id(self, place: int) -> bytes:
        at = _TABLE + 20 * place
        return self._index[at : at + 20]

    def find(self, id_: bytes) -> int | None:
        """Offset of an object, or None where it isn't in this pack."""
        place = bisect_left(self._ids, id_, key=self._id)
        if place == self._count or self._id(place) != id_:
            return None
        offset = self._number(_TABLE + 24 * self._count + 4 * place)
        if offset < 1 << 31:
            return offset
        at = _TABLE + 28 * self._count + 8 * (offset & (1 << 31) - 1)
        if at + 8 > len(self._index) - 40:
            raise CorruptDataError("the index of a pack names a place that it doesn't have")
        return self._number(at, 8)

    def beginning_with(self, prefix: str) -> Iterator[str]:
        """Ids that begin with some digits, in order."""
        low = bytes.fromhex(prefix.ljust(40, "0"))
        for place in range(bisect_left(self._ids, low, key=self._id), self._count):
            name = self._id(place).hex()
            if not name.startswith(prefix):
                return
            yield name

    def read(self, id_: CommitId, offset: int) -> GitObject:
        """Read the object at an offset, which `id_` names in errors."""
        with _opened(self._path) as fd:
            return self._read(fd, id_, offset)

    def _read(self, fd: int, id_: CommitId, offset: int) -> GitObject:
        deltas, (kind, data) = self._chain(fd, id_, offset)
        total = 0
        while deltas:
            at, delta = deltas.pop()
            steps = _inflate(fd, id_, delta)
            try:
                made = delta_lengths(steps)[1]
                total += made
                if made > MAX_BYTES or total > MAX_CHAIN_BYTES:
                    raise MalformedInputError(f"git object {id_}: its deltas make {total} bytes")
                data = apply_delta(data, steps)
            except ValueError as error:
                raise corrupt(id_, str(error)) from error
            self._keep(at, (kind, data))
        return kind, data

    def _chain(self, fd: int, id_: CommitId, at: int) -> tuple[list[tuple[int, _Entry]], GitObject]:
        """Deltas that lead to the object at an offset, the last one first, with their offsets; their base."""
        deltas: list[tuple[int, _Entry]] = []
        total = 0
        while (known := self._kept.get(at)) is None:
            entry = self._entry(fd, id_, at)
            if entry.base_at is None:
                if entry.kind not in _KINDS:
                    raise corrupt(id_, f"unknown type {entry.kind} in a pack")
                known = _KINDS[entry.kind], _inflate(fd, id_, entry)
                self._keep(at, known)
                break
            deltas.append((at, entry))
            total += entry.size
            if len(deltas) > MAX_CHAIN or total > MAX_DELTA_BYTES:
                raise MalformedInputError(
                    f"git object {id_} is made by more than {len(deltas) - 1} deltas, or by long ones"
                )
            at = entry.base_at
        return deltas, known

    def _keep(self, at: int, found: GitObject) -> None:
        if len(found[1]) <= _KEPT_BYTES:
            if len(self._kept) >= _KEPT_OBJECTS:
                self._kept.clear()
            self._kept[at] = found

    def _entry(self, fd: int, id_: CommitId, at: int) -> _Entry:
        head = _piece(fd, at, _HEADER_BYTES)
        if at < 12 or not head:
            raise corrupt(id_, "it is said to stand where no entry can be")
        try:
            kind, size, place = _head(head)
            base = None
            if kind == _BY_OFFSET:
                distance, place = _distance(head, place)
                base = at - distance
                if not 0 < distance <= at - 12:
                    raise corrupt(id_, "its base is said to stand where no entry can be")
            elif kind == _BY_ID:
                base = self.find(head[place : place + 20])
                place += 20
                if base is None:
                    raise corrupt(id_, "the base of a delta is missing")
        except IndexError as error:
            raise corrupt(id_, "its head in the pack is cut off") from error
        if size > MAX_BYTES:
            raise MalformedInputError(f"git object {id_} declares {size} bytes; at most {MAX_BYTES} are read")
        return _Entry(kind, size, at + place, base)


def _head(data: bytes) -> tuple[int, int, int]:
    """Type and length that an entry begins with, and where they end."""
    byte, at, shift = data[0], 1, 4
    kind, size = byte >> 4 & 7, byte & 15
    while byte & 128:
        if shift > 63:
            raise IndexError
        byte = data[at]
        size |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
    return kind, size, at


def _distance(data: bytes, at: int) -> tuple[int, int]:
    """How far back a base is, and where that ends."""
    byte = data[at]
    distance, end = byte & 127, at + 1
    while byte & 128:
        if end - at > 9:
            raise IndexError
        byte = data[end]
        distance = distance + 1 << 7 | byte & 127
        end += 1
    return distance, end


def _inflate(fd: int, id_: CommitId, entry: _Entry) -> bytes:
    """Unpack what an entry holds; never more than one byte beyond what it declares."""
    stream, parts, length, at = zlib.decompressobj(), [], 0, entry.data_at
    try:
        while not stream.eof and length <= entry.size:
            waiting = _piece(fd, at, max(512, min(1 << 16, entry.size)))
            if not waiting:
                break
            at += len(waiting)
            # Something of it stays unused only where too much comes out, which ends the loop.
            part = stream.decompress(waiting, entry.size + 1 - length)
            parts.append(part)
            length += len(part)
    except zlib.error as error:
        raise corrupt(id_, str(error)) from error
    if length != entry.size or not stream.eof:
        raise corrupt(id_, f"it declares {entry.size} bytes and has another length")
    return b"".join(parts)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """Open a file; errors of the system come out typed, but for FileNotFoundError: `git gc` removes packs."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise MalformedInputError(f"{path} is not a file")
            yield fd
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_error(error, "read", path) from error


def _piece(fd: int, at: int, length: int) -> bytes:
    """Read some bytes, fewer at the end of the file, and none beyond any."""
    return os.pread(fd, length, at) if at < 1 << 62 else b""


def _whole(path: str) -> bytes:
    with _opened(path) as fd:
        size = os.fstat(fd).st_size
        if size > MAX_INDEX_BYTES:
            raise MalformedInputError(f"{path} has {size} bytes; at most {MAX_INDEX_BYTES} are read")
        parts, at = [], 0
        while part := os.pread(fd, 1 << 20, at):
            parts.append(part)
            at += len(part)
        return b"".join(parts)


class PackReader:
    """An object database over the packs of a repository.

    Parameters
    ----------
    git_dir : str
        The bare repository.
    objects : str or None
        Folder of the objects, where that isn't the repository's own.
    """

    def __init__(self, git_dir: str, *, objects: str | None = None) -> None:
        self._folder = os.path.join(objects or os.path.join(git_dir, "objects"), "pack")
        self._packs: dict[str, _Pack] = {}
        self._refused: DsvcError | None = None

    def _look(self) -> bool:
        """List the packs anew; whether there are others than before. What can't be read is passed over."""
        try:
            names = sorted(name for name in os.listdir(self._folder) if _NAME.fullmatch(name))
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise storage_error(error, "list", self._folder) from error
        if names == list(self._packs):
            return False
        before, self._packs, self._refused = self._packs, {}, None
        for name in names:
            try:
                self._packs[name] = before.get(name) or _Pack(os.path.join(self._folder, name))
            except FileNotFoundError:
                continue
            except DsvcError as error:
                self._refused = error
        return list(before) != list(self._packs)

    def _found(self, id_: bytes) -> Iterator[tuple[_Pack, int]]:
        for pack in list(self._packs.values()):
            offset = pack.find(id_)
            if offset is not None:
                yield pack, offset

    def read(self, id: CommitId) -> GitObject:  # noqa: A002
        """Read type and bytes of an object; of several copies one that is right.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            As `dsvc.history.odb.ObjectDatabase.read`.
        """
        raw = bytes.fromhex(CommitId.parse(id))
        wrong: DsvcError | None = None
        # The first look is the first listing; then a pack may be made anew and the old one removed.
        for _ in range(3):
            for pack, offset in self._found(raw):
                try:
                    return verified(id, *pack.read(id, offset))
                except FileNotFoundError:
                    self._packs.clear()
                    break
                except DsvcError as error:
                    wrong = error
            if not self._look():
                break
        raise wrong or self._refused or missing(id)

    def expand(self, prefix: str) -> list[CommitId]:
        """List the ids that begin with `prefix`, sorted.

        Raises
        ------
        MalformedInputError
            If `prefix` is not 1 to 40 lower-case hexadecimal digits.
        """
        check_prefix(prefix)
        self._look()
        found = {CommitId(name) for pack in self._packs.values() for name in pack.beginning_with(prefix)}
        return sorted(found)[:MAX_MATCHES]

    def has(self, id: CommitId) -> bool:  # noqa: A002
        """Whether the object is there."""
        raw = bytes.fromhex(CommitId.parse(id))
        return any(True for _ in self._found(raw)) or (self._look() and any(True for _ in self._found(raw)))
