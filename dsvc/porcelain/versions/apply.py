"""apply: bring a patch into the working tree, all of it or nothing; what is overwritten is stored first."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dsvc.diff.apply_text import apply_hunks
from dsvc.diff.patch_file import FilePatch, parse_patch
from dsvc.diff.patch_format import MalformedPatchError, PatchConflictError
from dsvc.model.manifest import MODE_FILE, MODE_SYMLINK
from dsvc.model.paths import check_structure, display_path
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.versions.patched_files import FileState, PatchedFiles
from dsvc.table.origin.memory_source import MemorySource


class AppliedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file.

    Attributes
    ----------
    path : bytes
        Where it is now, or was.
    change : str
        ``added``, ``modified``, ``removed`` or ``renamed``.
    rows : tuple of int, or None
        Of a table: rows added, removed and changed.
    exact : bool
        Whether the file was the one that the patch was made from; else a table was changed by key, or lines
        of a text may have moved.
    """

    path: bytes
    change: str
    rows: tuple[int, int, int] | None = None
    exact: bool = True


class ApplyResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of `apply`; `undo` names the operation that takes it back, None where nothing was written."""

    files: list[AppliedFile]
    undo: str | None = None


def apply(repo: Workspace, data: bytes, *, check: bool = False, reverse: bool = False) -> ApplyResult:
    """Apply a patch to the files of the working tree; nothing is staged.

    Parameters
    ----------
    data : bytes
        The patch, as `diff_patch` or ``git diff`` write it.
    check : bool
        Only find out whether it applies.
    reverse : bool
        Take back what it changed.

    Raises
    ------
    MalformedPatchError, UnsupportedPatchError
        If it can't be read, or names files whose content it doesn't hold.
    MalformedInputError
        If it names a path that can't be.
    PatchConflictError
        If a file is not as the patch expects it; names all of them, and nothing was written.
    NotATableError
        If a table can't be read as one.
    WouldOverwriteError
        If a folder stands where a file goes.
    """
    patches = parse_patch(data)
    if reverse:
        patches = [patch.reversed() for patch in reversed(patches)]
    for patch in patches:
        for path in (patch.old_path, patch.new_path):
            if path is not None:
                check_structure(path)
    with repo.changing(), PatchedFiles(repo) as states:
        done = _apply_all(states, patches)
        return ApplyResult(files=done, undo=None if check else states.write())


def _apply_all(states: PatchedFiles, patches: Iterable[FilePatch]) -> list[AppliedFile]:
    done: list[AppliedFile] = []
    conflicts: list[PatchConflictError] = []
    for patch in patches:
        try:
            done.append(_apply_one(states, patch))
        except PatchConflictError as conflict:
            conflicts.append(conflict)
    if len(conflicts) == 1:
        raise conflicts[0]
    if conflicts:
        raise PatchConflictError(
            "\n  ".join(["the patch doesn't apply:", *(conflict.message for conflict in conflicts)]),
            hint="nothing was written",
            details={"conflicts": [conflict.details for conflict in conflicts]},
        )
    return done


def _conflict(path: bytes, why: str) -> PatchConflictError:
    name = display_path(path)
    return PatchConflictError(
        f"the patch doesn't apply to {name}: {why}", hint="nothing was written", details={"path": name}
    )


def _apply_one(states: PatchedFiles, patch: FilePatch) -> AppliedFile:
    old_path, new_path = patch.old_path, patch.new_path
    path = new_path or old_path
    if path is None:
        raise MalformedPatchError("the patch has a change of no file")
    old = None if old_path is None else states.get(old_path)
    if old_path is not None and old is None:
        raise _conflict(old_path, "it is not there")
    if new_path is not None and new_path != old_path and states.get(new_path) is not None:
        raise _conflict(new_path, "it is there already")
    applied = AppliedFile(path=path, change=_change(patch))
    if patch.table is not None:
        applied = _set_table(states, patch, old, path)
    elif new_path is None:
        if apply_hunks(_content(old), patch.hunks, display_path(path)):
            raise _conflict(path, "it has lines that the patch doesn't remove")
    else:
        _set_text(states, patch, old, new_path)
    if old_path is not None and old_path != new_path:
        states.set(old_path, None)
    return applied


def _change(patch: FilePatch) -> str:
    if patch.old_path is None or patch.new_path is None:
        return "added" if patch.old_path is None else "removed"
    return "modified" if patch.old_path == patch.new_path else "renamed"


def _mode(patch: FilePatch, old: FileState | None) -> int:
    if patch.new_mode is not None and (old is None or patch.new_mode != patch.old_mode):
        return patch.new_mode
    return MODE_FILE if old is None else old.mode


def _set_text(states: PatchedFiles, patch: FilePatch, old: FileState | None, path: bytes) -> None:
    mode = _mode(patch, old)
    if old is not None and (old.mode == MODE_SYMLINK) != (mode == MODE_SYMLINK):
        raise _conflict(path, "a link and a file take each other's place")
    if not patch.hunks and old is not None:
        states.set(path, FileState(mode, old.source))
        return
    data = apply_hunks(_content(old), patch.hunks, display_path(path))
    if mode == MODE_SYMLINK and (not data or b"\0" in data):
        raise MalformedPatchError(f"the patch makes {display_path(path)} a link to nowhere")
    states.set(path, FileState(mode, MemorySource(display_path(path), data)))


def _content(state: FileState | None) -> bytes:
    if state is None:
        return b""
    with state.source.open() as stream:
        return stream.read()


def _set_table(states: PatchedFiles, patch: FilePatch, old: FileState | None, path: bytes) -> AppliedFile:
    from dsvc.diff.apply_table import apply_table, check_result

    block = patch.table
    assert block is not None
    applied = AppliedFile(path=path, change=_change(patch))
    if old is None or patch.new_path is None:
        _set_whole(states, patch, old, path)
        return applied
    if old.mode == MODE_SYMLINK:
        raise _conflict(path, "it is a link")
    with states.output(path) as (output, source):
        done = apply_table(block, old.source, output)
    if done.exact:
        check_result(block, source)
    states.set(path, FileState(_mode(patch, old), source))
    return msgspec.structs.replace(applied, rows=(done.added, done.removed, done.changed), exact=done.exact)


def _set_whole(states: PatchedFiles, patch: FilePatch, old: FileState | None, path: bytes) -> None:
    """Add or remove a table whose patch holds all of it."""
    block = patch.table
    assert block is not None
    if old is not None:
        if old.source.digest.hex() != block.head.old.digest:
            raise _conflict(path, "it is not the version that the patch removes")
        return
    source = MemorySource(display_path(path), block.new_file or b"")
    if source.digest.hex() != block.head.new.digest:
        raise MalformedPatchError(f"the patch doesn't hold the {display_path(path)} that it names")
    states.set(path, FileState(_mode(patch, None), source))
