"""The licence fold: what may be done with 10,000 artifacts that come from 200 sources.

`python -m benchmarks.policy_fold` prints what `python -m benchmarks policy` measures of it. Each source has
one of 24 licences, some with a choice; every third one limits purposes, consumers or gain, every third one
the last day. Folded are 10,000 sets of 1 to 200 of these, all different; then, with all that rules ask of
licences, the files of a lineage: each artifact made by a run of its own of one to three others. That one is
made in memory: what reading a lineage takes is measured elsewhere.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, cast

from blake3 import blake3

from benchmarks.results import Reading
from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origin, Origins
from dsvc.lineage.descent import descent_of
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_runs import KnownRuns, ReadFile
from dsvc.model.manifest import MODE_FILE, Entry
from dsvc.model.run_record import Agent, Code, Environment, Role, Run, RunId, RunKind
from dsvc.model.source_record import Acquisition, LegalBasis, SourceRecord
from dsvc.policy.adaptation import contents_of
from dsvc.policy.licence_fold import LicenceFolds, permits_use, use_of
from dsvc.policy.licence_vector import permission
from dsvc.policy.share_alike import best_sharing
from dsvc.table.roles import TableRules

ARTIFACTS, SOURCES = 10_000, 200
LICENCES = (
    "CC0-1.0",
    "PDDL-1.0",
    "MIT",
    "Apache-2.0",
    "BSD-3-Clause",
    "ODC-By-1.0",
    "CDLA-Permissive-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "OGL-UK-3.0",
    "etalab-2.0",
    "MulanPSL-2.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "ODbL-1.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "MIT OR Apache-2.0",
    "MIT OR GPL-3.0-or-later",
    "CC-BY-NC-4.0 OR LicenseRef-contract",
    "CC-BY-4.0 AND MIT",
    "LicenseRef-own",
    "undetermined",
)
KINDS = (RunKind.FILTER, RunKind.MIX, RunKind.CLEAN, RunKind.TRANSFORM)


class _Made(NamedTuple):
    kind: RunKind
    read: tuple[ArtifactNode, ...]


class _Known:
    """Stands for runs and sources: the same answers, without a store."""

    def __init__(self, artifacts: int, sources: int) -> None:
        choice = random.Random(5)
        self.rules, self.sources = None, None
        self.runs = self
        self.nodes = [_node(f"raw/{number}.parquet") for number in range(sources)]
        self._sources = {node: f"s{number}" for number, node in enumerate(self.nodes)}
        self._makers: dict[ArtifactNode, RunId] = {}
        self._runs: dict[RunId, _Made] = {}
        for number in range(artifacts):
            read = tuple(choice.sample(self.nodes[-3 * sources :], choice.choice((1, 2, 2, 3))))
            node = _node(f"made/{number}.parquet")
            id_ = RunId(blake3(b"run" + node.path).digest())
            self._makers[node] = id_
            self._runs[id_] = _Made(choice.choice(KINDS), read)
            self.nodes.append(node)

    def of(self, node: ArtifactNode, records: int | None, size: int) -> Origin:
        return self.at_path(node, records)

    def at_path(self, node: ArtifactNode, records: int | None) -> Origin:
        maker = self._makers.get(node)
        return Origin((), (self._sources[node],)) if maker is None else Origin((maker,))

    def reads(self, id_: RunId) -> tuple[ReadFile, ...]:
        return tuple(ReadFile(node, Role.INPUT, 1, 1) for node in self._runs[id_].read)

    def run(self, id_: RunId) -> Run:
        return _run(self._runs[id_].kind)

    def is_data(self, path: bytes) -> bool:
        return True

    @property
    def entries(self) -> Iterator[Entry]:
        """Files of the version: all artifacts."""
        for node in self.nodes:
            yield Entry(node.path, MODE_FILE, 1, node.digest, bytes(16))


def _node(path: str) -> ArtifactNode:
    return ArtifactNode(path.encode(), blake3(path.encode()).digest())


def _run(kind: RunKind) -> Run:
    return Run(
        name=kind.value,
        kind=kind,
        inputs=(),
        outputs=(),
        code=Code(),
        environment=Environment(),
        agent=Agent("Ann", "ann@example.org"),
        started_at="",
        ended_at="",
    )


def _records(count: int) -> dict[str, list[SourceRecord]]:
    choice = random.Random(7)
    limits: Sequence[dict[str, Any]] = (
        {"purposes_allowed": ["research", "ai-training"]},
        {"purposes_forbidden": ["surveillance"]},
        {"consumers_allowed": ["lab one", "lab two"]},
        {"commercial": "no"},
    )
    found = {}
    for number in range(count):
        fields = dict(choice.choice(limits)) if number % 3 == 0 else {}
        if number % 3 == 1:
            fields["expiry"] = f"20{27 + number % 40}-01-01"
        record = SourceRecord(
            source_id=f"s{number}",
            title=f"Source {number}",
            acquisition=Acquisition.OPEN_DATASET,
            legal_basis=LegalBasis.LICENCE,
            license_expression=LICENCES[number % len(LICENCES)],
            fields=fields,
        )
        found[record.source_id] = [record]
    return found


def measure_fold(place: Path, scale: float, rounds: int) -> Iterator[Reading]:
    """Fold sets of sources, then the files of a lineage; the median of the rounds."""
    artifacts = max(round(ARTIFACTS * scale), 100)
    records = _records(SOURCES)
    yield Reading(name="fold artifacts", value=artifacts, unit="count")
    yield Reading(name="fold sources", value=SOURCES, unit="count")
    taken = [_fold_sets(records, artifacts) for _ in range(rounds)]
    yield Reading(name="fold", value=median(taken), unit="s")
    known = _Known(artifacts, SOURCES)
    closure = Closure(cast(Origins, known), known.entries)
    taken = [_fold_files(records, known, closure) for _ in range(rounds)]
    yield Reading(name="fold files with descents and questions", value=median(taken), unit="s")


def _fold_sets(records: dict[str, list[SourceRecord]], count: int) -> float:
    choice = random.Random(11)
    names = sorted(records)
    sets = {tuple(choice.sample(names, choice.randint(1, len(names)))) for _ in range(count)}
    begun = perf_counter()
    folds = LicenceFolds(records)
    for each in sets:
        folds.of(each)
    return perf_counter() - begun


def _fold_files(records: dict[str, list[SourceRecord]], known: _Known, closure: Closure) -> float:
    use = use_of("research", (), "2026-11-22")
    begun = perf_counter()
    descents = descent_of(closure)
    folds = LicenceFolds(records)
    permitted = {each: folds.of(each.sources, each.whole) for each in dict.fromkeys(descents.values())}
    asked = {each: permission(each, lambda v: permits_use(v, use)) for each in set(permitted.values())}
    shared = {each: best_sharing(each) for each in set(permitted.values())}
    answers = [(asked[permitted[each]], shared[permitted[each]]) for each in descents.values()]
    contents = contents_of(closure, cast(KnownRuns, known), TableRules(), lambda entry: None)
    seconds = perf_counter() - begun
    assert len(answers) == len(contents) == len(known.nodes)
    return seconds


if __name__ == "__main__":
    for reading in measure_fold(Path(), 1, 3):
        print(f"{reading.name}: {reading.value:.3f} {reading.unit}")
