"""A graph of lineage as a tree in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dsvc.cli.language.i18n import ngettext
from dsvc.lineage.graph import LineageGraph, Node, NodeKind

MAX_LEAVES = 20
"""Files side by side, of which nothing came, that are all shown."""


def tree_lines(
    graph: LineageGraph, roots: Iterable[Node], label: Callable[[Node], str], *, up: bool = False
) -> Iterator[str]:
    """Yield the lines of a tree; what was shown with all below it is only named again, with an arrow.

    Parameters
    ----------
    roots : iterable of Node
        Where trees begin.
    label : callable
        Text of a node, on one line.
    up : bool
        Whether to go from a node to what it came from.
    """
    follow = graph.parents if up else graph.children
    shown: set[Node] = set()
    # What is still to be drawn: a node, or how many are left out; what stands before it and before its own.
    pending: list[tuple[Node | int, str, str]] = [(root, "", "") for root in reversed(list(roots))]
    while pending:
        node, head, tail = pending.pop()
        if isinstance(node, int):
            yield head + ngettext("… and {n} more", "… and {n} more", node)
            continue
        below = _settled(follow, list(follow(node)))
        if node in shown and below:
            yield f"{head}{label(node)} ↑"
            continue
        shown.add(node)
        yield head + label(node)
        for place, child in reversed(list(enumerate(below, 1))):
            last = place == len(below)
            pending.append((child, tail + ("└─ " if last else "├─ "), tail + ("   " if last else "│  ")))


def _settled(follow: Callable[[Node], Iterable[Node]], nodes: list[Node]) -> list[Node | int]:
    """Put files of which nothing came last, and leave out most where they are many."""
    leaves = [node for node in nodes if node.kind is NodeKind.ARTIFACT and not list(follow(node))]
    if len(leaves) <= MAX_LEAVES:
        return list(nodes)
    few = set(leaves)
    rest: list[Node | int] = [node for node in nodes if node not in few]
    return [*rest, *leaves[: MAX_LEAVES // 2], len(leaves) - MAX_LEAVES // 2]
