"""Steps for tests of recomputing: a small program with several modes, and its functions for the test."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dsvc.lineage.link_file import LinkFile
from dsvc.lineage.row_account import RowAccount, decode_account
from dsvc.lineage.run_tree import RunTree
from dsvc.model.manifest import Entry
from dsvc.porcelain.recompute.recompute import NewArtifact, correspondence_of_versions
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.run import run
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.store.materialize import read_content
from tests.porcelain.working import Work

Row = dict[str, Any]
COLUMNS = ["id", "n", "文"]

PROGRAM = """
import csv, json, os, sys

COLUMNS = ["id", "n", "文"]

def map_(row):
    return [dict(row, 文=row["文"] + "!")]
def filter_(row):
    return [row] if int(row["n"]) % 3 else []
def explode(row):
    return [dict(row, n=type(row["n"])(k)) for k in range(int(row["n"]) % 4)]
def same(row):
    return [row]
MODES = {"map": map_, "filter": filter_, "explode": explode, "same": same}

def read(path):
    if path.endswith(".parquet"):
        import pyarrow.parquet as pq
        return pq.read_table(path).to_pylist()
    with open(path, encoding="utf-8", newline="") as stream:
        if path.endswith(".csv"):
            return list(csv.DictReader(stream))
        return [json.loads(line) for line in stream]

def write(path, rows):
    if path.endswith(".parquet"):
        import pyarrow as pa, pyarrow.parquet as pq
        types = pa.schema([("id", pa.int64()), ("n", pa.int64()), ("文", pa.string())])
        pq.write_table(pa.Table.from_pylist(rows, types), path)
        return
    with open(path, "w", encoding="utf-8", newline="") as stream:
        if path.endswith(".csv"):
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        else:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\\n" for row in rows)

def main(mode, *paths):
    *sources, target = paths
    with open("ran.log", "a") as log:
        print(mode, [len(read(path)) for path in sources], file=log)
    rows = [made for path in sources for row in read(path) for made in MODES[mode.removesuffix("-back")](row)]
    write(target, rows[::-1] if mode.endswith("-back") else rows)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


def functions() -> dict[str, Callable[[Row], list[Row]]]:
    """The program's modes, as functions of a row."""
    found: dict[str, Any] = {"__name__": "program"}
    exec(PROGRAM, found)
    modes: dict[str, Callable[[Row], list[Row]]] = found["MODES"]
    return modes


def content(rows: Sequence[Row], suffix: str) -> bytes:
    """A table of rows in the format of a suffix."""
    if suffix == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = pa.schema([("id", pa.int64()), ("n", pa.int64()), ("文", pa.string())])
        made = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), types), made, row_group_size=5)
        return made.getvalue()
    if suffix == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def step(
    work: Work,
    words: Sequence[str],
    inputs: Sequence[str],
    outputs: Sequence[str],
    program: str = PROGRAM,
    **spec: Any,
) -> RunTree:
    """Record a row-wise run of the program."""
    work.write({b"step.py": program.encode()})
    done = run(
        work.repo,
        RunSpec(
            **{
                "name": "step",
                "inputs": [os.fsencode(path) for path in inputs],
                "outputs": [os.fsencode(path) for path in outputs],
                "rowwise": True,
                **spec,
            }
        ),
        [sys.executable, "-S" if outputs[0].endswith((".csv", ".jsonl")) else "-B", "step.py", *words],
        environ=dict(os.environ),
    )
    return RunTree(work.repo.store, done.id)


def carrier(**more: Any) -> Carrier:
    return Carrier(environ=dict(os.environ), **more)


def version(work: Work, old: Entry, data: bytes, **more: Any) -> NewArtifact:
    """Store other bytes of a file, and tell how its rows stand to the old ones."""
    new = entry_of_bytes(work.repo.store, old.path, old.mode, data, old)
    work.repo.store.publish()
    before, after = (ArtifactFiles(each.path, False, (each,)) for each in (old, new))
    return NewArtifact(after, correspondence_of_versions(work.repo, before, after, **more))


def stored(work: Work, entry: Entry) -> bytes:
    return read_content(work.repo.store, entry)


def rows_of(work: Work, entry: Entry) -> list[Row]:
    """Rows of a stored table as the test's model has them; numbers of CSV as numbers."""
    data = stored(work, entry)
    if entry.path.endswith(b".parquet"):
        import pyarrow.parquet as pq

        found: list[Row] = pq.read_table(io.BytesIO(data)).to_pylist()
        return found
    if entry.path.endswith(b".csv"):
        lines = csv.DictReader(io.StringIO(data.decode(), newline=""))
        return [{k: int(v) if k in ("id", "n") and v else v for k, v in row.items()} for row in lines]
    return [json.loads(line) for line in data.decode().splitlines()]


def links_of(tree: RunTree, output: int = 0, input_: int = 0) -> list[tuple[int, int]]:
    data = tree.part(b"maps/%d-%d" % (output, input_))
    links = None if data is None else LinkFile(data).all()
    return [] if links is None else list(zip(links.outputs.tolist(), links.inputs.tolist(), strict=True))


def account_of(tree: RunTree, input_: int = 0) -> RowAccount:
    data = tree.part(b"rows/%d" % input_)
    assert data is not None
    return decode_account(data)


def drops_of(account: RowAccount) -> Mapping[int, str]:
    return {
        row: account.reasons[code]
        for row, code in zip(account.dropped.tolist(), account.reason_of.tolist(), strict=True)
    }


def folder(path: Path) -> Work:
    return Work(path / "数据")
