"""Seeds that follow from the content, and exact intervals of a share."""

from __future__ import annotations

from math import comb

import pytest

from dsvc.policy.sampling import clopper_pearson, content_root, sample_seed


def at_least(passed: int, sample: int, share: float) -> float:
    """Probability that at least so many pass, summed up term by term."""
    return sum(comb(sample, n) * share**n * (1 - share) ** (sample - n) for n in range(passed, sample + 1))


@pytest.mark.parametrize(("passed", "sample"), [(1, 2), (3, 3), (0, 5), (7, 9), (48, 50), (96, 100)])
def test_the_bounds_are_where_the_tails_have_a_fortieth_each(passed: int, sample: int) -> None:
    low, high = clopper_pearson(passed, sample)
    assert low == 0 if not passed else at_least(passed, sample, low) == pytest.approx(0.025, abs=1e-9)
    if passed == sample:
        assert high == 1
    else:
        assert 1 - at_least(passed + 1, sample, high) == pytest.approx(0.025, abs=1e-9)


def test_the_sample_of_the_standard() -> None:
    low, high = clopper_pearson(3840, 4000)
    # About 0.6 points on either side.
    assert low == pytest.approx(0.9534, abs=5e-4)
    assert high == pytest.approx(0.9659, abs=5e-4)


def test_what_makes_no_sense_says_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert clopper_pearson(3, 2) == (0.0, 1.0)


def test_a_seed_follows_from_the_content_and_from_nothing_else() -> None:
    files = [(b"a", b"1" * 32), (b"b", b"2" * 32)]
    seed = sample_seed(content_root(files))
    assert seed == sample_seed(content_root(reversed(files)))
    assert seed != sample_seed(content_root([(b"a", b"2" * 32), (b"b", b"1" * 32)]))
    assert 0 <= seed < 1 << 53
