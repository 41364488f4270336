"""add: store what changed in the working tree and stage it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsvc.diff.delta import counts
from dsvc.diff.manifest_diff import diff_manifests
from dsvc.fs import files
from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import DsvcError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import RunId
from dsvc.porcelain.state.operation_note import NO_MERGE
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import AddResult, NormalizeResult, PathChange, Skipped
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.file_entry import entry_of_large_file, folder_entry
from dsvc.porcelain.tree.stat_cache import State, trusted_stat
from dsvc.porcelain.tree.tree_scan import Findings, Progress, TreeScan, parents
from dsvc.store.ingest import UnstableFileError
from dsvc.store.large_file import Segment
from dsvc.store.manifest_tree import EMPTY_ROOT

_LISTED = 1000
_FLUSH_BYTES = 256 * 1024 * 1024


def add(
    repo: Workspace,
    paths: Sequence[bytes],
    *,
    dry_run: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> AddResult:
    """Stage what is new, changed or gone under `paths`.

    Parameters
    ----------
    paths : sequence of bytes
        Files and folders; ``b""`` is the whole tree.
    dry_run : bool
        Only say what would be staged.
    force : bool
        Take ignored files too.

    Raises
    ------
    NotFoundError
        If a path is neither there nor tracked.
    StorageError
        If something can't be written; what is stored so far is kept for the next attempt.
    """
    with repo.changing():
        staged = repo.staged()
        rewritten = None if dry_run else _normalized(repo, staged, paths)
        scan = _scan(repo, staged, dry_run, progress)
        scan.settings.force = force
        found = scan.run(list(paths))
        if dry_run:
            scan.finish()
            return _preview(found)
        try:
            large = _LargeFiles(scan, repo, progress)
            large.store(found)
            scan.finish()
            root = _staged_root(repo, scan, found, staged)
            repo.store.publish()
        except BaseException:
            scan.abandon()
            repo.store.abandon()
            raise
        changes = _changes(repo, found, staged.root, root)
        result = _result(repo, found, changes, rewritten)
        _audit_collisions(repo, changes.sides)
        repo.reading_apart.keep_own(changes.new)
        _record(repo, paths, staged, root)
        _save_state(scan, found, root)
        return result


def _scan(repo: Workspace, staged: Staged, dry_run: bool, progress: Progress | None) -> TreeScan:
    scan = TreeScan(
        layout=repo.layout,
        root=repo.root,
        store=repo.store,
        manifest=repo.manifest(staged.root),
        sparse=repo.sparse,
        stage=not dry_run,
        save=not dry_run,
        progress=progress,
    )
    scan.settings.check_names = True
    return scan


def _normalized(repo: Workspace, staged: Staged, paths: Sequence[bytes]) -> NormalizeResult | None:
    """Rewrite what changed where the settings say so."""
    if not repo.config.flag("tables.normalize"):
        return None
    from dsvc.porcelain.versions.normalize import normalize_changed

    return normalize_changed(repo, staged.root, paths)


def _record(repo: Workspace, paths: Sequence[bytes], staged: Staged, root: NodeId) -> None:
    """Log and save what is staged now; conflicts that were settled by it are no longer open."""
    state = merge_state.current(repo)
    rest: merge_state.MergeState | None = None
    runs: list[RunId] = []
    if state is not None and state.conflicts:
        from dsvc.porcelain.versions.conflicts import record_settled, settled_by_adding

        settled = settled_by_adding(repo, state, paths, staged.root, root)
        runs = record_settled(repo, state, state.without(settled), root)
        rest = state.without(settled).made(runs) if settled else None
    if root == staged.root and rest is None:
        return
    repo.record(
        "add",
        arguments=[display_path(p) or "." for p in paths],
        before=staged.root,
        after=root,
        merge=None if state is None or rest is None else merge_state.keep(repo, state),
        merging=NO_MERGE if rest is None else merge_state.keep(repo, rest),
        runs=runs,
    )
    repo.staging.save(Staged(staged.base_commit, staged.base_root, root))
    if rest is not None:
        merge_state.save(repo.layout, rest, durable=repo.keeps_records)


class _LargeFiles:
    """Files that are read in segments, after the small ones."""

    def __init__(self, scan: TreeScan, repo: Workspace, progress: Progress | None) -> None:
        self._scan = scan
        self._store = repo.store
        self._progress = progress
        self._rows: dict[bytes, list[tuple[bytes, bytes, Entry | None]]] = {}
        self._pending_bytes = 0
        self._done_bytes = 0

    def store(self, found: Findings) -> None:
        """Store every large file; their rows enter the stat cache once their chunks are durable."""
        with Beneath(self._scan.settings.root) as tree:
            manifest = self._scan.manifest
            for path in found.large:
                old = manifest.get(path)
                try:
                    folder, name = tree.split(path)
                    entry, stat = entry_of_large_file(
                        self._store,
                        path,
                        name,
                        folder,
                        old,
                        self._segments,
                        self._advance,
                    )
                except UnstableFileError as error:
                    found.skipped.append((path, error.message))
                    continue
                except (FileNotFoundError, NotAFolderError):
                    found.skipped.append((path, "it changed while it was read"))
                    continue
                row = (name, trusted_stat(stat, self._scan.settings.now_ns), entry)
                self._rows.setdefault(path.rpartition(b"/")[0], []).append(row)
                if old is not None and old.same_content(entry):
                    found.unchanged += 1
                else:
                    found.changed.append((path, encode(entry), entry.size))
                self._pending_bytes += entry.size
                if self._pending_bytes >= _FLUSH_BYTES:
                    self._flush(found)
        self._flush(found)

    def _advance(self, count: int) -> None:
        self._done_bytes += count
        if self._progress is not None:
            self._progress("bytes", self._done_bytes, None)

    def _segments(self, segments: Iterator[Segment], fd: int) -> dict[int, bytes]:
        ids = self._scan.store_segments(segments, os.fstat(fd).st_size)
        if any(not part for part in ids.values()):
            raise UnstableFileError("it changed while it was read")
        return ids

    def _flush(self, found: Findings) -> None:
        if not self._rows:
            return
        self._scan.flush()
        self._store.publish()
        for folder, rows in self._rows.items():
            self._scan.edit_rows(folder, rows)
        self._rows.clear()
        self._pending_bytes = 0


def _staged_root(repo: Workspace, scan: TreeScan, found: Findings, staged: Staged) -> NodeId:
    """Staged manifest with what was found."""
    changes: dict[bytes, Entry | bytes | None] = dict.fromkeys(found.missing)
    sizes: dict[bytes, int] = {}
    tracked_empty = set(scan.state.empty)
    for path, encoded, size in found.changed:
        changes[path] = encoded
        sizes[encoded] = size
        if tracked_empty:
            changes.update(dict.fromkeys(f for f in parents(path) if f in tracked_empty))
    for folder in found.empty:
        changes[folder] = folder_entry(folder)
        if tracked_empty:
            changes.update(dict.fromkeys(f for f in parents(folder) if f in tracked_empty))
    if not changes:
        return staged.root
    return repo.manifest(staged.root).update(sorted(changes.items()), sizes.__getitem__)


class _Staging(NamedTuple):
    """What staging changed: counts, the new entries, all entries on either side, some paths."""

    tally: dict[str, int]
    new: list[Entry]
    sides: list[Entry]
    paths: list[PathChange]


def _changes(repo: Workspace, found: Findings, old: NodeId, new: NodeId) -> _Staging:
    """What staging changed; where nothing was staged before, straight from what was found."""
    if old == EMPTY_ROOT and new != old:
        head = b"\xdd" + len(found.changed).to_bytes(4, "big")
        encoded = head + b"".join([c[1] for c in found.changed])
        entries = decode(encoded, list[Entry], "staged entries", limit=None)
        paths = [PathChange(e.path, "added") for e in entries[:_LISTED]]
        paths += [PathChange(path, "added") for path in found.empty]
        added = len(entries) + len(found.empty)
        return _Staging({**counts([]), "added": added}, entries, entries, sorted(paths)[:_LISTED])
    changes = [] if old == new else list(diff_manifests(repo.manifest(old), repo.manifest(new)))
    entries = [c.new for c in changes if c.new is not None]
    return _Staging(
        counts(changes),
        entries,
        entries + [c.old for c in changes if c.old is not None],
        [PathChange(c.path, c.kind.value) for c in changes[:_LISTED]],
    )


def _result(
    repo: Workspace, found: Findings, changes: _Staging, rewritten: NormalizeResult | None
) -> AddResult:
    left = [] if rewritten is None else [f"not rewritten: {s.reason}" for s in rewritten.skipped]
    return AddResult(
        added=changes.tally["added"],
        modified=changes.tally["modified"],
        removed=changes.tally["removed"],
        unchanged=found.unchanged,
        skipped=[Skipped(*s) for s in sorted(found.skipped)],
        bytes=sum([e.size for e in changes.new]),
        new_bytes=found.put_bytes + repo.store.put_bytes,
        stored_bytes=found.published_bytes + repo.store.published_bytes,
        paths=changes.paths,
        warnings=[
            f"{display_path(p)}: other systems refuse this name ({w})" for p, w in sorted(found.warnings)[:5]
        ]
        + left,
        normalized=[] if rewritten is None else [f for f in rewritten.files if f.changed],
    )


def _preview(found: Findings) -> AddResult:
    """What `add` would do, by the comparison alone."""
    paths = [PathChange(p, "modified") for p, _, _ in found.changed]
    paths += [PathChange(p, "added") for p in [*found.untracked, *found.empty]]
    paths += [PathChange(p, "removed") for p in found.missing]
    return AddResult(
        added=len(found.untracked) + len(found.empty),
        modified=len(found.changed),
        removed=len(found.missing),
        unchanged=found.unchanged,
        skipped=[Skipped(*s) for s in sorted(found.skipped)],
        bytes=sum(size for _, _, size in found.changed),
        new_bytes=0,
        stored_bytes=0,
        paths=sorted(paths),
    )


def _save_state(scan: TreeScan, found: Findings, root: NodeId) -> None:
    """Declare that the stat cache mirrors the new staged manifest; without it the next scan rebuilds it."""
    if not found.cache_complete:
        return
    folders = set(scan.state.folders)
    for folder, count in found.visited.items():
        (folders.add if count else folders.discard)(folder)
    gone = set(found.missing)
    filled = {f for p, _, _ in found.changed for f in parents(p)} if scan.state.empty else set()
    empty = [f for f in scan.state.empty if f not in gone and f not in filled] + found.empty
    try:
        scan.save_rebuilt()
        scan.cache.save_state(
            State(bytes(root), sorted(folders), sorted(set(empty)), scan.state.files + found.files_delta)
        )
    except DsvcError:
        return


def _audit_collisions(repo: Workspace, entries: Sequence[Entry]) -> None:
    """Log content whose XXH3-128 and length are those of other content beside it: a forgery."""
    if len({e.xxh3 for e in entries}) == len({e.digest for e in entries}):
        return
    seen: dict[tuple[bytes, int], bytes] = {}
    for entry in entries:
        twin = seen.setdefault((entry.xxh3, entry.size), entry.digest)
        if twin != entry.digest:
            event = {
                "event": "hash-collision",
                "time": int(time.time()),
                "path": display_path(entry.path),
                "xxh3": entry.xxh3.hex(),
                "blake3": [twin.hex(), entry.digest.hex()],
            }
            files.append(repo.layout.audit, json.dumps(event).encode() + b"\n")
