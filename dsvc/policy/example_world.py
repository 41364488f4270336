"""A case made of an example: its files, sources and runs are stored in memory, as a repository stores them.

The format is that of `dsvc.policy.example_text`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from blake3 import blake3

from dsvc.lineage.artifacts import file_artifact
from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_runs import KnownRuns
from dsvc.lineage.known_sources import KnownSource, KnownSources
from dsvc.lineage.lineage_rules import LineageRules
from dsvc.lineage.run_tree import Files, store_run
from dsvc.lineage.source_tree import SourceTree, store_part, store_source
from dsvc.lineage.source_values import changed_record, new_record, read_changes
from dsvc.lineage.validation import Judged
from dsvc.model.errors import DsvcError, MissingDataError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_FILE, Entry
from dsvc.model.rights_request import (
    Certificate,
    FoundArtifact,
    Reach,
    RequestRecord,
    RightsRequest,
    Selector,
    Unsearched,
)
from dsvc.model.run_record import Agent, Code, Environment, Input, Output, Role, Run, RunId
from dsvc.model.source_operation import SourceOperation, SourceVerb
from dsvc.model.source_record import Coverage, Evidence, SourceRecord
from dsvc.policy.case import Case
from dsvc.policy.example_detections import StatedDetections
from dsvc.policy.example_text import (
    AuditEntry,
    EvidenceEntry,
    ExampleError,
    FileEntry,
    RequestEntry,
    RunEntry,
    SourceEntry,
    World,
)
from dsvc.policy.facts import (
    Announcement,
    AuditFacts,
    Defect,
    Evaluation,
    QualityChange,
    WaiverFacts,
    WordListFacts,
)
from dsvc.policy.sampling import content_root, sample_seed
from dsvc.policy.settings import PolicySettings
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.ingest import store_bytes
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.store.memory_backend import MemoryBackend
from dsvc.table.describing.describe import describe_bytes
from dsvc.table.roles import TableRules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TIME: Final = "2026-01-01T00:00:00Z"


def build_case(world: World) -> Case:
    """Make the case of a world.

    Raises
    ------
    ExampleError
        If what it says can't be.
    """
    try:
        return _Builder(world).case()
    except ExampleError:
        raise
    except (DsvcError, msgspec.ValidationError, KeyError) as error:
        raise ExampleError(f"example: {error}") from error


class _Builder:
    """Stores a world and knows what became of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = ChunkStore(MemoryBackend())
        self._bytes: dict[bytes, bytes] = {}
        self._entries: dict[bytes, Entry] = {}
        self._before: dict[bytes, Entry] = {}
        self._lost: set[bytes] = set()
        for each in world.file:
            self._file(each)

    def case(self) -> Case:
        """Put everything together."""
        world = self._world
        runs = [self._run(number, each) for number, each in enumerate(world.run)]
        sources = [(each, self._source(each)) for each in world.source]
        judged = [self._entries[each.path.encode()] for each in world.file if each.judged]
        version = Manifest(self._store, EMPTY_ROOT).update(sorted((each.path, each) for each in judged))
        self._store.publish()
        known = Origins(KnownRuns(self._store, runs), self._known(sources), LineageRules())
        closure = Closure(known, sorted(judged, key=lambda each: each.path))
        data = tuple(e for e in judged if ArtifactNode(e.path, e.digest) in closure.roots)
        tables = _tables(world.tables)
        words, log = world.word_list, world.audit
        return Case(
            gate=world.gate,
            day=world.day,
            judged=Judged(known, closure, self._row_hashes),
            entries=tuple(sorted(data, key=lambda each: each.path)),
            settings=msgspec.convert(world.settings, PolicySettings),
            detections=StatedDetections(data, world.detections),
            columns=self._columns,
            tables=TableRules.parse(tables, "example") if tables else TableRules(),
            previous=self._before.get,
            requests=tuple(self._request(each) for each in world.request),
            evaluations=tuple(_evaluations(world, bytes(version))),
            defects=tuple(_defects(world)),
            changes=tuple(_changes(world)),
            announced=tuple(
                Announcement(each.id, each.since, each.until, each.problem) for each in world.announced
            ),
            waivers=tuple(
                WaiverFacts(each.id, each.rule, each.subject.encode(), each.standing) for each in world.waiver
            ),
            audit=None
            if not isinstance(log, AuditEntry)
            else AuditFacts(tuple(log.unlogged), tuple(log.bad_signatures)),
            word_list=None
            if words is None
            else WordListFacts(words.version, words.updated, words.words, words.risks),
            version=bytes(version),
        )

    # Files

    def _file(self, each: FileEntry) -> None:
        path = each.path.encode()
        if (each.content is None) == (each.rows is None):
            raise ExampleError(f"{each.path} has either content or rows")
        data = each.content.encode() if each.content is not None else _table(each.path, each.rows or [])
        self._bytes[path] = data
        if each.lost:
            self._lost.add(path)
        self._entries[path] = self._stored(path, data)
        if each.before is not None:
            self._before[path] = self._stored(path, each.before.encode())

    def _stored(self, path: bytes, data: bytes) -> Entry:
        return store_bytes(self._store, path, data, None, describe_bytes).entry(path, MODE_FILE)

    def _at(self, paths: Iterable[str]) -> list[Entry]:
        found = []
        for path in paths:
            if path.encode() not in self._entries:
                raise ExampleError(f"there is no file {path}")
            found.append(self._entries[path.encode()])
        return found

    def _row_hashes(self, entries: Sequence[Entry]) -> list[NDArray[np.uint64]]:
        """Hash rows: those of CSV below the header."""
        import numpy as np

        from dsvc.table.origin.source import NotATableError

        found = []
        for entry in entries:
            if entry.rows is None:
                raise NotATableError(f"{entry.path.decode()} is no table whose rows are known")
            if entry.path in self._lost:
                raise MissingDataError(f"{entry.path.decode()} is missing")
            lines = self._bytes[entry.path].splitlines()[-entry.rows :] if entry.rows else []
            hashes = [int.from_bytes(blake3(line).digest()[:8], "big") for line in lines]
            found.append(np.array(hashes, np.uint64))
        return found

    def _columns(self, entry: Entry) -> frozenset[str] | None:
        rows = next((each.rows for each in self._world.file if each.path.encode() == entry.path), None)
        return None if not rows else frozenset(name for row in rows for name in row)

    # Sources

    def _source(self, each: SourceEntry) -> tuple[NodeId, ...]:
        """Store a source as the version pinned it, and as it is now."""
        given = {
            "title": f"Source {each.id}",
            "acquisition": "open_dataset",
            "legal_basis": "licence",
            "license_expression": "CC-BY-4.0",
            **each.fields,
        }
        record = new_record(each.id, read_changes(given.items()))
        made = {path for run in self._world.run for path in run.outputs}
        paths = [f.path for f in self._world.file if f.path not in made] if each.paths is None else each.paths
        entries = sorted(self._at(dict.fromkeys(paths)), key=lambda entry: entry.path)
        evidence, stored = self._evidence(each.evidence)
        record = msgspec.structs.replace(
            record,
            status=each.status,
            reason=each.reason,
            undetermined=tuple(each.undetermined),
            evidence=tuple(evidence),
            covers=tuple(Coverage(path=entry.path) for entry in entries),
            attested_at=_TIME,
            **each.unchecked,
        )
        files = Manifest(self._store, EMPTY_ROOT).update([(entry.path, entry) for entry in entries])
        states = [record]
        if each.now:
            states.insert(0, changed_record(record, read_changes(each.now.items())))
        return tuple(self._state(state, files, stored) for state in states)

    def _state(self, record: SourceRecord, files: NodeId, evidence: Mapping[str, Entry]) -> NodeId:
        operation = SourceOperation(verb=SourceVerb.ADD, time=_TIME)
        return store_source(self._store, record, operation, files=files, evidence=evidence, rows={})

    def _evidence(self, given: Sequence[EvidenceEntry]) -> tuple[list[Evidence], dict[str, Entry]]:
        records, stored = [], {}
        for number, each in enumerate(given):
            name = each.name or f"{number}-{each.type}.txt"
            data = f"{each.type} {number}".encode()
            entry = store_part(self._store, data)
            record = Evidence(
                type=each.type,
                name=name,
                digest=entry.digest,
                size=entry.size,
                valid_from=each.valid_from,
                valid_to=each.valid_to,
                facts=each.facts,
            )
            if each.bytes == "lost":
                # An entry whose bytes nobody has.
                entry = msgspec.structs.replace(entry, digest=blake3(data + b"?").digest())
                record = msgspec.structs.replace(record, digest=entry.digest)
            elif each.bytes == "other":
                entry = store_part(self._store, data + b"!")
            elif each.bytes not in ("stored", "absent"):
                raise ExampleError("bytes of evidence are stored, absent, other or lost")
            records.append(record)
            if each.bytes != "absent":
                stored[name] = entry
        return records, stored

    def _known(self, sources: Sequence[tuple[SourceEntry, tuple[NodeId, ...]]]) -> KnownSources:
        found, unreadable = [], {}
        for each, roots in sources:
            if each.lost:
                unreadable[each.id] = MissingDataError(f"the record of source {each.id} is missing")
                continue
            trees = [SourceTree(self._store, root) for root in roots]
            found.append(KnownSource(trees, dict, trees[-1:]))
        return KnownSources(found, unreadable)

    # Runs

    def _run(self, number: int, each: RunEntry) -> RunId:
        if each.lost:
            return RunId(blake3(each.name.encode()).digest())
        inputs, lookups, outputs = self._at(each.inputs), self._at(each.lookups), self._at(each.outputs)
        at = f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}.000Z"
        seed = each.seed
        if seed == "content":
            seed = str(sample_seed(content_root((entry.path, entry.digest) for entry in inputs)))
        run = Run(
            name=each.name,
            kind=each.kind,
            inputs=(
                *(Input(**_artifact(entry)) for entry in inputs),
                *(Input(**_artifact(entry), role=Role.LOOKUP) for entry in lookups),
            ),
            outputs=tuple(Output(**_artifact(entry)) for entry in outputs),
            code=Code(commit="0" * 40, digest=b"c" * 32) if each.code else Code(),
            environment=Environment(dsvc="0", python="3.11", platform="Linux"),
            agent=Agent(each.agent, "ann@example.org"),
            started_at=each.started_at or at,
            ended_at=each.ended_at or at,
            command=("python", "step.py"),
            parameters=each.parameters,
            facts=each.facts,
            seed=seed,
            complete=each.complete,
            grade=each.grade,
            declassified=each.declassified,
        )
        read = [Files([entry], False) for entry in (*inputs, *lookups)]
        return store_run(self._store, run, inputs=read, outputs=[Files([entry], False) for entry in outputs])

    # Requests

    def _request(self, each: RequestEntry) -> RightsRequest:
        certificate = Certificate(
            time=_TIME, approver="Ann", reason="", method="", chunks=1, bytes=1, packs=1, objects_read=1,
            tables_read=1,
        )  # fmt: skip
        record = RequestRecord(
            request_id=each.id,
            kind=each.kind,
            received_at=each.received_at,
            due=each.due,
            ground=each.ground,
            selector=Selector(
                domains=tuple(each.domains),
                urls=tuple(each.urls),
                authors=tuple(each.authors),
                digests=tuple(entry.digest for entry in self._at(each.digests)),
            ),
            state=each.state,
            searched_at=each.searched_at or None,
            found=tuple(
                FoundArtifact(path=entry.path, digest=entry.digest, rows=1, reach=Reach.DIRECT)
                for entry in self._at(each.found)
            ),
            unsearched=tuple(
                Unsearched(path=entry.path, digest=entry.digest, reason="it can't be read")
                for entry in self._at(each.unsearched)
            ),
            certificate=certificate if each.certified else None,
        )
        return RightsRequest(
            record=record,
            matched=tuple(path.encode() for path in each.matched),
            unmatched=tuple(path.encode() for path in each.unmatched),
            readable=each.readable if isinstance(each.readable, int) else None,
            problem=each.problem,
        )


