"""What a step in Python is: its run as people write it in a call, and where its code stands."""

from __future__ import annotations

import json
import linecache
import os
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import NamedTuple, TypedDict, Unpack

from dsvc.lineage.carried_tables import PathLike, tree_path
from dsvc.model.errors import MalformedInputError
from dsvc.model.paths import check_structure
from dsvc.porcelain.runs.run_keys import Keys
from dsvc.porcelain.runs.run_spec import RunSpec, kind_of
from dsvc.porcelain.state.workspace import Workspace

KeyColumns = str | Sequence[str]
KeysGiven = KeyColumns | Mapping[PathLike, KeyColumns] | None
"""Key columns of all tables, or by path."""
PathsGiven = PathLike | Sequence[PathLike]


class StepCode(NamedTuple):
    """The code of a step in Python.

    Attributes
    ----------
    files : tuple of bytes
        Files of the working tree.
    source : bytes
        What is in none of them.
    """

    files: tuple[bytes, ...] = ()
    source: bytes = b""


class StepOptions(TypedDict, total=False):
    """What may be said of a step besides its name, inputs and outputs."""

    lookups: PathsGiven
    kind: str | None
    parameters: Mapping[str, object] | None
    facts: Mapping[str, str] | None
    keys: KeysGiven
    renamed: Mapping[str, str] | None
    seed: int | str | None
    drop_reason: str | None
    grade: str | None
    declassified: str | None


def step_spec(
    repo: Workspace, name: str, inputs: PathsGiven, outputs: PathsGiven, **options: Unpack[StepOptions]
) -> RunSpec:
    """Say what a run in Python shall be; see `RunSpec` for what the parameters mean.

    Parameters
    ----------
    inputs, outputs, lookups : path or sequence of paths
        From the root of the working tree, or absolute.
    kind : str or None
        A `RunKind`; None: the one that the name is, else ``transform``.
    parameters : mapping of str to object or None
        Values that are no text are recorded as JSON.
    keys : str, sequence of str, or mapping of path to these, or None
        Key columns of every table that has them, or by path.

    Raises
    ------
    UsageError
        If there is no such kind.
    """
    seed = options.get("seed")
    return RunSpec(
        name=name,
        kind=kind_of(name, options.get("kind")),
        inputs=tree_paths(repo, inputs),
        outputs=tree_paths(repo, outputs),
        lookups=tree_paths(repo, options.get("lookups", ())),
        parameters={each: text_of(value) for each, value in (options.get("parameters") or {}).items()},
        facts=dict(options.get("facts") or {}),
        keys=_keys(repo, options.get("keys")),
        renamed=dict(options.get("renamed") or {}),
        seed=None if seed is None else str(seed),
        drop_reason=options.get("drop_reason"),
        grade=options.get("grade"),
        declassified=options.get("declassified"),
    )


def tree_paths(repo: Workspace, paths: PathsGiven) -> tuple[bytes, ...]:
    """Paths from the root of the working tree."""
    many = [paths] if isinstance(paths, str | bytes | os.PathLike) else paths
    return tuple(tree_path(each, repo.root) for each in many)


def text_of(value: object) -> str:
    """A parameter as the record has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _keys(repo: Workspace, keys: KeysGiven) -> Keys:
    if keys is None:
        return {}
    if isinstance(keys, Mapping):
        return {tree_path(path, repo.root): _columns(each) for path, each in keys.items()}
    return {None: _columns(keys)}


def _columns(key: KeyColumns) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)


def code_of(repo: Workspace, code: CodeType, source: str | None = None) -> StepCode:
    """Find out where code stands: in a file of the working tree, or elsewhere.

    Parameters
    ----------
    source : str or None
        Text of a function; None: all of the file, or of the cell of a notebook.
    """
    name = code.co_filename
    text = "".join(linecache.getlines(name)) if source is None else source
    if not name.startswith("<") and os.path.isfile(name):
        path = os.fsencode(os.path.relpath(os.path.realpath(name), os.path.realpath(repo.root)))
        try:
            check_structure(path)
        except MalformedInputError:
            pass  # outside of the working tree
        else:
            return StepCode((path,), b"" if source is None else source.encode())
    return StepCode((), text.encode("utf-8", "surrogatepass"))


__all__ = [
    "KeysGiven",
    "PathsGiven",
    "StepCode",
    "StepOptions",
    "code_of",
    "step_spec",
    "text_of",
    "tree_path",
    "tree_paths",
]
