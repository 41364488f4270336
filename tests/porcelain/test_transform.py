"""Steps in Python: whatever a library does to a frame, the recorded parents are the true ones.

The test's tables carry the truth in a column of their own, ``rid``, which no code of dsvc knows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dsvc.lineage.carry import LostRowIdsWarning
from dsvc.lineage.link_file import LinkFile
from dsvc.lineage.row_ids import RowIdError
from dsvc.model.errors import DsvcError, NotFoundError, UsageError
from dsvc.model.run_record import Capture
from dsvc.porcelain.pending_runs import pending_runs
from dsvc.porcelain.run_recording import InputChangedError, OutputMissingError
from dsvc.porcelain.run_spec import RunSpec
from dsvc.porcelain.run_storage import RunResult
from tests.porcelain.working import Work

LIBRARIES = ["pandas", "polars", "duckdb", "arrow", "dataset"]
LEFT = "左.csv"
RIGHT = "right.parquet"
WORDS = ["a b", "c", "", "d e f", "g", "a b", "h i", "", "c", "j"]
ROWS = [{"rid": row, "k": row % 4, "v": row % 3, "w": word} for row, word in enumerate(WORDS)]
OTHERS = [{"rid": 1000 + row, "k": row // 2 + 1, "z": row} for row in range(6)]
Frame = Any


@pytest.fixture
def work(work: Work) -> Work:
    lines = ["rid,k,v,w", *(",".join(str(cell) for cell in row.values()) for row in ROWS)]
    work.write({LEFT.encode(): "\n".join(lines).encode() + b"\n"})
    pq.write_table(pa.Table.from_pylist(OTHERS), work.folder / RIGHT)
    return work


def truth(table: pa.Table) -> set[tuple[int, str, int]]:
    """Output rows with their parents, by the hidden column."""
    found = set()
    for name in [name for name in table.column_names if "rid" in name]:
        for row, value in enumerate(table.column(name).to_pylist()):
            for each in value if isinstance(value, list) else [value]:
                if each is not None and each == each:
                    found.add((row, RIGHT if each >= 1000 else LEFT, int(each) % 1000))
    return found


def recorded(
    work: Work, result: RunResult, output: str = "out.parquet", capture: Capture = Capture.CARRIED
) -> set[tuple[int, str, int]]:
    tree = work.repo.load_run(result.id.hex())
    paths = [each.path for each in tree.run.outputs]
    number = paths.index(output.encode())
    assert tree.run.outputs[number].capture is capture
    found = set()
    for place, each in enumerate(tree.run.inputs):
        data = tree.part(b"maps/%d-%d" % (number, place))
        pairs = (
            [] if data is None else list(zip(*(part.tolist() for part in LinkFile(data).all()), strict=True))
        )
        found |= {(row, each.path.decode(), parent) for row, parent in pairs}
    return found


def pandas_ops() -> dict[str, Callable[[Frame, Frame], Frame]]:
    return {
        "filter": lambda a, b: a[a.v > 0],
        "sort": lambda a, b: a.sort_values(["v", "w"], ascending=False),
        "join": lambda a, b: a.merge(b, on="k"),
        "outer": lambda a, b: a.merge(b, on="k", how="outer"),
        "group": lambda a, b: a.groupby("v").agg({"rid": list, "_dsvc_row": list, "k": "sum"}),
        "joined group": lambda a, b: a.merge(b, on="k", how="left").groupby("v").agg(list),
        "explode": lambda a, b: a.assign(w=a.w.fillna("").str.split(" ")).explode("w"),
        "concat": lambda a, b: pd.concat([a, b, a.head(2)]),
        "unique": lambda a, b: a.drop_duplicates("w"),
        "index": lambda a, b: a.set_index(["k", "_dsvc_row"]).sort_index(),
    }


def polars_ops() -> dict[str, Callable[[Frame, Frame], Frame]]:
    return {
        "filter": lambda a, b: a.filter(pl.col("v") > 0),
        "sort": lambda a, b: a.lazy().sort("v", "w", descending=True),
        "join": lambda a, b: a.join(b, on="k"),
        "outer": lambda a, b: a.join(b, on="k", how="full"),
        "group": lambda a, b: a.group_by("v").agg("rid", "_dsvc_row", pl.col("k").sum()),
        "joined group": lambda a, b: a.join(b, on="k", how="left").group_by("v").agg(pl.all()),
        "explode": lambda a, b: a.with_columns(pl.col("w").str.split(" ")).explode("w"),
        "concat": lambda a, b: pl.concat([a, b, a.head(2)], how="diagonal"),
        "unique": lambda a, b: a.unique("w", maintain_order=True),
    }


def duckdb_ops() -> dict[str, Callable[[Frame, Frame], Frame]]:
    def query(text: str) -> Callable[[Frame, Frame], Frame]:
        def run(a: Frame, b: Frame) -> Frame:
            return duckdb.sql(text)  # which names the frames

        return run

    return {
        "filter": lambda a, b: a.filter("v > 0"),
        "sort": lambda a, b: a.order("v DESC, w DESC"),
        "join": query("SELECT *, a.rid AS rid_a, b.rid AS rid_b FROM a JOIN b USING (k)"),
        "outer": query("FROM a FULL JOIN b USING (k)"),
        "group": query("SELECT v, list(rid), list(_dsvc_row), sum(k) FROM a GROUP BY v"),
        "joined group": query(
            "SELECT v, list(a.rid) AS rid, list(b.rid) AS rid_b, list(a._dsvc_row), list(b._dsvc_row) "
            "FROM a LEFT JOIN b USING (k) GROUP BY v"
        ),
        "explode": query("SELECT rid, _dsvc_row, unnest(split(w, ' ')) AS w FROM a"),
        "concat": query("FROM a UNION ALL BY NAME FROM b UNION ALL BY NAME (FROM a LIMIT 2)"),
        "unique": query("SELECT DISTINCT ON (w) * FROM a ORDER BY rid"),
    }


def arrow_ops() -> dict[str, Callable[[pa.Table, pa.Table], Frame]]:
    def join(a: pa.Table, b: pa.Table, how: str = "inner") -> pa.Table:
        return a.join(b, "k", join_type=how, left_suffix="_l", right_suffix="_r")

    def explode(a: pa.Table, b: pa.Table) -> pa.Table:
        words = pc.split_pattern(pc.fill_null(a["w"], ""), " ")
        return a.take(pc.list_parent_indices(words.combine_chunks()))

    return {
        "filter": lambda a, b: a.filter(pc.greater(a["v"], 0)),
        "sort": lambda a, b: a.sort_by([("v", "descending"), ("rid", "ascending")]),
        "join": join,
        "outer": lambda a, b: join(a, b, "full outer"),
        "group": lambda a, b: a.group_by("v").aggregate(
            [("rid", "list"), ("_dsvc_row", "list"), ("k", "sum")]
        ),
        "explode": explode,
        "concat": lambda a, b: pa.concat_tables([a, b, a.slice(0, 2)], promote_options="default"),
        "unique": lambda a, b: a.group_by("w", use_threads=False).aggregate(
            [("rid", "first"), ("_dsvc_row", "first")]
        ),
    }


def dataset_ops() -> dict[str, Callable[[Frame, Frame], Frame]]:
    import datasets

    datasets.disable_progress_bars()

    def explode(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        parts = [(place, word) for place, text in enumerate(rows["w"]) for word in (text or "").split(" ")]
        return {
            **{name: [rows[name][place] for place, _ in parts] for name in ("rid", "_dsvc_row")},
            "w": [word for _, word in parts],
        }

    return {
        "filter": lambda a, b: a.filter(lambda row: row["v"] > 0),
        "sort": lambda a, b: a.sort("w"),
        "map": lambda a, b: a.map(lambda row: {"w": (row["w"] or "").upper()}),
        "explode": lambda a, b: a.map(explode, batched=True, remove_columns=a.column_names),
        "concat": lambda a, b: datasets.concatenate_datasets([a, b, a.select(range(2))]),
        "unique": lambda a, b: a.select([0, 1, 2, 3]),
        "group": lambda a, b: datasets.Dataset.from_pandas(
            a.to_pandas().groupby("v").agg({"rid": list, "_dsvc_row": list})
        ),
        "join": lambda a, b: datasets.Dataset.from_pandas(a.to_pandas().merge(b.to_pandas(), on="k")),
    }


OPERATIONS = {
    "pandas": pandas_ops(),
    "polars": polars_ops(),
    "duckdb": duckdb_ops(),
    "arrow": arrow_ops(),
    "dataset": dataset_ops(),
}


@pytest.mark.parametrize(
    ("library", "name"), [(library, name) for library, found in OPERATIONS.items() for name in found]
)
def test_parents_are_the_true_ones(work: Work, library: str, name: str) -> None:
    with work.repo.transform(name, inputs=[LEFT, RIGHT], kind="transform") as t:
        frames = t.read(LEFT, as_=library), t.read(RIGHT, as_=library)
        t.write("out.parquet", OPERATIONS[library][name](*frames))
    table = pq.read_table(work.folder / "out.parquet")
    assert not [each for each in table.column_names if "_dsvc_row" in each]
    expected = truth(table)
    assert expected
    assert recorded(work, t.result) == expected
    run = t.result.run
    assert run.complete
    assert run.outputs[0].records == table.num_rows
    for each, rows in zip(run.inputs, (ROWS, OTHERS), strict=True):
        assert each.fates is not None
        assert each.fates.total == len(rows)
        parents = {parent for _, path, parent in expected if path == each.path.decode()}
        assert each.fates.dropped == len(rows) - len(parents)
    assert pending_runs(work.repo.layout) == [t.result.id]


@pytest.mark.parametrize("output", ["out.csv", "out.tsv", "out.jsonl", "out.arrow", "深/out.csv.gz"])
def test_formats(work: Work, output: str) -> None:
    with work.repo.transform("filter", inputs=LEFT) as t:
        assert t.write(output, t.read(LEFT, as_="polars").filter(pl.col("rid") % 3 == 1)) == 3
    assert recorded(work, t.result, output) == {(0, LEFT, 1), (1, LEFT, 4), (2, LEFT, 7)}
    assert t.result.run.rows == {"kept": 3, "changed": 0, "merged": 0, "split": 0, "dropped": 7, "added": 0}


def test_a_filter_changes_no_cell(work: Work) -> None:
    """Numbers with gaps stay whole in pandas, and what nobody changed is written as it was."""
    lines = ["id,n,x,at,ok", "1,5,1.50,2026-01-01T10:00,True", "2,,2,2026-01-01T10:00:30,False", "3,7,,,"]
    work.write({b"t.csv": "\n".join(lines).encode() + b"\n"})
    for library in LIBRARIES:
        with work.repo.transform("filter", inputs="t.csv") as t:
            t.write("out.csv", t.read("t.csv", as_=library))
        assert (work.folder / "out.csv").read_text() == "\n".join(lines) + "\n"
        assert t.result.run.rows["kept"] == 3
    with work.repo.transform("clean", inputs="t.csv") as t:
        frame = t.read("t.csv", as_="pandas")
        frame.loc[1, "x"] = 3.5
        t.write("out.csv", frame.iloc[::-1])
    assert (work.folder / "out.csv").read_text().splitlines()[2] == "2,,3.5,2026-01-01T10:00:30,False"
    assert t.result.run.rows == {"kept": 2, "changed": 1, "merged": 0, "split": 0, "dropped": 0, "added": 0}


def test_drops_with_reasons(work: Work) -> None:
    with work.repo.transform("dedup", inputs=[LEFT]) as t:
        frame = t.read(LEFT, as_="pandas")
        empty = frame[frame.w.isna()]
        rest = frame[frame.w.notna()]
        kept = rest.drop_duplicates("w")
        twins = rest[rest.duplicated("w")]
        t.drop(LEFT, empty, reason="没有字")
        t.drop(LEFT, twins, reason="duplicate", survivor=[0, 1])
        t.write("out.parquet", kept)
    assert t.result.run.drops == {"duplicate": 2, "没有字": 2}
    assert recorded(work, t.result) == truth(pq.read_table(work.folder / "out.parquet"))


def test_a_drop_of_a_row_that_stays(work: Work) -> None:
    with pytest.raises(DsvcError, match="row"):
        step(work, lambda t: (t.write("out.csv", t.read(LEFT)), t.drop(LEFT, [0], reason="x")))
    assert not pending_runs(work.repo.layout)


def step(work: Work, body: Callable[[Any], object], **options: Any) -> RunResult:
    with work.repo.transform("clean", inputs=[LEFT], **options) as t:
        body(t)
    return t.result


def test_an_error_records_nothing_and_keeps_the_files(work: Work) -> None:
    def body(t: Any) -> None:
        t.write("out.csv", t.read(LEFT))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step(work, body)
    assert (work.folder / "out.csv").exists()
    assert not pending_runs(work.repo.layout)


def test_made_up_ids_are_refused(work: Work) -> None:
    with pytest.raises(RowIdError):
        step(work, lambda t: t.write("o.csv", t.read(LEFT, as_="pandas").assign(_dsvc_row=range(10))))
    with pytest.raises(RowIdError):
        step(work, lambda t: t.write("o.csv", t.read(LEFT, as_="pandas").groupby("v").sum(numeric_only=True)))
    assert not (work.folder / "o.csv").exists()


def test_lost_ids_fall_back_to_key_and_content(work: Work) -> None:
    def body(t: Any) -> None:
        t.write("o.csv", t.read(LEFT, as_="pandas").drop(columns="_dsvc_row").head(4))

    with pytest.warns(LostRowIdsWarning):
        by_content = step(work, body).run
    assert by_content.capture is Capture.CONTENT
    with pytest.warns(LostRowIdsWarning):
        by_key = step(work, body, keys="rid").run
    assert by_key.capture is Capture.KEY
    assert by_content.rows == by_key.rows
    assert by_key.rows["kept"] == 4
    assert by_key.rows["dropped"] == 6


def test_in_place_and_several_outputs(work: Work) -> None:
    with work.repo.transform("split", inputs=[LEFT]) as t:
        table = t.read(LEFT)
        t.write(LEFT, table.slice(0, 4))
        t.write("rest.jsonl", table.slice(4))
        assert t.read(LEFT).num_rows == 10  # what was there when the step began
        with open(t.path("model.bin"), "wb") as file:
            file.write(b"model")
    run = t.result.run
    assert [each.path for each in run.outputs] == [LEFT.encode(), b"rest.jsonl", b"model.bin"]
    assert [each.records for each in run.outputs] == [4, 6, None]
    assert run.rows["dropped"] == 0
    assert recorded(work, t.result, "rest.jsonl") == {(row, LEFT, row + 4) for row in range(6)}


def test_lookups_have_no_ids(work: Work) -> None:
    with work.repo.transform("clean", inputs=[LEFT], lookups=[RIGHT]) as t:
        other = t.read(RIGHT)
        assert "_dsvc_row" not in other.column_names
        t.write("out.csv", t.read(LEFT).filter(pc.is_in(t.read(LEFT)["k"], value_set=other["k"])))
    assert [each.role.value for each in t.result.run.inputs] == ["input", "lookup"]


def test_what_is_recorded(work: Work) -> None:
    options: dict[str, Any] = {"kind": "label", "seed": 7, "parameters": {"limit": 3, "名": "值", "l": [1]}}
    options |= {"facts": {"annotator": "ann-07"}, "drop_reason": "空", "environ": {"LANG": "C", "HOME": "/x"}}
    run = step(work, lambda t: t.write("out.csv", t.read(LEFT).slice(2)), **options).run
    assert (run.name, run.kind.value, run.seed) == ("clean", "label", "7")
    assert run.parameters == {"limit": "3", "名": "值", "l": "[1]"}
    assert run.facts == {"annotator": "ann-07"}
    assert run.drops == {"空": 2}
    assert run.environment.variables == {"LANG": "C"}
    assert run.command == ()
    assert run.agent.name == "Ann"


def test_malformed_records_are_no_rows(work: Work) -> None:
    work.write({b"t.csv": b"id,a\n1,x\n2\n3,y\n4,z,z\n5,w\n"})
    with work.repo.transform("filter", inputs="t.csv") as t:
        t.write("out.parquet", t.read("t.csv").slice(1))
    assert recorded(work, t.result) == {(0, "t.csv", 1), (1, "t.csv", 2)}


def test_refusals(work: Work) -> None:
    for options in ({"kind": "polish"}, {"grade": "best"}, {"facts": {"colour": "red"}}):
        with pytest.raises(UsageError):
            step(work, lambda t: None, **options)
    with pytest.raises(NotFoundError), work.repo.transform("clean", inputs=["no.csv"]):
        pass
    with pytest.raises(UsageError):
        step(work, lambda t: t.read(RIGHT))
    with pytest.raises(UsageError):
        step(work, lambda t: None)
    with pytest.raises(OutputMissingError):
        step(work, lambda t: None, outputs="out.csv")
    t = work.repo.transform("clean", inputs=[LEFT])
    for call in (lambda: t.read(LEFT), lambda: t.result, lambda: t.write("o.csv", {"a": [1]})):
        with pytest.raises(UsageError):
            call()
    assert not pending_runs(work.repo.layout)


def test_input_changed_meanwhile(work: Work) -> None:
    def body(t: Any) -> None:
        t.write("out.csv", t.read(LEFT))
        (work.folder / LEFT).write_text("rid\n1\n")

    with pytest.raises(InputChangedError):
        step(work, body)


# As a decorator


def test_step(work: Work) -> None:
    @work.repo.step("clean", inputs=[LEFT, RIGHT], outputs="out.parquet", as_="pandas")
    def clean(left: pd.DataFrame, right: pd.DataFrame, limit: int = 3) -> pd.DataFrame:
        """Join."""
        return left[left.rid < limit].merge(right, on="k")

    result = clean(limit=7)
    assert clean.__doc__ == "Join."
    assert result.run.parameters == {"limit": "7"}
    assert recorded(work, result) == truth(pq.read_table(work.folder / "out.parquet"))
    again = clean(limit=7)
    other = clean()
    assert other.run.parameters == {"limit": "3"}
    assert again.run.code.digest == result.run.code.digest == other.run.code.digest

    @work.repo.step("clean", inputs=[LEFT, RIGHT], outputs="out.parquet", as_="pandas")
    def changed(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
        return left.merge(right, on="k")

    assert changed().run.code.digest != result.run.code.digest


def test_step_with_several_outputs_and_other_files(work: Work) -> None:
    work.write({b"note.txt": b"hello"})

    @work.repo.step("split", inputs=[LEFT, "note.txt"], outputs=["a.csv", "b.csv"])
    def both(table: pa.Table, note: str) -> tuple[pa.Table, pa.Table]:
        with open(note, encoding="utf-8") as file:
            assert file.read() == "hello"
        return table.slice(0, 3), table.slice(3)

    @work.repo.step("split", inputs=[LEFT], outputs=["a.csv", "b.csv"])
    def by_name(table: pa.Table) -> dict[str, pa.Table]:
        return {"b.csv": table.slice(0, 3), "a.csv": table.slice(3)}

    assert [each.records for each in both().run.outputs] == [3, 7]
    assert [each.records for each in by_name().run.outputs] == [7, 3]

    @work.repo.step("split", inputs=[LEFT], outputs=["a.csv", "b.csv"])
    def wrong(table: pa.Table) -> pa.Table:
        return table

    with pytest.raises(UsageError):
        wrong()


def test_code_in_the_working_tree(work: Work) -> None:
    script = b"""
