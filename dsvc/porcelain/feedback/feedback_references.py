"""References to rows that evaluation tools carry along, so that their results name the rows."""

from __future__ import annotations

from dsvc.feedback.reference import write_reference
from dsvc.model.errors import UsageError
from dsvc.model.feedback import Scalar
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_target import RowTarget, find_file, find_row
from dsvc.table.exchange.json_value import json_cell


def reference(repo: Workspace, target: RowTarget) -> str:
    """Write the reference to a file or a row of a version.

    Raises
    ------
    NotFoundError
        If there is no such version, file or row.
    UsageError
        If it is not committed.
    MalformedReferenceError
        If its key can't be written.
    """
    if target.revision in ("WORKTREE", "STAGED"):
        raise UsageError("a reference is to a version that is committed", hint="commit first")
    commit = str(repo.history.peel(repo.history.revisions.resolve(target.revision)))
    if target.row is None:
        return write_reference(commit, find_file(repo, target)[0].path)
    found = find_row(repo, target)
    values = found.values()
    key: dict[str, Scalar] = {}
    for name in found.key:
        cell = json_cell(values.get(name))
        key[name] = cell if isinstance(cell, str | int | float) else None
    if not key or None in key.values():
        return write_reference(commit, found.entry.path, position=found.position)
    return write_reference(commit, found.entry.path, key)
