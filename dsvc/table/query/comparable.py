"""Columns compared with literals and with each other, in Arrow: exactly where both sides are exact."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsvc.table.query.condition import Comparison
from dsvc.table.query.predicate import PredicateError

_OPERATIONS: Final = {
    Comparison.EQUAL: pc.equal,
    Comparison.UNEQUAL: pc.not_equal,
    Comparison.LESS: pc.less,
    Comparison.AT_MOST: pc.less_equal,
    Comparison.GREATER: pc.greater,
    Comparison.AT_LEAST: pc.greater_equal,
}
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY: Final = 86_400
_MAX_DECIMAL: Final = 76
_CLOCK: Final = r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
_TIME: Final = re.compile(_CLOCK, re.ASCII)
_MOMENT: Final = re.compile(rf"(\d{{4}}-\d\d-\d\d)(?:[T ]{_CLOCK}(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def comparable_column(column: pa.Array) -> pa.Array:
    """Give a column in one of few types: without dictionaries, runs, views and extensions."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return comparable_column(column.storage)
    if pa.types.is_dictionary(kind):
        return comparable_column(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return comparable_column(pc.run_end_decode(column))
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return column.cast(pa.decimal128(kind.precision, kind.scale))
    return column.cast(pa.float32()) if pa.types.is_float16(kind) else column


def compare_literal(
    how: Comparison, column: pa.Array, value: str | int | Decimal | bool | None, name: str
) -> pa.BooleanArray:
    """Compare each cell of a plain column with a literal.

    Parameters
    ----------
    name : str
        The column's name, for messages.

    Raises
    ------
    PredicateError
        If they can't be compared.
    """
    kind = column.type
    if value is None or pa.types.is_null(kind):
        return pa.nulls(len(column), pa.bool_())
    if isinstance(value, bool):
        fits = pa.types.is_boolean(kind)
    elif isinstance(value, str):
        if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
            return _against(how, _steps(column), _steps_of_text(value, kind, name))
        fits = pa.types.is_large_string(kind)
    else:
        if _is_exact(kind):
            scale = kind.scale if pa.types.is_decimal(kind) else 0
            return _against(how, column, Fraction(value) * Fraction(10) ** scale)
        fits = pa.types.is_floating(kind)
        if fits:
            return _OPERATIONS[how](column, _float(value, kind))
    if not fits:
        raise _incomparable(name, kind, value)
    return _OPERATIONS[how](column, pa.scalar(value, kind))


def _incomparable(name: str, kind: pa.DataType, value: object) -> PredicateError:
    shown = f"'{value}'" if isinstance(value, str) else str(value).lower()
    hint = None
    if pa.types.is_large_string(kind):
        hint = f"write '{shown}' in quotes: the column is text"
    elif isinstance(value, str) and (_is_exact(kind) or pa.types.is_floating(kind)):
        hint = "write the number without quotes"
    elif pa.types.is_boolean(kind):
        hint = "the column is true or false"
    return PredicateError(
        f"column {name} is {_type_name(kind)} and can't be compared with {shown[:80]}",
        hint=hint,
        details={"column": name},
    )


def _type_name(kind: pa.DataType) -> str:
    return "string" if pa.types.is_large_string(kind) else str(kind)


def _is_exact(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _float(value: int | Decimal, kind: pa.DataType) -> pa.Scalar:
    try:
        number = float(value)
    except OverflowError:
        number = float("inf") if value > 0 else float("-inf")
    # A float32 column that was written from 0.1 equals 0.1.
    with np.errstate(over="ignore"):
        return pa.scalar(float(np.float32(number)) if pa.types.is_float32(kind) else number, kind)


def _against(how: Comparison, column: pa.Array, value: Fraction) -> pa.BooleanArray:
    """Compare a column of whole steps (decimals: of their last digit) with an exact number of steps."""
    kind = column.type
    low, high = _bounds(kind)
    below = value.numerator // value.denominator
    if low <= below <= high:
        step = (
            Decimal((int(below < 0), tuple(map(int, str(abs(below)))), -kind.scale))
            if _has_scale(kind)
            else below
        )
        scalar = pa.scalar(step, kind)
        if value == below:
            return _OPERATIONS[how](column, scalar)
        # Between two steps nothing is equal, and what is at most the lower one is less.
        if how in (Comparison.LESS, Comparison.AT_MOST):
            return pc.less_equal(column, scalar)
        if how in (Comparison.GREATER, Comparison.AT_LEAST):
            return pc.greater(column, scalar)
        truth = how is Comparison.UNEQUAL
    else:
        truth = how.holds(1 if below < low else -1)
    return pc.if_else(pc.is_valid(column), pa.scalar(truth), pa.scalar(None, pa.bool_()))


def _has_scale(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind))


def _bounds(kind: pa.DataType) -> tuple[int, int]:
    if pa.types.is_decimal(kind):
        return 1 - 10**kind.precision, 10**kind.precision - 1
    if pa.types.is_unsigned_integer(kind):
        return 0, (1 << kind.bit_width) - 1
    return -(1 << kind.bit_width - 1), (1 << kind.bit_width - 1) - 1


# Dates and times


def _steps(column: pa.Array) -> pa.Array:
    """Times as whole numbers: of days, or of the type's unit."""
    return column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())


