"""Repository: the Python API; one method for each verb a user knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, overload

from dsvc.model.errors import NoRepositoryError
from dsvc.porcelain.state.config import config_exists
from dsvc.porcelain.state.placement import Vouches, check_placement, nobody_vouches
from dsvc.porcelain.verbs.defect_verbs import DefectVerbs
from dsvc.porcelain.verbs.feedback_verbs import FeedbackVerbs
from dsvc.porcelain.verbs.hook_verbs import HookVerbs
from dsvc.porcelain.verbs.lineage_verbs import LineageVerbs
from dsvc.porcelain.verbs.ref_verbs import RefVerbs
from dsvc.porcelain.verbs.release_verbs import ReleaseVerbs
from dsvc.porcelain.verbs.repair_verbs import RepairVerbs
from dsvc.porcelain.verbs.request_verbs import RequestVerbs
from dsvc.porcelain.verbs.run_verbs import RunVerbs
from dsvc.porcelain.verbs.source_verbs import SourceVerbs
from dsvc.porcelain.verbs.table_verbs import TableVerbs
from dsvc.porcelain.verbs.waiver_verbs import WaiverVerbs

if TYPE_CHECKING:
    from dsvc.diff.delta import Change
    from dsvc.model.ids import CommitId
    from dsvc.porcelain.care.gc import GcResult
    from dsvc.porcelain.care.usage import Usage
    from dsvc.porcelain.fsck import FsckResult
    from dsvc.porcelain.state import values
    from dsvc.porcelain.state.values import Author
    from dsvc.porcelain.tables.row_target import RowName
    from dsvc.porcelain.tree.tree_scan import Progress


def open_repository(
    path: str = ".",
    *,
    author: Author | None = None,
    lock_timeout: float | None = None,
    vouches: Vouches = nobody_vouches,
) -> Repository:
    """Open the repository that holds `path`; also ``Repository.open``.

    Parameters
    ----------
    path : str
        A folder in the working tree.
    author : Author or None
        Who commits where the repository's settings don't say.
    lock_timeout : float or None
        Seconds to wait for locks, in place of ``core.lockTimeout``.
    vouches : callable
        Says whether to open it although it is another user's or parts of it are links; see `Vouches`.

    Raises
    ------
    NoRepositoryError, UnsafeRepositoryError, UnsupportedFormatError
        If no folder upwards has a ``.dsvc``; if nobody vouches for it; if a newer dsvc made it.
    """
    at = os.path.realpath(path)
    while not config_exists(os.path.join(at, ".dsvc")):
        parent = os.path.dirname(at)
        if parent == at:
            raise NoRepositoryError(f"no dsvc repository at {path} or above", hint="dsvc init makes one here")
        at = parent
    check_placement(at, vouches)
    return Repository(at, author=author, lock_timeout=lock_timeout)


class _Open:
    """``Repository.open`` opens a repository, ``repo.open`` opens a file of any version."""

    @overload
    def __get__(self, instance: None, owner: type[Repository]) -> Callable[..., Repository]: ...

    @overload
    def __get__(self, instance: Repository, owner: type[Repository]) -> Callable[..., BinaryIO]: ...

    def __get__(
        self, instance: Repository | None, owner: type[Repository]
    ) -> Callable[..., Repository] | Callable[..., BinaryIO]:
        """Choose by what it is asked of."""
        return open_repository if instance is None else instance.open_file


class Repository(
    RefVerbs,
    TableVerbs,
    SourceVerbs,
    RunVerbs,
    LineageVerbs,
    RequestVerbs,
    WaiverVerbs,
    HookVerbs,
    FeedbackVerbs,
    DefectVerbs,
    RepairVerbs,
    ReleaseVerbs,
):
    """A dsvc repository and its working tree.

    Paths are bytes relative to the working tree, ``/``-separated; ``b""`` is the tree itself. Revisions are
    text as on the command line. Errors are subclasses of `dsvc.DsvcError`. ``Repository.open(path)`` opens a
    repository, ``repo.open(path, rev)`` streams a file of any version.
    """

    open = _Open()

    @classmethod
    def init(cls, path: str, *, nested: bool = False, policy: Sequence[str] = ()) -> Repository:
        """Make a repository in a folder; see `init.init`."""
        from dsvc.porcelain.init import init

        return cls(init(path, nested=nested, policy=policy))

    def add(
        self,
        paths: Sequence[bytes] = (),
        *,
        all: bool = False,  # noqa: A002  the option's name
        dry_run: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> values.AddResult:
        """Store what changed under `paths` and stage it; see `add.add`."""
        from dsvc.porcelain.versions.add import add

        return add(self, [b""] if all else list(paths), dry_run=dry_run, force=force, progress=progress)

    def commit(
        self,
        message: str,
        *,
        all: bool = False,  # noqa: A002  the option's name
        allow_empty: bool = False,
        no_verify: bool = False,
        amend: bool = False,
        sign: bool | None = None,
        progress: Progress | None = None,
    ) -> values.CommitResult:
        """Commit what is staged; see `commit.commit`."""
        from dsvc.porcelain.versions.commit import commit

        return commit(
            self,
            message,
            all_=all,
            allow_empty=allow_empty,
            no_verify=no_verify,
            amend=amend,
            sign=sign,
            progress=progress,
        )

    def status(
        self, paths: Sequence[bytes] = (), *, untracked: str = "normal", progress: Progress | None = None
    ) -> values.Status:
        """Compare HEAD, the staged state and the working tree; see `status.status`."""
        from dsvc.porcelain.tree.status import status

        return status(self, list(paths), untracked=untracked, progress=progress)

    def log(
        self,
        rev: str | None = None,
        *,
        limit: int | None = None,
        paths: Sequence[bytes] = (),
        all: bool = False,  # noqa: A002  the option's name
    ) -> Iterator[values.LogEntry]:
        """Commits, newest first; see `log.log`."""
        from dsvc.porcelain.lineage.log import log

        return log(self, rev, limit=limit, paths=list(paths), all_=all)

    def show(self, rev: str = "HEAD") -> values.ShowResult:
        """One commit and what it changed; see `log.show`."""
        from dsvc.porcelain.lineage.log import show

        return show(self, rev)

    def diff(
        self,
        old: str | None = None,
        new: str | None = None,
        *,
        paths: Sequence[bytes] = (),
        staged: bool = False,
        progress: Progress | None = None,
    ) -> values.DiffResult:
        """Changes between two states; see `diff.diff`."""
        from dsvc.porcelain.tables.diff import diff

        return diff(self, old, new, paths=list(paths), staged=staged, progress=progress)

    def unified_diff(self, change: Change, result: values.DiffResult) -> Iterator[str] | None:
        """Unified diff of a text file's change, None for other kinds; see `diff.unified`."""
        from dsvc.porcelain.tables.diff import unified

        return unified(self, change, result)

    def diff_stat(self, change: Change, result: values.DiffResult) -> tuple[int, int] | None:
        """Lines added and removed, None where it is no text; see `diff.stat`."""
        from dsvc.porcelain.tables.diff import stat

        return stat(self, change, result)

    def checkout(
        self,
        rev: str | None = None,
        paths: Sequence[bytes] = (),
        *,
        new_branch: str | None = None,
        force: bool = False,
        sparse: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> values.CheckoutResult:
        """Move HEAD and the working tree, or bring paths of a revision; see `versions.checkout`."""
        from dsvc.porcelain.versions.checkout import checkout

        return checkout(
            self, rev, list(paths), new_branch=new_branch, force=force, sparse=sparse, progress=progress
        )

    def restore(
        self,
        paths: Sequence[bytes],
        *,
        staged: bool = False,
        source: str | None = None,
        progress: Progress | None = None,
    ) -> values.CheckoutResult:
        """Bring paths back; see `restore.restore`."""
        from dsvc.porcelain.versions.restore import restore

        return restore(self, list(paths), staged=staged, source=source, progress=progress)

    def reset(
        self,
        rev: str = "HEAD",
        mode: values.ResetMode | None = None,
        paths: Sequence[bytes] = (),
    ) -> values.CheckoutResult:
        """Move the branch, the staged state, the working tree; see `reset.reset`."""
        from dsvc.porcelain.versions.reset import reset

        return reset(self, rev, mode, list(paths))

    def open_file(self, path: bytes | str, rev: str | None = None) -> BinaryIO:
        """Stream a file of any version; see `read.open_file`.

        Returns
        -------
        BinaryIO
            Readable and seekable; each chunk is checked before its bytes are given out.
        """
        from dsvc.porcelain.tree.read import open_file

        return open_file(self, os.fsencode(path), rev)

    def ls(
        self, rev: str | None = None, path: bytes = b"", *, recursive: bool = False
    ) -> Iterator[values.Listing]:
        """List a folder of any version; see `read.ls`."""
        from dsvc.porcelain.tree.read import ls

        return ls(self, rev, path, recursive=recursive)

    def merge(
        self,
        rev: str,
        *,
        message: str | None = None,
        no_verify: bool = False,
        progress: Progress | None = None,
    ) -> values.MergeOutcome:
        """Merge a revision into the branch; see `merge.merge`."""
        from dsvc.porcelain.versions.merge import merge

        return merge(self, rev, message=message, no_verify=no_verify, progress=progress)

    def merge_abort(self) -> values.CheckoutResult:
        """Give up a merge, revert or cherry-pick; see `merge.abort`."""
        from dsvc.porcelain.versions.merge import abort

        return abort(self)

    def conflicts(self, path: bytes | None = None) -> list[values.ConflictDetail]:
        """Open conflicts; see `conflicts.conflicts`."""
        from dsvc.porcelain.versions.conflicts import conflicts

        return conflicts(self, path)

    def resolve(
        self,
        path: bytes,
        *,
        side: str | None = None,
        file: str | None = None,
        row: RowName | None = None,
        columns: Collection[str] = (),
    ) -> None:
        """Settle a conflict and stage its path; see `conflicts.resolve`."""
        from dsvc.porcelain.versions.conflicts import resolve

        resolve(self, path, side=side, file=file, row=row, columns=columns)

    def revert(self, rev: str, *, no_verify: bool = False) -> values.MergeOutcome:
        """Commit the reverse of a commit; see `merge.revert`."""
        from dsvc.porcelain.versions.merge import revert

        return revert(self, rev, no_verify=no_verify)

    def cherry_pick(self, rev: str, *, no_verify: bool = False) -> values.MergeOutcome:
        """Commit again what a commit changed; see `merge.cherry_pick`."""
        from dsvc.porcelain.versions.merge import cherry_pick

        return cherry_pick(self, rev, no_verify=no_verify)

    def stash(self, message: str | None = None) -> CommitId | None:
        """Put staged and unstaged changes away; see `stash.push`."""
        from dsvc.porcelain.versions import stash

        return stash.push(self, message)

    def stash_pop(self) -> values.MergeOutcome:
        """Bring the newest stash back; see `stash.pop`."""
        from dsvc.porcelain.versions import stash

        return stash.pop(self)

    def stash_list(self) -> list[values.LogEntry]:
        """Stashes, newest first."""
        from dsvc.porcelain.versions import stash

        return stash.entries(self)

    def stash_drop(self) -> CommitId:
        """Forget the newest stash; `undo` brings it back."""
        from dsvc.porcelain.versions import stash

        return stash.drop(self)

    def remove(
        self, paths: Sequence[bytes], *, cached: bool = False, force: bool = False, recursive: bool = False
    ) -> values.CheckoutResult:
        """Remove paths from the staged state and the tree; see `remove.remove`."""
        from dsvc.porcelain.versions.remove import remove

        return remove(self, list(paths), cached=cached, force=force, recursive=recursive)

    def move(self, source: bytes, target: bytes) -> bytes:
        """Rename a file or folder, staged and in the tree; see `move.move`."""
        from dsvc.porcelain.versions.move import move

        return move(self, source, target)

    def clean(
        self, paths: Sequence[bytes] = (), *, dry_run: bool = False
    ) -> tuple[list[bytes], values.CheckoutResult | None]:
        """Remove untracked files, stored first; see `clean.clean`."""
        from dsvc.porcelain.versions.clean import clean

        return clean(self, list(paths), dry_run=dry_run)

    def archive(self, rev: str, output: str, *, internal: bool = False) -> int:
        """Write a version as tar or zip; see `archive.archive`."""
        from dsvc.porcelain.versions.archive import archive

        return archive(self, rev, output, internal=internal)

    def fsck(
        self, *, read_data: bool = False, repair: bool = False, progress: Progress | None = None
    ) -> FsckResult:
        """Check every invariant over every object; see `fsck.fsck`."""
        from dsvc.porcelain.fsck import fsck

        return fsck(self, read_data=read_data, repair=repair, progress=progress)

    def gc(
        self,
        *,
        grace_seconds: float | None = None,
        dry_run: bool = False,
        undo: bool = False,
        progress: Progress | None = None,
    ) -> GcResult:
        """Collect what nothing reaches; see `gc.gc`."""
        from dsvc.porcelain.care.gc import gc

        return gc(self, grace_seconds=grace_seconds, dry_run=dry_run, undo=undo, progress=progress)

    def usage(self) -> Usage:
        """Sizes, with deduplication and compression; see `usage.usage`."""
        from dsvc.porcelain.care.usage import usage

        return usage(self)
