"""What a file holds, told from its name and first bytes: its kind, how it is cut, which table it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Final, NamedTuple, Protocol

from dsvc.model.manifest import ChunkClass, Kind
from dsvc.model.table_kind import HEAD_BYTES, PLAIN_KINDS, TableKind, recognise

SNIFF_BYTES: Final = HEAD_BYTES
_IMAGE_MAGICS: Final = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\0\0\1\0",
)
_FTYP_BRANDS: Final = (b"avif", b"heic", b"heix", b"mif1")


class Look(NamedTuple):
    """What a file is at first sight.

    Attributes
    ----------
    kind : Kind
        For its entry.
    chunk_class : ChunkClass
        How a new file of this kind is cut: text where its own bytes are text, a table or not.
    table : TableKind or None
        Which table it is.
    """

    kind: Kind
    chunk_class: ChunkClass
    table: TableKind | None = None


_PARQUET: Final = b"PAR1"
_SMALL_PAGE_BYTES: Final = 64 * 1024
_TEXT: Final = Look(Kind.TEXT, ChunkClass.TEXT)
_BINARY: Final = Look(Kind.BINARY, ChunkClass.RAW)
_IMAGE: Final = Look(Kind.IMAGE, ChunkClass.RAW)

_TABLES: Final = {id(kind): Look(Kind.TABLE, ChunkClass.TEXT, kind) for kind in PLAIN_KINDS}

Facts = tuple[int | None, bytes | None]
"""What the entry of a table says beyond its bytes: number of records, encoded schema."""
NO_FACTS: Final[Facts] = (None, None)


class Describer(Protocol):
    """Finds rows and columns of a table as its bytes go by; never fails (`describing/describe.py`)."""

    def feed(self, part: bytes | memoryview) -> None:
        """Take further bytes; the buffer may change afterwards."""
        ...

    def facts(self, stream: BinaryIO) -> Facts:
        """Say what was found; `stream` is the whole file, for formats whose facts don't stand in a row."""
        ...


Describe = Callable[[TableKind, int], Describer]
"""Makes the describer of a table of so many bytes. The store is handed one: it knows no table itself."""
FactsOfBytes = Callable[[TableKind, bytes], Facts]
"""Describes a table that is in memory."""


def _is_image(head: bytes) -> bool:
    if head.startswith(_IMAGE_MAGICS):
        return not head.startswith(b"BM") or b"\0" in head[:32]
    return (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or (
        head[4:8] == b"ftyp" and head[8:12] in _FTYP_BRANDS
    )


def sniff(path: bytes, head: bytes) -> Look:
    """Tell what a file is from its name and its first bytes (`SNIFF_BYTES` of them are looked at)."""
    head = head[:SNIFF_BYTES]
    if b"\0" not in head:
        if head[:1] in (b"\x89", b"\xff", b"G", b"B") and _is_image(head):
            return _IMAGE
        look = _BINARY if head.startswith((b"PAR1", b"%PDF")) else _TEXT
    elif _is_image(head):
        return _IMAGE
    else:
        look = _BINARY
    table = recognise(path, head)
    if table is None:
        return look
    if look is _TEXT:
        # By identity, as hashing an enum costs more than all the rest here.
        return _TABLES.get(id(table)) or Look(Kind.TABLE, ChunkClass.RAW, table)
    chunk_class = ChunkClass.RAW
    if head.startswith(_PARQUET) and 0 < _first_page_bytes(head) <= _SMALL_PAGE_BYTES:
        chunk_class = ChunkClass.PAGED
    return Look(Kind.TABLE, chunk_class, table)


def _first_page_bytes(head: bytes) -> int:
    """Length of the first page of a Parquet file; 0 where no page's header stands there."""
    numbers: list[int] = []
    at = len(_PARQUET)
    # Thrift's compact protocol; the first three fields are 32-bit numbers: type, length, stored length.
    while len(numbers) < 3 and head[at : at + 1] == b"\x15":
        number = 0
        for place, byte in enumerate(head[at + 1 : at + 6]):
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                numbers.append(number >> 1)  # zigzag: the lowest bit is the sign
                at += place + 2
                break
        else:
            return 0
    return numbers[2] if len(numbers) == 3 else 0
