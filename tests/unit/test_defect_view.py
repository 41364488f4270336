"""A defect in the graph of lineage, on a page, and in the history."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dsvc.cli.environment.settings import Settings
from dsvc.cli.feedback.cause_text import cause_lines
from dsvc.cli.feedback.defect_drawing import drawing_lines, stages_of
from dsvc.cli.feedback.defect_html import page
from dsvc.cli.feedback.defect_json import view_fields
from dsvc.cli.feedback.feedback_mark_text import mark_fields, mark_lines
from dsvc.cli.lineage.lineage_dot import dot_lines, mermaid_lines
from dsvc.cli.lineage.lineage_json import graph_fields
from dsvc.cli.lineage.lineage_tree import tree_lines
from dsvc.cli.lineage.lineage_words import node_words
from dsvc.cli.terminal.output import Output
from dsvc.cli.writing.sizes import width
from dsvc.lineage.graph import DefectNode
from dsvc.model.feedback import Metric
from dsvc.model.ids import CommitId
from dsvc.porcelain.feedback.defect_view import defect_view
from dsvc.porcelain.feedback.feedback_marks import feedback_marks
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.versions.commit import record_commit
from tests.defectkit import open_defect, record_feedback
from tests.lineagekit import Lab, csv
from tests.porcelain.working import Work


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(Work(tmp_path_factory.mktemp("view") / "数据"))
    raw = lab.put({b"raw.csv": csv([(n, n % 3) for n in range(40)], "id,label")})[b"raw.csv"]
    lab.source("web", [raw])
    clean = lab.put({"成品.csv".encode(): csv([(n, n % 3) for n in range(40)], "id,label")})[
        "成品.csv".encode()
    ]
    lab.run("clean", [raw], [clean], {(0, 0): [(n, n) for n in range(40)]})
    lab.commit()
    return lab


@pytest.fixture(scope="module")
def ids(lab: Lab) -> tuple[str, str]:
    clean = lab.repo.manifest_of("HEAD").get("成品.csv".encode())
    assert clean is not None
    metric = Metric(name="accuracy", value=0.81, n=40, higher_is_better=True)
    feedback = record_feedback(lab.repo, head(lab), clean, evaluated=[(clean, None)], metrics=[metric])
    return feedback, open_defect(lab.repo, feedback, clean, [1, 4, 7], symptom="<错> 标签")


def head(lab: Lab) -> CommitId:
    commit = lab.repo.history.refs.head().commit
    assert commit is not None
    return commit


def test_the_graph_of_lineage_has_defects(lab: Lab, ids: tuple[str, str]) -> None:
    for view in (lab.repo.lineage(), lab.repo.lineage("成品.csv"), lab.repo.lineage("raw.csv", "down")):
        fields = graph_fields(view)
        nodes = {str(node["id"]): node for node in fields["nodes"]}  # type: ignore[attr-defined]
        node = nodes[f"defect:{ids[1]}"]
        assert node["kind"] == "defect"
        assert (node["symptom"], node["rows"], node["status"]) == ("<错> 标签", 3, "open")
        clean = next(id_ for id_ in nodes if id_.startswith("成品.csv@"))
        assert {"from": f"defect:{ids[1]}", "to": clean, "kind": "flagged"} in fields["edges"]  # type: ignore[operator]
    # An artifact without defects has none, although another one of the version has.
    assert not any(isinstance(node, DefectNode) for node in lab.repo.lineage("raw.csv", "up").graph.nodes())


def test_the_graph_is_drawn_with_defects(lab: Lab, ids: tuple[str, str]) -> None:
    view = lab.repo.lineage("成品.csv", "up")
    label = lambda node: node_words(view, node)  # noqa: E731
    tree = "\n".join(
        tree_lines(view.graph, view.targets, lambda node: "  ".join(node_words(view, node)), up=True)
    )
    assert f"defect {ids[1]}  <错> 标签, P2, open, 3 rows" in tree
    assert "octagon" in "\n".join(dot_lines(view.graph, label))
    assert f"defect {ids[1]}" in "\n".join(mermaid_lines(view.graph, label))


def test_the_history_marks_evaluations_and_repairs(lab: Lab, ids: tuple[str, str]) -> None:
    evaluated = head(lab)
    at = lab.repo.history.refs.head()
    with lab.repo.changing():
        record_commit(
            lab.repo,
            at,
            lab.repo.history.read_commit(evaluated).manifest,
            "repaired",
            parents=[evaluated],
            verb="commit",
            trailers=[("Dsvc-Repair", "r-0a1b2c3d")],
        )
    marks = feedback_marks(lab.repo)
    assert [(mark.id, mark.defects) for mark in marks[evaluated]] == [(ids[0], 1)]
    assert list(marks) == [evaluated]
    output = Output(Settings())
    lines = {
        entry.commit.message.splitlines()[0]: mark_lines(output, entry.commit, marks.get(entry.commit.id))
        for entry in lab.repo.log()
    }
    assert lines == {
        "repaired": ["◆ repair r-0a1b2c3d"],
        "data": [f"◆ feedback {ids[0]} accuracy 0.81, 1 defect"],
    }
    found: Any = mark_fields(lab.repo.history.read_commit(evaluated), marks[evaluated])
    assert found["repair"] is None
    assert [each["feedback"] for each in found["feedback"]] == [ids[0]]
    assert found["feedback"][0]["metrics"] == [{"name": "accuracy", "value": 0.81}]


def test_a_page_shows_everything_and_runs_nothing(lab: Lab, ids: tuple[str, str]) -> None:
    view = defect_view(lab.repo, ids[1])
    assert view.report is not None
    text = "".join(page(view))
    assert "&lt;错&gt; 标签" in text
    assert "<错>" not in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "成品.csv" in text
    assert text.count("<svg") == len(view.report.causes)


def test_a_defect_whose_evaluation_is_gone_is_shown_all_the_same(lab: Lab, ids: tuple[str, str]) -> None:
    clean = lab.repo.manifest_of("HEAD").get("成品.csv".encode())
    assert clean is not None
    id_ = open_defect(lab.repo, "0" * 12, clean, [3], symptom="lost")
    view = defect_view(lab.repo, id_)
    assert view.report is None
    assert [error.code for error in view.unknown] == ["no-such-feedback"]
    fields = view_fields(view)
    assert fields["causes"] == []
    assert fields["unknown"]
    assert [stage.reached for stage in stages_of(view)] == [False, True, False, False, False, False]


def test_a_defect_whose_run_is_gone_is_shown_all_the_same(
    lab: Lab, ids: tuple[str, str], tmp_path: Path
) -> None:
    known = defect_view(lab.repo, ids[1])
    assert known.report is not None
    (run,) = known.run_names
    pack = lab.repo.store.locate(bytes.fromhex(run))[0].pack.hex()
    folder = tmp_path / "copy"
    shutil.copytree(lab.repo.root, folder)
    for path in (folder / ".dsvc" / "packs").rglob(f"*{pack}*"):
        path.unlink()
    with Repository.open(str(folder)) as repo:
        view = defect_view(repo, ids[1])
    assert view.report == known.report, "worked out before"
    assert view.run_names == {}
    assert {error.code for error in view.unknown} >= {"missing-data"}
    assert view_fields(view)["causes"]


@pytest.mark.parametrize("cells", [40, 70, 120])
def test_nothing_is_wider_than_the_terminal(lab: Lab, ids: tuple[str, str], cells: int) -> None:
    view = defect_view(lab.repo, ids[1])
    assert view.report is not None
    output = Output(Settings())
    lines = [*drawing_lines(output, view, cells), *cause_lines(output, view.report, {}, cells, None)]
    assert lines
    assert all(width(part) <= cells for line in lines for part in line.split("\n"))
