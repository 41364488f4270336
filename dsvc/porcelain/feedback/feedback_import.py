"""feedback import: the result file of an evaluation becomes a commit, and opens or extends defects."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from dsvc.feedback.importers.importer import (
    HEAD_BYTES,
    FeedbackMalformedError,
    Imported,
    Importer,
    ImportOptions,
)
from dsvc.feedback.importers.registry import by_name, recognise
from dsvc.lineage.row_set import encode_rows
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.model.feedback import (
    DefectSeverity,
    EvaluatedRows,
    EvaluationRun,
    FeedbackRecord,
    PilotKind,
    Selector,
    Unresolved,
)
from dsvc.model.ids import CommitId
from dsvc.porcelain.feedback.brought_back import prepare_reopened
from dsvc.porcelain.feedback.feedback_apart import is_foreign, read_apart
from dsvc.porcelain.feedback.feedback_defects import opening_severity, prepare_defects
from dsvc.porcelain.feedback.feedback_files import EvidenceFile, EvidenceFiles, reading
from dsvc.porcelain.feedback.feedback_metrics import settle_metrics
from dsvc.porcelain.feedback.feedback_observations import observations_of
from dsvc.porcelain.feedback.feedback_resolve import Hit, Resolver
from dsvc.porcelain.feedback.feedback_samples import Samples
from dsvc.porcelain.feedback.feedback_subject import Evaluated, find_subject
from dsvc.porcelain.records import feedback_chain
from dsvc.porcelain.records.defect_chain import defect_ids, defect_state
from dsvc.porcelain.records.request_chain import make_salt
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.feedback.feedback_defects import DefectChanges
    from dsvc.porcelain.records.feedback_chain import StoredFeedback
    from dsvc.porcelain.tree.tree_scan import Progress

_COMMIT: Final = re.compile("[0-9a-f]{7,40}")
_SHOWN: Final = 5


class ForeignFeedbackError(UsageError):
    """A file is about another version than the subject's."""

    code = "foreign-feedback"


class NothingResolvedError(NotFoundError):
    """None of the observations of a file could be found in the data."""

    code = "nothing-resolved"


