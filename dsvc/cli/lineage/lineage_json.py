"""What programs are told of lineage: traces, impacts, graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.cli.writing.names import path_fields, show_digest
from dsvc.lineage.graph import ArtifactNode, DefectNode, Node, ReleaseNode, SourceNode

if TYPE_CHECKING:
    from dsvc.lineage.known_sources import KnownSource
    from dsvc.lineage.trace import Gap
    from dsvc.model.run_record import Code, Run, RunId
    from dsvc.porcelain.lineage.lineage_impact import ImpactResult
    from dsvc.porcelain.lineage.lineage_trace import TracedStep, TraceResult
    from dsvc.porcelain.lineage.lineage_view import LineageView


def _text(target: str) -> str:
    return target.encode("utf-8", "replace").decode()


def _artifact(node: ArtifactNode) -> dict[str, object]:
    return {**path_fields(node.path), "digest": show_digest(node.digest)}


def _code(code: Code) -> dict[str, object]:
    return {
        "commit": code.commit,
        "dirty": code.dirty,
        "digest": show_digest(code.digest),
        "files": [{**path_fields(each.path), "digest": show_digest(each.digest)} for each in code.files],
    }


def run_fields(id_: RunId, run: Run) -> dict[str, object]:
    """Return a run of a trace."""
    return {
        "id": id_.hex(),
        "name": run.name,
        "kind": run.kind.value,
        "command": list(run.command),
        "manual": run.manual,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "code": _code(run.code),
        "complete": run.complete,
    }


def source_fields(source: KnownSource) -> dict[str, object]:
    """Return a source of a trace or a graph."""
    record = source.record
    return {
        "id": record.source_id,
        "title": record.title,
        "licence": record.license_expression,
        "status": source.status.value,
        "acquisition": record.acquisition.value,
    }


def _step(traced: TracedStep) -> dict[str, object]:
    step = traced.step
    run = None
    if traced.run is not None and step.run is not None:
        run = run_fields(step.run, traced.run)
    return {
        "artifact": {**_artifact(step.artifact), "rows": list(traced.positions), "row_count": step.row_count},
        "how": step.how.value,
        "granularity": step.granularity.value,
        "run": run,
        "reruns": step.reruns,
        "from": [_artifact(node) for node in step.origins],
        "sources": list(step.sources),
        "fates": [fate.value for fate in step.fates],
        "check": _text(traced.check),
    }


def _gap(gap: Gap) -> dict[str, object]:
    return {
        "artifact": _artifact(gap.artifact),
        "reason": gap.reason.value,
        "rows": gap.rows,
        "source": gap.source,
    }


def trace_fields(target: str, result: TraceResult) -> dict[str, object]:
    """Return a trace."""
    return {
        "target": _text(target),
        "steps": [_step(step) for step in result.steps],
        "sources": [{**source_fields(each.source), "rows": each.rows} for each in result.sources],
        "complete": result.complete,
        "rights": result.rights.value,
        "gaps": [_gap(gap) for gap in result.gaps],
    }


def origin_fields(result: TraceResult) -> dict[str, object]:
    """Return the runs and sources of a trace alone."""
    from dsvc.porcelain.lineage.lineage_trace import runs_of

    return {
        "runs": [
            {
                "run": id_.hex(),
                "name": run.name,
                "kind": run.kind.value,
                "started_at": run.started_at,
            }
            for id_, run in runs_of(result)
        ],
        "sources": [source_fields(each.source) for each in result.sources],
    }


def impact_fields(target: str, result: ImpactResult) -> dict[str, object]:
    """Return an impact."""
    fields: dict[str, object] = {
        "target": _text(target),
        "artifacts": [
            {
                **_artifact(each.artifact),
                "rows": each.rows,
                "folder": each.folder,
                "granularity": each.granularity.value,
            }
            for each in result.artifacts
        ],
        "rows": result.rows,
        "releases": list(result.releases),
    }
    if result.dropped is not None:
        fields["dropped"] = [
            {
                "run": each.run.hex(),
                "artifact": _artifact(each.artifact),
                "row": each.row,
                "reason": each.reason,
                "survivor": each.survivor,
            }
            for each in result.dropped
        ]
    return fields


def _node(view: LineageView, node: Node) -> dict[str, object]:
    builder = view.builder
    fields: dict[str, object] = {"id": str(node), "kind": node.kind.value}
    if isinstance(node, ArtifactNode):
        facts = builder.facts[node]
        fields |= _artifact(node) | {"rows": facts.records, "folder": facts.folder is not None}
        known = view.stages.get(node)
        return fields | {
            "stage": None if known is None else known.stage.value,
            "grade": None if known is None else known.grade.value,
        }
    if isinstance(node, SourceNode):
        found = source_fields(builder.sources.all[node.id])
        return fields | {"source": found.pop("id")} | found
    if isinstance(node, ReleaseNode):
        release = view.releases[node.name]
        return fields | {
            "release": release.name,
            "status": release.status.value,
            "commit": release.commit,
        }
    if isinstance(node, DefectNode):
        state = view.defects[node.id]
        return fields | {
            "defect": state.id,
            "symptom": state.symptom,
            "status": state.status.value,
            "severity": state.severity.value,
            "rows": sum(each.count for each in state.rows),
        }
    run = builder.index.runs[node.id]
    return fields | {
        "run": node.id.hex(),
        "name": run.name,
        "run_kind": run.kind.value,
        "started_at": run.started_at,
        "rows": dict(run.rows),
        "drops": dict(run.drops),
        "grade": run.grade,
        "complete": run.complete,
    }


def graph_fields(view: LineageView) -> dict[str, object]:
    """Return a graph, each node after all that lead to it."""
    return {
        "nodes": [_node(view, node) for node in view.graph.ordered()],
        "edges": [
            {"from": str(start), "to": str(end), "kind": kind.value}
            for start, end, kind in view.graph.edges()
        ],
    }
