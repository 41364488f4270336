"""What a plan changes at first: rows of an artifact, the flagged one or an ancestor, or a run done again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from dsvc.lineage.graph import ArtifactNode, RunNode
from dsvc.lineage.row_flow import Reached
from dsvc.lineage.run_summary import RunSummary
from dsvc.model.errors import NotFoundError
from dsvc.model.repair import PlanStep, StepKind
from dsvc.model.run_record import RunId
from dsvc.porcelain.repair.consequences import NONE, Touched
from dsvc.porcelain.repair.repair_edits import NO_EDITS, Edits, edits_of
from dsvc.porcelain.repair.repair_request import Asked, RepairRequest
from dsvc.porcelain.repair.repair_rows import Chosen, Selected
from dsvc.porcelain.repair.repair_steps import can_do_rows, edit_step, run_step
from dsvc.porcelain.repair.repair_target import (
    Artifact,
    Base,
    FlaggedNow,
    NothingToRepairError,
    back_to,
    check_editable,
    known_rows,
    rows_behind,
    rows_of_source,
)
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import table_rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


class Change(NamedTuple):
    """What a plan changes at first.

    Attributes
    ----------
    target : Artifact
    chosen : dict of ArtifactNode to Chosen
        Flagged and selected rows of the artifacts that change first.
    starts : dict of ArtifactNode to Touched
        Rows of them that change or go.
    first : PlanStep
        The step that does it.
    edits : Edits
        What it does to rows of the target; a run that is done again edits none.
    """

    target: Artifact
    chosen: dict[ArtifactNode, Chosen]
    starts: dict[ArtifactNode, Touched]
    first: PlanStep
    edits: Edits = NO_EDITS


def edit_change(
    repo: Workspace, base: Base, flagged: FlaggedNow, selected: Selected, request: RepairRequest, asked: Asked
) -> tuple[Asked, Change]:
    """An edit of the flagged artifact, or of an ancestor of it; what was asked comes back with its key.

    Raises
    ------
    NotFoundError
        If the version lacks the artifact.
    SourceArtifactError, RowsUnknownError, NothingToRepairError, UsageError
        If it can't be edited like this.
    """
    target = flagged.artifact
    if request.at is not None and request.at != target.node.path:
        target = base.artifact(request.at, folder=base.manifest.get(request.at) is None)
    check_editable(base, target)
    chosen = _chosen(repo, base, flagged, selected, target, asked.action.source)
    action = asked.action
    if action.file is not None and not action.key:
        key = table_rules(repo).for_path(target.node.path).key
        action = msgspec.structs.replace(action, key=tuple(key))
        asked = msgspec.structs.replace(asked, action=action)
    edits = edits_of(repo, target.entry, action, chosen.rows, file=asked.file)
    if not len(edits.rows):
        raise NothingToRepairError(
            f"nothing to repair: all {len(chosen.rows)} rows of {target.name} stay as they are",
            hint="they have these values already, or the file says nothing of them",
            details={"path": target.name},
        )
    starts = {target.node: Touched(edits.rows, edits.drop)}
    for folder, number in base.builder.holding(target.node):
        starts.setdefault(folder, Touched(np.array([number], np.int64)))
    return asked, Change(target, {target.node: chosen}, starts, edit_step(target.node.path), edits)


def _chosen(
    repo: Workspace,
    base: Base,
    flagged: FlaggedNow,
    selected: Selected,
    target: Artifact,
    source: str | None,
) -> Chosen:
    """Flagged and selected rows of the artifact that is edited."""
    start = flagged.artifact.node
    mine, others = rows_behind(base, start, flagged.rows, target), NONE
    if source is not None:
        rows = rows_of_source(base, source, target)
        mine, others = np.intersect1d(mine, rows), np.setdiff1d(rows, mine)
        if not len(mine):
            raise NothingToRepairError(
                f"none of the flagged rows came from source {source}", details={"source": source}
            )
    elif len(selected.rows):
        others = rows_behind(base, start, selected.rows, target)
        if target.node != start:
            others = selected.at(repo, base, target, others)
        others = np.setdiff1d(others, mine)
    if not len(mine):
        raise NothingToRepairError(
            f"the flagged rows came from no row of {target.name}", details={"path": target.name}
        )
    return Chosen(mine, others)


def rerun_change(
    repo: Workspace, base: Base, flagged: FlaggedNow, selected: Selected, asked: Asked
) -> Change:
    """A run on the way that is done again, with other parameters or code.

    Where it is row-wise, it is done again on the rows that the flagged and selected ones came from; else as a
    whole, and which rows differ is known only then.

    Raises
    ------
    NotFoundError
        If it is not on the way.
    NothingToRepairError
        If the rows came from none that it made.
    """
    id_ = RunId.parse(asked.action.run or "")
    start, builder = flagged.artifact.node, base.builder
    base.resolve([start])
    outputs = _outputs_on_the_way(base, id_, start)
    run = builder.index.runs[id_]
    by_row = can_do_rows(base.flow, id_)
    chosen: dict[ArtifactNode, Chosen] = {}
    for node in outputs:
        made = Artifact(node, None, builder.facts[node].records)
        mine = _behind(base, start, flagged.rows, made, by_row=by_row)
        others = _behind(base, start, selected.rows, made, by_row=by_row)
        if by_row and node != start:
            others = selected.at(repo, base, made, others)
        chosen[node] = Chosen(mine, np.setdiff1d(others, mine))
    read = _read(base, run, chosen) if by_row else {}
    if by_row and not any(len(each) for each in read.values()):
        raise NothingToRepairError(f"the flagged rows came from no row that run {id_.short()} made")
    starts = {
        node: _made(base, run, number, read, by_row=by_row)
        for number, each in enumerate(run.outputs)
        if builder.makers(node := ArtifactNode(each.path, each.digest))[:1] == [id_]
    }
    touched = {number: Touched(rows) for number, rows in read.items()}
    first = run_step(base.flow, id_, touched, tuple(node.path for node in starts))
    if by_row and sum(len(each.rows) for each in chosen.values()) == sum(n.records or 0 for n in run.outputs):
        # Every row that it made: it is done again as a whole, on rows that it left out too.
        every = sum(each.records or 0 for each in run.inputs if not each.lookup)
        first = msgspec.structs.replace(first, kind=StepKind.WHOLE, rows=every)
    target = Artifact(outputs[0], None, builder.facts[outputs[0]].records)
    return Change(target, chosen, starts, first)


def _outputs_on_the_way(base: Base, id_: RunId, start: ArtifactNode) -> list[ArtifactNode]:
    """What a run made of what an artifact came from, the artifact itself too."""
    graph, builder = base.builder.graph, base.builder
    above = {start, *graph.ancestors(start), *(folder for folder, _ in builder.holding(start))}
    if RunNode(id_) in graph:
        found = [n for n in graph.children(RunNode(id_)) if n in above and isinstance(n, ArtifactNode)]
        if found:
            return sorted(found)
    raise NotFoundError(
        f"run {id_.short()} is not on the way to this artifact",
        hint="dsvc trace shows the runs that are",
        details={"run": id_.hex()},
    )


def _behind(base: Base, start: ArtifactNode, rows: Numbers, target: Artifact, *, by_row: bool) -> Numbers:
    """Rows of what a run made that some rows came from; none where they are not known, and needn't be."""
    if start == target.node or not len(rows):
        return rows
    found = back_to(base.builder, base.flow, {start: Reached(rows, True)}, target.node)
    if not by_row and (not found.exact or target.records is None):
        return NONE
    return known_rows(found, target)


def _read(base: Base, run: RunSummary, chosen: Mapping[ArtifactNode, Chosen]) -> dict[int, Numbers]:
    """Rows of a run's inputs that some rows of its outputs came from."""
    found: dict[int, Numbers] = {}
    for node, each in chosen.items():
        output = base.builder.output(run.run_id, node)[1]
        for number, came in base.flow.back(run, output, Reached(each.rows, True)).items():
            read = run.inputs[number]
            if not read.lookup:
                rows = known_rows(came, Artifact(ArtifactNode(read.path, read.digest), None, read.records))
                found[number] = np.union1d(found.get(number, NONE), rows)
    return found


def _made(base: Base, run: RunSummary, output: int, read: Mapping[int, Numbers], *, by_row: bool) -> Touched:
    """Rows of an output that change when a run is done again on some rows; of a whole run any may."""
    if not by_row:
        return Touched(NONE, certain=False, unknown=True)
    rows = base.flow.forth(run, output, {number: Reached(each, True) for number, each in read.items()}).rows
    if rows is None:
        rows = np.arange(run.outputs[output].records or 0, dtype=np.int64)
    return Touched(rows, certain=False)
