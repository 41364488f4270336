"""Provenance: row maps, accounts, sets of rows; runs, sources, lineage of a commit"""

from __future__ import annotations

import contextlib
import struct
from functools import cache

import msgspec
import numpy as np
import xxhash

from dsvc.lineage import run_tree as run_parts
from dsvc.lineage.lineage_tree import LineageTree
from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.packed_numbers import pack_numbers, unpack_numbers
from dsvc.lineage.provenance_standard import render_dps
from dsvc.lineage.row_account import RowAccount, decode_account, encode_account
from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.lineage.run_summary import summarise
from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.source_document import render_toml
from dsvc.lineage.source_tree import SourceTree
from dsvc.model.detection import Detection, DetectionStatus, decode_detection, encode_detection
from dsvc.model.detection_run import DetectionRun, decode_detection_run, encode_detection_run
from dsvc.model.encoding import hash_object
from dsvc.model.errors import DsvcError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import Kind
from dsvc.model.rights_request import (
    RequestKind,
    RequestOperation,
    RequestRecord,
    RequestVerb,
    decode_request,
    decode_request_operation,
    encode_request,
    encode_request_operation,
)
from dsvc.model.run_record import Fates, RunId, decode_run, encode_run
from dsvc.model.source_operation import SourceOperation, SourceVerb, decode_operation, encode_operation
from dsvc.model.source_record import SourceRecord, decode_source, encode_source
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.manifest_tree import Manifest
from dsvc.store.memory_backend import MemoryBackend
from dsvc.table.reading.subject_rows import decode_codes, encode_codes
from tests.fuzz.registry import Form, target
from tests.lineagekit import make_run, make_source
from tests.storekit import put_file

LINKS = ordered(np.array([0, 0, 1, 7], np.int64), np.array([3, 4, 0, 9], np.int64))
AT = "2026-01-01T00:00:00.000Z"


def _equal(one: object, other: object) -> bool:
    """Whether two values that hold arrays are equal, by their encodings."""
    return repr(one) == repr(other)


@target("row-map", [encode_links(LINKS)])
def row_map(data: bytes) -> None:
    """Links; the checksums of directory and blocks are made right, as a forger would."""
    _read_links(data)


@target("row-map-forged", [encode_links(LINKS)], runs=5000)
def forged_row_map(data: bytes) -> None:
    view = bytearray(data)
    head = 24
    if len(view) >= head:
        count = int.from_bytes(view[16:24], "little") % 8
        view[16:24] = count.to_bytes(8, "little")
        at = head + 48 * count
        for place in range(head, min(at, len(view) - 47), 48):
            size = int.from_bytes(view[place + 4 : place + 8], "little")
            struct.pack_into("<Q", view, place + 40, xxhash.xxh3_64_intdigest(bytes(view[at : at + size])))
            at += size
        view[8:16] = xxhash.xxh3_64_digest(bytes(view[head : head + 48 * count]))
    _read_links(bytes(view))


def _read_links(data: bytes) -> None:
    found = LinkFile(data)
    links = found.all()
    assert links.size == found.count
    again = LinkFile(encode_links(links)).all()
    assert np.array_equal(again.outputs, links.outputs)
    assert np.array_equal(again.inputs, links.inputs)
    for rows in ([0, 1], [found.max_output], [found.max_input]):
        found.parents(rows)
        found.children(rows)


@target(
    "row-set",
    [encode_rows(np.array([1, 2, 9, 4000], np.int64)), encode_rows(np.arange(900, dtype=np.int64))],
    runs=1500,
)
def row_set(data: bytes) -> None:
    rows = decode_rows(data)
    assert np.array_equal(decode_rows(encode_rows(rows)), rows)


@target(
    "packed-numbers",
    [pack_numbers(np.array(each, np.int64)) for each in ([], [5], [7, 7, 9], [9, -1, 3])],
    runs=2500,
)
def packed_numbers(data: bytes) -> None:
    values, end = unpack_numbers(data, most=1 << 20)
    assert end <= len(data)
    assert np.array_equal(unpack_numbers(pack_numbers(values))[0], values)


_ACCOUNT = encode_account(
    RowAccount(
        Fates(kept=2, changed=1, dropped=2),
        np.array([1], np.int64),
        np.array([3, 4], np.int64),
        ("short", "太短"),
        np.array([0, 1], np.int64),
        np.array([-1, 0], np.int64),
    )
)


@target("row-account", [_ACCOUNT[8:16] + _ACCOUNT[24:]])
def row_account(data: bytes) -> None:
    """Given without its magic and its checksum."""
    whole = _ACCOUNT[:8] + data[:8] + xxhash.xxh3_64_digest(data[8:]) + data[8:]
    found = decode_account(whole)
    found.drops()
    found.drop_of(3)
    assert _equal(decode_account(encode_account(found)), found)


@target("subject-codes", [encode_codes(np.array([[1, 2], [3, 4]], np.uint64))])
def subject_codes(data: bytes) -> None:
    codes = decode_codes(data)
    assert encode_codes(codes) == data


# Records in the store


@cache
def _world() -> tuple[MemoryBackend, RunId, NodeId, NodeId]:
    """A run, a source and the lineage of a commit that has both."""
    backend = MemoryBackend()
    store = ChunkStore(backend)
    one, other = (
        msgspec.structs.replace(put_file(store, path, data), kind=Kind.TABLE, rows=rows)
        for path, data, rows in ((b"a.csv", b"id,v\n1,y\n0,x\n", 2), (b"b.csv", b"id,v\n1,y\n", 1))
    )
    made = make_run(store, "step", [one], [other], {(0, 0): {(0, 0)}}, second=1, facts={"by": "安"})
    source = make_source(store, "web", [one], rows={b"a.csv": [0]}, record={"title": "标题"})
    root = LineageTree(store, None).extended([made.id], {"web": source})
    assert root is not None
    store.publish()
    return backend, made.id, source, root


