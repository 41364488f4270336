"""Ranges of a manifest: how many entries there are and their size, from the fewest nodes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from dsvc.model.manifest import Entry
from dsvc.store.manifest_tree import Items, Manifest, last_path


class FolderTotals(NamedTuple):
    """A folder and what is below it: entries and the sum of their sizes in bytes."""

    path: bytes
    files: int
    size: int


def totals_between(manifest: Manifest, low: bytes, high: bytes | None) -> tuple[int, int]:
    """Count the entries from `low` up to, not including, `high` (None: the end), and sum their sizes.

    Subtrees within the range are counted without being read.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a node at an end of the range can't be read.
    """
    level, items = manifest.node(bytes(manifest.root))
    return _totals(manifest, level, items, b"", low, high)


def _totals(
    manifest: Manifest, level: int, items: Items, after: bytes, low: bytes, high: bytes | None
) -> tuple[int, int]:
    files = size = 0
    before: bytes | None = None
    for position in range(bisect_left(items, low, key=last_path), len(items)):
        item = items[position]
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
            below = _totals(manifest, level - 1, *manifest.below(items, position, level, after), low, high)
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
    while (entry := manifest.first_from(low)) is not None and (end is None or entry.path < end):
        name, slash, _ = entry.path[len(prefix) :].partition(b"/")
        path = prefix + name
        if slash:
            # "0" follows "/", so this is the first path after everything in the folder.
            low = path + b"0"
            yield FolderTotals(path, *totals_between(manifest, path + b"/", low))
        else:
            low = path + b"\0"
            yield entry
