"""What became of an input's rows: how many had which fate, which changed, which were dropped and why."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
import xxhash

from dsvc.lineage.packed_numbers import pack_numbers, unpack_numbers
from dsvc.model.encoding import decode, encode
from dsvc.model.errors import MalformedInputError
from dsvc.model.run_record import Fates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_MAGIC: Final = b"dsvcacc1"
_PREFIX: Final = 24
_UNKNOWN: Final = -1


class Drop(NamedTuple):
    """Why a row is gone: its reason, and the row of the same input that stands for it, None if unknown."""

    reason: str
    survivor: int | None


class RowAccount(NamedTuple):
    """What became of the rows of one input.

    Attributes
    ----------
    fates : Fates
        How many rows had which fate.
    changed : ndarray of int64
        Rows with one child, in which some cell differs; ascending.
    dropped : ndarray of int64, shape (n,)
        Rows without a child, ascending.
    reasons : tuple of str
        Why rows were dropped, each once.
    reason_of : ndarray of int64, shape (n,)
        For each dropped row which of `reasons` it is.
    survivors : ndarray of int64, shape (n,)
        For each dropped row the row of this input that stands for it, -1 if unknown or none.
    """

    fates: Fates
    changed: Numbers
    dropped: Numbers
    reasons: tuple[str, ...]
    reason_of: Numbers
    survivors: Numbers

    def drops(self) -> dict[str, int]:
        """Count dropped rows by reason."""
        counts = np.bincount(self.reason_of, minlength=len(self.reasons))
        return {reason: int(count) for reason, count in zip(self.reasons, counts, strict=True) if count}

    def drop_of(self, row: int) -> Drop | None:
        """Why a row is gone; None where it isn't."""
        place = int(np.searchsorted(self.dropped, row))
        if place == len(self.dropped) or int(self.dropped[place]) != row:
            return None
        survivor = int(self.survivors[place])
        return Drop(self.reasons[int(self.reason_of[place])], None if survivor == _UNKNOWN else survivor)

    def is_changed(self, row: int) -> bool:
        """Whether a row has one child, in which some cell differs."""
        place = int(np.searchsorted(self.changed, row))
        return place < len(self.changed) and int(self.changed[place]) == row


class _Header(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    fates: tuple[int, int, int, int, int]
    reasons: tuple[str, ...]


def encode_account(account: RowAccount) -> bytes:
    """Encode an account; equal accounts have equal bytes."""
    fates = account.fates
    header = encode(
        _Header((fates.kept, fates.changed, fates.merged, fates.split, fates.dropped), account.reasons)
    )
    columns = (account.changed, account.dropped, account.reason_of, account.survivors)
    body = header + b"".join(pack_numbers(column) for column in columns)
    return _MAGIC + len(header).to_bytes(8, "little") + xxhash.xxh3_64_digest(body) + body


def decode_account(data: bytes | bytearray | memoryview) -> RowAccount:
    """Decode what `encode_account` made.

    Raises
    ------
    MalformedInputError
        If it is anything else, or its counts and its rows don't agree.
    """
    view = memoryview(data).cast("B")
    length = int.from_bytes(view[8:16], "little")
    at = _PREFIX + length
    is_whole = len(view) >= at and bytes(view[:8]) == _MAGIC
    if not is_whole or xxhash.xxh3_64_digest(view[_PREFIX:]) != bytes(view[16:_PREFIX]):
        raise MalformedInputError("an account of rows is malformed")
    header = decode(view[_PREFIX:at], _Header, "account of rows")
    kept, changed_count, merged, split, dropped_count = header.fates
    columns = []
    for count in (changed_count, dropped_count, dropped_count, dropped_count):
        column, at = unpack_numbers(view, at, most=count)
        columns.append(column)
    changed, dropped, reason_of, survivors = columns
    fates = Fates(kept=kept, changed=changed_count, merged=merged, split=split, dropped=dropped_count)
    is_right = (
        at == len(view)
        and min(header.fates) >= 0
        and len(changed) == fates.changed
        and len(dropped) == fates.dropped == len(reason_of) == len(survivors)
        and all(_rows(column, fates.total) for column in (changed, dropped))
        and _within(reason_of, 0, len(header.reasons))
        and _within(survivors, _UNKNOWN, fates.total)
        and max(Counter(header.reasons).values(), default=1) == 1
    )
    if not is_right:
        raise MalformedInputError("an account of rows doesn't agree with itself")
    return RowAccount(fates, changed, dropped, header.reasons, reason_of, survivors)


def _rows(column: Numbers, total: int) -> bool:
    return _within(column, 0, total) and bool((np.diff(column) > 0).all())


def _within(column: Numbers, low: int, high: int) -> bool:
    return not len(column) or (int(column.min()) >= low and int(column.max()) < high)
