"""check: the gate. Whether all data of a version has a source, and what is recorded of it holds together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from dsvc.lineage.closure import Closure
from dsvc.lineage.invariants import rules_at
from dsvc.lineage.validation import Gate, Judged, Outcome, Violation, evaluate, outcome_of, undecided
from dsvc.model.errors import (
    CorruptDataError,
    LineageBrokenError,
    MalformedInputError,
    MissingDataError,
    PolicyIncompleteError,
)
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.porcelain import merge_state
from dsvc.porcelain.commit_lineage import lineage_of
from dsvc.porcelain.lineage_facts import origins
from dsvc.porcelain.pending_runs import pending_runs
from dsvc.porcelain.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.lineage.coverage import Origins
    from dsvc.model.run_record import RunId


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the gate.

    Attributes
    ----------
    outcome : Outcome
    policy : tuple of str
        Policy packs in force.
    violations : tuple of Violation
        Everything that was found.
    """

    outcome: Outcome
    policy: tuple[str, ...]
    violations: tuple[Violation, ...]

    @property
    def gate_exit_code(self) -> int:
        """What a gate exits with: 22 where lineage is broken, 21 where that can't be told, else 0."""
        if self.outcome is Outcome.FAIL:
            return LineageBrokenError.exit_code
        return PolicyIncompleteError.exit_code if self.outcome is Outcome.INCOMPLETE else 0


def check(
    repo: Workspace, rev: str | None = None, *, staged: bool = False, gate: Gate | None = None
) -> CheckResult:
    """Judge a version.

    Parameters
    ----------
    rev : str or None
        Which; None: HEAD.
    staged : bool
        Judge what is staged, with the runs that wait for a commit.
    gate : Gate or None
        Up to which gate rules are asked; None: commit and push.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    LineageRulesError
        If its ``dsvc.toml`` is malformed.
    """
    rules, packs = rules_at(gate or Gate.PUSH), tuple[str, ...]()
    try:
        root, commits, pending = _subject(repo, rev, staged)
        lineages = [lineage_of(repo, commit) for commit in commits]
        known = origins(repo, root, lineages, pending)
        judged = _judged(repo, known, repo.manifest(root).entries())
    except (MissingDataError, CorruptDataError, MalformedInputError) as error:
        # Not even what there is to be judged can be read; that is no answer, and no reason to let it pass.
        violations = undecided(rules, error)
    else:
        violations, packs = evaluate(rules, judged), known.rules.packs
    return CheckResult(outcome=outcome_of(violations), policy=packs, violations=tuple(violations))


def _judged(repo: Workspace, known: Origins, entries: Iterable[Entry]) -> Judged:
    return Judged(known, Closure(known, entries), lambda tables: _row_hashes(repo, tables))


def _subject(
    repo: Workspace, rev: str | None, staged: bool
) -> tuple[NodeId, Sequence[CommitId], Sequence[RunId]]:
    """Manifest, commits whose lineage counts, and runs that no commit has yet."""
    if not staged:
        if rev is None and repo.history.refs.head().commit is None:
            return repo.staged().base_root, [], []
        commit = repo.history.revisions.resolve(rev or "HEAD")
        return repo.history.read_commit(commit).manifest, [commit], []
    head = repo.history.refs.head()
    commits = [] if head.commit is None else [head.commit]
    state = merge_state.load(repo.layout)
    if state is not None and state.theirs is not None:
        commits.append(CommitId.parse(state.theirs))
    return repo.staged(head).root, commits, pending_runs(repo.layout)


def _row_hashes(repo: Workspace, entries: Sequence[Entry]) -> list[NDArray[np.uint64]]:
    """Hash the rows of tables in one scheme.

    Raises
    ------
    NotATableError, TableLimitError
        If one is no table, or can't be read as one.
    """
    from dsvc.lineage.record_rows import TableRows, rows_of_tables
    from dsvc.porcelain.row_indexes import RowIndexes
    from dsvc.porcelain.table_diff import known_table
    from dsvc.table.source import NotATableError

    indexes = RowIndexes(repo)
    tables = []
    for entry in entries:
        table = known_table(repo, entry)
        if table is None:
            raise NotATableError(f"{display_path(entry.path)} is no table whose rows are known")
        index = indexes.get(table)
        if index.malformed:
            raise NotATableError(f"{display_path(entry.path)} has records that are no rows")
        tables.append(TableRows(table.source, table.kind, index))
    return [rows.row_hashes() for rows in rows_of_tables(tables)]
