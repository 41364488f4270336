"""What a pilot evaluation says: who measured what with which outcome, and which records it speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.errors import MalformedInputError

FORMAT: Final = 1

Scalar = str | int | float | bool | None
"""A value of a key, as JSON has it."""


class PilotKind(StrEnum):
    """What was tried out: training, fine-tuning, or inference with the data."""

    TRAINING = "training"
    FINETUNING = "finetuning"
    INFERENCE = "inference"


class DefectSeverity(StrEnum):
    """How bad it is; a P1 blocks a release."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class Support(StrEnum):
    """How a metric stands to the samples: computed again from them, or without any to show it."""

    RECOMPUTED = "recomputed"
    UNSUPPORTED = "unsupported"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A measured value.

    Attributes
    ----------
    name : str
    value : float
    n : int or None
        Samples that it is over.
    unit : str or None
    stderr : float or None
        Standard error, as the tool states it.
    higher_is_better : bool or None
        None where nothing says.
    task : str or None
        Part of the suite, where it has several.
    slice : str or None
        Part of the samples, where it isn't over all of them.
    support : Support
        Set by the import, not by readers of files.
    """

    name: str
    value: float
    n: int | None = None
    unit: str | None = None
    stderr: float | None = None
    higher_is_better: bool | None = None
    task: str | None = None
    slice: str | None = None
    support: Support = Support.UNSUPPORTED


class EvaluationRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a result file says of the evaluation as a whole; None and empty where it doesn't.

    Attributes
    ----------
    tool, tool_version : str
    run_id : str or None
        Id that the tool gave.
    created : str or None
        RFC 3339, as far as the file allows.
    model, suite : str or None
    kind : PilotKind or None
    seed, split : str or None
    eval_set : str or None
        ``REV:PATH`` of the evaluation set.
    data_commit : str or None
        Version of the data that the file names itself.
    evaluated : str or None
        ``all``, ``listed``, or a condition on rows (``where``).
    where : str or None
        That condition, with `evaluated` ``where``.
    outcome : str or None
        ``passed`` or ``failed``, where the tool judges the whole.
    extra : mapping of str to str
        Other keys of the run level, values as JSON.
    """

    tool: str
    tool_version: str = ""
    run_id: str | None = None
    created: str | None = None
    model: str | None = None
    suite: str | None = None
    kind: PilotKind | None = None
    seed: str | None = None
    split: str | None = None
    eval_set: str | None = None
    data_commit: str | None = None
    evaluated: str | None = None
    where: str | None = None
    outcome: str | None = None
    extra: Mapping[str, str] = {}


class Selector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which records a sample speaks of; of the ways below one, besides `path`.

    Attributes
    ----------
    path : bytes or None
        File in the working tree; None: the subject, if that is one table.
    row : mapping of str to Scalar, or None
        Key columns and their values.
    position : int or None
        0-based number of the record.
    where : str or None
        Condition on rows, in the grammar of `dsvc.table.query.predicate`.
    row_hash : str or None
        ``blake3:HEX`` over the row (docs/format.md).
    doc : str or None
        ``sha256:HEX`` over the row as lm-evaluation-harness writes it.
    column : str or None
        A column as a whole, where the tool speaks of no rows.
    ref : str or None
        ``COMMIT:PATH#KEY``, as dsvc wrote it into samples that were given to the tool.
    """

    path: bytes | None = None
    row: Mapping[str, Scalar] | None = None
    position: int | None = None
    where: str | None = None
    row_hash: str | None = None
    doc: str | None = None
    column: str | None = None
    ref: str | None = None

    @property
    def selects(self) -> bool:
        """Whether it names records in any way."""
        ways = (self.row, self.position, self.where, self.row_hash, self.doc, self.column, self.ref)
        return any(each is not None for each in ways)


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record that was evaluated, or an observation on records.

    Attributes
    ----------
    pointer : str
        Where it stands in the result file: ``line 7``, or a JSON pointer.
    sample_id : str
        Names it in another evaluation by the same suite too; empty where nothing does.
    selector : Selector
    passed : bool or None
        True: nothing is wrong with it. False: an observation. None: the tool doesn't judge it by itself.
    scores : mapping of str to float
        Value of each metric for it.
    task : str or None
        Part of the suite.
    symptom : str or None
        What is wrong, in a word that is the same for the same thing: ``wrong-label``.
    severity : DefectSeverity or None
    slice, explanation, evidence : str or None
    """

    pointer: str
    selector: Selector = Selector()
    sample_id: str = ""
    passed: bool | None = None
    scores: Mapping[str, float] = {}
    task: str | None = None
    symptom: str | None = None
    severity: DefectSeverity | None = None
    slice: str | None = None
    explanation: str | None = None
    evidence: str | None = None


