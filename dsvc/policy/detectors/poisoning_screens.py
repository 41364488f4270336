"""The screens for poisoned data, over rows that have been read."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.model.detection import Hit
from dsvc.policy.detectors.bursts import BurstTerms, clusters, find_bursts
from dsvc.policy.detectors.label_history import CHANCE, find_flips, find_shift
from dsvc.policy.detectors.near_search import NearTerms
from dsvc.policy.detectors.ngram_association import TriggerTerms, find_triggers
from dsvc.policy.detectors.row_texts import RowTexts
from dsvc.policy.detectors.shingles import Sketcher
from dsvc.policy.detectors.table_texts import Unjudged, shown_value
from dsvc.policy.detectors.tally import Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

LABEL: Final = "label"
KEY: Final = "key"


class Screens:
    """The screens over one set of rows.

    Parameters
    ----------
    rows : RowTexts
        Rows, those of the version before last.
    end : int
        How many of them are judged.
    terms : mapping of str to float
        Thresholds.
    tally : Tally
        Takes hits and measures.
    """

    def __init__(self, rows: RowTexts, end: int, terms: Mapping[str, float], tally: Tally) -> None:
        self._rows = rows
        self._end = end
        self._terms = terms
        self._tally = tally
        self._sample: Numbers = np.empty(0, np.int64)

    def draw(self, seed: bytes, most_rows: int, most_characters: int) -> None:
        """Choose the judged rows that are looked at."""
        chosen = np.flatnonzero(self._rows.content[: self._end] >= 0)
        lengths = self._lengths[self._rows.content[chosen]]
        most = min(most_rows, int(most_characters / max(1.0, float(lengths.mean()) if len(chosen) else 1.0)))
        if len(chosen) > most:
            self._tally.measures["sampled"] = float(most)
            draw = random.Random(seed)  # noqa: S311  a sample that anybody can draw again
            chosen = chosen[np.sort(np.array(draw.sample(range(len(chosen)), most)))]
        self._sample = chosen
        self._tally.measures["rows"] = float(self._end)

    @cached_property
    def _lengths(self) -> Numbers:
        return np.fromiter(map(len, self._rows.texts), np.int64, len(self._rows.texts))

    def _enough(self, count: int, what: str) -> None:
        if count < self._terms["min_rows"]:
            raise Unjudged(f"only {count} {what}, {self._terms['min_rows']:g} are needed")

    def _column(self, role: str) -> Numbers | None:
        return self._rows.by_role.get(role)

    def _value(self, role: str, number: int) -> str:
        return shown_value(self._rows.values[role][number])

    def _hit(self, kind: str, shown: str, row: int, column: str | None = None) -> None:
        self._tally.add(Hit(kind=kind, shown=shown, record=self._rows.record(row), column=column))

    def bursts(self, sketcher: Sketcher, near: NearTerms) -> None:
        """Screen for clusters of near-duplicates.

        Raises
        ------
        Unjudged
            If too many texts are alike to search them.
        """
        self._enough(len(self._sample), "rows with content")
        content = self._rows.content[self._sample]
        numbers, inverse = np.unique(content, return_inverse=True)
        joined = clusters([self._rows.texts[number] for number in numbers.tolist()], sketcher, near)
        cluster, lengths = joined.of[inverse], self._lengths[content]
        grouped = {role: self._column(role) for role in ("source", "batch")}
        groups = {role: each[self._sample] for role, each in grouped.items() if each is not None}
        terms = BurstTerms(
            int(self._terms["burst_rows"]), self._terms["burst_share"], self._terms["burst_ratio"]
        )
        for role, each in groups.items() or [("", np.zeros(len(cluster), np.int64))]:
            for burst in find_bursts(cluster, lengths, each, terms):
                where = f"{role} {self._value(role, burst.group)}: " if role else ""
                shown = f"{where}{len(burst.rows)} near-duplicates, {burst.share:.1%} of its rows"
                self._hit("near_duplicate_burst", shown, int(self._sample[burst.rows[0]]))
        if not joined.is_complete:
            raise Unjudged("so many texts are alike that the search was given up")

    def triggers(self, most: int) -> None:
        """Screen for n-grams that go with a label; `most`: as `TriggerTerms.max_looked`.

        Raises
        ------
        Unjudged
            If no column holds labels, if there are too few or too many, or too many n-grams go with one.
        """
        labels = self._column(LABEL)
        if labels is None:
            raise Unjudged("no column plays the part of label")
        rows = self._sample[labels[self._sample] >= 0]
        pairs = self._rows.content[rows] * (len(self._rows.values[LABEL]) or 1) + labels[rows]
        _, first = np.unique(pairs, return_index=True)
        rows = rows[np.sort(first)]
        self._enough(len(rows), "different texts with a label")
        known, told = np.unique(labels[rows], return_inverse=True)
        if len(known) > len(rows) / 2:
            raise Unjudged(f"there are {len(known)} labels for {len(rows)} texts")
        terms = TriggerTerms(
            int(self._terms["trigger_rows"]), self._terms["trigger_purity"], self._terms["trigger_p"], most
        )
        texts = [self._rows.texts[number] for number in self._rows.content[rows].tolist()]
        result = find_triggers(texts, told, terms)
        self._tally.measures["ngrams"] = float(result.tried)
        for each in result.found:
            label = self._value(LABEL, int(known[each.label]))
            shown = (
                f"{shown_value(each.gram)!r} in {len(each.texts)} texts, {each.purity:.0%} with label "
                f"{label}, of which {each.looks:.0%} look like it otherwise"
            )
            self._hit("trigger", shown, int(rows[each.texts[0]]))
        if not result.is_complete:
            raise Unjudged("too many n-grams go with a label to look at each")

    def history(self, paths: Sequence[bytes]) -> None:
        """Screen for what changed since the version before.

        Raises
        ------
        Unjudged
            If no column holds labels, or no labelled row of the version before is found again.
        """
        labels = self._column(LABEL)
        if labels is None:
            raise Unjudged("no column plays the part of label")
        for side, rows in (("now", self._end), ("before", len(self._rows) - self._end)):
            self._enough(rows, f"rows {side}")
        is_old = np.arange(len(self._rows)) >= self._end
        for role, only_common in ((LABEL, False), ("source", True)):
            column = self._column(role)
            if column is not None:
                self._shift(role, column[is_old], column[~is_old], only_common=only_common)
        flips = find_flips(self._identity(paths), labels, is_old)
        if not len(flips.matched):
            raise Unjudged("no labelled row of the version before is found again")
        self._tally.measures["matched"] = float(len(flips.matched))
        self._tally.measures["flip_share"] = len(flips.changed) / len(flips.matched)
        self._flipped(flips.matched, flips.changed, flips.before)

    def _identity(self, paths: Sequence[bytes]) -> Numbers:
        """What rows are known again by: their key in the table of their path, or their content."""
        key = self._column(KEY)
        if key is None:
            return self._rows.content
        known = {path: number for number, path in enumerate(dict.fromkeys(paths))}
        table = np.array([known[path] for path in paths], np.int64)[self._rows.file_of]
        return np.where(key >= 0, key * len(known) + table, -1)

    def _flipped(self, matched: Numbers, changed: Numbers, before: Numbers) -> None:
        least, labels = self._terms["flip_rows"], self._rows.by_role[LABEL]
        if not len(changed):
            return
        one, other = (self._value(LABEL, int(labels[rows[0]])) for rows in (before, changed))
        if len(changed) >= least and len(changed) > self._terms["flip_share"] * len(matched):
            share = len(changed) / len(matched)
            shown = f"{len(changed)} of {len(matched)} ({share:.1%}), first {one} → {other}"
            self._hit("label_flips", shown, int(changed[0]))
        for role in ("annotator", "batch", "source"):
            column = self._column(role)
            if column is None:
                continue
            values, counts = np.unique(column[changed], return_counts=True)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                of = int((column[matched] == value).sum())
                if value >= 0 and count >= least and count > self._terms["flip_group_share"] * of:
                    shown = f"{role} {self._value(role, value)}: {count} of {of} ({count / of:.1%})"
                    self._hit("label_flips", shown, int(changed[column[changed] == value][0]))

    def _shift(self, role: str, old: Numbers, new: Numbers, *, only_common: bool) -> None:
        found = find_shift(old, new, only_common=only_common)
        if found is None:
            return
        self._tally.measures[f"{role}_psi"] = round(found.psi, 6)
        if found.psi > self._terms["shift"] and found.p < CHANCE:
            self._tally.add(Hit(kind=f"{role}_shift", shown=f"PSI {found.psi:.2f}"))


__all__ = ["KEY", "LABEL", "Screens"]
