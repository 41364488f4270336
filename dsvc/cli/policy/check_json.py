"""What programs are told of a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.policy.waiver_text import waiver_fields
from dsvc.cli.writing.names import path_fields

if TYPE_CHECKING:
    from dsvc.lineage.validation import Violation
    from dsvc.porcelain.policy.verdict import CheckResult


def _violation_fields(violation: Violation) -> dict[str, object]:
    return {
        "rule": violation.rule,
        "severity": violation.severity.value,
        **path_fields(violation.subject, "subject"),
        "message": violation.message,
        "hint": violation.hint,
        "clause": violation.clause,
        "outcome": violation.outcome.value,
        "digest": violation.digest.hex(),
        "pack": violation.pack,
        "sources": list(violation.sources),
        "settled_by": violation.settled_by,
        "inherited": violation.inherited,
        "waiver": violation.waiver,
        "blocks": violation.blocks,
    }


def verdict_fields(result: CheckResult) -> dict[str, object]:
    """Return a verdict as JSON."""
    return {
        "outcome": result.outcome.value,
        "policy": list(result.policy),
        "violations": [_violation_fields(violation) for violation in result.violations],
        "exit_code": result.gate_exit_code,
        "version": result.version,
        "commit": result.commit,
        "stage": result.stage.value,
        "as_of": result.as_of,
        "packs": [{"name": pack.name, "digest": pack.digest} for pack in result.packs],
        "policy_changes": [
            {"what": each.what, "before": each.before, "after": each.after, "weaker": each.weaker}
            for each in result.policy_changes
        ],
        "waivers": [waiver_fields(use) for use in result.waivers],
        "first_roster": result.first_roster,
        "officers": list(result.officers),
        "verdict": result.digest,
    }
