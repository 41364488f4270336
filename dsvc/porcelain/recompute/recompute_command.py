"""The command of a recorded run, once more: with other parameters, with other code, in a scratch folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import blake3
import msgspec

from dsvc.model.errors import UsageError
from dsvc.model.manifest import MODE_FILE, Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import Agent, Code, CodeFile, Environment
from dsvc.porcelain.runs.rerun import Carrier, failed_again, repeatable
from dsvc.porcelain.runs.run import PARAMETER
from dsvc.porcelain.runs.run_code import code_digest, command_words
from dsvc.porcelain.runs.run_environment import EnvironmentProbe
from dsvc.porcelain.runs.run_facts import NOTES
from dsvc.porcelain.runs.run_recording import now
from dsvc.porcelain.runs.run_storage import RunDraft
from dsvc.porcelain.runs.scratch_command import execute_in_scratch, make_run_folders
from dsvc.porcelain.state.redaction import redacted_mapping, redacted_words
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.store.materialize import read_content

if TYPE_CHECKING:
    from dsvc.lineage.run_tree import RunTree
    from dsvc.porcelain.runs.scratch import Scratch


class ParameterNotTakenError(UsageError):
    """A parameter of a run can't be changed: the run has none of this name, or doesn't take it from dsvc."""

    code: ClassVar[str] = "parameter-not-taken"


class NotItsCodeError(UsageError):
    """A file is no code of a run, so that the run can't be done again with another version of it."""

    code: ClassVar[str] = "not-its-code"


class Command(NamedTuple):
    """What is carried out.

    Attributes
    ----------
    words : tuple of str
        Words of the command, with the parameters that it has now.
    parameters : mapping of str to str
        All of them.
    files : tuple of Entry
        Its code files, stored.
    code : Code
        For the record.
    patch : bytes or None
        Changes that the checkout of the recorded code had.
    changed : bool
        Whether parameters or code differ from the recorded ones.
    """

    words: tuple[str, ...]
    parameters: Mapping[str, str]
    files: tuple[Entry, ...]
    code: Code
    patch: bytes | None
    changed: bool


def command_of(
    repo: Workspace,
    tree: RunTree,
    parameters: Mapping[str, str] | None = None,
    code: Mapping[bytes, bytes] | None = None,
) -> Command:
    """Put together what a run's command is, with some parameters and code files changed.

    A parameter is given to the command in its environment, as `run.run` does, and where its
    words hold the old value by name: ``--K V``, ``--K=V``, ``K=V``. One of the two must be there.

    Parameters
    ----------
    parameters : mapping of str to str or None
        New values by name.
    code : mapping of bytes to bytes or None
        New bytes of code files by path.

    Raises
    ------
    NotRepeatableError
        If the run has no command that can run.
    ParameterNotTakenError
        If it has no such parameter, or nothing of it says that it takes it.
    NotItsCodeError
        If a file is none of its code files.
    """
    record, words = tree.run, repeatable(tree)
    files = tree.code_files()
    changed_code = _changed_code(repo, tree, files, code or {})
    files = [changed_code.get(each.path, each) for each in files]
    values = dict(record.parameters)
    for name, value in (parameters or {}).items():
        if name not in values:
            raise _not_taken(tree, name, f"it has {_listed(values)}")
        if values[name] == value:
            continue
        replaced = with_parameter(words, name, values[name], value)
        if replaced == words and not _reads_environment(repo, words, files, name):
            raise _not_taken(tree, name, "neither its command nor its code takes it from there")
        words, values[name] = replaced, value
    is_changed = values != dict(record.parameters) or bool(changed_code)
    patch = tree.part(b"patch")
    known = record.code
    if is_changed:
        names = tuple(CodeFile(each.path, each.digest) for each in files)
        known = msgspec.structs.replace(
            known,
            dirty=known.dirty or (bool(changed_code) and known.commit is not None),
            files=names,
            digest=code_digest(redacted_words(words), names, known.commit, patch),
        )
    return Command(words, values, tuple(files), known, patch, is_changed)


def _changed_code(
    repo: Workspace, tree: RunTree, files: Sequence[Entry], code: Mapping[bytes, bytes]
) -> dict[bytes, Entry]:
    known = {each.path: each for each in files}
    found = {}
    for path, data in code.items():
        if path not in known:
            names = ", ".join(display_path(each) for each in known) or "none"
            raise NotItsCodeError(
                f"{display_path(path)} is no code of run {tree.id.short()} ({tree.run.name})",
                hint=f"its code files are: {names}",
                details={"run": tree.id.hex(), "path": display_path(path)},
            )
        if blake3.blake3(data).digest() != known[path].digest:
            found[path] = entry_of_bytes(repo.store, path, known[path].mode or MODE_FILE, data)
    if found:
        repo.store.publish()
    return found


