"""Finds secrets in lines of text: which lines may hold some, then what the plugins say of these."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from dsvc.policy.detectors.pii_recognisers import masked
from dsvc.policy.detectors.secret_lines import STRANGE
from dsvc.policy.detectors.secret_plugins import Plugin, plugins
from dsvc.policy.detectors.text_blocks import Units, in_characters
from dsvc.policy.detectors.text_scan import Found


class SecretFinder:
    """Finds secrets in lines.

    Parameters
    ----------
    entropy : bool
        As of `Secrets`.
    settings : bool
        Whether values after the name of a secret need no quotes.
    prefilter : bool
        As of `dsvc.policy.detectors.pii_finder.PiiFinder`.
    """

    def __init__(self, *, entropy: bool = False, settings: bool = False, prefilter: bool = True) -> None:
        self._plugins, self._any = _asked(entropy, settings)
        self._settings = settings
        self._prefilter = prefilter

    def find(self, lines: Units) -> Iterator[Found]:
        """Find them, line by line; a value counts once for a line and kind."""
        seen: set[tuple[int, str, str]] = set()
        for unit, asked in self._lines(lines):
            text = lines.text(unit).decode("utf-8", "replace").rstrip("\r\n")
            first, stop = in_characters(lines.text(unit), lines.span(unit))
            for plugin in asked:
                for value in sorted(plugin.values(text, unquoted=self._settings)):
                    key = (int(lines.numbers[unit]), plugin.kind, value)
                    # In a piece of a long line what begins beyond it is its neighbour's.
                    at = text.find(value, first, stop + len(value) - 1)
                    if at >= 0 and key not in seen:
                        seen.add(key)
                        yield Found(unit, at, plugin.kind, value, _shown(plugin, value))

    def _lines(self, lines: Units) -> Iterator[tuple[int, list[Plugin]]]:
        """Lines and the plugins that must look at them."""
        if not self._prefilter:
            yield from ((unit, list(self._plugins)) for unit in range(len(lines)))
            return
        from dsvc.table.text.line_match import LineBlock

        block = LineBlock(lines.data, lines.offsets)
        among = block.matching(self._any)
        if not len(among):
            return
        strange = block.matching(STRANGE, among)
        asked: dict[int, list[Plugin]] = {}
        for plugin in self._plugins:
            found = block.matching(plugin.lines, among)
            for unit in np.union1d(found, strange).tolist() if len(strange) else found.tolist():
                asked.setdefault(unit, []).append(plugin)
        for unit in sorted(asked):
            yield unit, asked[unit]


@cache
def _asked(entropy: bool, settings: bool) -> tuple[tuple[Plugin, ...], str]:
    found = plugins(entropy=entropy, settings=settings)
    return found, "|".join(f"(?:{each})" for each in (*(plugin.lines for plugin in found), STRANGE))


def _shown(plugin: Plugin, value: str) -> str:
    if plugin.kind == "private_key":
        return value  # the line above the key, the same for all
    return masked(value, 3, 0) if len(value) >= 12 else "*" * len(value)
