"""merge, revert, cherry-pick: three-way merges into the current branch, and giving one up."""

from __future__ import annotations

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.history.commit_codec import Commit
from dsvc.history.ref_name import HEADS, TAGS, is_ref_format
from dsvc.history.refs import Head, RefChange
from dsvc.model.errors import UsageError
from dsvc.model.ids import CommitId, NodeId
from dsvc.porcelain.policy.commit_gate import join_gate
from dsvc.porcelain.state.commit_lineage import CommitLineage
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import CheckoutResult, MergeOutcome
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.merge_state import MergeState
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.outcome import tree_outcome
from dsvc.porcelain.tree.tree_look import Transition
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.porcelain.tree.tree_update import TreeUpdate
from dsvc.porcelain.versions.checkout import SwitchPlan
from dsvc.porcelain.versions.join import (
    Join,
    checked_update,
    found_in_place,
    join_into_head,
    keep_or_refuse,
    refuse_second,
)
from dsvc.porcelain.versions.three_way import Names, base_of
from dsvc.store.manifest_tree import EMPTY_ROOT


def merge(
    repo: Workspace,
    rev: str,
    *,
    message: str | None = None,
    no_verify: bool = False,
    progress: Progress | None = None,
) -> MergeOutcome:
    """Merge a revision into the current branch.

    What is merged already changes nothing; a branch that only moved on is followed without a merge commit.
    Conflicts are left in the working tree (texts between markers) and listed; `commit` finishes then.

    Parameters
    ----------
    message : str or None
        Message of the merge commit.
    no_verify : bool
        Skip the local gate; the merge commit says so.

    Raises
    ------
    WouldOverwriteError
        If uncommitted work is in the way, or another merge is in progress; nothing was changed.
    UsageError
        If the histories have nothing in common.
    NotFoundError
        If there is no such revision.
    LineageBrokenError, PolicyDeniedError, PolicyIncompleteError, BlockingDefectError
        If the policy in force refuses what it brings; nothing was changed.
    """
    with repo.changing():
        head = repo.history.refs.head()
        other, staged = repo.history.revisions.resolve(rev), repo.staged(head)
        refuse_second(repo, "merge", other, staged)
        if head.commit is None:
            return _fast_forward(repo, head, staged, rev, other, progress, no_verify=no_verify)
        bases = repo.history.merge_bases(head.commit, other)
        if not bases:
            raise UsageError(
                f"{rev} has no commit in common with {head.text.removeprefix(HEADS)}",
                hint="dsvc cherry-pick takes over single commits",
            )
        if bases == [other]:
            return MergeOutcome(commit=None, conflicts=[], up_to_date=True)
        if bases == [head.commit]:
            return _fast_forward(repo, head, staged, rev, other, progress, no_verify=no_verify)
        join = Join(
            verb="merge",
            argument=rev,
            base=base_of(repo, bases),
            theirs=repo.history.read_commit(other).manifest,
            commit=other,
            message=message or _merge_message(repo, head, rev),
            parents=(head.commit, other),
            names=Names("HEAD", bases[0][:12], rev),
            no_verify=no_verify,
        )
        return join_into_head(repo, head, staged, join, progress)


def _merge_message(repo: Workspace, head: Head, rev: str) -> str:
    kind = "commit"
    for prefix, word in ((HEADS, "branch"), (TAGS, "tag")):
        if is_ref_format(prefix + rev) and repo.history.refs.get(prefix + rev) is not None:
            kind = word
            break
    into = "" if head.branch in (None, HEADS + "main") else f" into {str(head.branch).removeprefix(HEADS)}"
    return f"Merge {kind} '{rev}'{into}"


def _fast_forward(
    repo: Workspace,
    head: Head,
    staged: Staged,
    rev: str,
    other: CommitId,
    progress: Progress | None,
    *,
    no_verify: bool,
) -> MergeOutcome:
    commit = repo.history.read_commit(other)
    target = commit.manifest
    plan = SwitchPlan(repo, staged, target, force=False, patterns=None)
    update = checked_update(repo, staged, plan, progress=progress)
    repo.store.publish()
    if not no_verify:
        parents = [] if head.commit is None else [head.commit]
        join_gate(repo, parents, target, CommitLineage(commit.lineage))
    mirror = Mirror(repo, staged.root)
    discarded = found_in_place(repo, update)
    update.apply()
    repo.record(
        "merge",
        arguments=[rev],
        discarded=discarded,
        changes=[] if head.branch is None else [RefChange(head.branch, head.commit, other)],
        head=other if head.branch is None else None,
        before=staged.root,
        after=plan.staged_root,
        tree=True,
        message=f"merge {rev}: Fast-forward",
    )
    repo.staging.save(Staged(other, target, plan.staged_root))
    mirror.follow(plan.staged_root, written={t.path for t in update.transitions})
    return MergeOutcome(commit=other, conflicts=[], fast_forward=True)


