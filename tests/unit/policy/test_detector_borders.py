"""Detectors where a number is nearly one, and what they say of the few places that are looked at."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from dsvc.model.detection import MAX_HITS, DetectionStatus, Hit
from dsvc.policy.case import NothingDetected
from dsvc.policy.detectors.bursts import clusters
from dsvc.policy.detectors.detector import Wanted
from dsvc.policy.detectors.label_history import find_shift
from dsvc.policy.detectors.near_search import NearTerms, banding
from dsvc.policy.detectors.ngram_association import log10_tail
from dsvc.policy.detectors.pii import Pii
from dsvc.policy.detectors.registry import WordListMissingError, file_detector
from dsvc.policy.detectors.set_options import DetectorOptionError, SetOptions
from dsvc.policy.detectors.shingles import Sketcher
from dsvc.policy.detectors.tally import Tally
from dsvc.policy.detectors.word_list import MAX_BYTES, WordList, WordListError
from dsvc.policy.sampling import incomplete_beta
from dsvc.policy.settings import PolicySettings
from dsvc.policy.source_facts import later
from tests.detector_scans import kinds, only_hit, parquet, scan

PII = Pii()
MOBILE = "13800138000"
WORDS = "# version: 1\n# updated: 2026-11-20\n[涉赌]\n百家乐\n"


@pytest.mark.parametrize(
    "text",
    [
        "110105194913310021",  # of a 13th month, with the right last digit
        "0105551234",
        "电话 00105551234567",
        "order 6225880137706868 of today",
        "999.10.10.10",
        "京ABCDEF",
    ],
)
def test_numbers_that_nobody_gave_out_are_left_alone(text: str) -> None:
    assert kinds(PII, f"{text}\n") == {}


def test_places_of_hits_in_tables_are_those_of_the_records() -> None:
    rows = f'{{"n": 1, "t": "x"}}\n{{"n": 2, "t": "{MOBILE}"}}\n{{"n": 3, "t": "x"}}\n'
    hit = only_hit(PII, rows, "a.jsonl")
    assert (hit.record, hit.column) == (1, "t")
    assert only_hit(PII, f"id,phone\n1,x\n2,{MOBILE}\n", "a.csv").column == "phone"
    both = only_hit(PII, f'{{"a": "{MOBILE}", "b": 1}}\n["{MOBILE[:-1]}"]\n', "a.jsonl")
    assert both.line == 1


def test_nothing_that_is_escaped_is_lost_beside_what_is_not() -> None:
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in "ann@example.org")
    bad = "\\uZZZZ " + escaped
    assert kinds(PII, f'{{"t": "{escaped}"}}\n', "a.jsonl") == {"email": 1}
    assert kinds(PII, f'{{"t": "{bad}"}}\n', "a.txt") == {"email": 1}
    long = "x" * 300_000 + f" {MOBILE} "
    lines = f"short {MOBILE}\n{long}\nshort\n{escaped} \\n\n"
    assert kinds(PII, lines) == {"cn_mobile": 2, "email": 1}
    assert kinds(PII, gzip.compress(lines.encode(), mtime=0), "a.txt.gz") == {"cn_mobile": 2, "email": 1}


def test_text_in_a_column_of_codes_is_looked_at() -> None:
    import pyarrow as pa

    coded = pa.array([MOBILE, "x", MOBILE]).dictionary_encode()
    assert scan(PII, parquet({"t": coded}), "a.parquet").status is DetectionStatus.HITS


def test_what_no_detector_looked_at_is_not_clean() -> None:
    nothing = NothingDetected([])
    assert list(nothing.all("pii")) == list(nothing.unclean("pii")) == []
    assert nothing.of(Wanted("poisoning", ())).status is DetectionStatus.UNKNOWN


def test_a_list_of_words_that_is_not_there_or_too_large() -> None:
    for words in (None, "words.toml"):
        with pytest.raises(WordListMissingError):
            file_detector("words", PolicySettings(words=words), lambda path: None)
    with pytest.raises(KeyError):
        file_detector("taste", PolicySettings(), lambda path: None)
    listed = file_detector("words", PolicySettings(words="w"), {"w": WORDS.encode()}.get)
    assert kinds(listed, "x 百家乐\n") == {"涉赌": 1}
    assert file_detector("language", PolicySettings(), lambda path: None).name == "language"
    for presidio in (False, True):
        made = file_detector("pii", PolicySettings(presidio=presidio), lambda path: None)
        assert made.config()["presidio"] == str(presidio).lower()
    assert file_detector("secrets", PolicySettings(), lambda path: None).name == "secrets"
    with pytest.raises(WordListError, match="is not read"):
        WordList.load(b"#" * (MAX_BYTES + 1))


def test_more_hits_than_are_shown_are_counted() -> None:
    text = f"{MOBILE}\n" * (MAX_HITS + 5)
    found = scan(PII, text)
    assert found.counts == {"cn_mobile": MAX_HITS + 5}
    assert len(found.hits) == MAX_HITS


def test_hits_that_are_found_one_by_one_are_counted_beyond_those_that_are_shown() -> None:
    tally = Tally()
    for number in range(MAX_HITS + 5):
        assert tally.is_full is (number >= MAX_HITS)
        tally.add(Hit(kind="odd" if number % 2 else "even", shown=str(number)))
    found = tally.detection(PII, b"key")
    assert found.counts == {"even": 13, "odd": 12}
    assert [hit.shown for hit in found.hits] == [str(number) for number in range(MAX_HITS)]


def test_numbers_at_the_ends_of_their_scale() -> None:
    assert [incomplete_beta(x, 2, 3) for x in (-1, 0, 1, 2)] == [0, 0, 1, 1]
    assert log10_tail(10, 5, 3, 4) == -np.inf, "more hits than were drawn"
    assert banding(0.01, 16) == (16, 1)
    assert later("9999-12-31", 1) == "9999-12-31"
    assert find_shift(np.zeros(4, np.int64), np.zeros(4, np.int64), only_common=False) is None
    none = clusters([], Sketcher(16, 1), NearTerms(0.8))
    assert (none.is_complete, len(none[0])) == (True, 0)


def test_options_of_a_set_are_whole_numbers_and_names() -> None:
    with pytest.raises(DetectorOptionError, match="a whole number"):
        SetOptions("near", {"rows": "2.5"}, ["rows"]).whole("rows", 3, 1, 9)
    with pytest.raises(DetectorOptionError, match="names of columns"):
        SetOptions("near", {"content": '["a'}, ["content"]).columns("content")
