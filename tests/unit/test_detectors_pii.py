"""Personal data: each kind found, near misses left alone, and nothing hidden by how it is written."""

from __future__ import annotations

import datetime
import gzip
import json
import random
import re

import phonenumbers
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.cn import ric

from dsvc.model.detection import DetectionStatus, decode_detection, encode_detection
from dsvc.policy.detectors.detector import DetectorUnavailableError
from dsvc.policy.detectors.pii import Pii, library_version
from dsvc.policy.detectors.pii_finder import PiiFinder
from dsvc.policy.detectors.pii_kinds import PiiKind
from dsvc.policy.detectors.text_blocks import AFTER_BYTES, BLOCK_BYTES, PIECE_BYTES
from tests.detector_scans import found, kinds, only_hit, parquet, scan

PII = Pii()
ID_CARD = "11010519491231002X"
VALID = {
    PiiKind.CN_ID_CARD: [ID_CARD, "11010519491231002x", "110105 19491231 002X"],
    PiiKind.BANK_CARD: [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "card: 4111111111111111",
        "6222021234567894",
        "银行卡5555555555554444",
        "3782 822463 10005",
    ],
    PiiKind.IBAN: ["GB82 WEST 1234 5698 7654 32", "GB82WEST12345698765432", "DE89370400440532013000"],
    PiiKind.PASSPORT: ["护照号E12345678", "passport no. EA1234567", "护照：123456789"],
    PiiKind.US_SSN: ["SSN 536-90-4399", "社会安全号 536-90-4399"],
    PiiKind.CN_MOBILE: ["13800138000", "138-0013-8000", "138 0013 8000", "+86 138 0013 8000",
                        "tel13800138000"],
    PiiKind.CN_LANDLINE: ["010-65551234", "(010) 65551234", "（010）65551234", "电话01065551234",
                          "+86 10 6555 1234"],
    PiiKind.PHONE: ["+1 212-555-2368", "(212) 555-2368", "+44 20 7946 0958", "+442079460958"],
    PiiKind.EMAIL: ["wang@example.com", "a.b+c@mail.example.co.uk"],
    PiiKind.CN_LICENCE_PLATE: ["京A12345", "粤B·D1234", "沪AD12345"],
    PiiKind.NETWORK_ADDRESS: ["114.114.114.114", "240e:58c0:0:1::53"],
}  # fmt: skip
NEAR_MISSES = [
    "110105194912310021",  # checksum
    "110105194913310021",  # month
    "91350100M000100Y43",  # a unified social credit code
    "4111 1111 1111 1112",
    "1234567890123456",
    "GB82 WEST 1234 5698 7654 33",
    "E12345678",  # nothing says that it is a passport
    "536-90-4399",
    "12345678901",
    "1380013800",
    "138001380001",
    "ab13800138000cd",
    "order_id=13800138000",
    "订单号：13800138000",
    "0.13800138000",
    "550e8400-e29b-41d4-a716-446655440000",
    "1690000000000",
    "2026-11-22 08:00:00",
    "d41d8cd98f00b204e9800998ecf8427e",
    "version 10.20.30.40",
    "192.168.1.1 127.0.0.1 10.0.0.1",
    "1.2.3.4",
    "39.916527,116.397128",
    "git@github.com:owner/name.git",
    "https://bob:word@host.org/x",
    "icon@2x.png",
    "pkg@1.2.3",
    "中国ABCDE",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in VALID.items() for text in texts])
def test_each_kind_is_found_alone_in_chinese_and_in_english(kind: PiiKind, text: str) -> None:
    for written in (text, f"请联系{text}，谢谢。", f"Please see ({text}), thanks.", f'{{"k": "{text}"}}'):
        assert kinds(PII, written) == {kind: 1}, written
    assert kinds(Pii([kind]), text) == {kind: 1}
    assert kinds(Pii(set(PiiKind) - {kind}), text) == {}


@pytest.mark.parametrize("text", NEAR_MISSES)
def test_near_misses_are_left_alone(text: str) -> None:
    assert kinds(PII, f"{text}\nx {text} y\n") == {}


