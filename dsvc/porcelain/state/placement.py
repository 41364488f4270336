"""Where a repository lies and whose it is: looked at before anything in it is believed.

Who makes ``.dsvc`` decides what settings, locks and caches are. So it has to belong to whoever opens it, and
its folders have to be where they seem to be: as with git, a person vouches for others by name.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator

from dsvc.model.errors import MalformedInputError
from dsvc.store.layout import Layout

Vouches = Callable[[str, int], bool]
"""Says whether the user vouches for a repository, by its working tree and the owner of its ``.dsvc``."""


class UnsafeRepositoryError(MalformedInputError):
    """A repository belongs to another user, or parts of it are links to other places."""

    code = "unsafe-repository"


def nobody_vouches(root: str, owner: int) -> bool:
    """Vouch for nothing."""
    del root, owner
    return False


def check_placement(root: str, vouches: Vouches = nobody_vouches) -> None:
    """Look where the ``.dsvc`` of a working tree lies and whose it is.

    Parameters
    ----------
    root : str
        The working tree, without links on its way.
    vouches : callable
        Asked only where something is not as it should be.

    Raises
    ------
    UnsafeRepositoryError
        If it belongs to another user, or it or one of its folders is a symbolic link.
    """
    layout = Layout(os.path.join(root, ".dsvc"))
    owner = os.stat(layout.root).st_uid
    wrong = next(_wrong(layout, owner), None)
    if wrong is not None and not vouches(root, owner):
        raise UnsafeRepositoryError(
            wrong,
            hint=f"if you trust it: git config --global --add safe.directory {shlex.quote(root)}",
            details={"path": root},
        )


def _wrong(layout: Layout, owner: int) -> Iterator[str]:
    if owner != os.geteuid():
        yield f"{layout.root} belongs to another user ({owner})"
    for path in (*layout.folders(), layout.git, layout.config):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode):
            yield f"{path} is a symbolic link"
