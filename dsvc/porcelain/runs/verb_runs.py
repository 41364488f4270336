"""Runs of dsvc's own verbs: where merge, revert, resolve, apply, normalize or erasure made something new.

Only where lineage is recorded already: a repository without any pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from dsvc.model.manifest import Entry
from dsvc.model.run_record import Agent, Code, RunId, RunKind
from dsvc.porcelain.state.commit_lineage import SOURCE_REFS
from dsvc.porcelain.state.pending_runs import add_pending, pending_runs
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.lineage.captured import CaptureRequest, CaptureResult
    from dsvc.porcelain.runs.run_storage import RunDraft, RunResult

ERASE: Final = "request erase"
"""Verb that takes rows of people out; what it drops has a reason of its own."""
ERASED: Final = "erased"
"""That reason."""
_KINDS = {
    "revert": RunKind.REVERT,
    "resolve": RunKind.RESOLVE,
    "apply": RunKind.APPLY,
    "normalize": RunKind.NORMALIZE,
    ERASE: RunKind.REDACT,
}


class Made(NamedTuple):
    """A file that a verb made.

    Attributes
    ----------
    before : tuple of Entry
        The versions that it came from: ours and theirs of a merge, else the one before.
    after : Entry
        What it is now.
    key : tuple of str
        Columns by which the rows of a table were matched; empty: none, or those of ``dsvc.toml``.
    """

    before: tuple[Entry, ...]
    after: Entry
    key: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether no version before had this content."""
        return all(each.digest != self.after.digest for each in self.before)


def uses_lineage(repo: Workspace) -> bool:
    """Whether sources or runs are recorded: by HEAD, by runs that wait for a commit, as sources now."""
    head = repo.history.refs.head().commit
    if head is not None and repo.history.read_commit(head).lineage is not None:
        return True
    return bool(pending_runs(repo.layout)) or bool(repo.history.refs.list(SOURCE_REFS))


def record_made(
    repo: Workspace,
    verb: str,
    made: Sequence[Made],
    *,
    argument: str = "",
    parameters: dict[str, str] | None = None,
) -> list[RunId]:
    """Record what a verb made as runs that wait for a commit; the caller holds `Workspace.changing`.

    Parameters
    ----------
    verb : str
        As it is called; one that is no kind of run is a merge.
    argument : str
        What it was called with.

    Returns
    -------
    list of RunId
        One for each file that no version before was equal to; none where no lineage is recorded.
    """
    new = [each for each in made if each.is_new and each.before and each.after.is_file]
    if not new or not uses_lineage(repo):
        return []
    new = _data(repo, new)
    from dsvc.porcelain.runs.run_environment import own_environment
    from dsvc.porcelain.runs.run_keys import suggested_key
    from dsvc.porcelain.runs.run_recording import now
    from dsvc.porcelain.runs.run_storage import RunDraft

    who = repo.signature()
    kind = _KINDS.get(verb, RunKind.MERGE)
    draft = RunDraft(
        name=verb,
        kind=kind,
        code=Code(),
        environment=own_environment(),
        agent=Agent(who.name, who.email),
        started_at=now(),
        ended_at=now(),
        manual=f"dsvc {verb} {argument}".strip(),
        parameters=parameters or {},
    )
    ids: list[RunId] = []
    for each in new:
        result = _stored(repo, draft, each, each.key)
        if not each.key and any(output.added for output in result.run.outputs):
            # By equal content a changed row is a new one; a column that is an id knows better.
            column = suggested_key(repo, result.run)
            result = result if column is None else _stored(repo, draft, each, (column,))
        add_pending(repo.layout, result.id, durable=repo.keeps_records)
        ids.append(result.id)
    return ids


def _stored(repo: Workspace, draft: RunDraft, made: Made, key: tuple[str, ...]) -> RunResult:
    from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
    from dsvc.porcelain.runs.run_storage import store_captured

    path = made.after.path
    sides = dict.fromkeys(msgspec.structs.replace(entry, path=path) for entry in made.before)
    return store_captured(
        repo,
        draft,
        [ArtifactFiles(path, False, (entry,)) for entry in sides],
        [ArtifactFiles(path, False, (made.after,))],
        keys={path: key} if key else None,
        drop_reason=ERASED if draft.name == ERASE else f"{draft.name}: not in the result",
        follow=_each_side,
    )


def _data(repo: Workspace, made: Sequence[Made]) -> list[Made]:
    """Leave out what is no data: code that was merged has no source, and needs none."""
    from dsvc.porcelain.records.lineage_facts import origins
    from dsvc.porcelain.state.commit_lineage import lineage_of

    head = repo.history.refs.head()
    known = origins(repo, repo.staged(head).root, [lineage_of(repo, head.commit)], pending_runs(repo.layout))
    return [each for each in made if known.is_data(each.after.path)]


def _each_side(request: CaptureRequest) -> CaptureResult:
    """Follow the rows of each version into the result by itself: a row that both have comes from both."""
    from dataclasses import replace

    import numpy as np

    from dsvc.lineage.capture import MAY_HAVE_NEW_ROWS, capture
    from dsvc.lineage.captured import CaptureResult

    found = [capture(replace(request, inputs=[each])) for each in request.inputs]
    links = {(o, n): links for n, result in enumerate(found) for (o, _), links in result.links.items()}
    accounts = {n: result.accounts[0] for n, result in enumerate(found) if 0 in result.accounts}
    duplicates = {n: result.duplicate_keys[0] for n, result in enumerate(found) if 0 in result.duplicate_keys}
    problems = [p for result in found for p in result.problems if "have no parent" not in p]
    added = {}
    rows = request.outputs[0].rows
    if rows is not None:
        parents = np.unique(
            np.concatenate([np.zeros(0, np.int64), *(each.outputs for each in links.values())])
        )
        added[0] = rows.rows - len(parents)
        if added[0] and request.kind not in MAY_HAVE_NEW_ROWS:
            problems.append(f"{added[0]} of {rows.rows} rows are in no version before")
    return CaptureResult(
        links=links,
        accounts=accounts,
        added=added,
        captures=found[0].captures,
        duplicate_keys=duplicates,
        duplicates=sum(result.duplicates for result in found),
        problems=tuple(dict.fromkeys(problems)),
    )
