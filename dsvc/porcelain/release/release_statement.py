"""Whether the attestation of a release is one: in-toto statements that name the release and its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dsvc.model.paths import display_path
from dsvc.release.facts import ReleaseFacts
from dsvc.release.facts_codec import facts_digest
from dsvc.release.statement import RELEASE, STATEMENT, VERDICT

_KEYS: Final = frozenset({"_type", "subject", "predicateType", "predicate"})


def statement_problems(data: bytes, facts: ReleaseFacts) -> Iterator[str]:
    """Look at the lines of an attestation: each a statement, the first of them about exactly these files."""
    found = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            statement = json.loads(line)
        except (ValueError, RecursionError):
            yield f"line {number} of the attestation is no JSON"
            return
        if not _is_statement(statement):
            yield f"line {number} of the attestation is no in-toto statement"
            return
        found.append(statement)
    if len(found) < 2 or [each["predicateType"] for each in found[:2]] != [RELEASE, VERDICT]:
        yield "the attestation doesn't begin with the release and its verdict"
        return
    yield from _release_problems(found[0], facts)
    if found[1]["predicate"].get("dsvc_verdict", {}).get("digest") != {"dsvcVerdict": facts.verdict.digest}:
        yield "the attestation has another verdict than the release"


def _is_statement(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != _KEYS or value["_type"] != STATEMENT:
        return False
    subjects = value["subject"]
    return (
        isinstance(value["predicateType"], str)
        and isinstance(value["predicate"], dict)
        and isinstance(subjects, list)
        and bool(subjects)
        and all(isinstance(each, dict) and _has_digest(each) for each in subjects)
    )


def _has_digest(subject: Mapping[str, Any]) -> bool:
    digest = subject.get("digest")
    named = isinstance(subject.get("name") or subject.get("uri"), str)
    return named and isinstance(digest, dict) and bool(digest) and all(map(_is_text, digest.values()))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _release_problems(statement: Mapping[str, Any], facts: ReleaseFacts) -> Iterator[str]:
    predicate = statement["predicate"]
    said = (predicate.get("release"), predicate.get("commit"), predicate.get("manifest"))
    if said != (facts.name, facts.commit, facts.manifest):
        yield "the attestation is one of another release"
    if predicate.get("factsDigest") != {"blake3": facts_digest(facts)}:
        yield "the attestation is made of other facts"
    tree, *files = statement["subject"]
    if tree["digest"] != {"dsvcManifest": facts.manifest}:
        yield "the attestation names another manifest"
    wanted = [(display_path(each.path), each.blake3, each.sha256) for each in facts.files]
    named = [(each.get("name"), each["digest"].get("blake3"), each["digest"].get("sha256")) for each in files]
    if sorted(map(repr, named)) != sorted(map(repr, wanted)):
        yield "the attestation names other files than were released"
