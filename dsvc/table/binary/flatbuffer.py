"""Flatbuffers, as far as messages of Arrow are read by them: what PyArrow doesn't tell of a message.

Layout: https://flatbuffers.dev/internals/ and Message.fbs of the Arrow format. Nothing in one is believed.
"""

from __future__ import annotations

import struct

from dsvc.table.origin.source import NotATableError


class FlatTable:
    """A table of a flatbuffer, its fields by number.

    Parameters
    ----------
    data : bytes
        The whole buffer.
    position : int or None
        Where the table is; None: it is the one at the root.

    Raises
    ------
    NotATableError
        If it points before its start; asking for fields does too.
    struct.error
        If it points behind its end; asking for fields does too.
    """

    def __init__(self, data: bytes, position: int | None = None) -> None:
        self._data = data
        self._at = self._number("<I", 0) if position is None else position
        self._fields = self._at - self._number("<i", self._at)

    def _number(self, form: str, at: int) -> int:
        if at < 0:
            raise NotATableError("an Arrow message that points before its start")
        number: int = struct.unpack_from(form, self._data, at)[0]
        return number

    def _offset(self, field: int) -> int:
        slot = 4 + 2 * field
        if slot >= self._number("<H", self._fields):
            return 0
        return self._number("<H", self._fields + slot)

    def integer(self, field: int, form: str) -> int:
        """Read a whole number, in a form of `struct`; 0 where the field is left out."""
        offset = self._offset(field)
        return self._number(form, self._at + offset) if offset else 0

    def table(self, field: int) -> FlatTable | None:
        """Follow a field to a table; None where it is left out."""
        offset = self._offset(field)
        if not offset:
            return None
        at = self._at + offset
        return FlatTable(self._data, at + self._number("<I", at))
