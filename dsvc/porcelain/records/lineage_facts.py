"""What is known of runs and sources at a revision: pinned by commits, pending, and as sources are now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from dsvc.diff.manifest_diff import diff_manifests
from dsvc.lineage.coverage import Origins
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_runs import KnownRuns
from dsvc.lineage.known_sources import KnownSource, KnownSources
from dsvc.lineage.lineage_rules import LineageRules, LineageRulesError
from dsvc.lineage.source_tree import SourceTree
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId, NodeId
from dsvc.porcelain.state.commit_lineage import SOURCE_REFS, lineage_of
from dsvc.porcelain.state.moment import Moment, as_of
from dsvc.porcelain.state.pending_runs import pending_runs
from dsvc.porcelain.state.revisions import STAGED, UNCOMMITTED, commit_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import MAX_RULES_BYTES, RULES_FILE
from dsvc.store.materialize import read_content

if TYPE_CHECKING:
    from dsvc.lineage.lineage_tree import LineageTree
    from dsvc.model.run_record import RunId

_RULES_PATH: Final = RULES_FILE.encode()


def lineage_rules(repo: Workspace, root: NodeId) -> LineageRules:
    """Read what the ``dsvc.toml`` of a version says of lineage.

    Raises
    ------
    LineageRulesError
        If it is malformed, too long, or no regular file.
    """
    data = rules_file(repo, root)
    return LineageRules() if data is None else LineageRules.parse(data, RULES_FILE)


def rules_file(repo: Workspace, root: NodeId) -> bytes | None:
    """Content of the ``dsvc.toml`` of a version, None where it has none.

    Raises
    ------
    LineageRulesError
        If it is too long, or no regular file.
    """
    entry = repo.manifest(root).get(_RULES_PATH)
    if entry is None:
        return None
    if not entry.is_file or entry.size > MAX_RULES_BYTES:
        raise LineageRulesError(
            f"{RULES_FILE} is no file of at most {MAX_RULES_BYTES >> 20} MiB", details={"path": RULES_FILE}
        )
    return read_content(repo.store, entry)


def known_sources(
    repo: Workspace, lineages: Iterable[LineageTree], *, pinned: bool = True, moment: Moment | None = None
) -> KnownSources:
    """Sources as they are now and as some lineages pinned them; one that can't be read is named as such.

    Parameters
    ----------
    pinned : bool
        Whether a gate judges what was pinned; else what is stated now.
    moment : Moment or None
        Operations that came later are not known; None: all are.
    """
    heads = repo.history.refs.list(SOURCE_REFS)
    known = {name.removeprefix(SOURCE_REFS): as_of(repo, tip, moment) for name, tip in heads.items()}
    tips = {name: tip for name, tip in known.items() if tip is not None}
    pins: dict[str, list[SourceTree]] = {}
    for lineage in lineages:
        for name, tree in lineage.sources().items():
            pins.setdefault(name, []).append(tree)
    found: list[KnownSource] = []
    unreadable: dict[str, DsvcError] = {}
    for name in sorted(tips.keys() | pins.keys()):
        try:
            tip = tips.get(name)
            now = [] if tip is None else [SourceTree(repo.store, repo.history.read_commit(tip).manifest)]
            then = pins.get(name, [])
            stated = then if pinned else now
            source = KnownSource([*now, *then], partial(_past, repo, tip), stated)
            if source.id != name:
                raise _misnamed(name, source.id)
            found.append(source)
        except DsvcError as error:
            unreadable[name] = error
    return KnownSources(found, unreadable)


def _misnamed(name: str, id_: str) -> DsvcError:
    from dsvc.model.errors import MalformedInputError

    return MalformedInputError(f"what stands for source {name} is the record of source {id_}")


def _past(repo: Workspace, tip: CommitId | None) -> dict[ArtifactNode, SourceTree]:
    """Files that earlier operations of a source attested otherwise; newer ones first."""
    found: dict[ArtifactNode, SourceTree] = {}
    pending = [] if tip is None else [tip]
    seen = set(pending)
    while pending:
        commit = repo.history.read_commit(pending.pop(0))
        newer = SourceTree(repo.store, commit.manifest)
        for parent in commit.parents:
            older = SourceTree(repo.store, repo.history.read_commit(parent).manifest)
            for change in diff_manifests(newer.files, older.files):
                if change.new is not None:
                    found.setdefault(ArtifactNode(change.path, change.new.digest), older)
            if parent not in seen:
                seen.add(parent)
                pending.append(parent)
    return found


def origins(
    repo: Workspace,
    root: NodeId,
    lineages: Sequence[LineageTree],
    more: Iterable[RunId] = (),
    *,
    pinned: bool = True,
    moment: Moment | None = None,
    only_reached: bool = False,
    selected: frozenset[bytes] = frozenset(),
) -> Origins:
    """What tells where the files of a version come from.

    Parameters
    ----------
    root : NodeId
        Its manifest, for the rules in its ``dsvc.toml``.
    lineages : sequence of LineageTree
        Those of its commit, or of the parents of a commit that is about to be made.
    more : iterable of RunId
        Runs that no commit has yet.
    pinned : bool
        Whether a gate judges what lineages pinned of sources; else what is stated now.
    moment : Moment or None
        Operations on sources that came later are not known; None: all are.
    only_reached : bool
        Read only the runs that can have made what is asked for: of others it isn't told whether they can be
        read.
    selected : frozenset of bytes
        Paths that are data whatever they are called: a release selects them by name.

    Raises
    ------
    LineageRulesError
        If the version's ``dsvc.toml`` is malformed.
    MissingDataError, CorruptDataError, MalformedInputError
        If a lineage can't be read.
    """
    ids = [run for lineage in lineages for run in lineage.runs()]
    cache = os.path.join(repo.layout.cache, "lineage") if only_reached else None
    runs = KnownRuns(repo.store, [*ids, *more], cache)
    rules = lineage_rules(repo, root)
    if selected:
        rules = LineageRules(rules.project, selected)
    return Origins(runs, known_sources(repo, lineages, pinned=pinned, moment=moment), rules)


def origins_at(repo: Workspace, rev: str | None) -> tuple[NodeId, Origins]:
    """Manifest of a revision, and what tells where its files come from; raises as `origins`.

    Parameters
    ----------
    rev : str or None
        A revision; ``STAGED``, or ``WORKTREE`` as it is staged, with the runs that wait for a commit; None is
        HEAD.

    Raises
    ------
    NotFoundError
        If there is no such revision.
    """
    is_new = rev in UNCOMMITTED
    root = repo.manifest_of(STAGED if is_new else rev).root
    pending = pending_runs(repo.layout) if is_new else []
    return root, origins(repo, root, [lineage_of(repo, commit_of(repo, rev))], pending)
