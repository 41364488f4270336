"""Moves of several refs that stop in the middle: what was decided is carried out, what others did stays."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

import pytest

from dsvc.fs.failpoints import Action, Plan, armed
from dsvc.fs.flushing import Unflushed
from dsvc.history.git_object import object_id
from dsvc.history.reflog import Reflogs
from dsvc.history.refs import RefChange
from dsvc.model.errors import DsvcError, MissingDataError, StorageError
from dsvc.model.ids import CommitId
from tests.historykit import MAIN, WHO, Killed, Repo

TOPIC = "refs/heads/topic"
DEEP = "refs/heads/deep/er"


def killed_when(killed: Killed, run: Callable[[], None], when: Callable[[], bool]) -> None:
    """Run a move that is killed at its first step in a state."""

    def look(number: int, name: str, path: str) -> None:
        if when():
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed(run, Plan(observer=look)), "that state was never reached"


def decided(repo: Repo) -> bool:
    return repo.path("dsvc-update.committed").exists()


def nothing_is_left(repo: Repo) -> bool:
    return not [*repo.path(".").rglob("*.lock"), *repo.path(".").glob("dsvc-update*")]


def everything(repo: Repo, first: CommitId, second: CommitId) -> Callable[[], None]:
    """A branch moves, one is made, and HEAD goes there."""
    changes = [RefChange(MAIN, first, second), RefChange(TOPIC, None, second)]
    return lambda: repo.move(*changes, head=TOPIC)


@pytest.fixture
def ids(repo: Repo) -> tuple[CommitId, CommitId]:
    first = repo.commit()
    return first, repo.commit(first, branch=None, n=2)


def test_a_decided_move_is_carried_out_with_its_logs(
    repo: Repo, killed: Killed, ids: tuple[CommitId, CommitId]
) -> None:
    first, second = ids
    killed_when(killed, everything(repo, first, second), lambda: decided(repo))
    found = repo.open().refs
    assert found.list("refs/heads/") == {MAIN: second, TOPIC: second}
    assert found.head().text == TOPIC
    assert [(each.old, each.new) for each in found.reflog(MAIN, 1)] == [(first, second)]
    assert [each.new for each in found.reflog("HEAD", 1)] == [second]
    assert len(found.reflog(TOPIC)) == len([each for each in found.reflog(TOPIC) if each.new == second])
    assert nothing_is_left(repo)


def test_head_that_another_tool_moved_after_a_crash_stays(
    repo: Repo, killed: Killed, ids: tuple[CommitId, CommitId]
) -> None:
    first, second = ids
    killed_when(killed, everything(repo, first, second), lambda: decided(repo))
    repo.path("HEAD.lock").unlink(missing_ok=True)
    repo.path("HEAD").write_text(f"{first}\n")
    found = repo.open().refs
    assert (found.head().branch, found.head().commit) == (None, first)
    assert found.list("refs/heads/") == {MAIN: second, TOPIC: second}
    assert nothing_is_left(repo)


def test_a_folder_that_another_tool_filled_after_a_crash_stays(
    repo: Repo, killed: Killed, ids: tuple[CommitId, CommitId]
) -> None:
    first, second = ids
    killed_when(killed, everything(repo, first, second), lambda: decided(repo))
    other = repo.path(f"{TOPIC}/.other")
    other.parent.mkdir()
    other.write_bytes(b"not a ref")
    found = repo.open().refs
    assert found.get(MAIN) == second
    assert other.read_bytes() == b"not a ref"
    assert nothing_is_left(repo)
    repo.move(RefChange("refs/heads/next", None, first))
    assert repo.history.refs.get("refs/heads/next") == first


def test_an_empty_folder_where_a_decided_ref_goes(
    repo: Repo, killed: Killed, ids: tuple[CommitId, CommitId]
) -> None:
    first, second = ids
    killed_when(killed, everything(repo, first, second), lambda: decided(repo))
    repo.path(f"{TOPIC}/empty").mkdir(parents=True)
    assert repo.open().refs.list("refs/heads/") == {MAIN: second, TOPIC: second}
    assert nothing_is_left(repo)


def test_a_folder_that_another_tool_removed_after_a_crash(repo: Repo, killed: Killed) -> None:
    first = repo.commit()
    repo.move(RefChange(DEEP, None, first))
    lock = repo.path(f"{DEEP}.lock")
    changes = [RefChange(DEEP, first, None), RefChange(TOPIC, None, first)]

    def is_gone() -> bool:
        return decided(repo) and not lock.exists() and not repo.path(DEEP).exists()

    killed_when(killed, lambda: repo.move(*changes), is_gone)
    lock.parent.rmdir()
    assert repo.open(durable=True).refs.list("refs/heads/") == {MAIN: first, TOPIC: first}
    assert nothing_is_left(repo)


def test_a_disk_that_fails_after_the_decision_leaves_the_rest_to_the_next(
    repo: Repo, ids: tuple[CommitId, CommitId], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = ids
    move = everything(repo, first, second)
    for at in range(1, 80):
        with armed(Plan(action=Action.EIO, at=at, persistent=True)):
            try:
                move()
            except StorageError:
                continue
        break
    assert "the rest is left to the next command" in caplog.text
    assert decided(repo)
    # Readers see it already, and the next writer carries it out.
    assert repo.history.refs.list("refs/heads/") == {MAIN: second, TOPIC: second}
    assert repo.open().refs.head().text == TOPIC
    assert nothing_is_left(repo)


def test_interrupted_after_the_decision_everything_is_done(
    repo: Repo, ids: tuple[CommitId, CommitId]
) -> None:
    first, second = ids
    stopped: list[str] = []

    def stop(number: int, name: str, path: str) -> None:
        if not stopped and decided(repo):
            stopped.append(name)
            raise KeyboardInterrupt

    with armed(Plan(observer=stop)), pytest.raises(KeyboardInterrupt):
        everything(repo, first, second)()
    assert stopped
    assert nothing_is_left(repo)
    assert repo.history.refs.list("refs/heads/") == {MAIN: second, TOPIC: second}
    assert repo.history.refs.head().text == TOPIC


@pytest.mark.parametrize(
    "head",
    [
        "refs/heads/a..b",
        "refs/heads/x.lock",
        "refs/tags/v1",
        # Names that git takes, and that would mean something else on a command line.
        "refs/heads/-x",
        "refs/heads/HEAD",
        "refs/heads/STAGED",
        "refs/heads/" + "a" * 40,
    ],
)
def test_h25_head_goes_to_no_hostile_name(repo: Repo, head: str) -> None:
    first = repo.commit()
    with pytest.raises(DsvcError) as caught:
        repo.move(RefChange(TOPIC, None, first), head=head)
    assert caught.value.exit_code in (2, 41)
    assert repo.history.refs.head().text == MAIN
    assert repo.history.refs.list("refs/heads/") == {MAIN: first}


# Logs


def test_a_line_torn_behind_a_link_is_left_alone(repo: Repo) -> None:
    repo.commit()
    path = repo.path("logs/refs/heads/main")
    line = path.read_bytes()
    other = repo.path("elsewhere")
    other.write_bytes(line[:-5])
    path.unlink()
    path.symlink_to(other)
    with pytest.raises(StorageError) as caught, Unflushed(durable=False) as unflushed:
        Reflogs(repo.git_dir, durable=False).append(MAIN, line, unflushed)
    assert caught.value.details["errno"] == errno.errorcode[errno.ELOOP]
    assert other.read_bytes() == line[:-5]


def test_a_branch_that_is_gone_and_was_there_is_missing(repo: Repo) -> None:
    """HEAD on a branch without a file: new, or lost? Its log tells."""
    made = repo.commit()
    assert repo.history.refs.head().commit == made
    os.unlink(repo.path(MAIN))
    with pytest.raises(MissingDataError, match=made[:12]):
        repo.open().refs.head()


def test_a_signed_tag_covers_what_stands_before_the_signature(repo: Repo) -> None:
    target = repo.commit()
    signed: list[bytes] = []

    def sign(data: bytes) -> bytes:
        signed.append(data)
        return b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"

    made = repo.history.annotated_tag(name="v1", target=target, message="版本", tagger=WHO, sign=sign)
    ((kind, data),) = made.objects
    assert kind == "tag"
    assert signed == [data[: data.index(b"-----BEGIN")]]
    assert signed[0].startswith(f"object {target}\ntype commit\ntag v1\ntagger ".encode())
    assert signed[0].endswith("\n\n版本\n".encode())
    assert made.id == object_id("tag", data)
