"""rm: remove paths from the staged state, and from the working tree."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from dsvc.model.errors import NotFoundError, UsageError, WouldOverwriteError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.paths import display_path
from dsvc.porcelain.state.operation_note import NO_MERGE
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import CheckoutResult
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.outcome import tree_outcome
from dsvc.porcelain.tree.safekeeping import keep_files
from dsvc.porcelain.tree.tree_look import Obstacle, Transition
from dsvc.porcelain.tree.tree_update import TreeUpdate, Updated


class _Removal(NamedTuple):
    """What goes: entries by path, and the update that would take the files away."""

    entries: dict[bytes, Entry]
    update: TreeUpdate
    edited: list[Obstacle]


def remove(
    repo: Workspace,
    paths: Sequence[bytes],
    *,
    cached: bool = False,
    force: bool = False,
    recursive: bool = False,
) -> CheckoutResult:
    """Remove tracked paths; of a conflicted path this settles the conflict.

    Parameters
    ----------
    cached : bool
        Only stage the removal; the files stay.
    force : bool
        Also where there are uncommitted changes; they're stored first.
    recursive : bool
        Folders with all that is tracked below them.

    Raises
    ------
    NotFoundError
        If a path isn't tracked.
    UsageError
        If a path is a folder and `recursive` is false.
    WouldOverwriteError
        If there are uncommitted changes and `force` is false; nothing was changed.
    """
    with repo.changing():
        head = repo.history.refs.head()
        staged = repo.staged(head)
        state = merge_state.current(repo)
        open_paths = {c.path for c in state.conflicts} if state else set()
        plan = _plan(repo, staged, paths, recursive, open_paths)
        if not force:
            _refuse_changed(repo, staged, plan, open_paths, cached=cached)
        discarded, saved = (None, 0) if cached else keep_files(repo, [o.path for o in plan.edited])
        root = repo.manifest(staged.root).update([(p, None) for p in sorted(plan.entries)])
        settled = {p for p in open_paths if p in plan.entries or p in paths}
        rest = state.without(settled) if state is not None and settled else None
        kept = None if state is None or rest is None else merge_state.keep(repo, state)
        repo.store.publish()
        mirror = Mirror(repo, staged.root)
        operation = repo.record(
            "rm",
            arguments=[*(["--cached"] if cached else []), *map(display_path, paths)],
            before=staged.root,
            after=root,
            discarded=discarded,
            tree=not cached,
            merge=kept,
            merging=NO_MERGE if rest is None else merge_state.keep(repo, rest),
        )
        done = Updated(removed=len(plan.entries)) if cached else plan.update.apply()
        _save(repo, staged, root, rest)
        mirror.follow(root, written=() if cached else {t.path for t in plan.update.transitions})
        return tree_outcome(head, operation, done, saved=saved)


def _save(repo: Workspace, staged: Staged, root: NodeId, rest: merge_state.MergeState | None) -> None:
    repo.staging.save(Staged(staged.base_commit, staged.base_root, root))
    if rest is not None:
        merge_state.save(repo.layout, rest, durable=repo.keeps_records)


def _plan(
    repo: Workspace,
    staged: Staged,
    paths: Sequence[bytes],
    recursive: bool,
    open_paths: Collection[bytes],
) -> _Removal:
    tracked = repo.manifest(staged.root)
    entries: dict[bytes, Entry] = {}
    for path in paths:
        found = list(tracked.entries(path))
        if not found and path not in open_paths:
            raise NotFoundError(
                f"{display_path(path)} is not tracked",
                hint="dsvc clean removes untracked files",
                details={"path": display_path(path)},
            )
        if not recursive and any(e.path != path or e.mode == MODE_DIRECTORY for e in found):
            raise UsageError(f"{display_path(path) or '.'} is a folder", hint="dsvc rm -r removes folders")
        entries.update((e.path, e) for e in found)
    sparse = repo.sparse
    update = TreeUpdate(repo, [Transition(p, e, None) for p, e in entries.items() if sparse.includes(p)])
    return _Removal(entries, update, update.obstacles())


def _refuse_changed(
    repo: Workspace, staged: Staged, plan: _Removal, open_paths: Collection[bytes], *, cached: bool
) -> None:
    """Refuse where what would go is neither in HEAD nor, with `cached`, in the working tree."""
    committed = repo.manifest(staged.base_root)
    edited = {o.path for o in plan.edited}
    changed = []
    for path, entry in plan.entries.items():
        if path in open_paths:
            continue
        was = committed.get(path)
        is_staged = was is None or not was.same_content(entry)
        if (is_staged and path in edited) if cached else (is_staged or path in edited):
            changed.append(path)
    if not changed:
        return
    shown = "".join(f"\n  {display_path(path)}" for path in changed[:20])
    more = f"\n  and {len(changed) - 20} more" if len(changed) > 20 else ""
    raise WouldOverwriteError(
        f"these have changes that are not committed:{shown}{more}",
        hint="--cached keeps the files, --force removes them and undo brings them back",
        details={"paths": [display_path(path) for path in changed]},
    )
