"""Real git on the repositories that dsvc writes, and dsvc on what git did to them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dsvc.history.git_writer import init_bare
from dsvc.history.history import History
from dsvc.history.operations import Operation
from dsvc.history.refs import OPERATIONS, RefChange
from dsvc.history.signature import Signature
from dsvc.model.errors import DsvcError, NotFoundError
from dsvc.model.ids import CommitId, NodeId

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

MAIN, TOPIC = "refs/heads/main", "refs/heads/特性/一"
WHO = Signature(name="张三", email="zhang@example.org", seconds=1_795_000_000, offset_minutes=480)
ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "git",
    "GIT_AUTHOR_EMAIL": "git@example.org",
    "GIT_COMMITTER_NAME": "git",
    "GIT_COMMITTER_EMAIL": "git@example.org",
    "LC_ALL": "C",
}


class Written:
    """A history with a merge, an annotated tag, a deleted branch and messages in Chinese."""

    def __init__(self, root: Path) -> None:
        self.git_dir, self.lock = str(root / "git"), str(root / "refs.lock")
        init_bare(self.git_dir, durable=False)
        self.history = self.open()
        self.count = 0
        self.one = self.commit()
        self.two = self.commit(self.one)
        self.side = self.commit(self.one, branch=TOPIC, expected=None)
        self.merge = self.commit(self.two, self.side, branch=MAIN)
        tag = self.history.annotated_tag(name="v1", target=self.two, message="第一版", tagger=WHO)
        self.record("tag", *tag.changes, objects=tag.objects)
        self.record("branch", RefChange("refs/heads/gone", None, self.side))
        self.record("branch", RefChange("refs/heads/gone", self.side, None))

    def open(self) -> History:
        return History.open(self.git_dir, self.lock, False, 10.0)

    def commit(self, *parents: CommitId, branch: str = MAIN, **other: CommitId | None) -> CommitId:
        self.count += 1
        who = Signature(name=WHO.name, email=WHO.email, seconds=WHO.seconds + self.count, offset_minutes=480)
        made = self.history.commit(
            parents=parents,
            manifest=NodeId(self.count.to_bytes(32, "big")),
            files=self.count,
            bytes=1 << self.count,
            message=f'第{self.count}次\n\n正文 <x> & "y"',
            author=who,
            committer=who,
            trailers=[("Signed-off-by", "李四 <li@example.org>")],
            branch=branch,
            expected=other.get("expected", parents[0] if parents else None),
        )
        self.record("commit", *made.changes, objects=made.objects)
        return made.id

    def record(self, verb: str, *changes: RefChange, objects: tuple[tuple[str, bytes], ...] = ()) -> None:
        operation = Operation(
            id=None,
            verb=verb,
            arguments=("-m", "信息\n第二行"),
            seconds=WHO.seconds,
            refs=(),
            head_before="",
            head_after="",
            staged_before=None,
            staged_after=None,
            discarded=None,
            undone=None,
            who=WHO,
            note=None,
        )
        self.history.record(
            changes=changes, operation=operation, message=f"{verb}: 信息", who=WHO, new_objects=objects
        )

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "--git-dir", self.git_dir, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **ENVIRONMENT},
        )
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr
        assert "warning" not in done.stderr
        return done.stdout.rstrip("\n")

    def facts(self) -> object:
        """All that a reader can ask for."""
        history = self.open()
        refs = history.refs
        return (
            refs.head(),
            refs.list(),
            list(history.log([self.merge])),
            [history.verify_commit(id_) for id_ in (self.one, self.two, self.side, self.merge)],
            history.operations.list(),
            {ref: refs.reflog(ref) for ref in ("HEAD", MAIN, TOPIC, "refs/heads/gone", "refs/tags/v1")},
            history.revisions.resolve("v1"),
            history.revisions.resolve(self.one[:10]),
            history.merge_bases(self.two, self.side),
        )


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def test_fsck_finds_nothing(written: Written) -> None:
    assert written.git("fsck", "--strict", "--full") == ""
    assert written.git("count-objects", "-v").splitlines()[-2:] == ["garbage: 0", "size-garbage: 0"]


def test_an_empty_repository_is_one_for_git(tmp_path: Path) -> None:
    path = str(tmp_path / "git")
    init_bare(path)
    for arguments in (
        ["fsck", "--strict"],
        ["for-each-ref"],
        ["config", "core.bare"],
        ["rev-parse", "--is-bare-repository"],
    ):
        done = subprocess.run(
            ["git", "--git-dir", path, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() in ("", "true")


def test_log_shows_the_graph_and_the_messages(written: Written) -> None:
    graph = written.git("log", "--graph", "--format=%s|%an|%(trailers:key=Dsvc-Files,valueonly)")
    assert "第4次|张三|4" in graph
    assert "|\\" in graph
    body = written.git("log", "-1", "--format=%B", written.two)
    assert body.startswith(
        '第2次\n\n正文 <x> & "y"\n\nSigned-off-by: 李四 <li@example.org>\nDsvc-Manifest: 0'
    )
    trailers = written.git("log", "-1", "--format=%(trailers:only)", written.two).strip().splitlines()
    assert [tuple(line.split(": ", 1)) for line in trailers] == list(
        written.history.read_commit(written.two).trailers
    )
    assert written.git("log", "-1", "--format=%ad", "--date=iso", written.one).endswith("+0800")
    assert written.git("show", f"{written.two}:manifest").startswith("format 1\nroot 0")


def test_git_sees_the_refs(written: Written) -> None:
    seen = dict(
        line.split() for line in written.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    )
    assert seen == written.history.refs.list()
    assert set(seen) == {MAIN, TOPIC, "refs/tags/v1", OPERATIONS}
    assert written.git("rev-parse", "v1^{commit}") == written.two
    assert "第一版" in written.git("cat-file", "tag", "v1")


@pytest.mark.parametrize("ref", ["HEAD", MAIN, TOPIC])
def test_git_reads_the_reflog(written: Written, ref: str) -> None:
    listed = written.git("reflog", "show", "--no-abbrev", "--format=%H %gs", ref).splitlines()
    assert listed == [f"{e.new} {e.message}" for e in written.history.refs.reflog(ref)]


@pytest.mark.parametrize(
    "commands",
    [
        [["pack-refs", "--all"]],
        [["gc", "-q"]],
        [["gc", "-q", "--aggressive", "--prune=now"]],
        [["repack", "-a", "-d", "-q"], ["prune-packed", "-q"], ["pack-refs", "--all", "--prune"]],
        [["repack", "-a", "-d", "-q", "--write-midx"]],
        [["commit-graph", "write", "--reachable"]],
    ],
    ids=lambda commands: " + ".join(command[0] for command in commands),
)
def test_everything_is_readable_after_git_tidied_up(written: Written, commands: list[list[str]]) -> None:
    before = written.facts()
    for command in commands:
        written.git(*command)
    assert written.facts() == before
    # And it goes on from there.
    five = written.commit(written.merge)
    assert written.open().refs.get(MAIN) == five
    written.record("branch", RefChange(TOPIC, written.side, None))
    assert TOPIC not in written.open().refs.list()
    assert "特性" not in written.git("for-each-ref")
    assert written.git("fsck", "--strict") == ""


def test_a_commit_that_only_the_log_of_a_deleted_branch_knows_survives_gc(written: Written) -> None:
    lost = written.commit(written.one, branch="refs/heads/lost", expected=None)
    written.record("branch", RefChange("refs/heads/lost", lost, None))
    written.git("gc", "-q", "--prune=now")
    assert written.open().read_commit(lost).id == lost


def test_refs_that_git_made_are_seen(written: Written) -> None:
    written.git("branch", "by-git", written.one)
    written.git("tag", "light", written.side)
    written.git("tag", "-a", "heavy", "-m", "m", written.side)
    written.git("symbolic-ref", "HEAD", "refs/heads/by-git")
    history = written.open()
    assert history.refs.head().branch == "refs/heads/by-git"
    assert history.revisions.resolve("HEAD") == written.one
    assert history.revisions.resolve("light") == written.side
    assert history.revisions.resolve("heavy") == written.side
    assert [e.new for e in history.refs.reflog("refs/heads/by-git")] == [written.one]
    written.git("update-ref", "-m", "by git", "refs/heads/by-git", written.two, written.one)
    written.git("branch", "-m", "by-git", "renamed")
    assert written.open().refs.list("refs/heads/r") == {"refs/heads/renamed": written.two}
    assert history.refs.reflog("refs/heads/renamed", 3)[-1].message in (
        "by git",
        "branch: Created from " + written.one,
    )


def test_a_commit_that_git_made_is_refused_and_named(written: Written) -> None:
    tree = written.git("rev-parse", "HEAD^{tree}")
    made = written.git(
        "commit-tree", tree, "-p", written.merge, "-m", f"x\n\nDsvc-Manifest: {'f' * 64}\n\nby git"
    )
    with pytest.raises(DsvcError, match="Dsvc-Manifest"):
        written.history.read_commit(CommitId(made))
    written.git("update-ref", MAIN, made)
    with pytest.raises(DsvcError):
        list(written.open().log([written.open().refs.head().commit or written.one]))


def test_gits_lock_keeps_dsvc_off_and_dsvcs_keeps_git_off(written: Written) -> None:
    before = written.history.refs.get(MAIN)
    lock = Path(written.git_dir, MAIN + ".lock")
    with written.history.refs.locked():
        lock.write_text("")
        done = subprocess.run(
            ["git", "--git-dir", written.git_dir, "update-ref", MAIN, written.one],
            capture_output=True,
            check=False,
            env={**os.environ, **ENVIRONMENT},
        )
        assert done.returncode != 0
        lock.unlink()
    assert written.history.refs.get(MAIN) == before


def test_clone_and_bundle_carry_it(written: Written, tmp_path: Path) -> None:
    written.git("bundle", "create", "-q", str(tmp_path / "b"), "--all")
    copy = str(tmp_path / "copy")
    subprocess.run(["git", "clone", "-q", "--mirror", written.git_dir, copy], check=True, capture_output=True)
    history = History.open(copy, str(tmp_path / "copy.lock"), False, 10.0)
    assert history.refs.list() == written.history.refs.list()
    assert [c.id for c in history.log([written.merge])] == [
        c.id for c in written.history.log([written.merge])
    ]
    with pytest.raises(NotFoundError):
        history.revisions.resolve("@{5}")


def test_date_order_is_gits(written: Written) -> None:
    ours = [commit.id for commit in written.history.log([written.merge])]
    assert ours == written.git("rev-list", "--date-order", written.merge).splitlines()
