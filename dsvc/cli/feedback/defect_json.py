"""What programs are told of a defect's causes, rows, evaluations and repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.feedback.feedback_text import metric_fields
from dsvc.cli.writing.names import path_fields, show_digest

if TYPE_CHECKING:
    from dsvc.model.defect import Cause
    from dsvc.porcelain.feedback.cause_report import CauseReport
    from dsvc.porcelain.feedback.defect_view import DefectView
    from dsvc.porcelain.feedback.not_flagged import NotFlagged, OtherRows
    from dsvc.porcelain.records.feedback_chain import FeedbackHead
    from dsvc.porcelain.records.repair_chain import RepairState


def view_fields(view: DefectView, limit: int | None = None) -> dict[str, object]:
    """Return causes of a defect and all that belongs to it, beside its state.

    Parameters
    ----------
    limit : int or None
        How many candidates; None: all.
    """
    report = view.report
    return {
        "commit": str(view.head.commit),
        "causes": [] if report is None else [cause_fields(each) for each in report.causes[:limit]],
        "too_few": None if report is None else report.too_few,
        "universe": None if report is None else _universe(report),
        "routes": [] if report is None else _routes(report),
        "not_flagged": None if view.others is None else _others(view.others),
        "feedback": [feedback_fields(each) for each in view.evaluations],
        "repairs": [_repair(each) for each in view.repairs],
        "unknown": [{"code": each.code, "message": each.message} for each in view.unknown],
    }


def cause_fields(cause: Cause) -> dict[str, object]:
    """Return a cause."""
    return {
        "kind": cause.kind.value,
        "id": cause.id,
        "aliases": list(cause.aliases),
        "bad": cause.bad,
        "total": cause.total,
        "lift": cause.lift,
        "lift_low": cause.lift_low,
        "lift_high": cause.lift_high,
        "p_value": cause.p_value,
        "log10_p": cause.log10_p,
        "p_adjusted": cause.p_adjusted,
        "p_conditional": cause.p_conditional,
        "explained_by": cause.explained_by,
        "is_cause": cause.is_cause,
        "denominator": cause.denominator.value,
        "excess": cause.excess,
        "coverage": cause.coverage,
    }


def _universe(report: CauseReport) -> dict[str, object]:
    return {
        **path_fields(report.path),
        "digest": show_digest(report.digest),
        "commit": report.commit,
        "folder": report.folder,
        "records": report.records,
        "evaluated": report.evaluated,
        "flagged": report.flagged,
        "lost": report.lost,
        "denominator": report.denominator.value,
        "candidates": report.candidates,
        "power": report.power,
        "evaluation_set": report.separate,
        "left_out": list(report.left_out),
        "unread": [{**path_fields(each.path), "reason": each.reason} for each in report.unread],
        "unsearched": report.unsearched,
    }


def _routes(report: CauseReport) -> list[dict[str, object]]:
    return [
        {
            "kind": each.kind.value,
            "id": each.id,
            "flagged": each.flagged,
            **path_fields(each.path),
            "rows": each.rows,
        }
        for each in report.routes
    ]


def _others(found: NotFlagged) -> dict[str, object]:
    return {
        "same_cause": [_rows(each) for each in found.same_cause],
        "near_duplicates": None if found.near is None else _rows(found.near),
        "columns": list(found.columns),
        "reason": found.reason,
        "tables_left_out": found.tables_left_out,
    }


def _rows(rows: OtherRows) -> dict[str, object]:
    first: list[dict[str, object]] = [{"position": position} for position in rows.positions]
    for each, key in zip(first, rows.keys, strict=False):
        each["key"] = dict(key)
    return {
        **path_fields(rows.path),
        "folder": rows.folder,
        "rows": rows.count,
        "causes": dict(rows.causes),
        "first": first,
    }


def feedback_fields(head: FeedbackHead) -> dict[str, object]:
    """Return what there is to know of an evaluation in a few words."""
    record = head.record
    return {
        "feedback": head.id,
        "commit": str(head.commit),
        "subject_commit": record.subject.commit,
        "suite": record.suite,
        "model": record.model,
        "metrics": [metric_fields(each) for each in record.metrics],
        "observations": record.observations,
        "resolved_rows": record.resolved_rows,
        "unresolved": record.unresolved,
    }


def _repair(state: RepairState) -> dict[str, object]:
    proof = state.proof
    return {
        "repair": state.id,
        "status": state.status.value,
        "action": state.plan.action.kind.value,
        "rows_affected": state.plan.rows_affected,
        "commit": state.commit,
        "feedback": state.feedback,
        "proof": None
        if proof is None
        else {
            "flagged_changed": proof.flagged_changed,
            "selected_changed": proof.selected_changed,
            "consequent_changed": proof.consequent_changed,
            "others_changed": proof.others_changed,
            "unproved": [{**path_fields(each.path), "reason": each.reason} for each in proof.unproved],
        },
    }


__all__ = ["cause_fields", "feedback_fields", "view_fields"]
