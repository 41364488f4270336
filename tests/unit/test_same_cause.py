"""Rows that share the causes of a defect, and rows that are nearly its own."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from dsvc.model.defect import Cause, CauseKind
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunKind
from dsvc.policy.detectors.shingles import jaccard, shingle_set
from dsvc.porcelain.feedback.cause_report import cause_report
from dsvc.porcelain.feedback.near_rows import near_rows
from dsvc.porcelain.feedback.not_flagged import SHOWN, not_flagged
from dsvc.porcelain.feedback.same_cause import selected_rows
from dsvc.porcelain.records.defect_chain import defect_state
from tests.defectkit import open_defect, record_feedback
from tests.lineagekit import Lab, csv
from tests.porcelain.working import Work

RULES = '[tables."*.csv"]\nkey = ["id"]\ncontent = "text"\n'
ROWS = 600
PART = 120
"""Rows of the first batch, of which a third is flagged."""
FLAGGED = list(range(0, PART, 3))


def sentence(draw: random.Random) -> str:
    return " ".join("".join(draw.choices("abcdefghijkl", k=5)) for _ in range(12))


def texts() -> list[str]:
    """All different, but that row 2 is nearly row 0, and row 300 the same as row 3."""
    draw = random.Random(5)
    found = [sentence(draw) for _ in range(ROWS)]
    found[2] = found[0][:-2] + "zz"
    found[300] = found[3].upper()
    return found


def cause(kind: CauseKind, id_: str) -> Cause:
    return Cause(
        kind=kind,
        id=id_,
        bad=1,
        total=1,
        lift=1.0,
        lift_low=1.0,
        lift_high=1.0,
        p_value=1.0,
        log10_p=0.0,
        p_adjusted=1.0,
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Two batches are labelled and put together; 成品.csv is what is evaluated, head.csv its beginning."""
    lab = Lab(Work(tmp_path_factory.mktemp("same") / "数据"))
    lab.work.write({b"dsvc.toml": RULES.encode()})
    rows = list(enumerate(texts()))
    parts = [(b"first.csv", rows[:PART]), (b"second.csv", rows[PART:])]
    labelled = []
    for number, (name, some) in enumerate(parts):
        raw = lab.put({b"raw/" + name: csv([(n,) for n, _ in some], "id")})[b"raw/" + name]
        made = lab.put({name: csv(some, "id,text")})[name]
        same = [(n, n) for n in range(len(some))]
        facts = {"annotator": f"ann-{number}", "batch": f"b-{number}"}
        lab.run("label", [raw], [made], {(0, 0): same}, kind=RunKind.LABEL, facts=facts)
        labelled.append(made)
    final = lab.put({"成品.csv".encode(): csv(rows, "id,text")})["成品.csv".encode()]
    lab.run(
        "mix",
        labelled,
        [final],
        {(0, 0): [(n, n) for n in range(PART)], (0, 1): [(PART + n, n) for n in range(ROWS - PART)]},
    )
    head = lab.put({b"head.csv": csv(rows[: PART + 10], "id,text")})[b"head.csv"]
    lab.run("head", [final], [head], {(0, 0): [(n, n) for n in range(PART + 10)]})
    lab.commit()
    return lab


def commit(lab: Lab) -> CommitId:
    found = lab.repo.history.refs.head().commit
    assert found is not None
    return found


@pytest.fixture(scope="module")
def defect(lab: Lab) -> str:
    final = entry(lab)
    id_ = record_feedback(lab.repo, commit(lab), final, evaluated=[(final, None)])
    return open_defect(lab.repo, id_, final, FLAGGED)


def entry(lab: Lab) -> Entry:
    found = lab.repo.manifest_of("HEAD").get("成品.csv".encode())
    assert found is not None
    return found


def test_rows_of_a_cause(lab: Lab, defect: str) -> None:
    state = defect_state(lab.repo, defect)

    def of(*causes: Cause) -> list[int]:
        found: list[int] = selected_rows(lab.repo, state, commit(lab), causes).tolist()
        return found

    assert of(cause(CauseKind.ANNOTATOR, "ann-0")) == list(range(PART))
    assert of(cause(CauseKind.BATCH, "b-0"), cause(CauseKind.ANNOTATOR, "ann-1")) == list(range(ROWS))
    assert of(cause(CauseKind.ANNOTATOR, "nobody")) == []
    assert of() == []


def test_a_version_without_the_artifact_has_no_rows(lab: Lab, defect: str, tmp_path: Path) -> None:
    other = Lab(Work(tmp_path / "other"))
    other.put({b"a.csv": csv([(1, 2)])})
    other.commit()
    with pytest.raises(NotFoundError):
        selected_rows(other.repo, defect_state(lab.repo, defect), commit(other), [])


def test_what_shares_the_causes_and_is_not_flagged(lab: Lab, defect: str) -> None:
    report = cause_report(lab.repo, defect)
    top = report.top[0]
    # One set of rows with many names: the run comes first of those that it has.
    assert (top.kind, top.bad, top.total) == (CauseKind.RUN, len(FLAGGED), PART)
    assert {"annotator ann-0", "batch b-0", "artifact first.csv"} <= set(top.aliases)
    found = not_flagged(lab.repo, defect, report)
    rest = [row for row in range(PART) if row not in FLAGGED]
    own, *others = found.same_cause
    assert (own.path, own.count) == ("成品.csv".encode(), len(rest))
    assert list(own.positions) == rest[:SHOWN]
    assert [key["id"] for key in own.keys] == rest[:SHOWN]
    assert own.causes == {f"run {top.id}": len(rest)}
    # Also tables that came of the same run, and what it made.
    assert {each.path: each.count for each in others} == {b"first.csv": PART, b"head.csv": PART}
    assert found.tables_left_out == 0


def test_near_duplicates_of_flagged_rows(lab: Lab, defect: str) -> None:
    found = not_flagged(lab.repo, defect, cause_report(lab.repo, defect))
    assert found.columns == ("text",)
    assert found.reason is None
    assert found.near is not None
    assert (found.near.count, found.near.positions) == (2, (2, 300))


def test_near_rows_are_those_of_all_pairs() -> None:
    draw = random.Random(1)
    given = [sentence(draw) for _ in range(15)]
    others = [sentence(draw) for _ in range(40)]
    for number in range(0, 40, 3):
        text = list(given[number % 15])
        for _ in range(draw.randint(0, 6)):
            text[draw.randrange(len(text))] = draw.choice("xyz")
        others[number] = "".join(text)
    others[7] = ""
    found = near_rows([*given, ""], others)
    alike = np.array([[jaccard(shingle_set(one), shingle_set(two)) for one in given] for two in others])
    # Of pairs at the very threshold a sketch may miss one.
    surely, perhaps = (set(np.flatnonzero(alike.max(axis=1) >= least).tolist()) for least in (0.85, 0.8))
    assert surely <= set(found.rows.tolist()) <= perhaps
    assert surely
    for row, partner in zip(found.rows.tolist(), found.partner.tolist(), strict=True):
        assert alike[row, partner] >= 0.8
    assert found.complete
