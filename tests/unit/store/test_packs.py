"""Packs as they are written, chosen, collected and given up."""

from __future__ import annotations

import contextlib
import logging
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import blake3
import pytest
import xxhash

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import CorruptDataError, StorageError, UsageError
from dsvc.model.ids import NodeId, PackId
from dsvc.model.manifest import MODE_FILE, ChunkClass, ChunkRef, Entry, Kind
from dsvc.store import block, pack, prune
from dsvc.store.block import ItemType
from dsvc.store.chunk_list import write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.store.mark import Marks
from dsvc.store.memory_backend import MemoryBackend
from dsvc.store.pack import Footer, PackWriter
from dsvc.store.prune import collect
from tests.storekit import local_store, noise, put_manifest, read_manifest, reopened


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def store(backend: MemoryBackend) -> ChunkStore:
    return ChunkStore(backend)


def writer(backend: MemoryBackend) -> PackWriter:
    return PackWriter(backend, block.Compressor())


def id_of(data: bytes) -> bytes:
    return blake3.blake3(data).digest()


def test_a_pack_without_anything_is_none(backend: MemoryBackend) -> None:
    assert writer(backend).publish() is None
    assert backend.packs == {}


@pytest.mark.parametrize("length", [0, block.MAX_ITEM_BYTES + 1])
def test_objects_that_no_row_can_say(backend: MemoryBackend, length: int) -> None:
    with pytest.raises(UsageError, match=f"{length} bytes"):
        writer(backend).put(b"i" * 32, bytes(length), ItemType.CHUNK, pack.STREAM_RAW)


def test_the_longest_object_that_a_row_can_say(backend: MemoryBackend) -> None:
    data = noise(1000) + bytes(block.MAX_ITEM_BYTES - 1000)
    made = writer(backend)
    made.put(id_of(data), data, ItemType.CHUNK, pack.STREAM_RAW)
    name = made.publish()
    assert name is not None
    footer = Footer(backend, name)
    assert footer.location(footer.find(id_of(data))).length == block.MAX_ITEM_BYTES
    assert bytes(ChunkStore(backend).get(id_of(data))) == data


def test_an_id_that_comes_twice_has_one_row_with_bytes(backend: MemoryBackend) -> None:
    data = noise(5000)
    for order in ("erased first", "erased last", "twice"):
        made = writer(backend)
        if order == "erased first":
            made.put_erased(id_of(data), 5000, ItemType.CHUNK)
        made.put(id_of(data), data, ItemType.CHUNK, pack.STREAM_RAW)
        if order == "twice":
            made.put(id_of(data), data, ItemType.CHUNK, pack.STREAM_RAW)
        if order == "erased last":
            made.put_erased(id_of(data), 5000, ItemType.CHUNK)
        name = made.publish()
        assert name is not None
        footer = Footer(backend, name)
        assert [(id_, place.erased) for id_, place in footer.rows()] == [(id_of(data), False)]
        assert bytes(ChunkStore(backend).get(id_of(data))) == data
        backend.packs.clear()


def test_a_block_that_is_not_there(store: ChunkStore, backend: MemoryBackend) -> None:
    put_manifest(store, {b"a": b"x"})
    (footer,) = store.index.footers()
    with pytest.raises(CorruptDataError):
        footer.block(footer.blocks)


def test_of_what_was_erased_id_type_and_length_stay(backend: MemoryBackend) -> None:
    made = writer(backend)
    made.put_erased(b"a" * 32, 12_345, ItemType.LIST)
    name = made.publish()
    assert name is not None
    assert list(Footer(backend, name).rows()) == [
        (b"a" * 32, pack.Location(0, 0, 12_345, ItemType.LIST, erased=True))
    ]


