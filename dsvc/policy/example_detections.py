"""What detectors found in the files of an example: it is stated, no detector runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dsvc.model.detection import Detection, DetectionStatus, Hit
from dsvc.model.manifest import Entry
from dsvc.policy.case import unknown
from dsvc.policy.example_text import DetectionEntry

if TYPE_CHECKING:
    from dsvc.policy.detectors.detector import Wanted

_STRICTEST: Final = (DetectionStatus.CLEAN, DetectionStatus.HITS, DetectionStatus.UNKNOWN)


class StatedDetections:
    """Detections as an example states them; a detector that it doesn't name is unknown.

    Parameters
    ----------
    entries : sequence of Entry
        The judged files.
    stated : mapping of str to DetectionEntry
        By detector.
    """

    def __init__(self, entries: Sequence[Entry], stated: Mapping[str, DetectionEntry]) -> None:
        self._entries = tuple(sorted(entries, key=lambda each: each.path))
        self._stated = stated

    def all(self, detector: str) -> list[tuple[Entry, Detection]]:
        """Every judged file with what the detector says of it."""
        return [(each, self._of(detector, [each], each.digest)) for each in self._entries]

    def unclean(self, detector: str) -> list[tuple[Entry, Detection]]:
        """Those that are not clean."""
        return [each for each in self.all(detector) if each[1].status is not DetectionStatus.CLEAN]

    def of(self, wanted: Wanted) -> Detection:
        """The strictest of what is said of a set of files."""
        return self._of(wanted.detector, wanted.entries, wanted.key)

    def _of(self, detector: str, entries: Sequence[Entry], key: bytes) -> Detection:
        said = self._stated.get(detector)
        if said is None:
            return unknown(detector, key)
        own = [said.files[path] for each in entries if (path := each.path.decode()) in said.files]
        chosen = max(own or [said], key=lambda each: _STRICTEST.index(each.status))
        counts = chosen.counts or ({"found": 1} if chosen.status is DetectionStatus.HITS else {})
        return Detection(
            detector=detector,
            version="1",
            config="00",
            input=key,
            status=chosen.status,
            counts=counts,
            hits=tuple(Hit(kind=kind, shown="***", line=1) for kind in counts),
            measures=chosen.measures,
            reason=chosen.reason or ("it did not run" if chosen.status is DetectionStatus.UNKNOWN else None),
        )
