"""A repair: what a plan will change, row by row, and the operations on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.defect import FlaggedRows
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.feedback import check_format
from dsvc.model.metric_change import MetricChange
from dsvc.model.paths import check_structure
from dsvc.model.record_bounds import check_commits, check_numbers, check_roots

FORMAT: Final = 1
_ID: Final = re.compile(r"r-[0-9a-f]{8,64}")


class Scope(StrEnum):
    """Which rows a repair takes: those that were flagged, or all that share the causes."""

    FLAGGED = "flagged"
    CAUSE = "cause"


class ActionKind(StrEnum):
    """What is done to the rows."""

    DROP = "drop"
    SET = "set"
    PATCH = "patch"
    RELABEL = "relabel"
    EXCLUDE_SOURCE = "exclude-source"
    WITHDRAW_SOURCE = "withdraw-source"
    RERUN = "rerun"


class Action(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a repair does; which fields it has depends on the kind.

    Attributes
    ----------
    kind : ActionKind
    values : mapping of str to str
        Of set: columns and their new values, as text.
    file : str or None
        Of patch and relabel: name of the file whose bytes the repair keeps.
    key : tuple of str
        Of relabel and a patch that is a table: columns that rows are known by.
    source : str or None
        Of exclude-source and withdraw-source.
    run : str or None
        Of rerun: id of the run, in hex.
    parameters : mapping of str to str
        Of rerun: new values.
    code : mapping of str to str
        Of rerun: files of code, and BLAKE3 of the new bytes that the repair keeps, in hex.
    """

    kind: ActionKind
    values: Mapping[str, str] = {}
    file: str | None = None
    key: tuple[str, ...] = ()
    source: str | None = None
    run: str | None = None
    parameters: Mapping[str, str] = {}
    code: Mapping[str, str] = {}


class PlannedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one artifact that a plan changes or takes away; each in one of the three sets.

    Attributes
    ----------
    path, digest : bytes
        The artifact, as it is before.
    folder : bool
    records : int
        Rows that it has.
    flagged, selected, consequent : bytes
        Numbers of rows, by `dsvc.lineage.row_set`.
    counts : tuple of int
        How many each of them are.
    unknown : bool
        Whether it is known only once it is made which of its rows differ: all may, and rows may come.
    """

    path: bytes
    digest: bytes
    records: int
    flagged: bytes
    selected: bytes
    consequent: bytes
    counts: tuple[int, int, int]
    folder: bool = False
    unknown: bool = False


class StepKind(StrEnum):
    """How a step makes its files: by an edit, by a run on affected rows only or on all, or as copies."""

    EDIT = "edit"
    ROWS = "rows"
    WHOLE = "whole"
    COPY = "copy"


class StepReason(StrEnum):
    """Why a step computes more than the rows of the plan, or why it isn't known which ones it will.

    ``not-rowwise``: its command looks at other rows too. ``no-map``: it isn't known which rows became which.
    ``lookup``: what it looks things up in changes. ``inputs``: of what it reads it is known only once that is
    made which rows change.
    """

    NOT_ROWWISE = "not-rowwise"
    NO_MAP = "no-map"
    LOOKUP = "lookup"
    INPUTS = "inputs"


class PlanStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a plan, in the order in which they are carried out.

    Attributes
    ----------
    kind : StepKind
    name : str
        Of the run that is done again; ``repair`` for an edit, ``copy`` for a copy.
    outputs : tuple of bytes
        Files and folders that it makes anew.
    run : str or None
        The run that is done again, in hex.
    command : tuple of str
        Its words.
    rows : int
        Rows that it reads to compute others; an edit computes none.
    because : StepReason or None
        Why not on the rows of the plan alone.
    seconds : float
        What it may take, from how long the run took.
    origin : bytes
        Of a copy: the file that it is one of.
    blocked : str
        Why it can't be done; empty where it can.
    """

    kind: StepKind
    name: str
    outputs: tuple[bytes, ...]
    run: str | None = None
    command: tuple[str, ...] = ()
    rows: int = 0
    because: StepReason | None = None
    seconds: float = 0.0
    origin: bytes = b""
    blocked: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would change, where; made for one version of the data.

    Attributes
    ----------
    defect : str
    defect_head : str
        Newest operation on the defect that it knows, a commit in hex.
    base : str
        Commit that it starts from, in hex.
    manifest : str
        Root of that commit's manifest, in hex.
    scope : Scope
    action : Action
    path, digest : bytes
        Artifact that the action changes.
    steps : tuple of PlanStep
    rows : tuple of PlannedRows
    causes : tuple of str
        With scope cause: the causes whose rows are selected, as ``KIND ID``.
    rows_affected : int
        Rows of the defect's subject that change or go.
    rows_recomputed : int
        Rows that runs compute.
    releases : tuple of str
        Releases that hold rows of the plan.
    made_at, by : str
    branch : str
        Full name of the branch whose newest commit the base was; empty: HEAD was on none.
    subject : bytes
        Artifact that the defect is about.
    gone : tuple of FlaggedRows
        Rows of the defect that the base doesn't have any more.
    left : bytes
        Flagged and selected rows of the artifact that the action leaves as they are: they have the value
        already, or the table says nothing of them.
    left_count : int
        How many they are.
    beyond : int
        Rows of the subject that change or go, though they are neither flagged nor selected.
    returning : int
        Rows that runs left out as duplicates of rows that change or go: one of each group may come back.
    """

    defect: str
    defect_head: str
    base: str
    manifest: str
    scope: Scope
    action: Action
    path: bytes
    digest: bytes
    steps: tuple[PlanStep, ...]
    rows: tuple[PlannedRows, ...]
    rows_affected: int
    rows_recomputed: int
    made_at: str
    by: str
    causes: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    branch: str = ""
    subject: bytes = b""
    gone: tuple[FlaggedRows, ...] = ()
    left: bytes = b""
    left_count: int = 0
    beyond: int = 0
    returning: int = 0
    format: int = FORMAT

    @property
    def blocked(self) -> str:
        """Why it can't be carried out: the reason of the first step that can't be done; else empty."""
        return next((step.blocked for step in self.steps if step.blocked), "")

    def planned(self, path: bytes) -> PlannedRows | None:
        """Rows of one artifact; None where the plan changes nothing there."""
        return next((each for each in self.rows if each.path == path), None)


class RepairVerb(StrEnum):
    """What was done with a repair."""

    PLAN = "plan"
    STEP = "step"
    APPLY = "apply"
    VERIFY = "verify"
    RETURN = "return"


class RepairOperation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation on a repair.

    Attributes
    ----------
    verb : RepairVerb
    at, by : str
    step : int
        Of step: which one of the plan's.
    run : str or None
        Of step: the run that was recorded, in hex.
    commit : str or None
        Of apply.
    feedback : str or None
        Of verify and return.
    reason : str or None
        Of return; of verify: why a change without an interval was accepted.
    metrics : tuple of MetricChange
        Of verify and return.
    """

    verb: RepairVerb
    at: str
    by: str
    step: int = -1
    run: str | None = None
    commit: str | None = None
    feedback: str | None = None
    reason: str | None = None
    metrics: tuple[MetricChange, ...] = ()
    format: int = FORMAT