# One commit


def revert(repo: Workspace, rev: str, *, no_verify: bool = False) -> MergeOutcome:
    """Commit the reverse of a commit.

    Raises
    ------
    UsageError
        If it is a merge commit, or HEAD has no commit.
    WouldOverwriteError
        If uncommitted work is in the way, or a merge is in progress; nothing was changed.
    """
    with repo.changing():
        head, commit, before = _one_commit(repo, rev, "revert")
        if head.commit is None:
            raise UsageError("there is no commit to revert on this branch")
        title = (commit.message.splitlines() or [""])[0]
        join = Join(
            verb="revert",
            argument=rev,
            base=commit.manifest,
            theirs=before,
            commit=commit.id,
            message=f'Revert "{title}"\n\nThis reverts commit {commit.id}.',
            parents=(head.commit,),
            names=Names("HEAD", commit.id[:12], f"parent of {commit.id[:12]}"),
            no_verify=no_verify,
        )
        return join_into_head(repo, head, repo.staged(head), join)


def cherry_pick(repo: Workspace, rev: str, *, no_verify: bool = False) -> MergeOutcome:
    """Commit again what a commit changed, with its author and message.

    Raises
    ------
    UsageError
        If it is a merge commit.
    WouldOverwriteError
        If uncommitted work is in the way, or a merge is in progress; nothing was changed.
    """
    with repo.changing():
        head, commit, before = _one_commit(repo, rev, "cherry-pick")
        title = (commit.message.splitlines() or [""])[0]
        join = Join(
            verb="cherry-pick",
            argument=rev,
            base=before,
            theirs=commit.manifest,
            commit=commit.id,
            message=commit.message,
            parents=() if head.commit is None else (head.commit,),
            names=Names("HEAD", f"parent of {commit.id[:12]}", f"{commit.id[:12]} ({title[:60]})"),
            author=commit.author,
            trailers=tuple(t for t in commit.trailers if not t[0].lower().startswith("dsvc-")),
            no_verify=no_verify,
        )
        return join_into_head(repo, head, repo.staged(head), join)


def _one_commit(repo: Workspace, rev: str, verb: str) -> tuple[Head, Commit, NodeId]:
    """HEAD, the commit, and the manifest before it; refuses merge commits."""
    head = repo.history.refs.head()
    commit = repo.history.read_commit(repo.history.revisions.resolve(rev))
    if len(commit.parents) > 1:
        raise UsageError(
            f"{commit.id[:12]} is a merge: what it changed depends on the parent",
            hint=f"dsvc {verb} the commits that it merged, one by one",
        )
    refuse_second(repo, verb, commit.id, repo.staged(head))
    before = repo.history.read_commit(commit.parents[0]).manifest if commit.parents else EMPTY_ROOT
    return head, commit, before


# Giving up


def abort(repo: Workspace) -> CheckoutResult:
    """Give up a merge, revert, cherry-pick or stash pop: files and staged state are as before it.

    Edits made meanwhile to what it wrote are stored first; `undo` brings them back, and the merge.

    Raises
    ------
    UsageError
        If nothing is in progress.
    WouldOverwriteError
        If a folder with untracked files stands where a file was; nothing was changed.
    """
    with repo.changing():
        head = repo.history.refs.head()
        staged = repo.staged(head)
        state = merge_state.current(repo)
        if state is None:
            raise UsageError("no merge is in progress")
        before = NodeId(state.before)
        update = TreeUpdate(repo, _way_back(repo, staged, state))
        discarded, saved = keep_or_refuse(repo, update)
        kept = merge_state.keep(repo, state)
        mirror = Mirror(repo, staged.root)
        operation = repo.record(
            "merge",
            arguments=["--abort"],
            before=staged.root,
            after=before,
            discarded=discarded,
            tree=True,
            merge=kept,
        )
        done = update.apply()
        repo.staging.save(Staged(staged.base_commit, staged.base_root, before))
        merge_state.give_up(repo, state)
        mirror.follow(before, written={t.path for t in update.transitions if t.old != t.new})
        return tree_outcome(head, operation, done, saved=saved)


def _way_back(repo: Workspace, staged: Staged, state: MergeState) -> list[Transition]:
    """Transitions from what a merge wrote, and was staged since, to what was before it."""
    before = repo.manifest(NodeId(state.before))
    found = {
        c.path: Transition(c.path, c.old, c.new) for c in diff_manifests(repo.manifest(staged.root), before)
    }
    if state.after:
        # A kill may have kept from being staged what is in the tree already.
        for change in diff_manifests(repo.manifest(NodeId(state.after)), before):
            found.setdefault(change.path, Transition(change.path, change.old, change.new))
    for conflict in state.conflicts:
        entry = before.get(conflict.path)
        found.setdefault(conflict.path, Transition(conflict.path, entry, entry))
    sparse = repo.sparse
    return [t for t in found.values() if sparse.includes(t.path)]
