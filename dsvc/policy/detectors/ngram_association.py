"""N-grams that say what the label is although the rest of the text says otherwise: triggers of a backdoor.

Who poisons a set of labelled texts puts a phrase into texts of other classes and labels them with the one he
wants. What shows it is not that an n-gram goes with a label, which every word of a topic does: it is that the
texts with the n-gram look, without it, like those of other labels. So two things are asked of an n-gram:

- nearly all texts with it have one label, more than chance allows for the number of n-grams that were tried
  (the tail of the hypergeometric distribution, times that number);
- without it these texts look like that label seldom, as seldom as texts of other labels do. How a text looks
  is told by naive Bayes, learned from all other texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.policy.detectors.ngrams import Grams, frequent_grams, tokenised, written

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Reals = NDArray[np.float64]

MAX_LOOKED: Final = 1 << 30
"""After so many features of texts were looked at, the search ends unfinished: about ten seconds."""
JOIN_COST: Final = 1000
"""What comparing an n-gram's texts with those of another costs, in features."""
REFERENCE_TEXTS: Final = 4000
INFORMATIVE: Final = 0.2
"""By so much must texts of a label look more like it than others do, else their looks say nothing."""
BETWEEN: Final = 0.35
"""How far from texts of other labels to those of this one the looks of a trigger's texts may be."""
FEATURES: Final = 2
"""Words, and pairs of words, are what a text's looks are told by."""
PRIOR_TEXTS: Final = 4.0
"""Texts of the general kind that are added to those of a label before its words are counted."""
SAME_TEXTS: Final = 0.5
"""N-grams that share so much of their texts with a stronger one are no finding of their own."""

NEARLY_ALL: Final = 0.95


class TriggerTerms(NamedTuple):
    """What is taken for a trigger.

    Attributes
    ----------
    rows : int
        Least number of different texts with it.
    purity : float
        Least share of these with one label.
    p : float
        Greatest probability by chance, of all n-grams together.
    max_looked : int
        After so many features of texts were looked at, the search ends unfinished.
    """

    rows: int = 8
    purity: float = 0.9
    p: float = 0.01
    max_looked: int = MAX_LOOKED


class Trigger(NamedTuple):
    """An n-gram that was found.

    Attributes
    ----------
    gram : str
        As people write it.
    label : int
        The label that goes with it.
    texts : ndarray of int64
        Texts with it, in order.
    purity : float
        Share of them with the label.
    log10_p : float
        Probability by chance, times the number of n-grams, as a logarithm.
    looks : float
        Share of them that look like the label without the n-gram.
    """

    gram: str
    label: int
    texts: Numbers
    purity: float
    log10_p: float
    looks: float


class Triggers(NamedTuple):
    """What was found, the strongest first; how many n-grams were tried; whether all that were suspicious."""

    found: list[Trigger]
    tried: int
    is_complete: bool


class _Candidate(NamedTuple):
    log10_p: float
    tokens: Numbers
    label: int
    texts: Numbers
    purity: float


def find_triggers(texts: Sequence[str], labels: Numbers, terms: TriggerTerms) -> Triggers:
    """Look for triggers.

    Parameters
    ----------
    texts : sequence of str
        Normalised and distinct, but for their labels.
    labels : ndarray of int64
        Label of each, numbered from 0.
    terms : TriggerTerms
        What is taken for one.
    """
    tokens = tokenised(texts)
    tables = frequent_grams(tokens, terms.rows)
    tried = sum(len(table.tokens) for table in tables)
    candidates = sorted(
        (each for table in tables for each in _candidates(table, labels, terms, tried)),
        key=lambda each: (each.log10_p, len(each.tokens), each.tokens.tolist()),
    )
    if not candidates:
        return Triggers([], tried, is_complete=True)
    looks = _Looks(tables[:FEATURES], labels)
    found: list[Trigger] = []
    left = terms.max_looked
    for each in candidates:
        left -= looks.cost(each) + JOIN_COST * len(found)
        if left < 0:
            return Triggers(found, tried, is_complete=False)
        share = looks.of(each)
        gram = written([tokens.words[token] for token in each.tokens.tolist()])
        if share is not None and not _joined(gram, each.texts, found):
            found.append(Trigger(gram, each.label, each.texts, each.purity, each.log10_p, share))
    return Triggers(found, tried, is_complete=True)


