"""commit: what is staged becomes history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from dsvc.diff.delta import Change, counts
from dsvc.diff.manifest_diff import diff_manifests
from dsvc.history.history import Prepared
from dsvc.history.ref_name import HEADS
from dsvc.history.refs import Head
from dsvc.history.signature import Signature
from dsvc.model.errors import DsvcError, MergeConflictError, UsageError, WouldOverwriteError
from dsvc.model.ids import CommitId, NodeId
from dsvc.porcelain.lineage.coverage import new_files
from dsvc.porcelain.policy.commit_gate import LetIn, commit_gate
from dsvc.porcelain.state.commit_lineage import CommitLineage, plan_lineage, with_detections
from dsvc.porcelain.state.pending_runs import remove_pending
from dsvc.porcelain.state.signing import Signer, commit_signer, sign_commit
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import CommitResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.porcelain.versions.source_batch import Batches, batches
from dsvc.store.manifest_tree import EMPTY_ROOT

UNVERIFIED: Final = (("Dsvc-No-Verify", "true"),)
"""The trailer of a commit at which the gate was not asked."""
CLOCK_SKEW_SECONDS: Final = 60
"""How far apart clocks may be before a commit warns."""


class NothingToCommitError(DsvcError):
    """Nothing is staged that HEAD doesn't have."""

    code: ClassVar[str] = "nothing-to-commit"
    exit_code: ClassVar[int] = 1


def commit(
    repo: Workspace,
    message: str,
    *,
    all_: bool = False,
    allow_empty: bool = False,
    no_verify: bool = False,
    amend: bool = False,
    sign: bool | None = None,
    progress: Progress | None = None,
) -> CommitResult:
    """Commit the staged state on the current branch (or on a detached HEAD).

    Parameters
    ----------
    all_ : bool
        Add changes of tracked files first.
    allow_empty : bool
        Commit also where nothing is staged.
    no_verify : bool
        Skip the local gate; the commit says so.
    amend : bool
        Replace HEAD's commit; the old one stays in the reflog.
    sign : bool or None
        Sign it with the key of ``user.signingKey``; None: where ``commit.sign`` says so.

    Raises
    ------
    NothingToCommitError
        If nothing is staged.
    MergeConflictError
        If conflicts are open.
    WouldOverwriteError
        If HEAD's commit is to be replaced in the middle of a merge, cherry-pick or revert, as in git.
    ConcurrentChangeError
        If the branch moved meanwhile.
    LineageBrokenError, PolicyDeniedError, PolicyIncompleteError, BlockingDefectError
        If the policy in force refuses it.
    HookRefusedError
        If a hook of one's own does.
    """
    if not message.strip():
        raise UsageError("a commit needs a message", hint="dsvc commit -m MESSAGE")
    signer = commit_signer(repo, sign)
    if all_:
        _add_tracked(repo, progress)
    hooks = repo.user_hooks
    # Before the locks are held: a hook may call dsvc, and stage what it mends.
    said = None if hooks is None or no_verify else hooks.before_commit(repo)
    result = _commit_staged(
        repo, message, allow_empty=allow_empty, no_verify=no_verify, amend=amend, sign=sign, signer=signer
    )
    more = None if hooks is None else hooks.after_commit(repo)
    warnings = (*(each for each in (said, more) if each is not None), *result.warnings)
    return msgspec.structs.replace(result, warnings=warnings) if said or more else result


