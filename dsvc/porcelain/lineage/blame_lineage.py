"""What blame says of lineage: the runs that a file or a row went through, and the sources it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.model.manifest import Entry
from dsvc.porcelain.state.commit_lineage import SOURCE_REFS, lineage_of
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.revisions import UNCOMMITTED, commit_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_target import FoundRow, RowTarget

if TYPE_CHECKING:
    from dsvc.porcelain.lineage.lineage_trace import TraceResult


def traced(repo: Workspace, target: RowTarget, entry: Entry, row: FoundRow | None) -> TraceResult | None:
    """Trace a file, or a row of it, that was found already; None where no lineage is recorded.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run, a source or a row map can't be read.
    """
    if not _is_recorded(repo, target.revision):
        return None
    from dsvc.porcelain.lineage.lineage_queries import trace_entry

    return trace_entry(repo, target, entry, None if row is None else row.row)


def _is_recorded(repo: Workspace, revision: str) -> bool:
    if repo.history.refs.list(SOURCE_REFS):
        return True
    if lineage_of(repo, commit_of(repo, revision)).root is not None:
        return True
    return revision in UNCOMMITTED and bool(pending_runs(repo.layout))
