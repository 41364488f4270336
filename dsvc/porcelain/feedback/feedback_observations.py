"""Observations as they are kept: with position, key and hash of each row, one pass over each table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.model.feedback import DefectSeverity, Observation, Scalar
from dsvc.porcelain.feedback.feedback_artifacts import FILE, Artifact, Place
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import table_rules
from dsvc.table.exchange.json_value import json_cell
from dsvc.table.exchange.row_json import row_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsvc.porcelain.feedback.feedback_resolve import Resolver
    from dsvc.porcelain.feedback.feedback_samples import Verdict

    Numbers = NDArray[np.int64]

MAX_ROWS: Final = 10_000
"""Rows of one stored observation; one of more rows is kept in parts."""

Known = Mapping[int, tuple[Mapping[str, Scalar], bytes]]
"""Key and hash of rows, by number."""


def observations_of(
    verdicts: Sequence[Verdict], resolver: Resolver, repo: Workspace, salt: bytes
) -> Iterator[Observation]:
    """Yield what is kept of observations whose rows were found, in order.

    Raises
    ------
    NotATableError, TableLimitError, MissingDataError, CorruptDataError
        If a table can't be read.
    """
    rows: dict[Place, list[Numbers]] = defaultdict(list)
    for verdict in verdicts:
        rows[verdict.hit.place].append(verdict.hit.rows)
    known = {
        place: read_identities(
            resolver.artifacts.artifact(place), np.unique(np.concatenate(parts)), repo, salt
        )
        for place, parts in rows.items()
    }
    for verdict in verdicts:
        every = verdict.hit.rows
        for at in range(0, len(every), MAX_ROWS):
            yield _observation(verdict, every[at : at + MAX_ROWS].tolist(), known[verdict.hit.place])


def _observation(verdict: Verdict, rows: list[int], known: Known) -> Observation:
    sample, place = verdict.sample, verdict.hit.place
    keys = tuple(known[row][0] for row in rows)
    return Observation(
        pointer=sample.pointer,
        path=place.path,
        digest=place.digest,
        folder=place.folder,
        positions=tuple(rows),
        keys=keys if any(keys) else (),
        row_hashes=tuple(known[row][1] for row in rows),
        symptom=sample.symptom or "",
        severity=sample.severity or DefectSeverity.P3,
        selector=sample.selector,
        scores=sample.scores,
        task=sample.task,
        slice=sample.slice,
        explanation=sample.explanation,
        evidence=sample.evidence,
    )


def read_identities(artifact: Artifact, rows: Numbers, repo: Workspace, salt: bytes) -> Known:
    """Read key and hash of some rows of an artifact.

    Parameters
    ----------
    rows : ndarray of int64
        Ascending, each once.
    salt : bytes
        Key of the hashes.
    """
    if artifact.table is None:
        members = artifact.files.members()
        found: dict[int, tuple[Mapping[str, Scalar], bytes]] = {}
        for number in rows.tolist():
            name = members[number].path.decode("utf-8", "replace")
            content = {FILE: name, "digest": f"blake3:{members[number].digest.hex()}"}
            found[number] = {FILE: name}, row_hash(content, salt)
        return found
    from dsvc.table.reading.row_reader import row_blocks

    table = artifact.table.table
    key = _key(artifact, repo)
    found = {}
    for numbers, block in row_blocks(table.source, table.kind, table.index, rows):
        for number, row in zip(numbers.tolist(), block, strict=True):
            found[number] = _key_of(row, key), row_hash(row, salt)
    return found


def _key(artifact: Artifact, repo: Workspace) -> tuple[str, ...]:
    """Key columns of a table: as ``dsvc.toml`` says, else a column in which nothing comes twice."""
    from dsvc.diff.row_compare import guess_key

    assert artifact.table is not None
    index = artifact.table.table.index
    configured = table_rules(repo).for_path(artifact.place.path).key
    if configured:
        return configured if artifact.table.missing_column(configured) is None else ()
    return guess_key(index, index)


def _key_of(row: Mapping[str, object], key: tuple[str, ...]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name in key:
        cell = json_cell(row.get(name))
        found[name] = cell if cell is None or isinstance(cell, str | int | float) else str(cell)
    return found
