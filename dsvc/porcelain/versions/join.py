"""Joining another side into HEAD: a commit, or conflicts that are left for a person to settle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.history.refs import Head
from dsvc.history.signature import Signature
from dsvc.history.trailers import Trailer
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.run_record import RunId
from dsvc.porcelain.policy.commit_gate import LetIn, join_gate
from dsvc.porcelain.runs.verb_runs import record_made
from dsvc.porcelain.state.commit_lineage import CommitLineage, plan_lineage, with_detections
from dsvc.porcelain.state.operation_note import NO_MERGE, read_note
from dsvc.porcelain.state.pending_runs import remove_pending
from dsvc.porcelain.state.signing import Signer, commit_signer
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import MergeOutcome
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.merge_state import MergeState, OpenConflict
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.safekeeping import keep_files
from dsvc.porcelain.tree.tree_look import Obstacle, Transition
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.porcelain.tree.tree_update import TreeUpdate
from dsvc.porcelain.versions.checkout import SwitchPlan, refusal
from dsvc.porcelain.versions.commit import UNVERIFIED, record_commit, with_verdict
from dsvc.porcelain.versions.source_batch import Batches
from dsvc.porcelain.versions.three_way import Merged, Names, merge_roots
from dsvc.store.manifest_tree import EMPTY_ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """What shall be merged into HEAD, and the commit that it becomes.

    Attributes
    ----------
    verb, argument : str
        As given.
    base, theirs : NodeId
        The common ancestor and the other side.
    commit : CommitId
        The other side's commit.
    message : str
        Message of the commit.
    parents : tuple of CommitId
        Of the commit.
    no_verify : bool
        Skip the local gate; the commit says so.
    """

    verb: str
    argument: str
    base: NodeId
    theirs: NodeId
    commit: CommitId
    message: str
    parents: tuple[CommitId, ...]
    names: Names
    author: Signature | None = None
    trailers: tuple[Trailer, ...] = ()
    no_verify: bool = False


def refuse_second(repo: Workspace, verb: str, other: CommitId, staged: Staged) -> None:
    """Refuse where a merge is in progress, unless it is this one and a kill kept it from being staged.

    Raises
    ------
    WouldOverwriteError
        Naming what is in progress.
    """
    state = merge_state.current(repo)
    if state is None:
        return
    if state.verb == verb and state.theirs == str(other) and bytes(staged.root) == state.before:
        last = next(iter(repo.history.operations), None)
        if state.after != state.before or last is None or last.verb not in (verb, "resolve"):
            return
    raise merge_state.in_progress(state.verb)


def keep_or_refuse(repo: Workspace, update: TreeUpdate) -> tuple[NodeId | None, int]:
    """Store the files that are about to go, and those that hold already what they shall hold.

    Raises
    ------
    WouldOverwriteError
        If something else than a file is in the way, or a file where a folder has to be.
    """
    obstacles = update.obstacles()
    root, count = keep_files(repo, [*(o.path for o in obstacles), *update.settled])
    kept = repo.manifest(root or EMPTY_ROOT)
    stuck = [o for o in obstacles if kept.get(o.path) is None]
    if stuck:
        raise refusal(stuck)
    return root, count


def found_in_place(repo: Workspace, update: TreeUpdate) -> NodeId | None:
    """Store uncommitted work that is what a merge brings, so that `undo` leaves it where it is.

    Where the merge is run again after a kill, what is in place is the merge's own.
    """
    if merge_state.current(repo) is not None:
        return None
    return keep_files(repo, update.settled)[0]


def checked_update(
    repo: Workspace,
    staged: Staged,
    plan: SwitchPlan,
    conflicts: Sequence[OpenConflict] = (),
    progress: Progress | None = None,
) -> TreeUpdate:
    """Make the update of the working tree that a plan asks for.

    Parameters
    ----------
    conflicts : sequence of OpenConflict
        What is left to be settled: these paths have to be as our side has them, staged and in the tree.

    Raises
    ------
    WouldOverwriteError
        If staged or unstaged work is in the way.
    """
    planned, sparse = {t.path for t in plan.transitions}, repo.sparse
    still = [Transition(c.path, c.ours, c.ours) for c in conflicts if sparse.includes(c.path)]
    update = TreeUpdate(
        repo, [*plan.transitions, *(t for t in still if t.path not in planned)], progress=progress
    )
    in_conflict = _staged_in_conflict(repo, staged, [c.path for c in conflicts])
    obstacles = [*plan.conflicts, *in_conflict, *update.obstacles()]
    if obstacles:
        raise refusal(obstacles)
    return update


def _staged_in_conflict(repo: Workspace, staged: Staged, paths: Sequence[bytes]) -> list[Obstacle]:
    """Staged changes of paths that come into conflict: settling these would lose them."""
    if staged.root == staged.base_root or not paths:
        return []
    before, now = repo.manifest(staged.base_root), repo.manifest(staged.root)
    return [Obstacle(p, "it has staged changes") for p in paths if before.get(p) != now.get(p)]


def join_into_head(
    repo: Workspace, head: Head, staged: Staged, join: Join, progress: Progress | None = None
) -> MergeOutcome:
    """Merge into HEAD and commit, or leave the conflicts.

    The order is that of every verb: content, merge state, files, ref, staged state. Whatever a kill leaves,
    the same command goes on from there, since files that are in place already count as such.

    Raises
    ------
    WouldOverwriteError
        If uncommitted work is in the way.
    LineageBrokenError, PolicyDeniedError, PolicyIncompleteError, BlockingDefectError
        If the policy in force refuses the commit; nothing was changed.
    """
    signer = commit_signer(repo)
    merged = merge_roots(repo, join.base, staged.base_root, join.theirs, join.names)
    if not merged.conflicts and merged.root == staged.base_root and join.verb != "merge":
        return MergeOutcome(commit=None, conflicts=[], up_to_date=True)
    plan = SwitchPlan(repo, staged, merged.root, force=False, patterns=None)
    update = checked_update(repo, staged, plan, merged.conflicts, progress)
    repo.store.publish()
    runs = record_made(repo, join.verb, merged.made, argument=join.argument)
    mirror = Mirror(repo, staged.root)
    if merged.conflicts:
        return _leave_conflicts(repo, staged, join, merged, plan, update, mirror, runs)
    lineage = plan_lineage(repo, join.parents, merged.root, relatives=[join.commit])
    let_in = None if join.no_verify else _asked(repo, join, merged.root, lineage, signer, runs)
    if let_in is not None and let_in.detections:
        lineage = with_detections(repo, lineage, let_in.detections)
    said = () if let_in is None else let_in.trailers
    discarded = found_in_place(repo, update)
    update.apply()
    result = record_commit(
        repo,
        head,
        merged.root,
        join.message,
        parents=join.parents,
        verb=join.verb,
        arguments=[join.argument],
        trailers=(*join.trailers, *(UNVERIFIED if join.no_verify else ()), *said),
        author=join.author,
        tree=True,
        before=staged.root,
        after=plan.staged_root,
        discarded=discarded,
        merge=merge_state.keep_open(repo),
        lineage=Batches(lineage),
    )
    result = result if let_in is None else with_verdict(result, let_in)
    repo.staging.save(Staged(result.commit, merged.root, plan.staged_root))
    merge_state.clear(repo.layout, durable=repo.keeps_records)
    mirror.follow(plan.staged_root, written={t.path for t in update.transitions})
    return MergeOutcome(commit=result.commit, conflicts=[], result=result)


def _asked(
    repo: Workspace,
    join: Join,
    root: NodeId,
    lineage: CommitLineage,
    signer: Signer | None,
    runs: Sequence[RunId],
) -> LetIn | None:
    """Ask the gate; where it refuses, what was recorded for the commit is forgotten."""
    try:
        return join_gate(repo, join.parents, root, lineage, None if signer is None else signer.public)
    except DsvcError:
        remove_pending(repo.layout, runs, durable=repo.keeps_records)
        raise


def _leave_conflicts(
    repo: Workspace,
    staged: Staged,
    join: Join,
    merged: Merged,
    plan: SwitchPlan,
    update: TreeUpdate,
    mirror: Mirror,
    runs: Sequence[RunId],
) -> MergeOutcome:
    trailers = "\n".join(f"{key}: {value}" for key, value in join.trailers)
    state = MergeState(
        verb=join.verb,
        theirs=str(join.commit),
        message=f"{join.message}\n\n{trailers}" if trailers else join.message,
        before=bytes(staged.root),
        conflicts=merged.conflicts,
        after=bytes(plan.staged_root),
        author=join.author.encode() if join.author is not None else b"",
        base=bytes(join.base),
        runs=[bytes(run) for run in runs],
    )
    leave_conflicts(repo, staged, state, update, mirror, [join.argument])
    return MergeOutcome(commit=None, conflicts=[merge_state.summary(c) for c in merged.conflicts])


def leave_conflicts(
    repo: Workspace,
    staged: Staged,
    state: MergeState,
    update: TreeUpdate,
    mirror: Mirror,
    arguments: list[str],
) -> None:
    """Write what a merge with conflicts leaves: its state, the files, the operation, the staged state."""
    after = NodeId(state.after)
    discarded = found_in_place(repo, update)
    merge_state.save(repo.layout, state, durable=repo.keeps_records)
    update.apply()
    last = next(iter(repo.history.operations), None)
    repeated = last is not None and (last.verb, last.staged_after) == (state.verb, after.hex())
    if last is None or not repeated or read_note(last.note).merge != NO_MERGE:
        repo.record(
            state.verb,
            arguments=arguments,
            before=NodeId(state.before),
            after=after,
            discarded=discarded,
            tree=True,
            merge=NO_MERGE,
            merging=merge_state.keep(repo, state),
            runs=[RunId(run) for run in state.runs],
        )
    repo.staging.save(Staged(staged.base_commit, staged.base_root, after))
    mirror.follow(after, written={t.path for t in update.transitions if t.old != t.new})
