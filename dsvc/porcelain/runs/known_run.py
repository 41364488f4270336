"""Runs of a repository: those of a revision, and one by its id or its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.history.commit_codec import Commit
from dsvc.lineage.lineage_tree import RUNS, LineageTree
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.ids import NodeId
from dsvc.model.run_record import RunId
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.workspace import Workspace

_DIGITS: Final = re.compile(r"[0-9a-f]{4,64}")
_LISTED: Final = 10


class AmbiguousRunError(UsageError):
    """Several runs have this name or begin with these digits."""

    code: ClassVar[str] = "ambiguous-run"


def runs_of(repo: Workspace, rev: str | None = None) -> list[RunTree]:
    """Runs of a revision by start; without one those of HEAD, and last those that wait for a commit.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    """
    head = repo.history.refs.head().commit
    commit = head if rev is None else repo.history.revisions.resolve(rev)
    found = _by_start(repo, lineage_of(repo, commit).runs())
    if rev is None:
        known = {tree.id for tree in found}
        found += _by_start(repo, (id_ for id_ in pending_runs(repo.layout) if id_ not in known))
    return found


def _by_start(repo: Workspace, ids: Iterable[RunId]) -> list[RunTree]:
    trees = [RunTree(repo.store, id_) for id_ in ids]
    return sorted(trees, key=lambda tree: (tree.run.started_at, tree.id))


def added_runs(repo: Workspace, commit: Commit) -> list[RunId]:
    """Runs that a commit has and its first parent hasn't; costs what differs."""
    before = repo.history.read_commit(commit.parents[0]).lineage if commit.parents else None
    if commit.lineage is None or commit.lineage == before:
        return []
    new = LineageTree(repo.store, commit.lineage)
    changes = diff_manifests(LineageTree(repo.store, before).manifest, new.manifest, [RUNS])
    return [RunId(change.new.digest) for change in changes if change.old is None and change.new is not None]


def find_run(repo: Workspace, text: str) -> RunTree:
    """Find a run by its id, at least 4 digits that only one id begins with, or its name.

    Looked for in what waits for a commit, in HEAD, and in every other ref.

    Raises
    ------
    NotFoundError
        If there is none.
    AmbiguousRunError
        If there are several.
    """
    text = text.removeprefix("run:")
    wanted = text.lower()
    seen: dict[RunId, None] = {}
    digits = _DIGITS.fullmatch(wanted) is not None
    for ids in _everywhere(repo):
        new = [id_ for id_ in ids if id_ not in seen]
        seen.update(dict.fromkeys(new))
        if len(wanted) == 64 and digits and any(id_.hex() == wanted for id_ in new):
            return RunTree(repo.store, RunId.parse(wanted))
    matches = [id_ for id_ in seen if digits and id_.hex().startswith(wanted)]
    if not matches:
        matches = [id_ for id_ in seen if RunTree(repo.store, id_).run.name == text]
    if len(matches) > 1:
        names = ", ".join(id_.short() for id_ in sorted(matches)[:_LISTED])
        raise AmbiguousRunError(
            f"{len(matches)} runs are meant by {text[:80]!r}",
            hint=f"name one by its id: {names}",
            details={"runs": [id_.hex() for id_ in sorted(matches)]},
        )
    if not matches:
        raise NotFoundError(
            f"there is no run {text[:80]!r}", hint="dsvc status lists those that wait, dsvc log names others"
        )
    return RunTree(repo.store, matches[0])


def _everywhere(repo: Workspace) -> Iterator[list[RunId]]:
    """Runs place by place, the nearest first; a lineage is read once."""
    yield pending_runs(repo.layout)
    refs = repo.history.refs
    head = refs.head().commit
    commits = [head] if head is not None else []
    for name, tip in refs.list("refs/").items():
        if name.startswith(("refs/heads/", "refs/tags/", "refs/dsvc/stash")):
            commits.append(repo.history.peel(tip))
    done: set[NodeId] = set()
    for commit in commits:
        root = repo.history.read_commit(commit).lineage
        if root is not None and root not in done:
            done.add(root)
            yield LineageTree(repo.store, root).runs()
