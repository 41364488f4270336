"""Examples of a rule as TOML: a small world in which it passes, one in which it fails, one without evidence.

A file ``RULE-ID.toml`` has three tables, ``[pass]``, ``[fail]`` and ``[missing]``: with these the rule must
give ``PASS``, ``FAIL`` and ``INCOMPLETE``. Each is a world; what they share stands in ``[base]``, and they
say only what is different. A world has::

    about = { en = "…", zh = "…" }       what it shows, in a few words; optional
    day = "2026-11-22"                   the day on which it is judged
    gate = "release"

    [[base.file]]                        the files of the version
    path = "data/a.jsonl"
    rows = [{ id = 1, text = "a" }]      a table, JSON lines or CSV by its name; or content = "text"
    before = "…"                         what the version before had there; absent: no such file
    judged = false                       it is no file of the version, only something that a run read
    lost = true                          its bytes can't be read

    [[base.source]]                      fields as `dsvc source add --field` takes them; "" takes one out
    id = "web"
    paths = ["data/a.jsonl"]             absent: all files that no run made
    acquisition = "open_dataset"         absent: open_dataset, licence, CC-BY-4.0
    contains_pi = "none"
    evidence = [{ type = "licence_text", valid_to = "2027-01-01", facts = {}, bytes = "stored" }]
    undetermined = ["contains_pi"]       fields for which two values met in a merge
    status = "active"                    with reason = "…" where it isn't
    now = { contains_pi = "yes" }        what was set after the judged version had seen it
    unchecked = { license_expression = "?" }  what stands there although dsvc would refuse it
    lost = true                          the record can't be read

    [[base.run]]
    name = "label"
    kind = "label"
    inputs = ["data/a.jsonl"]            lookups too
    outputs = ["data/b.jsonl"]
    facts = { annotator = "ann-01" }
    parameters = {}
    seed = "content"                     the seed that follows from the inputs (`dsvc.policy.sampling`)
    complete = true                      and: grade, declassified, started_at, ended_at, agent, code, lost

    [base.detections.secrets]            what a detector says of every file; without it: unknown
    status = "clean"
    [base.detections.secrets.files."data/a.jsonl"]
    status = "hits"
    counts = { aws_key = 1 }             and measures, reason

    [base.settings]                      as [policy] of dsvc.toml
    [base.tables."*.jsonl"]              as [tables] of dsvc.toml
    [base.parameters]                    thresholds of the rule other than the pack's
    [[base.request]]                     id, kind, state, …: fields of `RequestEntry`
    [[base.evaluation]]                  id, kind, outcome, of = "this" or "another"; problem
    [[base.defect]]                      id, severity, worst, status, path, back; problem: it can't be read
    [[base.change]]                      id (name of a metric), before, after, low, high;
                                         higher_is_better = "unknown": nothing says;
                                         unmeasured = true: this version has no such metric
    [[base.announced]]                   id (name of a release), since, until
    [[base.waiver]]                      id, rule, subject, standing
    [base.audit]                         unlogged = [], bad_signatures = []; audit = false: that was not told
    [base.word_list]                     version, updated, words, risks = { RISK = n }

Files are the same where their path is, sources where their id is, runs where their name is, all other items
of lists where their id is: of these a world names only what differs, ``absent = true`` takes one away. Tables
are united key by key, everything else is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from dsvc.lineage.validation import Gate, Outcome
from dsvc.model.detection import DetectionStatus
from dsvc.model.errors import UsageError
from dsvc.model.rights_request import RequestKind, RequestState
from dsvc.model.run_record import RunKind
from dsvc.model.source_record import Status
from dsvc.policy.rule import Value
from dsvc.table.rules_file import read_document

EXPECTED: Final = {"pass": Outcome.PASS, "fail": Outcome.FAIL, "missing": Outcome.INCOMPLETE}
"""What the rule must say in each of the three worlds."""
DAY: Final = "2026-11-22"
_KEYS: Final = {
    "file": "path",
    "source": "id",
    "run": "name",
    "request": "id",
    "evaluation": "id",
    "defect": "id",
    "change": "id",
    "announced": "id",
    "waiver": "id",
}
"""By what items of lists are known."""


class ExampleError(UsageError):
    """Examples of a rule can't be read."""

    code = "policy-example"


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    pass


