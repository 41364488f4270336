"""run: what it records of steps that go right, row by row."""

from __future__ import annotations

import io
import os
import sys

import pyarrow.parquet as pq
import pytest

from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import UsageError
from dsvc.model.run_record import Capture, RunKind
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.store.materialize import read_content
from tests.porcelain.running import ROWS, do, fates, links, pending, table
from tests.porcelain.working import Work, program


def test_a_filter_by_key_is_accounted_for_and_its_commit_takes_it(work: Work) -> None:
    work.write({"原始.csv".encode(): table(ROWS)})
    result = do(
        work,
        "write('干净.csv', [r for r in read('原始.csv') if int(r['x']) > 3])",
        "原始.csv",
        "干净.csv",
        name="过滤",
        kind=RunKind.FILTER,
        keys={None: ("id",)},
        parameters={"min": "3"},
        seed="7",
    )
    kept = [n for n, row in enumerate(ROWS) if int(row["x"]) > 3]
    assert links(work, result) == set(enumerate(kept))
    assert fates(result) == {"kept": len(kept), "dropped": 40 - len(kept)}
    assert (result.run.drops, result.run.complete) == ({"unspecified": 40 - len(kept)}, True)
    assert (result.run.capture, result.run.outputs[0].added) == (Capture.KEY, 0)
    assert (result.run.parameters, result.run.seed, result.run.exit_status) == ({"min": "3"}, "7", 0)
    assert result.run.started_at <= result.run.ended_at
    assert result.run.agent.name == "Ann"
    assert pending(work) == ["过滤"]
    work.repo.add(all=True)
    work.repo.commit("cleaned")
    assert pending(work) == []
    (entry,) = work.repo.log()
    assert entry.runs == (result.id,)
    assert work.repo.show().runs == (result.id,)
    assert [tree.id for tree in work.repo.runs()] == [result.id]
    assert work.repo.fsck(read_data=True).defects == ()


def test_what_is_stored_of_a_run_is_what_was_there(work: Work) -> None:
    before = table(ROWS)
    work.write({b"a.csv": before, b"script.py": b"import sys; open('a.csv','a').write('99,1,z\\n')"})
    spec = RunSpec(name="grow", kind=RunKind.AUGMENT, inputs=[b"a.csv"], outputs=[b"a.csv"])
    words = [sys.executable, "script.py", "--password=geheim"]
    result = work.repo.run(spec, words, environ={"LANG": "C", "MY_TOKEN": "geheim", "HF_TOKEN": "geheim"})
    tree = RunTree(work.repo.store, result.id)
    (old,), (new,) = tree.input_files(0), tree.output_files(0)
    assert read_content(work.repo.store, old) == before
    assert read_content(work.repo.store, new) == before + b"99,1,z\n"
    (code,) = tree.code_files()
    assert (code.path, read_content(work.repo.store, code)[:10]) == (b"script.py", b"import sys")
    assert tree.run.command == (sys.executable, "script.py", "--password=<redacted>")
    assert dict(tree.run.environment.variables) == {"LANG": "C", "HF_TOKEN": "<redacted>"}
    assert tree.run.environment.packages["pyarrow"]
    assert (fates(result), result.run.outputs[0].added, result.run.complete) == ({"kept": 40}, 1, True)
    assert not any(b"geheim" in tree.part(b"run") for _ in [0])  # type: ignore[operator]


def test_duplicates_that_are_dropped_have_survivors(work: Work) -> None:
    rows = [{"id": n % 6, "v": "a"} for n in range(18)]
    work.write({b"a.csv": table(rows)})
    code = "write('b.csv', list({r['id']: r for r in reversed(read('a.csv'))}.values())[::-1])"
    result = do(work, code, "a.csv", "b.csv", name="dedup", kind=RunKind.DEDUP)
    assert fates(result) == {"kept": 6, "dropped": 12}
    assert result.run.drops == {"duplicate": 12}


def test_a_join_has_a_parent_in_each_input_and_a_lookup_none(work: Work) -> None:
    people = [{"pid": n, "name": f"n{n}"} for n in range(8)]
    orders = [{"oid": n, "pid": n * 3 % 10} for n in range(20)]
    work.write({b"people.csv": table(people), b"orders.csv": table(orders), b"rates.csv": b"k,v\na,1\n"})
    code = (
        "p = {r['pid']: r for r in read('people.csv')}; read('rates.csv')\n"
        "write('joined.csv', [{**o, **p[o['pid']]} for o in read('orders.csv') if o['pid'] in p])"
    )
    keys = {"people.csv": ("pid",), "orders.csv": ("oid",)}
    result = do(work, code, ["orders.csv", "people.csv"], "joined.csv", keys=keys, lookups=["rates.csv"])
    matches = [(n, o["pid"]) for n, o in enumerate(orders) if o["pid"] < 8]
    assert links(work, result, 0, 0) == {(at, n) for at, (n, _) in enumerate(matches)}
    assert links(work, result, 0, 1) == {(at, pid) for at, (_, pid) in enumerate(matches)}
    assert [each.fates is None for each in result.run.inputs] == [False, False, True]
    assert result.run.complete
    assert result.run.rows["added"] == 0


