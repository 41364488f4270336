"""Numbers of rows as people count them: malformed records are records too, but no rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.lineage.graph import ArtifactNode, RunNode
from dsvc.lineage.row_flow import RowFlow
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Entry
from dsvc.model.table_kind import kind_by_name
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.table.index.row_index import RowIndex


def row_positions(repo: Workspace, flow: RowFlow, node: ArtifactNode, rows: Sequence[int]) -> tuple[int, ...]:
    """Numbers of records, as ``#@N`` counts them, of some rows of an artifact that a run made or read."""
    kind = kind_by_name(node.path)
    if not rows or kind is None or not kind.format.is_text:
        return tuple(rows)
    entry = entry_of(flow, node)
    index = None if entry is None else _index(repo, entry)
    if index is None:
        return tuple(rows)
    import numpy as np

    return tuple(index.records(np.array(rows, np.int64)).tolist())


def entry_of(flow: RowFlow, node: ArtifactNode) -> Entry | None:
    """Entry of a file, from a run that made or read it; None where there is none."""
    builder = flow.builder
    if builder.facts[node].folder is not None:
        return None
    for id_ in builder.makers(node)[:1]:
        run, number = builder.output(id_, node)
        return flow.run(run.run_id).output_files(number)[0]
    for child in builder.graph.children(node):
        if isinstance(child, RunNode):
            for number, each in enumerate(builder.index.runs[child.id].inputs):
                if (each.path, each.digest) == (node.path, node.digest):
                    return flow.run(child.id).input_files(number)[0]
    return builder.entries.get(node)


def _index(repo: Workspace, entry: Entry) -> RowIndex | None:
    """Row index of a table; None where it can't be read any more, so that its rows count as they are."""
    from dsvc.porcelain.tables.row_indexes import RowIndexes
    from dsvc.porcelain.tables.table_diff import known_table

    indexes = RowIndexes(repo)
    found: RowIndex | None = indexes.cached(entry.digest)
    if found is None:
        try:
            table = known_table(repo, entry)
            found = None if table is None else indexes.get(table)
        except DsvcError:
            return None
    return found
