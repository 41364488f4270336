"""Differences of two manifests, by node: equal subtrees are skipped without being read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from dsvc.diff.delta import Change, ChangeKind
from dsvc.model.manifest import Entry
from dsvc.store.manifest_tree import Child, Manifest, last_path


def diff_manifests(old: Manifest, new: Manifest, prefix: bytes | Sequence[bytes] = ()) -> Iterator[Change]:
    """Yield what differs, in order of paths; a rename comes as removed and added.

    Entries that differ only in how they are cut, or in what was told from their content, are equal.

    Parameters
    ----------
    old, new : Manifest
        What is compared; reads and memory follow the number of changes.
    prefix : bytes or sequence of bytes
        Only these paths and what lies below folders of these names; none, or an empty one: everything.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a node that differs can't be read.
    """
    if old.root == new.root:
        return
    for low, high in _ranges([prefix] if isinstance(prefix, bytes) else prefix):
        yield from _diff_range(_Cursor(old, low, high), _Cursor(new, low, high))


def _ranges(prefixes: Sequence[bytes]) -> list[tuple[bytes, bytes | None]]:
    """Disjoint ranges of paths ``[low, high)`` in order that cover the prefixes."""
    names = {prefix.rstrip(b"/") for prefix in prefixes}
    if not names or b"" in names:
        return [(b"", None)]
    # "a" and "a/…" are two ranges, since "a!" sorts between them.
    wanted = sorted(r for name in names for r in ((name, name + b"\0"), (name + b"/", name + b"0")))
    disjoint: list[tuple[bytes, bytes | None]] = []
    end = b""
    for low, high in wanted:
        if high > end:
            disjoint.append((max(low, end), high))
            end = high
    return disjoint


class _Cursor:
    """A place in a tree: the next item is a whole subtree or, once opened, an entry."""

    def __init__(self, manifest: Manifest, low: bytes, high: bytes | None) -> None:
        self._manifest = manifest
        self._low = low
        self._high = high
        level, items = manifest.node(bytes(manifest.root))
        # One frame a level: items, position, level of the node that the items stand in.
        self._frames: list[tuple[Sequence[Entry | Child], int, int]] = []
        # The root is an item too, so that equal subtrees are found in trees of different heights.
        root = Child(b"", bytes(manifest.root), 0, 0)
        self.item: Entry | Child | None = root if items else None
        self.level = level
        """Level of the subtree's node where `item` is one, -1 where it is an entry."""

    def open(self) -> None:
        """Replace the subtree by its first item."""
        assert isinstance(self.item, Child)
        if self._frames:
            # What stands before it is the item to its left, or to the left of a node that it begins.
            at = next((frame for frame in reversed(self._frames) if frame[1]), None)
            after = b"" if at is None else last_path(at[0][at[1] - 1])
            siblings, position, level = self._frames[-1]
            items, _ = self._manifest.below(siblings, position, level, after)
        else:
            _, items = self._manifest.node(self.item.id)
        start = 0
        if self._low:
            # Only the nodes on the way to the first path in range hold earlier ones; elsewhere this is 0.
            start = bisect_left(items, self._low, key=last_path)
        self._frames.append((items, start - 1, self.level))
        self.advance()

    def advance(self) -> None:
        """Go to the item after this one, and up where a node ends."""
        while self._frames:
            items, position, level = self._frames.pop()
            position += 1
            if position == len(items):
                continue
            item = items[position]
            if self._high is not None and self._is_beyond(items, position, item):
                break
            self._frames.append((items, position, level))
            self.item, self.level = item, level - 1
            return
        self._frames.clear()
        self.item = None

    def _is_beyond(self, items: Sequence[Entry | Child], position: int, item: Entry | Child) -> bool:
        assert self._high is not None
        if isinstance(item, Entry):
            return item.path >= self._high
        return position > 0 and last_path(items[position - 1]) >= self._high


def _diff_range(old: _Cursor, new: _Cursor) -> Iterator[Change]:
    while old.item is not None or new.item is not None:
        before, after = old.item, new.item
        if isinstance(before, Child) or isinstance(after, Child):
            _skip_or_open(old, new)
        elif after is None or (before is not None and before.path < after.path):
            assert before is not None
            yield Change(before.path, ChangeKind.REMOVED, before, None)
            old.advance()
        elif before is None or after.path < before.path:
            yield Change(after.path, ChangeKind.ADDED, None, after)
            new.advance()
        else:
            if not before.same_content(after):
                yield Change(after.path, ChangeKind.MODIFIED, before, after)
            old.advance()
            new.advance()


