"""Each rule has texts in both languages and three examples that come out as they should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsvc.lineage.validation import Outcome
from dsvc.policy.example_check import check_packs, check_rule, load_examples
from dsvc.policy.example_text import EXPECTED, ExampleError, parse_examples, world_of
from dsvc.policy.example_world import build_case
from dsvc.policy.pack import INVARIANTS, built_in, load_built_in, parse_pack
from dsvc.policy.rule_catalogue import all_rules
from dsvc.policy.rule_texts import LANGUAGES, spoken, text_of

PACK = b"""
id = "mine"
version = "1"
date = "2026-11-22"
title = { en = "Mine", zh = "\xe6\x88\x91\xe7\x9a\x84" }
[rules.SRC-04]
severity = "blocking"
stage = "commit"
clause = "ours"
"""


def test_every_rule_has_texts_in_both_languages() -> None:
    for rule in all_rules():
        text = text_of(rule.id)
        for part in (text.title, text.asks, text.remedy):
            assert set(part) == set(LANGUAGES), rule.id
            assert all(each.strip() for each in part.values()), rule.id
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text.asks["zh"]), rule.id


def test_a_language_that_is_not_there_reads_english() -> None:
    title = text_of("SRC-01").title
    assert spoken(title, "fr") == title["en"]
    assert spoken(title, "zh_CN") == title["zh"]
    assert text_of("XYZ-01").title == {}


def test_every_rule_has_three_examples_with_a_word_on_each() -> None:
    for rule in all_rules():
        worlds = load_examples(rule.id).worlds
        assert set(worlds) == set(EXPECTED)
        assert all(set(world.about) == set(LANGUAGES) for world in worlds.values()), rule.id


@pytest.mark.parametrize("rule", [rule.id for rule in all_rules()])
def test_every_rule_says_in_every_pack_what_its_examples_expect(rule: str) -> None:
    packs = [load_built_in(name) for name in (*built_in(), INVARIANTS)]
    uses = [use for pack in packs for use in pack.uses(None) if use.rule.id == rule]
    assert {use.pack for use in uses} == {pack.name for pack in packs if rule in pack.rules}
    assert uses
    results = [each for use in uses for each in check_rule(use)]
    assert [each for each in results if not each.ok] == []
    assert [each.example for each in results] == [*EXPECTED] * len(uses)


def test_a_pack_of_ones_own_is_asked_under_its_own_terms() -> None:
    assert all(each.ok for each in check_packs([parse_pack(PACK, "mine.toml")]))
    stricter = PACK + b"parameters = { max_rate = 0.0 }\n"
    wrong = [each for each in check_packs([parse_pack(stricter, "mine.toml")]) if not each.ok]
    assert [(each.example, each.outcome) for each in wrong] == [("pass", Outcome.FAIL)]


def test_examples_of_ones_own_come_before_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "SRC-04.toml").write_text("[pass]\n[fail]\n[missing]\n", encoding="utf-8")
    results = check_packs([parse_pack(PACK, "mine.toml")], tmp_path)
    assert [each.outcome for each in results] == [Outcome.PASS] * 3
    assert [each.ok for each in results] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[pass]\n[fail]\n", "has no [missing]"),
        ("[pass]\n[fail]\n[missing]\n[other]\n", "there is no 'other'"),
        ("[pass\n", "not valid TOML"),
        ("pass = 1\n[fail]\n[missing]\n", "no table"),
        ("[pass]\nday = 3\n[fail]\n[missing]\n", "Expected `str`"),
        ("[pass]\nfile = [{ content = 'a' }]\n[fail]\n[missing]\n", "path"),
        ("[pass]\ncolour = 'red'\n[fail]\n[missing]\n", "unknown field"),
    ],
)
def test_malformed_examples_are_named(text: str, problem: str) -> None:
    with pytest.raises(ExampleError, match=r"SRC-01\.toml") as caught:
        parse_examples(text.encode(), "SRC-01", "SRC-01.toml")
    assert problem in caught.value.message


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that nobody can read: /proc")
def test_examples_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "SRC-04.toml").symlink_to("/proc/self/mem")
    with pytest.raises(ExampleError, match=r"SRC-04\.toml can't be read"):
        load_examples("SRC-04", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        {"source": [{"id": "web", "colour": "red"}]},
        {"source": [{"id": "web", "paths": ["no-such.csv"]}]},
        {"run": [{"name": "a", "inputs": ["no-such.csv"]}]},
        {"file": [{"path": "a.csv"}]},
        {"settings": {"colour": "red"}},
        {"source": [{"id": "web", "evidence": [{"type": "other", "bytes": "eaten"}]}]},
    ],
)
def test_a_world_that_cannot_be_is_named(text: dict[str, object]) -> None:
    with pytest.raises(ExampleError):
        build_case(world_of(text))


def test_a_world_says_only_what_is_different() -> None:
    text = """
    [base]
    file = [{ path = "a.csv", rows = [{ id = 1 }] }, { path = "b.csv", content = "x" }]
    source = [{ id = "源", contains_pi = "none" }]
    [pass]
    file = [{ path = "b.csv", absent = true }]
    source = [{ id = "源", contains_pi = "" }]
    [fail]
    [missing]
    """
    worlds = parse_examples(text.encode(), "X", "X.toml").worlds
    case = build_case(worlds["pass"])
    assert [entry.path for entry in case.entries] == [b"a.csv"]
    assert [record.fields for source in case.sources for _, record in case.stated(source)] == [{}]
    assert {entry.path for entry in build_case(worlds["fail"]).entries} == {b"a.csv", b"b.csv"}


def test_the_examples_of_the_documentation_work(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "policy-packs.md").read_text(encoding="utf-8")
    _settings, pack, example = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    found = parse_pack(pack.encode(), "ours.toml")
    assert found.uses("medical")[0].terms.number("max_rate") == 0.001
    (tmp_path / "SRC-04.toml").write_text(example, encoding="utf-8")
    assert [each.ok for each in check_packs([found], tmp_path)] == [True] * 3
