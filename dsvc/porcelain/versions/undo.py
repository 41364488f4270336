"""undo: take an operation back; refs, staged state and working tree become what they were before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.history.operations import Operation
from dsvc.history.refs import Head, RefChange
from dsvc.model.errors import ConcurrentChangeError, NotFoundError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import RunId
from dsvc.porcelain.state import sparse
from dsvc.porcelain.state.commit_lineage import lineage_of, return_runs
from dsvc.porcelain.state.operation_note import NO_MERGE, Note, read_note
from dsvc.porcelain.state.pending_runs import add_pending, pending_runs, remove_pending
from dsvc.porcelain.state.sparse import SparsePatterns
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import UndoResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.tree_scan import parents
from dsvc.porcelain.tree.tree_update import Transition, TreeUpdate
from dsvc.porcelain.versions.checkout import refusal
from dsvc.store.manifest_tree import EMPTY_ROOT


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
        begun = _begun(repo, text)
        if begun is not None:
            return _finish(repo, *begun)
        operation = latest(repo) if text is None else repo.history.operations.get(text)
        head = repo.history.refs.head()
        staged = repo.staged(head)
        changes = _ref_changes(repo, operation)
        root = _staged_root(repo, operation, staged.root)
        target = _target_head(operation, head)
        note = read_note(operation.note)
        kept, patterns = note.merge, _patterns(repo, note)
        runs, comes_back = _runs_of(repo, operation, head)
        state = merge_state.current(repo)
        moves = target is not None or any(change.ref == head.branch for change in changes)
        update = _tree_update(repo, operation)
        _refuse_where_lost(repo, update, state if moves and kept is None else None, (staged.root, root))
        mirror = Mirror(repo, staged.root)
        repo.store.publish()
        _move_runs(repo, head, changes, runs, comes_back=comes_back)
        # Files first: a killed undo is then simply run again.
        done = update.apply()
        recorded = repo.record(
            "undo",
            arguments=[operation.verb, str(operation.id)[:12]],
            changes=changes,
            head=target,
            before=staged.root,
            after=root,
            undone=operation.id,
            tree=bool(update.transitions),
            merge=None if kept is None else merge_state.keep(repo, state),
            merging=kept or NO_MERGE,
            sparse=patterns and (patterns[1], patterns[0]),
        )
        _settle(repo, note, root)
        _follow(repo, mirror, update, root)
        return UndoResult(
            undone=str(operation.id),
            verb=operation.verb,
            operation=str(recorded.id),
            restored=done.written,
            arguments=operation.arguments,
        )


def _refuse_where_lost(
    repo: Workspace, update: TreeUpdate, state: merge_state.MergeState | None, roots: Sequence[NodeId]
) -> None:
    """Refuse before anything moves: under a merge, over work done since, to what can't be read any more."""
    if state is not None:
        raise ConcurrentChangeError(f"a {state.verb} is in progress", hint="undo that first")
    obstacles = update.obstacles()
    if obstacles:
        raise refusal(obstacles)
    for each in roots:
        repo.manifest(each).totals()


def _settle(repo: Workspace, note: Note, root: NodeId) -> None:
    """Write what was before an operation; the staged state last, `_begun` looks at it."""
    if note.merge is not None:
        merge_state.bring_back(repo, note.merge)
    if note.sparse is not None and note.sparse[0] != note.sparse[1]:
        before = sparse.kept_patterns(repo.store, note.sparse[0])
        sparse.save(repo.layout, before.patterns, durable=repo.keeps_records)
    now = repo.history.refs.head()
    repo.staging.save(Staged(now.commit, repo.head_root(now), root))


def _begun(repo: Workspace, text: str | None) -> tuple[Operation, Operation] | None:
    """Find an undo that was killed once it was recorded, and what it takes back.

    It is the newest operation, and what it says is staged isn't: whatever stages is an operation itself.
    """
    newest = next(iter(repo.history.operations), None)
    if newest is None or newest.undone is None or newest.staged_after is None:
        return None
    operation = repo.history.operations.read(CommitId.parse(newest.undone))
    if text is not None and repo.history.operations.get(text).id != operation.id:
        return None
    head = repo.history.refs.head()
    staged = repo.staging.load(head.commit, repo.head_root(head))  # as its file has it
    if head.text != newest.head_after or staged.root.hex() == newest.staged_after:
        return None
    for ref, _, new in newest.refs:
        now = repo.history.refs.get(ref)
        if (None if now is None else str(now)) != new:
            return None
    return newest, operation


def _finish(repo: Workspace, begun: Operation, operation: Operation) -> UndoResult:
    """Do what a killed undo had left to do."""
    assert begun.staged_after is not None
    _settle(repo, read_note(operation.note), NodeId.parse(begun.staged_after))
    return UndoResult(
        undone=str(operation.id),
        verb=operation.verb,
        operation=str(begun.id),
        restored=0,
        arguments=operation.arguments,
    )


