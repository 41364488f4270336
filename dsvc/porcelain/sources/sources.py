"""source add, update, set, withdraw, list and show: the record of where data came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dsvc.lineage.evidence import EvidenceOption, evidence_missing
from dsvc.lineage.source_tree import SourceTree
from dsvc.lineage.source_values import Changes, changed_record, new_record, read_changes
from dsvc.model.errors import UsageError
from dsvc.model.ids import CommitId
from dsvc.model.source_operation import SourceOperation, SourceVerb
from dsvc.model.source_record import Coverage, SourceRecord, Status
from dsvc.porcelain.records.source_chain import (
    SourceHead,
    State,
    append,
    find_head,
    head,
    history,
    source_ids,
    source_ref,
    tree_at,
)
from dsvc.porcelain.records.source_discovery import discover
from dsvc.porcelain.sources.source_evidence import add_evidence, drop_evidence, read_snapshots
from dsvc.porcelain.sources.source_files import attest
from dsvc.porcelain.state.values import Skipped
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.tree_scan import Progress
from dsvc.store.manifest_tree import EMPTY_ROOT


class SourceExistsError(UsageError):
    """There is a source of that id already."""

    code = "source-exists"


class SourceWithdrawnError(UsageError):
    """The source is withdrawn; that can't be done to it any more."""

    code = "source-withdrawn"


