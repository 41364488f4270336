"""conflicts and resolve: what a merge could not settle, and settling it path by path."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from dsvc.fs.beneath import Beneath
from dsvc.fs.files import storage_error
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.paths import display_path, is_within
from dsvc.model.run_record import RunId
from dsvc.porcelain.runs.verb_runs import Made, record_made
from dsvc.porcelain.state.staging import Staged
from dsvc.porcelain.state.values import ConflictDetail
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.file_entry import entry_at
from dsvc.porcelain.tree.merge_state import MergeState, OpenConflict
from dsvc.porcelain.tree.mirror import Mirror
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.porcelain.tree.tree_look import Transition
from dsvc.porcelain.tree.tree_scan import parents
from dsvc.porcelain.tree.tree_update import TreeUpdate
from dsvc.porcelain.versions.join import keep_or_refuse
from dsvc.store.manifest_tree import Manifest

if TYPE_CHECKING:
    from dsvc.porcelain.tables.row_target import RowName

SIDES = ("ours", "theirs")


def conflicts(repo: Workspace, path: bytes | None = None) -> list[ConflictDetail]:
    """List the open conflicts with their three sides.

    Parameters
    ----------
    path : bytes or None
        Only the one here, or those below this folder.
    """
    state = merge_state.current(repo)
    return [
        ConflictDetail(path=c.path, kind=c.kind, base=c.base, ours=c.ours, theirs=c.theirs, table=c.table)
        for c in (state.conflicts if state else [])
        if path is None or is_within(c.path, [path])
    ]


def resolve(
    repo: Workspace,
    path: bytes,
    *,
    side: str | None = None,
    file: str | None = None,
    row: RowName | None = None,
    columns: Collection[str] = (),
) -> None:
    """Settle a conflict: write and stage one side of it, or the content of a file.

    Of a table whose rows are in conflict, a side settles the conflicting cells only, in the file as it is
    now; all else in it stays. Edits of the file at `path` are stored first; `undo` brings them and the
    conflict back.

    Parameters
    ----------
    side : str or None
        ``ours`` or ``theirs``; where that side has no such path, it's removed.
    file : str or None
        A file with the merged content; the one at `path` itself is allowed.
    row : RowName or None
        Only this row of a table, named by its key.
    columns : collection of str
        Only these of its cells; empty: all that are in conflict.

    Raises
    ------
    NotFoundError
        If `path` isn't in conflict, or there is no such file.
    UsageError
        If neither or both of `side` and `file` are given; or if `path` would be a file and a folder at once.
    WouldOverwriteError
        If a folder with untracked files stands there.
    """
    if (side is None) == (file is None) or side not in (None, *SIDES):
        raise UsageError("settle with one of: ours, theirs, a file")
    with repo.changing():
        staged = repo.staged()
        state = merge_state.current(repo)
        conflict = next((c for c in state.conflicts if c.path == path), None) if state else None
        if state is None or conflict is None:
            raise NotFoundError(
                f"{display_path(path)} is not in conflict",
                hint="dsvc conflicts lists those that are",
                details={"path": display_path(path)},
            )
        manifest = repo.manifest(staged.root)
        if conflict.table is not None and side is not None:
            _resolve_rows(repo, staged, state, conflict, RowChoice(side, row, frozenset(columns)))
            return
        if row is not None or columns:
            raise UsageError(f"{display_path(path)} is not in conflict by row")
        entry = _stored(repo, conflict, file) if file is not None else _of_side(repo, conflict, str(side))
        removed = _check_tree(manifest, conflict.path, entry)
        transitions = [Transition(path, manifest.get(path), entry), *removed]
        words = [f"--{side}" if side else "--with"]
        _settle(repo, staged, state, path, transitions, words, state.without({path}))


class RowChoice(NamedTuple):
    """Which side settles which of the conflicts of a table: those of one row, of some columns, or all."""

    side: str
    row: RowName | None
    columns: frozenset[str]


def _resolve_rows(
    repo: Workspace, staged: Staged, state: MergeState, conflict: OpenConflict, choice: RowChoice
) -> None:
    """Settle rows of a table in the file as it stands in the working tree."""
    from dsvc.porcelain.tables.table_merge import settle_rows

    current = _current(repo, conflict)
    chosen = _chosen(repo, conflict, choice)
    entry = current if choice.side == "ours" else settle_rows(repo, conflict, current, chosen)
    manifest = repo.manifest(staged.root)
    transitions = [Transition(conflict.path, manifest.get(conflict.path), entry)]
    words = [f"--{choice.side}", *([] if choice.row is None else [str(choice.row)]), *sorted(choice.columns)]
    rest = state.settling(conflict, chosen)
    _settle(repo, staged, state, conflict.path, transitions, words, rest)


def _current(repo: Workspace, conflict: OpenConflict) -> Entry:
    """Store the file at a conflicted path as it stands."""
    with Beneath(repo.root) as tree:
        entry = store_file(repo.store, tree, conflict.path, conflict.ours, at=conflict.path)
    if entry is None or not entry.is_file:
        raise UsageError(
            f"{display_path(conflict.path)} is not there, so that its rows can't be settled",
            hint="dsvc restore brings it back; --with FILE settles it as a whole",
        )
    repo.store.publish()
    return entry


def _chosen(repo: Workspace, conflict: OpenConflict, choice: RowChoice) -> dict[int, frozenset[str] | None]:
    """Numbers of the conflicts that a choice means."""
    assert conflict.table is not None
    wanted = choice.columns or None
    numbers = list(range(len(conflict.table.rows)))
    if choice.row is not None:
        from dsvc.porcelain.tables.table_merge import conflict_number

        numbers = [conflict_number(repo, conflict, choice.row)]
    rows = conflict.table.rows
    chosen = {
        n: wanted for n in numbers if wanted is None or not rows[n].columns or wanted & set(rows[n].columns)
    }
    if not chosen:
        raise NotFoundError(
            f"no such cell of {display_path(conflict.path)} is in conflict", hint="dsvc conflicts lists them"
        )
    return chosen


def _of_side(repo: Workspace, conflict: OpenConflict, side: str) -> Entry | None:
    entry = conflict.ours if side == "ours" else conflict.theirs
    return None if entry is None else entry_at(repo.store, entry, conflict.path)


def _stored(repo: Workspace, conflict: OpenConflict, file: str) -> Entry:
    """Store a file as the content of a conflicted path."""
    folder, name = os.path.split(
        os.path.realpath(os.path.dirname(file) or ".") + "/" + os.path.basename(file)
    )
    try:
        with Beneath(folder) as tree:
            old = conflict.ours or conflict.theirs
            entry = store_file(repo.store, tree, os.fsencode(name), old, at=conflict.path)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise NotFoundError(f"there is no file {file}", details={"path": file}) from error
        raise storage_error(error, "read", file) from error
    if entry is None:
        raise NotFoundError(f"there is no file {file}", details={"path": file})
    own = os.path.join(os.path.realpath(repo.root), os.fsdecode(conflict.path))
    mode = entry.mode if os.path.join(folder, name) == own else _merged_mode(conflict, entry)
    return msgspec.structs.replace(entry, mode=mode)


def _merged_mode(conflict: OpenConflict, entry: Entry) -> int:
    """Mode for content from elsewhere: that of the side that changed it."""
    sides = [s for s in (conflict.ours, conflict.theirs) if s is not None and s.is_file]
    if not entry.is_file or not sides:
        return entry.mode
    was = conflict.base.mode if conflict.base is not None else None
    return next((s.mode for s in sides if s.mode != was), sides[0].mode)


def _check_tree(manifest: Manifest, path: bytes, entry: Entry | None) -> list[Transition]:
    """Refuse what would be a file and a folder at once; returns empty folders that have to go."""
    if entry is None:
        return []
    gone = []
    for folder in parents(path):
        above = manifest.get(folder)
        if above is not None and above.mode != MODE_DIRECTORY:
            raise UsageError(
                f"{display_path(folder)} is a file, so that {display_path(path)} can't be",
                hint=f"settle {display_path(folder)} first, as the side that has the folder",
            )
        if above is not None:
            gone.append(Transition(folder, above, None))
    below = next((e for e in manifest.entries(path) if e.path != path), None)
    if below is not None:
        raise UsageError(
            f"{display_path(below.path)} is staged, so that {display_path(path)} can't be a file",
            hint=f"settle {display_path(below.path)} first, as the side that has the file",
        )
    return gone


def _settle(
    repo: Workspace,
    staged: Staged,
    state: MergeState,
    path: bytes,
    transitions: Sequence[Transition],
    arguments: Sequence[str],
    rest: MergeState,
) -> None:
    """Write, stage and log what settles a path; `rest` are the conflicts that are left then."""
    sparse = repo.sparse
    update = TreeUpdate(repo, [t for t in transitions if sparse.includes(t.path)])
    discarded, _ = keep_or_refuse(repo, update)
    root = repo.manifest(staged.root).update(sorted((t.path, t.new) for t in transitions))
    kept = merge_state.keep(repo, state)
    repo.store.publish()
    runs = record_settled(repo, state, rest, root)
    rest = rest.made(runs)
    mirror = Mirror(repo, staged.root)
    repo.record(
        "resolve",
        arguments=[display_path(path), *arguments],
        before=staged.root,
        after=root,
        discarded=discarded,
        tree=True,
        merge=kept,
        merging=merge_state.keep(repo, rest),
        runs=runs,
    )
    update.apply()
    # The staged state first: a conflict that is still listed after a kill is settled by the same command.
    repo.staging.save(Staged(staged.base_commit, staged.base_root, root))
    merge_state.save(repo.layout, rest, durable=repo.keeps_records)
    mirror.follow(root, written={t.path for t in update.transitions})


def record_settled(repo: Workspace, state: MergeState, rest: MergeState, root: NodeId) -> list[RunId]:
    """Record the files whose conflicts are settled now as made from both sides."""
    left = {conflict.path for conflict in rest.conflicts}
    manifest = repo.manifest(root)
    made = []
    for conflict in state.conflicts:
        entry = None if conflict.path in left else manifest.get(conflict.path)
        sides = tuple(each for each in (conflict.ours, conflict.theirs) if each is not None and each.is_file)
        if entry is not None:
            made.append(Made(sides, entry, conflict.table.key if conflict.table is not None else ()))
    return record_made(repo, "resolve", made)


def settled_by_adding(
    repo: Workspace, state: MergeState, scope: Collection[bytes], before: NodeId, after: NodeId
) -> set[bytes]:
    """Conflicts that `add` settles: named paths, and others in its scope whose files were edited.

    ``add -A`` alone must not commit conflict markers, or one side, that nobody has looked at.
    """
    was, now = repo.manifest(before), repo.manifest(after)
    found = set()
    for conflict in state.conflicts:
        path = conflict.path
        edited = is_within(path, scope) and was.get(path) != now.get(path)
        if path in scope or edited:
            found.add(path)
    return found
