"""Conflicting labels, against a dict; languages of texts that are known."""

from __future__ import annotations

import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError

import pytest

from dsvc.model.detection import Detection, DetectionStatus, decode_detection, encode_detection
from dsvc.policy.detectors.detector import DetectorUnavailableError, ScannedFile, ScannedTable
from dsvc.policy.detectors.label_conflicts import LabelConflicts
from dsvc.policy.detectors.language import Language
from dsvc.policy.detectors.registry import set_detector
from dsvc.policy.detectors.set_options import columns_option
from dsvc.policy.detectors.shingles import normalised
from dsvc.table.origin.memory_source import MemorySource

SENTENCES = {
    "en": "The committee has not yet decided which of these proposals it will accept.",
    "de": "Der Ausschuss hat noch nicht entschieden, welchen dieser Vorschläge er annimmt.",
    "fr": "Le comité n'a pas encore décidé laquelle de ces propositions il acceptera.",
    "es": "El comité todavía no ha decidido cuál de estas propuestas va a aceptar.",
    "ru": "Комитет ещё не решил, какое из этих предложений он примет.",
    "ar": "لم تقرر اللجنة بعد أي من هذه المقترحات ستقبل",
    "zh": "委员会还没有决定接受这些提案中的哪一个，iPhone 也没有。",
    "ja": "委員会はまだこれらの提案のどれを受け入れるか決めていません。",
    "ko": "위원회는 아직 이 제안들 중 어느 것을 받아들일지 결정하지 않았다.",
}


def table(name: str, rows: Iterable[Mapping[str, object]]) -> ScannedTable:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return ScannedTable.of(name.encode(), MemorySource(name, data))


def scan(*files: ScannedTable, **options: str) -> Detection:
    found = LabelConflicts().scan(files, {"content": "text", "label": "label", **options})
    assert decode_detection(encode_detection(found)) == found
    return found


@pytest.mark.parametrize("seed", range(5))
def test_conflicts_are_those_of_a_dict(seed: int) -> None:
    draw = random.Random(seed)
    contents = ["细胞 正常", "细胞  正常", "Cell A", "ｃell a", "x", "", None, "a\u3000b", "A b"]
    files = [
        [{"text": draw.choice(contents), "label": draw.choice(["good", "bad", None, 1])} for _ in range(9)]
        for _ in range(2)
    ]
    expected: dict[str, list[str]] = defaultdict(list)
    for row in files[0] + files[1]:
        if row["text"] and row["label"] is not None:
            expected[normalised(str(row["text"]))].append(str(row["label"]))
    bad = {text: labels for text, labels in expected.items() if len(set(labels)) > 1}
    # A column of words and numbers alike is read as text, so that 1 is a word here.
    found = scan(table("a.jsonl", files[0]), table("b.jsonl", files[1]))
    assert found.counts.get("conflicting_labels", 0) == len(bad)
    assert found.measures["rows"] == sum(map(len, bad.values()))
    assert found.measures["share"] == pytest.approx(len(bad) / len(expected))
    assert len(found.hits) == len(bad)


def test_a_conflict_names_rows_and_labels() -> None:
    rows = [("正常 细胞", "normal"), ("other", "x"), ("正常　细胞", "normal"), (" 正常 细胞 ", "cancerous")]
    found = scan(table("a.jsonl", [{"text": text, "label": label} for text, label in rows]))
    assert found.counts == {"conflicting_labels": 1}
    (hit,) = found.hits
    assert (hit.record, hit.column, hit.shown) == (0, "label", "0: normal / 3: cancerous")


