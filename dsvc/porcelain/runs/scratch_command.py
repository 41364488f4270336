"""A command in a scratch folder: the words and the environment that it has in the working tree, but there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from dsvc.model.run_record import Run
from dsvc.porcelain.runs.run import execute, own_variables
from dsvc.porcelain.runs.run_code import command_words
from dsvc.porcelain.runs.scratch import Scratch
from dsvc.porcelain.state.workspace import Workspace


def execute_in_scratch(
    repo: Workspace,
    scratch: Scratch,
    command: Sequence[str],
    *,
    folder: bytes,
    environ: Mapping[str, str],
    seed: str | None,
    parameters: Mapping[str, str],
    timeout: float | None = None,
    output: int | None = None,
    interactive: bool = False,
    through: Sequence[str] = (),
) -> int:
    """Run a command of a run in a scratch folder; returns its status.

    Parameters
    ----------
    folder : bytes
        Where in the working tree it ran.
    seed : str or None
        Of its random numbers.
    parameters : mapping of str to str
        Of the run; the command finds them in its environment.
    through : sequence of str
        Words of a program that carries the command out.

    Raises
    ------
    CommandFailedError, CommandTimeoutError
        If it can't be started, or takes too long.
    """
    scratch.make_folders([folder])
    return execute(
        [*through, *_words(repo, scratch, command_words(command), folder)],
        environ={**environ, **own_variables(scratch.notes, scratch.tree, seed, parameters)},
        folder=scratch.path(folder),
        timeout=timeout,
        output=output,
        interactive=interactive,
    )


def make_run_folders(scratch: Scratch, record: Run) -> None:
    """Make the folders that a run finds when its command begins: where it runs, and those of its outputs."""
    outputs = (each.path if each.folder else each.path.rpartition(b"/")[0] for each in record.outputs)
    scratch.make_folders([record.asked.folder, *outputs])


def _words(repo: Workspace, scratch: Scratch, words: Sequence[str], folder: bytes) -> list[str]:
    """Words of a command, with what they name by its whole path where it stands in the scratch folder."""
    found = [_moved(repo.root, scratch.tree, word) for word in words]
    program = found[0]
    if "/" in program and not os.path.lexists(os.path.join(scratch.path(folder), program)):
        # An interpreter that lies in the working tree is no code: it is used from there.
        found[0] = os.path.join(repo.root, os.fsdecode(folder), program)
    return found


def _moved(root: str, tree: str, word: str) -> str:
    """Lead a whole path into the scratch folder, where what it names, or the folder of it, is there."""
    if not word.startswith(root + "/"):
        return word
    path = os.path.join(tree, word[len(root) + 1 :])
    return path if os.path.lexists(path) or os.path.isdir(os.path.dirname(path)) else word
