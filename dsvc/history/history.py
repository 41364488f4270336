"""History: commits, refs and the operation log of one repository, behind one door."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Final, Self

import msgspec

from dsvc.history import merge_base, walk
from dsvc.history.commit_codec import BLOB_NAME, Commit, Sign, decode_commit, encode_commit, manifest_blob
from dsvc.history.git_format import check_git_format
from dsvc.history.git_object import GitObject, object_id, parse_commit, parse_tag, parse_tree, signed_payload
from dsvc.history.git_writer import GitWriter
from dsvc.history.loose_reader import LooseReader
from dsvc.history.odb import ObjectDatabase
from dsvc.history.operations import Operation, OperationLog
from dsvc.history.ref_lock import STALE_SECONDS
from dsvc.history.ref_name import check_ref_name, tag_ref
from dsvc.history.refs import OPERATIONS, RefChange, RefMovedError, Refs
from dsvc.history.revision import Revisions
from dsvc.history.signature import Signature
from dsvc.history.trailers import Trailer, clean_message
from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.ids import CommitId, NodeId

_MAX_TAGS: Final = 10
_CACHED_COMMITS: Final = 4096


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A commit or a tag that is not written yet.

    Attributes
    ----------
    id : CommitId
        What it will be.
    objects : tuple of (str, bytes)
        For `History.record`.
    changes : tuple of RefChange
        The move of its ref, where one was named.
    """

    id: CommitId
    objects: tuple[GitObject, ...]
    changes: tuple[RefChange, ...] = ()


def _reader(git_dir: str, objects: str | None = None) -> LooseReader:
    def packed() -> ObjectDatabase:
        from dsvc.history.pack_reader import PackReader

        return PackReader(git_dir, objects=objects)

    return LooseReader(git_dir, packed, objects=objects)


def _database(git_dir: str, incoming: str | None) -> ObjectDatabase:
    if incoming is None:
        return _reader(git_dir)
    from dsvc.history.incoming import WithIncoming

    return WithIncoming(_reader(git_dir), _reader(git_dir, incoming))


