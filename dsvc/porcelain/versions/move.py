"""mv: rename a tracked file or folder, staged and in the working tree."""

from __future__ import annotations

import stat as stat_module
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.model.errors import NotFoundError, UsageError, WouldOverwriteError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.paths import check_structure, display_path, portability_problem
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.file_entry import entry_at
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.stat_cache import StatCache, pack_stat
from dsvc.porcelain.tree.tree_scan import parents
from dsvc.porcelain.tree.write_worker import remembered
from dsvc.store.ingest import FileStat
from dsvc.store.manifest_tree import Manifest


class _Moved(NamedTuple):
    """What a move does to tracked paths."""

    old: list[Entry]
    new: list[Entry]
    vanished: list[bytes]
    """Tracked empty folders that hold something now."""


def move(repo: Workspace, source: bytes, target: bytes) -> bytes:
    """Rename a tracked file or folder; into `target` where that's a folder.

    Edits that are not staged move with the file and stay unstaged; untracked files in a folder move along.

    Returns
    -------
    bytes
        The new path.

    Raises
    ------
    NotFoundError
        If `source` isn't tracked, or its file isn't there.
    WouldOverwriteError
        If something stands at the new path.
    UsageError
        If a folder would go into itself, or `source` is in conflict.
    """
    with repo.changing(), Beneath(repo.root) as tree:
        staged = repo.staged()
        tracked = repo.manifest(staged.root)
        target, in_place = _destination(tree, tracked, source, target)
        moved = _moved(repo, tracked, source, target)
        clean = _unedited(repo, tree, moved.old, moved.new if in_place else moved.old)
        roots = _tree_roots(repo, tree, staged.root, moved, clean, in_place)
        edits: dict[bytes, Entry | None] = dict.fromkeys([*(e.path for e in moved.old), *moved.vanished])
        edits.update((e.path, e) for e in moved.new)
        root = tracked.update(sorted(edits.items()))
        repo.store.publish()
        mirror = Mirror(repo, staged.root)
        if not in_place:
            _rename(tree, source, target)
        repo.record(
            "mv",
            arguments=[display_path(source), display_path(target)],
            before=staged.root,
            after=root,
            tree=roots or True,
        )
        repo.staging.save(Staged(staged.base_commit, staged.base_root, root))
        written = _cache_rows(mirror.cache, tree, moved, clean)
        mirror.follow(root, written=written)
        return target


def _destination(tree: Beneath, tracked: Manifest, source: bytes, target: bytes) -> tuple[bytes, bool]:
    """Where the source goes, and whether it's there already: a killed `mv` had moved it."""
    if not source or next(tracked.entries(source), None) is None:
        raise NotFoundError(
            f"{display_path(source) or '.'} is not tracked", details={"path": display_path(source)}
        )
    into = (target + b"/" if target else b"") + source.rpartition(b"/")[2]
    stat = None if target == b"" else tree.lstat(target)
    is_folder = target == b"" or (stat is not None and stat_module.S_ISDIR(stat.st_mode))
    if tree.lstat(source) is None:
        for place in [into] * is_folder + [target] * (stat is not None):
            if tree.lstat(place) is not None and next(tracked.entries(place), None) is None:
                return place, True
        raise NotFoundError(
            f"{display_path(source)} is not in the working tree",
            hint="dsvc restore brings it back",
            details={"path": display_path(source)},
        )
    place = into if is_folder else target
    if place == source or place.startswith(source + b"/"):
        raise UsageError(f"{display_path(source)} can't be moved into itself")
    if tree.lstat(place) is not None or next(tracked.entries(place), None) is not None:
        raise WouldOverwriteError(
            f"{display_path(place)} exists already", details={"paths": [display_path(place)]}
        )
    return place, False


