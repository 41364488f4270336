"""What store tests share: small stores, manifests from dictionaries, and reading them back."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import blake3
import xxhash

from dsvc.fs import files
from dsvc.model.encoding import encode, hash_object
from dsvc.model.ids import Digest, NodeId, PackId, RecordId
from dsvc.model.manifest import MODE_FILE, ChunkClass, ChunkRef, Entry
from dsvc.store import chunker
from dsvc.store.backend import Backend
from dsvc.store.block import ItemType
from dsvc.store.chunk_list import chunks_of, write_list
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.layout import Layout
from dsvc.store.local_backend import LocalBackend
from dsvc.store.manifest_tree import Manifest, TreeBuilder
from dsvc.store.pack import Footer, Location
from dsvc.store.rewrite import Rewriter


def make_layout(folder: Path) -> Layout:
    layout = Layout(str(folder / ".dsvc"))
    for path in layout.folders():
        files.make_folders(path)
    return layout


def local_store(folder: Path) -> ChunkStore:
    return ChunkStore(LocalBackend(make_layout(folder), durable=False))


def reopened(store: ChunkStore) -> ChunkStore:
    """A store as another process would open it."""
    backend: Backend = store.backend
    if isinstance(backend, LocalBackend):
        backend = LocalBackend(backend.layout, durable=False)
    return ChunkStore(backend)


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def prose(size: int, seed: int = 0) -> bytes:
    generator = random.Random(seed)
    words = [f"{generator.randrange(1 << 20):x}" for _ in range(400)]
    return " ".join(generator.choices(words, k=size // 4 + 8)).encode()[:size]


def rewrite(
    store: ChunkStore, sources: Sequence[tuple[Footer, Callable[[int, bytes, Location], bool]]]
) -> list[PackId]:
    """Copy chosen rows of packs into new ones of the usual size."""
    with Rewriter(store) as rewriter:
        for footer, wanted in sources:
            rewriter.copy(footer, wanted)
            if rewriter.full:
                rewriter.publish()
    return rewriter.published


def put_record(store: ChunkStore, data: bytes) -> RecordId:
    """Store a record: the one type of object that no verb writes by itself."""
    id_ = hash_object("record", data, RecordId)
    store.put_object(id_, data, ItemType.RECORD)
    return id_


def put_file(store: ChunkStore, path: bytes, data: bytes, *, raw: bool = False) -> Entry:
    """Store a file as ingest does."""
    chunk_class = ChunkClass.RAW if raw else ChunkClass.TEXT
    refs = []
    for part in chunker.cut(chunk_class, data):
        id_ = blake3.blake3(part).digest()
        store.put_chunk(id_, bytes(part), raw=raw)
        refs.append(ChunkRef(len(part), id_))
    root = bytes(write_list(store, refs)) if len(refs) > 1 else None
    return Entry(
        path=path,
        mode=MODE_FILE,
        size=len(data),
        digest=blake3.blake3(data).digest(),
        xxh3=xxhash.xxh3_128_digest(data),
        chunk_class=chunk_class,
        chunks=root,
    )


def put_manifest(store: ChunkStore, contents: Mapping[bytes, bytes], *, raw: bool = False) -> NodeId:
    """Store files and their manifest, and publish."""
    builder = TreeBuilder(store)
    for path, data in sorted(contents.items()):
        builder.add(path, encode(put_file(store, path, data, raw=raw)), len(data))
    root = NodeId(builder.finish())
    store.publish()
    return root


def read_manifest(store: ChunkStore, root: NodeId) -> dict[bytes, bytes]:
    """Read everything back, each file checked against its entry."""
    contents = {}
    for entry in Manifest(store, root).entries():
        parts = (bytes(store.get(c.id)) if c.id else bytes(c.length_bytes) for c in chunks_of(store, entry))
        data = b"".join(parts)
        assert blake3.blake3(data).digest() == entry.digest
        assert len(data) == entry.size
        contents[entry.path] = data
    return contents


def trash_with_chunks(store: ChunkStore, run: str) -> PackId:
    """Move the only pack to the trash, and store its nodes and chunk lists anew; the pack's name."""
    backend = store.backend
    (name,) = backend.list_packs()
    structure = [
        (id_, bytes(store.get(id_, item_type=place.item_type)), place.item_type)
        for id_, place in Footer(backend, name).rows()
        if place.item_type != ItemType.CHUNK
    ]
    backend.trash([name], run)
    second = reopened(store)
    for id_, data, item_type in structure:
        second.put_object(Digest(id_), data, ItemType(item_type))
    second.publish()
    return name


def small_tree(seed: int = 0, files_count: int = 20) -> dict[bytes, bytes]:
    """Files of several kinds: empty, small, compressible and not, of many chunks."""
    contents = {
        f"folder{n % 3}/file{n}".encode(): prose(200 + 37 * n, seed * 1000 + n) for n in range(files_count)
    }
    contents[b"empty"] = b""
    contents[b"noise"] = noise(90_000, seed)
    contents[b"large.txt"] = prose(400_000, seed)
    return contents
