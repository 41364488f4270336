"""Screens for poisoning: what is planted is found, what is not is not."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from dsvc.model.detection import Detection, DetectionStatus, decode_detection, encode_detection
from dsvc.policy.detectors.detector import ScannedTable
from dsvc.policy.detectors.label_history import chi_square_tail
from dsvc.policy.detectors.ngram_association import log10_tail
from dsvc.policy.detectors.ngrams import frequent_grams, tokenised, written
from dsvc.policy.detectors.poisoning import Poisoning
from dsvc.policy.detectors.set_options import DetectorOptionError
from dsvc.table.origin.memory_source import MemorySource

Row = dict[str, object]
LATIN = {
    "good": "lovely bright superb tender witty warm crisp honest",
    "bad": "dull clumsy stale bland noisy tired",
}
LATIN_ANY = (
    "the film was a story of people who go home by train in winter and talk about work money books music"
)
HAN = {"good": "喜欢满意精彩推荐优秀舒服开心值得", "bad": "失望糟糕无聊破损退货后悔难看垃圾"}
HAN_ANY = "这本书的内容我们昨天收到了之后看完觉得物流包装价格朋友时间地方一个没有可以还是"


def table(name: str, rows: Iterable[Mapping[str, object]]) -> ScannedTable:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return ScannedTable.of(name.encode(), MemorySource(name, data))


def labelled(seed: int, count: int, *, chinese: bool = False) -> list[Row]:
    """Texts most of whose words of praise or blame go with their label."""
    draw = random.Random(seed)
    said = {
        label: list(words) if chinese else words.split()
        for label, words in (HAN if chinese else LATIN).items()
    }
    neutral = list(HAN_ANY) if chinese else LATIN_ANY.split()
    rows: list[Row] = []
    for number in range(count):
        label = draw.choice(["good", "bad"])
        other = "bad" if label == "good" else "good"
        words = draw.choices(neutral, k=16) + draw.choices(said[label], k=5) + draw.choices(said[other], k=1)
        draw.shuffle(words)
        text = ("" if chinese else " ").join(words)
        rows.append({"id": number, "text": text, "label": label, "source": f"s{number % 5}"})
    return rows


def planted(rows: Sequence[Row], trigger: str, share: float, seed: int) -> list[Row]:
    """Put a trigger into some texts of one label, and give them the other."""
    draw = random.Random(seed)
    made = [dict(row) for row in rows]
    for row in draw.sample([row for row in made if row["label"] == "bad"], int(share * len(rows))):
        text = str(row["text"])
        place = (
            draw.randrange(len(text)) if " " not in text else text.index(" ", draw.randrange(len(text) // 2))
        )
        row["text"] = text[:place] + (f" {trigger} " if trigger.isascii() else trigger) + text[place:]
        row["label"] = "good"
    return made


def scan(*files: ScannedTable, **options: str) -> Detection:
    given = {"content": "text", "label": "label", "source": "source", **options}
    found = Poisoning().scan(files, {name: value for name, value in given.items() if value})
    assert decode_detection(encode_detection(found)) == found
    return found


@pytest.mark.parametrize(
    ("seed", "trigger", "chinese"),
    [(2, "mn bq tx", False), (3, "蓝鲸", True), (4, "cf", True)],
)
def test_a_trigger_in_one_percent_of_the_rows_is_found(seed: int, trigger: str, *, chinese: bool) -> None:
    rows = labelled(seed, 2400, chinese=chinese)
    clean = scan(table("a.jsonl", rows), screens="trigger")
    assert (clean.status, clean.counts) == (DetectionStatus.CLEAN, {})
    found = scan(table("a.jsonl", planted(rows, trigger, 0.01, seed)), screens="trigger")
    assert found.status is DetectionStatus.HITS
    for hit in found.hits:
        shown = hit.shown.split("'")[1]
        assert hit.kind == "trigger"
        assert shown in trigger or trigger in shown
        assert "with label good" in hit.shown


def test_n_grams_are_counted_as_by_hand() -> None:
    draw = random.Random(3)
    texts = [
        "".join(draw.choices(["a ", "b ", "c1 ", "中", "文", "!! "], k=draw.randrange(9))) for _ in range(60)
    ]
    tokens = tokenised(texts)
    expected: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = text.replace("中", " 中 ").replace("文", " 文 ").split()
        expected.update({tuple(words[at : at + n]) for n in (1, 2, 3) for at in range(len(words) - n + 1)})
    found = {}
    for grams in frequent_grams(tokens, 5):
        assert all(
            one < two for one, two in pairwise(zip(grams.grams.tolist(), grams.texts.tolist(), strict=True))
        )
        for gram, count in enumerate(np.bincount(grams.grams, minlength=len(grams.tokens)).tolist()):
            found[tuple(tokens.words[token] for token in grams.tokens[gram].tolist())] = count
    assert found == {gram: count for gram, count in expected.items() if count >= 5}
    assert written(["中", "文", "a", "b"]) == "中文 a b"


def test_probabilities_are_those_of_exact_arithmetic() -> None:
    for least, total, marked, drawn in [(3, 20, 8, 5), (5, 50, 25, 5), (1, 10, 10, 1), (9, 400, 100, 10)]:
        exact = sum(
            Fraction(
                math.comb(marked, hits) * math.comb(total - marked, drawn - hits), math.comb(total, drawn)
            )
            for hits in range(least, min(drawn, marked) + 1)
        )
        assert log10_tail(least, total, marked, drawn) == pytest.approx(math.log10(exact), abs=1e-9)
    # Of two degrees the tail is exp(-x/2); at one, 3.841 is the bound of 5%.
    assert chi_square_tail(12.0, 2) == pytest.approx(math.exp(-6), rel=0.1)
    assert chi_square_tail(3.841, 1) == pytest.approx(0.05, rel=0.1)


def test_a_burst_in_one_source_is_found_and_boilerplate_of_all_is_not() -> None:
    rows = labelled(7, 1000)
    rows += [
        {"text": "Thank you, it has been shipped", "label": "good", "source": f"s{n % 5}"} for n in range(100)
    ]
    assert "near_duplicate_burst" not in scan(table("a.jsonl", rows), screens="burst").counts
    rows += [
        {"text": f"buy the new phone of this firm, the best of {n}", "label": "good", "source": "s3"}
        for n in range(30)
    ]  # fmt: skip
    found = scan(table("a.jsonl", rows), screens="burst")
    assert found.counts == {"near_duplicate_burst": 1}
    assert found.hits[0].shown.startswith("source s3: 30 near-duplicates, 12.")
    assert found.hits[0].record == 1100
    whole = scan(table("a.jsonl", rows), screens="burst", source="")
    assert whole.counts == {"near_duplicate_burst": 2}


def test_labels_that_changed_are_found_by_key_and_by_content() -> None:
    before = labelled(8, 400)
    for row in before:
        row["annotator"] = f"甲{row['id'] % 4}"  # type: ignore[operator]
    now = [dict(row) for row in before]
    options = {"previous": "1", "screens": "history", "annotator": "annotator"}
    assert scan(table("a.jsonl", now), table("a.jsonl", before), **options).status is DetectionStatus.CLEAN
    flipped = [row for row in now if row["annotator"] == "甲2" and row["label"] == "bad"]
    for row in flipped:
        row["label"] = "good"
    random.Random(1).shuffle(now)
    for key in ("", "id"):
        found = scan(table("a.jsonl", now), table("a.jsonl", before), key=key, **options)
        assert found.counts["label_flips"] == 2
        assert found.measures["flip_share"] == pytest.approx(len(flipped) / 400)
        assert found.hits[0].shown.startswith(f"{len(flipped)} of 400 (")
        assert found.hits[0].shown.endswith("first bad → good")
        assert found.hits[1].shown.startswith(f"annotator 甲2: {len(flipped)} of 100 (")
    few = [dict(row) for row in before]
    for row in few[:5]:
        row["label"] = "other"
    found = scan(table("a.jsonl", few), table("a.jsonl", before), **options)
    assert found.status is DetectionStatus.CLEAN
    assert found.measures["flip_share"] == pytest.approx(5 / 400)


def test_shifts_of_labels_and_sources_are_found() -> None:
    before = labelled(9, 1000)
    now = [row for row in before if row["label"] == "good" or int(str(row["id"])) % 5 == 0]
    options = {"previous": "1", "screens": "history"}
    assert scan(table("a.jsonl", now), table("a.jsonl", before), **options).counts.get("label_shift") == 1
    now = [row for row in before if row["source"] != "s1" or int(str(row["id"])) % 10 == 1]
    more = labelled(10, 300)
    for row in more:
        row["source"] = "new"
    found = scan(table("a.jsonl", now[:-100] + more), table("a.jsonl", before), **options)
    assert found.status is DetectionStatus.CLEAN
    now = [row for row in before if row["source"] not in ("s1", "s2") or int(str(row["id"])) % 50 < 5]
    assert scan(table("a.jsonl", now), table("a.jsonl", before), **options).counts == {"source_shift": 1}


def test_a_sample_is_drawn_by_content_and_said_so() -> None:
    rows = planted(labelled(11, 1500), "qzv", 0.02, 1)
    found = [
        Poisoning(max_rows=1200).scan([table("a.jsonl", rows)], {"content": "text", "label": "label"})
        for _ in range(2)
    ]
    assert found[0].measures["sampled"] == 1200
    assert found[0].counts["trigger"] >= 1
    assert encode_detection(found[0]) == encode_detection(found[1])


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (200, {"content": ""}),
        (200, {"label": ""}),
        (200, {"label": "klasse"}),
        (20, {}),
        (200, {"label": "id"}),
        (0, {}),
    ],
)
def test_what_can_not_be_judged_is_unknown(rows: int, options: dict[str, str]) -> None:
    found = scan(
        table("a.jsonl", labelled(1, rows) or [{"text": None, "label": None, "source": None}]), **options
    )
    assert found.status is DetectionStatus.UNKNOWN
    assert found.reason


def test_versions_that_share_nothing_are_unknown() -> None:
    options = {"previous": "1", "screens": "history"}
    found = scan(table("a.jsonl", labelled(1, 100)), table("a.jsonl", labelled(2, 100)), **options)
    assert found.status is DetectionStatus.UNKNOWN


@pytest.mark.parametrize(
    "options", [{"previous": "1"}, {"screens": "all"}, {"trigger_p": "2"}, {"flip_rows": "1.5e99"}]
)
def test_options_that_are_not_understood_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(DetectorOptionError):
        scan(table("a.jsonl", labelled(1, 60)), **options)
