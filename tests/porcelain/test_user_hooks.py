"""Hooks of one's own run when dsvc commits, once the person at this machine has allowed them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.porcelain.state.bounded_program import OUTPUT_BYTES
from dsvc.porcelain.state.user_hooks import HookRefusedError, UserHooks
from dsvc.testing.faults import tried
from tests.porcelain.working import Work


class Hooked:
    """A repository, what is noted of its hooks, and a hook that says where it ran."""

    def __init__(self, work: Work, notes: Path) -> None:
        self.work, self.repo, self.notes = work, work.repo, notes
        self.shown: list[bytes] = []
        environ = {"PATH": os.environ["PATH"], "SUNG": str(notes.parent / "sung")}
        self.hooks = UserHooks(environ, str(notes), self.shown.append)
        work.repo.user_hooks = self.hooks
        self.number = 0

    def put(self, name: str, script: str, mode: int = 0o755) -> Path:
        path = Path(self.repo.path, "hooks", name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(mode)
        return path

    def allow(self, name: str, script: str) -> None:
        self.put(name, script)
        self.hooks.allow(self.repo, name)

    def commit(self, **options: bool) -> tuple[str, ...]:
        self.number += 1
        self.work.write({b"notes.md": b"%d" % self.number})
        self.repo.add([b"notes.md"])
        return self.repo.commit(str(self.number), **options).warnings

    @property
    def sung(self) -> str:
        path = self.notes.parent / "sung"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def hooked(work: Work, tmp_path: Path) -> Hooked:
    return Hooked(work, tmp_path / "state/dsvc/hooks.json")


def test_a_hook_runs_where_it_was_allowed_as_it_is(hooked: Hooked) -> None:
    assert hooked.commit() == ()
    path = hooked.put("pre-commit", 'echo "$DSVC_HOOK $PWD" >> "$SUNG"')
    (warning,) = hooked.commit()
    assert str(path) in warning
    assert hooked.hooks.allow(hooked.repo, "pre-commit") == str(path)
    assert hooked.commit() == ()
    assert hooked.sung == f"pre-commit {hooked.repo.root}\n"
    hooked.put("pre-commit", 'echo other >> "$SUNG"')
    with pytest.raises(HookRefusedError, match="not as it was"):
        hooked.commit()
    hooked.put("pre-commit", 'echo "$DSVC_HOOK $PWD" >> "$SUNG"', mode=0o644)
    with pytest.raises(HookRefusedError, match="not as it was"):
        hooked.commit()
    assert hooked.sung.count("\n") == 1


def test_f42_a_hook_can_say_no_or_crash(hooked: Hooked) -> None:
    hooked.allow("pre-commit", "exit 3")
    with pytest.raises(HookRefusedError, match="exited with 3") as caught:
        hooked.commit()
    assert caught.value.exit_code == 20
    assert hooked.repo.history.refs.head().commit is None
    hooked.commit(no_verify=True)
    hooked.allow("pre-commit", "kill -9 $$")
    with pytest.raises(HookRefusedError):
        hooked.commit()
    path = hooked.put("pre-commit", "")
    path.write_text("#!/nonexistent/program\n")
    hooked.hooks.allow(hooked.repo, "pre-commit")
    with pytest.raises(HookRefusedError, match="can't be run"):
        hooked.commit()


def test_a_hook_can_use_dsvc_since_nothing_is_locked(hooked: Hooked) -> None:
    lock = Path(hooked.repo.layout.lock("work"))
    hooked.allow("pre-commit", f'exec 9>>"{lock}"; flock -n 9 && echo free >> "$SUNG"')
    hooked.commit()
    assert hooked.sung == "free\n"


def test_what_runs_afterwards_takes_nothing_back(hooked: Hooked) -> None:
    hooked.allow("post-commit", 'echo made >> "$SUNG"; exit 1')
    (warning,) = hooked.commit(no_verify=True)
    assert "exited with 1" in warning
    assert hooked.sung == "made\n"
    assert hooked.repo.history.refs.head().commit is not None


def test_nobody_allows_what_is_not_there(hooked: Hooked) -> None:
    with pytest.raises(NotFoundError):
        hooked.hooks.allow(hooked.repo, "pre-commit")
    hooked.put("pre-commit", "exit 0", mode=0o644)
    with pytest.raises(NotFoundError):
        hooked.hooks.allow(hooked.repo, "pre-commit")
    with pytest.raises(UsageError):
        hooked.hooks.allow(hooked.repo, "../../x")
    hooked.put("pre-commit", "exit 0")
    with pytest.raises(UsageError):
        UserHooks({}, None).allow(hooked.repo, "pre-commit")


@pytest.mark.parametrize("noted", [b"", b"{", b"[]", b"\xff", b'{"a": 1}'])
def test_notes_that_are_damaged_allow_nothing(hooked: Hooked, noted: bytes) -> None:
    hooked.allow("pre-commit", 'echo sung >> "$SUNG"')
    hooked.notes.write_bytes(noted)
    (warning,) = hooked.commit()
    assert "is not run" in warning
    assert hooked.sung == ""


def test_a_copy_of_a_repository_runs_nothing(hooked: Hooked, tmp_path: Path) -> None:
    hooked.allow("pre-commit", 'echo sung >> "$SUNG"')
    os.rename(hooked.work.folder, tmp_path / "copy")
    other = Hooked(Work(tmp_path / "copy"), hooked.notes)
    assert "is not run" in other.commit()[0]
    assert other.sung == ""


# Hooks that misbehave

MEGABYTES = [pytest.param(8, id="8-MB"), pytest.param(1024, id="1-GB", marks=pytest.mark.soak)]
_STAYS = "sleep 600 & sleep 600 & "
HANGS = {
    "sleeps": "sleep 600",
    "closes what it prints to": "exec >&- 2>&-; sleep 600",
    "ignores signals": "trap '' TERM INT HUP; while :; do sleep 600; done",
    "waits for input that never comes": "while :; do cat; sleep 1; done",
    "prints for ever": "exec yes",
    "forks": _STAYS + "wait",
}


def refused(hooked: Hooked, match: str) -> None:
    """The commit is refused, and the same one is made once the hook lets it in."""
    repo = hooked.repo
    before = repo.history.refs.head()
    hooked.work.write({b"notes.md": b"refused"})
    repo.add([b"notes.md"])
    staged = repo.staged().root
    with pytest.raises(HookRefusedError, match=match) as caught:
        repo.commit("refused")
    assert caught.value.exit_code == 20
    assert (repo.history.refs.head(), repo.staged().root) == (before, staged)
    assert repo.fsck().ok
    tried("hostile cases")


@pytest.mark.parametrize("name", HANGS)
def test_f42_a_hook_that_hangs_is_ended_and_refuses(hooked: Hooked, name: str) -> None:
    hooked.repo.config.set("hook.timeout", "0.3")
    hooked.allow("pre-commit", HANGS[name])
    refused(hooked, "took longer than 0.3 s")
    assert sum(map(len, hooked.shown)) <= OUTPUT_BYTES
    hooked.allow("pre-commit", "exit 0")
    hooked.commit()
    assert hooked.work.clean()


def test_f42_after_the_commit_a_hook_that_hangs_takes_nothing_back(hooked: Hooked) -> None:
    hooked.repo.config.set("hook.timeout", "0.3")
    hooked.allow("post-commit", "sleep 600")
    (warning,) = hooked.commit()
    assert "took longer" in warning
    assert hooked.repo.history.refs.head().commit is not None
    tried("hostile cases")


@pytest.mark.parametrize("script", ["kill -9 0", "kill -9 $PPID; exit 1"])
def test_f42_a_hook_that_kills_its_group_kills_itself(tmp_path: Path, script: str) -> None:
    """Its own parent it can kill: then nothing is committed."""
    run = [sys.executable, "-m", "dsvc", "-C", str(tmp_path / "data")]
    environ = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.getcwd()}
    environ.pop("XDG_STATE_HOME", None)
    hook = tmp_path / "data/.dsvc/hooks/pre-commit"
    subprocess.run([*run[:3], "init", str(tmp_path / "data")], env=environ, check=True)
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)
    (tmp_path / "data/file").write_bytes(b"mine\n")
    for words in (["add", "-A"], ["hook", "allow", "pre-commit"]):
        subprocess.run([*run, *words], env=environ, check=True)
    done = subprocess.run([*run, "commit", "-m", "no"], env=environ, check=False, start_new_session=True)
    assert done.returncode == (-signal.SIGKILL if "PPID" in script else 20)
    hook.unlink()
    subprocess.run([*run, "commit", "-m", "yes"], env=environ, check=True)
    assert Work(tmp_path / "data").clean()
    tried("hostile cases")


@pytest.mark.parametrize("status", [0, 1])
def test_f42_what_a_hook_starts_goes_with_it(hooked: Hooked, status: int) -> None:
    """Its children hold the end of a pipe, which is at its end once all of them are gone."""
    pipe = hooked.notes.parent / "pipe"
    pipe.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    hooked.allow("pre-commit", f'exec 9>"{pipe}"; {_STAYS} echo x >&9; exit {status}')
    if status:
        refused(hooked, "exited with 1")
    else:
        assert hooked.commit() == ()
        tried("hostile cases")
    assert os.read(reader, 9) == b"x\n"
    assert select.select([reader], [], [], 30)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)


@pytest.mark.parametrize("megabytes", MEGABYTES)
def test_f42_of_endless_output_the_beginning_is_shown(hooked: Hooked, megabytes: int) -> None:
    hooked.allow("pre-commit", f"head -c {megabytes << 20} /dev/zero >&2")
    (warning,) = hooked.commit()
    assert f"{(megabytes << 20) - OUTPUT_BYTES:,} bytes were left out" in warning
    assert b"".join(hooked.shown) == bytes(OUTPUT_BYTES)
    hooked.shown.clear()
    hooked.allow("pre-commit", "echo out; echo err >&2")
    assert hooked.commit() == ()
    assert b"".join(hooked.shown) == b"out\nerr\n"
    tried("hostile cases")
