"""diff: changes between two states, and the lines of those that are text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

from dsvc.diff.content import BufferContent, Content, StoredContent
from dsvc.diff.delta import Change, ChangeKind, invert
from dsvc.diff.manifest_diff import detect_renames, diff_manifests
from dsvc.diff.text_diff import diff_contents, is_text, quoted_path, stat_contents
from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.files import storage_error
from dsvc.history.revision import split_range
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_SYMLINK, Entry, Kind
from dsvc.model.paths import display_path
from dsvc.porcelain.state.revisions import STAGED, WORKTREE
from dsvc.porcelain.state.values import DiffResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.porcelain.tree.worktree_side import FileBytes, Overlay, chunk_class, is_stored, overlay
from dsvc.store.ingest import UnstableFileError, open_file
from dsvc.store.manifest_tree import EMPTY_ROOT

HEAD: Final = "HEAD"


class _Side(NamedTuple):
    """One side: its name for people and its manifest, of the working tree the staged one."""

    name: str
    root: NodeId
    is_worktree: bool = False


def diff(
    repo: Workspace,
    old: str | None = None,
    new: str | None = None,
    *,
    paths: Sequence[bytes] = (),
    staged: bool = False,
    progress: Progress | None = None,
) -> DiffResult:
    """Compare two states; renames of unchanged content are found, untracked files are no part of it.

    Parameters
    ----------
    old, new : str or None
        Revisions, ``STAGED`` or ``WORKTREE``. Without `new` the working tree is compared with `old` (None:
        HEAD), or `old` is a range: ``A..B``, or ``A...B`` for B against the merge base.
    paths : sequence of bytes
        Only these, and what lies below folders of these names.
    staged : bool
        Compare what is staged instead, with `old` (None: HEAD).

    Raises
    ------
    NotFoundError
        If there is no such revision, or two histories have no merge base.
    UsageError
        If the sides don't go together.
    StorageError, UnstableFileError
        If a file of the working tree can't be read.
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest that differs can't be read.
    """
    left, right = _sides(repo, old, new, staged=staged)
    paths = [path.rstrip(b"/") for path in paths]
    if b"" in paths:
        paths = []
    one, other = left, right
    if left.is_worktree and not right.is_worktree:
        one, other = right, left
    if one.is_worktree:
        changes: list[Change] = []
    else:
        changes = list(diff_manifests(repo.manifest(one.root), repo.manifest(other.root), paths))
        if other.is_worktree:
            changes = _overlaid(repo, one, changes, overlay(repo, repo.staged(), paths, progress=progress))
    if one is not left:
        changes = invert(changes)
    return DiffResult(source=left.name, target=right.name, changes=detect_renames(changes))


def _sides(repo: Workspace, old: str | None, new: str | None, *, staged: bool) -> tuple[_Side, _Side]:
    between = None if old is None or new is not None else split_range(old)
    if staged and (new is not None or between is not None):
        raise UsageError("what is staged is compared with one revision", hint="dsvc diff --staged REV")
    if between is not None:
        left, right = between.left, between.right
        if between.symmetric:
            return _merge_base(repo, left, right), _side(repo, right)
        return _side(repo, left), _side(repo, right)
    if new is not None and old is None:
        raise UsageError("a diff to a revision needs one to begin from")
    target = new if new is not None else STAGED if staged else WORKTREE
    return _side(repo, HEAD if old is None else old), _side(repo, target)


def _side(repo: Workspace, name: str) -> _Side:
    head = repo.history.refs.head()
    if name in (STAGED, WORKTREE):
        return _Side(name, repo.staged(head).root, name == WORKTREE)
    if name in (HEAD, "@") and head.commit is None:
        return _Side(HEAD, EMPTY_ROOT)
    commit = repo.history.read_commit(repo.history.revisions.resolve(name))
    return _Side(str(commit.id), commit.manifest)


def _merge_base(repo: Workspace, left: str, right: str) -> _Side:
    if {left, right} & {STAGED, WORKTREE}:
        raise UsageError("'...' takes two commits", hint="two dots compare with STAGED or WORKTREE")
    resolve = repo.history.revisions.resolve
    base = repo.history.merge_base(resolve(left), resolve(right))
    if base is None:
        raise NotFoundError(f"{left} and {right} have no commit in common", hint="two dots compare them")
    return _side(repo, str(base))


def _overlaid(repo: Workspace, one: _Side, changes: Iterable[Change], over: Overlay) -> list[Change]:
    """Correct changes from a manifest to the staged one by what the working tree holds."""
    by_path = {change.path: change for change in changes}
    before = repo.manifest(one.root)
    for path, entry in over.items():
        known = by_path.pop(path, None)
        old = before.get(path) if known is None else known.old
        if old is None and entry is not None:
            by_path[path] = Change(path, ChangeKind.ADDED, None, entry)
        elif old is not None and entry is None:
            by_path[path] = Change(path, ChangeKind.REMOVED, old, None)
        elif old is not None and entry is not None and not old.same_content(entry):
            by_path[path] = Change(path, ChangeKind.MODIFIED, old, entry)
    return [by_path[path] for path in sorted(by_path)]


def unified(repo: Workspace, change: Change, result: DiffResult) -> Iterator[str] | None:
    """Lines of a change as a patch that ``git apply`` and ``patch`` take, or None where it is no text.

    The head is git's (``diff --git``, modes, renames), since these tools know no other. A symlink shows as
    the text of its target; a file that became a link shows as removed and added. Bytes that are not UTF-8
    come as surrogate escapes.

    Parameters
    ----------
    change : Change
        One of `result`.
    result : DiffResult
        Says which side is the working tree, whose files are read now.

    Raises
    ------
    UnstableFileError, StorageError
        While reading: if a file of the working tree is not what it was when it was compared.
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError, DiffTooLargeError
        While reading: if what differs can't be read.
    """
    if not _shows_lines(repo, change, result):
        return None
    return _patch(repo, change, result)


def _shows_lines(repo: Workspace, change: Change, result: DiffResult) -> bool:
    return _is_lines(repo, change.old, result.source) and _is_lines(repo, change.new, result.target)


def _is_lines(repo: Workspace, entry: Entry | None, side: str) -> bool:
    if entry is None or entry.kind == Kind.TEXT:
        return True
    if entry.kind != Kind.TABLE or entry.mode == MODE_DIRECTORY:
        return False
    # Some tables are lines of text, others aren't; their first bytes tell.
    with ExitStack() as stack:
        content = _content(repo, entry, side, None, stack)
        return is_text(next(content.windows(0, min(content.size, 8192)), b""))


def _patch(repo: Workspace, change: Change, result: DiffResult) -> Iterator[str]:
    old, new = change.old, change.new
    if old is not None and new is not None and (old.mode == MODE_SYMLINK) != (new.mode == MODE_SYMLINK):
        yield from _section(repo, Change(old.path, ChangeKind.REMOVED, old, None), result)
        yield from _section(repo, Change(new.path, ChangeKind.ADDED, None, new), result)
    else:
        yield from _section(repo, change, result)


def _section(repo: Workspace, change: Change, result: DiffResult) -> Iterator[str]:
    old, new = change.old, change.new
    old_name = _text(b"a/" + (change.old_path or change.path))
    new_name = _text(b"b/" + change.path)
    yield f"diff --git {_delimited(old_name)} {_delimited(new_name)}"
    yield from _mode_lines(old, new)
    if change.old_path is not None:
        yield "similarity index 100%"
        yield f"rename from {quoted_path(_text(change.old_path))}"
        yield f"rename to {quoted_path(_text(change.path))}"
    if old is not None and new is not None and old.digest == new.digest:
        return
    with ExitStack() as stack:
        yield from diff_contents(
            _content(repo, old, result.source, new, stack),
            _content(repo, new, result.target, old, stack),
            old_name="/dev/null" if old is None else old_name,
            new_name="/dev/null" if new is None else new_name,
        )


def _mode_lines(old: Entry | None, new: Entry | None) -> Iterator[str]:
    if old is None and new is not None:
        yield f"new file mode {new.mode:06o}"
    elif new is None and old is not None:
        yield f"deleted file mode {old.mode:06o}"
    elif old is not None and new is not None and old.mode != new.mode:
        yield f"old mode {old.mode:06o}"
        yield f"new mode {new.mode:06o}"


def _delimited(name: str) -> str:
    # git knows where an unquoted name with spaces ends, patch doesn't; both take quotes.
    return f'"{name}"' if " " in name and quoted_path(name) == name else quoted_path(name)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def stat(repo: Workspace, change: Change, result: DiffResult) -> tuple[int, int] | None:
    """How many lines a change added and removed, None where it is no text; raises as reading `unified`."""
    if not _shows_lines(repo, change, result):
        return None
    old, new = change.old, change.new
    if old is not None and new is not None and old.digest == new.digest:
        return 0, 0
    with ExitStack() as stack:
        return stat_contents(
            _content(repo, old, result.source, new, stack), _content(repo, new, result.target, old, stack)
        )


def _content(
    repo: Workspace, entry: Entry | None, side: str, other: Entry | None, stack: ExitStack
) -> Content:
    """Content of one side: from the store where it is there, else from the working tree."""
    if entry is None or entry.size == 0:
        return BufferContent(b"")
    if side != WORKTREE or is_stored(repo, entry):
        return StoredContent(repo.store, entry)
    tree = stack.enter_context(Beneath(repo.root))
    try:
        if entry.mode == MODE_SYMLINK:
            return BufferContent(tree.readlink(entry.path))
        folder, name = tree.split(entry.path)
        fd = open_file(name, folder)
        stack.callback(os.close, fd)
        if os.fstat(fd).st_size != entry.size:
            raise _changed(entry)
    except (FileNotFoundError, NotAFolderError) as error:
        raise _changed(entry) from error
    except OSError as error:
        raise storage_error(error, "read", entry.path) from error
    return BufferContent(FileBytes(fd, entry.size), chunk_class(other))


def _changed(entry: Entry) -> UnstableFileError:
    name = display_path(entry.path)
    return UnstableFileError(
        f"{name} changed while it was compared", hint="compare again", details={"path": name}
    )
