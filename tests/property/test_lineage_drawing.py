"""Graphs for Graphviz and Mermaid: whatever names hold, they stay labels."""

from __future__ import annotations

import importlib.util
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.cli.lineage.lineage_dot import dot_lines, mermaid_lines, quote_dot, quote_mermaid
from dsvc.cli.lineage.lineage_tree import MAX_LEAVES, tree_lines
from dsvc.lineage.graph import ArtifactNode, EdgeKind, LineageGraph, Node, RunNode, SourceNode
from dsvc.model.run_record import RunId

HOSTILE = [
    '"]; n0 -> n9 [label="x',
    "a\nb",
    "]--> n7[",
    '\\"',
    "\\",
    "<b>&lt;",
    "`md`",
    "1. x",
    "图",
    "\x1b[31m",
    "#quot;",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))


def graph_of(names: list[str]) -> tuple[LineageGraph, dict[Node, str]]:
    graph = LineageGraph()
    run = RunNode(RunId(bytes(32)))
    labels: dict[Node, str] = {run: names[0]}
    for number, name in enumerate(names[1:]):
        node = ArtifactNode(b"%d" % number, bytes(32))
        labels[node] = name
        graph.add_edge(node, run, EdgeKind.USED) if number % 2 else graph.add_edge(
            run, node, EdgeKind.GENERATED
        )
    return graph, labels


def read_dot(text: str) -> list[str]:
    """The tokens of DOT, by its grammar: names, quoted strings, signs."""
    token = re.compile(r'\s*(?:([A-Za-z_]\w*)|("(?:[^"\\]|\\.)*")|(->|[\[\]{};,=]))', re.DOTALL)
    place, found = 0, []
    while text[place:].strip():
        match = token.match(text, place)
        assert match, text[place : place + 40]
        found.append(match[0].strip())
        place = match.end()
    return found


@settings(deadline=None)
@given(st.lists(texts, min_size=2, max_size=6))
def test_dot_has_the_nodes_and_edges_of_the_graph_and_no_other(names: list[str]) -> None:
    graph, labels = graph_of(names)
    lines = list(dot_lines(graph, lambda node: (labels[node], "")))
    tokens = read_dot("\n".join(lines))
    assert tokens.count("->") == len(list(graph.edges())) == len(names) - 1
    assert tokens.count("shape") == len(names)
    assert not any("\n" in line for line in lines)


@settings(deadline=None)
@given(texts)
def test_text_of_a_dot_label_comes_back(text: str) -> None:
    quoted = quote_dot(text)
    assert re.fullmatch(r'"(?:[^"\\\n]|\\.)*"', quoted)
    back = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], quoted[1:-1])
    if text.isprintable() and text.isascii():
        assert back == text


@settings(deadline=None)
@given(texts)
def test_text_of_a_mermaid_label_comes_back_and_has_no_sign_of_its_grammar(text: str) -> None:
    quoted = quote_mermaid(text)
    assert quoted[0] == quoted[-1] == '"'
    body = quoted[1:-1].replace("<br>", "\n")
    assert not set(body) & set('"<>[]{}|`&\\')
    assert not re.search(r"#(?!\d+;)", body)
    assert not re.search(r"(?m)^\s*(?:\d+\.|[-+*])\s", body)
    if text.isprintable() and text.isascii():
        assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), body) == text


@settings(deadline=None)
@given(st.lists(texts, min_size=2, max_size=6))
def test_mermaid_has_a_line_for_each_node_and_edge(names: list[str]) -> None:
    graph, labels = graph_of(names)
    lines = list(mermaid_lines(graph, lambda node: (labels[node], "")))
    assert lines[0] == "flowchart LR"
    assert sum(bool(re.fullmatch(r"  n\d+ -->\|\w+\| n\d+", line)) for line in lines) == len(names) - 1
    assert sum(bool(re.fullmatch(r'  n\d+[\[(]+"[^"]*"[\])]+', line)) for line in lines) == len(names)
    assert len(lines) == 2 * len(names)


@pytest.mark.skipif(importlib.util.find_spec("pydot") is None, reason="pydot is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(deadline=None)
@given(st.lists(texts, min_size=2, max_size=6))
def test_pydot_reads_the_same_graph(names: list[str]) -> None:
    import pydot

    graph, labels = graph_of(names)
    (read,) = pydot.graph_from_dot_data("\n".join(dot_lines(graph, lambda node: (labels[node], ""))))
    assert len(read.get_node_list()) == len(names)
    assert len(read.get_edge_list()) == len(names) - 1


def test_tree_draws_each_node_once_and_names_it_again() -> None:
    graph = LineageGraph()
    nodes = {name: ArtifactNode(name.encode(), bytes(32)) for name in ("甲", "乙", "丙", "丁")}
    for start, end in (("甲", "乙"), ("甲", "丙"), ("乙", "丁"), ("丙", "丁")):
        graph.add_edge(nodes[start], nodes[end], EdgeKind.COPIED)
    last = RunNode(RunId(bytes(32)))
    graph.add_edge(nodes["丁"], last, EdgeKind.USED)

    def label(node: Node) -> str:
        return node.path.decode() if isinstance(node, ArtifactNode) else "run"

    assert list(tree_lines(graph, [nodes["甲"]], label)) == [
        "甲",
        "├─ 乙",
        "│  └─ 丁",
        "│     └─ run",
        "└─ 丙",
        "   └─ 丁 ↑",
    ]
    assert list(tree_lines(graph, [last], label, up=True))[:3] == ["run", "└─ 丁", "   ├─ 乙"]


def test_tree_leaves_most_of_many_files_out_and_bears_long_chains() -> None:
    graph = LineageGraph()
    source = SourceNode("s")
    graph.add_source(source, [ArtifactNode(b"%04d" % number, bytes(32)) for number in range(1000)])
    lines = list(tree_lines(graph, [source], str))
    assert len(lines) < MAX_LEAVES
    assert "990" in lines[-1]
    chain = LineageGraph()
    for number in range(3000):
        chain.add_edge(
            ArtifactNode(b"%d" % number, bytes(32)),
            ArtifactNode(b"%d" % (number + 1), bytes(32)),
            EdgeKind.COPIED,
        )
    assert len(list(tree_lines(chain, [ArtifactNode(b"0", bytes(32))], lambda node: "x"))) == 3001