def _patterns(repo: Workspace, note: Note) -> tuple[str, str] | None:
    """Sparse patterns before and after an operation that changed them.

    Raises
    ------
    ConcurrentChangeError
        If they were changed again since.
    """
    if note.sparse is None or note.sparse[0] == note.sparse[1]:
        return None
    if repo.sparse.patterns != sparse.kept_patterns(repo.store, note.sparse[1]).patterns:
        raise ConcurrentChangeError(
            "the sparse patterns were changed since that operation", hint="undo the later operations first"
        )
    return note.sparse


def _staged_root(repo: Workspace, operation: Operation, now: NodeId) -> NodeId:
    """What is staged once an operation is taken back."""
    before, after = _root(operation.staged_before, now), _root(operation.staged_after, now)
    _check_staged(repo, after, before, now)
    return repo.staging.carry(after, before, now)


def _target_head(operation: Operation, head: Head) -> str | CommitId | None:
    """Where HEAD goes; None where the operation left it."""
    if operation.head_before == operation.head_after:
        return None
    if head.text != operation.head_after:
        raise ConcurrentChangeError("HEAD has moved since", hint="undo the later operations first")
    before = operation.head_before
    return before if before.startswith("refs/") else CommitId.parse(before)


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


def _move_runs(
    repo: Workspace, head: Head, changes: Sequence[RefChange], runs: Sequence[RunId], *, comes_back: bool
) -> None:
    """Have runs wait for a commit again, or no more; what is done already is no error."""
    for change in changes:
        if change.ref == head.branch:
            return_runs(repo, change.old, change.new)
    if not comes_back:
        remove_pending(repo.layout, runs, durable=repo.keeps_records)
    for run in runs if comes_back else ():
        add_pending(repo.layout, run, durable=repo.keeps_records)


def _meant(repo: Workspace, operation: Operation) -> tuple[Operation, bool]:
    """Operation that an undo of an undo is about, and whether it is done again rather than taken back."""
    forward = False
    while operation.undone is not None:
        operation = repo.history.operations.read(CommitId.parse(operation.undone))
        forward = not forward
    return operation, forward


def _runs_of(repo: Workspace, operation: Operation, head: Head) -> tuple[Sequence[RunId], bool]:
    """Runs that an operation recorded, and whether taking the operation back brings them back.

    Raises
    ------
    ConcurrentChangeError
        If a commit has taken one since.
    """
    operation, forward = _meant(repo, operation)
    runs = read_note(operation.note).runs
    waiting = () if forward or not runs else pending_runs(repo.layout)
    for run in () if forward else runs:
        if run not in waiting and lineage_of(repo, head.commit).has_run(run):
            raise ConcurrentChangeError(
                f"a commit has run {run.short()} since",
                hint="undo that commit first, or leave the run as it is",
            )
    return runs, forward


def _tree_update(repo: Workspace, operation: Operation) -> TreeUpdate:
    operation, forward = _meant(repo, operation)
    found = {t.path: t for t in _transitions(repo, operation)}
    if forward:
        found = {path: Transition(path, t.new, t.old) for path, t in found.items()}
    return TreeUpdate(repo, found.values(), mirror=False)


def _transitions(repo: Workspace, operation: Operation) -> Iterator[Transition]:
    """Yield what becomes of each file when an operation is taken back; a later one for a path holds."""
    note = read_note(operation.note)
    before, after = (_root(text, EMPTY_ROOT) for text in (operation.staged_before, operation.staged_after))
    before, after = note.tree_before or before, note.tree_after or after
    was, will = repo.sparse, repo.sparse
    if note.sparse is not None and note.sparse[0] != note.sparse[1]:
        will, was = (sparse.kept_patterns(repo.store, kept) for kept in note.sparse)
        for entry in repo.manifest(before).entries():
            if was.includes(entry.path) != will.includes(entry.path):
                yield _as_seen(was, will, entry.path, entry, entry)
    if note.tree:
        for change in diff_manifests(repo.manifest(after), repo.manifest(before)):
            if was.includes(change.path) or will.includes(change.path):
                yield _as_seen(was, will, change.path, change.old, change.new)
    if operation.discarded is not None:
        left = repo.manifest(after)
        for entry in repo.manifest(NodeId.parse(operation.discarded)).entries():
            yield Transition(entry.path, left.get(entry.path), entry)
            # Where a folder took a file's place, or a file a folder's, it goes again.
            for other in left.entries(entry.path):
                if other.path != entry.path:
                    yield Transition(other.path, other, None)
            for folder in parents(entry.path):
                other_file = left.get(folder)
                if other_file is not None and other_file.mode != MODE_DIRECTORY:
                    yield Transition(folder, other_file, None)


def _as_seen(
    was: SparsePatterns, will: SparsePatterns, path: bytes, old: Entry | None, new: Entry | None
) -> Transition:
    """A transition of a path between two sets of sparse patterns: what one leaves out isn't in the tree."""
    return Transition(path, old if was.includes(path) else None, new if will.includes(path) else None)


def _follow(repo: Workspace, mirror: Mirror, update: TreeUpdate, root: NodeId) -> None:
    manifest = repo.manifest(root)
    mirror.follow(root, unknown=[t.path for t in update.transitions if manifest.get(t.path) is not None])
