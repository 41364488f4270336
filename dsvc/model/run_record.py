"""The record of a run: one execution of a step, its inputs and outputs, and what became of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import Digest
from dsvc.model.paths import check_structure

FORMAT: Final = 1


class RunId(Digest):
    """Root of the manifest that holds everything recorded of a run; names it."""

    __slots__ = ()


class RunKind(StrEnum):
    """What a run does; the last row is what dsvc records of its own verbs."""

    INGEST = "ingest"
    FILTER = "filter"
    DEDUP = "dedup"
    REDACT = "redact"
    CLEAN = "clean"
    AUGMENT = "augment"
    SYNTHESIZE = "synthesize"
    LABEL = "label"
    REVIEW = "review"
    MIX = "mix"
    SPLIT = "split"
    REPAIR = "repair"
    TRANSFORM = "transform"
    MERGE = "merge"
    RESOLVE = "resolve"
    REVERT = "revert"
    APPLY = "apply"
    NORMALIZE = "normalize"


MAY_ADD: Final = frozenset({RunKind.INGEST, RunKind.AUGMENT, RunKind.SYNTHESIZE})
"""Kinds whose output rows need no parent."""
NEEDS_NO_INPUT: Final = frozenset({RunKind.INGEST, RunKind.SYNTHESIZE})
OWN_KINDS: Final = frozenset(
    {RunKind.MERGE, RunKind.RESOLVE, RunKind.REVERT, RunKind.APPLY, RunKind.NORMALIZE}
)
"""Kinds that dsvc's own verbs record, and no person asks for."""


class Capture(StrEnum):
    """How it is known which rows became which; `NONE` where no artifact has rows."""

    CARRIED = "carried"
    MAP = "map"
    KEY = "key"
    CONTENT = "content"
    NONE = "none"


class Role(StrEnum):
    """What an input is for: its rows are accounted for, or it is looked things up in as a whole."""

    INPUT = "input"
    LOOKUP = "lookup"


