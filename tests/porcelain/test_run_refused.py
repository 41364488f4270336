"""run: steps that go wrong are a typed answer each, and nothing of them is recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.lineage.declared_maps import RowMapError
from dsvc.model.errors import DsvcError, NotFoundError, UsageError
from dsvc.model.run_record import RunKind
from dsvc.porcelain.runs.run import CommandFailedError, CommandTimeoutError
from dsvc.porcelain.runs.run_recording import (
    ChangedOutsideError,
    InputChangedError,
    OutputMissingError,
    begin_run,
)
from dsvc.porcelain.runs.run_spec import RunSpec
from tests.porcelain.running import do, pending, table
from tests.porcelain.working import Work, link

ROWS = [{"id": n, "x": n % 3} for n in range(20)]
COPY = "write('b.csv', read('a.csv'))\n"
MAP = """
import pyarrow as pa, pyarrow.parquet as pq
def declare(**columns):
    pq.write_table(pa.table(columns), os.environ['DSVC_RUN_DIR'] + '/rowmap.parquet')
def drop(**line):
    open(os.environ['DSVC_RUN_DIR'] + '/drops.jsonl', 'a').write(json.dumps(line) + '\\n')
"""


@pytest.fixture
def ready(work: Work) -> Iterator[Work]:
    """A committed table; after the test nothing may be recorded, held or left."""
    work.write({b"a.csv": table(ROWS), b"tracked.txt": b"as it was"})
    work.commit("before")
    yield work
    assert pending(work) == []
    assert [operation.verb for operation in work.repo.history.operations] == ["commit", "add"]
    held = work.folder / ".dsvc" / "work" / "held"
    assert list(held.iterdir()) == [] if held.exists() else True
    assert list((work.folder / ".dsvc" / "tmp").iterdir()) == []
    assert work.repo.fsck().defects == ()


def test_a_failing_command_keeps_what_it_wrote(ready: Work) -> None:
    with pytest.raises(CommandFailedError) as caught:
        do(ready, COPY + "sys.exit(3)", "a.csv", "b.csv")
    assert caught.value.exit_code == 1
    assert caught.value.details["exit_status"] == 3
    assert "status 3" in caught.value.message
    assert (ready.folder / "b.csv").exists()


def test_a_command_that_is_killed(ready: Work) -> None:
    with pytest.raises(CommandFailedError) as caught:
        do(ready, COPY + "os.kill(os.getpid(), 9)", "a.csv", "b.csv")
    assert "SIGKILL" in caught.value.message
    assert caught.value.details["exit_status"] == 137


def test_a_command_that_hangs_is_ended_with_what_it_started(ready: Work) -> None:
    code = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "open('child', 'w').write(str(child.pid))\ntime.sleep(600)"
    )
    with pytest.raises(CommandTimeoutError):
        do(ready, code, "a.csv", "b.csv", timeout=1.5)
    assert not alive(int((ready.folder / "child").read_text()))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("words", [["./nichts"], ["no-such-program"], ["tracked.txt"], ["."]])
def test_a_command_that_is_none(ready: Work, words: list[str]) -> None:
    spec = RunSpec(name="x", inputs=[b"a.csv"], outputs=[b"b.csv"])
    with pytest.raises(CommandFailedError) as caught:
        ready.repo.run(spec, words, environ=dict(os.environ))
    assert caught.value.details["exit_status"] in (126, 127)


def test_no_command_and_no_text(ready: Work) -> None:
    spec = RunSpec(name="x", inputs=[b"a.csv"], outputs=[b"tracked.txt"])
    with pytest.raises(UsageError):
        ready.repo.run(spec, [], environ={})
    with pytest.raises(UsageError):
        ready.repo.run_manual(spec, " ")


@pytest.mark.parametrize("then", ["open('a.csv', 'a').write('77,1\\n')", "os.unlink('a.csv')"])
def test_an_input_that_changes(ready: Work, then: str) -> None:
    with pytest.raises(InputChangedError) as caught:
        do(ready, COPY + then, "a.csv", "b.csv")
    assert caught.value.details["path"] == "a.csv"


def test_an_input_that_changes_and_keeps_size_and_time(ready: Work) -> None:
    code = (
        "s = os.stat('a.csv'); d = open('a.csv').read()\n"
        "open('a.csv', 'r+').write(d.replace('0,0', '0,1'))\n"
        "os.utime('a.csv', ns=(s.st_atime_ns, s.st_mtime_ns))"
    )
    with pytest.raises(InputChangedError):
        do(ready, COPY + code, "a.csv", "b.csv")


def test_an_input_that_is_only_touched_has_not_changed(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    do(work, COPY + "os.utime('a.csv')", "a.csv", "b.csv")
    assert pending(work) == ["step"]


@pytest.mark.parametrize("then", ["open('tracked.txt', 'w').write('other')", "os.unlink('tracked.txt')"])
def test_a_tracked_file_that_changes_outside(ready: Work, then: str) -> None:
    with pytest.raises(ChangedOutsideError) as caught:
        do(ready, COPY + then, "a.csv", "b.csv")
    assert caught.value.details["paths"] == ["tracked.txt"]
    assert caught.value.exit_code == 22
    ready.write({b"tracked.txt": b"as it was"})


def test_a_tracked_file_that_had_changed_before(work: Work) -> None:
    work.write({b"a.csv": table(ROWS), b"tracked.txt": b"as it was", b"gone": b"x"})
    work.commit("before")
    work.write({b"tracked.txt": b"edited", b"gone": None})
    do(work, COPY, "a.csv", "b.csv")
    assert pending(work) == ["step"]
    with pytest.raises(ChangedOutsideError):
        do(work, COPY + "open('tracked.txt', 'w').write('EDITED')", "a.csv", "b.csv")
    with pytest.raises(ChangedOutsideError):
        do(work, COPY + "open('gone', 'w').write('back')", "a.csv", "b.csv")


def test_what_a_command_stages_itself_counts_as_changed(work: Work) -> None:
    work.write({b"a.csv": table(ROWS), b"tracked.txt": b"as it was"})
    work.commit("before")
    code = (
        "import subprocess\nopen('tracked.txt', 'w').write('other')\n"
        "subprocess.run([sys.executable, '-m', 'dsvc', 'add', 'tracked.txt'], check=True)"
    )
    with pytest.raises(ChangedOutsideError):
        do(work, COPY + code, "a.csv", "b.csv")
    assert pending(work) == []


@pytest.mark.parametrize("outputs", [["c.csv"], ["b.csv", "c.csv"], ["nowhere/"], ["old.csv"], ["old"]])
def test_an_output_that_was_not_made(work: Work, outputs: list[str]) -> None:
    work.write({b"a.csv": table(ROWS), b"old.csv": b"id\n1\n", b"old/x": b"x"})
    with pytest.raises(OutputMissingError):
        do(work, COPY, "a.csv", [each.rstrip("/") for each in outputs])
    assert pending(work) == []


def test_inputs_that_are_not_there_or_no_files(work: Work) -> None:
    work.write({b"a.csv": table(ROWS), b"l": link(b"a.csv")})
    os.mkfifo(work.folder / "pipe")
    with pytest.raises(NotFoundError):
        do(work, COPY, ["a.csv", "没有.csv"], "b.csv")
    for name in ("l", "pipe"):
        with pytest.raises(UsageError):
            do(work, COPY, ["a.csv", name], "b.csv")
    with pytest.raises(DsvcError) as caught:
        do(work, COPY, ".dsvc/config", "b.csv")
    assert caught.value.exit_code == 41
    assert not (work.folder / "b.csv").exists()
    assert pending(work) == []


@pytest.mark.parametrize(
    "lie",
    [
        "declare(output=['b.csv'], output_row=[20], input=['a.csv'], input_row=[0])",
        "declare(output=['b.csv'], output_row=[0], input=['a.csv'], input_row=[-1])",
        "declare(output=['b.csv'], output_row=[0], input=['other.csv'], input_row=[0])",
        "declare(output=['b.csv'], output_row=[None], input=['a.csv'], input_row=[0])",
        "declare(output=['b.csv'], output_row=['0'], input=['a.csv'], input_row=[0])",
        "declare(row=[0])",
        "open(os.environ['DSVC_RUN_DIR'] + '/rowmap.parquet', 'w').write('no parquet')",
        "drop(input='a.csv', row=99, reason='x')",
        "drop(input='a.csv', reason='x')",
        (
            "declare(output=['b.csv'], output_row=[0], input=['a.csv'], input_row=[0])\n"
            "drop(input='a.csv', row=0, reason='it has a child')"
        ),
    ],
)
def test_a_row_map_that_lies(ready: Work, lie: str) -> None:
    with pytest.raises(RowMapError):
        do(ready, COPY + MAP + lie, "a.csv", "b.csv")


def test_a_kind_that_needs_no_input(work: Work) -> None:
    result = do(work, "write('b.csv', [{'id': 1}])", [], "b.csv", kind=RunKind.SYNTHESIZE)
    assert (result.run.rows["added"], result.run.complete) == (1, True)


def test_two_recordings_of_one_path_each_hold_what_stood_there(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    spec = RunSpec(name="one", inputs=[b"a.csv"], outputs=[b"b.csv"])
    first, second = begin_run(work.repo, spec), begin_run(work.open(), spec)
    work.write({b"b.csv": table(ROWS[:5])})
    one = first.finish(command=["one"])
    work.write({b"b.csv": table(ROWS[:7])})
    two = second.finish(command=["two"])
    assert [each.run.outputs[0].records for each in (one, two)] == [5, 7]
    work.commit("the last one stands")
    assert len(work.repo.show().runs) == 1
    assert pending(work) == ["one"]


def test_what_a_running_step_read_is_kept_from_gc(work: Work) -> None:
    work.write({b"a.csv": table(ROWS)})
    with begin_run(work.repo, RunSpec(name="x", inputs=[b"a.csv"], outputs=[b"a.csv"])) as recording:
        work.write({b"a.csv": table(ROWS[:3])})
        work.open().gc(grace_seconds=0)
        recording.finish(command=["in place"])
    work.commit("it")
    assert work.reopen().fsck(read_data=True).defects == ()


def test_what_a_killed_step_read_goes_with_gc(work: Work) -> None:
    work.write({b"a.csv": os.urandom(10_000)})
    code = (
        "import os, sys\nfrom dsvc.porcelain.repository import Repository\n"
        "from dsvc.porcelain.runs.run_recording import begin_run\n"
        "from dsvc.porcelain.runs.run_spec import RunSpec\n"
        f"repo = Repository.open({os.fspath(work.folder)!r})\n"
        "begin_run(repo, RunSpec(name='x', inputs=[b'a.csv'], outputs=[b'b']))\nos.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    held = work.folder / ".dsvc" / "work" / "held"
    assert len(list(held.iterdir())) == 1
    assert work.repo.fsck().leftovers
    assert work.repo.gc(grace_seconds=0).leftovers == 1
    assert list(held.iterdir()) == []
    assert work.repo.gc(grace_seconds=0).candidates == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_command_too(ready: Work, number: signal.Signals, status: int) -> None:
    step = "echo $$ > pid; exec sleep 600"
    words = [sys.executable, "-m", "dsvc", "run", "--name", "x", "-i", "a.csv", "-o", "b.csv", "--", step]
    with subprocess.Popen(words, cwd=ready.folder, stderr=subprocess.DEVNULL) as process:
        file = ready.folder / "pid"
        while not (file.exists() and file.read_text().strip()):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(60) == status
    assert not alive(int(file.read_text()))
