"""Recorded steps over a small table, done again with rows edited: for tests of recomputing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from dsvc.lineage.run_check import check_run
from dsvc.lineage.run_tree import RunTree
from dsvc.model.manifest import Entry
from dsvc.porcelain.recompute.recompute import (
    Edits,
    NewArtifact,
    Recomputed,
    edit_artifact,
    recompute,
)
from tests.porcelain.working import Work
from tests.recomputing import (
    Row,
    carrier,
    content,
    folder,
    step,
)

ROWS = [{"id": n, "n": n % 7, "文": f"行{n}"} for n in range(12)]
KEYED = {"keys": {None: ("id",)}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunTree]:
    """A repository with a run over `ROWS`, which most tests begin with a copy of."""
    work = folder(tmp_path_factory.mktemp("made"))
    work.write({b"a.csv": csv()})
    return work.folder, step(work, ["map", "a.csv", "b.csv"], ["a.csv"], ["b.csv"], **KEYED)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return folder(tmp_path)


@pytest.fixture
def mapped(tmp_path: Path, made: tuple[Path, RunTree]) -> tuple[Work, RunTree]:
    shutil.copytree(made[0], tmp_path / "数据")
    work = folder(tmp_path)
    return work, RunTree(work.repo.store, made[1].id)


def csv(rows: Sequence[Row] = ROWS) -> bytes:
    return content(rows, "csv")


def recorded(
    work: Work, mode: str, rows: Sequence[Row] = ROWS, suffix: str = "csv", **spec: object
) -> RunTree:
    work.write({f"a.{suffix}".encode(): content(rows, suffix)})
    return step(
        work, [mode, f"a.{suffix}", f"b.{suffix}"], [f"a.{suffix}"], [f"b.{suffix}"], **{**KEYED, **spec}
    )


def edited(work: Work, tree: RunTree, edits: Edits, number: int = 0) -> NewArtifact:
    return edit_artifact(work.repo, tree.input_files(number)[0], edits).artifact


def again(work: Work, tree: RunTree, edits: Edits, **more: object) -> tuple[Recomputed, RunTree]:
    done = recompute(work.repo, tree, {0: edited(work, tree, edits)}, carrier(), **more)  # type: ignore[arg-type]
    new = RunTree(work.repo.store, done.run.id)
    assert list(check_run(new)) == []
    assert new.run.complete
    return done, new


def out(work: Work, tree: RunTree, number: int = 0) -> Entry:
    return tree.output_files(number)[0]
