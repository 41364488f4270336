"""What is asked of a repair: one action, with the bytes of the files that it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from blake3 import blake3

from dsvc.fs.files import storage_error
from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import MalformedInputError, NotFoundError, UsageError
from dsvc.model.paths import check_structure, display_path
from dsvc.model.repair import Action, ActionKind, Scope
from dsvc.porcelain.records.operation_chain import MAX_PART_BYTES
from dsvc.porcelain.records.repair_chain import CODE, FILES
from dsvc.porcelain.runs.known_run import find_run
from dsvc.porcelain.state.workspace import Workspace

_OPTIONS: Final = "--drop, --set, --patch, --relabel, --exclude-source, --withdraw-source, --rerun"


class RepairRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a repair.

    Attributes
    ----------
    scope : Scope
    causes : tuple of str
        Causes whose rows are taken, as ``KIND ID``; none: those that the ranking names.
    at : bytes or None
        Artifact that is changed in place of the flagged one, an ancestor of it.
    drop : bool
    values : mapping of str to str
        New values by column.
    patch, relabel : str or None
        Paths of files.
    key : tuple of str
        Columns by which these name rows.
    exclude_source, withdraw_source : str or None
        Id of a source.
    rerun : str or None
        Id or name of a run.
    parameters : mapping of str to str
        New values of its parameters.
    code : mapping of bytes to str
        Files of its code, each with the path of the new one.
    """

    scope: Scope = Scope.FLAGGED
    causes: tuple[str, ...] = ()
    at: bytes | None = None
    drop: bool = False
    values: Mapping[str, str] = {}
    patch: str | None = None
    relabel: str | None = None
    key: tuple[str, ...] = ()
    exclude_source: str | None = None
    withdraw_source: str | None = None
    rerun: str | None = None
    parameters: Mapping[str, str] = {}
    code: Mapping[bytes, str] = {}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An action, and what it needs.

    Attributes
    ----------
    action : Action
    file : bytes
        Of a patch or a table of values: its bytes.
    code : mapping of bytes to bytes
        New bytes of code files.
    """

    action: Action
    file: bytes = b""
    code: Mapping[bytes, bytes] = {}

    def kept(self) -> dict[bytes, bytes]:
        """Bytes that the repair keeps, by their place in its state."""
        found = {CODE + b"/" + path: data for path, data in self.code.items()}
        if self.action.file is not None:
            found[FILES + b"/" + self.action.file.encode()] = self.file
        return found


def asked_of(repo: Workspace, request: RepairRequest) -> Asked:
    """Take the one action out of a request, and read the files that it needs.

    Raises
    ------
    UsageError
        If there is none, or more than one; if it can't be what is asked.
    NotFoundError
        If there is no such file or run.
    MalformedInputError
        If a file is too long.
    """
    given = {
        ActionKind.DROP: request.drop,
        ActionKind.SET: bool(request.values),
        ActionKind.PATCH: request.patch is not None,
        ActionKind.RELABEL: request.relabel is not None,
        ActionKind.EXCLUDE_SOURCE: request.exclude_source is not None,
        ActionKind.WITHDRAW_SOURCE: request.withdraw_source is not None,
        ActionKind.RERUN: request.rerun is not None,
    }
    kinds = [kind for kind, is_given in given.items() if is_given]
    if len(kinds) != 1:
        what = "it does nothing" if not kinds else f"{kinds[0]} and {kinds[1]} are two repairs"
        raise UsageError(f"a repair does one thing: {what}", hint=f"one of {_OPTIONS}")
    (kind,) = kinds
    if request.key and kind not in (ActionKind.PATCH, ActionKind.RELABEL):
        raise UsageError("a key is for a patch or a table of values", hint="--patch or --relabel")
    if (request.parameters or request.code) and kind is not ActionKind.RERUN:
        raise UsageError("parameters and code are those of a run", hint="--rerun RUN")
    if kind in (ActionKind.PATCH, ActionKind.RELABEL):
        path = request.patch if request.patch is not None else request.relabel
        assert path is not None
        name = os.fsencode(os.path.basename(path)).decode(errors="replace")
        check_structure(name.encode())
        return Asked(action=Action(kind=kind, file=name, key=request.key), file=_read(path))
    if kind is ActionKind.RERUN:
        return _rerun(repo, request)
    source = request.exclude_source if request.exclude_source is not None else request.withdraw_source
    return Asked(action=Action(kind=kind, values=request.values, source=source))


def _rerun(repo: Workspace, request: RepairRequest) -> Asked:
    if request.at is not None:
        raise UsageError("a run is done again where it was", hint="leave --at out")
    tree = find_run(repo, request.rerun or "")
    if not request.parameters and not request.code:
        raise UsageError(
            f"run {tree.id.short()} ({tree.run.name}) would do the same again",
            hint="--param NAME=VALUE or --code PATH=FILE",
        )
    _check_parameters(tree, request)
    known = {entry.path for entry in tree.code_files()}
    for path in request.code:
        if path not in known:
            names = ", ".join(sorted(map(display_path, known))[:10]) or "none"
            raise UsageError(
                f"{display_path(path)} is no code of run {tree.id.short()} ({tree.run.name})",
                hint=f"its code files are {names}",
            )
    code = {path: _read(file) for path, file in sorted(request.code.items())}
    action = Action(
        kind=ActionKind.RERUN,
        run=tree.id.hex(),
        parameters=request.parameters,
        code={os.fsdecode(path): blake3(data).hexdigest() for path, data in code.items()},
    )
    return Asked(action=action, code=code)


def _check_parameters(tree: RunTree, request: RepairRequest) -> None:
    """Refuse names that the run doesn't have; new code may read new ones."""
    unknown = [name for name in request.parameters if name not in tree.run.parameters]
    if unknown and not request.code:
        raise UsageError(
            f"run {tree.id.short()} ({tree.run.name}) has no parameter {unknown[0][:80]}",
            hint=f"its parameters are {', '.join(tree.run.parameters) or 'none'}",
        )


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_PART_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no file {path}", details={"path": path}) from error
    except OSError as error:
        raise storage_error(error, "read", path) from error
    if len(data) > MAX_PART_BYTES:
        raise MalformedInputError(f"{path} has more than {MAX_PART_BYTES >> 20} MiB", details={"path": path})
    return data


def cause_words(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Take causes apart that are written as ``KIND ID``.

    Raises
    ------
    UsageError
        If one isn't.
    """
    found = []
    for text in texts:
        kind, _, id_ = text.strip().partition(" ")
        if not id_.strip():
            raise UsageError(f"{text[:80]!r} is no cause", hint="as defect show writes it: annotator ann-07")
        found.append((kind, id_.strip()))
    return found
