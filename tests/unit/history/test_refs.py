from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from dsvc.history import ref_lock
from dsvc.history.ref_name import branch_ref, check_ref_format, check_ref_name, short_name, tag_ref
from dsvc.history.refs import OPERATIONS, Head, RefChange, RefConflictError, Refs
from dsvc.model.errors import (
    ConcurrentChangeError,
    CorruptDataError,
    LockedError,
    MalformedInputError,
    UsageError,
)
from dsvc.model.ids import CommitId

MAIN = "refs/heads/main"
TOPIC = "refs/heads/topic"


@pytest.mark.parametrize(
    "name",
    [
        "refs/../x",
        "refs/heads/-x",
        "refs/heads/a..b",
        "refs/heads/a.lock",
        "refs/heads/a.lock/b",
        "refs/heads/@{",
        "refs/heads/@",
        "refs/heads/x@{1}",
        "refs/heads/" + "x" * 5000,
        "refs/heads/" + "x" * 251,
        "refs/heads/" + "x/" * 600 + "x",
        "refs/heads/HEAD",
        "refs/tags/HEAD",
        "refs/heads/STAGED",
        "refs/heads/WORKTREE",
        "refs/heads/" + "a" * 40,
        "refs/heads/",
        "refs//heads/x",
        "/refs/heads/x",
        "refs/heads/.x",
        "refs/heads/x.",
        "refs/heads/x y",
        "refs/heads/x~1",
        "refs/heads/x^",
        "refs/heads/x:y",
        "refs/heads/x?",
        "refs/heads/x*",
        "refs/heads/x[",
        "refs/heads/x\\y",
        "refs/heads/x\x7f",
        "refs/heads/x\n",
        "refs/heads/x\0",
        "refs/heads/\udcff",
        "heads/x",
        "HEAD",
        "",
    ],
)
def test_h25_hostile_names_are_refused(repo: Any, name: str) -> None:
    with pytest.raises(MalformedInputError):
        check_ref_name(name)
    with pytest.raises((MalformedInputError, UsageError)):
        repo.move(RefChange(name, None, CommitId("a" * 40)))
    assert repo.history.refs.list() == {}
    assert sorted(os.listdir(repo.path("refs"))) == ["heads", "tags"]


@pytest.mark.parametrize(
    "name", [MAIN, "refs/heads/特性/一", "refs/heads/a-b", "refs/x/y@z", "refs/tags/v1.0"]
)
def test_good_names_are_taken(name: str) -> None:
    check_ref_name(name)


def test_short_names() -> None:
    assert branch_ref("a/b") == "refs/heads/a/b"
    assert tag_ref("v1") == "refs/tags/v1"
    assert [short_name(ref) for ref in (MAIN, "refs/tags/v1", "refs/stash")] == ["main", "v1", "stash"]
    check_ref_format("refs/heads/-x")  # another tool made it; it can be read
    with pytest.raises(MalformedInputError):
        branch_ref("-d")


def test_a_new_repository_stands_on_main_without_a_commit(repo: Any) -> None:
    assert repo.history.refs.head() == Head(branch=MAIN, commit=None)
    assert repo.history.refs.get(MAIN) is None
    assert repo.history.refs.list() == {}


def test_compare_and_swap(repo: Any) -> None:
    one, two = repo.line(2)
    refs = repo.history.refs
    assert refs.head() == Head(branch=MAIN, commit=two)
    for change in (
        RefChange(MAIN, one, two),
        RefChange(MAIN, None, one),
        RefChange(TOPIC, one, two),
        RefChange(MAIN, one, None),
    ):
        before = refs.list()
        with pytest.raises(ConcurrentChangeError):
            repo.move(RefChange("refs/tags/beside", None, one), change)
        assert refs.list() == before
    assert not list(Path(repo.git_dir).rglob("*.lock"))
    assert not list(Path(repo.git_dir).glob("dsvc-update*"))


def test_several_refs_and_head_move_together(repo: Any) -> None:
    one, two = repo.line(2)
    refs = repo.history.refs
    repo.move(RefChange(TOPIC, None, one), RefChange("refs/tags/v1", None, two), head=TOPIC)
    assert refs.head() == Head(branch=TOPIC, commit=one)
    repo.move(head=two)
    assert refs.head() == Head(branch=None, commit=two)
    repo.move(RefChange(TOPIC, one, None), head=MAIN)
    assert refs.head() == Head(branch=MAIN, commit=two)
    assert TOPIC not in refs.list("refs/heads/")
    assert refs.reflog(TOPIC)[0].new is None, "a deleted ref keeps its log"
    assert [(e.old, e.new) for e in refs.reflog("HEAD", 3)] == [(two, two), (one, two), (two, one)]


