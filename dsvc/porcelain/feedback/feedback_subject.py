"""What an evaluation was made of: ``[REV:]PATH``, a whole version, or a release."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.lineage.artifacts import folder_digest
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.feedback import Subject
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry, Kind
from dsvc.model.paths import display_path
from dsvc.porcelain.lineage.artifact_version import digest_of_folder
from dsvc.porcelain.state.revisions import UNCOMMITTED
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_target import RowTarget, parse_target, split_row
from dsvc.porcelain.tree.close_paths import close_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsvc.store.manifest_tree import Manifest

_RELEASE: Final = "release:"


class NotASubjectError(UsageError):
    """An evaluation can't be of that: it names a row, or something that is no version."""

    code = "not-a-subject"


class Evaluated(NamedTuple):
    """The subject of an evaluation, and the version that it stands in.

    Attributes
    ----------
    subject : Subject
    commit : CommitId
    manifest : Manifest
        All files of the version.
    """

    subject: Subject
    commit: CommitId
    manifest: Manifest

    def entries(self) -> list[Entry]:
        """Files that belong to the subject."""
        path = self.subject.path
        entry = self.manifest.get(path) if path and not self.subject.folder else None
        return [entry] if entry is not None else [e for e in self.manifest.entries(path) if e.is_file]

    def tables(self, most: int) -> Sequence[Entry]:
        """Tables of the subject, at most some."""
        found = []
        for entry in self.entries():
            if entry.kind == Kind.TABLE:
                found.append(entry)
                if len(found) >= most:
                    break
        return found


def find_subject(repo: Workspace, target: str) -> Evaluated:
    """Find what a subject names.

    Parameters
    ----------
    target : str
        ``PATH`` at HEAD, ``REV:PATH``, ``REV:`` or a revision alone for all of a version, ``release:NAME``.

    Raises
    ------
    NotASubjectError
        If it names a row, or what is not committed.
    NotFoundError
        If there is no such revision, path or release.
    """
    if not target.strip():
        raise NotASubjectError("an evaluation needs a subject", hint="--subject [REV:]PATH")
    if target.startswith(_RELEASE):
        return _whole(repo, f"refs/tags/{target.removeprefix(_RELEASE)}")
    file, row = split_row(target)
    if row is not None:
        raise NotASubjectError(
            f"{target[:200]!r} names a row; an evaluation is of a file, a folder or a version",
            hint="rows are named by what the evaluation says of them",
        )
    revision, colon, path = file.partition(":")
    if colon and not path.strip("/"):
        return _whole(repo, revision or "HEAD")
    if not colon:
        head = repo.history.refs.head().commit
        at = parse_target(target).path
        if head is None or not _is_there(repo.manifest_of("HEAD"), at):
            try:
                return _whole(repo, target)
            except NotFoundError:
                if head is None:
                    raise
    found = parse_target(target)
    return _part(repo, _commit(repo, found.revision), found.path)


def version_of(repo: Workspace, revision: str) -> Evaluated:
    """Find a whole version; raises as `find_subject`."""
    return _whole(repo, revision)


def _commit(repo: Workspace, revision: str) -> CommitId:
    if revision in UNCOMMITTED:
        raise NotASubjectError(
            f"{revision} is no version: an evaluation is of what is committed",
            hint="commit first; nothing that is evaluated may change under it",
        )
    return repo.history.peel(repo.history.revisions.resolve(revision))


def _is_there(manifest: Manifest, path: bytes) -> bool:
    return manifest.get(path) is not None or next(manifest.entries(path), None) is not None


def _whole(repo: Workspace, revision: str) -> Evaluated:
    commit = _commit(repo, revision)
    manifest = repo.manifest(repo.history.read_commit(commit).manifest)
    digest = folder_digest((e.path, e.mode, e.digest) for e in manifest.entries() if e.is_file)
    return _evaluated(commit, manifest, b"", digest, folder=True)


def _part(repo: Workspace, commit: CommitId, path: bytes) -> Evaluated:
    manifest = repo.manifest(repo.history.read_commit(commit).manifest)
    entry = manifest.get(path)
    if entry is not None and entry.is_file:
        return _evaluated(commit, manifest, path, entry.digest, folder=False)
    members = [each for each in manifest.entries(path) if each.is_file]
    if not members:
        name = display_path(path)
        close = close_paths(manifest, path)
        meant = f"did you mean {' or '.join(map(display_path, close))}?" if close else None
        raise NotFoundError(f"there is no {name} in {commit[:12]}", hint=meant, details={"path": name})
    digest = digest_of_folder(path, members)
    return _evaluated(commit, manifest, path, digest, folder=True)


def _evaluated(
    commit: CommitId, manifest: Manifest, path: bytes, digest: bytes, *, folder: bool
) -> Evaluated:
    subject = Subject(
        target=os.fsencode(str(RowTarget(str(commit), path))).decode("utf-8", "replace"),
        commit=str(commit),
        manifest=manifest.root.hex(),
        path=path,
        digest=digest,
        folder=folder,
    )
    return Evaluated(subject, commit, manifest)