def test_an_explode_splits_and_an_aggregate_merges(work: Work) -> None:
    work.write({b"a.csv": table({"id": n, "words": " ".join("xyz"[: n % 3 + 1])} for n in range(9))})
    code = (
        "rows = [{'id': r['id'], 'w': w} for r in read('a.csv') for w in r['words'].split()]\n"
        "write('b.csv', rows)"
    )
    result = do(work, code, "a.csv", "b.csv", keys={"a.csv": ("id",)})
    assert fates(result) == {"changed": 3, "split": 6}
    assert result.run.complete
    code = (
        "from collections import Counter\nc = Counter(r['w'] for r in read('b.csv'))\n"
        "write('c.csv', [{'w': w, 'n': n} for w, n in c.items()])"
    )
    result = do(work, code, "b.csv", "c.csv", keys={"c.csv": ("w",)})
    assert fates(result) == {"merged": 18}
    words = [w for n in range(9) for w in "xyz"[: n % 3 + 1]]
    assert links(work, result) == {("xyz".index(w), n) for n, w in enumerate(words)}


def test_in_place_with_a_key_from_the_rules(work: Work) -> None:
    work.write({b"dsvc.toml": b'[tables."*.csv"]\nkey = ["id"]\n', b"a.csv": table(ROWS)})
    code = "write('a.csv', [{**r, 'x': '0' if int(r['id']) < 10 else r['x']} for r in read('a.csv')])"
    result = do(work, code, "a.csv", "a.csv", kind=RunKind.CLEAN)
    changed = sum(1 for row in ROWS[:10] if row["x"] != 0)
    assert fates(result) == {"kept": 40 - changed, "changed": changed}
    assert result.run.inputs[0].digest != result.run.outputs[0].digest
    assert result.run.inputs[0].key == ("id",)


def test_two_formats_compare_by_value(work: Work) -> None:
    work.write({b"a.csv": b"id,x\n1,1.50\n2,2\n3,\n"})
    code = (
        "import pyarrow as pa, pyarrow.parquet as pq\n"
        "t = pa.table({'id': pa.array([3, 1, 2], pa.int64()), 'x': pa.array([None, 1.5, 2.5])})\n"
        "pq.write_table(t, 'a.parquet')"
    )
    result = do(work, code, "a.csv", "a.parquet", keys={None: ("id",)})
    assert links(work, result) == {(0, 2), (1, 0), (2, 1)}
    assert fates(result) == {"kept": 2, "changed": 1}
    assert pq.read_table(io.BytesIO((work.folder / "a.parquet").read_bytes())).num_rows == 3


def test_keyless_and_duplicate_keys(work: Work) -> None:
    work.write({b"a.csv": b"x\na\na\nb\n", b"k.csv": b"id,v\n1,a\n1,b\n2,c\n"})
    result = do(work, "write('b.csv', [{'x': 'b'}, {'x': 'a'}])", "a.csv", "b.csv")
    assert links(work, result) == {(0, 2), (1, 0)}
    assert (result.run.capture, fates(result)) == (Capture.CONTENT, {"kept": 2, "dropped": 1})
    code = "write('k2.csv', [{'id': 1, 'v': 'b'}, {'id': 1, 'v': 'A'}, {'id': 2, 'v': 'c'}])"
    result = do(work, code, "k.csv", "k2.csv", keys={None: ("id",)})
    assert links(work, result) == {(0, 1), (1, 0), (2, 2)}
    assert result.run.inputs[0].duplicate_keys == 2
    assert result.run.duplicate_keys >= 2


