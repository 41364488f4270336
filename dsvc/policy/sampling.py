"""Samples that nobody can draw again until they please: the seed follows from the content."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from blake3 import blake3

from dsvc.model.encoding import encode

_ROOT: Final = "dsvc v1 sampled content"
_SEED: Final = "dsvc v1 seed of a sample"
_PRECISION: Final = 1e-12


def content_root(files: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Name what a sample is drawn from: digest over paths and digests of the artifacts, ordered by path."""
    return blake3(encode([_ROOT, sorted(set(files))])).digest()


def sample_seed(root: bytes) -> int:
    """Seed of the sample of some content, from 0 to below 2**53; the same content has the same one."""
    return int.from_bytes(blake3(encode([_SEED, root])).digest()[:8], "big") >> 11


def clopper_pearson(passed: int, sample: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the share of all items that would pass, by what passed of a sample.

    It is exact: the share lies outside it in at most ``1 - confidence`` of all samples. Found by bisection on
    the binomial distribution, to 1e-9.
    """
    if not 0 <= passed <= sample or not sample:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    # That at least k of n pass, where a share p would, has probability I_p(k, n - k + 1).
    low = 0.0 if not passed else _solve(lambda p: incomplete_beta(p, passed, sample - passed + 1), tail)
    high = (
        1.0
        if passed == sample
        else _solve(lambda p: incomplete_beta(p, passed + 1, sample - passed), 1 - tail)
    )
    return low, high


def _solve(rising: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function, by Lentz's continued fraction; a and b up to 1e12."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction, m, step = d, 0, 0.0
    while abs(step - 1) >= _PRECISION:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            fraction *= c * d
        step = c * d
    return math.exp(front) * fraction / a
