"""Facts of releases for tests: a small one with something of everything, and hostile ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from blake3 import blake3
from xxhash import xxh3_128_hexdigest

from dsvc.lineage.validation import Outcome, Severity
from dsvc.model.defect import DefectStatus
from dsvc.model.feedback import DefectSeverity, Metric, PilotKind, Support
from dsvc.model.run_record import RunKind
from dsvc.model.source_record import Acquisition, LegalBasis, Status
from dsvc.model.table_kind import kind_by_name, recognise
from dsvc.policy.notices import Notice
from dsvc.release.drop_accounting import DropAccounting, DropLine
from dsvc.release.facts import (
    ChangeKind,
    Column,
    DefectStanding,
    Evaluation,
    FileChange,
    FileKind,
    KnownDefect,
    LineageClosure,
    ReleasedFile,
    ReleasedRun,
    ReleasedSource,
    ReleasedTable,
    ReleaseFacts,
    RunArtifact,
    Since,
)
from dsvc.release.mixture import Part, mix
from dsvc.release.quality_gain import MetricChange
from dsvc.release.verdict_facts import Found, PackUsed, PolicyChanged, RuleAsked, Verdict, WaiverShown

HEX = "0123456789abcdef" * 4
RUNS = (HEX[1:] + "0", HEX[2:] + "01")
HOSTILE = (
    "---\nlicense: mit\n---\n# owned",
    "<script>alert(1)</script>",
    "a | b | c\n\n## injected",
    "![x](javascript:alert(1)) [y](https://evil.example/)",
    "https://evil.example/ www.evil.example me@evil.example @everyone",
    "`code` *b* _i_ ~~s~~ $x$ &lt;b&gt; <!-- c -->",
    "\u202egnp.exe \x00\x07\u2028- item\n1. one\n    indented",
    "\\| \\` \\<b> \\",
    "=====\nSetext",
    "&#60;img src=x onerror=1&#62;",
)


def released_file(
    path: str | bytes, data: bytes = b"x", columns: Mapping[str, str] | None = None, rows: int | None = None
) -> ReleasedFile:
    """A file with digests of bytes; a table where columns or rows are given."""
    raw = path if isinstance(path, bytes) else path.encode()
    kind = recognise(raw, data[:8192]) or kind_by_name(raw)
    table = None
    if kind is not None and (columns is not None or rows is not None):
        named = tuple(Column(name, each) for name, each in (columns or {}).items())
        table = ReleasedTable(format=kind.format, compression=kind.compression, rows=rows, columns=named)
    return ReleasedFile(
        path=raw,
        size=len(data),
        blake3=blake3(data).hexdigest(),
        xxh3=xxh3_128_hexdigest(data),
        kind=FileKind.TABLE if table else FileKind.BINARY,
        sha256=hashlib.sha256(data).hexdigest(),
        table=table,
    )


def empty_facts(**changes: object) -> ReleaseFacts:
    """The least that a release says: no file, no source, no run."""
    verdict = Verdict(outcome=Outcome.PASS, judged_at="2026-11-22T10:00:00Z", as_of="2026-11-22", digest=HEX)
    facts = ReleaseFacts(
        name="v0",
        commit="c" * 40,
        manifest=HEX,
        created_at="2026-11-22T10:00:01Z",
        author="李雷 <lilei@example.org>",
        files=(),
        verdict=verdict,
        lineage=LineageClosure(digest=HEX, complete=True),
        licence="undetermined",
    )
    return msgspec.structs.replace(facts, **changes)


def _verdict() -> Verdict:
    return Verdict(
        outcome=Outcome.PASS,
        judged_at="2026-11-22T10:00:00Z",
        as_of="2026-11-22",
        digest=HEX,
        packs=(PackUsed("default@1", HEX), PackUsed("cn-training@3", HEX)),
        rules=(
            RuleAsked(id="SRC-01", severity=Severity.BLOCKING, clause="S4", verified=True, pack="default"),
            RuleAsked(id="LIC-02", severity=Severity.BLOCKING, pack="default"),
            RuleAsked(id="QTY-01", severity=Severity.WARNING, pack="cn-training"),
        ),
        violations=(
            Found(
                rule="LIC-02",
                severity=Severity.BLOCKING,
                subject="source:网页".encode(),
                message="NC licence, purpose not said",
                outcome=Outcome.FAIL,
                waiver="waiver000001",
            ),
            Found(
                rule="QTY-01",
                severity=Severity.WARNING,
                subject=b"train.csv",
                message="no metric of completeness",
                outcome=Outcome.INCOMPLETE,
            ),
        ),
        waivers=(
            WaiverShown(
                id="waiver000001",
                counts=True,
                why="signed by 韩梅梅",
                rule="LIC-02",
                subject="source:网页".encode(),
                reason="合同已补签",
                until="2027-01-01",
                by="韩梅梅 <h@example.org>",
                key="SHA256:abc",
            ),
            WaiverShown(id="waiver000002", counts=False, why="it can't be read"),
        ),
        policy_changes=(PolicyChanged(what="SRC-06", before="blocking", after="warning", weaker=True),),
    )


def _runs() -> tuple[ReleasedRun, ...]:
    clean = ReleasedRun(
        id=RUNS[0],
        name="清洗",
        kind=RunKind.CLEAN,
        inputs=(
            RunArtifact(path=b"raw/a.jsonl", digest=HEX, records=12),
            RunArtifact(path=b"rules", digest=HEX, folder=True, records=2),
        ),
        outputs=(RunArtifact(path=b"train.csv", digest=HEX, records=9),),
        command=("python", "clean.py", "--min", "3"),
        parameters={"min": "3"},
        code=HEX,
        started_at="2026-11-20T01:00:00.000Z",
        ended_at="2026-11-20T01:00:02.000Z",
        rows={"kept": 9, "changed": 0, "merged": 0, "split": 0, "dropped": 3, "added": 0},
        rowwise=True,
    )
    label = ReleasedRun(
        id=RUNS[1],
        name="label",
        kind=RunKind.LABEL,
        manual="two people looked at every row",
        facts={"tool": "Label Studio", "rules": "v2"},
        outputs=(RunArtifact(path=b"train.csv", digest=HEX, records=9),),
    )
    return label, clean


def _sources() -> tuple[ReleasedSource, ...]:
    crawl = ReleasedSource(
        id="网页",
        title="新闻网页",
        licence="CC-BY-NC-4.0",
        acquisition=Acquisition.CRAWL,
        legal_basis=LegalBasis.LICENCE,
        digest=HEX,
        stated={
            "language": ("zh", "en"),
            "collected_from": "2026-01-01",
            "collected_to": "2026-02-01",
            "responsible_person": "王芳",
            "contains_pi": "none",
            "url": "https://example.org/news",
            "modality": ("text",),
        },
    )
    made = ReleasedSource(
        id="synthetic-1",
        title="Generated questions",
        licence="MIT",
        acquisition=Acquisition.SYNTHETIC,
        legal_basis=LegalBasis.CONTRACT,
        digest=HEX,
        status=Status.WITHDRAWN,
        reason="terms changed",
    )
    return made, crawl


def _evaluations() -> tuple[Evaluation, ...]:
    accuracy = Metric(name="accuracy", value=0.81, n=500, higher_is_better=True, support=Support.RECOMPUTED)
    loss = Metric(name="loss", value=0.5, higher_is_better=False, task="nli", stderr=0.01)
    return (
        Evaluation(
            feedback="feedback0001",
            suite="pilot",
            model="bert-小",
            tool="lm-eval",
            kind=PilotKind.FINETUNING,
            created="2026-11-21T00:00:00Z",
            outcome="passed",
            metrics=(accuracy, loss),
        ),
        Evaluation(feedback="feedback0002", suite="manual"),
    )


def _defects() -> tuple[KnownDefect, ...]:
    return (
        KnownDefect(
            id="d-00000001",
            standing=DefectStanding.OPEN,
            status=DefectStatus.CONFIRMED,
            severity=DefectSeverity.P3,
            path=b"train.csv",
            symptom="错标",
            rows=4,
        ),
        KnownDefect(
            id="d-00000002",
            standing=DefectStanding.WAIVED,
            status=DefectStatus.OPEN,
            severity=DefectSeverity.P1,
            path=b"train.csv",
            symptom="mojibake",
            rows=1,
            waiver="waiver000001",
        ),
        KnownDefect(
            id="d-00000003",
            standing=DefectStanding.CLOSED,
            status=DefectStatus.VERIFIED,
            severity=DefectSeverity.P2,
            path=b"\xff/odd.bin",
            symptom="wrong-label",
            rows=7,
        ),
    )


def _since() -> Since:
    return Since(
        release="v1.1.0",
        commit="b" * 40,
        manifest=HEX,
        files=(
            FileChange(
                path=b"train.csv",
                change=ChangeKind.MODIFIED,
                rows_added=1,
                rows_removed=2,
                rows_changed=3,
            ),
            FileChange(path="图片/猫.png".encode(), change=ChangeKind.ADDED),
        ),
        metrics=(
            MetricChange(
                suite="pilot",
                name="accuracy",
                before=0.7,
                after=0.81,
                n_before=500,
                n_after=500,
                higher_is_better=True,
                low=0.05,
                high=0.17,
                method="mcnemar",
            ),
        ),
    )


def full_facts() -> ReleaseFacts:
    """Something of everything."""
    files = (
        released_file("train.csv", b"id,text\n1,a\n", {"id": "int64", "text": "string"}, 1),
        released_file("图片/猫.png", b"png"),
        released_file(b"\xff/odd.bin", b"odd"),
    )
    parts = (
        Part(b"train.csv", 1, ("网页", "synthetic-1"), "text", True),
        Part("图片/猫.png".encode(), 1, ("网页",), "image", False),
        Part(b"\xff/odd.bin", 1, (), "binary", None),
    )
    return empty_facts(
        name="v1.2.0",
        title="评论数据集",
        description="Reviews with labels.",
        notes="First notes.\nSecond line.",
        contact="data@example.org",
        licence="CC-BY-NC-4.0 AND MIT",
        files=files,
        verdict=_verdict(),
        lineage=LineageClosure(digest=HEX, complete=True, runs=_runs(), sources=_sources()),
        evaluations=_evaluations(),
        defects=_defects(),
        drops=DropAccounting(
            (
                DropLine(run=RUNS[0], name="清洗", reason="too short", rows=2),
                DropLine(run=RUNS[0], name="清洗", reason="unspecified", rows=1),
            )
        ),
        mixture=mix(parts, {each.path: each.size for each in files}),
        notices=(
            Notice("网页", "新闻网页", ("某报社",), "CC-BY-NC-4.0", "https://example.org/news", (), (HEX,)),
        ),
        since=_since(),
    )


def hostile_facts(text: str) -> ReleaseFacts:
    """The same release with a text wherever others choose the text."""
    facts = full_facts()
    lineage = facts.lineage
    sources = tuple(
        msgspec.structs.replace(
            each, title=text, reason=text, stated={**each.stated, "responsible_person": text, "issuer": text}
        )
        for each in lineage.sources
    )
    runs = tuple(
        msgspec.structs.replace(
            each, name=text, command=(text,), manual=text, parameters={text: text}, facts={"tool": text}
        )
        for each in lineage.runs
    )
    verdict = facts.verdict
    name = text.replace("/", "∕").replace("\0", "") + ".csv"
    return msgspec.structs.replace(
        facts,
        files=(*facts.files, released_file(name, b"1", {text: "int64", "n": text}, 1)),
        title=text,
        description=text,
        notes=text,
        contact=text,
        author=text,
        lineage=msgspec.structs.replace(lineage, runs=runs, sources=sources),
        notices=tuple(each._replace(title=text, holders=(text,), url=text) for each in facts.notices),
        defects=tuple(msgspec.structs.replace(each, symptom=text) for each in facts.defects),
        drops=DropAccounting(
            tuple(
                msgspec.structs.replace(each, name=text, reason=text + each.reason)
                for each in facts.drops.lines
            )
        ),
        evaluations=tuple(
            msgspec.structs.replace(each, suite=text, model=text, tool=text) for each in facts.evaluations
        ),
        verdict=msgspec.structs.replace(
            verdict,
            violations=tuple(msgspec.structs.replace(each, message=text) for each in verdict.violations),
            waivers=tuple(
                msgspec.structs.replace(each, why=text, reason=text, by=text) for each in verdict.waivers
            ),
        ),
    )


def many_files(count: int) -> tuple[ReleasedFile, ...]:
    """Files in folders of a hundred."""
    return tuple(
        released_file(f"图/{place // 100:02}/{place:05}.png", place.to_bytes(4, "big"))
        for place in range(count)
    )
