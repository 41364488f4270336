"""Three-way merges of manifests with their texts: the merged manifest, and what no rule settles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from dsvc.diff.merge import Conflict, MergeResult, is_lines, merge_manifests
from dsvc.diff.text_merge import merge3
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_FILE, Entry
from dsvc.porcelain.runs.verb_runs import Made
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_merge import merge_table
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.porcelain.tree.merge_state import OpenConflict
from dsvc.store.manifest_tree import EMPTY_ROOT
from dsvc.store.materialize import read_content

MAX_TEXT_BYTES: Final = 64 * 1024 * 1024
"""Larger texts are not merged by line: three versions and the result are held in memory."""
_MAX_DEPTH: Final = 8


class Names(NamedTuple):
    """What stands at conflict markers."""

    ours: str = "HEAD"
    base: str = "base"
    theirs: str = "theirs"


class Merged(NamedTuple):
    """A merged manifest; a conflicted path is in it as what the working tree shall hold meanwhile.

    `made` are the files that were put together from both sides, without a conflict.
    """

    root: NodeId
    conflicts: list[OpenConflict]
    made: tuple[Made, ...] = ()


def merge_roots(repo: Workspace, base: NodeId, ours: NodeId, theirs: NodeId, names: Names) -> Merged:
    """Merge what two manifests changed since a third; new content and nodes are put, not yet published.

    Raises
    ------
    MissingDataError, CorruptDataError, ErasedError
        If a text or a node that both changed can't be read.
    """
    return _Combination(repo, base, ours, theirs, names).merged()


def base_of(repo: Workspace, bases: Sequence[CommitId], depth: int = 0) -> NodeId:
    """Manifest of the common ancestor; where there are several, they are merged, as git does it.

    In such an ancestor a conflicted text has markers, which neither side can be equal to, and other
    conflicted paths are as the ancestors' own ancestor has them.
    """
    if not bases:
        return EMPTY_ROOT
    first = repo.history.read_commit(bases[0]).manifest
    if depth == _MAX_DEPTH:
        return first
    root = first
    for other in bases[1:]:
        below = base_of(repo, repo.history.merge_bases(bases[0], other), depth + 1)
        theirs = repo.history.read_commit(other).manifest
        root = _Combination(repo, below, root, theirs, Names(), virtual=True).merged().root
        # Its new texts are read next; chunks can be read once they are published.
        repo.store.publish()
    return root


def _mode(conflict: Conflict) -> int:
    """There are two modes of a file: the one that a side changed it to, if any."""
    base, ours, theirs = conflict.base, conflict.ours, conflict.theirs
    if ours is None or theirs is None:
        return MODE_FILE
    return theirs.mode if base is not None and ours.mode == base.mode else ours.mode


class _Combination:
    """One merge at work."""

    def __init__(
        self,
        repo: Workspace,
        base: NodeId,
        ours: NodeId,
        theirs: NodeId,
        names: Names,
        *,
        virtual: bool = False,
    ) -> None:
        self._repo = repo
        self._ours = repo.manifest(ours)
        self._names = names
        self._virtual = virtual
        self._plan: MergeResult = merge_manifests(
            repo.store, repo.manifest(base), self._ours, repo.manifest(theirs)
        )
        self._changes: dict[bytes, Entry | None] = dict(self._plan.changes)
        self._conflicts: list[OpenConflict] = []
        self._made: list[Made] = []

    def merged(self) -> Merged:
        """Settle texts and write the manifest."""
        for text in self._plan.text_merges:
            if self._table(text.path, text.base, text.ours, text.theirs, text.mode):
                continue
            if not self._text(text.path, text.base, text.ours, text.theirs, text.mode):
                self._conflicts.append(OpenConflict(text.path, "content", text.base, text.ours, text.theirs))
        for found in self._plan.conflicts:
            if found.kind == "content" and self._table(
                found.path, found.base, found.ours, found.theirs, _mode(found)
            ):
                continue
            conflict = OpenConflict(found.path, found.kind, found.base, found.ours, found.theirs)
            self._conflicts.append(conflict)
            if self._virtual:
                self._take_base(conflict)
            elif conflict.kind == "add/add":
                self._show_both(conflict)
        root = self._ours.root
        if self._changes:
            root = self._ours.update(sorted(self._changes.items()))
        conflicts = sorted(self._conflicts, key=lambda conflict: conflict.path)
        return Merged(root, conflicts, tuple(self._made))

    def _take_base(self, conflict: OpenConflict) -> None:
        base, ours = conflict.base, conflict.ours
        if base is None or ours is None or MODE_DIRECTORY in (base.mode, ours.mode):
            return
        if base.path == conflict.path:
            self._changes[conflict.path] = base

    def _show_both(self, conflict: OpenConflict) -> None:
        """Put two new texts of one path between markers; without a base they always conflict."""
        ours, theirs = conflict.ours, conflict.theirs
        if ours is None or theirs is None or not (ours.is_file and theirs.is_file):
            return
        if ours.size and theirs.size and is_lines(ours) and is_lines(theirs):
            self._text(conflict.path, None, ours, theirs, ours.mode)

    def _table(
        self, path: bytes, base: Entry | None, ours: Entry | None, theirs: Entry | None, mode: int
    ) -> bool:
        """Merge a table by row where it can be; rows in conflict stay as ours has them."""
        if ours is None or theirs is None:
            return False
        merged = merge_table(self._repo, path, base, ours, theirs, mode)
        if merged is None:
            return False
        if merged.conflict is not None:
            conflict = OpenConflict(path, "rows", base, ours, theirs, merged.conflict)
            self._conflicts.append(conflict)
            if self._virtual:
                self._take_base(conflict)
                return True
        entry = msgspec.structs.replace(merged.entry, path=path, mode=mode)
        self._changes[path] = entry
        if merged.conflict is None:
            self._made.append(Made((ours, theirs), entry, merged.key))
        return True

    def _text(self, path: bytes, base: Entry | None, ours: Entry, theirs: Entry, mode: int) -> bool:
        """Merge a text by line and take the result; returns whether it is without conflicts."""
        contents = self._contents([base, ours, theirs])
        if contents is None:
            return False
        data, conflicts = merge3(
            *contents,
            ours_name=self._names.ours,
            base_name=self._names.base,
            theirs_name=self._names.theirs,
        )
        entry = entry_of_bytes(self._repo.store, path, mode, data, ours)
        self._changes[path] = entry
        if conflicts == 0:
            self._made.append(Made((ours, theirs), entry))
        return conflicts == 0

    def _contents(self, entries: Sequence[Entry | None]) -> tuple[bytes, bytes, bytes] | None:
        """Contents of base, ours and theirs; None where one is too large, or no text after all."""
        if any(entry is not None and entry.size > MAX_TEXT_BYTES for entry in entries):
            return None
        found = [b"" if entry is None else read_content(self._repo.store, entry) for entry in entries]
        if any(b"\0" in data for data in found):
            return None
        return found[0], found[1], found[2]
