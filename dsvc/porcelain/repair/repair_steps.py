"""The steps of a repair: which runs are to be done again, on which rows, and what that may take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from dsvc.lineage.row_flow import RowFlow, maps_rows
from dsvc.lineage.run_summary import RunSummary
from dsvc.model.repair import PlanStep, StepKind, StepReason
from dsvc.model.run_record import Run, RunId
from dsvc.porcelain.repair.consequences import NONE, Touched, Way
from dsvc.porcelain.runs.rerun import NotRepeatableError, repeatable


def edit_step(path: bytes) -> PlanStep:
    """The step that edits an artifact; it computes no rows."""
    return PlanStep(kind=StepKind.EDIT, name="repair", outputs=(path,))


def steps_of(flow: RowFlow, ways: Iterable[Way]) -> Iterator[PlanStep]:
    """Yield the step of each way, in order.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a run can't be read.
    """
    for way in ways:
        if way.run is None:
            yield PlanStep(kind=StepKind.COPY, name="copy", outputs=way.copies, origin=way.origin)
        else:
            outputs = tuple(node.path for node in way.outputs)
            yield run_step(flow, way.run, way.inputs, outputs)


def run_step(
    flow: RowFlow, id_: RunId, touched: Mapping[int, Touched], outputs: tuple[bytes, ...]
) -> PlanStep:
    """The step that does a run again, because some of its inputs, or its code or parameters, change.

    Parameters
    ----------
    touched : mapping of int to Touched
        Rows that it is to compute anew, by input.
    """
    tree = flow.run(id_)
    summary, record = flow.builder.index.runs[id_], tree.run
    reason = _reason(summary, record, touched)
    read = {n: each.records or 0 for n, each in enumerate(summary.inputs) if not each.lookup}
    total = sum(read.values())
    kind, rows = StepKind.WHOLE, total
    if reason is None:
        kind = StepKind.ROWS
        rows = sum(_computed(each, read.get(number, 0)) for number, each in touched.items())
        if any(each.unknown for each in touched.values()):
            reason = StepReason.INPUTS
    seconds = _seconds(record)
    if kind is StepKind.ROWS and total:
        seconds *= min(1.0, rows / total)
    return PlanStep(
        kind=kind,
        name=record.name,
        outputs=outputs,
        run=id_.hex(),
        command=record.command,
        rows=rows,
        because=reason,
        seconds=round(seconds, 3),
        blocked=_blocked(flow, id_),
    )


def can_do_rows(flow: RowFlow, id_: RunId) -> bool:
    """Whether a run can be done again on some of its rows alone."""
    summary = flow.builder.index.runs[id_]
    touched = {n: Touched(NONE) for n, each in enumerate(summary.inputs) if not each.lookup}
    return _reason(summary, flow.run(id_).run, touched) is None


def _reason(summary: RunSummary, record: Run, touched: Mapping[int, Touched]) -> StepReason | None:
    if any(summary.inputs[number].lookup for number in touched):
        return StepReason.LOOKUP
    if not record.rowwise:
        return StepReason.NOT_ROWWISE
    outputs = range(len(summary.outputs))
    if not touched or not all(maps_rows(summary, output, number) for output in outputs for number in touched):
        return StepReason.NO_MAP
    return None


def _computed(touched: Touched, records: int) -> int:
    if touched.unknown:
        return records
    return len(touched.rows) - len(touched.removed) + touched.arriving


def _seconds(record: Run) -> float:
    try:
        start, end = datetime.fromisoformat(record.started_at), datetime.fromisoformat(record.ended_at)
        return max(0.0, (end - start).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _blocked(flow: RowFlow, id_: RunId) -> str:
    try:
        repeatable(flow.run(id_))
    except NotRepeatableError as error:
        return error.message
    return ""