@pytest.mark.parametrize(("kind", "text"), [(kind, texts[0]) for kind, texts in VALID.items()])
def test_a_hit_never_shows_the_value(kind: PiiKind, text: str) -> None:
    hit = only_hit(PII, text)
    assert hit.kind == kind
    assert "*" in hit.shown
    assert re.sub(r"[^0-9A-Za-z]", "", text) not in hit.shown


def test_a_word_that_ends_like_the_number_of_china_hides_nothing() -> None:
    assert kinds(PII, "x86 13800138000") == {"cn_mobile": 1}
    assert kinds(PII, "18613800138000 x13800138000") == {}


def test_full_width_digits_and_signs_hide_nothing() -> None:
    assert only_hit(PII, "电话１３８００１３８０００。").shown == "138****8000"
    assert kinds(PII, "邮箱ｗａｎｇ＠ｅｘａｍｐｌｅ．ｃｏｍ") == {"email": 1}
    assert kinds(PII, "138\u20110013\u20118000 and 4111\u00a01111\u00a01111\u00a01111") == {
        "cn_mobile": 1,
        "bank_card": 1,
    }


def _is_id_card(number: str) -> bool:
    """By the standard, GB 11643: weights, date, a first digit of a province."""
    weights = [pow(2, 17 - place, 11) for place in range(17)]
    total = sum(weight * int(digit) for weight, digit in zip(weights, number, strict=False))
    try:
        datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return number[0] != "9" and number[17].upper() == "10X98765432"[total % 11]


def test_id_cards_are_those_of_the_standard_in_every_window_of_digit_soup() -> None:
    rng = random.Random(5)
    lines, expected = [], []
    for number in range(400):
        year, month, day = rng.randint(1900, 2025), rng.randint(1, 12), rng.randint(1, 28)
        place_of_birth = rng.choice(["110105", "440301", "310101", "999999"])
        front = f"{place_of_birth}{year}{month:02}{day:02}{rng.randrange(1000):03}"
        digit = ric.calc_check_digit(front + "0") if rng.random() < 0.7 else str(rng.randrange(10))
        pad = "".join(rng.choices(["", "7", " ", "中", "x", ",", "0."], k=4))
        line = pad[:2] + front + digit + pad[2:]
        lines.append(line)
        for place in range(len(line) - 17):
            window = line[place : place + 18]
            before, after = line[max(0, place - 2) : place], line[place + 18 : place + 20]
            alone = not re.search(r"[0-9A-Za-z]\Z|[0-9]\.\Z", before)
            alone = alone and not re.match(r"[0-9A-Za-z]|\.[0-9]", after)
            if alone and re.fullmatch(r"[0-9]{17}[0-9Xx]", window) and _is_id_card(window):
                expected.append((number, window.upper()))
    finder = PiiFinder(frozenset({PiiKind.CN_ID_CARD}))
    assert [(unit, value) for unit, _, _, value in found(finder, lines)] == expected
    assert len(expected) > 50


def test_bank_cards_have_the_checksum_of_stdnum() -> None:
    rng = random.Random(6)
    numbers = ["62" + "".join(rng.choices("0123456789", k=14)) for _ in range(300)]
    finder = PiiFinder(frozenset({PiiKind.BANK_CARD}))
    hits = [unit for unit, *_ in found(finder, numbers)]
    assert hits == [place for place, number in enumerate(numbers) if luhn.is_valid(number)]


def test_mobile_numbers_are_those_of_phonenumbers() -> None:
    rng = random.Random(7)
    numbers = ["1" + "".join(rng.choices("0123456789", k=10)) for _ in range(400)]
    finder = PiiFinder(frozenset({PiiKind.CN_MOBILE}))
    hits = [unit for unit, *_ in found(finder, numbers)]
    mobile = phonenumbers.PhoneNumberType.MOBILE
    assert hits == [
        place
        for place, number in enumerate(numbers)
        if phonenumbers.number_type(phonenumbers.parse(number, "CN")) == mobile
    ]