def test_many_conflicts_are_counted_and_the_first_shown() -> None:
    rows = [{"text": f"text {n % 100}", "label": str(n // 100)} for n in range(600)]
    found = scan(table("a.jsonl", rows))
    assert found.counts == {"conflicting_labels": 100}
    assert [hit.record for hit in found.hits] == list(range(20))
    assert found.hits[3].shown == "3: 0 / 103: 1 / 203: 2 / 303: 3 / …"


def test_several_columns_are_one_label() -> None:
    rows = [{"text": "a", "label": 1, "more": None}, {"text": "a", "label": 1, "more": 2}]
    assert scan(table("a.jsonl", rows)).status is DetectionStatus.CLEAN
    found = scan(table("a.jsonl", rows), label=columns_option(["label", "more"]))
    assert found.hits[0].shown == "0: 1 | / 1: 1 | 2"


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        ([{"text": "a", "label": 1}], {"label": ""}),
        ([{"text": "a", "label": 1}], {"content": ""}),
        ([{"text": "a", "label": 1}], {"label": "klasse"}),
        ([{"text": "a", "label": None}, {"text": None, "label": 1}], {}),
    ],
)
def test_what_can_not_be_judged_is_unknown(rows: list[dict[str, object]], options: dict[str, str]) -> None:
    found = scan(table("a.jsonl", rows), **options)
    assert (found.status, bool(found.reason)) == (DetectionStatus.UNKNOWN, True)


def test_a_malformed_record_leaves_it_unknown() -> None:
    data = b'{"text": "a", "label": 1}\n{"text": "a", \n'
    file = ScannedTable.of(b"a.jsonl", MemorySource("a.jsonl", data))
    assert scan(file).status is DetectionStatus.UNKNOWN


def shares(found: Detection) -> dict[str, float]:
    assert decode_detection(encode_detection(found)) == found
    assert found.status is DetectionStatus.CLEAN
    return {name[6:]: value for name, value in found.measures.items() if name.startswith("share:")}


def test_languages_of_a_table_and_of_a_text() -> None:
    detector = Language()
    rows = [{"id": n, "code": "A-17", "chat": [{"text": text}]} for n, text in enumerate(SENTENCES.values())]
    expected = {code: pytest.approx(1 / len(SENTENCES), abs=1e-6) for code in SENTENCES}
    found = detector.scan(table("a.jsonl", rows))
    assert shares(found) == expected
    assert found.scanned_records == len(SENTENCES)
    for encoding in ("utf-8", "utf-16"):
        text = "\n\n".join(SENTENCES.values()).encode(encoding)
        assert shares(detector.scan(ScannedFile.of(b"a.md", MemorySource("a.md", text)))) == expected


def test_a_sample_of_a_large_file_is_drawn_by_its_content() -> None:
    lines = ([SENTENCES["zh"]] * 3 + [SENTENCES["ja"]]) * 4000
    file = ScannedFile.of(b"a.txt", MemorySource("a.txt", "\n".join(lines).encode()))
    found = Language(texts=500).scan(file)
    assert found.scanned_bytes <= 200_000
    assert found.measures["texts"] == 500
    assert shares(found)["zh"] == pytest.approx(0.75, abs=0.06)
    assert encode_detection(found) == encode_detection(Language(texts=500).scan(file))
    rows = table("a.jsonl", [{"text": line} for line in lines[:3000]])
    assert shares(Language(texts=500).scan(rows))["zh"] == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100), DetectionStatus.CLEAN),
        ("a.txt", b"", DetectionStatus.CLEAN),
        ("a.csv", b"id,n\n1,2\n", DetectionStatus.CLEAN),
        ("a.pdf", b"%PDF-1.7\n\x00\x01\x02", DetectionStatus.UNKNOWN),
        ("a.parquet", b"PAR1 none", DetectionStatus.UNKNOWN),
    ],
)
def test_what_has_no_text_and_what_can_not_be_read(name: str, data: bytes, status: DetectionStatus) -> None:
    found = Language().scan(ScannedFile.of(name.encode(), MemorySource(name, data)))
    assert found.status is status
    assert found.reason


@pytest.mark.parametrize(
    ("package", "detector"),
    [("lingua", "language"), ("datasketch", "near_duplicates"), ("datasketch", "poisoning")],
)
def test_a_detector_without_its_package_names_the_extra(
    package: str, detector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    # What Python itself does where a package is not installed.
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("importlib.metadata.version", absent)
    made = Language() if detector == "language" else set_detector(detector)
    with pytest.raises(DetectorUnavailableError) as refusal:
        made.version()
    assert refusal.value.hint is not None
    assert "dsvc[detectors]" in refusal.value.hint
    assert refusal.value.exit_code == 21
