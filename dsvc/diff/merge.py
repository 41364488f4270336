"""Three-way merge of manifests, by path; the contents of texts that both sides changed go to the caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from dsvc.diff.delta import Change, ChangeKind
from dsvc.diff.manifest_diff import detect_renames, diff_manifests
from dsvc.model.manifest import MODE_DIRECTORY, ChunkClass, Entry, Kind
from dsvc.model.table_kind import kind_by_name
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Manifest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that no rule settles; whoever settles it takes `ours`, `theirs` or something else for it.

    Attributes
    ----------
    path : bytes
        Where the conflict is.
    kind : str
        ``content`` (both changed it), ``add/add``, ``mode``, ``type`` (a link here, a file there), or
        what was done by ours and by theirs: ``modify/delete``, ``delete/modify``, ``rename/delete``,
        ``delete/rename``, ``rename/rename``, ``file/folder``, ``folder/file``.
    base, ours, theirs : Entry or None
        What stands at `path` in each version, None where nothing does. Where a rename led to `path`,
        `base` and the side that did not rename are what they have under the former path.
    """

    path: bytes
    kind: str
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None


@dataclass(frozen=True, slots=True)
class TextMerge:
    """A text that both sides changed; its contents are to be merged by line.

    Attributes
    ----------
    mode : int
        What the merged file's mode is.
    """

    path: bytes
    base: Entry
    ours: Entry
    theirs: Entry
    mode: int


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a merge comes to.

    Attributes
    ----------
    changes : list of (path, Entry or None)
        What to apply to ours, sorted by path; None removes. Paths of conflicts and text merges are not
        in it: they stay as ours has them until they are settled.
    conflicts : list of Conflict
        Sorted by path.
    text_merges : list of TextMerge
        Sorted by path.
    """

    changes: list[tuple[bytes, Entry | None]] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    text_merges: list[TextMerge] = field(default_factory=list)


def merge_manifests(store: ChunkStore, base: Manifest, ours: Manifest, theirs: Manifest) -> MergeResult:
    """Merge what ours and theirs changed since base; the cost follows the changes.

    Parameters
    ----------
    store : ChunkStore
        Where the manifests lie; contents are not read.
    base, ours, theirs : Manifest
        The common ancestor and the two versions. Swapping ours and theirs gives the same tree, the same
        text merges and the same conflicts, seen from the other side.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest node that differs can't be read.
    """
    del store
    our_side = _Side(diff_manifests(base, ours))
    their_side = _Side(diff_manifests(base, theirs))
    merger = _Merger(our_side, their_side)
    merger.follow_renames()
    for path in sorted(our_side.changes.keys() | their_side.changes.keys()):
        merger.merge_path(path)
    merger.settle_folders()
    return merger.result()


class _Side:
    """What one side changed."""

    def __init__(self, changes: Iterable[Change]) -> None:
        found = list(changes)
        self.changes: dict[bytes, Change] = {change.path: change for change in found}
        self.renames: dict[bytes, bytes] = {
            change.old_path: change.path
            for change in detect_renames(found)
            if change.old_path is not None and change.kind is ChangeKind.RENAMED
        }


@dataclass(slots=True)
class _Triple:
    """One path in the three versions; `actual` is what ours really has there."""

    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    actual: Entry | None


def _file(entry: Entry | None) -> Entry | None:
    return None if entry is None or entry.mode == MODE_DIRECTORY else entry


def _same(a: Entry | None, b: Entry | None) -> bool:
    return a is b if a is None or b is None else a.same_content(b)


def is_lines(entry: Entry) -> bool:
    """Whether a file merges by line: texts do, and tables in text; packed ones and binary formats don't."""
    if entry.kind != Kind.TABLE:
        return entry.kind == Kind.TEXT
    # A path keeps its class of cutting, whatever comes to stand there.
    named = kind_by_name(entry.path)
    return entry.chunk_class == ChunkClass.TEXT and named is not None and named.is_plain_text


