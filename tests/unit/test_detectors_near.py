"""Near-duplicates and leakage across splits, against comparing every pair."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.model.detection import Detection, DetectionStatus, decode_detection, encode_detection
from dsvc.policy.detectors.detector import ScannedTable, Wanted, input_key
from dsvc.policy.detectors.near_duplicates import NearDuplicates
from dsvc.policy.detectors.near_search import NearScope, NearTerms, banding, find_near
from dsvc.policy.detectors.set_options import DetectorOptionError, columns_option
from dsvc.policy.detectors.shingles import Sketcher, jaccard, normalised, shingle_codes, shingle_set
from dsvc.table.origin.memory_source import MemorySource

CHINESE = "今天天气很好我们一起去公园散步看见许多花开了孩子在湖边放风筝老人下棋喝茶聊天晚上回家吃饭休息"


def table(name: str, rows: Iterable[Mapping[str, object]]) -> ScannedTable:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    return ScannedTable.of(name.encode(), MemorySource(name, data))


def texts(name: str, *contents: str | None) -> ScannedTable:
    return table(name, [{"text": each, "n": number} for number, each in enumerate(contents)])


def scan(*files: ScannedTable, **options: str) -> Detection:
    found = NearDuplicates().scan(files, {"content": "text", **options})
    assert decode_detection(encode_detection(found)) == found
    return found


def edited(draw: random.Random, text: str, edits: int, alphabet: str) -> str:
    letters = list(text)
    for place in draw.sample(range(len(letters)), edits):
        letters[place] = draw.choice(alphabet)
    return "".join(letters)


def similar_texts(seed: int, alphabet: str, count: int = 300) -> list[str]:
    """Texts of all similarities: each third one is an edited copy of another."""
    draw = random.Random(seed)
    made = ["".join(draw.choices(alphabet, k=draw.randrange(50, 140))) for _ in range(count * 2 // 3)]
    made += [edited(draw, draw.choice(made), draw.randrange(1, 4), alphabet) for _ in range(count // 3)]
    draw.shuffle(made)
    return list(dict.fromkeys(normalised(text) for text in made))


@pytest.mark.parametrize("alphabet", ["abcdefghij klmn", CHINESE])
@pytest.mark.parametrize("scope", NearScope)
def test_what_is_near_is_found_as_by_comparing_all_pairs(alphabet: str, scope: NearScope) -> None:
    asked = found = near_asked = near_found = 0
    for seed in range(4):
        made = similar_texts(seed, alphabet)
        groups = np.array([random.Random(text).randrange(3) for text in made])
        sets = [shingle_set(text) for text in made]
        sketches = Sketcher(128, 1).sketches(made)
        result = find_near(made, sketches, groups, scope, NearTerms(0.8))
        assert result.is_complete
        for one, partner in enumerate(result.partner.tolist()):
            others = [
                other
                for other in range(len(made))
                if (
                    groups[other] < groups[one] if scope is NearScope.ACROSS else groups[other] == groups[one]
                )
                and (scope is NearScope.ACROSS or other < one)
            ]
            best = max((jaccard(sets[one], sets[other]) for other in others), default=0.0)
            if partner >= 0:
                assert partner in others
                assert jaccard(sets[one], sets[partner]) >= 0.8
            asked += best >= 0.8
            found += best >= 0.8 and partner >= 0
            near_asked += best >= 0.9
            near_found += best >= 0.9 and partner >= 0
    assert near_asked > 25
    assert near_found / near_asked >= 0.99
    assert found / asked >= 0.97


def test_sketches_are_those_of_datasketch() -> None:
    from datasketch import MinHash

    from dsvc.policy.detectors.shingles import _hash32

    made = ["", "a", "ab", "abc", "hello hello hello", CHINESE, "x" * 300_000, "😀b𠀀中"]
    for text, sketch in zip(made, Sketcher(64, 9).sketches(made), strict=True):
        expected = MinHash(64, seed=9, scheme="affine32", hashfunc=int)
        expected.update_batch(_hash32(shingle_codes([text])[0]).tolist())
        assert sketch.tolist() == expected.hashvalues.tolist()


def test_numbers_of_shingles_are_equal_where_shingles_are() -> None:
    made = ["ab", "abcab", "中文字符", "\x00\x00\x01", "a\x1fb"]
    codes, starts = shingle_codes(made)
    parts = [set(part.tolist()) for part in np.split(codes, starts[1:])]
    for one, one_codes in zip(made, parts, strict=True):
        for other, other_codes in zip(made, parts, strict=True):
            assert len(one_codes & other_codes) == len(shingle_set(one) & shingle_set(other))


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95])
def test_bands_find_what_is_at_the_threshold(threshold: float) -> None:
    bands, rows = banding(threshold, 128)
    assert bands * rows <= 128
    assert 1 - (1 - threshold**rows) ** bands >= 0.98


def test_leakage_across_tables() -> None:
    train = texts("训练.jsonl", CHINESE, "an ordinary sentence about cats and dogs", "something else", None)
    test = texts(
        "测试.jsonl",
        CHINESE.replace("湖边", "河边"),
        "  An ORDINARY sentence　about cats and dogs",
        "new words",
    )
    found = scan(train, test)
    assert found.status is DetectionStatus.HITS
    assert found.counts == {"exact_across": 1, "near_across": 1}
    assert [(hit.kind, hit.record, hit.column) for hit in found.hits] == [
        ("near_across", 0, "text"),
        ("exact_across", 1, "text"),
    ]
    assert found.hits[1].shown == "测试.jsonl:1 = 训练.jsonl:1"
    assert found.hits[0].shown.startswith("测试.jsonl:0 ≈ 训练.jsonl:0 (0.")
    assert found.measures["leaked_share"] == pytest.approx(2 / 3)
    assert (found.scanned_records, found.measures["empty"]) == (7, 1.0)


def test_leakage_across_a_column_and_repetitions_within() -> None:
    rows = [{"text": text, "part": part} for text, part in [
        ("the first of all the sentences that stand here", "train"),
        ("the second of all sentences, which is another one", "train"),
        ("The first of all the sentences that stand here", "train"),
        ("the first of all the sentences that stand here!", "train"),
        ("the second of all sentences, which is another one", "valid"),
        ("nothing of the kind was ever written before today", "valid"),
        ("nothing of the kind was ever written before today", "test"),
    ]]  # fmt: skip
    found = scan(table("a.jsonl", rows), split="part", scope="across,within")
    assert found.counts == {"exact_across": 2, "exact_within": 1, "near_within": 1}
    assert [hit.shown.split(" (")[0] for hit in found.hits] == [
        "train#2 = train#0", "train#3 ≈ train#0", "valid#4 = train#1", "test#6 = valid#5",
    ]  # fmt: skip
    assert found.measures["leaked_share"] == 1.0
    assert found.measures["repeated_share"] == pytest.approx(2 / 7)


def test_several_columns_are_one_content_and_do_not_run_together() -> None:
    rows = [{"a": "x y", "b": "z"}, {"a": "x", "b": "y z"}, {"a": "X  Y", "b": "z"}, {"a": None, "b": "z"}]
    options = {"content": columns_option(["a", "b"]), "scope": "within"}
    assert NearDuplicates().scan([table("a.jsonl", rows)], options).counts == {"exact_within": 1}


def test_hits_name_the_first_rows_and_all_are_counted() -> None:
    found = scan(texts("a.jsonl", *["the same text in each of the rows"] * 500), scope="within")
    assert found.counts == {"exact_within": 499}
    assert [hit.record for hit in found.hits] == list(range(1, 21))


def test_a_clean_set_is_clean_and_said_alike_each_time() -> None:
    made = similar_texts(5, "abcdefghijklmnop", 90)[:40]
    found = scan(texts("a.jsonl", *made), texts("b.jsonl", "wholly other words than those that stand there"))
    assert (found.status, found.counts, found.hits) == (DetectionStatus.CLEAN, {}, ())
    assert encode_detection(found) == encode_detection(
        scan(texts("a.jsonl", *made), texts("b.jsonl", "wholly other words than those that stand there"))
    )


def test_the_detection_answers_what_was_wanted() -> None:
    files = (texts("a.jsonl", "x"), texts("b.jsonl", "y"))
    options = {"content": "text"}
    assert scan(*files).input == input_key("near_duplicates", [(f.path, f.digest) for f in files], options)
    assert Wanted("near_duplicates", (), ()).key != scan(*files).input


def broken() -> ScannedTable:
    return ScannedTable.of(b"a.parquet", MemorySource("a.parquet", b"PAR1 no table"))


def no_table() -> ScannedTable:
    return ScannedTable.of(b"a.txt", MemorySource("a.txt", b"plain text"))


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ([texts("a.jsonl", "x"), texts("b.jsonl", "y")], {}),
        ([texts("a.jsonl", "x"), texts("b.jsonl", "y")], {"content": "body"}),
        ([texts("a.jsonl", "x")], {"content": "text"}),
        ([texts("a.jsonl", "x")], {"content": "text", "split": "part"}),
        ([texts("a.jsonl", "x"), broken()], {"content": "text"}),
        ([texts("a.jsonl", "x"), no_table()], {"content": "text"}),
        ([texts("a.jsonl", None, ""), texts("b.jsonl", " ")], {"content": "text"}),
    ],
)
def test_what_can_not_be_judged_is_unknown(files: list[ScannedTable], options: dict[str, str]) -> None:
    found = NearDuplicates().scan(files, options)
    assert found.status is DetectionStatus.UNKNOWN
    assert found.reason


def test_rows_of_no_split_and_searches_given_up_are_unknown() -> None:
    rows = [{"text": f"a text of its own, number {n}", "part": "train" if n % 2 else None} for n in range(9)]
    assert scan(table("a.jsonl", rows), split="part").status is DetectionStatus.UNKNOWN
    many = texts("a.jsonl", *[f"a text that is like many others, number {n}" for n in range(60)])
    for detector in (NearDuplicates(max_texts=50), NearDuplicates(max_comparisons=500)):
        found = detector.scan([many], {"content": "text", "scope": "within"})
        assert found.status is DetectionStatus.UNKNOWN


@pytest.mark.parametrize(
    "options",
    [{"treshold": "0.8"}, {"threshold": "x"}, {"threshold": "0.2"}, {"scope": "all"}, {"content": "[1]"}],
)
def test_options_that_are_not_understood_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(DetectorOptionError):
        scan(texts("a.jsonl", "x"), texts("b.jsonl", "y"), **options)


def test_cells_of_other_types_are_compared_by_value(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("表") / "a.parquet"
    pq.write_table(
        pa.table(
            {
                "text": pa.array(["same", "same", "same"]).dictionary_encode(),
                "n": pa.array([1.0, 1.0, 2.5]),
                "image": pa.array([b"\x00\x01", b"\x00\x01", b"\x00\x01"]),
                "chat": [[{"role": "user"}], [{"role": "user"}], [{"role": "user"}]],
            }
        ),
        path,
    )
    file = ScannedTable.of(b"a.parquet", MemorySource("a.parquet", path.read_bytes()))
    options = {"content": columns_option(["text", "n", "image", "chat"]), "scope": "within", "threshold": "1"}
    assert NearDuplicates().scan([file], options).counts == {"exact_within": 1}
