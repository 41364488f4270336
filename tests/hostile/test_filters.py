"""Conditions on rows (``--where``, queries in result files): a closed grammar, in which nothing is code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dsvc.model.errors import DsvcError
from tests.feedbackkit import FeedbackLab
from tests.outside import watched


def conditions() -> list[str]:
    return [
        "1 = 1; DROP TABLE t",
        "id = 1; --",
        "id = 1 -- comment",
        "id = 1 /* comment */",
        "id = (SELECT 1)",
        "id IN (SELECT id FROM t)",
        "id = 1 UNION SELECT content FROM read_text('/etc/passwd')",
        "read_text('/etc/passwd') = 'x'",
        "getenv('HOME') = 'x'",
        "id = pow(2, 2)",
        "id::text = '1'",
        "CAST(id AS text) = '1'",
        "text ~ '(a+)+$'",
        "text SIMILAR TO '(a+)+'",
        "regexp_matches(text, '(a+)+$')",
        "__import__('os').system('touch x')",
        "id.__class__ = 1",
        "id = 1 OR 1",
        "${id} = 1",
        "id = $1",
        "id = ?",
        "'; ATTACH '/tmp/x.db' AS x; --",
        "id = '\0'",
        "(" * 50_000 + "id = 1" + ")" * 50_000,
        "NOT " * 50_000 + "id = 1",
        " AND ".join(["id = 1"] * 50_000),
        "id = " + "9" * 100_000,
        "id IN (" + ",".join(["1"] * 200_000) + ")",
        "text = '" + "x" * (1 << 22) + "'",
        '"' + "x" * (1 << 20) + '" = 1',
        "id = 1e999999999",
        "id = -0x1p1023",
    ]


def test_h50_no_condition_is_more_than_a_condition(tmp_path: Path) -> None:
    lab = FeedbackLab(tmp_path)
    lab.take({"suite": "first"}, {"row": {"id": 1}, "symptom": "x"})
    lab.repo.close()

    def case(number: int, where: str) -> Callable[[], object]:
        lines = [{"suite": f"s{number}"}, {"path": "a.jsonl", "where": where, "symptom": "x"}]
        path = lab.result(*lines, name=f"{number}.jsonl")

        def take() -> object:
            try:
                done = lab.repo.feedback_import(path, subject="HEAD:a.jsonl", suite=f"s{number}")
            except DsvcError as error:
                return error.exit_code
            return [each.reason for each in done.unresolved]

        return take

    cases = {f"{number} {where[:40]!r}": case(number, where) for number, where in enumerate(conditions())}
    for name, ended in watched(cases, Path(lab.root)).items():
        assert ended.value is not None, (name, ended)
        assert ended.value in (2, 14, 41) or isinstance(ended.value, list), (name, ended)
    assert not (Path(lab.root) / "x").exists()
