"""Unified diffs of texts, in memory or stored, that ``patch`` and ``git apply`` take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dsvc.diff.content import (
    BufferContent,
    Content,
    StoredContent,
    count_lines,
    lines_between,
    skip_lines,
    skip_lines_back,
)
from dsvc.diff.line_ranges import changed_ranges
from dsvc.diff.sliding import Block
from dsvc.model.manifest import Entry
from dsvc.store.chunk_store import ChunkStore

NO_NEWLINE: Final = "\\ No newline at end of file"
_PROBE_BYTES: Final = 8000
_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}


def is_text(data: bytes) -> bool:
    """Whether it may be shown by line: no NUL among the first 8,000 bytes, as git decides it."""
    return b"\0" not in data[:_PROBE_BYTES]


def unified(old: bytes, new: bytes, *, old_name: str, new_name: str, context: int = 3) -> Iterator[str]:
    """Lines of the unified diff, without line ends; none where the texts are equal.

    Bytes that are not UTF-8 come as surrogate escapes, so that the lines encoded with ``surrogateescape``
    and joined with newlines are a patch, byte for byte; `escaped` makes a line fit for people.

    Parameters
    ----------
    old_name, new_name : str
        Shown in the header as given, quoted where they hold control characters.
    context : int
        How many equal lines are shown around each change.
    """
    return diff_contents(
        BufferContent(old), BufferContent(new), old_name=old_name, new_name=new_name, context=context
    )


def diff_stat(old: bytes, new: bytes) -> tuple[int, int]:
    """How many lines were added and how many removed."""
    return stat_contents(BufferContent(old), BufferContent(new))


def content_of(store: ChunkStore, entry: Entry | None) -> Content:
    """Content of a stored file; None is empty.

    Raises
    ------
    DiffTooLargeError
        If it has too many chunks.
    MissingDataError, CorruptDataError, MalformedInputError
        If its chunk list can't be read.
    """
    return BufferContent(b"") if entry is None else StoredContent(store, entry)


def stat_contents(old: Content, new: Content) -> tuple[int, int]:
    """How many lines were added and removed; raises as `diff_contents`."""
    added = removed = 0
    for block in changed_ranges(old, new):
        added += count_lines(new, block.new_start, block.new_end)
        removed += count_lines(old, block.old_start, block.old_end)
    return added, removed


def diff_contents(
    old: Content, new: Content, *, old_name: str, new_name: str, context: int = 3
) -> Iterator[str]:
    """Lines of the unified diff of any two contents, as `unified`; memory doesn't grow with their size.

    Of a large stored file only the chunks that differ are compared. Of what lies before the last change the
    lines are counted, which reads it once.

    Raises
    ------
    DiffTooLargeError
        If a file has too many chunks.
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError
        If what differs can't be read.
    """
    old_line = new_line = 1
    counted = 0
    for hunk in _hunks(old, changed_ranges(old, new), context):
        if hunk.is_first:
            yield f"--- {_quoted(old_name)}"
            yield f"+++ {_quoted(new_name)}"
        skipped = count_lines(old, counted, hunk.start)
        old_line, new_line = old_line + skipped, new_line + skipped
        old_lines, new_lines = hunk.lengths(old, new)
        yield f"@@ -{_span(old_line, old_lines)} +{_span(new_line, new_lines)} @@"
        yield from hunk.lines(old, new)
        old_line, new_line, counted = old_line + old_lines, new_line + new_lines, hunk.end


class _Hunk:
    """Changes that are shown together, with the equal lines around and between them.

    `start` and `end` are offsets in the old content.
    """

    def __init__(self, blocks: list[Block], start: int, end: int, *, is_first: bool) -> None:
        self._blocks = blocks
        self.start = start
        self.end = end
        self.is_first = is_first

    def lengths(self, old: Content, new: Content) -> tuple[int, int]:
        """How many old and how many new lines it covers."""
        old_lines, changed_old, changed_new = count_lines(old, self.start, self.end), 0, 0
        for block in self._blocks:
            changed_old += count_lines(old, block.old_start, block.old_end)
            changed_new += count_lines(new, block.new_start, block.new_end)
        return old_lines, old_lines - changed_old + changed_new

    def lines(self, old: Content, new: Content) -> Iterator[str]:
        """Body."""
        offset = self.start
        for block in self._blocks:
            yield from _marked(" ", old, offset, block.old_start)
            yield from _marked("-", old, block.old_start, block.old_end)
            yield from _marked("+", new, block.new_start, block.new_end)
            offset = block.old_end
        yield from _marked(" ", old, offset, self.end)


def _hunks(old: Content, blocks: Iterable[Block], context: int) -> Iterator[_Hunk]:
    together: list[Block] = []
    shown_to = 0
    is_first = True
    for block in blocks:
        if together:
            last = together[-1].old_end
            if skip_lines(old, last, block.old_start, 2 * context) < block.old_start:
                end = skip_lines(old, last, block.old_start, context)
                yield _hunk(old, together, shown_to, end, context, is_first=is_first)
                together, shown_to, is_first = [], end, False
        together.append(block)
    if together:
        end = skip_lines(old, together[-1].old_end, old.size, context)
        yield _hunk(old, together, shown_to, end, context, is_first=is_first)


def _hunk(
    old: Content, blocks: list[Block], shown_to: int, end: int, context: int, *, is_first: bool
) -> _Hunk:
    start = skip_lines_back(old, shown_to, blocks[0].old_start, context)
    return _Hunk(blocks, start, end, is_first=is_first)


def _span(line: int, lines: int) -> str:
    # Of no lines the line before them is named; of one line the number is left out.
    if lines == 0:
        return f"{line - 1},0"
    return str(line) if lines == 1 else f"{line},{lines}"


def _marked(mark: str, content: Content, start: int, end: int) -> Iterator[str]:
    for line in lines_between(content, start, end):
        text = line.decode("utf-8", "surrogateescape")
        if text.endswith("\n"):
            yield mark + text[:-1]
        else:
            yield mark + text
            yield NO_NEWLINE


def quoted_path(name: str) -> str:
    """Write a name as git does: in quotes with escapes where it would break the line, else as it is."""
    raw = name.encode("utf-8", "surrogateescape")
    if any(byte < 32 or byte in (34, 92, 127) for byte in raw):
        return '"' + "".join(_c_escape(char) for char in name) + '"'
    return name


def _quoted(name: str) -> str:
    """Write a name for the lines ``---`` and ``+++``."""
    quoted = quoted_path(name)
    if quoted != name:
        return quoted
    # A tab ends a name that holds spaces, or patch would end it at the first one.
    return name + "\t" if " " in name else name


def _c_escape(char: str) -> str:
    code = ord(char)
    if code in _ESCAPES:
        return "\\" + _ESCAPES[code]
    return f"\\{code:03o}" if code < 32 or code == 127 else char


def escaped(line: str) -> str:
    """Make a line fit for a terminal or JSON: hexadecimal for control characters and what is not UTF-8."""
    if line.isprintable():
        return line
    return "".join(_visible(char) for char in line)


def _visible(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    is_control = (code < 32 and char not in "\t\r") or 127 <= code < 160
    return f"\\x{code:02x}" if is_control else char
