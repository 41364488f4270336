"""Packs that make no sense are refused by name, and no override loosens anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsvc.lineage.validation import Outcome
from dsvc.model.errors import CorruptDataError
from dsvc.policy import rule_texts
from dsvc.policy.example_check import MAX_EXAMPLE_BYTES, check_rule, load_examples
from dsvc.policy.example_text import ExampleError
from dsvc.policy.pack import Pack, PackError, parse_pack
from dsvc.policy.rule_texts import title_of
from tests.policykit import use_of

HEAD = """
id = "ours"
version = "1"
date = "2026-11-22"
title = { en = "Ours", zh = "我们的" }
"""
RULE = """
[rules.SRC-04]
severity = "blocking"
stage = "commit"
clause = "ours"
"""


def pack(text: str = HEAD + RULE) -> Pack:
    return parse_pack(text.encode(), "ours.toml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD.replace("2026-11-22", "2026-02-30") + RULE, "'2026-02-30' is no date"),
        (HEAD + RULE + 'effective_from = "soon"\n', "'soon' is no date"),
        (HEAD + RULE + 'effective_until = "2026-1-1"\n', "'2026-1-1' is no date"),
        (HEAD.replace('"ours"', '"our s"') + RULE, "id and version name a pack"),
        (HEAD.replace('"1"', '" "') + RULE, "id and version name a pack"),
        (HEAD.replace('"1"', '"1\\n2"') + RULE, "id and version name a pack"),
        (HEAD.replace('"1"', f'"{"1" * 200}"') + RULE, "id and version name a pack"),
        (HEAD + "[rules]\n", "at least one rule"),
        (HEAD + RULE + "parameters = { colour = 1 }\n", "no parameter 'colour'"),
        (HEAD + RULE + 'parameters = { max_rate = "low" }\n', "takes a value like 0.05, not 'low'"),
        (HEAD + RULE + "parameters = { max_rate = true }\n", "takes a value like 0.05, not True"),
        (HEAD + RULE + "parameters = { max_rate = nan }\n", "takes a value like 0.05, not nan"),
        (HEAD + RULE + "parameters = { max_rate = [1, 2] }\n", "takes a value like 0.05"),
        (HEAD + RULE + f"parameters = {{ max_rate = {'9' * 400} }}\n", "one of so many digits"),
        (
            HEAD + RULE.replace("SRC-04", "SRC-03") + 'parameters = { same = "digest" }\n',
            "takes a value like",
        ),
        (HEAD + RULE.replace("SRC-04", "SRC-03") + "parameters = { same = [1] }\n", "takes a value like"),
        (HEAD + RULE + "[profiles.strict.SRC-05]\nmax_rate = 0.01\n", "the pack has no rule SRC-05"),
        (HEAD + RULE + "[profiles.strict.SRC-04]\nmax_rate = 0.06\n", "looser"),
    ],
)
def test_a_pack_that_makes_no_sense_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PackError) as caught:
        pack(text)
    assert problem in caught.value.message


def test_lists_are_taken_as_they_stand() -> None:
    found = pack(
        HEAD + RULE.replace("SRC-04", "SRC-03") + 'parameters = { same = ["supplier", "domains"] }\n'
    )
    assert found.uses(None)[0].terms.texts("same") == ("supplier", "domains")


@pytest.mark.parametrize(
    ("rule", "override", "problem"),
    [
        ("SRC-04", {"colour": 1}, "no parameter 'colour'"),
        ("SRC-04", {"max_rate": "low"}, "takes a number, not 'low'"),
        ("SRC-04", {"max_rate": False}, "takes a number, not False"),
        ("SRC-04", {"max_rate": float("nan")}, "takes a number, not nan"),
        ("SRC-04", {"max_rate": float("-inf")}, "takes a number, not -inf"),
        ("SRC-04", {"max_rate": 0.051}, "looser"),
        ("SRC-03", {"same": ("supplier",)}, "can only be set by a pack"),
        ("LIN-05", {"near_duplicates": True}, "can only be set by a pack"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(
    rule: str, override: dict[str, Any], problem: str
) -> None:
    with pytest.raises(PackError) as caught:
        pack(HEAD + RULE.replace("SRC-04", rule)).uses(None, {rule: override})
    assert problem in caught.value.message


def test_an_override_may_say_the_same_or_be_stricter() -> None:
    for value in (0.05, 0.0):
        (use,) = pack().uses(None, {"SRC-04": {"max_rate": value}})
        assert use.terms.number("max_rate") == value
    (use,) = pack(HEAD + RULE.replace("SRC-04", "QTY-01")).uses(None, {"QTY-01": {"precision": 0.99}})
    assert use.terms.number("precision") == 0.99
    with pytest.raises(PackError, match=r"0\.9; 0\.89 would be looser"):
        pack(HEAD + RULE.replace("SRC-04", "QTY-01")).uses(None, {"QTY-01": {"precision": 0.89}})


# Examples and texts that are not as they were installed


def test_examples_that_are_not_there_are_an_answer(tmp_path: Path) -> None:
    with pytest.raises(ExampleError, match="rule XYZ-01 has no examples"):
        load_examples("XYZ-01", tmp_path)
    (tmp_path / "SRC-04.toml").write_bytes(b"#" * (MAX_EXAMPLE_BYTES + 1))
    with pytest.raises(ExampleError, match="has more than"):
        load_examples("SRC-04", tmp_path)
    assert [(each.ok, each.outcome) for each in check_rule(use_of("SRC-04"), tmp_path)] == [(False, None)] * 3


def test_a_world_that_cannot_be_is_said_of_its_example_alone(tmp_path: Path) -> None:
    text = '[pass]\nfile = [{ path = "a" }]\n[fail]\n[missing]\n'
    (tmp_path / "SRC-04.toml").write_text(text, encoding="utf-8")
    results = check_rule(use_of("SRC-04"), tmp_path)
    assert [each.outcome for each in results] == [None, Outcome.PASS, Outcome.PASS]
    assert results[0].messages == ("a has either content or rows",)
    assert not results[0].ok


def test_a_rule_is_called_by_its_title_in_the_language_of_the_reader() -> None:
    english, chinese = title_of("SRC-01"), title_of("SRC-01", "zh_CN")
    assert english != chinese
    assert title_of("SRC-01", "de_DE") == english
    assert title_of("NO-99") == "NO-99"


def test_installed_texts_that_are_damaged_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_texts, "TEXTS", tmp_path)
    for damaged in ("[SRC-01", '[SRC-01]\ntitle = "one"\n'):
        (tmp_path / "en.toml").write_text(damaged, encoding="utf-8")
        rule_texts._all.cache_clear()
        try:
            with pytest.raises(CorruptDataError, match="texts of rules can't be read"):
                rule_texts.text_of("SRC-01")
        finally:
            rule_texts._all.cache_clear()
