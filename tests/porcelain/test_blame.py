"""blame: beside a replay of all versions as plain dictionaries, over random histories with merges."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.diff.row_compare import DuplicateKeyError, NoSuchColumnError
from dsvc.history.commit_codec import Commit
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId
from dsvc.porcelain.lineage.blame import BlameResult
from dsvc.porcelain.tables.row_target import NoSuchRowError
from dsvc.table.origin.source import NotATableError
from tests.porcelain.working import Work

Table = dict[int, dict[str, Any]]
COLUMNS = ("id", "标签", "note")
FILLER: Table = {1000 + n: {"id": 1000 + n, "标签": "满", "note": n} for n in range(300)}


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name) for name in columns] for row in rows)
    return out.getvalue().encode()


def as_jsonl(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    schema = pa.schema({"id": pa.int64(), "标签": pa.string(), "note": pa.int64()})
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema), sink)
    return sink.getvalue()


FORMATS = {b"t.csv": as_csv, b"t.jsonl": as_jsonl, b"t.parquet": as_parquet}


def id_of(commit: Commit | None) -> CommitId | None:
    return None if commit is None else commit.id


def cells(result: BlameResult) -> dict[str, CommitId | None]:
    assert result.row is not None
    return {name: id_of(commit) for name, commit in result.row.cells.items()}


def commit_on(work: Work, parents: Sequence[CommitId], name: str) -> CommitId:
    """Commit what is in the tree on any parents, and leave HEAD there."""
    repo = work.repo
    repo.add(all=True)
    head = repo.history.refs.head()
    root = repo.staged(head).root
    files, size = repo.manifest(root).totals()
    prepared = repo.history.commit(
        parents=parents,
        manifest=root,
        files=files,
        bytes=size,
        message=name,
        author=repo.signature(),
        committer=repo.signature(),
        branch=head.branch,
        expected=head.commit,
    )
    repo.record("commit", changes=prepared.changes, objects=prepared.objects)
    return prepared.id


# Random histories


class Node(NamedTuple):
    """A commit of a history to make: its parents by number, and its rows."""

    parents: tuple[int, ...]
    table: Table


EDITS = st.tuples(
    st.integers(0, 5), st.sampled_from(["标签", "note", "remove"]), st.sampled_from([None, "甲", "乙", "丙"])
)


def edited(table: Table, edits: Sequence[tuple[int, str, Any]]) -> Table:
    result = {key: dict(row) for key, row in table.items()}
    for key, column, value in edits:
        if column == "remove":
            result.pop(key, None)
        else:
            row = result.setdefault(key, {"id": key, "标签": "新", "note": 0})
            row[column] = value if column == "标签" else len(value or "") * 7 + ord((value or "0")[0])
            if column == "note" and value is None:
                row["note"] = None
    return result


@st.composite
def histories(draw: st.DrawFn) -> list[Node]:
    nodes = [Node((), edited(FILLER, draw(st.lists(EDITS, max_size=8))))]
    for _ in range(draw(st.integers(1, 9))):
        count = draw(st.integers(1, min(3, len(nodes))))
        numbers = st.integers(max(0, len(nodes) - 4), len(nodes) - 1)
        parents = tuple(draw(st.lists(numbers, min_size=1, max_size=count, unique=True)))
        table = nodes[parents[0]].table
        if len(parents) > 1:
            # A merge takes rows of either side, and settles some cells itself.
            for other in parents[1:]:
                taken = draw(st.sets(st.integers(0, 5)))
                table = {k: r for k, r in table.items() if k not in taken}
                table |= {k: r for k, r in nodes[other].table.items() if k in taken}
        nodes.append(Node(parents, edited(table, draw(st.lists(EDITS, max_size=3)))))
    return nodes


class Replay:
    """Who did what, by the definition, from all versions in memory."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes

    def introduced(self, node: int, key: int) -> int:
        for parent in self.nodes[node].parents:
            if key in self.nodes[parent].table:
                return self.introduced(parent, key)
        return node

    def cell(self, node: int, key: int, column: str) -> int:
        value = self.nodes[node].table[key][column]
        for parent in self.nodes[node].parents:
            row = self.nodes[parent].table.get(key)
            if row is not None and row[column] == value:
                return self.cell(parent, key, column)
        return node

    def ancestors(self, node: int) -> set[int]:
        found = {node}
        for parent in self.nodes[node].parents:
            found |= self.ancestors(parent)
        return found

    def by_content(self, node: int, wanted: tuple[Any, ...], occurrence: int) -> int:
        for parent in self.nodes[node].parents:
            rows = [tuple(row.values()) for row in self.nodes[parent].table.values()]
            if rows.count(wanted) > occurrence:
                return self.by_content(parent, wanted, occurrence)
        return node


