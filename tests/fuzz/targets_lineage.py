"""Provenance: row maps, accounts, sets of rows; runs, sources, lineage of a commit; documents, evidence."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from functools import cache

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from dsvc.lineage import run_tree as run_parts
from dsvc.lineage.declared_maps import DROPS, ROW_MAP, read_run_folder
from dsvc.lineage.evidence import check_type, infer_type, parse_option
from dsvc.lineage.grades import parse_grade
from dsvc.lineage.license_text import check_license, licence_tree, licenses_of
from dsvc.lineage.lineage_tree import LineageTree
from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.optout import read_facts, sites_of, training_preference
from dsvc.lineage.packed_numbers import pack_numbers, unpack_numbers
from dsvc.lineage.provenance_standard import parse_dps, render_dps
from dsvc.lineage.rights import parse_rights
from dsvc.lineage.row_account import RowAccount, decode_account, encode_account
from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.lineage.run_summary import summarise
from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.source_document import SourceDocument, parse_toml, render_toml
from dsvc.lineage.source_tree import SourceTree
from dsvc.lineage.source_values import changed_record, new_record, read_changes
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
from tests.fuzz.targets_state import folder
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


def _part(root: bytes, path: bytes) -> bytes:
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


@target("run-record", lambda: [_part(bytes(_world()[1]), run_parts.RECORD)], form=Form.MSGPACK)
def run_record(data: bytes) -> None:
    run = decode_run(data)
    assert decode_run(encode_run(run)) == run


@target("run-with-record", lambda: [_part(bytes(_world()[1]), run_parts.RECORD)], form=Form.MSGPACK, runs=600)
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


@target("source-record", lambda: [_part(bytes(_world()[2]), b"record")], form=Form.MSGPACK)
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


# Documents that people write


_TOML = """title = "标题"
acquisition = "crawl"
collected_from = 2026-01-01
domains = ["example.org"]
[deidentification]
method = "hash"
[[covers]]
path = "data"
where = "id > 3"
[[evidence]]
type = "robots"
file = "robots.txt"
digest = "blake3:00ff"
valid_from = 2026-01-01
""".encode()


@target("source-toml", [_TOML], runs=3000)
def source_toml(data: bytes) -> None:
    _recorded(parse_toml(data, "source.toml", "/nowhere"))


def _recorded(document: SourceDocument) -> None:
    """Take what a document says into a record, and write that: it reads as the same."""
    changes = read_changes(document.values)
    record: SourceRecord = changed_record(decode_source(_part(bytes(_world()[2]), b"record")), changes)
    again = read_changes(parse_toml(render_toml(record).encode(), "again.toml", "/nowhere").values)
    assert changed_record(record, again) == record
    with contextlib.suppress(DsvcError):
        new_record("web", changes)


def _dps() -> Sequence[bytes]:
    record = decode_source(_part(bytes(_world()[2]), b"record"))
    fields = {
        "issuer": "某公司",
        "description": "d",
        "origin_geography": ["CN"],
        "issue_date": "2026-01-01",
        "purposes_allowed": ["research"],
    }
    return [render_dps(changed_record(record, read_changes(fields.items()))).encode()]


@target("source-dps", _dps, form=Form.JSON, runs=3000)
def source_dps(data: bytes) -> None:
    _recorded(parse_dps(data, "dps.json"))


@target(
    "licence",
    [b"MIT", b"(CC-BY-4.0 OR LicenseRef-own) AND GPL-2.0-only WITH Classpath-exception-2.0"],
    runs=200,
)
def licence(data: bytes) -> None:
    found = check_license(data.decode("utf-8", "replace"))
    assert check_license(found) == found
    licence_tree(found)
    licenses_of(found)


@target("evidence-option", [b"robots=robots.txt@2026-01-01..2027-01-01", "合同=c.pdf".encode()], runs=3000)
def evidence_option(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    infer_type(text, data)
    for read in (parse_option, check_type):
        with contextlib.suppress(DsvcError):
            assert read(text)


@target("grade", [b"public", b"core", b"clear", b"restricted"])
def grade(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    parse_grade(text)
    parse_rights(text)


_ROBOTS = b"""User-agent: *
Disallow: /private
Content-Usage: /news train-ai=n, search=y
User-agent: dsvc/1
Allow: /
"""
_TDM = b'[{"location": "/news/*", "tdm-reservation": 1, "tdm-policy": "https://example.org/p"}]'
_HEAD = b"Content-Usage: train-ai=n\nTDM-Reservation: 1\n"


def _opt_outs() -> Sequence[bytes]:
    return [
        bytes([n]) + data for n, data in enumerate((_ROBOTS, _TDM, _HEAD, b'{"a": {"tdm-reservation": 1}}'))
    ]


@target("opt-out", _opt_outs, runs=1000)
def opt_out(data: bytes) -> None:
    """Snapshots of robots.txt, TDMRep and headers: they never stop anything, so nothing is refused."""
    from dsvc.lineage import optout

    kinds = (optout.ROBOTS, optout.TDMREP, optout.HEADERS)
    kind = kinds[data[0] % 3] if data else optout.ROBOTS
    sites = sites_of(["example.org/news", "例.cn=9"])
    for agent in (None, "dsvc/1.0 (+x)"):
        found = read_facts(kind, data[1:], user_agent=agent, sites=sites)
        assert all(isinstance(value, str) for value in found.values())
    sites_of([data.decode("utf-8", "replace")])
    training_preference(data.decode("utf-8", "replace"))


_MAP = {"output": ["b.csv"], "output_row": [0], "input": ["./a.csv"], "input_row": [1]}


def _row_maps() -> Sequence[bytes]:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(_MAP), sink, compression="none", write_statistics=False)
    return [sink.getvalue().to_pybytes()]


@target("declared-map", _row_maps, runs=500, longest=8192)
def declared_map(data: bytes) -> None:
    with folder() as path:
        (path / ROW_MAP).write_bytes(data)
        found = read_run_folder(str(path))
        assert found is not None


_DROPS = """{"input": "a.csv", "row": 3, "reason": "短"}
{"input": "a.csv", "key": {"id": 7}, "reason": "x", "survivor": 1}
"""


@target("declared-drops", [_DROPS.encode()], runs=1000)
def declared_drops(data: bytes) -> None:
    with folder() as path:
        (path / DROPS).write_bytes(data)
        read_run_folder(str(path))
