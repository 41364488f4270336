"""Steps for tests of runs: small programs, and what their row maps say."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsvc.lineage.link_file import LinkFile
from dsvc.lineage.run_tree import RunTree
from dsvc.model.run_record import RunKind
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.runs.run_storage import RunResult
from tests.porcelain.working import Work

Row = Mapping[str, Any]
ROWS = [{"id": n, "x": n * 7 % 10, "文": f"行{n}"} for n in range(40)]
PRELUDE = """
import csv, json, os, sys, pathlib
def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
def write(path, rows, columns=None):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, columns or list(rows[0]), lineterminator="\\n")
        out.writeheader()
        out.writerows(rows)
"""


def table(rows: Iterable[Row]) -> bytes:
    """CSV of rows."""
    rows = list(rows)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def do(
    work: Work,
    program: str,
    inputs: Sequence[str] | str,
    outputs: Sequence[str] | str,
    *,
    name: str = "step",
    kind: RunKind = RunKind.TRANSFORM,
    keys: Mapping[str | None, tuple[str, ...]] | None = None,
    lookups: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Run a program in Python and record it."""

    def paths(names: Sequence[str] | str) -> list[bytes]:
        return [os.fsencode(each) for each in ([names] if isinstance(names, str) else names)]

    options = {each: more.pop(each) for each in ("timeout", "output", "folder") if each in more}
    spec = RunSpec(
        name=name,
        kind=kind,
        inputs=paths(inputs),
        outputs=paths(outputs),
        lookups=paths(lookups),
        keys={None if path is None else os.fsencode(path): key for path, key in (keys or {}).items()},
        **more,
    )
    return work.repo.run(spec, [sys.executable, "-c", PRELUDE + program], environ=dict(os.environ), **options)


def links(work: Work, result: RunResult, output: int = 0, input_: int = 0) -> set[tuple[int, int]]:
    """Pairs of output row and input row that are stored."""
    part = RunTree(work.repo.store, result.id).part(b"maps/%d-%d" % (output, input_))
    if part is None:
        return set()
    found = LinkFile(part).all()
    return set(zip(found.outputs.tolist(), found.inputs.tolist(), strict=True))


def fates(result: RunResult, number: int = 0) -> dict[str, int]:
    """How many rows of an input had which fate, without those that none had."""
    found = result.run.inputs[number].fates
    assert found is not None
    return {name: count for name in found.__struct_fields__ if (count := getattr(found, name))}


def pending(work: Work) -> list[str]:
    """Names of the runs that wait for a commit, by a repository opened anew."""
    return [run.name for run in work.reopen().status().pending_runs]


__all__ = ["PRELUDE", "RunKind", "do", "fates", "json", "links", "pending", "table"]
