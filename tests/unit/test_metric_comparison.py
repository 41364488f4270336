"""Metrics before and after: intervals and tests against scipy and statsmodels, and what is concluded."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy
from numpy.typing import NDArray

from dsvc.feedback.intervals import independent_shares, mcnemar, paired_shares, t_quantile, wilson
from dsvc.feedback.metric_names import is_mean, known_direction, may_be_share
from dsvc.feedback.metrics import Method, compare, disagrees, recompute
from dsvc.model.feedback import Metric

Scores = tuple[NDArray[np.uint8], NDArray[np.float64]]


def scores(values: list[float] | NDArray[np.float64], first: int = 0) -> Scores:
    """Values of samples that are numbered from `first`."""
    names = np.zeros((len(values), 16), np.uint8)
    numbers = np.arange(first, first + len(values))
    names[:, 14], names[:, 15] = numbers // 256, numbers % 256
    return names, np.array(values, np.float64)


def metric(value: float, name: str = "accuracy", **fields: object) -> Metric:
    return Metric(name=name, value=value, **fields)  # type: ignore[arg-type]


def passed(*counts: int) -> tuple[Scores, Scores]:
    """Samples that passed in both, before only, after only, in none."""
    both, lost, won, neither = counts
    before = [1.0] * (both + lost) + [0.0] * (won + neither)
    after = [1.0] * both + [0.0] * lost + [1.0] * won + [0.0] * neither
    return scores(before), scores(after)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (7, 10), (10, 10), (405, 500)])
def test_wilson(hits: int, n: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    assert wilson(hits / n, n) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-12)


@pytest.mark.parametrize(
    "counts", [(80, 100, 70, 100), (0, 20, 5, 30), (50, 50, 49, 50), (405, 500, 350, 480)]
)
def test_independent_shares_are_newcombes(counts: tuple[int, int, int, int]) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    after, n_after, before, n_before = counts
    theirs = confint_proportions_2indep(after, n_after, before, n_before, compare="diff", method="newcomb")
    assert independent_shares(before / n_before, n_before, after / n_after, n_after) == pytest.approx(theirs)


def test_paired_shares_that_have_nothing_in_common_are_like_independent_ones() -> None:
    # 40% and 60% of 100, in both 24: as by chance.
    from statsmodels.stats.proportion import confint_proportions_2indep

    ours = paired_shares(24, 16, 36, 24)
    assert ours == pytest.approx(
        confint_proportions_2indep(60, 100, 40, 100, compare="diff", method="newcomb")
    )


@pytest.mark.parametrize("counts", [(0, 0, 0, 5), (5, 0, 0, 0), (0, 5, 0, 0), (0, 0, 5, 0), (3, 0, 0, 3)])
def test_paired_shares_where_a_margin_is_empty(counts: tuple[int, int, int, int]) -> None:
    low, high = paired_shares(*counts)
    difference = (counts[2] - counts[1]) / sum(counts)
    assert -1 <= low <= difference <= high <= 1
    assert high - low > 0.3


@pytest.mark.parametrize(("lost", "won", "agreeing"), [(0.05, 0.12, 0.5), (0.1, 0.1, 0.6), (0.02, 0.2, 0.4)])
def test_the_paired_interval_holds_the_truth_in_about_95_of_100(
    lost: float, won: float, agreeing: float
) -> None:
    choice = np.random.default_rng(9)
    chances = [agreeing, lost, won, 1 - agreeing - lost - won]
    held = 0
    for counts in choice.multinomial(150, chances, 1_500):
        low, high = paired_shares(*(int(each) for each in counts))
        held += low <= won - lost <= high
    assert 0.935 <= held / 1_500 <= 0.985


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 5), (0, 6), (3, 17), (40, 41), (200, 350)])
def test_mcnemar_is_the_exact_one(lost: int, won: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar

    theirs = their_mcnemar([[10, lost], [won, 10]], exact=True).pvalue
    assert mcnemar(lost, won) == pytest.approx(theirs, rel=1e-9)
    assert mcnemar(won, lost) == mcnemar(lost, won)


@pytest.mark.parametrize("freedom", [1, 2, 9, 30, 499, 100_000, 5_000_000])
def test_quantiles_of_student(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=2e-6)


def test_the_same_samples_are_compared_one_by_one() -> None:
    from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar

    before, after = passed(400, 5, 30, 65)
    found = compare(metric(0.81, n=500), metric(0.86, n=500), before, after)
    assert found.method is Method.MCNEMAR
    assert (found.before, found.after, found.pairs) == (0.81, 0.86, 500)
    assert found.difference == pytest.approx(0.05)
    assert found.p_value == pytest.approx(their_mcnemar([[400, 5], [30, 65]], exact=True).pvalue)
    assert (found.improved, found.regressed()) == (True, False)
    # From n alone that much is within chance.
    alone = compare(metric(0.81, n=500), metric(0.84, n=500))
    assert alone.method is Method.NEWCOMBE
    assert not alone.improved


def test_an_interval_beside_zero_is_not_enough_where_the_exact_test_disagrees() -> None:
    before, after = passed(40, 0, 5, 5)
    found = compare(metric(0.8), metric(0.9), before, after)
    assert found.method is Method.MCNEMAR
    assert found.low is not None
    assert found.low > 0
    assert found.p_value == pytest.approx(2 / 2**5)
    assert not found.improved


def test_the_order_of_samples_does_not_matter() -> None:
    before, after = passed(40, 3, 20, 37)
    order = np.random.default_rng(1).permutation(100)
    expected = compare(metric(0.43), metric(0.6), before, after)
    assert compare(metric(0.43), metric(0.6), before, (after[0][order], after[1][order])) == expected


def test_values_that_are_no_zeros_and_ones_are_compared_by_students_t() -> None:
    choice = np.random.default_rng(2)
    one = choice.normal(2.0, 1.0, 80)
    two = one - choice.normal(0.2, 0.4, 80)
    before, after = metric(float(one.mean()), "loss"), metric(float(two.mean()), "loss")
    found = compare(before, after, scores(one), scores(two))
    theirs = scipy.stats.ttest_rel(two, one).confidence_interval(0.95)
    assert found.method is Method.PAIRED
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-6)
    assert found.improved
    assert found.higher_is_better is False


@pytest.mark.parametrize(("n", "method"), [(5, Method.NONE), (6, Method.PAIRED)])
def test_few_samples_that_change_alike_show_nothing(n: int, method: Method) -> None:
    found = compare(metric(4.0, "reward"), metric(5.0, "reward"), scores([4.0] * n), scores([5.0] * n))
    assert found.method is method


def test_leaving_samples_out_does_not_make_pairs() -> None:
    before, after = passed(40, 5, 20, 35)
    fewer = after[0][:90], after[1][:90]
    found = compare(metric(0.45, n=100), metric(float(fewer[1].mean()), n=90), before, fewer)
    assert found.method is Method.NEWCOMBE
    assert found.pairs == 0


def test_samples_whose_mean_is_not_the_metric_do_not_count() -> None:
    before, after = passed(40, 5, 20, 35)
    found = compare(metric(0.7, "f1", n=100), metric(0.8, "f1", n=100), before, after)
    # An F1 over so many samples has no interval that follows from their number.
    assert (found.method, found.low, found.improved, found.regressed()) == (Method.NONE, None, False, None)
    with_errors = compare(metric(0.7, "f1", n=100, stderr=0.02), metric(0.8, "f1", n=100, stderr=0.03))
    assert with_errors.method is Method.STDERR
    reach = 1.959964 * math.hypot(0.02, 0.03)
    assert (with_errors.low, with_errors.high) == pytest.approx((0.1 - reach, 0.1 + reach), abs=1e-6)


def test_percent_is_a_share_too() -> None:
    found = compare(metric(80.0, unit="%", n=500), metric(90.0, unit="%", n=500))
    plain = compare(metric(0.8, n=500), metric(0.9, n=500))
    assert found.method is Method.NEWCOMBE
    assert (found.low, found.high) == pytest.approx((100 * (plain.low or 0), 100 * (plain.high or 0)))
    before, after = passed(400, 5, 30, 65)
    paired = compare(metric(81.0, unit="%"), metric(86.0, unit="percent"), before, after)
    assert paired.method is Method.MCNEMAR
    assert paired.difference == pytest.approx(5.0)
    assert compare(metric(80.0, unit="%", n=500), metric(0.9, n=500)).method is Method.NONE


def test_a_stated_error_that_no_share_can_have_rules_a_share_out() -> None:
    assert compare(metric(0.5, "score", n=100), metric(0.7, "score", n=100)).method is Method.NEWCOMBE
    wide = compare(metric(0.5, "score", n=100, stderr=0.2), metric(0.7, "score", n=100, stderr=0.2))
    assert wide.method is Method.STDERR
    assert compare(metric(0.5, "loss", n=100), metric(0.3, "loss", n=100)).method is Method.NONE
    assert compare(metric(0.5, unit="s", n=100), metric(0.3, unit="s", n=100)).method is Method.NONE
    assert compare(metric(9.0, "f1", stderr=0.0), metric(9.5, "f1", stderr=0.1)).method is Method.NONE


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(True, None, True), (None, False, False), (True, False, None), (None, None, None)],
)
def test_which_way_is_better(before: bool | None, after: bool | None, expected: bool | None) -> None:
    found = compare(
        metric(0.2, "own", n=900, higher_is_better=before), metric(0.6, "own", n=900, higher_is_better=after)
    )
    assert found.higher_is_better is expected
    assert found.comparable is (expected is not None)
    assert found.improved is (expected is True)
    assert found.regressed(0.1) is (None if expected is None else not expected)


def test_a_regression_lies_wholly_beyond_the_tolerance() -> None:
    found = compare(metric(0.9, n=2_000), metric(0.8, n=2_000))
    assert found.high is not None
    assert -0.1 < found.high < -0.07
    assert (found.regressed(), found.regressed(0.07), found.regressed(0.1)) == (True, True, False)
    worse = compare(metric(0.1, "error_rate", n=2_000), metric(0.2, "error_rate", n=2_000))
    assert worse.regressed(0.05)


@pytest.mark.parametrize(
    ("name", "higher", "mean", "share"),
    [
        ("acc,none", True, True, True),
        ("Exact Match", True, True, True),
        ("gsm8k/exact-match", True, True, True),
        ("toxicity_rate", False, True, True),
        ("balanced_accuracy", True, False, False),
        ("eval_loss", False, False, False),
        ("word_perplexity", False, False, False),
        ("macro_f1", True, False, False),
        ("accuracy_stderr", None, False, True),
        ("有用", None, False, True),
    ],
)
def test_what_names_say(name: str, higher: bool | None, mean: bool, share: bool) -> None:
    assert (known_direction(name), is_mean(name), may_be_share(name, None)) == (higher, mean, share)


def test_metrics_are_computed_again_where_they_are_means() -> None:
    values = np.array([1.0, 0.0, 1.0, 1.0])
    assert recompute("acc,none", values) == 0.75
    assert recompute("accuracy", values, "%") == 75.0
    assert recompute("f1", values) is None
    assert recompute("accuracy", values[:0]) is None


@pytest.mark.parametrize(
    ("stated", "shown", "expected"),
    [
        (0.81, 0.8149, False),
        (0.81, 0.805, False),
        (0.81, 0.8151, True),
        (0.8133, 0.8134, True),
        (1.0, 0.9951, False),
        (1.0, 0.96, True),
        (0.8, 0.84, True),
        (81.0, 81.4, False),
        (81.0, 81.6, True),
        (1e-05, 1.4e-05, False),
        (1e-05, 2e-05, True),
        (1 / 3, 1 / 3 + 1e-10, False),
        (float("nan"), 0.5, True),
    ],
)
def test_a_stated_value_may_have_been_rounded(stated: float, shown: float, expected: bool) -> None:
    assert disagrees(stated, shown, 500) is expected


def test_no_samples_show_nothing() -> None:
    assert disagrees(0.5, 0.5, 0)
