"""Bytes of runs, sources, row maps and accounts, forged: decoded right, or refused with a typed error."""

from __future__ import annotations

import numpy as np
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.row_account import RowAccount, decode_account, encode_account
from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.model.run_record import (
    Agent,
    Asked,
    Code,
    CodeFile,
    Environment,
    Fates,
    Input,
    Output,
    Run,
    RunKind,
    decode_run,
    encode_run,
)
from dsvc.model.source_operation import SourceOperation, SourceVerb, decode_operation, encode_operation
from dsvc.model.source_record import (
    Acquisition,
    Coverage,
    Evidence,
    LegalBasis,
    SourceRecord,
    decode_source,
    encode_source,
)
from tests.record_mutations import damaged, records, refused

_AT = "2026-01-01T00:00:00.000Z"
_RUN = encode_run(
    Run(
        name="step",
        kind=RunKind.FILTER,
        inputs=(Input(path=b"a.csv", digest=b"a" * 32, records=3, key=("id",), fates=Fates(kept=3)),),
        outputs=(Output(path=b"b", digest=b"b" * 32, folder=True, records=2),),
        code=Code(commit="0" * 40, files=(CodeFile(b"step.py", b"c" * 32),)),
        environment=Environment(packages={"numpy": "2"}),
        agent=Agent("Ann", "ann@example.org"),
        started_at=_AT,
        ended_at=_AT,
        asked=Asked(inputs=(b"a.csv",), keys=((None, ("id",)),)),
        parameters={"least": "3"},
        drops={"short": 1},
    )
)
_SOURCE = encode_source(
    SourceRecord(
        source_id="web",
        title="标题",
        acquisition=Acquisition.CRAWL,
        legal_basis=LegalBasis.LICENCE,
        license_expression="CC-BY-4.0",
        covers=(Coverage(path=b"a.csv", where="id > 3"),),
        evidence=(Evidence(type="robots", name="robots.txt", digest=b"e" * 32, size=3, facts={"a": [1]}),),
        fields={"domains": ["example.org"]},
    )
)
_OPERATION = encode_operation(SourceOperation(verb=SourceVerb.ADD, time=_AT, changed=("files",)))
_LINKS = encode_links(ordered(np.array([0, 0, 1, 7], np.int64), np.array([3, 4, 0, 9], np.int64)))
_ACCOUNT = encode_account(
    RowAccount(
        Fates(kept=2, changed=1, dropped=2),
        np.array([1], np.int64),
        np.array([0, 4], np.int64),
        ("short", "twice"),
        np.array([0, 1], np.int64),
        np.array([-1, 2], np.int64),
    )
)
_ROWS = encode_rows(np.array([0, 1, 5, 900], np.int64))


def _read_run(data: bytes) -> None:
    run = decode_run(data)
    assert run.rows.keys() >= {"kept", "added"}
    assert encode_run(decode_run(encode_run(run))) == encode_run(run)


def _read_links(data: bytes) -> None:
    file = LinkFile(data)
    links = file.all()
    assert len(links.outputs) == file.count
    rows = np.arange(12)
    assert file.parents(rows).size <= file.count >= file.children(rows).size


@settings(max_examples=300, deadline=None)
@given(records(_RUN) | damaged(_RUN) | st.binary(max_size=200))
def test_runs(data: bytes) -> None:
    refused(lambda: _read_run(data))


@settings(max_examples=300, deadline=None)
@given(records(_SOURCE) | damaged(_SOURCE) | st.binary(max_size=200))
def test_sources(data: bytes) -> None:
    refused(lambda: encode_source(decode_source(data)))


@settings(max_examples=100, deadline=None)
@given(records(_OPERATION) | damaged(_OPERATION) | st.binary(max_size=200))
def test_operations(data: bytes) -> None:
    refused(lambda: encode_operation(decode_operation(data)))


def _resealed_links(data: bytes) -> bytes:
    """Links whose checksums are right again, as whoever forges them writes them."""
    if len(data) < 72:
        return data
    directory = bytearray(data[24:72])
    directory[40:48] = xxhash.xxh3_64_intdigest(data[72:]).to_bytes(8, "little")
    directory[4:8] = len(data[72:]).to_bytes(4, "little")
    return data[:8] + xxhash.xxh3_64_digest(bytes(directory)) + data[16:24] + bytes(directory) + data[72:]


def _resealed_account(data: bytes) -> bytes:
    return data[:16] + xxhash.xxh3_64_digest(data[24:]) + data[24:]


@settings(max_examples=300, deadline=None)
@given(damaged(_LINKS) | damaged(_LINKS).map(_resealed_links) | st.binary(max_size=200))
def test_row_maps(data: bytes) -> None:
    refused(lambda: _read_links(data))


@settings(max_examples=300, deadline=None)
@given(damaged(_ACCOUNT) | damaged(_ACCOUNT).map(_resealed_account) | st.binary(max_size=200))
def test_accounts(data: bytes) -> None:
    refused(lambda: encode_account(decode_account(data)))


@settings(max_examples=200, deadline=None)
@given(damaged(_ROWS) | st.binary(max_size=100).map(lambda data: b"rows1\0" + data))
def test_sets_of_rows(data: bytes) -> None:
    refused(lambda: encode_rows(decode_rows(data)))
