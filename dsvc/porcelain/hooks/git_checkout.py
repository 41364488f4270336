"""The git repository around a folder, asked by git itself, of whose settings none may run anything.

A hook finds variables in its environment that say to git where everything is. They are not followed but
compared with what is around the folder: a hook that judges another repository would let anything pass.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, ClassVar, Final, NamedTuple

from dsvc.model.errors import PolicyIncompleteError
from dsvc.porcelain.state.program import find_program
from dsvc.porcelain.state.quiet_git import QUIET, SETTINGS

_KEPT: Final = ("PATH", "HOME", "TMPDIR", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")
SECONDS: Final = 60
MAX_OUTPUT_BYTES: Final = 1 << 30


class HookEnvironmentError(PolicyIncompleteError):
    """A hook can't tell what it is to judge: git is missing, fails, or is told to look elsewhere."""

    code: ClassVar[str] = "hook-environment"


class GitCheckout(NamedTuple):
    """A git repository.

    Attributes
    ----------
    top : str
        The working tree; of a bare repository its own folder.
    git_dir : str
        Where its index and its objects are.
    program : str
        Path of git.
    environ : mapping of str to str
        What git is run with.
    """

    top: str
    git_dir: str
    program: str
    environ: Mapping[str, str]

    def output(self, *words: str) -> bytes:
        """Run git and return what it prints.

        Raises
        ------
        HookEnvironmentError
            If it fails.
        """
        return _run(self.program, self.top, self.environ, words)

    @contextmanager
    def talk(self, *words: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Run git for the time of the block; gives its input and its output.

        Raises
        ------
        HookEnvironmentError
            If it can't be started.
        """
        try:
            process = subprocess.Popen(
                [self.program, *QUIET, *words],
                cwd=self.top,
                env=dict(self.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise HookEnvironmentError(f"git can't be run: {error.strerror}") from error
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield process.stdin, process.stdout
            finally:
                process.kill()


def _run(program: str, folder: str, environ: Mapping[str, str], words: tuple[str, ...]) -> bytes:
    try:
        done = subprocess.run(
            [program, *QUIET, *words],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HookEnvironmentError(f"git {words[0]} did not answer: {error}") from error
    if done.returncode or len(done.stdout) > MAX_OUTPUT_BYTES:
        said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise HookEnvironmentError(f"git {words[0]} failed: {said or done.returncode}")
    return done.stdout


def git_around(folder: str, environ: Mapping[str, str]) -> GitCheckout | None:
    """Find the git repository around a folder; None where there is none.

    Parameters
    ----------
    folder : str
        Where to look, and upwards.
    environ : mapping of str to str
        Environment of the hook.

    Raises
    ------
    HookEnvironmentError
        If git is not installed or fails, or the environment names another repository.
    """
    start = os.path.realpath(folder)
    named = environ.get("GIT_DIR")
    if not named and not _has_git(start):
        return None
    program = find_program("git", environ)
    if program is None:
        raise HookEnvironmentError(
            "git was not found, and only git can say what it is about to commit or push",
            hint="put git on the PATH",
        )
    kept = {name: environ[name] for name in _KEPT if name in environ} | SETTINGS
    if environ.get("GIT_INDEX_FILE"):
        # git commits from another index where it is told which paths, or to take all that changed.
        kept["GIT_INDEX_FILE"] = environ["GIT_INDEX_FILE"]
    git_dir = _line(program, start, kept, "--absolute-git-dir")
    is_bare = _line(program, start, kept, "--is-bare-repository") == "true"
    top = git_dir if is_bare or _is_inside(start, git_dir) else _line(program, start, kept, "--show-toplevel")
    for name, own in (("GIT_DIR", git_dir), ("GIT_WORK_TREE", top)):
        other = environ.get(name)
        if other and own not in _places(other, top, start):
            raise HookEnvironmentError(
                f"{name} names {other!r}, and the git repository here is {own!r}",
                hint=f"unset {name}, or run git in the repository that it names",
            )
    return GitCheckout(top, git_dir, program, kept)


def _places(name: str, *folders: str) -> list[str]:
    """What a name can mean: from where git runs a hook, and from where it is run."""
    return [os.path.realpath(os.path.join(folder, name)) for folder in folders]


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _line(program: str, folder: str, environ: Mapping[str, str], option: str) -> str:
    # Only the last line's end is git's; a name may have others.
    found = os.fsdecode(_run(program, folder, environ, ("rev-parse", option)).removesuffix(b"\n"))
    return os.path.realpath(found) if option.startswith(("--absolute", "--show")) else found


def _has_git(start: str) -> bool:
    """Whether something here or above looks like a git repository, a bare one too."""
    at = start
    while True:
        if os.path.lexists(os.path.join(at, ".git")):
            return True
        if all(os.path.exists(os.path.join(at, name)) for name in ("HEAD", "objects", "refs")):
            return True
        parent = os.path.dirname(at)
        if parent == at:
            return False
        at = parent