class History:
    """The history of a repository.

    Parameters
    ----------
    git_dir : str
        The bare git repository.
    lock_path : str
        Lock file of its refs.
    durable : bool
        Whether what is recorded is flushed before it is reported.
    lock_timeout : float
        Seconds to wait for other writers.
    incoming : str or None
        Folder of objects that git holds apart until a hook has let them in.

    Attributes
    ----------
    refs : Refs
    odb : ObjectDatabase
    revisions : Revisions
    operations : OperationLog
    """

    def __init__(
        self,
        git_dir: str,
        lock_path: str,
        durable: bool = True,
        lock_timeout: float = 10.0,
        *,
        incoming: str | None = None,
    ) -> None:
        self.refs = Refs(git_dir, lock_path, durable=durable, lock_timeout=lock_timeout)
        self.odb: ObjectDatabase = _database(git_dir, incoming)
        self._writer = GitWriter(git_dir, durable=durable)
        self._cached = lru_cache(maxsize=_CACHED_COMMITS)(self._read_commit)
        self.revisions = Revisions(self.refs, self.read_commit, self.odb.expand, self.peel)
        self.operations = OperationLog(self.odb, lambda: self.refs.get(OPERATIONS))

    @classmethod
    def open(
        cls,
        git_dir: str,
        lock_path: str,
        durable: bool = True,
        lock_timeout: float = 10.0,
        *,
        incoming: str | None = None,
    ) -> Self:
        """Open what `dsvc.history.git_writer.init_bare` made, and finish what a killed writer left.

        Raises
        ------
        UnsupportedFormatError
            If git keeps it in a format that is not read here.
        """
        check_git_format(git_dir)
        history = cls(git_dir, lock_path, durable, lock_timeout, incoming=incoming)
        history.refs.recover()
        return history

    def read_commit(self, id: CommitId) -> Commit:  # noqa: A002
        """Read a commit; recent ones are remembered.

        Raises
        ------
        MissingDataError, CorruptDataError
            If it is damaged.
        MalformedInputError
            If dsvc did not make it.
        """
        return self._cached(id)

    def _read_commit(self, id_: CommitId) -> Commit:
        kind, data = self.odb.read(id_)
        if kind != "commit":
            raise MalformedInputError(f"{id_[:12]} is a {kind}, not a commit", details={"object": str(id_)})
        return decode_commit(id_, data)

    def signed_bytes(self, id: CommitId) -> bytes:  # noqa: A002
        """Give what a signature of a commit covers; errors as `read_commit`."""
        return signed_payload(self.odb.read(id)[1])

    def peel(self, id: CommitId) -> CommitId:  # noqa: A002
        """Follow an annotated tag to what it names; other ids come back as they are.

        Raises
        ------
        MalformedInputError
            If more than ten tags follow each other.
        """
        at = id
        for _ in range(_MAX_TAGS):
            kind, data = self.odb.read(at)
            if kind != "tag":
                return at
            at = parse_tag(data).target
        raise MalformedInputError(f"tag {id[:12]} leads to a tag, and so on, more than {_MAX_TAGS} times")

    def commit(
        self,
        *,
        parents: Sequence[CommitId],
        manifest: NodeId,
        files: int,
        bytes: int,  # noqa: A002
        message: str,
        author: Signature,
        committer: Signature,
        trailers: Sequence[Trailer] = (),
        lineage: NodeId | None = None,
        branch: str | None = None,
        expected: CommitId | None = None,
        sign: Sign | None = None,
    ) -> Prepared:
        """Prepare a commit; `record` writes it.

        Parameters
        ----------
        branch : str or None
            Full name of the branch that shall move to it.
        expected : CommitId or None
            Where that branch is now; None where it has no commit yet.
        sign : callable or None
            Makes a signature of the commit's bytes.

        Raises
        ------
        MalformedInputError
            As `dsvc.history.commit_codec.encode_commit`.
        """
        objects = encode_commit(
            parents=parents,
            author=author,
            committer=committer,
            message=message,
            manifest=manifest,
            files=files,
            bytes=bytes,
            lineage=lineage,
            trailers=trailers,
            sign=sign,
        )
        id_ = object_id(*objects[-1])
        changes = () if branch is None else (RefChange(branch, expected, id_),)
        return Prepared(id=id_, objects=tuple(objects), changes=changes)

    def annotated_tag(
        self,
        *,
        name: str,
        target: CommitId,
        message: str,
        tagger: Signature,
        expected: CommitId | None = None,
        sign: Sign | None = None,
    ) -> Prepared:
        """Prepare an annotated tag; `record` writes it.

        Parameters
        ----------
        name : str
            Short name, ``v1``.
        expected : CommitId or None
            What the tag is now; None where it must not exist.
        sign : callable or None
            Makes a signature of the tag's bytes.

        Raises
        ------
        MalformedInputError
            If the name or the message is malformed.
        """
        ref = tag_ref(name)
        kind, _ = self.odb.read(target)
        lines = [f"object {target}", f"type {kind}", f"tag {name}"]
        head = "\n".join(lines).encode() + b"\ntagger " + tagger.encode()
        data = head + b"\n\n" + clean_message(message).encode() + b"\n"
        if sign is not None:
            data += sign(data)
        id_ = object_id("tag", data)
        return Prepared(id=id_, objects=(("tag", data),), changes=(RefChange(ref, expected, id_),))

    def record(
        self,
        *,
        changes: Sequence[RefChange],
        operation: Operation,
        message: str,
        who: Signature,
        new_objects: Sequence[GitObject] = (),
        head: str | CommitId | None = None,
    ) -> Operation:
        """Write objects, then move refs and the operation log together: the only commit point.

        Parameters
        ----------
        changes : sequence of RefChange
            What moves, each from where to where.
        operation : Operation
            What the log shall say; `refs` and `head_after` are filled in, `head_before` checked with `head`.
        message : str
            What the reflogs say.
        new_objects : sequence of (str, bytes)
            Written and flushed before anything moves.
        head : str, CommitId or None
            Full name of the branch that HEAD shall stand on, or a commit to detach it at.

        Returns
        -------
        Operation
            With its id.

        Raises
        ------
        ConcurrentChangeError
            If something moved meanwhile.
        LockedError, StorageError, RefConflictError, MalformedInputError
            As `dsvc.history.refs.Refs.update`; nothing moved.
        """
        for change in changes:
            if change.old is None and change.new is not None:
                check_ref_name(change.ref)
        with self.refs.locked():
            now = self.refs.head_as_is().text
            filled = _filled(operation, changes, now, head)
            objects, change, recorded = self.operations.prepare(filled)
            for ref, old, _ in changes:
                self.refs.expect(ref, old)
            # Together: most of what a commit takes is the wait for the disk.
            self._writer.write([*new_objects, *objects])
            self.refs.update([*changes, change], message=message, who=who, head=head, head_old=now)
        return recorded

    def log(
        self, starts: Sequence[CommitId], *, limit: int | None = None, exclude: Collection[CommitId] = ()
    ) -> Iterator[Commit]:
        """Yield commits newest first, children before parents; see `dsvc.history.walk.log`."""
        return walk.log(self.read_commit, starts, limit=limit, exclude=exclude)

    def merge_bases(self, a: CommitId, b: CommitId) -> list[CommitId]:
        """Find every best common ancestor of two commits; see `dsvc.history.merge_base.merge_bases`."""
        return merge_base.merge_bases(self.read_commit, a, b)

    def merge_base(self, a: CommitId, b: CommitId) -> CommitId | None:
        """Find one best common ancestor, or None for unrelated histories."""
        return next(iter(self.merge_bases(a, b)), None)

    def is_ancestor(self, a: CommitId, b: CommitId) -> bool:
        """Whether `a` is `b` or one of its ancestors."""
        return merge_base.is_ancestor(self.read_commit, a, b)

    def verify_commit(self, id: CommitId) -> Commit:  # noqa: A002
        """Read a commit with its tree and its ``manifest`` file, and compare what they say.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            If something is missing, damaged or says something else than the commit.
        """
        commit = self._read_commit(id)
        raw = parse_commit(self.odb.read(id)[1])
        blob = dict(parse_tree(self.odb.read(raw.tree)[1])).get(BLOB_NAME.encode())
        expected = manifest_blob(
            manifest=commit.manifest, files=commit.files, total_bytes=commit.bytes, lineage=commit.lineage
        )
        if blob is None or self.odb.read(blob) != ("blob", expected):
            raise CorruptDataError(
                f"commit {id[:12]}: its tree and its trailers differ", details={"object": str(id)}
            )
        return commit

    def remove_leftovers(self) -> list[str]:
        """Remove temporary objects and lock files that killed processes left; returns their paths.

        The caller (``gc``, under the exclusive lock) knows that no dsvc writes objects meanwhile.
        """
        with self.refs.locked():
            removed = list(self.refs.remove_stale_locks())
            removed += self._writer.remove_temporary(min_age_seconds=STALE_SECONDS)
        return removed


def _filled(
    operation: Operation, changes: Sequence[RefChange], now: str, head: str | CommitId | None
) -> Operation:
    """Complete an operation with what is known only under the lock."""
    if head is not None and operation.head_before not in ("", now):
        raise RefMovedError(
            f"HEAD is at {now}, not at {operation.head_before}: another command moved it",
            hint="run the command again",
            details={"ref": "HEAD", "expected": operation.head_before, "found": now},
        )
    return msgspec.structs.replace(
        operation,
        refs=tuple((ref, old, new) for ref, old, new in changes),
        head_before=now,
        head_after=now if head is None else str(head),
    )
