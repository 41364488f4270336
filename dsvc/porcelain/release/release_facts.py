"""The facts of a release, gathered from what is recorded of a version: the same again at any time.

What is not a fact of the repository, name, notes and the verdict of the gate, comes in from outside; all else
follows from the commit and from what was known at a moment. So `release verify` gathers them once more, and
compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.known_sources import KnownSource
from dsvc.lineage.lineage_tree import LineageTree
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunId
from dsvc.model.source_record import SourceRecord
from dsvc.policy.notices import notices
from dsvc.policy.waivers import Standing
from dsvc.porcelain.policy.release_evaluations import (
    defect_facts,
    defects_of,
    evaluation_fact,
    evaluations_of,
    waived_defects,
)
from dsvc.porcelain.policy.release_since import changed_files, compared_metrics
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.porcelain.records.feedback_chain import FeedbackHead
from dsvc.porcelain.records.lineage_facts import origins
from dsvc.porcelain.records.release_chain import ReleaseState, facts_of
from dsvc.porcelain.records.release_files import released_entries, released_files
from dsvc.porcelain.records.released_data import selected_by_name
from dsvc.porcelain.release.release_rows import mixture_parts
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.moment import Moment
from dsvc.porcelain.state.workspace import Workspace
from dsvc.release.drop_accounting import account_drops
from dsvc.release.facts import LineageClosure, ReleaseFacts, Since
from dsvc.release.mixture import mix
from dsvc.release.records import licence_of_all, run_fact, source_fact
from dsvc.release.verdict_facts import Found, PackUsed, PolicyChanged, RuleAsked, Verdict, WaiverShown
from dsvc.store.manifest_tree import EMPTY_ROOT


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the author of a release says of it; all may be left out."""

    title: str = ""
    description: str = ""
    notes: str = ""
    contact: str | None = None
    url: str | None = None


class Wanted(NamedTuple):
    """A release whose facts are asked for.

    Attributes
    ----------
    name : str
    commit : CommitId
    paths : tuple of bytes
        What it selects; empty: everything.
    about : About
    author : str
        ``Name <email>``.
    created_at, judged_at : str
        When it was made, and when the gate judged it; RFC 3339 with Z.
    moment : Moment
        What was recorded later is not known.
    previous : ReleaseState or None
        The release before.
    """

    name: str
    commit: CommitId
    paths: tuple[bytes, ...]
    about: About
    author: str
    created_at: str
    judged_at: str
    moment: Moment
    previous: ReleaseState | None = None


def collect_facts(repo: Workspace, wanted: Wanted, verdict: CheckResult) -> ReleaseFacts:
    """Gather the facts of a release.

    Parameters
    ----------
    verdict : CheckResult
        What the release stage of the gate said of the version.

    Raises
    ------
    NotFoundError
        If the version lacks a path that is selected.
    MissingDataError, ErasedError, CorruptDataError, MalformedInputError
        If anything that it comes from can't be read.
    """
    root = repo.history.read_commit(wanted.commit).manifest
    entries = released_entries(repo, root, wanted.paths)
    lineage = lineage_of(repo, wanted.commit)
    known = origins(
        repo, root, [lineage], moment=wanted.moment, selected=selected_by_name(entries, wanted.paths)
    )
    for error in (*known.sources.unreadable.values(), *known.runs.unreadable.values()):
        raise error
    closure = Closure(known, entries)
    sources = {name: known.sources.all[name] for name in sorted(closure.reached)}
    records = {name: source.stated[0].record for name, source in sources.items()}
    parts = mixture_parts(repo, wanted.commit, known, closure, closure.entries, records, wanted.moment)
    heads = evaluations_of(repo, root, entries, wanted.moment)
    since = _since(repo, wanted, root, entries, heads)
    after = None if wanted.previous is None else _created_at(wanted.previous)
    states = defects_of(repo, entries, (node.digest for node in closure.artifacts), wanted.moment)
    return ReleaseFacts(
        name=wanted.name,
        commit=str(wanted.commit),
        manifest=root.hex(),
        created_at=wanted.created_at,
        author=wanted.author,
        files=released_files(repo, entries),
        verdict=verdict_fact(verdict, wanted.judged_at),
        lineage=_closure(known, closure, lineage, sources, records),
        licence=licence_of_all(record.license_expression for record in records.values()),
        title=wanted.about.title,
        description=wanted.about.description,
        notes=wanted.about.notes,
        contact=wanted.about.contact,
        url=wanted.about.url,
        paths=wanted.paths,
        evaluations=tuple(map(evaluation_fact, heads)),
        defects=defect_facts(states, waived_defects(verdict), after),
        drops=account_drops((id_, known.runs.run(id_)) for id_ in closure.runs),
        mixture=mix(parts, {entry.path: entry.size for entry in closure.entries}),
        notices=tuple(notices(records.values())),
        since=since,
    )


