"""Selectors to rows, against plain Python; rows in other versions; hashes of rows."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import random
import struct
import sys
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rfc8785

from dsvc.model.feedback import Selector
from dsvc.porcelain.feedback.feedback_resolve import Hit, Resolver
from dsvc.porcelain.feedback.feedback_subject import find_subject
from dsvc.porcelain.lineage.row_carry import GONE, CarriedBy, carry_rows
from dsvc.porcelain.records.request_chain import salt
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.table.exchange.row_json import canonical_json, canonical_row, doc_hashes
from tests.feedbackkit import FeedbackLab

ROWS: list[dict[str, Any]] = [
    {"id": n, "名": f"行 {n % 7}", "x": n / 4, "ok": n % 2 == 0, "no": None if n % 5 else n}
    for n in range(40)
]
ROWS.append(dict(ROWS[3]))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> FeedbackLab:
    made = FeedbackLab(tmp_path_factory.mktemp("resolve"))
    made.write("t/a.jsonl", ROWS)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ROWS[0]))
    writer.writeheader()
    writer.writerows(ROWS)
    made.put("t/b.csv", text.getvalue())
    pq.write_table(pa.Table.from_pylist(ROWS), made.root / "t" / "c.parquet")
    made.commit("tables")
    return made


def resolver(lab: FeedbackLab, subject: str) -> Resolver:
    return Resolver(lab.repo, find_subject(lab.repo, subject), salt(lab.repo))


def rows_by(rows: list[dict[str, Any]], wanted: dict[str, Any]) -> list[int]:
    return [
        n for n, row in enumerate(rows) if all(row[k] is not None and row[k] == v for k, v in wanted.items())
    ]


@pytest.mark.parametrize("path", ["t/a.jsonl", "t/b.csv", "t/c.parquet"])
def test_keys_as_a_plain_search_finds_them(lab: FeedbackLab, path: str) -> None:
    asked: list[dict[str, Any]] = [{"id": n} for n in range(-1, 42)]
    asked += [{"名": f"行 {n % 7}", "id": n} for n in range(40)] + [
        {"名": "行 3"},
        {"no": 5},
        {"ok": True, "id": 4},
    ]
    answers = resolver(lab, path).resolve([Selector(row=each) for each in asked])
    for wanted, answer in zip(asked, answers, strict=True):
        found = rows_by(ROWS, wanted)
        if len(found) == 1:
            assert isinstance(answer, Hit), (wanted, answer)
            assert answer.rows.tolist() == found
        else:
            assert isinstance(answer, str)
            assert ("more than one" in answer) == (len(found) > 1)


@pytest.mark.parametrize("path", ["t/a.jsonl", "t/b.csv", "t/c.parquet"])
def test_other_ways(lab: FeedbackLab, path: str) -> None:
    at = resolver(lab, path)
    every = [
        Selector(position=17),
        Selector(position=41),
        Selector(where="id >= 38 and ok == true"),
        Selector(where="id > 1000"),
        Selector(where="nonsense ="),
        Selector(where="absent == 1"),
        Selector(column="x"),
        Selector(column="absent"),
        Selector(row={"absent": 1}),
        Selector(row={"id": "17"}),
        Selector(row={"id": 17.0}),
        Selector(row={"id": 17.5}),
        Selector(row={"id": None}),
        Selector(row={"id": "x"}),
        Selector(),
        Selector(path=b"nowhere"),
        Selector(ref="HEAD:t/a.jsonl#id=9"),
        Selector(ref="no reference"),
        Selector(ref=f"{'0' * 40}:t/a.jsonl#id=9"),
        Selector(row_hash="blake3:xyz"),
        Selector(doc="md5:00"),
    ]
    found = at.resolve(every)
    rows = [answer.rows.tolist() if isinstance(answer, Hit) else None for answer in found]
    assert rows[:3] == [[17], None, [38]]
    assert rows[6] == list(range(41))
    assert rows[9:11] == [[17], [17]]
    assert rows[16] == [9]
    nothing = [place for place, each in enumerate(rows) if each is None]
    assert nothing == [1, 3, 4, 5, 7, 8, 11, 12, 13, 14, 15, 17, 18, 19, 20]
    assert all(isinstance(found[place], str) and found[place] for place in nothing)


def test_hashes_find_rows_in_any_table_of_the_subject(lab: FeedbackLab) -> None:
    key = salt(lab.repo)
    hashes = [blake3.blake3(canonical_row(row), key=key).hexdigest() for row in ROWS]
    docs = [
        hashlib.sha256(json.dumps(row, indent=2, ensure_ascii=False).encode()).hexdigest() for row in ROWS
    ]
    at = resolver(lab, "t/a.jsonl")
    asked = [Selector(row_hash=f"blake3:{hashes[n]}") for n in (5, 3)] + [Selector(doc=f"sha256:{docs[8]}")]
    first, twice, doc = at.resolve([*asked])
    assert isinstance(first, Hit)
    assert first.rows.tolist() == [5]
    assert isinstance(twice, str)
    assert isinstance(doc, Hit)
    assert doc.rows.tolist() == [8]
    # The same row stands in three tables of the folder.
    (several,) = resolver(lab, "t").resolve([asked[0]])
    assert several == "its hash: more than one row has it"


def test_a_row_that_lacks_a_column_is_found_as_libraries_fill_it() -> None:
    row = {"id": 1, "q": "问"}
    whole = {"id": 1, "hint": None, "q": "问"}
    plain = [
        hashlib.sha256(json.dumps(r, indent=2, ensure_ascii=False).encode()).digest() for r in (row, whole)
    ]
    assert doc_hashes(row, ["id", "hint", "q"]) == plain


def test_a_subject_of_several_tables_needs_a_path(lab: FeedbackLab) -> None:
    at = resolver(lab, "t")
    bare, named, below = at.resolve(
        [
            Selector(row={"id": 5}),
            Selector(path=b"t/b.csv", row={"id": 5}),
            Selector(path=b"b.csv", position=5),
        ]
    )
    assert isinstance(bare, str)
    assert [each.rows.tolist() for each in (named, below) if isinstance(each, Hit)] == [[5], [5]]


def test_canonical_json_is_that_of_the_standard() -> None:
    chance = random.Random(5)
    numbers = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(3000)]
    numbers += [chance.randint(-(10**9), 10**9) / 10 ** chance.randint(0, 25) for _ in range(3000)]
    numbers += [0.0, -0.0, 1e21, 1e-7, 1e-6, 123456789012345680000.0, 5e-324, 9007199254740991, -12]
    for number in filter(math.isfinite, numbers):
        assert canonical_json(number) == rfc8785.dumps(number).decode()
    value = {"\U0001f600": [1, None, {"é": '\x00\x1f\x7f\u2028"\\/'}], "\ufb33": True, "a": "评"}
    assert canonical_json(value) == rfc8785.dumps(value).decode()
    assert canonical_row({"b": None, "a": 1 << 60}) == b'{"a":"1152921504606846976"}'


def test_rows_are_carried_as_a_plain_search_carries_them(tmp_path: Path) -> None:
    lab = FeedbackLab(tmp_path)
    chance = random.Random(3)
    old = _digest(lab, "a.jsonl")
    before = list(lab.rows)
    after = [dict(row) for row in before if row["id"] % 5]
    chance.shuffle(after)
    for row in after[::4]:
        row["text"] = "changed"
    after += [{"id": 100, "text": "new", "label": 1}, dict(after[0])]
    lab.write("a.jsonl", after)
    lab.put("dsvc.toml", '[tables."*.jsonl"]\nkey = "id"\n')
    lab.commit("second")
    new = _digest(lab, "a.jsonl")
    carried = carry_rows(lab.repo, b"a.jsonl", old, np.arange(len(before)), new)
    keys = [row["id"] for row in after]
    for row, at, how in zip(before, carried.rows.tolist(), carried.how.tolist(), strict=True):
        if row in after:
            assert (at, how) == (after.index(row), CarriedBy.CONTENT)
        elif keys.count(row["id"]) == 1:
            assert (at, how) == (keys.index(row["id"]), CarriedBy.KEY)
        else:
            assert (at, how) == (GONE, CarriedBy.NOTHING)
    back = carry_rows(lab.repo, b"a.jsonl", new, np.array([0, 1]), old)
    assert [before[row]["id"] for row in back.rows.tolist() if row >= 0] == [
        key for key in keys[:2] if keys.count(key) == 1 or after[keys.index(key)] in before
    ]


def test_row_maps_reach_rows_that_changed_wholly(tmp_path: Path) -> None:
    lab = FeedbackLab(tmp_path)
    lab.put("up.py", _UPPER)
    spec = RunSpec(name="up", inputs=[b"a.jsonl"], outputs=[b"up.jsonl"])
    lab.repo.run(spec, [sys.executable, "up.py"], environ=dict(os.environ))
    lab.commit("run")
    carried = carry_rows(
        lab.repo, b"a.jsonl", _digest(lab, "a.jsonl"), np.array([0, 7, 19]), _digest(lab, "up.jsonl"),
        new_path=b"up.jsonl",
    )  # fmt: skip
    assert carried.rows.tolist() == [19, 12, 0]
    assert set(carried.how.tolist()) == {CarriedBy.MAP}


_UPPER = """
import json, os
import pyarrow as pa, pyarrow.parquet as pq
rows = [json.loads(line) for line in open("a.jsonl", encoding="utf-8")]
made = [{"n": f"r{row['id'] + 500}", "said": row["text"] * 2} for row in reversed(rows)]
open("up.jsonl", "w", encoding="utf-8").write("".join(json.dumps(row) + "\\n" for row in made))
links = [{"output": "up.jsonl", "output_row": n, "input": "a.jsonl", "input_row": 19 - n} for n in range(20)]
pq.write_table(pa.Table.from_pylist(links), os.path.join(os.environ["DSVC_RUN_DIR"], "rowmap.parquet"))
"""


def test_a_file_of_a_folder_that_moved(tmp_path: Path) -> None:
    lab = FeedbackLab(tmp_path)
    old = lab.take({"path": "图/1.png", "symptom": "dark"}).record
    place = next(iter(lab.repo.defects())).rows[0]
    (lab.root / "图" / "1.png").rename(lab.root / "图" / "a.png")
    lab.put("图/2.png", "another picture")
    lab.commit("moved")
    new = lab.take({"path": "图/a.png", "symptom": "dark"}, suite="two")
    assert new.extended
    digest = lab.repo.defects()[0].rows[-1].digest
    carried = carry_rows(lab.repo, place.path, place.digest, np.array([0, 1, 2]), digest)
    assert carried.rows.tolist() == [0, 2, 1]
    assert old.observations == 1


def _digest(lab: FeedbackLab, path: str) -> bytes:
    entry = lab.repo.manifest_of("HEAD").get(path.encode())
    assert entry is not None
    return entry.digest
