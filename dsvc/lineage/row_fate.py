"""What a run did to single rows: for one that it made, for one that it dropped."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from dsvc.lineage.row_flow import Reached, RowFlow, maps_rows
from dsvc.lineage.run_summary import RunSummary
from dsvc.model.run_record import RunId


class Fate(StrEnum):
    """What became of an input's row, seen from the row that came of it."""

    KEPT = "kept"
    CHANGED = "changed"
    MERGED = "merged"
    SPLIT = "split"
    ADDED = "added"


class Dropped(NamedTuple):
    """A row that a run left out: which run, of which input, why, and which row stands for it."""

    run: RunId
    input: int
    row: int
    reason: str
    survivor: int | None


def fates_of(flow: RowFlow, run: RunSummary, output: int, rows: Sequence[int]) -> tuple[Fate, ...]:
    """Say what a run did to make some rows; empty where it is not known.

    Of several inputs the fate that changed most counts: merged, then split, then changed.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a row map can't be read.
    """
    numbers = [number for number in range(len(run.inputs)) if maps_rows(run, output, number)]
    if not numbers:
        return ()
    return tuple(_fate(flow, run, output, row, numbers) for row in rows)


def _fate(flow: RowFlow, run: RunSummary, output: int, row: int, inputs: Sequence[int]) -> Fate:
    found = set()
    for number in inputs:
        links = flow.links(run, output, number)
        parents = [] if links is None else links.parents([row]).inputs.tolist()
        account = flow.account(run, number)
        if len(parents) > 1:
            found.add(Fate.MERGED)
        elif parents and account is not None:
            if account.fates.split and _children(flow, run, number, parents[0]) > 1:
                found.add(Fate.SPLIT)
            else:
                found.add(Fate.CHANGED if account.is_changed(parents[0]) else Fate.KEPT)
        elif parents:
            found.add(Fate.KEPT)
    order = (Fate.MERGED, Fate.SPLIT, Fate.CHANGED, Fate.KEPT)
    return next((fate for fate in order if fate in found), Fate.ADDED)


def _children(flow: RowFlow, run: RunSummary, input_: int, row: int) -> int:
    all_links = (flow.links(run, output, input_) for output in range(len(run.outputs)))
    return sum(links.children([row]).size for links in all_links if links is not None)


def drops_of(flow: RowFlow, run: RunSummary, input_: int, reached: Reached) -> list[Dropped]:
    """Say why a run left out some rows of an input; those that it didn't are not in the answer.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If what became of the rows can't be read.
    """
    account = flow.account(run, input_)
    if account is None:
        return []
    import numpy as np

    rows = account.dropped
    rows = rows if reached.rows is None else rows[np.isin(rows, reached.rows)]
    found = [(row, account.drop_of(row)) for row in rows.tolist()]
    return [
        Dropped(run.run_id, input_, row, drop.reason, drop.survivor)
        for row, drop in found
        if drop is not None
    ]
