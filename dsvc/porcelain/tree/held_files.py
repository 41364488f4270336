"""What runs that are going on have read: kept from gc until they are recorded or given up.

One small file for each in ``.dsvc/work/held``, named by the process, with the root of a manifest. What a
killed process held goes with the next gc.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from dsvc.fs import files
from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import NodeId
from dsvc.porcelain.state.staging import read_checked, write_checked
from dsvc.store.layout import Layout

_NAME = re.compile(r"(?:held|tmp)-([0-9]+)-[0-9a-f]{16}")


def folder(layout: Layout) -> str:
    """Where they are."""
    return os.path.join(layout.work, "held")


def hold(layout: Layout, root: NodeId) -> str:
    """Keep what a manifest names; returns what `release` takes."""
    files.make_folders(folder(layout), durable=False)
    path = os.path.join(folder(layout), files.temporary_name("held"))
    # Flushed: after a power cut another process may have this number, and gc reads the file as its own.
    try:
        write_checked(path, bytes(root), durable=True)
    except BaseException:
        files.discard(path)
        raise
    return path


def release(path: str) -> None:
    """Keep it no longer; never fails: what stays goes with a gc after this process."""
    files.discard(path)


def is_running(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def held_roots(layout: Layout) -> Iterator[NodeId]:
    """Manifests that runs hold which are going on.

    Raises
    ------
    CorruptDataError
        If one of the files is damaged.
    """
    for path, running in _held(layout):
        if not running or not os.path.basename(path).startswith("held"):
            continue
        body = read_checked(path, "list of what a run reads")
        if body is not None and len(body) != 32:
            raise CorruptDataError("the list of what a run reads is damaged", details={"path": path})
        if body is not None:
            yield NodeId(body)


def abandoned(layout: Layout) -> list[str]:
    """Files of processes that are gone, those that were being written too."""
    return [path for path, running in _held(layout) if not running]


def _held(layout: Layout) -> Iterator[tuple[str, bool]]:
    try:
        names = sorted(os.listdir(folder(layout)))
    except FileNotFoundError:
        return
    except OSError as error:
        raise files.storage_error(error, "list", folder(layout)) from error
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            yield os.path.join(folder(layout), name), is_running(int(match[1]))
