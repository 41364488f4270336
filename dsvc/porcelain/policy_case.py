"""The case of a version: everything that rules may look at, read from the repository."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.validation import Gate, Judged
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.policy.case import Case, NothingDetected
from dsvc.policy.settings import PolicySettings
from dsvc.porcelain.commit_lineage import lineage_of, source_heads
from dsvc.porcelain.coverage import new_files
from dsvc.porcelain.judged_version import JudgedVersion
from dsvc.porcelain.lineage_facts import origins, rules_file
from dsvc.porcelain.table_columns import TableColumns
from dsvc.porcelain.table_rules import RULES_FILE
from dsvc.porcelain.workspace import Workspace
from dsvc.store.manifest_tree import EMPTY_ROOT
from dsvc.table.roles import TableRules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def case_of(
    repo: Workspace,
    version: JudgedVersion,
    settings: PolicySettings,
    gate: Gate,
    day: str,
) -> Case:
    """Put together what rules look at; at the gate of commits only what the version adds and changes.

    Raises
    ------
    LineageRulesError, TableRulesError
        If its ``dsvc.toml`` is malformed.
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest or a lineage can't be read.
    """
    known = origins(repo, version.root, version.lineages, version.runs, pinned=version.commit is not None)
    before = EMPTY_ROOT if version.parent is None else repo.history.read_commit(version.parent).manifest
    if gate is Gate.COMMIT:
        entries: Iterable[Entry] = new_files(repo, before, version.root)
        changed = _changed_sources(repo, version)
    else:
        entries, changed = repo.manifest(version.root).entries(), frozenset[str]()
    case = _case(repo, known, entries, settings, gate, day, version.root)
    from dsvc.porcelain.request_facts import rights_requests

    return replace(
        case,
        changed_sources=changed,
        previous=repo.manifest(before).get,
        requests=rights_requests(repo, case.entries),
    )


def parent_case(
    repo: Workspace, version: JudgedVersion, settings: PolicySettings, subjects: Collection[bytes], day: str
) -> Case:
    """Put together what the version before had of some subjects, to see what was wrong already.

    Raises
    ------
    LineageRulesError, TableRulesError
        If its ``dsvc.toml`` is malformed.
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest or a lineage can't be read.
    """
    parent = version.parent
    assert parent is not None
    root = repo.history.read_commit(parent).manifest
    manifest = repo.manifest(root)
    lineage = lineage_of(repo, parent)
    known = origins(repo, root, [lineage])
    paths = {path for subject in subjects for path in (subject, subject.rpartition(b"@")[0]) if path}
    entries = [entry for path in sorted(paths) if (entry := manifest.get(path)) is not None]
    case = _case(repo, known, entries, settings, Gate.COMMIT, day, root)
    names = {subject[7:].decode() for subject in subjects if subject.startswith(b"source:")}
    return replace(case, changed_sources=frozenset(names & lineage.sources().keys()))


def _case(
    repo: Workspace,
    known: Origins,
    entries: Iterable[Entry],
    settings: PolicySettings,
    gate: Gate,
    day: str,
    root: NodeId,
) -> Case:
    listed = list(entries)
    closure = Closure(known, listed)
    data = tuple(entry for entry in listed if ArtifactNode(entry.path, entry.digest) in closure.roots)
    rules = rules_file(repo, root)
    return Case(
        gate=gate,
        day=day,
        judged=Judged(known, closure, lambda tables: _row_hashes(repo, tables)),
        entries=data,
        settings=settings,
        detections=NothingDetected(data),
        columns=TableColumns(repo),
        tables=TableRules() if rules is None else TableRules.parse(rules, RULES_FILE),
        version=bytes(root),
    )


def _changed_sources(repo: Workspace, version: JudgedVersion) -> frozenset[str]:
    """Sources that are not as the version before pinned them."""
    parent: CommitId | None = version.parent
    pinned = {name: tree.root for name, tree in lineage_of(repo, parent).sources().items()}
    if version.commit is None:
        now = source_heads(repo)
    else:
        now = {name: tree.root for tree_of in version.lineages for name, tree in tree_of.sources().items()}
    return frozenset(name for name, root in now.items() if pinned.get(name) != root)


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
