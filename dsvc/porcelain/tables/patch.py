"""A difference as a patch: texts in git's form, tables by row, of other files their names and digests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsvc.diff.delta import Change
from dsvc.diff.patch_format import TABLE_LINE
from dsvc.diff.text_diff import quoted_path
from dsvc.model.manifest import MODE_DIRECTORY, MODE_FILE, Entry
from dsvc.porcelain.state.revisions import WORKTREE
from dsvc.porcelain.state.values import DiffResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.diff import unified
from dsvc.porcelain.tables.table_source import recognise_entry, table_source


def diff_patch(repo: Workspace, result: DiffResult, *, key: Sequence[str] | None = None) -> Iterator[bytes]:
    """Yield the lines of a patch that `apply.apply` takes, with their line ends.

    Parameters
    ----------
    result : DiffResult
        What differs.
    key : sequence of str or None
        Key columns of tables; None: those of ``dsvc.toml``, or a guess.

    Raises
    ------
    NoSuchColumnError, DuplicateKeyError
        If the key is none.
    UnstableFileError, StorageError
        If a file of the working tree is not what it was when it was compared.
    MissingDataError, ErasedError, CorruptDataError, DiffTooLargeError
        If what differs can't be read.
    """
    for change in result.changes:
        lines = _table_lines(repo, change, result, key)
        if lines is None:
            text = unified(repo, change, result)
            lines = _nameless(change) if text is None else (_encoded(line) for line in text)
        yield from lines


def _encoded(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape") + b"\n"


def _table_lines(
    repo: Workspace, change: Change, result: DiffResult, key: Sequence[str] | None
) -> Iterator[bytes] | None:
    """Lines about a table; None where lines of text say as much, or it can't be read as one."""
    from dsvc.diff.table_patch import PatchSide, table_block
    from dsvc.table.origin.source import NotATableError, TableLimitError

    old, new = change.old, change.new
    if old is not None and new is not None and old.digest == new.digest:
        return None
    sides: list[PatchSide | None] = []
    kinds = []
    for entry, side in ((old, result.source), (new, result.target)):
        worktree = side == WORKTREE
        if entry is None or not entry.is_file:
            sides.append(None)
            continue
        kinds.append(recognise_entry(repo, entry, worktree=worktree))
        sides.append(PatchSide(entry.path, entry.mode, table_source(repo, entry, worktree=worktree)))
    if not kinds or any(kind is None or kind != kinds[0] for kind in kinds):
        return None
    kind = kinds[0]
    assert kind is not None
    if None in sides and kind.format.is_text and kind.compression.value == "none":
        return None
    try:
        found: Sequence[str] = ()
        if None not in sides:
            from dsvc.porcelain.tables.table_diff import table_diff

            delta = table_diff(repo, change, result, key=key, limit=1)
            found = () if delta is None else delta.key
        block = list(table_block(sides[0], sides[1], kind, found))
    except (NotATableError, TableLimitError):
        return None
    names = " ".join(
        quoted_path(prefix + entry.path.decode("utf-8", "surrogateescape"))
        for prefix, entry in (("a/", old or new), ("b/", new or old))
        if entry is not None
    )
    return iter([TABLE_LINE.encode() + names.encode("utf-8", "surrogateescape") + b"\n", *block])


def _nameless(change: Change) -> Iterator[bytes]:
    """Name a file whose content isn't in the patch, as git does."""
    old, new = change.old, change.new
    if _is_folder(old) or _is_folder(new):
        return
    old_name = "a/" + (change.old_path or change.path).decode("utf-8", "surrogateescape")
    new_name = "b/" + change.path.decode("utf-8", "surrogateescape")
    yield _encoded(f"diff --git {quoted_path(old_name)} {quoted_path(new_name)}")
    if old is None:
        yield _encoded(f"new file mode {(new.mode if new else MODE_FILE):06o}")
    elif new is None:
        yield _encoded(f"deleted file mode {old.mode:06o}")
    yield _encoded(f"index {_digest(old)}..{_digest(new)}")
    sides = (
        "/dev/null" if old is None else quoted_path(old_name),
        "/dev/null" if new is None else quoted_path(new_name),
    )
    yield _encoded(f"Binary files {sides[0]} and {sides[1]} differ")


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.mode == MODE_DIRECTORY


def _digest(entry: Entry | None) -> str:
    return "0" * 64 if entry is None else entry.digest.hex()
