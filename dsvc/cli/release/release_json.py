"""What programs are told of releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.writing.names import path_fields

if TYPE_CHECKING:
    from dsvc.porcelain.records.release_chain import ReleaseState
    from dsvc.porcelain.release.release_verify import Verified
    from dsvc.porcelain.release.releases import CreatedRelease
    from dsvc.release.facts import ReleaseFacts, Since


def created_fields(done: CreatedRelease) -> dict[str, object]:
    """Return a release that was just created as JSON."""
    return {**release_fields(done.state, done.facts), "signer": done.signer}


def release_fields(state: ReleaseState, facts: ReleaseFacts | None) -> dict[str, object]:
    """Return a release as JSON; what is known only once it is created is null before."""
    fields: dict[str, object] = {
        "release": state.name,
        "status": state.status.value,
        "commit": state.commit,
        "manifest": None,
        "verdict": None,
        "open_defects": [],
        "attestation": None,
        "until": state.until,
        "reason": state.reason,
        "consumers": list(state.consumers),
    }
    if facts is None:
        return fields
    from dsvc.release.facts import DefectStanding

    return fields | {
        "manifest": facts.manifest,
        "verdict": facts.verdict.outcome.value,
        "verdict_digest": facts.verdict.digest,
        "packs": [{"name": each.name, "digest": each.digest} for each in facts.verdict.packs],
        "open_defects": [each.id for each in facts.defects if each.standing is DefectStanding.OPEN],
        "waived_defects": [each.id for each in facts.defects if each.standing is DefectStanding.WAIVED],
        "closed_defects": [each.id for each in facts.defects if each.standing is DefectStanding.CLOSED],
        "attestation": _attestation(facts),
        "lineage": facts.lineage.digest,
        "complete": facts.lineage.complete,
        "created_at": facts.created_at,
        "author": facts.author,
        "title": facts.title,
        "files": len(facts.files),
        "bytes": facts.size,
        "rows": facts.rows,
        "runs": len(facts.lineage.runs),
        "sources": [each.id for each in facts.lineage.sources],
        "licence": facts.licence,
        "evaluations": [each.feedback for each in facts.evaluations],
        "drops": {"rows": facts.drops.rows, "unspecified": facts.drops.unspecified},
        "since": None if facts.since is None else facts.since.release,
    }


def _attestation(facts: ReleaseFacts) -> str:
    from blake3 import blake3

    from dsvc.release.statement import attestation

    return f"blake3:{blake3(attestation(facts)).hexdigest()}"


def shown_fields(state: ReleaseState, facts: ReleaseFacts | None) -> dict[str, object]:
    """Return a release with its history and what it is mixed of."""
    history = [
        {
            "verb": step.operation.verb.value,
            "at": step.operation.at,
            "by": step.operation.by,
            "reason": step.operation.reason,
            "until": step.operation.until,
            "consumers": list(step.operation.consumers),
            "listed": list(step.operation.listed),
            "downstream": list(step.operation.downstream),
        }
        for step in state.history
    ]
    fields = {**release_fields(state, facts), "history": history}
    if facts is None:
        return fields
    mixture = facts.mixture
    parts = {"by_source": mixture.by_source, "by_type": mixture.by_type}
    return fields | {
        "mixture": {
            "rows": mixture.rows,
            "bytes": mixture.bytes,
            "synthetic_share": mixture.synthetic_share,
            **{
                name: [
                    {"of": list(each.of), "rows": each.rows, "bytes": each.bytes, "weight": each.weight}
                    for each in lines
                ]
                for name, lines in parts.items()
            },
        },
        "drop_reasons": facts.drops.by_reason,
        "gain": None if facts.since is None else _since_fields(facts.since),
    }


def _since_fields(since: Since) -> dict[str, object]:
    return {
        "release": since.release,
        "files": [
            {
                **path_fields(each.path),
                "change": each.change.value,
                "rows_added": each.rows_added,
                "rows_removed": each.rows_removed,
                "rows_changed": each.rows_changed,
            }
            for each in since.files
        ],
        "metrics": [
            {
                "suite": each.suite,
                "name": each.name,
                "task": each.task,
                "slice": each.slice,
                "before": each.before,
                "after": each.after,
                "low": each.low,
                "high": each.high,
                "better": each.is_better,
            }
            for each in since.metrics
        ],
    }


def verified_fields(found: Verified) -> dict[str, object]:
    """Return what came of verifying a release as JSON."""
    return {
        "release": found.state.name,
        "status": found.state.status.value,
        "commit": found.state.commit,
        "outcome": found.outcome.value,
        "checks": list(found.checks),
        "findings": [
            {"check": each.check, "message": each.message, "outcome": each.outcome.value}
            for each in found.findings
        ],
        "notes": list(found.notes),
    }
