"""Runs that no commit has yet: recorded by `run`, taken by the first commit whose files descend from them.

One small file each in ``.dsvc/work/runs``, named by the run's id. They are roots for gc: what a run read and
made stays, committed or not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from dsvc.fs import files
from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.model.run_record import RunId
from dsvc.porcelain.state.staging import read_checked, remove_checked, write_checked
from dsvc.store.layout import Layout


def folder(layout: Layout) -> str:
    """Where they are."""
    return os.path.join(layout.work, "runs")


def pending_runs(layout: Layout) -> list[RunId]:
    """Runs that wait for a commit, ascending by id.

    Raises
    ------
    CorruptDataError
        If one of the files is damaged.
    """
    try:
        names = sorted(os.listdir(folder(layout)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise files.storage_error(error, "list", folder(layout)) from error
    found = []
    for name in names:
        try:
            id_ = RunId.parse(name)
        except MalformedInputError:
            continue  # a file that a killed process left; gc removes it
        path = os.path.join(folder(layout), name)
        if read_checked(path, "pending run") != bytes(id_):
            raise CorruptDataError("a pending run is damaged", details={"path": path})
        found.append(id_)
    return found


def add_pending(layout: Layout, id_: RunId, *, durable: bool) -> None:
    """Note that a run waits for a commit; its manifest is stored already."""
    files.make_folders(folder(layout), durable=durable)
    write_checked(os.path.join(folder(layout), id_.hex()), bytes(id_), durable=durable)


def remove_pending(layout: Layout, ids: Iterable[RunId], *, durable: bool) -> None:
    """Forget runs that a commit has taken, or that were taken back."""
    for id_ in ids:
        remove_checked(os.path.join(folder(layout), id_.hex()), durable=durable)
