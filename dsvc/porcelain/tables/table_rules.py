"""The rules for tables that stand in the working tree: ``dsvc.toml``."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.fs.files import storage_error
from dsvc.model.paths import display_path
from dsvc.store.ingest import open_file

if TYPE_CHECKING:
    from dsvc.model.errors import UsageError
    from dsvc.porcelain.state.workspace import Workspace
    from dsvc.table.roles import TableRules

RULES_FILE: Final = "dsvc.toml"
MAX_RULES_BYTES: Final = 1 << 20


def table_rules(repo: Workspace) -> TableRules:
    """Read the working tree's ``dsvc.toml``; without one there are no rules.

    Raises
    ------
    TableRulesError
        If it is malformed, too long, or no regular file: links are not followed.
    StorageError
        If it can't be read.
    """
    from dsvc.table.roles import TableRules

    data = read_rules(repo.root)
    return TableRules() if data is None else TableRules.parse(data, RULES_FILE)


def read_rules(root: str) -> bytes | None:
    """Read the ``dsvc.toml`` of a folder; None where it has none.

    Raises
    ------
    TableRulesError
        If it is too long, or no regular file: links are not followed.
    StorageError
        If it can't be read.
    """
    from dsvc.table.roles import TableRulesError

    return read_settings_file(root, RULES_FILE.encode(), MAX_RULES_BYTES, TableRulesError)


def read_settings_file(root: str, path: bytes, limit: int, kind: type[UsageError]) -> bytes | None:
    """Read a file of settings in a folder; None where it is not there.

    Parameters
    ----------
    path : bytes
        Where it lies below the folder.
    limit : int
        How many bytes it may have.
    kind : type of UsageError
        What to raise.

    Raises
    ------
    UsageError
        Of that kind, if it is too long, or no regular file: links are not followed.
    StorageError
        If it can't be read.
    """
    name = display_path(path)
    try:
        with Beneath(root) as tree:
            folder, last = tree.split(path)
            fd = open_file(last, folder)
            try:
                with open(fd, "rb", closefd=False) as stream:
                    data = stream.read(limit + 1)
            finally:
                os.close(fd)
    except (FileNotFoundError, NotAFolderError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise kind(f"{name} is a link or no file; it is not followed", details={"path": name}) from error
        raise storage_error(error, "read", name) from error
    if len(data) > limit:
        raise kind(f"{name} has more than {limit >> 20} MiB", details={"path": name})
    return data
