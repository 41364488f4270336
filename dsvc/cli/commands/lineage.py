"""`dsvc lineage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dsvc.cli.arguments.lineage_targets import TARGETS, lineage_target
from dsvc.cli.frame.session import Session
from dsvc.cli.frame.verb import PathWord, verb
from dsvc.cli.language.i18n import _

if TYPE_CHECKING:
    from dsvc.lineage.graph import Node
    from dsvc.porcelain.lineage.lineage_view import LineageView


@verb(
    "lineage",
    _("Without TARGET: everything that the files at HEAD came from.") + "\n\n" + TARGETS,
)
@click.argument("target", metavar="[TARGET]", required=False, type=PathWord())
@click.option("--up", is_flag=True, help=_("only what it came from"))
@click.option("--down", is_flag=True, help=_("only what came of it"))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "dot", "mermaid"]),
    default="text",
    help=_("as a tree, as JSON, for Graphviz, or for Mermaid"),
)
def command(session: Session, target: str | None, up: bool, down: bool, form: str) -> None:
    """Draw what came from what."""
    repo = session.repository()
    parsed = None if target is None else lineage_target(target, repo.root)
    direction = "both" if up == down else "up" if up else "down"
    view = repo.lineage(parsed, direction)
    if session.as_json or form == "json":
        from dsvc.cli.lineage.lineage_json import graph_fields
        from dsvc.cli.terminal.output import encode_json

        session.settings.as_json = False
        session.output.answer(encode_json(graph_fields(view)))
        return
    with session.paged():
        _write(session, view, form, up=direction == "up")


def _write(session: Session, view: LineageView, form: str, *, up: bool) -> None:
    from dsvc.cli.lineage.lineage_words import node_words

    output = session.output
    if form != "text":
        from dsvc.cli.lineage.lineage_dot import dot_lines, mermaid_lines

        draw = dot_lines if form == "dot" else mermaid_lines
        for line in draw(view.graph, lambda node: node_words(view, node)):
            output.answer(line)
        return
    if not len(view.graph):
        output.line(_("nothing is known of where these files came from"))
        session.advise("lineage", _("dsvc source add records a source, dsvc run a step"))
        return
    from dsvc.cli.lineage.lineage_tree import tree_lines

    def label(node: Node) -> str:
        name, more = node_words(view, node)
        if node in view.targets:
            name = output.style(name, "heading")
        elif node.kind.value != "artifact":
            name = output.style(name, "id")
        return "  ".join(filter(None, [name, more]))

    if up:
        roots = [node for node in view.targets if node in view.graph]
    else:
        roots = [node for node in view.graph.ordered() if not view.graph.parents(node)]
    for line in tree_lines(view.graph, roots, label, up=up):
        output.answer(line)
