"""The attestation of a release: in-toto statements, one on each line, the same bytes for the same facts.

The first speaks of every file and carries what no standard predicate has room for; then the verdict of the
gate, the provenance of what each run made, and the result of each evaluation, in predicates that other tools
know. BLAKE3-256 of a file's bytes stands under ``blake3``, SHA-256 beside it where it was worked out. What is
no digest of plain bytes has names of our own: ``dsvcManifest`` the root of a manifest, ``dsvcFolder`` the
listing of a folder, ``dsvcRun`` and ``dsvcVerdict`` a run and a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

import msgspec

from dsvc.lineage.validation import Outcome, Severity
from dsvc.model.paths import display_path
from dsvc.release.facts import Evaluation, ReleasedFile, ReleasedRun, ReleaseFacts, RunArtifact
from dsvc.release.facts_codec import canonical, facts_digest
from dsvc.release.json_text import Json, canonical_json, is_utf8, path_b64, path_keys, without_empty

STATEMENT: Final = "https://in-toto.io/Statement/v1"
RELEASE: Final = "dsvc:attestation/release/v1"
VERDICT: Final = "https://in-toto.io/attestation/svr/v0.2"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"

_RESULTS: Final = {"passed": "PASSED", "failed": "FAILED"}


def statements(facts: ReleaseFacts) -> list[Json]:
    """Make the statements of a release, that of the release itself first.

    Raises
    ------
    FactsMalformedError
        If the facts are not such as can be kept.
    """
    facts = canonical(facts)
    return [
        _release(facts),
        _verdict(facts),
        *(_provenance(run) for run in facts.lineage.runs),
        *(_evaluation(facts, each) for each in facts.evaluations),
    ]


def attestation(facts: ReleaseFacts) -> bytes:
    """Write the statements of a release as JSON lines; raises as `statements`."""
    return b"".join(canonical_json(each) for each in statements(facts))


def _statement(subject: list[Json], kind: str, predicate: Json) -> Json:
    return {"_type": STATEMENT, "subject": subject, "predicateType": kind, "predicate": predicate}


def _uri(kind: str, name: str) -> str:
    return f"dsvc:{kind}/{quote(name, safe='')}"


def _tree(facts: ReleaseFacts) -> Json:
    """The files as a whole, as a subject."""
    return {"uri": _uri("release", facts.name), "digest": {"dsvcManifest": facts.manifest}}


def _named(path: bytes, digest: dict[str, str]) -> Json:
    found: Json = {"name": display_path(path), "digest": digest}
    if not is_utf8(path):
        found["annotations"] = {"path_b64": path_b64(path)}
    return found


def _file(file: ReleasedFile) -> Json:
    digest = {"blake3": file.blake3}
    if file.sha256 is not None:
        digest["sha256"] = file.sha256
    return _named(file.path, digest)


def _artifacts(artifacts: Iterable[RunArtifact]) -> list[Json]:
    return [_named(each.path, {"dsvcFolder" if each.folder else "blake3": each.digest}) for each in artifacts]


# The release itself


def _release(facts: ReleaseFacts) -> Json:
    lineage = facts.lineage
    predicate = without_empty(
        {
            "release": facts.name,
            "commit": facts.commit,
            "manifest": facts.manifest,
            "factsDigest": {"blake3": facts_digest(facts)},
            "createdAt": facts.created_at,
            "author": facts.author,
            "contact": facts.contact,
            "title": facts.title,
            "description": facts.description,
            "notes": facts.notes,
            "url": facts.url,
            "selected": [path_keys(path) for path in facts.paths],
            "licence": facts.licence,
            "defects": [_pathed(each) for each in facts.defects],
            "since": _since(facts),
        }
    )
    predicate["files"] = {"count": len(facts.files), "bytes": facts.size, "rows": facts.rows}
    predicate["lineage"] = {
        "digest": {"dsvcManifest": lineage.digest},
        "complete": lineage.complete,
        "runs": [run.id for run in lineage.runs],
        "sources": [
            without_empty({**_plain(source), "uri": _uri("source", source.id)}) for source in lineage.sources
        ],
    }
    predicate["drops"] = {
        "rows": facts.drops.rows,
        "unspecified": facts.drops.unspecified,
        "lines": [_plain(line) for line in facts.drops.lines],
    }
    predicate["mixture"] = {**_plain(facts.mixture), "synthetic_share": facts.mixture.synthetic_share}
    predicate["evaluations"] = [each.feedback for each in facts.evaluations]
    return _statement([_tree(facts), *(_file(each) for each in facts.files)], RELEASE, predicate)


def _plain(value: msgspec.Struct) -> Json:
    """Turn a struct without paths into JSON."""
    found: Any = msgspec.to_builtins(value)
    return dict(found)


def _pathed(value: msgspec.Struct, path: str = "path") -> Json:
    """Turn a struct with a path into JSON."""
    names = [name for name in value.__struct_fields__ if name != path]
    found = without_empty({name: getattr(value, name) for name in names})
    return {**found, **path_keys(getattr(value, path), path)}


def _since(facts: ReleaseFacts) -> Json | None:
    since = facts.since
    if since is None:
        return None
    return {
        "release": since.release,
        "commit": since.commit,
        "manifest": since.manifest,
        "files": [_pathed(each) for each in since.files],
        "metrics": [
            without_empty({**_plain(each), "difference": each.difference, "better": each.is_better})
            for each in since.metrics
        ],
    }


# What others have predicates for


def _verdict(facts: ReleaseFacts) -> Json:
    """Say what the gate said: rules that hold are verified properties, the rest has a key of our own."""
    verdict = facts.verdict
    broken = {each.rule for each in verdict.violations if each.outcome is not Outcome.PASS}
    properties = [f"DSVC_RULE_{rule}" for rule in dict.fromkeys(each.id for each in verdict.rules)]
    properties = [each for each in properties if each.removeprefix("DSVC_RULE_") not in broken]
    if verdict.outcome is Outcome.PASS:
        properties.append("DSVC_RELEASE_GATE_PASSED")
    detail = {
        "outcome": verdict.outcome,
        "asOf": verdict.as_of,
        "digest": {"dsvcVerdict": verdict.digest},
        "rules": [_plain(each) for each in verdict.rules],
        "violations": [_pathed(each, "subject") for each in verdict.violations],
        "waivers": [_pathed(each, "subject") for each in verdict.waivers],
        "policyChanges": [_plain(each) for each in verdict.policy_changes],
        "blocked": sum(
            each.severity is Severity.BLOCKING and each.waiver is None for each in verdict.violations
        ),
    }
    predicate = {
        "verifier": {
            "id": "dsvc:gate/v1",
            "policies": [
                {"uri": _uri("pack", each.name), "digest": {"blake3": each.digest}} for each in verdict.packs
            ],
        },
        "timeCreated": verdict.judged_at,
        "properties": properties,
        "dsvc_verdict": detail,
    }
    return _statement([_tree(facts)], VERDICT, predicate)


def _provenance(run: ReleasedRun) -> Json:
    external = {
        "name": run.name,
        "kind": run.kind,
        "command": list(run.command),
        "manual": run.manual,
        "parameters": dict(run.parameters),
        "facts": dict(run.facts),
    }
    details = {
        "builder": {"id": "dsvc:run/v1"},
        "metadata": without_empty(
            {"invocationId": run.id, "startedOn": run.started_at, "finishedOn": run.ended_at}
        ),
    }
    predicate = {
        "buildDefinition": {
            "buildType": "dsvc:run/v1",
            "externalParameters": without_empty(external),
            "internalParameters": {
                "code": run.code,
                "rows": dict(run.rows),
                "complete": run.complete,
                "rowwise": run.rowwise,
            },
            "resolvedDependencies": _artifacts(run.inputs),
        },
        "runDetails": details,
    }
    subject = [{"uri": _uri("run", run.id), "digest": {"dsvcRun": run.id}}]
    return _statement([*subject, *_artifacts(run.outputs)], PROVENANCE, predicate)


def _evaluation(facts: ReleaseFacts, evaluation: Evaluation) -> Json:
    """Say how an evaluation ended; where its tool judges nothing as a whole, no pass is claimed."""
    predicate = {
        "result": _RESULTS.get(evaluation.outcome or "", "WARNED"),
        "configuration": [
            without_empty(
                {"name": name, "uri": _uri(kind, name) if name else "", "annotations": {"is": kind}}
            )
            for kind, name in (("suite", evaluation.suite), ("model", evaluation.model))
            if name
        ],
        "dsvc_evaluation": without_empty(
            {
                "feedback": evaluation.feedback,
                "judged": evaluation.outcome in _RESULTS,
                "tool": evaluation.tool,
                "kind": evaluation.kind,
                "created": evaluation.created,
                "metrics": [without_empty(_plain(each)) for each in evaluation.metrics],
            }
        ),
    }
    return _statement([_tree(facts)], TEST_RESULT, predicate)
