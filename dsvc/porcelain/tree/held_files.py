"""What runs that are going on have read: kept from gc until they are recorded or given up.

One small file for each in ``.dsvc/work/held``, with the root of a manifest, locked while its run is going on.
What a killed process held goes with the next gc.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from dsvc.fs import files
from dsvc.fs.owner import Owner, hold_in_use, in_use, owner_of
from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import NodeId
from dsvc.porcelain.state.staging import read_checked, write_checked
from dsvc.store.layout import Layout


class Held(NamedTuple):
    """What a run that is going on keeps."""

    path: str
    fd: int


def folder(layout: Layout) -> str:
    """Where they are."""
    return os.path.join(layout.work, "held")


def hold(layout: Layout, root: NodeId) -> Held:
    """Keep what a manifest names, until `release` or the end of this process.

    The caller holds the store's lock as a writer: so gc finds the file locked, if it finds it.

    Raises
    ------
    StorageError
        If it can't be written, or the file system has no locks.
    """
    files.make_folders(folder(layout), durable=False)
    path = os.path.join(folder(layout), files.temporary_name("held"))
    # Flushed: after a power cut another process may have this number, and gc reads the file as its own.
    try:
        write_checked(path, bytes(root), durable=True)
        return Held(path, hold_in_use(path))
    except OSError as error:
        files.discard(path)
        raise files.storage_error(error, "lock", path) from error
    except BaseException:
        files.discard(path)
        raise


def release(held: Held) -> None:
    """Keep it no longer; never fails: what stays goes with a gc after this process."""
    os.close(held.fd)
    files.discard(held.path)


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
        owner = owner_of(name)
        path = os.path.join(folder(layout), name)
        if name.startswith("held-") and owner is not None:
            # A child may keep the lock of one that is gone a little longer.
            yield path, owner is not Owner.GONE and in_use(path)
        elif owner is not None:
            yield path, owner is Owner.RUNNING
