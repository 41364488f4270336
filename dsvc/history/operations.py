"""The operation log: a chain of git commits, one for each command that changed something.

Each commit's tree holds one file, ``operation``, in canonical JSON. Refs and log move in one update, so the
log never tells of what did not happen, and `undo` never misses what did.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from dsvc.history.git_object import GitObject, encode_tree, object_id, parse_commit, parse_tree
from dsvc.history.odb import ObjectDatabase
from dsvc.history.ref_name import check_ref_format
from dsvc.history.refs import OPERATIONS, RefChange
from dsvc.history.signature import Signature
from dsvc.history.trailers import clean_message
from dsvc.model.errors import CorruptDataError, MalformedInputError, NotFoundError, UnsupportedFormatError
from dsvc.model.ids import CommitId, NodeId, RecordId

BLOB_NAME: Final = "operation"
FORMAT: Final = 1
MAX_ARGUMENT_CHARACTERS: Final = 4096
MAX_ARGUMENTS: Final = 1000

_VERB = re.compile("[a-z][a-z0-9-]{0,63}(?: [a-z][a-z0-9-]{0,63})?")
_POSITION = re.compile("@([0-9]{1,9})")
_DIGITS = re.compile("[0-9a-f]{4,40}")

RefRow = tuple[str, str | None, str | None]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What one command did.

    Attributes
    ----------
    id : CommitId or None
        None until it is recorded.
    verb : str
        The command, ``commit``.
    arguments : tuple of str
        What it was given.
    seconds : int
        When, seconds since 1970.
    refs : tuple of (str, str or None, str or None)
        Full name, id before, id after, of each ref that it moved.
    head_before, head_after : str
        Full name of a branch, or the id of a detached HEAD.
    staged_before, staged_after : str or None
        Hex `RecordId` of the staged state, as the store keeps it.
    discarded : str or None
        Hex `NodeId` of a manifest of the files that it overwrote.
    undone : str or None
        Id of the operation that this one takes back.
    who : Signature
        Who, and when.
    note : str or None
        Anything else for people.
    """

    id: CommitId | None
    verb: str
    arguments: tuple[str, ...]
    seconds: int
    refs: tuple[RefRow, ...]
    head_before: str
    head_after: str
    staged_before: str | None
    staged_after: str | None
    discarded: str | None
    undone: str | None
    who: Signature
    note: str | None


Operations = list[Operation]


class _Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    name: str
    offset_minutes: int
    seconds: int


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    arguments: tuple[str, ...]
    discarded: str | None
    format: int
    head_after: str
    head_before: str
    note: str | None
    refs: tuple[RefRow, ...]
    seconds: int
    staged_after: str | None
    staged_before: str | None
    undone: str | None
    verb: str
    who: _Person


class _Format(msgspec.Struct, frozen=True):
    format: int


class PreparedOperation(NamedTuple):
    """Objects to write, the move of the log's ref, and the operation with its id."""

    objects: list[GitObject]
    change: RefChange
    operation: Operation


