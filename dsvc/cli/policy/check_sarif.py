"""A verdict as SARIF 2.1.0, for code scanning and other viewers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes

from dsvc import __version__
from dsvc.cli.policy.waiver_text import waiver_fields
from dsvc.cli.writing.names import show_line
from dsvc.lineage.validation import Outcome, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dsvc.lineage.validation import Violation
    from dsvc.porcelain.policy.verdict import CheckResult, RuleAsked
    from dsvc.porcelain.policy.waivers import WaiverUse

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {Severity.BLOCKING: "error", Severity.WARNING: "warning", Severity.INFORMATION: "note"}
POLICY_FILE: Final = b"dsvc.toml"


def sarif(result: CheckResult, titles: Mapping[str, str]) -> dict[str, Any]:
    """Write a verdict as a SARIF log with one run.

    Parameters
    ----------
    titles : mapping of str to str
        What each rule asks, by its id.
    """
    asked = {rule.id: rule for rule in result.rules}
    ids = sorted(asked.keys() | {each.rule for each in result.violations})
    rules = [_rule(id_, asked.get(id_), titles.get(id_, id_)) for id_ in ids]
    places = {id_: number for number, id_ in enumerate(ids)}
    waivers = {use.id: use for use in result.waivers if use.standing.value == "counts"}
    run = {
        "tool": {"driver": {"name": "dsvc", "version": __version__, "rules": rules}},
        "automationDetails": {"id": f"dsvc check/{result.stage.value}/"},
        "invocations": [{"executionSuccessful": True, "exitCode": result.gate_exit_code}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, places[each.rule], waivers) for each in result.violations],
        "properties": {
            "outcome": result.outcome.value,
            "version": result.version,
            "commit": result.commit,
            "as_of": result.as_of,
            "packs": [{"name": pack.name, "digest": pack.digest} for pack in result.packs],
            "waivers": [waiver_fields(use) for use in result.waivers],
            "first_roster": result.first_roster,
            "officers": list(result.officers),
            "verdict": result.digest,
        },
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(id_: str, asked: RuleAsked | None, title: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": id_, "shortDescription": {"text": title}}
    if asked is not None:
        rule["defaultConfiguration"] = {"level": _LEVELS[asked.severity]}
        rule["fullDescription"] = {"text": f"{title} ({asked.clause})" if asked.clause else title}
        rule["properties"] = {"clause": asked.clause, "verified": asked.verified, "pack": asked.pack}
    return rule


def _result(violation: Violation, place: int, waivers: Mapping[str, WaiverUse]) -> dict[str, Any]:
    hint = "" if violation.hint is None else f"\n{show_line(violation.hint)}"
    found: dict[str, Any] = {
        "ruleId": violation.rule,
        "ruleIndex": place,
        "level": "warning" if violation.inherited else _LEVELS[violation.severity],
        "kind": "fail" if violation.outcome is Outcome.FAIL else "open",
        "message": {"text": show_line(violation.message) + hint},
        "locations": [_location(violation.subject)],
        "partialFingerprints": {"subject/v1": f"{violation.rule}:{violation.digest.hex()}"},
        "baselineState": "unchanged" if violation.inherited else "new",
        "properties": {
            "outcome": violation.outcome.value,
            "clause": violation.clause,
            "settled_by": violation.settled_by,
            "pack": violation.pack,
        },
    }
    if found["kind"] != "fail":
        # The standard wants no level with any other kind.
        found["properties"]["level"] = found["level"]
        found["level"] = "none"
    if violation.waiver is not None:
        use = waivers.get(violation.waiver)
        why = "" if use is None else f" until {use.until} by {use.by}: {use.reason}"
        justification = show_line(f"waiver {violation.waiver}{why}")
        found["suppressions"] = [{"kind": "external", "justification": justification}]
    return found


def _location(subject: bytes) -> dict[str, Any]:
    """Name a file where the subject is one; anything else by its name, in the file that settles it."""
    name = show_line(subject.decode("utf-8", "backslashreplace")) or "the whole version"
    path, kind = _path_of(subject)
    return {
        "physicalLocation": {"artifactLocation": {"uri": quote_from_bytes(path, safe="/")}},
        "logicalLocations": [{"name": name, "kind": kind}],
    }


def _path_of(subject: bytes) -> tuple[bytes, str]:
    if not subject:
        return POLICY_FILE, "version"
    for kind in ("run", "source", "defect"):
        if subject.startswith(kind.encode() + b":"):
            return POLICY_FILE, kind
    path, at, digest = subject.rpartition(b"@")
    if at and len(digest) == 64 and path:
        return path, "artifact"
    return subject, "file"
