"""Sensitive words: those of a versioned list, each with its risk; hits are counted by risk.

Words and text are compared in the form NFKC and without case, so that full and half width are alike;
traditional and simplified characters are not. A word that begins or ends with a letter or digit of ASCII
must stand alone there; Chinese has no such borders. Of words that overlap the longest counts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from dsvc.model.detection import Detection
from dsvc.policy.detectors.detector import ScannedFile
from dsvc.policy.detectors.pii import library_version
from dsvc.policy.detectors.pii_recognisers import masked
from dsvc.policy.detectors.text_blocks import Units, in_characters
from dsvc.policy.detectors.text_scan import Found, Scan
from dsvc.policy.detectors.word_list import WordList, folded

_VERSION: Final = "1"


class Words:
    """Looks for the words of a list.

    Parameters
    ----------
    words : WordList
        The list.
    """

    name = "words"

    def __init__(self, words: WordList) -> None:
        self._words = words

    def version(self) -> str:
        """Version, with those of pyahocorasick and of the Unicode tables.

        Raises
        ------
        DetectorUnavailableError
            If pyahocorasick is not installed.
        """
        library = library_version("pyahocorasick", "detectors")
        return f"{_VERSION}+{library}+unicode-{unicodedata.unidata_version}"

    def config(self) -> Mapping[str, str]:
        """Digest of the list, and its version for people."""
        return {"list": self._words.digest, "list_version": self._words.version}

    @cached_property
    def _finder(self) -> WordFinder:
        return WordFinder(self._words)

    def scan(self, file: ScannedFile) -> Detection:
        """Look at a file.

        Raises
        ------
        DetectorUnavailableError
            As `version`.
        DsvcError
            If the bytes can't be had.
        """
        self.version()
        return Scan(self, [self._finder], binary=False).run(file)


class WordFinder:
    """Finds the words of a list in lines.

    Parameters
    ----------
    words : WordList
        The list.
    """

    def __init__(self, words: WordList) -> None:
        import ahocorasick

        self._automaton: Any = ahocorasick.Automaton()
        for word, risks in words.words.items():
            self._automaton.add_word(word, (len(word), risks))
        self._automaton.make_automaton()

    def find(self, lines: Units) -> Iterator[Found]:
        """Find them; places are those in the folded text."""
        for unit in range(len(lines)):
            data = lines.text(unit)
            text = data.decode("utf-8", "replace")
            written, span = folded(text), lines.span(unit)
            first, stop = 0, len(written)
            if span is not None:
                first, stop = (len(folded(text[:place])) for place in in_characters(data, span))
            for begin, end, risks in self._in(written):
                if first <= begin < stop:
                    word = written[begin:end]
                    for risk in risks:
                        yield Found(unit, begin, risk, word, masked(word, 1, 0))

    def _in(self, text: str) -> list[tuple[int, int, tuple[str, ...]]]:
        """Words in a text, the longest of those that overlap."""
        found = []
        for last, (length, risks) in self._automaton.iter(text):
            begin, end = last - length + 1, last + 1
            if _stands_alone(text, begin, end):
                found.append((begin, end, risks))
        found.sort(key=lambda each: (each[0], -each[1]))
        kept: list[tuple[int, int, tuple[str, ...]]] = []
        for each in found:
            if not kept or each[0] >= kept[-1][1]:
                kept.append(each)
        return kept


def _stands_alone(text: str, begin: int, end: int) -> bool:
    return not (
        (begin > 0 and _is_letter(text[begin]) and _is_letter(text[begin - 1]))
        or (end < len(text) and _is_letter(text[end - 1]) and _is_letter(text[end]))
    )


def _is_letter(sign: str) -> bool:
    return sign.isascii() and sign.isalnum()
