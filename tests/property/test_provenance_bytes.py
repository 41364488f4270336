"""Bytes of runs, sources, row maps and accounts, forged: decoded right, or refused with a typed error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.row_account import RowAccount, decode_account, encode_account
from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.model.errors import MalformedInputError
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

_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "\0", "../x", "active", "filter", "9" * 200])
    | st.binary(max_size=40)
    | st.sampled_from([b"", b"../x", b"/etc", b".dsvc/config", b"x" * 32]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += _places(inner, (*at, key))
    return found


def _with(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = _with(value[at[0]], at[1:], new)
    return copy


@st.composite
def records(draw: st.DrawFn, whole: bytes) -> bytes:
    """A record in which some values were put in the place of others."""
    plain = msgspec.msgpack.decode(whole)
    for _ in range(draw(st.integers(1, 3))):
        plain = _with(plain, draw(st.sampled_from(_places(plain))), draw(_PLAIN))
    return msgspec.msgpack.encode(plain)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes of which some are others, some went, or some came."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at, kind = draw(st.integers(0, len(data))), draw(st.integers(0, 3))
        if kind == 0:
            data[at:] = b""
        elif kind == 1:
            data[at:at] = draw(st.binary(max_size=9))
        else:
            data[at : at + 8] = draw(st.binary(min_size=8, max_size=8))
    return bytes(data)


def _refused(work: Callable[[], object]) -> None:
    with contextlib.suppress(MalformedInputError):
        work()


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
    _refused(lambda: _read_run(data))


@settings(max_examples=300, deadline=None)
@given(records(_SOURCE) | damaged(_SOURCE) | st.binary(max_size=200))
def test_sources(data: bytes) -> None:
    _refused(lambda: encode_source(decode_source(data)))


@settings(max_examples=100, deadline=None)
@given(records(_OPERATION) | damaged(_OPERATION) | st.binary(max_size=200))
def test_operations(data: bytes) -> None:
    _refused(lambda: encode_operation(decode_operation(data)))


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
    _refused(lambda: _read_links(data))


@settings(max_examples=300, deadline=None)
@given(damaged(_ACCOUNT) | damaged(_ACCOUNT).map(_resealed_account) | st.binary(max_size=200))
def test_accounts(data: bytes) -> None:
    _refused(lambda: encode_account(decode_account(data)))


@settings(max_examples=200, deadline=None)
@given(damaged(_ROWS) | st.binary(max_size=100).map(lambda data: b"rows1\0" + data))
def test_sets_of_rows(data: bytes) -> None:
    _refused(lambda: encode_rows(decode_rows(data)))
