"""rerun: a recorded run is done again, in a scratch folder to see whether it makes the same, or for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from dsvc.fs.beneath import Beneath
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import NotFoundError, UsageError, WouldOverwriteError
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import OWN_KINDS, Role, Run, RunId
from dsvc.porcelain.runs.run import CommandFailedError, run
from dsvc.porcelain.runs.run_comparison import (
    Comparison,
    OutputDifference,
    Sameness,
    compare_runs,
    compare_scratch,
    files_made,
)
from dsvc.porcelain.runs.run_facts import NOTES
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.runs.scratch import scratch_folder
from dsvc.porcelain.runs.scratch_command import execute_in_scratch, make_run_folders
from dsvc.porcelain.runs.stale import Cause, StaleCheck
from dsvc.porcelain.state.redaction import REDACTED
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.materialize import TreeWriter

MAX_NAMED: Final = 100


class NotRepeatableError(UsageError):
    """A run can't be done again: it has no command, or one that secrets were taken out of."""

    code: ClassVar[str] = "not-repeatable"


class RerunFailedError(CommandFailedError):
    """The command of a run failed when it was done again in a scratch folder."""

    code: ClassVar[str] = "rerun-failed"


class RerunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of doing a run again.

    Attributes
    ----------
    run : RunId
        The run that was checked; the new one, where it was recorded again.
    of : RunId
        The run that was done again.
    name : str
        Its name.
    by : Sameness or None
        How what it made now is the same; None where something differs.
    differences : tuple of OutputDifference
        What differs.
    """

    run: RunId
    of: RunId
    name: str
    by: Sameness | None
    differences: tuple[OutputDifference, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether it made the same."""
        return self.by is not None


class NotRerun(msgspec.Struct, frozen=True):
    """A run that is behind and could not be done again, and why."""

    run: RunId
    name: str
    reason: str


class Carrier(msgspec.Struct, frozen=True, kw_only=True):
    """How commands are carried out; attributes as the parameters of `run.run`, and two more.

    Attributes
    ----------
    announce : callable or None
        Called with the words of each command before it runs.
    through : tuple of str
        Words of a program that carries the command out, in a scratch folder: one that takes the network away.
    """

    environ: Mapping[str, str]
    timeout: float | None = None
    output: int | None = None
    interactive: bool = False
    announce: Callable[[Sequence[str]], None] | None = None
    through: tuple[str, ...] = ()


def check_rerun(repo: Workspace, tree: RunTree, how: Carrier) -> RerunResult:
    """Do a run again in a scratch folder, on what it read then, and compare what it makes.

    Inputs and code files are there as they were recorded; the working tree is not touched.

    Raises
    ------
    NotRepeatableError
        If it has no command that can run.
    RerunFailedError
        If the command fails.
    MissingDataError, ErasedError, CorruptDataError
        If what it read can't be had.
    """
    record = tree.run
    command = _announced(tree, how)
    with scratch_folder(repo) as scratch:
        before = [*tree.files_read(), *tree.code_files()]
        scratch.put(repo, before)
        make_run_folders(scratch, record)
        status = execute_in_scratch(
            repo,
            scratch,
            command,
            folder=record.asked.folder,
            environ=how.environ,
            seed=record.seed,
            parameters=record.parameters,
            timeout=how.timeout,
            output=how.output,
            interactive=how.interactive,
            through=how.through,
        )
        if status:
            raise failed_again(tree, status)
        return _result(tree, tree.id, compare_scratch(repo, tree, scratch, before))


def _announced(tree: RunTree, how: Carrier) -> tuple[str, ...]:
    """Command of a run, which the caller is told of."""
    command = repeatable(tree)
    if how.announce is not None:
        how.announce(command)
    return command


def failed_again(tree: RunTree, status: int) -> RerunFailedError:
    """Make the error for a command that failed in a scratch folder."""
    name = f"run {tree.id.short()} ({tree.run.name})"
    return RerunFailedError(
        f"{name} can't be done again: its command ended with status {status}",
        hint="only its inputs and the files that the command names are there; "
        "what else it reads belongs to -i or --lookup",
        details={"run": tree.id.hex(), "exit_status": status},
    )


def rerun(repo: Workspace, tree: RunTree, how: Carrier) -> RerunResult:
    """Do a run again in the working tree, on what stands there now, and record it as a new run.

    A file that it changes in place is first brought back as the run read it, where it still is as the run
    left it.

    Raises
    ------
    NotRepeatableError
        If it has no command that can run.
    WouldOverwriteError
        If something that it would write was edited and is stored nowhere.
    DsvcError
        As `run.run`.
    """
    repeatable(tree)
    with repo.changing():
        _check_outputs(repo, tree)
        _bring_back(repo, tree)
    command = _announced(tree, how)
    done = run(
        repo,
        _spec(tree.run),
        command,
        environ=how.environ,
        folder=tree.run.asked.folder,
        timeout=how.timeout,
        output=how.output,
        interactive=how.interactive,
    )
    return _result(tree, done.id, compare_runs(repo, tree, RunTree(repo.store, done.id)))


