"""transform: row ids travel through operations of each library; the parents recorded are the true ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dsvc.porcelain.state.pending_runs import pending_runs
from tests.porcelain.transforming import LEFT, OTHERS, RIGHT, ROWS, recorded, truth
from tests.porcelain.working import Work

Frame = Any


@pytest.fixture
def work(work: Work) -> Work:
    lines = ["rid,k,v,w", *(",".join(str(cell) for cell in row.values()) for row in ROWS)]
    work.write({LEFT.encode(): "\n".join(lines).encode() + b"\n"})
    pq.write_table(pa.Table.from_pylist(OTHERS), work.folder / RIGHT)
    return work


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


def from_pandas(frame: pd.DataFrame) -> Frame:
    import datasets

    return datasets.Dataset.from_pandas(frame)


def dataset_ops() -> dict[str, Callable[[Frame, Frame], Frame]]:
    # It's large, so it's loaded where it's used.
    def concatenate(a: Frame, b: Frame) -> Frame:
        import datasets

        return datasets.concatenate_datasets([a, b, a.select(range(2))])

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
        "concat": concatenate,
        "unique": lambda a, b: a.select([0, 1, 2, 3]),
        "group": lambda a, b: from_pandas(a.to_pandas().groupby("v").agg({"rid": list, "_dsvc_row": list})),
        "join": lambda a, b: from_pandas(a.to_pandas().merge(b.to_pandas(), on="k")),
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
