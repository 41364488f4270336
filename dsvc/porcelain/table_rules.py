"""The rules for tables that stand in the working tree: ``dsvc.toml``."""

from __future__ import annotations

import errno
import os
import stat as stat_module
from typing import TYPE_CHECKING, Final

from dsvc.fs.beneath import Beneath
from dsvc.fs.files import storage_error
from dsvc.store.ingest import open_file

if TYPE_CHECKING:
    from dsvc.porcelain.workspace import Workspace
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

    data = _read(repo.root)
    return TableRules() if data is None else TableRules.parse(data, RULES_FILE)


def _read(root: str) -> bytes | None:
    from dsvc.table.roles import TableRulesError

    try:
        with Beneath(root) as tree:
            fd = open_file(os.fsencode(RULES_FILE), tree.root_fd)
            try:
                if not stat_module.S_ISREG(os.fstat(fd).st_mode):
                    raise TableRulesError(f"{RULES_FILE} is no file", details={"path": RULES_FILE})
                with open(fd, "rb", closefd=False) as stream:
                    data = stream.read(MAX_RULES_BYTES + 1)
            finally:
                os.close(fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise TableRulesError(
                f"{RULES_FILE} is a link or no file; it is not followed", details={"path": RULES_FILE}
            ) from error
        raise storage_error(error, "read", RULES_FILE) from error
    if len(data) > MAX_RULES_BYTES:
        raise TableRulesError(
            f"{RULES_FILE} has more than {MAX_RULES_BYTES >> 20} MiB", details={"path": RULES_FILE}
        )
    return data
