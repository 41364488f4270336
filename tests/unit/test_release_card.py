"""The card of a release: what the hub reads of it, what parsers make of it, and that all is in it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
import yaml
from huggingface_hub import DatasetCard, DatasetCardData
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dsvc.release.card import MOST_FILES, SECTIONS, dataset_card
from dsvc.release.card_texts import LANGUAGES, Language, card_words
from dsvc.release.facts import ReleaseFacts
from dsvc.release.front_matter import front_matter, write_yaml
from dsvc.release.markdown import clean, escape
from tests.releasekit import HOSTILE, empty_facts, full_facts, hostile_facts, many_files, released_file

_GFM = MarkdownIt("gfm-like", {"linkify": False})
_PLAIN = MarkdownIt("commonmark")
_STRUCTURE = {"heading_open", "table_open", "bullet_list_open", "ordered_list_open", "blockquote_open"}
_STRUCTURE |= {"html_block", "fence", "code_block", "hr"}

Tables = dict[str, list[list[list[str]]]]


def _parts(card: bytes) -> tuple[dict[str, object], str]:
    parsed = DatasetCard(card.decode("utf-8"))
    return parsed.data.to_dict(), parsed.text


def _tables(body: str) -> Tables:
    """Cells of every table by section, as a reader sees them."""
    found: Tables = {}
    section = ""
    tokens = _GFM.parse(body)
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            section = tokens[place + 1].content
            found[section] = []
        elif token.type == "table_open":
            found[section].append([])
        elif token.type == "tr_open":
            found[section][-1].append([])
        elif token.type in ("td_open", "th_open"):
            inline = tokens[place + 1]
            found[section][-1][-1].append("".join(each.content for each in inline.children or []))
    return {name: [table[1:] for table in tables] for name, tables in found.items()}


def _structure(body: str) -> list[str]:
    return [token.type for token in _GFM.parse(body) if token.type in _STRUCTURE]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("facts", [empty_facts(), full_facts(), empty_facts(files=many_files(2000))])
def test_the_hub_reads_the_front_matter_as_it_was_meant(facts: ReleaseFacts, language: Language) -> None:
    card = dataset_card(facts, language)
    data, body = _parts(card)
    assert data == front_matter(facts)
    assert DatasetCardData(**data).to_dict() == data
    assert dataset_card(facts, language) == card
    words = card_words(language)
    tokens = _PLAIN.parse(body)
    headings = [
        tokens[place + 1].content
        for place, each in enumerate(tokens)
        if each.tag == "h2" and each.nesting == 1
    ]
    assert headings == [words[key] for key in SECTIONS]


def test_the_two_languages_have_the_same_words() -> None:
    english, chinese = card_words("en"), card_words("zh")
    assert english.keys() == chinese.keys()
    assert all(text.strip() for text in (*english.values(), *chinese.values()))


def test_every_file_source_run_drop_defect_and_waiver_stands_there_once() -> None:
    facts = full_facts()
    words = card_words("en")
    tables = _tables(_parts(dataset_card(facts))[1])

    def column(section: str, table: int = 0, place: int = 0) -> Counter[str]:
        return Counter(row[place] for row in tables[words[section]][table])

    assert column("contents") == Counter(each.path.decode("utf-8", "replace") for each in facts.files)
    assert column("contents", place=5) == Counter(each.blake3 for each in facts.files)
    assert column("sources") == Counter(each.id for each in facts.lineage.sources)
    assert column("making") == Counter(each.id for each in facts.lineage.runs)
    counts = {row[1]: row[4:6] for row in tables[words["making"]][0]}
    assert counts == {"清洗": ["9", "3"], "label": ["–", "–"]}
    drops = {(row[0], row[2]): int(row[3]) for row in tables[words["drops"]][0]}
    assert drops == {(each.run, each.reason): each.rows for each in facts.drops.lines}
    assert column("defects") == Counter(each.id for each in facts.defects)
    assert column("verdict", 0) == Counter(each.rule for each in facts.verdict.violations)
    assert column("verdict", 1) == Counter(each.id for each in facts.verdict.waivers)
    metrics = [row for row in tables[words["quality"]][0] if row[4] != "–"]
    assert [(row[4], row[5], row[6]) for row in metrics] == [
        ("accuracy", "0.81", "500"),
        ("loss / nli", "0.5", "–"),
    ]
    assert column("quality") == Counter({"feedback0001": 2, "feedback0002": 1})
    for table in (0, 1):
        assert sum(int(row[1]) for row in tables[words["mixture"]][table]) == facts.mixture.rows
        assert sum(int(row[2]) for row in tables[words["mixture"]][table]) == facts.mixture.bytes
    assert column("changes") == Counter(["train.csv", "图片/猫.png"])
    assert tables[words["changes"]][1][0][2:] == ["0.7", "0.81", "0.05 … 0.17"]


def test_the_interval_of_a_share_is_that_of_wilson() -> None:
    words = card_words("en")
    row = _tables(_parts(dataset_card(full_facts()))[1])[words["quality"]][0][0]
    low, high = (float(each) for each in row[7].split(" … "))
    # By definition: the ends are where the score test of the observed share is just at 1.96.
    for end in (low, high):
        assert abs(0.81 - end) / (end * (1 - end) / 500) ** 0.5 == pytest.approx(1.96, abs=1e-3)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_of_others_never_become_structure(text: str, language: Language) -> None:
    tame = hostile_facts("tame" if "\n" not in text.strip() else "tame\ntame")
    card = dataset_card(hostile_facts(text), language)
    data, body = _parts(card)
    assert data["pretty_name"] == text
    assert data["license"] == ["cc-by-nc-4.0", "mit"]
    assert _structure(body) == _structure(_parts(dataset_card(tame, language))[1])
    for parser in (_GFM, _PLAIN):
        inner = {
            child.type
            for token in parser.parse(body)
            for child in token.children or []
            if not child.content or child.type not in ("text", "code_inline")
        }
        assert inner <= {"strong_open", "strong_close", "softbreak", "text", "text_special", "code_inline"}
    assert "\u202e" not in body
    assert "\x00" not in body
    assert "://" not in body.replace("b3sum", "")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.text("`*_[]<>|\\#~&!-+=.0 1)\n\t$@:/w", max_size=25))
def test_a_text_is_shown_as_it_is(text: str) -> None:
    for written in (escape(text), f"| {escape(text)} |\n| --- |"):
        tokens = _GFM.parse(written)
        inline = next((token for token in tokens if token.type == "inline"), None)
        shown = "" if inline is None else "".join(child.content for child in inline.children or [])
        assert shown.strip() == clean(text)
        assert {token.type for token in tokens} <= {
            "paragraph_open", "paragraph_close", "inline", "table_open", "thead_open", "tr_open", "th_open",
            "th_close", "tr_close", "thead_close", "table_close",
        }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30), st.lists(st.text(max_size=10), min_size=1, max_size=3))
def test_yaml_gives_any_text_back(text: str, several: list[str]) -> None:
    document = write_yaml({"pretty_name": text, "tags": several})
    assert document.count("\n") == 4 + len(several)
    assert yaml.safe_load(document.removesuffix("---\n")) == {"pretty_name": text, "tags": several}


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("ODbL-1.0 AND MIT", {"license": ["odbl", "mit"]}),
        ("MIT OR Apache-2.0", {"license": "other", "license_name": "MIT OR Apache-2.0"}),
        ("LicenseRef-contract-7", {"license": "other", "license_name": "LicenseRef-contract-7"}),
        ("undetermined", {"license": "unknown"}),
    ],
)
def test_licences_are_named_as_the_hub_does(licence: str, expected: dict[str, object]) -> None:
    found = front_matter(empty_facts(licence=licence))
    assert {key: each for key, each in found.items() if key.startswith("license")} == expected


def test_of_very_many_files_folders_are_listed() -> None:
    files = tuple(
        msgspec.structs.replace(released_file("x", b"12"), path=f"d{place % 7}/{place}".encode())
        for place in range(MOST_FILES + 1)
    )
    words = card_words("en")
    rows = _tables(_parts(dataset_card(empty_facts(files=files)))[1])[words["contents"]][0]
    assert [row[0] for row in rows] == [f"d{place}" for place in range(7)]
    assert sum(int(row[1]) for row in rows) == len(files)
    assert sum(int(row[2]) for row in rows) == 2 * len(files)


def test_the_words_come_with_the_package() -> None:
    import configparser

    settings_ = configparser.ConfigParser()
    settings_.read(Path(__file__).parents[2] / "setup.cfg")
    assert "release/**/*.toml" in settings_["options.package_data"]["dsvc"].split()
