"""Identifiers: one class for each kind of id, never equal across kinds, parsed at the boundary."""

from __future__ import annotations

import re
from typing import Self

from dsvc.model.errors import MalformedInputError

_HEX_64 = re.compile(r"[0-9a-f]{64}")
_HEX_40 = re.compile(r"[0-9a-f]{40}")


class Digest(bytes):
    """A BLAKE3-256 digest, 32 bytes; subclasses say of what.

    Two digests of different classes never compare equal, also where their bytes do.
    """

    __slots__ = ()

    def __new__(cls, raw: bytes) -> Self:
        """Check the length of `raw` and wrap it."""
        if len(raw) != 32:
            raise MalformedInputError(f"a {cls.__name__} has 32 bytes, not {len(raw)}")
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 64 lower-case hexadecimal digits.

        Raises
        ------
        MalformedInputError
            If `text` is anything else; an id never becomes a path unchecked.
        """
        if not _HEX_64.fullmatch(text):
            raise MalformedInputError(f"not a {cls.__name__}: {text[:80]!r}")
        return cls(bytes.fromhex(text))

    def short(self) -> str:
        """First 12 hexadecimal digits, for people."""
        return self.hex()[:12]

    def __eq__(self, other: object) -> bool:
        """Equal only to the same bytes of the same class."""
        return type(other) is type(self) and bytes.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        """Opposite of equality."""
        return not self == other

    # Assigned, not defined: graphs of lineage hash ids a million times.
    __hash__ = bytes.__hash__

    def __repr__(self) -> str:
        """Class name and short digits."""
        return f"{type(self).__name__}({self.short()})"


class ChunkId(Digest):
    """Plain BLAKE3-256 of a chunk's bytes."""

    __slots__ = ()


class NodeId(Digest):
    """Domain-separated BLAKE3-256 of a manifest node."""

    __slots__ = ()


class ListId(Digest):
    """Domain-separated BLAKE3-256 of a node of a chunk list."""

    __slots__ = ()


class RecordId(Digest):
    """Domain-separated BLAKE3-256 of a record (staged delta, lineage record, …)."""

    __slots__ = ()


class PackId(Digest):
    """Domain-separated BLAKE3-256 of a pack's footer; names the pack's file."""

    __slots__ = ()


class CommitId(str):
    """A git object id, 40 lower-case hexadecimal digits; it navigates, it proves nothing."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a full git object id.

        Raises
        ------
        MalformedInputError
            If `text` isn't 40 lower-case hexadecimal digits.
        """
        if not _HEX_40.fullmatch(text):
            raise MalformedInputError(f"not a commit id: {text[:80]!r}")
        return cls(text)
