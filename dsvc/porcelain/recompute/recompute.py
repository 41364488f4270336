"""A recorded run done again on changed inputs: only where they changed, if it is row-wise, else as a whole.

A row-wise run is carried out on tables of the affected rows alone. Rows that it made of others stay, byte for
byte in text formats; what it makes of the affected ones takes the places of what it made of them before. The
new run's row maps are the old ones renumbered, and those of the few rows.

The caller holds `Workspace.changing`, or at least the store's lock as a writer among others, from the first
call on until something that gc looks at names the runs: what is stored here is named by nothing. A lock on
the working tree isn't needed, since it is neither read nor written. What an error leaves behind is garbage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from dsvc.porcelain.recompute.recompute_command import NotItsCodeError, ParameterNotTakenError, command_of
from dsvc.porcelain.recompute.recompute_correspondence import (
    Correspondence,
    NewArtifact,
    correspondence_of_splice,
    correspondence_of_versions,
)
from dsvc.porcelain.recompute.recompute_edit import Edited, Edits, ValueMisfitError, edit_artifact
from dsvc.porcelain.recompute.recompute_rows import run_rows, why_whole
from dsvc.porcelain.recompute.recompute_splice import NotSplicedError
from dsvc.porcelain.recompute.recompute_whole import run_whole
from dsvc.porcelain.runs.run_storage import RunResult
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.lineage.run_tree import RunTree
    from dsvc.porcelain.runs.rerun import Carrier


class Recomputed(NamedTuple):
    """A run that was done again.

    Attributes
    ----------
    run : RunResult
        The new run: stored, and named by nothing yet.
    outputs : tuple of NewArtifact
        What it made, in the order of its record. One that came out as it was has the identity.
    rows_recomputed : int
        Rows that the command was given of inputs that take part; of a whole run all of them.
    whole : bool
        Whether it was done on all rows.
    because : str
        Why it was, where it was not asked for.
    """

    run: RunResult
    outputs: tuple[NewArtifact, ...]
    rows_recomputed: int
    whole: bool
    because: str = ""


def recompute(
    repo: Workspace,
    run: RunTree,
    new_inputs: Mapping[int, NewArtifact],
    how: Carrier,
    *,
    parameters: Mapping[str, str] | None = None,
    code: Mapping[bytes, bytes] | None = None,
) -> Recomputed:
    """Do a run again on other versions of its inputs, or with other parameters or code.

    Parameters
    ----------
    run : RunTree
        The run as it was recorded.
    new_inputs : mapping of int to NewArtifact
        What changed, by the place of the input in the run's record; all others are as they were. An input
        that is as it was, with a correspondence that calls some rows changed, chooses these: other parameters
        or code are for them alone then.
    how : Carrier
        How the command is carried out.
    parameters : mapping of str to str or None
        New values of parameters by name.
    code : mapping of bytes to bytes or None
        New bytes of code files by path.

    Raises
    ------
    NotRepeatableError
        If the run has no command that can run.
    ParameterNotTakenError, NotItsCodeError
        If a parameter or a file is none of its.
    RerunFailedError, CommandFailedError, CommandTimeoutError
        If the command fails.
    OutputMissingError
        If it did not make what it made before.
    MissingDataError, ErasedError, CorruptDataError
        If what was recorded can't be had.
    """
    repo.store.publish()
    try:
        command = command_of(repo, run, parameters, code)
        try:
            done = run_rows(repo, run, new_inputs, command, how)
            return Recomputed(done.result, done.outputs, done.rows, whole=False)
        except NotSplicedError as error:
            because = str(error)
        result, outputs = run_whole(repo, run, new_inputs, command, how)
        rows = sum(each.records or 0 for each in result.run.inputs if each.fates is not None)
        return Recomputed(result, outputs, rows, whole=True, because=because)
    except BaseException:
        repo.store.abandon()
        raise


__all__ = [
    "Correspondence",
    "Edited",
    "Edits",
    "NewArtifact",
    "NotItsCodeError",
    "ParameterNotTakenError",
    "Recomputed",
    "ValueMisfitError",
    "correspondence_of_splice",
    "correspondence_of_versions",
    "edit_artifact",
    "recompute",
    "why_whole",
]