def rerun_stale(
    repo: Workspace, how: Carrier, targets: Sequence[bytes] = ()
) -> Iterator[RerunResult | NotRerun]:
    """Do again, one after the other, the runs whose files are behind what they were made from.

    A run whose inputs come out as they were is left alone after all.

    Parameters
    ----------
    targets : sequence of bytes
        Only what these files, or the files below these folders, come from.

    Raises
    ------
    NotFoundError
        If no run made a target.
    DsvcError
        As `rerun`; what was done again before stays recorded.
    """
    written: set[bytes] = set()
    for id_ in _plan(StaleCheck(repo), targets):
        check = StaleCheck(repo)
        tree = check.runs[id_]
        changed = any(each.cause is not Cause.STALE for each in check.because(id_))
        # One that changed a file in place follows when that file was made anew.
        if not changed and written.isdisjoint(files_made(tree)):
            continue
        try:
            result = rerun(repo, tree, how)
        except NotRepeatableError as error:
            yield NotRerun(id_, tree.run.name, error.message)
            continue
        written.update(files_made(RunTree(repo.store, result.run)))
        yield result


def _plan(check: StaleCheck, targets: Sequence[bytes]) -> list[RunId]:
    """Runs to be done again, those first that others depend on."""
    scope = _scope(check, targets) if targets else None
    pending = [each.run for each in check.files() if scope is None or each.run in scope]
    wanted = set(pending)
    while pending:
        for reason in check.because(pending.pop()):
            maker = check.maker(reason.path, reason.recorded) if reason.cause is Cause.STALE else None
            if maker is not None and maker not in wanted:
                wanted.add(maker)
                pending.append(maker)
    return [id_ for id_ in check.ordered() if id_ in wanted]


def _scope(check: StaleCheck, targets: Sequence[bytes]) -> set[RunId]:
    """Runs that targets come from."""
    found: set[RunId] = set()
    for target in targets:
        runs = check.upstream([target])
        if not runs:
            name = display_path(target) or "."
            raise NotFoundError(f"no run made {name} as it stands here", details={"path": name})
        found |= runs
    return found


def repeatable(tree: RunTree) -> tuple[str, ...]:
    """Command of a run.

    Raises
    ------
    NotRepeatableError
        If it can't run.
    """
    record = tree.run
    name = f"run {tree.id.short()} ({record.name})"
    details = {"run": tree.id.hex()}
    if record.manual is not None:
        raise NotRepeatableError(
            f"{name} was done by hand: {record.manual[:200]}",
            hint="do it again, and record it with: dsvc run --manual",
            details=details,
        )
    if record.kind in OWN_KINDS:
        raise NotRepeatableError(f"{name} is what dsvc did itself, in a {record.kind}", details=details)
    if not record.command:
        files = ", ".join(display_path(each.path) for each in record.code.files[:3])
        raise NotRepeatableError(
            f"{name} was done in Python and has no command",
            hint=f"its step is recorded, from {files}; call it again" if files else "call its step again",
            details=details,
        )
    if any(REDACTED in word for word in record.command):
        raise NotRepeatableError(
            f"{name} can't be done again as recorded: secrets were taken out of its command",
            hint="run it anew with dsvc run, and hand secrets over in environment variables",
            details=details,
        )
    return record.command


def _spec(record: Run) -> RunSpec:
    """What a run was asked to be."""
    asked = record.asked
    return RunSpec(
        name=record.name,
        kind=record.kind,
        inputs=asked.inputs or tuple(each.path for each in record.inputs if each.role is Role.INPUT),
        lookups=asked.lookups or tuple(each.path for each in record.inputs if each.role is Role.LOOKUP),
        outputs=asked.outputs or tuple(each.path for each in record.outputs),
        parameters=record.parameters,
        facts={name: value for name, value in record.facts.items() if name not in NOTES},
        keys=dict(asked.keys),
        renamed=asked.renamed,
        rowwise=record.rowwise,
        seed=record.seed,
        drop_reason=asked.drop_reason,
        grade=record.grade,
        declassified=record.declassified,
    )


def _check_outputs(repo: Workspace, tree: RunTree) -> None:
    """Refuse where a file that would be overwritten is neither committed nor known to a run."""
    check = StaleCheck(repo)
    head = repo.manifest(repo.head_root(repo.history.refs.head()))
    lost = []
    for path in files_made(tree):
        now = check.tree.digest(path)
        committed = head.get(path)
        if now is None or (committed is not None and committed.digest == now) or check.keeps(path, now):
            continue
        lost.append(display_path(path))
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise WouldOverwriteError(
            f"{lost[0]}{more} was edited since, and would be overwritten",
            hint="commit it, or record what was done with dsvc run --manual, then run it again",
            details={"paths": lost[:MAX_NAMED]},
        )


def _bring_back(repo: Workspace, tree: RunTree) -> None:
    """Bring files that a run changed in place back to what it read, where they are as it left them."""
    made = files_made(tree)
    with Beneath(repo.root) as working:
        writer = TreeWriter(repo.store, working, repo.layout.temporary)
        for entry in tree.files_read():
            left = made.get(entry.path)
            if left is not None and left.digest != entry.digest and _stands(repo, left):
                writer.write(entry, replace=True)


def _stands(repo: Workspace, entry: Entry) -> bool:
    from dsvc.porcelain.tree.worktree_side import entry_now

    with Beneath(repo.root) as working:
        now = entry_now(working, entry.path, entry)
    return now is not None and now.digest == entry.digest


def _result(tree: RunTree, id_: RunId, found: Comparison) -> RerunResult:
    return RerunResult(run=id_, of=tree.id, name=tree.run.name, by=found.by, differences=found.differences)