def _skip_or_open(old: _Cursor, new: _Cursor) -> None:
    """Skip a subtree that both sides hold here; else open the higher one, or both."""
    before, after = old.item, new.item
    if isinstance(before, Child) and isinstance(after, Child) and before.id == after.id:
        old.advance()
        new.advance()
        return
    old_level = old.level if isinstance(before, Child) else -1
    new_level = new.level if isinstance(after, Child) else -1
    if old_level >= new_level:
        old.open()
    if new_level >= old_level:
        new.open()


def _pairable(change: Change) -> tuple[bytes, int, int] | None:
    entry = change.old if change.kind is ChangeKind.REMOVED else change.new
    # Empty files are all alike: that two of them are one file renamed can't be known.
    if change.kind not in (ChangeKind.REMOVED, ChangeKind.ADDED) or entry is None or entry.size == 0:
        return None
    return entry.digest, entry.size, entry.mode >> 12


def detect_renames(changes: Sequence[Change]) -> list[Change]:
    """Pair removed and added files of equal content to renames; the rest stays as it is.

    Only exact content counts, and a link is never paired with a file. Among several candidates one of
    the same name is preferred, then one in the nearest folder, then the first by path. The time is
    linear in the bytes of the paths.
    """
    groups: dict[tuple[bytes, int, int], tuple[list[Change], list[Change]]] = {}
    for change in changes:
        key = _pairable(change)
        if key is not None:
            groups.setdefault(key, ([], []))[change.kind is ChangeKind.ADDED].append(change)
    old_of: dict[bytes, Change] = {}
    for removed, added in groups.values():
        if removed and added:
            old_of.update(_pair(removed, added))
    moved_away = {change.path for change in old_of.values()}
    result = []
    for change in changes:
        source = old_of.get(change.path) if change.kind is ChangeKind.ADDED else None
        if source is not None:
            result.append(Change(change.path, ChangeKind.RENAMED, source.old, change.new, source.path))
        elif change.kind is not ChangeKind.REMOVED or change.path not in moved_away:
            result.append(change)
    return sorted(result, key=lambda change: change.path)


def _pair(removed: Sequence[Change], added: Sequence[Change]) -> dict[bytes, Change]:
    """Map new paths to the removals they are paired with."""
    if len(removed) == len(added) == 1:
        return {added[0].path: removed[0]}
    by_name: dict[bytes, tuple[list[Change], list[Change]]] = {}
    for side, group in enumerate((removed, added)):
        for change in group:
            by_name.setdefault(change.path.rpartition(b"/")[2], ([], []))[side].append(change)
    pairs: dict[bytes, Change] = {}
    for old, new in by_name.values():
        if old and new:
            pairs.update(_pair_by_folder(old, new))
    used = {change.path for change in pairs.values()}
    old = [change for change in removed if change.path not in used]
    new = [change for change in added if change.path not in pairs]
    pairs.update(_pair_by_folder(old, new))
    return pairs


def _pair_by_folder(removed: Sequence[Change], added: Sequence[Change]) -> dict[bytes, Change]:
    """Pair within the deepest folders first; what is left over goes up to the folder above."""
    ids: dict[tuple[int, bytes], int] = {}
    parents = [0]
    waiting: list[tuple[list[Change], list[Change]]] = [([], [])]
    for side, group in enumerate((removed, added)):
        for change in sorted(group, key=lambda change: change.path):
            folder = 0
            for name in change.path.split(b"/")[:-1]:
                known = ids.setdefault((folder, name), len(parents))
                if known == len(parents):
                    parents.append(folder)
                    waiting.append(([], []))
                folder = known
            waiting[folder][side].append(change)
    pairs: dict[bytes, Change] = {}
    for folder in range(len(parents) - 1, -1, -1):
        old, new = waiting[folder]
        count = min(len(old), len(new))
        pairs.update(zip((change.path for change in new[:count]), old[:count], strict=True))
        if folder:
            waiting[parents[folder]][0].extend(old[count:])
            waiting[parents[folder]][1].extend(new[count:])
    return pairs
