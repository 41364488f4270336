"""normalize: rewrite Parquet files so that their versions share bytes; the old bytes are stored first."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Final, NamedTuple, cast

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.model.errors import DsvcError, StorageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.runs.verb_runs import Made, record_made
from dsvc.porcelain.state.operation_note import NORMALIZE
from dsvc.porcelain.state.values import NormalizedFile, NormalizeResult, Skipped
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.status import scan_tree
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.store.ingest import FileStat, UnstableFileError, open_file
from dsvc.store.manifest_tree import EMPTY_ROOT

_MAGIC: Final = b"PAR1"
_BUFFER_BYTES: Final = 1 << 20


class _Rewritten(NamedTuple):
    """A new file beside the old one, proven equal."""

    path: bytes
    folder: str | None
    temporary: str | bytes
    old: FileStat
    size: int


def normalize(
    repo: Workspace, paths: Sequence[bytes], *, dry_run: bool = False, progress: Progress | None = None
) -> NormalizeResult:
    """Rewrite the Parquet files under `paths`, each once it is proven to hold the same.

    Parameters
    ----------
    paths : sequence of bytes
        Files and folders; in folders what is neither Parquet nor ignored is passed over.
    dry_run : bool
        Rewrite and compare, but replace nothing.

    Raises
    ------
    NotFoundError
        If a path is neither there nor tracked.
    StorageError
        If something can't be written; files that were not replaced yet are as they were.
    """
    with repo.changing():
        staged = repo.staged()
        found = scan_tree(repo, staged, paths, untracked="all", locked=True)
        missing = set(found.missing)
        tracked = {e.path for p in paths for e in repo.manifest(staged.root).entries(p) if e.is_file}
        candidates = sorted((tracked - missing) | set(found.untracked))
        return normalize_files(
            repo, staged.root, candidates, named=set(paths), dry_run=dry_run, progress=progress
        )


def normalize_changed(repo: Workspace, root: NodeId, paths: Sequence[bytes]) -> NormalizeResult:
    """Rewrite what `add` is about to stage; the caller holds the lock.

    Parameters
    ----------
    root : NodeId
        Staged manifest.
    """
    found = scan_tree(repo, repo.staged(), paths, untracked="all", locked=True)
    return normalize_files(repo, root, sorted([p for p, _, _ in found.changed] + found.untracked))


def normalize_files(
    repo: Workspace,
    root: NodeId,
    paths: Sequence[bytes],
    *,
    named: Iterable[bytes] = (),
    dry_run: bool = False,
    progress: Progress | None = None,
) -> NormalizeResult:
    """Rewrite those of `paths` that are Parquet files, as one operation; the caller holds the lock.

    Parameters
    ----------
    root : NodeId
        Staged manifest, which stays.
    named : iterable of bytes
        Paths that were asked for by name: said to need nothing where they are no Parquet.
    """
    asked = set(named)
    result = NormalizeResult(files=[], skipped=[], undo=None)
    new: list[_Rewritten] = []
    with Beneath(repo.root) as tree:
        try:
            for number, path in enumerate(paths):
                if progress is not None:
                    progress("files", number, len(paths))
                _rewrite(repo, tree, path, path in asked, result, new)
            if not dry_run and new:
                result.undo = _replace(repo, tree, root, new)
        finally:
            for item in new:
                _discard(tree, item)
    return result


def _rewrite(
    repo: Workspace, tree: Beneath, path: bytes, named: bool, result: NormalizeResult, new: list[_Rewritten]
) -> None:
    """Write the new file beside the old one; it is added to `new` where it differs."""
    folder, name = tree.split(path)
    stat = tree.lstat(path)
    if stat is None or not stat_module.S_ISREG(stat.st_mode):
        return
    try:
        fd = open_file(name, folder)
    except OSError as error:
        result.skipped.append(Skipped(path, files.storage_error(error, "read", path).message))
        return
    with open(fd, "rb") as source:
        if source.read(len(_MAGIC)) != _MAGIC:
            if named:
                result.files.append(NormalizedFile(path, stat.st_size, stat.st_size, False))
            return
        before = FileStat.of(os.fstat(source.fileno()))
        try:
            item, equal = _write_beside(repo, tree, path, source, before)
        except StorageError:
            raise
        except DsvcError as error:
            result.skipped.append(Skipped(path, error.message))
            return
    result.files.append(NormalizedFile(path, before.size, item.size, not equal))
    if equal:
        _discard(tree, item)
    else:
        new.append(item)


def _write_beside(
    repo: Workspace, tree: Beneath, path: bytes, source: BinaryIO, before: FileStat
) -> tuple[_Rewritten, bool]:
    """Rewrite one file into a temporary one and prove it; returns whether nothing changed at all."""
    from dsvc.table.binary.normalize import rewrite
    from dsvc.table.binary.parquet_proof import prove_equal

    folder, _ = tree.split(path)
    label = files.temporary_name(NORMALIZE)
    # A file of another file system can't be renamed into its place from the temporary folder.
    near = os.fstat(folder).st_dev == os.stat(repo.layout.temporary).st_dev
    temporary: str | bytes = os.path.join(repo.layout.temporary, label) if near else os.fsencode(label)
    item = _Rewritten(path, None if near else "", temporary, before, 0)
    fd = files.open_new(temporary, dir_fd=None if near else folder, mode=0o600)
    try:
        with _sink(fd, display_path(path)) as target:
            rewrite(source, target, display_path(path))
        size = os.fstat(fd).st_size
        with open(os.dup(fd), "rb") as copy:
            prove_equal(source, copy, display_path(path))
            equal = size == before.size and _same_bytes(source, copy)
        if FileStat.of(os.fstat(source.fileno())) != before:
            raise UnstableFileError(f"{display_path(path)} changed while it was read")
        files.set_mode(fd, stat_module.S_IMODE(before.mode), path)
        if repo.keeps_records:
            files.sync(fd, path)
    except BaseException:
        _discard(tree, item)
        raise
    finally:
        os.close(fd)
    return item._replace(size=size), equal


class _Writer:
    """What the Parquet writer writes to: every byte goes through the write seam."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._parts: list[bytes] = []
        self._held = self._at = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Take bytes."""
        part = bytes(data)
        self._parts.append(part)
        self._held += len(part)
        self._at += len(part)
        if self._held >= _BUFFER_BYTES:
            self.flush()
        return len(part)

    def flush(self) -> None:
        """Write what is held."""
        files.writev(self._fd, self._parts, self._name)
        self._parts, self._held = [], 0

    def tell(self) -> int:
        """Position."""
        return self._at

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def readable(self) -> bool:
        """Whether it can be read."""
        return False

    def seekable(self) -> bool:
        """Whether it can be moved in."""
        return False

    def close(self) -> None:
        """Leave it open: its maker flushes it."""


@contextmanager
def _sink(fd: int, name: str) -> Iterator[BinaryIO]:
    writer = _Writer(fd, name)
    yield cast(BinaryIO, writer)
    writer.flush()


def _same_bytes(one: BinaryIO, two: BinaryIO) -> bool:
    one.seek(0)
    two.seek(0)
    while part := one.read(_BUFFER_BYTES):
        if part != two.read(len(part)):
            return False
    return True


def _discard(tree: Beneath, item: _Rewritten) -> None:
    folder = None if item.folder is None else tree.split(item.path)[0]
    files.discard(item.temporary, dir_fd=folder)


def _replace(repo: Workspace, tree: Beneath, root: NodeId, new: Sequence[_Rewritten]) -> str:
    """Store old and new, log the operation, then rename each file into its place."""
    tracked = repo.manifest(root)
    before: dict[bytes, Entry] = {}
    after: dict[bytes, Entry] = {}
    with Beneath(repo.layout.temporary) as temporary:
        for item in new:
            old = store_file(repo.store, tree, item.path, tracked.get(item.path))
            where = temporary if item.folder is None else tree
            name = os.fsencode(os.path.basename(item.temporary))
            if item.folder is not None:
                name = os.path.join(os.path.dirname(item.path), name)
            entry = store_file(repo.store, where, name, old, at=item.path)
            if old is None or entry is None or _stat(tree, item.path) != item.old:
                raise UnstableFileError(f"{display_path(item.path)} changed while it was rewritten")
            before[item.path], after[item.path] = old, entry
    held = tracked.update(sorted(before.items())), tracked.update(sorted(after.items()))
    discarded = repo.manifest(EMPTY_ROOT).update(sorted(before.items()))
    repo.store.publish()
    runs = record_made(repo, NORMALIZE, [Made((before[path],), after[path]) for path in sorted(before)])
    mirror = Mirror(repo, root)
    operation = repo.record(
        NORMALIZE,
        arguments=[display_path(item.path) for item in new[:20]],
        before=root,
        after=root,
        discarded=discarded,
        tree=held,
        runs=runs,
    )
    for item in new:
        folder, name = tree.split(item.path)
        source = None if item.folder is None else folder
        files.rename(item.temporary, name, src_dir_fd=source, dst_dir_fd=folder)
    if repo.keeps_records:
        for parent in {os.path.dirname(item.path) for item in new}:
            files.sync_folder(os.path.join(repo.root, os.fsdecode(parent)))
    mirror.follow(root, unknown=[i.path for i in new if tracked.get(i.path) is not None])
    return str(operation.id)


def _stat(tree: Beneath, path: bytes) -> FileStat | None:
    found = tree.lstat(path)
    return None if found is None else FileStat.of(found)
