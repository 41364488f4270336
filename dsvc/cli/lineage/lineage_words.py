"""Artifacts, runs and sources of lineage in words, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.cli.feedback.defect_text import statuses
from dsvc.cli.language.i18n import _, ngettext
from dsvc.cli.release.release_text import show_release_status
from dsvc.cli.runs.run_result import show_fate
from dsvc.cli.sources.source_text import show_status
from dsvc.cli.writing.names import show_line, show_name
from dsvc.lineage.graph import ArtifactNode, DefectNode, Node, ReleaseNode, SourceNode

if TYPE_CHECKING:
    from dsvc.lineage.known_sources import KnownSource
    from dsvc.lineage.run_summary import RunSummary
    from dsvc.porcelain.lineage.catalogue import Found
    from dsvc.porcelain.lineage.lineage_view import LineageView

SHOWN_ROWS = 6


def show_rows(positions: Sequence[int], count: int | None) -> str:
    """Return which rows, the first of them by number, or how many."""
    if not positions:
        return "" if count is None else ngettext("{n} row", "{n} rows", count)
    if len(positions) == 1 and count == 1:
        return _("row {number}").format(number=positions[0])
    numbers = ", ".join(str(each) for each in positions[:SHOWN_ROWS])
    left = (count or 0) - len(positions[:SHOWN_ROWS])
    if left > 0:
        return ngettext("rows {numbers} and {n} more", "rows {numbers} and {n} more", left, numbers=numbers)
    return _("rows {numbers}").format(numbers=numbers)


def show_artifact(node: ArtifactNode) -> str:
    """Return an artifact with the first digits of its digest."""
    return f"{show_name(node.path or b'.')}@{node.digest.hex()[:12]}"


def show_source(source: KnownSource) -> str:
    """Return title, licence and status of a source."""
    record = source.record
    text = f"{show_line(record.title)}, {show_line(record.license_expression)}"
    return text if source.in_force else f"{text}, {show_status(source.status)}"


def show_stage(stage: str) -> str:
    """Return how far data has come."""
    words = {
        "planned": _("planned"),
        "sourced": _("sourced"),
        "reserved": _("reserved"),
        "produced": _("produced"),
        "annotated": _("annotated"),
        "reviewed": _("reviewed"),
        "withdrawn": _("withdrawn"),
    }
    return words.get(stage, stage)


def show_grade(grade: str) -> str:
    """Return how sensitive data is; nothing where it is not."""
    return {"important": _("important data"), "core": _("core data")}.get(grade, "")


def show_rights(rights: str) -> str:
    """Return whether rights are settled; nothing where they are."""
    return {"disputed": _("rights disputed"), "undetermined": _("rights undetermined")}.get(rights, "")


def show_found(found: Found) -> str:
    """Return stage, grade, rights and sources of a file."""
    words = [
        show_stage(found.stage.value),
        show_grade(found.grade.value),
        show_rights(found.rights.value),
        *map(show_line, found.sources[:SHOWN_ROWS]),
    ]
    left = len(found.sources) - SHOWN_ROWS
    if left > 0:
        words.append(ngettext("{n} more source", "{n} more sources", left))
    return _(", ").join(filter(None, words))


def show_counts(run: RunSummary) -> str:
    """Return how many rows had which fate in a run; nothing where it has no rows."""
    parts = [f"{count} {show_fate(name)}" for name, count in run.rows.items() if count]
    if not run.complete:
        parts.append(_("not complete"))
    return _(", ").join(parts)


def node_words(view: LineageView, node: Node) -> tuple[str, str]:
    """Return what a node is, and what is known of it."""
    builder = view.builder
    if isinstance(node, SourceNode):
        title = _("source {name}").format(name=show_line(node.id))
        return title, show_source(builder.sources.all[node.id])
    if isinstance(node, ArtifactNode):
        facts, known, parts = builder.facts[node], view.stages.get(node), []
        if facts.records is not None and facts.folder is not None:
            parts.append(ngettext("{n} file", "{n} files", facts.records))
        elif facts.records is not None:
            parts.append(ngettext("{n} row", "{n} rows", facts.records))
        if known is not None:
            parts += [show_stage(known.stage.value), show_grade(known.grade.value)]
        return show_artifact(node), _(", ").join(filter(None, parts))
    if isinstance(node, ReleaseNode):
        release = view.releases[node.name]
        return _("release {name}").format(name=show_line(node.name)), show_release_status(release)
    if isinstance(node, DefectNode):
        state = view.defects[node.id]
        rows = ngettext("{n} row", "{n} rows", sum(each.count for each in state.rows))
        words = [show_line(state.symptom), state.severity.value, statuses()[state.status], rows]
        return _("defect {id}").format(id=node.id), _(", ").join(words)
    run = builder.index.runs[node.id]
    return _("run {name} {id}").format(name=show_line(run.name), id=node.id.short()), show_counts(run)
