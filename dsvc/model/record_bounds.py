"""What numbers and ids in a record may be, whoever wrote it: they are counted with, shown, looked up."""

from __future__ import annotations

import math
import re
from typing import Final

import msgspec

from dsvc.model.errors import MalformedInputError

MAX_COUNT: Final = 1 << 62
"""No record counts more rows, bytes or operations; a sum of two of them is a 64-bit number still."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_ROOT: Final = re.compile(r"[0-9a-f]{64}")


def check_numbers(record: msgspec.Struct, what: str, *, least: int = 0) -> None:
    """Refuse a record with a number that counts nothing, or that JSON has no word for.

    Parameters
    ----------
    least : int
        The least that an integer in it may be.

    Raises
    ------
    MalformedInputError
        If an integer is below it or above `MAX_COUNT`, or a number is not finite.
    """
    pending: list[object] = [msgspec.to_builtins(record, builtin_types=(bytes,))]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
        elif isinstance(value, float) and not math.isfinite(value):
            raise MalformedInputError(f"{what} has a number that is not finite")
        elif isinstance(value, int) and not isinstance(value, bool) and not least <= value <= MAX_COUNT:
            raise MalformedInputError(f"{what} has a number that counts nothing")


def check_commits(what: str, *ids: str | None) -> None:
    """Refuse a record that names a commit by anything but 40 hexadecimal digits.

    Raises
    ------
    MalformedInputError
        If one of `ids` is something else; None is a field that the record leaves out.
    """
    if not all(_COMMIT.fullmatch(each) for each in ids if each is not None):
        raise MalformedInputError(f"{what} names a commit by what is no id")


def check_roots(what: str, *ids: str | None) -> None:
    """Refuse a record that names a manifest or run by anything but 64 such digits; as `check_commits`."""
    if not all(_ROOT.fullmatch(each) for each in ids if each is not None):
        raise MalformedInputError(f"{what} names a root by what is no id")
