"""Hooks for git: three lines of shell that call dsvc, put where git looks for them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from dsvc.fs import files
from dsvc.model.errors import NotFoundError, UsageError, WouldOverwriteError
from dsvc.porcelain.hooks.git_checkout import GitCheckout, git_around
from dsvc.porcelain.state.workspace import Workspace

_MARK: Final = "# dsvc hook: "
_MAX_BYTES: Final = 1 << 16


class HookPlace(StrEnum):
    """Whose hook: that of the git repository around the working tree, or of dsvc's own history."""

    GIT = "git"
    DSVC = "dsvc"


ABOUT: Final = {
    "pre-commit": "judges what is about to be committed",
    "pre-push": "judges what is pushed",
    "pre-receive": "judges what a push brings, before it is let in",
}
PLACES: Final = {
    "pre-commit": (HookPlace.GIT,),
    "pre-push": (HookPlace.GIT, HookPlace.DSVC),
    "pre-receive": (HookPlace.DSVC,),
}
"""Where each can be; the first is where it goes if nobody says."""


class InstalledHook(NamedTuple):
    """A hook and what stands in its place.

    Attributes
    ----------
    name : str
    place : HookPlace
    path : str
        Its file.
    state : str
        ``installed``, ``foreign`` (somebody else's) or ``none``.
    kept : str or None
        Where a foreign one was put aside.
    """

    name: str
    place: HookPlace
    path: str
    state: str
    kept: str | None = None


def install_hook(
    repo: Workspace,
    name: str,
    place: HookPlace | None = None,
    *,
    environ: Mapping[str, str],
    program: Sequence[str] = ("dsvc",),
    force: bool = False,
) -> InstalledHook:
    """Put a hook where git looks for it; one that dsvc put there is replaced.

    Parameters
    ----------
    name : str
        ``pre-commit``, ``pre-push`` or ``pre-receive``.
    place : HookPlace or None
        Which repository; None: where this hook usually is.
    environ : mapping of str to str
        For finding git.
    program : sequence of str
        How dsvc is called.
    force : bool
        Put somebody else's hook aside, where there is one.

    Raises
    ------
    UsageError
        If there is no such hook, or not in this place, or git looks for hooks where others look, too.
    NotFoundError
        If there is no git repository around the working tree.
    WouldOverwriteError
        If somebody else's hook is there.
    HookEnvironmentError
        If git can't be asked.
    """
    where = _place(name, place)
    git = _git(repo, environ) if where is HookPlace.GIT else None
    folder = _folder(repo, git)
    path = os.path.join(folder, name)
    kept = None
    if _state(path) == "foreign":
        if not force:
            raise WouldOverwriteError(
                f"there is a hook already that dsvc didn't put there: {path}",
                hint=f"add the line: dsvc hook run {name} — or --force puts that one aside",
                details={"path": path},
            )
        kept = _put_aside(path)
    files.make_folders(folder)
    if git is not None:
        _hide_from_git(repo)
    _write(path, _text(name, program, None if git is None else _way(repo, git)))
    return InstalledHook(name, where, path, "installed", kept)


def list_hooks(repo: Workspace, environ: Mapping[str, str]) -> list[InstalledHook]:
    """Say of each hook what stands in its place; without a git repository only of dsvc's own history.

    Raises
    ------
    HookEnvironmentError
        If git can't be asked.
    """
    git = git_around(repo.root, environ)
    found = []
    for name, places in PLACES.items():
        for place in places:
            if place is HookPlace.GIT and git is None:
                continue
            path = os.path.join(_folder(repo, git if place is HookPlace.GIT else None), name)
            found.append(InstalledHook(name, place, path, _state(path)))
    return found


def _place(name: str, place: HookPlace | None) -> HookPlace:
    places = PLACES.get(name)
    if places is None:
        raise UsageError(f"there is no hook {name!r}", hint=f"there are {', '.join(PLACES)}")
    if place is not None and place not in places:
        hint = (
            "dsvc commit asks the policy by itself; a program of your own goes into .dsvc/hooks"
            if place is HookPlace.DSVC
            else "it judges what comes into the history of dsvc: leave --git out"
        )
        raise UsageError(f"the hook {name} can't be put there", hint=hint)
    return place or places[0]


def _git(repo: Workspace, environ: Mapping[str, str]) -> GitCheckout:
    git = git_around(repo.root, environ)
    if git is None:
        raise NotFoundError(
            f"there is no git repository around {repo.root}",
            hint="--dsvc puts pre-push and pre-receive into dsvc's own history",
        )
    return git


def _folder(repo: Workspace, git: GitCheckout | None) -> str:
    """Where git looks for hooks."""
    if git is None:
        return os.path.join(repo.layout.git, "hooks")
    common = os.fsdecode(git.output("rev-parse", "--git-common-dir").removesuffix(b"\n"))
    own = os.path.realpath(os.path.join(git.top, common))
    # The last one is our own, which says that no hook is run meanwhile.
    named = git.output("config", "--type=path", "-z", "--get-all", "core.hooksPath").split(b"\0")[:-2]
    if not named or not named[-1]:
        return os.path.join(own, "hooks")
    folder = os.path.realpath(os.path.join(git.top, os.fsdecode(named[-1])))
    if not any(folder == each or folder.startswith(each + "/") for each in (own, git.top)):
        raise UsageError(
            f"core.hooksPath names {folder}, where other repositories look for hooks, too",
            hint="add a line there: dsvc hook run NAME",
        )
    return folder


def _hide_from_git(repo: Workspace) -> None:
    """Keep ``.dsvc`` out of git, where that came after dsvc."""
    path = os.path.join(repo.path, ".gitignore")
    if not os.path.lexists(path):
        files.write_atomically(path, b"*\n")


def _way(repo: Workspace, git: GitCheckout) -> str | None:
    """The way from where git runs its hooks to the working tree of dsvc, where that lies below."""
    way = os.path.relpath(os.path.realpath(repo.root), git.top)
    return None if way == "." or way.startswith("..") else way


def _text(name: str, program: Sequence[str], way: str | None) -> bytes:
    words = [*program, *(() if way is None else ("-C", way)), "hook", "run", name]
    return os.fsencode(f'#!/bin/sh\n{_MARK}{ABOUT[name]}\nexec {shlex.join(words)} "$@"\n')


def _state(path: str) -> str:
    if not os.path.lexists(path):
        return "none"
    if os.path.islink(path) or not os.path.isfile(path):
        return "foreign"
    try:
        with open(path, "rb") as file:
            lines = file.read(_MAX_BYTES).split(b"\n")
    except OSError as error:
        raise files.storage_error(error, "read", path) from error
    return "installed" if len(lines) > 1 and lines[1].startswith(_MARK.encode()) else "foreign"


def _put_aside(path: str) -> str:
    """Give somebody else's hook a name at which git doesn't look."""
    number = 0
    while True:
        kept = f"{path}.before-dsvc{number or ''}"
        number += 1
        try:
            files.link(path, kept)
        except FileExistsError:
            continue
        return kept


def _write(path: str, data: bytes) -> None:
    temporary = os.path.join(os.path.dirname(path), files.temporary_name())
    fd = files.open_new(temporary, mode=0o777)
    try:
        try:
            files.write(fd, data, path)
            files.sync(fd, path)
        finally:
            os.close(fd)
        files.rename(temporary, path)
    except BaseException:
        files.discard(temporary)
        raise
    files.sync_folder(os.path.dirname(path))
