"""Parts of a release's facts made of the records that dsvc keeps: entries of files, runs, sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from dsvc.lineage.license_text import check_license
from dsvc.lineage.source_fields import UNDETERMINED
from dsvc.model.manifest import Entry, Kind
from dsvc.model.run_record import Artifact, Run, RunId
from dsvc.model.source_record import SourceRecord, Status, Value
from dsvc.release.facts import (
    FileKind,
    ReleasedFile,
    ReleasedRun,
    ReleasedSource,
    ReleasedTable,
    RunArtifact,
)

_KINDS: Final = {
    Kind.BINARY: FileKind.BINARY,
    Kind.TEXT: FileKind.TEXT,
    Kind.IMAGE: FileKind.IMAGE,
    Kind.TABLE: FileKind.TABLE,
}


def file_fact(entry: Entry, *, sha256: str | None = None, table: ReleasedTable | None = None) -> ReleasedFile:
    """Say of a file what its entry says.

    Parameters
    ----------
    sha256 : str or None
        Of its bytes, in hex, where it was worked out.
    table : ReleasedTable or None
        What is known of it as a table.
    """
    return ReleasedFile(
        path=entry.path,
        size=entry.size,
        blake3=entry.digest.hex(),
        xxh3=entry.xxh3.hex(),
        kind=_KINDS[Kind(entry.kind)],
        sha256=sha256,
        table=table,
    )


def run_fact(id_: RunId, run: Run) -> ReleasedRun:
    """Say of a run what its record says; who ran it and on which machine stays in the record."""
    return ReleasedRun(
        id=id_.hex(),
        name=run.name,
        kind=run.kind,
        inputs=tuple(map(_artifact, run.inputs)),
        outputs=tuple(map(_artifact, run.outputs)),
        command=run.command,
        manual=run.manual,
        parameters=run.parameters,
        facts=run.facts,
        code=run.code.digest.hex(),
        started_at=run.started_at,
        ended_at=run.ended_at,
        rows=run.rows,
        complete=run.complete,
        rowwise=run.rowwise,
    )


def _artifact(artifact: Artifact) -> RunArtifact:
    return RunArtifact(
        path=artifact.path,
        digest=artifact.digest.hex(),
        folder=artifact.folder,
        records=artifact.records,
    )


def source_fact(record: SourceRecord, digest: str, *, now: SourceRecord | None = None) -> ReleasedSource:
    """Say of a source what its record says.

    Parameters
    ----------
    record : SourceRecord
        As the commit pinned it.
    digest : str
        Root of its tree, in hex.
    now : SourceRecord or None
        The newest that is known: withdrawn and blacklisted count from there too.
    """
    worst = now if now is not None and now.status is not Status.ACTIVE else record
    return ReleasedSource(
        id=record.source_id,
        title=record.title,
        licence=record.license_expression,
        acquisition=record.acquisition,
        legal_basis=record.legal_basis,
        digest=digest,
        status=worst.status,
        reason=worst.reason,
        stated={name: _stated(value) for name, value in record.fields.items() if _stated(value)},
    )


def _stated(value: Value) -> str | tuple[str, ...]:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return tuple(f"{name}: {each}" for name, each in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(str(each) for each in value)
    return str(value)


def licence_of_all(expressions: Iterable[str]) -> str:
    """Join licences that hold together into one expression; of one that is undetermined, all is.

    Raises
    ------
    LicenseExpressionError
        If one can't be parsed.
    """
    found = sorted({check_license(each) for each in expressions})
    if not found or UNDETERMINED in found:
        return UNDETERMINED
    return check_license(" AND ".join(f"({each})" for each in found))