def made(work: Work, nodes: Sequence[Node], path: bytes, order: Sequence[int]) -> list[CommitId]:
    ids: list[CommitId] = []
    for number, node in enumerate(nodes):
        rows = list(node.table.values())
        # Where rows stand must not matter.
        turn = order[number % len(order)] % len(rows)
        work.write({path: FORMATS[path](rows[turn:] + rows[:turn])})
        ids.append(commit_on(work, [ids[parent] for parent in node.parents], str(number)))
    return ids


some = pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.soak)])


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))


@some
def test_random_histories(count: int) -> None:
    orders = st.lists(st.integers(0, 400), min_size=1, max_size=4)
    examples(count)(given(histories(), st.sampled_from(sorted(FORMATS)), orders)(_history))()


def _history(nodes: list[Node], path: bytes, order: list[int]) -> None:
    folder = tempfile.mkdtemp()
    try:
        work = Work(Path(folder) / "w")
        ids = made(work, nodes, path, order)
        replay, last = Replay(nodes), len(nodes) - 1
        for key in [*sorted(set(range(6)) & set(nodes[last].table)), 1000, 1299]:
            result = work.repo.blame(f"{ids[last]}:{path.decode()}#id={key}")
            wanted = {name: replay.cell(last, key, name) for name in COLUMNS}
            assert cells(result) == {name: ids[number] for name, number in wanted.items()}
            assert id_of(result.introduced) == ids[replay.introduced(last, key)]
            assert result.row is not None
            assert result.row.values == nodes[last].table[key]
            # None of the others is a descendant of the one that is said to be the last.
            changed = ids.index(id_of(result.changed) or CommitId(""))
            assert changed in wanted.values()
            assert not any(changed in replay.ancestors(n) for n in wanted.values() if n != changed)
    finally:
        shutil.rmtree(folder)


@some
def test_random_histories_without_a_key(count: int) -> None:
    examples(count)(given(histories(), st.sampled_from(sorted(FORMATS)))(_history_without_a_key))()


def _history_without_a_key(nodes: list[Node], path: bytes) -> None:
    folder = tempfile.mkdtemp()
    try:
        work = Work(Path(folder) / "w")
        # The same number in all rows, so that only labels and notes tell them apart.
        without = [Node(n.parents, {key: {**row, "id": 1} for key, row in n.table.items()}) for n in nodes]
        ids = made(work, without, path, [0])
        replay, last = Replay(without), len(nodes) - 1
        rows = [tuple(row.values()) for row in without[last].table.values()]
        for position in sorted({0, 1, 299, len(rows) - 1, *range(300, len(rows))}):
            result = work.repo.blame(f"{path.decode()}#@{position}", key=[])
            number = replay.by_content(last, rows[position], rows[:position].count(rows[position]))
            assert set(cells(result).values()) == {ids[number]}
            assert id_of(result.introduced) == id_of(result.changed) == ids[number]
    finally:
        shutil.rmtree(folder)


# What stands in the definition


def lines(*rows: tuple[Any, ...], columns: Sequence[str] = COLUMNS) -> bytes:
    return as_csv([dict(zip(columns, row, strict=True)) for row in rows], columns)


