"""Where a file went that an earlier version had under another name."""

from __future__ import annotations

from dsvc.diff.manifest_diff import detect_renames, diff_manifests
from dsvc.model.ids import CommitId
from dsvc.porcelain.state.workspace import Workspace


def moved_to(repo: Workspace, commit: CommitId, path: bytes) -> bytes | None:
    """Name that a file has in a version now, if it was only renamed since some version before had it.

    Renames are those that ``show`` tells of: of the same bytes, in one commit. First parents are followed.

    Parameters
    ----------
    commit : CommitId
        A version without the file.
    path : bytes
        Name that it once had.

    Returns
    -------
    bytes or None
        None where no version had it, or it was deleted.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit or a manifest on the way can't be read.
    """
    roots = []
    here: CommitId | None = commit
    while here is not None:
        found = repo.history.read_commit(here)
        manifest = repo.manifest(found.manifest)
        roots.append(found.manifest)
        entry = manifest.get(path)
        if entry is not None and entry.is_file:
            break
        here = found.parents[0] if found.parents else None
    if here is None:
        return None
    name = path
    for before, after in zip(reversed(roots), reversed(roots[:-1]), strict=False):
        if before == after or repo.manifest(after).get(name) is not None:
            continue
        changes = detect_renames(list(diff_manifests(repo.manifest(before), repo.manifest(after))))
        moved = next((each.path for each in changes if each.old_path == name), None)
        if moved is None:
            return None
        name = moved
    return name
