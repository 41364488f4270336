"""Whether a stored run holds what its record says: artifacts, code, row maps, accounts of rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dsvc.lineage.artifacts import folder_artifact
from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.source_tree import OPERATION, SourceTree
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Artifact, Capture, Fates, Input, Output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsvc.lineage.links import Links

    Numbers = NDArray[np.int64]

_MAP = re.compile(rb"maps/(0|[1-9]\d{0,5})-(0|[1-9]\d{0,5})")


class Flaw(StrEnum):
    """What is wrong with a run or a source."""

    RECORD = "record"
    ARTIFACT = "artifact"
    MAP = "map"
    ACCOUNT = "account"
    EVIDENCE = "evidence"


class Flawed(NamedTuple):
    """Something in a run or a source that isn't right; `error` where it could not even be read."""

    flaw: Flaw
    message: str
    error: DsvcError | None = None


def check_run(tree: RunTree) -> Iterator[Flawed]:
    """Compare a run's parts with its record; goes on after what is wrong."""
    try:
        run = tree.run
    except DsvcError as error:
        yield Flawed(Flaw.RECORD, error.message, error)
        return
    for number, each in enumerate(run.inputs):
        yield from _artifact(tree, f"inputs/{number}", each, partial(tree.input_files, number))
    for number, made in enumerate(run.outputs):
        yield from _artifact(tree, f"outputs/{number}", made, partial(tree.output_files, number))
    for file in run.code.files:
        entry = tree.entry(b"code/" + file.path)
        if entry is None or entry.digest != file.digest:
            yield Flawed(Flaw.ARTIFACT, f"code file {file.path[:200]!r} is not the one that the record names")
    yield from _rows(tree)


def _artifact(
    tree: RunTree, name: str, artifact: Artifact, files: Callable[[], list[Entry]]
) -> Iterator[Flawed]:
    try:
        entries = tree.listing(name.encode(), artifact) if artifact.folder else files()
    except DsvcError as error:
        yield Flawed(Flaw.ARTIFACT, f"{name}: {error.message}", error)
        return
    if artifact.folder:
        found = folder_artifact(artifact.path, entries)
        same = (found.digest, found.size, found.records) == (
            artifact.digest,
            artifact.size,
            artifact.records,
        )
    else:
        same = (entries[0].digest, entries[0].size) == (artifact.digest, artifact.size)
    if not same:
        yield Flawed(Flaw.ARTIFACT, f"{name} is not the artifact that the record names")


# Rows


class _Tally:
    """Counts what the maps of an input say: children of each row, and rows that share a child."""

    def __init__(self, records: int) -> None:
        self.records = records
        self._children: list[Numbers] = []
        self._shared: list[Numbers] = []

    def add(self, links: Links) -> None:
        import numpy as np

        self._children.append(links.inputs)
        same = np.zeros(links.size, np.bool_)
        pairs = links.outputs[1:] == links.outputs[:-1]
        same[1:] |= pairs
        same[:-1] |= pairs
        self._shared.append(links.inputs[same])

    def fates(self) -> tuple[Fates, Numbers]:
        """Counts, with what changed counted as kept; and the rows that have a child."""
        import numpy as np

        children = np.concatenate([np.zeros(0, np.int64), *self._children])
        rows, counts = np.unique(children, return_counts=True)
        split = rows[counts > 1]
        shared = np.concatenate([np.zeros(0, np.int64), *self._shared])
        if shared.size:
            shared = _distinct(shared[~np.isin(shared, split)])
        fates = Fates(
            kept=len(rows) - len(split) - len(shared),
            merged=len(shared),
            split=len(split),
            dropped=self.records - len(rows),
        )
        return fates, rows


