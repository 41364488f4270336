"""What files descend from, in the plainest way: everything is read, one file after the other is asked.

The gate answers the same by reading less (`dsvc.lineage.closure`); tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from dsvc.lineage.coverage import Lack, Origin, Uncovered, holds_bytes
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_runs import ReadFile
from dsvc.lineage.known_sources import Attested, KnownSources
from dsvc.lineage.lineage_rules import LineageRules, is_never_data
from dsvc.lineage.row_set import decode_rows
from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.source_tree import SourceTree
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Artifact, Role, Run, RunId
from dsvc.store.chunk_store import ChunkStore

Step = ArtifactNode | RunId


class PlainRuns:
    def __init__(self, store: ChunkStore, ids: Iterable[RunId]) -> None:
        self._store = store
        self.ids = tuple(dict.fromkeys(ids))
        self.unreadable: dict[RunId, DsvcError] = {}
        self._members: dict[tuple[bytes, bytes, Role], tuple[ReadFile, ...]] = {}
        self._reads: dict[RunId, tuple[ReadFile, ...]] = {}

    @cached_property
    def trees(self) -> dict[RunId, RunTree]:
        found = {}
        for id_ in self.ids:
            tree = RunTree(self._store, id_)
            try:
                _ = tree.run
            except DsvcError as error:
                self.unreadable[id_] = error
                continue
            found[id_] = tree
        return found

    def run(self, id_: RunId) -> Run:
        return self.trees[id_].run

    @cached_property
    def _made(self) -> dict[ArtifactNode, tuple[RunId, ...]]:
        found: dict[ArtifactNode, tuple[RunId, ...]] = {}
        for id_, tree in self.trees.items():
            try:
                nodes = [node for n in range(len(tree.run.outputs)) for node in self._output(tree, n)]
            except DsvcError as error:
                self.unreadable[id_] = error
                continue
            # What it read and left as it was, it didn't make.
            read = {each.node for each in self.reads(id_)} if nodes else set()
            for node in nodes:
                if node not in read:
                    found[node] = (*found.get(node, ()), id_)
        return found

    def _output(self, tree: RunTree, number: int) -> list[ArtifactNode]:
        artifact = tree.run.outputs[number]
        if not artifact.folder:
            return [ArtifactNode(artifact.path, artifact.digest)]
        prefix = artifact.path + b"/" if artifact.path else b""
        listing = tree.listing(b"outputs/%d" % number, artifact)
        return [ArtifactNode(prefix + entry.path, entry.digest) for entry in listing]

    @cached_property
    def _by_digest(self) -> dict[bytes, list[ArtifactNode]]:
        found: dict[bytes, list[ArtifactNode]] = {}
        for node in self._made:
            found.setdefault(node.digest, []).append(node)
        return found

    @cached_property
    def _by_path(self) -> dict[bytes, RunId]:
        return {node.path: ids[-1] for node, ids in self._made.items()}

    @cached_property
    def _read_paths(self) -> frozenset[bytes]:
        inputs = (each for tree in self.trees.values() for each in tree.run.inputs)
        return frozenset(each.path for each in inputs if each.role is Role.INPUT)

    def makers(self, node: ArtifactNode) -> tuple[RunId, ...]:
        return self._made.get(node, ())

    def copies(self, digest: bytes) -> list[ArtifactNode]:
        return self._by_digest.get(digest, [])

    def maker_of_path(self, path: bytes) -> RunId | None:
        return self._by_path.get(path)

    def reads_path(self, path: bytes) -> bool:
        at = path
        while at not in self._read_paths:
            if not at:
                return False
            at = at.rpartition(b"/")[0]
        return True

    def reads(self, id_: RunId) -> tuple[ReadFile, ...]:
        if id_ not in self._reads:
            tree = self.trees[id_]
            try:
                files = [
                    f for n, each in enumerate(tree.run.inputs) for f in self._input(tree, n, each, each.role)
                ]
            except DsvcError as error:
                self.unreadable[id_] = error
                files = []
            self._reads[id_] = tuple(files)
        return self._reads[id_]

    def _input(self, tree: RunTree, number: int, artifact: Artifact, role: Role) -> tuple[ReadFile, ...]:
        if not artifact.folder:
            node = ArtifactNode(artifact.path, artifact.digest)
            return (ReadFile(node, role, artifact.records, artifact.size),)
        place = (artifact.path, artifact.digest, role)
        if place not in self._members:
            prefix = artifact.path + b"/" if artifact.path else b""
            self._members[place] = tuple(
                ReadFile(ArtifactNode(prefix + entry.path, entry.digest), role, entry.rows, entry.size)
                for entry in tree.listing(b"inputs/%d" % number, artifact)
            )
        return self._members[place]


class PlainSource:
    def __init__(self, trees: Sequence[SourceTree]) -> None:
        self.trees = trees
        self.id = trees[0].record.source_id
        self.files = [{each.path: each.digest for each in tree.files.entries()} for tree in trees]
        self.paths = {cover.path for tree in trees for cover in tree.record.covers}

    def attests(self, node: ArtifactNode) -> Attested | None:
        for tree, files in zip(self.trees, self.files, strict=True):
            if files.get(node.path) == node.digest:
                return Attested(self.id, tree.rows(node.path))
        return None

    def knows_path(self, path: bytes) -> bool:
        return any(path in files for files in self.files)


class PlainSources:
    def __init__(self, sources: Sequence[PlainSource], strictest: KnownSources) -> None:
        self.all = {source.id: source for source in sources}
        self._known = strictest
        self.evidence_paths = strictest.evidence_paths

    def covering(self, path: bytes) -> list[PlainSource]:
        while True:
            found = [source for source in self.all.values() if path in source.paths]
            if found or not path:
                return sorted(found, key=lambda each: self._order(each.id))
            path = path.rpartition(b"/")[0]

    def _order(self, name: str) -> int:
        return -["active", "blacklisted", "withdrawn"].index(self._known.all[name].status.value)

    def copies(self, digest: bytes) -> list[ArtifactNode]:
        return [
            ArtifactNode(path, digest)
            for source in self.all.values()
            for files in source.files
            for path, found in files.items()
            if found == digest
        ]


class PlainOrigins:
    def __init__(self, runs: PlainRuns, sources: PlainSources, rules: LineageRules) -> None:
        self.runs = runs
        self.sources = sources
        self.rules = rules

    def of(self, node: ArtifactNode, records: int | None, size: int) -> Origin:
        made = self.runs.makers(node)
        covering = self.sources.covering(node.path)
        attested = [(each, found) for each in covering if (found := each.attests(node)) is not None]
        sources = tuple(each.id for each, _ in attested)
        if made and (sources or any(self.runs.reads(run) for run in made)):
            return Origin(made, sources)
        if attested:
            return Origin((), sources, (), self._rows(node, records, [found for _, found in attested]))
        copies = self._copies(node) if size else ()
        return Origin(made, (), copies, None if copies else self._lack(node, covering, made))

    def _rows(
        self, node: ArtifactNode, records: int | None, attested: Sequence[Attested]
    ) -> Uncovered | None:
        parts = [each.rows for each in attested if each.rows is not None]
        if len(parts) < len(attested) or not records:
            return None
        spoken = {int(row) for part in parts for row in decode_rows(part)}
        missing = records - sum(1 for row in spoken if row < records)
        if not missing:
            return None
        return Uncovered(node.path, node.digest, Lack.ROWS, attested[0].source, rows=(missing, records))

    def _copies(self, node: ArtifactNode) -> tuple[ArtifactNode, ...]:
        made = (each for each in self.runs.copies(node.digest) if each != node)
        spoken = (each for each in self.sources.copies(node.digest) if each.path != node.path)
        return tuple(dict.fromkeys([*made, *spoken]))

    def _lack(
        self, node: ArtifactNode, covering: Sequence[PlainSource], made: tuple[RunId, ...]
    ) -> Uncovered:
        if made:
            return Uncovered(node.path, node.digest, Lack.NO_INPUT, run=made[0])
        run = self.runs.maker_of_path(node.path)
        if run is not None:
            return Uncovered(node.path, node.digest, Lack.EDITED_OUTPUT, run=run)
        if covering:
            known = [each for each in covering if each.knows_path(node.path)] or covering
            return Uncovered(node.path, node.digest, Lack.OTHER_CONTENT, known[0].id)
        return Uncovered(node.path, node.digest, Lack.NO_SOURCE)

    def is_data(self, path: bytes) -> bool:
        if is_never_data(path) or path in self.sources.evidence_paths:
            return False
        if not self.rules.is_project(path):
            return True
        return self.runs.reads_path(path) or bool(self.sources.covering(path))


class PlainClosure:
    def __init__(self, origins: PlainOrigins, entries: Iterable[Entry]) -> None:
        self._origins = origins
        self.artifacts: dict[ArtifactNode, Origin] = {}
        self.roots: dict[ArtifactNode, None] = {}
        self.runs: dict[RunId, None] = {}
        self.uncovered: list[Uncovered] = []
        self._covered: dict[bytes, tuple[ArtifactNode, ...]] = {}
        self._walk(entries)
        self.order: list[Step] = []
        self.parents: dict[Step, tuple[Step, ...]] = {}
        self._used: dict[ArtifactNode, tuple[str, ...]] = {}
        self.circular = self._settle()

    def sources_of(self, node: ArtifactNode) -> tuple[str, ...]:
        return self._used.get(node, ())

    # Back

    def _walk(self, entries: Iterable[Entry]) -> None:
        pending: list[RunId] = []
        for entry in entries:
            if holds_bytes(entry):
                node = ArtifactNode(entry.path, entry.digest)
                if self._reach(node, entry.rows, entry.size, None, pending):
                    self.roots[node] = None
        while pending:
            user = pending.pop()
            for each in self._origins.runs.reads(user):
                self._reach(each.node, each.records, each.size, (user, each.role), pending)

    def _reach(
        self,
        node: ArtifactNode,
        records: int | None,
        size: int,
        user: tuple[RunId, Role] | None,
        pending: list[RunId],
    ) -> bool:
        if node in self.artifacts:
            return True
        origin = self._origins.of(node, records, size)
        if origin.copies:
            origin = self._inherited(node, origin, records, size)
        if origin.lack is not None:
            is_input = user is not None and user[1] is Role.INPUT
            if not (is_input or self._origins.is_data(node.path)):
                return False
            name = None if user is None else self._origins.runs.run(user[0]).name
            self.uncovered.append(origin.lack._replace(user=name))
        self.artifacts[node] = origin
        for run in origin.runs:
            if run not in self.runs:
                self.runs[run] = None
                pending.append(run)
        for copy in origin.copies:
            self._reach(copy, records, size, user, pending)
        return True

    def _inherited(self, node: ArtifactNode, origin: Origin, records: int | None, size: int) -> Origin:
        if node.digest not in self._covered:
            # Of copies that come from the same one is enough: there may be thousands.
            kept: dict[tuple[object, object], ArtifactNode] = {}
            for copy in origin.copies:
                own = self._origins.of(copy, records, size)
                if own.lack is None and not own.copies:
                    kept.setdefault((own.runs, own.sources), copy)
            self._covered[node.digest] = tuple(kept.values())
        copies = self._covered[node.digest]
        return origin._replace(copies=copies) if copies else self._origins.of(node, records, 0)

    # Forth

    def _settle(self) -> tuple[ArtifactNode, ...]:
        waits: dict[Step, int] = {}
        children: dict[Step, list[Step]] = {}

        def link(step: Step, parents: tuple[Step, ...]) -> None:
            self.parents[step] = parents
            waits[step] = len(parents)
            for parent in parents:
                children.setdefault(parent, []).append(step)

        for run in self.runs:
            read = dict.fromkeys(each.node for each in self._origins.runs.reads(run))
            link(run, tuple(node for node in read if node in self.artifacts))
        fed = {run for run in self.runs if self.parents[run]}
        for node, origin in self.artifacts.items():
            link(node, (*origin.runs, *origin.copies))
            if not origin.runs or not fed.issuperset(origin.runs):
                self._used[node] = origin.sources
        ready: list[Step] = [step for step, count in waits.items() if not count]
        settled: set[Step] = set(ready)
        while True:
            while ready:
                step = ready.pop()
                self.order.append(step)
                for child in children.get(step, ()):
                    waits[child] -= 1
                    if not waits[child] and child not in settled:
                        settled.add(child)
                        ready.append(child)
            # What waits for itself: one of the runs that made a file is enough, else a source is.
            rest = [node for node in self.artifacts if node not in settled]
            again = [node for node in rest if waits[node] < len(self.parents[node])]
            if not again:
                again = [node for node in rest if self.artifacts[node].sources]
                self._used.update((node, self.artifacts[node].sources) for node in again)
            if not again:
                return self._circular(rest)
            settled.update(again)
            ready.extend(again)

    def _circular(self, rest: list[ArtifactNode]) -> tuple[ArtifactNode, ...]:
        left = set(rest)
        while True:
            needed: set[Step] = {
                parent
                for node in left
                for run in self.artifacts[node].runs
                for parent in self.parents.get(run, ())
            } | {copy for node in left for copy in self.artifacts[node].copies}
            kept = left & needed
            if kept == left:
                return tuple(sorted(left))
            left = {node for node in left if node in kept}

    def downstream(self, sources: Iterable[str]) -> dict[str, set[Step]]:
        children: dict[Step, list[Step]] = {}
        for step, parents in self.parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(step)
        found: dict[str, set[Step]] = {}
        for source in sources:
            pending: list[Step] = [node for node, used in self._used.items() if source in used]
            seen = set(pending)
            while pending:
                for child in children.get(pending.pop(), ()):
                    if child not in seen:
                        seen.add(child)
                        pending.append(child)
            found[source] = seen
        return found
