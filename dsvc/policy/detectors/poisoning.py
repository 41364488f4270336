"""Screens for poisoned data: bursts of near-duplicates, triggers of a backdoor, labels that changed."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from dsvc.model.detection import Detection
from dsvc.policy.detectors.detector import ScannedTable, input_key
from dsvc.policy.detectors.near_search import NearTerms
from dsvc.policy.detectors.ngram_association import MAX_LOOKED
from dsvc.policy.detectors.poisoning_screens import KEY, LABEL, Screens
from dsvc.policy.detectors.row_texts import RowTexts
from dsvc.policy.detectors.set_options import DetectorOptionError, SetOptions
from dsvc.policy.detectors.shingles import Sketcher, datasketch_version
from dsvc.policy.detectors.table_texts import CONTENT, Unjudged
from dsvc.policy.detectors.tally import Tally

_GROUPS: Final = ("source", "batch", "annotator")
_BURST, _TRIGGER, _HISTORY = "burst", "trigger", "history"
_SCREENS: Final = (_BURST, _TRIGGER, _HISTORY)
_NUMBERS: Final = {
    "min_rows": (50, 1, 1e9),
    "burst_rows": (20, 2, 1e9),
    "burst_share": (0.02, 0.0, 1.0),
    "burst_ratio": (3.0, 1.0, 1e6),
    "trigger_rows": (8, 2, 1e9),
    "trigger_purity": (0.9, 0.5, 1.0),
    "trigger_p": (0.01, 1e-300, 1.0),
    "flip_rows": (10, 1, 1e9),
    "flip_share": (0.05, 0.0, 1.0),
    "flip_group_share": (0.2, 0.0, 1.0),
    "shift": (0.25, 0.0, 1e6),
}
_OPTIONS: Final = (CONTENT, LABEL, KEY, *_GROUPS, "previous", "screens", *_NUMBERS)


class Poisoning:
    """Looks for what somebody may have put into labelled texts.

    Three screens, each of which names what made it speak:

    - ``burst``: a cluster of near-duplicates that makes up an unusual share of one source or batch
      (kind ``near_duplicate_burst``); without these columns, of the whole;
    - ``trigger``: an n-gram that goes with a label although the rest of the texts with it looks like other
      labels (kind ``trigger``, see `dsvc.policy.detectors.ngram_association`);
    - ``history``, where there is a version before: labels of equal rows that changed (``label_flips``), and
      distributions of labels and sources that moved (``label_shift``, ``source_shift``).

    Options: columns by their part, ``content``, ``label``, ``key``, ``source``, ``batch``, ``annotator``;
    ``previous``, how many of the tables, the last ones, are of the version before; ``screens``, those wanted
    (all); and the thresholds, of which `_NUMBERS` has defaults and bounds: rows that there must be at all
    (``min_rows``), least size, share and ratio of a burst, least support and purity and greatest probability
    of a trigger, share of changed labels overall and in one group with the rows from which on it counts, and
    the population stability index that is a shift.

    Of more rows than `max_rows` a sample, fixed by the tables' contents, is taken for the first two screens;
    the measure ``sampled`` says of how many rows it is.

    Parameters
    ----------
    permutations, seed : int
        Of the sketches of near-duplicates.
    max_rows, max_characters : int
        How much the first two screens look at.
    max_texts : int
        How many different contents there may be; where there are more, the answer is unknown.
    """

    name = "poisoning"

    def __init__(
        self,
        permutations: int = 128,
        seed: int = 1,
        max_rows: int = 200_000,
        max_characters: int = 100_000_000,
        max_texts: int = 2_000_000,
    ) -> None:
        self._permutations = permutations
        self._seed = seed
        self._max_rows = max_rows
        self._max_characters = max_characters
        self._max_texts = max_texts

    def version(self) -> str:
        """Version of this detector, of datasketch, and of the tables by which texts are folded."""
        return f"2; datasketch {datasketch_version()}; unicode {unicodedata.unidata_version}"

    def config(self) -> Mapping[str, str]:
        """How sketches are made, and how much is looked at."""
        return {
            "permutations": str(self._permutations),
            "seed": str(self._seed),
            "max_rows": str(self._max_rows),
            "max_characters": str(self._max_characters),
            "max_texts": str(self._max_texts),
        }

    def scan(self, files: Sequence[ScannedTable], options: Mapping[str, str]) -> Detection:
        """Look for signs of poisoning in tables.

        Raises
        ------
        DetectorOptionError
            If an option is unknown or wrong.
        DetectorUnavailableError
            If datasketch isn't installed.
        DsvcError
            If bytes can't be had.
        """
        self.version()
        tally = Tally()
        key = input_key(self.name, [(file.path, file.digest) for file in files], options)
        try:
            unjudged = self._look(files, SetOptions(self.name, options, _OPTIONS), tally)
        except Unjudged as reason:
            unjudged = [reason.reason]
        return tally.detection(self, key, unknown="; ".join(unjudged) or None)

    def _look(self, files: Sequence[ScannedTable], options: SetOptions, tally: Tally) -> list[str]:
        """Run the screens; say which of them could not be judged, and why."""
        terms = {name: options.number(name, *bounds) for name, bounds in _NUMBERS.items()}
        screens = options.words("screens", _SCREENS, _SCREENS)
        previous = options.whole("previous", 0, 0, len(files))
        if previous == len(files):
            raise DetectorOptionError(
                f"{self.name}: previous must leave a table of the version that is judged"
            )
        roles = {role: options.columns(role) for role in (CONTENT, LABEL, KEY, *_GROUPS)}
        if not roles[CONTENT]:
            raise Unjudged("no column plays the part of content")
        roles = {role: columns for role, columns in roles.items() if columns}
        rows = RowTexts(files, roles, max_texts=self._max_texts)
        tally.scanned_records = len(rows)
        tally.scanned_bytes = sum(file.size for file in files)
        looks = Screens(rows, int(rows.starts[len(files) - previous]), terms, tally)
        if _HISTORY in screens and not previous:
            screens = tuple(each for each in screens if each != _HISTORY)
        seed = b"".join(file.digest for file in files)
        looks.draw(seed, self._max_rows, self._max_characters)
        unjudged = []
        for each in screens:
            try:
                if each == _BURST:
                    looks.bursts(Sketcher(self._permutations, self._seed), NearTerms())
                elif each == _TRIGGER:
                    looks.triggers(MAX_LOOKED)
                else:
                    looks.history([file.path for file in files])
            except Unjudged as reason:
                unjudged.append(f"{each}: {reason.reason}")
        return unjudged


__all__ = ["Poisoning"]
