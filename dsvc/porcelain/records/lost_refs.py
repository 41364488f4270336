"""Refs that the log of operations knows and that are not there: what they led to can't be told any more."""

from __future__ import annotations

from dsvc.porcelain.state.workspace import Workspace


def lost_refs(repo: Workspace, prefix: str) -> list[str]:
    """What is missing below a prefix, in order: names that the newest operation on them left in place.

    Parameters
    ----------
    prefix : str
        ``refs/dsvc/KIND/``.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the log can't be read.
    """
    here = repo.history.refs.list(prefix)
    seen: set[str] = set()
    lost = []
    for operation in repo.history.operations:
        for name, _, new in operation.refs:
            if name.startswith(prefix) and name not in seen:
                seen.add(name)
                if new is not None and name not in here:
                    lost.append(name.removeprefix(prefix))
    return sorted(lost)
