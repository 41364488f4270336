"""Diffs of random trees, against the plain comparison of two dictionaries."""

from __future__ import annotations

import blake3
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.diff.delta import Change, ChangeKind, counts, edits, invert
from dsvc.diff.manifest_diff import detect_renames, diff_manifests
from dsvc.model.encoding import encode
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_DIRECTORY, MODE_EXECUTABLE, MODE_FILE, Entry
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Manifest, TreeBuilder
from dsvc.store.memory_backend import MemoryBackend

Tree = dict[bytes, Entry]


def entry(path: bytes, content: bytes, mode: int = MODE_FILE) -> Entry:
    digest = blake3.blake3(content).digest()
    return Entry(path, mode, len(content), digest, xxhash.xxh3_128_digest(content))


def manifest(store: ChunkStore, tree: Tree) -> Manifest:
    builder = TreeBuilder(store)
    for path in sorted(tree):
        builder.add(path, encode(tree[path]), tree[path].size)
    return Manifest(store, NodeId(builder.finish()))


names = st.sampled_from([b"a", b"b", b"c", b"a!", b"\xe6\x95\xb0", b"\xff"])
folders = st.lists(st.sampled_from([b"d", b"e", b"d-", b"f"]), max_size=2)
paths = st.builds(lambda folder, name: b"/".join([*folder, name]), folders, names)
contents = st.sampled_from([b"", b"1", b"2", b"three"])
modes = st.sampled_from([MODE_FILE, MODE_FILE, MODE_EXECUTABLE])


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    chosen = draw(st.dictionaries(paths, st.tuples(contents, modes), max_size=12))
    tree = {path: entry(path, content, mode) for path, (content, mode) in chosen.items()}
    # Many files that both sides share, so that trees have several levels and nodes to skip.
    for number in range(draw(st.sampled_from([0, 0, 150, 700]))):
        path = b"many/%05d" % number
        tree[path] = entry(path, b"%d" % (number % 7))
    return tree


