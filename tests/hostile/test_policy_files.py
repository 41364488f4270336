"""Policies that can't be read, or ask little, and clocks that are wrong: by none of them anything passes."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from dsvc.cli.main import run as dsvc
from dsvc.lineage.validation import Outcome
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.store.block import ItemType
from tests.lineagekit import numbered
from tests.policyworlds import (
    DEFAULT,
    image,
    objects,
    passed,
    policy,
    put_packs,
    refused,
    verdict,
)
from tests.porcelain.working import Work

Item = bytes | tuple[str, bytes]


# The clock, policies that ask little


@pytest.mark.parametrize("seconds", [0, 4_102_444_800])
@pytest.mark.parametrize("name", ["withdrawn", "harmful", "china"])
def test_h24_no_clock_lets_anything_pass(
    fast_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    seconds: int,
) -> None:
    root, real = str(fast_path / "case"), time.gmtime
    image(name, True).lay_out(root)
    monkeypatch.setattr("dsvc.porcelain.state.moment.time.gmtime", lambda *_: real(seconds))
    refused(root, waits=True)


def test_h24_by_a_clock_of_long_ago_nothing_passes(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, real = str(fast_path / "case"), time.gmtime
    image("good", False).lay_out(root)
    assert passed(verdict(root))
    monkeypatch.setattr("dsvc.porcelain.state.moment.time.gmtime", lambda *_: real(0))
    found = verdict(root)
    assert isinstance(found, CheckResult)
    assert (found.outcome, found.gate_exit_code) == (Outcome.INCOMPLETE, 21)


PACK = """id = "own"
version = "1"
date = "2026-01-01"
title = {{ en = "Own", zh = "Own" }}
"""
RULE = """
[rules.{}]
severity = "{}"
stage = "commit"
clause = "x"
"""


@pytest.mark.parametrize(
    "effect", ["", 'effective_from = "2999-01-01"\n', 'effective_until = "2020-01-01"\n']
)
def test_a_pack_that_blocks_nothing_passes_nothing_unread(fast_path: Path, effect: str) -> None:
    rules = ("SRC-01", "LIN-01", "LIN-02", "LIN-03", "LIN-04", "LIN-05", "ANN-04", "QTY-01")
    lab = policy(fast_path / "case")
    severity = "blocking" if effect else "warning"
    pack = PACK.format() + "".join(RULE.format(each, severity) + effect for each in rules)
    lab.put({b"own.toml": pack.encode(), b"dsvc.toml": b'[policy]\npacks = ["own.toml"]\n'})
    lab.repo.commit("weak", no_verify=True)
    lab.put({b"a.csv": numbered(2)})
    lab.repo.commit("more", no_verify=True)
    root = lab.repo.root
    first = verdict(root)
    assert passed(first) == (not effect)
    lab.repo.backend.forget()
    lineage = [each for each in objects(root) if b"dsvc.toml" in each.data and each.type == ItemType.NODE]
    for item in lineage:
        put_packs(root, [each for each in objects(root) if each is not item and each.id != item.id])
    found = verdict(root)
    assert not passed(found)


# Policies that can't be read


@pytest.mark.parametrize(
    "rules",
    [
        DEFAULT.decode().encode("utf-16"),
        DEFAULT + b"\0",
        DEFAULT + b"\xff",
        DEFAULT.replace(b"[policy]", b"[Policy]"),
        DEFAULT.replace(b"[policy]", b"[polcy]"),
        DEFAULT.replace(b'"default"', b'"defualt"'),
        DEFAULT.replace(b'"default"', b'""'),
        DEFAULT.replace(b'["default"]', b'"default"'),
        DEFAULT.replace(b'"default"', b'"../own.toml"'),
        DEFAULT.replace(b'"default"', b'"/own.toml"'),
        DEFAULT.replace(b'"default"', b'".dsvc/own.toml"'),
        DEFAULT.replace(b'"default"', b'"a//own.toml"'),
        DEFAULT.replace(b'"default"', b'"link.toml"'),
        DEFAULT.replace(b'"default"', b'"linked/own.toml"'),
        DEFAULT.replace(b'"default"', b'"folder.toml"'),
        DEFAULT.replace(b'"default"', b'"dsvc.toml"'),
        DEFAULT.replace(b'"default"', b'"\\u001b[2J\\u0007\\u0000.toml"'),
        DEFAULT.replace(b'"default"', b'"' + b"x" * 5000 + b'.toml"'),
        DEFAULT.replace(b'"default"', b'"default",' * 500),
        DEFAULT + b"[policy.parameters.SRC-04]\nmax_rate = 0.01\n",
        DEFAULT + b"[policy.parameters.SRC-99]\nx = 1\n",
        DEFAULT.replace(b"shared", b"shraed"),
        DEFAULT + b'profile = "\\u001b[31m"\n',
        b"a." * 100_000 + b"a = 1\n" + DEFAULT,
        b"x = " + b"9" * 5000 + b"\n" + DEFAULT,
        ("link", b"../outside.toml"),
    ],
)
def test_a_policy_that_cannot_be_read_lets_nothing_pass(
    fast_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rules: Item
) -> None:
    monkeypatch.chdir(fast_path)
    (fast_path / "outside.toml").write_bytes(DEFAULT)
    (fast_path / "own.toml").write_text(PACK.format() + RULE.format("SRC-04", "warning"))
    work = Work(fast_path / "case")
    outside = {b"link.toml": ("link", b"../own.toml"), b"linked": ("link", b"..")}
    work.write({**outside, b"folder.toml/own.toml": b"", b"dsvc.toml": rules})
    work.repo.add(all=True)
    work.repo.backend.forget()
    root = str(work.folder)
    for words in (
        ["commit", "-m", "in"],
        ["check", "--gate", "--staged"],
        ["check", "--gate", "--staged", "--json"],
    ):
        code = dsvc(["-C", root, *words])
        said = capsys.readouterr()
        assert code in (2, 20, 21, 22), (words, said.err)
        assert "Traceback" not in said.err
        assert not {"\x1b", "\x07", "\0"} & set(said.out + said.err)
    assert work.reopen().history.refs.head().commit is None


def test_a_pack_that_is_none_is_named_before_anything_is_made(
    fast_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fast_path)
    (fast_path / "own.toml").write_text(PACK.format() + RULE.format("SRC-04", "warning"))
    for number, name in enumerate(
        (
            "defualt",
            "cn-genia",
            "",
            "own",
            "../own.toml",
            "/own.toml",
            ".dsvc/x.toml",
            "no.toml",
            "\x1b[2J",
            "a\0.toml",
        )
    ):
        folder = fast_path / f"new{number}"
        assert dsvc(["init", str(folder), "--policy", "default", name]) == 2
        said = capsys.readouterr()
        assert ("did you mean" in said.err) == (name in ("defualt", "cn-genia"))
        assert not {"\x1b", "\0"} & set(said.err)
        assert not folder.exists()
    folder = fast_path / "there"
    folder.mkdir()
    for rules in (b"[policy]\npacks = ['open-licences']\n", b"\xff", b"[", b"['POLICY']\n"):
        (folder / "dsvc.toml").write_bytes(rules)
        assert dsvc(["init", str(folder), "--policy", "default"]) == 2
        assert os.listdir(folder) == ["dsvc.toml"]
    shutil.copy(fast_path / "own.toml", folder / "own.toml")
    (folder / "dsvc.toml").write_bytes(b"\xef\xbb\xbf[lineage]")
    assert dsvc(["init", str(folder), "--policy", "default", "own.toml"]) == 0
    work = Work(folder)
    work.commit("in")
    assert work.repo.check().policy == ("default", "own")
