"""request add, list, show, find, refuse, seal, confirm: what people asked for, and where they are."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.ids import CommitId
from dsvc.model.rights_request import (
    REGISTER_ID,
    RequestKind,
    RequestOperation,
    RequestRecord,
    RequestState,
    RequestVerb,
    Selector,
)
from dsvc.porcelain.records.request_chain import (
    RequestHead,
    append_request,
    find_request,
    make_salt,
    request_head,
    request_history,
    request_ids,
    request_ref,
)
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.tree_scan import Progress

DUE_DAYS: Final = 30
"""Days until a request is due where nothing else is said: GDPR 12(3) allows a month."""
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class RequestExistsError(UsageError):
    """There is a request of that id already."""

    code = "request-exists"


class RequestSettledError(UsageError):
    """The request is erased or refused; that can't be done to it any more."""

    code = "request-settled"


class RequestStepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """One operation in the history of a request: its commit, what was done, when, by whom, why."""

    commit: CommitId
    verb: RequestVerb
    time: str
    author: str
    reason: str | None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it is now.

    Attributes
    ----------
    record : RequestRecord
    commit : CommitId
        Head of its chain.
    history : tuple of RequestStepTaken
        Newest first; in listings empty.
    """

    record: RequestRecord
    commit: CommitId
    history: tuple[RequestStepTaken, ...] = ()


class Wanted(NamedTuple):
    """Who or what a request is about, as it was written.

    Attributes
    ----------
    subjects : sequence of str
        Values of columns that play the part of ``subject``.
    where : sequence of (str, str)
        A target of a table, and a condition: the subjects of its rows.
    domains, urls, authors, digests : sequence of str
    """

    subjects: Sequence[str] = ()
    where: Sequence[tuple[str, str]] = ()
    domains: Sequence[str] = ()
    urls: Sequence[str] = ()
    authors: Sequence[str] = ()
    digests: Sequence[str] = ()


def add(
    repo: Workspace,
    request_id: str,
    kind: RequestKind,
    wanted: Wanted,
    *,
    received_at: str | None = None,
    days: int = DUE_DAYS,
    ground: str = "",
) -> Request:
    """Record a request.

    Values of subjects are kept as keyed hashes, and a condition is not kept at all: the subjects of the rows
    for which it is true now are.

    Parameters
    ----------
    received_at : str or None
        Date, ``YYYY-MM-DD``; None: today.
    days : int
        After how many days it is due.
    ground : str
        By which right.

    Raises
    ------
    RequestExistsError
        If there is one of that id.
    UsageError
        If it names nobody and nothing, or what it names is malformed.
    NotFoundError
        If a condition is true for no row that names a subject.
    """
    request_ref(request_id)
    plain = _plain_selector(wanted)
    if not (wanted.subjects or wanted.where) and plain == Selector():
        raise UsageError(
            "the request names nobody and nothing", hint="--subject KEY, --where EXPR, --domain, --digest"
        )
    if kind is not RequestKind.REFUSAL and not (wanted.subjects or wanted.where or plain.digests):
        raise UsageError(f"a {kind} names rows or files", hint="--subject KEY, --where EXPR or --digest HEX")
    with repo.changing():
        if find_request(repo, request_id) is not None or request_id == REGISTER_ID:
            raise RequestExistsError(f"there is a request {request_id} already")
        time = repo.signature().rfc3339()
        received = _date(received_at) if received_at else datetime.date.fromisoformat(time[:10])
        record = RequestRecord(
            request_id=request_id,
            kind=kind,
            received_at=received.isoformat(),
            due=_due(received, days).isoformat(),
            ground=ground.strip(),
            selector=msgspec.structs.replace(plain, subjects=_subjects(repo, wanted)),
        )
        operation = RequestOperation(verb=RequestVerb.ADD, time=time)
        return _request(append_request(repo, record, operation, None))


def _date(text: str) -> datetime.date:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text[:40]!r} is no date", hint="as in 2026-03-31") from error


def _due(received: datetime.date, days: int) -> datetime.date:
    try:
        return received + datetime.timedelta(days=days)
    except OverflowError as error:
        raise UsageError(f"{days} days after {received} is beyond the calendar", hint="--days N") from error


def _plain_selector(wanted: Wanted) -> Selector:
    return Selector(
        domains=tuple(_domain(each) for each in wanted.domains),
        urls=tuple(_url(each) for each in wanted.urls),
        authors=tuple(_author(each) for each in wanted.authors),
        digests=tuple(_digest(each) for each in wanted.digests),
    )


def _domain(text: str) -> str:
    try:
        name = text.strip().strip(".").encode("idna").decode().lower()
    except UnicodeError as error:
        raise UsageError(f"{text[:120]!r} is no domain", hint="as in example.org") from error
    if not _DOMAIN.fullmatch(name):
        raise UsageError(f"{text[:120]!r} is no domain", hint="as in example.org")
    return name


def _url(text: str) -> str:
    try:
        parts = urlsplit(text.strip())
    except ValueError:  # such as brackets around what is no address of IPv6
        parts = None
    if parts is None or not (parts.scheme and parts.netloc):
        raise UsageError(f"{text[:120]!r} is no URL", hint="as in https://example.org/gallery/")
    return text.strip()


def _author(text: str) -> str:
    if not text.strip():
        raise UsageError("an author without a name")
    return " ".join(text.split())


def _digest(text: str) -> bytes:
    digits = text.strip().removeprefix("blake3:")
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise UsageError(f"{text[:120]!r} is no digest", hint="64 hex digits, as b3sum prints them")
    return bytes.fromhex(digits)


def _subjects(repo: Workspace, wanted: Wanted) -> tuple[bytes, ...]:
    if not (wanted.subjects or wanted.where):
        return ()
    from dsvc.table.reading.subject_rows import subject_hashes

    key = make_salt(repo)
    hashes = {hash_ for text in wanted.subjects for hash_ in subject_hashes(key, text)}
    for target, condition in wanted.where:
        hashes |= _subjects_where(repo, key, target, condition)
    return tuple(sorted(hashes))


def _subjects_where(repo: Workspace, key: bytes, target: str, condition: str) -> set[bytes]:
    from dsvc.porcelain.tables.row_indexes import RowIndexes
    from dsvc.porcelain.tables.row_target import find_file, parse_target
    from dsvc.porcelain.tables.table_diff import known_table
    from dsvc.porcelain.tables.table_rules import table_rules
    from dsvc.table.origin.source import NotATableError
    from dsvc.table.query.predicate import matching_rows, parse
    from dsvc.table.reading.subject_rows import NoSubjectColumnError, hashes_of_rows

    predicate = parse(condition)
    entry, worktree = find_file(repo, parse_target(target))
    columns = table_rules(repo).for_path(entry.path).roles.get("subject", ())
    if not columns:
        raise NoSubjectColumnError(
            f"no column of {target} is declared to name its subjects",
            hint='dsvc.toml: [tables."GLOB"] with subject = "COLUMN"',
        )
    table = known_table(repo, entry, worktree=worktree)
    if table is None:
        raise NotATableError(f"{target} is not a table, it has no rows")
    rows = matching_rows(predicate, table.source, table.kind, RowIndexes(repo).get(table))
    found = hashes_of_rows(table.source, table.kind, columns, key, rows.tolist())
    if not found:
        raise NotFoundError(f"no row of {target} for which the condition is true names a subject")
    return found


def find(repo: Workspace, request_id: str, *, progress: Progress | None = None) -> Request:
    """Search everything that is kept for the subject of a request, and record where it is.

    Raises
    ------
    NoSuchRequestError
        If there is no such request.
    RequestSettledError
        If it was refused.
    UsageError
        If it names neither rows nor files.
    NotFoundError
        If the salt is missing.
    """
    from dsvc.porcelain.lineage.subject_search import search

    with repo.changing():
        now = request_head(repo, request_id)
        record = now.record
        if record.state is RequestState.REFUSED:
            raise RequestSettledError(f"request {request_id} was refused: {record.reason}")
        if not record.selector.names_data:
            raise UsageError(f"request {request_id} names neither rows nor files to search for")
        known = known_digests(record)
        found = search(repo, record.selector, known=known, progress=progress)
        time = repo.signature().rfc3339()
        opened = record.state is RequestState.OPEN
        record = msgspec.structs.replace(
            record,
            state=RequestState.FOUND if opened else record.state,
            searched_at=time,
            found=tuple(
                dict.fromkeys([*found.artifacts(), *(each for each in record.found if each.digest in known)])
            ),
            unsearched=tuple(found.unsearched),
        )
        operation = RequestOperation(verb=RequestVerb.FIND, time=time)
        return _request(append_request(repo, record, operation, now.commit, now.chunks))


def known_digests(record: RequestRecord) -> set[bytes]:
    """Digests in which a subject was found when its chunks were chosen: what is gone of them was its own."""
    if record.state not in (RequestState.ERASING, RequestState.ERASED):
        return set()
    return {each.digest for each in record.found if each.reach.is_personal}


def refuse(repo: Workspace, request_id: str, reason: str) -> Request:
    """Refuse a request, with the reason that the person is told.

    Raises
    ------
    NoSuchRequestError, RequestSettledError
        If there is no such request, or it is settled.
    UsageError
        If no reason is given.
    """
    return _end(repo, request_id, reason, RequestVerb.REFUSE, RequestState.REFUSED)


def seal(repo: Workspace, request_id: str, reason: str) -> Request:
    """Seal what a request is about: it is stored and used for nothing, since erasing it is not possible yet.

    Raises
    ------
    NoSuchRequestError, RequestSettledError, UsageError
        As `refuse`.
    """
    return _end(repo, request_id, reason, RequestVerb.SEAL, RequestState.SEALED)


def _end(repo: Workspace, request_id: str, reason: str, verb: RequestVerb, state: RequestState) -> Request:
    if not reason.strip():
        raise UsageError(f"to {verb} a request needs a reason", hint="--reason TEXT")
    with repo.changing():
        now = request_head(repo, request_id)
        if now.record.state.is_settled or now.record.state is RequestState.ERASING:
            raise RequestSettledError(f"request {request_id} is {now.record.state} already")
        record = msgspec.structs.replace(now.record, state=state, reason=reason.strip())
        time = repo.signature().rfc3339()
        operation = RequestOperation(verb=verb, time=time, reason=record.reason)
        return _request(append_request(repo, record, operation, now.commit, now.chunks))


def confirm(repo: Workspace, note: str) -> Request:
    """Record that all refusals received until today are among the requests.

    Raises
    ------
    UsageError
        If it isn't said how that is known.
    """
    if not note.strip():
        raise UsageError("say how it was checked", hint="--note TEXT")
    with repo.changing():
        now = find_request(repo, REGISTER_ID)
        time = repo.signature().rfc3339()
        record = RequestRecord(
            request_id=REGISTER_ID,
            kind=RequestKind.REGISTER,
            received_at=time[:10],
            due=time[:10],
            reason=note.strip(),
        )
        operation = RequestOperation(verb=RequestVerb.CONFIRM, time=time, reason=record.reason)
        return _request(append_request(repo, record, operation, None if now is None else now.commit))


def requests(repo: Workspace) -> list[Request]:
    """Every request as it is now, by id; the register of refusals is no request."""
    return [_request(request_head(repo, id_)) for id_ in request_ids(repo) if id_ != REGISTER_ID]


def register(repo: Workspace) -> Request | None:
    """Return the entry that says when the register of refusals was last confirmed; None: never."""
    found = find_request(repo, REGISTER_ID)
    return None if found is None else _request(found)


def show(repo: Workspace, request_id: str) -> Request:
    """One request with its history.

    Raises
    ------
    NoSuchRequestError
        If there is no such request.
    """
    steps = tuple(
        RequestStepTaken(
            commit=step.commit.id,
            verb=step.operation.verb,
            time=step.operation.time,
            author=f"{step.commit.author.name} <{step.commit.author.email}>",
            reason=step.operation.reason,
        )
        for step in request_history(repo, request_id)
    )
    return msgspec.structs.replace(_request(request_head(repo, request_id)), history=steps)


def _request(head: RequestHead) -> Request:
    return Request(record=head.record, commit=head.commit)
