"""Runs over small tables, and the pairs of rows that are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsvc.diff.row_diff import TableVersion
from dsvc.lineage.capture import capture
from dsvc.lineage.captured import CapturedInput, CapturedOutput, CaptureRequest, CaptureResult
from dsvc.lineage.record_rows import TableRows, rows_of_tables
from dsvc.model.run_record import Role, RunKind
from tests.tablekit import CSV, version

Key = tuple[str, ...]


def csv(text: str) -> TableVersion:
    return version(text, CSV)


def followed(
    kind: RunKind,
    inputs: Sequence[TableVersion],
    outputs: Sequence[TableVersion],
    *,
    key: Key = (),
    output_key: Key | None = None,
    roles: Sequence[Role] = (),
    **options: Any,
) -> CaptureResult:
    renamed = options.get("renamed", {})
    tables = [TableRows(each.source, each.kind, each.index) for each in (*inputs, *outputs)]  # type: ignore[arg-type]
    rows = rows_of_tables(tables, renamed)
    roles = [*roles, *[Role.INPUT] * len(inputs)]
    return capture(
        CaptureRequest(
            kind=kind,
            inputs=[
                CapturedInput(b"in%d" % n, rows[n], key if set(key) <= set(rows[n].columns) else (), roles[n])
                for n in range(len(inputs))
            ],
            outputs=[
                CapturedOutput(b"out%d" % n, each, key if output_key is None else output_key)
                for n, each in enumerate(rows[len(inputs) :])
            ],
            **options,
        )
    )


def pairs(result: CaptureResult, output: int = 0, input_: int = 0) -> list[tuple[int, int]]:
    links = result.links.get((output, input_))
    return [] if links is None else list(zip(links.outputs.tolist(), links.inputs.tolist(), strict=True))


PEOPLE = "id,姓名,age\n1,王芳,30\n2,李雷,\n3,Ann,41\n4,Bo,7\n"
