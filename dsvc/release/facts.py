"""What a release says: one value, from which all its documents are made.

It is encoded canonically and kept with the release, so that anybody can make the documents again and compare.
Times, names and judgements come in from outside; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.defect import DefectStatus
from dsvc.model.feedback import DefectSeverity, Metric, PilotKind
from dsvc.model.run_record import RunKind
from dsvc.model.source_record import Acquisition, LegalBasis, Status
from dsvc.model.table_kind import Compression, TableFormat
from dsvc.policy.notices import Notice
from dsvc.release.drop_accounting import DropAccounting
from dsvc.release.mixture import Mixture
from dsvc.release.quality_gain import MetricChange
from dsvc.release.verdict_facts import Verdict

FORMAT: Final = 1


class FileKind(StrEnum):
    """What a file holds."""

    BINARY = "binary"
    TEXT = "text"
    IMAGE = "image"
    TABLE = "table"


class DefectStanding(StrEnum):
    """How a defect stands to a release."""

    OPEN = "open"
    WAIVED = "waived"
    CLOSED = "closed"


class ChangeKind(StrEnum):
    """What became of a file since the release before."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    RENAMED = "renamed"


class Column(msgspec.Struct, frozen=True):
    """A column of a table: name, and type as dsvc writes it."""

    name: str
    type: str


class ReleasedTable(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file that is a table.

    Attributes
    ----------
    format : TableFormat
    compression : Compression
        Around the file as a whole.
    rows : int or None
        None where they could not be counted.
    columns : tuple of Column
        Empty where they are not known.
    plain : bool
        Whether it is what readers expect of its format: UTF-8, of CSV commas and one line of names.
    """

    format: TableFormat
    compression: Compression = Compression.NONE
    rows: int | None = None
    columns: tuple[Column, ...] = ()
    plain: bool = True


class ReleasedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is given out.

    Attributes
    ----------
    path : bytes
    size : int
    blake3 : str
        BLAKE3-256 of its bytes, in hex.
    xxh3 : str
        XXH3-128, in hex.
    kind : FileKind
    sha256 : str or None
        In hex; readers of Croissant check it. None: not worked out.
    table : ReleasedTable or None
    """

    path: bytes
    size: int
    blake3: str
    xxh3: str
    kind: FileKind
    sha256: str | None = None
    table: ReleasedTable | None = None

    @property
    def rows(self) -> int | None:
        """Rows, where it is a table whose rows could be counted."""
        return None if self.table is None else self.table.rows


class RunArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that a run read or made.

    Attributes
    ----------
    path : bytes
    digest : str
        BLAKE3-256 of a file's bytes, of a folder's listing; in hex.
    folder : bool
    records : int or None
        Rows of a table, files of a folder.
    """

    path: bytes
    digest: str
    folder: bool = False
    records: int | None = None


class ReleasedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that the data come from.

    Attributes
    ----------
    id : str
        In hex.
    name : str
    kind : RunKind
    inputs, outputs : tuple of RunArtifact
    command : tuple of str
        Words; empty for what a person or another tool did.
    manual : str or None
        What that was.
    parameters, facts : mapping of str to str
    code : str
        Digest of its code, in hex.
    started_at, ended_at : str
        RFC 3339.
    rows : mapping of str to int
        By fate, as `dsvc.model.run_record.Run.rows`.
    complete, rowwise : bool
    """

    id: str
    name: str
    kind: RunKind
    inputs: tuple[RunArtifact, ...] = ()
    outputs: tuple[RunArtifact, ...] = ()
    command: tuple[str, ...] = ()
    manual: str | None = None
    parameters: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}
    code: str = ""
    started_at: str = ""
    ended_at: str = ""
    rows: Mapping[str, int] = {}
    complete: bool = True
    rowwise: bool = False


class ReleasedSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source that the data come from.

    Attributes
    ----------
    id, title : str
    licence : str
        SPDX, or ``undetermined``.
    acquisition : Acquisition
    legal_basis : LegalBasis
    digest : str
        Of its record, in hex.
    status : Status
        By the newest that is known.
    reason : str or None
        Why it is withdrawn or blacklisted.
    stated : mapping of str to (str or tuple of str)
        Other fields of its record by name: who owns it, when it was collected, in which languages it is.
    """

    id: str
    title: str
    licence: str
    acquisition: Acquisition
    legal_basis: LegalBasis
    digest: str
    status: Status = Status.ACTIVE
    reason: str | None = None
    stated: Mapping[str, str | tuple[str, ...]] = {}

    def texts(self, field: str) -> tuple[str, ...]:
        """Values that it states for a field; none where it states nothing."""
        value = self.stated.get(field, ())
        return (value,) if isinstance(value, str) else value


class LineageClosure(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the data come from.

    Attributes
    ----------
    digest : str
        Root of the lineage of the commit, in hex.
    complete : bool
        Whether every way back ends in a source in force.
    runs : tuple of ReleasedRun
    sources : tuple of ReleasedSource
    """

    digest: str
    complete: bool
    runs: tuple[ReleasedRun, ...] = ()
    sources: tuple[ReleasedSource, ...] = ()


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation of the data.

    Attributes
    ----------
    feedback : str
        Its id.
    suite, model, tool : str
    kind : PilotKind or None
    created : str or None
        RFC 3339.
    outcome : str or None
        ``passed`` or ``failed``; anything else: the tool doesn't judge the whole.
    metrics : tuple of Metric
    """

    feedback: str
    suite: str
    model: str = ""
    tool: str = ""
    kind: PilotKind | None = None
    created: str | None = None
    outcome: str | None = None
    metrics: tuple[Metric, ...] = ()


class KnownDefect(msgspec.Struct, frozen=True, kw_only=True):
    """A defect that is open, was waived, or was closed since the release before.

    Attributes
    ----------
    id : str
    standing : DefectStanding
    status : DefectStatus
    severity : DefectSeverity
    path : bytes
    symptom : str
    rows : int
    waiver : str or None
        Id of the waiver that lets it stand.
    """

    id: str
    standing: DefectStanding
    status: DefectStatus
    severity: DefectSeverity
    path: bytes
    symptom: str
    rows: int
    waiver: str | None = None


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """What changed of a file since the release before; rows where they could be compared."""

    path: bytes
    change: ChangeKind
    rows_added: int | None = None
    rows_removed: int | None = None
    rows_changed: int | None = None


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """What changed since the release before.

    Attributes
    ----------
    release, commit : str
    manifest : str
        Root of its files, in hex.
    files : tuple of FileChange
    metrics : tuple of MetricChange
    """

    release: str
    commit: str
    manifest: str
    files: tuple[FileChange, ...] = ()
    metrics: tuple[MetricChange, ...] = ()


class ReleaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a release says.

    Attributes
    ----------
    name : str
    commit : str
    manifest : str
        Root of the commit's files, in hex.
    created_at : str
        RFC 3339 with Z.
    author : str
        ``Name <email>``.
    files : tuple of ReleasedFile
    verdict : Verdict
    lineage : LineageClosure
    licence : str
        SPDX expression over all sources, or ``undetermined``.
    title, description, notes : str
        As the author writes them; may be empty.
    contact : str or None
        Who answers; else the author.
    url : str or None
        Where the release can be found.
    paths : tuple of bytes
        What was selected; empty: everything.
    evaluations, defects : tuple
    drops : DropAccounting
    mixture : Mixture
    notices : tuple of Notice
        What must be said of sources.
    since : Since or None
        None for the first release.
    """

    name: str
    commit: str
    manifest: str
    created_at: str
    author: str
    files: tuple[ReleasedFile, ...]
    verdict: Verdict
    lineage: LineageClosure
    licence: str
    format: int = FORMAT
    title: str = ""
    description: str = ""
    notes: str = ""
    contact: str | None = None
    url: str | None = None
    paths: tuple[bytes, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    defects: tuple[KnownDefect, ...] = ()
    drops: DropAccounting = DropAccounting()
    mixture: Mixture = Mixture()
    notices: tuple[Notice, ...] = ()
    since: Since | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files)

    @property
    def rows(self) -> int:
        """Rows of all tables whose rows could be counted."""
        return sum(each.rows or 0 for each in self.files)