class FeedbackImport(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of an import.

    Attributes
    ----------
    feedback : str
        Id of the evaluation.
    commit : CommitId
        Its commit.
    record : FeedbackRecord
    unresolved : tuple of Unresolved
        What could not be found, with reasons.
    defects : tuple of str
        Ids of all defects that it opened, opened again or extended.
    opened, extended, reopened : tuple of str
    below : int
        Groups of observations that are not severe enough to open a defect.
    known : bool
        Whether it was imported before; nothing was changed then.
    warning : str or None
        What the hook of one's own said, where it failed.
    """

    feedback: str
    commit: CommitId
    record: FeedbackRecord
    unresolved: tuple[Unresolved, ...]
    defects: tuple[str, ...]
    opened: tuple[str, ...] = ()
    extended: tuple[str, ...] = ()
    reopened: tuple[str, ...] = ()
    below: int = 0
    known: bool = False
    warning: str | None = None


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be imported, as the caller says it; see `import_feedback`."""

    file: str
    subject: str
    suite: str | None = None
    model: str | None = None
    format: str = "auto"
    kind: PilotKind | None = None
    severity: DefectSeverity | None = None
    columns: Mapping[str, str] = {}
    companions: Sequence[str] = ()


def import_feedback(
    repo: Workspace, request: ImportRequest, *, progress: Progress | None = None
) -> FeedbackImport:
    """Import the result file of an evaluation.

    The file is kept as evidence; rows are resolved against the subject's content. Nothing is recorded where
    the file can't be read, contradicts itself, claims what its samples don't show, is about another version,
    or where none of its observations is found.

    Parameters
    ----------
    request : ImportRequest
        The file (or a folder with results and samples), what was evaluated, by which suite, which model; the
        format (``auto``: by content); severity of observations that have none; for CSV and JSON Lines other
        names of columns; files that belong to it.

    Raises
    ------
    NotFoundError
        If there is no such file, revision or path, or no observation is found (`NothingResolvedError`).
    FeedbackMalformedError, ContradictoryFeedbackError, UnsupportedClaimError
        If the file is malformed, contradicts itself, or claims what its samples don't show.
    UnknownFeedbackFormatError, FeedbackMappingError, ForeignFeedbackError, NotASubjectError, UsageError
        If what was asked for doesn't fit.
    NotATableError, TableLimitError, MissingDataError, CorruptDataError
        If the data can't be read.
    StorageError
        If a file can't be read.
    """
    evaluated = find_subject(repo, request.subject)
    opening_severity(repo)  # what is wrong with it is said before anything is read
    files = EvidenceFiles.open(request.file, request.companions)
    importer = _importer(request, files.main)
    with repo.changing():
        known = _known(repo, request, evaluated, files.main)
        if known is not None:
            return known
        done = _import(repo, request, evaluated, files, importer, progress)
    hooks = repo.user_hooks
    warning = None if hooks is None else hooks.after_feedback(repo, done.feedback, done.defects)
    return msgspec.structs.replace(done, warning=warning)


def _importer(request: ImportRequest, file: EvidenceFile) -> Importer:
    if request.format != "auto":
        return by_name(request.format)
    with reading(file.name), file.open() as stream:
        return recognise(stream.read(HEAD_BYTES), file.name)


def _known(
    repo: Workspace, request: ImportRequest, evaluated: Evaluated, file: EvidenceFile
) -> FeedbackImport | None:
    """The import of the very same file for this subject and suite, where there was one."""
    subject = evaluated.subject
    for id_ in feedback_chain.feedback_ids(repo):
        head = feedback_chain.feedback_head(repo, id_)
        record = head.record
        same = (record.subject.commit, record.subject.path) == (subject.commit, subject.path)
        suite = request.suite or record.run.suite or ""
        if same and record.suite == suite and record.evidence_digest == file.digest:
            defects = (defect_state(repo, each) for each in defect_ids(repo))
            return FeedbackImport(
                feedback=head.id,
                commit=head.commit,
                record=record,
                unresolved=tuple(feedback_chain.unresolved(repo, id_)),
                defects=tuple(each.id for each in defects if head.id in each.feedbacks),
                known=True,
            )
    return None


def _import(
    repo: Workspace,
    request: ImportRequest,
    evaluated: Evaluated,
    files: EvidenceFiles,
    importer: Importer,
    progress: Progress | None,
) -> FeedbackImport:
    imported = _read(repo, request, files, importer)
    suite = request.suite or imported.run.suite
    if not suite or not suite.strip():
        raise UsageError("the file names no suite", hint="--suite NAME says by what was evaluated")
    _check_commit(repo, imported.run, evaluated)
    eval_set = _eval_set(repo, imported.run)
    resolver = Resolver(repo, evaluated, make_salt(repo), eval_set)
    samples = Samples(resolver, request.severity)
    with reading(files.main.name):
        samples.read(imported.samples, progress)
    _check_resolved(samples, resolver, evaluated)
    run = _run(imported.run, request, eval_set)
    metrics = settle_metrics(run, imported.metrics, samples)
    scores = samples.scores()
    rows = evaluated_rows(run, samples, resolver)
    found = list(observations_of(samples.failed, resolver, repo, make_salt(repo)))
    files.check_unchanged()
    record = FeedbackRecord(
        subject=evaluated.subject,
        run=run,
        suite=suite,
        model=request.model or run.model,
        importer=importer.name,
        evidence=files.main.stored_name,
        evidence_digest=files.main.digest,
        metrics=metrics,
        evaluated=rows,
        samples=samples.count,
        passed=samples.passed,
        observations=samples.observations,
        resolved_rows=_distinct_rows(samples),
        unresolved=len(samples.lost),
        imported_at="",
        by="",
        outcome=_outcome(imported, samples),
    )
    stored = feedback_chain.store(repo, record, files.store(repo), found, samples.lost, scores)
    again = [(each.before, each.prepared) for each in prepare_reopened(repo, evaluated.commit, stored.id)]
    changes = prepare_defects(repo, stored.id, samples.failed, evaluated.commit, again)
    return _record(repo, stored, changes, samples)


def _read(repo: Workspace, request: ImportRequest, files: EvidenceFiles, importer: Importer) -> Imported:
    """Have a reader begin with a file; its samples are read one by one afterwards."""
    options = ImportOptions(request.columns, files.companions(), files.main.name)
    with reading(files.main.name):
        if repo.isolate or is_foreign(files.paths):
            read_apart(importer, files.main.open, options, files.size)
        return importer.read(files.main.open, options)


def _run(run: EvaluationRun, request: ImportRequest, eval_set: Evaluated | None) -> EvaluationRun:
    """What is kept of the run: the evaluation set by its commit, since branches move on."""
    kind = run.kind if request.kind is None else request.kind
    pinned = run.eval_set if eval_set is None else eval_set.subject.target
    return msgspec.structs.replace(run, kind=kind, eval_set=pinned)


def _record(
    repo: Workspace, stored: StoredFeedback, changes: DefectChanges, samples: Samples
) -> FeedbackImport:
    """Publish all and move all refs in one step: a crash leaves nothing half."""
    # Of several operations on one defect the last one's ref counts.
    moved = list({each.id: each.change for each in changes.operations}.values())
    moved += [] if stored.change is None else [stored.change]
    objects = [*stored.prepared.objects, *(o for each in changes.operations for o in each.prepared.objects)]
    repo.store.publish()
    repo.record("feedback import", arguments=[stored.id], changes=moved, objects=objects)
    return FeedbackImport(
        feedback=stored.id,
        commit=stored.prepared.id,
        record=feedback_chain.feedback_head(repo, stored.id).record,
        unresolved=tuple(samples.lost),
        defects=tuple(dict.fromkeys([*changes.opened, *changes.extended, *changes.reopened])),
        opened=changes.opened,
        extended=changes.extended,
        reopened=changes.reopened,
        below=changes.below,
    )


def _check_commit(repo: Workspace, run: EvaluationRun, evaluated: Evaluated) -> None:
    """Refuse a file that names another version of the data.

    Raises
    ------
    ForeignFeedbackError
        If it does.
    """
    named = (run.data_commit or "").strip()
    mine = str(evaluated.commit)
    if not named or (_COMMIT.fullmatch(named.lower()) and mine.startswith(named.lower())):
        return
    try:
        found: CommitId | None = repo.history.peel(repo.history.revisions.resolve(named))
    except NotFoundError:
        found = None
    if found != evaluated.commit:
        path = os.fsdecode(evaluated.subject.path)
        hint = None if found is None else f"--subject {found[:12]}:{path} is what it speaks of"
        raise ForeignFeedbackError(
            f"the file is about version {named[:80]}, the subject is of {mine[:12]}",
            hint=hint or "no version of this repository is called so",
            details={"data_commit": named[:200], "subject": mine},
        )


def _eval_set(repo: Workspace, run: EvaluationRun) -> Evaluated | None:
    if run.eval_set is None:
        return None
    try:
        return find_subject(repo, run.eval_set)
    except NotFoundError as error:
        raise NotFoundError(
            f"the evaluation set that the file names is not here: {error.message}",
            hint="eval_set is REV:PATH, or PATH at HEAD",
            details={"eval_set": run.eval_set[:200]},
        ) from error


def _check_resolved(samples: Samples, resolver: Resolver, evaluated: Evaluated) -> None:
    if resolver.refs_elsewhere and not resolver.refs_here:
        commit, count = max(resolver.refs_elsewhere.items(), key=lambda item: (item[1], item[0]))
        raise ForeignFeedbackError(
            f"all references of the file are to other versions, {count} of them to {commit[:12]}; "
            f"the subject is of {evaluated.commit[:12]}",
            hint=f"--subject {commit[:12]}:PATH is what it speaks of",
            details={"data_commit": commit, "subject": str(evaluated.commit)},
        )
    if samples.observations and not samples.failed:
        first = [f"{each.pointer}: {each.reason}" for each in samples.lost if each.symptom][:_SHOWN]
        raise NothingResolvedError(
            f"none of the {samples.observations} observations is found in "
            f"{evaluated.subject.target[:12]}: {first[0] if first else ''}",
            hint="; ".join(first[1:]) or None,
            details={"observations": samples.observations, "reasons": first},
        )


def evaluated_rows(run: EvaluationRun, samples: Samples, resolver: Resolver) -> tuple[EvaluatedRows, ...]:
    """Rows that were evaluated, by artifact; none where nothing says so.

    Raises
    ------
    FeedbackMalformedError
        If the condition by which the file says it can't be asked.
    """
    if run.evaluated == "all":
        return tuple(
            EvaluatedRows(
                path=each.place.path,
                digest=each.place.digest,
                rows=None,
                count=each.rows,
                folder=each.place.folder,
            )
            for each in resolver.artifacts.defaults()
        )
    judged = samples.judged()
    if run.evaluated == "where":
        (answer,) = resolver.resolve([Selector(where=run.where)])
        if not isinstance(answer, Hit):
            raise FeedbackMalformedError(f"evaluated: {answer}", details={"where": run.where})
        judged[answer.place] = np.union1d(answer.rows, judged.get(answer.place, answer.rows))
    elif run.evaluated != "listed" and not samples.lists_all:
        return ()
    return tuple(
        EvaluatedRows(
            path=place.path,
            digest=place.digest,
            rows=encode_rows(rows),
            count=len(rows),
            folder=place.folder,
        )
        for place, rows in sorted(judged.items(), key=lambda item: item[0][:2])
    )


def _distinct_rows(samples: Samples) -> int:
    places = {each.hit.place for each in samples.failed}
    return sum(
        len(np.unique(np.concatenate([each.hit.rows for each in samples.failed if each.hit.place == place])))
        for place in places
    )


def _outcome(imported: Imported, samples: Samples) -> str:
    if imported.run.outcome in ("passed", "failed"):
        return imported.run.outcome
    if samples.observations:
        return "failed"
    return "passed" if samples.passed else "unknown"
