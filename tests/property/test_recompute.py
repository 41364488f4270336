"""Runs done again on changed rows only, against the step's own functions over all rows.

Commands really run, so that examples are few; each has a table, a step or two, and an edit.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.lineage.run_check import check_run
from dsvc.lineage.run_tree import RunTree
from dsvc.porcelain.recompute.recompute import Edits, NewArtifact, edit_artifact, recompute
from dsvc.porcelain.tables.row_indexes import RowIndexes
from dsvc.porcelain.tables.table_diff import known_table
from dsvc.table.guard import build_indexes
from tests.porcelain.working import Work
from tests.recomputing import (
    Row,
    account_of,
    carrier,
    content,
    folder,
    functions,
    links_of,
    rows_of,
    step,
    version,
)

MODES = functions()
texts = st.sampled_from(["a", "乙", 'q"，,', "x y", "0"])
numbers = st.integers(0, 9)


class Case(NamedTuple):
    suffix: str
    rows: list[Row]
    modes: list[str]
    keyed: bool
    new: list[Row]
    edits: Edits | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    suffix = draw(st.sampled_from(["csv", "jsonl", "parquet"]))
    count = draw(st.integers(2, 14))
    is_unique = draw(st.booleans())
    ids = (
        list(draw(st.permutations(range(count))))
        if is_unique
        else [draw(st.integers(0, 3)) for _ in range(count)]
    )
    rows = [{"id": id_, "n": draw(numbers), "文": draw(texts)} for id_ in ids]
    # What changes rows needs a key, by which they are found again.
    changing = [["map"], ["explode"], ["map", "filter"], ["explode", "map"]] if is_unique else []
    modes = draw(st.sampled_from([["filter"], ["filter-back"], ["same", "filter"], *changing]))
    dropped = draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    changed = draw(st.sets(st.sampled_from([n for n in range(count) if n not in dropped]), max_size=3))
    values = {"n": {n: str(draw(numbers)) for n in changed}, "文": {n: draw(texts) for n in changed if n % 2}}
    if draw(st.booleans()):
        new = [
            dict(row, n=int(values["n"].get(n, row["n"])), 文=values["文"].get(n, row["文"]))
            for n, row in enumerate(rows)
            if n not in dropped
        ]
        return Case(suffix, rows, modes, is_unique, new, Edits(sorted(dropped), values))
    new = [row for n, row in enumerate(rows) if n not in dropped]
    for at in sorted(draw(st.sets(st.integers(0, len(new)), max_size=2)), reverse=True):
        new.insert(at, {"id": 100 + at, "n": draw(numbers), "文": draw(texts)})
    return Case(suffix, rows, modes, is_unique, new, None)


def made(rows: list[Row], mode: str) -> list[tuple[Row, int]]:
    """What a step makes of rows, each with the row that it came from."""
    found = [(row, n) for n, each in enumerate(rows) for row in MODES[mode.removesuffix("-back")](each)]
    return found[::-1] if mode.endswith("-back") else found


def frozen(row: Row) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in row.items())


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(cases())
def test_rows_done_again_are_as_if_all_were(case: Case) -> None:
    with tempfile.TemporaryDirectory() as place:
        work = folder(Path(place))
        names = [f"t{n}.{case.suffix}" for n in range(len(case.modes) + 1)]
        work.write({names[0].encode(): content(case.rows, case.suffix)})
        keys = {None: ("id",)} if case.keyed else {}
        runs = [
            step(work, [mode, before, after], [before], [after], keys=keys)
            for mode, before, after in zip(case.modes, names[:-1], names[1:], strict=True)
        ]
        old = runs[0].input_files(0)[0]
        if case.edits is None:
            artifact = version(work, old, content(case.new, case.suffix))
        else:
            edited = edit_artifact(work.repo, old, case.edits)
            artifact = edited.artifact
            assert rows_of(work, artifact.files.entries[0]) == case.new
            check_index(work, artifact)
            if edited.run is not None:
                check_edit(RunTree(work.repo.store, edited.run.id), case)
        rows = case.new
        for mode, tree in zip(case.modes, runs, strict=True):
            done = recompute(work.repo, tree, {0: artifact}, carrier())
            again = RunTree(work.repo.store, done.run.id)
            check(work, again, rows, mode, made_before=rows_of(work, tree.output_files(0)[0]))
            assert done.run.run.rowwise
            assert done.whole or done.rows_recomputed <= artifact.correspondence.changed.sum() + len(
                case.rows
            ) * (not case.keyed)
            (artifact,) = done.outputs
            check_correspondence(work, tree.output_files(0)[0], artifact)
            check_index(work, artifact)
            rows = [row for row, _ in made(rows, mode)]


def check(work: Work, tree: RunTree, rows: list[Row], mode: str, *, made_before: list[Row]) -> None:
    """Outputs, row map and account against the functions."""
    assert list(check_run(tree)) == []
    assert tree.run.complete
    found = rows_of(work, tree.output_files(0)[0])
    expected = made(rows, mode)
    assert Counter(map(frozen, found)) == Counter(frozen(row) for row, _ in expected)
    if "-" not in mode:
        assert found == [row for row, _ in expected]
    links = links_of(tree)
    assert len(links) == len(found)
    for output, parent in links:
        # Of equal rows any is right; what a row became, row for row, says so.
        assert found[output] in MODES[mode.removesuffix("-back")](rows[parent])
    children = Counter(parent for _, parent in links)
    account = account_of(tree)
    assert account.fates.total == len(rows) == tree.run.inputs[0].records
    assert account.dropped.tolist() == [n for n in range(len(rows)) if not children[n]]
    assert [children[n] for n in range(len(rows))] == [
        len(MODES[mode.removesuffix("-back")](row)) for row in rows
    ]
    single = {parent: found[output] for output, parent in links if children[parent] == 1}
    assert account.changed.tolist() == sorted(n for n, row in single.items() if row != rows[n])


def check_edit(tree: RunTree, case: Case) -> None:
    assert list(check_run(tree)) == []
    assert case.edits is not None
    kept = [n for n in range(len(case.rows)) if n not in case.edits.drop]
    assert links_of(tree) == list(enumerate(kept))
    account = account_of(tree)
    assert account.dropped.tolist() == list(case.edits.drop)
    assert account.changed.tolist() == [n for place, n in enumerate(kept) if case.rows[n] != case.new[place]]


def check_correspondence(work: Work, old: object, artifact: NewArtifact) -> None:
    before, after = rows_of(work, old), rows_of(work, artifact.files.entries[0])  # type: ignore[arg-type]
    found = artifact.correspondence
    assert found is not None
    assert (found.old_rows, found.rows) == (len(before), len(after))
    known = found.old_of[found.old_of >= 0].tolist()
    assert len(set(known)) == len(known)
    for row, (place, changed) in enumerate(zip(found.old_of.tolist(), found.changed.tolist(), strict=True)):
        assert changed == (place < 0 or before[place] != after[row])
    assert found.inverse().inverse().old_of.tolist() == found.old_of.tolist()


def check_index(work: Work, artifact: NewArtifact) -> None:
    """An index that was put together says what reading the table says."""
    entry = artifact.files.entries[0]
    table = known_table(work.repo, entry)
    cached = RowIndexes(work.repo).cached(entry.digest)
    if table is None or cached is None:
        return
    (read,) = build_indexes([table])
    assert cached.columns == read.columns
    for name, hashes in read.cells().items():
        assert cached.cells()[name].tolist() == hashes.tolist()
    assert [o for o in cached.pieces["offset"].tolist() if o not in read.pieces["offset"]] == []