SIGNS = st.sampled_from(
    ["1", "3", "8", "62", "13800138000", ID_CARD, "4111 1111", "-", " ", "+86", "+1", "(010)", "010", "6555",
     "a@b", ".com", ".", "京A", "护照", "passport", "E12345678", "GB82WEST12345698765432", "中", "，", "１３",
     "＠", "\u2011", "\u00a0", "240e:", "::1", "8.8.4.4", "212-555-2368", "536-90-4399", "ssn", ")", "x",
     "114.114.114.114", "\u3000"]
)  # fmt: skip


@given(st.lists(st.lists(SIGNS, max_size=7).map("".join), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_choosing_lines_first_finds_the_same(lines: list[str]) -> None:
    every = frozenset(PiiKind)
    assert found(PiiFinder(every), lines) == found(PiiFinder(every, prefilter=False), lines)


@pytest.mark.parametrize("text", [text for texts in VALID.values() for text in texts] + NEAR_MISSES)
def test_choosing_lines_first_finds_every_kind(text: str) -> None:
    wide = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)
    lines = [text, f"中{text}文", f"-{text}-", wide, text.replace(" ", "\u00a0").replace("-", "\u2010")]
    every = frozenset(PiiKind)
    assert found(PiiFinder(every), lines) == found(PiiFinder(every, prefilter=False), lines)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_in_any_encoding(encoding: str) -> None:
    text = f"第一行\n身份证{ID_CARD}，电话13800138000。\nplain line of text, to have more of it\n" * 2
    detection = scan(PII, text.encode(encoding))
    assert detection.counts == {"cn_id_card": 2, "cn_mobile": 2}
    assert [hit.line for hit in detection.hits] == [2, 2, 5, 5]


def test_text_that_is_ascii_for_long_before_it_is_gb18030() -> None:
    data = b"plain\n" * (BLOCK_BYTES // 6) + f"张三啊13800138000哈，{ID_CARD}李\n".encode("gb18030")
    assert kinds(PII, data) == {"cn_id_card": 1, "cn_mobile": 1}


def test_compressed_text_and_tables() -> None:
    data = f'{{"t": "{ID_CARD}"}}\n'.encode()
    zipped = gzip.compress(data, mtime=0)
    table = zstandard.compress(b"t\n" + data)
    for name, packed in (("a.jsonl.gz", zipped), ("a.log.gz", zipped), ("a.csv.zst", table)):
        assert kinds(PII, packed, name) == {"cn_id_card": 1}, name


def test_escapes_of_json_hide_nothing() -> None:
    rows = [f"身份证{ID_CARD}", "手机\n13800138000\t好", "a@b.example.com"]
    plain = "\n".join(json.dumps({"t": row}, ensure_ascii=False) for row in rows)
    escaped = "\n".join(json.dumps({"t": row}) for row in rows)
    every = "\n".join('{"t": "' + "".join(f"\\u{ord(sign):04x}" for sign in row) + '"}' for row in rows)
    nested = json.dumps([{"t": plain.replace("\n", "")}])
    for name in ("a.jsonl", "a.txt", "a.csv"):
        for text in (plain, escaped, every):
            assert kinds(PII, text, name) == {"cn_id_card": 1, "cn_mobile": 1, "email": 1}, (name, text)
    assert kinds(PII, nested, "a.json") == {"cn_id_card": 1, "cn_mobile": 1, "email": 1}


def test_places_in_tables_of_text() -> None:
    detection = scan(PII, f'name,note\nli,none\n"wa\nng","call\n{ID_CARD}"\nzhao,x@example.com\n', "a.csv")
    assert [(hit.line, hit.record, hit.column) for hit in detection.hits] == [(5, 1, "note"), (6, 2, "note")]
    hit = only_hit(PII, f'{{"a": 1}}\n\n{{"a": "x", "b": ["y", "{ID_CARD}"]}}\n', "a.jsonl")
    assert (hit.line, hit.record, hit.column) == (3, 1, "b")
    hit = only_hit(PII, f'[{{"a": 1}}, {{"a": "{ID_CARD}"}}]', "a.json")
    assert (hit.line, hit.record) == (1, None)  # two records on one line: it can't be told which


def test_text_in_columns_nested_too_and_numbers() -> None:
    data = parquet(
        {
            "text": ["x", f"他的{ID_CARD}", None],
            "nested": pa.array([[], [{"mail": ["y", "li@example.com"]}], None]),
            "coded": pa.array(["k", "k", "13800138000"]).dictionary_encode(),
            "phone": pa.array([13900139000, 5, None], pa.int64()),
            "id": pa.array([13900139000, 5, None], pa.int64()),
            "small": pa.array([1, 2, 3], pa.int32()),
        }
    )
    detection = scan(PII, data, "a.parquet")
    assert [(hit.kind, hit.record, hit.column, hit.line) for hit in detection.hits] == [
        ("cn_id_card", 1, "text", None),
        ("email", 1, "nested.mail", None),
        ("cn_mobile", 2, "coded", None),
        ("cn_mobile", 0, "phone", None),
    ]
    assert (detection.scanned_records, detection.scanned_bytes) == (3, len(data))


def test_a_value_across_any_border_counts_once() -> None:
    for border in (PIECE_BYTES, BLOCK_BYTES, BLOCK_BYTES - AFTER_BYTES):
        for shift in (-18, -9, 0):
            data = b"," * (border + shift) + f"{ID_CARD},{ID_CARD}".encode() + b"," * PIECE_BYTES
            assert kinds(PII, data) == {"cn_id_card": 2}, (border, shift)


def test_a_long_line_of_escapes_is_cut_nowhere_inside_one() -> None:
    text = ("中文" * 400 + "13800138000。") * 1000
    escaped = json.dumps([{"t": text}])
    assert len(escaped) > BLOCK_BYTES
    assert kinds(PII, escaped, "a.json") == {"cn_mobile": 1000}


def test_what_is_no_text_is_clean_and_says_so() -> None:
    detection = scan(PII, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 9, "a.png")
    assert (detection.status, detection.scanned_bytes, detection.reason) == (
        DetectionStatus.CLEAN,
        0,
        "not text",
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.parquet", b"PAR1" + b"x" * 99 + b"PAR1"),
        ("a.arrow", b"ARROW1\0\0" + b"x" * 99),
        ("a.jsonl.gz", gzip.compress(b"plain\n" * 999, mtime=0)[:-20]),
        ("a.docx", b"PK\x03\x04" + bytes(99)),
        ("a.pdf", b"%PDF-1.7\n" + bytes(99)),
    ],
)
def test_what_can_not_be_looked_into_is_unknown(name: str, data: bytes) -> None:
    detection = scan(PII, data, name)
    assert detection.status is DetectionStatus.UNKNOWN
    assert detection.reason


def test_an_empty_file_is_clean_and_answers_repeat_to_the_byte() -> None:
    assert scan(PII, b"").status is DetectionStatus.CLEAN
    data = f"{ID_CARD} 13800138000\n" * 30
    detection = scan(PII, data)
    assert detection.counts == {"cn_id_card": 30, "cn_mobile": 30}
    assert len(detection.hits) == 20
    encoded = encode_detection(detection)
    assert encoded == encode_detection(scan(Pii(), data))
    assert decode_detection(encoded) == detection


def test_an_absent_library_is_named_with_its_extra() -> None:
    with pytest.raises(DetectorUnavailableError, match="no-such-package") as caught:
        library_version("no-such-package", "detectors")
    assert "dsvc[detectors]" in str(caught.value.hint)


def test_presidio_looks_too_where_it_is_installed() -> None:
    pytest.importorskip("presidio_analyzer")
    counts = kinds(Pii(presidio=True), "card 4111 1111 1111 1111 of a@example.com")
    assert counts["presidio_credit_card"] == counts["bank_card"] == counts["presidio_email_address"] == 1