def test_head_must_be_where_the_caller_saw_it(repo: Any) -> None:
    (one,) = repo.line(1)
    with pytest.raises(ConcurrentChangeError):
        repo.history.refs.update(
            (), message="m", who=repo.history.read_commit(one).author, head=one, head_old=TOPIC
        )
    assert repo.history.refs.head().branch == MAIN
    with pytest.raises(UsageError):
        repo.move(head="refs/tags/v1")
    with pytest.raises(MalformedInputError):
        repo.move(head="refs/heads/../x")


def test_names_that_would_be_folders_of_others(repo: Any) -> None:
    (one,) = repo.line(1)
    repo.move(RefChange("refs/heads/a/b", None, one))
    for packed in (False, True):
        if packed:
            repo.git("pack-refs", "--all")
        for name in ("refs/heads/a", "refs/heads/a/b/c"):
            with pytest.raises(RefConflictError, match="a/b"):
                repo.move(RefChange(name, None, one))
    with pytest.raises(RefConflictError):
        repo.move(RefChange("refs/heads/x", None, one), RefChange("refs/heads/x/y", None, one))
    # The names are free again after the other one is gone, its log put aside.
    repo.move(RefChange("refs/heads/a/b", one, None))
    repo.move(RefChange("refs/heads/a", None, one))
    assert len(repo.history.refs.reflog("refs/heads/a/b")) == 2
    repo.move(RefChange("refs/heads/a", one, None))
    repo.move(RefChange("refs/heads/a/b", None, one))
    assert len(repo.history.refs.reflog("refs/heads/a")) == 2
    assert [e.new for e in repo.history.refs.reflog("refs/heads/a/b")] == [one, None, one]
    repo.git("fsck", "--strict")


def test_packed_refs_are_read_and_deleted(repo: Any) -> None:
    one, two = repo.line(2)
    repo.move(RefChange(TOPIC, None, one))
    repo.git("tag", "-a", "v1", "-m", "m", two)
    repo.git("pack-refs", "--all")
    assert not repo.path(MAIN).exists()
    refs = repo.history.refs
    assert refs.head().commit == two
    assert set(refs.list()) == {MAIN, TOPIC, "refs/tags/v1", OPERATIONS}
    repo.move(
        RefChange(TOPIC, one, None),
        RefChange(MAIN, two, one),
        RefChange("refs/tags/v1", refs.get("refs/tags/v1"), None),
    )
    assert set(refs.list()) == {MAIN, OPERATIONS}
    assert refs.get(MAIN) == one
    assert TOPIC not in repo.path("packed-refs").read_text()
    assert set(repo.git("for-each-ref", "--format=%(refname)").split()) == {MAIN, OPERATIONS}


@pytest.mark.parametrize("value", ["", "\n", "\0" * 41])
def test_an_empty_ref_is_named(repo: Any, value: str) -> None:
    repo.path(MAIN).write_text(value)
    for call in (repo.history.refs.head, repo.history.refs.list, lambda: repo.history.refs.get(MAIN)):
        with pytest.raises(CorruptDataError, match="refs/heads/main"):
            call()


@pytest.mark.parametrize(
    "value",
    [
        "a" * 39,
        "a" * 41,
        "A" * 40,
        "g" * 40,
        "a" * 64,
        "ref: refs/heads/main",
        "ref: ../../../etc/passwd",
        "ref: /etc/passwd",
        "ref: refs/../../x",
        "ref: HEAD",
        "ref: refs/heads/x.lock",
        "ref:",
        "x" * 10_000,
        "a" * 40 + " and more",
    ],
)
def test_h26_hostile_values_are_refused(repo: Any, value: str) -> None:
    repo.path(MAIN).write_text(value + "\n")
    for call in (repo.history.refs.head, repo.history.refs.list, lambda: repo.history.refs.get(MAIN)):
        with pytest.raises(MalformedInputError):
            call()


def test_h26_circles_of_names_are_refused(repo: Any) -> None:
    repo.path("refs/heads/x").write_text("ref: refs/heads/y\n")
    repo.path("refs/heads/y").write_text("ref: refs/heads/x\n")
    with pytest.raises(MalformedInputError):
        repo.history.refs.get("refs/heads/x")
    repo.path("HEAD").write_text("ref: refs/tags/v1\n")
    with pytest.raises(MalformedInputError):
        repo.history.refs.head()


def test_h26_a_name_that_points_to_another_is_read_and_not_moved(repo: Any) -> None:
    one, two = repo.line(2)
    repo.path("refs/remotes/origin").mkdir(parents=True)
    repo.path("refs/remotes/origin/HEAD").write_text("ref: refs/heads/main\n")
    assert repo.history.refs.get("refs/remotes/origin/HEAD") == two
    with pytest.raises(MalformedInputError):
        repo.move(RefChange("refs/remotes/origin/HEAD", two, one))


