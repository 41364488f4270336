"""Texts as sets of character 3-grams, and sketches of these sets.

Three characters are a word and a half of Chinese and half a word of English; nothing has to know where
words end. A sketch is a MinHash signature in the scheme ``affine32`` of datasketch, with its permutations: it
equals that which datasketch makes of the same hashes, but is made for many texts at a time.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.policy.detectors.detector import DetectorUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Sketches = NDArray[np.uint32]

SHINGLE: Final = 3
"""Characters of a shingle."""
BLOCK_CHARACTERS: Final = 1 << 18
"""Characters sketched at a time: what is worked on stays in the processor's cache."""
_BITS: Final = np.uint64(21)
_PAD: Final = "\0"
CELL: Final = "\x1f"
"""Stands between the cells of a row."""


def normalised(text: str) -> str:
    """Fold what a reader takes for the same: compatibility forms, case, white space."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def joined(cells: Sequence[str]) -> str:
    """Join normalised cells of one row so that no other cells give the same text."""
    return cells[0] if len(cells) == 1 else CELL.join(cells)


def shingle_set(text: str) -> frozenset[str]:
    """Give the set of shingles of a normalised text; a shorter text is a single one."""
    if len(text) < SHINGLE:
        return frozenset((text.ljust(SHINGLE, _PAD),))
    return frozenset(text[place : place + SHINGLE] for place in range(len(text) - SHINGLE + 1))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Give the share of shingles that both have among those that either has."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def shingle_codes(texts: Sequence[str]) -> tuple[Codes, Numbers]:
    """Number the shingles of normalised texts: equal shingles, and only these, have equal numbers.

    Returns
    -------
    tuple of (ndarray, ndarray)
        Numbers of the shingles of all texts, one after another, repeated ones too; where each text begins.
    """
    padded = [text if len(text) >= SHINGLE else text.ljust(SHINGLE, _PAD) for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    characters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    codes = (characters[:-2] << _BITS | characters[1:-1]) << _BITS | characters[2:]
    # The last two places of each text are no beginning of a shingle of it.
    keep = np.ones(len(characters), np.bool_)
    ends = np.cumsum(lengths)
    keep[ends - 1] = False
    keep[ends - 2] = False
    shingles = lengths - (SHINGLE - 1)
    return codes[keep[: len(codes)]], np.cumsum(shingles) - shingles


def _hash32(codes: Codes) -> Sketches:
    """Hash numbers of shingles to 32 bits, by the finalizer of SplitMix64."""
    mixed = codes + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _premixed(hashes: Sketches) -> Sketches:
    """Mix hashes as datasketch does before it permutes them: the finalizer of MurmurHash3."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


def datasketch_version() -> str:
    """Version of datasketch.

    Raises
    ------
    DetectorUnavailableError
        If it isn't installed.
    """
    try:
        import datasketch
    except ImportError as error:
        raise DetectorUnavailableError(
            "near-duplicates can't be looked for: datasketch is not installed "
            "(pip install 'dsvc[detectors]')",
            hint="pip install 'dsvc[detectors]'",
        ) from error
    return str(datasketch.__version__)


class Sketcher:
    """Makes sketches of texts.

    Parameters
    ----------
    permutations : int
        Numbers of a sketch.
    seed : int
        Which permutations.

    Raises
    ------
    DetectorUnavailableError
        If datasketch isn't installed.
    """

    def __init__(self, permutations: int, seed: int) -> None:
        datasketch_version()
        from datasketch import MinHash

        made = MinHash(num_perm=permutations, seed=seed, scheme="affine32").permutations
        self._factors, self._terms = (np.asarray(part, np.uint32) for part in made)

    def sketches(self, texts: Sequence[str]) -> Sketches:
        """Sketch normalised texts: a row for each."""
        found = np.empty((len(texts), len(self._factors)), np.uint32)
        ends = list(accumulate(max(len(text), SHINGLE) for text in texts))
        start = 0
        while start < len(texts):
            done = ends[start - 1] if start else 0
            stop = start + 1
            while stop < len(texts) and ends[stop] - done <= BLOCK_CHARACTERS:
                stop += 1
            self._sketch(texts[start:stop], found[start:stop])
            start = stop
        return found

    def _sketch(self, texts: Sequence[str], out: Sketches) -> None:
        codes, starts = shingle_codes(texts)
        hashes = _premixed(_hash32(codes))
        permuted = np.empty_like(hashes)
        for number, (factor, term) in enumerate(zip(self._factors, self._terms, strict=True)):
            np.multiply(hashes, factor, out=permuted)
            permuted += term
            out[:, number] = np.minimum.reduceat(permuted, starts)


__all__ = [
    "BLOCK_CHARACTERS",
    "CELL",
    "SHINGLE",
    "Sketcher",
    "datasketch_version",
    "jaccard",
    "joined",
    "normalised",
    "shingle_codes",
    "shingle_set",
]
