"""Finds personal data in lines of text: which lines may hold some, then which values these are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from dsvc.policy.detectors.pii_kinds import PiiKind
from dsvc.policy.detectors.pii_patterns import FOLDED, WIDE, narrow
from dsvc.policy.detectors.pii_recognisers import RECOGNISERS, Line, Recogniser
from dsvc.policy.detectors.text_blocks import Units, in_characters
from dsvc.policy.detectors.text_scan import Found

if TYPE_CHECKING:
    from dsvc.table.text.line_match import LineBlock


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
        from dsvc.table.text.line_match import LineBlock

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