class FileEntry(_Strict, frozen=True):
    """A file of the world."""

    path: str
    content: str | None = None
    rows: list[dict[str, Any]] | None = None
    before: str | None = None
    judged: bool = True
    lost: bool = False


class EvidenceEntry(_Strict, frozen=True):
    """Evidence; `bytes` is ``stored``, ``absent`` (not in the source's tree), ``other`` or ``lost``."""

    type: str
    name: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    facts: dict[str, str] = {}
    bytes: str = "stored"


class SourceEntry(_Strict, frozen=True):
    """A source; `fields` is all that is no attribute of the example."""

    id: str
    paths: list[str] | None = None
    evidence: list[EvidenceEntry] = []
    undetermined: list[str] = []
    status: Status = Status.ACTIVE
    reason: str | None = None
    now: dict[str, Any] = {}
    unchecked: dict[str, Any] = {}
    lost: bool = False
    fields: dict[str, Any] = {}


class RunEntry(_Strict, frozen=True):
    """A run."""

    name: str
    kind: RunKind = RunKind.TRANSFORM
    inputs: list[str] = []
    lookups: list[str] = []
    outputs: list[str] = []
    facts: dict[str, str] = {}
    parameters: dict[str, str] = {}
    seed: str | None = None
    complete: bool = True
    grade: str | None = None
    declassified: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    agent: str = "Ann"
    code: bool = True
    lost: bool = False


class DetectionEntry(_Strict, frozen=True):
    """What a detector says."""

    status: DetectionStatus
    counts: dict[str, int] = {}
    measures: dict[str, float] = {}
    reason: str | None = None
    files: dict[str, DetectionEntry] = {}


class RequestEntry(_Strict, frozen=True):
    """A request of a person; `digests`, `found` and `unsearched` are paths of files of the world."""

    id: str
    kind: RequestKind
    state: RequestState = RequestState.OPEN
    received_at: str = DAY
    due: str = "2026-12-22"
    ground: str = ""
    searched_at: str | None = "2026-11-22T00:00:00Z"
    domains: list[str] = []
    urls: list[str] = []
    authors: list[str] = []
    digests: list[str] = []
    found: list[str] = []
    unsearched: list[str] = []
    matched: list[str] = []
    unmatched: list[str] = []
    readable: int | str = 0
    problem: str | None = None
    certified: bool = False


class EvaluationEntry(_Strict, frozen=True):
    """A pilot evaluation."""

    id: str
    kind: str
    outcome: str = "passed"
    of: str = "this"
    problem: str | None = None


class DefectEntry(_Strict, frozen=True):
    """A defect."""

    id: str
    severity: str = "P1"
    status: str = "open"
    path: str = ""
    worst: str = ""
    back: int = 0
    problem: str | None = None


class ChangeEntry(_Strict, frozen=True):
    """A metric of the release before and of this version."""

    id: str
    before: float | None = None
    after: float | None = None
    low: float | None = None
    high: float | None = None
    higher_is_better: bool | str = True
    release: str = "v1"
    unmeasured: bool = False


class AnnouncementEntry(_Strict, frozen=True):
    """A release that is announced."""

    id: str
    since: str = "2026-10-01"
    until: str | None = None
    problem: str | None = None


class WaiverEntry(_Strict, frozen=True):
    """A waiver."""

    id: str
    rule: str
    subject: str = ""
    standing: str = "counts"