def naive(old: Tree, new: Tree) -> list[tuple[bytes, Entry | None, Entry | None]]:
    return [
        (path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if path not in old or path not in new or not old[path].same_content(new[path])
    ]


def below(path: bytes, prefixes: list[bytes]) -> bool:
    return not prefixes or any(path == p or path.startswith(p + b"/") for p in prefixes)


@given(
    trees(),
    trees(),
    st.lists(st.sampled_from([b"a", b"d", b"d/a", b"d-", b"many", b"many/00042", b"a!"]), max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_diff_is_the_comparison_of_dictionaries(old: Tree, new: Tree, prefixes: list[bytes]) -> None:
    store = ChunkStore(MemoryBackend())
    found = list(diff_manifests(manifest(store, old), manifest(store, new), prefixes))
    assert [(c.path, c.old, c.new) for c in found] == [n for n in naive(old, new) if below(n[0], prefixes)]
    for change in found:
        wanted = (
            ChangeKind.ADDED
            if change.old is None
            else ChangeKind.REMOVED
            if change.new is None
            else ChangeKind.MODIFIED
        )
        assert change.kind is wanted
        assert change.old_path is None


@given(trees(), trees())
@settings(max_examples=100, deadline=None)
def test_diff_then_apply_gives_new_and_back(old: Tree, new: Tree) -> None:
    store = ChunkStore(MemoryBackend())
    before, after = manifest(store, old), manifest(store, new)
    changes = list(diff_manifests(before, after))
    renamed = detect_renames(changes)
    assert before.update(edits(changes)) == after.root
    assert before.update(edits(renamed)) == after.root
    assert after.update(edits(invert(renamed))) == before.root
    assert invert(invert(renamed)) == renamed
    assert sum(counts(renamed).values()) == len(renamed)


@given(trees(), trees())
@settings(max_examples=100, deadline=None)
def test_renames_pair_equal_contents_once(old: Tree, new: Tree) -> None:
    store = ChunkStore(MemoryBackend())
    changes = list(diff_manifests(manifest(store, old), manifest(store, new)))
    renamed = detect_renames(changes)
    assert renamed == detect_renames(list(reversed(changes)))
    pairs = [c for c in renamed if c.kind is ChangeKind.RENAMED]
    assert len({c.old_path for c in pairs}) == len(pairs)
    for change in pairs:
        assert change.old is not None
        assert change.new is not None
        assert change.old.digest == change.new.digest
        assert change.old.size
    left: dict[bytes, set[ChangeKind]] = {}
    for change in renamed:
        left_over = change.old or change.new
        assert left_over is not None
        if change.kind in (ChangeKind.ADDED, ChangeKind.REMOVED) and left_over.size:
            left.setdefault(left_over.digest, set()).add(change.kind)
    assert all(len(kinds) == 1 for kinds in left.values()), "a pair was left unpaired"


def test_equal_nodes_are_not_read() -> None:
    store = CountingStore(MemoryBackend())
    old = {b"%03d/%05d" % (n // 100, n): entry(b"%03d/%05d" % (n // 100, n), b"x") for n in range(20_000)}
    before = manifest(store, old)
    changed = [b"000/00007", b"100/10042", b"199/19999"]
    root = before.update([(path, entry(path, b"y")) for path in changed])
    store.reads.clear()
    found = list(diff_manifests(Manifest(store, before.root), Manifest(store, root)))
    assert [c.path for c in found] == changed
    # Two trees, three ways from root to leaf, at most five levels with a neighbour each.
    assert len(store.reads) <= 2 * 3 * 5
    store.reads.clear()
    assert list(diff_manifests(Manifest(store, root), Manifest(store, root))) == []
    assert not store.reads
    store.reads.clear()
    assert [c.path for c in diff_manifests(Manifest(store, before.root), Manifest(store, root), b"100")] == [
        changed[1]
    ]
    assert len(store.reads) <= 2 * 5


class CountingStore(ChunkStore):
    def __init__(self, backend: MemoryBackend) -> None:
        super().__init__(backend)
        self.reads: list[bytes] = []

    def get(self, id_: bytes, *, item_type: int = 0) -> bytes | memoryview:
        self.reads.append(bytes(id_))
        return super().get(id_, item_type=item_type)


def change(path: bytes, content: bytes, *, added: bool, mode: int = MODE_FILE) -> Change:
    item = entry(path, content, mode)
    return (
        Change(path, ChangeKind.ADDED, None, item) if added else Change(path, ChangeKind.REMOVED, item, None)
    )


def renames(*changes: Change) -> dict[bytes, bytes]:
    found = detect_renames(changes)
    return {c.path: c.old_path for c in found if c.old_path is not None}


def test_renames_prefer_the_same_name_then_the_nearest_folder() -> None:
    removed = [change(p, b"x", added=False) for p in (b"a/b/one", b"a/two", b"z/one")]
    added = [change(p, b"x", added=True) for p in (b"a/b/c/new", b"q/two", b"z/other")]
    assert renames(*removed, *added) == {b"q/two": b"a/two", b"a/b/c/new": b"a/b/one", b"z/other": b"z/one"}


def test_empty_files_and_folders_are_never_renamed() -> None:
    assert not renames(change(b"a", b"", added=False), change(b"b", b"", added=True))
    folder = change(b"c", b"", added=True, mode=MODE_DIRECTORY)
    assert not renames(change(b"a", b"", added=False), folder)


def test_a_rename_may_change_the_mode() -> None:
    new = change(b"b", b"x", added=True, mode=MODE_EXECUTABLE)
    assert renames(change(b"a", b"x", added=False), new) == {b"b": b"a"}


def test_renames_of_many_equal_files_take_linear_time() -> None:
    removed = [change(b"old/%d/%05d" % (n % 50, n), b"x", added=False) for n in range(10_000)]
    added = [change(b"new/%d/%05d" % (n % 70, n + 10_000), b"x", added=True) for n in range(10_000)]
    assert len(renames(*removed, *added)) == 10_000