def _moved(repo: Workspace, tracked: Manifest, source: bytes, target: bytes) -> _Moved:
    state = merge_state.current(repo)
    old = list(tracked.entries(source))
    in_conflict = {c.path for c in state.conflicts} if state else set()
    if any(e.path in in_conflict for e in old):
        raise UsageError(f"{display_path(source)} is in conflict", hint="dsvc resolve settles it")
    new = [entry_at(repo.store, e, target + e.path[len(source) :]) for e in old]
    for entry in new:
        check_structure(entry.path)
        problem = portability_problem(entry.path) if repo.config.flag("core.portableNames") else None
        if problem:
            raise UsageError(f"{display_path(entry.path)} can't be written here: {problem}")
    vanished = []
    for folder in parents(target):
        above = tracked.get(folder)
        if above is not None and above.mode != MODE_DIRECTORY:
            raise WouldOverwriteError(f"{display_path(folder)} is tracked as a file")
        if above is not None:
            vanished.append(folder)
    return _Moved(old, new, vanished)


def _unedited(repo: Workspace, tree: Beneath, old: Iterable[Entry], now: Iterable[Entry]) -> set[bytes]:
    """Paths (as before) whose files are known to hold what is staged, by the stat cache."""
    cache = StatCache(repo.layout.cache)
    found, folder, rows = set(), None, {}
    for entry, place in zip(old, now, strict=True):
        at, _, name = entry.path.rpartition(b"/")
        if at != folder:
            shard = cache.shard(at)
            folder, rows = at, {} if shard is None else {n: (s, e) for n, s, e in shard.rows()}
        stat, row = tree.lstat(place.path), rows.get(name)
        if stat is None or row is None or row[0] != pack_stat(FileStat.of(stat)):
            continue
        if row[1].same_content(entry):
            found.add(entry.path)
    return found


def _tree_roots(
    repo: Workspace, tree: Beneath, staged: NodeId, moved: _Moved, clean: set[bytes], in_place: bool
) -> tuple[NodeId, NodeId] | None:
    """What the tree holds before and after, where files have edits that are not staged; they're stored."""
    before: dict[bytes, Entry | None] = {}
    after: dict[bytes, Entry | None] = dict.fromkeys(moved.vanished)
    for old, new in zip(moved.old, moved.new, strict=True):
        after.setdefault(old.path, None)
        after[new.path] = new
        if old.path in clean or old.mode == MODE_DIRECTORY:
            continue
        held = store_file(repo.store, tree, new.path if in_place else old.path, old)
        if held is None or not held.same_content(old):
            before[old.path] = None if held is None else msgspec.structs.replace(held, path=old.path)
            after[new.path] = None if held is None else msgspec.structs.replace(held, path=new.path)
    if not before:
        return None
    manifest = repo.manifest(staged)
    return manifest.update(sorted(before.items())), manifest.update(sorted(after.items()))


def _rename(tree: Beneath, source: bytes, target: bytes) -> None:
    to_folder, to_name = tree.split(target, create=True)
    from_folder, from_name = tree.split(source)
    files.rename(from_name, to_name, src_dir_fd=from_folder, dst_dir_fd=to_folder)
    tree.forget()
    tree.remove_empty_folders(source.rpartition(b"/")[0])


def _cache_rows(cache: StatCache, tree: Beneath, moved: _Moved, clean: set[bytes]) -> set[bytes]:
    """Take the rows of files that hold what is staged over to their new paths."""
    by_folder: dict[bytes, list[tuple[bytes, bytes, Entry | None]]] = {}
    for old, new in zip(moved.old, moved.new, strict=True):
        stat = tree.lstat(new.path) if old.path in clean else None
        if stat is not None:
            folder, _, name = new.path.rpartition(b"/")
            by_folder.setdefault(folder, []).append((name, remembered(FileStat.of(stat)), new))
    for folder, rows in by_folder.items():
        cache.edit(folder, rows)
    return {
        (folder + b"/" if folder else b"") + name for folder, rows in by_folder.items() for name, _, _ in rows
    }
