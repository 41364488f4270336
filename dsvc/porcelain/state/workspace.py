"""The workspace: the store, the history and the working tree of one repository, put together.

Every verb stands on it; `repository.Repository` adds the verbs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dsvc.fs import files, locks
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId, NodeId
from dsvc.porcelain.state.config import Config
from dsvc.porcelain.state.operation_note import NO_MERGE, Note, read_note
from dsvc.porcelain.state.reading_apart import ReadingApart
from dsvc.porcelain.state.sparse import SparsePatterns
from dsvc.porcelain.state.staging import Staged, Staging
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.layout import Layout
from dsvc.store.local_backend import LocalBackend
from dsvc.store.manifest_tree import Manifest

if TYPE_CHECKING:
    from dsvc.history.history import History
    from dsvc.history.operations import Operation
    from dsvc.history.refs import Head, RefChange
    from dsvc.history.signature import Signature
    from dsvc.model.run_record import RunId
    from dsvc.porcelain.state.signing import Signing
    from dsvc.porcelain.state.user_hooks import UserHooks
    from dsvc.porcelain.state.values import Author


class Workspace:
    """Store, history and staged state of a repository, and what verbs share.

    Attributes
    ----------
    root : str
        The working tree.
    layout : Layout
        Paths under ``.dsvc``.
    store : ChunkStore
        Content.
    history : History
        Commits, refs, operations.
    incoming : str or None
        Folder of git objects that a push brings and no ref names yet; see `take_incoming`.
    user_hooks : UserHooks or None
        Runs programs of one's own when something is committed; None: none is run.
    isolate : bool
        Whether every table counts as somebody else's (`dsvc.porcelain.state.reading_apart`): where the
        repository's ``limits.isolate`` says so, or whoever opened it.
    """

    incoming: str | None = None
    user_hooks: UserHooks | None = None

    def __init__(self, root: str, *, author: Author | None = None, lock_timeout: float | None = None) -> None:
        self.root = root
        self.layout = Layout(os.path.join(root, ".dsvc"))
        self.config = Config(self.layout.config)
        self.isolate = self.config.flag("limits.isolate")
        self.format = self.config.check_format()
        self._author = author
        self._lock_timeout = lock_timeout
        self.durability = self.config.get("core.durability")
        self.backend = LocalBackend(self.layout, durable=self.keeps_content)
        self.store = ChunkStore(self.backend)
        self.staging = Staging(self.layout, self.store, durable=self.keeps_records)
        self._left: tuple[CommitId | None, Note] | None = None

    def __reduce__(self) -> tuple[type[Workspace], tuple[str]]:
        """Travel to another process, to be opened there for reading."""
        return Workspace, (self.root,)

    def close(self) -> None:
        """Close what is open; a closed repository opens again what it needs.

        What was stored and not published, which nothing can name, goes.
        """
        self.store.abandon()
        self.backend.forget()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    @property
    def path(self) -> str:
        """The ``.dsvc`` folder."""
        return self.layout.root

    @property
    def keeps_records(self) -> bool:
        """Whether refs, logs and what stands under ``work`` are flushed, so that a power cut leaves them."""
        return self.durability != "none"

    @property
    def keeps_content(self) -> bool:
        """Whether packs, and files that a person asked for, are flushed too."""
        return self.durability == "full"

    @property
    def lock_timeout(self) -> float:
        """Seconds to wait for a lock."""
        return (
            float(self.config.get("core.lockTimeout") or 10)
            if self._lock_timeout is None
            else self._lock_timeout
        )

    @cached_property
    def reading_apart(self) -> ReadingApart:
        """Which tables can be read in this process."""
        return ReadingApart(self.layout.root, self.layout.cache)

    @cached_property
    def history(self) -> History:
        """Commits, refs and operations."""
        from dsvc.history.history import History

        return History.open(
            self.layout.git,
            self.layout.lock("refs"),
            durable=self.keeps_records,
            lock_timeout=self.lock_timeout,
            incoming=self.incoming,
        )

    def take_incoming(self, objects: str) -> None:
        """Look for git objects in another folder, too: where git holds what a push brings."""
        self.incoming = objects
        self.__dict__.pop("history", None)

    @cached_property
    def signing(self) -> Signing:
        """Loads keys to sign with; set it where somebody can be asked for passphrases."""
        from dsvc.porcelain.state.signing import Signing

        return Signing()

    # What other modules of the porcelain stand on

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the work lock, and the store against gc, for a verb that changes something.

        Raises
        ------
        LockedError
            If another command holds them too long.
        """
        with ExitStack() as stack:
            stack.enter_context(
                locks.hold(self.layout.lock("work"), what="working tree", timeout=self.lock_timeout)
            )
            stack.enter_context(
                locks.hold(self.layout.lock("store"), what="store", shared=True, timeout=self.lock_timeout)
            )
            self.store.index.reload()
            try:
                yield
            except Exception:
                raise
            except BaseException:
                # A signal asks the process to end: nobody will publish what was begun.
                self.store.abandon()
                files.discard_own(self.layout.temporary)
                raise

    def signature(self) -> Signature:
        """Who acts, now: the repository's settings, else what `open` was given."""
        from dsvc.history.signature import Signature

        name = self.config.get("user.name") or (self._author.name if self._author else "unknown")
        email = self.config.get("user.email") or (self._author.email if self._author else "unknown@localhost")
        return Signature(name=name, email=email, seconds=int(time.time()))

    def head_root(self, head: Head) -> NodeId:
        """Manifest of HEAD; the empty one before the first commit."""
        from dsvc.store.manifest_tree import EMPTY_ROOT

        return EMPTY_ROOT if head.commit is None else self.history.read_commit(head.commit).manifest

    def staged(self, head: Head | None = None) -> Staged:
        """Staged state over HEAD."""
        head = head or self.history.refs.head()
        return self.staging.load(head.commit, self.head_root(head), self.left.staged)

    @property
    def left(self) -> Note:
        """What the newest operation left in ``.dsvc/work``: for files that are lost there.

        Where the log can't be read it says nothing; `fsck` names that.
        """
        from dsvc.history.refs import OPERATIONS

        tip = self.history.refs.get(OPERATIONS)
        if self._left is None or self._left[0] != tip:
            self._left = tip, self._note_of(tip)
        return self._left[1]

    def _note_of(self, operation: CommitId | None) -> Note:
        try:
            return Note() if operation is None else read_note(self.history.operations.read(operation).note)
        except DsvcError:
            return Note()

    def manifest(self, root: NodeId) -> Manifest:
        """Manifest with a root."""
        return Manifest(self.store, root)

    def manifest_of(self, rev: str | None) -> Manifest:
        """Manifest of a revision, ``HEAD``, ``STAGED`` or another; None is HEAD."""
        if rev == "STAGED":
            return self.manifest(self.staged().root)
        if rev in (None, "HEAD", "@"):
            return self.manifest(self.head_root(self.history.refs.head()))
        return self.manifest(self.history.read_commit(self.history.revisions.resolve(str(rev))).manifest)

    @property
    def sparse(self) -> SparsePatterns:
        """Which paths the working tree holds."""
        from dsvc.porcelain.state.sparse import SparsePatterns, kept_patterns, load

        found, left = load(self.layout), self.left.sparse
        if found is None:
            found = SparsePatterns([]) if left is None else kept_patterns(self.store, left[1])
        return found

    def record(
        self,
        verb: str,
        *,
        arguments: Sequence[str] = (),
        changes: Sequence[RefChange] = (),
        objects: Sequence[tuple[str, bytes]] = (),
        head: str | CommitId | None = None,
        before: NodeId | None = None,
        after: NodeId | None = None,
        discarded: NodeId | None = None,
        undone: CommitId | None = None,
        tree: bool | tuple[NodeId, NodeId] = False,
        merge: str | None = None,
        base: NodeId | None = None,
        merging: str = NO_MERGE,
        sparse: tuple[str, str] | None = None,
        runs: Sequence[RunId] = (),
        message: str | None = None,
    ) -> Operation:
        """Move refs and log the operation, in one step.

        Parameters
        ----------
        before, after : NodeId or None
            Staged manifest before and after.
        base : NodeId or None
            Manifest of HEAD after it, where its commit is only written now.
        discarded : NodeId or None
            Manifest of the files that the verb overwrites.
        tree : bool or tuple of NodeId
            Whether the verb writes the working tree; or what the tree held before and after, where that is
            not what was staged.
        merge : str or None
            Merge state before, from `merge_state.keep`, where the verb changes it.
        merging : str
            Merge state after, where the verb changes it.
        sparse : tuple of str or None
            Sparse patterns before and after, from `sparse.keep`, where the verb changes them.
        runs : sequence of RunId
            Runs that the verb recorded.
        """
        from dsvc.history.operations import Operation

        before_tree, after_tree = tree if isinstance(tree, tuple) else (None, None)
        note = Note(bool(tree), before_tree, after_tree, merge, tuple(runs), merging=merging, sparse=sparse)
        note = self._with_left(note, head, changes, base, after)
        if note.tree and note.staged is not None:
            self.staging.hold(self.staged())
        who = self.signature()
        operation = Operation(
            id=None,
            verb=verb,
            arguments=tuple(arguments),
            seconds=who.seconds,
            refs=(),
            head_before="",
            head_after="",
            staged_before=None if before is None else before.hex(),
            staged_after=None if after is None else after.hex(),
            discarded=None if discarded is None else discarded.hex(),
            undone=None if undone is None else str(undone),
            who=who,
            note=note.text(),
        )
        text = message or " ".join([verb, *arguments])
        return self.history.record(
            changes=changes, operation=operation, message=text, who=who, new_objects=objects, head=head
        )

    def _with_left(
        self,
        note: Note,
        head: str | CommitId | None,
        changes: Sequence[RefChange],
        base: NodeId | None,
        after: NodeId | None,
    ) -> Note:
        """Say in a note what is left in ``.dsvc/work``; what the verb doesn't change is as it was."""
        left = self.left
        staged = left.staged
        if after is not None:
            base = base or self._root_after(head, changes)
            staged = None if base == after else (base, after)
        merging = left.merging if note.merge is None else note.merging
        return note._replace(
            staged=staged,
            merging=None if merging == NO_MERGE else merging,
            sparse=note.sparse or (left.sparse and (left.sparse[1], left.sparse[1])),
        )

    def _root_after(self, head: str | CommitId | None, changes: Sequence[RefChange]) -> NodeId:
        """Manifest of the HEAD that there will be."""
        from dsvc.store.manifest_tree import EMPTY_ROOT

        where = head or self.history.refs.head_as_is().text
        moved = {change.ref: change.new for change in changes}
        commit = moved[where] if where in moved else self._commit_at(where)
        return EMPTY_ROOT if commit is None else self.history.read_commit(commit).manifest

    def _commit_at(self, head: str) -> CommitId | None:
        return self.history.refs.get(head) if head.startswith("refs/") else CommitId.parse(head)