# What the history keeps


def _evaluations(world: World, version: bytes) -> Iterator[Evaluation]:
    for each in world.evaluation:
        of = version if each.of == "this" else bytes(32)
        yield Evaluation(each.id, each.kind, of, each.outcome, each.problem)


def _defects(world: World) -> Iterator[Defect]:
    for each in world.defect:
        path, digest = each.path.encode(), blake3(each.id.encode()).digest()
        yield Defect(each.id, each.severity, each.status, path, each.worst, digest, each.back, each.problem)


def _changes(world: World) -> Iterator[QualityChange]:
    for each in world.change:
        after = None if each.unmeasured else each.after
        better = each.higher_is_better if isinstance(each.higher_is_better, bool) else None
        yield QualityChange(each.id, each.before, after, each.low, each.high, better, each.release)


def _artifact(entry: Entry) -> dict[str, Any]:
    found = file_artifact(entry)
    return {name: getattr(found, name) for name in ("path", "digest", "size", "records")}


def _table(path: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write rows as CSV or as JSON lines."""
    if not path.endswith(".csv"):
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, *([str(row.get(name, "")) for name in columns] for row in rows)]
    return "".join(",".join(line) + "\n" for line in lines).encode()


def _tables(stated: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Write the sections as ``dsvc.toml`` has them; texts of JSON are texts of TOML."""
    lines = []
    for glob, keys in stated.items():
        lines.append(f"[tables.{json.dumps(glob)}]")
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    return "\n".join(lines).encode()
