"""The chain of a request: ``refs/dsvc/requests/ID``, one commit for each operation on it.

The manifest of such a commit holds ``record`` and ``operation``, and once something was to be erased
``chunks``: the ids, so that an erasure that was interrupted goes on, and is proven again at any time; and
``subjects/DIGEST``: see `lineage.erased_subjects`. On chains see `records.operation_chain`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from dsvc.fs import files
from dsvc.history.commit_codec import Commit
from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError, NotFoundError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.rights_request import (
    RequestOperation,
    RequestRecord,
    check_request_id,
    decode_request,
    decode_request_operation,
    encode_request,
    encode_request_operation,
)
from dsvc.porcelain.records.operation_chain import Chains, prepare_operation, store_parts
from dsvc.porcelain.state.staging import read_checked, write_checked
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import Manifest
from dsvc.store.materialize import read_content

REQUEST_REFS: Final = "refs/dsvc/requests/"
RECORD, OPERATION, CHUNKS, SUBJECTS = b"record", b"operation", b"chunks", b"subjects"
_ID_BYTES: Final = 32


class NoSuchRequestError(NotFoundError):
    """There is no request of that id."""

    code = "no-such-request"


REQUESTS: Final = Chains(REQUEST_REFS, "request", check_request_id, NoSuchRequestError, "dsvc request list")


class RequestHead(NamedTuple):
    """A state of a request: the commit of its chain, its record, the chunks that it erases."""

    commit: CommitId
    record: RequestRecord
    chunks: tuple[bytes, ...]


class RequestStep(NamedTuple):
    """One operation of a chain: its commit, and what was done."""

    commit: Commit
    operation: RequestOperation


def request_ref(request_id: str) -> str:
    """Full name of a request's ref.

    Raises
    ------
    UsageError, MalformedInputError
        If that is no id of a request.
    """
    return REQUESTS.ref(request_id)


def find_request(repo: Workspace, request_id: str) -> RequestHead | None:
    """Newest state of a request, None where there is no such request."""
    tip = REQUESTS.tip(repo, request_id)
    return None if tip is None else request_at(repo, tip)


def request_head(repo: Workspace, request_id: str) -> RequestHead:
    """Newest state of a request.

    Raises
    ------
    NoSuchRequestError
        If there is none.
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be read.
    """
    return request_at(repo, REQUESTS.head(repo, request_id))


def request_ids(repo: Workspace) -> list[str]:
    """Ids of all requests, in order."""
    return REQUESTS.ids(repo)


def request_at(repo: Workspace, commit: CommitId) -> RequestHead:
    """State of a request at a commit of its chain; raises as `request_head`."""
    manifest = Manifest(repo.store, repo.history.read_commit(commit).manifest)
    record = decode_request(REQUESTS.part(repo, manifest, RECORD))
    entry = manifest.get(CHUNKS)
    data = b"" if entry is None else read_content(repo.store, entry)
    if len(data) % _ID_BYTES:
        raise MalformedInputError(f"request {record.request_id}: its list of chunks is torn")
    chunks = tuple(data[at : at + _ID_BYTES] for at in range(0, len(data), _ID_BYTES))
    return RequestHead(commit, record, chunks)


def request_history(repo: Workspace, request_id: str) -> Iterator[RequestStep]:
    """Operations of a request, newest first; raises as `request_head`."""
    for commit in REQUESTS.steps(repo, request_id):
        data = REQUESTS.part(repo, repo.manifest(commit.manifest), OPERATION)
        yield RequestStep(commit, decode_request_operation(data))


def append_request(
    repo: Workspace,
    record: RequestRecord,
    operation: RequestOperation,
    before: CommitId | None,
    chunks: Sequence[bytes] = (),
    codes: Iterable[Entry] = (),
) -> RequestHead:
    """Record an operation on a request; the caller holds `repo.changing()`.

    Parameters
    ----------
    before : CommitId or None
        The state that it follows; None for a new request.
    chunks : sequence of bytes
        Ids of the chunks that it erases.
    codes : iterable of Entry
        Stored codes of tables (`lineage.erased_subjects`), beside those that the request has.

    Raises
    ------
    ConcurrentChangeError
        If the ref isn't there any more; nothing was recorded.
    """
    parts = {RECORD: encode_request(record), OPERATION: encode_request_operation(operation)}
    ids = sorted(set(chunks))
    if ids:
        parts[CHUNKS] = b"".join(ids)
    kept: list[Entry] = []
    if before is not None:
        kept.extend(repo.manifest(repo.history.read_commit(before).manifest).entries(SUBJECTS))
    state = store_parts(repo, parts, [*kept, *codes])
    title = REQUESTS.title(operation.verb, record.request_id, operation.reason)
    prepared = prepare_operation(repo, state, [] if before is None else [before], title)
    REQUESTS.append(repo, record.request_id, prepared, before, verb=f"request {operation.verb}")
    return RequestHead(prepared.id, record, tuple(ids))


# The salt


def _salt_path(repo: Workspace) -> str:
    return os.path.join(repo.layout.root, "salt")


def known_salt(repo: Workspace) -> bytes | None:
    """Key of the hashes that stand for people, None where none was made.

    Raises
    ------
    CorruptDataError
        If it is damaged.
    """
    found = read_checked(_salt_path(repo), "salt")
    if found is not None and len(found) != _ID_BYTES:
        raise CorruptDataError("the repository's salt has another length")
    return found


def salt(repo: Workspace) -> bytes:
    """Key of the hashes that stand for people.

    Raises
    ------
    NotFoundError
        If there is none: hashes can't be compared with anything then.
    CorruptDataError
        If it is damaged.
    """
    found = known_salt(repo)
    if found is None:
        raise NotFoundError(
            "the repository's salt is missing, so that nobody can be found by a request",
            hint="it is the file salt under .dsvc; copy it from another copy of the repository",
        )
    return found


def expect_salt(repo: Workspace) -> None:
    """Expect the salt to be there where requests name people by hashes, and to be whole.

    Raises
    ------
    MissingDataError
        If it is gone.
    CorruptDataError
        If it, or a request, is damaged.
    """
    if known_salt(repo) is None and any(_named(repo)):
        raise MissingDataError("the salt is missing; requests name people by hashes that need it")


def make_salt(repo: Workspace) -> bytes:
    """Return the salt, made now where there is none and no request needs one that is lost.

    The caller holds `repo.changing()`.
    """
    if known_salt(repo) is None and not any(_named(repo)):
        write_checked(_salt_path(repo), os.urandom(_ID_BYTES), durable=repo.keeps_records)
        if repo.keeps_records:
            files.sync_folder(repo.layout.root)
    return salt(repo)


def _named(repo: Workspace) -> Iterable[bool]:
    return (bool(request_head(repo, id_).record.selector.subjects) for id_ in request_ids(repo))
