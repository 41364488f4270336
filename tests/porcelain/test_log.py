"""log, show, reflog: beside git's own log of the same history."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from itertools import islice

import pytest

from dsvc.diff.delta import ChangeKind
from dsvc.history.commit_codec import Commit
from dsvc.model.errors import NotFoundError
from dsvc.model.ids import CommitId
from dsvc.porcelain.state.values import LogEntry
from tests.porcelain.working import Work


def messages(entries: Iterable[LogEntry]) -> list[str]:
    return [entry.commit.message for entry in entries]


def log(work: Work, rev: str | None = None, *paths: str) -> list[str]:
    return messages(work.repo.log(rev, paths=[os.fsencode(path) for path in paths]))


def merged(work: Work, message: str, other: str) -> CommitId:
    """Merge by hand: a commit of what is in the tree, with a second parent."""
    repo = work.repo
    repo.add(all=True)
    head = repo.history.refs.head()
    root = repo.staged(head).root
    files, size = repo.manifest(root).totals()
    assert head.commit is not None
    prepared = repo.history.commit(
        parents=[head.commit, repo.history.revisions.resolve(other)],
        manifest=root,
        files=files,
        bytes=size,
        message=message,
        author=repo.signature(),
        committer=repo.signature(),
        branch=head.branch,
        expected=head.commit,
    )
    repo.record("merge", changes=prepared.changes, objects=prepared.objects)
    return prepared.id


def test_a_new_repository_has_an_empty_log(work: Work) -> None:
    assert log(work) == []
    assert messages(work.repo.log(all=True)) == []
    with pytest.raises(NotFoundError) as caught:
        list(work.repo.log("HEAD"))
    assert "no commit yet" in caught.value.message
    with pytest.raises(NotFoundError):
        work.repo.show()
    assert work.repo.reflog() == []


def test_newest_first_with_limit_and_ranges(work: Work) -> None:
    for number in range(4):
        work.commit(f"{number}", {b"a": b"%d" % number})
    assert log(work) == ["3", "2", "1", "0"]
    assert messages(work.repo.log(limit=2)) == ["3", "2"]
    assert messages(work.repo.log(limit=0)) == []
    assert log(work, "HEAD~2") == ["1", "0"]
    assert log(work, "HEAD~3..HEAD~1") == ["2", "1"]
    assert log(work, "HEAD..HEAD~2") == []
    with pytest.raises(NotFoundError):
        log(work, "nosuch")
    with pytest.raises(NotFoundError):
        log(work, "nosuch..HEAD")


def test_refs_stand_at_their_commits(work: Work) -> None:
    work.commit("1", {b"a": b"1"})
    work.repo.create_branch("数据")
    work.repo.create_tag("v1", message="第一版")
    work.commit("2", {b"a": b"2"})
    work.repo.create_tag("light")
    work.repo.create_branch("another")
    refs = {entry.commit.message: entry.refs for entry in work.repo.log()}
    assert refs == {"2": ("main", "another", "light"), "1": ("数据", "v1")}
    work.repo.checkout("v1")
    assert [entry.refs for entry in work.repo.log()] == [("HEAD", "数据", "v1")]
    assert messages(work.repo.log(all=True)) == ["2", "1"]


def test_paths_choose_commits(work: Work) -> None:
    work.commit("one", {b"d/a": b"1", b"d.txt": b"1", "数据/文件.txt".encode(): b"1"})
    work.commit("dot", {b"d.txt": b"2"})
    work.commit("inner", {b"d/b/c": b"2", b"\xff": b"2"})
    work.commit("mode", {b"d/a": ("exec", b"1")})
    work.commit("gone", {b"d/b/c": None})
    work.commit("other", {"数据/文件.txt".encode(): b"2"})
    assert log(work, None, "d") == ["gone", "mode", "inner", "one"]
    assert log(work, None, "d/") == ["gone", "mode", "inner", "one"]
    assert log(work, None, "d/b") == ["gone", "inner"]
    assert log(work, None, "d.txt") == ["dot", "one"]
    assert log(work, None, "数据") == ["other", "one"]
    assert log(work, None, os.fsdecode(b"\xff"), "d.txt") == ["inner", "dot", "one"]
    assert log(work, None, "nosuch") == []
    assert messages(work.repo.log(paths=[b"d"], limit=2)) == ["gone", "mode"]
    assert log(work, "HEAD~4..HEAD~1", "d") == ["gone", "mode", "inner"]


def git_log(work: Work, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", f"--git-dir={work.folder}/.dsvc/git", "log", "--topo-order", "--format=%s", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def mirror_in_git(work: Work, commits: Sequence[CommitId]) -> dict[str, list[str]]:
    """Rebuild the history in a plain git repository, with the files in it; log of each path by git."""
    folder = work.folder.parent / "git"
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**environment, **more},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    folder.mkdir()
    git("init", "-q")
    known: dict[CommitId, str] = {}
    for number, id_ in enumerate(commits):
        commit = work.repo.history.read_commit(id_)
        git("rm", "-rfq", "--cached", "--ignore-unmatch", ".")
        for entry in work.repo.manifest(commit.manifest).entries():
            blob = (
                subprocess.run(
                    ["git", "-C", str(folder), "hash-object", "-w", "--stdin"],
                    input=work.repo.open_file(entry.path, id_).read(),
                    capture_output=True,
                    check=True,
                )
                .stdout.decode()
                .strip()
            )
            git("update-index", "--add", "--cacheinfo", f"{entry.mode:06o},{blob},{os.fsdecode(entry.path)}")
        parents = [word for parent in commit.parents for word in ("-p", known[parent])]
        date = f"{1_700_000_000 + number} +0000"
        known[id_] = git(
            *(
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b",
                "commit-tree",
                git("write-tree"),
                "-m",
                commit.message,
            ),
            *parents,
            GIT_AUTHOR_DATE=date,
            GIT_COMMITTER_DATE=date,
        )
    tip = known[commits[-1]]
    return {
        path: git("log", "--format=%s", tip, "--", path).splitlines() for path in ("a", "b", "d", "d/x", "no")
    }


def test_merges_are_simplified_as_git_does(work: Work) -> None:
    commits = [work.commit("base", {b"a": b"0", b"b": b"0", b"d/x": b"0"})]
    work.branch("side")
    commits.append(work.commit("side b", {b"b": b"side"}))
    work.repo.checkout("main")
    work.branch("topic")
    commits.append(work.commit("topic a", {b"a": b"1"}))
    commits.append(work.commit("topic d", {b"d/x": b"1"}))
    commits.append(work.commit("topic d back", {b"d/x": b"0"}))
    work.repo.checkout("main")
    commits.append(work.commit("main b", {b"b": b"1"}))
    work.write({b"a": b"1"})
    commits.append(merged(work, "merge", "topic"))
    work.repo.checkout("main", force=True)
    commits.append(work.commit("main d", {b"d/x": b"2"}))
    work.write({b"a": b"both", b"d/y": b"evil"})
    commits.append(merged(work, "evil merge", "side"))
    expected = mirror_in_git(work, commits)
    for path, shown in expected.items():
        assert sorted(log(work, None, path)) == sorted(shown), path
    assert "topic d" not in expected["d"], "the side that a merge did not take is left out"


def test_the_history_is_read_as_it_is_asked_for(work: Work) -> None:
    for number in range(5):
        work.commit(f"{number}", {b"a": b"%d" % number})
    read: list[CommitId] = []
    repo = work.reopen()
    plain = repo.history.read_commit

    def counting(id_: CommitId) -> Commit:
        read.append(id_)
        return plain(id_)

    repo.history.read_commit = counting  # type: ignore[method-assign, assignment]
    list(islice(repo.log(paths=[b"a"]), 1))
    assert len(set(read)) <= 3


def test_log_agrees_with_git_on_the_same_store(work: Work) -> None:
    work.diverge({b"a": b"0"}, {b"b": b"1"}, {b"c": b"1"})
    merged(work, "both", "topic")
    assert sorted(log(work)) == sorted(git_log(work))
    assert log(work)[0] == "both"
    assert log(work)[-1] == "base"
    assert (
        sorted(log(work, "HEAD^1...topic")) == sorted(git_log(work, "HEAD^1...topic")) == ["ours", "theirs"]
    )
    assert log(work, "topic..HEAD^1") == git_log(work, "topic..HEAD^1") == ["ours"]


def test_show_compares_with_the_first_parent(work: Work) -> None:
    work.commit("1", {b"a": b"content", b"b": b"1"})
    work.commit("2", {b"a": None, "新".encode(): b"content", b"b": b"2"})
    shown = work.repo.show()
    assert [(c.path, c.kind, c.old_path) for c in shown.changes] == [
        (b"b", ChangeKind.MODIFIED, None),
        ("新".encode(), ChangeKind.RENAMED, b"a"),
    ]
    assert shown.refs == ("main",)
    first = work.repo.show("HEAD~1")
    assert {c.kind for c in first.changes} == {ChangeKind.ADDED}
    assert first.refs == ()
    with pytest.raises(NotFoundError):
        work.repo.show("nosuch")


def test_reflog_of_head_branches_and_what_is_gone(work: Work) -> None:
    work.commit("1", {b"a": b"1"})
    work.commit("2", {b"a": b"2"})
    assert [entry.message for entry in work.repo.reflog()] == ["commit: 2", "commit: 1"]
    assert work.repo.reflog("main") == work.repo.reflog("refs/heads/main")
    work.repo.create_branch("分支", "HEAD~1")
    work.repo.delete_branch("分支")
    assert [entry.new is None for entry in work.repo.reflog("分支")] == [True, False]
    with pytest.raises(NotFoundError):
        work.repo.reflog("nosuch")
