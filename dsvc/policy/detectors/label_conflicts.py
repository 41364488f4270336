"""Rows of equal content that say different things of it: one item, two labels."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from dsvc.model.detection import MAX_HITS, Detection, Hit
from dsvc.policy.detectors.detector import ScannedTable, input_key
from dsvc.policy.detectors.row_texts import RowTexts
from dsvc.policy.detectors.set_options import SetOptions
from dsvc.policy.detectors.table_texts import CONTENT, Unjudged, shown_value
from dsvc.policy.detectors.tally import Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

LABEL: Final = "label"
KIND: Final = "conflicting_labels"
SHOWN_LABELS: Final = 4


class LabelConflicts:
    """Looks for items with conflicting labels.

    Contents are compared after folding of compatibility forms, case and white space; labels as they are
    written. A row without content or without a label conflicts with nothing. Several tables are taken
    together.

    Options: ``content`` and ``label`` columns. The kind ``conflicting_labels`` counts items, each shown with
    one row for each of its labels. Measures: ``rows`` that these items have, ``labelled`` and ``unlabelled``
    rows, and ``share``, that of conflicting items among those labelled.

    Parameters
    ----------
    max_texts : int
        How many different contents are looked at; where there are more, the answer is unknown.
    """

    name = "label_conflicts"

    def __init__(self, max_texts: int = 10_000_000) -> None:
        self._max_texts = max_texts

    def version(self) -> str:
        """Version of this detector, and of the tables by which texts are folded."""
        return f"1; unicode {unicodedata.unidata_version}"

    def config(self) -> Mapping[str, str]:
        """How much is looked at."""
        return {"max_texts": str(self._max_texts)}

    def scan(self, files: Sequence[ScannedTable], options: Mapping[str, str]) -> Detection:
        """Look for conflicting labels in tables.

        Raises
        ------
        DetectorOptionError
            If an option is unknown or wrong.
        DsvcError
            If bytes can't be had.
        """
        tally = Tally()
        key = input_key(self.name, [(file.path, file.digest) for file in files], options)
        try:
            self._look(files, SetOptions(self.name, options, (CONTENT, LABEL)), tally)
        except Unjudged as reason:
            return tally.detection(self, key, unknown=reason.reason)
        return tally.detection(self, key)

    def _look(self, files: Sequence[ScannedTable], options: SetOptions, tally: Tally) -> None:
        roles = {role: options.columns(role) for role in (CONTENT, LABEL)}
        for role, columns in roles.items():
            if not columns:
                raise Unjudged(f"no column plays the part of {role}")
        rows = RowTexts(files, roles, max_texts=self._max_texts, keep_texts=False)
        tally.scanned_records = len(rows)
        tally.scanned_bytes = sum(file.size for file in files)
        labels = rows.by_role[LABEL]
        whole = np.flatnonzero((rows.content >= 0) & (labels >= 0))
        if len(rows) and not len(whole):
            raise Unjudged("no row has both content and label")
        in_conflict, items = _conflicts(rows.content[whole], labels[whole])
        count = _report(rows, whole[in_conflict], roles[LABEL][0], tally)
        tally.measures["rows"] = float(len(in_conflict))
        tally.measures["labelled"] = float((labels >= 0).sum())
        tally.measures["unlabelled"] = float((labels < 0).sum())
        tally.measures["share"] = count / items if items else 0.0


def _conflicts(content: Numbers, labels: Numbers) -> tuple[Numbers, int]:
    """Find the rows of contents with more than one label; and count the contents."""
    pairs = np.unique(np.stack([content, labels], axis=1), axis=0)
    items, kinds = np.unique(pairs[:, 0], return_counts=True)
    return np.flatnonzero(np.isin(content, items[kinds > 1])), len(items)


def _report(rows: RowTexts, found: Numbers, column: str, tally: Tally) -> int:
    """Count items, and show the first of them in the order of the rows."""
    order = np.argsort(rows.content[found], kind="stable")
    grouped = found[order]
    _, starts = np.unique(rows.content[grouped], return_index=True)
    groups = sorted(np.split(grouped, starts[1:]), key=lambda own: int(own[0])) if len(found) else []
    for own in groups[:MAX_HITS]:
        tally.add(_hit(rows, own, column))
    tally.count(KIND, len(groups) - len(groups[:MAX_HITS]))
    return len(groups)


def _hit(rows: RowTexts, own: Numbers, column: str) -> Hit:
    labels = rows.by_role[LABEL][own]
    _, first = np.unique(labels, return_index=True)
    one_each = np.sort(first)
    said = [
        f"{rows.place(int(own[place]))}: {shown_value(rows.values[LABEL][int(labels[place])])}"
        for place in one_each[:SHOWN_LABELS]
    ]
    if len(one_each) > SHOWN_LABELS:
        said.append("…")
    return Hit(kind=KIND, shown=" / ".join(said), record=rows.record(int(own[0])), column=column)


__all__ = ["LabelConflicts"]
