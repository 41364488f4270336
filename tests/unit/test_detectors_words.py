"""Sensitive words: found as a plain search finds them, by the risks of a list that is checked first."""

from __future__ import annotations

import json
import random

import pytest

from dsvc.policy.detectors.word_list import WordList, WordListError, folded
from dsvc.policy.detectors.words import WordFinder, Words
from tests.detector_scans import found, kinds, only_hit, parquet, scan

PLAIN = """# version: 2026.11
# updated: 2026-11-20
# source: a sample about fruit
# a remark
[fruit]
Apple
苹果
红富士苹果

[weather]
thunder storm
苹果
"""
TOML = """version = "2026.11"
updated = "2026-11-20"
source = "a sample about fruit"
[risks]
fruit = ["Apple", "苹果", "红富士苹果"]
weather = ["thunder storm", "苹果"]
"""
JSON_LINES = "\n".join(
    json.dumps(each, ensure_ascii=False)
    for each in (
        {"version": "2026.11", "updated": "2026-11-20", "source": "a sample about fruit"},
        {"word": "Apple", "risk": "fruit"},
        {"word": "苹果", "risk": "fruit"},
        {"word": "苹果", "risk": "weather"},
        {"word": "红富士苹果", "risk": "fruit"},
        {"word": "thunder storm", "risk": "weather"},
    )
)
SAMPLE = WordList.load(PLAIN.encode())
WORDS = Words(SAMPLE)


def test_the_three_ways_to_write_a_list_say_the_same() -> None:
    lists = [
        WordList.load(text.encode(encoding))
        for text in (PLAIN, TOML, JSON_LINES)
        for encoding in ("utf-8", "utf-8-sig")
    ]
    assert len({each.digest for each in lists}) == 1
    assert (SAMPLE.version, SAMPLE.updated, SAMPLE.source) == (
        "2026.11",
        "2026-11-20",
        "a sample about fruit",
    )
    assert SAMPLE.counts == {"fruit": 3, "weather": 2}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[fruit]\nApple\n",
        PLAIN.replace("# updated: 2026-11-20\n", ""),
        PLAIN.replace("2026-11-20", "last week"),
        PLAIN.replace("[fruit]\n", ""),
        "# version: 1\n# updated: 2026-11-20\n[fruit]\n",
        PLAIN + "x" * 300,
        TOML.replace("[risks]", "[risk]"),
        TOML.replace('["Apple"', '[1, "Apple"'),
        JSON_LINES + '\n{"word": "x"}',
        JSON_LINES + "\n{",
        JSON_LINES + '\n{"word": " ", "risk": "fruit"}',
    ],
)
def test_a_malformed_list_is_refused(text: str) -> None:
    with pytest.raises(WordListError):
        WordList.load(text.encode())


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(WordListError):
        WordList.load(b"\xff\xfe\x00")


def test_words_are_counted_by_risk() -> None:
    assert kinds(WORDS, "我有一个苹果。An APPLE in a thunder  storm, a thunder storm.") == {
        "fruit": 2,
        "weather": 2,
    }


def test_ascii_words_stand_alone_and_chinese_ones_need_not() -> None:
    assert kinds(WORDS, "pineapple apples apple2 2apple") == {}
    assert kinds(WORDS, "吃apple吗 (apple) apple-pie") == {"fruit": 3}
    assert kinds(WORDS, "大苹果树") == {"fruit": 1, "weather": 1}


def test_of_words_that_overlap_the_longest_counts() -> None:
    assert kinds(WORDS, "红富士苹果") == {"fruit": 1}


def test_width_and_case_hide_nothing_nor_do_escapes_and_encodings() -> None:
    assert kinds(WORDS, "ＡＰＰＬＥ ａｐｐｌｅ") == {"fruit": 2}
    assert kinds(WORDS, json.dumps({"t": "我的苹果"}), "a.jsonl") == {"fruit": 1, "weather": 1}
    assert kinds(WORDS, json.dumps({"t": "我的苹果"}), "a.txt") == {"fruit": 1, "weather": 1}
    assert kinds(WORDS, "我的苹果很甜，很好吃\n".encode("gb18030")) == {"fruit": 1, "weather": 1}
    hit = only_hit(WORDS, parquet({"t": ["x", "an apple"]}), "a.parquet")
    assert (hit.kind, hit.record, hit.column, hit.shown) == ("fruit", 1, "t", "a****")


def test_a_long_line_counts_each_word_once() -> None:
    text = "甜苹果" * 30_000
    assert kinds(WORDS, text) == {"fruit": 30_000, "weather": 30_000}


def test_hits_are_those_of_a_search_word_by_word() -> None:
    rng = random.Random(9)
    words = {"".join(rng.choices("ab中文", k=rng.randint(1, 4))): ("risk",) for _ in range(12)}
    lines = ["".join(rng.choices("ab中文 ", k=30)) for _ in range(200)]
    expected = []
    for number, line in enumerate(lines):
        spans = sorted(
            (start, -len(word), word)
            for word in words
            for start in range(len(line))
            if line.startswith(word, start) and _alone(line, start, start + len(word))
        )
        end = 0
        for start, _, word in spans:
            if start >= end:
                expected.append((number, start, "risk", word))
                end = start + len(word)
    assert found(WordFinder(WordList("1", "2026-11-20", "", words)), lines) == expected


def _alone(line: str, start: int, end: int) -> bool:
    def both(left: str, right: str) -> bool:
        return left in "ab" and right in "ab"

    return not (start and both(line[start - 1], line[start])) and not (
        end < len(line) and both(line[end - 1], line[end])
    )


def test_the_list_is_part_of_the_configuration() -> None:
    other = WordList.load(PLAIN.replace("Apple", "Pear").encode())
    assert Words(other).config()["list"] != WORDS.config()["list"]
    assert scan(Words(other), "x").config != scan(WORDS, "x").config
    assert folded("Ａｂｃ") == "abc"
