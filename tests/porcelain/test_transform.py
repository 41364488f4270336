"""Steps in Python: whatever a library does to a frame, the recorded parents are the true ones.

The test's tables carry the truth in a column of their own, ``rid``, which no code of dsvc knows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dsvc.lineage.carry import LostRowIdsWarning
from dsvc.lineage.row_ids import RowIdError
from dsvc.model.errors import DsvcError, NotFoundError, UsageError
from dsvc.model.run_record import Capture
from dsvc.porcelain.runs.run_recording import InputChangedError, OutputMissingError
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.runs.run_storage import RunResult
from dsvc.porcelain.state.pending_runs import pending_runs
from tests.porcelain.transforming import LEFT, OTHERS, RIGHT, ROWS, recorded, truth
from tests.porcelain.working import Work

LIBRARIES = ["pandas", "polars", "duckdb", "arrow", "dataset"]


@pytest.fixture
def work(work: Work) -> Work:
    lines = ["rid,k,v,w", *(",".join(str(cell) for cell in row.values()) for row in ROWS)]
    work.write({LEFT.encode(): "\n".join(lines).encode() + b"\n"})
    pq.write_table(pa.Table.from_pylist(OTHERS), work.folder / RIGHT)
    return work


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
