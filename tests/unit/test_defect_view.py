"""A defect in the graph of lineage, on a page, and in the history."""

from __future__ import annotations

import pytest

from dsvc.cli.lineage_dot import dot_lines, mermaid_lines
from dsvc.cli.lineage_json import graph_fields
from dsvc.cli.lineage_tree import tree_lines
from dsvc.cli.lineage_words import node_words
from dsvc.lineage.graph import DefectNode
from dsvc.model.feedback import Metric
from dsvc.model.ids import CommitId
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
