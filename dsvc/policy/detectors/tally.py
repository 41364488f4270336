"""Hits, counted while a detector looks, and the detection that comes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from dsvc.model.detection import MAX_HITS, Detection, DetectionStatus, Hit
from dsvc.policy.detectors.detector import config_digest

if TYPE_CHECKING:
    from dsvc.policy.detectors.detector import FileDetector, SetDetector


class Tally:
    """Counts hits by kind and keeps the first ones; hits come in the order of the file.

    Attributes
    ----------
    scanned_bytes, scanned_records : int
        How much has been looked at.
    measures : dict
        Further numbers.
    """

    def __init__(self) -> None:
        self.scanned_bytes = 0
        self.scanned_records = 0
        self.measures: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._hits: list[Hit] = []

    @property
    def is_full(self) -> bool:
        """Whether further hits are only counted."""
        return len(self._hits) >= MAX_HITS

    def add(self, hit: Hit) -> None:
        """Count a hit."""
        self._counts[hit.kind] += 1
        if not self.is_full:
            self._hits.append(hit)

    def count(self, kind: str, number: int) -> None:
        """Count hits that aren't shown one by one."""
        if number:
            self._counts[kind] += number

    def detection(
        self,
        detector: FileDetector | SetDetector,
        key: bytes,
        *,
        unknown: str | None = None,
        note: str | None = None,
    ) -> Detection:
        """Sum up.

        Parameters
        ----------
        key : bytes
            That of the input.
        unknown : str or None
            Why not all was looked at that should have been: the answer is unknown then, whatever was found.
        note : str or None
            What was not looked at, where that leaves the answer as it is.
        """
        found = DetectionStatus.HITS if self._counts else DetectionStatus.CLEAN
        return Detection(
            detector=detector.name,
            version=detector.version(),
            config=config_digest(detector.config()),
            input=key,
            status=found if unknown is None else DetectionStatus.UNKNOWN,
            scanned_bytes=self.scanned_bytes,
            scanned_records=self.scanned_records,
            counts=_sorted(self._counts),
            hits=tuple(self._hits),
            measures=_sorted(self.measures),
            reason=note if unknown is None else unknown,
        )


V = TypeVar("V")


def _sorted(values: Mapping[str, V]) -> dict[str, V]:
    return dict(sorted(values.items()))
