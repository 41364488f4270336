"""A graph of lineage for Graphviz and for Mermaid; any name is data there, never syntax."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dsvc.cli.writing.names import show_text
from dsvc.lineage.graph import LineageGraph, Node, NodeKind

Label = Callable[[Node], tuple[str, str]]
"""Gives what a node is, and what is known of it."""

_SHAPES = {
    NodeKind.SOURCE: "cylinder",
    NodeKind.ARTIFACT: "box",
    NodeKind.RUN: "ellipse",
    NodeKind.DEFECT: "octagon",
    NodeKind.RELEASE: "house",
}
_HARMLESS = frozenset(" ,/@=()_")
_BRACKETS = {
    NodeKind.SOURCE: ("[(", ")]"),
    NodeKind.ARTIFACT: ("[", "]"),
    NodeKind.RUN: ("([", "])"),
    NodeKind.DEFECT: ("{{", "}}"),
    NodeKind.RELEASE: ("[[", "]]"),
}


def quote_dot(text: str) -> str:
    r"""Return a text as a quoted string of DOT; line ends stay line ends of the label."""
    shown = "\n".join(show_text(line) for line in text.split("\n"))
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def quote_mermaid(text: str) -> str:
    """Return a text as a quoted label of Mermaid: signs of ASCII but the harmless ones as numbers."""
    lines = []
    for line in text.split("\n"):
        shown = show_text(line)
        lines.append("".join(_entity(shown, place) for place in range(len(shown))))
    return '"' + "<br>".join(lines) + '"'


def _entity(text: str, place: int) -> str:
    # Any other sign could begin a tag, an entity, a link or a list.
    sign = text[place]
    if not sign.isascii() or sign.isalnum() or sign in _HARMLESS:
        return sign
    within = sign in "-." and text[place - 1 : place].isalnum() and text[place + 1 : place + 2].isalnum()
    return sign if within else f"#{ord(sign)};"


def _lines(label: tuple[str, str]) -> str:
    return "\n".join(filter(None, label))


def dot_lines(graph: LineageGraph, label: Label) -> Iterator[str]:
    """Yield the lines of a graph in DOT."""
    names = {node: f"n{number}" for number, node in enumerate(graph.ordered())}
    yield "digraph lineage {"
    yield "  rankdir=LR;"
    for node, name in names.items():
        yield f"  {name} [shape={_SHAPES[node.kind]}, label={quote_dot(_lines(label(node)))}];"
    for start, end, kind in graph.edges():
        yield f"  {names[start]} -> {names[end]} [label={quote_dot(kind.value)}];"
    yield "}"


def mermaid_lines(graph: LineageGraph, label: Label) -> Iterator[str]:
    """Yield the lines of a graph as a flowchart of Mermaid."""
    names = {node: f"n{number}" for number, node in enumerate(graph.ordered())}
    yield "flowchart LR"
    for node, name in names.items():
        first, last = _BRACKETS[node.kind]
        yield f"  {name}{first}{quote_mermaid(_lines(label(node)))}{last}"
    for start, end, kind in graph.edges():
        yield f"  {names[start]} -->|{kind.value}| {names[end]}"
