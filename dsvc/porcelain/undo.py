"""undo: take an operation back; refs, staged state and working tree become what they were before it."""

from __future__ import annotations

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.history.operations import Operation
from dsvc.history.refs import RefChange
from dsvc.model.errors import ConcurrentChangeError, NotFoundError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.paths import display_path
from dsvc.porcelain import merge_state
from dsvc.porcelain.checkout import refusal
from dsvc.porcelain.mirror import Mirror
from dsvc.porcelain.staging import Staged
from dsvc.porcelain.tree_update import Transition, TreeUpdate
from dsvc.porcelain.values import UndoResult
from dsvc.porcelain.workspace import Workspace

WRITES_TREE = "worktree"
"""Note of an operation that wrote the working tree."""


def latest(repo: Workspace) -> Operation:
    """Newest operation that isn't undone yet and is no undo itself.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    undone: set[str] = set()
    for operation in repo.history.operations:
        if operation.undone is not None:
            if str(operation.id) in undone:  # an undo that was undone: what it took back stands again
                continue
            undone.add(operation.undone)
        elif str(operation.id) not in undone:
            return operation
    raise NotFoundError("there is nothing to undo", hint="dsvc op log lists what was done")


def undo(repo: Workspace, text: str | None = None) -> UndoResult:
    """Take an operation back, by default the newest that stands.

    Parameters
    ----------
    text : str or None
        An operation's id, the beginning of one, or ``@N``.

    Raises
    ------
    ConcurrentChangeError
        If a later operation moved the same refs or staged the same paths.
    WouldOverwriteError
        If work done since is in the way.
    """
    with repo.changing():
        operation = latest(repo) if text is None else repo.history.operations.get(text)
        head = repo.history.refs.head()
        staged = repo.staged(head)
        changes = _ref_changes(repo, operation)
        before, after = _root(operation.staged_before, staged.root), _root(operation.staged_after, staged.root)
        root = repo.staging.carry(after, before, staged.root)
        _check_staged(repo, after, before, staged.root)
        update = _tree_update(repo, operation, before, after)
        obstacles = update.obstacles()
        if obstacles:
            raise refusal(obstacles)
        moves_head = operation.head_before != operation.head_after
        if moves_head and head.text != operation.head_after:
            raise ConcurrentChangeError("HEAD has moved since", hint="undo the later operations first")
        target: str | CommitId | None = None
        if moves_head:
            target = operation.head_before
            if not target.startswith("refs/"):
                target = CommitId.parse(target)
        mirror = Mirror(repo, staged.root)
        repo.store.publish()
        recorded = repo.record(
            "undo",
            arguments=[operation.verb, str(operation.id)[:12]],
            changes=changes,
            head=target,
            before=staged.root,
            after=root,
            undone=operation.id,
            tree=bool(update.transitions),
        )
        done = update.apply()
        now = repo.history.refs.head()
        base = repo.head_root(now)
        repo.staging.save(Staged(now.commit, base, root))
        merge_state.clear(repo.layout)
        _follow(repo, mirror, operation, update, root)
        return UndoResult(
            undone=str(operation.id),
            verb=operation.verb,
            operation=str(recorded.id),
            restored=done.written,
            arguments=operation.arguments,
        )


def _root(text: str | None, default: NodeId) -> NodeId:
    return default if text is None else NodeId.parse(text)


def _ref_changes(repo: Workspace, operation: Operation) -> list[RefChange]:
    changes = []
    for ref, old, new in operation.refs:
        now = repo.history.refs.get(ref)
        if (None if now is None else str(now)) != new:
            raise ConcurrentChangeError(
                f"{ref} has moved since that operation", hint="undo the later operations first"
            )
        changes.append(
            RefChange(ref, CommitId.parse(new) if new else None, CommitId.parse(old) if old else None)
        )
    return changes


def _check_staged(repo: Workspace, after: NodeId, before: NodeId, now: NodeId) -> None:
    """Refuse where a path that the operation staged was staged again since."""
    if now == after:
        return
    current = repo.manifest(now)
    for change in diff_manifests(repo.manifest(after), repo.manifest(before)):
        entry = current.get(change.path)
        if entry not in (change.old, change.new):
            raise ConcurrentChangeError(
                f"{display_path(change.path)} was staged again since that operation",
                hint="undo the later operations first",
            )


def _tree_update(repo: Workspace, operation: Operation, before: NodeId, after: NodeId) -> TreeUpdate:
    transitions: dict[bytes, Transition] = {}
    sparse = repo.sparse
    if operation.note == WRITES_TREE:
        for change in diff_manifests(repo.manifest(after), repo.manifest(before)):
            if sparse.includes(change.path):
                transitions[change.path] = Transition(change.path, change.old, change.new)
    if operation.discarded is not None:
        left = repo.manifest(after)
        for entry in repo.manifest(NodeId.parse(operation.discarded)).entries():
            transitions[entry.path] = Transition(entry.path, left.get(entry.path), entry)
    return TreeUpdate(
        layout=repo.layout,
        root=repo.root,
        store=repo.store,
        transitions=transitions.values(),
        portable_names=repo.config.flag("core.portableNames"),
        mirror=False,
    )


def _follow(repo: Workspace, mirror: Mirror, operation: Operation, update: TreeUpdate, root: NodeId) -> None:
    manifest = repo.manifest(root)
    mirror.follow(root, unknown=[t.path for t in update.transitions if manifest.get(t.path) is not None])


