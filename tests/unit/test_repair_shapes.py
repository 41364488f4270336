"""repair apply through steps in place, joins, splits and folders."""

from __future__ import annotations

import os
from pathlib import Path

from dsvc.model.repair_proof import UnprovedReason
from dsvc.porcelain.runs.run import run
from dsvc.porcelain.runs.run_spec import RunSpec
from tests.applykit import a_plan, carrier, content
from tests.lineagekit import Lab
from tests.porcelain.working import Work
from tests.repairkit import Pipeline

STEPS = (
    ("label", "raw.csv", "labels.csv", "sed '2,$s/w/v/' raw.csv > labels.csv", True),
    (
        "join",
        "labels.csv more.csv",
        "data.csv",
        "(cat labels.csv; tail -n +2 more.csv) > data.csv",
        False,
    ),
    ("fix", "data.csv", "data.csv", "sed -i '2,$s/v/u/' data.csv", True),
    (
        "split",
        "data.csv",
        "a.csv b.csv",
        "for k in a b; do grep -e id -e ,$k$ data.csv > $k.csv; done",
        False,
    ),
    (
        "texts",
        "data.csv",
        "parts",
        "mkdir -p parts; for k in 0 1; do grep u$k data.csv > parts/$k; done",
        False,
    ),
)
"""Name, what is read, what is made, the command, row-wise or not."""


def shaped(work: Work) -> Pipeline:
    repo = work.repo
    rows = [(n, f"w{n % 5}", "ab"[n % 2]) for n in range(12)]
    work.write(
        {
            b"raw.csv": ("id,t,l\n" + "".join(f"{n},{t},{x}\n" for n, t, x in rows)).encode(),
            b"more.csv": b"id,t,l\n50,x,a\n51,y,b\n",
            b"dsvc.toml": b'[tables."*.csv"]\nkey = ["id"]\n',
        }
    )
    for name, read, makes, line, rowwise in STEPS:
        paths = [[os.fsencode(path) for path in words.split()] for words in (read, makes)]
        spec = RunSpec(name=name, inputs=paths[0], outputs=paths[1], rowwise=rowwise)
        run(repo, spec, [line], environ={"PATH": "/usr/bin:/bin"})
    work.commit("data")
    made = Pipeline(Lab(work))
    made.entries = {entry.path: entry for entry in repo.manifest_of("HEAD").entries()}
    return made


def test_in_place_joined_split_and_into_a_folder(tmp_path: Path) -> None:
    """Rows of data.csv come from two files, are changed in place, and go into tables and into a folder."""
    made = shaped(Work(tmp_path / "形"))
    repo = made.repo
    done = repo.repair_apply(
        a_plan(made, b"data.csv", (0, 5), values={"l": "b"}, at=b"labels.csv"), carrier()
    )
    new = [f"{n},u{n % 5},{'b' if n in (0, 5) else 'ab'[n % 2]}" for n in range(12)] + ["50,x,a", "51,y,b"]
    for path, wanted in (
        ("data.csv", new),
        ("a.csv", [row for row in new if row.endswith("a")]),
        ("b.csv", [row for row in new if row.endswith("b")]),
    ):
        assert content(made, done.commit, path).decode().split() == ["id,t,l", *wanted]
    assert content(made, done.commit, "parts/0").decode().split() == [row for row in new if ",u0," in row]
    found = {
        each.path.decode(): (each.flagged_changed, each.consequent_changed, each.came)
        for each in done.proof.artifacts
    }
    assert found == {
        "labels.csv": (1, 0, 1),
        "data.csv": (1, 0, 1),
        "a.csv": (0, 1, 0),
        "b.csv": (0, 0, 1),
        "parts": (0, 1, 1),
    }
    assert [(each.path, each.reason) for each in done.proof.unproved] == [(b"parts", UnprovedReason.ANY_ROW)]
    assert done.proof.others_changed == 0
    assert repo.fsck(read_data=True).ok
