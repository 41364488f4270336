"""The note of an operation: what `undo` needs to know beyond refs and staged manifests.

Words: ``worktree`` (the verb wrote the working tree, which followed the staged state),
``worktree=BEFORE..AFTER`` (the tree held these manifests, where they are not the staged ones), ``merge=ROOT``
or ``merge=none`` (the merge state before the operation, where it changed), ``run=ID``, once
for each run that it recorded (of the first `MAX_RUNS`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import NodeId
from dsvc.model.run_record import RunId

NORMALIZE: Final = "normalize"
"""The verb of operations whose old bytes gc may take after its grace."""
NO_MERGE: Final = "none"
"""The merge state where nothing is in progress."""
_TREE, _MERGE, _RUN = "worktree", "merge", "run"
MAX_RUNS: Final = 40
"""Runs that a note has room for; others wait for a commit although their operation was taken back."""


class Note(NamedTuple):
    """A note taken apart.

    Attributes
    ----------
    tree : bool
        Whether the verb wrote the working tree.
    tree_before, tree_after : NodeId or None
        What the tree held, where that isn't what was staged.
    merge : str or None
        Merge state before, as `merge_state.keep` names it; None where it didn't change.
    runs : tuple of RunId
        Runs that wait for a commit since.
    """

    tree: bool = False
    tree_before: NodeId | None = None
    tree_after: NodeId | None = None
    merge: str | None = None
    runs: tuple[RunId, ...] = ()

    def text(self) -> str | None:
        """Words of the note; None where it says nothing."""
        words = []
        if self.tree_before is not None and self.tree_after is not None:
            words.append(f"{_TREE}={self.tree_before.hex()}..{self.tree_after.hex()}")
        elif self.tree:
            words.append(_TREE)
        if self.merge is not None:
            words.append(f"{_MERGE}={self.merge}")
        words += [f"{_RUN}={run.hex()}" for run in self.runs[:MAX_RUNS]]
        return " ".join(words) or None

    def roots(self) -> Iterator[NodeId]:
        """Manifests that the note names: they live as long as the operation."""
        for root in (self.tree_before, self.tree_after):
            if root is not None:
                yield root
        if self.merge not in (None, NO_MERGE):
            yield NodeId.parse(str(self.merge))
        yield from (NodeId(bytes(run)) for run in self.runs)


def read_note(text: str | None) -> Note:
    """Take a note apart.

    Raises
    ------
    MalformedInputError
        If it names a manifest by something that is no id.
    """
    note = Note()
    for word in (text or "").split():
        key, _, value = word.partition("=")
        if key == _TREE and value:
            before, dots, after = value.partition("..")
            if not dots:
                raise MalformedInputError(f"the note of an operation is malformed: {word[:80]!r}")
            note = note._replace(tree=True, tree_before=NodeId.parse(before), tree_after=NodeId.parse(after))
        elif key == _TREE:
            note = note._replace(tree=True)
        elif key == _MERGE:
            note = note._replace(merge=value)
        elif key == _RUN:
            note = note._replace(runs=(*note.runs, RunId.parse(value)))
    return note
