"""Runs that are said to be row-wise: those that are pass, others fail with the rows that show it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.model.errors import UsageError
from dsvc.model.run_record import RunKind
from dsvc.porcelain.runs.rowwise import RowwiseError
from dsvc.porcelain.runs.run import CommandTimeoutError, run, run_manual
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.runs.run_storage import RunResult
from dsvc.porcelain.state.pending_runs import pending_runs
from tests.porcelain.working import Work, text

RAW = "id,名称,n\n" + "".join(f"{n},行{n},{n * 7 % 23}\n" for n in range(300))
HEAD = """
import csv
rows = list(csv.DictReader(open("raw.csv", encoding="utf-8", newline="")))
def write(rows, name="out.csv"):
    with open(name, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["id", "名称", "n"])
        writer.writeheader()
        writer.writerows(rows)
"""


def step(work: Work, code: str, **spec: object) -> RunResult:
    work.write({b"step.py": text(HEAD + code)})
    if b"raw.csv" not in work.tree():
        work.write({b"raw.csv": text(RAW)})
    settings: dict[str, object] = {
        "name": "step",
        "inputs": [b"raw.csv"],
        "outputs": [b"out.csv"],
        "keys": {None: ("id",)},
        "rowwise": True,
        **spec,
    }
    command = [sys.executable, "step.py"]
    return run(work.repo, RunSpec(**settings), command, environ=dict(os.environ))  # type: ignore[arg-type]


def refused(work: Work, code: str, **spec: object) -> RowwiseError:
    with pytest.raises(RowwiseError) as caught:
        step(work, code, **spec)
    assert caught.value.exit_code == 22
    assert pending_runs(work.repo.layout) == []
    assert os.listdir(work.repo.layout.temporary) == []
    return caught.value


MAP = "for row in rows: row['n'] = str(int(row['n']) * 2)\nwrite(rows)"
FILTER = "write([row for row in rows if int(row['n']) % 3])"
EXPLODE = "write([dict(row, n=str(k)) for row in rows for k in range(int(row['n']) % 4)])"
REVERSED = "write(rows[::-1])"
NUMBERS = (
    "write([dict(row, n=float(row['n']) if any(r['n'] == '5' for r in rows) else row['n']) for row in rows])"
)


@pytest.mark.parametrize("code", [MAP, FILTER, EXPLODE, REVERSED, NUMBERS], ids=str.split)
def test_what_is_row_wise_passes(work: Work, code: str) -> None:
    done = step(work, code)
    assert done.run.rowwise
    assert pending_runs(work.repo.layout) == [done.id]
    assert os.listdir(work.repo.layout.temporary) == []


def test_a_mean_over_all_rows_is_noticed_and_rows_are_named(work: Work) -> None:
    error = refused(
        work,
        "mean = sum(int(row['n']) for row in rows) / len(rows)\n"
        "for row in rows: row['n'] = str(int(row['n']) - mean)\n"
        "write(rows)",
    )
    named = error.details["rows"]
    assert named
    ids = {line.split(",")[0] for line in RAW.splitlines()}
    assert all(each.startswith("raw.csv#id=") and each.removeprefix("raw.csv#id=") in ids for each in named)
    assert named[0] in error.message
    assert "nothing was recorded" in error.message


def test_duplicates_are_noticed_by_the_rows_that_were_dropped(work: Work) -> None:
    work.write({b"raw.csv": text("id,名称,n\n" + "".join(f"{n // 2},行,{n // 2}\n" for n in range(400)))})
    code = "seen = set()\nwrite([row for row in rows if row['id'] not in seen and not seen.add(row['id'])])"
    error = refused(work, code, kind=RunKind.DEDUP, keys={})
    assert error.details["strange"]
    assert error.details["missing"] == 0
    assert all(int(each.removeprefix("raw.csv#@")) % 2 for each in error.details["rows"]), "the second of two"


@pytest.mark.parametrize(
    "code",
    [
        "write(rows[::7])",
        "for k, row in enumerate(sorted(rows, key=lambda r: int(r['n']))): row['n'] = str(k)\nwrite(rows)",
        "write([dict(row, n=str(len(rows))) for row in rows])",
    ],
    ids=["every seventh", "rank", "count"],
)
def test_places_ranks_and_counts_are_noticed(work: Work, code: str) -> None:
    assert refused(work, code).details["rows"]


def test_a_command_that_can_not_do_with_few_rows(work: Work) -> None:
    assert (
        "fails with status 3" in refused(work, "write(rows)\nif len(rows) < 100: raise SystemExit(3)").message
    )


def test_rows_from_nowhere(work: Work) -> None:
    more = "write(rows + [{'id': '-1', '名称': 'new', 'n': '1'}])"
    assert "come from no row" in refused(work, more, kind=RunKind.AUGMENT).message


def test_lookups_are_there_whole(work: Work) -> None:
    work.write({b"names.csv": text("n,word\n" + "".join(f"{n},词{n}\n" for n in range(23)))})
    code = (
        "words = {row['n']: row['word'] for row in csv.DictReader(open('names.csv', encoding='utf-8'))}\n"
        "assert len(words) == 23\n"
        "for row in rows: row['n'] = words[row['n']]\n"
        "write(rows)"
    )
    assert step(work, code, lookups=[b"names.csv"]).run.rowwise


def test_two_inputs_put_one_after_the_other(work: Work) -> None:
    work.write({b"more.csv": text("id,名称,n\n" + "".join(f"{n},行{n},1\n" for n in range(300, 500)))})
    code = "write(rows + list(csv.DictReader(open('more.csv', encoding='utf-8', newline=''))))"
    assert step(work, code, inputs=[b"raw.csv", b"more.csv"], kind=RunKind.MIX).run.rowwise


def test_parquet_and_the_sample_follows_from_the_content(work: Work, tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(range(1000)), "tags": [[str(n)] * (n % 3) for n in range(1000)]})
    pq.write_table(table, work.folder / "raw.parquet")
    seen = tmp_path / "seen"
    code = (
        "import pyarrow.parquet as pq, pyarrow.compute as pc, sys\n"
        "t = pq.read_table('raw.parquet')\n"
        f"print(t.column('id').to_pylist(), file=open({str(seen)!r}, 'a'))\n"
        "pq.write_table(t.filter(pc.greater(pc.list_value_length(t.column('tags')), 0)), 'out.parquet')\n"
    )
    work.write({b"step.py": text(code)})
    spec = RunSpec(name="filter", inputs=[b"raw.parquet"], outputs=[b"out.parquet"], rowwise=True)
    for _ in range(2):
        run(work.repo, spec, [sys.executable, "step.py"], environ=dict(os.environ))
    whole, first, again, second = seen.read_text().splitlines()
    assert whole == again
    assert first == second
    sample = [int(number) for number in first.strip("[]").split(",")]
    assert len(sample) == 32 + 8
    assert sum(number % 3 == 0 for number in sample) >= 8, "dropped ones besides"


def test_files_of_a_folder(work: Work) -> None:
    work.write({b"in/%03d" % n: text(str(n)) for n in range(100)})
    code = (
        "import os\n"
        "os.makedirs('out', exist_ok=True)\n"
        "names = sorted(os.listdir('in'))\n"
        "for name in names:\n"
        "    data = open('in/' + name).read()\n"
        "    if int(data) % 5: open('out/' + name, 'w').write(data + {more})\n"
    )
    spec = RunSpec(name="draw", inputs=[b"in"], outputs=[b"out"], rowwise=True)
    command = [sys.executable, "step.py"]
    work.write({b"step.py": text(code.format(more="'!'"))})
    assert run(work.repo, spec, command, environ=dict(os.environ)).run.rowwise
    work.write({b"step.py": text(code.format(more="str(len(names))"))})
    with pytest.raises(RowwiseError) as caught:
        run(work.repo, spec, command, environ=dict(os.environ))
    assert all(each.startswith("in/") for each in caught.value.details["rows"])


def test_an_input_without_rows_is_a_lookup(work: Work) -> None:
    work.write({b"model.bin": text("weights")})
    with pytest.raises(RowwiseError, match=r"model\.bin has no rows") as caught:
        step(work, "write(rows)", inputs=[b"raw.csv", b"model.bin"])
    assert "--lookup" in str(caught.value.hint)


def test_no_rows_at_all(work: Work) -> None:
    work.write({b"raw.csv": text("id,名称,n\n")})
    assert step(work, "write(rows)").run.rowwise


def test_a_sample_that_hangs_is_ended(work: Work) -> None:
    code = "import time\nwrite(rows)\nif len(rows) < 100: time.sleep(600)"
    work.write({b"step.py": text(HEAD + code), b"raw.csv": text(RAW)})
    spec = RunSpec(name="step", inputs=[b"raw.csv"], outputs=[b"out.csv"], rowwise=True)
    with pytest.raises(CommandTimeoutError):
        run(work.repo, spec, [sys.executable, "step.py"], environ=dict(os.environ), timeout=5)
    assert pending_runs(work.repo.layout) == []


def test_what_was_done_by_hand_can_not_be_tested(work: Work) -> None:
    work.write({b"raw.csv": text(RAW), b"out.csv": text(RAW)})
    spec = RunSpec(name="step", inputs=[b"raw.csv"], outputs=[b"out.csv"], rowwise=True)
    with pytest.raises(UsageError, match="row by row"):
        run_manual(work.repo, spec, "by hand")
