"""Repositories that can be released: two sources, a step that drops, a join; made by hand, row by row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dsvc.history.ref_name import tag_ref
from dsvc.history.refs import RefChange
from dsvc.model.ids import CommitId
from dsvc.porcelain.repository import Repository
from tests.lineagekit import Lab, csv
from tests.porcelain.working import Work

FIELDS = {
    "title": "评论",
    "acquisition": "self_generated",
    "legal_basis": "contract",
    "license_expression": "CC-BY-4.0",
    "rights_status": "clear",
    "contains_pi": "none",
    "rightsholders": ["某公司"],
    "synthetic": "no",
    "modality": ["text"],
}
LICENCE = b"CC-BY-4.0\n"

OWN = """
id = "own"
version = "1"
date = "2026-01-01"
title = {en = "own", zh = "自己"}
[rules.LIN-01]
clause = "x"
severity = "blocking"
stage = "push"
""".encode()
"""A policy of one's own with one rule, not asked at a release."""


class Shop:
    """A repository with something to release.

    ``raw/甲.csv`` (6 rows, source ``甲``) and ``raw/b.csv`` (4 rows, source ``b``) become ``clean/甲.csv``
    (rows 0, 2, 3, 5) and, joined by rows, ``全部.csv``: rows of one or of both.
    """

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(Work(folder))
        self.folder = folder
        self.evidence = folder.parent / "licence.txt"
        self.evidence.write_bytes(LICENCE)

    @property
    def repo(self) -> Repository:
        return self.lab.repo

    def source(self, name: str, path: bytes, **fields: object) -> None:
        self.repo.source_add(
            name,
            [path],
            fields={**FIELDS, **fields},
            evidence=[f"collection_record={self.evidence}", f"licence_text={self.evidence}"],
        )

    def fill(self) -> CommitId:
        lab = self.lab
        one, two = (
            lab.put(
                {
                    "raw/甲.csv".encode(): csv([(n, f"甲{n}") for n in range(6)]),
                    b"raw/b.csv": csv([(n, f"b{n}") for n in range(4)]),
                }
            )
        ).values()
        self.source("甲", one.path)
        self.source("b", two.path, title="B")
        (clean,) = lab.put({"clean/甲.csv".encode(): csv([(n, f"甲{n}") for n in (0, 2, 3, 5)])}).values()
        lab.run(
            "清洗",
            [one],
            [clean],
            {(0, 0): [(0, 0), (1, 2), (2, 3), (3, 5)]},
            drops={0: {1: ("too short", -1), 4: ("unspecified", -1)}},
        )
        (whole,) = lab.put({"全部.csv".encode(): csv([(n, f"x{n}") for n in range(5)])}).values()
        links = {(0, 0): [(0, 0), (1, 1), (2, 2), (3, 3)], (0, 1): [(1, 0), (2, 1), (4, 2)]}
        lab.run("并", [clean, two], [whole], links, drops={1: {3: ("unmatched", -1)}})
        lab.put({b"README.md": b"# readme\n", b"step.py": b"print()\n"})
        return lab.commit("数据")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "数据"
    made = Shop(folder)
    made.fill()
    # What detectors say, and indexes of rows, stay in the cache for all tests.
    made.repo.release_create("v1")
    made.repo.undo()
    return folder


@pytest.fixture
def shop(filled: Path, tmp_path: Path) -> Shop:
    shutil.copytree(filled, tmp_path / "数据")
    return Shop(tmp_path / "数据")


def drop_tag(shop: Shop) -> None:
    """Take the tag away as nobody can with dsvc."""
    tip = shop.repo.history.refs.get(tag_ref("v1"))
    shop.repo.record("forge", changes=[RefChange(tag_ref("v1"), tip, None)])


def evaluate(shop: Shop, *lines: object, subject: str = "全部.csv", **more: Any) -> Any:
    path = shop.folder.parent / "结果.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return shop.repo.feedback_import(str(path), subject=subject, suite="pilot", **more)
