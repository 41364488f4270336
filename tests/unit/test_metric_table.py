"""Metrics of two versions beside each other: which evaluations, and where diff shows them."""

from __future__ import annotations

import json

import pytest

from tests.resident import resident
from tests.verifykit import RepairLab


def metric(value: float, name: str = "accuracy", **more: object) -> dict[str, object]:
    return {"name": name, "value": value, **more}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> RepairLab:
    """Versions v1, v2, v3 (as v1): suites pilot and 夜间 evaluated v1 and v2, `old` only v1."""
    lab = RepairLab(tmp_path_factory.mktemp("table"))
    lab.repo.create_tag("v1")
    measured = [metric(2.0, "loss", stderr=0.05)]
    lab.evaluate([0, 1], measured, seed="superseded")
    lab.evaluate(range(8), [metric(1.8, "loss", stderr=0.05)])
    lab.evaluate(metrics=[metric(0.5, n=100)], scored=False, suite="夜间", subject="HEAD:")
    lab.evaluate(metrics=[metric(0.5, n=100)], scored=False, suite="old")
    first = list(lab.rows)
    lab.set_label()
    lab.commit("repair")
    lab.repo.create_tag("v2")
    lab.evaluate(metrics=measured)
    lab.evaluate(metrics=[metric(0.4, n=100)], scored=False, suite="夜间", subject="HEAD:", split="other")
    lab.rows = first
    lab.write("a.jsonl", first)
    lab.commit("back")
    lab.repo.create_tag("v3")
    return lab


def test_the_newest_of_each_suite(lab: RepairLab) -> None:
    pairs = lab.repo.metric_table("v1", "v2")
    assert [pair.after.record.suite for pair in pairs] == ["pilot", "夜间"]
    pilot, night = pairs
    assert (pilot.comparable, night.comparable) == (True, True)
    found = {change.name: change for change in pilot.changes}
    assert (found["accuracy"].before, found["accuracy"].after, found["accuracy"].pairs) == (0.6, 1.0, 20)
    assert (found["loss"].before, found["loss"].improved, found["loss"].regressed) == (1.8, False, True)
    assert [(each.before, each.after, each.method) for each in night.changes] == [(0.5, 0.4, "newcombe")]


def test_files_count_not_commits(lab: RepairLab) -> None:
    """v3 has the files of v1: its evaluations are those of v1, and the two don't differ."""
    assert [pair.after.id for pair in lab.repo.metric_table("v2", "v3")] == [
        pair.before.id for pair in lab.repo.metric_table("v1", "v2")
    ]
    assert lab.repo.metric_table("v1", "v3") == []
    assert lab.repo.metric_table("v1", "WORKTREE") == []


def dsvc(lab: RepairLab, *words: str, code: int = 0) -> str:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(lab.root.parent), "DSVC_LANG": "en"}
    done = resident().run(*words, folder=lab.root, environ=environ)
    assert done.returncode == code, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


def test_diff_shows_them_beside_the_rows(lab: RepairLab) -> None:
    text = dsvc(lab, "diff", "v1", "v2", "--stat")
    assert " a.jsonl | 8 rows: ~8, 8 cells" in text.splitlines()
    assert "metrics of 夜间, feedback " in text
    (line,) = [each.split() for each in text.splitlines() if each.startswith("  loss")]
    assert line[:4] == ["loss", "1.8", "2", "+0.2"]
    assert line[-1] == "worse"
    assert "metrics of" in dsvc(lab, "diff", "v1..v2")
    assert "metrics of" not in dsvc(lab, "diff", "v1", "v2", "--name-status")
    # As a patch it is one still.
    assert "metrics of" not in dsvc(lab, "diff", "v1", "v2", "--patch")


def test_diff_as_json(lab: RepairLab) -> None:
    found = json.loads(dsvc(lab, "diff", "v1", "v2", "--json"))["metrics"]
    pairs = lab.repo.metric_table("v1", "v2")
    assert [(each["suite"], each["name"], each["before"], each["after"]) for each in found] == [
        (pair.after.record.suite, change.name, change.before, change.after)
        for pair in pairs
        for change in pair.changes
    ]
    assert found[0]["feedback"] == [pairs[0].before.id, pairs[0].after.id]
    # Without evaluations of both there is no such key.
    for sides in (["v1", "v3"], ["v1"], []):
        assert "metrics" not in json.loads(dsvc(lab, "diff", *sides, "--json"))
