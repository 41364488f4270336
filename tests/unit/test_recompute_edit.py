"""Rows that are dropped and cells that are set, as runs; correspondences over several steps."""

from __future__ import annotations

import numpy as np
import pytest

from dsvc.diff.row_compare import NoSuchColumnError
from dsvc.lineage.run_check import check_run
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import UsageError
from dsvc.model.run_record import Capture, RunKind
from dsvc.porcelain.recompute.recompute import (
    Correspondence,
    Edits,
    ValueMisfitError,
    correspondence_of_splice,
    edit_artifact,
)
from dsvc.porcelain.tables.row_target import NoSuchRowError
from tests.porcelain.working import Work, text
from tests.recompute_steps import ROWS, csv, made, mapped, work
from tests.recomputing import (
    content,
    rows_of,
    stored,
)

__all__ = ["made", "mapped", "work"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_edit_is_a_run_that_accounts_for_every_row(work: Work, suffix: str) -> None:
    name = f"a.{suffix}".encode()
    work.commit("a", {name: content(ROWS, suffix)})
    old = work.repo.manifest_of("HEAD").get(name)
    assert old is not None
    edits = Edits(
        drop=[2, 11], values={"n": {0: "5", 1: "1"}, "文": {1: 'neu "q",', 3: None}}, reason="wrong"
    )
    found = edit_artifact(work.repo, old, edits, manual="dsvc repair r-1")
    assert found.run is not None
    run = found.run.run
    assert (run.kind, run.capture, run.manual, run.complete) == (
        RunKind.REPAIR,
        Capture.MAP,
        "dsvc repair r-1",
        True,
    )
    assert (run.rows["kept"], run.rows["changed"], run.rows["dropped"]) == (7, 3, 2)
    assert run.drops == {"wrong": 2}
    assert list(check_run(RunTree(work.repo.store, found.run.id))) == []
    rows = rows_of(work, found.artifact.files.entries[0])
    assert rows[:3] == [
        {"id": 0, "n": 5, "文": "行0"},
        {"id": 1, "n": 1, "文": 'neu "q",'},
        {"id": 3, "n": 3, "文": "" if suffix == "csv" else None},
    ]
    assert [row["id"] for row in rows] == [0, 1, *range(3, 11)]
    assert found.changed.tolist() == [0, 1, 3]


def test_setting_what_is_there_already_changes_nothing(work: Work) -> None:
    work.commit("a", {b"a.csv": csv()})
    old = work.repo.manifest_of("HEAD").get(b"a.csv")
    assert old is not None
    found = edit_artifact(work.repo, old, Edits(values={"n": {0: "0", 3: "3"}}))
    assert found.run is None
    assert found.artifact.files.entries[0].digest == old.digest
    assert found.artifact.correspondence is not None
    assert found.artifact.correspondence.is_identity


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("value", ["x", "1.5", "", "99999999999999999999"])
def test_a_value_that_does_not_fit_is_refused_before_anything_is_written(
    work: Work, suffix: str, value: str
) -> None:
    name = f"a.{suffix}".encode()
    work.commit("a", {name: content(ROWS, suffix)})
    old = work.repo.manifest_of("HEAD").get(name)
    assert old is not None
    published = work.repo.store.published_bytes
    with pytest.raises(ValueMisfitError):
        edit_artifact(work.repo, old, Edits(values={"n": {1: value}}))
    assert work.repo.store.published_bytes == published


def test_rows_and_columns_that_are_not_there(work: Work) -> None:
    work.commit("a", {b"a.csv": csv()})
    old = work.repo.manifest_of("HEAD").get(b"a.csv")
    assert old is not None
    with pytest.raises(NoSuchColumnError):
        edit_artifact(work.repo, old, Edits(values={"m": {1: "1"}}))
    for edits in (Edits(drop=[12]), Edits(values={"n": {-1: "1"}})):
        with pytest.raises(NoSuchRowError):
            edit_artifact(work.repo, old, edits)
    with pytest.raises(UsageError, match="dropped and changed"):
        edit_artifact(work.repo, old, Edits(drop=[1], values={"n": {1: "1"}}))


def test_an_edit_of_a_table_with_a_malformed_record_and_semicolons(work: Work) -> None:
    data = "a;b\n1,5;x\n2,5;y;z\n3,5;w\n"
    work.commit("a", {b"a.csv": text(data)})
    old = work.repo.manifest_of("HEAD").get(b"a.csv")
    assert old is not None
    found = edit_artifact(work.repo, old, Edits(values={"b": {1: "neu"}}))
    assert stored(work, found.artifact.files.entries[0]).decode() == "a;b\n1,5;x\n2,5;y;z\n3,5;neu\n"


# Correspondences


def test_a_correspondence_over_two_steps_and_from_the_other_side() -> None:
    first = correspondence_of_splice(5, np.array([1, 3]), np.array([1, 5]), np.array([1, -1]))
    assert first.old_of.tolist() == [0, 1, 2, 4, -1]
    assert first.changed.tolist() == [False, True, False, False, True]
    assert first.removed().tolist() == [3]
    assert first.touched().tolist() == [1, 3]
    second = correspondence_of_splice(5, np.array([0]), np.zeros(0, np.int64), np.zeros(0, np.int64))
    both = first.then(second)
    assert both.old_of.tolist() == [1, 2, 4, -1]
    assert both.changed.tolist() == [True, False, False, True]
    assert both.inverse().old_of.tolist() == [-1, 0, 1, -1, 2]
    assert Correspondence.identity(3).is_identity
