"""Requests of people as JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.writing.names import path_fields, show_digest, show_line
from dsvc.cli.writing.sizes import pad, show_bytes
from dsvc.model.rights_request import Reach, RequestKind, RequestState

if TYPE_CHECKING:
    from dsvc.model.rights_request import Certificate, FoundArtifact, RequestRecord, Unsearched
    from dsvc.porcelain.requests.erasure import Erasure, ErasurePlan
    from dsvc.porcelain.requests.requests import Request

_SHOWN = 40


def _kinds() -> dict[RequestKind, str]:
    return {
        RequestKind.REFUSAL: _("refusal"),
        RequestKind.WITHDRAWAL: _("withdrawal"),
        RequestKind.DELETION: _("deletion"),
        RequestKind.REGISTER: _("register"),
    }


def _states() -> dict[RequestState, str]:
    return {
        RequestState.OPEN: _("open"),
        RequestState.FOUND: _("found"),
        RequestState.ERASING: _("erasing"),
        RequestState.ERASED: _("erased"),
        RequestState.REFUSED: _("refused"),
        RequestState.SEALED: _("sealed"),
    }


def _reaches() -> dict[Reach, str]:
    return {
        Reach.DIRECT: _("named there"),
        Reach.DERIVED: _("made of such rows"),
        Reach.MIXED: _("made of rows of several people, kept"),
        Reach.UNKNOWN: _("made by a step that doesn't say of which rows"),
    }


def _limits() -> dict[str, str]:
    return {
        "copies": _("clones, backups and copies made before, and files handed out or checked out"),
        "disk": _("what the disk or the file system keeps of deleted files, such as snapshots"),
        "names": _("paths, commit messages, names of branches and tags, recorded command lines"),
        "other-files": _("files without a declared subject column: texts, images, evidence, patches"),
        "hashes": _("ids of erased chunks, so that a short content could be confirmed by guessing it"),
        "mixed": _("rows that were made of rows of several people"),
        "unknown": _("files made by steps that don't say which rows became which"),
        "unsearched": _("versions of tables that could not be searched"),
        "shared": _("chunks that other files need and that were kept by decision"),
    }


def artifact_fields(found: FoundArtifact) -> dict[str, object]:
    """Return where a subject is as JSON."""
    return {
        **path_fields(found.path),
        "digest": show_digest(found.digest),
        "rows": found.rows,
        "reach": found.reach.value,
    }


def _unsearched_fields(each: Unsearched) -> dict[str, object]:
    return {**path_fields(each.path), "digest": show_digest(each.digest), "reason": each.reason}


def _certificate_fields(certificate: Certificate) -> dict[str, object]:
    names = certificate.__struct_fields__
    fields: dict[str, object] = {name: getattr(certificate, name) for name in names}
    return {**fields, "limits": list(certificate.limits)}


def record_fields(record: RequestRecord) -> dict[str, object]:
    """Return the record of a request as JSON; of people only how many hashes there are."""
    chosen = record.selector
    return {
        "request": record.request_id,
        "kind": record.kind.value,
        "state": record.state.value,
        "received_at": record.received_at,
        "due": record.due,
        "ground": record.ground,
        "reason": record.reason,
        "subjects": len(chosen.subjects),
        "domains": list(chosen.domains),
        "urls": list(chosen.urls),
        "authors": list(chosen.authors),
        "digests": [show_digest(digest) for digest in chosen.digests],
        "searched_at": record.searched_at,
        "artifacts": [artifact_fields(each) for each in record.found],
        "unsearched": [_unsearched_fields(each) for each in record.unsearched],
        "certificate": None if record.certificate is None else _certificate_fields(record.certificate),
    }


def request_fields(request: Request) -> dict[str, object]:
    """Return a request as JSON."""
    steps = [
        {
            "commit": str(step.commit),
            "verb": step.verb.value,
            "time": step.time,
            "author": step.author,
            "reason": step.reason,
        }
        for step in request.history
    ]
    return {**record_fields(request.record), "commit": str(request.commit), "history": steps}


def plan_fields(plan: ErasurePlan) -> dict[str, object]:
    """Return the plan of an erasure as JSON."""
    return {
        "request": plan.record.request_id,
        "artifacts": [artifact_fields(each) for each in plan.found],
        "files": [
            {**path_fields(each.entry.path), "rows": each.rows, "reach": each.reach.value}
            for each in plan.live
        ],
        "chunks": plan.chunks,
        "bytes": plan.size,
        "shared": [path_fields(path) for path in plan.shared],
        "refs": list(plan.refs),
        "unsearched": [_unsearched_fields(each) for each in plan.unsearched],
    }


def list_requests(session: Session, requests: list[Request], register: Request | None) -> None:
    """List requests, one a line; of the register when it was confirmed."""
    output = session.output
    for request in requests:
        output.json({**request_fields(request), "type": "request"})
        record = request.record
        state = pad(_states()[record.state], 10)
        kind = pad(_kinds()[record.kind], 12)
        due = _("due {date}").format(date=record.due)
        output.answer(f"{output.style(show_line(record.request_id), 'id')}  {state}{kind}{due}")
    if register is not None:
        output.json({**request_fields(register), "type": "register"})
    if not requests:
        output.line(_("no requests"))
    confirmed = _("the register of refusals was never confirmed to be complete")
    if register is not None:
        date = register.record.received_at
        confirmed = _("the register of refusals was confirmed on {date}").format(date=date)
    output.line(confirmed)


def show_request(session: Session, request: Request) -> None:
    """Show a request with its history."""
    output, record = session.output, request.record
    output.json(request_fields(request))
    output.answer(output.style(show_line(record.request_id), "id"))
    rows = [
        (_("kind"), _kinds()[record.kind]),
        (_("state"), _states()[record.state]),
        (_("received"), record.received_at),
        (_("due"), record.due),
        (_("ground"), record.ground),
        (_("reason"), record.reason or ""),
        (_("searched"), record.searched_at or ""),
    ]
    for name, value in rows:
        if value:
            output.answer(f"  {pad(name, 12)}{show_line(value)}")
    for each in (*record.selector.domains, *record.selector.urls, *record.selector.authors):
        output.answer(f"  {show_line(each)}")
    show_found(session, record)
    if record.certificate is not None:
        _show_certificate(session, record.certificate)
    for step in request.history:
        output.answer(f"  {step.time}  {step.verb}  {show_line(step.author)}")


def show_found(session: Session, record: RequestRecord) -> None:
    """Show where the subject of a request was found."""
    _show_artifacts(session, record.found)
    _show_unsearched(session, record.unsearched)


def _show_artifacts(session: Session, found: tuple[FoundArtifact, ...]) -> None:
    output = session.output
    for each in found[:_SHOWN]:
        rows = _("all of it") if each.rows is None else ngettext("{n} row", "{n} rows", each.rows)
        place = f"{session.name(each.path)}@{each.digest.hex()[:12]}"
        output.answer(f"  {place}  {rows}, {_reaches()[each.reach]}")
    if len(found) > _SHOWN:
        more = len(found) - _SHOWN
        output.line("  " + ngettext("and {n} more version", "and {n} more versions", more))


def _show_unsearched(session: Session, unsearched: tuple[Unsearched, ...]) -> None:
    for each in unsearched[:_SHOWN]:
        session.output.warning(
            _("{path} could not be searched: {reason}").format(
                path=session.name(each.path), reason=show_line(each.reason)
            )
        )
    if len(unsearched) > _SHOWN:
        more = len(unsearched) - _SHOWN
        session.output.warning(ngettext("and {n} more version", "and {n} more versions", more))


def _show_certificate(session: Session, certificate: Certificate) -> None:
    output = session.output
    chunks = ngettext("{n} chunk", "{n} chunks", certificate.chunks)
    output.answer(
        _("  erased {time} by {who}: {chunks}, {size}").format(
            time=certificate.time,
            who=show_line(certificate.approver),
            chunks=chunks,
            size=show_bytes(certificate.bytes),
        )
    )
    read = ngettext("{n} stored object", "{n} stored objects", certificate.objects_read)
    tables = ngettext("{n} table", "{n} tables", certificate.tables_read)
    output.answer(
        _("  proof: {objects} read and {tables} searched, none of it found").format(
            objects=read, tables=tables
        )
    )
    output.line(_("  not reached:"))
    for name in certificate.limits:
        output.line(f"    {_limits().get(name, name)}")


def show_plan(session: Session, plan: ErasurePlan) -> None:
    """Show what an erasure would do."""
    output = session.output
    output.json({**plan_fields(plan), "done": False})
    _show_artifacts(session, plan.found)
    _show_unsearched(session, plan.unsearched)
    for each in plan.live:
        name = session.name(each.entry.path)
        if each.rows is None:
            output.answer(_("a new version without {path}").format(path=name))
        else:
            rows = ngettext("{n} row", "{n} rows", each.rows)
            output.answer(_("a new version of {path} without {rows}").format(path=name, rows=rows))
    chunks = ngettext("{n} chunk", "{n} chunks", plan.chunks)
    output.answer(
        _("at most {chunks} to erase for good, {size}; old versions can't be read in these places").format(
            chunks=chunks, size=show_bytes(plan.size)
        )
    )
    for ref in plan.refs:
        output.warning(_("{ref} keeps old versions that can't be read then").format(ref=show_line(ref)))
    for path in plan.shared:
        output.warning(_("{path} needs some of these chunks").format(path=session.name(path)))


def show_erasure(session: Session, done: Erasure) -> None:
    """Show what an erasure did."""
    output = session.output
    output.json(
        {
            **plan_fields(done.plan),
            "done": True,
            "commit": done.commit,
            **_after(done),
            "changed": done.changed,
        }
    )
    if not done.changed:
        output.line(_("nothing is left to erase"))
    elif done.commit is not None:
        output.line(_("committed {commit} without these rows").format(commit=done.commit[:12]))
    if done.record.certificate is not None:
        _show_certificate(session, done.record.certificate)


def _after(done: Erasure) -> dict[str, object]:
    certificate = done.record.certificate
    return {
        "state": done.record.state.value,
        "certificate": None if certificate is None else _certificate_fields(certificate),
    }
