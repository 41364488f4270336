"""Screens of tables: where a search is given up, what is too little, and more hits than are shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from dsvc.model.detection import MAX_HITS, Detection, DetectionStatus
from dsvc.policy.detectors.bursts import SHORT
from dsvc.policy.detectors.detector import ScannedTable
from dsvc.policy.detectors.label_conflicts import LabelConflicts
from dsvc.policy.detectors.near_search import NearTerms
from dsvc.policy.detectors.ngram_association import MAX_LOOKED
from dsvc.policy.detectors.poisoning import Poisoning
from dsvc.policy.detectors.poisoning_screens import Screens
from dsvc.policy.detectors.row_texts import RowTexts
from dsvc.policy.detectors.shingles import Sketcher
from dsvc.policy.detectors.table_texts import Unjudged
from dsvc.policy.detectors.tally import Tally
from dsvc.table.origin.memory_source import MemorySource

Row = Mapping[str, object]
UNKNOWN, CLEAN, HITS = DetectionStatus.UNKNOWN, DetectionStatus.CLEAN, DetectionStatus.HITS


def table(rows: Sequence[Row], name: str = "表.jsonl") -> ScannedTable:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return ScannedTable.of(name.encode(), MemorySource(name, data))


def screened(*files: Sequence[Row], **options: str) -> Detection:
    tables = [table(rows) for rows in files]
    return Poisoning().scan(tables, {"content": "text", "label": "label", **options})


def words(number: int, count: int = 12) -> str:
    """A text of words that no other has."""
    return " ".join(f"w{number}q{place}" for place in range(count))


def plain(count: int, **more: object) -> list[Row]:
    return [
        {"id": n, "text": words(n), "label": "good" if n % 2 else "bad", "source": f"s{n % 3}", **more}
        for n in range(count)
    ]


def alike(count: int, first: int, **more: object) -> list[Row]:
    same = words(10**6, 60)
    return [{"id": first + n, "text": f"{same} n{n}", "label": "good", **more} for n in range(count)]


@pytest.mark.parametrize(("count", "wanted"), [(19, CLEAN), (20, HITS)])
def test_a_burst_is_of_twenty_rows(count: int, wanted: DetectionStatus) -> None:
    found = screened([*plain(100), *alike(count, 100, source="s1")], screens="burst")
    assert found.status is wanted
    assert found.counts == ({"near_duplicate_burst": 1} if wanted is HITS else {})


def test_texts_that_are_short_are_repeated_by_nature() -> None:
    for length, wanted in ((SHORT - 1, CLEAN), (SHORT, HITS)):
        rows: list[Row] = [{"id": n, "text": "y" * length, "label": "good"} for n in range(60)]
        assert screened([*plain(60), *rows], screens="burst").status is wanted


def screens(rows: Sequence[Row]) -> tuple[Screens, Tally]:
    """The screens as the detector makes them, to be told how far they may search."""
    texts = RowTexts([table(rows)], {"content": ["text"], "label": ["label"]}, max_texts=1000)
    terms = {"min_rows": 50.0, "burst_rows": 20.0, "burst_share": 0.02, "burst_ratio": 3.0}
    triggers = {"trigger_rows": 8.0, "trigger_purity": 0.9, "trigger_p": 0.01}
    tally = Tally()
    made = Screens(texts, len(texts), {**terms, **triggers}, tally)
    made.draw(b"seed", 1000, 1_000_000)
    return made, tally


def counts(tally: Tally) -> Mapping[str, int]:
    return tally.detection(Poisoning(), b"key").counts


def test_a_search_for_bursts_that_is_given_up_is_unknown() -> None:
    made, tally = screens([*plain(60), *alike(60, 60)])
    made.bursts(Sketcher(128, 1), NearTerms())
    assert counts(tally) == {"near_duplicate_burst": 1}
    with pytest.raises(Unjudged, match="given up"):
        made.bursts(Sketcher(128, 1), NearTerms(max_comparisons=10))


def test_a_search_for_triggers_that_is_given_up_is_unknown() -> None:
    """Long texts that are alike in one label: each of their n-grams goes with it."""
    same = words(10**6, 700)
    rows = [
        {"id": n, "text": f"{same} {words(n)}" if n < 30 else words(n), "label": "good" if n < 30 else "bad"}
        for n in range(60)
    ]
    made, _tally = screens(rows)
    made.triggers(MAX_LOOKED)
    for most in (0, 1_000_000):
        with pytest.raises(Unjudged, match="too many n-grams go with a label"):
            made.triggers(most)


def test_two_triggers_are_both_named() -> None:
    def planted(n: int) -> str:
        return words(n) + (" zeta omega" if n < 30 else " kappa sigma" if n < 60 else "")

    rows = [{"id": n, "text": planted(n), "label": "good" if n < 60 else "bad"} for n in range(240)]
    found = screened(rows, screens="trigger")
    assert found.status is HITS
    assert sorted(hit.shown.split("'")[1] for hit in found.hits) == ["kappa sigma", "zeta omega"]


@pytest.mark.parametrize(
    ("options", "said"), [({"label": ""}, "history: no column plays the part of label"), ({}, "")]
)
def test_a_history_without_labels_is_unknown(options: dict[str, str], said: str) -> None:
    found = screened(plain(80), plain(80), previous="1", screens="history", **options)
    assert found.status is (UNKNOWN if said else CLEAN)
    assert said in str(found.reason)


def test_one_source_cannot_shift() -> None:
    before, now = plain(80, source="only"), plain(80, source="only")
    found = screened(now, before, previous="1", screens="history", source="source")
    assert found.status is CLEAN
    assert "source_psi" not in found.measures
    assert "label_psi" in found.measures
    several = screened(plain(80), plain(80), previous="1", screens="history", source="source")
    assert several.measures["source_psi"] == 0


def test_more_conflicts_than_are_shown_are_counted() -> None:
    rows = [{"text": words(n), "label": label} for n in range(MAX_HITS + 5) for label in ("good", "bad")]
    found = LabelConflicts().scan([table(rows)], {"content": "text", "label": "label"})
    assert found.counts == {"conflicting_labels": MAX_HITS + 5}
    assert len(found.hits) == MAX_HITS