def _rows(tree: RunTree) -> Iterator[Flawed]:
    run = tree.run
    tallies = {n: _Tally(each.records or 0) for n, each in enumerate(run.inputs) if each.fates is not None}
    with_parents: dict[int, list[Numbers]] = {}
    for path in tree.parts(b"maps"):
        try:
            links, output, input_ = _links(tree, path)
        except DsvcError as error:
            yield Flawed(Flaw.MAP, f"{path.decode(errors='replace')}: {error.message}", error)
            return
        if input_ not in tallies or output >= len(run.outputs):
            yield Flawed(Flaw.MAP, f"{path.decode(errors='replace')} is a row map of no artifacts")
            return
        problem = _out_of_range(links, run.outputs[output], run.inputs[input_])
        if problem:
            yield Flawed(Flaw.MAP, f"{path.decode()}: {problem}")
            return
        tallies[input_].add(links)
        with_parents.setdefault(output, []).append(links.outputs)
    for number, each in enumerate(run.inputs):
        if each.fates is not None:
            yield from _account(tree, number, each, each.fates, tallies[number])
    for number, made in enumerate(run.outputs):
        if made.capture is not Capture.NONE:
            yield from _added(number, made, with_parents.get(number, []))


def _links(tree: RunTree, path: bytes) -> tuple[Links, int, int]:
    from dsvc.lineage.link_file import LinkFile

    match = _MAP.fullmatch(path)
    if match is None:
        raise MalformedInputError("a row map of no artifacts")
    data = tree.part(path)
    assert data is not None
    return LinkFile(data).all(), int(match[1]), int(match[2])


def _out_of_range(links: Links, output: Output, input_: Input) -> str | None:
    for rows, artifact in ((links.outputs, output), (links.inputs, input_)):
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < (artifact.records or 0):
            return f"it names rows beyond the {artifact.records or 0} that there are"
    return None


def _distinct(rows: Numbers) -> Numbers:
    import numpy as np

    # Asked for counts too, numpy sorts, which takes a hundredth of the time that its hash table does.
    return np.unique(rows, return_counts=True)[0]


def _account(tree: RunTree, number: int, each: Input, said: Fates, tally: _Tally) -> Iterator[Flawed]:
    from dsvc.lineage.row_account import decode_account

    name = f"rows/{number}"
    try:
        data = tree.part(name.encode())
        if data is None:
            yield Flawed(Flaw.ACCOUNT, f"{name} is missing")
            return
        account = decode_account(data)
    except DsvcError as error:
        yield Flawed(Flaw.ACCOUNT, f"{name}: {error.message}", error)
        return
    if account.fates != said:
        yield Flawed(Flaw.ACCOUNT, f"{name} counts other fates than the record")
    elif said.total != (each.records or 0):
        yield Flawed(
            Flaw.ACCOUNT, f"{name} accounts for {said.total} rows; the input has {each.records or 0}"
        )
    else:
        import numpy as np

        found, rows = tally.fates()
        counted = Fates(
            kept=said.kept + said.changed, merged=said.merged, split=said.split, dropped=said.dropped
        )
        both = rows.size and account.dropped.size and np.isin(_distinct(account.dropped), rows).any()
        if found != counted or both:
            yield Flawed(Flaw.ACCOUNT, f"{name} says another fate of some rows than the row maps")


def _added(number: int, made: Output, with_parents: list[Numbers]) -> Iterator[Flawed]:
    import numpy as np

    rows = _distinct(np.concatenate([np.zeros(0, np.int64), *with_parents]))
    added = (made.records or 0) - len(rows)
    if added != made.added:
        yield Flawed(
            Flaw.MAP, f"of outputs/{number} {added} rows have no parent; the record says {made.added}"
        )


# Sources


def check_source(tree: SourceTree, name: str) -> Iterator[Flawed]:
    """Compare a source's parts with its record."""
    try:
        record = tree.record
        if record.source_id != name:
            yield Flawed(Flaw.RECORD, f"it is the record of source {record.source_id}")
        for each in record.evidence:
            entry = tree.evidence(each.name)
            if entry is None or (entry.digest, entry.size) != (each.digest, each.size):
                yield Flawed(Flaw.EVIDENCE, f"evidence {each.name} is not the file that the record names")
        if tree.manifest.get(OPERATION) is not None:
            # For its own sake: who did what is as much on record as what came of it.
            _ = tree.operation
    except DsvcError as error:
        yield Flawed(Flaw.RECORD, error.message, error)