def test_blocks_end_at_their_sizes(backend: MemoryBackend) -> None:
    for stream, target in ((pack.STREAM_TEXT, 384), (pack.STREAM_RAW, 256), (pack.STREAM_OBJECTS, 256)):
        made = writer(backend)
        for number, length in enumerate((target * 1024 - 1, 1, 1, target * 1024)):
            made.put(bytes([number] * 32), bytes(length), ItemType.CHUNK, stream)
        name = made.publish()
        assert name is not None
        footer = Footer(backend, name)
        assert [footer.block(number).items for number in range(footer.blocks)] == [2, 2]
        assert [place.offset for _, place in footer.rows()] == [0, target * 1024 - 1, 0, 1]


TRAILER = struct.Struct("<8sQQII32s")  # docs/format.md, section Pack


def forged(good: bytes, field: int, change: Callable[[Any], Any]) -> bytes:
    parts = list(TRAILER.unpack(good[-TRAILER.size :]))
    parts[field] = change(parts[field])
    return good[: -TRAILER.size] + TRAILER.pack(*parts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda good: b"", "is truncated"),
        (lambda good: good[:16] + good[-63:], "is truncated"),
        (lambda good: good[:16] + good[-64:], "a wrong trailer"),
        (lambda good: good + b"x", "claims|a wrong trailer"),
        (lambda good: good[1:], "a wrong trailer"),
        (lambda good: forged(good, 0, lambda magic: b"DSVCEND\x02"), "a wrong trailer"),
        (lambda good: forged(good, 1, lambda offset: offset - 1), "a wrong trailer"),
        (lambda good: forged(good, 2, lambda length: length + 1), "a wrong trailer"),
        (lambda good: forged(good, 3, lambda blocks: blocks + 1), "a wrong trailer"),
        (lambda good: forged(good, 3, lambda blocks: 1 << 22), "a wrong trailer"),
        (lambda good: forged(good, 3, lambda blocks: (1 << 22) + 1), "claims 4194305 blocks and 2 objects"),
        (lambda good: forged(good, 4, lambda ids: ids - 1), "a wrong trailer"),
        (lambda good: forged(good, 4, lambda ids: 1 << 26), "a wrong trailer"),
        (lambda good: forged(good, 4, lambda ids: (1 << 26) + 1), "claims 1 blocks and 67108865 objects"),
        (lambda good: forged(good, 5, lambda named: b"n" * 32), "a wrong trailer"),
        (lambda good: good[:-68] + b"\x09" + good[-67:], None),
        (lambda good: good[: -64 - 88 - 4] + b"\x03" + good[-64 - 88 - 3 :], "a wrong fanout"),
        (lambda good: good[: -64 - 88 - 8] + b"\x03" + good[-64 - 88 - 7 :], "a wrong fanout"),
    ],
)
def test_footers_that_do_not_fit_their_pack(
    backend: MemoryBackend, change: Callable[[bytes], bytes], words: str | None
) -> None:
    made = writer(backend)
    for data in (b"one", b"two"):
        made.put(id_of(data), data, ItemType.CHUNK, pack.STREAM_RAW)
    name = made.publish()
    assert name is not None
    assert Footer(backend, name).verify()
    backend.packs[name] = change(backend.packs[name])
    if words is None:
        assert not Footer(backend, name).verify(), "what no row can tell, the name does"
        return
    with pytest.raises(CorruptDataError, match=words):
        Footer(backend, name)


