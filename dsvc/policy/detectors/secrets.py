"""Secrets: keys, tokens and passwords, found by the plugins of detect-secrets.

Nothing is verified, since that would ask the network. None of the library's filters by comment is used: a
line of data that says ``pragma: allowlist secret`` is looked at like any other. The plugins that call any
random string a secret are off, since data are full of digests and ids; what that spares stands in the
benchmark.

Whatever the file is, its bytes are looked at: of what is no text its runs of printable characters. What is
compressed inside a document or an archive can't be seen; the detection then says so as its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

import numpy as np

from dsvc.model.detection import Detection
from dsvc.policy.detectors.detector import ScannedFile
from dsvc.policy.detectors.pii import library_version
from dsvc.policy.detectors.pii_recognisers import masked
from dsvc.policy.detectors.secret_lines import STRANGE
from dsvc.policy.detectors.secret_plugins import SETTINGS_ENDINGS, Plugin, plugins
from dsvc.policy.detectors.text_blocks import Units, in_characters
from dsvc.policy.detectors.text_scan import Found, Scan

_VERSION: Final = "1"


class Secrets:
    """Looks for secrets.

    Parameters
    ----------
    entropy : bool
        Whether any string that looks random is one.
    """

    name = "secrets"

    def __init__(self, *, entropy: bool = False) -> None:
        self._entropy = entropy

    def version(self) -> str:
        """Version, with that of detect-secrets.

        Raises
        ------
        DetectorUnavailableError
            If it is not installed.
        """
        return f"{_VERSION}+{library_version('detect-secrets', 'detectors')}"

    def config(self) -> Mapping[str, str]:
        """Whether random strings are secrets."""
        return {"entropy": str(self._entropy).lower()}

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
        settings = file.path.rpartition(b".")[2].lower() in SETTINGS_ENDINGS
        return Scan(self, [SecretFinder(entropy=self._entropy, settings=settings)], binary=True).run(file)


class SecretFinder:
    """Finds secrets in lines.

    Parameters
    ----------
    entropy : bool
        As of `Secrets`.
    settings : bool
        Whether values after the name of a secret need no quotes.
    prefilter : bool
        As of `dsvc.policy.detectors.pii.PiiFinder`.
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
        from dsvc.table.line_match import LineBlock

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
