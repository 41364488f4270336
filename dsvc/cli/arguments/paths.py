"""Arguments that name paths: from the current folder, in any bytes, to bytes relative to the root."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_name
from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.tables.row_target import RowTarget

_ESCAPED = re.compile("%(23|3[Aa])")


def _below(path: bytes, root: bytes) -> bytes | None:
    """Return `path` relative to `root`, or None where it lies elsewhere; both absolute and normal."""
    if path == root:
        return b""
    prefix = root if root.endswith(b"/") else root + b"/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def tree_path(argument: str | bytes, root: str, folder: bytes | None = None) -> bytes:
    """Turn an argument into a path relative to the working tree.

    Parameters
    ----------
    argument : str or bytes
        As it came from the command line; text holds bytes that are not UTF-8 as surrogates.
    root : str
        The working tree.
    folder : bytes or None
        What the argument is relative to; None for the current folder.

    Returns
    -------
    bytes
        Without leading and trailing slashes; empty for the root itself.

    Raises
    ------
    UsageError
        If the argument is empty or leads out of the working tree. Links on the way to it are followed,
        the last name never is.
    """
    raw = os.fsencode(argument)
    if not raw:
        raise UsageError(_("an empty path"), hint=_("the current folder is '.'"))
    start = os.getcwdb() if folder is None else folder
    path = os.path.normpath(os.path.join(start, raw))
    # POSIX keeps two leading slashes; here they mean the same as one.
    path = b"/" + path.lstrip(b"/") if path.startswith(b"//") else path
    top = os.path.normpath(os.fsencode(os.path.abspath(root)))
    found = _below(path, top)
    if found is None:
        head, name = os.path.split(path)
        real = path if path == b"/" else os.path.join(os.path.realpath(head), name)
        found = _below(real, os.path.realpath(top))
    if found is None and os.path.realpath(path) == os.path.realpath(top):
        found = b""
    if found is None:
        raise UsageError(
            _("{path} is outside the working tree {root}").format(
                path=show_name(raw), root=show_name(os.fsencode(root))
            )
        )
    return found


def tree_paths(arguments: Iterable[str], root: str) -> list[bytes]:
    """Turn arguments into paths relative to the working tree, as `tree_path` does."""
    return [tree_path(argument, root) for argument in arguments]


@dataclass(frozen=True, slots=True)
class Target:
    """A path at a revision: ``[REV:]PATH``."""

    revision: str
    path: bytes


def _unescape(path: str) -> str:
    return _ESCAPED.sub(lambda found: "#" if found[1] == "23" else ":", path)


def parse_target(argument: str, root: str) -> Target:
    """Read ``[REV:]PATH``; ``%23`` and ``%3A`` stand for ``#`` and ``:`` in the path.

    After a revision the path is relative to the root, as in git, unless it begins with ``./`` or ``../``;
    without one it is at HEAD and relative to the current folder.

    Raises
    ------
    UsageError
        If it is empty, leads out of the working tree, or names a row.
    """
    revision, colon, path = argument.partition(":")
    if not colon:
        revision, path = "HEAD", argument
    if "#" in path:
        raise UsageError(
            _("'{target}' names a row; a file is needed").format(target=argument),
            hint=_("where '#' belongs to the name, write %23"),
        )
    path = _unescape(path)
    from_root = bool(colon) and not path.startswith(("./", "../"))
    if from_root:
        path = path.lstrip("/")
    if not path and colon:
        return Target(revision or "HEAD", b"")
    return Target(revision or "HEAD", tree_path(path, root, os.fsencode(root) if from_root else None))


def row_target(argument: str, root: str) -> RowTarget:
    """Read ``[REV:]PATH[#ROW]``, the path as `parse_target` reads it.

    Raises
    ------
    UsageError
        If it is empty, leads out of the working tree, or what follows ``#`` names no row.
    """
    from dsvc.porcelain.tables.row_target import RowTarget, split_row

    file, row = split_row(argument)
    found = parse_target(file, root)
    return RowTarget(found.revision, found.path, row)


def from_here(path: bytes, root: str) -> bytes:
    """Return a path of the working tree as seen from the current folder, for people.

    Where the current folder isn't in the working tree, the path stays relative to the root.
    """
    here = os.getcwdb()
    below = _below(here, os.path.realpath(os.fsencode(root)))
    if not below:
        return path or b"."
    slash = b"/" if path.endswith(b"/") else b""
    return os.path.relpath(b"/" + path, b"/" + below) + slash
