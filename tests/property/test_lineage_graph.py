"""The graph of lineage against plain Python: no cycles, and closures row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode, EdgeKind, LineageCycleError, LineageGraph, RunNode, SourceNode
from dsvc.lineage.graph_index import RunIndex
from dsvc.lineage.impact import impact
from dsvc.lineage.known_sources import KnownSource, KnownSources
from dsvc.lineage.row_flow import WHOLE, Reached, RowFlow
from dsvc.lineage.source_tree import SourceTree
from dsvc.lineage.trace import How, trace
from dsvc.model.manifest import MODE_FILE, Entry, Kind
from dsvc.model.run_record import RunId
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from tests.lineagekit import make_run, make_source

Row = tuple[ArtifactNode, int]

# The graph by itself


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_h22_graph_takes_every_edge_but_those_that_close_a_cycle(pairs: list[tuple[int, int]]) -> None:
    graph = LineageGraph()
    taken: dict[int, set[int]] = {number: set() for number in range(10)}
    nodes = [ArtifactNode(b"%d" % number, bytes(32)) for number in range(10)]
    for start, end in pairs:
        closes = start == end or start in reach(taken, end)
        try:
            graph.add_edge(nodes[start], nodes[end], EdgeKind.COPIED)
        except LineageCycleError:
            assert closes
        else:
            assert not closes
            taken[start].add(end)
    assert nx.is_directed_acyclic_graph(graph.digraph())
    order = {node: number for number, node in enumerate(graph.ordered())}
    assert all(order[start] < order[end] for start, end, _ in graph.edges())
    known = [number for number in range(10) if nodes[number] in graph]
    for number in known:
        below = {nodes[each] for each in reach(taken, number)}
        assert graph.descendants(nodes[number]) == below
        assert all(nodes[number] in graph.ancestors(node) for node in below)
        for other in known:
            ways = [[nodes[each] for each in way] for way in all_ways(taken, number, other)]
            assert sorted(graph.paths(nodes[number], nodes[other])) == sorted(ways)


def reach(edges: dict[int, set[int]], start: int) -> set[int]:
    found: set[int] = set()
    for end in edges[start]:
        found |= {end} | reach(edges, end)
    return found


def all_ways(edges: dict[int, set[int]], start: int, end: int) -> list[list[int]]:
    if start == end:
        return [[start]]
    return [[start, *rest] for each in edges[start] for rest in all_ways(edges, each, end)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5))), max_size=12))
def test_h22_runs_never_make_a_cycle(runs: list[tuple[set[int], set[int]]]) -> None:
    nodes = [ArtifactNode(b"%d" % number, bytes(32)) for number in range(6)]
    graph = LineageGraph()
    for number, (read, made) in enumerate(runs):
        run = RunNode(RunId(number.to_bytes(32, "big")))
        before = set(graph.edges())
        try:
            graph.add_run(run, [nodes[n] for n in read], (), [nodes[n] for n in made])
        except LineageCycleError:
            assert set(graph.edges()) == before
            continue
        assert set(graph.children(run)) == {nodes[n] for n in made - read}
    assert nx.is_directed_acyclic_graph(graph.digraph())


# Rows


@dataclass
class World:
    """Runs and sources in a store, and the same as plain values."""

    store: ChunkStore
    entries: list[Entry] = field(default_factory=list)
    runs: list[
        tuple[RunId, list[int], list[int], list[int], dict[tuple[int, int], set[tuple[int, int]]], bool]
    ] = field(default_factory=list)
    sources: dict[str, dict[int, set[int]]] = field(default_factory=dict)

    def node(self, number: int) -> ArtifactNode:
        return ArtifactNode(self.entries[number].path, self.entries[number].digest)

    def rows(self, number: int) -> range:
        return range(self.entries[number].rows or 0)

    def builder(self) -> LineageBuilder:
        self.store.publish()
        known = []
        for id_, files in self.sources.items():
            parts = {
                self.entries[n].path: sorted(rows)
                for n, rows in files.items()
                if len(rows) < len(self.rows(n))
            }
            root = make_source(self.store, id_, [self.entries[n] for n in files], rows=parts)
            self.store.publish()
            known.append(KnownSource([SourceTree(self.store, root)], dict))
        index = RunIndex(self.store, [run[0] for run in self.runs])
        return LineageBuilder(index, KnownSources(known))

    def step_forth(self, here: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """Rows that come of some rows by one run, in the plainest way."""
        found = set()
        for _, read, looked_up, made, links, complete in self.runs:
            for o, output in enumerate(made):
                for i, input_ in enumerate([*read, *looked_up]):
                    touched = {row for number, row in here if number == input_}
                    if not touched:
                        continue
                    if i >= len(read) or not complete or not links:
                        found |= {(output, row) for row in self.rows(output)}
                    else:
                        found |= {(output, out) for out, row in links.get((o, i), ()) if row in touched}
        return found

    def forth(self, start: set[tuple[int, int]]) -> set[tuple[int, int]]:
        everything, news = set(start), set(start)
        while news:
            news = self.step_forth(news) - everything
            everything |= news
        return everything


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World(ChunkStore(MemoryBackend()))
    for number in range(draw(st.integers(1, 3))):
        world.entries.append(entry(number, draw(st.integers(1, 5)), b"raw%d.csv" % number))
    for number in range(len(world.entries)):
        for id_ in draw(st.sets(st.sampled_from("ab"), max_size=2)):
            rows = draw(st.sets(st.sampled_from(list(world.rows(number))))) if world.rows(number) else set()
            world.sources.setdefault(id_, {})[number] = rows or set(world.rows(number))
    for number in range(draw(st.integers(1, 5))):
        before = list(range(len(world.entries)))
        read = draw(st.lists(st.sampled_from(before), min_size=1, max_size=3, unique=True))
        looked_up = draw(st.lists(st.sampled_from(before), max_size=1)) if draw(st.booleans()) else []
        looked_up = [each for each in looked_up if each not in read]
        made = []
        for _ in range(draw(st.integers(1, 2))):
            # Sometimes in place of what was read.
            path = world.entries[read[0]].path if draw(st.booleans()) and not made else None
            made.append(len(world.entries))
            world.entries.append(entry(len(world.entries), draw(st.integers(1, 5)), path))
        links = {}
        if draw(st.booleans()) or number == 0:
            for o, output in enumerate(made):
                for i, input_ in enumerate(read):
                    pairs = [(out, row) for out in world.rows(output) for row in world.rows(input_)]
                    links[o, i] = draw(st.sets(st.sampled_from(pairs))) if pairs else set()
        complete = draw(st.sampled_from([True, True, True, False]))
        id_ = make_run(
            world.store,
            f"run {number}",
            [world.entries[n] for n in read],
            [world.entries[n] for n in made],
            links or None,
            lookups=[world.entries[n] for n in looked_up],
            complete=complete,
            second=number,
        ).id
        world.runs.append((id_, read, looked_up, made, links, complete))
    return world


def entry(number: int, rows: int, path: bytes | None = None) -> Entry:
    digest = hashlib.sha256(b"%d" % number).digest()
    name = path or b"t%d.csv" % number
    return Entry(name, MODE_FILE, 9, digest, bytes(16), 0, None, Kind.TABLE, rows)


def expected(
    world: World, start: set[tuple[int, int]], left_out: Sequence[int]
) -> dict[ArtifactNode, set[int]]:
    found: dict[ArtifactNode, set[int]] = {}
    for number, row in world.forth(start):
        if number not in left_out:
            found.setdefault(world.node(number), set()).add(row)
    return found


def answered(world: World, starts: dict[object, Reached]) -> dict[ArtifactNode, set[int]]:
    builder = world.builder()
    for each in starts:
        if isinstance(each, SourceNode):
            builder.graph.add_source(each)
        elif isinstance(each, ArtifactNode):
            builder.add_file(next(e for e in world.entries if ArtifactNode(e.path, e.digest) == each))
    for number in range(len(world.entries)):
        builder.add_file(world.entries[number])
    builder.resolve(list(builder.graph.nodes()))
    assert nx.is_directed_acyclic_graph(builder.graph.digraph())
    found = impact(builder, RowFlow(world.store, builder), starts)  # type: ignore[arg-type]
    rows = {}
    for node, reached in found.reached.items():
        count = builder.facts[node].records or 0
        numbers = set(range(count)) if reached.rows is None else set(reached.rows.tolist())
        if numbers:
            rows[node] = numbers
    return rows


@settings(max_examples=100, deadline=None)
@given(worlds(), st.data())
def test_impact_equals_a_search_row_by_row(world: World, data: st.DataObject) -> None:
    number = data.draw(st.sampled_from(range(len(world.entries))))
    node = world.node(number)
    if world.rows(number):
        rows = data.draw(st.sets(st.sampled_from(list(world.rows(number))), min_size=1))
        reached = Reached(np.array(sorted(rows), np.int64), True)
        assert answered(world, {node: reached}) == expected(world, {(number, r) for r in rows}, [number])
        whole = {(number, row) for row in world.rows(number)}
        assert answered(world, {node: WHOLE}) == expected(world, whole, [number])
    for id_, files in world.sources.items():
        start = {(n, row) for n, rows in files.items() for row in rows}
        assert answered(world, {SourceNode(id_): WHOLE}) == expected(world, start, [])
    for id_, _, _, made, _, _ in world.runs:
        start = {(n, row) for n in made for row in world.rows(n)}
        assert answered(world, {RunNode(id_): WHOLE}) == expected(world, start, [])


@settings(max_examples=100, deadline=None)
@given(worlds(), st.data())
def test_trace_equals_a_search_row_by_row(world: World, data: st.DataObject) -> None:
    filled = [number for number in range(len(world.entries)) if world.rows(number)]
    if not filled:
        return
    number = data.draw(st.sampled_from(filled))
    row = data.draw(st.sampled_from(list(world.rows(number))))
    builder = world.builder()
    builder.add_file(world.entries[number])
    found = trace(
        builder, RowFlow(world.store, builder), {world.node(number): Reached(np.array([row]), True)}
    )
    wanted, added = back(world, number, {row})
    told = {
        (n, r)
        for step in found.steps
        if step.how is not How.GENERATED
        for n in range(len(world.entries))
        if world.node(n) == step.artifact
        for r in (step.rows or world.rows(n))
    }
    assert told == wanted
    covered = {
        id_: {(n, r) for n, rows in files.items() for r in rows} & wanted
        for id_, files in world.sources.items()
    }
    assert found.sources == {id_: len(rows) for id_, rows in covered.items() if rows}
    assert found.complete == (set().union(*covered.values()) == wanted and not added)


def back(world: World, number: int, rows: set[int] | None) -> tuple[set[tuple[int, int]], bool]:
    """Rows of leaves from which some rows came (None: a table as a whole); whether one came from nowhere."""
    making = [run for run in world.runs if number in run[3]]
    if not making:
        return {(number, row) for row in (world.rows(number) if rows is None else rows)}, False
    found: set[tuple[int, int]] = set()
    nowhere = False
    for _, read, looked_up, made, links, complete in making:
        known = bool(links) and complete
        orphans = set(world.rows(number)) if rows is None else set(rows)
        for place, input_ in enumerate([*read, *looked_up]):
            pairs = links.get((made.index(number), place), set())
            orphans -= {out for out, _ in pairs}
            above: set[int] | None = None
            if known and place < len(read) and rows is not None:
                above = {row for out, row in pairs if out in rows}
                if not above:
                    continue
            leaves, lost = back(world, input_, above)
            found |= leaves
            nowhere |= lost
        nowhere |= known and bool(orphans)
    return found, nowhere
