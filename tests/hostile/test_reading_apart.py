"""Tables that somebody else may have prepared are read in a child before anything of them is decoded here."""

from __future__ import annotations

import gzip
import mmap
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.feedback.importers.importer import FeedbackMalformedError
from dsvc.fs import child_process
from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.table.origin.source import NotATableError
from dsvc.testing.faults import tried
from tests.feedbackkit import FeedbackLab

ROWS = 3000


def table(marked: int) -> pa.Table:
    return pa.table({"id": range(ROWS), "text": [f"row {n} {n == marked}" for n in range(ROWS)]})


def write_tables(root: Path, marked: int) -> None:
    data = table(marked)
    pq.write_table(data, root / "t.parquet")
    with pa.OSFile(str(root / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, data.schema) as writer:
        writer.write_table(data)
    lines = "".join(f"{row['id']},{row['text']}\n" for row in data.to_pylist())
    (root / "t.csv").write_text("id,text\n" + lines)
    (root / "表格.jsonl.gz").write_bytes(
        gzip.compress(
            "".join(f'{{"id": {n}, "t": "{n == marked}"}}\n' for n in range(ROWS)).encode(), mtime=0
        )
    )


NAMES = ["t.parquet", "t.arrow", "t.csv", "表格.jsonl.gz"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose tables were added here, in two versions."""
    root = tmp_path_factory.mktemp("own") / "r"
    repo = Repository.init(str(root))
    for version in range(2):
        write_tables(root, version)
        repo.add(all=True)
        repo.commit(f"version {version}")
    repo.close()
    return root


@pytest.fixture
def foreign(own: Path, tmp_path: Path) -> Path:
    """The same repository as it comes from somebody else, caches and all."""
    return Path(shutil.copytree(own, tmp_path / "foreign", symlinks=True))


@pytest.fixture
def children_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each child ends as one does that a file has made to write where it mustn't."""
    fork = os.fork

    def fork_and_crash() -> int:
        pid = fork()
        if pid == 0:
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # no traces: it is meant
            os.kill(os.getpid(), signal.SIGSEGV)
        return pid

    monkeypatch.setattr(os, "fork", fork_and_crash)


@pytest.fixture(params=[False, True], ids=["alone", "beside a thread"])
def beside(request: pytest.FixtureRequest) -> Iterator[bool]:
    if not request.param:
        yield False
        return
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield True
    done.set()
    thread.join()


_started: list[str] = []


def _hear(event: str, _: object) -> None:
    if event in ("os.fork", "subprocess.Popen"):
        _started.append(event)


@pytest.fixture
def children() -> list[str]:
    """What this process starts, as it comes."""
    if _hear not in _heard:
        _heard.append(_hear)
        sys.addaudithook(_hear)
    _started.clear()
    return _started


_heard: list[object] = []


READS: dict[str, Callable[[Repository, str], object]] = {
    "arrow": lambda repo, name: repo.table(name).to_arrow().num_rows,
    "some rows": lambda repo, name: repo.table(name).rows([5]).num_rows,
    "schema": lambda repo, name: len(repo.table(name).schema),
    "dataset": lambda repo, name: repo.table(name).dataset().count_rows(),
    "sql": lambda repo, name: repo.sql(f"select count(*) from dsvc('HEAD:{name}')").to_pylist(),
    "loader": lambda repo, name: repo.table(name).map_dataset()[7],
}


@pytest.mark.parametrize("name", NAMES)
def test_h41_h43_h44_h45_nothing_of_a_foreign_table_is_decoded_before_a_child_has_read_it(
    foreign: Path, children_crash: None, name: str
) -> None:
    for read in READS.values():
        with Repository.open(str(foreign)) as repo, pytest.raises(NotATableError, match="SIGSEGV"):
            read(repo, name)
    tried("hostile cases", len(READS))


@pytest.mark.parametrize("name", NAMES)
def test_own_tables_are_read_without_one(own: Path, children_crash: None, name: str) -> None:
    for read in READS.values():
        with Repository.open(str(own)) as repo:
            assert read(repo, name)


@pytest.mark.parametrize("name", NAMES)
def test_isolation_can_be_asked_for(own: Path, children_crash: None, name: str) -> None:
    for read in READS.values():
        with Repository.open(str(own)) as repo:
            repo.isolate = True
            with pytest.raises(NotATableError, match="SIGSEGV"):
                read(repo, name)


def test_a_repository_can_ask_for_it_but_not_against_it(foreign: Path, children_crash: None) -> None:
    with Repository.open(str(foreign)) as repo:
        repo.config.set("limits.isolate", "false")
    with Repository.open(str(foreign)) as repo, pytest.raises(NotATableError, match="SIGSEGV"):
        repo.table("t.parquet").to_arrow()
    with Repository.open(str(foreign)) as repo:
        repo.config.set("limits.isolate", "true")
        assert Repository.open(str(foreign)).isolate


def test_h41_h43_answers_are_the_same_and_a_child_reads_once(
    own: Path, foreign: Path, beside: bool, children: list[str]
) -> None:
    for name in NAMES:
        with Repository.open(str(own)) as mine, Repository.open(str(foreign)) as theirs:
            for read in ("arrow", "sql"):
                assert READS[read](theirs, name) == READS[read](mine, name)
    children.clear()
    for name in NAMES:
        with Repository.open(str(foreign)) as repo:
            assert repo.table(name).num_rows == ROWS
    assert not children
    tried("hostile cases", 2 * len(NAMES))


def test_notes_from_elsewhere_count_for_nothing(foreign: Path, own: Path, children_crash: None) -> None:
    """They name the folder that they were written in; a copied one is another."""
    notes = foreign / ".dsvc/cache/contents/own"
    assert notes.read_bytes() == (own / ".dsvc/cache/contents/own").read_bytes()
    for data in (notes.read_bytes(), b"", b"x" * 31, os.urandom(320)):
        notes.write_bytes(data)
        with Repository.open(str(foreign)) as repo, pytest.raises(NotATableError, match="SIGSEGV"):
            repo.table("t.parquet").to_arrow()


def test_a_child_that_is_started_answers_as_one_that_is_forked() -> None:
    for started in (False, True):
        child = child_process.Child(
            [pa.table, int, bad_words, os.getppid], child_process.Bounds(1 << 30), started=started
        )
        assert isinstance(child.answer(60), child_process.Ended)  # pa.table() raises what isn't typed
        child.end()
        child = child_process.Child(
            [int, bad_words, os.getppid], child_process.Bounds(1 << 30), started=started
        )
        assert child.answer(60) == child_process.Done(0)
        failed = child.answer(60)
        assert isinstance(failed, child_process.Failed)
        assert str(failed.error) == "不行"
        assert child.answer(60) == child_process.Done(os.getpid())
        assert child.answer(60) == child_process.Ended(0)
        child.end()


def addresses_for_threads() -> int:
    """By how many addresses the process grows while forty threads allocate something."""

    def size() -> int:
        return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE

    def work() -> None:
        room = [bytearray(2000) for _ in range(100)]
        together.wait()
        assert room

    before, together = size(), threading.Barrier(41)
    threads = [threading.Thread(target=work) for _ in range(40)]
    stack = threading.stack_size(1 << 20)
    for thread in threads:
        thread.start()
    grown = size() - before
    together.wait()
    threading.stack_size(stack)
    return grown


def test_threads_of_a_child_set_no_addresses_aside_that_count_against_its_bound() -> None:
    child = child_process.Child([addresses_for_threads], child_process.Bounds(8 << 30), started=True)
    answer = child.answer(60)
    child.end()
    assert isinstance(answer, child_process.Done)
    assert answer.value < 40 * (8 << 20)


def bad_words() -> None:
    raise DsvcError("不行")


@pytest.mark.parametrize("by", ["another user", "the setting"])
def test_h45_h48_result_files_of_somebody_else_are_read_in_a_child_first(
    tmp_path: Path, request: pytest.FixtureRequest, by: str
) -> None:
    lab = FeedbackLab(tmp_path)
    lab.take({"suite": "s"}, {"row": {"id": 1}, "symptom": "x"})
    request.getfixturevalue("children_crash")
    before = lab.refs()
    path = lab.result({"suite": "t"}, {"row": {"id": 2}, "symptom": "y"})
    if by == "the setting":
        lab.repo.isolate = True
    elif os.geteuid():
        pytest.skip("giving files to another user needs root")
    else:
        os.chown(path, 1000, 1000)
    with pytest.raises(FeedbackMalformedError, match="SIGSEGV"):
        lab.repo.feedback_import(path, subject="a.jsonl")
    assert lab.refs() == before
    tried("hostile cases")


def test_a_result_file_reads_the_same_in_a_child(tmp_path: Path, beside: bool, children: list[str]) -> None:
    lab = FeedbackLab(tmp_path)
    lab.repo.isolate = True
    found = lab.take({"suite": "s"}, {"row": {"id": 1}, "symptom": "x"})
    assert found.record.observations == 1
    assert ("subprocess.Popen" if beside else "os.fork") in children
