"""NaN and the infinities, as keys of rows, as cells and as figures: what verbs write for programs is JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.cli.main import run as dsvc
from dsvc.cli.terminal.output import encode_json
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import Author
from dsvc.testing.faults import tried

KEYS = [math.nan, 1.5, math.inf, -math.inf, None]
VERBS = """
blame {table}#@0 · blame {table}#@2 · blame {table}#k=1.5
diff HEAD~1 HEAD · diff --schema --stats HEAD~1 HEAD
trace {table}#@0 · trace {table}#@3 · impact {table}#@0 · show HEAD · log · cat {table}#@0 · cat {table}#@3
feedback ref {table}#@0 · feedback list · feedback show {feedback} · defect list · defect show {defect}
repair plan {defect} --drop · repair plan {defect} --set v=nan · diff HEAD · merge other · conflicts · status
"""


def strict(text: str) -> list[object]:
    """Read JSON as the standard has it, line by line."""

    def refuse(word: str) -> object:
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def write(root: Path, version: int) -> None:
    values = [float(version)] * 3 + ([math.nan, math.inf] if version == 1 else [0.5, -math.inf])
    pq.write_table(pa.table({"k": KEYS, "v": values, "l": [[each] for each in values]}), root / "表.parquet")
    words = ["NaN", "1.5", "Infinity", "-Infinity", "null"]
    lines = [f'{{"k": {word}, "v": [{value}]}}\n' for word, value in zip(words, values, strict=True)]
    (root / "t.jsonl").write_text("".join(lines).replace("nan", "NaN").replace("inf", "Infinity"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "数"
    Repository.init(str(root)).close()
    with Repository(str(root), author=Author("Ann", "ann@example.org")) as repo:
        (root / "dsvc.toml").write_text('[tables."*"]\nkey = "k"\n')
        for version in range(2):
            write(root, version)
            repo.add(all=True)
            repo.commit(str(version))
        repo.create_branch("other")
        for branch, version in (("other", 3), ("main", 2)):
            repo.checkout(branch)
            write(root, version)
            repo.add(all=True)
            repo.commit(branch)
    return root


@pytest.mark.parametrize("table", ["表.parquet", "t.jsonl"])
def test_keys_and_cells_that_are_no_numbers_of_json(
    root: Path, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [{"path": table, "position": n, "symptom": "坏", "severity": "P1"} for n in (0, 2, 3)]
    result = tmp_path / "r.jsonl"
    result.write_text("".join(json.dumps(each) + "\n" for each in said))
    with Repository(str(root), author=Author("Ann", "ann@example.org")) as repo:
        found = repo.feedback_import(str(result), subject=f"HEAD:{table}", suite="s")
    named = {"table": table, "feedback": found.feedback, "defect": found.opened[0]}
    listed = [each.split() for line in VERBS.strip().splitlines() for each in line.split("·")]
    for words in listed:
        capsys.readouterr()
        code = dsvc(["-C", str(root), "--json", *(word.format(**named) for word in words)])
        out, err = capsys.readouterr()
        assert code in (0, 1, 16), (words, err)
        assert strict(out) or words[0] in ("trace", "impact"), words
        strict(err)
    tried("hostile cases", len(listed))


def test_a_row_by_a_key_that_is_no_number_of_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dsvc(["-C", str(root), "--json", "blame", "表.parquet#k=NaN"]) == 0
    (found,) = strict(capsys.readouterr().out)
    assert isinstance(found, dict)
    assert found["key"] == {"k": "NaN"}
    assert dsvc(["-C", str(root), "--json", "cat", "表.parquet#k=-inf"]) == 0
    (row,) = strict(capsys.readouterr().out)
    assert isinstance(row, dict)
    assert row["row"]["k"] == "-Infinity"


def test_figures_that_json_lacks_are_text() -> None:
    value = {"a": math.nan, "b": [math.inf, {"c": -math.inf}], "d": (1.5, None, True, "中\u202e")}
    text = encode_json(value)
    assert strict(text) == [
        {"a": "NaN", "b": ["Infinity", {"c": "-Infinity"}], "d": [1.5, None, True, "中\u202e"]}
    ]
    assert "\u202e" not in text
