"""An unfinished merge, revert, cherry-pick or stash pop: what it is, and the conflicts still open.

While it lasts, a conflicted path is staged as what was written to the working tree for it (the text with
conflict markers, or our side), so that staged state and tree agree until a person edits.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from dsvc.diff.table_conflict import TableConflict
from dsvc.model.encoding import encode
from dsvc.model.errors import CorruptDataError, WouldOverwriteError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_FILE, Entry
from dsvc.model.run_record import RunId
from dsvc.porcelain.state.operation_note import NO_MERGE
from dsvc.porcelain.state.pending_runs import add_pending, remove_pending
from dsvc.porcelain.state.staging import read_checked, remove_checked, write_checked
from dsvc.porcelain.state.values import ConflictSummary
from dsvc.store.layout import Layout

if TYPE_CHECKING:
    from dsvc.porcelain.state.workspace import Workspace

_STATE = b"state"


class OpenConflict(msgspec.Struct, array_like=True, frozen=True):
    """A conflicted path with its three sides; `table` where single rows are in conflict."""

    path: bytes
    kind: str
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    table: TableConflict | None = None


class MergeState(msgspec.Struct, array_like=True, frozen=True):
    """What is in progress.

    Attributes
    ----------
    verb : str
        ``merge``, ``revert``, ``cherry-pick`` or ``stash pop``.
    theirs : str or None
        Commit that is merged in.
    message : str
        Message that the commit will have.
    before : bytes
        Staged manifest before it began, for ``merge --abort``.
    conflicts : list of OpenConflict
        Those that are not settled yet.
    after : bytes
        Staged manifest that it came to, conflicted paths included.
    author : bytes
        Author that the commit will have, as git writes it; empty: who commits.
    base : bytes
        Manifest of the common ancestor; after a criss-cross merge no commit may have it.
    runs : list of bytes
        Ids of the runs that it recorded, and that wait for its commit.
    """

    verb: str
    theirs: str | None
    message: str
    before: bytes
    conflicts: list[OpenConflict]
    after: bytes = b""
    author: bytes = b""
    base: bytes = b""
    runs: list[bytes] = []

    def without(self, paths: set[bytes]) -> MergeState:
        """Return the state with the conflicts at some paths settled."""
        left = [conflict for conflict in self.conflicts if conflict.path not in paths]
        return msgspec.structs.replace(self, conflicts=left)

    def made(self, runs: Iterable[RunId]) -> MergeState:
        """Return the state with runs that were recorded since."""
        return msgspec.structs.replace(self, runs=[*self.runs, *map(bytes, runs)])

    def settling(self, conflict: OpenConflict, chosen: Mapping[int, Collection[str] | None]) -> MergeState:
        """Return the state with rows of a table settled, or only some of their cells."""
        assert conflict.table is not None
        left = []
        for number, row in enumerate(conflict.table.rows):
            columns = chosen.get(number, frozenset())
            rest = tuple(name for name in row.columns if columns is not None and name not in columns)
            if number not in chosen or rest:
                left.append(row if number not in chosen else msgspec.structs.replace(row, columns=rest))
        if not left:
            return self.without({conflict.path})
        table = msgspec.structs.replace(conflict.table, rows=tuple(left))
        changed = msgspec.structs.replace(conflict, table=table)
        conflicts = [changed if each.path == conflict.path else each for each in self.conflicts]
        return msgspec.structs.replace(self, conflicts=conflicts)


def summary(conflict: OpenConflict) -> ConflictSummary:
    """Name a conflict; of a table with the number of rows."""
    rows = None if conflict.table is None else len(conflict.table.rows)
    return ConflictSummary(conflict.path, conflict.kind, rows)


def in_progress(verb: str) -> WouldOverwriteError:
    """Make the error for what can't be done before a merge, or the like, is finished."""
    return WouldOverwriteError(
        f"a {verb} is in progress", hint="dsvc commit finishes it, dsvc merge --abort gives it up"
    )


