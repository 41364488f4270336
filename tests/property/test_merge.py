"""Three-way merges of random trees: symmetric, faithful to each side, and never an impossible tree."""

from __future__ import annotations

import blake3
import msgspec
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.diff.merge import Conflict, MergeResult, TextMerge, merge_manifests
from dsvc.model.encoding import encode
from dsvc.model.ids import NodeId
from dsvc.model.manifest import (
    MODE_DIRECTORY,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SYMLINK,
    Entry,
    Kind,
)
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Manifest, TreeBuilder
from dsvc.store.memory_backend import MemoryBackend

Tree = dict[bytes, Entry]


def entry(path: bytes, content: bytes = b"", mode: int = MODE_FILE, kind: Kind = Kind.BINARY) -> Entry:
    kind = Kind.TEXT if content.startswith(b"text") else kind
    digest = blake3.blake3(content).digest()
    return Entry(path, mode, len(content), digest, xxhash.xxh3_128_digest(content), kind=kind)


def manifest(store: ChunkStore, tree: Tree) -> Manifest:
    builder = TreeBuilder(store)
    for path in sorted(tree):
        builder.add(path, encode(tree[path]), tree[path].size)
    return Manifest(store, NodeId(builder.finish()))


def merge(base: Tree, ours: Tree, theirs: Tree) -> MergeResult:
    store = ChunkStore(MemoryBackend())
    return merge_manifests(store, manifest(store, base), manifest(store, ours), manifest(store, theirs))


def applied(ours: Tree, result: MergeResult) -> Tree:
    tree = dict(ours)
    assert [path for path, _ in result.changes] == sorted({path for path, _ in result.changes})
    for path, item in result.changes:
        if item is None:
            del tree[path]
        else:
            assert item.path == path
            assert tree.get(path) != item, "a change that changes nothing"
            tree[path] = item
    return tree


def settled(ours: Tree, result: MergeResult) -> Tree:
    """What is in the merge beyond doubt."""
    open_paths = {c.path for c in result.conflicts} | {t.path for t in result.text_merges}
    return {path: item for path, item in applied(ours, result).items() if path not in open_paths}


def possible(tree: Tree) -> Tree:
    """Drop what can't be in one tree: something below a file, an empty folder that isn't empty."""
    parents = {path[:i] for path in tree for i in range(len(path)) if path[i : i + 1] == b"/"}
    files = {p for p, item in tree.items() if item.mode != MODE_DIRECTORY}
    return {
        path: item
        for path, item in tree.items()
        if not any(path[:i] in files for i in range(len(path)) if path[i : i + 1] == b"/")
        and not (item.mode == MODE_DIRECTORY and path in parents)
    }


paths = st.sampled_from([b"a", b"b", b"c", b"a/x", b"a/y", b"b/x/y", b"b/x", b"d/a", b"d/b", b"a!"])
contents = st.sampled_from([b"1", b"2", b"3", b"text 1", b"text 2", b"text 3"])


@st.composite
def items(draw: st.DrawFn) -> tuple[bytes, int]:
    mode = draw(
        st.sampled_from([MODE_FILE, MODE_FILE, MODE_FILE, MODE_EXECUTABLE, MODE_SYMLINK, MODE_DIRECTORY])
    )
    return (b"" if mode == MODE_DIRECTORY else draw(contents)), mode


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    chosen = draw(st.dictionaries(paths, items(), max_size=7))
    return possible({path: entry(path, content, mode) for path, (content, mode) in chosen.items()})


@st.composite
def edited(draw: st.DrawFn, base: Tree) -> Tree:
    tree = dict(base)
    for _ in range(draw(st.integers(0, 4))):
        if tree and draw(st.booleans()):
            source = draw(st.sampled_from(sorted(tree)))
            moved = tree.pop(source)
            if draw(st.booleans()):
                target = draw(paths)
                tree[target] = msgspec.structs.replace(moved, path=target)
        else:
            path, (content, mode) = draw(paths), draw(items())
            tree[path] = entry(path, content, mode)
    return possible(tree)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Tree, Tree, Tree]:
    base = draw(trees())
    return base, draw(edited(base)), draw(edited(base))


SWAPPED = {
    "modify/delete": "delete/modify",
    "rename/delete": "delete/rename",
    "file/folder": "folder/file",
}
SWAPPED |= {b: a for a, b in SWAPPED.items()}


def mirror(conflict: Conflict) -> Conflict:
    kind = SWAPPED.get(conflict.kind, conflict.kind)
    return Conflict(conflict.path, kind, conflict.base, conflict.theirs, conflict.ours)


