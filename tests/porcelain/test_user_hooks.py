"""Hooks of one's own run when dsvc commits, once the person at this machine has allowed them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.model.errors import NotFoundError, UsageError
from dsvc.porcelain.user_hooks import HookRefusedError, UserHooks
from tests.porcelain.working import Work


class Hooked:
    """A repository, what is noted of its hooks, and a hook that says where it ran."""

    def __init__(self, work: Work, notes: Path) -> None:
        self.work, self.repo, self.notes = work, work.repo, notes
        self.hooks = UserHooks({"PATH": os.environ["PATH"], "SUNG": str(notes.parent / "sung")}, str(notes))
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


def test_a_hook_can_say_no(hooked: Hooked) -> None:
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
