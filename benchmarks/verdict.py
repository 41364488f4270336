"""One judged figure, and how numbers are written."""

from collections.abc import Callable
from dataclasses import dataclass

MIB = 1024 * 1024
TOLERANCE = 1.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A figure, what it must reach, what it reached; `met` is None where it was not measured."""

    figure: str
    bound: str
    measured: str
    met: bool | None


def seconds(value: float) -> str:
    """Seconds with three significant digits or two decimals."""
    if value >= 100:
        return f"{value:.0f} s"
    if value >= 10:
        return f"{value:.1f} s"
    return f"{value:.2f} s" if value >= 1 else f"{value:.3f} s"


def megabytes(value: float) -> str:
    """Bytes as decimal megabytes."""
    return f"{value / 1e6:.2f} MB" if abs(value) < 10e6 else f"{value / 1e6:.1f} MB"


def mebibytes(value: float) -> str:
    """Bytes as MiB, as memory is counted."""
    return f"{value / MIB:.0f} MiB"


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.2f} times"


def percent(value: float) -> str:
    """A share."""
    return f"{value * 100:.0f}%"


def count(value: float) -> str:
    """A whole number."""
    return f"{value:.0f}"


def missing(figure: str, bound: str) -> Verdict:
    """Not measured."""
    return Verdict(figure=figure, bound=bound, measured="not measured", met=None)


def at_most(
    figure: str,
    measured: float | None,
    limit: float,
    written: Callable[[float], str],
    *,
    tolerance: float = 1.0,
) -> Verdict:
    """A value that has an upper bound."""
    bound = f"at most {written(limit)}"
    if measured is None:
        return missing(figure, bound)
    return Verdict(figure=figure, bound=bound, measured=written(measured), met=measured <= limit * tolerance)
