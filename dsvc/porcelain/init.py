"""init: make a repository."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dsvc.fs import files
from dsvc.history.git_writer import init_bare
from dsvc.model.errors import MalformedInputError, UsageError
from dsvc.model.paths import check_structure
from dsvc.porcelain.state.config import config_exists, initial
from dsvc.porcelain.tables.table_rules import RULES_FILE, read_rules, read_settings_file
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
        Policy packs to name in ``dsvc.toml``: built-in ones, or paths below the folder.

    Returns
    -------
    str
        The working tree.

    Raises
    ------
    UsageError
        If there is a repository already, here or (unless `nested`) around; or ``dsvc.toml`` has a policy.
    PackError
        If there is no such pack. Nothing was written then.
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
    rules = _rules_with(root, policy) if policy else None
    files.make_folders(root)
    for folder in layout.folders():
        files.make_folders(folder)
    init_bare(layout.git, branch=DEFAULT_BRANCH, durable=True)
    if _enclosing(root, ".git") is not None:
        files.write_atomically(os.path.join(layout.root, ".gitignore"), b"*\n")
    if rules is not None:
        files.write_atomically(os.path.join(root, RULES_FILE), rules)
    files.write_atomically(layout.config, initial())
    return root


def _rules_with(root: str, packs: Sequence[str]) -> bytes | None:
    """Give ``dsvc.toml`` with the packs, keeping what stands there; None where it names them already."""
    from dsvc.policy.settings import PolicySettingsError, is_like_policy, parse_settings
    from dsvc.table.rules_file import read_document

    for name in packs:
        _check_pack(root, name)
    data = read_rules(root) if os.path.isdir(root) else None
    if data is None:
        data = b""
    elif any(map(is_like_policy, read_document(data, RULES_FILE, PolicySettingsError))):
        if parse_settings(data, RULES_FILE).packs == tuple(packs):
            # An init before this one was interrupted.
            return None
        raise UsageError(
            f"{os.path.join(root, RULES_FILE)} has a [policy] section already", hint="add the packs to it"
        )
    listed = ", ".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in packs)
    section = f"[policy]\npacks = [{listed}]\n".encode()
    parse_settings(section, RULES_FILE)
    separator = b"" if not data or data.endswith(b"\n\n") else b"\n" if data.endswith(b"\n") else b"\n\n"
    return data + separator + section


def _check_pack(root: str, name: str) -> None:
    """See that there is such a pack, and that it can be read: built in, or a file of the folder."""
    from dsvc.policy.pack import MAX_PACK_BYTES, PackError, load_built_in, parse_pack

    if not name.endswith(".toml"):
        load_built_in(name)
        return
    hint = "its path is one below the folder, as in policies/own.toml"
    try:
        path = name.encode()
        check_structure(path)
    except (MalformedInputError, UnicodeEncodeError) as error:
        raise PackError(f"{name!r} is no path of a pack", hint=hint) from error
    data = read_settings_file(root, path, MAX_PACK_BYTES, PackError) if os.path.isdir(root) else None
    if data is None:
        raise PackError(f"there is no pack {name} in {root}", hint=hint)
    parse_pack(data, name)