class SourceStep(msgspec.Struct, frozen=True, kw_only=True):
    """One operation in the history of a source: its commit, what was done, when, by whom, to which fields."""

    commit: CommitId
    verb: SourceVerb
    time: str
    author: str
    changed: tuple[str, ...]
    reason: str | None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source as it is now.

    Attributes
    ----------
    record : SourceRecord
    commit : CommitId
        Head of its chain.
    files, bytes : int
        What it attests.
    records : int or None
        How many rows the attested tables have, where every file is a table.
    missing_evidence : tuple of tuple of str
        Groups of kinds of evidence that its acquisition needs and of which it has none.
    history : tuple of SourceStep
        Newest first; in listings empty.
    skipped : tuple of Skipped
        What `add` or `update` could not take, and why.
    changed : bool
        Whether the verb recorded something.
    """

    record: SourceRecord
    commit: CommitId
    files: int
    bytes: int
    records: int | None = None
    missing_evidence: tuple[tuple[str, ...], ...] = ()
    history: tuple[SourceStep, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    changed: bool = False


def add(
    repo: Workspace,
    source_id: str,
    covers: Sequence[Coverage],
    changes: Changes,
    *,
    evidence: Sequence[EvidenceOption] = (),
    progress: Progress | None = None,
) -> Source:
    """Record a source and attest the files under its paths as they are now.

    Parameters
    ----------
    changes : Changes
        Checked values of its fields, from `dsvc.lineage.source_values.read_changes`.
    evidence : sequence of EvidenceOption
        Files by absolute paths. A source without the evidence that it needs is recorded; the result names
        what is missing.

    Raises
    ------
    SourceExistsError
        If there is one of that id.
    SourceFieldError
        If a field is missing that every source must have.
    NotFoundError
        If a path or an evidence file isn't there; nothing was recorded.
    """
    source_ref(source_id)
    if not covers:
        raise UsageError(f"source {source_id} covers nothing", hint="say what: --path PATH")
    with repo.changing():
        if find_head(repo, source_id) is not None:
            raise SourceExistsError(
                f"there is a source {source_id} already",
                hint="dsvc source set changes its record, dsvc source update attests the files there now",
            )
        record = new_record(source_id, changes)
        record, entries = add_evidence(repo, record, {}, evidence)
        changed = [*changes, *(["evidence"] if evidence else [])]
        state = State(record, EMPTY_ROOT, entries, {})
        return _attested(repo, state, SourceVerb.ADD, covers, [], changed, progress)


def update(
    repo: Workspace, source_id: str, covers: Sequence[Coverage] = (), *, progress: Progress | None = None
) -> Source:
    """Attest the files there now.

    Parameters
    ----------
    covers : sequence of Coverage
        What it covers from now on; none: what it covered.

    Raises
    ------
    NoSuchSourceError
        If there is no such source.
    SourceWithdrawnError
        If it is withdrawn.
    NotFoundError
        If a path isn't there any more.
    """
    with repo.changing():
        now = head(repo, source_id)
        if now.tree.record.status is Status.WITHDRAWN:
            raise SourceWithdrawnError(f"source {source_id} is withdrawn; it attests nothing more")
        wanted = covers or now.tree.record.covers
        changed = ["covers"] if tuple(wanted) != now.tree.record.covers else []
        return _attested(repo, State.of(now.tree), SourceVerb.UPDATE, wanted, [now.commit], changed, progress)


def _attested(
    repo: Workspace,
    state: State,
    verb: SourceVerb,
    covers: Sequence[Coverage],
    parents: Sequence[CommitId],
    changed: Sequence[str],
    progress: Progress | None,
) -> Source:
    found = attest(repo, state.record.source_id, covers, progress=progress)
    time = repo.signature().rfc3339()
    repo.store.publish()  # what was stored just now is looked into
    record = msgspec.structs.replace(
        state.record,
        covers=_ordered(covers),
        attested_at=time,
        discovered=discover(repo, found.files, state.files),
    )
    record = read_snapshots(repo, record, state.evidence)
    state = State(record, found.files, state.evidence, found.rows)
    operation = SourceOperation(verb=verb, time=time, changed=(*changed, "files"), reason=record.reason)
    if verb is SourceVerb.UPDATE:
        operation = msgspec.structs.replace(operation, reason=None)
    recorded = append(repo, state, operation, parents)
    return msgspec.structs.replace(_source(repo, recorded), skipped=found.skipped, changed=True)


def _ordered(covers: Iterable[Coverage]) -> tuple[Coverage, ...]:
    return tuple(sorted(dict.fromkeys(covers), key=lambda each: (each.path, each.where or "")))


def change(
    repo: Workspace,
    source_id: str,
    changes: Changes,
    *,
    covers: Sequence[Coverage] = (),
    evidence: Sequence[EvidenceOption] = (),
    dropped_evidence: Sequence[str] = (),
) -> Source:
    """Set fields of a source, add evidence to it, or take some out; the attested files stay as they are.

    Parameters
    ----------
    covers : sequence of Coverage
        What a document says that it covers, if it does: that must be what it covers.

    Raises
    ------
    NoSuchSourceError
        If there is no such source.
    SourceFieldError
        If a field would go that every source must have.
    NotFoundError
        If an evidence file, or evidence to drop, isn't there; nothing was recorded.
    UsageError
        If it covers something else than `covers` says.
    """
    with repo.changing():
        now = head(repo, source_id)
        state = State.of(now.tree)
        if covers and _ordered(covers) != state.record.covers:
            raise UsageError(
                f"source {source_id} covers other paths or rows",
                hint="dsvc source update ID --path PATH changes what it covers",
            )
        record = changed_record(state.record, changes)
        record, entries = drop_evidence(record, state.evidence, dropped_evidence)
        record, entries = add_evidence(repo, record, entries, evidence)
        record = read_snapshots(repo, record, entries)
        if record == state.record:
            return _source(repo, now)
        listed = record.status not in (Status.ACTIVE, state.record.status)
        stricter = SourceVerb.WITHDRAW if record.status is Status.WITHDRAWN else SourceVerb.BLACKLIST
        operation = SourceOperation(
            verb=stricter if listed else SourceVerb.SET,
            time=repo.signature().rfc3339(),
            changed=(*changes, *(["evidence"] if record.evidence != state.record.evidence else [])),
            reason=record.reason if listed else None,
        )
        state = state._replace(record=record, evidence=entries)
        return msgspec.structs.replace(
            _source(repo, append(repo, state, operation, [now.commit])), changed=True
        )


def withdraw(repo: Workspace, source_id: str, reason: str) -> Source:
    """Withdraw a source: its record stays, and whatever descends from it may not be used any more.

    Raises
    ------
    NoSuchSourceError
        If there is no such source.
    SourceWithdrawnError
        If it is withdrawn already.
    UsageError
        If no reason is given.
    """
    changes = read_changes([("withdrawn", reason)])
    if not changes["withdrawn"]:
        raise UsageError("withdrawing a source needs a reason", hint="--reason TEXT")
    with repo.changing():
        if head(repo, source_id).tree.record.status is Status.WITHDRAWN:
            raise SourceWithdrawnError(
                f"source {source_id} is withdrawn already", hint="dsvc source show tells why"
            )
    return change(repo, source_id, changes)


def sources(repo: Workspace) -> list[Source]:
    """Every source as it is now, by id."""
    return [_source(repo, head(repo, source_id)) for source_id in source_ids(repo)]


def show(repo: Workspace, source_id: str, commit: CommitId | None = None) -> Source:
    """One source with its history.

    Parameters
    ----------
    commit : CommitId or None
        A commit of its chain; None: as it is now.

    Raises
    ------
    NoSuchSourceError
        If there is no such source.
    """
    now = head(repo, source_id)
    at = now if commit is None else SourceHead(commit, tree_at(repo, commit))
    steps = tuple(
        SourceStep(
            commit=step.commit.id,
            verb=step.operation.verb,
            time=step.operation.time,
            author=f"{step.commit.author.name} <{step.commit.author.email}>",
            changed=step.operation.changed,
            reason=step.operation.reason,
        )
        for step in history(repo, source_id)
    )
    return msgspec.structs.replace(_source(repo, at), history=steps)


def _source(repo: Workspace, at: SourceHead) -> Source:
    record = at.tree.record
    files, size = at.tree.files.totals()
    return Source(
        record=record,
        commit=at.commit,
        files=files,
        bytes=size,
        records=_records(at.tree),
        missing_evidence=evidence_missing(record.acquisition, record.evidence),
    )


def _records(tree: SourceTree) -> int | None:
    """Number of rows, where every attested file is a table; a source of many files isn't counted."""
    if not 0 < tree.files.totals()[0] <= 1000:
        return None
    sets = tree.row_entries()
    total = 0
    for entry in tree.files.entries():
        if entry.rows is None:
            return None
        data = tree.rows(entry.path) if entry.path in sets else None
        if data is None:
            total += entry.rows
        else:
            from dsvc.lineage.row_set import decode_rows

            total += len(decode_rows(data))
    return total
