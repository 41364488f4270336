"""request erase: rows of a person out of files in use, their bytes out of every pack, and the proof of it.

What it does can be interrupted anywhere and run again: the new versions are ordinary commits, the ids of the
chunks are noted in the request's chain before any pack is touched, and old packs are deleted last.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from dsvc.fs import locks
from dsvc.fs.temporary_folder import discard_tree
from dsvc.model.encoding import encode
from dsvc.model.errors import UsageError
from dsvc.model.ids import ChunkId
from dsvc.model.paths import display_path
from dsvc.model.rights_request import (
    METHOD,
    Certificate,
    FoundArtifact,
    Reach,
    RequestOperation,
    RequestRecord,
    RequestState,
    RequestVerb,
    Unsearched,
)
from dsvc.porcelain.care.gc import exclusive, remove_leftovers, roots
from dsvc.porcelain.lineage.erased_subjects import store_codes
from dsvc.porcelain.lineage.subject_search import Search, search
from dsvc.porcelain.records.request_chain import RequestHead, append_request, request_head
from dsvc.porcelain.requests.erasure_chunks import SharedContentError, SubjectChunks, subject_chunks
from dsvc.porcelain.requests.live_redaction import LiveFile, live_files, redact
from dsvc.porcelain.requests.requests import RequestSettledError, known_digests
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.store.absence import StillThereError, prove_absent, stored_lengths
from dsvc.store.erase import erase as erase_chunks
from dsvc.store.mark import Marks

_CACHES: Final = ("rows", "detections", "lineage", "causes")
"""Folders of the cache that hold hashes or values of cells, or were made from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePlan:
    """What an erasure would do.

    Attributes
    ----------
    record : RequestRecord
    found : tuple of FoundArtifact
        Where the subject is, over all history.
    live : tuple of LiveFile
        Files of HEAD that get a new version.
    chunks, size : int
        Chunks to erase at most, and their length in bytes.
    shared : tuple of bytes
        Files that are not the subject's and need some of them.
    refs : tuple of str
        Other branches, tags and stashes of which a file can't be read afterwards.
    unsearched : tuple of Unsearched
    """

    record: RequestRecord
    found: tuple[FoundArtifact, ...]
    live: tuple[LiveFile, ...]
    chunks: int
    size: int
    shared: tuple[bytes, ...]
    refs: tuple[str, ...]
    unsearched: tuple[Unsearched, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What an erasure did.

    Attributes
    ----------
    plan : ErasurePlan
    record : RequestRecord
        As it is now, with its certificate.
    commit : str or None
        The commit without the rows; None where HEAD had none of them.
    changed : bool
        Whether there was anything to do.
    """

    plan: ErasurePlan
    record: RequestRecord
    commit: str | None
    changed: bool


def plan_erasure(repo: Workspace, request_id: str, *, progress: Progress | None = None) -> ErasurePlan:
    """Say what an erasure would do; changes nothing.

    Raises
    ------
    NoSuchRequestError, RequestSettledError
        If there is no such request, or it was refused.
    UsageError
        If it names neither rows nor files.
    DsvcError
        If anything that is kept can't be read.
    """
    now = _request(repo, request_id)
    found = search(repo, now.record.selector, known=known_digests(now.record), progress=progress)
    return _plan(repo, now, found, subject_chunks(repo, found, known_digests(now.record)))


def _request(repo: Workspace, request_id: str) -> RequestHead:
    now = request_head(repo, request_id)
    if now.record.state is RequestState.REFUSED:
        raise RequestSettledError(f"request {request_id} was refused: {now.record.reason}")
    if not now.record.selector.names_data:
        raise UsageError(f"request {request_id} names neither rows nor files that could be erased")
    return now


def _plan(repo: Workspace, now: RequestHead, found: Search, chunks: SubjectChunks) -> ErasurePlan:
    chosen = chunks.chosen()
    live = live_files(repo, found)
    return ErasurePlan(
        record=now.record,
        found=found.artifacts(),
        live=live,
        chunks=len(chosen),
        size=sum(chosen.values()),
        shared=tuple(sorted(set(chunks.shared.values()))),
        refs=tuple(_other_refs(repo, found)),
        unsearched=tuple(found.unsearched),
    )


def _other_refs(repo: Workspace, found: Search) -> Sequence[str]:
    head = repo.history.refs.head()
    refs = repo.history.refs.list()
    names = [n for n in sorted(refs) if n.startswith(("refs/heads/", "refs/tags/", "refs/dsvc/stash"))]
    places = [(path, digest) for digest, version in found.versions.items() for path in version.paths]
    touched = []
    for name in names:
        if name != head.branch:
            manifest = repo.manifest(repo.history.read_commit(repo.history.peel(refs[name])).manifest)
            entries = ((manifest.get(path), digest) for path, digest in places)
            if any(entry is not None and entry.digest == digest for entry, digest in entries):
                touched.append(name)
    return touched


def erase(
    repo: Workspace,
    request_id: str,
    reason: str,
    *,
    keep_shared: str | None = None,
    progress: Progress | None = None,
) -> Erasure:
    """Erase what a request is about, and record the certificate.

    Parameters
    ----------
    reason : str
        Why; part of the certificate.
    keep_shared : str or None
        Why chunks that other files need are kept. None: such a chunk is an error.

    Raises
    ------
    NoSuchRequestError, RequestSettledError, UsageError
        As `plan_erasure`; or no reason is given.
    SharedContentError
        If other files need chunks of the subject's; nothing was changed.
    WouldOverwriteError
        If uncommitted work is in the way; nothing was changed.
    LockedError
        If writers or gc don't end in time; what was done stands, run again it goes on.
    StillThereError
        If the proof fails.
    DsvcError
        If anything that is kept can't be read.
    """
    if not reason.strip():
        raise UsageError("to erase needs a reason", hint="--reason TEXT")
    encode((reason, keep_shared))  # what the certificate can't say is refused before any file changes
    with repo.changing():
        now = _request(repo, request_id)
        found = search(repo, now.record.selector, known=known_digests(now.record), progress=progress)
        first = subject_chunks(repo, found, known_digests(now.record))
        plan = _plan(repo, now, found, first)
        if now.record.state is RequestState.ERASED and not plan.chunks and not plan.live:
            return Erasure(plan=plan, record=now.record, commit=None, changed=False)
        if first.shared and not (keep_shared or "").strip():
            raise _shared(plan)
        commit = redact(repo, request_id, plan.live, found)
        # Now that HEAD has its new versions it is known what of columnar files these need.
        chunks = subject_chunks(repo, found, known_digests(now.record))
        now = _announce(repo, now, plan, found, chunks, reason.strip())
    limits = _limits(plan, chunks)
    kept = (keep_shared, len(chunks.shared)) if chunks.shared else (None, 0)
    record = _carry_out(repo, now, reason.strip(), kept, limits)
    return Erasure(plan=plan, record=record, commit=commit, changed=True)


def _carry_out(
    repo: Workspace, now: RequestHead, reason: str, kept: tuple[str | None, int], limits: tuple[str, ...]
) -> RequestRecord:
    """Erase what was announced, prove it and certify it; `kept`: why shared chunks stay, and how many."""
    done = _erase_chunks(repo, now.chunks)
    tables = _prove(repo, now, lenient=bool(kept[1]))
    with repo.changing():
        objects = prove_absent(repo.store.backend, now.chunks)
        who = repo.signature()
        certificate = Certificate(
            time=who.rfc3339(),
            approver=f"{who.name} <{who.email}>",
            reason=reason,
            method=METHOD,
            chunks=len(now.chunks),
            bytes=done.size,
            packs=done.packs,
            objects_read=objects,
            tables_read=tables,
            kept_shared=kept[0],
            shared=kept[1],
            limits=limits,
        )
        return _certify(repo, now, certificate)


def _shared(plan: ErasurePlan) -> SharedContentError:
    names = ", ".join(display_path(path) for path in plan.shared[:5])
    return SharedContentError(
        f"the same bytes stand in files that are not known to be the subject's: {names}",
        hint="declare their subject column in dsvc.toml, remove them, or --keep-shared REASON",
        details={"paths": [display_path(path) for path in plan.shared]},
    )


def _limits(plan: ErasurePlan, chunks: SubjectChunks) -> tuple[str, ...]:
    reaches = {each.reach for each in plan.found}
    said = {
        "mixed": Reach.MIXED in reaches,
        "unknown": Reach.UNKNOWN in reaches,
        "unsearched": bool(plan.unsearched),
        "shared": bool(chunks.shared),
    }
    return (
        "copies",
        "disk",
        "names",
        "other-files",
        "hashes",
        *(name for name, is_so in said.items() if is_so),
    )


def _announce(
    repo: Workspace, now: RequestHead, plan: ErasurePlan, found: Search, chunks: SubjectChunks, reason: str
) -> RequestHead:
    """Note in the chain what is about to be erased: from here on it is finished whatever happens."""
    time = repo.signature().rfc3339()
    earlier = [each for each in now.record.found if each.digest not in found.versions]
    known = earlier if known_digests(now.record) else []
    record = msgspec.structs.replace(
        now.record,
        state=RequestState.ERASING,
        reason=reason,
        searched_at=time,
        found=tuple(dict.fromkeys([*plan.found, *known])),
        unsearched=plan.unsearched,
    )
    operation = RequestOperation(verb=RequestVerb.ERASE, time=time, reason=reason)
    ids = [*now.chunks, *chunks.chosen()]
    codes = store_codes(repo, found.versions.values())
    return append_request(repo, record, operation, now.commit, ids, codes)


class _Done(NamedTuple):
    """Packs that were rewritten, and the length of all that the request erased."""

    packs: int
    size: int


def _erase_chunks(repo: Workspace, ids: Sequence[bytes]) -> _Done:
    """Erase chunks, and with them all that nothing needs, trash and caches."""
    with (
        locks.hold(repo.layout.lock("gc"), what="gc", timeout=repo.lock_timeout),
        exclusive(repo),
    ):
        repo.store.forget()
        marks = Marks(repo.store)
        marks.manifests(roots(repo))
        lengths = stored_lengths(repo.store.backend, ids)
        done = erase_chunks(
            repo.store,
            [ChunkId(id_) for id_ in lengths],
            needed=lambda id_: marks.marked_place(id_) is not None,
        )
        for name in _CACHES:
            discard_tree(os.path.join(repo.layout.cache, name))
        remove_leftovers(repo.layout, repo.history)
    return _Done(done.packs, sum(lengths.values()))


def _prove(repo: Workspace, now: RequestHead, *, lenient: bool) -> int:
    """Search again everything that can be read; returns how many tables that were."""
    with repo.changing():
        left = search(repo, now.record.selector, known=known_digests(now.record))
        # Where shared chunks were kept by decision, old versions may have stayed readable.
        if live_files(repo, left) if lenient else left.versions:
            raise StillThereError(
                f"request {now.record.request_id}: rows can still be read", hint="run the erasure again"
            )
        return len(left.searched - left.recalled.keys())


def _certify(repo: Workspace, now: RequestHead, certificate: Certificate) -> RequestRecord:
    record = msgspec.structs.replace(now.record, state=RequestState.ERASED, certificate=certificate)
    time = repo.signature().rfc3339()
    operation = RequestOperation(verb=RequestVerb.CERTIFY, time=time, reason=certificate.reason)
    return append_request(repo, record, operation, now.commit, now.chunks).record
