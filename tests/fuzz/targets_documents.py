"""What people write of provenance: records of sources, licences, evidence, opt-outs, what a run declares."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from dsvc.lineage.declared_maps import DROPS, ROW_MAP, read_run_folder
from dsvc.lineage.evidence import check_type, infer_type, parse_option
from dsvc.lineage.grades import parse_grade
from dsvc.lineage.license_text import check_license, licence_tree, licenses_of
from dsvc.lineage.optout import read_facts, sites_of, training_preference
from dsvc.lineage.provenance_standard import parse_dps, render_dps
from dsvc.lineage.rights import parse_rights
from dsvc.lineage.source_document import SourceDocument, parse_toml, render_toml
from dsvc.lineage.source_values import changed_record, new_record, read_changes
from dsvc.model.errors import DsvcError
from dsvc.model.source_record import SourceRecord
from tests.fuzz.registry import Form, target
from tests.fuzz.targets_lineage import a_source
from tests.fuzz.targets_state import folder

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
    record: SourceRecord = changed_record(a_source(), changes)
    again = read_changes(parse_toml(render_toml(record).encode(), "again.toml", "/nowhere").values)
    assert changed_record(record, again) == record
    with contextlib.suppress(DsvcError):
        new_record("web", changes)


def _dps() -> Sequence[bytes]:
    record = a_source()
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
