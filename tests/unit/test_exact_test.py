"""Fisher's test, Holm, G², lift and the stratified test, against exact fractions, scipy and statsmodels."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.exact_test import lifts, log_holm, log_over_representation, signed_g2
from dsvc.feedback.stratified import Tables, log_normal_tail, log_p_stratified

Cells = tuple[int, int, int, int]
"""Bad and all rows of the candidate, flagged and all rows of the stratum."""


@st.composite
def cells(draw: st.DrawFn, most: int = 60) -> Cells:
    evaluated = draw(st.integers(1, most))
    flagged = draw(st.integers(0, evaluated))
    total = draw(st.integers(0, evaluated))
    bad = draw(st.integers(max(0, total + flagged - evaluated), min(total, flagged)))
    return bad, total, flagged, evaluated


def exact_log(chance: Fraction) -> float:
    """Logarithm of a fraction of any size."""
    if chance > Fraction(1, 2):
        return math.log1p(float(chance - 1))
    return math.log(chance.numerator) - math.log(chance.denominator)


def outcomes(total: int, flagged: int, evaluated: int) -> dict[int, Fraction]:
    """Every outcome with its probability."""
    whole = comb(evaluated, total)
    possible = range(max(0, total + flagged - evaluated), min(total, flagged) + 1)
    return {k: Fraction(comb(flagged, k) * comb(evaluated - flagged, total - k), whole) for k in possible}


def exact_p(*strata: Cells) -> Fraction:
    """Probability that the sum over the strata is at least as large."""
    sums = {0: Fraction(1)}
    for _, *margins in strata:
        found: dict[int, Fraction] = {}
        for before, chance in sums.items():
            for k, own in outcomes(*margins).items():
                found[before + k] = found.get(before + k, Fraction(0)) + chance * own
        sums = found
    observed = sum(each[0] for each in strata)
    return sum((chance for value, chance in sums.items() if value >= observed), Fraction(0))


def fisher(bad: int, total: int, flagged: int, evaluated: int) -> float:
    return float(log_over_representation(np.array([bad]), np.array([total]), flagged, evaluated)[0])


def stratified(*strata: Cells) -> float:
    return log_p_stratified(Tables(*(np.array(each, np.int64) for each in zip(*strata, strict=True))))


@given(cells())
@settings(max_examples=60, deadline=None)
def test_the_p_value_is_the_sum_of_exact_fractions(table: Cells) -> None:
    assert fisher(*table) == pytest.approx(exact_log(exact_p(table)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("evaluated", [400, 3_000])
def test_large_tables_are_exact_too(evaluated: int) -> None:
    choice = np.random.default_rng(evaluated)
    for _ in range(15):
        flagged, total = (int(each) for each in choice.integers(1, evaluated, 2))
        bad = int(choice.integers(max(0, total + flagged - evaluated), min(total, flagged) + 1))
        table = (bad, total, flagged, evaluated)
        assert fisher(*table) == pytest.approx(exact_log(exact_p(table)), rel=1e-12, abs=1e-12)


@given(cells(most=500))
@settings(max_examples=40, deadline=None)
def test_the_p_value_is_that_of_scipy(table: Cells) -> None:
    bad, total, flagged, evaluated = table
    square = [[bad, total - bad], [flagged - bad, evaluated - total - flagged + bad]]
    assert fisher(*table) == pytest.approx(
        math.log(scipy.stats.fisher_exact(square, "greater").pvalue), abs=1e-9
    )


def test_many_rows_agree_with_scipy_in_log_space() -> None:
    bad, total = np.array([1_300, 700, 520]), np.array([100_000, 60_000, 50_000])
    ours = log_over_representation(bad, total, 10_000, 1_000_000)
    # The same sum as scipy's own logsf, whose differences of log-gammas are the less exact ones.
    theirs = scipy.stats.hypergeom.logsf(bad - 1, 1_000_000, 10_000, total)
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_a_p_value_below_every_float_keeps_its_logarithm() -> None:
    table = (400, 500, 500, 20_000)
    expected = exact_log(exact_p(table))
    assert math.exp(expected) == 0.0
    assert fisher(*table) == pytest.approx(expected, rel=1e-12)


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    choice = np.random.default_rng(2)
    for count in (1, 2, 7, 200):
        p_values = choice.random(count) ** choice.integers(1, 9, count)
        p_values[choice.integers(count)] = p_values[0]
        ours = np.exp(log_holm(np.log(p_values)))
        assert ours == pytest.approx(multipletests(p_values, method="holm")[1], rel=1e-9)


def test_g2_is_the_likelihood_ratio_and_below_zero_for_too_few() -> None:
    bad, total = np.array([30, 3]), np.array([100, 100])
    found = signed_g2(bad, total, 60, 1_000)
    for ours, hits, sign in zip(found, bad, (1, -1), strict=True):
        square = [[hits, 100 - hits], [60 - hits, 840 + hits]]
        expected = scipy.stats.chi2_contingency(square, correction=False, lambda_="log-likelihood").statistic
        assert ours == pytest.approx(sign * expected)


@pytest.mark.parametrize("table", [(7, 30, 16, 130), (40, 200, 60, 5_000), (5, 5, 9, 80)])
def test_the_interval_of_the_lift_is_that_of_the_ratio_to_the_others(table: Cells) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    bad, total, flagged, evaluated = table
    lift, low, high = (
        float(each[0]) for each in lifts(np.array([bad]), np.array([total]), flagged, evaluated)
    )
    assert lift == pytest.approx((bad / total) / (flagged / evaluated))
    ratios = confint_proportions_2indep(
        bad, total, flagged - bad, evaluated - total, compare="ratio", method="log-adjusted"
    )
    part = total / evaluated
    expected = [ratio / (part * ratio + 1 - part) for ratio in ratios]
    assert (low, high) == pytest.approx((min(expected[0], lift), max(expected[1], lift)))


@pytest.mark.parametrize(("share", "other"), [(0.02, 0.02), (0.06, 0.02), (0.3, 0.05)])
def test_the_interval_holds_the_true_lift_in_about_95_of_100(share: float, other: float) -> None:
    choice = np.random.default_rng(7)
    total, evaluated, rounds = 400, 4_000, 4_000
    bad, rest = choice.binomial(total, share, rounds), choice.binomial(evaluated - total, other, rounds)
    true = share / (0.1 * share + 0.9 * other)
    held = 0
    for flagged in np.unique(bad + rest):
        own = bad[bad + rest == flagged]
        _, low, high = lifts(own, np.full(len(own), total), int(flagged), evaluated)
        held += int(((low <= true) & (true <= high)).sum())
    assert 0.94 <= held / rounds <= 0.97


def test_a_lift_at_the_ends_of_what_is_possible() -> None:
    bad, total = np.array([0, 10, 50]), np.array([100, 10, 1_000])
    lift, low, high = lifts(bad, total, 50, 1_000)
    assert lift.tolist() == [0.0, 20.0, 1.0]
    assert low[0] == 0.0
    assert (low[2], high[2]) == (1.0, 1.0)
    assert (low <= lift).all()
    assert (lift <= high).all()
    # All flagged rows are its own: nothing bounds how much worse it is than the others.
    assert lifts(np.array([50]), np.array([100]), 50, 1_000)[2][0] == pytest.approx(10.0)


@given(st.lists(cells(most=25), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_the_stratified_p_value_is_the_sum_of_exact_fractions(strata: list[Cells]) -> None:
    assert stratified(*strata) == pytest.approx(exact_log(exact_p(*strata)), rel=1e-9, abs=1e-9)


def test_one_stratum_is_fishers_test_far_out_too() -> None:
    for table in ((60, 200, 500, 10_000), (400, 500, 500, 20_000), (5, 200, 500, 10_000)):
        assert stratified(table) == pytest.approx(fisher(*table), rel=1e-9)


def mantel_haenszel(strata: list[Cells]) -> tuple[float, float]:
    """Statistic with continuity correction, and two-sided p-value, of statsmodels."""
    from statsmodels.stats.contingency_tables import StratifiedTable

    squares = [
        np.array([[bad, total - bad], [flagged - bad, evaluated - total - flagged + bad]])
        for bad, total, flagged, evaluated in strata
    ]
    found = StratifiedTable(squares).test_null_odds(correction=True)
    return float(found.statistic), float(found.pvalue)


def random_strata(count: int, least: int, most: int) -> list[Cells]:
    choice = np.random.default_rng(count)
    found = []
    for _ in range(count):
        total, other = (int(each) for each in choice.integers(least, most, 2))
        bad, rest = int(choice.binomial(total, 0.115)), int(choice.binomial(other, 0.1))
        found.append((bad, total, bad + rest, total + other))
    return found


def test_strata_with_many_rows_come_close_to_mantel_and_haenszel() -> None:
    strata = random_strata(12, 400, 800)
    assert math.exp(stratified(*strata)) == pytest.approx(mantel_haenszel(strata)[1] / 2, rel=0.05)


def test_more_than_a_thousand_strata_are_those_of_mantel_and_haenszel() -> None:
    strata = random_strata(1_200, 10, 40)
    assert stratified(*strata) == pytest.approx(
        log_normal_tail(math.sqrt(mantel_haenszel(strata)[0])), rel=1e-9
    )


def test_strata_that_say_nothing_change_nothing() -> None:
    table = (8, 20, 15, 100)
    silent = [(0, 0, 3, 40), (6, 6, 6, 6), (0, 7, 0, 30), (3, 12, 3, 12)]
    assert stratified(table, *silent) == pytest.approx(stratified(table), rel=1e-12)
    assert stratified(*silent) == 0.0


def test_the_normal_tail_goes_on_where_floats_end() -> None:
    for z in (-1.0, 0.0, 5.0, 29.0, 31.0, 60.0):
        assert log_normal_tail(z) == pytest.approx(float(scipy.stats.norm.logsf(z)), rel=1e-7)