@given(histories())
@settings(max_examples=400, deadline=None)
def test_merge_is_symmetric(history: tuple[Tree, Tree, Tree]) -> None:
    base, ours, theirs = history
    one, other = merge(base, ours, theirs), merge(base, theirs, ours)
    assert one.conflicts == [mirror(c) for c in other.conflicts]
    assert one.text_merges == [TextMerge(t.path, t.base, t.theirs, t.ours, t.mode) for t in other.text_merges]
    assert settled(ours, one) == settled(theirs, other)


@given(histories())
@settings(max_examples=400, deadline=None)
def test_merge_never_makes_an_impossible_tree(history: tuple[Tree, Tree, Tree]) -> None:
    base, ours, theirs = history
    result = merge(base, ours, theirs)
    tree = settled(ours, result)
    assert possible(tree) == tree
    if not result.conflicts:
        whole = tree | {t.path: t.ours for t in result.text_merges}
        assert possible(whole) == whole
    for conflict in result.conflicts:
        assert conflict.ours is not None or conflict.theirs is not None
        assert conflict.ours != conflict.theirs or "/" in conflict.kind


@given(histories())
@settings(max_examples=400, deadline=None)
def test_nothing_that_a_side_made_is_lost(history: tuple[Tree, Tree, Tree]) -> None:
    base, ours, theirs = history
    result = merge(base, ours, theirs)
    kept = {item.digest for item in settled(ours, result).values()}
    for found in [*result.conflicts, *result.text_merges]:
        kept |= {item.digest for item in (found.base, found.ours, found.theirs) if item is not None}
    before = {item.digest for item in base.values()}
    made = {item.digest for item in [*ours.values(), *theirs.values()] if item.mode != MODE_DIRECTORY}
    assert made - before <= kept


@given(histories())
@settings(max_examples=200, deadline=None)
def test_a_side_that_did_nothing_agrees(history: tuple[Tree, Tree, Tree]) -> None:
    base, ours, _ = history
    assert merge(base, ours, base) == MergeResult()
    assert merge(base, ours, ours) == MergeResult()
    forward = merge(base, base, ours)
    assert not forward.conflicts
    assert not forward.text_merges
    assert applied(base, forward) == ours


@given(histories())
@settings(max_examples=200, deadline=None)
def test_paths_that_one_side_touched_are_as_that_side_has_them(history: tuple[Tree, Tree, Tree]) -> None:
    base, ours, theirs = history
    result = merge(base, ours, theirs)
    tree = applied(ours, result)
    doubtful = {c.path for c in result.conflicts}
    content = {item.digest for item in base.values()}
    for path in base.keys() | ours.keys() | theirs.keys():
        if path in doubtful or any(d.startswith(path + b"/") or path.startswith(d + b"/") for d in doubtful):
            continue
        if ours.get(path) == base.get(path) and base.get(path) is not None and theirs.get(path) is not None:
            assert tree.get(path) == theirs[path] or theirs[path].mode == MODE_DIRECTORY
        if path not in base and path not in ours and path in theirs and theirs[path].digest not in content:
            assert tree.get(path) == theirs[path] or theirs[path].mode == MODE_DIRECTORY


# One of each kind, by hand.

ONE, TWO, THREE = (entry(b"p", content) for content in (b"1", b"2", b"3"))
LINK, FOLDER = entry(b"p", b"q", MODE_SYMLINK), entry(b"p", b"", MODE_DIRECTORY)
RUN = msgspec.structs.replace(ONE, mode=MODE_EXECUTABLE)
BELOW = entry(b"p/x", b"9")


def tree_of(*members: Entry | None) -> Tree:
    return {item.path: item for item in members if item is not None}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "kinds"),
    [
        ([ONE], [TWO], [THREE], {b"p": "content"}),
        ([], [TWO], [THREE], {b"p": "add/add"}),
        ([], [ONE], [RUN], {b"p": "mode"}),
        ([ONE], [LINK], [TWO], {b"p": "type"}),
        ([ONE], [TWO], [], {b"p": "modify/delete"}),
        ([ONE], [], [TWO], {b"p": "delete/modify"}),
        ([], [ONE], [BELOW], {b"p": "file/folder", b"p/x": "file/folder"}),
        ([], [BELOW], [ONE], {b"p": "folder/file", b"p/x": "folder/file"}),
        ([], [ONE], [FOLDER], {b"p": "file/folder"}),
        ([ONE], [TWO], [BELOW], {b"p": "modify/delete", b"p/x": "file/folder"}),
    ],
)
def test_kinds_of_conflicts(
    base: list[Entry], ours: list[Entry], theirs: list[Entry], kinds: dict[bytes, str]
) -> None:
    result = merge(tree_of(*base), tree_of(*ours), tree_of(*theirs))
    assert {c.path: c.kind for c in result.conflicts} == kinds
    assert not result.text_merges


