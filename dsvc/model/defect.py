"""A defect: bad rows that an evaluation found, as a chain of operations; its state is compiled from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.feedback import DefectSeverity, check_format
from dsvc.model.paths import check_structure
from dsvc.model.record_bounds import check_commits, check_numbers

FORMAT: Final = 1
_ID: Final = re.compile(r"d-[0-9a-f]{8,64}")
_MAX_TEXT: Final = 64 * 1024


class DefectStatus(StrEnum):
    """How far a defect has come."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REPAIRING = "repairing"
    VERIFIED = "verified"
    REJECTED = "rejected"
    REOPENED = "reopened"

    @property
    def is_open(self) -> bool:
        """Whether something remains to be done."""
        return self not in (DefectStatus.VERIFIED, DefectStatus.REJECTED)


class DefectVerb(StrEnum):
    """What was done to a defect."""

    OPEN = "open"
    EXTEND = "extend"
    CONFIRM = "confirm"
    REJECT = "reject"
    GRADE = "grade"
    ASSIGN = "assign"
    COMMENT = "comment"
    SPLIT = "split"
    JOIN = "join"
    REPAIR = "repair"
    RETURN = "return"
    VERIFY = "verify"
    REOPEN = "reopen"
    MERGE = "merge"


class CauseKind(StrEnum):
    """What can have caused bad rows, in the order in which one name is chosen for the same rows."""

    SOURCE = "source"
    RUN = "run"
    ARTIFACT = "artifact"
    PARAM = "param"
    BATCH = "batch"
    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    RULES = "rules"
    COLUMN = "column"


class Denominator(StrEnum):
    """Against which rows a cause was counted: those that were evaluated, or all others of the subject."""

    STATED = "stated"
    ASSUMED = "assumed"


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate cause, and how its rows fare.

    Attributes
    ----------
    kind : CauseKind
    id : str
        Id of the source or run, path of the artifact, ``NAME=VALUE`` of a parameter or column.
    aliases : tuple of str
        Other candidates of exactly the same rows, as ``KIND ID``.
    bad, total : int
        Flagged rows, and evaluated rows, that it covers.
    lift, lift_low, lift_high : float
        Bad share of its rows over that of all, with a 95% interval.
    p_value, log10_p : float
        Fisher's exact test, one-sided; its decimal logarithm, which does not underflow.
    p_adjusted : float
        By Holm, over all candidates.
    p_conditional : float or None
        The least favourable retest, stratified by causes that were taken before; None: there was none.
    explained_by : str or None
        The cause, as ``KIND ID``, that leaves nothing to explain.
    is_cause : bool
    denominator : Denominator
    excess : float
        Flagged rows beyond what chance would give.
    coverage : float
        Share of the flagged rows.
    """

    kind: CauseKind
    id: str
    bad: int
    total: int
    lift: float
    lift_low: float
    lift_high: float
    p_value: float
    log10_p: float
    p_adjusted: float
    aliases: tuple[str, ...] = ()
    p_conditional: float | None = None
    explained_by: str | None = None
    is_cause: bool = False
    denominator: Denominator = Denominator.STATED
    excess: float = 0.0
    coverage: float = 0.0


class FlaggedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Bad rows of one artifact at one content.

    Attributes
    ----------
    path, digest : bytes
        File, and BLAKE3-256 of its bytes; of a folder whose files are the rows, of its listing.
    folder : bool
    rows : bytes
        Numbers of the rows, by `dsvc.lineage.row_set`.
    count : int
        How many they are.
    """

    path: bytes
    digest: bytes
    rows: bytes
    count: int
    folder: bool = False


class DefectOperation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation on a defect; which fields it has depends on the verb.

    Attributes
    ----------
    verb : DefectVerb
    clock : int
        One more than the highest of the operations that it follows: the order between two copies.
    at : str
        When, RFC 3339 with Z; shown, never used for the order.
    by : str
        ``Name <email>``.
    reason : str or None
        Of reject, reopen, return, grade; the text of a comment.
    feedback : str or None
        Evaluation that it follows from.
    feedbacks : tuple of str
        Of join, and of open after a split: the evaluations that the rows are from.
    path, symptom : bytes, str, or None
        Of open: the artifact, and what is wrong.
    severity : DefectSeverity or None
        Of open, extend, grade.
    rows : tuple of FlaggedRows
        Of open, extend, join, reopen: what they add; of split: what goes to the other defect. A join without
        rows is that of the defect which went into the other.
    repair, commit : str or None
        Of repair, verify, return: the repair, and its commit; of reopen: the version that has the old rows.
    others : tuple of str
        Of split and join: the other defects; of open: the one that it was split from.
    to, due : str or None
        Of assign; ``YYYY-MM-DD``.
    metrics : mapping of str to (float or None, float or None)
        Of verify and return: values before and after.
    """

    verb: DefectVerb
    clock: int
    at: str
    by: str
    format: int = FORMAT
    reason: str | None = None
    feedback: str | None = None
    path: bytes | None = None
    symptom: str | None = None
    severity: DefectSeverity | None = None
    rows: tuple[FlaggedRows, ...] = ()
    repair: str | None = None
    commit: str | None = None
    others: tuple[str, ...] = ()
    feedbacks: tuple[str, ...] = ()
    to: str | None = None
    due: str | None = None
    metrics: Mapping[str, tuple[float | None, float | None]] = {}


def check_defect_id(text: str) -> str:
    """Give an id of a defect back.

    Raises
    ------
    UsageError
        If it is none.
    """
    if not _ID.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is no id of a defect", hint="as in d-1f3a9c20; see dsvc defect list")
    return text


def encode_defect_operation(operation: DefectOperation) -> bytes:
    """Encode an operation; equal operations have equal bytes."""
    return encode(msgspec.structs.replace(operation, metrics=dict(sorted(operation.metrics.items()))))


def decode_defect_operation(data: bytes) -> DefectOperation:
    """Decode what `encode_defect_operation` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    operation = decode(data, DefectOperation, "operation on a defect")
    check_format(operation.format, "an operation on a defect")
    check_numbers(operation, "an operation on a defect")
    check_commits("an operation on a defect", operation.commit)
    if operation.path:
        check_structure(operation.path)
    for each in operation.rows:
        if each.path:
            check_structure(each.path)
        if len(each.digest) != 32:
            raise MalformedInputError("a defect names rows that can't be")
    if (
        operation.clock < 1
        or max(len(each or "") for each in (operation.reason, operation.symptom)) > _MAX_TEXT
    ):
        raise MalformedInputError("an operation on a defect is out of its limits")
    return operation
