"""A small pipeline in which rows went wrong: what repairs are planned of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dsvc.lineage.row_set import decode_rows, encode_rows
from dsvc.model.defect import DefectVerb, FlaggedRows
from dsvc.model.feedback import DefectSeverity
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.repair import Plan, PlannedRows
from dsvc.porcelain.records.defect_chain import (
    DefectHead,
    defect_head,
    new_defect_id,
    operate,
    prepare,
    record,
)
from dsvc.porcelain.repository import Repository
from tests.lineagekit import Lab, Made
from tests.porcelain.working import Work

LABELS = "id,text,label,who\n" + "".join(
    f"{n},句子 {n % 8},{'bad' if n in (2, 3, 5) else 'good'},{'li' if n % 2 else 'wang'}\n" for n in range(10)
)
"""Rows 8 and 9 have the texts of rows 0 and 1."""
CLEAN = LABELS.replace("句子", "句")
KEPT = [0, 1, 2, 3, 4, 5, 6, 7]


def lines(text: str, rows: Sequence[int]) -> bytes:
    head, *body = text.splitlines(keepends=True)
    return (head + "".join(body[row] for row in rows)).encode()


@dataclass
class Pipeline:
    """raw.csv -> labels.csv -> clean.csv (row by row) -> train.csv (without duplicates) -> stats.csv.

    copy.csv is a copy of train.csv that no run made.
    """

    lab: Lab
    entries: dict[bytes, Entry] = field(default_factory=dict)
    runs: dict[str, Made] = field(default_factory=dict)

    @property
    def repo(self) -> Repository:
        return self.lab.repo

    @property
    def head(self) -> CommitId:
        found = self.repo.history.refs.head().commit
        assert found is not None
        return found


def pipeline(work: Work, *, manual: bool = False) -> Pipeline:
    made = Pipeline(Lab(work))
    lab = made.lab
    train = lines(CLEAN, KEPT)
    made.entries = lab.put(
        {
            b"raw.csv": lines(LABELS, range(10)).replace(b",good,", b",,").replace(b",bad,", b",,"),
            b"labels.csv": LABELS.encode(),
            b"clean.csv": CLEAN.encode(),
            b"train.csv": train,
            b"stats.csv": b"label,n\nbad,3\ngood,5\n",
            b"copy.csv": train,
            b"dsvc.toml": b'[tables."*.csv"]\nkey = ["id"]\n',
        }
    )
    files, same = made.entries, {(0, 0): [(n, n) for n in range(10)]}
    lab.source("crawl", [files[b"raw.csv"]])
    runs = made.runs
    runs["label"] = lab.run(
        "label",
        [files[b"raw.csv"]],
        [files[b"labels.csv"]],
        same,
        changed={0: range(10)},
        parameters={"guide": "1"},
        command=() if manual else ("python", "label.py"),
    )
    runs["clean"] = lab.run("clean", [files[b"labels.csv"]], [files[b"clean.csv"]], same, rowwise=True)
    runs["dedup"] = lab.run(
        "dedup",
        [files[b"clean.csv"]],
        [files[b"train.csv"]],
        {(0, 0): [(n, n) for n in KEPT]},
        drops={0: {8: ("duplicate", 0), 9: ("duplicate", 1)}},
    )
    groups = {(0, 0): [(0, n) for n in (2, 3, 5)] + [(1, n) for n in (0, 1, 4, 6, 7)]}
    runs["count"] = lab.run("count", [files[b"train.csv"]], [files[b"stats.csv"]], groups)
    lab.commit()
    return made


def flag(
    made: Pipeline,
    path: bytes,
    rows: Sequence[int],
    *,
    digest: bytes | None = None,
    symptom: str = "wrong-label",
    folder: bool = False,
) -> str:
    """Open a defect; returns its id."""
    repo = made.repo
    numbers = np.array(sorted(rows), np.int64)
    flagged = FlaggedRows(
        path=path,
        digest=made.entries[path].digest if digest is None else digest,
        rows=encode_rows(numbers),
        count=len(numbers),
        folder=folder,
    )
    with repo.changing():
        id_ = new_defect_id(repo, "f" * 12, path, symptom)
        fields = {
            "feedback": "f" * 12,
            "path": path,
            "symptom": symptom,
            "severity": DefectSeverity.P1,
            "rows": (flagged,),
        }
        done = prepare(repo, id_, DefectVerb.OPEN, None, fields)
        record(repo, "defect open", [done], [id_])
    return id_


def comment(made: Pipeline, defect: str) -> DefectHead:
    with made.repo.changing():
        operate(made.repo, defect, DefectVerb.COMMENT, reason="seen")
    return defect_head(made.repo, defect)


def reject(made: Pipeline, defect: str) -> DefectHead:
    with made.repo.changing():
        operate(made.repo, defect, DefectVerb.REJECT, reason="it is right")
    return defect_head(made.repo, defect)


Sets = tuple[set[int], set[int], set[int]]


def sets(planned: PlannedRows) -> Sets:
    found = [
        set(decode_rows(each).tolist()) for each in (planned.flagged, planned.selected, planned.consequent)
    ]
    assert tuple(map(len, found)) == planned.counts
    assert len(set().union(*found)) == sum(planned.counts)
    return found[0], found[1], found[2]


def by_path(plan: Plan) -> dict[str, Sets]:
    return {each.path.decode(): sets(each) for each in plan.rows}
