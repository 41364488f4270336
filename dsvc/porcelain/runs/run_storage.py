"""From artifacts to a stored run: rows are matched, accounts made, everything put into the run's manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from dsvc.lineage.run_tree import PATCH, store_run
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Agent, Asked, Capture, Code, Environment, Input, Output, Run, RunId, RunKind
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.runs.run_keys import Keys, keys_of
from dsvc.porcelain.runs.run_rows import records_of
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.lineage.captured import CaptureRequest, CaptureResult
    from dsvc.lineage.declared_maps import DeclaredMaps
    from dsvc.lineage.record_rows import RecordRows


class RunDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run before its artifacts are looked at; attributes as in `Run`."""

    name: str
    kind: RunKind
    agent: Agent
    started_at: str
    ended_at: str
    code: Code = Code()
    environment: Environment = Environment()
    asked: Asked = Asked()
    command: tuple[str, ...] = ()
    manual: str | None = None
    parameters: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}
    seed: str | None = None
    rowwise: bool = False
    exit_status: int = 0
    grade: str | None = None
    declassified: str | None = None


class RunResult(NamedTuple):
    """A run that is stored: its id and its record."""

    id: RunId
    run: Run


class Captured(NamedTuple):
    """A run that is about to be stored: its record, how its rows were matched, what it read and made."""

    run: Run
    rows: CaptureResult
    inputs: Sequence[ArtifactFiles]
    outputs: Sequence[ArtifactFiles]


Check = Callable[[Captured], None]
"""What may refuse a run before it is stored."""
Follow = Callable[["CaptureRequest"], "CaptureResult"]
"""What finds which rows became which."""


def store_captured(
    repo: Workspace,
    draft: RunDraft,
    inputs: Sequence[ArtifactFiles],
    outputs: Sequence[ArtifactFiles],
    *,
    keys: Keys | None = None,
    renamed: Mapping[str, str] | None = None,
    declared: DeclaredMaps | None = None,
    drop_reason: str | None = None,
    code_files: Sequence[Entry] = (),
    patch: bytes | None = None,
    check: Check | None = None,
    follow: Follow | None = None,
) -> RunResult:
    """Match the rows of a run's artifacts, account for them, store the run and publish it.

    The caller holds `Workspace.changing`; that the run waits for a commit is the caller's to note.

    Parameters
    ----------
    inputs, outputs : sequence of ArtifactFiles
        Stored already.
    keys : Keys or None
        Key columns that were asked for; else those of ``dsvc.toml`` hold.
    renamed : mapping of str to str or None
        New names of key columns by their old ones.
    declared : DeclaredMaps or None
        What the step itself says of its rows.
    drop_reason : str or None
        Why rows were dropped, where nothing else says.
    code_files : sequence of Entry
        Code files, stored already, at their paths in the working tree.
    patch : bytes or None
        Changes that the checkout of the code had.
    check : callable or None
        Called before anything of the record and the row maps is stored; may raise.
    follow : callable or None
        Finds which rows became which; None: `dsvc.lineage.capture.capture`.

    Raises
    ------
    RowMapError
        If a declared map does not fit the artifacts.
    UsageError
        If a key was asked for that no artifact has.
    TableRulesError
        If ``dsvc.toml`` can't be read.
    """
    from dsvc.lineage.capture import capture

    repo.store.publish()  # what isn't in a pack can't be read
    request, records, problems = _request(
        repo, draft, inputs, outputs, keys or {}, renamed or {}, declared, drop_reason
    )
    result = (follow or capture)(request)
    run = _run(draft, inputs, outputs, request, records, result, problems)
    if check is not None:
        check(Captured(run, result, inputs, outputs))
    id_ = store_run(
        repo.store,
        run,
        inputs=[each.files() for each in inputs],
        outputs=[each.files() for each in outputs],
        code=code_files,
        parts=_parts(result, patch),
    )
    repo.store.publish()
    return RunResult(id_, run)


