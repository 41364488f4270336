"""Defects: everything `fsck` can find wrong, each with a number that never changes its meaning.

``docs/fsck.md`` explains them; a test keeps the page and this table the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dsvc.model.errors import (
    CorruptDataError,
    DsvcError,
    LineageBrokenError,
    MalformedInputError,
    MissingDataError,
)

_WRONG, _MISSING, _MALFORMED, _BROKEN = (
    CorruptDataError.exit_code,
    MissingDataError.exit_code,
    MalformedInputError.exit_code,
    LineageBrokenError.exit_code,
)

CATALOGUE: Final[dict[str, tuple[int, str]]] = {
    # Packs
    "F001": (_WRONG, "the trailer of a pack is wrong, or the pack is cut or too long"),
    "F002": (_WRONG, "the footer of a pack is not the one that names it"),
    "F003": (_WRONG, "the header of a pack is wrong"),
    "F004": (_WRONG, "ids in a footer are out of order or twice there"),
    "F005": (_WRONG, "a footer places an object outside its block, or over another one"),
    "F006": (_WRONG, "the blocks of a pack leave a gap, overlap, or reach beyond it"),
    "F007": (_WRONG, "the header of a block differs from the footer"),
    "F008": (_WRONG, "the stored bytes of a block differ from their checksum"),
    "F009": (_WRONG, "a block does not decode to the length it shall have"),
    "F010": (_WRONG, "the bytes of a chunk differ from its id"),
    "F011": (_WRONG, "the bytes of a structured object differ from its id"),
    "F012": (_WRONG, "a pack can't be read"),
    # Manifests and chunk lists
    "F020": (_MISSING, "a manifest node is missing"),
    "F021": (_WRONG, "a manifest node is damaged"),
    "F022": (_MALFORMED, "a manifest node is malformed"),
    "F023": (_MALFORMED, "a manifest node differs from what its parent says of it"),
    "F024": (_MISSING, "a chunk list is missing"),
    "F025": (_WRONG, "a chunk list is damaged"),
    "F026": (_MALFORMED, "a chunk list is malformed"),
    "F027": (_MALFORMED, "a chunk list covers another length than its file has"),
    "F028": (_MISSING, "a chunk is missing"),
    "F029": (_MALFORMED, "a chunk has another length or type than the file says"),
    "F030": (_WRONG, "the digest or checksum of a whole file differs from its content"),
    "F031": (_MALFORMED, "the digest of an empty file or folder is not that of no bytes"),
    # History
    "F040": (_MALFORMED, "a ref, HEAD or a reflog can't be understood"),
    "F041": (_MISSING, "a commit or another git object is missing"),
    "F042": (_WRONG, "a git object or a file of the history is damaged"),
    "F043": (_MALFORMED, "a commit or an operation is none that dsvc writes"),
    "F044": (_WRONG, "a commit says another number of files or bytes than its manifest"),
    "F045": (_MALFORMED, "a line of a reflog is torn or malformed"),
    "F046": (_WRONG, "a ref is not where its reflog says"),
    # Work and settings
    "F050": (_WRONG, "the staged state, or another file under .dsvc/work, is damaged"),
    "F051": (_MISSING, "a file or folder of .dsvc is missing"),
    "F052": (_MALFORMED, "the configuration is malformed or of an unknown format"),
    "F053": (_WRONG, "a file or folder of .dsvc can't be read"),
    # Lineage
    "F060": (_BROKEN, "the record of a run can't be read"),
    "F061": (_BROKEN, "the files of a run are not those of its record"),
    "F062": (_BROKEN, "a row map can't be read, or doesn't fit its run"),
    "F063": (_BROKEN, "an account of rows can't be read, or doesn't fit its run"),
    "F064": (_BROKEN, "the record of a source can't be read, or is that of another one"),
    "F065": (_BROKEN, "an evidence file of a source is missing, or not the one of its record"),
    "F066": (_BROKEN, "a lineage names what is neither a run by its own id, nor a source, nor a detection"),
    "F067": (_BROKEN, "the record of what a detector said can't be read"),
    # Evaluations and defects
    "F070": (_MALFORMED, "the record of an evaluation can't be read, or is that of another one"),
    "F071": (
        _MALFORMED,
        "observations or scores of an evaluation can't be read, or aren't those of its record",
    ),
    "F072": (_MALFORMED, "an operation on a defect can't be read, or doesn't fit its chain"),
    "F073": (_WRONG, "the file of an evaluation is missing, or not the one of its record"),
    # Repairs and releases
    "F074": (_MALFORMED, "the plan of a repair, its proof or an operation on it can't be read"),
    "F075": (_WRONG, "a repair lacks what its plan names, or what a step of it made can't be read"),
    "F076": (_MALFORMED, "the facts of a release, or an operation on it, can't be read, or aren't its own"),
    "F077": (_WRONG, "a document of a release is missing, or not the one that its tag names"),
}
"""Exit code and meaning of each defect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """Something that is wrong.

    Attributes
    ----------
    id : str
        A key of `CATALOGUE`.
    object : str
        Which object, for programs: a pack, an id, a path under ``.dsvc``, a ref.
    message : str
        What is wrong with it.
    """

    id: str
    object: str
    message: str


def exit_code(defects: Iterable[Defect]) -> int:
    """Exit code for a set of defects: 0 for none, else the first that applies of 30, 31, 41 and 22."""
    codes = {CATALOGUE[defect.id][0] for defect in defects}
    return next((code for code in (_WRONG, _MISSING, _MALFORMED, _BROKEN) if code in codes), 0)


def by_error(error: DsvcError, *, missing: str, wrong: str, malformed: str) -> str:
    """Choose the defect's number by the kind of an error."""
    if isinstance(error, MissingDataError):
        return missing
    return malformed if isinstance(error, MalformedInputError) else wrong
