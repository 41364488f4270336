"""The chain of a waiver: ``refs/dsvc/waivers/ID``, one commit that made it, and maybe one that revoked it.

The manifest of such a commit holds ``waiver``, the statement, ``signature``, and once it is revoked
``revocation``. On chains see `records.operation_chain`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dsvc.history.commit_codec import Commit
from dsvc.history.signature_frame import MAX_ARMORED_BYTES
from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError, NotFoundError
from dsvc.model.ids import CommitId
from dsvc.model.waiver import (
    ID_DIGITS,
    MAX_BYTES,
    Revocation,
    Waiver,
    WaiverMalformedError,
    encode_revocation,
    encode_waiver,
    waiver_id,
)
from dsvc.policy.waivers import Judgement, Standing, StoredWaiver, read_waiver
from dsvc.porcelain.records.operation_chain import Chains, prepare_operation, store_parts
from dsvc.porcelain.state.moment import Moment, as_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.materialize import read_content

WAIVER_REFS: Final = "refs/dsvc/waivers/"
STATEMENT, SIGNATURE, REVOCATION = b"waiver", b"signature", b"revocation"

_LIMITS: Final = {STATEMENT: MAX_BYTES, SIGNATURE: MAX_ARMORED_BYTES, REVOCATION: MAX_BYTES}
_ID = re.compile(f"[0-9a-f]{{{ID_DIGITS}}}")


class NoSuchWaiverError(NotFoundError):
    """There is no waiver of that id."""

    code = "no-such-waiver"


# What lies there under a name that is no id is read too, so that it is shown as malformed: any name is taken.
WAIVERS: Final = Chains(WAIVER_REFS, "waiver", str, NoSuchWaiverError, "dsvc waive --list")


def waiver_ids(repo: Workspace) -> list[str]:
    """Ids of all waivers, in order; also of what only lies where waivers lie."""
    return WAIVERS.ids(repo)


def load_waivers(repo: Workspace, moment: Moment | None = None) -> list[StoredWaiver]:
    """Read every waiver and check its signature; one that can't be read is named as such.

    Parameters
    ----------
    moment : Moment or None
        What was recorded later is not known; None: all is.
    """
    found = []
    for id_ in waiver_ids(repo):
        try:
            tip = as_of(repo, WAIVERS.tip(repo, id_), moment)
        except (MissingDataError, CorruptDataError, MalformedInputError) as error:
            standing = Standing.MALFORMED if isinstance(error, MalformedInputError) else Standing.UNTOLD
            found.append(StoredWaiver(id_, problem=Judgement(standing, error.message)))
            continue
        if tip is not None:
            found.append(_load(repo, id_, tip))
    return found


def load_waiver(repo: Workspace, id: str) -> StoredWaiver:  # noqa: A002
    """Read a waiver; what is wrong with it is part of the answer.

    Raises
    ------
    NoSuchWaiverError
        If there is none of that id.
    """
    tip = WAIVERS.tip(repo, id)
    if tip is None:
        raise _no_such(id)
    return _load(repo, id, tip)


def _load(repo: Workspace, id: str, tip: CommitId) -> StoredWaiver:  # noqa: A002
    try:
        if not _ID.fullmatch(id):
            raise WaiverMalformedError("its name is no id of a waiver")
        parts = _parts(repo, repo.history.read_commit(tip))
    except MalformedInputError as error:
        return StoredWaiver(id, problem=Judgement(Standing.MALFORMED, error.message))
    except (MissingDataError, CorruptDataError) as error:
        return StoredWaiver(id, problem=Judgement(Standing.UNTOLD, error.message))
    return read_waiver(id, parts.get(STATEMENT), parts.get(SIGNATURE), parts.get(REVOCATION))


def _no_such(id_: str) -> NoSuchWaiverError:
    return NoSuchWaiverError(f"there is no waiver {id_[:80]!r}", hint=WAIVERS.known_from)


def _parts(repo: Workspace, commit: Commit) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for entry in repo.manifest(commit.manifest).entries():
        if entry.path not in _LIMITS or not entry.is_file:
            raise WaiverMalformedError("it holds something that no waiver has")
        if entry.size > _LIMITS[entry.path]:
            raise WaiverMalformedError(f"its {entry.path.decode()} has {entry.size} bytes")
        found[entry.path] = read_content(repo.store, entry)
    return found


def store_waiver(repo: Workspace, waiver: Waiver, signature: bytes) -> str:
    """Record a waiver; gives its id. The very same one is recorded once.

    The caller holds `repo.changing()`.
    """
    statement = encode_waiver(waiver)
    id_ = waiver_id(statement)
    if WAIVERS.tip(repo, id_) is not None:
        return id_
    what = f"{waiver.rule} {waiver.subject.decode('utf-8', 'replace')}"
    parts = {STATEMENT: statement, SIGNATURE: signature}
    _append(repo, "waive", id_, parts, None, f"waive {' '.join(what.split())}\n\n{waiver.reason}", [what])
    return id_


def revoke_waiver(repo: Workspace, id: str, reason: str) -> StoredWaiver:  # noqa: A002
    """Revoke a waiver: it counts no more from now on.

    Parameters
    ----------
    id : str
        At least its first 4 digits.

    Raises
    ------
    NoSuchWaiverError
        If there is none of that id.
    WaiverMalformedError
        If it is revoked already, or can't be read.
    """
    with repo.changing():
        id_ = find_waiver(repo, id)
        tip = WAIVERS.head(repo, id_)
        parts = dict(_parts(repo, repo.history.read_commit(tip)))
        if REVOCATION in parts:
            raise WaiverMalformedError(f"waiver {id_} is revoked already")
        who = repo.signature()
        revocation = Revocation(by=f"{who.name} <{who.email}>", made_at=who.rfc3339(), reason=reason)
        parts[REVOCATION] = encode_revocation(revocation)
        _append(repo, "waive revoke", id_, parts, tip, f"revoke waiver {id_}\n\n{reason}", [reason])
    return load_waiver(repo, id_)


def find_waiver(repo: Workspace, text: str) -> str:
    """Find the id that begins with some digits.

    Raises
    ------
    NoSuchWaiverError
        If there is none, or more than one.
    """
    return WAIVERS.find(repo, text)


def _append(
    repo: Workspace,
    verb: str,
    id_: str,
    parts: Mapping[bytes, bytes],
    before: CommitId | None,
    message: str,
    arguments: list[str],
) -> None:
    state = store_parts(repo, parts)
    prepared = prepare_operation(repo, state, [] if before is None else [before], message)
    WAIVERS.append(repo, id_, prepared, before, verb=verb, arguments=arguments)