def test_lost_identity_makes_a_run_incomplete(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    result = do(work, "write('b.csv', [{'id': r['id'] + '0'} for r in read('a.csv')])", "a.csv", "b.csv")
    assert not result.run.complete
    assert result.run.problems
    assert result.run.rows["added"] > 0


def test_the_commands_own_map_and_drops(work: Work) -> None:
    work.write({b"a.csv": table(ROWS[:4])})
    code = (
        "import pyarrow as pa, pyarrow.parquet as pq\n"
        "where = os.environ['DSVC_RUN_DIR']\n"
        "write('b.csv', [{'w': 'new'}, {'w': 'newer'}])\n"
        "t = {'output': ['b.csv'] * 3, 'output_row': [0, 0, 1]}\n"
        "t |= {'input': ['a.csv'] * 3, 'input_row': [0, 3, 1]}\n"
        "pq.write_table(pa.table(t), where + '/rowmap.parquet')\n"
        "open(where + '/drops.jsonl', 'w').write(json.dumps({'input': 'a.csv', 'row': 2, 'reason': '太短'}))"
    )
    result = do(work, code, "a.csv", "b.csv")
    assert links(work, result) == {(0, 0), (0, 3), (1, 1)}
    assert fates(result) == {"changed": 1, "merged": 2, "dropped": 1}
    assert (result.run.drops, result.run.capture) == ({"太短": 1}, Capture.MAP)
    assert os.listdir(work.folder / ".dsvc" / "tmp") == []


def test_files_of_a_folder_have_fates(work: Work) -> None:
    work.write({b"pics/%d.png" % n: b"\x89PNG" + bytes([n]) * 50 for n in range(6)})
    work.write({b"pics/labels.csv": b"file,label\n0.png,a\n"})
    code = (
        "import shutil\nos.makedirs('out/sub')\n"
        "for n in range(4):\n    shutil.copy(f'pics/{n}.png', f'out/sub/图{n}.png')\n"
        "open('out/sub/图3.png', 'ab').write(b'!')"
    )
    result = do(work, code, "pics", "out", kind=RunKind.FILTER, drop_reason="blurred")
    names = [(each.path, each.folder, each.records) for each in result.run.inputs]
    assert names == [(b"pics", True, 6), (b"pics/labels.csv", False, 1)]
    assert [(each.path, each.folder, each.records) for each in result.run.outputs] == [(b"out", True, 4)]
    assert {(0, 0), (1, 1), (2, 2)} <= links(work, result)
    assert result.run.drops["blurred"] >= 2


def test_only_what_was_made_in_a_folder_is_an_output(work: Work) -> None:
    work.write({b"a.csv": table(ROWS[:3]), b"out/old.bin": b"old", b"out/redone.bin": b"1"})
    work.commit("before")
    code = "open('out/new.bin', 'wb').write(b'n'); open('out/redone.bin', 'wb').write(b'22')"
    result = do(work, code, "a.csv", "out")
    paths = [entry.path for entry in RunTree(work.repo.store, result.id).output_files(0)]
    assert paths == [b"out/new.bin", b"out/redone.bin"]


def test_a_folder_in_place_keeps_what_was_not_touched(work: Work) -> None:
    work.write({b"pics/%d.png" % n: bytes([n]) * 9 for n in range(5)})
    result = do(work, "os.unlink('pics/0.png'); os.rename('pics/1.png', 'pics/z.png')", "pics", "pics")
    assert fates(result)["dropped"] == 1
    assert result.run.outputs[0].records == 4
    assert result.run.rows["added"] == 0


@pytest.mark.parametrize("valid", [True, False])
def test_a_large_input_is_indexed_beside_the_command(work: Work, valid: bool) -> None:
    rows = [{"id": n, "text": f"{n * 7919 % 1000:03}" * 40} for n in range(40_000)]
    work.write({b"a.csv": table(rows) if valid else b"PAR1" + b"x" * (5 << 20) + b"PAR1"})
    code = "lines = open('a.csv').readlines()\nopen('b.csv', 'w').writelines(lines[:1] + lines[2::3])"
    result = do(work, code, "a.csv", "b.csv", kind=RunKind.FILTER, keys={"a.csv": ("id",)} if valid else {})
    if valid:
        assert links(work, result) == {(at, n) for at, n in enumerate(range(1, 40_000, 3))}
        assert fates(result) == {"kept": 13_333, "dropped": 26_667}
    else:
        assert not result.run.complete
    assert pending(work) == ["step"]


def test_a_table_without_a_byte_has_no_rows(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    result = do(work, "open('b.csv', 'w').close()", "a.csv", "b.csv", kind=RunKind.FILTER)
    assert fates(result) == {"dropped": 40}


def test_what_is_no_table_has_no_fates(work: Work) -> None:
    work.write({b"a.csv": table(ROWS), b"notes.txt": b"x"})
    result = do(work, "open('model.bin', 'wb').write(b'w' * 99)", ["a.csv", "notes.txt"], "model.bin")
    assert [each.fates for each in result.run.inputs] == [None, None]
    assert (result.run.capture, result.run.outputs[0].records) == (Capture.NONE, None)


def test_rows_are_not_looked_for_among_files(work: Work) -> None:
    work.write({b"a.csv": table(ROWS), b"pics/1.png": b"\x89PNG1", b"pics/2.png": b"\x89PNG2"})
    charts = "os.makedirs('charts'); open('charts/1.svg', 'w').write('<svg/>')\n"
    result = do(work, charts + "write('b.csv', read('a.csv')[:30])", "a.csv", ["b.csv", "charts"])
    assert fates(result) == {"kept": 30, "dropped": 10}
    assert (result.run.complete, result.run.rows["added"]) == (True, 0)
    assert [each.records for each in result.run.outputs] == [30, 1]
    result = do(work, "write('sizes.csv', [{'n': 5}, {'n': 6}])", "pics", "sizes.csv")
    assert [each.fates for each in result.run.inputs] == [None]
    assert (result.run.complete, result.run.rows["added"]) == (False, 2)


def test_what_nobody_names_as_data_may_change_freely(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    work.commit("before")
    do(work, "open('log.txt', 'w').write('x'); write('b.csv', read('a.csv'))", "a.csv", "b.csv")
    assert pending(work) == ["step"]


def test_a_step_from_a_sub_folder_finds_its_files(work: Work) -> None:
    work.write({b"sub/a.csv": table(ROWS), b"sub/s.py": b"open('b.csv','w').write(open('a.csv').read())"})
    spec = RunSpec(name="copy", inputs=[b"sub/a.csv"], outputs=[b"sub/b.csv"])
    result = work.repo.run(spec, [sys.executable, "s.py"], environ={}, folder=b"sub")
    assert [each.path for each in result.run.code.files] == [b"sub/s.py"]
    assert (result.run.asked.folder, fates(result)) == (b"sub", {"kept": 40})


def test_one_word_with_blanks_is_a_line_of_the_shell(work: Work) -> None:
    work.write({b"a.csv": b"id\n1\n2\n", b"tool": program(b"#!/bin/sh\nhead -n 2 a.csv\n")})
    spec = RunSpec(name="head", kind=RunKind.FILTER, inputs=[b"a.csv"], outputs=[b"b.csv"])
    result = work.repo.run(spec, ["./tool > b.csv"], environ=dict(os.environ))
    assert fates(result) == {"kept": 1, "dropped": 1}
    assert [each.path for each in result.run.code.files] == [b"tool"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outputs": []}, "-o"),
        ({"inputs": []}, "-i"),
        ({"name": " "}, "name"),
        ({"kind": RunKind.LABEL, "facts": {"annotator": "ada@example.org"}}, "pseudonym"),
        ({"kind": RunKind.LABEL, "facts": {"annotator": "Ada Lovelace"}}, "pseudonym"),
        ({"kind": RunKind.REVIEW, "facts": {"annotator": "a, b", "reviewer": "b"}}, "two people"),
        ({"kind": RunKind.LABEL, "facts": {"anotator": "a"}}, "annotator"),
        ({"facts": {"by": "robot"}}, "human"),
        ({"kind": RunKind.REVIEW, "facts": {"review": "Expert"}}, "did you mean expert"),
        ({"kind": RunKind.REVIEW, "facts": {"verdict": "ok"}}, "pass or fail"),
        ({"kind": RunKind.REVIEW, "facts": {"agreement": "high"}}, "from -1 to 1"),
        ({"kind": RunKind.REVIEW, "facts": {"agreement": "nan"}}, "from -1 to 1"),
        ({"kind": RunKind.REVIEW, "facts": {"agreement": "-1.01"}}, "from -1 to 1"),
        ({"kind": RunKind.REVIEW, "facts": {"agreement_metric": "cohen_kappa"}}, "there is none"),
        ({"kind": RunKind.REVIEW, "facts": {"agreement": "0", "agreement_metric": "κ !"}}, "cohen_kappa"),
        ({"kind": RunKind.REVIEW, "facts": {"sample": "0"}}, "number of items"),
        ({"kind": RunKind.REVIEW, "facts": {"auto_share": "0.5"}}, "no fact"),
        ({"kind": RunKind.LABEL, "facts": {"auto_share": "80%"}}, "from 0 to 1"),
        ({"kind": RunKind.LABEL, "facts": {"auto_share": "1.5"}}, "from 0 to 1"),
        ({"kind": RunKind.LABEL, "facts": {"review": "expert"}}, "no fact"),
        ({"grade": "secret"}, "general"),
        ({"declassified": "because"}, "--grade"),
        ({"keys": {None: ("nope",)}}, "--key"),
        ({"keys": {b"b.csv": ("nope",)}}, "--key"),
        ({"keys": {b"c.csv": ("id",)}}, "--key"),
        ({"lookups": [b"a.csv"]}, "whole"),
    ],
)
def test_what_can_be_no_run_says_what_would(work: Work, change: dict[str, object], says: str) -> None:
    work.write({b"a.csv": table(ROWS)})
    fields = {"name": "step", "inputs": [b"a.csv"], "outputs": [b"b.csv"], **change}
    with pytest.raises(UsageError) as caught:
        work.repo.run(RunSpec(**fields), ["cp", "a.csv", "b.csv"], environ=dict(os.environ))  # type: ignore[arg-type]
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert pending(work) == []