def check_repair_id(text: str) -> str:
    """Give an id of a repair back.

    Raises
    ------
    UsageError
        If it is none.
    """
    if not _ID.fullmatch(text):
        raise UsageError(
            f"{text[:80]!r} is no id of a repair", hint="as in r-1f3a9c20; repair plan prints it"
        )
    return text


def encode_plan(plan: Plan) -> bytes:
    """Encode a plan; equal plans have equal bytes."""
    action = plan.action
    in_order = {
        name: dict(sorted(getattr(action, name).items())) for name in ("values", "parameters", "code")
    }
    return encode(msgspec.structs.replace(plan, action=msgspec.structs.replace(action, **in_order)))


def decode_plan(data: bytes) -> Plan:
    """Decode what `encode_plan` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    plan = decode(data, Plan, "plan of a repair")
    check_format(plan.format, "a plan of a repair")
    check_numbers(plan, "a plan of a repair")
    check_commits("a plan of a repair", plan.defect_head, plan.base)
    check_roots("a plan of a repair", plan.manifest, plan.action.run, *(step.run for step in plan.steps))
    of_steps = (path for step in plan.steps for path in (*step.outputs, step.origin))
    named = [(plan.path, plan.digest)]
    named += [(each.path, each.digest) for each in plan.rows]
    named += [(each.path, each.digest) for each in plan.gone]
    for path in (plan.subject, *(path for path, _ in named), *of_steps):
        if path:
            check_structure(path)
    if any(len(digest) != 32 for _, digest in named):
        raise MalformedInputError("a plan names an artifact by a digest of a wrong length")
    return plan


def encode_repair_operation(operation: RepairOperation) -> bytes:
    """Encode an operation on a repair."""
    return encode(operation)


def decode_repair_operation(data: bytes) -> RepairOperation:
    """Decode what `encode_repair_operation` made; raises MalformedInputError as `decode_plan` does."""
    operation = decode(data, RepairOperation, "operation on a repair")
    check_format(operation.format, "an operation on a repair")
    check_numbers(operation, "an operation on a repair", least=-1)
    check_commits("an operation on a repair", operation.commit)
    check_roots("an operation on a repair", operation.run)
    return operation