def _created_at(state: ReleaseState) -> str:
    created = state.created
    assert created is not None, "a release before was created"
    return created.at


def _closure(
    known: Origins,
    closure: Closure,
    lineage: LineageTree,
    sources: Mapping[str, KnownSource],
    records: Mapping[str, SourceRecord],
) -> LineageClosure:
    complete = not closure.uncovered and not closure.circular
    return LineageClosure(
        digest=(EMPTY_ROOT if lineage.root is None else lineage.root).hex(),
        complete=complete and all(source.in_force for source in sources.values()),
        runs=tuple(run_fact(id_, known.runs.run(id_)) for id_ in sorted(closure.runs, key=RunId.hex)),
        sources=tuple(
            source_fact(records[name], source.stated[0].root.hex(), now=source.record)
            for name, source in sources.items()
        ),
    )


def _since(
    repo: Workspace, wanted: Wanted, root: NodeId, entries: Sequence[Entry], heads: Sequence[FeedbackHead]
) -> Since | None:
    """Compare with the release before, by what is known now of its quality."""
    before = wanted.previous
    if before is None or before.commit is None:
        return None
    old = repo.history.read_commit(before.commit).manifest
    facts = facts_of(repo, before)
    earlier = released_entries(repo, old, facts.paths)
    paths = {entry.path for entry in (*entries, *earlier)}
    metrics = compared_metrics(repo, evaluations_of(repo, old, earlier, wanted.moment), heads)
    return Since(
        release=before.name,
        commit=str(before.commit),
        manifest=old.hex(),
        files=changed_files(repo, old, root, paths),
        metrics=metrics,
    )


def verdict_fact(verdict: CheckResult, judged_at: str) -> Verdict:
    """Say of a verdict what a release keeps of it."""
    return Verdict(
        outcome=verdict.outcome,
        judged_at=judged_at,
        as_of=verdict.as_of,
        digest=verdict.digest,
        packs=tuple(PackUsed(pack.name, pack.digest) for pack in verdict.packs),
        rules=tuple(
            RuleAsked(
                id=rule.id,
                severity=rule.severity,
                clause=rule.clause,
                verified=rule.verified,
                pack=rule.pack,
            )
            for rule in verdict.rules
        ),
        violations=tuple(
            Found(
                rule=each.rule,
                severity=each.severity,
                subject=each.subject,
                message=each.message,
                outcome=each.outcome,
                clause=each.clause,
                waiver=each.waiver,
            )
            for each in verdict.violations
        ),
        waivers=tuple(
            WaiverShown(
                id=use.id,
                counts=use.standing is Standing.COUNTS,
                why=use.why,
                rule=use.rule,
                subject=use.subject,
                reason=use.reason,
                until=use.until,
                by=use.by,
                key=use.key,
            )
            for use in verdict.waivers
        ),
        policy_changes=tuple(
            PolicyChanged(what=each.what, before=each.before, after=each.after, weaker=each.weaker)
            for each in verdict.policy_changes
        ),
    )