def _parts(result: CaptureResult, patch: bytes | None) -> dict[bytes, bytes]:
    """Row maps, accounts and the patch of a run's code, by their places in its tree."""
    from dsvc.lineage.link_file import encode_links
    from dsvc.lineage.row_account import encode_account

    parts = {b"maps/%d-%d" % pair: encode_links(links) for pair, links in result.links.items()}
    parts |= {b"rows/%d" % number: encode_account(account) for number, account in result.accounts.items()}
    return parts if patch is None else {**parts, PATCH: patch}


def _request(
    repo: Workspace,
    draft: RunDraft,
    inputs: Sequence[ArtifactFiles],
    outputs: Sequence[ArtifactFiles],
    keys: Keys,
    renamed: Mapping[str, str],
    declared: DeclaredMaps | None,
    drop_reason: str | None,
) -> tuple[CaptureRequest, list[int | None], list[str]]:
    """Make the request, and tell how many records each artifact has and what can't be read."""
    from dsvc.lineage.captured import CapturedInput, CapturedOutput, CaptureRequest

    artifacts = [*inputs, *outputs]
    rows, problems = records_of(repo, artifacts, renamed)
    columns = [
        (each.path, None if found is None or each.folder else found.columns)
        for each, found in zip(artifacts, rows, strict=True)
    ]
    found_keys = keys_of(repo, keys, columns, renamed)
    count = len(inputs)
    followed = rows if declared is not None else _followed(artifacts, rows, count)
    request = CaptureRequest(
        kind=draft.kind,
        inputs=[
            CapturedInput(each.path, followed[n], found_keys[n], each.role) for n, each in enumerate(inputs)
        ],
        outputs=[
            CapturedOutput(each.path, followed[n], found_keys[n]) for n, each in enumerate(outputs, count)
        ],
        renamed=renamed,
        declared=declared,
        drop_reason=drop_reason,
    )
    return request, [None if found is None else found.rows for found in rows], problems


def _followed(
    artifacts: Sequence[ArtifactFiles], rows: Sequence[RecordRows | None], inputs: int
) -> list[RecordRows | None]:
    """Records that can be followed: rows of tables into tables, files of folders into folders.

    A row that went into a model or a chart was not dropped, and a chart that was made of a table is no new
    record. Only the step itself can say more. A table that was made of a folder has rows without a parent.
    """
    kinds = [None if found is None else each.folder for each, found in zip(artifacts, rows, strict=True)]
    made = set(kinds[inputs:])
    only_tables = False in kinds[:inputs] and True not in kinds[:inputs]
    result = [found if kind in made else None for kind, found in zip(kinds[:inputs], rows, strict=False)]
    for kind, found in zip(kinds[inputs:], rows[inputs:], strict=True):
        result.append(None if kind and only_tables else found)
    return result


def _run(
    draft: RunDraft,
    inputs: Sequence[ArtifactFiles],
    outputs: Sequence[ArtifactFiles],
    request: CaptureRequest,
    records: Sequence[int | None],
    result: CaptureResult,
    problems: Sequence[str],
) -> Run:
    problems = (*problems, *result.problems)
    fields = {name: getattr(draft, name) for name in RunDraft.__struct_fields__}
    return Run(
        **fields,
        inputs=tuple(
            Input(
                **each.fields(records[number]),
                role=each.role,
                key=known.key,
                fates=result.accounts[number].fates if number in result.accounts else None,
                duplicate_keys=result.duplicate_keys.get(number, 0),
            )
            for number, (each, known) in enumerate(zip(inputs, request.inputs, strict=True))
        ),
        outputs=tuple(
            Output(
                **each.fields(records[len(inputs) + number]),
                key=known.key,
                added=result.added.get(number, 0),
                capture=result.captures.get(number, Capture.NONE),
            )
            for number, (each, known) in enumerate(zip(outputs, request.outputs, strict=True))
        ),
        drops=result.drops(),
        duplicate_keys=result.duplicates,
        capture=result.capture,
        complete=not problems,
        problems=tuple(problems),
    )
