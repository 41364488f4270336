"""The store against a dictionary: whatever is added, collected, damaged-and-repaired or reopened."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dsvc.model.ids import NodeId
from dsvc.model.manifest import ChunkClass
from dsvc.store import chunker
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.prune import collect, new_run
from dsvc.store.repair import Repair
from dsvc.store.scrub import check_packs
from dsvc.store.tree_check import TreeCheck
from tests.storekit import noise, prose, put_manifest, read_manifest

paths = st.binary(min_size=1, max_size=12).filter(
    lambda p: p.strip(b"./ \0") == p and b"/" not in p and b"\0" not in p
)
contents = st.one_of(
    st.just(b""),
    st.binary(min_size=1, max_size=300),
    st.builds(prose, st.integers(1, 60_000), st.integers(0, 5)),
    st.builds(noise, st.integers(1, 60_000), st.integers(0, 5)),
)


@given(st.sampled_from(ChunkClass), st.integers(0, 3), st.integers(0, 300_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_chunks_join_to_the_file_and_keep_their_sizes(
    chunk_class: ChunkClass, seed: int, size: int, random: bool
) -> None:
    data = noise(size, seed) if random else prose(size, seed)
    parts = [bytes(part) for part in chunker.cut(chunk_class, data)]
    assert b"".join(parts) == data
    sizes = chunker.SIZES[chunk_class]
    assert all(part for part in parts)
    assert all(len(part) <= sizes.maximum for part in parts)
    assert all(len(part) >= sizes.minimum for part in parts[:-1])


class StoreMachine(RuleBasedStateMachine):
    """Versions come and go; what has a root can always be read, by an old reader too."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = MemoryBackend()
        self.store = ChunkStore(self.backend)
        self.versions: dict[NodeId, dict[bytes, bytes]] = {}
        self.reader = ChunkStore(self.backend)

    @initialize()
    def begin(self) -> None:
        self.reader.index.reload()

    @rule(tree=st.dictionaries(paths, contents, max_size=4), raw=st.booleans())
    def add(self, tree: dict[bytes, bytes], raw: bool) -> None:
        self.store.index.reload()
        self.versions[put_manifest(self.store, tree, raw=raw)] = tree

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        del self.versions[data.draw(st.sampled_from(sorted(self.versions)))]

    @rule(grace=st.sampled_from([0.0, 1e9]))
    def gc(self, grace: float) -> None:
        for _ in range(2):
            store = ChunkStore(self.backend)
            done = collect(store, lambda: list(self.versions), contextlib.nullcontext, grace_seconds=grace)
        assert done.trashed == 0, "a second run has nothing left to do"

    @precondition(lambda self: self.backend.packs)
    @rule()
    def trash_all_and_bring_back(self) -> None:
        run = new_run(self.backend)
        self.backend.trash(self.backend.list_packs(), run)
        self.backend.recover(run)

    @precondition(lambda self: self.backend.packs)
    @rule(data=st.data())
    def damage_the_end_and_repair(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.backend.list_packs()))
        whole = bytearray(self.backend.packs[name])
        whole[-data.draw(st.integers(1, 1000))] ^= 1 << data.draw(st.integers(0, 7))
        self.backend.packs[name] = bytes(whole)
        store = ChunkStore(self.backend)
        reports = list(check_packs(self.backend, read_data=True))
        assert any(report.defects for report in reports)
        tree = TreeCheck(store, read_data=False)
        tree.check(self.versions)
        Repair(store, lambda entry, offset, length: None).run(reports, tree.missing, self.versions)
        assert not any(report.defects for report in check_packs(self.backend, read_data=True))

    @rule()
    def reopen(self) -> None:
        self.store = ChunkStore(self.backend)

    @invariant()
    def every_version_is_whole(self) -> None:
        for root, tree in self.versions.items():
            assert read_manifest(self.reader, root) == tree

    def teardown(self) -> None:
        check = TreeCheck(ChunkStore(self.backend), read_data=True)
        check.check(self.versions)
        assert check.defects == []


StoreMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStoreMachine = StoreMachine.TestCase