class _Merger:
    """Collects the outcome of each path."""

    def __init__(self, ours: _Side, theirs: _Side) -> None:
        self._ours = ours
        self._theirs = theirs
        self._triples: dict[bytes, _Triple] = {}
        self._merged: dict[bytes, Entry | None] = {}
        self._conflicts: dict[bytes, Conflict] = {}
        self._texts: dict[bytes, TextMerge] = {}

    def _triple(self, path: bytes) -> _Triple:
        known = self._triples.get(path)
        if known is None:
            mine, other = self._ours.changes.get(path), self._theirs.changes.get(path)
            either = mine or other
            base = either.old if either else None
            ours = mine.new if mine else base
            known = _Triple(base, ours, other.new if other else base, ours)
            self._triples[path] = known
        return known

    def follow_renames(self) -> None:
        """Bring an edit on one side to where the other side moved the file; find moves that disagree."""
        ours, theirs = self._ours.renames, self._theirs.renames
        for source in sorted(ours.keys() | theirs.keys()):
            to_ours, to_theirs = ours.get(source), theirs.get(source)
            if to_ours is not None and to_theirs is not None:
                if to_ours != to_theirs:
                    self._disagree(source, to_ours, "rename/rename")
                    self._disagree(source, to_theirs, "rename/rename")
            elif to_ours is not None:
                self._follow(source, to_ours, self._theirs, "rename/delete")
            elif to_theirs is not None:
                self._follow(source, to_theirs, self._ours, "delete/rename")

    def _disagree(self, source: bytes, target: bytes, kind: str) -> None:
        at = self._triple(target)
        if at.ours is None or at.theirs is None:
            base = self._triple(source).base
            self._conflicts[target] = Conflict(target, kind, base, at.ours, at.theirs)

    def _follow(self, source: bytes, target: bytes, other: _Side, deleted: str) -> None:
        change = other.changes.get(source)
        if change is None or target in other.changes:
            # Untouched there; or the target is taken there, and plain paths tell that story better.
            return
        moved = _file(change.new)
        if moved is None or change.old is None:
            self._disagree(source, target, deleted)
            return
        at, left = self._triple(target), self._triple(source)
        edited = msgspec.structs.replace(moved, path=target)
        at.base = msgspec.structs.replace(change.old, path=target)
        if other is self._theirs:
            at.theirs, left.theirs = edited, None
        else:
            at.ours, left.ours = edited, None

    def merge_path(self, path: bytes) -> None:
        """Settle one path, or record why it can't be."""
        if path in self._conflicts:
            return
        at = self._triple(path)
        base, ours, theirs = _file(at.base), _file(at.ours), _file(at.theirs)
        if _same(ours, theirs) or _same(base, theirs):
            merged = ours
        elif _same(base, ours):
            merged = theirs
        elif ours is None or theirs is None:
            self._conflict(path, "delete/modify" if ours is None else "modify/delete")
            return
        else:
            self._both_changed(path, base, ours, theirs)
            return
        self._merge_empty_folder(path, at, merged)

    def _conflict(self, path: bytes, kind: str) -> None:
        at = self._triple(path)
        if kind in ("delete/modify", "modify/delete"):
            # What was deleted may have made way for an empty folder.
            if at.ours is not None and _file(at.ours) is None:
                kind = "folder/file"
            elif at.theirs is not None and _file(at.theirs) is None:
                kind = "file/folder"
        self._conflicts[path] = Conflict(path, kind, at.base, at.ours, at.theirs)

    def _merge_empty_folder(self, path: bytes, at: _Triple, merged: Entry | None) -> None:
        """Finish a path whose file part is settled: it may be an empty folder now."""
        was, mine, other = (
            entry is not None and entry.mode == MODE_DIRECTORY for entry in (at.base, at.ours, at.theirs)
        )
        folder = mine if other in (mine, was) else other
        if folder and merged is not None:
            self._conflict(path, "folder/file" if mine else "file/folder")
        elif folder:
            self._merged[path] = at.ours if mine else at.theirs
        else:
            self._merged[path] = merged

    def _both_changed(self, path: bytes, base: Entry | None, ours: Entry, theirs: Entry) -> None:
        if not (ours.is_file and theirs.is_file):
            both_links = not (ours.is_file or theirs.is_file)
            kind = ("add/add" if base is None else "content") if both_links else "type"
            self._conflict(path, kind)
        elif base is None or not base.is_file:
            same_bytes = ours.digest == theirs.digest and ours.size == theirs.size
            self._conflict(path, "mode" if same_bytes else "add/add")
        else:
            self._both_edited(path, base, ours, theirs)

    def _both_edited(self, path: bytes, base: Entry, ours: Entry, theirs: Entry) -> None:
        # There are two modes of a file: if the sides differ, one of them changed it, and that one holds.
        mode = theirs.mode if ours.mode == base.mode else ours.mode
        if ours.digest in (theirs.digest, base.digest) or theirs.digest == base.digest:
            content = theirs if ours.digest == base.digest else ours
            self._merged[path] = msgspec.structs.replace(content, mode=mode)
        elif all(is_lines(entry) for entry in (base, ours, theirs)):
            self._texts[path] = TextMerge(path, base, ours, theirs, mode)
        else:
            self._conflict(path, "content")

    def settle_folders(self) -> None:
        """Find files that stand where the other side has a folder; drop folders that are not empty now.

        Both paths of such a pair were touched: a side alone never has both, and what neither side
        touched is on both sides. So the touched paths are all that needs looking at.
        """
        # With NUL in place of the slash a folder comes right before what lies below it.
        names = sorted(path.replace(b"/", b"\0") for path in self._present())
        above: list[bytes] = []
        for name in names:
            while above and not name.startswith(above[-1] + b"\0"):
                above.pop()
            path = name.replace(b"\0", b"/")
            for parent in [folder.replace(b"\0", b"/") for folder in above]:
                self._clash(parent, path)
            above.append(name)

    def _present(self) -> list[bytes]:
        held = [path for path, entry in self._merged.items() if entry is not None]
        return [*held, *self._conflicts, *self._texts]

    def _clash(self, parent: bytes, path: bytes) -> None:
        standing = self._merged.get(parent)
        if standing is not None and standing.mode == MODE_DIRECTORY:
            self._merged[parent] = None
            return
        if parent in self._merged and standing is None:
            return
        # The file's side is the one that has it; what lies below is then the other side's. A renamed path's
        # sides are those of its old name, so that what really stands there decides.
        mine = _file(self._triple(parent).actual) is not None and self._triple(path).actual is None
        kind = "file/folder" if mine else "folder/file"
        for place in (parent, path):
            if place not in self._conflicts:
                self._merged.pop(place, None)
                self._texts.pop(place, None)
                there = self._triple(place)
                self._conflicts[place] = Conflict(place, kind, there.base, there.ours, there.theirs)

    def result(self) -> MergeResult:
        """Sort what was found, leaving out what ours has already."""
        return MergeResult(
            [(path, entry) for path, entry in sorted(self._merged.items()) if not self._is_ours(path, entry)],
            _by_path(self._conflicts),
            _by_path(self._texts),
        )

    def _is_ours(self, path: bytes, entry: Entry | None) -> bool:
        return _same(self._triple(path).actual, entry)


def _by_path(found: Mapping[bytes, T]) -> list[T]:
    return [found[path] for path in sorted(found)]
