"""A small pipeline of real commands in which rows went wrong, and what repairs of it come to."""

from __future__ import annotations

import atexit
import csv
import functools
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dsvc.model.ids import CommitId
from dsvc.porcelain.repair.repair_apply import RepairApplied
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.run import run
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.store.materialize import read_content
from tests import repairkit
from tests.lineagekit import Lab
from tests.porcelain.working import Work

PROGRAM = """
import csv, json, os, sys

def read(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))

def write(path, rows, columns):
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\\n")
        writer.writeheader()
        writer.writerows(rows)

def label(rows):
    bad = os.environ.get("DSVC_PARAM_bad", "")
    return [dict(row, label="bad" if bad and bad in row["text"] else "good") for row in rows]

def clean(rows):
    return [dict(row, text=row["text"].strip() + "。") for row in rows]

def dedup(rows):
    seen, kept = {}, []
    with open(os.environ["DSVC_RUN_DIR"] + "/drops.jsonl", "w") as notes:
        for number, row in enumerate(rows):
            first = seen.setdefault(row["text"] + row["label"], number)
            if first == number:
                kept.append(row)
            else:
                print(json.dumps(
                    {"input": sys.argv[2], "row": number, "reason": "duplicate", "survivor": first}
                ), file=notes)
    return kept

def count(rows):
    labels = sorted({row["label"] for row in rows})
    return [{"label": each, "n": sum(row["label"] == each for row in rows)} for each in labels]

mode, source, target = sys.argv[1:]
rows = globals()[mode](read(source))
with open("ran.log", "a") as log:
    print(mode, file=log)
write(target, rows, list(rows[0]) if rows else ["id", "text", "label"])
"""
RAW = "id,text\n" + "".join(f"{n},句子 {n % 8} \n" for n in range(12))
"""Rows 8 to 11 have the texts of rows 0 to 3."""
STEPS = [
    ("label", "raw.csv", "labels.csv", True),
    ("clean", "labels.csv", "clean.csv", True),
    ("dedup", "clean.csv", "train.csv", False),
    ("count", "train.csv", "stats.csv", False),
]


def carrier() -> Carrier:
    return Carrier(environ=dict(os.environ), output=2)


def prepare(folder: Path) -> repairkit.Pipeline:
    """raw.csv -> labels.csv -> clean.csv -> train.csv (no duplicates) -> stats.csv; copy.csv is a copy."""
    work = Work(folder)
    made = repairkit.Pipeline(Lab(work))
    work.write(
        {
            b"raw.csv": RAW.encode(),
            b"step.py": PROGRAM.encode(),
            b"dsvc.toml": b'[tables."*.csv"]\nkey = ["id"]\n[tables."stats.csv"]\nkey = ["label"]\n',
        }
    )
    work.repo.add(all=True)
    fields = {
        "title": "网页",
        "acquisition": "crawl",
        "legal_basis": "licence",
        "license_expression": "CC-BY-4.0",
    }
    work.repo.source_add("crawl", [b"raw.csv"], fields=fields)
    for name, source, target, rowwise in STEPS:
        run(
            work.repo,
            RunSpec(
                name=name,
                inputs=[source.encode()],
                outputs=[target.encode()],
                rowwise=rowwise,
                keys={b"stats.csv": ("label",)} if name == "count" else {},
                parameters={"bad": "5"} if name == "label" else {},
            ),
            [sys.executable, "-S", "step.py", name, source, target],
            environ=dict(os.environ),
            output=2,
        )
    shutil.copy(folder / "train.csv", folder / "copy.csv")
    os.remove(folder / "ran.log")
    work.commit("data")
    made.entries = {entry.path: entry for entry in work.repo.manifest_of("HEAD").entries()}
    return made


@functools.cache
def _prepared() -> Path:
    """The pipeline, made once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="dsvc-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    prepare(folder / "数据")
    return folder / "数据"


def copied(folder: Path) -> repairkit.Pipeline:
    """The pipeline in a folder of one's own."""
    shutil.copytree(_prepared(), folder, symlinks=True)
    made = repairkit.Pipeline(Lab(Work(folder)))
    made.entries = {entry.path: entry for entry in made.repo.manifest_of("HEAD").entries()}
    return made


def content(made: repairkit.Pipeline, commit: CommitId | str, path: str) -> bytes:
    entry = made.repo.manifest_of(str(commit)).get(path.encode())
    assert entry is not None
    return read_content(made.repo.store, entry)


def table(made: repairkit.Pipeline, commit: CommitId | str, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content(made, commit, path).decode(), newline="")))


def model(labels: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """What the steps make of labels.csv, computed here."""
    clean = [dict(row, text=row["text"].strip() + "。") for row in labels]
    seen: set[str] = set()
    train = [r for r in clean if not ((k := r["text"] + r["label"]) in seen or seen.add(k))]  # type: ignore[func-returns-value]
    names = sorted({row["label"] for row in train})
    stats = [{"label": n, "n": str(sum(r["label"] == n for r in train))} for n in names]
    return {"clean.csv": clean, "train.csv": train, "copy.csv": train, "stats.csv": stats}


def a_plan(
    made: repairkit.Pipeline, path: bytes = b"train.csv", rows: tuple[int, ...] = (5,), **action: object
) -> str:
    given = action or {"values": {"label": "good"}, "at": b"labels.csv"}
    defect = repairkit.flag(made, path, rows)
    view = made.repo.repair_plan(defect, **given)  # type: ignore[arg-type]
    return view.state.id


def told(done: RepairApplied) -> list[tuple[str, str, int, bool, bool]]:
    return [(s.step.name, s.outcome.value, s.rows, s.whole, s.earlier) for s in done.steps]


def check_model(made: repairkit.Pipeline, commit: CommitId) -> None:
    """What follows on labels.csv is what the steps would make of it."""
    for name, rows in model(table(made, commit, "labels.csv")).items():
        assert table(made, commit, name) == rows, name


def check_proof(done: RepairApplied) -> None:
    """The only bad row became a good one: its group in stats.csv is gone, and the other one grew."""
    proof = done.proof
    found = {
        each.path.decode(): (each.flagged_changed, each.consequent_changed, each.further, each.came)
        for each in proof.artifacts
    }
    assert found == {
        "labels.csv": (1, 0, 0, 1),
        "clean.csv": (0, 1, 0, 1),
        "train.csv": (1, 0, 0, 1),
        "copy.csv": (0, 1, 0, 1),
        "stats.csv": (0, 2, 1, 1),
    }
    assert (proof.flagged_changed, proof.consequent_changed, proof.others_changed) == (1, 4, 0)
    assert (proof.conserved, proof.unproved, proof.not_as_asked, proof.files_unchanged) == (True, (), 0, 3)
