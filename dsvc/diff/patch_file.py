"""A patch as a file: sections of text as git writes them, and blocks of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from dsvc.diff.patch_format import (
    TABLE_LINE,
    MalformedPatchError,
    TableBlock,
    UnsupportedPatchError,
    as_bytes,
    decode_block,
)
from dsvc.model.manifest import MODE_EXECUTABLE, MODE_FILE, MODE_SYMLINK

_GIT_LINE: Final = b"diff --git "
_HUNK: Final = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPES: Final = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
_MODES: Final = frozenset({MODE_FILE, MODE_EXECUTABLE, MODE_SYMLINK})
NO_NEWLINE: Final = b"\\ "


class Hunk(NamedTuple):
    """A stretch of lines that changes; lines have their line ends.

    Attributes
    ----------
    old_start : int
        Line where it stood, 1-based; of an empty stretch the line before it.
    old, new : list of bytes
        The lines on either side, equal ones around the changes included.
    """

    old_start: int
    new_start: int
    old: list[bytes]
    new: list[bytes]

    def reversed(self) -> Hunk:
        """Return the hunk that leads back."""
        return Hunk(self.new_start, self.old_start, self.new, self.old)


class FilePatch(NamedTuple):
    """What a patch does to one file.

    Attributes
    ----------
    old_path, new_path : bytes or None
        None where the file is added or removed.
    old_mode, new_mode : int or None
        Where the patch says them.
    hunks : list of Hunk
        Of a text.
    table : TableBlock or None
        Of a table.
    """

    old_path: bytes | None
    new_path: bytes | None
    old_mode: int | None = None
    new_mode: int | None = None
    hunks: list[Hunk] = []  # noqa: RUF012  never changed
    table: TableBlock | None = None

    def reversed(self) -> FilePatch:
        """Return the change that leads back."""
        return FilePatch(
            self.new_path,
            self.old_path,
            self.new_mode,
            self.old_mode,
            [hunk.reversed() for hunk in self.hunks],
            None if self.table is None else self.table.reversed(),
        )


def parse_patch(data: bytes) -> list[FilePatch]:
    """Read a patch made by ``dsvc diff --patch`` or ``git diff``.

    Raises
    ------
    MalformedPatchError
        If it is damaged, or there is no change in it.
    UnsupportedPatchError
        If it names files without their content, or a newer dsvc made it.
    """
    lines = data.split(b"\n")
    # What follows the last line end is no line.
    if lines and not lines[-1]:
        lines.pop()
    reader = _Lines(lines)
    found: list[FilePatch] = []
    while (line := reader.peek()) is not None:
        if line.startswith(TABLE_LINE.encode()):
            reader.take()
            found.append(_table(decode_block(reader.rest())))
        elif line.startswith(_GIT_LINE):
            found.append(_Section(reader).read())
        elif line.startswith(b"--- ") and (reader.peek(1) or b"").startswith(b"+++ "):
            found.append(_Section(reader).read_bare())
        else:
            reader.take()
    if not found:
        raise MalformedPatchError("there is no change in the patch")
    return found


class _Lines:
    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self.number = 0

    def peek(self, ahead: int = 0) -> bytes | None:
        at = self.number + ahead
        return self._lines[at] if at < len(self._lines) else None

    def take(self) -> bytes:
        line = self._lines[self.number]
        self.number += 1
        return line

    def rest(self) -> Iterator[bytes]:
        while self.number < len(self._lines):
            yield self.take()

    def damaged(self, why: str) -> MalformedPatchError:
        return MalformedPatchError(f"line {self.number} of the patch: {why}", details={"line": self.number})


def _table(block: TableBlock) -> FilePatch:
    old, new = block.head.old, block.head.new
    return FilePatch(
        None if old.path is None else as_bytes(old.path),
        None if new.path is None else as_bytes(new.path),
        _mode(old.mode.encode()) if old.mode else None,
        _mode(new.mode.encode()) if new.mode else None,
        table=block,
    )


def _mode(text: bytes) -> int:
    try:
        mode = int(text, 8)
    except ValueError as error:
        raise MalformedPatchError(f"the patch has a mode {text[:20]!r}") from error
    if mode not in _MODES:
        raise UnsupportedPatchError(f"the patch has a mode {text[:20].decode('ascii', 'replace')}")
    return mode


class _Section:
    """One file of a patch in git's form."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._names: dict[str, bytes | None] = {}
        self._modes: dict[str, int] = {}
        self._last: tuple[list[bytes], ...] = ()

    def read(self) -> FilePatch:
        both = _both_names(self._lines.take()[len(_GIT_LINE) :])
        old, new = both if both is not None else (None, None)
        self._head()
        old_path = self._names.get("rename from", self._names.get("---", old))
        new_path = self._names.get("rename to", self._names.get("+++", new))
        old_mode = self._modes.get("old mode", self._modes.get("deleted file mode", self._modes.get("index")))
        new_mode = self._modes.get("new mode", self._modes.get("new file mode", self._modes.get("index")))
        if "new file mode" in self._modes:
            old_path = None
        if "deleted file mode" in self._modes:
            new_path = None
        if old_path is None and new_path is None:
            raise self._lines.damaged("the file has no name")
        return FilePatch(old_path, new_path, old_mode, new_mode, list(self._hunks()))

    def read_bare(self) -> FilePatch:
        """Read a section without git's line, as ``diff -u`` writes it."""
        self._head()
        old, new = self._names.get("---"), self._names.get("+++")
        if old is None and new is None:
            raise self._lines.damaged("the file has no name")
        return FilePatch(old, new, hunks=list(self._hunks()))

    def _head(self) -> None:
        while (line := self._lines.peek()) is not None:
            if line.startswith((b"Binary files ", b"GIT binary patch")):
                raise UnsupportedPatchError(
                    f"the patch doesn't hold the content of a binary file: {line.decode('utf-8', 'replace')}",
                    hint="take such files from the version itself: dsvc restore --source REV PATH",
                )
            word = next((word for word in _HEAD_WORDS if line.startswith(word.encode() + b" ")), None)
            if word is None:
                return
            self._lines.take()
            value = line[len(word) + 1 :]
            if word.endswith("mode"):
                self._modes[word] = _mode(value)
            elif word in ("---", "+++"):
                name = _unquoted(value.split(b"\t")[0])
                self._names[word] = None if name == b"/dev/null" else _without_prefix(name)
            elif word in ("rename from", "rename to"):
                self._names[word] = _unquoted(value)
            elif word == "index" and b" " in value:
                self._modes[word] = _mode(value.rpartition(b" ")[2])
            if word == "+++":
                return

    def _hunks(self) -> Iterator[Hunk]:
        while (line := self._lines.peek()) is not None and (found := _HUNK.match(line)):
            self._lines.take()
            old_start, old_count, new_start, new_count = (
                int(number) if number is not None else 1 for number in found.groups()
            )
            old: list[bytes] = []
            new: list[bytes] = []
            while len(old) < old_count or len(new) < new_count or self._no_newline():
                self._body_line(old, new)
            if len(old) != old_count or len(new) != new_count:
                raise self._lines.damaged("a stretch has more lines than it says")
            yield Hunk(old_start, new_start, old, new)

    def _no_newline(self) -> bool:
        return (self._lines.peek() or b"").startswith(NO_NEWLINE)

    def _body_line(self, old: list[bytes], new: list[bytes]) -> None:
        if self._lines.peek() is None:
            raise self._lines.damaged("it ends within a stretch of lines")
        line = self._lines.take()
        mark, text = line[:1], line[1:] + b"\n"
        sides = {b" ": (old, new), b"": (old, new), b"-": (old,), b"+": (new,)}.get(mark)
        if line.startswith(NO_NEWLINE):
            self._strip(old, new)
        elif sides is None:
            raise self._lines.damaged("a line is neither equal nor added nor removed")
        else:
            self._last = sides
            for side in sides:
                side.append(text)

    def _strip(self, old: list[bytes], new: list[bytes]) -> None:
        """Take the line end from the line before the remark that it has none."""
        for side in self._last:
            side[-1] = side[-1].removesuffix(b"\n")


