"""N-grams of texts as numbers: which of them stand in which texts.

A character of Chinese or Japanese is a token, and so is a word of any other script, and a run of signs: so an
n-gram is one to three characters or words, also where a text mixes scripts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.policy.detectors.scripts import HAN, KANA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

LONGEST: Final = 3
_TOKEN: Final = re.compile(rf"[{HAN}{KANA}]|[^\W{HAN}{KANA}]+|[^\w\s]{{2,}}")
_ASCII_TOKEN: Final = re.compile(r"\w+|[^\w\s]{2,}", re.ASCII)
_WIDE: Final = re.compile(f"[{HAN}{KANA}]")


class Tokens(NamedTuple):
    """Texts as tokens.

    Attributes
    ----------
    words : list of str
        Tokens by number.
    numbers : ndarray of int64
        The tokens of all texts, one after another.
    texts : ndarray of int64
        For each of these the number of its text.
    """

    words: list[str]
    numbers: Numbers
    texts: Numbers


class Grams(NamedTuple):
    """N-grams of one length that stand in enough texts.

    Attributes
    ----------
    tokens : ndarray of int64
        Tokens of each n-gram, a row each.
    grams, texts : ndarray of int64
        Where they stand: pairs of n-gram and text, ordered by n-gram, each once.
    """

    tokens: Numbers
    grams: Numbers
    texts: Numbers


def tokenised(texts: Sequence[str]) -> Tokens:
    """Split normalised texts into tokens."""
    known: dict[str, int] = {}
    numbers: list[int] = []
    lengths = np.empty(len(texts), np.int64)
    for place, text in enumerate(texts):
        found = (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)
        lengths[place] = len(found)
        numbers.extend([known.setdefault(token, len(known)) for token in found])
    return Tokens(list(known), np.array(numbers, np.int64), np.repeat(np.arange(len(texts)), lengths))


def frequent_grams(tokens: Tokens, least: int) -> list[Grams]:
    """Find the n-grams of one to three tokens that stand in at least some number of texts.

    An n-gram can't stand in more texts than its parts, so longer ones are made of those found before.
    """
    size = len(tokens.words)
    places = np.arange(len(tokens.numbers))
    codes = tokens.numbers
    made: list[Grams] = []
    heads = np.arange(size).reshape(-1, 1)
    for length in range(1, LONGEST + 1):
        if length > 1:
            follows = places + length - 1
            inside = follows < len(tokens.numbers)
            places, codes, follows = places[inside], codes[inside], follows[inside]
            inside = tokens.texts[follows] == tokens.texts[places]
            places, codes, follows = places[inside], codes[inside], follows[inside]
            codes = codes * size + tokens.numbers[follows]
        grams, places, codes, values = _frequent(codes, places, tokens.texts, len(tokens.texts), least)
        parts = heads[values] if length == 1 else np.column_stack([heads[values // size], values % size])
        made.append(Grams(parts, *grams))
        heads = parts
    return made


def _frequent(
    codes: Numbers, places: Numbers, texts: Numbers, total: int, least: int
) -> tuple[tuple[Numbers, Numbers], Numbers, Numbers, Numbers]:
    """Keep codes that stand in enough texts, and number them anew; at last the codes by their numbers."""
    values, numbers = np.unique(codes, return_inverse=True)
    span = int(texts[-1]) + 1 if total else 1
    pairs = np.unique(numbers * span + texts[places])
    enough = np.bincount(pairs // span, minlength=len(values)) >= least
    renumbered = np.cumsum(enough) - 1
    kept = enough[numbers]
    pairs = pairs[enough[pairs // span]]
    grams = (renumbered[pairs // span], pairs % span)
    return grams, places[kept], renumbered[numbers[kept]], values[enough]


def written(tokens: Sequence[str]) -> str:
    """Write an n-gram: with spaces, but none between characters of East Asia."""
    text = tokens[0] if tokens else ""
    for before, token in pairwise(tokens):
        text += ("" if _WIDE.match(before) and _WIDE.match(token) else " ") + token
    return text


__all__ = ["Grams", "Tokens", "frequent_grams", "tokenised", "written"]
