"""Sources as JSON and for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from dsvc.cli.frame.session import Session
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.terminal.output import Style
from dsvc.cli.versions.changes import list_skipped, skipped_fields
from dsvc.cli.writing.names import path_fields, show_digest, show_line
from dsvc.cli.writing.plain_table import column_lines, padded
from dsvc.cli.writing.sizes import shorten, show_bytes
from dsvc.model.source_record import Status

if TYPE_CHECKING:
    from dsvc.model.source_record import Evidence, SourceRecord
    from dsvc.porcelain.sources.source_groups import SourceGroup
    from dsvc.porcelain.sources.sources import Source, SourceStep

_TITLE_CELLS = 40


def evidence_fields(evidence: Evidence) -> dict[str, object]:
    """Return evidence as JSON."""
    path: dict[str, str] | dict[str, None] = (
        {"path": None} if evidence.path is None else path_fields(evidence.path)
    )
    return {
        "type": evidence.type,
        "name": evidence.name,
        "digest": show_digest(evidence.digest),
        "size": evidence.size,
        "valid_from": evidence.valid_from,
        "valid_to": evidence.valid_to,
        "facts": dict(evidence.facts),
        **path,
    }


def record_fields(record: SourceRecord) -> dict[str, object]:
    """Return the record of a source as JSON."""
    return {
        "source_id": record.source_id,
        "title": record.title,
        "acquisition": record.acquisition,
        "legal_basis": record.legal_basis,
        "license_expression": record.license_expression,
        "status": record.status,
        "reason": record.reason,
        "in_force": record.in_force,
        "ongoing": record.ongoing,
        "covers": [{**path_fields(each.path), "where": each.where} for each in record.covers],
        "evidence": [evidence_fields(each) for each in record.evidence],
        "fields": dict(record.fields),
        "undetermined": list(record.undetermined),
        "attested_at": record.attested_at,
        "discovered": dict(record.discovered),
    }


def source_fields(source: Source) -> dict[str, object]:
    """Return a source as JSON."""
    return {
        **record_fields(source.record),
        "commit": source.commit,
        "files": source.files,
        "bytes": source.bytes,
        "records": source.records,
        "missing_evidence": [list(group) for group in source.missing_evidence],
        "skipped": skipped_fields(source.skipped),
        "changed": source.changed,
        "history": [_step_fields(step) for step in source.history],
    }


def _step_fields(step: SourceStep) -> dict[str, object]:
    return {
        "commit": step.commit,
        "verb": step.verb,
        "date": step.time,
        "author": step.author,
        "changed": list(step.changed),
        "reason": step.reason,
    }


def show_status(status: Status) -> str:
    """Return what may be done with a source, in one word."""
    words = {
        Status.ACTIVE: _("in force"),
        Status.BLACKLISTED: _("blacklisted"),
        Status.WITHDRAWN: _("withdrawn"),
    }
    return words[status]


def missing_text(source: Source) -> str:
    """Return which kinds of evidence are missing; of a group, one is enough."""
    return _(", ").join(_(" or ").join(group) for group in source.missing_evidence)


def report_changed(session: Session, source: Source, headline: str) -> None:
    """Say what was recorded, and what the source still lacks."""
    output = session.output
    output.json(source_fields(source))
    output.line(headline)
    list_skipped(session, source.skipped)
    if source.missing_evidence and source.record.in_force:
        output.warning(
            _("{kind} needs evidence that is not there yet: {types}").format(
                kind=source.record.acquisition, types=missing_text(source)
            )
        )
        session.advise(
            "next",
            _("add it: dsvc source set {id} --evidence {type}=FILE").format(
                id=source.record.source_id, type=source.missing_evidence[0][0]
            ),
        )


def show_size(source: Source) -> str:
    """Return how much a source attests."""
    parts = [ngettext("{n} file", "{n} files", source.files), show_bytes(source.bytes)]
    if source.records is not None:
        parts.insert(1, ngettext("{n} row", "{n} rows", source.records))
    return _(", ").join(parts)


def list_groups(session: Session, groups: list[SourceGroup]) -> None:
    """List groups of sources, one on a line, with what they attest."""
    rows = [
        (
            _("(not said)") if group.value is None else shorten(show_line(group.value), _TITLE_CELLS),
            ngettext("{n} source", "{n} sources", group.sources),
            ngettext("{n} file", "{n} files", group.files),
            ngettext("{n} row", "{n} rows", group.rows),
            show_bytes(group.bytes),
        )
        for group in groups
    ]
    for group, line in zip(groups, column_lines(rows), strict=True):
        session.output.json(msgspec.structs.asdict(group))
        session.output.answer(line)
    if not groups:
        session.output.line(_("no sources yet"))


def list_sources(session: Session, sources: list[Source]) -> None:
    """List sources, one on a line."""
    rows = [
        (
            source.record.source_id,
            show_status(source.record.status),
            source.record.acquisition.value,
            shorten(source.record.license_expression, _TITLE_CELLS),
            ngettext("{n} file", "{n} files", source.files),
            shorten(show_line(source.record.title), _TITLE_CELLS),
        )
        for source in sources
    ]
    output = session.output
    for source, (id_, status, *rest) in zip(sources, padded(rows), strict=True):
        output.json(source_fields(source))
        style: Style = "green" if source.record.in_force else "red"
        line = "  ".join([output.style(id_, "bold"), output.style(status, style), *rest])
        output.answer(line.rstrip())
    if not sources:
        output.line(_("no sources yet"))
        session.advise(
            "next", _("record one: dsvc source add ID --path PATH …, or see dsvc source template KIND")
        )


def show_source(session: Session, source: Source) -> None:
    """Show one source: its record, stage, evidence and history."""
    from dsvc.porcelain.lineage.stages import source_stage

    output = session.output
    known = source_stage(session.repository(), source.record.source_id)
    stage = None if known is None else known.stage.value
    output.json({**source_fields(source), "stage": stage})
    record = source.record
    output.answer(output.style(f"{record.source_id}  {show_line(record.title)}", "bold"))
    why = f"{_(': ')}{show_line(record.reason)}" if record.reason else ""
    lines = [
        (_("status"), f"{show_status(record.status)}{why}"),
        (_("stage"), stage or ""),
        ("acquisition", record.acquisition.value),
        ("legal_basis", record.legal_basis.value),
        ("license_expression", record.license_expression),
        *((name, _value(value)) for name, value in record.fields.items()),
        *((name, _("undetermined: two values met")) for name in record.undetermined),
    ]
    if record.ongoing:
        lines.append(("ongoing", "yes"))
    for each in record.covers:
        where = f"  {_('where')} {show_line(each.where)}" if each.where else ""
        lines.append((_("covers"), f"{session.name(each.path)}{where}"))
    lines.append((_("attests"), show_size(source)))
    lines += [(_("found there"), text) for text in _discovered(record)]
    lines += [(_("evidence"), _evidence(each)) for each in record.evidence]
    if source.missing_evidence:
        lines.append((_("missing evidence"), missing_text(source)))
    for line in column_lines(lines):
        output.answer("  " + line)
    output.answer()
    for step in source.history:
        changed = show_line(step.reason or _(", ").join(step.changed))
        when = step.time.replace("T", " ")
        person = show_line(step.author.partition(" <")[0])
        output.answer(f"  {output.style(step.commit[:8], 'id')}  {when}  {person}  {step.verb}  {changed}")


def _discovered(record: SourceRecord) -> list[str]:
    """Return what was found out about the attested files, formats and encodings by number."""
    found = record.discovered
    lines = []
    for group in ("format", "encoding"):
        counts = {
            name.partition(".")[2]: int(count)
            for name, count in found.items()
            if name.startswith(f"{group}.")
        }
        names = sorted(counts, key=lambda name: (-counts[name], name))
        lines.append(_(", ").join(f"{show_line(name)} {counts[name]}" for name in names))
    columns = [name.partition(".")[2] for name in found if name.startswith("column.")]
    if columns:
        text = ngettext("{n} column", "{n} columns", int(found["columns"]))
        lines.append(f"{text}{_(': ')}{shorten(show_line(_(', ').join(columns)), 2 * _TITLE_CELLS)}")
    return [line for line in lines if line]


def _value(value: object) -> str:
    if isinstance(value, list):
        return show_line(_(", ").join(map(str, value)))
    if isinstance(value, Mapping):
        return show_line(_(", ").join(f"{part}={inner}" for part, inner in value.items()))
    return show_line(str(value))


def _evidence(evidence: Evidence) -> str:
    words = [f"{evidence.type}  {show_line(evidence.name)}  {evidence.digest.hex()[:12]}"]
    if evidence.valid_from or evidence.valid_to:
        words.append(f"{evidence.valid_from or ''}..{evidence.valid_to or ''}")
    words += [f"{name}={show_line(fact)}" for name, fact in evidence.facts.items()]
    return "  ".join(words)