def test_a_trashed_pack_that_can_not_be_read_is_passed_over(
    store: ChunkStore, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    data = noise(5000)
    put_manifest(store, {b"a": data}, raw=True)
    put_manifest(reopened(store), {b"b": noise(5000, 2)}, raw=True)
    backend.trash(backend.list_packs(), "000001-x")
    kept = backend._trash["000001-x"]
    victim = next(name for name, whole in kept.items() if noise(5000, 2) in whole)
    kept[victim] = kept[victim][:-3]
    with caplog.at_level(logging.WARNING):
        assert bytes(reopened(store).get(id_of(data))) == data
    assert f"trashed pack {victim.short()} can't be read" in caplog.text


def test_marks_take_in_what_was_published_meanwhile(store: ChunkStore) -> None:
    first = put_manifest(store, {b"a": noise(5000)}, raw=True)
    marks = Marks(reopened(store))
    marks.manifests([first])
    second = put_manifest(reopened(store), {b"b": noise(5000, 2)}, raw=True)
    marks.manifests([second])
    assert sum(marked.live_rows for marked in marks.packs()) == 4
    with pytest.raises(CorruptDataError, match="another type"):
        Marks(reopened(store)).mark(bytes(second), ItemType.CHUNK)


def test_marks_are_worth_nothing_once_a_pack_is_gone(store: ChunkStore, backend: MemoryBackend) -> None:
    put_manifest(store, {b"a": noise(5000)}, raw=True)
    marks = Marks(reopened(store))
    assert marks.refresh()
    backend.trash(backend.list_packs(), "000001-x")
    assert not marks.refresh()


def test_many_objects_are_marked(store: ChunkStore) -> None:
    tree = {b"%05d" % number: b"%d" % number for number in range(20_000)}
    root = put_manifest(store, tree)
    marks = Marks(reopened(store))
    marks.manifests([root, root])
    (marked,) = marks.packs()
    assert marked.live_rows == marked.footer.count
    assert not marks.mark(bytes(root), ItemType.NODE)


def test_the_second_copy_stays_while_the_first_is_damaged(store: ChunkStore, backend: MemoryBackend) -> None:
    data = noise(50_000, 5)
    root = put_manifest(store, {b"a": data}, raw=True)
    (first,) = backend.list_packs()
    backend.trash([first], "000001-x")
    other = put_manifest(reopened(store), {b"a": data, b"z": b"z"}, raw=True)
    (second,) = backend.list_packs()
    backend.recover("000001-x")
    for victim in (first, second):
        whole = backend.packs[victim]
        before = dict(backend.packs)
        backend.packs[victim] = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
        with contextlib.suppress(CorruptDataError):
            collect(reopened(store), lambda: [root, other], contextlib.nullcontext, grace_seconds=0)
        assert read_manifest(reopened(store), root) == {b"a": data}
        assert read_manifest(reopened(store), other) == {b"a": data, b"z": b"z"}
        backend.packs.clear()
        backend.packs.update(before)


def test_gc_of_much_makes_several_packs(
    store: ChunkStore, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = [{b"%d" % n: noise(60_000, n)} for n in range(8)]
    roots = [put_manifest(reopened(store), tree, raw=True) for tree in trees]
    monkeypatch.setattr(pack, "TARGET_BYTES", 150_000)
    collect(reopened(store), lambda: roots, contextlib.nullcontext, grace_seconds=0)
    assert 1 < len(backend.list_packs()) < 8
    rows = [id_ for footer in reopened(store).index.footers() for id_, _ in footer.rows()]
    assert len(rows) == len(set(rows)), "nothing is there twice"
    for root, tree in zip(roots, trees, strict=True):
        assert read_manifest(reopened(store), root) == tree


def names(packs: Iterable[PackId]) -> set[str]:
    return {name.hex() for name in packs}


@pytest.mark.parametrize("action", [Action.ENOSPC, Action.EIO, Action.MEMORY])
def test_gc_on_a_disk_that_is_full_or_broken(tmp_path: Path, action: Action) -> None:
    store = local_store(tmp_path)
    keep = put_manifest(store, {b"a": noise(60_000, 1)}, raw=True)
    both = put_manifest(reopened(store), {b"b": noise(60_000, 2), b"c": noise(60_000, 3)}, raw=True)
    put_manifest(reopened(store), {b"dead": noise(60_000, 4)}, raw=True)
    dead = [
        footer.pack for footer in reopened(store).index.footers() if footer.find(id_of(noise(60_000, 4))) >= 0
    ]
    before = names(store.backend.list_packs())

    def roots() -> list[NodeId]:
        return [keep, both]

    outcome: BaseException | None = None
    writes: list[int] = []

    def full_at_new_packs(number: int, name: str, path: str) -> None:
        if name == "write" and "/tmp/pack-" in path:
            writes.append(number)
            plan.at = writes[0]

    plan = Plan(action=action, at=10**9, persistent=True, observer=full_at_new_packs)
    try:
        with armed(plan):
            collect(reopened(store), roots, contextlib.nullcontext, grace_seconds=0)
    except (StorageError, MemoryError) as error:
        outcome = error
    assert writes, "new packs were to be written"
    left = names(reopened(store).backend.list_packs())
    assert before - names(dead) <= left
    assert read_manifest(reopened(store), keep) == {b"a": noise(60_000, 1)}
    assert read_manifest(reopened(store), both) == {b"b": noise(60_000, 2), b"c": noise(60_000, 3)}
    if action is Action.ENOSPC:
        assert outcome is None
        assert left.isdisjoint(names(dead)), "what has nothing alive made room"
    else:
        assert isinstance(outcome, MemoryError if action is Action.MEMORY else StorageError)
    done = collect(reopened(store), roots, contextlib.nullcontext, grace_seconds=0)
    assert done.trashed == 0
    assert len(store.backend.list_packs()) == 1


def test_shares_and_sizes_that_decide() -> None:
    def use(number: int, *, size: int = 20 << 20, live: int = 100, rows: int = 2) -> prune.PackUse:
        return prune.PackUse(
            pack=PackId(bytes([number]) * 32),
            size_bytes=size,
            rows=rows,
            live_rows=rows if live else 0,
            raw_bytes=100,
            live_bytes=live,
        )

    def decided(*uses: prune.PackUse) -> tuple[list[int], list[int]]:
        made = prune.plan(uses)
        return [name[0] for name in made.drop], [name[0] for name in made.rewrite]

    small = (16 << 20) - 1
    assert decided(use(1)) == ([], [])
    assert decided(use(1, live=0)) == ([1], [])
    assert decided(use(1, live=70), use(2, live=69)) == ([], [2])
    assert decided(use(1, size=small)) == ([], [])
    assert decided(use(1, size=small), use(2, size=small)) == ([], [1, 2])
    assert decided(use(1, size=small), use(2, size=small + 1)) == ([], [])
    assert decided(use(1, size=small), use(2, live=50)) == ([], [1, 2])
    assert decided(use(1, size=small, live=50)) == ([], [1])
    assert decided(use(1, live=0), use(2, size=small)) == ([1], [])
    made = prune.plan([use(1, live=0, rows=5), use(2, live=40)])
    assert (made.candidates, made.bytes) == (5, 160)


def test_gc_keeps_files_with_holes(store: ChunkStore, backend: MemoryBackend) -> None:
    parts: list[bytes | int] = [1 << 20, noise(50_000, 1), 1 << 20, noise(50_000, 2), 5]
    refs, data = [], b""
    for part in parts:
        if isinstance(part, int):
            refs.append(ChunkRef(part, None))
            data += bytes(part)
        else:
            store.put_chunk(id_of(part), part, raw=True)
            refs.append(ChunkRef(len(part), id_of(part)))
            data += part
    digests = id_of(data), xxhash.xxh3_128_digest(data)
    listed = bytes(write_list(store, refs))
    entry = Entry(b"sparse", MODE_FILE, len(data), *digests, ChunkClass.RAW, listed, Kind.BINARY)
    root = Manifest(store, NodeId(bytes(EMPTY_ROOT))).update([(b"sparse", entry)])
    store.publish()
    put_manifest(reopened(store), {b"dead": noise(200_000, 9)}, raw=True)
    assert collect(reopened(store), lambda: [root], contextlib.nullcontext, grace_seconds=0).deleted
    assert read_manifest(reopened(store), root) == {b"sparse": data}
