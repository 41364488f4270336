"""What detectors find at borders of blocks, lines and records, and what is told of its place."""

from __future__ import annotations

import json

import pytest

from dsvc.model.detection import DetectionStatus
from dsvc.policy.detectors.detector import ScannedFile
from dsvc.policy.detectors.language import Language
from dsvc.policy.detectors.pii import Pii
from dsvc.policy.detectors.secrets import Secrets
from dsvc.policy.detectors.text_blocks import AFTER_BYTES, BLOCK_BYTES, PIECE_BYTES
from dsvc.policy.detectors.text_stream import CHUNK_BYTES
from dsvc.table.origin.memory_source import MemorySource
from dsvc.table.text.records import SMALL_BYTES
from tests.detector_scans import kinds, parquet, scan

PII = Pii()
MOBILE = "13800138000"
BORDER = 2 * BLOCK_BYTES - AFTER_BYTES
"""Where a line is cut that ends in none of the first two blocks."""


@pytest.mark.parametrize("sign", ["\\", "中"])
@pytest.mark.parametrize("shift", [-12, -5, 0, 20])
def test_a_line_of_one_sign_over_a_border_hides_nothing(sign: str, shift: int) -> None:
    """Where no place is quiet, the line is cut all the same, and what stands on the cut is found once."""
    front = sign * ((BORDER + shift) // len(sign.encode()))
    line = f"{front}   {MOBILE} {sign * AFTER_BYTES}"
    assert kinds(PII, f"{line}\n") == {"cn_mobile": 1}
    assert kinds(PII, f'{{"t": "{line}"}}\n', "a.json") == {"cn_mobile": 1}


def test_what_is_quoted_twice_in_a_long_line_is_found_once() -> None:
    secret = '""aws_secret_access_key"": ""wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzz123""'
    once = {"aws_access_key": 1, "secret_keyword": 1}
    for start in (100, PIECE_BYTES - 30, PIECE_BYTES, 2 * PIECE_BYTES - 5):
        line = f"{'x ' * (start // 2)}{secret}{' y' * PIECE_BYTES}\n"
        assert kinds(Secrets(), line) == once, start


def test_a_backslash_that_escapes_nothing_changes_nothing() -> None:
    assert kinds(PII, f"C:\\Zahlen {MOBILE}\nmore\n") == {"cn_mobile": 1}


# Where a hit is


def places(text: str, name: str) -> list[tuple[int | None, int | None, str | None]]:
    return [(hit.line, hit.record, hit.column) for hit in scan(PII, text, name).hits]


def test_in_a_malformed_table_only_the_line_is_told() -> None:
    assert places(f'id,text\n1,"{MOBILE}\n2,x\n', "a.csv") == [(2, None, None)]
    assert places(f'[{{"t": "{MOBILE}"}},\n', "a.json") == [(1, None, None)]


def test_a_place_is_looked_up_no_further_than_it_must_be() -> None:
    row = json.dumps({"n": 1, "t": "x" * 1000}) + "\n"
    rows = [f'{{"n": 0, "t": "{MOBILE}"}}\n', *[row] * (4 * SMALL_BYTES // len(row))]
    assert places("".join(rows), "a.jsonl") == [(1, 0, "t")]
    # The record behind is malformed, and the first is found as before.
    assert places("".join([*rows, "{]\n"]), "a.jsonl") == [(1, 0, "t")]
    both = "".join([*rows, rows[0]])
    assert places(both, "a.jsonl") == [(1, 0, "t"), (len(rows) + 1, len(rows), "t")]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (f'{{"a": "{MOBILE}", "b": 1}}', "a"),
        (f'{{"a": "{MOBILE}", "b": ["{MOBILE}"]}}', None),
        (f'{{"a": [1, {{"c": "{MOBILE}"}}], "b": 1}}', "a"),
        (f'["{MOBILE}"]', None),
        (f'{{"a": "{MOBILE}"', None),
    ],
)
def test_a_column_is_told_where_it_is_the_only_one(line: str, column: str | None) -> None:
    assert {each[1:] for each in places(f'{{"a": "x"}}\n{line}\n', "a.jsonl")} == {(1, column)}


# Languages


def languages(name: str, data: bytes) -> dict[str, float]:
    found = Language().scan(ScannedFile.of(name.encode(), MemorySource(name, data)))
    assert found.status is DetectionStatus.CLEAN
    return {name.partition(":")[2]: share for name, share in found.measures.items() if ":" in name}


def test_languages_of_texts_within_lists_and_of_codes() -> None:
    import pyarrow as pa

    english, german = "the weather is lovely today", "das Wetter ist heute wunderschön"
    data = parquet(
        {
            "coded": pa.array([english, english]).dictionary_encode(),
            "numbers": pa.array([1, 2]).dictionary_encode(),
            "nested": pa.array([[{"n": 1, "t": german}], [{"n": 2, "t": german}, None]]),
        }
    )
    assert languages("a.parquet", data) == {"en": 0.5, "de": 0.5}


def test_a_long_text_is_looked_at_in_all_its_parts() -> None:
    line = "the weather is lovely today and we go out\n"
    other = "das Wetter ist heute wunderschön und wir gehen aus\n"
    data = (line * (CHUNK_BYTES // len(line)) + other * (CHUNK_BYTES // len(other))).encode()
    first = languages("a.txt", data)
    assert set(first) >= {"en", "de"}
    assert first == languages("a.txt", data)


# Numbers of people


@pytest.mark.parametrize(
    "text",
    [
        "身份证 110105199002301231",  # the thirtieth of February, with the right last digit
        "card 2000 0000 0000 0006",  # of nobody who gives out cards
        "+999 123456789",  # of no country
        "+1 123 456 7890",  # of a country that gave out no such number
        "电话 010 200 0000",
        "iban XX00 1234 5678 901",
    ],
)
def test_numbers_that_cannot_be_are_left_alone(text: str) -> None:
    assert kinds(PII, f"{text}\n") == {}
