"""Rows that repeat others, exactly or nearly: across the splits of a data set, and within one."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.model.detection import MAX_HITS, Detection, Hit
from dsvc.policy.detectors.detector import ScannedTable, input_key
from dsvc.policy.detectors.near_search import NearScope, NearTerms, find_near
from dsvc.policy.detectors.row_texts import RowTexts
from dsvc.policy.detectors.set_options import SetOptions
from dsvc.policy.detectors.shingles import SHINGLE, Sketcher, datasketch_version, jaccard, shingle_set
from dsvc.policy.detectors.table_texts import CONTENT, Unjudged
from dsvc.policy.detectors.tally import Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

SPLIT: Final = "split"
_OPTIONS: Final = (CONTENT, SPLIT, "scope", "threshold")


class _Repeat(NamedTuple):
    """Rows of one kind that repeat another each."""

    kind: str
    rows: Numbers
    others: Numbers


class NearDuplicates:
    """Looks for rows whose content repeats that of other rows.

    Contents are compared after folding of compatibility forms, case and white space; nearly the same are
    those whose sets of character 3-grams have a Jaccard similarity of at least the threshold. Candidates come
    from MinHash, and each is checked by its true similarity, so that nothing is reported by chance. Of the
    pairs at the threshold about 1 in 50 is not found, of those at 0.9 with the threshold of 0.8 next to none.

    Options: ``content`` columns; ``scope``, ``across`` (the default), ``within`` or ``across,within``;
    ``split``, the column that names the split of a row: without it each table is a split; ``threshold``.

    Kinds: ``exact_across`` and ``near_across`` count rows of a split that a larger split has too (of equally
    large ones, that which comes first by name); ``exact_within`` and ``near_within`` rows that repeat an
    earlier row of their split, which is what removing duplicates would drop. Measures: ``leaked_share`` is
    the largest share of a smaller split that a larger one has too, ``repeated_share`` that of repeated rows.

    Parameters
    ----------
    permutations, seed : int
        Of the sketches.
    max_texts : int
        How many different texts are looked at; where there are more, the answer is unknown.
    max_comparisons : int
        How much is compared before the search is given up and the answer is unknown.
    """

    name = "near_duplicates"

    def __init__(
        self,
        permutations: int = 128,
        seed: int = 1,
        max_texts: int = 1_000_000,
        max_comparisons: int = 200_000_000,
    ) -> None:
        self._permutations = permutations
        self._seed = seed
        self._max_texts = max_texts
        self._max_comparisons = max_comparisons

    def version(self) -> str:
        """Version of this detector, of datasketch, and of the tables by which texts are folded."""
        return f"1; datasketch {datasketch_version()}; unicode {unicodedata.unidata_version}"

    def config(self) -> Mapping[str, str]:
        """How sketches are made, and how far is searched."""
        return {
            "permutations": str(self._permutations),
            "seed": str(self._seed),
            "shingle": str(SHINGLE),
            "max_texts": str(self._max_texts),
            "max_comparisons": str(self._max_comparisons),
        }

    def scan(self, files: Sequence[ScannedTable], options: Mapping[str, str]) -> Detection:
        """Look for repeated rows in tables.

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
            unknown = self._look(files, SetOptions(self.name, options, _OPTIONS), tally)
        except Unjudged as reason:
            return tally.detection(self, key, unknown=reason.reason)
        return tally.detection(self, key, unknown=unknown)

    def _look(self, files: Sequence[ScannedTable], options: SetOptions, tally: Tally) -> str | None:
        roles = {CONTENT: options.columns(CONTENT), SPLIT: options.columns(SPLIT)}
        scopes = [NearScope(word) for word in options.words("scope", ("across",), tuple(NearScope))]
        terms = NearTerms(options.number("threshold", 0.8, 0.5, 1.0), self._max_comparisons)
        if not roles[CONTENT]:
            raise Unjudged("no column plays the part of content")
        if not roles[SPLIT]:
            del roles[SPLIT]
            if NearScope.ACROSS in scopes and len(files) < 2:
                raise Unjudged("no column plays the part of split, and there is only one table")
        rows = RowTexts(files, roles, max_texts=self._max_texts)
        tally.scanned_records = len(rows)
        tally.scanned_bytes = sum(file.size for file in files)
        looked = _Look(rows, terms, Sketcher(self._permutations, self._seed))
        if len(rows) and not looked.full.any():
            raise Unjudged("no row has any content")
        found = [repeat for scope in scopes for repeat in looked.repeats(scope)]
        looked.report(found, roles[CONTENT][0], tally)
        if looked.is_complete and looked.unassigned:
            return f"{looked.unassigned} rows name no split"
        return None if looked.is_complete else "so many texts are alike that the search was given up"


