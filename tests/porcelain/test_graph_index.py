"""The index of runs: who made a content, and only new runs are read from the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.lineage.artifacts import file_artifact
from dsvc.lineage.graph_index import RunIndex
from dsvc.model.errors import MissingDataError
from dsvc.model.run_record import RunId
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from tests.lineagekit import Lab, numbered
from tests.porcelain.working import Work


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


def test_makers_of_files_and_of_files_in_folders(lab: Lab, tmp_path: Path) -> None:
    raw = lab.put({b"raw.csv": numbered(2)})[b"raw.csv"]
    images = lab.put({b"img/%d.png" % n: b"image %d" % n for n in range(3)})
    made = lab.run("draw", [raw], [lab.folder(b"img")])
    out = lab.put({b"out.csv": numbered(1)})[b"out.csv"]
    first = lab.run("filter", [raw], [out], {(0, 0): [(0, 0)]})
    again = lab.run("filter", [raw], [out], {(0, 0): [(0, 1)]})
    index = RunIndex(lab.repo.store, [made.id, first.id, again.id], str(tmp_path / "cache"))
    assert index.maker(out.digest) == [first.id, again.id]
    assert index.maker(images[b"img/1.png"].digest) == [made.id]
    assert index.maker(raw.digest) == []
    assert index.runs[first.id].maps == ((0, 0),)
    assert file_artifact(out).digest == index.runs[first.id].outputs[0].digest


def test_known_runs_are_not_read_again(lab: Lab, tmp_path: Path) -> None:
    raw = lab.put({b"raw.csv": numbered(2)})[b"raw.csv"]
    out = lab.put({b"out.csv": numbered(1)})[b"out.csv"]
    made = lab.run("filter", [raw], [out], {(0, 0): [(0, 0)]})
    cache = str(tmp_path / "cache")
    first = RunIndex(lab.repo.store, [made.id], cache)
    nothing = ChunkStore(MemoryBackend())
    assert RunIndex(nothing, [made.id], cache).runs == first.runs
    with pytest.raises(MissingDataError):
        RunIndex(nothing, [made.id, RunId(bytes(32))], cache)
    with pytest.raises(MissingDataError):
        RunIndex(nothing, [made.id])


def test_json_of_the_command_line(lab: Lab) -> None:
    name = b"\xff\xe5.csv"
    raw = lab.put({name: numbered(3)})[name]
    lab.source("s", [raw])
    out = lab.put({b"out.csv": numbered(1)})[b"out.csv"]
    made = lab.run("filter", [raw], [out], {(0, 0): [(0, 2)]})
    lab.commit()

    def ask(*words: str) -> dict[str, object]:
        command = [str(Path(sys.executable).parent / "dsvc"), *words]
        done = subprocess.run(command, cwd=os.fspath(lab.work.folder), capture_output=True, check=True)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    graph = ask("lineage", "--json")
    assert graph == ask("lineage", "--format", "json")
    nodes = {node["id"]: node for node in graph["nodes"]}  # type: ignore[attr-defined]
    assert {node["kind"] for node in nodes.values()} == {"source", "artifact", "run"}
    assert nodes[f"run:{made.id.hex()}"]["name"] == "filter"
    assert all(edge["from"] in nodes and edge["to"] in nodes for edge in graph["edges"])  # type: ignore[attr-defined]
    trace = ask("trace", "out.csv#@0", "--json")
    leaf = trace["steps"][1]["artifact"]  # type: ignore[index]
    assert (leaf["path_b64"], leaf["rows"], leaf["row_count"]) == ("/+UuY3N2", [2], 1)
    assert trace["complete"] is True
    assert ask("impact", "source:s", "--json")["rows"] == 4