class Fates(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of an input had which fate; each row has exactly one."""

    kept: int = 0
    changed: int = 0
    merged: int = 0
    split: int = 0
    dropped: int = 0

    @property
    def total(self) -> int:
        """Number of rows."""
        return self.kept + self.changed + self.merged + self.split + self.dropped


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or the files of a folder, at one content.

    Attributes
    ----------
    path : bytes
        Relative to the working tree; of a folder without a ``/`` at the end.
    digest : bytes
        BLAKE3-256 of a file's bytes; of a folder, of its listing (`dsvc.lineage.artifacts.folder_digest`).
    folder : bool
        Whether it is a folder's files; its records are files then, in order of their paths.
    size : int
        Bytes.
    records : int or None
        Rows of a table, files of a folder; None for any other file.
    """

    path: bytes
    digest: bytes
    folder: bool = False
    size: int = 0
    records: int | None = None


class Input(Artifact, frozen=True, kw_only=True):
    """An artifact that a run read.

    Attributes
    ----------
    role : Role
    key : tuple of str
        Columns that its rows were known by.
    fates : Fates or None
        None for a lookup and for what has no records.
    duplicate_keys : int
        Rows whose key other rows of it have too.
    """

    role: Role = Role.INPUT
    key: tuple[str, ...] = ()
    fates: Fates | None = None
    duplicate_keys: int = 0


class Output(Artifact, frozen=True, kw_only=True):
    """An artifact that a run made.

    Attributes
    ----------
    key : tuple of str
        Columns that its rows were known by.
    added : int
        Rows without a parent.
    capture : Capture
        How its rows' parents are known.
    """

    key: tuple[str, ...] = ()
    added: int = 0
    capture: Capture = Capture.NONE


class CodeFile(msgspec.Struct, frozen=True):
    """A file of the working tree that the command names: path and BLAKE3-256."""

    path: bytes
    digest: bytes


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """With which code a run was made.

    Attributes
    ----------
    commit : str or None
        Commit of the git checkout around the working tree, None where there is none.
    dirty : bool
        Whether that checkout had changes, kept as ``patch`` of the run.
    files : tuple of CodeFile
        What the command names.
    digest : bytes
        BLAKE3-256 over command, code files, commit and dirty patch: equal for the same code.
    """

    commit: str | None = None
    dirty: bool = False
    files: tuple[CodeFile, ...] = ()
    digest: bytes = bytes(32)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run ran: interpreter, platform, packages, and variables with secrets taken out."""

    dsvc: str = ""
    python: str = ""
    platform: str = ""
    packages: Mapping[str, str] = {}
    variables: Mapping[str, str] = {}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was asked to do, so that it can be done again.

    Attributes
    ----------
    inputs, lookups, outputs : tuple of bytes
        Paths as they were given; a folder stands for its files, which may be others the next time.
    keys : tuple of (bytes or None, tuple of str)
        Key columns by path; None: of every artifact that has them.
    renamed : mapping of str to str
        New names of key columns by their old ones.
    drop_reason : str or None
        Why rows are dropped, where nothing else says.
    folder : bytes
        Where in the working tree the command ran.
    """

    inputs: tuple[bytes, ...] = ()
    lookups: tuple[bytes, ...] = ()
    outputs: tuple[bytes, ...] = ()
    keys: tuple[tuple[bytes | None, tuple[str, ...]], ...] = ()
    renamed: Mapping[str, str] = {}
    drop_reason: str | None = None
    folder: bytes = b""


class Agent(msgspec.Struct, frozen=True):
    """Who ran it."""

    name: str
    email: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a step.

    Attributes
    ----------
    name : str
        Name of the step.
    kind : RunKind
    command : tuple of str
        Words of the command; empty for `manual` and for steps in Python.
    manual : str or None
        What a person or another tool did, in words.
    parameters : mapping of str to str
        By name.
    facts : mapping of str to str
        What its kind asks for: annotator, reviewer, rules, tool, agreement, batch; generator, version, …
    seed : str or None
        Of its random numbers.
    inputs, outputs : tuple
        Artifacts; row maps and accounts name them by their place here.
    asked : Asked
        What it was told to read and make, and how.
    drops : mapping of str to int
        Rows dropped, by reason.
    duplicate_keys : int
        Rows of inputs and outputs whose key is not theirs alone.
    capture : Capture
        How row identity was kept: the weakest way over all outputs with records.
    complete : bool
        Whether every row is accounted for.
    problems : tuple of str
        Why it isn't complete.
    rowwise : bool
        Whether each input row's outputs depend on it, parameters, code and lookups only (tested).
    started_at, ended_at : str
        RFC 3339 with milliseconds and Z.
    exit_status : int
        Of the command.
    grade : str or None
        Classification of its outputs, where it was stated.
    declassified : str or None
        Why that may be lower than its inputs', and who approved it.
    """

    name: str
    kind: RunKind
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    code: Code
    environment: Environment
    agent: Agent
    started_at: str
    ended_at: str
    asked: Asked = Asked()
    format: int = FORMAT
    command: tuple[str, ...] = ()
    manual: str | None = None
    parameters: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}
    seed: str | None = None
    drops: Mapping[str, int] = {}
    duplicate_keys: int = 0
    capture: Capture = Capture.NONE
    complete: bool = True
    problems: tuple[str, ...] = ()
    rowwise: bool = False
    exit_status: int = 0
    grade: str | None = None
    declassified: str | None = None

    @property
    def rows(self) -> dict[str, int]:
        """Count rows by fate over all inputs, and those added over all outputs."""
        counts = dict.fromkeys(("kept", "changed", "merged", "split", "dropped"), 0)
        for each in self.inputs:
            for name in counts if each.fates is not None else ():
                counts[name] += getattr(each.fates, name)
        return {**counts, "added": sum(output.added for output in self.outputs)}


def encode_run(run: Run) -> bytes:
    """Encode a run; names of mappings are sorted, so that one run has one encoding."""
    environment = msgspec.structs.replace(
        run.environment,
        packages=_sorted(run.environment.packages),
        variables=_sorted(run.environment.variables),
    )
    return encode(
        msgspec.structs.replace(
            run,
            environment=environment,
            asked=msgspec.structs.replace(run.asked, renamed=_sorted(run.asked.renamed)),
            parameters=_sorted(run.parameters),
            facts=_sorted(run.facts),
            drops=dict(sorted(run.drops.items())),
        )
    )


def decode_run(data: bytes) -> Run:
    """Decode what `encode_run` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    run = decode(data, Run, "record of a run")
    if run.format != FORMAT:
        raise MalformedInputError(f"a run of format {run.format}; this dsvc reads {FORMAT}")
    for artifact in (*run.inputs, *run.outputs):
        if artifact.path:
            check_structure(artifact.path)
        if len(artifact.digest) != 32:
            raise MalformedInputError("a run names an artifact by a digest of a wrong length")
    asked = run.asked
    for path in (*asked.inputs, *asked.lookups, *asked.outputs, asked.folder):
        if path:
            check_structure(path)
    return run


def _sorted(mapping: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(mapping.items()))
