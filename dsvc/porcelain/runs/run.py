"""run: a command is carried out and recorded, with what it read and made and what became of each row."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dsvc.fs.temporary_folder import temporary_folder
from dsvc.model.encoding import encode
from dsvc.model.errors import DsvcError, UsageError
from dsvc.porcelain.runs.run_code import CodeState, code_state, command_words, store_code
from dsvc.porcelain.runs.run_environment import EnvironmentProbe
from dsvc.porcelain.runs.run_recording import begin_run, now
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.runs.run_storage import Captured, Check, RunResult
from dsvc.porcelain.state.redaction import REDACTED
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.porcelain.runs.run_recording import Recording

RUN_FOLDER: Final = "DSVC_RUN_DIR"
"""Variable that tells a command where to write ``rowmap.parquet`` and ``drops.jsonl``."""
ROOT: Final = "DSVC_ROOT"
SEED: Final = "DSVC_SEED"
PARAMETER: Final = "DSVC_PARAM_"
END_SECONDS: Final = 5.0
"""How long a command that was asked to end may take before it is killed."""
NOT_FOUND, NOT_EXECUTABLE = 127, 126


class CommandFailedError(DsvcError):
    """The command of a run failed; nothing was recorded, what it wrote is kept."""

    code: ClassVar[str] = "command-failed"
    exit_code: ClassVar[int] = 1


class CommandTimeoutError(DsvcError):
    """The command of a run took longer than it was given and was ended; nothing was recorded."""

    code: ClassVar[str] = "command-timeout"
    exit_code: ClassVar[int] = 1


def run(
    repo: Workspace,
    spec: RunSpec,
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: bytes = b"",
    timeout: float | None = None,
    output: int | None = None,
    interactive: bool = False,
) -> RunResult:
    """Carry a command out and record it as a run, which waits for a commit then.

    Parameters
    ----------
    command : sequence of str
        Its words; a single one with blanks or signs of the shell is a line for ``sh``.
    environ : mapping of str to str
        Its environment; `RUN_FOLDER`, `ROOT`, each parameter after `PARAMETER` and,
        with a seed, `SEED` are added.
    folder : bytes
        Where it runs, relative to the working tree.
    timeout : float or None
        Seconds after which it is ended.
    output : int or None
        Descriptor that takes its standard output; None: that of this process.
    interactive : bool
        Whether it talks to the terminal: it stays in the group of this process then.

    Raises
    ------
    CommandFailedError, CommandTimeoutError
        If it failed; what it wrote is kept.
    InputChangedError, ChangedOutsideError, OutputMissingError, RowMapError
        If it did something else than the run says; nothing was recorded.
    RowwiseError
        If it was said to be row-wise and isn't; nothing was recorded.
    MalformedInputError
        If a word of it, or anything else that is to be recorded, is no UTF-8; nothing ran.
    """
    _check(spec, command)
    words = command_words(command)
    where = os.path.join(repo.root, os.fsdecode(folder)) if folder else repo.root
    with temporary_folder(repo.layout.temporary, "run") as run_folder, begin_run(repo, spec) as recording:
        data = [*spec.inputs, *spec.outputs, *spec.lookups]
        code = code_state(repo, command, folder=folder, data=data, environ=environ)
        variables = {**environ, **own_variables(run_folder, repo.root, spec.seed, spec.parameters)}
        how: dict[str, Any] = {"timeout": timeout, "interactive": interactive}
        started = now()
        with closing(EnvironmentProbe(words, environ, where)) as probe:
            status = execute(
                words,
                environ=variables,
                folder=where,
                output=output,
                meanwhile=lambda: _prepare(recording),
                **how,
            )
            ended = now()
            if status:
                raise _failed(command, status)
            environment = probe.result()
        from dsvc.lineage.declared_maps import read_run_folder

        return recording.finish(
            command=command,
            folder=folder,
            code=code,
            environment=environment,
            declared=read_run_folder(run_folder),
            started=started,
            ended=ended,
            check=_rowwise_check(repo, spec, command, folder, code, environ, **how),
        )


def _check(spec: RunSpec, command: Sequence[str]) -> None:
    """Refuse what can't be recorded before anything runs."""
    if not command or not command[0]:
        raise UsageError("there is no command to run", hint="write it after --, such as: -- python clean.py")
    texts = (*spec.parameters.items(), *spec.facts.items(), *spec.renamed.items())
    encode((tuple(command), spec.name, spec.seed, spec.drop_reason, spec.declassified, texts))


def _prepare(recording: Recording) -> None:
    """Index the inputs and load what recording needs, while the command runs."""
    recording.index_inputs()