def work(repo):
    with repo.transform("filter", inputs=["\xe5\xb7\xa6.csv"]) as t:
        t.write("out.csv", t.read("\xe5\xb7\xa6.csv").slice(2))
    return t.result
"""
    work.write({b"steps.py": script})
    space: dict[str, Any] = {}
    exec(compile(script, str(work.folder / "steps.py"), "exec"), space)
    result = space["work"](work.repo)
    assert [each.path for each in result.run.code.files] == [b"steps.py"]
    tree = work.repo.load_run(result.id.hex())
    assert [entry.path for entry in tree.code_files()] == [b"steps.py"]


def test_a_commit_takes_the_run(work: Work) -> None:
    result = step(work, lambda t: t.write("out.csv", t.read(LEFT).slice(2)))
    work.repo.add(all=True)
    work.repo.commit("cleaned")
    assert not pending_runs(work.repo.layout)
    assert [tree.id for tree in work.repo.runs("HEAD")] == [result.id]


def test_a_script_under_run(work: Work) -> None:
    script = """
import os
from dsvc.lineage.carry import RunFolder
with RunFolder.of(os.environ) as run:
    left, right = run.read("左.csv", as_="polars"), run.read("right.parquet", as_="polars")
    run.write("out.parquet", left.join(right, on="k"))
    run.drop("左.csv", left.filter(left["k"] == 0), reason="no partner")
"""
    work.write({b"step.py": script.encode()})
    spec = RunSpec(name="join", inputs=[LEFT.encode(), RIGHT.encode()], outputs=[b"out.parquet"])
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = work.repo.run(spec, [sys.executable, "step.py"], environ=environ)
    assert result.run.outputs[0].capture is Capture.MAP
    assert recorded(work, result, capture=Capture.MAP) == truth(pq.read_table(work.folder / "out.parquet"))
    assert result.run.drops == {"no partner": 3}