def _commit_staged(
    repo: Workspace,
    message: str,
    *,
    allow_empty: bool,
    no_verify: bool,
    amend: bool,
    sign: bool | None,
    signer: Signer | None,
) -> CommitResult:
    """Commit the staged state; parameters and errors as `commit`."""
    with repo.changing():
        head = repo.history.refs.head()
        staged = repo.staged(head)
        state = merge_state.current(repo)
        if amend and state is not None:
            raise WouldOverwriteError(
                f"a {state.verb} is in progress, and would be lost",
                hint="dsvc commit finishes it; then --amend changes that commit",
            )
        _check_conflicts(state)
        merging = state is not None and state.verb == "merge"
        parents = _parents(repo, head, state, amend=amend)
        lineage = plan_lineage(repo, parents, staged.root, relatives=_relatives(head, state, amend=amend))
        news = staged.root != staged.base_root or lineage.taken
        if not (news or allow_empty or amend or merging):
            hint = "dsvc add stages changes, dsvc status shows them"
            raise NothingToCommitError("nothing to commit", hint=hint)
        batch = _batches(repo, parents, staged.root, lineage)
        let_in = None if no_verify else _gate(repo, parents, staged.root, batch, signer)
        if let_in is not None and let_in.detections:
            batch = batch._replace(lineage=with_detections(repo, batch.lineage, let_in.detections))
        result = record_commit(
            repo,
            head,
            staged.root,
            message,
            parents=parents,
            verb="commit",
            arguments=[message.splitlines()[0][:200]],
            trailers=UNVERIFIED if let_in is None else let_in.trailers,
            author=Signature.parse(state.author) if state is not None and state.author else None,
            merge=None if state is None else merge_state.end(repo, state),
            lineage=batch,
            sign=sign,
        )
        repo.staging.save(Staged(result.commit, staged.root, staged.root))
        merge_state.clear(repo.layout, durable=repo.keeps_records)
        return result if let_in is None else with_verdict(result, let_in)


def _relatives(head: Head, state: merge_state.MergeState | None, *, amend: bool) -> list[CommitId]:
    """Commits whose runs a commit may need: the amended one; what is picked or reverted is no parent."""
    found = [head.commit] if amend and head.commit is not None else []
    if state is not None and state.theirs is not None:
        found.append(CommitId.parse(state.theirs))
    return found


def _batches(repo: Workspace, parents: Sequence[CommitId], root: NodeId, lineage: CommitLineage) -> Batches:
    """Let ongoing sources attest what came since; where no source is known nothing is asked."""
    if lineage.root is None:
        return Batches(lineage)
    before = repo.history.read_commit(parents[0]).manifest if parents else EMPTY_ROOT
    # Nodes that were written for it can be read once they are published.
    repo.store.publish()
    return batches(repo, root, lineage, list(new_files(repo, before, root)))


def _gate(
    repo: Workspace, parents: Sequence[CommitId], root: NodeId, batch: Batches, signer: Signer | None
) -> LetIn:
    return commit_gate(repo, parents, root, batch.lineage, None if signer is None else signer.public)


def with_verdict(result: CommitResult, found: LetIn) -> CommitResult:
    """Say in the result of a commit what the gate said."""
    return msgspec.structs.replace(
        result,
        verdict=found.verdict,
        uncovered=found.coverage.paths,
        uncovered_is_least=found.coverage.is_least,
        uncovered_path=found.coverage.first,
        warnings=(*result.warnings, *found.warnings),
    )


def _check_conflicts(state: merge_state.MergeState | None) -> None:
    count = 0 if state is None else len(state.conflicts)
    if count:
        raise MergeConflictError(
            "1 path is in conflict" if count == 1 else f"{count} paths are in conflict",
            hint="dsvc conflicts lists them, dsvc resolve settles one",
        )


def _add_tracked(repo: Workspace, progress: Progress | None) -> None:
    """Stage modified and removed tracked files, and nothing new."""
    from dsvc.porcelain.tree.status import status
    from dsvc.porcelain.versions.add import add

    unstaged = status(repo, [], untracked="no", progress=progress).unstaged
    if unstaged:
        add(repo, [change.path for change in unstaged], progress=progress)


def _parents(
    repo: Workspace, head: Head, state: merge_state.MergeState | None, *, amend: bool
) -> tuple[CommitId, ...]:
    if amend:
        if head.commit is None:
            raise UsageError("there is no commit to amend")
        return repo.history.read_commit(head.commit).parents
    parents: tuple[CommitId, ...] = () if head.commit is None else (head.commit,)
    if state is not None and state.theirs is not None and state.verb == "merge":
        parents += (CommitId.parse(state.theirs),)
    return parents


