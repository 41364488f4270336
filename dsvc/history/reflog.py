"""Reflogs: one line for each move of a ref, in git's format."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final

import msgspec

from dsvc.fs import files
from dsvc.fs.flushing import Unflushed
from dsvc.history.git_object import ZERO_ID
from dsvc.history.signature import Signature
from dsvc.model.errors import MalformedInputError, MissingDataError
from dsvc.model.ids import CommitId

MAX_READ_BYTES: Final = 32 * 1024 * 1024
MAX_LINE_BYTES: Final = 8192
MAX_MESSAGE_CHARACTERS: Final = 1000

_LINE = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) ([^\t\n]*)(?:\t([^\n]*))?")
_ASIDE = "refs/dsvc/deleted"


class ReflogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a ref; `old` or `new` is None where it was made or deleted."""

    old: CommitId | None
    new: CommitId | None
    who: Signature
    message: str


def encode_line(old: CommitId | None, new: CommitId | None, who: Signature, message: str) -> bytes:
    """Write one line; white space in `message` becomes single blanks."""
    text = " ".join(message.split())[:MAX_MESSAGE_CHARACTERS]
    head = f"{old or ZERO_ID} {new or ZERO_ID} ".encode("ascii") + who.encode()
    return head + (b"\t" + text.encode("utf-8", "replace") if text else b"") + b"\n"


def parse_line(line: bytes) -> ReflogEntry | None:
    """Read one line, or None where it is torn or malformed."""
    found = _LINE.fullmatch(line) if len(line) <= MAX_LINE_BYTES else None
    if found is None:
        return None
    try:
        who = Signature.parse(found[3])
    except MalformedInputError:
        return None
    old, new = found[1].decode("ascii"), found[2].decode("ascii")
    return ReflogEntry(
        old=None if old == ZERO_ID else CommitId(old),
        new=None if new == ZERO_ID else CommitId(new),
        who=who,
        message=(found[4] or b"").decode("utf-8", "replace"),
    )


class Reflogs:
    """The folder ``logs`` of a git repository.

    Parameters
    ----------
    git_dir : str
        The bare repository.
    durable : bool
        Whether a line is flushed when it is written.
    """

    def __init__(self, git_dir: str, *, durable: bool) -> None:
        self._logs = os.path.join(git_dir, "logs")
        self._durable = durable

    def _path(self, ref: str) -> str:
        return os.path.join(self._logs, ref)

    def _aside(self, ref: str) -> str:
        name = hashlib.sha1(ref.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
        return os.path.join(self._logs, _ASIDE, name)

    def read(self, ref: str, limit: int | None = None) -> list[ReflogEntry]:
        """List the moves of `ref`, newest first; lines that are torn or malformed are passed over."""
        found: list[ReflogEntry] = []
        for path in (self._path(ref), self._aside(ref)):
            for line in reversed(_tail(path)):
                if limit is not None and len(found) >= limit:
                    return found
                entry = parse_line(line)
                if entry is not None:
                    found.append(entry)
        return found

    def expect_none(self, ref: str, text: str) -> None:
        """Expect `ref`, which stands on a branch without commit, to have had none.

        Raises
        ------
        MissingDataError
            If its log says that it was at a commit last.
        """
        last = next(iter(self.read(ref, 1)), None)
        if last is not None and last.new is not None:
            raise MissingDataError(
                f"{text} is missing; the log says that {ref} is at {last.new[:12]}",
                hint=f"dsvc checkout BRANCH goes to one that is there; dsvc reset {last.new[:12]} makes it",
                details={"ref": text, "commit": str(last.new)},
            )

    def append(self, ref: str, line: bytes, unflushed: Unflushed) -> None:
        """Append a line that `encode_line` made, once: written again after a crash, it stays one.

        Parameters
        ----------
        unflushed : Unflushed
            Takes the log, to be flushed with others.

        Raises
        ------
        StorageError
            If the system refuses.
        """
        path = self._path(ref)
        folder = os.path.dirname(path)
        self._clear_way(ref)
        new = not os.path.exists(path)
        if new:
            files.make_folders(folder, durable=self._durable)
        last = _last_bytes(path, len(line) + 1)
        if last.endswith(line):
            return
        if remains := _remains(last, line):
            _shorten(path, remains)
        # Another line that was torn is closed first, or this one would be lost with it.
        start = b"\n" if not remains and last and not last.endswith(b"\n") else b""
        unflushed.append(path, start + line)
        if new and self._durable:
            files.sync_folder(folder)

    def inherit(self, ref: str, source: str) -> None:
        """Begin the log of `ref`, which is about to be made from `source`, with what `source` has.

        The log of `source` stays. Where nothing comes of the move, the lines do no harm.

        Raises
        ------
        StorageError
            If the system refuses.
        """
        known = set(_tail(self._path(ref)))
        before = [*_tail(self._aside(source)), *_tail(self._path(source))]
        lines = [line + b"\n" for line in before if line not in known]
        if lines:
            with Unflushed(durable=self._durable) as unflushed:
                self.append(ref, b"".join(lines), unflushed)
                unflushed.flush()

    def _clear_way(self, ref: str) -> None:
        """Move logs of deleted refs away whose names and this one cannot both be paths."""
        parts = ref.split("/")
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            if os.path.isfile(self._path(above)):
                self._put_aside(above)
        if not os.path.isdir(self._path(ref)):
            return
        for folder, _, names in os.walk(self._path(ref), topdown=False):
            for name in names:
                self._put_aside(os.path.join(folder, name)[len(self._logs) + 1 :])
            files.remove_folder(folder)

    def _put_aside(self, ref: str) -> None:
        data = b"\n".join(_tail(self._path(ref)))
        target = self._aside(ref)
        files.make_folders(os.path.dirname(target), durable=self._durable)
        files.append(target, data + b"\n" if data else b"", durable=self._durable)
        files.unlink(self._path(ref))


def _tail(path: str) -> list[bytes]:
    """Read whole lines from the end of a log, at most `MAX_READ_BYTES`; without their ends."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise files.storage_error(error, "read", path) from error
    try:
        start = max(0, os.fstat(fd).st_size - MAX_READ_BYTES)
        data = os.pread(fd, MAX_READ_BYTES, start)
    except IsADirectoryError:
        return []
    except OSError as error:
        raise files.storage_error(error, "read", path) from error
    finally:
        os.close(fd)
    lines = data.split(b"\n")
    return [line for line in (lines[1:] if start else lines) if line]


def _remains(last: bytes, line: bytes) -> int:
    """How many bytes at the end a crash left of this very line: its beginning, or zeros in place of data."""
    found = last[last.rfind(b"\n", 0, max(len(last) - 1, 0)) + 1 :]
    ours = len(found) <= len(line) and all(now in (0, then) for now, then in zip(found, line, strict=False))
    return len(found) if ours else 0


def _shorten(path: str, count: int) -> None:
    """Take the last bytes of a file away."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise files.storage_error(error, "open", path) from error
    try:
        files.truncate(fd, os.fstat(fd).st_size - count, path)
    finally:
        os.close(fd)


def _last_bytes(path: str, count: int) -> bytes:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - count))
            return file.read(count)
    except (FileNotFoundError, IsADirectoryError):
        return b""
    except OSError as error:
        raise files.storage_error(error, "read", path) from error
