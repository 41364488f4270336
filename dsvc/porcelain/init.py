"""init: make a repository."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dsvc.fs import files
from dsvc.history.git_writer import init_bare
from dsvc.model.errors import UsageError
from dsvc.porcelain.config import config_exists, initial
from dsvc.store.layout import Layout

DEFAULT_BRANCH = "main"


def _enclosing(path: str, marker: str) -> str | None:
    at = path
    while True:
        if os.path.lexists(os.path.join(at, marker)):
            return at
        parent = os.path.dirname(at)
        if parent == at:
            return None
        at = parent


def init(path: str, *, nested: bool = False, policy: Sequence[str] = ()) -> str:
    """Make ``.dsvc`` in a folder, which is made too where it's missing.

    The settings file is written last: until it stands there is no repository, and `init` runs again.

    Parameters
    ----------
    nested : bool
        Whether the folder may lie inside another dsvc repository.
    policy : sequence of str
        Policy packs to name in ``dsvc.toml``.

    Returns
    -------
    str
        The working tree.

    Raises
    ------
    UsageError
        If there is a repository already, here or (unless `nested`) around.
    """
    root = os.path.realpath(path)
    layout = Layout(os.path.join(root, ".dsvc"))
    if config_exists(layout.root):
        raise UsageError(f"{root} is a dsvc repository already", details={"path": layout.root})
    outer = _enclosing(os.path.dirname(root), os.path.join(".dsvc", "config"))
    if outer is not None and not nested:
        raise UsageError(
            f"{root} lies inside the dsvc repository {outer}",
            hint="dsvc init --nested makes a repository of its own here",
            details={"path": outer},
        )
    files.make_folders(root)
    for folder in layout.folders():
        files.make_folders(folder)
    init_bare(layout.git, branch=DEFAULT_BRANCH, durable=True)
    if _enclosing(root, ".git") is not None:
        files.write_atomically(os.path.join(layout.root, ".gitignore"), b"*\n")
    if policy:
        _write_policy(os.path.join(root, "dsvc.toml"), policy)
    files.write_atomically(layout.config, initial())
    return root


def _write_policy(path: str, packs: Sequence[str]) -> None:
    """Write ``[policy] packs`` into ``dsvc.toml``, keeping what stands there."""
    import tomllib

    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8")
    except FileNotFoundError:
        text = ""
    listed = ", ".join('"' + p.replace("\\", "\\\\").replace('"', '\\"') + '"' for p in packs)
    if "policy" in tomllib.loads(text):
        raise UsageError(f"{path} has a [policy] section already", hint="add the packs to it")
    separator = "\n" if text and not text.endswith("\n\n") else ""
    files.write_atomically(path, f"{text}{separator}[policy]\npacks = [{listed}]\n".encode())