def test_cells_rows_and_files(work: Work) -> None:
    first = work.commit("first", {b"t.csv": lines((1, "猫", 0), (2, "狗", 0))})
    second = work.commit("second", {b"t.csv": lines((1, "猫", 5), (2, "狗", 0), (3, "鸟", 9))})
    third = work.commit("third", {b"t.csv": lines((3, "鸟", 9), (1, "老虎", 5), (2, "狗", 0))})
    work.commit("elsewhere", {b"other": b"x"})
    result = work.repo.blame("t.csv#id=1")
    assert cells(result) == {"id": first, "标签": third, "note": second}
    assert (id_of(result.introduced), id_of(result.changed)) == (first, third)
    assert result.row is not None
    assert (result.row.position, result.row.key) == (1, ("id",))
    assert result.row.values == {"id": 1, "标签": "老虎", "note": 5}
    assert set(cells(work.repo.blame("t.csv#标签=鸟")).values()) == {second}
    assert set(cells(work.repo.blame("t.csv#@2")).values()) == {first}
    assert cells(work.repo.blame(f"{second}:t.csv#id=1"))["标签"] == first
    whole = work.repo.blame("t.csv")
    assert (id_of(whole.introduced), id_of(whole.changed)) == (first, third)
    assert [id_of(commit) for commit in whole.commits] == [third, second, first]
    assert whole.row is None


def test_what_is_not_committed(work: Work) -> None:
    first = work.commit("first", {b"t.csv": lines((1, "a", 0), (2, "b", 0))})
    work.write(
        {b"t.csv": lines((1, "a", 7), (2, "b", 0), (3, "c", 0)), "新.csv".encode(): lines((1, "x", 0))}
    )
    assert cells(work.repo.blame("WORKTREE:t.csv#id=1")) == {"id": first, "标签": first, "note": None}
    assert work.repo.blame("WORKTREE:t.csv#id=1").changed is None
    assert id_of(work.repo.blame("WORKTREE:t.csv#id=2").changed) == first
    assert set(cells(work.repo.blame("WORKTREE:t.csv#id=3")).values()) == {None}
    assert work.repo.blame("WORKTREE:t.csv#id=3").introduced is None
    assert work.repo.blame("WORKTREE:新.csv").introduced is None
    assert id_of(work.repo.blame("STAGED:t.csv#id=1").changed) == first
    assert [id_of(commit) for commit in work.repo.blame("WORKTREE:t.csv").commits] == [None, first]
    work.repo.add(all=True)
    assert cells(work.repo.blame("STAGED:t.csv#id=1"))["note"] is None


def test_a_merge_in_progress_has_two_parents(work: Work) -> None:
    work.diverge(
        {b"t.csv": lines((1, "a", 0)), b"c": b"1\n"},
        {b"c": b"2\n"},
        {b"t.csv": lines((1, "a", 7)), b"c": b"3\n"},
    )
    outcome = work.repo.merge("topic")
    assert outcome.conflicts
    theirs = work.repo.history.revisions.resolve("topic")
    assert cells(work.repo.blame("WORKTREE:t.csv#id=1"))["note"] == theirs


def test_renamed_files_are_followed(work: Work) -> None:
    first = work.commit("first", {b"old.csv": lines((1, "a", 0), (2, "b", 0))})
    work.commit("moved", {b"old.csv": None, "表/新.csv".encode(): lines((1, "a", 0), (2, "b", 0))})
    third = work.commit("third", {"表/新.csv".encode(): lines((1, "a", 3), (2, "b", 0))})
    result = work.repo.blame("表/新.csv#id=1")
    assert cells(result) == {"id": first, "标签": first, "note": third}
    assert id_of(work.repo.blame("表/新.csv").introduced) == first
    work.repo.move("表/新.csv".encode(), b"back.csv")
    assert cells(work.repo.blame("WORKTREE:back.csv#id=1")) == cells(result)


def test_renamed_columns_are_followed(work: Work) -> None:
    rows = [(n, f"word {n}", n * n) for n in range(50)]
    first = work.commit("first", {b"t.csv": lines(*rows)})
    rows[7] = (7, "changed", 49)
    second = work.commit("second", {b"t.csv": lines(*rows)})
    work.commit("renamed", {b"t.csv": lines(*rows, columns=("nr", "词", "note"))})
    rows[7] = (7, "changed", 50)
    fourth = work.commit("fourth", {b"t.csv": lines(*rows, columns=("nr", "词", "note"))})
    result = work.repo.blame("t.csv#nr=7")
    assert cells(result) == {"nr": first, "词": second, "note": fourth}
    assert id_of(work.repo.blame("t.csv#@9", key=[]).introduced) == first