def check_format(found: int, what: str) -> None:
    """Refuse a record of another format.

    Raises
    ------
    MalformedInputError
        If it is not of this format.
    """
    if found != FORMAT:
        raise MalformedInputError(f"{what} of format {found}; this dsvc reads {FORMAT}")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What was evaluated.

    Attributes
    ----------
    target : str
        ``COMMIT:PATH``: names the same whatever is committed later.
    commit : str
        Version, in hex.
    manifest : str
        Root of its manifest, in hex.
    path : bytes
        File or folder; empty: the whole version.
    digest : bytes
        BLAKE3-256 of the file, or of the folder's listing.
    folder : bool
    """

    target: str
    commit: str
    manifest: str
    path: bytes
    digest: bytes
    folder: bool = False


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An observation whose rows were found, once and for all.

    Attributes
    ----------
    pointer : str
        Where it stands in the result file.
    path, digest : bytes
        Artifact that the rows are of.
    folder : bool
    positions : tuple of int
        Numbers of the rows.
    keys : tuple of mapping
        For each row its key columns and their values; empty without a key.
    row_hashes : tuple of bytes
        For each row BLAKE3-256 over its canonical JSON, keyed with the repository's salt.
    symptom : str
    severity : DefectSeverity
    selector : Selector
        As the file had it.
    scores, task, slice, explanation, evidence
        As in `Sample`.
    """

    pointer: str
    path: bytes
    digest: bytes
    positions: tuple[int, ...]
    symptom: str
    severity: DefectSeverity
    selector: Selector
    folder: bool = False
    keys: tuple[Mapping[str, Scalar], ...] = ()
    row_hashes: tuple[bytes, ...] = ()
    scores: Mapping[str, float] = {}
    task: str | None = None
    slice: str | None = None
    explanation: str | None = None
    evidence: str | None = None


class Unresolved(msgspec.Struct, frozen=True, kw_only=True):
    """An observation or sample whose rows could not be found, and why."""

    pointer: str
    reason: str
    selector: Selector
    symptom: str | None = None
    severity: DefectSeverity | None = None
    evidence: str | None = None


class EvaluatedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of an artifact that were evaluated: by `dsvc.lineage.row_set`; None: all of them."""

    path: bytes
    digest: bytes
    rows: bytes | None
    count: int
    folder: bool = False


class FeedbackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an evaluation, beside its file, observations and scores.

    Attributes
    ----------
    subject : Subject
    run : EvaluationRun
    suite, model : str or None
        As the import was told, else as the file says.
    importer : str
        Which reader read the file.
    evidence : str
        Name of the file.
    evidence_digest : bytes
        BLAKE3-256 of its bytes.
    metrics : tuple of Metric
    evaluated : tuple of EvaluatedRows
        By artifact; empty where nothing says which rows were looked at.
    samples, passed, observations, resolved_rows, unresolved : int
    outcome : str
        ``passed``, ``failed`` or ``unknown``.
    imported_at, by : str
        Of the commit; see `dsvc.model.feedback_codec`.
    """

    subject: Subject
    run: EvaluationRun
    suite: str
    model: str | None
    importer: str
    evidence: str
    evidence_digest: bytes
    metrics: tuple[Metric, ...]
    evaluated: tuple[EvaluatedRows, ...]
    samples: int
    passed: int
    observations: int
    resolved_rows: int
    unresolved: int
    imported_at: str
    by: str
    outcome: str = "unknown"
    format: int = FORMAT
