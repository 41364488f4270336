"""What files descend from: what the gate reads only in part is the same as if everything were read."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.descent import descent_of
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_runs import KnownRuns
from dsvc.lineage.known_sources import KnownSource, KnownSources
from dsvc.lineage.lineage_rules import LineageRules
from dsvc.lineage.source_tree import SourceTree
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import MODE_FILE, MODE_SYMLINK, Entry, Kind
from dsvc.model.run_record import RunId
from dsvc.model.source_record import Status
from dsvc.policy.adaptation import Content, contents_of
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.table.roles import TableRules
from tests.lineagekit import Folder, Thing, make_run, make_source
from tests.plain_closure import PlainClosure, PlainOrigins, PlainRuns, PlainSource, PlainSources

PATHS = (b"a", b"b.py", b"d/a", b"d/b", b"d/e/c", "数据/一".encode(), b"dsvc.toml", b"README.md")
FOLDERS = (b"d", b"d/e", "数据".encode())


def entry(path: bytes, content: int) -> Entry:
    rows = 3 if content > 1 else None
    size = content and 10
    kind = Kind.BINARY if rows is None else Kind.TABLE
    return Entry(path, MODE_FILE, size, bytes([content]) * 32, bytes(16), kind=int(kind), rows=rows)


entries = st.builds(entry, st.sampled_from(PATHS), st.integers(0, 3))


def folder(path: bytes, contents: list[int]) -> Folder:
    inside = [each for each in PATHS if each.startswith(path + b"/")]
    members = [entry(name, content) for name, content in zip(inside, contents, strict=False)]
    return Folder(path, tuple(sorted(members, key=lambda each: each.path)))


contents = st.lists(st.integers(0, 3), min_size=1, max_size=3)
things: st.SearchStrategy[Thing] = st.one_of(entries, st.builds(folder, st.sampled_from(FOLDERS), contents))


def distinct(listed: list[Thing]) -> list[Thing]:
    return list({each.path: each for each in listed}.values())


@dataclass
class World:
    """Runs, sources and files."""

    store: ChunkStore
    runs: list[RunId] = field(default_factory=list)
    sources: dict[str, list[SourceTree]] = field(default_factory=dict)
    files: list[Entry] = field(default_factory=list)

    def origins(self, cache: str | None = None) -> Origins:
        known = [KnownSource(trees, dict) for trees in self.sources.values()]
        return Origins(KnownRuns(self.store, self.runs, cache), KnownSources(known), LineageRules())

    def plain(self) -> PlainOrigins:
        sources = [PlainSource(trees) for trees in self.sources.values()]
        strictest = self.origins().sources
        return PlainOrigins(
            PlainRuns(self.store, self.runs), PlainSources(sources, strictest), LineageRules()
        )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World(ChunkStore(MemoryBackend()))
    for number in range(draw(st.integers(0, 5))):
        made = make_run(
            world.store,
            f"run {number}",
            distinct(draw(st.lists(things, max_size=2))),
            distinct(draw(st.lists(things, min_size=1, max_size=2))),
            lookups=distinct(draw(st.lists(things, max_size=1))),
            second=number,
        )
        world.runs.append(made.id)
    if draw(st.booleans()):
        world.runs.append(RunId(bytes(32)))
    draw(st.randoms()).shuffle(world.runs)
    for id_ in "xyz"[: draw(st.integers(0, 3))]:
        for _ in range(draw(st.integers(1, 2))):
            spoken = distinct(draw(st.lists(things, max_size=3)))
            single = {each.path: each for each in spoken if isinstance(each, Entry)}
            several = {e.path: e for each in spoken if isinstance(each, Folder) for e in each.entries}
            every = several | single
            tables = sorted(path for path, each in every.items() if each.rows)
            some = draw(st.sets(st.sampled_from(tables), max_size=1)) if tables else set()
            root = make_source(
                world.store,
                id_,
                list(every.values()),
                rows={path: draw(st.sets(st.integers(0, 2), min_size=1)) for path in sorted(some)},
                status=draw(st.sampled_from(list(Status))),
                covers=draw(st.lists(st.sampled_from([*PATHS, *FOLDERS]), min_size=1, max_size=3)),
            )
            world.store.publish()
            world.sources.setdefault(id_, []).append(SourceTree(world.store, root))
    files = {each.path: each for each in draw(st.lists(entries, max_size=8))}
    files[b"link"] = Entry(b"link", MODE_SYMLINK, 1, bytes(32), bytes(16))
    world.files = [files[path] for path in sorted(files)]
    world.store.publish()
    return world


def lacks(closure: Closure | PlainClosure) -> list[tuple[str, bool]]:
    """What nothing covers; of several runs that read it any may be named."""
    return sorted((repr(each[:-1]), each.user is None) for each in closure.uncovered)


def said(closure: Closure) -> dict[str, object]:
    """All that a closure says, without the order in which it found it."""
    sources = sorted(closure.reached)
    return {
        "artifacts": closure.artifacts,
        "roots": closure.roots,
        "runs": set(closure.runs),
        "uncovered": lacks(closure),
        "parents": {step: set(parents) for step, parents in closure.parents.items()},
        "settled": set(closure.order),
        "used": {node: closure.sources_of(node) for node in closure.artifacts},
        "circular": closure.circular,
        "downstream": closure.downstream(sources),
        "descents": descent_of(closure),
    }


def plainly(closure: PlainClosure) -> dict[str, object]:
    sources = sorted({name for node in closure.artifacts for name in closure.sources_of(node)})
    return {
        "artifacts": closure.artifacts,
        "roots": closure.roots,
        "runs": set(closure.runs),
        "uncovered": lacks(closure),
        "parents": {step: set(parents) for step, parents in closure.parents.items()},
        "settled": set(closure.order),
        "used": {node: closure.sources_of(node) for node in closure.artifacts},
        "circular": closure.circular,
        "downstream": closure.downstream(sources),
        "descents": descents(closure),
    }


def descents(closure: PlainClosure) -> dict[ArtifactNode, tuple[tuple[str, ...], bool]]:
    """Walk back from each file by itself."""
    found = {}
    for node in closure.artifacts:
        seen: set[object] = {node}
        pending: list[ArtifactNode | RunId] = [node]
        sources: set[str] = set()
        whole = True
        while pending:
            step = pending.pop()
            if isinstance(step, ArtifactNode):
                own = closure.sources_of(step)
                origin = closure.artifacts[step]
                sources.update(own)
                of_nothing = any(not closure.parents.get(run) for run in origin.runs)
                whole = whole and origin.lack is None and not (of_nothing and not own)
            news = [each for each in closure.parents.get(step, ()) if each not in seen]
            seen.update(news)
            pending += news
        found[node] = (tuple(sorted(sources)), bool(sources) and whole)
    return found


@settings(deadline=None, max_examples=80)
@given(worlds())
def test_what_files_descend_from_is_what_the_plain_way_finds(world: World) -> None:
    plain = world.plain()
    expected = plainly(PlainClosure(plain, world.files))
    origins = world.origins()
    closure = Closure(origins, world.files)
    assert said(closure) == expected
    assert [each.path for each in closure.entries] == sorted(node.path for node in closure.roots)
    assert list(closure.roots) == [ArtifactNode(each.path, each.digest) for each in closure.entries]
    assert origins.runs.unreadable.keys() == plain.runs.unreadable.keys()
    place = {step: number for number, step in enumerate(closure.order)}
    if not closure.tangled:
        assert all(place[p] < place[step] for step in place for p in closure.parents[step])
    # Of the runs only those read that can have made something: the first time summaries are made, then kept.
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(2):
            partly = world.origins(cache)
            assert said(Closure(partly, world.files)) == expected
            for each in world.files:
                assert partly.is_data(each.path) == plain.is_data(each.path)


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_how_content_came_into_files_is_told_in_one_pass_where_one_is_enough(world: World) -> None:
    def told(tangled: bool) -> dict[ArtifactNode, Content] | DsvcError:
        origins = world.origins()
        closure = Closure(origins, world.files)
        closure.tangled = closure.tangled or tangled
        return contents_of(closure, origins.runs, TableRules(), lambda entry: None)

    assert cast(object, told(False)) == told(True)