# Parameters


def with_parameter(words: Sequence[str], name: str, old: str, new: str) -> tuple[str, ...]:
    """Words of a command in which the value of an option has changed, where they name it with the old one."""
    if len(words) == 1:
        return (_in_line(words[0], name, old, new),)
    option = re.compile(rf"(?P<start>-{{0,2}}{_either_way(name)}=)(?P<value>.*)", re.DOTALL)
    alone = re.compile(rf"--?{_either_way(name)}")
    found: list[str] = []
    for word in words:
        match = option.fullmatch(word)
        if match is not None and match["value"] == old:
            found.append(match["start"] + new)
        elif word == old and found and alone.fullmatch(found[-1]):
            found.append(new)
        else:
            found.append(word)
    return tuple(found)


def _in_line(line: str, name: str, old: str, new: str) -> str:
    """The same in a line for the shell."""
    value = r"(?P<value>'[^']*'|\"[^\"\\$`]*\"|[^\s'\"|&;<>()$`\\]+)(?![^\s|&;<>()])"
    pattern = re.compile(
        rf"(?P<start>(?<![\w-])(?:-{{0,2}}{_either_way(name)}=|--?{_either_way(name)}\s+)){value}"
    )

    def replaced(match: re.Match[str]) -> str:
        said = match["value"]
        plain = said[1:-1] if said[0] in "'\"" else said
        return match["start"] + shlex.quote(new) if plain == old else match[0]

    return pattern.sub(replaced, line)


def _either_way(name: str) -> str:
    """A pattern for a name, whichever of ``-`` and ``_`` is in it."""
    return "[-_]".join(map(re.escape, re.split("[-_]", name)))


def _reads_environment(repo: Workspace, words: Sequence[str], files: Sequence[Entry], name: str) -> bool:
    """Whether a command or its code speaks of parameters in the environment."""
    if any(PARAMETER + name in word for word in words):
        return True
    return any(PARAMETER.encode() in read_content(repo.store, each) for each in files)


def _not_taken(tree: RunTree, name: str, why: str) -> ParameterNotTakenError:
    return ParameterNotTakenError(
        f"parameter {name[:80]!r} of run {tree.id.short()} ({tree.run.name}) can't be changed: {why}",
        hint=f"a command takes a parameter as --{name[:80]} VALUE, or from {PARAMETER}{name[:80]}",
        details={"run": tree.id.hex(), "parameter": name},
    )


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(list(values)[:20]) or "no parameters"


# Carrying it out


class Done(NamedTuple):
    """A command that was carried out: when, and where."""

    started_at: str
    ended_at: str
    environment: Environment


def carry_out(repo: Workspace, tree: RunTree, command: Command, scratch: Scratch, how: Carrier) -> Done:
    """Carry a command out in a scratch folder in which all that it reads is.

    Raises
    ------
    RerunFailedError
        If it fails.
    CommandFailedError, CommandTimeoutError
        If it can't be started, or takes too long.
    """
    record = tree.run
    if how.announce is not None:
        how.announce(command.words)
    make_run_folders(scratch, record)
    probe = EnvironmentProbe(command_words(command.words), how.environ, scratch.path(record.asked.folder))
    started = now()
    try:
        status = execute_in_scratch(
            repo,
            scratch,
            command.words,
            folder=record.asked.folder,
            environ=how.environ,
            seed=record.seed,
            parameters=command.parameters,
            timeout=how.timeout,
            output=how.output,
            interactive=how.interactive,
        )
        ended = now()
        if status:
            raise failed_again(tree, status)
        return Done(started, ended, probe.result())
    finally:
        probe.close()


def drafted(
    repo: Workspace, tree: RunTree, command: Command, done: Done, notes: Mapping[str, str]
) -> RunDraft:
    """Record of a run that was done again, before its artifacts are looked at.

    Parameters
    ----------
    notes : mapping of str to str
        What is to be noted among its facts.
    """
    record, who = tree.run, repo.signature()
    facts = {name: value for name, value in record.facts.items() if name not in NOTES}
    fields: dict[str, Any] = {name: getattr(record, name) for name in RunDraft.__struct_fields__}
    return RunDraft(
        **{
            **fields,
            "command": redacted_words(command.words),
            "parameters": redacted_mapping(command.parameters),
            "code": command.code,
            "environment": done.environment,
            "facts": {**facts, **notes},
            "agent": Agent(who.name, who.email),
            "started_at": done.started_at,
            "ended_at": done.ended_at,
            "exit_status": 0,
        }
    )
