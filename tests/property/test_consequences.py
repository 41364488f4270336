"""What follows from rows that change or go, against plain Python, on random chains of runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.builder import LineageBuilder
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.graph_index import RunIndex
from dsvc.lineage.known_sources import KnownSources
from dsvc.lineage.row_flow import RowFlow
from dsvc.model.manifest import MODE_FILE, Entry, Kind
from dsvc.model.run_record import RunId
from dsvc.porcelain.repair.consequences import Touched, consequences
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from tests.lineagekit import make_run

Pairs = set[tuple[int, int]]


@dataclass
class Step:
    id: RunId
    read: list[int]
    made: list[int]
    links: dict[tuple[int, int], Pairs]
    survivors: dict[int, dict[int, int]]


@dataclass
class World:
    """Runs in a store, and the same as plain values; artifacts are numbers."""

    store: ChunkStore = field(default_factory=lambda: ChunkStore(MemoryBackend()))
    entries: list[Entry] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def add(self, rows: int, path: bytes | None = None) -> int:
        number = len(self.entries)
        digest = hashlib.sha256(b"%d" % number).digest()
        name = path or b"t%d.csv" % number
        self.entries.append(Entry(name, MODE_FILE, 9, digest, bytes(16), 0, None, Kind.TABLE, rows))
        return number

    def node(self, number: int) -> ArtifactNode:
        return ArtifactNode(self.entries[number].path, self.entries[number].digest)

    def rows(self, number: int) -> set[int]:
        return set(range(self.entries[number].rows or 0))

    def in_version(self, number: int) -> bool:
        """Whether nothing stands at its path that was made later."""
        return self.entries[number].path not in {each.path for each in self.entries[number + 1 :]}

    def has(self, path: bytes, digest: bytes) -> bool:
        return any(
            self.in_version(n) and (e.path, e.digest) == (path, digest) for n, e in enumerate(self.entries)
        )


def reason(row: int, survivor: int) -> str:
    """Of some duplicates it is not known what they are duplicates of."""
    return "duplicate" if survivor >= 0 or row % 2 else "too short"


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    world.add(draw(st.integers(2, 6)))
    for second in range(draw(st.integers(1, 5))):
        before = range(len(world.entries))
        read = draw(st.lists(st.sampled_from(before), min_size=1, max_size=2, unique=True))
        in_place = world.entries[read[0]].path if draw(st.booleans()) else None
        made = [world.add(draw(st.integers(1, 6)), in_place)]
        if draw(st.booleans()):
            made.append(world.add(draw(st.integers(1, 4))))
        links = {}
        if draw(st.sampled_from([True, True, True, False])):
            for o, output in enumerate(made):
                for i, input_ in enumerate(read):
                    pairs = [(out, row) for out in world.rows(output) for row in world.rows(input_)]
                    links[o, i] = draw(st.sets(st.sampled_from(pairs), max_size=8))
        survivors = {}
        for i, input_ in enumerate(read) if links else ():
            with_child = {row for (_, n), each in links.items() if n == i for _, row in each}
            numbers = sorted(world.rows(input_))
            survivors[i] = {
                row: draw(st.sampled_from([-1, *numbers])) for row in numbers if row not in with_child
            }
        drops = {i: {row: (reason(row, s), s) for row, s in each.items()} for i, each in survivors.items()}
        sides = [[world.entries[n] for n in side] for side in (read, made)]
        id_ = make_run(world.store, "step", *sides, links or None, second=second, drops=drops).id
        world.steps.append(Step(id_, read, made, links, survivors))
    return world


@dataclass
class Expected:
    rows: set[int]
    removed: set[int]
    unknown: bool = False


def needed(world: World, start: int) -> set[int]:
    """Artifacts downstream of the start that the version has, or that one of these is made of."""
    below = {start}
    for step in world.steps:
        if below & set(step.read):
            below |= set(step.made)
    found = {number for number in below if world.in_version(number)}
    for step in reversed(world.steps):
        if found & set(step.made) & below:
            found |= set(step.read) & below
    return found


def follow(world: World, start: int, first: Expected) -> tuple[dict[int, Expected], dict[int, set[int]]]:
    """Every artifact that changes, and the rows that may come back, in the plainest way."""
    wanted = needed(world, start)
    state = {start: first}
    returning: dict[int, set[int]] = {}
    for step in world.steps:
        touched = {i: state[n] for i, n in enumerate(step.read) if n in state}
        outputs = [(o, n) for o, n in enumerate(step.made) if n in wanted]
        if not touched or not outputs:
            continue
        for i, each in touched.items():
            if not each.unknown and step.links:
                gone_for, news = set[int](), set(each.rows)
                if each.rows:
                    gone_for = {
                        d for d, s in step.survivors[i].items() if s < 0 and reason(d, s) == "duplicate"
                    } - each.rows
                    news |= gone_for
                while news:
                    news = {d for d, s in step.survivors[i].items() if s in news} - each.rows - gone_for
                    gone_for |= news
                if gone_for:
                    returning.setdefault(step.read[i], set()).update(gone_for)
        for o, number in outputs:
            if not step.links or any(each.unknown for each in touched.values()):
                state[number] = Expected(set(), set(), True)
                continue
            parents: dict[int, set[tuple[int, int]]] = {}
            for (output, i), pairs in step.links.items():
                for out, row in pairs if output == o else ():
                    parents.setdefault(out, set()).add((i, row))
            rows = {(i, row) for i, each in touched.items() for row in each.rows}
            removed = {(i, row) for i, each in touched.items() for row in each.removed}
            state[number] = Expected(
                {out for out, each in parents.items() if each & rows},
                {out for out, each in parents.items() if each <= removed},
            )
    return state, returning


@settings(max_examples=60, deadline=None)
@given(worlds(), st.data())
def test_consequences_equal_a_search_row_by_row(world: World, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from([n for n in range(len(world.entries)) if world.in_version(n)]))
    rows = data.draw(st.sets(st.sampled_from(sorted(world.rows(start))), min_size=1))
    removed = data.draw(st.sets(st.sampled_from(sorted(rows))))
    world.store.publish()
    builder = LineageBuilder(RunIndex(world.store, [step.id for step in world.steps]), KnownSources([]))
    for entry in world.entries:
        builder.add_file(entry)
    builder.resolve(list(builder.graph.nodes()))
    first = Touched(numbers(rows), numbers(removed))
    found = consequences(builder, RowFlow(world.store, builder), world, {world.node(start): first})  # type: ignore[arg-type]
    state, returning = follow(world, start, Expected(rows, removed))
    told = {
        node: (set(each.rows.tolist()), set(each.removed.tolist()), each.unknown)
        for node, each in found.artifacts.items()
    }
    assert told == {world.node(n): (each.rows, each.removed, each.unknown) for n, each in state.items()}
    back = {node: set(each.tolist()) for node, each in found.returning.items()}
    assert back == {world.node(n): each for n, each in returning.items()}
    done = [way.run for way in found.ways]
    assert len(done) == len(set(done))
    assert set(done) == {step.id for step in world.steps if set(step.made) & (set(state) - {start})}
    made = {n: done.index(step.id) for step in world.steps if step.id in done for n in step.made}
    for step in world.steps:
        if step.id in done:
            assert all(made.get(n, -1) < done.index(step.id) for n in step.read)


def numbers(rows: set[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(sorted(rows), np.int64)
