"""Programs of one's own: ``.dsvc/hooks/pre-commit``, ``post-commit``, and ``post-feedback`` after an import.

A repository may come from somebody else with such files in it. So none is run before the person at this
machine has allowed it, as it is; what is allowed is noted outside of any repository. One that hangs is ended
(setting ``hook.timeout``) and counts as a no; one that prints without end is cut.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from dsvc.fs import files
from dsvc.model.errors import NotFoundError, PolicyDeniedError, UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.state.workspace import Workspace

NAMES: Final = ("pre-commit", "post-commit", "post-feedback")
_MAX_BYTES: Final = 64 << 20
_MAX_NOTES: Final = 16 << 20


class HookRefusedError(PolicyDeniedError):
    """A hook of one's own refused the commit, or is not as it was when it was allowed."""

    code: ClassVar[str] = "hook-refused"


@dataclass
class UserHooks:
    """What running hooks needs from outside.

    Attributes
    ----------
    environ : mapping of str to str
        Environment for them.
    notes : str or None
        File that says what is allowed; None: nothing is.
    show : callable
        Takes what they print, piece by piece.
    """

    environ: Mapping[str, str]
    notes: str | None
    show: Callable[[bytes], object] = bytes

    def before_commit(self, repo: Workspace) -> str | None:
        """Run ``pre-commit``; gives a warning where there is one that nobody has allowed.

        Raises
        ------
        HookRefusedError
            If it says no, can't be run, or has changed since it was allowed.
        """
        return self._run(repo, "pre-commit")

    def after_commit(self, repo: Workspace) -> str | None:
        """Run ``post-commit``; gives a warning where it fails: the commit is made."""
        try:
            return self._run(repo, "post-commit")
        except HookRefusedError as error:
            return error.message

    def after_feedback(self, repo: Workspace, feedback: str, defects: Sequence[str]) -> str | None:
        """Run ``post-feedback``; gives a warning where it fails: the evaluation is recorded.

        Parameters
        ----------
        feedback : str
            Id of the evaluation, ``DSVC_FEEDBACK`` for the program.
        defects : sequence of str
            Those that it opened or extended, ``DSVC_DEFECTS``, separated by blanks.
        """
        try:
            told = {"DSVC_FEEDBACK": feedback, "DSVC_DEFECTS": " ".join(defects)}
            return self._run(repo, "post-feedback", told)
        except HookRefusedError as error:
            return error.message

    def allow(self, repo: Workspace, name: str) -> str:
        """Let a hook be run from now on, as it is; returns its path.

        Raises
        ------
        UsageError
            If there is no hook of that name, or nowhere to note it.
        NotFoundError
            If there is no such file.
        """
        if name not in NAMES:
            raise UsageError(f"dsvc runs no hook {name!r}", hint=f"it runs {', '.join(NAMES)}")
        path = _path(repo, name)
        digest = _digest(path)
        if digest is None:
            raise NotFoundError(
                f"there is no program {path}", hint="put one there that can be executed (chmod +x)"
            )
        if self.notes is None:
            raise UsageError("there is no home folder to note in that it is allowed", hint="set HOME")
        files.make_folders(os.path.dirname(self.notes))
        noted = {**self._noted(), path: digest}
        files.write_atomically(self.notes, json.dumps(noted, indent=1, sort_keys=True).encode() + b"\n")
        return path

    def _run(self, repo: Workspace, name: str, told: Mapping[str, str] | None = None) -> str | None:
        path = _path(repo, name)
        if not os.path.lexists(path):
            return None
        allowed = self._noted().get(path)
        if allowed is None:
            return f"{path} is not run: dsvc hook allow {name} lets it, once you have read it"
        if _digest(path) != allowed:
            raise HookRefusedError(
                f"{path} is not as it was when it was allowed",
                hint=f"read it, then: dsvc hook allow {name}",
            )
        return self._run_allowed(repo, name, path, told or {})

    def _run_allowed(self, repo: Workspace, name: str, path: str, told: Mapping[str, str]) -> str | None:
        from dsvc.porcelain.state.bounded_program import run_bounded

        seconds = float(repo.config.get("hook.timeout") or 0)
        hint = "--no-verify commits all the same, and the commit says so" if name == "pre-commit" else None
        try:
            ended = run_bounded(
                [path],
                folder=repo.root,
                environ={**self.environ, "DSVC_HOOK": name, **told},
                seconds=seconds,
                show=self.show,
            )
        except OSError as error:
            raise HookRefusedError(f"the hook {name} can't be run: {error.strerror}") from error
        if ended.status is None:
            raise HookRefusedError(
                f"the hook {name} took longer than {seconds:g} s and was ended",
                hint="dsvc config hook.timeout SECONDS gives it more time",
            )
        if ended.status:
            raise HookRefusedError(f"the hook {name} says no: it exited with {ended.status}", hint=hint)
        if ended.left_out:
            return f"of what the hook {name} printed, {ended.left_out:,} bytes were left out"
        return None

    def _noted(self) -> dict[str, str]:
        """What is allowed; a file that can't be read allows nothing."""
        try:
            with open(self.notes or "", "rb") as file:
                found = json.loads(file.read(_MAX_NOTES))
        except (OSError, ValueError):
            return {}
        return {str(path): str(digest) for path, digest in found.items()} if isinstance(found, dict) else {}


def _path(repo: Workspace, name: str) -> str:
    return os.path.join(repo.path, "hooks", name)


def _digest(path: str) -> str | None:
    """BLAKE3 of a program, None where there is no file of one's own that can be executed."""
    from blake3 import blake3

    try:
        with open(path, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or not facts.st_mode & 0o111 or facts.st_size > _MAX_BYTES:
                return None
            return blake3(file.read()).hexdigest()
    except OSError:
        return None
