"""The case of a version: everything that rules may look at, read from the repository."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.validation import DEFECT, Gate, Judged
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.policy.case import Case, NothingDetected
from dsvc.policy.facts import WaiverFacts
from dsvc.policy.rule import RuleUse
from dsvc.policy.settings import PolicySettings
from dsvc.porcelain.lineage.coverage import new_files
from dsvc.porcelain.policy.judged_version import JudgedVersion
from dsvc.porcelain.records.lineage_facts import origins, rules_file
from dsvc.porcelain.state.commit_lineage import lineage_of, source_heads
from dsvc.porcelain.state.moment import Moment
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_columns import TableColumns
from dsvc.porcelain.tables.table_rules import RULES_FILE
from dsvc.store.manifest_tree import EMPTY_ROOT
from dsvc.table.roles import TableRules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.policy.facts import Announcement, Defect, Evaluation, QualityChange


class _PilotFacts(TypedDict, total=False):
    """Fields of a case that only rules over pilots and releases ask for."""

    evaluations: tuple[Evaluation, ...]
    defects: tuple[Defect, ...]
    changes: tuple[QualityChange, ...]
    announced: tuple[Announcement, ...]


def case_of(
    repo: Workspace,
    version: JudgedVersion,
    settings: PolicySettings,
    uses: Sequence[RuleUse],
    gate: Gate,
    moment: Moment,
) -> Case:
    """Put together what rules look at; at the gate of commits only what the version adds and changes.

    Raises
    ------
    LineageRulesError, TableRulesError
        If its ``dsvc.toml`` is malformed.
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest or a lineage can't be read.
    """
    is_pinned = version.commit is not None
    known = origins(
        repo,
        version.root,
        version.lineages,
        version.runs,
        pinned=is_pinned,
        moment=moment,
        only_reached=gate is Gate.COMMIT,
        selected=version.selected,
    )
    before = EMPTY_ROOT if version.parent is None else repo.history.read_commit(version.parent).manifest
    if gate is Gate.COMMIT:
        entries: Iterable[Entry] = _news(repo, before, version)
        changed = _changed_sources(repo, version)
    else:
        entries, changed = repo.manifest(version.root).entries(), frozenset[str]()
    case = _case(repo, known, entries, settings, gate, moment.day, version.root)
    from dsvc.porcelain.policy.audit_facts import audit_facts
    from dsvc.porcelain.policy.request_facts import rights_requests
    from dsvc.porcelain.policy.word_list_facts import word_list_facts

    asked = {use.rule.id for use in uses}
    requests = rights_requests(repo, case.entries, moment)
    return replace(
        case,
        changed_sources=changed,
        previous=repo.manifest(before).get,
        requests=tuple(each for each in requests if each.record.received_at[:10] <= moment.day),
        audit=audit_facts(repo, _tips(version)) if "AUD-01" in asked else None,
        waivers=_waivers(repo, version, moment) if "AUD-02" in asked else (),
        word_list=word_list_facts(repo, version.root, settings) if "SAFE-03" in asked else None,
        **_pilot_facts(repo, version, case, asked, moment),
    )


def _pilot_facts(
    repo: Workspace, version: JudgedVersion, case: Case, asked: Collection[str], moment: Moment
) -> _PilotFacts:
    """What is known of evaluations, defects and releases; nothing is read that no rule in force asks for."""
    found: _PilotFacts = {}
    if "PIL-01" in asked:
        from dsvc.porcelain.policy.pilot_facts import evaluations

        found["evaluations"] = evaluations(repo, moment)
    if "PIL-02" in asked:
        found["defects"] = _defects(repo, case, _tips(version), moment)
    if "QTY-01" in asked:
        from dsvc.porcelain.policy.release_policy import quality_changes

        found["changes"] = quality_changes(repo, version.root, case.entries, _tips(version), moment)
    if "REL-01" in asked:
        from dsvc.porcelain.policy.release_policy import announcements

        found["announced"] = announcements(repo, moment, version.release)
    return found


def _defects(repo: Workspace, case: Case, tips: Sequence[CommitId], moment: Moment) -> tuple[Defect, ...]:
    from dsvc.porcelain.policy.defect_facts import JudgedContent, blocking_defects

    manifest = repo.manifest(NodeId(case.version))
    ancestors = (node.digest for node in case.judged.closure.artifacts)
    return blocking_defects(repo, JudgedContent(manifest, case.entries, ancestors, tips), moment)


def _tips(version: JudgedVersion) -> Sequence[CommitId]:
    return version.parents if version.commit is None else (version.commit,)


def _waivers(repo: Workspace, version: JudgedVersion, moment: Moment) -> tuple[WaiverFacts, ...]:
    """Waivers that are for what the version has, with what each is worth."""
    from dsvc.policy.waivers import Standing
    from dsvc.porcelain.policy.waivers import waivers_of

    ended = (Standing.OTHER_SUBJECT, Standing.REVOKED)
    return tuple(
        WaiverFacts(use.id, use.rule or "", use.subject, use.standing.value)
        for use in waivers_of(repo, version, moment.day)
        if use.standing not in ended
    )


def parent_case(
    repo: Workspace,
    version: JudgedVersion,
    settings: PolicySettings,
    subjects: Collection[bytes],
    moment: Moment,
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
    known = origins(repo, root, [lineage], moment=moment, only_reached=True)
    paths = {path for subject in subjects for path in (subject, subject.rpartition(b"@")[0]) if path}
    of_defects = any(subject.startswith(DEFECT) for subject in subjects)
    # What a defect has part in isn't told by its name.
    found = manifest.entries() if of_defects else (manifest.get(path) for path in sorted(paths))
    case = _case(
        repo, known, [each for each in found if each is not None], settings, Gate.COMMIT, moment.day, root
    )
    names = {subject[7:].decode("utf-8", "replace") for subject in subjects if subject.startswith(b"source:")}
    return replace(
        case,
        changed_sources=frozenset(names & lineage.sources().keys()),
        defects=_defects(repo, case, [parent], moment) if of_defects else (),
    )


def _case(
    repo: Workspace,
    known: Origins,
    entries: Iterable[Entry],
    settings: PolicySettings,
    gate: Gate,
    day: str,
    root: NodeId,
) -> Case:
    closure = Closure(known, entries)
    data = tuple(closure.entries)
    rules = rules_file(repo, root)
    return Case(
        gate=gate,
        day=day,
        judged=Judged(known, closure, lambda tables: _row_hashes(repo, tables)),
        entries=data,
        settings=settings,
        detections=NothingDetected(data),
        columns=TableColumns(repo),
        previous=dict[bytes, Entry]().get,
        tables=TableRules() if rules is None else TableRules.parse(rules, RULES_FILE),
        version=bytes(root),
    )


def _news(repo: Workspace, before: NodeId, version: JudgedVersion) -> Iterable[Entry]:
    """Files that a commit brings, or those that were named."""
    if version.only is None:
        return new_files(repo, before, version.root)
    found = (repo.manifest(version.root).get(path) for path in sorted(version.only))
    return [entry for entry in found if entry is not None]


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
    from dsvc.porcelain.tables.row_indexes import RowIndexes
    from dsvc.porcelain.tables.table_diff import known_table
    from dsvc.table.origin.source import NotATableError

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