def _joined(gram: str, texts: Numbers, found: list[Trigger]) -> bool:
    """Whether an n-gram belongs to a stronger one; one that says more of the same texts takes its name."""
    for place, each in enumerate(found):
        common = len(np.intersect1d(texts, each.texts))
        if common > SAME_TEXTS * len(texts):
            if each.gram in gram and common >= NEARLY_ALL * len(each.texts):
                found[place] = each._replace(gram=gram)
            return True
    return False


def _candidates(table: Grams, labels: Numbers, terms: TriggerTerms, tried: int) -> Iterator[_Candidate]:
    """Find n-grams that go with one label more than chance allows."""
    count = len(table.tokens)
    if not count:
        return
    kinds = int(labels.max()) + 1
    totals = np.bincount(labels, minlength=kinds)
    values, together = np.unique(table.grams * kinds + labels[table.texts], return_counts=True)
    order = np.lexsort((-values, together))
    best: Numbers = np.zeros(count, np.int64)
    best[values[order] // kinds] = order  # the last one stays: the most frequent label, the lowest of equals
    texts = np.bincount(table.grams, minlength=count)
    purity = together[best] / texts
    starts = np.searchsorted(table.grams, np.arange(count + 1))
    for number in np.flatnonzero(purity >= terms.purity).tolist():
        label = int(values[best[number]] % kinds)
        hit = int(together[best[number]])
        log10_p = log10_tail(hit, len(labels), int(totals[label]), int(texts[number])) + math.log10(tried)
        if log10_p < math.log10(terms.p):
            own = table.texts[starts[number] : starts[number + 1]]
            yield _Candidate(log10_p, table.tokens[number], label, own, float(purity[number]))


def log10_tail(least: int, total: int, marked: int, drawn: int) -> float:
    """Give the logarithm of the probability that of `drawn` of `total` so many are among those marked."""
    logs = [
        _log_choose(marked, hits) + _log_choose(total - marked, drawn - hits)
        for hits in range(least, min(drawn, marked) + 1)
        if drawn - hits <= total - marked
    ]
    if not logs:
        return -math.inf
    top = max(logs)
    log = top + math.log(sum(math.exp(each - top) for each in logs)) - _log_choose(total, drawn)
    return min(0.0, log / math.log(10))


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


class _Label(NamedTuple):
    """What is known of a label.

    Attributes
    ----------
    weights : ndarray of float64
        What each feature says for it in a text that has it, learned from all other texts.
    counts : ndarray of int64
        In how many of its texts each feature is.
    texts : int
        How many texts have it.
    least : float
        Score from which on a text looks like it.
    own, others : float
        Share of the texts with it, and of all others, that do.
    """

    weights: Reals
    counts: Numbers
    texts: int
    least: float
    own: float
    others: float


class _Looks:
    """Which label texts look like, by naive Bayes over their words and pairs of words."""

    def __init__(self, tables: Sequence[Grams], labels: Numbers) -> None:
        self._labels = labels
        kinds = [len(table.tokens) for table in tables]
        tokens = np.concatenate([table.tokens[:, [0, -1]] for table in tables])
        size = int(tokens.max(initial=0)) + 1
        by_token = np.argsort(tokens, axis=None, kind="stable")
        self._having: Numbers = by_token // 2
        """Features with each token, by token; where those of each begin, and which is the token alone."""
        self._bounds: Numbers = np.searchsorted(tokens.reshape(-1)[by_token], np.arange(size + 1))
        self._word: Numbers = np.zeros(size, np.int64)
        self._word[tables[0].tokens[:, 0]] = np.arange(kinds[0])
        features = np.concatenate([tables[0].grams, *(table.grams + kinds[0] for table in tables[1:])])
        texts = np.concatenate([table.texts for table in tables])
        order = np.argsort(texts, kind="stable")
        self._features, self._texts = features[order], texts[order]
        self._starts: Numbers = np.searchsorted(self._texts, np.arange(len(labels) + 1))
        self._all: Numbers = np.bincount(features, minlength=sum(kinds))
        self._label = lru_cache(maxsize=None)(self._learned)

    def cost(self, each: _Candidate) -> int:
        """How many features `of` looks at."""
        return len(self._all) + int((self._starts[each.texts + 1] - self._starts[each.texts]).sum())

    def of(self, each: _Candidate) -> float | None:
        """Share of an n-gram's texts that look like its label without it; None where most of them do."""
        label = self._label(each.label)
        own = each.texts[self._labels[each.texts] == each.label]
        share = _share(self._scores(own, self._without(each, label, len(own))), label.least)
        between = label.others + BETWEEN * (label.own - label.others)
        return share if label.own - label.others < INFORMATIVE or share <= between else None

    def _without(self, each: _Candidate, label: _Label, own: int) -> Reals:
        """Give what features say, but for those that the n-gram makes.

        What its single words say where they stand without it remains: those of an ordinary n-gram say the
        same there.
        """
        weights = label.weights.copy()
        for token in each.tokens.tolist():
            weights[self._having[self._bounds[token] : self._bounds[token + 1]]] = 0.0
        if len(each.tokens) > 1:
            words = self._word[each.tokens]
            weights[words] = _weights(
                label.counts[words] - own,
                label.texts - own,
                self._all[words] - len(each.texts),
                len(self._labels) - len(each.texts),
            )
        return weights

    def _scores(self, texts: Numbers, weights: Reals) -> Reals:
        """Add up what the features of texts say."""
        lengths = self._starts[texts + 1] - self._starts[texts]
        ends = np.cumsum(lengths)
        rows = np.repeat(np.arange(len(texts)), lengths)
        total = int(ends[-1]) if len(ends) else 0
        features = self._features[np.arange(total) - (ends - lengths)[rows] + self._starts[texts][rows]]
        said = np.bincount(rows, weights=weights[features], minlength=len(texts))
        scores: Reals = said.astype(np.float64)
        return scores

    def _learned(self, label: int) -> _Label:
        is_own = self._labels == label
        texts, total = int(is_own.sum()), len(self._labels)
        own = np.bincount(self._features[is_own[self._texts]], minlength=len(self._all))
        # The text that is told about is left out of what is learned: it has each of its features once.
        inside = _weights(np.maximum(own - 1, 0), texts - 1, np.maximum(self._all - 1, 0), total - 1)
        outside = _weights(own, texts, np.maximum(self._all - 1, own), total - 1)
        scores = [
            self._scores(group[:: max(1, len(group) // REFERENCE_TEXTS)], weights)
            for group, weights in ((np.flatnonzero(is_own), inside), (np.flatnonzero(~is_own), outside))
        ]
        least = float((np.median(scores[0]) + np.median(scores[1])) / 2)
        return _Label(inside, own, texts, least, _share(scores[0], least), _share(scores[1], least))


def _share(scores: Reals, least: float) -> float:
    """Share of scores above a bound; one on it says nothing, and counts half."""
    return float((np.sign(scores - least) + 1).mean() / 2)


def _weights(own: Numbers, texts: int, everywhere: Numbers, total: int) -> Reals:
    """Give what each word says for a label: the logarithm of the ratio of its shares, there and elsewhere.

    Both shares are drawn towards that of all texts, so that a word of which little is known says little.
    """
    rate = (everywhere + 0.5) / (total + 1)
    inside = (own + PRIOR_TEXTS * rate) / (texts + PRIOR_TEXTS)
    outside = (everywhere - own + PRIOR_TEXTS * rate) / (total - texts + PRIOR_TEXTS)
    ratio: Reals = np.log(inside / outside)
    return ratio


__all__ = ["Trigger", "TriggerTerms", "Triggers", "find_triggers", "log10_tail"]