def own_variables(folder: str, root: str, seed: str | None, parameters: Mapping[str, str]) -> dict[str, str]:
    """Variables that a command finds: where to tell of its rows, the tree, parameters, the seed.

    A parameter that a secret was taken out of, when the run was recorded, is left to the environment.
    """
    found = {RUN_FOLDER: folder, ROOT: root}
    for name, value in parameters.items():
        if _is_variable(name) and REDACTED not in value:
            found[PARAMETER + name] = value
    return found if seed is None else {**found, SEED: seed}


def _is_variable(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name


def _rowwise_check(
    repo: Workspace,
    spec: RunSpec,
    command: Sequence[str],
    folder: bytes,
    code: CodeState,
    environ: Mapping[str, str],
    *,
    timeout: float | None,
    interactive: bool,
) -> Check | None:
    """Test on a sample of rows that the step is row-wise, if it says so; its output goes nowhere."""
    if not spec.rowwise:
        return None

    def check(captured: Captured) -> None:
        from dsvc.porcelain.runs.rowwise import check_rowwise
        from dsvc.porcelain.runs.scratch import Scratch
        from dsvc.porcelain.runs.scratch_command import execute_in_scratch

        def attempt(scratch: Scratch) -> int:
            with open(os.devnull, "wb") as nowhere:
                return execute_in_scratch(
                    repo,
                    scratch,
                    command,
                    folder=folder,
                    environ=environ,
                    seed=spec.seed,
                    parameters=spec.parameters,
                    timeout=timeout,
                    output=nowhere.fileno(),
                    interactive=interactive,
                )

        check_rowwise(repo, captured, store_code(repo, code), attempt)

    return check


def run_manual(
    repo: Workspace, spec: RunSpec, text: str, *, environ: Mapping[str, str] | None = None
) -> RunResult:
    """Record what a person or another tool did already.

    An input that is an output as well is taken as it was before: as the newest pending run made it, as it is
    staged, or as HEAD has it.

    Parameters
    ----------
    text : str
        What was done, in words.

    Raises
    ------
    UsageError
        If the text is empty, or rows are said to be made one by one, which can't be tested.
    NotFoundError
        If an input or output isn't there, or no version from before is known.
    """
    from dsvc.porcelain.runs.run_environment import current_environment

    if not text.strip():
        raise UsageError("what was done is not said", hint='--manual "labels corrected by hand"')
    if spec.rowwise:
        raise UsageError("what was done by hand can't be tested row by row", hint="leave --rowwise out")
    with begin_run(repo, spec) as recording:
        return recording.finish(manual=text, environment=current_environment(environ or {}))


def execute(
    words: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: str,
    timeout: float | None = None,
    output: int | None = None,
    interactive: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
) -> int:
    """Run a command and return its status, that of a signal negative; other parameters as those of `run`.

    Parameters
    ----------
    meanwhile : callable
        What is to be done beside it.

    Raises
    ------
    CommandFailedError
        If it can't be started.
    CommandTimeoutError
        If it took too long.
    """
    try:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=dict(environ),
            stdout=output,
            process_group=None if interactive else 0,
        )
    except (OSError, ValueError) as error:
        status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandFailedError(
            f"cannot run {words[0][:200]}: {why}; nothing was recorded",
            hint="a command is looked for on the PATH, or by its path from here",
            details={"exit_status": status},
        ) from error
    begun = time.monotonic()
    try:
        meanwhile()
        return process.wait(None if timeout is None else max(0.0, begun + timeout - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        end(process, group=not interactive)
        raise CommandTimeoutError(
            f"{words[0][:200]} took longer than {timeout:g} s and was ended; nothing was recorded",
            hint="what it wrote is kept; --timeout SECONDS gives it more time",
            details={"timeout": timeout},
        ) from error
    except BaseException:
        # Interrupted: nothing that the command started goes on behind the person's back.
        end(process, group=not interactive)
        raise


def end(process: subprocess.Popen[bytes], *, group: bool) -> None:
    """Ask a command, and with `group` all that it started, to end; kill what doesn't."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            if group:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
            if not group:
                return


def _failed(command: Sequence[str], status: int) -> CommandFailedError:
    name = command[0] if len(command[0]) <= 60 else command[0][:60] + "…"
    name = f"'{name}'" if " " in name else name
    if status < 0:
        try:
            how = f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            how = f"was ended by signal {-status}"
    else:
        how = f"ended with status {status}"
    return CommandFailedError(
        f"{name} {how}; nothing was recorded",
        hint="what it wrote is kept",
        details={"exit_status": status if status > 0 else 128 - status},
    )


__all__ = ["CommandFailedError", "CommandTimeoutError", "execute", "run", "run_manual"]
