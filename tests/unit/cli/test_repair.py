"""`dsvc repair`: what it prints, for people and for programs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.porcelain.working import Work
from tests.repairkit import flag, pipeline
from tests.resident import resident


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository with a defect of three rows of train.csv."""
    folder = tmp_path_factory.mktemp("repair") / "数据"
    made = pipeline(Work(folder))
    defect = flag(made, b"train.csv", [0, 2, 3])
    made.repo.close()
    return folder, defect


class Here:
    def __init__(self, folder: Path, defect: str) -> None:
        self.folder = folder
        self.defect = defect

    def run(self, *words: str, code: int = 0, lang: str = "en") -> subprocess.CompletedProcess[bytes]:
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder.parent),
            "DSVC_AUTHOR_NAME": "Ada",
            "DSVC_AUTHOR_EMAIL": "ada@example.org",
            "DSVC_LANG": lang,
        }
        done = resident().run("repair", *words, folder=self.folder, environ=environ)
        assert done.returncode == code, (done.stdout + done.stderr).decode()
        return done

    def text(self, *words: str, code: int = 0, lang: str = "en") -> str:
        done = self.run(*words, code=code, lang=lang)
        text = (done.stdout + done.stderr).decode()
        return re.sub(r"\br-[0-9a-f]{8}\b", "r-XXXXXXXX", text)

    def one(self, *words: str) -> dict[str, Any]:
        (found,) = self.run(*words[:1], "--json", *words[1:]).stdout.splitlines()
        return dict(json.loads(found))


@pytest.fixture
def here(template: tuple[Path, str], tmp_path: Path) -> Here:
    shutil.copytree(template[0], tmp_path / "数据")
    return Here(tmp_path / "数据", template[1])


PLAN = """repair r-XXXXXXXX of {defect}: planned
set label=好, who=wang in rows of labels.csv

    step                    rows  makes
 1  edit                          labels.csv
 2  affected rows of clean     3  clean.csv
 3  all of dedup              10  train.csv
"""
ROWS = """
rows that change or go  flagged  selected  consequent  of
labels.csv                    3         0           0  10
clean.csv                     0         0           4  10
train.csv                     3         0           0   8
"""
SAMPLES = """
labels.csv#@0  label: good -> 好
labels.csv#@2  label: bad -> 好
labels.csv#@3  label: bad -> 好, who: li -> wang

computes 21 rows, in less than a second
releases that hold such rows: none
duplicates of these rows that may come back: 1 row
"""


def test_plan_for_people(here: Here) -> None:
    words = ("plan", here.defect, "--set", "label=好", "who=wang", "--at", "labels.csv")
    text = here.text(*words)
    assert text.startswith(PLAN.format(defect=here.defect))
    assert ROWS in text
    assert SAMPLES in text
    assert "step 3: its command looks at other rows too" in text
    assert here.text(*words).endswith("this plan was recorded before\n")
    assert "3 rows" in here.text("list")
    assert "共" in here.text(*words, lang="zh_CN")


def test_plan_for_programs(here: Here) -> None:
    found = here.one("plan", here.defect, "--drop")
    assert re.fullmatch(r"r-[0-9a-f]{8}", found["repair"])
    assert set(found) >= {"repair", "steps", "rows_affected", "rows_recomputed", "artifacts", "releases"}
    assert (found["defect"], found["status"], found["scope"]) == (here.defect, "planned", "flagged")
    assert (found["rows_affected"], found["rows_recomputed"], found["releases"]) == (3, 8, [])
    assert {each["path"]: each["rows"] for each in found["artifacts"]} == {
        "train.csv": 3,
        "copy.csv": 3,
        "stats.csv": 2,
    }
    assert found["steps"][0]["kind"] == "edit"
    assert found["samples"][0]["after"] is None
    assert here.one("show", found["repair"]) == found
    listed = here.one("list")
    assert listed == {name: value for name, value in found.items() if name != "samples"}


def test_files_and_options_of_a_plan(here: Here) -> None:
    (here.folder / "新.csv").write_text("id,label\n2,ok\n3,ok\n", encoding="utf-8")
    found = here.one("plan", here.defect, "--relabel", "新.csv", "--key", "id")
    assert (found["action"]["file"], found["action"]["key"], found["left"]) == ("新.csv", ["id"], 1)
    again = here.one("plan", here.defect, "--rerun", "label", "--param", "guide=2")
    assert (again["steps"][0]["because"], again["beyond"]) == ("not-rowwise", 5)
    cause = here.one("plan", here.defect, "--drop", "--cause", "column label=bad")
    assert (cause["scope"], cause["causes"], cause["rows_affected"]) == ("cause", ["column label=bad"], 4)


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        ((), 2, "--drop, --set"),
        (("--drop", "--at", "raw.csv"), 2, "--exclude-source crawl"),
        (("--set", "colour=red"), 2, "it has id"),
        (("--set", "label"), 2, ""),
        (("--drop", "--exclude-source", "crawl"), 2, ""),
        (("--exclude-source", "nowhere"), 14, "source list"),
        (("--patch", "nowhere.csv"), 14, ""),
        (("--rerun", "label"), 2, "--param"),
        (("--drop", "--scope", "cause"), 14, ""),
    ],
)
def test_what_is_refused(here: Here, words: tuple[str, ...], code: int, hint: str) -> None:
    assert hint in here.text("plan", here.defect, *words, code=code)
    assert "no repairs" in here.text("list")


def test_unknown_ids(here: Here) -> None:
    here.run("plan", "d-00000000", "--drop", code=14)
    here.run("show", "r-00000000", code=14)
    here.run("show", "nonsense", code=2)
