"""Personal data: a small table of recognisers for Chinese and international forms.

Text is looked at in whatever encoding and compression it has, tables in columns by their text and long
numbers. What is no text (pictures, sound, arrays) is clean with ``not text`` as its reason and nothing
scanned: nobody can say more of it by patterns. A document or archive that may hold text inside, such as PDF
or ZIP, is unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.model.detection import Detection
from dsvc.policy.detectors.detector import DetectorUnavailableError, ScannedFile
from dsvc.policy.detectors.pii_kinds import PiiKind
from dsvc.policy.detectors.pii_patterns import FOLDED, WIDE, narrow
from dsvc.policy.detectors.pii_recognisers import RECOGNISERS, Line, Recogniser
from dsvc.policy.detectors.text_blocks import Units, in_characters
from dsvc.policy.detectors.text_scan import Finder, Found, Scan

if TYPE_CHECKING:
    from dsvc.table.line_match import LineBlock

_VERSION: Final = "1"


@cache
def library_version(package: str, extra: str) -> str:
    """Name a library with its version.

    Raises
    ------
    DetectorUnavailableError
        If it is not installed, naming the extra that brings it.
    """
    try:
        return f"{package}-{version(package)}"
    except PackageNotFoundError as error:
        raise DetectorUnavailableError(
            f"{package} is not installed, which a detector stands on",
            hint=f"install it with: pip install 'dsvc[{extra}]'",
            details={"package": package},
        ) from error


class Pii:
    """Looks for personal data.

    Parameters
    ----------
    kinds : collection of PiiKind or None
        What is looked for; None: everything.
    presidio : bool
        Whether the pattern recognisers of presidio look, too.
    """

    name = "pii"

    def __init__(self, kinds: Collection[PiiKind] | None = None, *, presidio: bool = False) -> None:
        self._kinds = frozenset(PiiKind if kinds is None else kinds)
        self._presidio = presidio

    def version(self) -> str:
        """Version, with those of python-stdnum and phonenumbers, and of presidio where it looks.

        Raises
        ------
        DetectorUnavailableError
            If one of these is not installed.
        """
        libraries = [library_version(each, "detectors") for each in ("python-stdnum", "phonenumbers")]
        if self._presidio:
            libraries.append(library_version("presidio-analyzer", "presidio"))
        return "+".join((_VERSION, *libraries))

    def config(self) -> Mapping[str, str]:
        """Which kinds are looked for, and whether presidio looks, too."""
        return {"kinds": ",".join(sorted(self._kinds)), "presidio": str(self._presidio).lower()}

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
        finders: list[Finder] = [PiiFinder(self._kinds)]
        if self._presidio:
            from dsvc.policy.detectors.presidio_finder import PresidioFinder

            finders.append(PresidioFinder())
        return Scan(self, finders, binary=False).run(file)


class PiiFinder:
    """Finds personal data in lines.

    Parameters
    ----------
    kinds : frozenset of PiiKind
        What is looked for.
    prefilter : bool
        Whether lines are chosen by the patterns of RE2 first; without, every line is looked at by every
        recogniser, which finds the same and takes long.
    """

    def __init__(self, kinds: frozenset[PiiKind], *, prefilter: bool = True) -> None:
        self._kinds = kinds
        self._recognisers = [each for each in RECOGNISERS if each.kinds & kinds]
        self._prefilter = prefilter
        self._distinct = tuple(dict.fromkeys(each.lines for each in self._recognisers))
        self._any = "|".join(f"(?:{lines})" for lines in self._distinct)

    def find(self, lines: Units) -> Iterator[Found]:
        """Find it, line by line."""
        asked = self._asked(lines)
        for unit in sorted(asked):
            yield from self._in_line(lines, unit, asked[unit])

    def _asked(self, lines: Units) -> dict[int, list[Recogniser]]:
        """Which recognisers must look at which lines."""
        if not self._prefilter:
            return dict.fromkeys(range(len(lines)), self._recognisers)
        from dsvc.table.line_match import LineBlock

        block = LineBlock(lines.data, lines.offsets)
        asked = self._chosen(block)
        wide = block.matching(WIDE) if b"\xef" in lines.data else ()
        if len(wide):
            texts = [narrow(lines.text(unit)) for unit in wide]
            offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
            for unit in wide:
                asked.pop(int(unit), None)
            narrowed = self._chosen(LineBlock(b"".join(texts), offsets))
            asked.update((int(wide[place]), found) for place, found in narrowed.items())
        return asked

    def _chosen(self, block: LineBlock) -> dict[int, list[Recogniser]]:
        among = block.matching(self._any)
        asked: dict[int, list[Recogniser]] = {}
        if not len(among):
            return asked
        matching = {lines: block.matching(lines, among).tolist() for lines in self._distinct}
        for each in self._recognisers:
            for unit in matching[each.lines]:
                asked.setdefault(unit, []).append(each)
        return asked

    def _in_line(self, lines: Units, unit: int, recognisers: list[Recogniser]) -> Iterator[Found]:
        data = lines.text(unit)
        text = data.decode("utf-8", "replace")
        if not data.isascii():
            text = text.translate(FOLDED)
        line = Line(text, lines.context)
        first, stop = in_characters(data, lines.span(unit))
        taken: list[tuple[int, int]] = []
        for each in recognisers:
            for match in each.pattern.finditer(text):
                start, end = match.span()
                if any(start < other_end and end > other for other, other_end in taken):
                    continue
                found = each.check(match, line)
                if found is None:
                    continue
                taken.append((start, end))
                if found.kind in self._kinds and first <= start < stop:
                    yield Found(unit, start, found.kind.value, found.value, found.shown)
