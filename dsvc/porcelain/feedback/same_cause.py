"""Same cause, not yet flagged: other rows that share the causes of a defect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from dsvc.lineage.artifacts import folder_digest, relative
from dsvc.model.defect import Cause, FlaggedRows
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId
from dsvc.model.paths import display_path
from dsvc.porcelain.feedback.cause_candidates import CandidateCauses
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


class HasRows(Protocol):
    """What is needed of a defect: its artifact, and its rows."""

    @property
    def path(self) -> bytes:
        """The artifact."""

    @property
    def rows(self) -> tuple[FlaggedRows, ...]:
        """Its rows, by content of the artifact."""


def selected_rows(
    repo: Workspace, defect: HasRows, commit: CommitId, causes: Sequence[Cause], path: bytes | None = None
) -> Numbers:
    """Rows of a defect's artifact that at least one of some causes covers, in the version that a commit has.

    Parameters
    ----------
    defect : HasRows
        State of the defect.
    commit : CommitId
        Version in which rows are wanted; causes are looked for in its lineage.
    causes : sequence of Cause
        Those that count, which need not be all of the defect's.
    path : bytes, optional
        Name of the artifact there; without, that which the defect has.

    Returns
    -------
    ndarray of int64
        Numbers of rows, ascending, each once; flagged rows are among them where a cause covers these.

    Raises
    ------
    NotFoundError
        If the commit lacks the artifact.
    MissingDataError, CorruptDataError, MalformedInputError
        If lineage or the artifact can't be read.
    """
    folder = any(each.folder for each in defect.rows if each.path == defect.path)
    there = defect.path if path is None else path
    digest, _ = artifact_digest(repo, commit, there, folder=folder)
    found = CandidateCauses(repo, commit).of(there, digest, folder=folder)
    return found.rows_of((each.kind, each.id) for each in causes)


def artifact_digest(repo: Workspace, commit: CommitId, path: bytes, *, folder: bool) -> tuple[bytes, int]:
    """Digest of an artifact in a commit, and how many rows it has, of a folder files.

    Raises
    ------
    NotFoundError
        If the commit lacks it.
    """
    manifest = repo.manifest(repo.history.read_commit(commit).manifest)
    if folder:
        members = relative(manifest.entries(path), path)
        if members:
            return folder_digest((each.path, each.mode, each.digest) for each in members), len(members)
    else:
        entry = manifest.get(path)
        if entry is not None:
            return entry.digest, 1 if entry.rows is None else entry.rows
    name = display_path(path)
    raise NotFoundError(f"the commit has no {name}", details={"path": name})
