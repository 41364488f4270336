"""What becomes of releases: announced, given to consumers, deprecated, archived, taken offline, withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from dsvc.model.errors import UsageError
from dsvc.model.release import ReleaseOperation, ReleaseVerb
from dsvc.model.waiver import is_day
from dsvc.porcelain.policy.release_since import is_newer
from dsvc.porcelain.records.release_chain import (
    ReleaseState,
    check_step,
    created_release,
    facts_of,
    find_release,
    prepare_release,
    release_head,
    releases,
)
from dsvc.porcelain.records.release_files import sha256_of
from dsvc.porcelain.records.released_data import artifact_digests
from dsvc.porcelain.release.releases import consumer_names, free_name
from dsvc.porcelain.state.moment import now
from dsvc.porcelain.state.workspace import Workspace


class Downstream(NamedTuple):
    """Who is concerned when a release goes: its consumers, and releases that come from it."""

    consumers: tuple[str, ...]
    releases: tuple[str, ...]


def downstream_of(repo: Workspace, name: str) -> Downstream:
    """List the consumers of a release, and the releases that come from it.

    These are later ones of versions that follow, or whose lineage has files of this one.

    Raises
    ------
    NoSuchReleaseError, MissingDataError, CorruptDataError, MalformedInputError
        If there is none of that name, or one can't be read.
    """
    state = release_head(repo, name)
    if state.created is None or state.commit is None:
        return Downstream(state.consumers, ())
    own = frozenset(file.blake3 for file in facts_of(repo, state).files if file.size)
    digests = frozenset(map(bytes.fromhex, own))
    found = []
    for other in releases(repo):
        if other.name == name or other.created is None or other.commit is None:
            continue
        if is_newer(repo, state, other):
            continue
        follows = other.commit != state.commit and repo.history.is_ancestor(state.commit, other.commit)
        if follows or not digests.isdisjoint(artifact_digests(facts_of(repo, other))):
            found.append(other.name)
    return Downstream(state.consumers, tuple(found))


def announce(
    repo: Workspace,
    name: str,
    *,
    until: str | None = None,
    consumers: Sequence[str] = (),
    reason: str | None = None,
) -> ReleaseState:
    """Announce a release before it is created, or say to whom it is given.

    Parameters
    ----------
    until : str or None
        Last day on which people can object to what goes in, ``YYYY-MM-DD``; only before it is created.
    consumers : sequence of str
        To whom it is given.

    Raises
    ------
    UsageError
        If it says neither, the day is none or past, or the release was created already.
    ReleaseNameTakenError
        If a tag has the name.
    ReleaseStateError
        If it was withdrawn or is offline.
    ConcurrentChangeError
        If another command changed it meanwhile.
    """
    given = consumer_names(consumers)
    before = find_release(repo, name)
    if before is None:
        before = free_name(repo, name)
    if until is None and not given:
        raise UsageError("an announcement says until when people can object, or to whom it goes")
    if until is not None:
        if not is_day(until) or until < now().day:
            raise UsageError(f"{until[:40]!r} is no day from today on", hint="YYYY-MM-DD")
        if before is not None and before.created is not None:
            raise UsageError(f"release {name} was created already: nobody can object any more")
    return _append(repo, name, before, ReleaseVerb.ANNOUNCE, reason, until=until, consumers=given)


def end(repo: Workspace, name: str, verb: ReleaseVerb, reason: str) -> ReleaseState:
    """Deprecate, archive or withdraw a release, or take it offline; who is concerned is recorded with it.

    What is archived can still be verified and given out: its files must be whole.

    Raises
    ------
    UsageError
        If there is no reason.
    NoSuchReleaseError
        If there is none of that name.
    ReleaseStateError
        If this can't be done with it as it is.
    MissingDataError, ErasedError, CorruptDataError
        If it is to be archived, and a file of it can't be read.
    ConcurrentChangeError
        If another command changed it meanwhile.
    """
    if not reason.strip():
        raise UsageError("why a release goes must be said", hint="--reason TEXT")
    before = release_head(repo, name)
    check_step(name, before, verb)
    if verb is ReleaseVerb.ARCHIVE:
        read_whole(repo, name)
    found = downstream_of(repo, name)
    return _append(
        repo, name, before, verb, reason.strip(), listed=found.consumers, downstream=found.releases
    )


def read_whole(repo: Workspace, name: str) -> None:
    """Read every file of a release; each chunk is checked. Raises where one can't be had."""
    _, facts = created_release(repo, name)
    manifest = repo.manifest_of(facts.commit)
    for file in facts.files:
        entry = manifest.get(file.path)
        if entry is not None:
            sha256_of(repo, entry)


def _append(
    repo: Workspace,
    name: str,
    before: ReleaseState | None,
    verb: ReleaseVerb,
    reason: str | None,
    **fields: object,
) -> ReleaseState:
    who = repo.signature()
    plain = ReleaseOperation(verb=verb, at=who.rfc3339(), by=f"{who.name} <{who.email}>", reason=reason)
    operation = msgspec.structs.replace(plain, **fields)
    with repo.changing():
        prepared, change = prepare_release(repo, name, before, operation)
        repo.store.publish()
        repo.record(f"release {verb.value}", arguments=[name], changes=[change], objects=prepared.objects)
    return release_head(repo, name)
