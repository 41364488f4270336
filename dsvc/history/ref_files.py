"""Files of refs, as git keeps them: one file each, or a line of ``packed-refs``."""

from __future__ import annotations

import os
import re
import stat
from typing import Final

from dsvc.fs.files import storage_error
from dsvc.history.ref_name import check_ref_format
from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.ids import CommitId

MAX_REF_BYTES: Final = 4096
MAX_PACKED_BYTES: Final = 64 * 1024 * 1024

_ID = re.compile(rb"([0-9a-f]{40})\s*")
_SYMBOLIC = re.compile(rb"ref:[ \t]*([^\s]+)\s*")
_PACKED = re.compile(rb"([0-9a-f]{40}) ([^\s]+)")
_PEELED = re.compile(rb"\^[0-9a-f]{40}")


def read_bounded(path: str, limit: int) -> bytes | None:
    """Read a whole file, or None where there is none.

    Raises
    ------
    MalformedInputError
        If it is larger than `limit`, or not a file.
    StorageError
        If the system refuses.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(error, "read", path) from error
    try:
        kind = os.fstat(fd).st_mode
        if stat.S_ISDIR(kind):
            return None
        if not stat.S_ISREG(kind):
            raise MalformedInputError(f"{path} is not a file")
        parts, size = [], 0
        while part := os.read(fd, min(1 << 20, limit + 1 - size)):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise MalformedInputError(f"{path} has more than {limit} bytes")
        return b"".join(parts)
    except OSError as error:
        raise storage_error(error, "read", path) from error
    finally:
        os.close(fd)


def parse_value(data: bytes, path: str) -> CommitId | str:
    """Read the content of a ref's file: an id, or the full name that it points to.

    Raises
    ------
    CorruptDataError
        If it is empty: another tool was cut off while it wrote.
    MalformedInputError
        If it is anything else, or points out of ``refs/``.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise CorruptDataError(
            f"the ref file {path} is empty; another tool was cut off while it wrote",
            hint="its last values are in the reflog beside it, under logs/",
            details={"path": path},
        )
    found = _ID.fullmatch(data)
    if found:
        return CommitId(found[1].decode("ascii"))
    found = _SYMBOLIC.fullmatch(data)
    if found is None:
        raise MalformedInputError(f"the ref file {path} holds neither an id nor a name: {data[:80]!r}")
    target = found[1].decode("utf-8", "surrogateescape")
    try:
        check_ref_format(target)
    except MalformedInputError as error:
        raise MalformedInputError(
            f"the ref file {path} points to {target[:200]!r}: {error.message}"
        ) from error
    return target


class RefFiles:
    """Reads the refs of a git repository; nothing here writes or locks.

    Parameters
    ----------
    git_dir : str
        The bare repository.
    """

    def __init__(self, git_dir: str) -> None:
        self.git_dir = git_dir
        self._packed: dict[str, CommitId] = {}
        self._packed_key: tuple[int, int, int, int] | None = None

    def path(self, name: str) -> str:
        """Path of the file of `name`; checked by the caller."""
        return os.path.join(self.git_dir, name)

    def loose(self, name: str) -> CommitId | str | None:
        """Read the file of a ref: an id, the name it points to, or None where there is no file."""
        path = self.path(name)
        data = read_bounded(path, MAX_REF_BYTES)
        return None if data is None else parse_value(data, path)

    def packed(self) -> dict[str, CommitId]:
        """Read ``packed-refs``; the caller does not change what it gets.

        Raises
        ------
        MalformedInputError
            If a line is malformed.
        """
        path = self.path("packed-refs")
        try:
            facts = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            self._packed, self._packed_key = {}, None
            return self._packed
        except OSError as error:
            raise storage_error(error, "read", path) from error
        key = (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino)
        if key != self._packed_key:
            self._packed = parse_packed(read_bounded(path, MAX_PACKED_BYTES) or b"", path)
            self._packed_key = key
        return self._packed

    def raw(self, name: str) -> CommitId | str | None:
        """Read a ref without following it: from its file, else from ``packed-refs``."""
        # In this order: git writes packed-refs before it removes the file.
        value = self.loose(name)
        return self.packed().get(name) if value is None else value

    def names(self, prefix: str) -> set[str]:
        """List the full names that begin with `prefix`.

        Raises
        ------
        MalformedInputError
            If a file below ``refs/`` has a name that no ref may have.
        """
        found = set()
        start = prefix if prefix.endswith("/") else os.path.dirname(prefix) + "/"
        pending = [start if start.startswith("refs/") else "refs/"]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(self.path(folder)) as entries:
                    for entry in entries:
                        name = folder + entry.name
                        if entry.name.startswith(".") or entry.name.endswith(".lock"):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(name + "/")
                        elif name.startswith(prefix):
                            check_ref_format(name)
                            found.add(name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise storage_error(error, "list", folder) from error
        found.update(name for name in self.packed() if name.startswith(prefix))
        return found


def parse_packed(data: bytes, path: str) -> dict[str, CommitId]:
    """Parse the text of ``packed-refs``; later lines win, as for git.

    Raises
    ------
    MalformedInputError
        If a line is malformed.
    """
    found = {}
    for line in data.split(b"\n"):
        if not line or line.startswith(b"#") or _PEELED.fullmatch(line):
            continue
        match = _PACKED.fullmatch(line)
        if match is None:
            raise MalformedInputError(f"{path} has a malformed line: {line[:200]!r}")
        name = match[2].decode("utf-8", "surrogateescape")
        check_ref_format(name)
        found[name] = CommitId(match[1].decode("ascii"))
    return found


def without_packed(data: bytes, names: set[str]) -> bytes:
    """Remove refs from the text of ``packed-refs``, each with the line of its peeled value."""
    kept, skipping = [], False
    for line in data.split(b"\n"):
        if not line.startswith(b"^"):
            match = _PACKED.fullmatch(line)
            skipping = match is not None and match[2].decode("utf-8", "surrogateescape") in names
        if not skipping:
            kept.append(line)
    return b"\n".join(kept)