def _rate(kind: pa.DataType) -> Fraction:
    """Steps of a type in a second."""
    if pa.types.is_date(kind):
        return Fraction(1, _DAY) if pa.types.is_date32(kind) else Fraction(1000)
    return Fraction(_PER_SECOND[kind.unit])


def _steps_of_text(text: str, kind: pa.DataType, name: str) -> Fraction:
    """Place of a time in ISO form, in steps of a column's type."""
    form = "HH:MM:SS" if pa.types.is_time(kind) else "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS"
    try:
        seconds = _time(text) if pa.types.is_time(kind) else _moment(text, kind)
    except (ValueError, OverflowError) as error:
        raise PredicateError(
            f"column {name} is {kind}, and '{text[:80]}' is none",
            hint=str(error) if isinstance(error, _ZoneError) else f"write {form}",
            details={"column": name},
        ) from error
    return seconds * _rate(kind)


class _ZoneError(ValueError):
    """A time has an offset where the column has no time zone."""


def _time(text: str) -> Fraction:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return _clock(*found.groups())


def _clock(hours: str | None, minutes: str | None, seconds: str | None, fraction: str | None) -> Fraction:
    if int(hours or 0) > 23 or int(minutes or 0) > 59 or int(seconds or 0) > 59:
        raise ValueError("no time of a day")
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + Fraction(int(fraction or 0), 10 ** len(fraction or ""))


def _moment(text: str, kind: pa.DataType) -> Fraction:
    """Seconds since 1970; a time without an offset is in the column's own zone."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    clock = _clock(*found.groups()[1:5])
    second = clock.numerator // clock.denominator
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    if found[6] is not None:
        if zone is None:
            raise _ZoneError("the column has no time zone; write the time without an offset")
        tzinfo: timezone | ZoneInfo = _fixed(found[6])
    else:
        tzinfo = UTC if zone is None else _zone(zone)
    at = datetime.fromisoformat(found[1]).replace(tzinfo=tzinfo) + timedelta(seconds=second)
    since = at - _EPOCH
    return since.days * _DAY + since.seconds + clock - second


def _fixed(text: str) -> timezone:
    found = _OFFSET.fullmatch(text)
    if found is None:
        return UTC
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset)


def _zone(name: str) -> timezone | ZoneInfo:
    if name == "UTC" or _OFFSET.fullmatch(name):
        return _fixed(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise _ZoneError(f"the time zone {name} is not known here; write the time with an offset") from error


# Columns with each other


def compare_columns(how: Comparison, left: pa.Array, right: pa.Array, names: str) -> pa.BooleanArray:
    """Compare two plain columns, cell by cell.

    Parameters
    ----------
    names : str
        The columns' names, for messages.

    Raises
    ------
    PredicateError
        If they can't be compared.
    """
    kinds = left.type, right.type
    if any(map(pa.types.is_null, kinds)):
        return pa.nulls(len(left), pa.bool_())
    if all(map(_is_number, kinds)):
        left, right = _same_numbers(left, right)
    elif all(pa.types.is_date(kind) or pa.types.is_timestamp(kind) for kind in kinds):
        if len({pa.types.is_timestamp(kind) and kind.tz is not None for kind in kinds}) > 1:
            raise PredicateError(f"{names} can't be compared: only one has a time zone")
        left, right = (_nanoseconds(column) for column in (left, right))
    elif all(map(pa.types.is_time, kinds)) or all(map(pa.types.is_duration, kinds)):
        left, right = (_nanoseconds(column) for column in (left, right))
    elif not (all(map(_is_bytes, kinds)) or (kinds[0] == kinds[1] and _is_plain(kinds[0]))):
        shown = " and ".join(map(_type_name, kinds))
        raise PredicateError(f"{names} can't be compared: they are {shown}")
    return _OPERATIONS[how](left, right)


def _is_number(kind: pa.DataType) -> bool:
    return bool(_is_exact(kind) or pa.types.is_floating(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_boolean(kind))


def _same_numbers(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    if left.type == right.type:
        return left, right
    if _is_exact(left.type) and _is_exact(right.type):
        sizes = [_digits(column.type) for column in (left, right)]
        whole, scale = (max(size[part] for size in sizes) for part in (0, 1))
        if whole + scale <= _MAX_DECIMAL:
            common = pa.decimal256(whole + scale, scale)
            return _decimal(left, common), _decimal(right, common)
    return left.cast(pa.float64(), safe=False), right.cast(pa.float64(), safe=False)


def _digits(kind: pa.DataType) -> tuple[int, int]:
    return (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal(kind) else (20, 0)


def _decimal(column: pa.Array, common: pa.DataType) -> pa.Array:
    column = column.cast(pa.decimal128(20, 0)) if pa.types.is_integer(column.type) else column
    return column.cast(common)


def _nanoseconds(column: pa.Array) -> pa.Array:
    """Times as exact numbers, since moments of all ages in nanoseconds are beyond 64 bits."""
    step = pa.scalar(Decimal(int(10**9 / _rate(column.type))), pa.decimal128(15, 0))
    return pc.multiply(_steps(column).cast(pa.int64()).cast(pa.decimal128(19, 0)), step)


__all__ = ["comparable_column", "compare_columns", "compare_literal"]