def _path(layout: Layout) -> str:
    return os.path.join(layout.work, "merge")


def load(layout: Layout) -> MergeState | None:
    """State of what is in progress as its file has it, or None.

    Raises
    ------
    CorruptDataError
        If its file is damaged.
    """
    body = read_checked(_path(layout), "merge state")
    return None if body is None else _decode(body, _path(layout))


def current(repo: Workspace) -> MergeState | None:
    """State of what is in progress, or None; where its file is lost, as the newest operation left it.

    Raises
    ------
    CorruptDataError, MissingDataError
        If its file is damaged, or it is lost and what was kept of it is too.
    """
    found, left = load(repo.layout), repo.left.merging
    return _kept(repo, left) if found is None and left is not None else found


def _decode(body: bytes, where: str) -> MergeState:
    try:
        return msgspec.msgpack.decode(body, type=MergeState)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptDataError("the merge state is malformed", details={"path": where}) from error


def save(layout: Layout, state: MergeState, *, durable: bool) -> None:
    """Replace the state."""
    write_checked(_path(layout), encode(state), durable=durable)


def clear(layout: Layout, *, durable: bool) -> None:
    """Forget it."""
    remove_checked(_path(layout), durable=durable)


# For undo


def keep(repo: Workspace, state: MergeState | None) -> str:
    """Store a state with both sides of its conflicts, for the note of the operation that changes it.

    Returns
    -------
    str
        For `bring_back`: the root of a manifest, in hex, or ``none``.
    """
    from dsvc.porcelain.tree.file_entry import entry_of_bytes
    from dsvc.store.manifest_tree import EMPTY_ROOT

    if state is None:
        return NO_MERGE
    held = {_STATE: entry_of_bytes(repo.store, _STATE, MODE_FILE, encode(state))}
    for number, conflict in enumerate(state.conflicts):
        for side, entry in (("base", conflict.base), ("ours", conflict.ours), ("theirs", conflict.theirs)):
            if entry is not None and entry.mode != MODE_DIRECTORY:
                name = f"{side}/{number}".encode()
                held[name] = msgspec.structs.replace(entry, path=name)
    root = repo.manifest(EMPTY_ROOT).update(sorted(held.items()))
    repo.store.publish()
    return root.hex()


def keep_open(repo: Workspace) -> str | None:
    """Store what is in progress, for a verb that ends it; None where nothing is."""
    state = current(repo)
    return None if state is None else keep(repo, state)


def end(repo: Workspace, state: MergeState) -> str:
    """Store what is in progress for the commit that ends it, as `keep` does, and remove its file.

    Until the commit is made the log knows it as in progress, and not from then on: there is no moment at
    which a kill would leave a merge that was committed and could be given up still.
    """
    kept = keep(repo, state)
    if repo.left.merging is not None:
        clear(repo.layout, durable=repo.keeps_records)
    return kept


def bring_back(repo: Workspace, kept: str) -> None:
    """Make the state again what it was when it was kept.

    Raises
    ------
    CorruptDataError
        If what was kept is malformed.
    """
    if kept == NO_MERGE:
        clear(repo.layout, durable=repo.keeps_records)
        return
    state = _kept(repo, kept)
    for run in state.runs:
        add_pending(repo.layout, RunId(run), durable=repo.keeps_records)
    save(repo.layout, state, durable=repo.keeps_records)


def give_up(repo: Workspace, state: MergeState) -> None:
    """Forget what was in progress, and its runs: the files that they made are gone."""
    remove_pending(repo.layout, map(RunId, state.runs), durable=repo.keeps_records)
    clear(repo.layout, durable=repo.keeps_records)


def _kept(repo: Workspace, kept: str) -> MergeState:
    from dsvc.store.materialize import read_content

    entry = repo.manifest(NodeId.parse(kept)).get(_STATE)
    if entry is None:
        raise CorruptDataError("the kept merge state is malformed", details={"root": kept})
    return _decode(read_content(repo.store, entry), kept)
