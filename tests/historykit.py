"""A small history to test with, and actions that are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dsvc.fs.failpoints import Plan, armed
from dsvc.history.git_writer import init_bare
from dsvc.history.history import History
from dsvc.history.operations import Operation
from dsvc.history.refs import RefChange
from dsvc.history.signature import Signature
from dsvc.model.ids import CommitId, NodeId

MAIN = "refs/heads/main"
WHO = Signature(name="张三", email="zhang@example.org", seconds=1_795_000_000, offset_minutes=480)

GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "git",
    "GIT_AUTHOR_EMAIL": "git@example.org",
    "GIT_COMMITTER_NAME": "git",
    "GIT_COMMITTER_EMAIL": "git@example.org",
    "LC_ALL": "C",
}


def operation(verb: str, *arguments: str) -> Operation:
    return Operation(
        id=None,
        verb=verb,
        arguments=arguments,
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


@dataclass
class Repo:
    root: Path

    def __post_init__(self) -> None:
        self.git_dir = str(self.root / "git")
        self.lock_path = str(self.root / "refs.lock")
        if not os.path.exists(self.git_dir):
            init_bare(self.git_dir, durable=False)
        self.history = self.open()

    def open(self, *, durable: bool = False, lock_timeout: float = 10.0) -> History:
        return History.open(self.git_dir, self.lock_path, durable, lock_timeout)

    def commit(
        self,
        *parents: CommitId,
        branch: str | None = MAIN,
        message: str = "a change",
        n: int = 1,
        history: History | None = None,
        seconds: int = WHO.seconds,
    ) -> CommitId:
        history = history or self.history
        who = Signature(name=WHO.name, email=WHO.email, seconds=seconds)
        made = history.commit(
            parents=parents,
            manifest=NodeId(n.to_bytes(32, "big")),
            files=n,
            bytes=10 * n,
            message=message,
            author=who,
            committer=who,
            branch=branch,
            expected=parents[0] if parents else None,
        )
        if branch is None:
            history._writer.write(made.objects)
        else:
            history.record(
                changes=made.changes,
                operation=operation("commit", "-m", message),
                new_objects=made.objects,
                message=f"commit: {message}",
                who=who,
            )
        return made.id

    def line(self, count: int, branch: str = MAIN) -> list[CommitId]:
        made: list[CommitId] = []
        for n in range(1, count + 1):
            made.append(self.commit(*made[-1:], branch=branch, n=n, message=f"change {n}"))
        return made

    def move(self, *changes: RefChange, head: str | CommitId | None = None, message: str = "move") -> None:
        self.history.refs.update(changes, message=message, who=WHO, head=head)

    def git(self, *arguments: str, check: bool = True, text: str | None = None) -> str:
        done = subprocess.run(
            ["git", "--git-dir", self.git_dir, *arguments],
            capture_output=True,
            text=True,
            check=False,
            input=text,
            env={**os.environ, **GIT_ENVIRONMENT},
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def path(self, name: str) -> Path:
        return Path(self.git_dir, name)


Killed = Callable[[Callable[[], object], Plan], bool]


def run_in_child(action: Callable[[], object], plan: Plan) -> bool:
    """Run an action in a forked child under a plan; whether it was killed (it must not fail)."""
    child = os.fork()
    if child == 0:
        try:
            with armed(plan):
                action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def repo_at(folder: Path, number: int) -> Repo:
    """Make the n-th repository of a loop; the one before is not needed any more."""
    shutil.rmtree(folder / str(number - 1), ignore_errors=True)
    root = folder / str(number)
    root.mkdir()
    return Repo(root)