_HEAD_WORDS: Final = (
    "old mode",
    "new mode",
    "deleted file mode",
    "new file mode",
    "similarity index",
    "dissimilarity index",
    "rename from",
    "rename to",
    "index",
    "---",
    "+++",
)


def _both_names(text: bytes) -> tuple[bytes, bytes] | None:
    """Return the two names of git's line; None where blanks make them uncertain."""
    if text.startswith(b'"'):
        end = _closing(text)
        return _without_prefix(_unquoted(text[:end])), _without_prefix(_unquoted(text[end + 1 :]))
    if text.endswith(b'"') and b' "' in text:
        first, _, second = text.partition(b' "')
        return _without_prefix(first), _without_prefix(_unquoted(b'"' + second))
    # Without quotes both names are the same, or the section says them elsewhere.
    middle = len(text) // 2
    one, two = text[:middle], text[middle + 1 :]
    if len(text) % 2 and text[middle : middle + 1] == b" " and _without_prefix(one) == _without_prefix(two):
        return _without_prefix(one), _without_prefix(two)
    return None


def _closing(text: bytes) -> int:
    at = 1
    while at < len(text) and text[at : at + 1] != b'"':
        at += 2 if text[at : at + 1] == b"\\" else 1
    return at + 1


def _without_prefix(name: bytes) -> bytes:
    return name.partition(b"/")[2] if name[:2] in (b"a/", b"b/") else name


def _unquoted(name: bytes) -> bytes:
    """Undo git's quotes."""
    if not (name.startswith(b'"') and name.endswith(b'"') and len(name) > 1):
        return name

    def plain(found: re.Match[bytes]) -> bytes:
        word = found[1].decode("latin-1")
        return bytes([_ESCAPES[word] if word in _ESCAPES else int(word, 8) & 255])

    return re.sub(rb'\\([abtnvfr"\\]|[0-7]{3})', plain, name[1:-1])
