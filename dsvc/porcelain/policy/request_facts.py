"""What rules know of requests: their records, judged files that name a subject, what can be read again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Entry
from dsvc.model.rights_request import RequestKind, RequestState, RightsRequest
from dsvc.porcelain.lineage.subject_search import SubjectSearcher
from dsvc.porcelain.records.request_chain import REQUESTS, RequestHead, request_at, request_ids
from dsvc.porcelain.state.moment import Moment, as_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.pack import Footer


def rights_requests(
    repo: Workspace, entries: Iterable[Entry], moment: Moment | None = None
) -> tuple[RightsRequest, ...]:
    """Gather the requests for the rules that ask for them; where there are none nothing is read.

    Parameters
    ----------
    entries : iterable of Entry
        The judged files.
    moment : Moment or None
        What was recorded later is not known; None: all is.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a request can't be read.
    """
    ids = request_ids(repo)
    judged = list(entries) if ids else []
    tips = (as_of(repo, REQUESTS.head(repo, id_), moment) for id_ in ids)
    return tuple(_facts(repo, request_at(repo, tip), judged) for tip in tips if tip is not None)


def _facts(repo: Workspace, head: RequestHead, entries: Sequence[Entry]) -> RightsRequest:
    record = head.record
    matched: list[bytes] = []
    unmatched: list[bytes] = []
    if record.kind is not RequestKind.REGISTER and record.state is not RequestState.REFUSED:
        try:
            searcher = SubjectSearcher(repo, record.selector)
        except DsvcError as error:
            return RightsRequest(record=record, readable=None, problem=error.message)
        for entry in entries:
            try:
                rows = searcher.rows(entry)
            except DsvcError:
                unmatched.append(entry.path)
                continue
            if rows is not None and len(rows):
                matched.append(entry.path)
    return RightsRequest(
        record=record,
        matched=tuple(matched),
        unmatched=tuple(unmatched),
        readable=readable_chunks(repo, head.chunks),
    )


def readable_chunks(repo: Workspace, chunks: Sequence[bytes]) -> int | None:
    """Count the chunks of which a pack or the trash has bytes; None where a pack can't be looked into."""
    if not chunks:
        return 0
    backend = repo.store.backend
    trashed = [pack for packs in backend.list_trash().values() for pack in packs]
    try:
        footers = [Footer(backend, pack) for pack in {*backend.list_packs(), *trashed}]
    except DsvcError:
        return None
    return sum(any(_has_bytes(footer, id_) for footer in footers) for id_ in set(chunks))


def _has_bytes(footer: Footer, id_: bytes) -> bool:
    row = footer.find(id_)
    return row >= 0 and not footer.location(row).erased
