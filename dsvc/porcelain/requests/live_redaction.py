"""New versions of the files in use, without the rows of a subject, as an ordinary commit on the branch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dsvc.history.refs import Head
from dsvc.model.errors import WouldOverwriteError
from dsvc.model.manifest import Entry
from dsvc.model.rights_request import Reach
from dsvc.porcelain.lineage.subject_search import FoundVersion, Search
from dsvc.porcelain.runs.verb_runs import ERASE, Made, record_made
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.versions.checkout import SwitchPlan
from dsvc.porcelain.versions.commit import record_commit
from dsvc.porcelain.versions.join import checked_update

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.table.splice.splice_plan import Segment


class LiveFile(NamedTuple):
    """A file of HEAD that has something of a subject.

    Attributes
    ----------
    entry : Entry
    rows : int or None
        How many of its rows; None: the file goes as a whole.
    reach : Reach
    """

    entry: Entry
    rows: int | None
    reach: Reach


def live_files(repo: Workspace, found: Search) -> tuple[LiveFile, ...]:
    """Files of HEAD that have something of a subject, by path."""
    manifest = repo.manifest_of("HEAD")
    live = {}
    for digest, version in found.versions.items():
        for path in version.paths:
            entry = manifest.get(path)
            if entry is not None and entry.digest == digest:
                rows = None if version.rows is None else len(version.rows)
                live[path] = LiveFile(entry, rows, version.reach)
    return tuple(live[path] for path in sorted(live))


def redact(repo: Workspace, request_id: str, live: Sequence[LiveFile], found: Search) -> str | None:
    """Commit new versions of the files in use, and write them into the working tree.

    The caller holds `Workspace.changing`.

    Returns
    -------
    str or None
        The commit; None where there is nothing to do.

    Raises
    ------
    WouldOverwriteError
        If uncommitted work is in the way; nothing was changed.
    """
    if not live:
        return None
    head = repo.history.refs.head()
    staged = repo.staged(head)
    if merge_state.current(repo) is not None or staged.root != staged.base_root:
        raise WouldOverwriteError(
            "there are staged changes, or a merge is in progress; rows are taken out of committed files",
            hint="dsvc commit or dsvc stash first",
        )
    news = [(each.entry, _without(repo, found.versions[each.entry.digest], each.entry)) for each in live]
    target = repo.manifest(staged.root).update(sorted((old.path, new) for old, new in news))
    repo.store.publish()
    plan = SwitchPlan(repo, staged, target, force=False, patterns=None)
    update = checked_update(repo, staged, plan)
    made = [Made((old,), new) for old, new in news if new is not None]
    record_made(repo, ERASE, made, argument=request_id)
    mirror = Mirror(repo, staged.root)
    update.apply()
    commit = _commit(repo, head, staged, plan, request_id, len(live))
    mirror.follow(plan.staged_root, written={t.path for t in update.transitions})
    return commit


def _commit(
    repo: Workspace, head: Head, staged: Staged, plan: SwitchPlan, request_id: str, files: int
) -> str:
    target = plan.staged_root
    result = record_commit(
        repo,
        head,
        target,
        f"request erase {request_id}: {files} {'file' if files == 1 else 'files'}",
        parents=() if head.commit is None else (head.commit,),
        verb=ERASE,
        arguments=[request_id],
        trailers=[("Dsvc-Request", request_id)],
        tree=True,
        before=staged.root,
        after=target,
    )
    repo.staging.save(Staged(result.commit, target, target))
    return str(result.commit)


def _without(repo: Workspace, version: FoundVersion, entry: Entry) -> Entry | None:
    """Store a file without the subject's rows; None where it goes as a whole."""
    if version.rows is None:
        return None
    from dsvc.porcelain.tables.row_indexes import RowIndexes
    from dsvc.porcelain.tables.table_diff import known_table
    from dsvc.table.origin.source import NotATableError
    from dsvc.table.splice.splice import Donor, Splice, splice

    # Its own path may not look like a table's: then another one that it had does.
    table = known_table(repo, entry) or known_table(repo, version.entry)
    if table is None:
        raise NotATableError(f"{entry.path!r} has rows of the subject and is no table")
    index = RowIndexes(repo).get(table)
    positions = index.records(version.rows)
    segments = _others(positions, index.rows + len(index.malformed))
    output = io.BytesIO()
    splice(Splice(donors=[Donor(table.source, table.kind)], segments=segments), output)
    return entry_of_bytes(repo.store, entry.path, entry.mode, output.getvalue(), entry)


def _others(positions: NDArray[np.int64], records: int) -> list[Segment]:
    """Runs of records between some that are left out."""
    from dsvc.table.splice.splice import Segment

    found, start = [], 0
    for position in [*positions.tolist(), records]:
        if position > start:
            found.append(Segment(0, start, position - start))
        start = position + 1
    return found