class _Look:
    """One look at rows: splits by size, and the place of each content in the largest split that has it."""

    def __init__(self, rows: RowTexts, terms: NearTerms, sketcher: Sketcher) -> None:
        self._rows = rows
        self._terms = terms
        self._sketcher = sketcher
        self.is_complete = True
        splits = rows.by_role.get(SPLIT, rows.file_of)
        self.unassigned = int((splits < 0).sum())
        self.full: Flags = (rows.content >= 0) & (splits >= 0)
        self._rank: Numbers = np.full(len(rows), -1, np.int64)
        self._rank[self.full] = _ranks(splits[self.full], rows.values.get(SPLIT))
        where = np.flatnonzero(self.full)
        content, rank = rows.content[where], self._rank[where]
        order = np.lexsort((where, rank, content))
        self._sorted: Numbers = where[order]
        content, rank = content[order], rank[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = content[1:] != content[:-1]
        self._is_first_here = first.copy()
        self._is_first_here[1:] |= rank[1:] != rank[:-1]
        self._home: Numbers = np.full(len(rows.texts), -1, np.int64)
        """First row of each content, in the largest split that has it."""
        self._home[content[first]] = self._sorted[first]
        self._sketches: NDArray[np.uint32] | None = None

    def repeats(self, scope: NearScope) -> list[_Repeat]:
        """Find rows that repeat others."""
        rows = self._sorted
        home = self._home[self._rows.content[rows]]
        if scope is NearScope.ACROSS:
            exact = self._rank[rows] > self._rank[home]
            others = home[exact]
        else:
            exact = ~self._is_first_here
            firsts = np.maximum.accumulate(np.where(exact, 0, np.arange(len(rows))))
            others = rows[firsts[exact]]
        return [
            _Repeat(f"exact_{scope}", rows[exact], others),
            self._near(scope),
        ]

    def _near(self, scope: NearScope) -> _Repeat:
        texts = np.flatnonzero(self._home >= 0)
        groups = self._rank[self._home[texts]]
        chosen = [self._rows.texts[number] for number in texts.tolist()]
        if self._sketches is None:
            self._sketches = self._sketcher.sketches(chosen)
        found = find_near(chosen, self._sketches, groups, scope, self._terms)
        self.is_complete &= found.is_complete
        partner: Numbers = np.full(len(self._home), -1, np.int64)
        near = found.partner >= 0
        partner[texts[near]] = self._home[texts[found.partner[near]]]
        rows = self._sorted
        content = self._rows.content[rows]
        # Rows of a smaller split are exact repetitions already, and so are further ones of the same split.
        counted = (partner[content] >= 0) & (self._rank[rows] == self._rank[self._home[content]])
        if scope is NearScope.WITHIN:
            counted &= self._is_first_here
        return _Repeat(f"near_{scope}", rows[counted], partner[content[counted]])

    def report(self, found: Sequence[_Repeat], column: str, tally: Tally) -> None:
        """Count, measure, and show the first."""
        pairs = sorted(
            (row, repeat.kind, other)
            for repeat in found
            for row, other in _first(repeat.rows, repeat.others, len(found))
        )
        shown: dict[str, int] = {}
        for row, kind, other in pairs:
            if not tally.is_full:
                shown[kind] = shown.get(kind, 0) + 1
                text = self._shown(row, other)
                tally.add(Hit(kind=kind, shown=text, record=self._rows.record(row), column=column))
        for repeat in found:
            tally.count(repeat.kind, len(repeat.rows) - shown.get(repeat.kind, 0))
        tally.measures["texts"] = float((self._home >= 0).sum())
        tally.measures["empty"] = float((self._rows.content < 0).sum())
        tally.measures["splits"] = float(self._rank.max(initial=-1) + 1)
        for scope, name in ((NearScope.ACROSS, "leaked_share"), (NearScope.WITHIN, "repeated_share")):
            kinds = [repeat.rows for repeat in found if repeat.kind.endswith(scope)]
            if kinds:
                tally.measures[name] = self._share(np.concatenate(kinds), scope)

    def _share(self, rows: Numbers, scope: NearScope) -> float:
        if scope is NearScope.WITHIN:
            return len(np.unique(rows)) / max(1, int(self.full.sum()))
        sizes = np.bincount(self._rank[self.full], minlength=1)
        hit = np.bincount(self._rank[rows], minlength=len(sizes))
        return float((hit / np.maximum(sizes, 1)).max())

    def _shown(self, row: int, other: int) -> str:
        """Name both rows, and how alike they are where they aren't equal."""
        names = [self._named(each) for each in (row, other)]
        one, two = (int(self._rows.content[each]) for each in (row, other))
        if one == two:
            return f"{names[0]} = {names[1]}"
        alike = jaccard(shingle_set(self._rows.texts[one]), shingle_set(self._rows.texts[two]))
        return f"{names[0]} ≈ {names[1]} ({alike:.2f})"

    def _named(self, row: int) -> str:
        split = self._rows.by_role.get(SPLIT)
        name = "" if split is None else f"{self._rows.values[SPLIT][int(split[row])]}#"
        return name + self._rows.place(row)


def _ranks(splits: Numbers, names: Sequence[str] | None) -> Numbers:
    """Number splits by size, the largest first; equally large ones by their names, or as they were given."""
    numbers, inverse, sizes = np.unique(splits, return_inverse=True, return_counts=True)
    order = sorted(
        range(len(numbers)),
        key=lambda place: (-sizes[place], names[int(numbers[place])] if names else "", numbers[place]),
    )
    rank = np.empty(len(numbers), np.int64)
    rank[order] = np.arange(len(numbers))
    return rank[inverse]


def _first(rows: Numbers, others: Numbers, kinds: int) -> list[tuple[int, int]]:
    """Pairs of the lowest rows: as many as could be shown."""
    order = np.argsort(rows, kind="stable")[: MAX_HITS * kinds]
    return list(zip(rows[order].tolist(), others[order].tolist(), strict=True))


__all__ = ["NearDuplicates"]
