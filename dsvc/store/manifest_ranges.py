"""Ranges of a manifest: the first entry, how many there are and their size, from the fewest nodes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsvc.model.manifest import Entry
from dsvc.store.manifest_tree import Child, Manifest


class FolderTotals(NamedTuple):
    """A folder and what is below it: entries and the sum of their sizes in bytes."""

    path: bytes
    files: int
    size: int


def first_entry(manifest: Manifest, low: bytes) -> Entry | None:
    """First entry whose path is `low` or after it, or None.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a node on the way can't be read.
    """
    id_, level = bytes(manifest.root), None
    while True:
        level, items = manifest.node(id_, level)
        at = bisect_left(items, low, key=_last_path)
        if at == len(items):
            return None
        item = items[at]
        if isinstance(item, Entry):
            return item
        id_, level = item.id, level - 1


def _last_path(item: Entry | Child) -> bytes:
    return item.path if isinstance(item, Entry) else item.last


def totals_between(manifest: Manifest, low: bytes, high: bytes | None) -> tuple[int, int]:
    """Count the entries from `low` up to, not including, `high` (None: the end), and sum their sizes.

    Subtrees within the range are counted without being read.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a node at an end of the range can't be read.
    """
    level, items = manifest.node(bytes(manifest.root))
    return _totals(manifest, level, items, low, high)


def _totals(
    manifest: Manifest, level: int, items: Sequence[Entry | Child], low: bytes, high: bytes | None
) -> tuple[int, int]:
    files = size = 0
    before: bytes | None = None
    for item in items[bisect_left(items, low, key=_last_path) :]:
        if isinstance(item, Entry):
            if high is not None and item.path >= high:
                break
            files, size = files + 1, size + item.size
            continue
        # Its paths lie after the last one of the item before it; the first one may begin before `low`.
        if before is not None and high is not None and before >= high:
            break
        if before is not None and (high is None or item.last < high):
            files, size = files + item.files, size + item.size
        else:
            below = _totals(manifest, level - 1, manifest.node(item.id, level - 1)[1], low, high)
            files, size = files + below[0], size + below[1]
        before = item.last
    return files, size


def children(manifest: Manifest, folder: bytes) -> Iterator[Entry | FolderTotals]:
    """Yield what stands directly in a folder (``b""``: the root), sorted as the manifest is.

    The cost follows the number of children, not what is below them.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a node on the way can't be read.
    """
    prefix = folder + b"/" if folder else b""
    low, end = prefix, folder + b"0" if folder else None
    while (entry := first_entry(manifest, low)) is not None and (end is None or entry.path < end):
        name, slash, _ = entry.path[len(prefix) :].partition(b"/")
        path = prefix + name
        if slash:
            # "0" follows "/", so this is the first path after everything in the folder.
            low = path + b"0"
            yield FolderTotals(path, *totals_between(manifest, path + b"/", low))
        else:
            low = path + b"\0"
            yield entry