@pytest.mark.parametrize("line", ["x", "a" * 40 + " refs/../x", "a" * 39 + " refs/heads/x", "\0"])
def test_h25_h26_hostile_packed_refs_are_refused(repo: Any, line: str) -> None:
    repo.path("packed-refs").write_text(f"# pack-refs with: peeled\n{line}\n")
    with pytest.raises(MalformedInputError):
        repo.history.refs.list()


@pytest.mark.parametrize("name", ["a b", "x..y", "x~1"])
def test_files_that_no_ref_may_be_called(repo: Any, name: str) -> None:
    one = repo.commit()
    repo.path(f"refs/heads/{name}").write_text(f"{one}\n")
    with pytest.raises(MalformedInputError):
        repo.history.refs.list()


def test_h26_refs_that_are_no_files(repo: Any) -> None:
    os.mkfifo(repo.path("refs/heads/pipe"))
    with pytest.raises(MalformedInputError):
        repo.history.refs.list()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ref_lock, "WAIT_SECONDS", 0.1)


@pytest.mark.parametrize("name", [MAIN, "HEAD", "packed-refs"])
def test_f33_a_young_lock_of_another_tool_is_respected(repo: Any, quick: None, name: str) -> None:
    one, two = repo.line(2)
    repo.move(RefChange(TOPIC, None, one))
    repo.path(name + ".lock").write_text("theirs")
    with pytest.raises(LockedError):
        repo.move(RefChange(MAIN, two, one), RefChange(TOPIC, one, None), head=one)
    assert repo.history.refs.get(MAIN) == two
    assert list(Path(repo.git_dir).rglob("*.lock")) == [repo.path(name + ".lock")]
    assert not list(Path(repo.git_dir).glob("dsvc-update*"))


@pytest.mark.parametrize("age", [11.0, 10 * 365 * 86_400.0])
def test_f33_an_old_lock_is_taken_over(repo: Any, quick: None, age: float) -> None:
    one, two = repo.line(2)
    lock = repo.path(MAIN + ".lock")
    lock.write_text("theirs")
    os.utime(lock, (time.time() - age,) * 2)
    repo.move(RefChange(MAIN, two, one))
    assert repo.history.refs.get(MAIN) == one
    assert not lock.exists()


def test_f33_a_lock_from_before_the_last_start_is_taken_over(
    repo: Any, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = repo.line(2)
    repo.path(MAIN + ".lock").write_text("theirs")
    monkeypatch.setattr(ref_lock, "boot_seconds", lambda: time.time() + 5)
    repo.move(RefChange(MAIN, two, one))
    assert repo.history.refs.get(MAIN) == one


def test_the_start_of_this_machine_is_known() -> None:
    assert 0 < ref_lock.boot_seconds() < time.time()


def test_leftovers_are_removed(repo: Any) -> None:
    repo.line(1)
    for name in ("refs/heads/x.lock", "HEAD.lock", "objects/tmp_obj_1"):
        repo.path(name).write_text("")
        os.utime(repo.path(name), (1, 1))
    repo.path("refs/heads/young.lock").write_text("")
    removed = repo.history.remove_leftovers()
    assert sorted(os.path.basename(path) for path in removed) == ["HEAD.lock", "tmp_obj_1", "x.lock"]
    assert repo.path("refs/heads/young.lock").exists()
    assert not [path for path in removed if os.path.lexists(path)]


def test_another_writer_is_waited_for(repo: Any) -> None:
    (one,) = repo.line(1)
    impatient = Refs(repo.git_dir, repo.lock_path, durable=False, lock_timeout=0.05)
    with repo.history.refs.locked(), pytest.raises(LockedError):
        impatient.update((), message="m", who=repo.history.read_commit(one).author, head=one)


def test_a_name_may_stand_where_an_empty_folder_is(repo: Any) -> None:
    (one,) = repo.line(1)
    repo.path("refs/heads/a/b/c").mkdir(parents=True)
    repo.move(RefChange("refs/heads/a", None, one))
    assert repo.history.refs.get("refs/heads/a") == one


def test_reflog_passes_over_what_is_torn_or_hostile(repo: Any) -> None:
    one, two = repo.line(2)
    log = repo.path("logs/refs/heads/main")
    with log.open("ab") as file:
        file.write(b"x\n" + b"\0" * 100 + b"\n" + b"y" * 100_000 + b"\n")
        file.write(f"{one} {two} A <a> {1 << 63} +0000\tm\n".encode() + f"{one} {two}".encode())
    refs = repo.history.refs
    assert [e.new for e in refs.reflog(MAIN)] == [two, one]
    repo.move(RefChange(MAIN, two, one), message="after\nthe\ttorn line")
    entries = refs.reflog(MAIN)
    assert [e.new for e in entries] == [one, two, one]
    assert entries[0].message == "after the torn line"
    assert len(refs.reflog(MAIN, 1)) == 1
    assert refs.reflog("refs/heads/none") == []
    with pytest.raises(MalformedInputError):
        refs.reflog("refs/../../etc/passwd")
