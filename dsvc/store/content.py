"""What a file holds, told from its first bytes: its kind and how it is cut."""

from __future__ import annotations

from typing import Final

from dsvc.model.manifest import ChunkClass, Kind

SNIFF_BYTES: Final = 8192
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


def _is_image(head: bytes) -> bool:
    if head.startswith(_IMAGE_MAGICS):
        return not head.startswith(b"BM") or b"\0" in head[:32]
    return (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or (
        head[4:8] == b"ftyp" and head[8:12] in _FTYP_BRANDS
    )


def sniff(head: bytes) -> Kind:
    """Tell the kind from a file's first bytes (`SNIFF_BYTES` of them are looked at)."""
    head = head[:SNIFF_BYTES]
    if b"\0" not in head:
        if head[:1] in (b"\x89", b"\xff", b"G", b"B") and _is_image(head):
            return Kind.IMAGE
        if not head.startswith((b"PAR1", b"%PDF")):
            return Kind.TEXT
        return Kind.BINARY
    return Kind.IMAGE if _is_image(head) else Kind.BINARY


def class_of(kind: Kind) -> ChunkClass:
    """How a new file of this kind is cut."""
    return ChunkClass.TEXT if kind is Kind.TEXT else ChunkClass.RAW