def record_commit(
    repo: Workspace,
    head: Head,
    root: NodeId,
    message: str,
    *,
    parents: Sequence[CommitId],
    verb: str,
    arguments: Sequence[str] = (),
    trailers: Sequence[tuple[str, str]] = (),
    author: Signature | None = None,
    tree: bool = False,
    before: NodeId | None = None,
    after: NodeId | None = None,
    discarded: NodeId | None = None,
    merge: str | None = None,
    lineage: Batches | None = None,
    sign: bool | None = None,
) -> CommitResult:
    """Write a commit of a manifest and move HEAD's branch to it: the only commit point.

    Parameters
    ----------
    author : Signature or None
        Whose change it is, where that isn't who commits it.
    before, after : NodeId or None
        Staged manifests, where they aren't the commit's.
    discarded : NodeId or None
        Manifest of files that were stored before the tree was written.
    merge : str or None
        Merge state that this ends, as kept for `undo`.
    lineage : Batches or None
        Its lineage, where that is known already, and what ongoing sources attest at it.
    sign : bool or None
        Whether to sign it; None: as ``commit.sign`` says.

    Raises
    ------
    ConcurrentChangeError
        If the branch isn't where `head` says any more.
    """
    batch = lineage or Batches(plan_lineage(repo, parents, root))
    repo.store.publish()
    prepared = _prepare(repo, head, root, message, parents, batch, author, trailers, sign)
    repo.record(
        verb,
        arguments=arguments,
        changes=(*prepared.changes, *batch.changes),
        objects=(*prepared.objects, *batch.objects),
        head=None if head.branch is not None else prepared.id,
        before=root if before is None else before,
        after=root if after is None else after,
        base=root,
        discarded=discarded,
        tree=tree,
        merge=merge,
        message=f"{verb}: {message.splitlines()[0][:200]}",
    )
    remove_pending(repo.layout, batch.lineage.taken, durable=repo.keeps_records)
    return _commit_result(repo, head, prepared.id, parents, root)


def _prepare(
    repo: Workspace,
    head: Head,
    root: NodeId,
    message: str,
    parents: Sequence[CommitId],
    batch: Batches,
    author: Signature | None,
    trailers: Sequence[tuple[str, str]],
    sign: bool | None,
) -> Prepared:
    who, (files, size) = repo.signature(), repo.manifest(root).totals()
    return repo.history.commit(
        parents=parents,
        manifest=root,
        files=files,
        bytes=size,
        message=message,
        author=author or who,
        committer=who,
        trailers=trailers,
        lineage=batch.lineage.root,
        branch=head.branch,
        expected=head.commit,
        sign=sign_commit(commit_signer(repo, sign)),
    )


def _commit_result(
    repo: Workspace, head: Head, commit: CommitId, parents: Sequence[CommitId], root: NodeId
) -> CommitResult:
    files, size = repo.manifest(root).totals()
    tally = counts(changes_of(repo, parents, root)) if parents else {**counts([]), "added": files}
    younger = _younger_parent(repo, commit, parents)
    return CommitResult(
        commit=commit,
        branch=None if head.branch is None else head.branch.removeprefix(HEADS),
        parents=tuple(parents),
        manifest=root,
        files=files,
        bytes=size,
        changes=tally,
        warnings=() if younger is None else (younger,),
    )


def _younger_parent(repo: Workspace, commit: CommitId, parents: Sequence[CommitId]) -> str | None:
    """Say that a commit is dated before one that it descends from; order is that of the graph."""
    dated = repo.history.read_commit(commit).committer.seconds
    for parent in parents:
        before = repo.history.read_commit(parent).committer.seconds
        if before > dated + CLOCK_SKEW_SECONDS:
            return (
                f"the parent {parent[:12]} is dated {_day(before)}, this commit {_day(dated)}: "
                "a clock is or was wrong; the order of versions doesn't depend on it"
            )
    return None


def _day(seconds: int) -> str:
    """A date, of any year that a commit can be dated in."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"at second {seconds}"


def changes_of(repo: Workspace, parents: Sequence[CommitId], root: NodeId) -> list[Change]:
    """What a commit changes against its first parent."""
    before = repo.history.read_commit(parents[0]).manifest if parents else EMPTY_ROOT
    return list(diff_manifests(repo.manifest(before), repo.manifest(root)))