def _text(value: str) -> str:
    """Make any argument text: what is not UTF-8 is replaced, what is long is cut."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:MAX_ARGUMENT_CHARACTERS]


def _plain(value: str | None) -> str | None:
    return None if value is None else str(value)


def _check(operation: Operation) -> None:
    if not _VERB.fullmatch(operation.verb):
        raise MalformedInputError(f"operation with verb {operation.verb[:80]!r}")
    for name, old, new in operation.refs:
        check_ref_format(name)
        for value in (old, new):
            if value is not None:
                CommitId.parse(value)
    for head in (operation.head_before, operation.head_after):
        if head.startswith("refs/"):
            check_ref_format(head)
        else:
            CommitId.parse(head)
    for record in (operation.staged_before, operation.staged_after):
        if record is not None:
            RecordId.parse(record)
    if operation.discarded is not None:
        NodeId.parse(operation.discarded)
    if operation.undone is not None:
        CommitId.parse(operation.undone)


def encode_operation(operation: Operation) -> bytes:
    """Encode as canonical JSON: keys sorted, one value one text.

    Raises
    ------
    MalformedInputError
        If a ref, an id or the verb is malformed.
    """
    _check(operation)
    who = operation.who
    stored = _Stored(
        arguments=tuple(_text(argument) for argument in operation.arguments[:MAX_ARGUMENTS]),
        discarded=operation.discarded,
        format=FORMAT,
        head_after=str(operation.head_after),
        head_before=str(operation.head_before),
        note=None if operation.note is None else _text(operation.note),
        refs=tuple((ref, _plain(old), _plain(new)) for ref, old, new in operation.refs),
        seconds=operation.seconds,
        staged_after=operation.staged_after,
        staged_before=operation.staged_before,
        undone=_plain(operation.undone),
        verb=operation.verb,
        who=_Person(who.email, who.name, who.offset_minutes, who.seconds),
    )
    return msgspec.json.encode(stored) + b"\n"


def decode_operation(id: CommitId, data: bytes) -> Operation:  # noqa: A002
    """Decode what `encode_operation` made.

    Raises
    ------
    UnsupportedFormatError
        If a newer dsvc wrote it.
    MalformedInputError
        If it is anything else.
    """
    try:
        if msgspec.json.decode(data, type=_Format).format > FORMAT:
            raise UnsupportedFormatError(
                f"operation {id[:12]} was written by a newer dsvc", hint="install a newer dsvc"
            )
        stored = msgspec.json.decode(data, type=_Stored)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedInputError(f"operation {id[:12]} is malformed: {error}") from error
    who = stored.who
    operation = Operation(
        id=id,
        verb=stored.verb,
        arguments=stored.arguments,
        seconds=stored.seconds,
        refs=stored.refs,
        head_before=stored.head_before,
        head_after=stored.head_after,
        staged_before=stored.staged_before,
        staged_after=stored.staged_after,
        discarded=stored.discarded,
        undone=stored.undone,
        who=Signature(name=who.name, email=who.email, seconds=who.seconds, offset_minutes=who.offset_minutes),
        note=stored.note,
    )
    _check(operation)
    return operation


class OperationLog:
    """The chain at ``refs/dsvc/operations``.

    Parameters
    ----------
    odb : ObjectDatabase
        Reads its commits.
    tip : callable
        Reads its ref.
    """

    def __init__(self, odb: ObjectDatabase, tip: Callable[[], CommitId | None]) -> None:
        self._odb = odb
        self._tip = tip

    def prepare(self, operation: Operation) -> PreparedOperation:
        """Put an operation on top of the chain as it is now; nothing is written.

        Raises
        ------
        MalformedInputError
            If it has a malformed part.
        """
        before = self._tip()
        blob = encode_operation(operation)
        tree = encode_tree({BLOB_NAME: object_id("blob", blob)})
        who = operation.who.encode()
        head = [b"tree " + object_id("tree", tree).encode()]
        head += [] if before is None else [b"parent " + before.encode()]
        head += [b"author " + who, b"committer " + who]
        commit = b"\n".join(head) + b"\n\n" + _message(operation).encode()
        id_ = object_id("commit", commit)
        return PreparedOperation(
            [("blob", blob), ("tree", tree), ("commit", commit)],
            RefChange(OPERATIONS, before, id_),
            msgspec.structs.replace(operation, id=id_),
        )

    def read(self, id: CommitId) -> Operation:  # noqa: A002
        """Read one operation.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError, UnsupportedFormatError
            If it is damaged, or newer than this dsvc.
        """
        return self._read(id)[0]

    def _read(self, id: CommitId) -> tuple[Operation, CommitId | None]:  # noqa: A002
        raw = parse_commit(self._typed(id, "commit"))
        blobs = dict(parse_tree(self._typed(raw.tree, "tree")))
        blob = blobs.get(BLOB_NAME.encode())
        if blob is None:
            raise MalformedInputError(f"commit {id[:12]} is no operation")
        operation = decode_operation(id, self._typed(blob, "blob"))
        return operation, raw.parents[0] if raw.parents else None

    def _typed(self, id: CommitId, kind: str) -> bytes:  # noqa: A002
        found, data = self._odb.read(id)
        if found != kind:
            raise CorruptDataError(f"git object {id} is a {found}, not a {kind}", hint="run dsvc fsck")
        return data

    def __iter__(self) -> Iterator[Operation]:
        at = self._tip()
        while at is not None:
            operation, at = self._read(at)
            yield operation

    def list(self, limit: int | None = None) -> Operations:
        """List operations, newest first.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError, UnsupportedFormatError
            If one is damaged, or newer than this dsvc.
        """
        return [*islice(self, limit)]

    def get(self, text: str) -> Operation:
        """Find an operation by its id, at least 4 digits of it, or ``@N``: the N-th before the last one.

        Raises
        ------
        NotFoundError
            If there is none, or more than one.
        """
        position = _POSITION.fullmatch(text)
        if position:
            for at, operation in enumerate(self):
                if at == int(position[1]):
                    return operation
            raise NotFoundError(f"there is no operation {text}", hint="dsvc op log lists them")
        if not _DIGITS.fullmatch(text):
            raise NotFoundError(f"{text[:80]!r} names no operation", hint="dsvc op log lists them")
        found = [one for one in self if one.id is not None and one.id.startswith(text)]
        if len(found) != 1:
            problem = "there is no operation" if not found else f"{len(found)} operations begin with"
            raise NotFoundError(f"{problem} {text}", hint="dsvc op log lists them")
        return found[0]


def _message(operation: Operation) -> str:
    words = [operation.verb, *(_text(argument) for argument in operation.arguments[:20])]
    line = " ".join(" ".join(words).split())[:200]
    return clean_message(line.replace("\0", "\ufffd")) + "\n"


__all__ = ["OPERATIONS", "Operation", "OperationLog", "PreparedOperation"]
