"""Causes of a defect: over which rows they are counted, what is kept, how evaluation sets reach the data."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from dsvc.model.defect import CauseKind, Denominator
from dsvc.model.errors import NotFoundError
from dsvc.model.feedback import EvaluationRun
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunKind
from dsvc.porcelain.feedback.cause_report import CauseReport, cause_report
from dsvc.porcelain.feedback.cause_routes import RouteKind
from dsvc.porcelain.records.defect_chain import NoSuchDefectError
from tests.defectkit import extend_defect, open_defect, record_feedback
from tests.lineagekit import Lab, csv
from tests.porcelain.working import Work

RULES = '[tables."*.csv"]\nkey = ["id"]\nannotator = "谁"\nlabel = "label"\n'
ROWS = 600
BAD = list(range(1, ROWS, 10))
"""Rows of 王, who annotated each fifth row: half of them."""


def rows_of(count: int, shift: int = 0) -> list[tuple[object, ...]]:
    return [(number + shift, _sentence(number), _who(number), number % 3) for number in range(count)]


def _sentence(number: int) -> str:
    draw = random.Random(number)
    return " ".join("".join(draw.choices("abcdefghij", k=6)) for _ in range(6))


def _who(number: int) -> str:
    return "王" if number % 5 == 1 else ("李" if number % 2 else "张")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """web.csv and books.csv become labelled.csv, which becomes train.csv in reverse, and eval.csv."""
    folder = tmp_path_factory.mktemp("causes") / "数据"
    lab = Lab(Work(folder))
    lab.work.write({b"dsvc.toml": RULES.encode()})
    half = ROWS // 2
    raw = [
        lab.put({name: csv([(n,) for n in range(start, start + half)], "id")})[name]
        for name, start in ((b"web.csv", 0), (b"books.csv", half))
    ]
    lab.source("web", [raw[0]])
    lab.source("books", [raw[1]])
    labelled = lab.put({b"labelled.csv": csv(rows_of(ROWS), "id,text,谁,label")})[b"labelled.csv"]
    lab.run(
        "label",
        raw,
        [labelled],
        {(0, 0): [(n, n) for n in range(half)], (0, 1): [(half + n, n) for n in range(half)]},
        kind=RunKind.LABEL,
        facts={"batch": "b-7"},
    )
    train = lab.put({b"train.csv": csv(rows_of(ROWS)[::-1], "id,text,谁,label")})[b"train.csv"]
    lab.run("shuffle", [labelled], [train], {(0, 0): [(n, ROWS - 1 - n) for n in range(ROWS)]})
    held = rows_of(60, shift=10_000)
    evaluation = lab.put({b"eval.csv": csv(held, "id,text,谁,label")})[b"eval.csv"]
    lab.run("hold out", [raw[0]], [evaluation], {(0, 0): [(n, n) for n in range(60)]})
    lab.commit()
    lab.repo.close()
    return folder


@pytest.fixture
def lab(made: Path, tmp_path: Path) -> Lab:
    shutil.copytree(made, tmp_path / "数据")
    return Lab(Work(tmp_path / "数据"))


def entry(lab: Lab, path: bytes) -> Entry:
    found = lab.repo.manifest_of("HEAD").get(path)
    assert found is not None
    return found


def head(lab: Lab) -> CommitId:
    commit = lab.repo.history.refs.head().commit
    assert commit is not None
    return commit


def names(report: CauseReport) -> list[tuple[str, str]]:
    return [(cause.kind.value, cause.id) for cause in report.top]


def flagged(rows: list[int]) -> list[int]:
    return [ROWS - 1 - row for row in rows]


def test_the_annotator_is_the_cause(lab: Lab) -> None:
    train = entry(lab, b"train.csv")
    id_ = record_feedback(lab.repo, head(lab), train, evaluated=[(train, None)])
    report = cause_report(lab.repo, open_defect(lab.repo, id_, train, flagged(BAD)))
    assert names(report) == [("annotator", "王")]
    cause = report.causes[0]
    who = Counter(_who(number) for number in range(ROWS))
    assert (cause.bad, cause.total) == (len(BAD), who["王"])
    assert cause.lift == pytest.approx(ROWS / who["王"])
    assert (report.evaluated, report.flagged, report.records, report.lost) == (ROWS, len(BAD), ROWS, 0)
    assert report.denominator is cause.denominator is Denominator.STATED
    assert report.too_few is None
    known = {f"{cause.kind} {cause.id}" for cause in report.causes}
    known |= {alias for cause in report.causes for alias in cause.aliases}
    assert {"source web", "source books", "artifact web.csv", "batch b-7", "column label=1"} <= known
    assert not any(each.startswith(("column id=", "column 谁=", "column text=")) for each in known)


def test_only_evaluated_rows_count(lab: Lab) -> None:
    """Half of the rows were looked at; the counts are of these, and flagged ones are among them."""
    train = entry(lab, b"train.csv")
    looked = list(range(0, ROWS, 2))
    id_ = record_feedback(lab.repo, head(lab), train, evaluated=[(train, looked)])
    rows = flagged(BAD)
    report = cause_report(lab.repo, open_defect(lab.repo, id_, train, rows))
    universe = set(looked) | set(rows)
    assert report.evaluated == len(universe)
    cause = next(each for each in report.causes if each.id == "王")
    assert cause.total == sum(_who(ROWS - 1 - row) == "王" for row in universe)
    assert cause.bad == len(rows)


def test_without_a_statement_the_other_rows_are_assumed(lab: Lab) -> None:
    train = entry(lab, b"train.csv")
    id_ = record_feedback(lab.repo, head(lab), train)
    report = cause_report(lab.repo, open_defect(lab.repo, id_, train, flagged(BAD)))
    assert report.denominator is Denominator.ASSUMED
    assert {cause.denominator for cause in report.causes} == {Denominator.ASSUMED}
    assert report.evaluated == ROWS


def test_few_rows_give_no_answer(lab: Lab) -> None:
    train = entry(lab, b"train.csv")
    id_ = record_feedback(lab.repo, head(lab), train, evaluated=[(train, None)])
    report = cause_report(lab.repo, open_defect(lab.repo, id_, train, [3, 7]))
    assert not report.top
    assert report.too_few


def test_rows_of_an_earlier_version_are_carried(lab: Lab) -> None:
    """The next version lacks ten rows, of which some are flagged, and has the others elsewhere."""
    train = entry(lab, b"train.csv")
    first = record_feedback(lab.repo, head(lab), train, evaluated=[(train, None)])
    id_ = open_defect(lab.repo, first, train, flagged(BAD))
    left = [row for row in rows_of(ROWS)[::-1] if row[0] not in range(10)]
    newer = lab.put({b"train.csv": csv(left, "id,text,谁,label")})[b"train.csv"]
    lab.run("drop", [train], [newer], {(0, 0): [(n, n) for n in range(len(left))]})
    lab.commit()
    second = record_feedback(lab.repo, head(lab), newer, evaluated=[(newer, [0, 1, 2])])
    extend_defect(lab.repo, id_, second, newer, [0])
    report = cause_report(lab.repo, id_)
    assert (report.commit, report.digest) == (head(lab), newer.digest)
    kept = [number for number in BAD if number >= 10]
    assert report.lost == len(BAD) - len(kept)
    assert report.flagged == len({ROWS - 1 - number for number in kept} | {0})
    assert report.evaluated == ROWS - 10


def test_what_was_kept_is_made_again_when_anything_changes(lab: Lab) -> None:
    train = entry(lab, b"train.csv")
    feedback = record_feedback(lab.repo, head(lab), train, evaluated=[(train, None)])
    id_ = open_defect(lab.repo, feedback, train, flagged(BAD))
    first = cause_report(lab.repo, id_)
    folder = os.path.join(lab.repo.layout.cache, "causes")
    (name,) = os.listdir(folder)
    assert cause_report(lab.repo, id_) == first
    # Damaged, or gone: the same again.
    with open(os.path.join(folder, name), "r+b") as file:
        file.seek(90)
        file.write(b"\xff\xff")
    assert cause_report(lab.repo, id_) == first
    shutil.rmtree(folder)
    assert cause_report(lab.repo, id_) == first
    # Another role of the column: another answer.
    lab.work.write({b"dsvc.toml": RULES.replace("annotator", "reviewer").encode()})
    assert names(cause_report(lab.repo, id_)) == [("reviewer", "王")]


def test_observations_on_an_evaluation_set_reach_the_data_by_recorded_routes(lab: Lab) -> None:
    train, held = entry(lab, b"train.csv"), entry(lab, b"eval.csv")
    run = EvaluationRun(tool="plain", eval_set="HEAD:eval.csv")
    id_ = record_feedback(lab.repo, head(lab), train, evaluated=[(held, None)], run=run)
    rows = [number for number in range(60) if _who(number) == "王"]
    report = cause_report(lab.repo, open_defect(lab.repo, id_, held, rows))
    assert report.separate
    assert names(report) == [("annotator", "王")]
    found = {(each.kind, each.id): (each.flagged, each.path, each.rows) for each in report.routes}
    of_wang = sum(_who(number) == "王" for number in range(ROWS))
    assert found == {
        (RouteKind.ARTIFACT, "web.csv"): (len(rows), b"train.csv", ROWS // 2),
        (RouteKind.SOURCE, "web"): (len(rows), b"train.csv", ROWS // 2),
        (RouteKind.ANNOTATOR, "王"): (len(rows), b"train.csv", of_wang),
        # The texts are those of the first rows of the data.
        (RouteKind.NEAR_DUPLICATE, "text"): (len(rows), b"train.csv", len(rows)),
    }


def test_a_row_of_the_data_itself_needs_no_route(lab: Lab) -> None:
    train = entry(lab, b"train.csv")
    id_ = record_feedback(lab.repo, head(lab), b"", evaluated=[(train, None)])
    report = cause_report(lab.repo, open_defect(lab.repo, id_, train, flagged(BAD)))
    assert not report.separate
    assert report.routes == ()


def test_what_is_not_there_is_said(lab: Lab) -> None:
    with pytest.raises(NoSuchDefectError):
        cause_report(lab.repo, "d-00000000")
    train = entry(lab, b"train.csv")
    lab.put({b"train.csv": None})
    lab.repo.add(all=True)
    lab.commit()
    id_ = record_feedback(lab.repo, head(lab), b"", evaluated=[(train, None)])
    with pytest.raises(NotFoundError):
        cause_report(lab.repo, open_defect(lab.repo, id_, train, [0]))


def test_kinds_are_those_of_the_contract() -> None:
    assert [kind.value for kind in CauseKind] == [
        "source",
        "run",
        "artifact",
        "param",
        "batch",
        "annotator",
        "reviewer",
        "rules",
        "column",
    ]