def moved(item: Entry, path: bytes) -> Entry:
    return msgspec.structs.replace(item, path=path)


def test_an_edit_follows_a_rename() -> None:
    result = merge(tree_of(ONE), tree_of(moved(ONE, b"q")), tree_of(TWO))
    assert result == MergeResult(changes=[(b"q", moved(TWO, b"q"))])
    result = merge(tree_of(ONE), tree_of(TWO), tree_of(moved(ONE, b"q")))
    assert result == MergeResult(changes=[(b"p", None), (b"q", moved(TWO, b"q"))])


def test_renames_that_disagree_are_conflicts() -> None:
    result = merge(tree_of(ONE), tree_of(moved(ONE, b"q")), tree_of(moved(ONE, b"r")))
    assert result.changes == []
    assert [(c.path, c.kind, c.ours, c.theirs) for c in result.conflicts] == [
        (b"q", "rename/rename", moved(ONE, b"q"), None),
        (b"r", "rename/rename", None, moved(ONE, b"r")),
    ]
    result = merge(tree_of(ONE), tree_of(moved(ONE, b"q")), {})
    assert [(c.path, c.kind) for c in result.conflicts] == [(b"q", "rename/delete")]


def test_content_of_one_side_and_mode_of_the_other() -> None:
    result = merge(tree_of(ONE), tree_of(RUN), tree_of(TWO))
    assert result.changes == [(b"p", msgspec.structs.replace(TWO, mode=MODE_EXECUTABLE))]
    assert not result.conflicts


def test_texts_that_both_edited_go_to_the_caller() -> None:
    base, ours, theirs = (entry(b"p", content) for content in (b"text 1", b"text 2", b"text 3"))
    ours = msgspec.structs.replace(ours, mode=MODE_EXECUTABLE)
    result = merge(tree_of(base), tree_of(ours), tree_of(theirs))
    assert result == MergeResult(text_merges=[TextMerge(b"p", base, ours, theirs, MODE_EXECUTABLE)])


def test_an_empty_folder_gives_way_to_what_is_put_into_it() -> None:
    assert merge({}, tree_of(FOLDER), tree_of(BELOW)).changes == [(b"p", None), (b"p/x", BELOW)]
    assert merge({}, tree_of(BELOW), tree_of(FOLDER)).changes == []
    assert merge(tree_of(FOLDER), tree_of(FOLDER), tree_of(ONE)).changes == [(b"p", ONE)]


def test_only_what_changed_is_read() -> None:
    reads = 0

    class CountingStore(ChunkStore):
        def get(self, id_: bytes, *, item_type: int = 0) -> bytes | memoryview:
            nonlocal reads
            reads += 1
            return super().get(id_, item_type=item_type)

    store = CountingStore(MemoryBackend())
    base = manifest(store, {p: entry(p, b"1") for p in (b"%03d/%05d" % (n // 100, n) for n in range(20_000))})
    ours = base.update([(b"000/00001", entry(b"000/00001", b"2"))])
    theirs = base.update([(b"150/15001", entry(b"150/15001", b"2")), (b"150/15002", None)])
    reads = 0
    result = merge_manifests(
        store, Manifest(store, base.root), Manifest(store, ours), Manifest(store, theirs)
    )
    assert [path for path, _ in result.changes] == [b"150/15001", b"150/15002"]
    assert reads <= 40


def test_a_file_against_a_renamed_file_in_a_folder_of_that_name() -> None:
    """A renamed path has the sides of its old name; what really stands there says whose file it is."""
    moved = entry(b"c", b"1")
    base = tree_of(moved, entry(b"a/y", b"", MODE_DIRECTORY))
    ours = tree_of(msgspec.structs.replace(moved, path=b"a/x"))
    theirs = tree_of(moved, entry(b"a", b"2"))
    kinds = {c.path: c.kind for c in merge(base, ours, theirs).conflicts}
    assert kinds[b"a"] == "folder/file"
    assert {c.path: c.kind for c in merge(base, theirs, ours).conflicts}[b"a"] == "file/folder"
