"""Which version is judged: its files and lineage, where it goes to, and what the version before had."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from dsvc.history.refs import Head
from dsvc.lineage.lineage_tree import LineageTree
from dsvc.lineage.validation import Violation
from dsvc.model.errors import MissingDataError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId
from dsvc.policy.case import Case
from dsvc.policy.engine import judge
from dsvc.policy.rule import RuleUse
from dsvc.policy.settings import PolicySettings
from dsvc.porcelain.state.commit_lineage import CommitLineage, lineage_of
from dsvc.porcelain.state.moment import Moment, as_of
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state

_Key = tuple[str, bytes, bytes | str]


class JudgedVersion(NamedTuple):
    """A version that is judged.

    Attributes
    ----------
    root : NodeId
        Its manifest.
    commit : CommitId or None
        None where it is no commit yet.
    parents : tuple of CommitId
        The versions before it.
    target : CommitId or None
        Head of the branch that it goes to, where that isn't itself.
    bases : tuple of NodeId
        Manifests whose policy counts too: of the target and of the first parent.
    lineages : tuple of LineageTree
        What is recorded of runs and sources.
    runs : tuple of RunId
        Runs that no commit has yet.
    only : frozenset of bytes or None
        At the gate of commits, paths that are judged as if the version before didn't have them; None: what
        it adds or changes.
    selected : frozenset of bytes
        Paths that are data whatever they are called: a release selects them by name.
    release : str or None
        The release that is to be made of it; None: it isn't known which, or none.
    """

    root: NodeId
    commit: CommitId | None
    parents: tuple[CommitId, ...]
    target: CommitId | None
    bases: tuple[NodeId, ...]
    lineages: tuple[LineageTree, ...]
    runs: tuple[RunId, ...] = ()
    only: frozenset[bytes] | None = None
    selected: frozenset[bytes] = frozenset()
    release: str | None = None

    @property
    def parent(self) -> CommitId | None:
        """The first version before it."""
        return self.parents[0] if self.parents else None


def judged_version(
    repo: Workspace,
    rev: str | None = None,
    *,
    staged: bool = False,
    target: str | None = None,
    moment: Moment | None = None,
) -> JudgedVersion:
    """Find what is to be judged.

    Parameters
    ----------
    rev : str or None
        A revision; None: HEAD, or before the first commit what that would be.
    staged : bool
        Judge what is staged.
    target : str or None
        Branch that it goes to; None: the one that ``policy.target`` names, where there is such.
    moment : Moment or None
        When it is judged: the branch counts as it was then; None: now.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit can't be read.
    """
    head = repo.history.refs.head()
    if head.commit is None:
        _check_unborn(repo, head)
    if not staged and (rev is not None or head.commit is not None):
        commit = repo.history.revisions.resolve(rev or "HEAD")
        found = repo.history.read_commit(commit)
        lineages: tuple[LineageTree, ...] = (lineage_of(repo, commit),)
        goal = _target(repo, target, moment)
        return _version(repo, found.manifest, found.parents, lineages, goal, commit=commit)
    state = merge_state.current(repo)
    parents = [] if head.commit is None else [head.commit]
    if state is not None and state.theirs is not None:
        parents.append(CommitId.parse(state.theirs))
    root = repo.staged(head).root if staged else repo.staged(head).base_root
    lineages = tuple(lineage_of(repo, parent) for parent in parents)
    goal = _target(repo, target, moment)
    return _version(repo, root, parents, lineages, goal, runs=pending_runs(repo.layout))


def _check_unborn(repo: Workspace, head: Head) -> None:
    """See that a branch without a commit never had one: what is lost is no empty version, which passes."""
    for operation in repo.history.operations:
        for name, _, new in operation.refs:
            if name == head.branch and new is None:
                return
            if name == head.branch and new is not None:
                short = name.removeprefix("refs/heads/")
                raise MissingDataError(
                    f"branch {short} is gone; the log knows it at {new[:12]}",
                    hint=f"dsvc branch {short} {new[:12]} brings it back",
                )


def planned_version(
    repo: Workspace, root: NodeId, parents: Sequence[CommitId], lineage: CommitLineage
) -> JudgedVersion:
    """Judge a commit that is about to be made, with the lineage that it will have.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit can't be read.
    """
    # Nodes that were written for it can be read once they are published.
    repo.store.publish()
    return _version(repo, root, parents, (LineageTree(repo.store, lineage.root),), _target(repo, None, None))


def overlaid_version(repo: Workspace, entries: Iterable[Entry], paths: frozenset[bytes]) -> JudgedVersion:
    """Judge files that lie over what is staged, such as those that git is about to commit.

    Parameters
    ----------
    entries : iterable of Entry
        The files, sorted by path; stored already.
    paths : frozenset of bytes
        Those of them that are judged.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit or a manifest can't be read.
    """
    version = judged_version(repo, staged=True)
    root = repo.manifest(version.root).update([(entry.path, entry) for entry in entries])
    repo.store.publish()
    return version._replace(root=root, only=paths)


def _version(
    repo: Workspace,
    root: NodeId,
    parents: Sequence[CommitId],
    lineages: tuple[LineageTree, ...],
    goal: CommitId | None,
    *,
    commit: CommitId | None = None,
    runs: Sequence[RunId] = (),
) -> JudgedVersion:
    if goal is not None and goal == commit:
        goal = None
    before = [each for each in (goal, *parents[:1]) if each is not None]
    bases = tuple(dict.fromkeys(repo.history.read_commit(each).manifest for each in before))
    return JudgedVersion(root, commit, tuple(parents), goal, bases, lineages, tuple(runs))


def _target(repo: Workspace, name: str | None, moment: Moment | None) -> CommitId | None:
    if name is not None:
        return as_of(repo, repo.history.revisions.resolve(name), moment)
    tip = repo.history.refs.get(f"refs/heads/{repo.config.get('policy.target')}")
    return as_of(repo, tip, moment)


def inherited(
    repo: Workspace,
    version: JudgedVersion,
    settings: PolicySettings,
    uses: Sequence[RuleUse],
    moment: Moment,
    violations: Sequence[Violation],
) -> Collection[_Key]:
    """Tell which violations the version before had already, for `is_inherited`."""
    from dsvc.porcelain.policy.policy_case import parent_case

    if version.parent is None or version.only is not None:
        return frozenset()
    names = {violation.rule for violation in violations}
    case = parent_case(repo, version, settings, [violation.subject for violation in violations], moment)
    return frozenset(_key(each, case) for each in judge([use for use in uses if use.rule.id in names], case))


def is_inherited(violation: Violation, before: Collection[_Key], case: Case) -> bool:
    """Whether a violation is among those of the version before.

    Parameters
    ----------
    before : collection
        Those, from `inherited`.
    case : Case
        What is judged now; what is wrong with sources that its new files come from is not inherited.
    """
    subject = violation.subject
    is_reached = subject.startswith(b"source:") and subject[7:].decode("utf-8", "replace") in case.reached
    return not is_reached and _key(violation, case) in before


def _key(violation: Violation, case: Case) -> _Key:
    """What makes two violations the same: of a file its content, of anything else what is said of it."""
    path, at, digest = violation.subject.rpartition(b"@")
    if at and digest == violation.digest.hex().encode():
        return violation.rule, path, violation.digest
    names_record = violation.subject.startswith((b"run:", b"source:"))
    if not violation.subject or (names_record and violation.subject not in case.by_path):
        return violation.rule, violation.subject, violation.message
    return violation.rule, violation.subject, violation.digest
