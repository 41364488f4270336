"""What the graph needs of a run: its artifacts and counts, without command, code and environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import CorruptDataError
from dsvc.model.run_record import Artifact, Capture, Input, Output, Role, RunId, RunKind

_MAPS: Final = b"maps"


class ArtifactSummary(msgspec.Struct, frozen=True, array_like=True):
    """An input or an output of a run.

    Attributes
    ----------
    path, digest, folder, records
        As of `dsvc.model.run_record.Artifact`.
    listing : bytes
        Root of the manifest of a folder's files; empty for a file.
    lookup : bool
        Whether it was an input as a whole only.
    by_row : bool
        Whether it is known of its rows, what they became or where they came from.
    added : int
        Rows of an output without a parent.
    """

    path: bytes
    digest: bytes
    folder: bool
    records: int | None
    listing: bytes = b""
    lookup: bool = False
    by_row: bool = False
    added: int = 0


class RunSummary(msgspec.Struct, frozen=True, array_like=True):
    """A run.

    Attributes
    ----------
    id : bytes
        Its `RunId`.
    again : bool
        Whether it has a command that can be run again.
    rows : mapping of str to int
        Rows by fate, as `dsvc.model.run_record.Run.rows`.
    maps : tuple of (int, int)
        Row maps that it has: output, input.
    """

    id: bytes
    name: str
    kind: RunKind
    started_at: str
    ended_at: str
    again: bool
    complete: bool
    grade: str | None
    inputs: tuple[ArtifactSummary, ...]
    outputs: tuple[ArtifactSummary, ...]
    rows: Mapping[str, int]
    drops: Mapping[str, int]
    maps: tuple[tuple[int, int], ...]

    @property
    def run_id(self) -> RunId:
        """Its id."""
        return RunId(self.id)

    @property
    def order(self) -> tuple[str, str, bytes]:
        """Sorts runs by the time when they ended."""
        return self.ended_at, self.started_at, self.id


def summarise(tree: RunTree) -> RunSummary:
    """Read what the graph needs of a run.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the run can't be read.
    """
    run = tree.run
    return RunSummary(
        id=bytes(tree.id),
        name=run.name,
        kind=run.kind,
        started_at=run.started_at,
        ended_at=run.ended_at,
        again=bool(run.command),
        complete=run.complete,
        grade=run.grade,
        inputs=tuple(_artifact(tree, b"inputs/%d" % n, each) for n, each in enumerate(run.inputs)),
        outputs=tuple(_artifact(tree, b"outputs/%d" % n, each) for n, each in enumerate(run.outputs)),
        rows=run.rows,
        drops=dict(run.drops),
        maps=tuple(_pair(tree, path) for path in tree.parts(_MAPS)),
    )


def _artifact(tree: RunTree, place: bytes, artifact: Artifact) -> ArtifactSummary:
    listing = b""
    if artifact.folder:
        entry = tree.entry(place)
        if entry is None or not entry.is_tree:
            raise CorruptDataError(f"run {tree.id.short()} lacks {place.decode()}")
        listing = entry.digest
    lookup = isinstance(artifact, Input) and artifact.role is Role.LOOKUP
    by_row = isinstance(artifact, Input) and artifact.fates is not None
    added = 0
    if isinstance(artifact, Output):
        by_row = artifact.capture is not Capture.NONE
        added = artifact.added
    return ArtifactSummary(
        artifact.path, artifact.digest, artifact.folder, artifact.records, listing, lookup, by_row, added
    )


def _pair(tree: RunTree, path: bytes) -> tuple[int, int]:
    output, _, input_ = path.removeprefix(_MAPS + b"/").partition(b"-")
    if not (output.isdigit() and input_.isdigit()):
        raise CorruptDataError(
            f"run {tree.id.short()} has a row map of no artifacts", details={"part": repr(path)}
        )
    return int(output), int(input_)
