"""The proof of a repair: what differs between two versions, held against the plan, row by row."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from blake3 import blake3

from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.model.feedback import check_format
from dsvc.model.paths import check_structure
from dsvc.model.record_bounds import check_numbers

FORMAT: Final = 1


class UnprovedReason(StrEnum):
    """Why a proof does not show something.

    ``any-row``: the plan says that any row of it may change. ``no-rows``: it is no table. ``no-map``: it is
    not known which rows some of its rows came from. ``incomplete``: its run did not account for every row
    before either. ``listing``: it is not known any more which files it had.
    ``malformed``: it has records that can't be read.
    """

    ANY_ROW = "any-row"
    NO_ROWS = "no-rows"
    NO_MAP = "no-map"
    INCOMPLETE = "incomplete"
    LISTING = "listing"
    MALFORMED = "malformed"


class Unproved(msgspec.Struct, frozen=True):
    """Something that a proof does not show: of which artifact, and why."""

    path: bytes
    reason: UnprovedReason


class ArtifactProof(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between an artifact before and after, held against the plan.

    Attributes
    ----------
    path : bytes
    before, after : bytes
        Its digests; empty where there is none.
    flagged_changed, selected_changed, consequent_changed : int
        Rows of the plan that differ now, or are gone.
    further : int
        Of the consequent ones those that the plan could not name: a run that looks at all rows was done
        again, and its row map tells that they were reached from rows of the plan.
    others_changed : int
        Rows that the plan doesn't have: those that differ or are gone, and those that came from none of it.
        A file that has no rows counts as one.
    others : tuple of int
        The first of them, by their numbers before.
    came : int
        Rows whose content is new.
    strange : tuple of int
        The first of these that came from no row of the plan, by their numbers now.
    """

    path: bytes
    before: bytes
    after: bytes
    flagged_changed: int = 0
    selected_changed: int = 0
    consequent_changed: int = 0
    others_changed: int = 0
    others: tuple[int, ...] = ()
    further: int = 0
    came: int = 0
    strange: tuple[int, ...] = ()


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That a result is what its plan said, or what shows that it isn't.

    Attributes
    ----------
    flagged_changed, selected_changed : int
        Rows of the defect's artifact that the plan names as such, and that differ now, or are gone.
    consequent_changed : int
        Rows of all artifacts that follow from them, and do.
    others_changed : int
        Rows outside of the plan that do; a repair with any is not committed.
    unproved : tuple of Unproved
    conserved : bool
        Whether every run accounts for every row.
    files_unchanged : int
        Files of the version that are as before.
    artifacts : tuple of ArtifactProof
    not_as_asked : int
        Rows that are not as the action says: there still, or without the value.
    flaws : tuple of str
        What is wrong with the account that runs give of their rows.
    """

    flagged_changed: int
    selected_changed: int
    consequent_changed: int
    others_changed: int
    conserved: bool
    files_unchanged: int
    unproved: tuple[Unproved, ...] = ()
    artifacts: tuple[ArtifactProof, ...] = ()
    not_as_asked: int = 0
    flaws: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def holds(self) -> bool:
        """Whether the result is what the plan said, as far as that can be seen."""
        return self.conserved and not self.others_changed and not self.not_as_asked


def encode_proof(proof: Proof) -> bytes:
    """Encode a proof."""
    return encode(proof)


def decode_proof(data: bytes) -> Proof:
    """Decode what `encode_proof` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or newer than this dsvc.
    """
    proof = decode(data, Proof, "proof of a repair")
    check_format(proof.format, "a proof of a repair")
    check_numbers(proof, "a proof of a repair")
    for path in (*(each.path for each in proof.artifacts), *(each.path for each in proof.unproved)):
        if path:
            check_structure(path)
    if not {len(digest) for each in proof.artifacts for digest in (each.before, each.after)} <= {0, 32}:
        raise MalformedInputError("a proof names an artifact by a digest of a wrong length")
    return proof


def proof_digest(proof: Proof) -> str:
    """BLAKE3-256 of a proof, in hex."""
    return blake3(b"dsvc proof 1\0" + encode_proof(proof)).hexdigest()