def _bytes_of(which: int) -> bytes:
    backend, *ids = _world()
    return bytes(ChunkStore(backend).get(bytes(ids[which]), item_type=ItemType.NODE))


def part(root: bytes, path: bytes) -> bytes:
    from dsvc.store.materialize import read_content

    store = ChunkStore(_world()[0])
    entry = Manifest(store, NodeId(root), trees=True).get(path)
    assert entry is not None
    return read_content(store, entry)


def _store_with(data: bytes) -> tuple[ChunkStore, NodeId]:
    """A store that has the world, and a node of these bytes."""
    backend = MemoryBackend()
    backend.packs.update(_world()[0].packs)
    store = ChunkStore(backend)
    id_ = hash_object("node", data, NodeId)
    store.put_object(id_, data, ItemType.NODE)
    store.publish()
    return store, id_


@target("run-tree", lambda: [_bytes_of(0)], form=Form.MSGPACK, runs=700)
def run_tree(data: bytes) -> None:
    """The manifest of a run, with any parts in it."""
    store, id_ = _store_with(data)
    tree = RunTree(store, RunId(bytes(id_)))
    with contextlib.suppress(DsvcError):
        tree.code_files()
    run = tree.run
    for number in range(len(run.inputs)):
        tree.input_files(number)
    summarise(tree)


@target("run-record", lambda: [part(bytes(_world()[1]), run_parts.RECORD)], form=Form.MSGPACK)
def run_record(data: bytes) -> None:
    run = decode_run(data)
    assert decode_run(encode_run(run)) == run


@target("run-with-record", lambda: [part(bytes(_world()[1]), run_parts.RECORD)], form=Form.MSGPACK, runs=600)
def run_with_record(data: bytes) -> None:
    """A run as it is, with another record."""
    backend, id_, *_ = _world()
    memory = MemoryBackend()
    memory.packs.update(backend.packs)
    store = ChunkStore(memory)
    entry = put_file(store, run_parts.RECORD, data)
    root = Manifest(store, NodeId(bytes(id_)), trees=True).update([(run_parts.RECORD, entry)])
    store.publish()
    tree = RunTree(store, RunId(bytes(root)))
    summary = summarise(tree)
    assert summary.run_id == tree.id


@target("source-tree", lambda: [_bytes_of(1)], form=Form.MSGPACK, runs=600)
def source_tree(data: bytes) -> None:
    store, id_ = _store_with(data)
    tree = SourceTree(store, id_)
    with contextlib.suppress(DsvcError):
        list(tree.files.entries())
    with contextlib.suppress(DsvcError):
        tree.row_entries()
    assert tree.record.source_id
    from dsvc.lineage.source_tree import covered_rows

    covered_rows(tree, b"a.csv")


@target("lineage-tree", lambda: [_bytes_of(2)], form=Form.MSGPACK, runs=800)
def lineage_tree(data: bytes) -> None:
    store, id_ = _store_with(data)
    tree = LineageTree(store, id_)
    runs = tree.runs()
    assert all(map(tree.has_run, runs))
    for each in tree.sources().values():
        with contextlib.suppress(DsvcError):
            assert each.record
    list(tree.detections())


@target("source-record", lambda: [part(bytes(_world()[2]), b"record")], form=Form.MSGPACK)
def source_record(data: bytes) -> None:
    record = decode_source(data)
    assert decode_source(encode_source(record)) == record
    for render in (render_toml, render_dps):
        with contextlib.suppress(DsvcError):
            render(record)


_ADDED = SourceOperation(verb=SourceVerb.ADD, time=AT, changed=("files",))


@target("source-operation", [encode_operation(_ADDED)], form=Form.MSGPACK)
def source_operation(data: bytes) -> None:
    operation = decode_operation(data)
    assert decode_operation(encode_operation(operation)) == operation


_REQUEST = RequestRecord(
    request_id="2026-017",
    kind=RequestKind.DELETION,
    received_at="2026-11-01",
    due="2026-12-01",
    ground="第47条",
)


@target("request", [encode_request(_REQUEST)], form=Form.MSGPACK)
def request(data: bytes) -> None:
    record = decode_request(data)
    again = decode_request(encode_request(record))
    assert decode_request(encode_request(again)) == again


_STEP = RequestOperation(verb=RequestVerb.ADD, time=AT, reason="收到")


@target("request-operation", [encode_request_operation(_STEP)], form=Form.MSGPACK)
def request_operation(data: bytes) -> None:
    found = decode_request_operation(data)
    assert decode_request_operation(encode_request_operation(found)) == found


_DETECTION = Detection(
    detector="pii", version="1", config="c", input=b"k" * 36, status=DetectionStatus.UNKNOWN, reason="理由"
)
_DETECTIONS = DetectionRun(
    detector="pii",
    version="1",
    config="c",
    clean=((b"a", b"d" * 32),),
    found=((b"b", b"e" * 32, _DETECTION),),
)


@target("detection-run", [encode_detection_run(_DETECTIONS)], form=Form.MSGPACK)
def detection_run(data: bytes) -> None:
    found = decode_detection_run(data)
    again = decode_detection_run(encode_detection_run(found))
    assert decode_detection_run(encode_detection_run(again)) == again


@target("detection", [encode_detection(_DETECTION)], form=Form.MSGPACK)
def detection(data: bytes) -> None:
    found = decode_detection(data)
    again = decode_detection(encode_detection(found))
    assert decode_detection(encode_detection(again)) == again


def a_source() -> SourceRecord:
    """The record of a source."""
    return decode_source(part(bytes(_world()[2]), b"record"))
