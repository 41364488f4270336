"""The rows of a plan: flagged, selected and consequent, each once, by artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.feedback.defect_state import DefectState
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.links import distinct
from dsvc.lineage.row_set import encode_rows
from dsvc.model.defect import Cause, CauseKind
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.repair import PlannedRows, Scope
from dsvc.porcelain.repair.consequences import NONE, Consequences, Touched
from dsvc.porcelain.repair.repair_request import RepairRequest, cause_words
from dsvc.porcelain.repair.repair_target import Artifact, Base, FlaggedNow
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


class NoCauseError(NotFoundError):
    """No cause stands out, so that there are no rows of the same cause."""

    code = "no-cause"


class Selected(NamedTuple):
    """Rows of the subject that share causes, without those that are flagged; and the causes."""

    rows: Numbers
    causes: tuple[str, ...]

    def at(self, repo: Workspace, base: Base, target: Artifact, rows: Numbers) -> Numbers:
        """Rows of another artifact that share the causes, beside some that are known already."""
        if not self.causes:
            return rows
        from dsvc.porcelain.feedback.cause_candidates import CandidateCauses

        names = [(CauseKind(kind), id_) for kind, id_ in cause_words(self.causes)]
        folder = base.builder.facts[target.node].folder is not None
        found = CandidateCauses(repo, base.commit).of(target.node.path, target.node.digest, folder=folder)
        return np.union1d(rows, found.rows_of(names))


def selected_of(
    repo: Workspace, base: Base, defect: DefectState, flagged: FlaggedNow, request: RepairRequest
) -> Selected:
    """Find the rows that share the causes of a defect, where the scope says so.

    Raises
    ------
    NoCauseError
        If no cause stands out, or none covers a row.
    UsageError
        If a cause is written wrong.
    """
    if request.scope is Scope.FLAGGED and not request.causes:
        return Selected(NONE, ())
    from dsvc.porcelain.feedback.same_cause import selected_rows

    causes = _named(request.causes) if request.causes else _ranked(repo, defect)
    rows = selected_rows(repo, defect, base.commit, causes, flagged.artifact.node.path)
    names = tuple(f"{each.kind.value} {each.id}" for each in causes)
    if not len(rows):
        raise NoCauseError(
            f"no row of {flagged.artifact.name} has the cause {', '.join(names)}",
            hint=f"dsvc defect show {defect.id} names the causes",
            details={"causes": list(names)},
        )
    return Selected(np.setdiff1d(rows, flagged.rows), names)


def _ranked(repo: Workspace, defect: DefectState) -> list[Cause]:
    from dsvc.porcelain.feedback.cause_report import cause_report

    report = cause_report(repo, defect.id)
    if not report.top:
        why = f": {report.too_few}" if report.too_few else ""
        raise NoCauseError(
            f"no cause of {defect.id} stands out{why}",
            hint="--scope flagged repairs the flagged rows alone; --cause 'KIND ID' chooses a cause",
            details={"defect": defect.id},
        )
    return list(report.top)


def _named(texts: Sequence[str]) -> list[Cause]:
    found = []
    for kind, id_ in cause_words(texts):
        if kind not in tuple(CauseKind):
            raise UsageError(f"{kind[:80]!r} is no kind of cause", hint=", ".join(CauseKind))
        found.append(
            Cause(
                kind=CauseKind(kind),
                id=id_,
                bad=0,
                total=0,
                lift=1.0,
                lift_low=0.0,
                lift_high=0.0,
                p_value=1.0,
                log10_p=0.0,
                p_adjusted=1.0,
            )
        )
    return found


class Chosen(NamedTuple):
    """Flagged and selected rows of one artifact, ascending; no row is in both."""

    flagged: Numbers
    selected: Numbers

    @property
    def rows(self) -> Numbers:
        """All of them, ascending."""
        return distinct(np.concatenate(self))


NOBODY = Chosen(NONE, NONE)


def planned_rows(
    base: Base, found: Consequences, chosen: Mapping[ArtifactNode, Chosen], leave: Sequence[ArtifactNode]
) -> tuple[PlannedRows, ...]:
    """Rows of every artifact of the version that changes; each in one of the three sets.

    Parameters
    ----------
    chosen : mapping of ArtifactNode to Chosen
        Flagged and selected rows, of the artifacts that have such.
    leave : sequence of ArtifactNode
        Folders that count as files of their own.
    """
    planned = []
    for node, touched in found.artifacts.items():
        members = base.builder.files(node)
        if node in leave or not any(base.files.has(each.path, each.digest) for each in members):
            continue
        back = found.returning.get(node, NONE)
        planned.append(_planned(base, node, touched, back, chosen.get(node, NOBODY)))
    return tuple(planned)


def _planned(base: Base, node: ArtifactNode, touched: Touched, back: Numbers, chosen: Chosen) -> PlannedRows:
    facts = base.builder.facts[node]
    records = facts.records or 0
    rows = np.arange(records, dtype=np.int64) if touched.unknown else touched.rows
    flagged, selected = np.intersect1d(chosen.flagged, rows), np.intersect1d(chosen.selected, rows)
    rest = np.setdiff1d(np.union1d(rows, back), np.union1d(flagged, selected))
    return PlannedRows(
        path=node.path,
        digest=node.digest,
        records=records,
        flagged=encode_rows(flagged),
        selected=encode_rows(selected),
        consequent=encode_rows(rest),
        counts=(len(flagged), len(selected), len(rest)),
        folder=facts.folder is not None,
        unknown=touched.unknown,
    )
