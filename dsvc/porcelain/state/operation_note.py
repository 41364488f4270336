"""The note of an operation: what `undo` needs to know beyond refs and staged manifests.

It also says what was left in ``.dsvc/work``, so that a file that is lost there is made again from the newest
operation, and never taken for work that there was none of.

Words: ``worktree`` (the verb wrote the working tree, which followed the staged state),
``worktree=BEFORE..AFTER`` (the tree held these manifests, where they are not the staged ones), ``merge=ROOT``
or ``merge=none`` (the merge state before the operation, where it changed), ``run=ID``, once
for each run that it recorded (of the first `MAX_RUNS`); ``staged=BASE..ROOT`` (manifests of HEAD
and of what is staged after it, where they differ), ``merging=ROOT`` (the merge state after it, where there is
one) and ``sparse=BEFORE..AFTER`` (sparse patterns, where there are any; ``none`` is none).
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
NO_PATTERNS: Final = "none"
"""The sparse patterns of a working tree that holds everything."""
_TREE, _MERGE, _RUN = "worktree", "merge", "run"
_STAGED, _MERGING, _SPARSE = "staged", "merging", "sparse"
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
    staged : tuple of NodeId or None
        Manifests of HEAD and of what is staged, after the operation; None where nothing is.
    merging : str or None
        Merge state after the operation, named as `merge`; None where nothing is in progress.
    sparse : tuple of str or None
        Sparse patterns before and after it, as `sparse.keep` names them; None where there are none.
    """

    tree: bool = False
    tree_before: NodeId | None = None
    tree_after: NodeId | None = None
    merge: str | None = None
    runs: tuple[RunId, ...] = ()
    staged: tuple[NodeId, NodeId] | None = None
    merging: str | None = None
    sparse: tuple[str, str] | None = None

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
        if self.staged is not None:
            words.append(f"{_STAGED}={self.staged[0].hex()}..{self.staged[1].hex()}")
        if self.merging is not None:
            words.append(f"{_MERGING}={self.merging}")
        if self.sparse is not None:
            words.append(f"{_SPARSE}={self.sparse[0]}..{self.sparse[1]}")
        return " ".join(words) or None

    def roots(self) -> Iterator[NodeId]:
        """Manifests that the note names: they live as long as the operation."""
        for root in (self.tree_before, self.tree_after, *(self.staged or ())):
            if root is not None:
                yield root
        for kept in (self.merge, self.merging, *(self.sparse or ())):
            if kept not in (None, NO_MERGE, NO_PATTERNS):
                yield NodeId.parse(str(kept))
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
            before, after = _pair(word, value)
            note = note._replace(tree=True, tree_before=NodeId.parse(before), tree_after=NodeId.parse(after))
        elif key == _TREE:
            note = note._replace(tree=True)
        elif key == _MERGE:
            note = note._replace(merge=value)
        elif key == _RUN:
            note = note._replace(runs=(*note.runs, RunId.parse(value)))
        elif key == _STAGED:
            before, after = _pair(word, value)
            note = note._replace(staged=(NodeId.parse(before), NodeId.parse(after)))
        elif key == _MERGING:
            note = note._replace(merging=value)
        elif key == _SPARSE:
            note = note._replace(sparse=_pair(word, value))
    return note


def _pair(word: str, value: str) -> tuple[str, str]:
    before, dots, after = value.partition("..")
    if not dots:
        raise MalformedInputError(f"the note of an operation is malformed: {word[:80]!r}")
    return before, after
