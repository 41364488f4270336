"""Rows and differences of tables as JSON; `dsvc.table.exchange.json_value` says how a cell is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dsvc.table.exchange.json_value import MAX_DEPTH, json_cell

if TYPE_CHECKING:
    from dsvc.diff.table_delta import TableDelta


def json_row(row: Mapping[str, object] | None) -> dict[str, object] | None:
    """Return a row as a JSON object; None stays None."""
    return None if row is None else {name: json_cell(value) for name, value in row.items()}


def delta_json(delta: TableDelta) -> dict[str, object]:
    """Return a difference of tables as the ``table`` object of ``diff --json``."""
    schema = delta.schema
    return {
        "key": list(delta.key),
        "key_from": delta.key_from.value,
        "rows": {
            "added": delta.rows_added,
            "removed": delta.rows_removed,
            "changed": delta.rows_changed,
            "unchanged": delta.rows_unchanged,
        },
        "cells_changed": delta.cells_changed,
        "by_column": dict(delta.by_column),
        "schema": {
            "added": [{"name": column.name, "type": column.type} for column in schema.added],
            "removed": [{"name": column.name, "type": column.type} for column in schema.removed],
            "retyped": [{"name": item.name, "from": item.old, "to": item.new} for item in schema.retyped],
            "renamed": [{"from": item.old, "to": item.new} for item in schema.renamed],
        },
        "changes": [
            {
                "op": change.op.value,
                "key": json_row(change.key),
                "before": json_row(change.before),
                "after": json_row(change.after),
                "columns": list(change.columns),
                "before_position": change.before_position,
                "after_position": change.after_position,
            }
            for change in delta.changes
        ],
        "truncated": delta.truncated,
        "malformed": {
            "before": [{"line": row.line, "message": row.message} for row in delta.malformed_before],
            "after": [{"line": row.line, "message": row.message} for row in delta.malformed_after],
        },
    }


__all__ = ["MAX_DEPTH", "delta_json", "json_cell", "json_row"]
