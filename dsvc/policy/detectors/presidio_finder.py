"""The pattern recognisers of presidio, beside our own, for those who have it installed and ask for it.

Only recognisers that go by patterns and checksums are asked; none of a language model, which would have to be
downloaded. The list of public suffixes is the copy that lies in tldextract's own package.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from dsvc.policy.detectors.pii_recognisers import masked
from dsvc.policy.detectors.text_blocks import Units, in_characters
from dsvc.policy.detectors.text_scan import Found

LEAST_SCORE: Final = 0.5
"""What presidio is less sure of is not counted: these are runs of digits without a checksum."""


_NO_PERSON: Final = frozenset({"URL", "DATE_TIME"})


class PresidioFinder:
    """Finds what the pattern recognisers of presidio find, line by line; it is slow."""

    def __init__(self) -> None:
        self._recognisers = _recognisers()

    def find(self, lines: Units) -> Iterator[Found]:
        """Find it; kinds are presidio's, in lower case, with ``presidio_`` in front."""
        for unit in range(len(lines)):
            data = lines.text(unit)
            text = data.decode("utf-8", "replace")
            first, stop = in_characters(data, lines.span(unit))
            found = {
                (each.start, each.end, each.entity_type)
                for recogniser in self._recognisers
                for each in recogniser.analyze(text, recogniser.supported_entities, None) or ()
                if each.score >= LEAST_SCORE
                and each.entity_type not in _NO_PERSON
                and first <= each.start < stop
            }
            for start, end, kind in sorted(found):
                value = text[start:end]
                yield Found(unit, start, f"presidio_{kind.lower()}", value, masked(value, 2, 2))


@cache
def _recognisers() -> tuple[Any, ...]:
    import tldextract.tldextract
    from presidio_analyzer import PatternRecognizer, RecognizerRegistry

    # Without this the recogniser for e-mail asks the network for a newer list.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    tldextract.extract = tldextract.tldextract.TLD_EXTRACTOR.__call__
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    patterns = [each for each in registry.recognizers if isinstance(each, PatternRecognizer)]
    return tuple(sorted(patterns, key=lambda each: str(each.name)))
