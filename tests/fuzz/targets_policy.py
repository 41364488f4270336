"""Policy: packs, settings, rosters, examples, lists of words, waivers; and what else ``dsvc.toml`` says."""

from __future__ import annotations

import base64
from pathlib import Path

from dsvc.lineage.lineage_rules import LineageRules
from dsvc.model.waiver import (
    Revocation,
    Waiver,
    decode_revocation,
    decode_waiver,
    encode_revocation,
    encode_waiver,
    waiver_id,
)
from dsvc.policy import pack as packs
from dsvc.policy.detectors.word_list import WordList
from dsvc.policy.example_text import parse_examples
from dsvc.policy.licence_settings import declared_licences
from dsvc.policy.pack import parse_pack
from dsvc.policy.roster import read_roster
from dsvc.policy.settings import parse_settings
from dsvc.policy.waivers import read_waiver
from dsvc.table.roles import TableRules
from tests.fuzz.registry import Form, target
from tests.fuzz.targets_history import FRAME, KEY

_OWN = """id = "own"
version = "1"
date = "2026-01-01"
title = {en = "own", zh = "自己"}
[rules.LIN-01]
clause = "x"
severity = "blocking"
stage = "push"
[rules.QUA-01]
clause = "y"
severity = "warning"
stage = "release"
effective_from = "2026-02-01"
[profiles.medical.QUA-01]
"""


def _packs() -> list[bytes]:
    return [(packs.PACKS / "default.toml").read_bytes()[:3000], _OWN.encode()]


@target("policy-pack", lambda: [_pack_seed()])
def policy_pack(data: bytes) -> None:
    found = parse_pack(data, "own.toml")
    assert found.rules
    assert found.id


def _pack_seed() -> bytes:
    """The beginning of a pack that comes with dsvc, as far as it is whole."""
    text = (packs.PACKS / "default.toml").read_text("utf-8")
    return "\n\n".join(text.split("\n\n")[:7]).encode()


_SETTINGS = """[policy]
packs = ["default", "政策/own.toml"]
purpose = "commercial"
shared = true
region = "CN"
[policy.parameters.QUA-01]
share = 0.5
[policy.licences."LicenseRef-acme"]
commercial = "no"
derivatives = "yes"
purposes = ["research"]
territory = ["CN"]
"""


@target("policy-settings", [_SETTINGS.encode()])
def policy_settings(data: bytes) -> None:
    found = parse_settings(data, "dsvc.toml")
    declared_licences(found.licences)


@target("roster", [f'[roles]\ncompliance_officer = ["{KEY} 安 <ann@example.org>"]\n'.encode()])
def roster(data: bytes) -> None:
    found = read_roster(data, "dsvc.toml")
    if found is not None:
        for _, member in found:
            assert found.roles_of(member.key)
            assert member.name


_RULES = """[tables."*.csv"]
key = ["id"]
label = "label"
[tables."data/**/图*.jsonl"]
key = "id"
[lineage]
project = ["*.md", "docs/**"]
"""


@target("table-rules", [_RULES.encode()])
def table_rules(data: bytes) -> None:
    found = TableRules.parse(data, "dsvc.toml")
    for path in (b"a.csv", b"data/x/\xe5\x9b\xbe1.jsonl", b"\xff"):
        found.for_path(path)


@target("lineage-rules", [_RULES.encode()])
def lineage_rules(data: bytes) -> None:
    found = LineageRules.parse(data, "dsvc.toml")
    for path in (b"a.md", b"docs/x", b"\xff"):
        found.is_project(path)


def _examples() -> list[bytes]:
    folder = Path(packs.__file__).parent / "examples"
    return [
        (folder / f"{name}.toml").read_bytes()
        for name in ("ANN-01", "LIN-01")
        if (folder / f"{name}.toml").is_file()
    ]


@target("examples", _examples, runs=3000)
def examples(data: bytes) -> None:
    assert parse_examples(data, "LIN-01", "own.toml")


_WORDS = "# version: 1\n# updated: 2026-01-01\n# source: 自编\n[暴力]\n打人\nkill\n"
_LINES = '{"version": "1", "updated": "2026-01-01"}\n{"word": "打人", "risk": "暴力"}\n'
_TOML = 'version = "1"\nupdated = "2026-01-01"\n[risks]\n"暴力" = ["打人"]\n'


@target("word-list", [each.encode() for each in (_WORDS, _LINES, _TOML)])
def word_list(data: bytes) -> None:
    found = WordList.load(data)
    assert found.words
    assert found.digest
    assert found.counts


WAIVER = Waiver(
    rule="QUA-01",
    subject="数据/a.csv".encode(),
    digest="d" * 64,
    reason="小样本",
    until="2027-01-01",
    made_at="2026-11-22T08:00:00Z",
    by="Ann <ann@example.org>",
    key=KEY.fingerprint,
)
_STATEMENT = encode_waiver(WAIVER)


@target("waiver", [_STATEMENT], form=Form.JSON)
def waiver(data: bytes) -> None:
    assert encode_waiver(decode_waiver(data)) == data


_SIGNED = len(_STATEMENT).to_bytes(4, "big") + _STATEMENT + FRAME


@target("signed-waiver", [_SIGNED], runs=3000)
def signed_waiver(data: bytes) -> None:
    """Statement and signature; what is wrong with them is part of the answer, and none of these holds."""
    size = int.from_bytes(data[:4], "big")
    statement, signature = data[4 : 4 + size], data[4 + size :]
    found = read_waiver(waiver_id(statement), statement, signature)
    assert found.problem is not None
    assert base64.b64encode(statement) is not None


_REVOKED = Revocation(by="Ann", made_at="2026-11-22T08:00:00Z", reason="弃用")


@target("revocation", [encode_revocation(_REVOKED)], form=Form.JSON)
def revocation(data: bytes) -> None:
    found = decode_revocation(data)
    assert decode_revocation(encode_revocation(found)) == found
