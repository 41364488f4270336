"""request erase: killed at any write it leaves what was there or what shall be; run again it ends well."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.model.errors import DsvcError
from dsvc.model.rights_request import RequestState
from dsvc.testing.faults import tried
from tests.porcelain.people import VALUE, WHO, holding
from tests.porcelain.working import Work


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    work = Work(tmp_path / "prepared")
    rules = b'[tables."*.csv"]\nkey = "who"\nsubject = "who"\n'
    rows = b"who,name\n" + b"".join(b"p-%04d,name %d\n" % (n, n) for n in range(30))
    with_person = rows.replace(b"name 7\n", VALUE.encode() + b"\n")
    work.commit("1", {b"dsvc.toml": rules, b"a.csv": rows.replace(WHO.encode(), b"q-0001")})
    work.commit("2", {b"a.csv": with_person})
    work.commit("3", {b"a.csv": with_person + b"p-0099,new\n", b"b.csv": with_person[:200]})
    work.repo.gc()
    work.repo.request_add("r", "deletion", subjects=[WHO])
    work.repo.request_erase  # noqa: B018  loaded before the processes fork
    work.repo.close()
    return work.folder


def killed_at(work: Work, at: int) -> bool:
    child = os.fork()
    if child == 0:
        try:
            with armed(Plan(action=Action.KILL, at=at)):
                work.repo.request_erase("r", "asked for")
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def settled(work: Work) -> None:
    """Whatever was left is whole, and the same command brings it to its end."""
    repo = work.reopen()
    assert repo.fsck(read_data=True).defects == ()
    state = repo.request("r").record.state
    assert state in (RequestState.OPEN, RequestState.ERASING, RequestState.ERASED)
    if state is RequestState.ERASED:
        assert holding(work.folder) == []
    done = repo.request_erase("r", "asked for")
    assert done.record.state is RequestState.ERASED
    assert done.record.certificate is not None
    assert done.record.certificate.chunks == 3
    assert holding(work.folder) == []
    assert WHO not in (work.folder / "a.csv").read_text()
    assert "name 8\n" in (work.folder / "a.csv").read_text()
    fresh = work.reopen()
    found = fresh.fsck(read_data=True)
    assert (found.defects, found.erased) == ((), 3)
    assert fresh.open_file(b"a.csv", "HEAD~3").read().count(b"\n") == 31, "the version without the person"


@pytest.mark.parametrize("step", [130, pytest.param(1, marks=pytest.mark.soak)])
def test_f1_killed_anywhere(prepared: Path, tmp_path: Path, step: int) -> None:
    """Killed at every so many writes."""
    at, killed = 2, True
    while killed:
        shutil.copytree(prepared, tmp_path / str(at))
        work = Work(tmp_path / str(at))
        killed = killed_at(work, at)
        tried("kill points", int(killed))
        settled(work)
        shutil.rmtree(tmp_path / str(at))
        at += step
    assert at > 100


def test_f7_out_of_space(prepared: Path, tmp_path: Path) -> None:
    for at in (60, 210):
        shutil.copytree(prepared, tmp_path / str(at))
        work = Work(tmp_path / str(at))
        with armed(Plan(action=Action.ENOSPC, at=at)), contextlib.suppress(DsvcError):
            work.repo.request_erase("r", "asked for")
        settled(work)