def test_columns_that_come(work: Work) -> None:
    first = work.commit("first", {b"t.jsonl": as_jsonl([{"id": 1}, {"id": 2}])})
    second = work.commit("second", {b"t.jsonl": as_jsonl([{"id": 1, "new": 5}, {"id": 2, "new": None}])})
    assert cells(work.repo.blame("t.jsonl#id=1")) == {"id": first, "new": second}
    # An absent column reads as null: nobody changed this cell.
    assert cells(work.repo.blame("t.jsonl#id=2")) == {"id": first, "new": first}


def test_a_row_that_went_and_came_again(work: Work) -> None:
    work.commit("first", {b"t.csv": lines((1, "a", 0), (2, "b", 0))})
    work.commit("gone", {b"t.csv": lines((2, "b", 0))})
    again = work.commit("again", {b"t.csv": lines((1, "a", 0), (2, "b", 0))})
    assert set(cells(work.repo.blame("t.csv#id=1")).values()) == {again}
    assert id_of(work.repo.blame("t.csv#id=1").introduced) == again


def test_a_file_that_was_no_table_before(work: Work) -> None:
    work.commit("first", {b"t.csv": b"\0\1\2 no table"})
    second = work.commit("second", {b"t.csv": lines((1, "a", 0))})
    assert id_of(work.repo.blame("t.csv#id=1").introduced) == second


def test_a_key_that_was_given_twice_before(work: Work) -> None:
    first = work.commit("first", {b"t.csv": lines((1, "a", 0), (1, "b", 5), (2, "c", 0))})
    second = work.commit("second", {b"t.csv": lines((1, "b", 6), (2, "c", 0))})
    assert cells(work.repo.blame("t.csv#id=1")) == {"id": first, "标签": first, "note": second}


def test_the_key_of_dsvc_toml_is_the_row(work: Work) -> None:
    rules = '[tables."*.csv"]\nkey = ["标签"]\n'.encode()
    first = work.commit("first", {b"t.csv": lines((1, "a", 0), (2, "b", 0)), b"dsvc.toml": rules})
    second = work.commit("second", {b"t.csv": lines((7, "a", 0), (2, "b", 0))})
    assert cells(work.repo.blame("t.csv#id=7")) == {"id": second, "标签": first, "note": first}
    assert cells(work.repo.blame("t.csv#@0")) == {"id": second, "标签": first, "note": first}
    assert set(cells(work.repo.blame("t.csv#@0", key=["id"])).values()) == {second}


def test_errors(work: Work) -> None:
    work.commit("first", {b"t.csv": lines((1, "a", 0), (2, "a", 0)), b"text": b"no table\n"})
    for target, error in {
        "t.csv#id=3": NoSuchRowError,
        "t.csv#id=x": NoSuchRowError,
        "t.csv#@2": NoSuchRowError,
        "t.csv#nr=1": NoSuchColumnError,
        "t.csv#标签=a": DuplicateKeyError,
        "text#@0": NotATableError,
        "nothing.csv": NotFoundError,
        "nothing.csv#id=1": NotFoundError,
        "nosuch:t.csv#id=1": NotFoundError,
    }.items():
        with pytest.raises(error):
            work.repo.blame(target)
    with pytest.raises(DuplicateKeyError) as caught:
        work.repo.blame("t.csv#id=1", key=["标签"])
    assert caught.value.details["rows"] == [0, 1]


def test_without_the_cache_the_answer_is_the_same(work: Work) -> None:
    rows = [(n, "x", n) for n in range(2000)]
    ids = []
    for version in range(6):
        rows[version * 300] = (version * 300, "y", -version)
        ids.append(work.commit(str(version), {b"t.csv": lines(*rows)}))
    targets = [f"t.csv#id={n}" for n in (0, 300, 1500, 1999)]
    first = [cells(work.repo.blame(target)) for target in targets]
    assert first[2] == {"id": ids[0], "标签": ids[5], "note": ids[5]}
    assert [cells(work.reopen().blame(target)) for target in targets] == first
    kept = sorted((Path(work.repo.layout.cache) / "rows").iterdir())
    assert len(kept) == 6
    for number, path in enumerate(kept):
        if number % 2:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-9] + b"\0damaged!")
    assert [cells(work.reopen().blame(target)) for target in targets] == first
    shutil.rmtree(Path(work.repo.layout.cache) / "rows")
    assert [cells(work.reopen().blame(target)) for target in targets] == first