class AuditEntry(_Strict, frozen=True):
    """What the log of ref moves says."""

    unlogged: list[str] = []
    bad_signatures: list[str] = []


class WordListEntry(_Strict, frozen=True):
    """The list of sensitive words."""

    version: str = "1"
    updated: str | None = DAY
    words: int = 0
    risks: dict[str, int] = {}


class World(_Strict, frozen=True):
    """A world as the example has it."""

    about: dict[str, str] = {}
    day: str = DAY
    gate: Gate = Gate.RELEASE
    file: list[FileEntry] = []
    source: list[SourceEntry] = []
    run: list[RunEntry] = []
    detections: dict[str, DetectionEntry] = {}
    settings: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    parameters: dict[str, Any] = {}
    request: list[RequestEntry] = []
    evaluation: list[EvaluationEntry] = []
    defect: list[DefectEntry] = []
    change: list[ChangeEntry] = []
    announced: list[AnnouncementEntry] = []
    waiver: list[WaiverEntry] = []
    audit: AuditEntry | bool | None = None
    word_list: WordListEntry | None = None

    @property
    def values(self) -> dict[str, Value]:
        """Thresholds of the rule, lists as the rule has them."""
        return {
            name: tuple(each) if isinstance(each, list) else each for name, each in self.parameters.items()
        }


class Examples(NamedTuple):
    """The three worlds of a rule, by `EXPECTED`."""

    rule: str
    worlds: Mapping[str, World]


def parse_examples(data: bytes, rule: str, name: str) -> Examples:
    """Read the examples of a rule.

    Parameters
    ----------
    data : bytes
        Content of the file.
    rule : str
        Its id, from the name of the file.
    name : str
        What to call the file in messages.

    Raises
    ------
    ExampleError
        If it is malformed, or lacks one of the three.
    """
    document = read_document(data, name, ExampleError)
    unknown = sorted(set(document) - {"base", *EXPECTED})
    if unknown:
        raise ExampleError(f"{name}: there is no {unknown[0]!r}; known are base, {', '.join(EXPECTED)}")
    lacking = [each for each in EXPECTED if each not in document]
    if lacking:
        raise ExampleError(f"{name} has no [{lacking[0]}]", hint="each rule has pass, fail and missing")
    base = document.get("base", {})
    return Examples(rule, {each: _world(base, document[each], f"{name}: [{each}]") for each in EXPECTED})


def world_of(text: Mapping[str, Any], name: str = "world") -> World:
    """Read one world that nothing is shared with.

    Raises
    ------
    ExampleError
        If it is malformed.
    """
    return _world({}, text, name)


def _world(base: object, own: object, name: str) -> World:
    if not isinstance(base, dict) or not isinstance(own, dict):
        raise ExampleError(f"{name} is no table")
    try:
        united = _united(base, own)
        united["source"] = [_source(each) for each in united.get("source", [])]
        return msgspec.convert(united, World)
    except (msgspec.ValidationError, KeyError, TypeError, AttributeError) as error:
        raise ExampleError(f"{name}: {error}") from error


def _united(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = dict(base)
    for key, value in own.items():
        if key in _KEYS:
            found[key] = _items(found.get(key, []), value, _KEYS[key])
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = {**found[key], **value}
        else:
            found[key] = value
    for key, known in _KEYS.items():
        if key in found:
            found[key] = _items([], found[key], known)
    return found


def _items(base: list[dict[str, Any]], own: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Unite lists of items that are known by a key; a key that the item takes out is left out."""
    found = {each[key]: dict(each) for each in base}
    for each in own:
        united = {**found.get(each[key], {}), **each}
        if united.pop("absent", False):
            found.pop(each[key], None)
        else:
            found[each[key]] = united
    return list(found.values())


def _source(text: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in text.items() if key in SourceEntry.__struct_fields__}
    fields = {key: value for key, value in text.items() if key not in own}
    return {**own, "fields": {**fields, **own.get("fields", {})}}
