"""Whether what a commit brings is covered by a source or a run: counted, where no policy refuses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.lineage.lineage_rules import LineageRules, LineageRulesError, is_never_data
from dsvc.lineage.lineage_tree import LineageTree
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_SYMLINK, Entry
from dsvc.porcelain.records.lineage_facts import lineage_rules, origins
from dsvc.porcelain.state.commit_lineage import CommitLineage
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import EMPTY_ROOT

MAX_COUNTED: Final = 1000
"""Where no lineage is recorded at all, more paths than these are not counted."""


class CommitCoverage(NamedTuple):
    """What a commit brings that nothing covers.

    Attributes
    ----------
    paths : int
        How many paths.
    is_least : bool
        Whether there may be more.
    first : bytes or None
        One of them.
    unreadable : tuple of str
        Why something could not be told.
    """

    paths: int = 0
    is_least: bool = False
    first: bytes | None = None
    unreadable: tuple[str, ...] = ()


def coverage_of_commit(
    repo: Workspace, parents: Sequence[CommitId], root: NodeId, lineage: CommitLineage
) -> CommitCoverage:
    """Look at what a commit adds or changes against its first parent; what that had already is not asked.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest or a lineage can't be read.
    """
    before = repo.history.read_commit(parents[0]).manifest if parents else EMPTY_ROOT
    try:
        rules, problems = lineage_rules(repo, root), tuple[str, ...]()
    except LineageRulesError as error:
        rules, problems = LineageRules(), (error.message,)
    news = new_files(repo, before, root)
    if lineage.root is None:
        return _counted(rules, news)._replace(unreadable=problems)
    # Nodes that were written for it can be read once they are published.
    repo.store.publish()
    found = _judged(repo, before, root, LineageTree(repo.store, lineage.root), list(news))
    return found._replace(unreadable=(*problems, *found.unreadable))


def new_files(repo: Workspace, before: NodeId, root: NodeId) -> Iterator[Entry]:
    """Files with bytes that the version before doesn't have at that path."""
    for change in diff_manifests(repo.manifest(before), repo.manifest(root)):
        old, new = change.old, change.new
        if new is None or new.mode in (MODE_DIRECTORY, MODE_SYMLINK):
            continue
        if old is None or old.digest != new.digest:
            yield new


def _counted(rules: LineageRules, news: Iterator[Entry]) -> CommitCoverage:
    """Count data where neither sources nor runs are recorded."""
    count, first = 0, None
    for entry in news:
        if is_never_data(entry.path) or rules.is_project(entry.path):
            continue
        if count == MAX_COUNTED:
            return CommitCoverage(count, True, first)
        count += 1
        first = first or entry.path
    return CommitCoverage(count, False, first)


def _judged(
    repo: Workspace, before: NodeId, root: NodeId, lineage: LineageTree, news: list[Entry]
) -> CommitCoverage:
    """Look where what is new comes from, through the runs that made it."""
    from dsvc.lineage.closure import Closure
    from dsvc.lineage.coverage import Lack, Uncovered
    from dsvc.lineage.graph import ArtifactNode

    known = origins(repo, root, [lineage])
    closure = Closure(known, news)
    parent = repo.manifest(before)
    lacks = [each for each in closure.uncovered if not _was_there(parent.get(each.path), each.digest)]
    stopped = [name for name, source in known.sources.all.items() if not source.in_force]
    for name, reached in closure.downstream(stopped).items():
        lacks += [Uncovered(n.path, n.digest, Lack.WITHDRAWN, name) for n in closure.roots if n in reached]
    errors = [*known.runs.unreadable.values(), *known.sources.unreadable.values()]
    lacks = list({ArtifactNode(each.path, each.digest): each for each in lacks}.values())
    return CommitCoverage(
        len(lacks),
        False,
        lacks[0].path if lacks else None,
        tuple(error.message for error in errors),
    )


def _was_there(entry: Entry | None, digest: bytes) -> bool:
    return entry is not None and entry.digest == digest
