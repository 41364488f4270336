"""A repair as it is shown: its plan, what it takes, some rows before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.model.repair import Plan
from dsvc.porcelain.records.repair_chain import RepairState, repair_file, repair_head, repairs
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.repair.repair_edits import Edits

SAMPLES: Final = 5


class SampleRow(NamedTuple):
    """A row before and after.

    Attributes
    ----------
    name : str
        Its target, as ``PATH#@17``.
    before : mapping of str to (str or None)
        Values as text, by column; of a file of a folder nothing.
    after : mapping of str to (str or None), or None
        Those that change; None: the row goes.
    """

    name: str
    before: Mapping[str, str | None]
    after: Mapping[str, str | None] | None


class RepairView(NamedTuple):
    """A repair, and what is shown beside its plan.

    Attributes
    ----------
    state : RepairState
    samples : tuple of SampleRow
        The first rows that its edit changes; none where that needs what can't be read any more.
    is_new : bool
        Whether it was just recorded.
    """

    state: RepairState
    samples: tuple[SampleRow, ...] = ()
    is_new: bool = False

    @property
    def seconds(self) -> float:
        """What its runs may take, from how long they took."""
        return sum(step.seconds for step in self.state.plan.steps)


def repair_list(repo: Workspace) -> list[RepairState]:
    """Every repair, by id; raises as `repair_chain.repair_head`."""
    return list(repairs(repo))


def repair_show(repo: Workspace, repair_id: str) -> RepairView:
    """One repair as it is now, with some of its rows.

    Raises
    ------
    NoSuchRepairError
        If there is none.
    MissingDataError, CorruptDataError, MalformedInputError
        If it, or the version that it starts from, can't be read.
    """
    from dsvc.porcelain.repair.repair_plan import plan_edits

    state = repair_head(repo, repair_id)
    plan = state.plan
    file = b"" if plan.action.file is None else repair_file(repo, state, plan.action.file)
    return RepairView(state, samples_of(repo, plan, plan_edits(repo, plan, file)))


def samples_of(repo: Workspace, plan: Plan, edits: Edits) -> tuple[SampleRow, ...]:
    """The first rows that the edit of a plan changes, before and after; of a rerun none.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the version can't be read.
    """
    if not len(edits.rows):
        return ()
    manifest = repo.manifest(repo.history.read_commit(CommitId(plan.base)).manifest)
    entry = manifest.get(plan.path)
    if entry is None:
        return _of_folder(sorted(manifest.entries(plan.path), key=lambda each: each.path), edits)
    return _of_table(repo, entry, edits)


def _of_table(repo: Workspace, entry: Entry, edits: Edits) -> tuple[SampleRow, ...]:
    from dsvc.porcelain.repair.repair_table import text_rows
    from dsvc.porcelain.runs.rowwise_rows import row_names
    from dsvc.porcelain.tables.row_indexes import RowIndexes
    from dsvc.porcelain.tables.table_diff import known_table

    table = known_table(repo, entry)
    rows = edits.rows[:SAMPLES]
    if table is None or not len(rows):
        return ()
    before = text_rows(table, RowIndexes(repo).get(table), rows)
    names = row_names(repo, entry, (), rows)
    gone = set(edits.drop.tolist())
    after: dict[int, dict[str, str | None]] = {row: {} for row in rows.tolist()}
    for column, cells in edits.cells.items():
        for row, value in zip(cells.rows.tolist(), cells.values, strict=True):
            if row > int(rows[-1]):
                break
            after[row][column] = value
    return tuple(
        SampleRow(name, before[row], None if row in gone else after[row])
        for name, row in zip(names, rows.tolist(), strict=True)
    )


def _of_folder(files: list[Entry], edits: Edits) -> tuple[SampleRow, ...]:
    from dsvc.model.paths import display_path

    rows = edits.drop[:SAMPLES].tolist()
    return tuple(SampleRow(display_path(files[row].path), {}, None) for row in rows)
